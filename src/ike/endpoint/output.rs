//! The outputs of the engine, in the order in which they have to be carried out.
//!
//! There is one stream, because the order matters: a responder's new inbound SA is installed before
//! its response leaves, an initiator's new pair before the Delete of the old one. The caller may
//! carry outputs out in batches, but never in another order.
//!
//! ```text
//! outbound:  InstallOutbound ─> ActivateOutbound ─> (another child is activated) ─> RetireOutbound
//! inbound:   InstallInbound ─> (outbound half retired, receiving goes on) ─> RemoveInbound
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

/// One effect to carry out.
#[derive(Debug)]
pub enum Output {
    /// Receive on this SA from now on.
    InstallInbound(Box<EspSa>),
    /// Have this SA ready for sending; nothing is sent on it yet.
    InstallOutbound(Box<EspSa>),
    /// Send the slot's traffic on this SA from now on, and no longer on the SA that carried the
    /// traffic before.
    ActivateOutbound {
        /// The peer that the SA belongs to.
        peer: PeerId,
        /// The slot whose traffic is sent.
        slot: Slot,
        /// The child SA that the outbound half belongs to.
        child: ChildId,
        /// The SPI of the outbound half, chosen by the peer.
        spi: EspSpi,
    },
    /// Never send on this SA again, and forget its key.
    RetireOutbound {
        /// The peer that the SA belongs to.
        peer: PeerId,
        /// The child SA that the outbound half belongs to.
        child: ChildId,
        /// The SPI of the outbound half, chosen by the peer.
        spi: EspSpi,
    },
    /// Receive on this SA no longer, and forget its key.
    RemoveInbound {
        /// The peer that the SA belongs to.
        peer: PeerId,
        /// The child SA that the inbound half belongs to.
        child: ChildId,
        /// The SPI of the inbound half, chosen by us.
        spi: EspSpi,
    },
    /// Send the ESP packets of all the peer's SAs on another path from now on.
    PeerMoved {
        /// The peer that the SA belongs to.
        peer: PeerId,
        /// The new path.
        path: Path,
        /// Whether ESP travels in UDP.
        encapsulated: bool,
    },
    /// Send an IKE message.
    Transmit(Transmit),
    /// Send a NAT keepalive: one octet 0xFF without a marker (RFC 3948 §2.3).
    Keepalive(Path),
    /// Report an event to the log and the status page.
    Event(IkeEvent),
}

/// One direction of a child SA, with all that the data plane has to know.
#[derive(Debug)]
pub struct EspSa {
    /// The peer that the SA belongs to.
    pub peer: PeerId,
    /// The child SA pair that this direction belongs to.
    pub child: ChildId,
    /// The slot whose traffic the SA carries.
    pub slot: Slot,
    /// The SPI, chosen by the receiving end.
    pub spi: EspSpi,
    /// The algorithms.
    pub suite: EspSuite,
    /// The keys of this direction.
    pub keys: EspKeys,
    /// The traffic selectors of both ends.
    pub selectors: ChildSelectors,
    /// When the pair was made.
    pub made_at: Instant,
    /// The limits at which the data plane reports, and at which it stops.
    pub limits: Deadlines,
    /// The outer addresses and ports.
    pub path: Path,
    /// Whether ESP travels in UDP.
    pub encapsulated: bool,
}

/// The stream of outputs, to which the parts of the engine write.
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
