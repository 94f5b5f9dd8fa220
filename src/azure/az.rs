//! Azure's side as a script for sh that deploys one template with the Azure CLI.
//!
//! A connection is written whole, in one request. The commands for its parts lose what they do not
//! know: `az network vpn-connection ipsec-policy add` and the `update` after it read and write the
//! connection with API version 2022-01-01 (az 2.91), which has neither `authenticationType` nor
//! `certificateAuthentication`, so that the connection is left without its certificates. For the
//! same reason the script writes no connection that exists already.

use super::arm;
use super::quote::sh;
use super::side::{AzureSide, ExportConnection, placeholder};
use super::template::{Parameter, Template};

/// The line that ends the template in the script. No line of JSON is like it.
const END: &str = "TEMPLATE";

/// Azure's side as a script that stops at the first command that fails.
pub fn az(side: &AzureSide) -> String {
    let template = Template::of(side);
    let about: String = template.about.iter().map(|line| format!("# {line}\n")).collect();
    let group = placeholder(side.group.as_deref(), "RESOURCE-GROUP");
    let checks: String = side.links.iter().map(refuse_existing).collect();
    let parameters: String = template.parameters.iter().map(parameter).collect();
    format!(
        "#!/bin/sh\n{about}# Every version of az that has `az deployment` will do (2.2.0, March 2020).\nset -eu\ngroup={}\n\n{checks}\n\
         template=$(mktemp)\ntrap 'rm -f \"$template\"' EXIT\ncat > \"$template\" <<'{END}'\n{}{END}\n\n\
         az deployment group create --resource-group \"$group\" \\\n  --name s2sd \\\n  --template-file \"$template\"{parameters}\n",
        sh(&group),
        arm::arm(&template)
    )
}

/// The lines that end the script when the connection exists.
fn refuse_existing(link: &ExportConnection) -> String {
    let name = sh(&link.name);
    format!(
        "if az network vpn-connection show --resource-group \"$group\" --name {name} --output none 2>/dev/null; then\n  \
         printf '%s\\n' {name}': the connection exists, and would lose the settings that are not in this script. Delete it first, or \
         change it in the portal.' >&2\n  exit 1\nfi\n"
    )
}

/// The option with a value that the operator must fill in.
fn parameter(parameter: &Parameter) -> String {
    let value = format!("<{}>", parameter.about);
    let value = if parameter.list { format!("[\"{value}\"]") } else { value };
    format!(" \\\n  --parameters {}", sh(&format!("{}={value}", parameter.name)))
}
