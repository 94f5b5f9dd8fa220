//! Reads typed values out of a TOML tree, saying all that is wrong with it instead of the first thing.
//!
//! serde's derived readers stop at the first error, and know no neighbours to suggest for a misspelt key. So the `toml`
//! crate parses (with its error recovery and the place of every key and value), and the tree is walked here: each type
//! of value knows how to read itself ([`Value`]), tables are declared once ([`super::table`]), and a reader collects
//! what they find. serde remains for what goes out: reports as JSON.

use serde::Serialize;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Severity, Source, Span};
use super::table::{KeyDoc, TableDoc};

/// A type that reads itself from a value of the file.
pub trait Value: Sized {
    /// What such a value looks like, for messages and the manual page.
    const KIND: Kind;

    /// Reads it; reports and gives `None` when it is not one.
    fn read(entry: Entry<'_, '_>, reader: &mut Reader<'_>) -> Option<Self>;
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Kind {
    /// A string, and what is in it: "an IP address".
    Text(&'static str),
    /// `true` or `false`.
    Boolean,
    /// A whole number of this range.
    Whole(u64, u64),
    /// One of these strings.
    Choice(&'static [Choice]),
    /// A list of these.
    List(&'static Kind),
    /// A table.
    Table(&'static TableDoc),
    /// The string `"auto"`, `"Default"`, ..., or the other.
    Or(&'static str, &'static Kind),
}

/// One value of a choice.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Choice {
    /// As it is written in the file.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A value with the key it was given for.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a, 't> {
    /// The key.
    pub key: &'static KeyDoc,
    /// The value.
    pub value: &'a Spanned<DeValue<'t>>,
}

/// What became of a key: the checks that look at several keys go on with what there is.
#[derive(Clone, Debug, Default)]
pub enum Field<T> {
    /// Not in the file, and without a default.
    #[default]
    Absent,
    /// In the file but wrong, which has been reported.
    Bad,
    /// Read, or its default; then the place is that of the table it is missing in.
    Given(Spanned<T>),
}

/// A list, of which wrong items have been reported and left out.
#[derive(Clone, Debug)]
pub struct List<T> {
    items: Vec<Spanned<T>>,
    written: usize,
}

/// Walks one file and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader<'s> {
    source: Source<'s>,
    found: Vec<Diagnostic>,
    /// Where a default stands: at the table it is a default of.
    default_of: Option<Span>,
    /// After a syntax error tables and keys are not where their author put them: what is missing or unknown says nothing.
    pub(super) misplaced: bool,
}

impl<'s> Reader<'s> {
    /// A reader of this file.
    pub fn new(source: Source<'s>) -> Reader<'s> {
        Reader { source, found: Vec::new(), default_of: None, misplaced: false }
    }

    /// The file.
    pub fn source(&self) -> Source<'s> {
        self.source
    }

    /// Reports an error.
    pub fn error(&mut self, span: &Span, what: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Error, span, what, hint);
    }

    /// Reports a warning.
    pub fn warning(&mut self, span: &Span, what: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Warning, span, what, hint);
    }

    /// Reports a finding that was made elsewhere.
    pub fn add(&mut self, found: Diagnostic) {
        self.found.push(found);
    }

    /// Whether an error was reported.
    pub fn failed(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// All that was found, in the order of the file.
    pub fn into_found(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by_key(|d| (d.line, d.column));
        found.dedup();
        found
    }

    /// Reads what stands for a key.
    pub fn read<T: Value>(&mut self, entry: Entry<'_, '_>) -> Field<T> {
        match T::read(entry, self) {
            Some(value) => Field::Given(Spanned::new(self.place(entry.value.span()), value)),
            None => Field::Bad,
        }
    }

    /// Reads the default of a key that the table at `table` does not have, as though it stood in the file.
    pub fn read_default<T: Value>(
        &mut self,
        key: &'static KeyDoc,
        toml: &str,
        table: Span,
    ) -> Field<T> {
        let value = DeValue::parse(toml).expect("a default is TOML: tests read every one");
        let outer = self.default_of.replace(table);
        let field = self.read(Entry { key, value: &value });
        self.default_of = outer;
        field
    }

    /// Where a value of the tree stands in the file.
    pub fn place(&self, span: Span) -> Span {
        self.default_of.clone().unwrap_or(span)
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type(&mut self, entry: Entry<'_, '_>, kind: &Kind) {
        let found = entry.value.get_ref();
        if self.misplaced && found.is_table() {
            return;
        }
        let what = format!("`{}` is {}, expected {kind}", entry.key.name, article(found));
        self.error(&entry.value.span(), what, self.retyped(entry, kind));
    }

    /// The hint for a value of the wrong type: the value as it should have been written, where that is clear.
    fn retyped(&self, entry: Entry<'_, '_>, kind: &Kind) -> String {
        let written = self.source.slice(&entry.value.span());
        match (kind, entry.value.get_ref()) {
            (Kind::List(_), DeValue::String(_)) => format!("put it in brackets: [{written}]"),
            (Kind::List(Kind::Table(table)), DeValue::Table(_)) => {
                format!("write [[{}]], with two brackets on each side", table.path)
            }
            (Kind::Table(table), DeValue::Array(_)) => {
                format!(
                    "there is one such table: write [{}], with one bracket on each side",
                    table.path
                )
            }
            (Kind::Text(_) | Kind::Choice(_), DeValue::Array(items)) if items.len() == 1 => {
                format!("take the brackets away: {}", written.trim_matches(['[', ']']).trim())
            }
            (Kind::Text(_), DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_)) => {
                format!("put it in quotes: \"{written}\"")
            }
            (Kind::Whole(..) | Kind::Boolean, DeValue::String(text)) if plain(text) => {
                format!("take the quotes away: {text}")
            }
            (Kind::Or(_, kind), DeValue::String(_)) if !matches!(kind, Kind::Or(..)) => {
                self.retyped(entry, kind)
            }
            _ => entry.key.value_hint(),
        }
    }

    fn say(
        &mut self,
        severity: Severity,
        span: &Span,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let span = self.place(span.clone());
        self.found.push(self.source.diagnose(severity, &span, what, hint));
    }
}

impl<'a, 't> Entry<'a, 't> {
    /// The string there, or a report of what is there instead of `kind`.
    pub fn text(self, kind: &Kind, reader: &mut Reader<'_>) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            reader.wrong_type(self, kind);
        }
        text
    }

    /// Reports that the value is not what its key needs.
    pub fn refuse(self, reader: &mut Reader<'_>, what: impl Into<String>, hint: impl Into<String>) {
        reader.error(&self.value.span(), what, hint);
    }
}

impl<T> Field<T> {
    /// The value, if there is a good one.
    pub fn value(&self) -> Option<&T> {
        self.spanned().map(Spanned::get_ref)
    }

    /// The value and its place, if there is a good one.
    pub fn spanned(&self) -> Option<&Spanned<T>> {
        match self {
            Field::Given(value) => Some(value),
            Field::Absent | Field::Bad => None,
        }
    }

    /// Whether the file has the key, right or wrong.
    pub fn present(&self) -> bool {
        !matches!(self, Field::Absent)
    }
}

impl<T> Field<List<T>> {
    /// The good items of a list.
    pub fn items(&self) -> &[Spanned<T>] {
        self.value().map_or(&[], |list| list.items.as_slice())
    }
}

impl<T> List<T> {
    /// Whether nothing was written in it, right or wrong.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }
}

impl<T: Value> Value for List<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn read(entry: Entry<'_, '_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut items = Vec::new();
        let Some(values) = entry.value.get_ref().as_array() else {
            reader.wrong_type(entry, &Self::KIND);
            // A lone table is read on, so that what is wrong inside it is said too.
            if let (Kind::Table(_), DeValue::Table(_)) = (T::KIND, entry.value.get_ref()) {
                let _: Field<T> = reader.read(entry);
            }
            return None;
        };
        for value in values {
            if let Field::Given(item) = reader.read(Entry { key: entry.key, value }) {
                items.push(item);
            }
        }
        Some(List { items, written: values.len() })
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;

    fn read(entry: Entry<'_, '_>, reader: &mut Reader<'_>) -> Option<bool> {
        let value = entry.value.get_ref().as_bool();
        if value.is_none() {
            reader.wrong_type(entry, &Self::KIND);
        }
        value
    }
}

/// Whether a string would mean the same number or boolean without its quotes.
fn plain(text: &str) -> bool {
    matches!(text, "true" | "false")
        || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
