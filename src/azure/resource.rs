//! The properties of Azure's resources that s2sd needs, read from JSON.

use super::fault::AzureFault;
use super::json::{self, Node};
use super::quote;

/// The resources of all files of an import.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// `Microsoft.Network/connections`.
    pub connections: Vec<AzureConnection>,
    /// `Microsoft.Network/localNetworkGateways`.
    pub local_gateways: Vec<LocalGateway>,
    /// `Microsoft.Network/virtualNetworkGateways`.
    pub(crate) gateways: Vec<AzureGateway>,
    /// `Microsoft.Network/virtualNetworks`.
    pub(crate) networks: Vec<Network>,
}

/// The name and resource group of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reference {
    /// The name of the resource.
    pub(crate) name: String,
    /// The resource group, if known.
    pub(crate) group: Option<String>,
}

/// A connection between a virtual network gateway and a local network gateway.
#[derive(Clone, Debug)]
pub struct AzureConnection {
    /// The name and resource group.
    pub(crate) reference: Reference,
    /// `connectionType`.
    pub(crate) kind: Option<String>,
    /// `connectionProtocol`.
    pub(crate) protocol: Option<String>,
    /// `connectionMode`.
    pub(crate) mode: Option<String>,
    /// `authenticationType`; older connections have none, and use a pre-shared key.
    pub(crate) authentication: Option<String>,
    /// `certificateAuthentication`.
    pub certificates: Option<AzureCertificates>,
    /// `dpdTimeoutSeconds`.
    pub(crate) dpd: Option<u64>,
    /// `usePolicyBasedTrafficSelectors`.
    pub(crate) narrow: bool,
    /// `useLocalAzureIpAddress`.
    pub(crate) private: bool,
    /// `enableBgp`.
    pub(crate) bgp: bool,
    /// `ipsecPolicies`.
    pub(crate) policies: Vec<AzurePolicy>,
    /// `trafficSelectorPolicies`.
    pub(crate) selectors: Vec<AzureSelectors>,
    /// `ingressNatRules` and `egressNatRules`.
    pub(crate) nat_rules: Vec<Reference>,
    /// `gatewayCustomBgpIpAddresses`.
    pub(crate) custom_bgp: Vec<String>,
    /// `tunnelProperties[].tunnelIpAddress`.
    pub(crate) tunnels: Vec<String>,
    /// `virtualNetworkGateway1`.
    pub(crate) gateway: Option<Reference>,
    /// `localNetworkGateway2`.
    pub(crate) local_gateway: Option<Reference>,
}

/// A connection's `certificateAuthentication`.
#[derive(Clone, Debug, Default)]
pub struct AzureCertificates {
    /// `outboundAuthCertificate`.
    pub outbound: Option<String>,
    /// `inboundAuthCertificateSubjectName`.
    pub subject: Option<String>,
    /// `inboundAuthCertificateChain`.
    pub chain: Vec<String>,
}

/// One of a connection's `ipsecPolicies`.
#[derive(Clone, Debug)]
pub(crate) struct AzurePolicy {
    /// The algorithms, by Azure's names of the properties.
    pub(crate) choices: [(&'static str, String); 6],
    /// `saLifeTimeSeconds`.
    pub(crate) seconds: Option<u64>,
    /// `saDataSizeKilobytes`.
    pub(crate) kilobytes: Option<u64>,
}

/// One of a connection's `trafficSelectorPolicies`, in which "local" is Azure.
#[derive(Clone, Debug)]
pub(crate) struct AzureSelectors {
    /// `localAddressRanges`: Azure's side.
    pub(crate) azure: Vec<String>,
    /// `remoteAddressRanges`: this device's side.
    pub(crate) site: Vec<String>,
}

/// A local network gateway, which is this site.
#[derive(Clone, Debug)]
pub struct LocalGateway {
    /// The name and resource group.
    pub(crate) reference: Reference,
    /// `gatewayIpAddress`.
    pub(crate) address: Option<String>,
    /// `fqdn`.
    pub(crate) fqdn: Option<String>,
    /// `localNetworkAddressSpace.addressPrefixes`.
    pub(crate) prefixes: Vec<String>,
    /// `bgpSettings`.
    pub(crate) bgp: Option<BgpSpeaker>,
}

/// The BGP settings of a gateway.
#[derive(Clone, Debug)]
pub(crate) struct BgpSpeaker {
    /// `asn`.
    pub(crate) asn: Option<u64>,
    /// The BGP peering addresses.
    pub(crate) addresses: Vec<String>,
}

/// A virtual network gateway.
#[derive(Clone, Debug)]
pub(crate) struct AzureGateway {
    /// The name and resource group.
    pub(crate) reference: Reference,
    /// `gatewayType`.
    pub(crate) kind: Option<String>,
    /// `vpnType`.
    pub(crate) vpn: Option<String>,
    /// `sku.name`.
    pub(crate) sku: Option<String>,
    /// `activeActive`.
    pub(crate) active_active: bool,
    /// `bgpSettings.bgpPeeringAddresses[].tunnelIpAddresses`.
    pub(crate) tunnels: Vec<String>,
    /// `ipConfigurations[].privateIPAddress`.
    pub(crate) private: Vec<String>,
    /// `bgpSettings`.
    pub(crate) bgp: Option<BgpSpeaker>,
    /// `natRules`.
    pub(crate) nat_rules: Vec<NatRule>,
    /// The virtual network of the gateway's `GatewaySubnet`.
    pub(crate) network: Option<String>,
}

/// One of a gateway's `natRules`.
#[derive(Clone, Debug)]
pub(crate) struct NatRule {
    /// The name of the rule.
    pub(crate) name: String,
    /// `mode`: IngressSnat or EgressSnat.
    pub(crate) mode: Option<String>,
    /// `internalMappings`.
    pub(crate) internal: Vec<String>,
    /// `externalMappings`.
    pub(crate) external: Vec<String>,
}

/// A virtual network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The name and resource group.
    pub(crate) reference: Reference,
    /// `addressSpace.addressPrefixes`.
    pub(crate) prefixes: Vec<String>,
    /// The names and prefixes of peered networks that may use the gateway of this network.
    pub(crate) peers: Vec<(String, Vec<String>)>,
}

/// The kind of resource that a JSON object describes.
enum ResourceKind {
    Connection,
    LocalGateway,
    Gateway,
    Network,
    /// Another kind, by its `type`.
    Other,
}

impl Resources {
    /// Adds the resources of a text: one or more documents, lists, or ARM templates.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), AzureFault> {
        let documents = json::documents(file, text)?;
        documents.iter().try_for_each(|document| self.take(&Node::new(document, file)))
    }

    fn take(&mut self, node: &Node<'_>) -> Result<(), AzureFault> {
        if !node.is_object() || (node.raw("type").is_none() && kind(node).is_none()) {
            return self.take_items(node);
        }
        let name = Reference::of(node).name;
        let at = node.clone().called(format!("{}: {name}", node.place()));
        match kind(node) {
            Some(ResourceKind::Connection) => self.connections.push(AzureConnection::read(&at)?),
            Some(ResourceKind::LocalGateway) => self.local_gateways.push(LocalGateway::read(&at)?),
            Some(ResourceKind::Gateway) => self.gateways.push(AzureGateway::read(&at)?),
            Some(ResourceKind::Network) => self.networks.push(Network::read(&at)?),
            Some(ResourceKind::Other) | None => {}
        }
        Ok(())
    }

    fn take_items(&mut self, node: &Node<'_>) -> Result<(), AzureFault> {
        let schema = node.raw("$schema").unwrap_or_default();
        let node = match schema.contains("deploymentTemplate") {
            true => node.clone().template(),
            false => node.clone(),
        };
        let items = node.items();
        if items.is_empty() {
            let keys = node.keys().into_iter().take(5).collect::<Vec<_>>().join(", ");
            let found = match (node.is_object(), keys.is_empty()) {
                (true, false) => format!("an object with {keys}"),
                (true, true) => "an empty object".to_owned(),
                (false, _) => "neither an object nor a list of objects".to_owned(),
            };
            return Err(AzureFault::new(
                format_args!("{}: found {found}, expected an Azure resource", node.place()),
                "use the output of: az network vpn-connection show, az network local-gateway show, \
                 az network vnet-gateway show, az network vnet show",
            ));
        }
        items.iter().try_for_each(|item| self.take(item))
    }
}

/// The kind of a resource: by its `type`, or else by its properties.
fn kind(node: &Node<'_>) -> Option<ResourceKind> {
    if let Some(name) = node.raw("type") {
        let of = |kind: &str| name.eq_ignore_ascii_case(&format!("Microsoft.Network/{kind}"));
        return Some(match () {
            () if of("connections") => ResourceKind::Connection,
            () if of("localNetworkGateways") => ResourceKind::LocalGateway,
            () if of("virtualNetworkGateways") => ResourceKind::Gateway,
            () if of("virtualNetworks") => ResourceKind::Network,
            () => ResourceKind::Other,
        });
    }
    let any = |keys: &[&str]| keys.iter().any(|key| node.has(key));
    match () {
        () if any(&["connectionType", "virtualNetworkGateway1"]) => Some(ResourceKind::Connection),
        () if any(&["gatewayType", "vpnType", "ipConfigurations"]) => Some(ResourceKind::Gateway),
        () if any(&["localNetworkAddressSpace", "gatewayIpAddress"]) => {
            Some(ResourceKind::LocalGateway)
        }
        () if any(&["addressSpace"]) => Some(ResourceKind::Network),
        () => None,
    }
}

impl Reference {
    /// The reference of an object, by its name and id.
    fn of(node: &Node<'_>) -> Reference {
        let by_id = node.raw("id").map(Reference::by_id);
        let group = node.raw("resourceGroup").map(str::to_owned);
        let name = node.raw("name").map(str::to_owned);
        let (id_name, id_group) = by_id.map_or((None, None), |id| (Some(id.name), id.group));
        Reference { name: name.or(id_name).unwrap_or_default(), group: group.or(id_group) }
    }

    /// The reference in an id: a path, or a template's `[resourceId('TYPE', 'NAME')]`.
    pub(crate) fn by_id(id: &str) -> Reference {
        if id.starts_with('[') {
            let name = id.split('\'').rev().nth(1).unwrap_or_default();
            return Reference { name: name.to_owned(), group: None };
        }
        let name = id.rsplit('/').next().unwrap_or_default().to_owned();
        Reference { name, group: segment(id, "resourceGroups") }
    }

    /// The resource group as a word of a command.
    pub(crate) fn group_word(&self) -> String {
        self.group.as_deref().map_or_else(|| "GROUP".to_owned(), quote::sh)
    }

    /// Whether both may be the same resource: names ignore case, and an unknown group matches any.
    pub(crate) fn matches(&self, other: &Reference) -> bool {
        let groups = self.group.as_ref().zip(other.group.as_ref());
        self.name.eq_ignore_ascii_case(&other.name)
            && groups.is_none_or(|(a, b)| a.eq_ignore_ascii_case(b))
    }
}

/// The segment of an id after the segment `word`.
fn segment(id: &str, word: &str) -> Option<String> {
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case(word));
    parts.nth(1).map(str::to_owned)
}

/// A subject without `CN=`: Azure's samples write `CN=name`, the portal writes `name`.
pub(super) fn without_cn(subject: &str) -> &str {
    match subject.split_at_checked(3) {
        Some((prefix, name)) if prefix.eq_ignore_ascii_case("CN=") => name,
        _ => subject,
    }
}

impl AzureConnection {
    fn read(node: &Node<'_>) -> Result<AzureConnection, AzureFault> {
        let references = |key| -> Result<Vec<Reference>, AzureFault> {
            Ok(node
                .list(key)?
                .iter()
                .filter_map(|rule| rule.raw("id"))
                .map(Reference::by_id)
                .collect())
        };
        let id = |key| node.get(key)?.raw("id").map(Reference::by_id);
        let texts = |list, key| -> Result<Vec<String>, AzureFault> {
            Ok(node
                .list(list)?
                .iter()
                .map(|item| item.text(key))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect())
        };
        let mut nat_rules = references("ingressNatRules")?;
        nat_rules.extend(references("egressNatRules")?);
        let certificates = node.get("certificateAuthentication");
        Ok(AzureConnection {
            reference: Reference::of(node),
            kind: node.text("connectionType")?,
            protocol: node.text("connectionProtocol")?,
            mode: node.text("connectionMode")?,
            authentication: node.text("authenticationType")?,
            certificates: certificates.map(|node| AzureCertificates::read(&node)).transpose()?,
            dpd: node.number("dpdTimeoutSeconds")?,
            narrow: node.flag("usePolicyBasedTrafficSelectors")?,
            private: node.flag("useLocalAzureIpAddress")?,
            bgp: node.flag("enableBgp")?,
            policies: node
                .list("ipsecPolicies")?
                .iter()
                .map(AzurePolicy::read)
                .collect::<Result<_, _>>()?,
            selectors: node
                .list("trafficSelectorPolicies")?
                .iter()
                .map(AzureSelectors::read)
                .collect::<Result<_, _>>()?,
            nat_rules,
            custom_bgp: texts("gatewayCustomBgpIpAddresses", "customBgpIpAddress")?,
            tunnels: texts("tunnelProperties", "tunnelIpAddress")?,
            gateway: id("virtualNetworkGateway1"),
            local_gateway: id("localNetworkGateway2"),
        })
    }
}

impl AzureCertificates {
    fn read(node: &Node<'_>) -> Result<AzureCertificates, AzureFault> {
        Ok(AzureCertificates {
            outbound: node.text("outboundAuthCertificate")?,
            subject: node.text("inboundAuthCertificateSubjectName")?,
            chain: node.texts("inboundAuthCertificateChain")?,
        })
    }
}

impl AzurePolicy {
    fn read(node: &Node<'_>) -> Result<AzurePolicy, AzureFault> {
        let choice = |key: &'static str| match node.text(key)? {
            Some(value) => Ok((key, value)),
            None => Err(AzureFault::new(
                format_args!("{} has no {key}", node.place()),
                "a custom policy in Azure has all algorithms: run az again to print the connection",
            )),
        };
        Ok(AzurePolicy {
            choices: [
                choice("ikeEncryption")?,
                choice("ikeIntegrity")?,
                choice("dhGroup")?,
                choice("ipsecEncryption")?,
                choice("ipsecIntegrity")?,
                choice("pfsGroup")?,
            ],
            seconds: node.number("saLifeTimeSeconds")?,
            kilobytes: node.number("saDataSizeKilobytes")?,
        })
    }
}

impl AzureSelectors {
    fn read(node: &Node<'_>) -> Result<AzureSelectors, AzureFault> {
        Ok(AzureSelectors {
            azure: node.texts("localAddressRanges")?,
            site: node.texts("remoteAddressRanges")?,
        })
    }
}

impl LocalGateway {
    fn read(node: &Node<'_>) -> Result<LocalGateway, AzureFault> {
        let space = node.get("localNetworkAddressSpace");
        let text = |key| Ok::<_, AzureFault>(node.text(key)?.filter(|text| !text.is_empty()));
        Ok(LocalGateway {
            reference: Reference::of(node),
            address: text("gatewayIpAddress")?,
            fqdn: text("fqdn")?,
            prefixes: space.map_or(Ok(Vec::new()), |space| space.texts("addressPrefixes"))?,
            bgp: node.get("bgpSettings").map(|node| BgpSpeaker::read(&node)).transpose()?,
        })
    }
}

impl BgpSpeaker {
    fn read(node: &Node<'_>) -> Result<BgpSpeaker, AzureFault> {
        let addresses = node.text("bgpPeeringAddress")?.unwrap_or_default();
        let addresses = addresses.split(',').map(str::trim).filter(|a| !a.is_empty());
        let mut speaker = BgpSpeaker {
            asn: node.number("asn")?,
            addresses: addresses.map(str::to_owned).collect(),
        };
        for instance in node.list("bgpPeeringAddresses")? {
            for address in instance.texts("customBgpIpAddresses")? {
                if !speaker.addresses.contains(&address) {
                    speaker.addresses.push(address);
                }
            }
        }
        Ok(speaker)
    }
}

impl AzureGateway {
    fn read(node: &Node<'_>) -> Result<AzureGateway, AzureFault> {
        let mut tunnels = Vec::new();
        if let Some(settings) = node.get("bgpSettings") {
            for instance in settings.list("bgpPeeringAddresses")? {
                tunnels.extend(instance.texts("tunnelIpAddresses")?);
            }
        }
        let instances = node.list("ipConfigurations")?;
        let private = instances.iter().map(|instance| instance.text("privateIPAddress"));
        let subnet =
            |instance: &Node<'_>| segment(instance.get("subnet")?.raw("id")?, "virtualNetworks");
        Ok(AzureGateway {
            reference: Reference::of(node),
            kind: node.text("gatewayType")?,
            vpn: node.text("vpnType")?,
            sku: node.get("sku").map_or(Ok(None), |sku| sku.text("name"))?,
            active_active: node.flag("activeActive")?,
            tunnels,
            private: private.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(),
            bgp: node.get("bgpSettings").map(|node| BgpSpeaker::read(&node)).transpose()?,
            nat_rules: node
                .list("natRules")?
                .iter()
                .map(NatRule::read)
                .collect::<Result<_, _>>()?,
            network: instances.iter().find_map(subnet),
        })
    }
}

impl NatRule {
    fn read(node: &Node<'_>) -> Result<NatRule, AzureFault> {
        let mappings = |key| -> Result<Vec<String>, AzureFault> {
            let spaces = node.list(key)?;
            let spaces = spaces.iter().map(|mapping| mapping.text("addressSpace"));
            Ok(spaces.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        Ok(NatRule {
            name: Reference::of(node).name,
            mode: node.text("mode")?,
            internal: mappings("internalMappings")?,
            external: mappings("externalMappings")?,
        })
    }
}

impl Network {
    fn read(node: &Node<'_>) -> Result<Network, AzureFault> {
        let prefixes = |node: &Node<'_>, key| {
            node.get(key).map_or(Ok(Vec::new()), |space| space.texts("addressPrefixes"))
        };
        let mut peers = Vec::new();
        for peering in node.list("virtualNetworkPeerings")? {
            if peering.flag("allowGatewayTransit")? {
                let mut remote = prefixes(&peering, "remoteAddressSpace")?;
                if remote.is_empty() {
                    remote = prefixes(&peering, "remoteVirtualNetworkAddressSpace")?;
                }
                peers.push((Reference::of(&peering).name, remote));
            }
        }
        Ok(Network {
            reference: Reference::of(node),
            prefixes: prefixes(node, "addressSpace")?,
            peers,
        })
    }
}
