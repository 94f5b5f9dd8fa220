//! Azure's side of a configuration, with Azure's names and from Azure's point of view.

use std::net::IpAddr;

use super::chain::InboundChain;
use super::fault::AzureFault;
use crate::config::Config;
use crate::config::prefix::Prefix;
use crate::config::settings::{
    Connection, ConnectionPolicy, CustomPolicy, PrefixPair, TrafficSelection,
};
use crate::config::value::Host;

/// The resources to create in Azure. `None` is a value that the operator must fill in.
#[derive(Clone, Debug)]
pub struct AzureSide {
    /// The resource group of all resources.
    pub group: Option<String>,
    /// The region of all resources.
    pub(crate) location: Option<String>,
    /// The local network gateway.
    pub(crate) site: ExportSite,
    /// The connections.
    pub(crate) links: Vec<ExportConnection>,
}

/// The local network gateway to create.
#[derive(Clone, Debug)]
pub(crate) struct ExportSite {
    /// `name`.
    pub(crate) name: String,
    /// `gatewayIpAddress` or `fqdn`.
    pub(crate) host: Host,
    /// `localNetworkAddressSpace.addressPrefixes`.
    pub(crate) prefixes: Vec<Prefix>,
}

/// A connection to create.
#[derive(Clone, Debug)]
pub(crate) struct ExportConnection {
    /// `name`.
    pub(crate) name: String,
    /// `virtualNetworkGateway1`.
    pub(crate) gateway: String,
    /// `connectionMode`.
    pub(crate) mode: &'static str,
    /// `dpdTimeoutSeconds`.
    pub(crate) dpd: u64,
    /// `useLocalAzureIpAddress`.
    pub(crate) private: bool,
    /// `usePolicyBasedTrafficSelectors`.
    pub(crate) narrow: bool,
    /// `ipsecPolicies`.
    pub(crate) policy: Option<CustomPolicy>,
    /// `trafficSelectorPolicies`, unless Azure derives the same ones from the prefixes.
    pub(crate) selectors: Vec<PrefixPair>,
    /// `outboundAuthCertificate`.
    pub(crate) outbound: Option<String>,
    /// The inbound properties of `certificateAuthentication`.
    pub(crate) inbound: InboundChain,
}

/// The choices of an operator for an export, which the configuration does not have.
#[derive(Clone, Debug, Default)]
pub struct ExportChoices {
    /// The names of the connections to export; empty exports all.
    pub connections: Vec<String>,
    /// The resource group.
    pub group: Option<String>,
    /// The region.
    pub location: Option<String>,
    /// The name of the virtual network gateway, if other than in the configuration.
    pub gateway: Option<String>,
    /// `outboundAuthCertificate`: one for all connections, or one for each in order.
    pub outbound: Vec<String>,
}

impl ExportChoices {
    /// The chosen connections of a configuration.
    pub fn of<'c>(&self, config: &'c Config) -> Result<Vec<&'c Connection>, AzureFault> {
        let all = &config.connections;
        let by_name = |name: &String| {
            all.iter().find(|c| c.name.as_str() == name).ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
                AzureFault::new(
                    format_args!("the configuration has no connection named {name}"),
                    format_args!("the configuration has {}", names.join(", ")),
                )
            })
        };
        match self.connections.as_slice() {
            [] => Ok(all.iter().collect()),
            names => names.iter().map(by_name).collect(),
        }
    }
}

impl AzureSide {
    /// Azure's side of these connections, each with the settings of our certificate.
    pub fn of(
        config: &Config,
        connections: &[(&Connection, InboundChain)],
        choices: &ExportChoices,
    ) -> Result<AzureSide, AzureFault> {
        let many = connections.len();
        if choices.outbound.len() > 1 && choices.outbound.len() != many {
            return Err(AzureFault::new(
                format_args!(
                    "{} outbound certificates for {many} connections",
                    choices.outbound.len()
                ),
                "give --outbound-certificate-url once for all, or once for each connection in the file's order",
            ));
        }
        if choices.gateway.is_some() && many > 1 {
            return Err(AzureFault::new(
                format_args!("one --gateway-name for {many} connections"),
                "choose one connection with --connection NAME, or write the names of the gateways into the configuration",
            ));
        }
        let link = |(at, (connection, inbound)): (usize, &(&Connection, InboundChain))| {
            let outbound = choices.outbound.get(at).or(choices.outbound.first());
            link(connection, inbound.clone(), outbound.cloned(), choices)
        };
        let site = &config.local_network_gateway;
        Ok(AzureSide {
            group: choices.group.clone(),
            location: choices.location.clone(),
            site: ExportSite {
                name: site.name.to_string(),
                host: site.address.clone(),
                prefixes: site.address_prefixes.clone(),
            },
            links: connections.iter().enumerate().map(link).collect(),
        })
    }

    /// The names of the gateways of all connections, each once.
    pub(crate) fn gateways(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for link in &self.links {
            if !names.contains(&link.gateway.as_str()) {
                names.push(&link.gateway);
            }
        }
        names
    }

    /// The comment lines at the beginning of each output.
    pub(crate) fn about(&self) -> [String; 5] {
        let names: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
        [
            format!("Azure's side of {}, made by `s2sd azure export`.", names.join(", ")),
            "The gateway reads its outbound certificate with a user-assigned identity, which needs the roles".to_owned(),
            "Key Vault Secrets User and Key Vault Certificate User on the vault.".to_owned(),
            "This is for new resources: existing ones would lose further settings, such as BGP and NAT".to_owned(),
            "rules.".to_owned(),
        ]
    }
}

impl ExportConnection {
    /// The same with placeholders for all unknown values.
    pub(crate) fn with_placeholders(&self) -> ExportConnection {
        let fill = |known: &Option<String>, what| Some(placeholder(known.as_deref(), what));
        let inbound = InboundChain {
            subject: fill(&self.inbound.subject, "INBOUND-CERTIFICATE-SUBJECT-NAME"),
            chain: self.inbound.chain.clone().or_else(|| Some(vec!["<ROOT-IN-BASE64>".to_owned()])),
        };
        let outbound = fill(&self.outbound, "OUTBOUND-CERTIFICATE-URL");
        ExportConnection { outbound, inbound, ..self.clone() }
    }
}

fn link(
    connection: &Connection,
    inbound: InboundChain,
    outbound: Option<String>,
    choices: &ExportChoices,
) -> ExportConnection {
    let gateway = &connection.virtual_network_gateway;
    let own_name = || gateway.name.to_string();
    ExportConnection {
        name: connection.name.to_string(),
        gateway: choices.gateway.clone().unwrap_or_else(own_name),
        mode: connection.connection_mode.word(),
        dpd: connection.dpd_timeout.as_secs(),
        private: private(connection),
        narrow: connection.selectors.pairs().is_some(),
        policy: match &connection.ipsec_policy {
            ConnectionPolicy::Default => None,
            ConnectionPolicy::Custom(policy) => Some(policy.clone()),
        },
        // Azure derives these selectors from the prefixes itself.
        selectors: match &connection.selectors {
            TrafficSelection::Written(pairs) => pairs.clone(),
            TrafficSelection::AnyToAny | TrafficSelection::Prefixes(_) => Vec::new(),
        },
        outbound,
        inbound,
    }
}

/// Whether all addresses of the gateway are private, as over ExpressRoute.
fn private(connection: &Connection) -> bool {
    let is_private = |host: &Host| match host.address() {
        Some(IpAddr::V4(address)) => address.is_private(),
        Some(IpAddr::V6(_)) | None => false,
    };
    connection.tunnels.iter().all(|tunnel| is_private(&tunnel.remote))
}

/// The algorithms of a custom policy, by Azure's names of the properties.
pub(crate) fn choices(policy: &CustomPolicy) -> [(&'static str, &'static str); 6] {
    [
        ("ikeEncryption", policy.ike_encryption.word()),
        ("ikeIntegrity", policy.ike_integrity.word()),
        ("dhGroup", policy.dh_group.word()),
        ("ipsecEncryption", policy.ipsec_encryption.word()),
        ("ipsecIntegrity", policy.ipsec_integrity.word()),
        ("pfsGroup", policy.pfs_group.word()),
    ]
}

/// A known text, or a placeholder like `<LOCATION>`.
pub(crate) fn placeholder(text: Option<&str>, what: &str) -> String {
    text.map_or_else(|| format!("<{what}>"), str::to_owned)
}
