//! What `s2sd status` shows: one document, the same for people and programs.
//!
//! The JSON is stable: as long as [`VERSION`] stays, fields are added, never renamed or removed.
//! Times are ages and spans in seconds, so that the reader's clock need not agree with the
//! service's. The comments on fields are the manual page s2sd-json(5).

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ike_status::TunnelRecord;
use super::peer::ServicePeer;
use super::problem::Problem;
use super::routes::Routes;
use super::tunnel::RunningTunnel;
use crate::config::settings::Connection;
use crate::ike::authenticator::Authenticator;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::selector::set::SelectorSet;

/// The version of the document that [`Status`] describes.
pub const VERSION: u32 = 1;

const DAY: u64 = 86_400;

/// The status of the service and of its connections.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Status {
    /// The version of this document.
    pub version: u32,
    /// The name of this device.
    pub device: String,
    /// The version of the service.
    pub s2sd: String,
    /// How long the service's process has been running. Tunnels may be older: a restart keeps them.
    pub running_seconds: u64,
    /// Why a restart of the service would lose the tunnels now.
    pub state_obstacle: Option<String>,
    /// The connections, in the file's order.
    pub connections: Vec<ConnectionStatus>,
}

/// The status of one connection.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ConnectionStatus {
    /// The connection's name.
    pub name: String,
    /// `up` when one of the connection's tunnels is up, else the state of the first tunnel.
    pub state: String,
    /// The prefixes whose routes lead into the connection's tunnels now.
    pub routes: Vec<String>,
    /// The interfaces that the routes lead into.
    pub routes_into: Vec<String>,
    /// Why some routes are missing.
    pub routes_obstacle: Option<String>,
    /// The connection's tunnels, in the file's order.
    pub tunnels: Vec<TunnelStatus>,
}

/// The status of one tunnel.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TunnelStatus {
    /// The tunnel's interface.
    pub interface: String,
    /// `up`, `negotiating`, `connecting`, `retrying`, `waiting`, `down` or `broken`.
    pub state: String,
    /// How long the tunnel has been in this state, over restarts of the service too.
    pub state_seconds: u64,
    /// The gateway's address, or the gateway's name as long as no address is known.
    pub peer: String,
    /// This device's address towards the gateway.
    pub local: Option<String>,
    /// The identity of this device towards the gateway.
    pub own_identity: Option<String>,
    /// Whole days until this device's certificate expires.
    pub own_certificate_days: Option<u64>,
    /// The identity that the gateway proved.
    pub peer_identity: Option<String>,
    /// Whole days until the gateway's certificate expires.
    pub peer_certificate_days: Option<u64>,
    /// The algorithms of the IKE SA.
    pub ike_suite: Option<String>,
    /// The age of the IKE SA.
    pub ike_seconds: Option<u64>,
    /// How ESP travels: `udp` (NAT traversal) or `esp` (bare).
    pub encapsulation: String,
    /// The pairs of child SAs.
    pub children: Vec<ChildStatus>,
    /// Seconds since the peer was last heard.
    pub heard_seconds: Option<u64>,
    /// Seconds of silence after which dead peer detection gives the peer up.
    pub dpd_timeout_seconds: u64,
    /// How many requests were sent again since the service started.
    pub retransmits: u64,
    /// How many SAs were rekeyed since the service started.
    pub rekeys: u64,
    /// The number of the present try to dial; 0 when there is none.
    pub attempt: u32,
    /// Seconds until the next try.
    pub next_try_seconds: Option<u64>,
    /// What is wrong on this device, and what would mend it, in a sentence.
    pub obstacle: Option<String>,
    /// Why the last IKE message or packet to the gateway did not leave this device.
    pub unsent: Option<String>,
    /// What this device or the gateway refused last.
    pub last_error: Option<LastError>,
    /// The MTU of the interface.
    pub mtu: Option<u16>,
    /// The path MTU: the largest outer packet that the path carries.
    pub path_mtu: Option<u64>,
    /// Packets to the gateway since the tunnel was made, over restarts of the service too.
    pub packets_out: u64,
    /// Bytes to the gateway, without ESP around the packets.
    pub bytes_out: u64,
    /// Packets from the gateway since the tunnel was made, over restarts of the service too.
    pub packets_in: u64,
    /// Bytes from the gateway, without ESP around the packets.
    pub bytes_in: u64,
    /// How many packets were dropped, by reason. A reason that dropped none is left out.
    pub drops: BTreeMap<String, u64>,
}

/// The status of one pair of child SAs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ChildStatus {
    /// Whether traffic leaves on this pair. Another pair only receives what is still on its way.
    pub active: bool,
    /// The algorithms of the pair.
    pub suite: String,
    /// The age of the pair.
    pub seconds: u64,
    /// The inbound SPI, which this device chose.
    pub spi_in: Option<String>,
    /// The outbound SPI, which the gateway chose.
    pub spi_out: Option<String>,
    /// The traffic selectors: of this side, and of the gateway's side.
    pub selectors: [String; 2],
    /// Packets to the gateway on this pair.
    pub packets_out: u64,
    /// Bytes to the gateway on this pair.
    pub bytes_out: u64,
    /// Packets from the gateway on this pair.
    pub packets_in: u64,
    /// Bytes from the gateway on this pair.
    pub bytes_in: u64,
    /// Seconds until this device rekeys the pair.
    pub rekey_seconds: u64,
    /// Seconds until the pair expires.
    pub expires_seconds: u64,
}

/// The last refusal of a tunnel.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LastError {
    /// How many seconds ago the refusal was.
    pub seconds: u64,
    /// A code that does not change between versions.
    pub reason: String,
    /// What happened and what would mend it, in a sentence.
    pub text: String,
}

/// The status of one connection with its peers.
pub(super) fn connection(
    settings: &Connection,
    peers: &[ServicePeer],
    routes: &Routes,
    routes_problem: Option<&Problem>,
    now: Now,
) -> ConnectionStatus {
    let tunnels: Vec<TunnelStatus> = peers.iter().map(|peer| tunnel(settings, peer, now)).collect();
    let up = tunnels.iter().find(|tunnel| tunnel.state == "up").or(tunnels.first());
    ConnectionStatus {
        name: settings.name.to_string(),
        state: up.map_or_else(String::new, |tunnel| tunnel.state.clone()),
        routes: routes.prefixes().iter().map(ToString::to_string).collect(),
        routes_into: routes.devices().to_vec(),
        routes_obstacle: routes_problem.map(ToString::to_string),
        tunnels,
    }
}

fn tunnel(settings: &Connection, peer: &ServicePeer, now: Now) -> TunnelStatus {
    let ServicePeer { record, tunnel, .. } = peer;
    let since = |then: Instant| now.mono.since(then).as_secs();
    let until = |then: Instant| rounded_up(then.since(now.mono));
    let days = |end: UnixTime| end.0.saturating_sub(now.unix.0) / DAY;
    let ike = record.ike();
    let traffic = tunnel.as_ref().map(RunningTunnel::traffic).unwrap_or_default();
    let drops = tunnel.as_ref().map(RunningTunnel::drops).unwrap_or_default();
    let udp = tunnel.as_ref().is_none_or(RunningTunnel::is_encapsulated);
    TunnelStatus {
        interface: peer.interface.clone(),
        state: record.state.word().to_owned(),
        state_seconds: since(record.since.mono),
        peer: ike
            .map(|ike| ike.path.remote.ip())
            .or(peer.remote)
            .map_or_else(|| peer.host.to_string(), |remote| remote.to_string()),
        local: peer.local.map(|local| local.to_string()),
        own_identity: peer
            .credentials
            .as_ref()
            .ok()
            .map(|own| own.own.leaf().subject().to_string()),
        own_certificate_days: peer.credentials.as_ref().ok().map(|own| days(own.not_after())),
        peer_identity: ike.map(|ike| ike.identity.clone()),
        peer_certificate_days: ike.map(|ike| days(ike.proven_until)),
        ike_suite: ike.map(|ike| ike.suite.to_string()),
        ike_seconds: ike.map(|ike| since(ike.since.mono)),
        encapsulation: if udp { "udp" } else { "esp" }.to_owned(),
        children: tunnel.iter().flat_map(|tunnel| children(tunnel, now)).collect(),
        heard_seconds: record.heard.map(since),
        dpd_timeout_seconds: settings.dpd_timeout.as_secs(),
        retransmits: record.retransmits,
        rekeys: record.rekeys,
        attempt: record.attempt,
        next_try_seconds: record.next_try.map(until),
        obstacle: record.problem.as_ref().map(ToString::to_string),
        unsent: send_problem(peer).map(|problem| problem.to_string()),
        last_error: last_error(record, now),
        mtu: tunnel.as_ref().map(|tunnel| tunnel.mtu()),
        path_mtu: tunnel
            .as_ref()
            .and_then(RunningTunnel::path_mtu)
            .and_then(|mtu| u64::try_from(mtu).ok()),
        packets_out: traffic.packets_out,
        bytes_out: traffic.bytes_out,
        packets_in: traffic.packets_in,
        bytes_in: traffic.bytes_in,
        drops: drops.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn send_problem(peer: &ServicePeer) -> Option<Problem> {
    let of_lane = || peer.tunnel.as_ref()?.send_problem();
    peer.record.send_problem.clone().or_else(of_lane)
}

fn last_error(record: &TunnelRecord, now: Now) -> Option<LastError> {
    record.last_refusal.as_ref().map(|last| LastError {
        seconds: now.mono.since(last.at.mono).as_secs(),
        reason: last.refusal.reason.code().to_owned(),
        text: last.refusal.to_string(),
    })
}

fn children(tunnel: &RunningTunnel, now: Now) -> impl Iterator<Item = ChildStatus> {
    tunnel.children().map(move |(id, child)| {
        let traffic = child.traffic().plus(child.before);
        let until = |then: Instant| rounded_up(then.since(now.mono));
        ChildStatus {
            active: tunnel.is_active(id),
            suite: child.suite.to_string(),
            seconds: now.mono.since(child.since).as_secs(),
            spi_in: child.inbound.as_ref().map(|sa| sa.spi.to_string()),
            spi_out: child.outbound.as_ref().map(|sa| sa.spi.to_string()),
            selectors: [text(&child.selectors.local), text(&child.selectors.remote)],
            packets_out: traffic.packets_out,
            bytes_out: traffic.bytes_out,
            packets_in: traffic.packets_in,
            bytes_in: traffic.bytes_in,
            rekey_seconds: until(child.deadlines.time.soft),
            expires_seconds: until(child.deadlines.time.hard),
        }
    })
}

fn text(selectors: &SelectorSet) -> String {
    let all: Vec<String> = selectors.selectors().iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn rounded_up(span: Duration) -> u64 {
    span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
