//! Makes a configuration file from Azure's resources; what a configuration cannot hold becomes a
//! note.

use super::choices::ImportChoices;
use super::draft::{Draft, DraftConnection, DraftSite};
use super::fault::AzureFault;
use super::note::{Note, NoteKind};
use super::quote;
use super::refusal;
use super::resource::{
    AzureConnection, AzureGateway, LocalGateway, Reference, Resources, without_cn,
};

/// The result of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The text of the configuration file.
    pub toml: String,
    /// What is left to the operator; the file contains these notes as comments.
    pub notes: Vec<Note>,
}

/// Imports the chosen connections among these resources.
pub fn import(resources: &Resources, choices: &ImportChoices) -> Result<Imported, Vec<AzureFault>> {
    let connections = chosen(resources, choices).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let mut found = Vec::new();
    for connection in connections {
        let before = faults.len();
        faults.extend(refusal::of_connection(connection));
        // A refused connection needs no gateways.
        if faults.len() > before {
            continue;
        }
        let gateway = gateway(resources, connection)
            .and_then(|gateway| refusal::of_gateway(connection, gateway).map_or(Ok(gateway), Err));
        match (local_gateway(resources, connection), gateway) {
            (Ok(site), Ok(gateway)) => found.push((connection, site, gateway)),
            (site, gateway) => faults.extend(site.err().into_iter().chain(gateway.err())),
        }
    }
    let sites: Vec<&LocalGateway> = found.iter().map(|(_, site, _)| *site).collect();
    faults.extend(two_sites(&sites));
    match sites.first() {
        Some(site) if faults.is_empty() => Ok(draft(resources, site, &found, choices)),
        _ => Err(faults),
    }
}

fn draft(
    resources: &Resources,
    site: &LocalGateway,
    found: &[(&AzureConnection, &LocalGateway, &AzureGateway)],
    choices: &ImportChoices,
) -> Imported {
    let mut notes = Vec::new();
    let site = self::site(site, &mut notes);
    let links: Vec<DraftConnection<'_>> = found
        .iter()
        .map(|(connection, site, gateway)| {
            link(resources, connection, site, gateway, choices, &mut notes)
        })
        .collect();
    let toml = Draft { site, links, choices, notes: &notes }.to_string();
    Imported { toml, notes }
}

/// The chosen connections.
fn chosen<'a>(
    resources: &'a Resources,
    choices: &ImportChoices,
) -> Result<Vec<&'a AzureConnection>, AzureFault> {
    let all = &resources.connections;
    if all.is_empty() {
        return Err(AzureFault::new(
            "the JSON contains no connection",
            "add the output of: az network vpn-connection show --resource-group GROUP --name CONNECTION",
        ));
    }
    if choices.connections.is_empty() {
        return Ok(all.iter().collect());
    }
    let by_name = |name: &String| {
        let named = |c: &&AzureConnection| c.reference.name.eq_ignore_ascii_case(name);
        all.iter().find(named).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|c| c.reference.name.as_str()).collect();
            AzureFault::new(
                format_args!("the JSON contains no connection named {name}"),
                format_args!("the JSON contains {}", names.join(", ")),
            )
        })
    };
    choices.connections.iter().map(by_name).collect()
}

fn gateway<'a>(
    resources: &'a Resources,
    connection: &AzureConnection,
) -> Result<&'a AzureGateway, AzureFault> {
    let all: Vec<&Reference> = resources.gateways.iter().map(|g| &g.reference).collect();
    let at = one_of(
        &all,
        connection.gateway.as_ref(),
        connection,
        "virtual network gateway",
        "vnet-gateway",
    )?;
    Ok(&resources.gateways[at])
}

fn local_gateway<'a>(
    resources: &'a Resources,
    connection: &AzureConnection,
) -> Result<&'a LocalGateway, AzureFault> {
    let all: Vec<&Reference> = resources.local_gateways.iter().map(|g| &g.reference).collect();
    let named = connection.local_gateway.as_ref();
    let at = one_of(&all, named, connection, "local network gateway", "local-gateway")?;
    Ok(&resources.local_gateways[at])
}

/// The index of the resource that a connection names; a connection without a name for it means the
/// only resource of `all`.
fn one_of(
    all: &[&Reference],
    named: Option<&Reference>,
    connection: &AzureConnection,
    what: &str,
    command: &str,
) -> Result<usize, AzureFault> {
    let found = match named {
        Some(named) => all.iter().position(|other| other.matches(named)),
        None => (all.len() == 1).then_some(0),
    };
    found.ok_or_else(|| {
        let own = &connection.reference;
        let group = named.filter(|named| named.group.is_some()).unwrap_or(own).group_word();
        let name = named.map_or("NAME", |named| named.name.as_str());
        AzureFault::new(
            format_args!("the {what} {name} of connection {} is not in the JSON", own.name),
            format_args!(
                "add the output of: az network {command} show --resource-group {group} --name {}",
                quote::sh(name)
            ),
        )
    })
}

/// The fault of connections that belong to two sites: a configuration describes one site.
fn two_sites(sites: &[&LocalGateway]) -> Option<AzureFault> {
    let first = sites.first()?;
    let other = sites.iter().find(|site| !site.reference.matches(&first.reference))?;
    Some(AzureFault::new(
        format_args!(
            "the connections belong to two sites: local network gateways {} and {}",
            first.reference.name, other.reference.name
        ),
        "a configuration describes one site: choose the connections of one local network gateway with --connection NAME",
    ))
}

fn site(gateway: &LocalGateway, notes: &mut Vec<Note>) -> DraftSite {
    let name = gateway.reference.name.clone();
    let mut fill = |text: &str| {
        notes.push(Note { kind: NoteKind::Fill, about: name.clone(), text: text.to_owned() });
    };
    if gateway.address.is_none() && gateway.fqdn.is_none() {
        fill(
            "the local network gateway has neither gatewayIpAddress nor fqdn: write this site's public address",
        );
    }
    if gateway.prefixes.is_empty() {
        fill(
            "the local network gateway has no address prefixes, as is usual with BGP: write the networks behind this device",
        );
    }
    DraftSite {
        name: name.clone(),
        address: gateway.address.clone(),
        fqdn: gateway.fqdn.clone().filter(|_| gateway.address.is_none()),
        prefixes: gateway.prefixes.clone(),
    }
}

fn link<'a>(
    resources: &'a Resources,
    connection: &'a AzureConnection,
    site: &LocalGateway,
    gateway: &'a AzureGateway,
    choices: &ImportChoices,
    notes: &mut Vec<Note>,
) -> DraftConnection<'a> {
    let name = &connection.reference.name;
    let mut notes = Notes { about: name, notes };
    let (prefixes, source) = prefixes(resources, connection, gateway, &mut notes);
    let hosts = hosts(connection, gateway, &mut notes);
    let certificates = connection.certificates.clone().unwrap_or_default();
    let subject = subject(choices, certificates.outbound.as_deref(), &mut notes);
    notes.fill(format_args!(
        "put this device's certificate at {} and its private key at {}; the certificate needs CN={} and an issuer in the inbound \
         chain of the connection",
        choices.inbound_certificate,
        choices.inbound_private_key,
        certificates.subject.as_deref().map_or("(not in the JSON)", without_cn)
    ));
    notes.fill(format_args!(
        "put the root of Azure's certificate at {}, not the certificate itself",
        choices.outbound_root
    ));
    if connection.policies.len() > 1 {
        notes.left(format_args!(
            "{} IPsec policies: only the first was imported, because Azure uses one",
            connection.policies.len()
        ));
    }
    if !connection.narrow && !connection.selectors.is_empty() {
        notes.left(format_args!(
            "{} traffic selector policies: Azure uses them only with usePolicyBasedTrafficSelectors, which is false",
            connection.selectors.len()
        ));
    }
    bgp(connection, site, gateway, &mut notes);
    nat(connection, gateway, &mut notes);
    let peer = site.bgp.as_ref().filter(|_| connection.bgp);
    DraftConnection {
        name: name.clone(),
        mode: connection.mode.clone().unwrap_or_else(|| "Default".to_owned()),
        dpd: connection.dpd.filter(|seconds| *seconds != 0),
        narrow: connection.narrow,
        policy: connection.policies.first(),
        selectors: if connection.narrow { &connection.selectors } else { &[] },
        gateway: gateway.reference.name.clone(),
        hosts,
        private: connection.private,
        prefixes,
        source,
        subject,
        certificates,
        bgp_addresses: peer.map_or(Vec::new(), |speaker| speaker.addresses.clone()),
    }
}

/// Collects the notes about one connection.
struct Notes<'a> {
    about: &'a str,
    notes: &'a mut Vec<Note>,
}

impl Notes<'_> {
    fn left(&mut self, text: impl std::fmt::Display) {
        self.add(NoteKind::Left, text);
    }

    fn fill(&mut self, text: impl std::fmt::Display) {
        self.add(NoteKind::Fill, text);
    }

    fn add(&mut self, kind: NoteKind, text: impl std::fmt::Display) {
        self.notes.push(Note { kind, about: self.about.to_owned(), text: text.to_string() });
    }
}

/// The prefixes behind the gateway, and the property that they come from: the gateway's own JSON
/// has none.
fn prefixes(
    resources: &Resources,
    connection: &AzureConnection,
    gateway: &AzureGateway,
    notes: &mut Notes<'_>,
) -> (Vec<String>, String) {
    let networks = &resources.networks;
    let network = match &gateway.network {
        Some(name) => networks.iter().find(|n| n.reference.name.eq_ignore_ascii_case(name)),
        None => networks.first().filter(|_| networks.len() == 1),
    };
    if let Some(network) = network {
        let mut prefixes = network.prefixes.clone();
        let mut source = format!("addressSpace of virtual network {}", network.reference.name);
        for (name, more) in &network.peers {
            prefixes.extend(more.iter().filter(|p| !network.prefixes.contains(p)).cloned());
            source = format!("{source}, and of its peering {name}");
        }
        return (prefixes, source);
    }
    if connection.narrow && !connection.selectors.is_empty() {
        let mut prefixes: Vec<String> = Vec::new();
        for range in connection.selectors.iter().flat_map(|policy| &policy.azure) {
            if !prefixes.contains(range) {
                prefixes.push(range.clone());
            }
        }
        return (prefixes, "localAddressRanges of the traffic selector policies".to_owned());
    }
    let name = gateway.network.as_deref().unwrap_or("NETWORK");
    notes.fill(format_args!(
        "write the address prefixes of the virtual network, or import again with the output of: az network vnet show \
         --resource-group {} --name {}",
        gateway.reference.group_word(),
        quote::sh(name)
    ));
    (Vec::new(), format!("FILL IN: addressSpace of virtual network {name}"))
}

/// The addresses of the gateway's instances.
fn hosts(
    connection: &AzureConnection,
    gateway: &AzureGateway,
    notes: &mut Notes<'_>,
) -> Vec<String> {
    let name = &gateway.reference.name;
    let private = |text: &&String| {
        text.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_private())
    };
    let mut hosts: Vec<String> = if connection.private {
        let known = [&connection.tunnels, &gateway.private];
        let known = known.into_iter().find(|list| !list.is_empty()).cloned();
        known.unwrap_or_else(|| gateway.tunnels.iter().filter(private).cloned().collect())
    } else {
        gateway.tunnels.iter().filter(|text| !private(text)).cloned().collect()
    };
    if connection.private {
        notes.left(
            "the tunnel runs to the gateway's private addresses (useLocalAzureIpAddress): s2sd dials these like public ones, but the \
             ExpressRoute circuit and the routes to these addresses must be set up separately, and gateway_ip_address must be \
             this device's private address",
        );
    }
    if hosts.is_empty() {
        let what = if connection.private { "private" } else { "public" };
        notes.fill(format_args!(
            "write the {what} addresses of gateway {name}: the JSON contains none; the portal shows them on the gateway's Properties page"
        ));
    }
    let instances = if gateway.active_active { 2 } else { 1 };
    for surplus in hosts.split_off(hosts.len().min(2)) {
        notes.left(format_args!("the address {surplus} of gateway {name}: a gateway has at most two instances, and a third address is for point-to-site"));
    }
    if !hosts.is_empty() && hosts.len() < instances {
        notes.fill(format_args!(
            "gateway {name} is active-active, but the JSON contains one address only: add the second address, for a tunnel to each instance"
        ));
    }
    hosts
}

/// The common name that Azure's certificate must have.
fn subject(choices: &ImportChoices, url: Option<&str>, notes: &mut Notes<'_>) -> String {
    if let Some(subject) = &choices.outbound_subject {
        return without_cn(subject).to_owned();
    }
    let name = url.and_then(in_vault);
    match (url, name) {
        (Some(url), Some(name)) => {
            notes.fill(format_args!(
                "{name} is the name of Azure's certificate in Key Vault, and its CN may differ; this command prints the subject: az keyvault \
                 certificate show --id {} --query policy.x509CertificateProperties.subject --output tsv",
                quote::sh(url)
            ));
            name.to_owned()
        }
        _ => {
            notes.fill(
                "write the CN of Azure's certificate: the JSON does not name the certificate",
            );
            String::new()
        }
    }
}

/// The name of a certificate in `https://VAULT/certificates/NAME/VERSION`; URLs of secrets have the
/// same form.
fn in_vault(url: &str) -> Option<&str> {
    let mut parts = url.split('/').skip(3);
    parts.next()?;
    parts.next().filter(|name| !name.is_empty())
}

fn bgp(
    connection: &AzureConnection,
    site: &LocalGateway,
    gateway: &AzureGateway,
    notes: &mut Notes<'_>,
) {
    if !connection.bgp {
        return;
    }
    let speaker = |who: &str, asn: Option<u64>, addresses: &[String]| {
        let asn = asn.map_or_else(|| "unknown".to_owned(), |asn| asn.to_string());
        let at = if addresses.is_empty() { "unknown".to_owned() } else { addresses.join(", ") };
        format!("{who} ASN {asn} at {at}")
    };
    let bgp = gateway.bgp.as_ref();
    let theirs = match connection.custom_bgp.as_slice() {
        [] => bgp.map_or(&[][..], |bgp| bgp.addresses.as_slice()),
        custom => custom,
    };
    let ours = site.bgp.as_ref();
    let apipa = |text: &String| {
        text.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_link_local())
    };
    let dials = if theirs.iter().any(apipa) {
        "; with 169.254 addresses this side must open the BGP session"
    } else {
        ""
    };
    notes.left(format_args!(
        "BGP: run FRR or BIRD over the tunnel's interface. {}; {}; multihop, keepalive 60 s, hold 180 s; a /32 route to each of \
         Azure's addresses through its tunnel{dials}; name those addresses and the networks to learn in `accept_sources`",
        speaker("Azure has", bgp.and_then(|bgp| bgp.asn), theirs),
        speaker("this site has", ours.and_then(|o| o.asn), ours.map_or(&[][..], |o| o.addresses.as_slice())),
    ));
}

fn nat(connection: &AzureConnection, gateway: &AzureGateway, notes: &mut Notes<'_>) {
    for rule in &connection.nat_rules {
        let known = gateway.nat_rules.iter().find(|r| r.name.eq_ignore_ascii_case(&rule.name));
        let Some(known) = known else {
            notes.left(format_args!(
                "NAT rule {}, which is not in the gateway's JSON: Azure translates addresses on its side, so write the addresses that \
                 this device sees",
                rule.name
            ));
            continue;
        };
        let (inside, outside) = (known.internal.join(", "), known.external.join(", "));
        let egress =
            known.mode.as_ref().is_some_and(|mode| mode.eq_ignore_ascii_case("EgressSnat"));
        let effect = match egress {
            true => format!(
                "this device sees {outside} instead of {inside}: write {outside} in the gateway's address_prefixes instead"
            ),
            false => format!(
                "Azure's side sees {outside} instead of {inside}: nothing to change, this device keeps {inside}"
            ),
        };
        notes.left(format_args!(
            "NAT rule {}, which Azure applies on its side: {effect}",
            rule.name
        ));
    }
}
