//! Inputs: commands of the operator, and events of the data plane.

use super::config::PeerConfig;
use crate::ike::ids::{ChildId, PeerId};
use crate::ike::path::Path;
use crate::time::Instant;
use crate::wire::spi::EspSpi;

/// A command of the operator.
#[derive(Debug)]
pub enum Command {
    /// Add a peer. Its IKE_SA_INIT requests are answered from now on if the role allows that; it is
    /// dialled from [`Command::Up`] on.
    Add(PeerId, Box<PeerConfig>),
    /// Remove a peer: send a Delete for each of its IKE SAs, then drop its state.
    Remove(PeerId),
    /// Replace the peer's configuration. Its SAs stay, and the next negotiation on them follows the
    /// new configuration. Child SAs that the new traffic selectors do not cover are deleted, those
    /// of a policy that became wider are rekeyed. Other credentials judge the peer's certificates
    /// anew: an IKE SA whose peer does not pass any more is deleted.
    Reconfigure(PeerId, Box<PeerConfig>),
    /// Connect this peer and keep it connected.
    Up(PeerId),
    /// Disconnect this peer and keep it disconnected: its IKE_SA_INIT requests are ignored until
    /// [`Command::Up`].
    Down(PeerId),
    /// Rekey the peer's IKE SA now.
    RekeyIke(PeerId),
    /// Rekey this child SA now.
    RekeyChild(PeerId, ChildId),
    /// Re-authenticate: establish a new IKE SA beside the present one, then delete the old one
    /// (make-before-break).
    Reauthenticate(PeerId),
    /// Probe whether the peer is alive (dead peer detection).
    Probe(PeerId),
}

/// An event of the data plane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataEvent {
    /// A soft limit of [`crate::ike::sa::lifetime::Deadlines`] is reached on either SA of this
    /// child: it is rekeyed.
    SoftLimit(PeerId, ChildId),
    /// A hard limit is reached on either SA of this child: the data plane does not use it any more.
    HardLimit(PeerId, ChildId),
    /// The first packet has authenticated on this inbound SA, so the peer has installed the pair
    /// and this end may send on the other half (RFC 7296 §2.8).
    FirstPacket(EspSpi),
    /// The time of the last packet that authenticated on this inbound SA. Reported as often as is
    /// cheap, and once more when [`crate::ike::Timer::Liveness`] is due, before `handle_timeout`:
    /// traffic is a sign of life (RFC 7296 §2.4) of the IKE SA that the child belongs to, and of no
    /// other.
    Alive(EspSpi, Instant),
    /// Packets that authenticate on this inbound SA come from another address or port than before.
    /// [`Path`] says when the tunnel follows.
    PeerMoved(EspSpi, Path),
    /// An ESP packet came for an SPI that no SA has, and nothing of it is authenticated. The peer
    /// sends on an SA that is gone here, and is told so (RFC 7296 §1.5), a few times.
    UnknownSpi {
        /// Where the packet came from.
        path: Path,
        /// The SPI of the packet.
        spi: EspSpi,
        /// The packet's octets: the answer is never larger.
        len: usize,
    },
}
