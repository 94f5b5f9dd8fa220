//! The types of values in tables. Each checks itself while it is read, so no later code has to
//! check it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::doc::ValueKind;
use super::reader::{ConfigReader, ConfigValue, Entry};
use crate::pki::certificate::Thumbprint;
use crate::pki::common_name::{CommonName, CommonNameError};

/// A name as Azure takes it for a resource: 1 to 80 letters, digits, `_`, `.` and `-`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Label(String);

/// A DNS name in lower case, without a final dot.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Fqdn(String);

/// A host: an IP address, or a DNS name.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A DNS name, which is looked up when the gateway is dialled.
    Name(Fqdn),
}

/// A file, by its absolute path or as a credential that systemd hands to the service.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum FileRef {
    /// A file by its absolute path.
    Path(PathBuf),
    /// The credential of systemd's `LoadCredential=NAME:...`, a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// An absolute path, which names the same file wherever the service was started.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AbsolutePath(PathBuf);

/// The name of a network interface that Linux accepts.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct InterfaceName(String);

/// A whole number between `LEAST` and `MOST`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Whole<const LEAST: u64, const MOST: u64>(u64);

/// The word `"auto"`, or a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum OrAuto<T> {
    /// The word `"auto"`: s2sd chooses.
    Auto,
    /// A value that the operator chose.
    Set(T),
}

/// The longest name that Linux takes for an interface (`IFNAMSIZ` less the closing zero).
const INTERFACE_NAME_MAX: usize = 15;

impl ConfigValue for Label {
    const KIND: ValueKind = ValueKind::Text("a name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Label> {
        let text = entry.text(&Self::KIND, reader)?;
        let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let wrong = if text.is_empty() {
            "is empty".to_owned()
        } else if text.len() > 80 {
            format!("has {} letters", text.chars().count())
        } else if let Some(c) = text.chars().find(|c| !known(*c)) {
            format!("has {c:?} in it")
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "does not begin with a letter or digit".to_owned()
        } else {
            return Some(Label(text.to_owned()));
        };
        let hint = "as in Azure, a name is 1 to 80 letters, digits, `_`, `.` and `-`, and begins with a letter or digit";
        entry.refuse(reader, format!("the name {text:?} {wrong}"), hint);
        None
    }
}

impl ConfigValue for CommonName {
    const KIND: ValueKind = ValueKind::Text("a certificate's common name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<CommonName> {
        let text = entry.text(&Self::KIND, reader)?;
        let key = entry.key.name;
        let (what, hint) = match CommonName::of_existing(text) {
            Ok(name) => return Some(name),
            Err(CommonNameError::Empty) => (
                format!("`{key}` is empty"),
                "write the CN that `openssl x509 -noout -subject` shows for the certificate; \
                 anyone with a certificate of the same root could pose as the peer otherwise"
                    .to_owned(),
            ),
            Err(CommonNameError::Prefixed(rest)) => {
                let name = rest.split(',').next().unwrap_or_default().trim();
                let hint = format!("write the common name alone: \"{name}\"");
                (format!("`{key}` begins with \"CN=\""), hint)
            }
            Err(_) => (
                format!("`{key}` is a whole subject, expected its common name"),
                "write what stands after \"CN=\" alone".to_owned(),
            ),
        };
        entry.refuse(reader, what, hint);
        None
    }
}

impl ConfigValue for Fqdn {
    const KIND: ValueKind = ValueKind::Text("a DNS name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Fqdn> {
        let text = entry.text(&Self::KIND, reader)?;
        if text.parse::<IpAddr>().is_ok() {
            let what = format!("`{}` is the address {text}, expected a name", entry.key.name);
            entry.refuse(reader, what, format!("write it as gateway_ip_address = \"{text}\""));
            return None;
        }
        match Fqdn::parse(text) {
            Ok(name) => Some(name),
            Err(why) => {
                let hint = "a DNS name such as \"site1.example.com\": letters, digits and hyphens between dots";
                entry.refuse(reader, format!("{text:?} is no DNS name: {why}"), hint);
                None
            }
        }
    }
}

impl Fqdn {
    fn parse(text: &str) -> Result<Fqdn, String> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > 253 {
            return Err(format!("{} characters, at most 253 are allowed", name.len()));
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err("a part between dots is empty".to_owned());
            }
            if label.len() > 63 {
                return Err(format!(
                    "a part has {} characters, at most 63 are allowed",
                    label.len()
                ));
            }
            if let Some(c) =
                label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-' && *c != '_')
            {
                return Err(format!("it has {c:?} in it"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(format!("\"{label}\" begins or ends with a hyphen"));
            }
        }
        Ok(Fqdn(name.to_ascii_lowercase()))
    }
}

impl ConfigValue for IpAddr {
    const KIND: ValueKind = ValueKind::Text("an IP address");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<IpAddr> {
        let text = entry.text(&Self::KIND, reader)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let (what, hint) = bad_address(text);
                entry.refuse(reader, what, hint);
                None
            }
        }
    }
}

impl ConfigValue for Host {
    const KIND: ValueKind = ValueKind::Text("an IP address or a DNS name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Host> {
        let text = entry.text(&Self::KIND, reader)?;
        if let Ok(address) = text.parse() {
            return Some(Host::Address(address));
        }
        // No DNS name ends in a number (RFC 3696 §2): such a text was meant to be an address.
        let last = text.rsplit('.').next().unwrap_or_default();
        let numeric = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
        if numeric || text.contains([':', '/']) {
            let (what, hint) = bad_address(text);
            entry.refuse(reader, what, hint);
            return None;
        }
        match Fqdn::parse(text) {
            Ok(name) => Some(Host::Name(name)),
            Err(why) => {
                let what = format!("{text:?} is neither an IP address nor a DNS name: {why}");
                entry.refuse(
                    reader,
                    what,
                    "the Azure portal shows the address on the gateway's overview page",
                );
                None
            }
        }
    }
}

/// What is wrong with a text that should be an address, and how to write it.
pub(super) fn bad_address(text: &str) -> (String, String) {
    let what = format!("{text:?} is no IP address");
    if let Some((address, port)) = text.rsplit_once(':')
        && address.parse::<std::net::Ipv4Addr>().is_ok()
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return (what, format!("leave the port out, because IKE's ports are fixed: \"{address}\""));
    }
    if let Some((address, length)) = text.split_once('/')
        && address.parse::<IpAddr>().is_ok()
    {
        return (
            what,
            format!(
                "it has a prefix length, \"/{length}\"; write the address alone: \"{address}\""
            ),
        );
    }
    let parts: Vec<&str> = text.split('.').collect();
    let numbers = parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if numbers && parts.len() != 4 {
        return (what, format!("an IPv4 address has four numbers, this has {}", parts.len()));
    }
    if numbers && let Some(part) = parts.iter().find(|p| p.parse::<u8>().is_err()) {
        return (what, format!("each number is at most 255, not {part}"));
    }
    if numbers {
        let plain: Vec<String> =
            parts.iter().filter_map(|p| p.parse::<u8>().ok()).map(|n| n.to_string()).collect();
        let hint =
            format!("write \"{}\": some programs take leading zeros for octal", plain.join("."));
        return (what, hint);
    }
    if let Some((address, zone)) = text.split_once('%') {
        return (what, format!("leave the zone \"%{zone}\" out: \"{address}\""));
    }
    (what, "write an address such as \"203.0.113.1\"".to_owned())
}

impl ConfigValue for FileRef {
    const KIND: ValueKind = ValueKind::Text("a file's path, or \"credential:NAME\"");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<FileRef> {
        let text = entry.text(&Self::KIND, reader)?;
        if text.contains("-----BEGIN") {
            let what = format!(
                "`{}` holds a certificate or key itself, expected the name of a file",
                entry.key.name
            );
            entry.refuse(
                reader,
                what,
                "put the certificate or key into a file of its own and write the file's path",
            );
            return None;
        }
        if let Some(name) = text.strip_prefix("credential:") {
            if name.is_empty() || name.contains('/') || name.starts_with('.') {
                let hint = "write the name from the unit's LoadCredential=NAME:/path, as in \"credential:inbound.key\"";
                entry.refuse(reader, format!("{name:?} is no name of a credential"), hint);
                return None;
            }
            return Some(FileRef::Credential(name.to_owned()));
        }
        absolute(text, entry, reader).map(FileRef::Path)
    }
}

impl ConfigValue for AbsolutePath {
    const KIND: ValueKind = ValueKind::Text("an absolute path");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<AbsolutePath> {
        let text = entry.text(&Self::KIND, reader)?;
        absolute(text, entry, reader).map(AbsolutePath)
    }
}

fn absolute(text: &str, entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<PathBuf> {
    if text.is_empty() {
        entry.refuse(reader, format!("`{}` is empty", entry.key.name), entry.key.value_hint());
        return None;
    }
    if !Path::new(text).is_absolute() {
        let what = format!("`{}` is the relative path {text:?}", entry.key.name);
        let hint = match text.strip_prefix("~/") {
            Some(rest) => {
                format!("only a shell expands \"~\": write /home/NAME/{rest} or /root/{rest}")
            }
            None => format!(
                "a service has no current directory: write an absolute path such as \"/etc/s2sd/{text}\""
            ),
        };
        entry.refuse(reader, what, hint);
        return None;
    }
    Some(PathBuf::from(text))
}

impl ConfigValue for InterfaceName {
    const KIND: ValueKind = ValueKind::Text("an interface name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<InterfaceName> {
        let text = entry.text(&Self::KIND, reader)?;
        let wrong = if text.is_empty() {
            "is empty".to_owned()
        } else if text.len() > INTERFACE_NAME_MAX {
            format!("has {} bytes, Linux takes {INTERFACE_NAME_MAX}", text.len())
        } else if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || "/:%".contains(*c)) {
            format!("has {c:?} in it")
        } else if ["lo", "all", "default", ".", ".."].contains(&text) {
            "is reserved by Linux".to_owned()
        } else {
            return Some(InterfaceName(text.to_owned()));
        };
        let hint = "at most 15 letters and digits, such as \"azure0\"";
        entry.refuse(reader, format!("the interface name {text:?} {wrong}"), hint);
        None
    }
}

impl ConfigValue for Thumbprint {
    const KIND: ValueKind = ValueKind::Text("a certificate's thumbprint");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Thumbprint> {
        let text = entry.text(&Self::KIND, reader)?;
        if let Ok(thumbprint) = text.parse() {
            return Some(thumbprint);
        }
        let digits = text.chars().filter(|c| c.is_alphanumeric());
        let wrong = match digits.clone().find(|c| !c.is_ascii_hexdigit()) {
            Some(c) => format!("has {c:?} in it"),
            None => format!("has {} hexadecimal digits", digits.count()),
        };
        let hint = "write 40 hexadecimal digits, as the Azure portal and Windows show them: \
                    `openssl x509 -noout -fingerprint -sha1 -in FILE` prints them";
        entry.refuse(reader, format!("the thumbprint {text:?} {wrong}"), hint);
        None
    }
}

impl<const LEAST: u64, const MOST: u64> ConfigValue for Whole<LEAST, MOST> {
    const KIND: ValueKind = ValueKind::Whole(LEAST, MOST);

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        let Some(integer) = entry.value.get_ref().as_integer() else {
            reader.wrong_type(entry, &Self::KIND);
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
        match u64::try_from(number) {
            Ok(number) if (LEAST..=MOST).contains(&number) => Some(Whole(number)),
            _ => {
                let bound = if number < i128::from(LEAST) {
                    format!("below the least, {LEAST}")
                } else {
                    format!("above the most, {MOST}")
                };
                entry.refuse(
                    reader,
                    format!("`{}` is {integer}, {bound}", entry.key.name),
                    entry.key.value_hint(),
                );
                None
            }
        }
    }
}

impl<T: ConfigValue> ConfigValue for OrAuto<T> {
    const KIND: ValueKind = ValueKind::Or("auto", &T::KIND);

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        match entry.value.get_ref().as_str() {
            Some("auto") => Some(OrAuto::Auto),
            Some(_) if !matches!(T::KIND, ValueKind::Text(_)) => {
                reader.wrong_type(entry, &Self::KIND);
                None
            }
            _ => T::read(entry, reader).map(OrAuto::Set),
        }
    }
}

impl<const LEAST: u64, const MOST: u64> Whole<LEAST, MOST> {
    /// The number as an integer.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl<T> OrAuto<T> {
    /// The value that the operator chose; `None` for `"auto"`.
    pub fn set(self) -> Option<T> {
        match self {
            OrAuto::Auto => None,
            OrAuto::Set(value) => Some(value),
        }
    }
}

impl InterfaceName {
    /// The name of the first interface when none was chosen.
    pub fn first() -> InterfaceName {
        InterfaceName("azure0".to_owned())
    }

    /// The name with its number counted up, or with a number added.
    pub fn successor(&self) -> InterfaceName {
        let stem = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = self.0.get(stem.len()..).and_then(|digits| digits.parse::<u64>().ok());
        let next = number.map_or(1, |n| n.saturating_add(1)).to_string();
        let room = INTERFACE_NAME_MAX.saturating_sub(next.len());
        InterfaceName(format!("{}{next}", stem.get(..room).unwrap_or(stem)))
    }
}

impl Host {
    /// The address; `None` for a DNS name.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }
}

impl AbsolutePath {
    /// The path as the standard library has it.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Types that are a checked string.
macro_rules! strings {
    ($($name:ident)*) => {$(
        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

strings!(Fqdn InterfaceName Label);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileRef::Path(path) => write!(f, "{}", path.display()),
            FileRef::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl Serialize for FileRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
