//! From the configuration to what the engine takes: one peer for each instance of a gateway.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::algorithm::ConnectionMode;
use super::prefix::Prefix;
use super::settings::{
    Config, Connection, ConnectionPolicy, CustomPolicy, GatewayTunnel, PrefixPair, Site,
};
use crate::dataplane::InnerNetworks;
use crate::ike::authenticator::Authenticator;
use crate::ike::diagnosis::azure_names::{self, PolicyNames};
use crate::ike::endpoint::config::{ChildConfig, DialRole, EndpointConfig, PeerConfig};
use crate::ike::negotiation::proposal;
use crate::ike::sa::dpd::DpdTimeout;
use crate::ike::sa::lifetime::IKE_HARD;
use crate::ike::testing::emulation::PeerBehaviour;
use crate::wire::payload::id::Identity;
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow;
use crate::wire::selector::set::SelectorSet;

/// The engine's settings that hold for all peers.
pub fn endpoint(config: &Config) -> EndpointConfig {
    let pairs = |connection: &Connection| connection.selectors.pairs().map_or(1, <[_]>::len);
    let defaults = EndpointConfig::default();
    let most = config.connections.iter().map(pairs).max().unwrap_or(0);
    EndpointConfig { max_children: defaults.max_children.max(most), ..defaults }
}

/// The engine's settings for the peer at the other end of one tunnel. `remotes` are the addresses
/// that the gateway's name has now, `local` is our address towards them.
pub fn peer(
    site: &Site,
    connection: &Connection,
    tunnel: &GatewayTunnel,
    local: IpAddr,
    remotes: Vec<IpAddr>,
    credentials: Rc<dyn Authenticator>,
) -> PeerConfig {
    let (ike, esp) = policies(&connection.ipsec_policy);
    let rekey = connection.tunnel.ike_rekey;
    PeerConfig {
        name: name(connection, tunnel).into_boxed_str(),
        role: role(connection.connection_mode),
        local,
        remotes,
        fixed_remotes: tunnel.remote.address().is_some(),
        encapsulation: connection.tunnel.encapsulation,
        start_on_4500: false,
        ike,
        children: children(site, connection, &esp),
        credentials,
        ask_for: asked_for(connection),
        ike_lifetime: rekey.map_or(IKE_HARD, |age| age * 5 / 4),
        reauthenticate: connection.tunnel.reauthenticate,
        dpd_timeout: DpdTimeout::from_seconds(connection.dpd_timeout.as_secs())
            .expect("the file's range is Azure's"),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

/// The IDr payload of our IKE_AUTH request.
fn asked_for(connection: &Connection) -> Option<Identity> {
    let authentication = &connection.certificate_authentication;
    let id = authentication.remote_identity.as_ref().filter(|_| authentication.request_identity)?;
    Some(Identity::new(id.value().kind(), id.value().data()))
}

/// The name of a tunnel's peer: the connection's name, with the instance's number where there are
/// two.
pub fn name(connection: &Connection, tunnel: &GatewayTunnel) -> String {
    match connection.tunnels.iter().position(|other| other == tunnel) {
        Some(at) if connection.tunnels.len() > 1 => format!("{}/{}", connection.name, at + 1),
        _ => connection.name.to_string(),
    }
}

/// Our role from Azure's connection mode, which is Azure's point of view: where Azure only
/// responds, this device has to dial.
fn role(mode: ConnectionMode) -> DialRole {
    match mode {
        ConnectionMode::Default => DialRole::Both,
        ConnectionMode::InitiatorOnly => DialRole::Answer,
        ConnectionMode::ResponderOnly => DialRole::Dial,
    }
}

/// The proposals for the IKE SA and for its child SAs.
pub fn policies(policy: &ConnectionPolicy) -> (proposal::ProposalPolicy, proposal::ProposalPolicy) {
    match policy {
        ConnectionPolicy::Default => {
            (proposal::ProposalPolicy::azure_ike(), proposal::ProposalPolicy::azure_esp())
        }
        ConnectionPolicy::Custom(policy) => {
            let names = names(policy);
            let ike = azure_names::ike_lines(&names).expect("the file's words are Azure's");
            let esp = azure_names::esp_line(&names).expect("the file's words are Azure's");
            (proposal::ProposalPolicy::new(&ike).0, proposal::ProposalPolicy::new(&[esp]).0)
        }
    }
}

fn names(policy: &CustomPolicy) -> PolicyNames<'static> {
    PolicyNames {
        ike_encryption: policy.ike_encryption.word(),
        ike_integrity: policy.ike_integrity.word(),
        dh_group: policy.dh_group.word(),
        ipsec_encryption: policy.ipsec_encryption.word(),
        ipsec_integrity: policy.ipsec_integrity.word(),
        pfs_group: policy.pfs_group.word(),
    }
}

/// The child SAs: one for each pair of selectors.
fn children(
    site: &Site,
    connection: &Connection,
    esp: &proposal::ProposalPolicy,
) -> Vec<ChildConfig> {
    let pairs = match connection.selectors.pairs() {
        None => vec![any_to_any(site, connection)],
        Some(pairs) => pairs.to_vec(),
    };
    let numbered = pairs.len() > 1;
    let child = |(at, pair): (usize, &PrefixPair)| ChildConfig {
        name: match numbered {
            true => format!("{}[{}]", connection.name, at + 1),
            false => connection.name.to_string(),
        }
        .into_boxed_str(),
        esp: esp.clone(),
        selectors: narrow::ChildSelectors { local: set(&pair.local), remote: set(&pair.remote) },
        lifetime_time: life_time(connection),
        lifetime_bytes: connection.ipsec_policy.kilobytes().saturating_mul(1024),
        keep_up: true,
    };
    pairs.iter().enumerate().map(child).collect()
}

/// All IPv4 addresses on both sides, as Azure proposes, and all IPv6 addresses if the prefixes have
/// any.
fn any_to_any(site: &Site, connection: &Connection) -> PrefixPair {
    let remote = &connection.virtual_network_gateway.address_prefixes;
    let v6 = site.address_prefixes.iter().chain(remote).any(|p| p.network().is_ipv6());
    let any: Vec<Prefix> =
        std::iter::once(Prefix::any_v4()).chain(v6.then(Prefix::any_v6)).collect();
    PrefixPair { local: any.clone(), remote: any }
}

/// The addresses between which the gateway may send: the prefixes of both sides, what the traffic
/// selectors name besides, the tunnel's own addresses, and what the operator adds.
pub fn inner_networks(connection: &Connection, site: &Site) -> InnerNetworks {
    let Connection { tunnel, virtual_network_gateway: gateway, .. } = connection;
    let own = &tunnel.addresses;
    let neighbours = own.iter().filter_map(|own| Prefix::of(own.address, own.length));
    let hosts = own.iter().map(|own| AddressRange::host(own.address));
    let pairs = connection.selectors.pairs().unwrap_or_default();
    let remote = gateway.address_prefixes.iter().chain(&tunnel.accept_sources);
    let local = site.address_prefixes.iter().chain(&tunnel.accept_destinations);
    let sources = remote.chain(pairs.iter().flat_map(|pair| &pair.remote)).copied();
    let destinations = local.chain(pairs.iter().flat_map(|pair| &pair.local));
    InnerNetworks::new(
        sources.chain(neighbours).map(|prefix| range(&prefix)).collect(),
        destinations.map(range).chain(hosts).collect(),
    )
}

fn set(prefixes: &[Prefix]) -> SelectorSet {
    prefixes.iter().map(|prefix| Selector::addresses(range(prefix))).collect()
}

fn range(prefix: &Prefix) -> AddressRange {
    let range = AddressRange::prefix(prefix.network(), prefix.length());
    range.expect("a prefix is no longer than its address")
}

/// The lifetime of child SAs. The engine rekeys from three quarters of it on, so a configured age
/// of rekeying gives a lifetime of four thirds.
fn life_time(connection: &Connection) -> Duration {
    let life_time = connection.ipsec_policy.life_time();
    connection.tunnel.child_rekey.map_or(life_time, |age| (age * 4 / 3).min(life_time))
}

#[cfg(test)]
mod tests;
