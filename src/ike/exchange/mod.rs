//! Our request under way: one variant for each kind, holding what its answer will be understood by.

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

/// An exchange that we began.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Liveness: an empty INFORMATIONAL.
    Probe,
    /// Deletes of these children.
    CloseChildren(Vec<ChildId>),
    /// The Delete of this IKE SA.
    CloseIke,
    /// A further child.
    NewChild(create_child::NewChildRequest),
    /// A child's successor.
    RekeyChild(rekey_child::RekeyChildRequest),
    /// The IKE SA's successor.
    RekeyIke(rekey_ike::RekeyIkeRequest),
}

impl Exchange {
    /// What it is for.
    pub(crate) fn step(&self) -> Step {
        match self {
            Exchange::Probe | Exchange::CloseChildren(_) | Exchange::CloseIke => Step::Inform,
            Exchange::NewChild(_) => Step::NewChild,
            Exchange::RekeyChild(_) => Step::RekeyChild,
            Exchange::RekeyIke(_) => Step::RekeyIke,
        }
    }

    /// How it travels.
    pub(crate) fn kind(&self) -> ExchangeType {
        self.step().exchange()
    }
}

/// The nonces of one exchange, kept for a comparison to come.
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

/// The peer's successor of what we are replacing, if it made one while our request was under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Crossing<T> {
    /// It made none.
    None,
    /// It made this one.
    Standing(T, NoncePair),
    /// It made one and deleted it again.
    Withdrawn,
}

impl<T> Crossing<T> {
    pub(crate) fn rival(&self) -> collision::Rival<'_> {
        match self {
            Crossing::None => collision::Rival::None,
            Crossing::Standing(_, nonces) => collision::Rival::Standing(nonces.view()),
            Crossing::Withdrawn => collision::Rival::Withdrawn,
        }
    }
}
