//! Names of the gateway that an operator writes as text: distinguished names, alternative names and
//! IDs.

use std::fmt;

use serde::{Serialize, Serializer};

use super::doc::ValueKind;
use super::reader::{ConfigReader, ConfigValue, Entry};
use crate::pki::certificate::AltName;
use crate::pki::identity::Id;
use crate::pki::name::Name;

/// A value together with the text that it was read from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written<T> {
    text: String,
    value: T,
}

impl<T> Written<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl ConfigValue for Written<Name> {
    const KIND: ValueKind = ValueKind::Text("a distinguished name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        let hint = "write it from general to specific, as in \"C=CH, O=Example, CN=gateway\"";
        read(entry, reader, &Self::KIND, hint, Name::from_text)
    }
}

impl ConfigValue for Written<AltName> {
    const KIND: ValueKind = ValueKind::Text("a subject alternative name");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        let hint = "write \"DNS:gw.example.com\", \"email:gw@example.com\" or \"IP:203.0.113.1\"";
        let parse = |text: &str| AltName::from_text(text).ok_or_else(|| "unknown form".to_owned());
        read(entry, reader, &Self::KIND, hint, parse)
    }
}

impl ConfigValue for Written<Id> {
    const KIND: ValueKind = ValueKind::Text("an IKE identity");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        let hint = "write \"203.0.113.1\", \"gw.example.com\", \"gw@example.com\", \"O=Example, CN=gateway\" or \"keyid:0x0123\"";
        read(entry, reader, &Self::KIND, hint, Id::from_text)
    }
}

fn read<T>(
    entry: Entry<'_, '_>,
    reader: &mut ConfigReader<'_>,
    kind: &ValueKind,
    hint: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Written<T>> {
    let text = entry.text(kind, reader)?;
    match parse(text) {
        Ok(value) => Some(Written { text: text.to_owned(), value }),
        Err(why) => {
            entry.refuse(reader, format!("`{}` is {text:?}: {why}", entry.key.name), hint);
            None
        }
    }
}
