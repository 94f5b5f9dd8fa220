//! What the operator, and the data plane, tell the engine.

use super::config::PeerConfig;
use crate::ike::ids::{ChildId, PeerId};
use crate::ike::path::Path;
use crate::time::Instant;
use crate::wire::spi::EspSpi;

/// A wish of the operator.
#[derive(Debug)]
pub enum Command {
    /// Know this peer. A peer that may dial is dialled with [`Command::Up`]; one that may answer is
    /// answered at once.
    Add(PeerId, Box<PeerConfig>),
    /// Forget this peer: say goodbye on its SAs, then drop all of it.
    Remove(PeerId),
    /// Replace the peer's configuration. Its SAs live on; what they negotiate next follows the new
    /// one.
    Reconfigure(PeerId, Box<PeerConfig>),
    /// Keep this peer connected.
    Up(PeerId),
    /// Disconnect and stay so; the peer's own dialling is refused until [`Command::Up`].
    Down(PeerId),
    /// Rekey the IKE SA now.
    RekeyIke(PeerId),
    /// Rekey this child now.
    RekeyChild(PeerId, ChildId),
    /// Set up a fresh IKE SA with new authentication beside the present one, then delete the old.
    Reauthenticate(PeerId),
    /// Ask the peer for a sign of life.
    Probe(PeerId),
}

/// What the data plane saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataEvent {
    /// A soft limit of [`crate::ike::sa::lifetime::Deadlines`] is reached on this inbound or
    /// outbound SA, named by the child: rekey.
    SoftLimit(PeerId, ChildId),
    /// A hard limit is reached: the SA no longer works.
    HardLimit(PeerId, ChildId),
    /// The first packet authenticated on this inbound SA: the peer sends on it, so may we (RFC 7296
    /// §2.8).
    FirstPacket(EspSpi),
    /// A packet authenticated on this inbound SA, lately at that time. Reported as often as is
    /// cheap, and once more when [`crate::ike::Timer::Liveness`] is due, before `handle_timeout`:
    /// traffic is a sign of life (RFC 7296 §2.4), of the IKE SA that the child belongs to and of no
    /// other.
    Alive(EspSpi, Instant),
    /// Packets of this inbound SA authenticate, and come from elsewhere than before.
    PeerMoved(EspSpi, Path),
}
