//! A strict reader of DER (ITU-T X.690): definite lengths in their shortest form, one element after
//! another.
//!
//! Keys, names, algorithm identifiers and PKCS#12 files go through it; whole certificates go
//! through x509-parser and rustls-webpki, which know their extensions.

use std::fmt;

/// Identifier octets that the readers of this tree ask for. Only tags below 31 exist in what they
/// read.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// PrintableString.
    pub const PRINTABLE_STRING: u8 = 0x13;
    /// TeletexString, in practice Latin-1.
    pub const TELETEX_STRING: u8 = 0x14;
    /// IA5String: ASCII.
    pub const IA5_STRING: u8 = 0x16;
    /// UniversalString: UCS-4.
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    /// BMPString: UCS-2.
    pub const BMP_STRING: u8 = 0x1e;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;
    /// SET and SET OF.
    pub const SET: u8 = 0x31;

    /// `[n]`, constructed: an explicit tag, or an implicit one on a SEQUENCE.
    pub const fn constructed(n: u8) -> u8 {
        0xa0 | n
    }

    /// `[n]`, primitive: an implicit tag on a string.
    pub const fn primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// What was wrong, and how many bytes of the input were left when it was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("DER: {what}, {left} bytes before the end")]
pub struct DerError {
    /// The rule that was broken.
    pub what: DerFault,
    /// Bytes of the enclosing element that were still unread.
    pub left: usize,
}

/// The ways an encoding can be wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DerFault {
    /// The element says that it is longer than what is there.
    Truncated,
    /// A length that is indefinite, not in its shortest form, or of more than four octets.
    Length,
    /// Another identifier octet than the expected one.
    Tag {
        /// The identifier octet that belongs here.
        expected: u8,
        /// The identifier octet that is here.
        found: u8,
    },
    /// Bytes after the last element.
    Trailing,
    /// Content that its type does not allow.
    Value,
}

impl fmt::Display for DerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DerFault::Truncated => f.write_str("an element is longer than what holds it"),
            DerFault::Length => f.write_str("a length is not in its shortest definite form"),
            DerFault::Tag { expected, found } => {
                write!(f, "expected tag {expected:#04x}, found {found:#04x}")
            }
            DerFault::Trailing => f.write_str("bytes follow the last element"),
            DerFault::Value => f.write_str("a value is not allowed for its type"),
        }
    }
}

/// One element: identifier octet, content, and both together as they came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub body: &'a [u8],
    /// Identifier, length and content.
    pub whole: &'a [u8],
}

/// Reads the elements of one constructed value, in order.
#[derive(Clone, Copy, Debug)]
pub struct DerReader<'a> {
    rest: &'a [u8],
}

impl<'a> DerReader<'a> {
    /// A reader over the content of a constructed value, or over a whole file.
    pub fn new(bytes: &'a [u8]) -> DerReader<'a> {
        DerReader { rest: bytes }
    }

    /// Reads `bytes` as exactly one SEQUENCE and hands its content to `read`, which must use it up.
    pub fn sequence_of<T>(
        bytes: &'a [u8],
        read: impl FnOnce(&mut DerReader<'a>) -> Result<T, DerError>,
    ) -> Result<T, DerError> {
        let mut outer = DerReader::new(bytes);
        let value = outer.nested(tag::SEQUENCE, read)?;
        outer.finish()?;
        Ok(value)
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The identifier octet of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (&[tag, first], after) =
            self.rest.split_first_chunk::<2>().ok_or(self.fault(DerFault::Truncated))?;
        if tag & 0x1f == 0x1f {
            return Err(self.fault(DerFault::Value));
        }
        let (length, after) = self.length(first, after)?;
        let (body, next) = after.split_at_checked(length).ok_or(self.fault(DerFault::Truncated))?;
        let used = self.rest.len() - next.len();
        let (whole, rest) =
            self.rest.split_at_checked(used).ok_or(self.fault(DerFault::Truncated))?;
        self.rest = rest;
        Ok(Element { tag, body, whole })
    }

    /// The next element, which must have this tag.
    pub fn element(&mut self, expected: u8) -> Result<Element<'a>, DerError> {
        match self.peek() {
            Some(found) if found == expected => self.any(),
            Some(found) => Err(self.fault(DerFault::Tag { expected, found })),
            None => Err(self.fault(DerFault::Truncated)),
        }
    }

    /// The content of the next element, which must have this tag.
    pub fn read(&mut self, expected: u8) -> Result<&'a [u8], DerError> {
        Ok(self.element(expected)?.body)
    }

    /// The content of the next element if it has this tag.
    pub fn optional(&mut self, expected: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.peek() == Some(expected) { self.read(expected).map(Some) } else { Ok(None) }
    }

    /// Hands the content of the next element to `read`, which must use it up.
    pub fn nested<T>(
        &mut self,
        expected: u8,
        read: impl FnOnce(&mut DerReader<'a>) -> Result<T, DerError>,
    ) -> Result<T, DerError> {
        let mut inner = DerReader::new(self.read(expected)?);
        let value = read(&mut inner)?;
        inner.finish()?;
        Ok(value)
    }

    /// An INTEGER that is not negative, without leading zeros (zero itself is one zero octet).
    pub fn unsigned(&mut self) -> Result<&'a [u8], DerError> {
        let left = self.fault(DerFault::Value);
        match self.read(tag::INTEGER)? {
            [0] => Ok(&[0]),
            [0, second, ..] if second & 0x80 == 0 => Err(left),
            [0, magnitude @ ..] => Ok(magnitude),
            magnitude @ [first, ..] if first & 0x80 == 0 => Ok(magnitude),
            _ => Err(left),
        }
    }

    /// An INTEGER that fits 32 bits and is not negative.
    pub fn small_unsigned(&mut self) -> Result<u32, DerError> {
        let fault = self.fault(DerFault::Value);
        let bytes = self.unsigned()?;
        if bytes.len() > 4 {
            return Err(fault);
        }
        Ok(bytes.iter().fold(0, |value, &byte| (value << 8) | u32::from(byte)))
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(&mut self) -> Result<&'a [u8], DerError> {
        let fault = self.fault(DerFault::Value);
        match self.read(tag::BIT_STRING)?.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(fault),
        }
    }

    /// That nothing is left.
    pub fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(DerFault::Trailing)) }
    }

    /// An error at this place.
    pub fn fault(&self, what: DerFault) -> DerError {
        DerError { what, left: self.rest.len() }
    }

    /// The length that starts with `first` (X.690 §8.1.3, §10.1), and what follows it.
    fn length(&self, first: u8, after: &'a [u8]) -> Result<(usize, &'a [u8]), DerError> {
        if first < 0x80 {
            return Ok((usize::from(first), after));
        }
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return Err(self.fault(DerFault::Length));
        }
        let (octets, after) =
            after.split_at_checked(count).ok_or(self.fault(DerFault::Truncated))?;
        let length = octets.iter().fold(0_u64, |value, &octet| (value << 8) | u64::from(octet));
        let shortest = if count == 1 { length >= 0x80 } else { octets.first() != Some(&0) };
        match usize::try_from(length) {
            Ok(length) if shortest => Ok((length, after)),
            _ => Err(self.fault(DerFault::Length)),
        }
    }
}

/// Encodes one element.
pub fn encode(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 6);
    out.push(tag);
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets = body.len().to_be_bytes();
            let significant = octets.iter().skip_while(|octet| **octet == 0);
            let count = significant.clone().count();
            out.push(0x80 | u8::try_from(count).expect("a usize has at most eight octets"));
            out.extend(significant);
        }
    }
    out.extend_from_slice(body);
    out
}

/// Encodes an INTEGER that is not negative, from its big-endian octets with or without leading
/// zeros.
pub fn encode_unsigned(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let magnitude = octets.get(zeros..).unwrap_or_default();
    let mut body = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_none_or(|first| first & 0x80 != 0) {
        body.push(0);
    }
    body.extend_from_slice(magnitude);
    encode(tag::INTEGER, &body)
}

/// An OBJECT IDENTIFIER's content octets as dotted numbers, for messages.
pub fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u128> = Vec::new();
    let mut value: u128 = 0;
    for &octet in oid {
        value = (value << 7) | u128::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        if arcs.is_empty() {
            let first = (value / 40).min(2);
            arcs.extend([first, value - first * 40]);
        } else {
            arcs.push(value);
        }
        value = 0;
    }
    arcs.iter().map(u128::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_in_another_form_than_the_shortest_are_refused() {
        for (bytes, what) in [
            (&[0x04, 0x80, 0, 0][..], DerFault::Length),
            (&[0x04, 0x81, 0x01, 0xff], DerFault::Length),
            (&[0x04, 0x82, 0x00, 0x80], DerFault::Length),
            (&[0x04, 0x85, 1, 0, 0, 0, 0], DerFault::Length),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], DerFault::Truncated),
            (&[0x04, 0x02, 0x00], DerFault::Truncated),
            (&[0x04], DerFault::Truncated),
            (&[0x1f, 0x00], DerFault::Value),
        ] {
            assert_eq!(DerReader::new(bytes).any().unwrap_err().what, what, "{bytes:02x?}");
        }
    }

    #[test]
    fn integers_are_canonical_and_unsigned() {
        assert_eq!(DerReader::new(&[2, 1, 0]).unsigned(), Ok(&[0][..]));
        assert_eq!(DerReader::new(&[2, 2, 0, 0x80]).unsigned(), Ok(&[0x80][..]));
        assert_eq!(DerReader::new(&[2, 3, 1, 0, 1]).small_unsigned(), Ok(65537));
        assert_eq!(encode_unsigned(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(encode_unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(encode_unsigned(&[]), [2, 1, 0]);
        for bad in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f]] {
            assert_eq!(
                DerReader::new(bad).unsigned().unwrap_err().what,
                DerFault::Value,
                "{bad:?}"
            );
        }
        assert!(DerReader::new(&[2, 5, 1, 0, 0, 0, 0]).small_unsigned().is_err());
    }

    #[test]
    fn a_sequence_must_be_used_up_and_stand_alone() {
        let two = [0x30, 6, 2, 1, 1, 2, 1, 2];
        assert!(DerReader::sequence_of(&two, |r| r.small_unsigned()).is_err());
        let both = DerReader::sequence_of(&two, |r| Ok((r.small_unsigned()?, r.small_unsigned()?)));
        assert_eq!(both, Ok((1, 2)));
        assert!(DerReader::sequence_of(&[0x30, 0, 0], |_| Ok(())).is_err());
    }

    #[test]
    fn object_identifiers_print_as_dotted_numbers() {
        assert_eq!(
            dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]),
            "1.2.840.113549.1.1.11"
        );
        assert_eq!(dotted(&[0x55, 0x1d, 0x0f]), "2.5.29.15");
        assert_eq!(dotted(&[0x88, 0x37, 0x03]), "2.999.3");
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(
            tag in 0_u8..0x1f,
            body in vec(any::<u8>(), 0..70_000),
        ) {
            let whole = encode(tag, &body);
            let mut reader = DerReader::new(&whole);
            prop_assert_eq!(reader.read(tag), Ok(&body[..]));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn any_bytes_read_without_a_panic_and_encode_back(bytes in vec(any::<u8>(), 0..64)) {
            let mut reader = DerReader::new(&bytes);
            while let Ok(element) = reader.any() {
                prop_assert_eq!(encode(element.tag, element.body), element.whole);
            }
            let _ = dotted(&bytes);
        }
    }
}
