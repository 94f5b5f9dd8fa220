//! Azure's side as a Bicep file.

use super::quote;
use super::template::{API_VERSION, Parameter, Resource, ResourceId, Syntax, Template};

/// The syntax of Bicep.
const SYNTAX: Syntax = Syntax {
    key: |key| format!("{key}: "),
    between_keys: "",
    between_items: "",
    text: quote::bicep,
    parameter: str::to_owned,
    id: |id| format!("{}.id", id.symbol),
};

/// The template in Bicep.
pub fn bicep(template: &Template) -> String {
    let about: String = template.about.iter().map(|line| format!("// {line}\n")).collect();
    let location = template
        .location
        .as_deref()
        .map_or_else(|| "resourceGroup().location".to_owned(), quote::bicep);
    let parameters: String = template.parameters.iter().map(parameter).collect();
    let gateways: String = template.gateways.iter().map(existing).collect();
    let resources: Vec<String> = template.resources.iter().map(resource).collect();
    format!(
        "{about}\nparam location string = {location}\n{parameters}\n{gateways}{}",
        resources.join("\n")
    )
}

fn parameter(parameter: &Parameter) -> String {
    let kind = if parameter.list { "string[]" } else { "string" };
    format!("\n@description({})\nparam {} {kind}\n", quote::bicep(parameter.about), parameter.name)
}

fn existing(id: &ResourceId) -> String {
    let name = quote::bicep(&id.name);
    format!("{} existing = {{\n  name: {name}\n}}\n\n", head(id))
}

fn resource(resource: &Resource) -> String {
    let mut properties = String::new();
    resource.properties.write(&SYNTAX, 2, &mut properties);
    format!(
        "{} = {{\n  name: {}\n  location: location\n  properties: {properties}\n}}\n",
        head(&resource.id),
        quote::bicep(&resource.id.name)
    )
}

fn head(id: &ResourceId) -> String {
    format!("resource {} 'Microsoft.Network/{}@{API_VERSION}'", id.symbol, id.kind)
}
