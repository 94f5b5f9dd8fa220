//! The Azure CLI commands that show or change the gateway's side. RG stands for the resource group
//! and WORKSPACE for the Log Analytics workspace: the configuration has neither.

use std::net::IpAddr;

use crate::config::algorithm::ConnectionMode;
use crate::config::settings::{Connection, ConnectionPolicy, Site};

/// Makes the Azure CLI commands for one connection.
#[derive(Clone, Copy, Debug)]
pub struct AzCommands<'a> {
    /// This site, which is a local network gateway in Azure.
    pub site: &'a Site,
    /// The connection.
    pub connection: &'a Connection,
}

impl AzCommands<'_> {
    /// The command that shows the connection's properties that a query selects.
    pub fn show(&self, query: &str) -> String {
        format!("az network vpn-connection show -g RG -n {} --query \"{query}\"", self.name())
    }

    /// The command that gives the connection the IPsec policy of the configuration.
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

    /// The command that shows the connection's IPsec policy.
    pub fn policy(&self) -> String {
        format!(
            "az network vpn-connection ipsec-policy list -g RG --connection-name {} -o table",
            self.name()
        )
    }

    /// The command that sets the connection mode.
    pub fn set_mode(&self, mode: ConnectionMode) -> String {
        format!(
            "az network vpn-connection update -g RG -n {} --set connectionMode={mode}",
            self.name()
        )
    }

    /// The command that makes Azure use policy-based traffic selectors as the configuration does.
    pub fn set_selectors(&self) -> String {
        let narrow = self.connection.selectors.pairs().is_some();
        format!(
            "az network vpn-connection update -g RG -n {} --use-policy-based-traffic-selectors {narrow}",
            self.name()
        )
    }

    /// The command that shows the settings of both certificates.
    pub fn certificates(&self) -> String {
        self.show("certificateAuthentication")
    }

    /// The command that shows the gateway's public addresses.
    pub fn gateway_addresses(&self) -> String {
        format!(
            "az network vnet-gateway show -g RG -n {} \
             --query \"bgpSettings.bgpPeeringAddresses[].tunnelIpAddresses[]\" -o tsv",
            self.connection.virtual_network_gateway.name
        )
    }

    /// The command that sets this site's public address in Azure.
    pub fn set_site_address(&self, address: IpAddr) -> String {
        format!(
            "az network local-gateway update -g RG -n {} --gateway-ip-address {address}",
            self.site.name
        )
    }

    /// The command that sets this site's address prefixes in Azure.
    pub fn set_site_prefixes(&self) -> String {
        let prefixes: Vec<String> =
            self.site.address_prefixes.iter().map(ToString::to_string).collect();
        format!(
            "az network local-gateway update -g RG -n {} --local-address-prefixes {}",
            self.site.name,
            prefixes.join(" ")
        )
    }

    /// The command that shows Azure's IKE log of this site.
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
