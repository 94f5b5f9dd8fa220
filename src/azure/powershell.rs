//! Azure's side as commands of Azure PowerShell.

use super::quote::powershell as quoted;
use super::side::{AzureSide, ExportConnection, ExportSite, placeholder};
use crate::config::value::Host;

/// Azure's side as a script.
pub fn powershell(side: &AzureSide) -> String {
    let about: String = side.about().iter().map(|line| format!("# {line}\n")).collect();
    let group = placeholder(side.group.as_deref(), "RESOURCE-GROUP");
    let location = placeholder(side.location.as_deref(), "LOCATION");
    let mut script = format!(
        "{about}$ErrorActionPreference = 'Stop'\n$group = {}\n$location = {}\n\n{}",
        quoted(&group),
        quoted(&location),
        local_gateway(&side.site)
    );
    for link in &side.links {
        script.push_str(&connection(link));
    }
    script
}

fn local_gateway(site: &ExportSite) -> String {
    let host = match &site.host {
        Host::Address(address) => ("GatewayIpAddress", quoted(&address.to_string())),
        Host::Name(name) => ("Fqdn", quoted(name.as_str())),
    };
    let settings = [
        ("Name", quoted(&site.name)),
        ("ResourceGroupName", "$group".to_owned()),
        ("Location", "$location".to_owned()),
        host,
        ("AddressPrefix", list(&site.prefixes)),
    ];
    format!("{}$site = New-AzLocalNetworkGateway @settings\n", table(&settings))
}

fn connection(link: &ExportConnection) -> String {
    let ExportConnection { outbound, inbound, .. } = link.with_placeholders();
    let certificates = [
        ("OutboundAuthCertificate", quoted(&outbound.unwrap_or_default())),
        ("InboundAuthCertificateSubjectName", quoted(&inbound.subject.unwrap_or_default())),
        ("InboundAuthCertificateChain", list(&inbound.chain.unwrap_or_default())),
    ];
    let mut text = format!(
        "\n$gateway = Get-AzVirtualNetworkGateway -ResourceGroupName $group -Name {}\n{}$certificates = \
         New-AzVirtualNetworkGatewayCertificateAuthentication @settings\n",
        quoted(&link.gateway),
        table(&certificates)
    );
    let mut settings = vec![
        ("Name", quoted(&link.name)),
        ("ResourceGroupName", "$group".to_owned()),
        ("Location", "$location".to_owned()),
        ("VirtualNetworkGateway1", "$gateway".to_owned()),
        ("LocalNetworkGateway2", "$site".to_owned()),
        ("ConnectionType", quoted("IPsec")),
        ("ConnectionProtocol", quoted("IKEv2")),
        ("ConnectionMode", quoted(link.mode)),
        ("AuthenticationType", quoted("Certificate")),
        ("CertificateAuthentication", "$certificates".to_owned()),
        ("DpdTimeoutInSeconds", link.dpd.to_string()),
        ("UsePolicyBasedTrafficSelectors", format!("${}", link.narrow)),
    ];
    if let Some(policy) = &link.policy {
        let choices = [
            ("IkeEncryption", quoted(policy.ike_encryption.word())),
            ("IkeIntegrity", quoted(policy.ike_integrity.word())),
            ("DhGroup", quoted(policy.dh_group.word())),
            ("IpsecEncryption", quoted(policy.ipsec_encryption.word())),
            ("IpsecIntegrity", quoted(policy.ipsec_integrity.word())),
            ("PfsGroup", quoted(policy.pfs_group.word())),
            ("SALifeTimeSeconds", policy.life_time.as_secs().to_string()),
            ("SADataSizeKilobytes", policy.kilobytes.to_string()),
        ];
        text.push_str(&format!("{}$policy = New-AzIpsecPolicy @settings\n", table(&choices)));
        settings.push(("IpsecPolicies", "$policy".to_owned()));
    }
    if link.private {
        settings.push(("UseLocalAzureIpAddress", "$true".to_owned()));
    }
    if !link.selectors.is_empty() {
        text.push_str("$selectors = @(\n");
        for pair in &link.selectors {
            text.push_str(&format!(
                "  New-AzTrafficSelectorPolicy -LocalAddressRange {} -RemoteAddressRange {}\n",
                list(&pair.remote),
                list(&pair.local)
            ));
        }
        text.push_str(")\n");
        settings.push(("TrafficSelectorPolicy", "$selectors".to_owned()));
    }
    format!("{text}{}New-AzVirtualNetworkGatewayConnection @settings\n", table(&settings))
}

/// The parameters of a command for splatting (about_Splatting).
fn table(settings: &[(&str, String)]) -> String {
    let width = settings.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("  {name:width$} = {value}\n");
    format!("$settings = @{{\n{}}}\n", settings.iter().map(line).collect::<String>())
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("@({})", items.join(", "))
}
