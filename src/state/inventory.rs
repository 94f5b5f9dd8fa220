//! [`Inventory`]: the daemon's part of the stored state, beside the engine's snapshot. The
//! inventory says which peer number belongs to which connection, and which sequence numbers each
//! child SA has used. Keys are in the snapshot only.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::esp::{Inbound, Outbound};

/// The version of the inventory that this code writes and reads.
pub const VERSION: u32 = 1;

/// The daemon's part of the stored state.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Inventory {
    /// The version of the format, [`VERSION`].
    pub version: u32,
    /// The identity of the ledger that the state belongs to.
    pub ledger: u64,
    /// The number that the next new peer gets.
    pub next_peer: u32,
    /// Whether the routing rules are set that keep outer packets out of tunnels.
    pub guarded: bool,
    /// The connections of the configuration.
    pub connections: Vec<InventoryConnection>,
    /// The exact position of each child SA; empty unless the lanes had stopped.
    pub positions: Vec<Position>,
}

/// One connection of the inventory.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InventoryConnection {
    /// The name of the connection.
    pub name: String,
    /// The settings, to find out what the next process's configuration file has changed.
    pub settings: Json,
    /// The devices that the routes of the connection lead into.
    pub devices: Vec<String>,
    /// The tunnels, in the order of the settings.
    pub tunnels: Vec<InventoryTunnel>,
}

/// One tunnel of the inventory.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InventoryTunnel {
    /// The engine's number for the peer of the tunnel.
    pub peer: u32,
    /// The name of the tunnel's device.
    pub interface: String,
    /// The gateway's address; `None` for a name that had not been looked up.
    pub remote: Option<IpAddr>,
    /// Our address towards the gateway.
    pub local: Option<IpAddr>,
    /// Whether the operator wants the tunnel up.
    pub wanted: bool,
    /// Packets sent, bytes sent, packets received, bytes received.
    pub traffic: [u64; 4],
    /// Since when packets can pass, in nanoseconds of this boot; `None` when no packet can.
    #[serde(default)]
    pub up_since: Option<u64>,
    /// When the peer was last heard, in nanoseconds of this boot.
    #[serde(default)]
    pub heard: Option<u64>,
}

/// The sequence numbers that one child SA has used, exactly.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Position {
    /// The number of the child SA.
    pub child: u64,
    /// The sending half.
    pub outbound: Option<Sent>,
    /// The receiving half.
    pub inbound: Option<Seen>,
}

/// The position of a sending half.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// The first sequence number that was not used.
    pub next: u64,
    /// Packets that count towards the limits of the half.
    pub packets: u64,
    /// Bytes that count towards the limits of the half.
    pub bytes: u64,
}

/// The position of a receiving half.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// The highest sequence number received.
    pub top: u64,
    /// The anti-replay window, as [`crate::esp::Replay::blocks`] gives it.
    pub blocks: Vec<u64>,
    /// Packets that count towards the limits of the half.
    pub packets: u64,
    /// Bytes that count towards the limits of the half.
    pub bytes: u64,
}

impl From<&Outbound> for Sent {
    fn from(outbound: &Outbound) -> Sent {
        let (packets, bytes) = outbound.served();
        Sent { next: outbound.spent() + 1, packets, bytes }
    }
}

impl From<&Inbound> for Seen {
    fn from(inbound: &Inbound) -> Seen {
        let (packets, bytes) = inbound.served();
        let replay = inbound.replay();
        Seen { top: replay.top(), blocks: replay.blocks().to_vec(), packets, bytes }
    }
}
