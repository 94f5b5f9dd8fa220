//! s2sd-json(5): every document that a command prints as JSON, field by field. The descriptions are
//! the doc comments of the printed types, so that the page matches the program.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::{entry, paragraph, prose, see_also};
use crate::certs::review::Review;
use crate::cli::demo::Figures;
use crate::config::Report;
use crate::daemon::explain::Explanation;
use crate::daemon::status::Status;
use crate::doctor::Diagnosis;
use crate::esp::DropReason;

/// The field of a status whose names are those of [`DropReason`].
const DROPS: &str = "connections[].tunnels[].drops";

/// The page s2sd-json(5).
pub fn page() -> Vec<u8> {
    let mut roff = Roff::new();
    let source = concat!("s2sd ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["s2sd-json", "5", "", source, "File Formats Manual"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("s2sd-json - what s2sd(8) prints as JSON")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text(prose(
        "This page is for programs. Within one `version` of a document fields are added, and never renamed or removed; a document without \
         `version` follows the major version of s2sd. A program must ignore fields that it does not know. A field without a value is \
         `null`, unless the field is documented as possibly absent. Times are ages and durations in seconds, so that clocks need not \
         agree. A heading like `connections[].tunnels[]` stands for each tunnel of each connection.",
    ));
    document("STATUS", "s2sd status --json", schema::<Status>(), &mut roff);
    roff.control("SS", [DROPS]);
    for reason in DropReason::ALL {
        entry(&mut roff, term(reason.name(), "whole number"), prose(reason.story()));
    }
    document("EXPLAIN", "s2sd explain NAME --json", schema::<Vec<Explanation>>(), &mut roff);
    document("CHECK", "s2sd check --json", schema::<Report>(), &mut roff);
    document("AZURE DOCTOR", "s2sd azure doctor NAME --json", schema::<Diagnosis>(), &mut roff);
    document("PKI SHOW", "s2sd pki show FILE --json", schema::<Review>(), &mut roff);
    document("DEMO", "s2sd demo --json", schema::<Figures>(), &mut roff);
    see_also(&mut roff, "s2sd(8), jq(1)");
    roff.to_roff().into_bytes()
}

/// The JSON schema of a type, with the schemas of its fields inlined.
fn schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|all| all.inline_subschemas = true);
    settings.for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn document(title: &str, command: &str, schema: Json, roff: &mut Roff) {
    roff.control("SH", [title]);
    let about = schema["items"]["description"].as_str().or(schema["description"].as_str());
    let about = paragraph(about.unwrap_or_default());
    roff.text(prose(&format!("`{command}`: {about}")));
    below("", &schema, roff);
}

/// Writes the fields of an object, then the objects in it, each under its path.
fn below(path: &str, schema: &Json, roff: &mut Roff) {
    let (schema, _) = present(schema);
    if !schema["items"].is_null() {
        return below(&format!("{path}[]"), &schema["items"], roff);
    }
    let fields = fields(schema);
    if fields.is_empty() {
        return;
    }
    if !path.is_empty() {
        roff.control("SS", [path]);
    }
    for (name, field) in &fields {
        let absent = !names(&schema["required"]).any(|required| required == *name);
        entry(roff, term(name, &kind(field, absent)), prose(&meaning(field)));
    }
    for (name, field) in fields {
        // A status within another document has a section of its own.
        if name != "status" {
            let dot = if path.is_empty() { "" } else { "." };
            below(&format!("{path}{dot}{name}"), field, roff);
        }
    }
}

fn term(name: &str, kind: &str) -> Vec<Inline> {
    vec![bold(name), roman(" ("), italic(kind), roman(")")]
}

/// The fields in the order of declaration; those that may be absent come last.
fn fields(schema: &Json) -> Vec<(&str, &Json)> {
    let Some(all) = schema["properties"].as_object() else { return Vec::new() };
    let always = names(&schema["required"]).filter_map(|name| all.get_key_value(name));
    let perhaps =
        all.iter().filter(|(name, _)| !names(&schema["required"]).any(|other| other == *name));
    always.chain(perhaps).map(|(name, field)| (name.as_str(), field)).collect()
}

fn names(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// The schema of a value that is not null, and whether the value may be null.
fn present(schema: &Json) -> (&Json, bool) {
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([some, null]) if null["type"] == "null" => (some, true),
        _ => (schema, names(&schema["type"]).any(|kind| kind == "null")),
    }
}

fn kind(schema: &Json, absent: bool) -> String {
    let (schema, nullable) = present(schema);
    let named = names(&schema["type"]).find(|name| *name != "null");
    let one = match named.or(schema["type"].as_str()) {
        Some("integer") => "whole number".to_owned(),
        Some("array") => format!("list, each {}", kind(&schema["items"], false)),
        Some("object") if schema["properties"].is_null() => "object of numbers".to_owned(),
        Some("string") | None => "text".to_owned(),
        Some(other) => other.to_owned(),
    };
    let null = if nullable { " or null" } else { "" };
    let absent = if absent { ", may be absent" } else { "" };
    format!("{one}{null}{absent}")
}

/// The description of a field, and its words if the field has a fixed set.
fn meaning(field: &Json) -> String {
    let mut text = paragraph(field["description"].as_str().unwrap_or_default());
    for word in present(field).0["oneOf"].as_array().into_iter().flatten() {
        let about = paragraph(word["description"].as_str().unwrap_or_default());
        text += &format!(" `{}`: {about}", word["const"].as_str().unwrap_or_default());
    }
    text
}
