//! Reads typed values out of a TOML tree, saying all that is wrong with it instead of the first
//! thing.
//!
//! serde's derived readers stop at the first error, and know no neighbours to suggest for a
//! misspelt key. So the `toml` crate parses (with its error recovery and the place of every key and
//! value), and the tree is walked here: each type of value knows how to read itself
//! ([`ConfigValue`]), tables are declared once ([`super::table`]), and a reader collects what they
//! find. serde remains for what goes out: reports as JSON.

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Severity, SourceText, TextSpan};
use super::doc::{KeyDoc, TableDoc, ValueKind};

/// A type that reads itself from a value of the file.
pub trait ConfigValue: Sized {
    /// What such a value looks like, for messages and the manual page.
    const KIND: ValueKind;

    /// Reads it; reports and gives `None` when it is not one.
    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self>;
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
pub enum ReadKey<T> {
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
pub struct ConfigReader<'s> {
    source: SourceText<'s>,
    found: Vec<Diagnostic>,
    /// Where a default stands: at the table it is a default of.
    default_of: Option<TextSpan>,
    /// After a syntax error tables and keys are not where their author put them: what is missing or
    /// unknown says nothing.
    pub(super) misplaced: bool,
    /// The file's own table. An unknown key is looked for in it and in all tables below it, to say
    /// where the key belongs.
    pub(super) root: Option<&'static TableDoc>,
}

impl<'s> ConfigReader<'s> {
    /// A reader of this file.
    pub fn new(source: SourceText<'s>) -> ConfigReader<'s> {
        ConfigReader { source, found: Vec::new(), default_of: None, misplaced: false, root: None }
    }

    /// The file.
    pub fn source(&self) -> SourceText<'s> {
        self.source
    }

    /// Reports an error.
    pub fn error(&mut self, span: &TextSpan, what: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Error, span, what, hint);
    }

    /// Reports a warning.
    pub fn warning(&mut self, span: &TextSpan, what: impl Into<String>, hint: impl Into<String>) {
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
    pub fn read<T: ConfigValue>(&mut self, entry: Entry<'_, '_>) -> ReadKey<T> {
        match T::read(entry, self) {
            Some(value) => ReadKey::Given(Spanned::new(self.place(entry.value.span()), value)),
            None => ReadKey::Bad,
        }
    }

    /// Reads the default of a key that the table at `table` does not have, as though it stood in
    /// the file.
    pub fn read_default<T: ConfigValue>(
        &mut self,
        key: &'static KeyDoc,
        toml: &str,
        table: TextSpan,
    ) -> ReadKey<T> {
        let value = DeValue::parse(toml).expect("a default is TOML: tests read every one");
        let outer = self.default_of.replace(table);
        let field = self.read(Entry { key, value: &value });
        self.default_of = outer;
        field
    }

    /// Where a value of the tree stands in the file.
    pub fn place(&self, span: TextSpan) -> TextSpan {
        self.default_of.clone().unwrap_or(span)
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type(&mut self, entry: Entry<'_, '_>, kind: &ValueKind) {
        let found = entry.value.get_ref();
        if self.misplaced && found.is_table() {
            return;
        }
        let what = format!("`{}` is {}, expected {kind}", entry.key.name, article(found));
        self.error(&entry.value.span(), what, self.retyped(entry, kind));
    }

    /// The hint for a value of the wrong type: the value as it should have been written, where that
    /// is clear.
    fn retyped(&self, entry: Entry<'_, '_>, kind: &ValueKind) -> String {
        let written = self.source.slice(&entry.value.span());
        match (kind, entry.value.get_ref()) {
            (ValueKind::List(_), DeValue::String(_)) => format!("put it in brackets: [{written}]"),
            (ValueKind::List(ValueKind::Table(table)), DeValue::Table(_)) => {
                format!("write [[{}]], with two brackets on each side", table.path)
            }
            (ValueKind::Table(table), DeValue::Array(_)) => {
                format!(
                    "there is one such table: write [{}], with one bracket on each side",
                    table.path
                )
            }
            (ValueKind::Text(_) | ValueKind::Choice(_), DeValue::Array(items))
                if items.len() == 1 =>
            {
                format!("take the brackets away: {}", written.trim_matches(['[', ']']).trim())
            }
            (
                ValueKind::Text(_),
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_),
            ) => {
                format!("put it in quotes: \"{written}\"")
            }
            (ValueKind::Whole(..) | ValueKind::Boolean, DeValue::String(text)) if plain(text) => {
                format!("take the quotes away: {text}")
            }
            (ValueKind::Or(_, kind), DeValue::String(_)) if !matches!(kind, ValueKind::Or(..)) => {
                self.retyped(entry, kind)
            }
            _ => entry.key.value_hint(),
        }
    }

    fn say(
        &mut self,
        severity: Severity,
        span: &TextSpan,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let span = self.place(span.clone());
        self.found.push(self.source.diagnose(severity, &span, what, hint));
    }
}

impl<'a, 't> Entry<'a, 't> {
    /// The string there, or a report of what is there instead of `kind`.
    pub fn text(self, kind: &ValueKind, reader: &mut ConfigReader<'_>) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            reader.wrong_type(self, kind);
        }
        text
    }

    /// Reports that the value is not what its key needs.
    pub fn refuse(
        self,
        reader: &mut ConfigReader<'_>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        reader.error(&self.value.span(), what, hint);
    }
}

impl<T> ReadKey<T> {
    /// The value, if there is a good one.
    pub fn value(&self) -> Option<&T> {
        self.spanned().map(Spanned::get_ref)
    }

    /// The value and its place, if there is a good one.
    pub fn spanned(&self) -> Option<&Spanned<T>> {
        match self {
            ReadKey::Given(value) => Some(value),
            ReadKey::Absent | ReadKey::Bad => None,
        }
    }

    /// Whether the file has the key, right or wrong.
    pub fn present(&self) -> bool {
        !matches!(self, ReadKey::Absent)
    }
}

impl<T> ReadKey<List<T>> {
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

impl<T: ConfigValue> ConfigValue for List<T> {
    const KIND: ValueKind = ValueKind::List(&T::KIND);

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self> {
        let mut items = Vec::new();
        let Some(values) = entry.value.get_ref().as_array() else {
            reader.wrong_type(entry, &Self::KIND);
            // A lone table is read on, so that what is wrong inside it is said too.
            if let (ValueKind::Table(_), DeValue::Table(_)) = (T::KIND, entry.value.get_ref()) {
                let _: ReadKey<T> = reader.read(entry);
            }
            return None;
        };
        for value in values {
            if let ReadKey::Given(item) = reader.read(Entry { key: entry.key, value }) {
                items.push(item);
            }
        }
        Some(List { items, written: values.len() })
    }
}

impl ConfigValue for bool {
    const KIND: ValueKind = ValueKind::Boolean;

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<bool> {
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
