//! Reads typed values out of a TOML tree and reports everything that is wrong, not only the first
//! error.
//!
//! serde's derived readers stop at the first error, and know no neighbours to suggest for a
//! misspelt key. So the `toml` crate parses, with error recovery and the place of every key and
//! value, and the tree is walked here: each type of value reads itself ([`ConfigValue`]), tables
//! are declared once ([`super::table`]), and a [`ConfigReader`] collects the findings. serde writes
//! the reports as JSON.

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Severity, SourceText, TextSpan};
use super::doc::{KeyDoc, TableDoc, ValueKind};

/// A type of value that reads itself from the file.
pub trait ConfigValue: Sized {
    /// What such a value looks like, for messages and the manual page.
    const KIND: ValueKind;

    /// Reads a value; reports a value of another form and gives `None`.
    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Self>;
}

/// A value of the file with the key that it was given for.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a, 't> {
    /// The description of the key.
    pub key: &'static KeyDoc,
    /// The value in the TOML tree.
    pub value: &'a Spanned<DeValue<'t>>,
}

/// A key after reading. The rules that look at several keys skip those without a value.
#[derive(Clone, Debug, Default)]
pub enum ReadKey<T> {
    /// The key is not in the file and has no default.
    #[default]
    Absent,
    /// The key is in the file with a wrong value, which was reported.
    Bad,
    /// The value in the file, or the default; the place of a default is that of the table that
    /// lacks the key.
    Given(Spanned<T>),
}

/// A list. Wrong items were reported and left out.
#[derive(Clone, Debug)]
pub struct List<T> {
    items: Vec<Spanned<T>>,
    written: usize,
}

/// Walks one file and collects what is wrong with the file.
#[derive(Debug)]
pub struct ConfigReader<'s> {
    source: SourceText<'s>,
    found: Vec<Diagnostic>,
    /// While a default is read: the place of the table that lacks the key.
    default_of: Option<TextSpan>,
    /// Whether a syntax error may have moved keys into wrong tables: missing and unknown keys are
    /// then not reported.
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

    /// The file that is read.
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

    /// All findings, in the order of the file.
    pub fn into_found(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by_key(|d| (d.line, d.column));
        found.dedup();
        found
    }

    /// Reads the value of a key.
    pub fn read<T: ConfigValue>(&mut self, entry: Entry<'_, '_>) -> ReadKey<T> {
        match T::read(entry, self) {
            Some(value) => ReadKey::Given(Spanned::new(self.place(entry.value.span()), value)),
            None => ReadKey::Bad,
        }
    }

    /// Reads the default of a key that the table at `table` lacks, as if the default stood in the
    /// file.
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

    /// The place in the file of a value of the tree.
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

    /// The hint for a value of the wrong type: if possible, the value as it should be written.
    fn retyped(&self, entry: Entry<'_, '_>, kind: &ValueKind) -> String {
        let written = self.source.slice(&entry.value.span());
        match (kind, entry.value.get_ref()) {
            (ValueKind::List(_), DeValue::String(text)) if text.contains([',', ' ']) => {
                let items = text.split([',', ' ']).filter(|item| !item.is_empty());
                let quoted: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
                format!("write each item in quotes of its own: [{}]", quoted.join(", "))
            }
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
            (ValueKind::Whole(..), DeValue::String(text)) if duration(text).is_some() => {
                let seconds = duration(text).unwrap_or_default();
                format!("write the number of seconds alone, without quotes: {seconds}")
            }
            (ValueKind::Whole(..), DeValue::String(text))
                if plain(&text.replace([',', '_'], "")) =>
            {
                let number = text.replace([',', '_'], "");
                format!("write the number without quotes and commas: {number}")
            }
            (ValueKind::Boolean, DeValue::String(text)) if truth(text).is_some() => {
                format!("write {}", truth(text).unwrap_or_default())
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
    /// The value as a string; reports a value of another type than `kind`.
    pub fn text(self, kind: &ValueKind, reader: &mut ConfigReader<'_>) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            reader.wrong_type(self, kind);
        }
        text
    }

    /// Reports that the value is wrong for the key.
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
    /// The value, if it was read or has a default.
    pub fn value(&self) -> Option<&T> {
        self.spanned().map(Spanned::get_ref)
    }

    /// The value and its place, if it was read or has a default.
    pub fn spanned(&self) -> Option<&Spanned<T>> {
        match self {
            ReadKey::Given(value) => Some(value),
            ReadKey::Absent | ReadKey::Bad => None,
        }
    }

    /// Whether the file has the key, with a right or a wrong value.
    pub fn present(&self) -> bool {
        !matches!(self, ReadKey::Absent)
    }
}

impl<T> ReadKey<List<T>> {
    /// The items of a list that were read.
    pub fn items(&self) -> &[Spanned<T>] {
        self.value().map_or(&[], |list| list.items.as_slice())
    }
}

impl<T> List<T> {
    /// Whether the file has no item in the list, neither right nor wrong.
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
            // The keys of a lone table are read too, to report what is wrong inside.
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

/// The seconds of a duration such as `45s` or `8h`, as other programs write them.
pub fn duration(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)
}

/// What a word means where `true` or `false` is expected.
fn truth(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "enabled" | "1" => Some("true"),
        "false" | "no" | "off" | "disabled" | "0" => Some("false"),
        _ => None,
    }
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
