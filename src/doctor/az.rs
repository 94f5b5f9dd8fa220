//! The commands for Azure's side. RG stands for the resource group, WORKSPACE for the Log Analytics
//! workspace: both are known there alone.

use std::net::IpAddr;

use crate::config::algorithm::ConnectionMode;
use crate::config::settings::{Connection, ConnectionPolicy, Site};

/// The Azure side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Az<'a> {
    /// This site, there a local network gateway.
    pub site: &'a Site,
    /// The connection.
    pub connection: &'a Connection,
}

impl Az<'_> {
    /// Shows some of the connection's properties.
    pub fn show(&self, query: &str) -> String {
        format!("az network vpn-connection show -g RG -n {} --query \"{query}\"", self.name())
    }

    /// Sets the policy that is written here.
    pub fn set_policy(&self) -> String {
        let name = self.name();
        match &self.connection.ipsec_policy {
            ConnectionPolicy::Default => {
                format!(
                    "az network vpn-connection ipsec-policy clear -g RG --connection-name {name}"
                )
            }
            ConnectionPolicy::Custom(policy) => format!(
                "az network vpn-connection ipsec-policy add -g RG --connection-name {name} \
                 --ike-encryption {} --ike-integrity {} --dh-group {} --ipsec-encryption {} --ipsec-integrity {} \
                 --pfs-group {} --sa-lifetime {} --sa-max-size {}",
                policy.ike_encryption,
                policy.ike_integrity,
                policy.dh_group,
                policy.ipsec_encryption,
                policy.ipsec_integrity,
                policy.pfs_group,
                policy.life_time.as_secs(),
                policy.kilobytes
            ),
        }
    }

    /// Shows the policy.
    pub fn policy(&self) -> String {
        format!(
            "az network vpn-connection ipsec-policy list -g RG --connection-name {} -o table",
            self.name()
        )
    }

    /// Sets who dials.
    pub fn set_mode(&self, mode: ConnectionMode) -> String {
        format!(
            "az network vpn-connection update -g RG -n {} --set connectionMode={mode}",
            self.name()
        )
    }

    /// Sets whether selectors are pairs of prefixes, as here.
    pub fn set_selectors(&self) -> String {
        let narrow = self.connection.selectors.pairs().is_some();
        format!(
            "az network vpn-connection update -g RG -n {} --use-policy-based-traffic-selectors {narrow}",
            self.name()
        )
    }

    /// Shows both certificates' settings.
    pub fn certificates(&self) -> String {
        self.show("certificateAuthentication")
    }

    /// Shows whether Azure calls it connected, and what it counted.
    pub fn traffic(&self) -> String {
        self.show("{status:connectionStatus,in:ingressBytesTransferred,out:egressBytesTransferred}")
    }

    /// Shows the gateway's public addresses.
    pub fn gateway_addresses(&self) -> String {
        format!(
            "az network vnet-gateway show -g RG -n {} \
             --query \"bgpSettings.bgpPeeringAddresses[].tunnelIpAddresses[]\" -o tsv",
            self.connection.virtual_network_gateway.name
        )
    }

    /// Tells Azure where this site is.
    pub fn set_site_address(&self, address: IpAddr) -> String {
        format!(
            "az network local-gateway update -g RG -n {} --gateway-ip-address {address}",
            self.site.name
        )
    }

    /// Tells Azure what lies behind this site.
    pub fn set_site_prefixes(&self) -> String {
        let prefixes: Vec<String> =
            self.site.address_prefixes.iter().map(ToString::to_string).collect();
        format!(
            "az network local-gateway update -g RG -n {} --local-address-prefixes {}",
            self.site.name,
            prefixes.join(" ")
        )
    }

    /// What Azure logged about this site.
    pub fn ike_log(&self) -> String {
        format!(
            "az monitor log-analytics query -w WORKSPACE --analytics-query \"AzureDiagnostics | where Category == \
             'IKEDiagnosticLog' and Message contains '{}' | project TimeGenerated, Message | top 50 by TimeGenerated\"",
            self.site.address
        )
    }

    fn name(&self) -> &str {
        self.connection.name.as_str()
    }
}
