//! From text to the [`File`]. TOML's own errors become diagnostics that name the remedy.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Severity, SourceText, TextSpan};
use super::doc::TableDoc;
use super::other_format;
use super::reader::{ConfigReader, duration};
use super::schema::File;
use super::table::{ConfigTable, read_keys_of};

/// Reads the file's text. All errors go to `reader`.
pub fn read(reader: &mut ConfigReader<'_>, text: &str) -> File {
    const FILE: &TableDoc = &File::DOC;
    let source = reader.source();
    if let Some(other) = other_format::recognise(text) {
        let start = text.split_inclusive('\n').take(other.line).map(str::len).sum();
        let line = source.line_text(&(start..start));
        let word = line.split_whitespace().next().unwrap_or_default();
        let end = start + line.find(word).unwrap_or_default() + word.len();
        let found = source.diagnose(Severity::Error, &(start..end), other.what, other.hint);
        // The rest of the line may be a shared key.
        reader.add(if line.trim() == word { found } else { found.without_value() });
        reader.misplaced = true;
        let mut unseen = ConfigReader::new(source);
        unseen.misplaced = true;
        return read_keys_of(FILE, &DeTable::new(), 0..0, &mut unseen);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut wrong: Vec<(TextSpan, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or_default(), error.message())).collect();
    let unclosed = unclosed_lists(&tree, &wrong);
    wrong.retain(|(span, message)| {
        message.starts_with("unclosed array,")
            || !unclosed.iter().any(|list| list.start <= span.start && span.start <= list.end)
    });
    keep_first_of_line(source, &mut wrong);
    for (span, message) in &wrong {
        let SyntaxRemedy { span, what, hint } = remedy(source, span, message, &unclosed);
        reader.add(source.diagnose(Severity::Error, &span, what, hint));
    }
    reader.misplaced = wrong.iter().any(|(span, message)| misplaces(source, span, message));
    let mut values = ConfigReader::new(source);
    values.misplaced = reader.misplaced;
    values.root = Some(FILE);
    // The top of the file holds tables only, so what is missing there is reported at the first
    // line.
    let file = read_keys_of(FILE, tree.get_ref(), 0..0, &mut values);
    let lines: Vec<usize> = wrong.iter().map(|(span, _)| source.line(span)).collect();
    for found in values.into_found() {
        // A line with a syntax error is not reported again for what the parser made of its value.
        if !lines.contains(&found.line)
            && !unclosed.iter().any(|list| within(source, list, found.line))
        {
            reader.add(found);
        }
    }
    file
}

/// Keeps the first error of each line, because one slip often makes several; every unquoted value
/// is a slip of its own and is kept.
fn keep_first_of_line(source: SourceText<'_>, wrong: &mut Vec<(TextSpan, &str)>) {
    let mut lines: Vec<usize> = Vec::new();
    wrong.retain(|(span, message)| {
        let line = source.line(span);
        let first = !lines.contains(&line);
        lines.push(line);
        first || message.starts_with("string values must be quoted")
    });
}

/// Whether keys after a syntax error may be counted to the wrong table. An error inside a value
/// does not cause that.
fn misplaces(source: SourceText<'_>, span: &TextSpan, message: &str) -> bool {
    let line = source.line_text(span).trim();
    match message.split(',').next().unwrap_or_default() {
        "duplicate key" => line.starts_with("[[") || line == "[connection]",
        "string values must be quoted"
        | "invalid basic string"
        | "invalid literal string"
        | "invalid float"
        | "invalid integer"
        | "missing comma between array elements"
        | "missing escaped value"
        | "unexpected leading zero" => false,
        _ => true,
    }
}

/// A syntax error as the operator sees it.
struct SyntaxRemedy {
    span: TextSpan,
    what: String,
    hint: String,
}

fn remedy(
    source: SourceText<'_>,
    span: &TextSpan,
    message: &str,
    unclosed: &[TextSpan],
) -> SyntaxRemedy {
    let line = source.line_text(span).trim();
    let say = |what: &str, hint: &str| SyntaxRemedy::new(span.clone(), what, hint);
    match message.split(',').next().unwrap_or_default() {
        "duplicate key" => duplicate(source, span),
        "string values must be quoted" if source.slice(span).is_empty() => {
            say("there is no value", "write one after the `=`, or take the key out")
        }
        "string values must be quoted" => quoting(span, source.slice(span)),
        "invalid float" | "invalid integer" | "invalid boolean" => {
            let token = token(source, span);
            quoting(&token, source.slice(&token))
        }
        "unexpected key or value" if digit_groups(source, span).is_some() => {
            let number = digit_groups(source, span).unwrap_or_default();
            let (what, plain) = (format!("{number} has commas in it"), number.replace(',', ""));
            SyntaxRemedy::new(span.clone(), what, format!("write {plain}"))
        }
        "unexpected key or value" if begins_comment(source, span) => {
            say("a comment begins with `#`", "write # before the comment")
        }
        "key with no value" if line.starts_with([';', '/']) => say(
            "a comment begins with `#`",
            &format!("write # {}", line.trim_start_matches([';', '/', ' '])),
        ),
        "unexpected leading zero" => {
            let token = token(source, span);
            let number = source.slice(&token);
            let hint = format!("write {}", number.trim_start_matches('0'));
            SyntaxRemedy::new(token, format!("{number} begins with a zero"), hint)
        }
        "invalid basic string" => say("the string is not closed", "add a closing \" at its end"),
        "invalid literal string" => say("the string is not closed", "add a closing ' at its end"),
        "missing escaped value" => say(
            "a backslash in double quotes begins an escape, and this one is unknown",
            "write \\\\ for a backslash, or put the string into single quotes",
        ),
        "unclosed array" => {
            let list = unclosed.iter().find(|list| list.end == span.start);
            let opened = list.map_or(span.start, |list| list.start);
            SyntaxRemedy::new(opened..opened + 1, "the list is not closed", "add a ] at its end")
        }
        "missing comma between array elements" => {
            say("a comma is missing in the list", "separate its items with commas")
        }
        "unclosed table" => say("the table's header is not closed", &format!("write {line}]")),
        "unclosed array of tables" => {
            let hint = format!("write {}]]", line.trim_end_matches(']'));
            say("the table's header is not closed", &hint)
        }
        "key with no value" => {
            let (key, value) = line.split_once([':', ' ']).unwrap_or((line, "VALUE"));
            let what = format!("`{key}` has no `=` and value");
            say(&what, &format!("write {key} = {}", value.trim()))
        }
        _ => say(
            message,
            "TOML has `key = value` lines, strings in double quotes, lists in brackets",
        ),
    }
}

/// A number that was written with commas between its thousands, when the place is its first comma.
fn digit_groups(source: SourceText<'_>, span: &TextSpan) -> Option<String> {
    let (before, after) = source.around(span);
    let head = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let tail: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    let groups: Vec<&str> = tail.strip_prefix(',')?.split(',').collect();
    let grouped = !head.is_empty() && head.len() <= 3 && groups.iter().all(|g| g.len() == 3);
    grouped.then(|| format!("{head}{tail}"))
}

/// Whether the first wrong letter of a line is a `;` or `//` that was meant to begin a comment.
fn begins_comment(source: SourceText<'_>, span: &TextSpan) -> bool {
    let (_, after) = source.around(span);
    let rest = after.trim_start_matches([' ', '\t']);
    rest.starts_with(';') || rest.starts_with("//")
}

/// The remedy for a key or table that is given twice.
fn duplicate(source: SourceText<'_>, span: &TextSpan) -> SyntaxRemedy {
    let line = source.line_text(span).trim();
    let (what, hint) = if line.starts_with("[[") {
        let hint = format!("put {line} first; the tables that belong to it follow it");
        (format!("{line} comes after one of its own tables"), hint)
    } else if line == "[connection]" {
        let hint = "a list of tables has two brackets: [[connection]]".to_owned();
        (format!("{line} is given a second time"), hint)
    } else if line.starts_with('[') {
        let what = format!("{line} is given a second time");
        (what, "write its keys under the first".to_owned())
    } else {
        let what = format!("`{}` is given twice", source.slice(span));
        (what, "keep one of the two".to_owned())
    };
    SyntaxRemedy::new(span.clone(), what, hint)
}

/// The remedy for a string without quotes, or with the wrong ones.
fn quoting(span: &TextSpan, value: &str) -> SyntaxRemedy {
    const TYPOGRAPHIC: &[char] = &['\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}', '\u{bb}'];
    let bare = value.trim_matches(TYPOGRAPHIC);
    let (what, hint) = match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => (format!("{value} is not a value"), "write true".to_owned()),
        "false" | "no" | "off" => (format!("{value} is not a value"), "write false".to_owned()),
        _ if duration(value).is_some() => {
            let seconds = duration(value).unwrap_or_default();
            (format!("{value} has a unit"), format!("write the number of seconds alone: {seconds}"))
        }
        _ if bare != value => {
            ("these are typographic quotes".to_owned(), format!("write straight ones: \"{bare}\""))
        }
        _ => (format!("{value} is not in quotes"), format!("write \"{value}\"")),
    };
    SyntaxRemedy::new(span.clone(), what, hint)
}

impl SyntaxRemedy {
    fn new(span: TextSpan, what: impl Into<String>, hint: impl Into<String>) -> SyntaxRemedy {
        SyntaxRemedy { span, what: what.into(), hint: hint.into() }
    }
}

/// The whole word around a place. The parser marks the first wrong letter of an address that it
/// read as a number; the operator should see the address.
fn token(source: SourceText<'_>, span: &TextSpan) -> TextSpan {
    let (before, after) = source.around(span);
    let ends = |c: char| c.is_whitespace() || "[]{},='\"#".contains(c);
    let start = before.rfind(ends).map_or(0, |at| at + 1);
    start..span.start + after.find(ends).unwrap_or(after.len())
}

fn within(source: SourceText<'_>, list: &TextSpan, line: usize) -> bool {
    (source.line(list)..=source.line(&(list.end..list.end))).contains(&line)
}

/// The lists that the parser had to close itself.
fn unclosed_lists(tree: &Spanned<DeTable<'_>>, errors: &[(TextSpan, &str)]) -> Vec<TextSpan> {
    let unclosed = errors.iter().filter(|(_, message)| message.starts_with("unclosed array,"));
    let ends: Vec<usize> = unclosed.map(|(span, _)| span.start).collect();
    let mut found = Vec::new();
    let mut open: Vec<&Spanned<DeValue<'_>>> = tree.get_ref().values().collect();
    while let Some(value) = open.pop() {
        match value.get_ref() {
            DeValue::Table(table) => open.extend(table.values()),
            DeValue::Array(items) => {
                if ends.contains(&value.span().end) {
                    found.push(value.span());
                }
                open.extend(items.iter());
            }
            _ => {}
        }
    }
    found
}
