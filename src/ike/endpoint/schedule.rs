//! When to wake up, and why. Deadlines are not kept in two places: each peer computes its earliest
//! from its state, and this holds one entry a peer.

use std::collections::BTreeSet;

use crate::ike::ids::PeerId;
use crate::time::Instant;

/// Why there is a deadline.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// When the next try to connect is due.
    Dial,
    /// When an inbound SA has drained and is removed.
    Drain,
    /// When one of two IKE SAs that do the same work is deleted.
    Duplicate,
    /// When a hard lifetime runs out.
    Expire,
    /// When a handshake that a peer began and did not finish is forgotten.
    HalfOpen,
    /// When a NAT needs to see a packet.
    Keepalive,
    /// When an SA that was replaced, and that the peer should have deleted, is deleted or dropped
    /// by us.
    Linger,
    /// When a peer was silent for so long that it is asked.
    Liveness,
    /// When a fresh authentication is due.
    Reauthenticate,
    /// When a soft lifetime runs out.
    Rekey,
    /// When a request is sent again, or given up.
    Retransmit,
    /// When something that was refused or postponed is tried again.
    Retry,
}

/// The earlier of two deadlines.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Earliest(pub(crate) Option<(Instant, Timer)>);

impl Earliest {
    pub(crate) fn at(&mut self, at: Instant, timer: Timer) {
        if self.0.is_none_or(|held| (at, timer) < held) {
            self.0 = Some((at, timer));
        }
    }

    pub(crate) fn maybe(&mut self, at: Option<Instant>, timer: Timer) {
        if let Some(at) = at {
            self.at(at, timer);
        }
    }
}

/// The earliest deadline of each peer, ordered.
#[derive(Debug, Default)]
pub(crate) struct Schedule(BTreeSet<(Instant, Timer, PeerId)>);

impl Schedule {
    /// Replaces what was registered for `peer`.
    pub(crate) fn change(
        &mut self,
        peer: PeerId,
        old: Option<(Instant, Timer)>,
        new: Option<(Instant, Timer)>,
    ) {
        if old == new {
            return;
        }
        if let Some((at, timer)) = old {
            self.0.remove(&(at, timer, peer));
        }
        if let Some((at, timer)) = new {
            self.0.insert((at, timer, peer));
        }
    }

    pub(crate) fn first(&self) -> Option<(Instant, Timer, PeerId)> {
        self.0.first().copied()
    }
}
