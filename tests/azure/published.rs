//! Compares templates with the published property names, and with each other.

use std::collections::BTreeMap;

use serde_json::Value;

/// The published properties of resources: from type to property to kind of value.
pub struct Published(BTreeMap<String, BTreeMap<String, String>>);

impl Published {
    /// Reads the committed list.
    pub fn read() -> Published {
        let text = include_str!("properties.txt");
        let mut types: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            match line.strip_prefix("  ") {
                None => current = line.to_owned(),
                Some(property) => {
                    let (name, holds) = property.split_once(' ').unwrap();
                    types
                        .entry(current.clone())
                        .or_default()
                        .insert(name.to_owned(), holds.to_owned());
                }
            }
        }
        Published(types)
    }

    /// Panics at the first property that is not published or has a value of another kind.
    pub fn check(&self, kind: &str, value: &Value, place: &str) {
        if let Some(item) = kind.strip_suffix("[]") {
            match value.as_array() {
                Some(items) => items.iter().for_each(|value| self.check(item, value, place)),
                None => assert!(expression(value), "{place} is no list: {value}"),
            }
            return;
        }
        match kind {
            "string" => assert!(value.is_string(), "{place}: {value}"),
            "int" => assert!(value.is_u64(), "{place}: {value}"),
            "bool" => assert!(value.is_boolean(), "{place}: {value}"),
            words if words.contains('|') => {
                let text = value.as_str().unwrap();
                assert!(
                    words.split('|').any(|word| word == text),
                    "{place}: {text} is none of {words}"
                );
            }
            _ => {
                let properties = self.0.get(kind).unwrap_or_else(|| panic!("{kind} is no type"));
                for (name, value) in value.as_object().unwrap() {
                    let place = format!("{place}.{name}");
                    let holds = properties
                        .get(name)
                        .unwrap_or_else(|| panic!("{place}: {name} is not published"));
                    self.check(holds, value, &place);
                }
            }
        }
    }
}

fn expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with('[') && !text.starts_with("[["))
}

/// One line for each property of each resource of a template, with its value unless the value is an
/// expression.
pub fn leaves(arm: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for resource in arm["resources"].as_array().unwrap() {
        let kind = resource["type"].as_str().unwrap();
        let version = resource["apiVersion"].as_str().unwrap();
        lines.push(format!("{kind}@{version} {}", resource["name"]));
        walk(&resource["properties"], "", &mut lines);
    }
    lines
}

fn walk(value: &Value, path: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            lines.push(format!("{path} with {}", object.len()));
            object.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), lines));
        }
        Value::Array(items) => {
            lines.push(format!("{path} with {}", items.len()));
            items.iter().for_each(|value| walk(value, &format!("{path}[]"), lines));
        }
        other if expression(other) => lines.push(format!("{path} = ?")),
        other => lines.push(format!("{path} = {other}")),
    }
}

/// The same for a Bicep file, whose output has one value on each line, strings in single quotes and
/// no commas.
pub fn leaves_of_bicep(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in text.split("\nresource ").skip(1) {
        let (head, body) = block.split_once(" = {\n").unwrap();
        let Some((_, kind)) = head.split_once(' ').filter(|(_, rest)| !rest.ends_with("existing"))
        else {
            continue;
        };
        let mut words = body.lines().map(str::trim);
        let name =
            words.next().and_then(|line| line.strip_prefix("name: ")).map(bicep_value).unwrap();
        assert_eq!(words.next(), Some("location: location"));
        lines.push(format!("{} {name}", kind.trim_matches('\'')));
        let open = words.next().and_then(|line| line.strip_prefix("properties: ")).unwrap();
        walk(&bicep_tree(open, &mut words), "", &mut lines);
    }
    lines
}

fn bicep_tree<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> Value {
    match first {
        "{" => {
            let mut object = serde_json::Map::new();
            while let Some(line) = lines.next().filter(|line| *line != "}") {
                let (key, value) = line.split_once(": ").unwrap();
                object.insert(key.to_owned(), bicep_tree(value, lines));
            }
            Value::Object(object)
        }
        "[" => {
            let mut items = Vec::new();
            while let Some(line) = lines.next().filter(|line| *line != "]") {
                items.push(bicep_tree(line, lines));
            }
            Value::Array(items)
        }
        "{}" => serde_json::json!({}),
        "[]" => serde_json::json!([]),
        other => bicep_value(other),
    }
}

fn bicep_value(text: &str) -> Value {
    match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(string) => string.into(),
        // A symbol in Bicep corresponds to an expression in an ARM template.
        None => serde_json::from_str(text).unwrap_or_else(|_| format!("[{text}]").into()),
    }
}
