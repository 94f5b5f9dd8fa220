//! Lenient reading of Azure's JSON in each of its forms: flattened by `az`, with `properties` as in
//! REST, or as an ARM template. A missing value and null are the same; unknown keys are ignored.

use std::fmt;

use serde_json::Value;

use super::fault::AzureFault;
use crate::config::Severity;
use crate::config::diagnostic::SourceText;

/// A JSON value and its place in the document.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    place: String,
    /// The parameters of an ARM template, whose strings may be expressions.
    parameters: Option<&'a Value>,
}

/// The JSON documents of a text, which follow one another.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Value>, AzureFault> {
    if text.trim().is_empty() {
        return Err(AzureFault::new(
            format_args!("{file}: the file is empty"),
            "the az command printed nothing: run it alone to see its error",
        ));
    }
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    documents.collect::<Result<_, _>>().map_err(|error| broken(file, text, &error))
}

/// The text of a file in UTF-8 or UTF-16; PowerShell's `>` writes UTF-16 with a byte order mark.
pub fn text(file: &str, bytes: &[u8]) -> Result<String, AzureFault> {
    let utf16 = |pair: fn([u8; 2]) -> u16, rest: &[u8]| {
        let (pairs, odd) = rest.as_chunks::<2>();
        odd.is_empty().then(|| pairs.iter().map(|p| pair(*p)).collect::<Vec<u16>>())
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => {
            utf16(u16::from_le_bytes, rest).map(|u| String::from_utf16(&u).ok())
        }
        [0xfe, 0xff, rest @ ..] => {
            utf16(u16::from_be_bytes, rest).map(|u| String::from_utf16(&u).ok())
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => Some(String::from_utf8(rest.to_vec()).ok()),
        all => Some(String::from_utf8(all.to_vec()).ok()),
    };
    text.flatten().ok_or_else(|| {
        AzureFault::new(
            format_args!("{file}: the file is not text"),
            "expected the output of `az network ... show --output json`, in UTF-8 or UTF-16",
        )
    })
}

fn broken(file: &str, text: &str, error: &serde_json::Error) -> AzureFault {
    let start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (start + error.column().saturating_sub(1)).min(text.len());
    let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    let hint = if error.is_eof() {
        "the text ends too early: check that it was copied completely"
    } else if text.trim_start().starts_with(['{', '[']) {
        "correct the JSON at this place, or run az again"
    } else {
        "expected JSON, which begins with `{` or `[`: run az with `--output json`"
    };
    let (source, span) = (SourceText::new(file, text), at..at);
    let what = format!("invalid JSON: {what}");
    // The JSON of a connection may contain its shared key: such a line is not printed.
    if source.line_text(&span).to_ascii_lowercase().contains("sharedkey") {
        let (line, column) = (error.line(), error.column());
        return AzureFault::new(format_args!("{file}:{line}:{column}: error: {what}"), hint);
    }
    AzureFault::from(source.diagnose(Severity::Error, &span, what, hint))
}

impl<'a> Node<'a> {
    /// The root of a document.
    pub(crate) fn new(value: &'a Value, place: impl Into<String>) -> Node<'a> {
        Node { value, place: place.into(), parameters: None }
    }

    /// The same document, read as an ARM template with its parameters.
    pub(crate) fn template(self) -> Node<'a> {
        let parameters = Some(self.value.get("parameters").unwrap_or(&Value::Null));
        Node { parameters, ..self }
    }

    /// Whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// The place of the value, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The same value under another name of its place.
    pub(crate) fn called(self, place: String) -> Node<'a> {
        Node { place, ..self }
    }

    /// The keys of the object, without those of `properties`.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        let object = self.value.as_object();
        object.map_or(Vec::new(), |object| object.keys().map(String::as_str).collect())
    }

    /// The value of a key of the object or of its `properties`. Case is ignored, because Azure
    /// itself is not consistent.
    pub(crate) fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = find(self.value, key)
            .or_else(|| find(find(self.value, "properties")?, key))
            .and_then(|value| self.evaluate(value))?;
        let place = format!("{}: {key}", self.place);
        Some(Node { value, place, parameters: self.parameters })
    }

    /// Whether a key has a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The text of a key.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, AzureFault> {
        self.get(key).map(|node| node.as_text()).transpose()
    }

    /// The text of a key, with template expressions unevaluated, as ids need.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        let value = find(self.value, key).or_else(|| find(find(self.value, "properties")?, key));
        value.and_then(Value::as_str)
    }

    /// The number of a key.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, AzureFault> {
        let Some(node) = self.get(key) else { return Ok(None) };
        node.value.as_u64().map(Some).ok_or_else(|| node.wrong("a whole number"))
    }

    /// Whether a key is true; a missing key is false, as everywhere in Azure.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, AzureFault> {
        let Some(node) = self.get(key) else { return Ok(false) };
        node.value.as_bool().ok_or_else(|| node.wrong("true or false"))
    }

    /// The items of the list of a key.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<Node<'a>>, AzureFault> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let items = node.value.as_array().ok_or_else(|| node.wrong("a list"))?;
        let item = |(at, value): (usize, &'a Value)| {
            let place = format!("{}[{at}]", node.place);
            Some(Node { value: node.evaluate(value)?, place, parameters: self.parameters })
        };
        Ok(items.iter().enumerate().filter_map(item).collect())
    }

    /// The texts of the list of a key.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, AzureFault> {
        self.list(key)?.iter().map(Node::as_text).collect()
    }

    /// The value as a text.
    pub(crate) fn as_text(&self) -> Result<String, AzureFault> {
        let text = self.value.as_str().ok_or_else(|| self.wrong("a string"))?;
        let escaped = self.parameters.is_some() && text.starts_with("[[");
        Ok(text.get(usize::from(escaped)..).unwrap_or_default().to_owned())
    }

    /// The items of a list, or of an object with a list, as in the output of `list` commands and in
    /// templates.
    pub(crate) fn items(&self) -> Vec<Node<'a>> {
        let named = |key: &str| find(self.value, key);
        let (values, within) = match (self.value.as_array(), named("resources"), named("value")) {
            (Some(items), _, _) => (items.iter().collect(), ""),
            (_, Some(Value::Array(items)), _) => (items.iter().collect(), "resources"),
            (_, Some(Value::Object(items)), _) => (items.values().collect(), "resources"),
            (_, _, Some(Value::Array(items))) => (items.iter().collect(), "value"),
            _ => (Vec::new(), ""),
        };
        let node = |(at, value)| Node {
            value,
            place: format!("{}: {within}[{at}]", self.place),
            parameters: self.parameters,
        };
        values.into_iter().enumerate().map(node).collect()
    }

    /// The value of an expression if known: the default of a parameter. Null is `None`.
    fn evaluate(&self, value: &'a Value) -> Option<&'a Value> {
        let known = match (self.parameters, value.as_str()) {
            (Some(parameters), Some(text)) if text.starts_with('[') && !text.starts_with("[[") => {
                let name = text.strip_prefix("[parameters('")?.strip_suffix("')]")?;
                let default = find(find(parameters, name)?, "defaultValue")?;
                let computed = default.as_str().is_some_and(|text| text.starts_with('['));
                (!computed).then_some(default)?
            }
            _ => value,
        };
        (!known.is_null()).then_some(known)
    }

    fn wrong(&self, expected: &str) -> AzureFault {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        AzureFault::new(
            format_args!("{} is {found}, expected {expected}", self.place),
            "use the unchanged output of `az network ... show --output json`, without --query",
        )
    }
}

/// The value of a key, ignoring case.
fn find<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    let other = || object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    object.get(key).or_else(|| other().map(|(_, value)| value))
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may contain the shared key of a connection.
        write!(f, "Node({})", self.place)
    }
}
