//! The configuration of the engine: typed and already validated. `config::peers` makes it from the
//! configuration file.

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

/// The settings that hold for all peers.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Bounds on half-open IKE SAs.
    pub half_open: HalfOpenLimits,
    /// The most child SA pairs of one peer. Azure's own limit is 100.
    pub max_children: usize,
    /// The largest UDP payload of an IKE message; a longer message is fragmented (RFC 7383),
    /// because Azure drops IP fragments.
    pub max_datagram: usize,
    /// How long an inbound SA still receives after its outbound half was retired: the packets that
    /// were under way at a rekey.
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

/// The configuration of one remote gateway instance.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The connection's name in the log.
    pub name: Box<str>,
    /// Which end may dial.
    pub role: DialRole,
    /// This end's address towards the peer.
    pub local: IpAddr,
    /// The peer's addresses: dialled in turn, and accepted as the source of its IKE_SA_INIT. Empty:
    /// any source is accepted, and the peer is never dialled.
    pub remotes: Vec<IpAddr>,
    /// The peer is at `remotes` and nowhere else, because they were configured as addresses.
    /// Without a NAT in front of the peer no tunnel moves to any other address. A peer that is
    /// configured by its DNS name may have a new address before the name has.
    pub fixed_remotes: bool,
    /// Whether ESP is encapsulated in UDP.
    pub encapsulation: EspEncapsulation,
    /// Dial port 4500 from the first message on: for networks that block port 500.
    pub start_on_4500: bool,
    /// The proposals for the IKE SA.
    pub ike: ProposalPolicy,
    /// The child SAs to have; each is a [`crate::ike::Slot`].
    pub children: Vec<ChildConfig>,
    /// How the two ends prove themselves.
    pub credentials: Rc<dyn Authenticator>,
    /// The IDr payload of our IKE_AUTH request. Azure needs none and refuses a wrong one, so the
    /// default is none.
    pub ask_for: Option<Identity>,
    /// The hard lifetime of the IKE SA; it is rekeyed some time before. Azure's is 28,800 s, and
    /// that is the most.
    pub ike_lifetime: Duration,
    /// Re-authenticate after this long, by a new IKE SA beside the old one (RFC 4478 §2).
    pub reauthenticate: Option<Duration>,
    /// Dead peer detection: the peer is considered dead after this long without a sign of life.
    /// Azure's `dpdTimeoutSeconds`: 9 to 3600, by default 45.
    pub dpd_timeout: DpdTimeout,
    /// Establish the IKE SA without a first child SA (RFC 6023), when the peer supports that.
    pub childless: bool,
    /// Which implementation's behaviour to show: our own, or Azure's in a test.
    pub behaviour: PeerBehaviour,
}

/// The configuration of one child SA.
#[derive(Clone, Debug)]
pub struct ChildConfig {
    /// The name in the log.
    pub name: Box<str>,
    /// The proposals, with the groups for perfect forward secrecy.
    pub esp: ProposalPolicy,
    /// The traffic selectors of both ends.
    pub selectors: ChildSelectors,
    /// The hard lifetime; the child SA is rekeyed some time before.
    pub lifetime_time: Duration,
    /// The hard limit in octets; the child SA is rekeyed some time before.
    pub lifetime_bytes: u64,
    /// Keep the child SA up whenever the IKE SA is up. One that is not kept up is established when
    /// the peer requests it.
    pub keep_up: bool,
}

/// Which end may send the first IKE_SA_INIT: the mirror image of Azure's `connectionMode`. Every
/// later request may come from both ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DialRole {
    /// This end dials and answers: Azure's `Default`.
    #[default]
    Both,
    /// This end dials and never answers: Azure's `ResponderOnly`.
    Dial,
    /// This end answers and never dials: Azure's `InitiatorOnly`.
    Answer,
}

impl DialRole {
    /// Whether this end may dial.
    pub fn dials(self) -> bool {
        self != DialRole::Answer
    }

    /// Whether this end answers an IKE_SA_INIT request.
    pub fn answers(self) -> bool {
        self != DialRole::Dial
    }
}

/// Whether ESP is encapsulated in UDP (NAT traversal, NAT-T, RFC 3948).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EspEncapsulation {
    /// In UDP on port 4500: the NAT detection payloads pretend a NAT, so that the peer agrees (RFC
    /// 7296 §2.23). A peer without NAT traversal gets bare ESP all the same.
    #[default]
    Udp,
    /// In UDP when a NAT is detected, otherwise bare.
    Auto,
    /// Bare (IP protocol 50), whatever NAT detection says.
    Esp,
}
