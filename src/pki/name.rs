//! Distinguished names: who a certificate is about and who issued it (RFC 5280 §4.1.2.4, §7.1).

use std::fmt::{self, Write as _};

use crate::der::{DerError, DerReader, Element, dotted, encode, tag};

/// commonName (RFC 4519 §2.3).
const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The short names that people write for attribute types (RFC 4514 §3, and what OpenSSL prints).
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (OID_COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "street"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0c], "title"),
    (&[0x55, 0x04, 0x2a], "GN"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "emailAddress"),
];

/// A distinguished name: its bytes, and what they say.
///
/// Equality is of the bytes. [`Name::matches`] compares as RFC 5280 §7.1 wants it.
#[derive(Clone, Debug)]
pub struct Name {
    der: Vec<u8>,
    /// Relative names from the most general to the most specific; each a set of attributes.
    parts: Vec<Vec<NameAttribute>>,
}

#[derive(Clone, Debug)]
struct NameAttribute {
    oid: Vec<u8>,
    /// The value as text when its type is a string type, else `None`.
    text: Option<String>,
    /// The value as it came, with its tag.
    raw: Vec<u8>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

impl Name {
    /// Reads a Name, whole, with its SEQUENCE around it.
    pub fn from_der(der: &[u8]) -> Result<Name, DerError> {
        let parts = DerReader::sequence_of(der, |names| {
            let mut parts = Vec::new();
            while !names.is_empty() {
                parts.push(names.nested(tag::SET, relative_name)?);
            }
            Ok(parts)
        })?;
        Ok(Name { der: der.to_vec(), parts })
    }

    /// Reads a name as [`Name`] prints it, and OpenSSL: `C=CH, O=Example, CN=gateway`, from general
    /// to specific. A comma or plus sign in a value stands behind a backslash.
    pub fn from_text(text: &str) -> Result<Name, String> {
        let mut names = Vec::new();
        for part in split(text, ',') {
            let mut set = Vec::new();
            for attribute in split(&part, '+') {
                set.extend(written_attribute(&attribute)?);
            }
            names.extend(encode(tag::SET, &set));
        }
        Name::from_der(&encode(tag::SEQUENCE, &names)).map_err(|error| error.to_string())
    }

    /// The bytes: what an ID payload of type ID_DER_ASN1_DN carries.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether there is no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The most specific common name: the last one. Directories put containers such as
    /// `CN=Computers` before it.
    pub fn common_name(&self) -> Option<&str> {
        let mut attributes = self.parts.iter().rev().flatten();
        attributes.find(|a| a.oid == OID_COMMON_NAME)?.text.as_deref()
    }

    /// Whether both names are the same to a person: attribute types and order equal, strings equal
    /// but for letter case, surplus white space and string type (RFC 5280 §7.1). Values that are no
    /// strings must be equal in their bytes.
    pub fn matches(&self, other: &Name) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(ours, theirs)| {
                // A set has no order; neither side may have an attribute that the other lacks.
                ours.len() == theirs.len()
                    && ours.iter().all(|a| theirs.iter().any(|b| a.matches(b)))
                    && theirs.iter().all(|b| ours.iter().any(|a| a.matches(b)))
            })
    }
}

impl NameAttribute {
    fn matches(&self, other: &NameAttribute) -> bool {
        self.oid == other.oid
            && match (&self.text, &other.text) {
                (Some(ours), Some(theirs)) => fold(ours) == fold(theirs),
                _ => self.raw == other.raw,
            }
    }
}

impl fmt::Display for Name {
    /// From general to specific, as OpenSSL prints it: `C=CH, O=Example, CN=gateway`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            return f.write_str("(empty name)");
        }
        for (i, part) in self.parts.iter().enumerate() {
            for (j, attribute) in part.iter().enumerate() {
                f.write_str(match (i, j) {
                    (0, 0) => "",
                    (_, 0) => ", ",
                    _ => " + ",
                })?;
                attribute.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for NameAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SHORT_NAMES.iter().find(|(oid, _)| *oid == self.oid) {
            Some((_, short)) => f.write_str(short)?,
            None => f.write_str(&dotted(&self.oid))?,
        }
        f.write_char('=')?;
        match &self.text {
            Some(text) => escape(f, text),
            None => {
                f.write_char('#')?;
                self.raw.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

/// Letter case and surplus white space taken away.
pub(super) fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Writes a value as RFC 4514 §2.4 does. A peer chooses it, so control characters must not reach a
/// log or a terminal.
fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' => write!(f, "\\{c}"),
        c if c.is_control() || is_bidirectional_control(c) => {
            write!(f, "\\u{{{:x}}}", u32::from(c))
        }
        c => f.write_char(c),
    })
}

/// Characters that reorder the text around them on a screen.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The pieces of a text between the separators that stand behind no backslash.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut pieces, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        let piece = pieces.last_mut().expect("one was put there");
        if c == separator && !quoted {
            pieces.push(String::new());
            continue;
        }
        piece.push(c);
        quoted = c == '\\' && !quoted;
    }
    pieces
}

/// An attribute `TYPE=value` as DER.
fn written_attribute(text: &str) -> Result<Vec<u8>, String> {
    let (kind, value) = text
        .split_once('=')
        .ok_or_else(|| format!("\"{}\" is not of the form TYPE=value", text.trim()))?;
    let kind = kind.trim();
    let known = SHORT_NAMES.iter().find(|(_, short)| short.eq_ignore_ascii_case(kind));
    let (oid, short) = known.ok_or_else(|| format!("the attribute type \"{kind}\" is unknown"))?;
    let mut quoted = false;
    let keep = |c: &char| {
        quoted = *c == '\\' && !quoted;
        !quoted
    };
    let value: String = value.trim().chars().filter(keep).collect();
    if value.is_empty() {
        return Err(format!("{kind} has no value"));
    }
    // The types that RFC 5280 appendix A and RFC 4519 give these attributes.
    let string = match *short {
        "C" | "serialNumber" => tag::PRINTABLE_STRING,
        "DC" | "emailAddress" => tag::IA5_STRING,
        _ => tag::UTF8_STRING,
    };
    let pair = [encode(tag::OID, oid), encode(string, value.as_bytes())].concat();
    Ok(encode(tag::SEQUENCE, &pair))
}

/// One RelativeDistinguishedName: a set of attributes.
fn relative_name(set: &mut DerReader<'_>) -> Result<Vec<NameAttribute>, DerError> {
    let mut attributes = Vec::new();
    while !set.is_empty() {
        attributes.push(set.nested(tag::SEQUENCE, |attribute| {
            let oid = attribute.read(tag::OID)?.to_vec();
            let value = attribute.any()?;
            Ok(NameAttribute { oid, text: text(&value), raw: value.whole.to_vec() })
        })?);
    }
    Ok(attributes)
}

/// A string value as text; `None` for a value of another type, or one that breaks its type's rules.
fn text(value: &Element<'_>) -> Option<String> {
    let whole = |size: usize| value.body.len().is_multiple_of(size).then_some(());
    match value.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
            String::from_utf8(value.body.to_vec()).ok()
        }
        tag::TELETEX_STRING => Some(value.body.iter().map(|octet| char::from(*octet)).collect()),
        tag::BMP_STRING => {
            whole(2)?;
            let pairs = value.body.chunks_exact(2);
            let units =
                pairs.map(|pair| pair.iter().fold(0, |unit, b| (unit << 8) | u16::from(*b)));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        tag::UNIVERSAL_STRING => {
            whole(4)?;
            let fours = value.body.chunks_exact(4);
            let units =
                fours.map(|four| four.iter().fold(0, |unit, b| (unit << 8) | u32::from(*b)));
            units.map(char::from_u32).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of one attribute a part.
    fn name(parts: &[(&[u8], u8, &[u8])]) -> Name {
        let body: Vec<u8> = parts
            .iter()
            .flat_map(|(oid, string, value)| {
                let pair = [encode(tag::OID, oid), encode(*string, value)].concat();
                encode(tag::SET, &encode(tag::SEQUENCE, &pair))
            })
            .collect();
        Name::from_der(&encode(tag::SEQUENCE, &body)).unwrap()
    }

    const CN: &[u8] = OID_COMMON_NAME;
    const O: &[u8] = &[0x55, 0x04, 0x0a];

    #[test]
    fn names_match_but_for_case_space_and_string_type() {
        let plain = name(&[(CN, tag::UTF8_STRING, b"Outbound certificate")]);
        for same in [
            name(&[(CN, tag::PRINTABLE_STRING, b"outbound  CERTIFICATE ")]),
            name(&[(CN, tag::TELETEX_STRING, b"Outbound certificate")]),
        ] {
            assert!(plain.matches(&same) && same.matches(&plain));
            assert_ne!(plain, same);
        }
        for other in [
            name(&[(CN, tag::UTF8_STRING, b"Outboundcertificate")]),
            name(&[(O, tag::UTF8_STRING, b"Outbound certificate")]),
            name(&[(CN, tag::UTF8_STRING, b"Outbound certificate\0.evil")]),
            name(&[(O, tag::UTF8_STRING, b"x"), (CN, tag::UTF8_STRING, b"Outbound certificate")]),
            name(&[]),
        ] {
            assert!(!plain.matches(&other) && !other.matches(&plain), "{other}");
        }
    }

    #[test]
    fn the_most_specific_common_name_counts() {
        let directory =
            name(&[(CN, tag::UTF8_STRING, b"Computers"), (CN, tag::UTF8_STRING, b"gw1")]);
        assert_eq!(directory.common_name(), Some("gw1"));
        assert_eq!(name(&[(O, tag::UTF8_STRING, b"gw1")]).common_name(), None);
        assert_eq!(
            name(&[(CN, tag::BMP_STRING, &[0, b'g', 0x20, 0xac])]).common_name(),
            Some("g€")
        );
        let wide = [0, 0, 0, b'g', 0, 1, 0xf6, 0];
        assert_eq!(name(&[(CN, tag::UNIVERSAL_STRING, &wide)]).common_name(), Some("g😀"));
    }

    #[test]
    fn what_a_peer_wrote_prints_harmlessly() {
        let shown = name(&[
            (O, tag::UTF8_STRING, b"A, B + \"C\""),
            (CN, tag::UTF8_STRING, "a\n\u{1b}[2J\u{202e}b".as_bytes()),
            (&[0x2a, 3], tag::INTEGER, &[7]),
        ]);
        let expected = r#"O=A\, B \+ \"C\", CN=a\u{a}\u{1b}[2J\u{202e}b, 1.2.3=#020107"#;
        assert_eq!(shown.to_string(), expected);
        assert_eq!(name(&[]).to_string(), "(empty name)");
    }

    #[test]
    fn a_name_reads_back_as_it_was_printed() {
        for text in ["CN=gw", "C=CH, O=A\\, B \\+ \\\"C\\\", CN=gw", "O=x + OU=y, CN=a=b"] {
            let name = Name::from_text(text).unwrap();
            assert_eq!(name.to_string(), text);
            assert!(name.matches(&Name::from_text(&format!(" {text} ")).unwrap()));
        }
        let plain = name(&[(O, tag::UTF8_STRING, b"x"), (CN, tag::UTF8_STRING, b"gw")]);
        assert!(plain.matches(&Name::from_text("o=X, cn= GW ").unwrap()));
        for bad in ["", "gw", "CN=", "XY=gw", "CN=gw,", "CN=gw, O"] {
            assert!(Name::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn broken_names_are_refused() {
        for bad in [&[0x30, 0x01][..], &[0x31, 0x00], &[0x30, 0x02, 0x31, 0x01], &[0x30, 0, 0]] {
            assert!(Name::from_der(bad).is_err(), "{bad:02x?}");
        }
        assert_eq!(name(&[(CN, tag::BMP_STRING, &[0, 65, 0])]).common_name(), None);
    }
}
