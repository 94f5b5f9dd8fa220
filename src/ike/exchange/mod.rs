//! The exchanges of IKEv2, one file each, and the rules that they share.
//!
//! ```text
//!   IKE_SA_INIT ──> IKE_AUTH ──> CREATE_CHILD_SA: new child, child rekey, IKE rekey
//!                                INFORMATIONAL:   probes, Deletes
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | this one | [`Exchange`]: our request in flight, with what its response is read with |
//! | `init` | IKE_SA_INIT, both roles |
//! | `auth` | IKE_AUTH, both roles: initiator `AuthSent`, responder `InitAnswered::finish` |
//! | `create_child` | making a child SA, in IKE_AUTH and in CREATE_CHILD_SA |
//! | `rekey_child`, `rekey_ike` | rekeying a child SA, rekeying the IKE SA |
//! | `informational` | probes for dead peer detection, Deletes |
//! | `key_exchange` | nonces, public values, shared secrets |
//! | [`acceptance`] | which payloads each message must and may contain, as data |
//! | [`collision`] | crossing exchanges: simultaneous rekeys, Deletes and dials |
//! | [`step`] | the names of the exchanges by purpose, and of the two ends |

pub(crate) mod acceptance;
pub(crate) mod auth;
pub(crate) mod collision;
pub(crate) mod create_child;
pub(crate) mod informational;
pub(crate) mod init;
pub(crate) mod key_exchange;
pub(crate) mod rekey_child;
pub(crate) mod rekey_ike;
pub mod step;

use super::ids::ChildId;
use crate::crypto::keymat::Nonces;
use crate::wire::codes::ExchangeType;
use crate::wire::payload::nonce::Nonce;
use step::Step;

/// An exchange that we began and that the peer has not answered.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// An empty INFORMATIONAL, for dead peer detection.
    Probe,
    /// The Deletes of these child SAs.
    CloseChildren(Vec<ChildId>),
    /// The Delete of this IKE SA.
    CloseIke,
    /// The request for a further child SA.
    NewChild(create_child::NewChildRequest),
    /// The rekey of a child SA.
    RekeyChild(rekey_child::RekeyChildRequest),
    /// The rekey of the IKE SA.
    RekeyIke(rekey_ike::RekeyIkeRequest),
}

impl Exchange {
    /// The step that the exchange belongs to.
    pub(crate) fn step(&self) -> Step {
        match self {
            Exchange::Probe | Exchange::CloseChildren(_) | Exchange::CloseIke => Step::Inform,
            Exchange::NewChild(_) => Step::NewChild,
            Exchange::RekeyChild(_) => Step::RekeyChild,
            Exchange::RekeyIke(_) => Step::RekeyIke,
        }
    }

    /// The exchange type in the header.
    pub(crate) fn kind(&self) -> ExchangeType {
        self.step().exchange()
    }
}

/// The nonces of one exchange, kept for the comparison of a simultaneous rekey.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NoncePair {
    pub(crate) initiator: Nonce,
    pub(crate) responder: Nonce,
}

impl NoncePair {
    pub(crate) fn view(&self) -> Nonces<'_> {
        Nonces { initiator: self.initiator.bytes(), responder: self.responder.bytes() }
    }
}

/// The peer's successor of the SA that we are rekeying, if the peer made one while our request was
/// in flight (simultaneous rekey).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Crossing<T> {
    /// The peer made none.
    None,
    /// The peer made this one, with these nonces.
    Standing(T, NoncePair),
    /// The peer made one and deleted it again.
    Withdrawn,
}

impl<T> Crossing<T> {
    /// The same, as the rules of [`collision`] ask.
    pub(crate) fn rival(&self) -> collision::Rival<'_> {
        match self {
            Crossing::None => collision::Rival::None,
            Crossing::Standing(_, nonces) => collision::Rival::Standing(nonces.view()),
            Crossing::Withdrawn => collision::Rival::Withdrawn,
        }
    }
}
