//! Outputs: the effects that the caller carries out, in their order.
//!
//! There is one stream because the order is a protocol rule (install before send,
//! make-before-break): a responder's new inbound SA is installed before its response leaves, an
//! initiator's new pair before the Delete of the old one. The caller may batch outputs and must not
//! reorder them.
//!
//! ```text
//! outbound SA:  InstallOutbound ─> ActivateOutbound ─> DisplaceOutbound, when another that covers
//!                                                      it is activated  ──────> RetireOutbound
//! inbound SA:   InstallInbound ─> (its outbound half is retired; it drains)  ─> RemoveInbound
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

/// One effect for the caller to carry out.
#[derive(Debug)]
pub enum Output {
    /// Install an inbound SA: receive on it from now on.
    InstallInbound(Box<EspSa>),
    /// Install an outbound SA, without sending on it yet.
    InstallOutbound(Box<EspSa>),
    /// Send the traffic that this outbound SA's selectors cover on it from now on, in preference to
    /// all that were activated before.
    ActivateOutbound {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The configured child whose traffic moves.
        slot: Slot,
        /// The child SA pair that the SA belongs to.
        child: ChildId,
        /// The SPI of the outbound half, chosen by the peer.
        spi: EspSpi,
    },
    /// Send nothing on this outbound SA for now: others that are active cover its traffic. It stays
    /// installed.
    DisplaceOutbound {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The child SA pair that the SA belongs to.
        child: ChildId,
        /// The SPI of the outbound half, chosen by the peer.
        spi: EspSpi,
    },
    /// Remove an outbound SA: never send on it again, and wipe its key.
    RetireOutbound {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The child SA pair that the SA belongs to.
        child: ChildId,
        /// The SPI of the outbound half, chosen by the peer.
        spi: EspSpi,
    },
    /// Remove an inbound SA: do not receive on it any more, and wipe its key.
    RemoveInbound {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The child SA pair that the SA belongs to.
        child: ChildId,
        /// This end's SPI.
        spi: EspSpi,
    },
    /// Send the peer's ESP on another path from now on.
    PeerMoved {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The new addresses and ports of both ends.
        path: Path,
        /// Whether ESP is encapsulated in UDP.
        encapsulated: bool,
    },
    /// Send an IKE message.
    Transmit(Transmit),
    /// Send a NAT keepalive: one octet 0xFF without a marker (RFC 3948 §2.3).
    Keepalive(Path),
    /// Report an event to the log and the status.
    Event(IkeEvent),
}

/// One direction of a child SA, with everything that the data plane has to know of it.
#[derive(Debug)]
pub struct EspSa {
    /// The peer that the SA is with.
    pub peer: PeerId,
    /// The child SA pair that the SA belongs to.
    pub child: ChildId,
    /// The configured child that the SA serves.
    pub slot: Slot,
    /// The SPI, chosen by the receiving end.
    pub spi: EspSpi,
    /// The negotiated algorithms.
    pub suite: EspSuite,
    /// The keys of this direction.
    pub keys: EspKeys,
    /// The agreed traffic selectors of both ends.
    pub selectors: ChildSelectors,
    /// When the pair was established.
    pub made_at: Instant,
    /// The limits at which the data plane reports, and at which it stops.
    pub limits: Deadlines,
    /// The outer addresses and ports of both ends.
    pub path: Path,
    /// Whether ESP is encapsulated in UDP.
    pub encapsulated: bool,
}

/// The stream of outputs that the caller has not taken yet.
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

    /// Drops the removals of SAs: for an endpoint whose data plane has none.
    pub(crate) fn forget_removals(&mut self) {
        self.0.retain(|output| {
            !matches!(
                output,
                Output::DisplaceOutbound { .. }
                    | Output::RetireOutbound { .. }
                    | Output::RemoveInbound { .. }
            )
        });
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }
}
