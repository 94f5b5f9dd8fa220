//! Azure's side as a Terraform configuration for the azapi provider, because azurerm has no
//! certificate authentication for connections.

use super::quote;
use super::template::{API_VERSION, Parameter, Resource, ResourceId, Syntax, Template};

/// The syntax of Terraform.
const SYNTAX: Syntax = Syntax {
    key: |key| format!("{key} = "),
    between_keys: "",
    between_items: ",",
    text: quote::terraform,
    parameter: |name| format!("var.{}", quote::snake_case(name)),
    id: |id| match id.kind {
        "virtualNetworkGateways" => format!("local.{}_id", quote::snake_case(&id.symbol)),
        _ => format!("azapi_resource.{}.id", quote::snake_case(&id.symbol)),
    },
};

/// The template for Terraform; the resource group's name fills a variable.
pub fn terraform(template: &Template, group: Option<&str>) -> String {
    let about: String = template.about.iter().map(|line| format!("# {line}\n")).collect();
    let mut variables = vec![
        variable("resource_group", "string", "The resource group of the gateway.", group),
        variable("location", "string", "The region of the gateway.", template.location.as_deref()),
    ];
    variables.extend(template.parameters.iter().map(|Parameter { name, list, about }| {
        let kind = if *list { "list(string)" } else { "string" };
        variable(&quote::snake_case(name), kind, about, None)
    }));
    let gateways: String = template.gateways.iter().map(gateway).collect();
    let resources: Vec<String> = template.resources.iter().map(resource).collect();
    format!(
        "{about}\nterraform {{\n  required_providers {{\n    azapi = {{\n      source  = \"Azure/azapi\"\n      version = \">= 2.0\"\n    \
         }}\n  }}\n}}\n\n{}\ndata \"azapi_client_config\" \"current\" {{}}\n\nlocals {{\n  group_id = \
         \"/subscriptions/${{data.azapi_client_config.current.subscription_id}}/resourceGroups/${{var.resource_group}}\"\n{gateways}}}\n\n{}",
        variables.join("\n"),
        resources.join("\n")
    )
}

fn variable(name: &str, kind: &str, about: &str, default: Option<&str>) -> String {
    let default = default.map(|text| format!("  default     = {}\n", quote::terraform(text)));
    format!(
        "variable \"{name}\" {{\n  type        = {kind}\n  description = {}\n{}}}\n",
        quote::terraform(about),
        default.unwrap_or_default()
    )
}

fn gateway(id: &ResourceId) -> String {
    let quoted = quote::terraform(&id.name);
    let name = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let path = "${local.group_id}/providers/Microsoft.Network/virtualNetworkGateways/";
    format!("  {}_id = \"{path}{name}\"\n", quote::snake_case(&id.symbol))
}

fn resource(resource: &Resource) -> String {
    let ResourceId { kind, name, symbol } = &resource.id;
    let mut properties = String::new();
    resource.properties.write(&SYNTAX, 4, &mut properties);
    format!(
        "resource \"azapi_resource\" \"{}\" {{\n  type      = \"Microsoft.Network/{kind}@{API_VERSION}\"\n  name      = {}\n  parent_id = \
         local.group_id\n  location  = var.location\n  body = {{\n    properties = {properties}\n  }}\n}}\n",
        quote::snake_case(symbol),
        quote::terraform(name)
    )
}
