//! What happened, for the log, the status page and the tests. Events are told, never asked back.

use std::time::Duration;

use crate::crypto::{EspSuite, IkeSuite};
use crate::ike::diagnosis::refusal::Refusal;
use crate::ike::ids::{ChildId, PeerId, Slot};
use crate::ike::path::Path;
use crate::time::UnixTime;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::{EspSpi, IkeSpi};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum IkeEvent {
    /// We started to dial a peer.
    Dialling {
        /// Whom.
        peer: PeerId,
        /// Which try since it was last connected, from 1.
        attempt: u32,
        /// To and from where.
        path: Path,
    },
    /// Dialling failed; the next try comes after a pause.
    DialPaused {
        /// Whom.
        peer: PeerId,
        /// How long.
        pause: Duration,
    },
    /// An IKE SA is up: both ends are proven.
    IkeUp {
        /// Whose.
        peer: PeerId,
        /// Our SPI of it.
        ike: IkeSpi,
        /// Its algorithms.
        suite: IkeSuite,
        /// Who the peer proved to be.
        identity: String,
        /// When the peer's certificate runs out.
        proven_until: UnixTime,
        /// The ends.
        path: Path,
    },
    /// An IKE SA took the place of another, children and all.
    IkeRekeyed {
        /// Whose.
        peer: PeerId,
        /// Our SPI of the one replaced.
        old: IkeSpi,
        /// Our SPI of the one that goes on.
        new: IkeSpi,
    },
    /// An IKE SA is gone.
    IkeDown {
        /// Whose.
        peer: PeerId,
        /// Our SPI of it.
        ike: IkeSpi,
        /// Why.
        cause: Cause,
    },
    /// A child SA pair is up.
    ChildUp {
        /// Whose.
        peer: PeerId,
        /// Which.
        child: ChildId,
        /// The policy it serves.
        slot: Slot,
        /// The child it replaces, when this was a rekey.
        replaces: Option<ChildId>,
        /// Its algorithms.
        suite: EspSuite,
        /// Our SPI.
        inbound: EspSpi,
        /// The peer's SPI.
        outbound: EspSpi,
        /// What lies behind us and behind the peer.
        selectors: ChildSelectors,
    },
    /// A child SA pair is gone.
    ChildDown {
        /// Whose.
        peer: PeerId,
        /// Which.
        child: ChildId,
        /// Why.
        cause: Cause,
    },
    /// An exchange failed or was refused: the structured reason. Boxed: it carries both sides'
    /// offers.
    Refused(PeerId, Box<Refusal>),
    /// The address or port of the peer changed.
    Moved(PeerId, Path),
    /// Something was dropped for a limit; told at most once a second for each kind.
    Limited(LimitKind),
    /// A datagram of an unknown SA or an unwelcome peer was dropped; rate limited likewise.
    Ignored(Path, &'static str),
}

/// Why an SA is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The operator wished it.
    Command,
    /// The peer deleted it.
    DeletedByPeer,
    /// Two IKE SAs or children did the same work.
    Duplicate,
    /// The peer said INITIAL_CONTACT: it knows nothing of older SAs.
    InitialContact,
    /// Its hard lifetime ran out.
    Expired,
    /// The exchange that was to make or keep it failed.
    Failed,
    /// It was replaced.
    Rekeyed,
    /// The peer did not answer.
    Silence,
    /// Its IKE SA went.
    WithIke,
}

/// What a limit is on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LimitKind {
    /// Half-open IKE SAs, in all or for one source.
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
