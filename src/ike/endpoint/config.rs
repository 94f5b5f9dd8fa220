//! What the operator decided, as the engine takes it: typed and already validated.
//! `config::resolve` makes it from the file.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::ike::admission::budget::HalfOpenLimits;
use crate::ike::authenticator::Authenticator;
use crate::ike::negotiation::proposal::ProposalPolicy;
use crate::ike::sa::dpd::DpdTimeout;
use crate::ike::testing::emulation::PeerBehaviour;
use crate::wire::payload::id::Identity;
use crate::wire::selector::narrow::ChildSelectors;

/// What holds for all peers.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Bounds on what strangers can make us hold.
    pub half_open: HalfOpenLimits,
    /// Child SAs that one peer may have at a time. Azure's own limit is 100 pairs.
    pub max_children: usize,
    /// The largest UDP payload of an IKE message; longer ones are fragmented (RFC 7383). Azure
    /// drops IP fragments.
    pub max_datagram: usize,
    /// How long an inbound SA goes on receiving after its outbound half was retired: stragglers of
    /// a rekey.
    pub drain: Duration,
}

impl Default for EndpointConfig {
    fn default() -> EndpointConfig {
        EndpointConfig {
            half_open: HalfOpenLimits::default(),
            max_children: 100,
            max_datagram: 1280,
            drain: Duration::from_secs(5),
        }
    }
}

/// One remote gateway instance.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The connection's name in the log.
    pub name: Box<str>,
    /// Who may start.
    pub role: DialRole,
    /// Our address towards it.
    pub local: IpAddr,
    /// Where it may be. Dialled in turn; an answerer accepts it from these. Empty: from anywhere,
    /// and never dialled.
    pub remotes: Vec<IpAddr>,
    /// How ESP travels.
    pub encapsulation: EspEncapsulation,
    /// Dial port 4500 from the first message on, as where port 500 is blocked.
    pub start_on_4500: bool,
    /// Suites for the IKE SA.
    pub ike: ProposalPolicy,
    /// The tunnels' policies; each is a [`crate::ike::Slot`].
    pub children: Vec<ChildConfig>,
    /// How the two ends prove themselves.
    pub credentials: Rc<dyn Authenticator>,
    /// The IDr to ask for. Azure needs none, and a wrong one is refused: none by default.
    pub ask_for: Option<Identity>,
    /// When the IKE SA ends; it is rekeyed some time before. Azure's is 28,800 s, and no longer one
    /// is used.
    pub ike_lifetime: Duration,
    /// Authenticate afresh after this long, by a new IKE SA beside the old (RFC 4478 §2).
    pub reauthenticate: Option<Duration>,
    /// After this long without a sign of life the peer is taken for dead. Azure's
    /// `dpdTimeoutSeconds`: 9..3600, 45.
    pub dpd_timeout: DpdTimeout,
    /// Bring the IKE SA up without a first child (RFC 6023), when the peer can.
    pub childless: bool,
    /// Whose manners to keep: our own, or in a test Azure's.
    pub behaviour: PeerBehaviour,
}

/// One tunnel policy.
#[derive(Clone, Debug)]
pub struct ChildConfig {
    /// Its name in the log.
    pub name: Box<str>,
    /// Suites, with the groups for perfect forward secrecy.
    pub esp: ProposalPolicy,
    /// What lies behind us and behind the peer.
    pub selectors: ChildSelectors,
    /// When it ends; it is rekeyed some time before.
    pub lifetime_time: Duration,
    /// After how many octets it ends; it is rekeyed some time before.
    pub lifetime_bytes: u64,
    /// Keep it up whenever the IKE SA is up. A child that is not kept up is made when the peer
    /// asks.
    pub keep_up: bool,
}

/// Who may send the first IKE_SA_INIT: the mirror image of Azure's `connectionMode`. Everything
/// after it is open to both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DialRole {
    /// We dial, and answer too: Azure's `Default`.
    #[default]
    Both,
    /// We dial and never answer: Azure's `ResponderOnly`.
    Dial,
    /// We answer and never dial: Azure's `InitiatorOnly`.
    Answer,
}

impl DialRole {
    /// Whether we may dial.
    pub fn dials(self) -> bool {
        self != DialRole::Answer
    }

    /// Whether we answer a first message.
    pub fn answers(self) -> bool {
        self != DialRole::Dial
    }
}

/// How ESP travels.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EspEncapsulation {
    /// Always in UDP on port 4500: a NAT is feigned in the detection payloads, so that the peer
    /// agrees (RFC 7296 §2.23).
    #[default]
    Udp,
    /// In UDP when there is a NAT, else bare.
    Auto,
    /// Bare (IP protocol 50), whatever the detection says.
    Esp,
}
