//! Tables of the file, each declared once: the struct, its reader and its documentation come from
//! the same lines.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::{Severity, TextSpan};
use super::doc::{KeyDoc, Presence, TableDoc, TableForm, ValueKind};
use super::foreign;
use super::nearest::{folded, nearest};
use super::reader::{ConfigReader, ConfigValue, Entry, ReadKey};

/// A table as a type.
pub trait ConfigTable: Sized {
    /// The description of the table and its keys.
    const DOC: TableDoc;

    /// Reads the table's keys.
    fn read_keys(keys: &mut TableKeys<'_, '_, '_>) -> Self;
}

/// The keys of one table of the tree while they are read.
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

    /// Reads the key at this place of the table's description.
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

    /// Reports all missing keys at once; each missing table gets a report of its own. A key with a
    /// spelling error is reported as unknown and not also as missing.
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
        let tables = self.reader.root.map_or_else(Vec::new, TableDoc::tree);
        let hint = suggest(self.doc, name, &tables);
        let source = self.reader.source();
        let found = source.diagnose(Severity::Error, &key.span(), what, hint);
        let secret = ["key", "secret", "psk", "pass"].iter().any(|s| folded(name).contains(s));
        self.reader.add(if secret { found.without_value() } else { found });
    }
}

/// Reads the table that is the value of a key.
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

/// Reads a table's keys, then reports missing and unknown ones.
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

/// The hint for a name that the table `doc` does not have. `tables` are all tables of the file: the
/// name may belong to another one.
fn suggest(doc: &TableDoc, name: &str, tables: &[&TableDoc]) -> String {
    let own = || doc.names();
    let same = |key: &&str| folded(key) == folded(name);
    if let Some(key) = own().find(same) {
        return format!("Azure's names are written in snake_case here: `{key}`");
    }
    if let Some(note) = foreign::note(name) {
        return note.to_owned();
    }
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
    format!("{} has: {}", doc.title(), own().collect::<Vec<_>>().join(", "))
}

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
            const DOC: $crate::config::doc::TableDoc = $crate::config::doc::TableDoc {
                path: $path,
                form: $crate::config::table::table!(@form $($form)?),
                doc: concat!($($doc, "\n"),*),
                keys: &[$($crate::config::doc::KeyDoc {
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
            const KIND: $crate::config::doc::ValueKind =
                $crate::config::doc::ValueKind::Table(
                    &<$name as $crate::config::table::ConfigTable>::DOC,
                );

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
    (@form) => { $crate::config::doc::TableForm::Single };
    (@form repeated) => { $crate::config::doc::TableForm::Repeated };
    (@form whole) => { $crate::config::doc::TableForm::Whole };
    (@presence required) => { $crate::config::doc::Presence::Required };
    (@presence optional) => { $crate::config::doc::Presence::Optional };
    (@presence default $default:literal) => { $crate::config::doc::Presence::Default($default) };
}

pub(super) use table;
