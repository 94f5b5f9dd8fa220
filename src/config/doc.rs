//! What tables, keys and values of the file are called and look like: for messages, hints and the
//! manual page s2sd.toml(5). [`super::table`] makes these descriptions, [`super::reader`] reads by
//! them.

use std::fmt;

use serde::Serialize;

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

/// What a value looks like.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum ValueKind {
    /// A string, and what is in it: "an IP address".
    Text(&'static str),
    /// `true` or `false`.
    Boolean,
    /// A whole number of this range.
    Whole(u64, u64),
    /// One of these strings.
    Choice(&'static [ChoiceValue]),
    /// A list of these.
    List(&'static ValueKind),
    /// A table.
    Table(&'static TableDoc),
    /// The string `"auto"`, `"Default"`, ..., or the other.
    Or(&'static str, &'static ValueKind),
}

/// One value of a choice.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChoiceValue {
    /// As it is written in the file.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
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

    /// The key as a sentence names it: a table with its brackets.
    pub(super) fn example(&self) -> String {
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
