//! What the daemon needs beside the engine's snapshot: which connection is which peer, and where
//! its packets stand. No keys: those are in the snapshot.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::esp::{Inbound, Outbound};
use crate::ike::ChildId;

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;

/// All of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Inventory {
    /// See [`VERSION`].
    pub version: u32,
    /// The identity of the ledger that goes with it.
    pub ledger: u64,
    /// The number of the next peer.
    pub next_peer: u32,
    /// Whether the rules stand that keep outer packets out of tunnels.
    pub guarded: bool,
    /// The connections.
    pub connections: Vec<InventoryConnection>,
    /// Where each child stands; empty unless the lanes stood still.
    pub positions: Vec<Position>,
}

/// One connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InventoryConnection {
    /// Its name.
    pub name: String,
    /// Its settings, to see what the next process's file has changed.
    pub settings: Json,
    /// The devices that its routes lead into.
    pub devices: Vec<String>,
    /// Its tunnels, in the order of its settings.
    pub tunnels: Vec<InventoryTunnel>,
}

/// One tunnel.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InventoryTunnel {
    /// The engine's name for its peer.
    pub peer: u32,
    /// Its device.
    pub interface: String,
    /// The gateway's address, if it was known.
    pub remote: Option<IpAddr>,
    /// Ours towards it.
    pub local: Option<IpAddr>,
    /// Whether the operator wants it up.
    pub wanted: bool,
    /// Packets and bytes out, packets and bytes in, so far.
    pub traffic: [u64; 4],
    /// Since when packets can pass, in nanoseconds of this boot; `None` when they cannot.
    #[serde(default)]
    pub up_since: Option<u64>,
    /// When the peer was last heard, on the same clock.
    #[serde(default)]
    pub heard: Option<u64>,
}

/// Where one child SA stands, exactly.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Position {
    /// Which.
    pub child: u64,
    /// Its sending half.
    pub outbound: Option<Sent>,
    /// Its receiving half.
    pub inbound: Option<Seen>,
}

/// What a sending half has used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// The first number that was not.
    pub next: u64,
    /// Packets that count towards its limits.
    pub packets: u64,
    /// Bytes that do.
    pub bytes: u64,
}

/// What a receiving half has seen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// The highest number.
    pub top: u64,
    /// The window, as [`crate::esp::Replay::blocks`] has it.
    pub blocks: Vec<u64>,
    /// Packets that count towards its limits.
    pub packets: u64,
    /// Bytes that do.
    pub bytes: u64,
}

impl Inventory {
    /// Where this child stands, if the lanes stood still.
    pub fn position(&self, child: ChildId) -> Option<&Position> {
        self.positions.iter().find(|position| position.child == child.0)
    }
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
