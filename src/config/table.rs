//! Tables of the file, each declared once: the struct, its reader and its documentation come from
//! the same lines.

use std::fmt;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::TextSpan;
use super::nearest::{folded, nearest};
use super::reader::{ChoiceValue, ConfigReader, ConfigValue, Entry, ReadKey, ValueKind};

/// A table of the file, for messages and the manual page.
#[derive(Debug, Serialize)]
pub struct TableDoc {
    /// Its path: `connection.tunnel`; empty for the file itself.
    pub path: &'static str,
    /// How it stands there.
    pub form: TableForm,
    /// What it is.
    pub doc: &'static str,
    /// Its keys, in the order in which they are best written.
    pub keys: &'static [KeyDoc],
}

/// How a table stands in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum TableForm {
    /// Once.
    Single,
    /// Several times, as `[[connection]]`.
    Repeated,
    /// Once, with all that is required in it or not at all: Azure refuses a part.
    Whole,
}

/// A key of a table.
#[derive(Debug, Serialize)]
pub struct KeyDoc {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub presence: Presence,
    /// What its value looks like.
    pub kind: ValueKind,
    /// What it means.
    pub doc: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Presence {
    /// It must.
    Required,
    /// It may be left out.
    Optional,
    /// Left out, it is as though this TOML value stood there.
    Default(&'static str),
}

/// A table as a type.
pub trait ConfigTable: Sized {
    /// Its documentation.
    const DOC: TableDoc;

    /// Reads its keys.
    fn read_keys(keys: &mut TableKeys<'_, '_, '_>) -> Self;
}

/// The keys of one table of the tree, handed out one by one; what nobody asked for is unknown.
#[derive(Debug)]
pub struct TableKeys<'a, 't, 'r> {
    doc: &'static TableDoc,
    table: &'a DeTable<'t>,
    span: TextSpan,
    reader: &'a mut ConfigReader<'r>,
    missing: Vec<&'static KeyDoc>,
}

impl TableKeys<'_, '_, '_> {
    /// Where the table's header stands.
    pub fn span(&self) -> TextSpan {
        self.span.clone()
    }

    /// Reads the key at this place of the table's documentation.
    pub fn read<T: ConfigValue>(&mut self, index: usize) -> ReadKey<T> {
        let key = &self.doc.keys[index];
        if let Some(value) = self.table.get(key.name) {
            return self.reader.read(Entry { key, value });
        }
        match key.presence {
            Presence::Required => {
                self.missing.push(key);
                ReadKey::Absent
            }
            Presence::Optional => ReadKey::Absent,
            Presence::Default(toml) => self.reader.read_default(key, toml, self.span.clone()),
        }
    }

    /// One report for all keys that are missing here; each missing table has its own. A key that is
    /// there under another spelling is reported as unknown, not also as missing.
    fn report_missing(&mut self) {
        let given: Vec<&str> = self.table.keys().map(|key| key.get_ref().as_ref()).collect();
        self.missing.retain(|key| {
            !given.iter().any(|name| nearest(name, self.doc.names()) == Some(key.name))
        });
        let (tables, keys): (Vec<&KeyDoc>, _) =
            self.missing.iter().partition(|key| key.kind.table().is_some());
        for key in tables {
            let what = format!("{} is missing", key.example());
            self.reader.error(&self.span, what, key.add_hint());
        }
        let names: Vec<String> = keys.iter().map(|key| key.example()).collect();
        let hint = match (keys.as_slice(), self.doc.form) {
            ([], _) => return,
            (_, TableForm::Whole) => {
                "Azure refuses partial policies: write every key, or leave the whole table out"
                    .to_owned()
            }
            ([key], _) => key.add_hint(),
            (keys, _) => keys.iter().map(|key| key.add_hint()).collect::<Vec<_>>().join("; "),
        };
        let what = format!("{} has no {}", self.doc.title(), names.join(", no "));
        self.reader.error(&self.span, what, hint);
    }

    fn report_unknown(&mut self) {
        for (key, value) in self.table {
            if !self.doc.keys.iter().any(|known| known.name == key.get_ref()) {
                self.report_unknown_key(key, value.get_ref());
            }
        }
    }

    fn report_unknown_key(&mut self, key: &Spanned<DeString<'_>>, value: &DeValue<'_>) {
        let name = key.get_ref();
        let what = match value {
            DeValue::Table(_) => format!("{} has no table `{name}`", self.doc.title()),
            _ => format!("{} has no key `{name}`", self.doc.title()),
        };
        let hint = self.doc.suggest(name);
        let source = self.reader.source();
        let found = source.diagnose(super::diagnostic::Severity::Error, &key.span(), what, hint);
        let secret = ["key", "secret", "psk", "pass"].iter().any(|s| folded(name).contains(s));
        self.reader.add(if secret { found.without_value() } else { found });
    }
}

/// Reads a table that stands for a key, with all that is in it.
pub fn read_table<T: ConfigTable>(
    doc: &'static TableDoc,
    entry: Entry<'_, '_>,
    reader: &mut ConfigReader<'_>,
) -> Option<T> {
    let Some(table) = entry.value.get_ref().as_table() else {
        reader.wrong_type(entry, &ValueKind::Table(doc));
        return None;
    };
    Some(read_keys_of(doc, table, entry.value.span(), reader))
}

/// Reads a table's keys, then reports those it does not have.
pub fn read_keys_of<T: ConfigTable>(
    doc: &'static TableDoc,
    table: &DeTable<'_>,
    span: TextSpan,
    reader: &mut ConfigReader<'_>,
) -> T {
    let span = reader.place(span);
    let mut keys = TableKeys { doc, table, span, reader, missing: Vec::new() };
    let read = T::read_keys(&mut keys);
    if !keys.reader.misplaced {
        keys.report_missing();
        keys.report_unknown();
    }
    read
}

impl TableDoc {
    /// The table as it is written in the file.
    pub fn title(&self) -> String {
        match (self.path, self.form) {
            ("", _) => "the file".to_owned(),
            (path, TableForm::Repeated) => format!("[[{path}]]"),
            (path, TableForm::Single | TableForm::Whole) => format!("[{path}]"),
        }
    }

    /// This table and all below it.
    pub fn tree(&'static self) -> Vec<&'static TableDoc> {
        let below = self.keys.iter().filter_map(|key| key.kind.table());
        std::iter::once(self).chain(below.flat_map(TableDoc::tree)).collect()
    }

    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// The hint for a name that this table does not have.
    fn suggest(&self, name: &str) -> String {
        let own = || self.names();
        let same = |key: &&str| folded(key) == folded(name);
        if let Some(key) = own().find(same) {
            return format!("Azure's names are written in snake_case here: `{key}`");
        }
        if let Some(note) = super::foreign::note(name) {
            return note.to_owned();
        }
        let tables = super::schema::tables();
        let homes: Vec<String> = tables
            .iter()
            .filter(|table| table.keys.iter().any(|key| same(&key.name)))
            .map(|table| table.title())
            .collect();
        if !homes.is_empty() {
            return format!("it belongs to {}", homes.join(" or "));
        }
        if let Some(key) = nearest(name, own()) {
            return format!("did you mean `{key}`?");
        }
        let elsewhere = tables.iter().flat_map(|t| t.keys.iter().map(move |k| (k.name, t)));
        if let Some(key) = nearest(name, elsewhere.clone().map(|(key, _)| key))
            && let Some((_, table)) = elsewhere.clone().find(|(name, _)| *name == key)
        {
            return format!("did you mean `{key}`? It belongs to {}", table.title());
        }
        format!("{} has: {}", self.title(), own().collect::<Vec<_>>().join(", "))
    }
}

impl KeyDoc {
    /// What to write where the key is missing.
    pub fn add_hint(&self) -> String {
        format!("add {}: {}", self.example(), self.gist())
    }

    /// What to write instead of a wrong value.
    pub fn value_hint(&self) -> String {
        let (kind, gist) = (self.kind, self.gist());
        match self.presence {
            Presence::Default(toml) if !toml.starts_with(['{', '[']) => {
                format!("write {kind}, or leave it out for {toml} ({gist})")
            }
            _ => format!("write {kind} ({gist})"),
        }
    }

    /// The first sentence of its documentation, to go on with in a sentence.
    fn gist(&self) -> String {
        let text = self.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            // "Azure's" and "CN" keep their capitals.
            (Some(first), Some(second)) if !second.is_uppercase() && !text.starts_with("Azure") => {
                first.to_lowercase().chain(text.chars().skip(1)).collect()
            }
            _ => text.to_owned(),
        }
    }

    fn example(&self) -> String {
        match self.kind {
            ValueKind::Table(table) => format!("[{}]", table.path),
            ValueKind::List(ValueKind::Table(table)) => format!("[[{}]]", table.path),
            _ => format!("`{}`", self.name),
        }
    }
}

impl ValueKind {
    /// The table it is, may be or lists.
    pub fn table(&self) -> Option<&'static TableDoc> {
        match self {
            ValueKind::Table(table) => Some(table),
            ValueKind::List(kind) | ValueKind::Or(_, kind) => kind.table(),
            _ => None,
        }
    }

    /// The words that it lets one choose from.
    pub fn choices(&self) -> &'static [ChoiceValue] {
        match self {
            ValueKind::Choice(choices) => choices,
            ValueKind::List(kind) | ValueKind::Or(_, kind) => kind.choices(),
            _ => &[],
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueKind::Text(what) => write!(f, "{what} in quotes"),
            ValueKind::Boolean => f.write_str("true or false"),
            ValueKind::Whole(0, most) => write!(f, "a whole number up to {most}"),
            ValueKind::Whole(least, most) if *most >= UNBOUNDED => {
                write!(f, "a whole number of {least} or more")
            }
            ValueKind::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            ValueKind::Choice(choices) => {
                let names: Vec<String> =
                    choices.iter().map(|c| format!("\"{}\"", c.name)).collect();
                match names.as_slice() {
                    [rest @ .., last] if !rest.is_empty() => {
                        write!(f, "{} or {last}", rest.join(", "))
                    }
                    _ => f.write_str(&names.concat()),
                }
            }
            ValueKind::List(ValueKind::Table(table)) => {
                write!(f, "a list of tables [[{}]]", table.path)
            }
            ValueKind::List(kind) => write!(f, "a list: each {kind}"),
            ValueKind::Table(table) => write!(f, "a table [{}]", table.path),
            ValueKind::Or(word, kind) => write!(f, "\"{word}\" or {kind}"),
        }
    }
}

/// A range that ends here ends nowhere, for who reads of it.
const UNBOUNDED: u64 = u32::MAX as u64;

/// Declares a table: `required`, `optional` or `default("toml")` before each key.
macro_rules! table {
    (
        $(#[doc = $doc:literal])*
        $name:ident is $path:literal $($form:ident)? {
            $(
                $(#[doc = $key_doc:literal])*
                $presence:ident $(($default:literal))? $key:ident: $kind:ty,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Where its header stands.
            pub span: $crate::config::diagnostic::TextSpan,
            $($(#[doc = $key_doc])* pub $key: $crate::config::reader::ReadKey<$kind>,)*
        }

        impl $crate::config::table::ConfigTable for $name {
            const DOC: $crate::config::table::TableDoc = $crate::config::table::TableDoc {
                path: $path,
                form: $crate::config::table::table!(@form $($form)?),
                doc: concat!($($doc, "\n"),*),
                keys: &[$($crate::config::table::KeyDoc {
                    name: stringify!($key),
                    presence: $crate::config::table::table!(@presence $presence $($default)?),
                    kind: <$kind as $crate::config::reader::ConfigValue>::KIND,
                    doc: concat!($($key_doc, "\n"),*),
                },)*],
            };

            fn read_keys(keys: &mut $crate::config::table::TableKeys<'_, '_, '_>) -> $name {
                #[allow(non_camel_case_types, reason = "a key's place is named after the key")]
                enum TablePlace { $($key,)* }
                $name {
                    span: keys.span(),
                    $($key: keys.read(TablePlace::$key as usize),)*
                }
            }
        }

        impl $crate::config::reader::ConfigValue for $name {
            const KIND: $crate::config::reader::ValueKind =
                $crate::config::reader::ValueKind::Table(&<$name as $crate::config::table::ConfigTable>::DOC);

            fn read(
                entry: $crate::config::reader::Entry<'_, '_>,
                reader: &mut $crate::config::reader::ConfigReader<'_>,
            ) -> Option<$name> {
                $crate::config::table::read_table(
                    &<$name as $crate::config::table::ConfigTable>::DOC,
                    entry,
                    reader,
                )
            }
        }
    };
    (@form) => { $crate::config::table::TableForm::Single };
    (@form repeated) => { $crate::config::table::TableForm::Repeated };
    (@form whole) => { $crate::config::table::TableForm::Whole };
    (@presence required) => { $crate::config::table::Presence::Required };
    (@presence optional) => { $crate::config::table::Presence::Optional };
    (@presence default $default:literal) => { $crate::config::table::Presence::Default($default) };
}

pub(super) use table;
