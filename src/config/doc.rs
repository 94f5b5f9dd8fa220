//! Descriptions of the file's tables, keys and values, for messages, hints and the manual page
//! s2sd.toml(5). `super::table` makes the descriptions from declarations, `super::reader` reads
//! by them.

use std::fmt;

use serde::Serialize;

/// The description of a table of the file.
#[derive(Debug, Serialize)]
pub struct TableDoc {
    /// The table's path, such as `connection.tunnel`; empty for the file itself.
    pub path: &'static str,
    /// How often the table may be given, and how completely.
    pub form: TableForm,
    /// What the table is for.
    pub doc: &'static str,
    /// The table's keys, in the order in which they are best written.
    pub keys: &'static [KeyDoc],
}

/// How often a table may be given, and how completely.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum TableForm {
    /// At most once.
    Single,
    /// Any number of times, as `[[connection]]`.
    Repeated,
    /// At most once, and with every required key: Azure refuses a part.
    Whole,
}

/// The description of a key.
#[derive(Debug, Serialize)]
pub struct KeyDoc {
    /// The key's name.
    pub name: &'static str,
    /// Whether the key must be given.
    pub presence: Presence,
    /// What the key's value looks like.
    pub kind: ValueKind,
    /// What the key means.
    pub doc: &'static str,
}

/// Whether a key must be given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Presence {
    /// The key must be given.
    Required,
    /// The key may be left out.
    Optional,
    /// The key may be left out, and this TOML value is then its value.
    Default(&'static str),
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum ValueKind {
    /// A string of the form that the text names, such as "an IP address".
    Text(&'static str),
    /// `true` or `false`.
    Boolean,
    /// A whole number between these two.
    Whole(u64, u64),
    /// One of these strings.
    Choice(&'static [ChoiceValue]),
    /// A list of such values.
    List(&'static ValueKind),
    /// A table of this description.
    Table(&'static TableDoc),
    /// One word, such as `"auto"` or `"Default"`, or the other kind of value.
    Or(&'static str, &'static ValueKind),
}

/// One value of a choice.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChoiceValue {
    /// The word as the file has it.
    pub name: &'static str,
    /// What the word means.
    pub doc: &'static str,
}

impl TableDoc {
    /// The table's header as the file has it.
    pub fn title(&self) -> String {
        match (self.path, self.form) {
            ("", _) => "the file".to_owned(),
            (path, TableForm::Repeated) => format!("[[{path}]]"),
            (path, TableForm::Single | TableForm::Whole) => format!("[{path}]"),
        }
    }

    /// The table and all tables below it.
    pub fn tree(&'static self) -> Vec<&'static TableDoc> {
        let below = self.keys.iter().filter_map(|key| key.kind.table());
        std::iter::once(self).chain(below.flat_map(TableDoc::tree)).collect()
    }

    /// The names of the table's keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

impl KeyDoc {
    /// The hint for a table that lacks the key.
    pub fn add_hint(&self) -> String {
        format!("add {}: {}", self.example(), self.gist())
    }

    /// The hint for a wrong value.
    pub fn value_hint(&self) -> String {
        let (kind, gist) = (self.kind, self.gist());
        match self.presence {
            Presence::Default(toml) if !toml.starts_with(['{', '[']) => {
                format!("write {kind}, or leave it out for {toml} ({gist})")
            }
            _ => format!("write {kind} ({gist})"),
        }
    }

    /// The first sentence of the key's description, in a form that continues a sentence.
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
    /// The table that such a value is, may be or lists.
    pub fn table(&self) -> Option<&'static TableDoc> {
        match self {
            ValueKind::Table(table) => Some(table),
            ValueKind::List(kind) | ValueKind::Or(_, kind) => kind.table(),
            _ => None,
        }
    }

    /// The words that such a value may be.
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

/// A range with this end is told as one without an end.
const UNBOUNDED: u64 = u32::MAX as u64;
