//! Azure's side as an Azure Resource Manager (ARM) template.

use super::quote;
use super::template::{API_VERSION, Parameter, Resource, ResourceId, Syntax, Template};

const SCHEMA: &str =
    "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";

/// The syntax of ARM templates.
pub(crate) const SYNTAX: Syntax = Syntax {
    key: |key| format!("{}: ", quote::json(key)),
    between_keys: ",",
    between_items: ",",
    text: quote::arm,
    parameter: |name| quote::json(&format!("[parameters('{name}')]")),
    id: |id| quote::json(&expression(id)),
};

/// The template as JSON.
pub fn arm(template: &Template) -> String {
    let location = template
        .location
        .as_deref()
        .map_or_else(|| quote::json("[resourceGroup().location]"), quote::arm);
    let location = format!(
        "    \"location\": {{\n      \"type\": \"string\",\n      \"defaultValue\": {location}\n    }}"
    );
    let parameters: Vec<String> =
        std::iter::once(location).chain(template.parameters.iter().map(parameter)).collect();
    let site = template.resources.first().map(|resource| &resource.id);
    let resources: Vec<String> = template.resources.iter().map(|r| resource(r, site)).collect();
    format!(
        "{{\n  \"$schema\": \"{SCHEMA}\",\n  \"contentVersion\": \"1.0.0.0\",\n  \"metadata\": {{\n    \"description\": {}\n  }},\n  \
         \"parameters\": {{\n{}\n  }},\n  \"resources\": [\n{}\n  ]\n}}\n",
        quote::json(&template.about.join(" ")),
        parameters.join(",\n"),
        resources.join(",\n")
    )
}

fn parameter(parameter: &Parameter) -> String {
    let kind = if parameter.list { "array" } else { "string" };
    format!(
        "    {}: {{\n      \"type\": \"{kind}\",\n      \"metadata\": {{\n        \"description\": {}\n      }}\n    }}",
        quote::json(&parameter.name),
        quote::json(parameter.about)
    )
}

fn resource(resource: &Resource, site: Option<&ResourceId>) -> String {
    let ResourceId { kind, name, .. } = &resource.id;
    let on = site.filter(|site| **site != resource.id).map(|site| {
        format!("      \"dependsOn\": [\n        {}\n      ],\n", quote::json(&expression(site)))
    });
    let mut properties = String::new();
    resource.properties.write(&SYNTAX, 6, &mut properties);
    format!(
        "    {{\n      \"type\": \"Microsoft.Network/{kind}\",\n      \"apiVersion\": \"{API_VERSION}\",\n      \"name\": {},\n      \
         \"location\": \"[parameters('location')]\",\n{}      \"properties\": {properties}\n    }}",
        quote::arm(name),
        on.unwrap_or_default()
    )
}

fn expression(id: &ResourceId) -> String {
    format!("[resourceId('Microsoft.Network/{}', '{}')]", id.kind, id.name.replace('\'', "''"))
}
