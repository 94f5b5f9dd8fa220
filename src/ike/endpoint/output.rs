//! What the engine wants done, in the order in which it has to be done.
//!
//! There is one stream because the order is the correctness: a responder's new inbound SA is
//! installed before its response leaves, an initiator's pair before the DELETE of the old one.
//! Whoever carries outputs out may batch, never reorder.
//!
//! ```text
//! Outbound of a slot:  InstallOutbound ──> ActivateOutbound ──> (another of the slot is activated) ──> RetireOutbound
//! Inbound:             InstallInbound ──> (its outbound is retired; it goes on receiving) ──> RemoveInbound
//! ```

use std::collections::VecDeque;

use super::event::IkeEvent;
use crate::crypto::EspSuite;
use crate::crypto::keymat::EspKeys;
use crate::ike::ids::{ChildId, PeerId, Slot};
use crate::ike::path::{Path, Sending, Transmit};
use crate::ike::sa::lifetime::Deadlines;
use crate::time::Instant;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::EspSpi;

/// One effect.
#[derive(Debug)]
pub enum Output {
    /// Receive on this SA from now on.
    InstallInbound(Box<EspSa>),
    /// Have this SA ready for sending; nothing is sent on it yet.
    InstallOutbound(Box<EspSa>),
    /// Send the slot's traffic on this SA from now on, and no longer on whichever carried it
    /// before.
    ActivateOutbound {
        /// Whose.
        peer: PeerId,
        /// Which tunnel policy.
        slot: Slot,
        /// Whose outbound half.
        child: ChildId,
        /// The peer's SPI.
        spi: EspSpi,
    },
    /// Never send on this SA again; forget its key.
    RetireOutbound {
        /// Whose.
        peer: PeerId,
        /// Whose outbound half.
        child: ChildId,
        /// The peer's SPI.
        spi: EspSpi,
    },
    /// Receive on this SA no longer; forget its key.
    RemoveInbound {
        /// Whose.
        peer: PeerId,
        /// Whose inbound half.
        child: ChildId,
        /// Our SPI.
        spi: EspSpi,
    },
    /// The peer's ESP goes elsewhere from now on.
    PeerMoved {
        /// Whose.
        peer: PeerId,
        /// The new ends.
        path: Path,
        /// ESP in UDP, or bare.
        encapsulated: bool,
    },
    /// Send an IKE message.
    Transmit(Transmit),
    /// Send a NAT keepalive: one octet 0xFF without a marker (RFC 3948 §2.3).
    Keepalive(Path),
    /// Tell whoever listens.
    Event(IkeEvent),
}

/// One direction of a child SA, with all that the data plane has to know.
#[derive(Debug)]
pub struct EspSa {
    /// Whose.
    pub peer: PeerId,
    /// Of which pair.
    pub child: ChildId,
    /// Which tunnel policy it serves.
    pub slot: Slot,
    /// Chosen by the receiving side.
    pub spi: EspSpi,
    /// The algorithms.
    pub suite: EspSuite,
    /// The keys of this direction.
    pub keys: EspKeys,
    /// What lies behind us and behind the peer.
    pub selectors: ChildSelectors,
    /// When the pair was made.
    pub made_at: Instant,
    /// When to report a soft limit, and when to stop.
    pub limits: Deadlines,
    /// The outer ends.
    pub path: Path,
    /// ESP in UDP, or bare.
    pub encapsulated: bool,
}

/// The stream, as the parts of the engine write to it.
#[derive(Debug, Default)]
pub(crate) struct Outputs(VecDeque<Output>);

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    pub(crate) fn event(&mut self, event: IkeEvent) {
        self.push(Output::Event(event));
    }

    pub(crate) fn transmit(&mut self, sending: Sending, path: Path, bytes: Vec<u8>) {
        self.push(Output::Transmit(Transmit { sending, path, bytes }));
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }
}
