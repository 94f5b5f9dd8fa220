//! Azure's side as commands of the Azure CLI, in a script for sh.

use super::quote::{self, sh};
use super::side::{self, AzureSide, ExportConnection, ExportSite, placeholder};
use super::template::{self, API_VERSION, Syntax, TemplateValue};
use crate::config::value::Host;

/// The syntax of JSON arguments; unknown values are placeholders.
const JSON: Syntax = Syntax {
    key: |key| format!("{}: ", quote::json(key)),
    between_keys: ",",
    between_items: ",",
    text: quote::json,
    parameter: quote::json,
    id: |id| quote::json(&id.name),
};

/// Azure's side as a script that stops at the first command that fails.
pub fn az(side: &AzureSide) -> String {
    let about: String = side.about().iter().map(|line| format!("# {line}\n")).collect();
    let group = placeholder(side.group.as_deref(), "RESOURCE-GROUP");
    let mut script = format!("#!/bin/sh\n{about}set -eu\ngroup={}\n\n", sh(&group));
    script.push_str(&local_gateway(side, &side.site));
    for link in &side.links {
        script.push_str(&connection(side, link));
    }
    script
}

fn local_gateway(side: &AzureSide, site: &ExportSite) -> String {
    let prefixes: Vec<String> =
        site.prefixes.iter().map(|prefix| sh(&prefix.to_string())).collect();
    let command = match &site.host {
        Host::Address(address) => AzCommand::new("network local-gateway create")
            .word("name", &site.name)
            .word("gateway-ip-address", &address.to_string())
            .raw("address-prefixes", &prefixes.join(" ")),
        // `local-gateway create` has no option for a name.
        Host::Name(name) => {
            let space = TemplateValue::Object(vec![(
                "addressPrefixes",
                TemplateValue::texts(&site.prefixes),
            )]);
            let properties = TemplateValue::Object(vec![
                ("fqdn", TemplateValue::text(name)),
                ("localNetworkAddressSpace", space),
            ]);
            AzCommand::new("resource create")
                .word("resource-type", "Microsoft.Network/localNetworkGateways")
                .word("api-version", API_VERSION)
                .word("name", &site.name)
                .word("properties", &json(&properties))
        }
    };
    command.maybe("location", side.location.as_deref()).text()
}

/// The commands for a connection: `update` sets the properties for which `create` has no option.
fn connection(side: &AzureSide, link: &ExportConnection) -> String {
    let certificates = template::certificates(&link.with_placeholders(), "", &mut Vec::new());
    let create = AzCommand::new("network vpn-connection create")
        .word("name", &link.name)
        .word("vnet-gateway1", &link.gateway)
        .word("local-gateway2", &side.site.name)
        .maybe("location", side.location.as_deref())
        .word("authentication-type", "Certificate")
        .word("certificate-authentication", &json(&certificates));
    let policy = link.policy.as_ref().map(|policy| {
        let [ike_encryption, ike_integrity, dh_group, encryption, integrity, pfs_group] =
            side::choices(policy).map(|(_, value)| value);
        AzCommand::new("network vpn-connection ipsec-policy add")
            .word("connection-name", &link.name)
            .word("ike-encryption", ike_encryption)
            .word("ike-integrity", ike_integrity)
            .word("dh-group", dh_group)
            .word("ipsec-encryption", encryption)
            .word("ipsec-integrity", integrity)
            .word("pfs-group", pfs_group)
            .word("sa-lifetime", &policy.life_time.as_secs().to_string())
            .word("sa-max-size", &policy.kilobytes.to_string())
            .text()
    });
    let mut sets =
        vec![format!("connectionMode={}", link.mode), format!("dpdTimeoutSeconds={}", link.dpd)];
    if link.private {
        sets.push("useLocalAzureIpAddress=true".to_owned());
    }
    if !link.selectors.is_empty() {
        sets.push(format!("trafficSelectorPolicies={}", json(&template::selectors(link))));
    }
    let sets: Vec<String> = sets.iter().map(|set| sh(set)).collect();
    let update = AzCommand::new("network vpn-connection update")
        .word("name", &link.name)
        .word("use-policy-based-traffic-selectors", if link.narrow { "true" } else { "false" })
        .raw("set", &sets.join(" "));
    format!("\n{}\n{}{}", create.text(), policy.map_or(String::new(), |p| p + "\n"), update.text())
}

/// Writes a value as JSON on one line.
fn json(value: &TemplateValue) -> String {
    let mut text = String::new();
    value.write(&JSON, 0, &mut text);
    text.lines().map(str::trim_start).collect::<Vec<_>>().join(" ")
}

/// A command that is written on several lines.
struct AzCommand(Vec<String>);

impl AzCommand {
    fn new(what: &str) -> AzCommand {
        AzCommand(vec![format!("az {what} --resource-group \"$group\"")])
    }

    fn word(self, option: &str, value: &str) -> AzCommand {
        self.raw(option, &sh(value))
    }

    fn maybe(self, option: &str, value: Option<&str>) -> AzCommand {
        match value {
            Some(value) => self.word(option, value),
            None => self,
        }
    }

    /// Adds an option whose value is quoted already.
    fn raw(mut self, option: &str, value: &str) -> AzCommand {
        self.0.push(format!("--{option} {value}"));
        self
    }

    fn text(self) -> String {
        self.0.join(" \\\n  ") + "\n"
    }
}
