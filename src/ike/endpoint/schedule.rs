//! Deadlines: when the endpoint has to be called, and why. Each peer computes its earliest deadline
//! from its state; the schedule has one entry for each peer.

use std::collections::BTreeSet;

use crate::ike::ids::PeerId;
use crate::time::Instant;

/// The reason of a deadline.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// The next attempt to dial is due.
    Dial,
    /// An inbound SA has drained and is removed.
    Drain,
    /// A surplus IKE SA is deleted.
    Duplicate,
    /// A hard lifetime ends.
    Expire,
    /// A child that the peer asked for is sent on, though no packet of the peer has come on it.
    FirstPacket,
    /// A half-open IKE SA, whose initiator has not sent IKE_AUTH, is dropped.
    HalfOpen,
    /// A NAT keepalive is due (RFC 3948 §2.3).
    Keepalive,
    /// A replaced SA, which the peer should have deleted, is deleted or dropped by this end.
    Linger,
    /// The peer has been silent for so long that it is probed (dead peer detection).
    Liveness,
    /// Re-authentication is due.
    Reauthenticate,
    /// A soft lifetime ends: the SA is rekeyed.
    Rekey,
    /// A request is retransmitted, or given up.
    Retransmit,
    /// A request that was refused or postponed is made again.
    Retry,
}

/// The earliest of the deadlines that were added.
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

/// The earliest deadline of each peer, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Schedule(BTreeSet<(Instant, Timer, PeerId)>);

impl Schedule {
    /// Replaces the deadline that is registered for a peer.
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
