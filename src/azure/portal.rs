//! Azure's side as the fields of the portal's pages, in order and with their values (Azure docs,
//! "Configure a site-to-site VPN with certificate authentication", "Create a custom IPsec/IKE
//! policy", "Custom traffic selectors").

use super::side::{AzureSide, ExportConnection, ExportSite, placeholder};
use crate::config::settings::CustomPolicy;
use crate::config::value::Host;

/// The column at which the value of a field begins.
const VALUE: usize = 42;

/// Azure's side as fields of the portal.
pub fn portal(side: &AzureSide) -> String {
    let mut page = side.about().join("\n") + "\n";
    local_gateway(side, &side.site, &mut page);
    for link in &side.links {
        connection(side, link, &mut page);
    }
    page
}

fn local_gateway(side: &AzureSide, site: &ExportSite, page: &mut String) {
    title("Create local network gateway", page);
    tab("Basics", page);
    place(side, page);
    field("Name", &site.name, page);
    match &site.host {
        Host::Address(address) => {
            field("Endpoint", "IP address", page);
            field("IP address", address, page);
        }
        Host::Name(name) => {
            field("Endpoint", "FQDN", page);
            field("FQDN", name, page);
        }
    }
    for prefix in &site.prefixes {
        field("Address Space(s)", prefix, page);
    }
    tab("Advanced", page);
    field("Configure BGP settings", "No", page);
}

fn connection(side: &AzureSide, link: &ExportConnection, page: &mut String) {
    title("Create connection", page);
    tab("Basics", page);
    field("Subscription", "the subscription of the gateway", page);
    field("Resource group", placeholder(side.group.as_deref(), "RESOURCE-GROUP"), page);
    field("Connection type", "Site-to-site (IPSec)", page);
    field("Name", &link.name, page);
    field("Region", placeholder(side.location.as_deref(), "REGION"), page);
    tab("Settings", page);
    field("Virtual network gateway", &link.gateway, page);
    field("Local network gateway", &side.site.name, page);
    certificates(link, page);
    field("IKE Protocol", "IKEv2", page);
    let private = if link.private { "selected" } else { "not selected" };
    field("Use Azure Private IP Address", private, page);
    field("Enable BGP", "not selected", page);
    match &link.policy {
        None => field("IPsec/IKE policy", "Default", page),
        Some(policy) => self::policy(policy, page),
    }
    field("Use policy based traffic selector", enabled(link.narrow), page);
    if link.narrow {
        field("Use custom traffic selectors", enabled(!link.selectors.is_empty()), page);
    }
    for pair in &link.selectors {
        let texts = |prefixes: &[_]| {
            prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        field("  Local address ranges", texts(&pair.remote), page);
        field("  Remote address ranges", texts(&pair.local), page);
    }
    field("DPD timeout in seconds", link.dpd, page);
    field("Connection Mode", link.mode, page);
    field("NAT Rules Associations, Ingress", "0 selected", page);
    field("NAT Rules Associations, Egress", "0 selected", page);
}

fn certificates(link: &ExportConnection, page: &mut String) {
    let ExportConnection { outbound, inbound, .. } = link.with_placeholders();
    field("Authentication Method", "Key Vault Certificate", page);
    field("Outbound Certificate Path", outbound.unwrap_or_default(), page);
    field("Inbound Certificate Subject Name", inbound.subject.unwrap_or_default(), page);
    for certificate in inbound.chain.unwrap_or_default() {
        field("Inbound Certificate Chain", certificate, page);
    }
}

fn policy(policy: &CustomPolicy, page: &mut String) {
    field("IPsec/IKE policy", "Custom", page);
    field("  IKE Phase 1, Encryption", policy.ike_encryption, page);
    field("  IKE Phase 1, Integrity/PRF", policy.ike_integrity, page);
    field("  IKE Phase 1, DH Group", policy.dh_group, page);
    field("  IKE Phase 2 (IPsec), IPsec Encryption", policy.ipsec_encryption, page);
    field("  IKE Phase 2 (IPsec), IPsec Integrity", policy.ipsec_integrity, page);
    field("  IKE Phase 2 (IPsec), PFS Group", policy.pfs_group, page);
    field("  IPsec SA lifetime in KiloBytes", policy.kilobytes, page);
    field("  IPsec SA lifetime in seconds", policy.life_time.as_secs(), page);
}

fn place(side: &AzureSide, page: &mut String) {
    field("Subscription", "the subscription of the gateway", page);
    field("Resource group", placeholder(side.group.as_deref(), "RESOURCE-GROUP"), page);
    field("Region", placeholder(side.location.as_deref(), "REGION"), page);
}

fn title(text: &str, page: &mut String) {
    page.push_str(&format!("\n{text}\n{}\n", "=".repeat(text.len())));
}

fn tab(text: &str, page: &mut String) {
    page.push_str(&format!("{text}\n"));
}

fn field(name: &str, value: impl std::fmt::Display, page: &mut String) {
    page.push_str(&format!("  {name:VALUE$} {value}\n"));
}

fn enabled(on: bool) -> &'static str {
    if on { "Enable" } else { "Disable" }
}
