//! Events: what happened, for the log, the status page and the tests. The engine expects no
//! reaction to an event.

use std::time::Duration;

use crate::crypto::{EspSuite, IkeSuite};
use crate::ike::diagnosis::refusal::Refusal;
use crate::ike::ids::{ChildId, PeerId, Slot};
use crate::ike::path::Path;
use crate::time::UnixTime;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::{EspSpi, IkeSpi};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub enum IkeEvent {
    /// This end has started to dial a peer.
    Dialling {
        /// The peer that is dialled.
        peer: PeerId,
        /// The number of the attempt since the peer was last connected, from 1.
        attempt: u32,
        /// The addresses and ports of both ends.
        path: Path,
    },
    /// Dialling failed; the next attempt comes after a pause.
    DialPaused {
        /// The peer that is dialled.
        peer: PeerId,
        /// The time until the next attempt.
        pause: Duration,
    },
    /// An IKE SA is up: both ends have authenticated.
    IkeUp {
        /// The peer that the SA is with.
        peer: PeerId,
        /// This end's SPI of the IKE SA.
        ike: IkeSpi,
        /// The negotiated algorithms.
        suite: IkeSuite,
        /// The name that the peer has proved, such as its certificate's subject.
        identity: String,
        /// When the peer's certificate path expires.
        proven_until: UnixTime,
        /// The addresses and ports of both ends.
        path: Path,
    },
    /// An IKE SA was rekeyed: its successor has taken over its child SAs.
    IkeRekeyed {
        /// The peer that the SA is with.
        peer: PeerId,
        /// This end's SPI of the replaced IKE SA.
        old: IkeSpi,
        /// This end's SPI of the successor.
        new: IkeSpi,
    },
    /// An IKE SA was removed.
    IkeDown {
        /// The peer that the SA is with.
        peer: PeerId,
        /// This end's SPI of the IKE SA.
        ike: IkeSpi,
        /// The cause of the removal.
        cause: Cause,
    },
    /// A child SA pair is up.
    ChildUp {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The child SA pair.
        child: ChildId,
        /// The configured child that the pair serves.
        slot: Slot,
        /// The child SA pair that it replaces, after a rekey.
        replaces: Option<ChildId>,
        /// The negotiated algorithms.
        suite: EspSuite,
        /// This end's SPI: the inbound SA.
        inbound: EspSpi,
        /// The peer's SPI: the outbound SA.
        outbound: EspSpi,
        /// The agreed traffic selectors.
        selectors: ChildSelectors,
    },
    /// A child SA pair was removed.
    ChildDown {
        /// The peer that the SA is with.
        peer: PeerId,
        /// The child SA pair.
        child: ChildId,
        /// The cause of the removal.
        cause: Cause,
    },
    /// An exchange failed or was refused, with the structured reason and the offers of both sides.
    Refused(PeerId, Box<Refusal>),
    /// The address or port of the peer changed.
    Moved(PeerId, Path),
    /// An authentic packet of the peer came from an address that the peer cannot have
    /// ([`PeerConfig::fixed_remotes`](super::config::PeerConfig)): the tunnel stays where it is.
    Elsewhere(PeerId, Path),
    /// Something was dropped because a limit is reached. The number of these events is limited.
    Limited(LimitKind),
    /// A datagram of an unknown IKE SA or an unknown source was dropped, for this reason. The
    /// number of these events is limited.
    Ignored(Path, &'static str),
}

/// Why an SA was removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// A command of the operator.
    Command,
    /// The peer deleted the SA.
    DeletedByPeer,
    /// Another IKE SA or child SA serves the same purpose.
    Duplicate,
    /// The peer sent INITIAL_CONTACT: it has no older IKE SAs with this end.
    InitialContact,
    /// The hard lifetime of the SA ended.
    Expired,
    /// The exchange that was to establish or keep the SA failed.
    Failed,
    /// A rekey replaced the SA.
    Rekeyed,
    /// The peer did not answer: dead peer detection.
    Silence,
    /// The IKE SA of the child SA was removed.
    WithIke,
    /// A certificate of the peer expired.
    ProofEnded,
    /// The traffic selectors of this end changed, and those of the child SA are not among them.
    NotInPolicy,
    /// The credentials of this end changed, and the peer's certificates do not pass any more.
    NotTrusted,
}

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LimitKind {
    /// Half-open IKE SAs, in all or of one source.
    HalfOpen,
    /// Fragments of one message.
    Fragments,
    /// Tasks waiting on one IKE SA.
    Tasks,
    /// Child SAs of one peer.
    Children,
    /// Stateless answers.
    Answers,
}
