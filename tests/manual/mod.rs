//! The fields that s2sd-json(5) documents, and the fields of a printed document.
#![allow(dead_code, reason = "each user takes its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

/// The path of the object whose fields are present only when not zero.
pub const DROPS: &str = "connections[].tunnels[].drops";

/// The names of fields, by the path of their object.
pub type Fields = BTreeMap<String, BTreeSet<String>>;

/// The fields that a section of the page documents.
pub fn documented(section: &str) -> Fields {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("json-{section}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
    assert!(command.args(["generate", "man"]).arg(&directory).status().unwrap().success());
    let page = std::fs::read_to_string(directory.join("s2sd-json.5")).unwrap();
    for unfit in ["[`", "None", "TODO"] {
        assert!(!page.contains(unfit), "{unfit} is a word of the source code");
    }
    let heads = [format!("\n.SH {section}\n"), format!("\n.SH \"{section}\"\n")];
    let text = heads.iter().find_map(|head| page.split(head).nth(1)).unwrap();
    let text = text.split("\n.SH ").next().unwrap();
    let mut fields = Fields::new();
    for (at, part) in text.split("\n.SS ").enumerate() {
        let path = if at == 0 { "" } else { part.lines().next().unwrap() };
        for entry in part.split("\n.TP\n").skip(1) {
            let (term, meaning) = entry.split_once('\n').unwrap();
            let (name, kind) = term.split_once(' ').unwrap();
            assert!(!meaning.trim().is_empty() && kind.len() > 4, "{entry}");
            let name = name.replace("\\fB", "").replace("\\fR", "");
            fields.entry(path.trim_matches('"').to_owned()).or_default().insert(name);
        }
    }
    fields
}

/// The fields of a document.
pub fn printed(document: &Json) -> Fields {
    let mut fields = Fields::new();
    collect("", document, &mut fields);
    fields
}

fn collect(path: &str, value: &Json, fields: &mut Fields) {
    match value {
        Json::Array(items) => {
            items.iter().for_each(|item| collect(&format!("{path}[]"), item, fields))
        }
        Json::Object(object) => {
            for (name, value) in object {
                fields.entry(path.to_owned()).or_default().insert(name.clone());
                let dot = if path.is_empty() { "" } else { "." };
                collect(&format!("{path}{dot}{name}"), value, fields);
            }
        }
        _ => {}
    }
}
