//! Diagnostics: what is wrong with a configuration file, where, and how to mend it.
//!
//! The first line has the form of a compiler's, so that editors jump to the place. The excerpt
//! shows the line as it stands in the file. Every diagnostic has a hint.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

/// A place in a file's text, in bytes.
pub type TextSpan = Range<usize>;

/// Whether a finding keeps the file from being used.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file, or the connection, cannot be used.
    Error,
    /// The file can be used, but does something that an operator should know.
    Warning,
}

/// One finding about a configuration file.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Whether the finding keeps the file from being used.
    pub severity: Severity,
    /// The configuration file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub hint: String,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// A file's name and text, to turn spans into lines and columns.
#[derive(Clone, Copy, Debug)]
pub struct SourceText<'a> {
    name: &'a str,
    text: &'a str,
}

/// The line that a finding is on, and the part of the line that is meant.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Excerpt {
    text: String,
    /// The blanks under the line before the carets, with tabs where the line has tabs.
    indent: String,
    carets: usize,
}

/// The widest excerpt in characters: a pasted certificate must not fill the screen.
const WIDEST: usize = 100;

impl<'a> SourceText<'a> {
    /// The text of the file that is called `name`.
    pub fn new(name: &'a str, text: &'a str) -> SourceText<'a> {
        SourceText { name, text }
    }

    /// The text of a span; empty when the span is not within the file.
    pub fn slice(&self, span: &TextSpan) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The text before and after a place.
    pub fn around(&self, span: &TextSpan) -> (&'a str, &'a str) {
        self.text.split_at_checked(span.start).unwrap_or((self.text, ""))
    }

    /// The line number of a place, counted from 1.
    pub fn line(&self, span: &TextSpan) -> usize {
        1 + self.before(span).matches('\n').count()
    }

    /// The text of the line that a place is on.
    pub fn line_text(&self, span: &TextSpan) -> &'a str {
        let start = self.line_start(span);
        let rest = self.text.get(start..).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    /// A finding at a place.
    pub fn diagnose(
        &self,
        severity: Severity,
        span: &TextSpan,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        let before = self.before(span).get(self.line_start(span)..).unwrap_or_default();
        Diagnostic {
            severity,
            file: self.name.to_owned(),
            line: self.line(span),
            column: 1 + before.chars().count(),
            what: what.into(),
            hint: hint.into(),
            excerpt: Excerpt::new(self.line_text(span), before, self.slice(span)),
        }
    }

    /// The text up to a place. The end of a file counts as the end of its last line, so that a
    /// finding there has a line to show.
    fn before(&self, span: &TextSpan) -> &'a str {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or(self.text);
        if start == self.text.len() { before.trim_end_matches(['\n', '\r']) } else { before }
    }

    fn line_start(&self, span: &TextSpan) -> usize {
        self.before(span).rfind('\n').map_or(0, |at| at + 1)
    }
}

impl Excerpt {
    fn new(line: &str, before: &str, meant: &str) -> Excerpt {
        let meant = meant.split('\n').next().unwrap_or_default().trim_end();
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let (column, length) = (before.chars().count(), meant.chars().count());
        let skipped = if column + length > WIDEST { column.saturating_sub(WIDEST / 4) } else { 0 };
        let shown: String = line.chars().skip(skipped).take(WIDEST).collect();
        let lead = if skipped > 0 { "…" } else { "" };
        let tail = if line.chars().count() > skipped + WIDEST { "…" } else { "" };
        let indent: String = before.chars().skip(skipped).map(blank).collect();
        Excerpt {
            text: format!("{lead}{shown}{tail}"),
            carets: length.min(WIDEST + skipped - column).max(1),
            indent: if skipped > 0 { format!(" {indent}") } else { indent },
        }
    }
}

impl Diagnostic {
    /// The finding in one line without the excerpt, for a log.
    pub fn in_a_line(&self) -> String {
        let Diagnostic { file, line, column, what, hint, .. } = self;
        format!("{file}:{line}:{column}: {what}; {hint}")
    }

    /// The finding without the rest of its line after the marked part: the value there may be a
    /// secret.
    pub fn without_value(mut self) -> Diagnostic {
        let shown = self.excerpt.indent.chars().count() + self.excerpt.carets;
        self.excerpt.text = self.excerpt.text.chars().take(shown).chain(" …".chars()).collect();
        self
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { severity, file, line, column, what, hint, excerpt } = self;
        let margin = line.to_string().len();
        writeln!(f, "{file}:{line}:{column}: {severity}: {what}")?;
        writeln!(f, " {line} | {}", excerpt.text)?;
        writeln!(f, " {:margin$} | {}{}", "", excerpt.indent, "^".repeat(excerpt.carets))?;
        writeln!(f, " {:margin$} = hint: {hint}", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: TextSpan) -> String {
        SourceText::new("f", text).diagnose(Severity::Error, &span, "what", "hint").to_string()
    }

    #[test]
    fn carets_stand_under_what_is_meant() {
        assert_eq!(
            shown("a\nbc = 5\n", 7..8),
            "f:2:6: error: what\n 2 | bc = 5\n   |      ^\n   = hint: hint\n"
        );
        assert_eq!(
            shown("\tä = 'x'\n", 6..9),
            "f:1:6: error: what\n 1 | \tä = 'x'\n   | \t    ^^^\n   = hint: hint\n"
        );
    }

    #[test]
    fn the_end_of_a_file_is_its_last_line() {
        assert_eq!(
            shown("a = [1\n\n", 8..8),
            "f:1:7: error: what\n 1 | a = [1\n   |       ^\n   = hint: hint\n"
        );
        assert_eq!(shown("", 0..0), "f:1:1: error: what\n 1 | \n   | ^\n   = hint: hint\n");
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_meant() {
        let text = format!("{} = 5 # {}", "k".repeat(300), "c".repeat(300));
        let shown = shown(&text, 303..304);
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[1].chars().nth(caret), Some('5'));
        assert!(lines[1].chars().count() < WIDEST + 10 && !lines[1].contains("k…"));
        assert!(shown.starts_with("f:1:304:"));
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let found = SourceText::new("f", "shared_key = \"hunter2\"\n").diagnose(
            Severity::Error,
            &(0..10),
            "what",
            "hint",
        );
        assert!(!found.without_value().to_string().contains("hunter2"));
    }
}
