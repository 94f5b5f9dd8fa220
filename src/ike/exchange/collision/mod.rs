//! Exchanges that cross: simultaneous rekeys, simultaneous Deletes, both ends dialling at once.
//! This file decides only; it holds no state.
//!
//! Each end has one request in flight at most, so all crossings are pairs. The rules are RFC 7296
//! §2.25 (what to answer while busy) and §2.8 (which of two successors stays), written as functions
//! of what this end is doing. Both ends run them on mirrored arguments, and the tests check that
//! their decisions agree.
//!
//! | crossing | decided by |
//! |---|---|
//! | the peer's request for a child arrives while we are busy | [`on_new_child`] |
//! | the peer's rekey arrives while we are busy | [`on_rekey_child`], [`on_rekey_ike`] |
//! | the peer's Delete arrives while we are busy | [`on_delete_child`], [`on_delete_ike`] |
//! | both ends rekeyed the same SA (simultaneous rekey) | [`successor`] |
//! | our rekey of a child was refused | [`after_refused_rekey`] |
//! | both ends dialled at once, or one dialled again | [`surplus`] |

use super::step::Party;
use crate::crypto::keymat::Nonces;
use crate::ike::testing::mutation::{self, Mutation};

/// What this end is doing to the IKE SA that a request arrived on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IkeActivity {
    /// We have nothing in flight that concerns other exchanges.
    Idle,
    /// Our request for a new child, the rekey of a child or the Delete of a child is in flight.
    WithChild,
    /// Our rekey of the IKE SA is in flight.
    Rekeying,
    /// The successor has taken over with the children; the IKE SA only waits for its Delete.
    Replaced,
    /// Our Delete of the IKE SA is in flight.
    Closing,
}

/// What this end is doing to the child SA that a request names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChildActivity {
    /// We have nothing in flight that concerns the child.
    Idle,
    /// Our rekey of the child is in flight.
    Rekeying,
    /// The peer has rekeyed the child and is to delete it.
    Replaced,
    /// Our Delete of the child is in flight, or about to be.
    Closing,
    /// This end has no such child, or no longer.
    Gone,
}

/// How to answer a request to create or rekey.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Creation {
    /// Grant the request.
    Usual,
    /// Grant the request and keep its nonces: our own request for the same is in flight, and its
    /// response decides which successor stays.
    Rival,
    /// Answer TEMPORARY_FAILURE.
    NotNow,
    /// Answer CHILD_SA_NOT_FOUND.
    NotFound,
}

/// How to answer a request to delete a child.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Deletion {
    /// Remove the child, and name our own SPI in a Delete payload.
    WithDelete,
    /// Answer without a Delete payload: the child is gone, or our own Delete names it already.
    WithoutDelete,
}

/// How to answer a request for a further child (RFC 7296 §2.25.2).
pub fn on_new_child(ike: IkeActivity) -> Creation {
    match ike {
        IkeActivity::Idle | IkeActivity::WithChild => Creation::Usual,
        IkeActivity::Rekeying | IkeActivity::Replaced | IkeActivity::Closing => Creation::NotNow,
    }
}

/// How to answer the rekey of a child (RFC 7296 §2.25.1, §2.25.2).
pub fn on_rekey_child(ike: IkeActivity, child: ChildActivity) -> Creation {
    match (ike, child) {
        (_, ChildActivity::Gone) => Creation::NotFound,
        (IkeActivity::Rekeying | IkeActivity::Replaced | IkeActivity::Closing, _) => {
            Creation::NotNow
        }
        (_, ChildActivity::Idle) => Creation::Usual,
        (_, ChildActivity::Rekeying) => Creation::Rival,
        (_, ChildActivity::Replaced | ChildActivity::Closing) => Creation::NotNow,
    }
}

/// How to answer the Delete of a child (RFC 7296 §1.4.1, §2.25.1), which is never refused.
pub fn on_delete_child(child: ChildActivity) -> Deletion {
    match child {
        ChildActivity::Idle | ChildActivity::Rekeying | ChildActivity::Replaced => {
            Deletion::WithDelete
        }
        ChildActivity::Closing | ChildActivity::Gone => Deletion::WithoutDelete,
    }
}

/// How to answer the rekey of the IKE SA (RFC 7296 §2.25.1, §2.25.2).
pub fn on_rekey_ike(ike: IkeActivity) -> Creation {
    match ike {
        IkeActivity::Idle => Creation::Usual,
        IkeActivity::Rekeying => Creation::Rival,
        // "An IKE SA that it is currently trying to close (whether or not it has already sent the
        // delete notification)" (§2.8.2).
        IkeActivity::WithChild | IkeActivity::Replaced | IkeActivity::Closing => Creation::NotNow,
    }
}

/// What the peer's Delete of the IKE SA ends. The Delete is always answered, and our own request in
/// flight is dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Closure {
    /// The IKE SA ends with its children.
    Everything,
    /// Only a replaced IKE SA ends; its children live on the successor.
    ShellOnly,
    /// The peer did not see our rekey, which crossed its own: the peer's successor stays and takes
    /// the children over, and our attempt is dropped (RFC 7296 §2.8.2).
    RivalStands,
}

/// What the Delete of the IKE SA ends.
pub fn on_delete_ike(ike: IkeActivity, rival: Rival<'_>) -> Closure {
    match (ike, rival) {
        (IkeActivity::Rekeying, Rival::Standing(_)) => Closure::RivalStands,
        (IkeActivity::Replaced, _) => Closure::ShellOnly,
        _ => Closure::Everything,
    }
}

/// The peer's successor of the same SA, which we granted while our own request was in flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rival<'a> {
    /// The peer made no successor.
    None,
    /// The peer made a successor, with these nonces.
    Standing(Nonces<'a>),
    /// The peer made a successor and deleted it again: the peer decided that ours stays.
    Withdrawn,
}

/// Whose successor stays, when our request for a successor has got its response.
///
/// The end whose successor stays deletes the old SA; the other end deletes its own successor (RFC
/// 7296 §2.8.1, §2.8.2). So for `Party::We` we delete the old SA, and for `Party::Peer` our own
/// successor.
pub fn successor(ours: Nonces<'_>, rival: Rival<'_>) -> Party {
    match rival {
        Rival::None | Rival::Withdrawn => Party::We,
        Rival::Standing(theirs) => lower(ours, theirs).other(),
    }
}

/// What follows when our rekey of a child was refused with TEMPORARY_FAILURE or CHILD_SA_NOT_FOUND.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AfterRefusal {
    /// Nothing follows: the peer's successor takes over, or the child was to be deleted.
    Done,
    /// A new child is asked for: the old one is gone at one end and nothing replaced it.
    Recreate,
    /// The rekey is tried again after a pause: the child lives.
    Retry,
}

/// What follows when our rekey of a child was refused; `child` says what has become of the child
/// meanwhile.
pub fn after_refused_rekey(
    child: ChildActivity,
    rival: Rival<'_>,
    unknown_there: bool,
) -> AfterRefusal {
    match (rival, child) {
        (Rival::Standing(_), _) | (_, ChildActivity::Replaced | ChildActivity::Closing) => {
            AfterRefusal::Done
        }
        (_, ChildActivity::Gone) => AfterRefusal::Recreate,
        (_, ChildActivity::Idle | ChildActivity::Rekeying) if unknown_there => {
            AfterRefusal::Recreate
        }
        (_, ChildActivity::Idle | ChildActivity::Rekeying) => AfterRefusal::Retry,
    }
}

/// The IKE_SA_INIT exchange of one of two IKE SAs with the same peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dialled<'a> {
    /// The end that sent the IKE_SA_INIT request.
    pub by: Party,
    /// The nonces of the exchange.
    pub nonces: Nonces<'a>,
}

/// One of two IKE SAs with the same peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Age {
    /// The IKE SA that was up first.
    Older,
    /// The IKE SA that came up later.
    Newer,
}

/// How soon this end closes an IKE SA that is one too many.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Closing {
    /// At once: we dialled the IKE SA.
    Now,
    /// After a while, once the IKE SA that stays has answered a probe: the peer dialled the surplus
    /// IKE SA and should close it first.
    AfterProof,
}

/// Which of two established IKE SAs is closed, and how soon, when both ends dialled at once or one
/// dialled again.
///
/// RFC 7296 has no rule for two *initial* IKE SAs. s2sd applies the rule of §2.8.2, whose outcome
/// does not depend on the order in which an end saw the events: the IKE SA with the lowest of the
/// four nonces is closed, by the end that dialled it. "The newest stays" would not work: the ends
/// may disagree which one is the newest, and each would close the other's choice. A peer without
/// this rule (Azure's rule is unknown) may close the other IKE SA, or none: hence
/// [`Closing::AfterProof`]. The proof is needed because the surplus IKE SA may be the only one that
/// a restarted peer knows.
///
/// Two IKE SAs dialled by the same end are a re-authentication or a restart: the older is closed.
/// An end that dials to replace an IKE SA of the other end closes that one without this rule.
pub fn surplus(older: Dialled<'_>, newer: Dialled<'_>) -> (Age, Closing) {
    let loser = match older.by == newer.by || lower(older.nonces, newer.nonces) == Party::We {
        true => Age::Older,
        false => Age::Newer,
    };
    let dialler = match loser {
        Age::Older => older.by,
        Age::Newer => newer.by,
    };
    match dialler {
        Party::We => (loser, Closing::Now),
        Party::Peer => (loser, Closing::AfterProof),
    }
}

/// The pair with the lowest of the four nonces: `We` for the first. Nonces are compared octet by
/// octet, and a nonce that is a prefix of the other is the lower one (RFC 7296 §2.8.1), which is
/// the order of slices.
///
/// Four random nonces do not tie. If a peer reuses a nonce, both ends still order the pairs alike,
/// unless the pairs are equal.
fn lower(first: Nonces<'_>, second: Nonces<'_>) -> Party {
    let sorted = |pair: Nonces<'_>| {
        let (a, b) = (pair.initiator, pair.responder);
        if a <= b { (a.to_vec(), b.to_vec()) } else { (b.to_vec(), a.to_vec()) }
    };
    let first_is_lower = (sorted(first), first.initiator) <= (sorted(second), second.initiator);
    if first_is_lower != mutation::is(Mutation::CompareNoncesWrongly) {
        Party::We
    } else {
        Party::Peer
    }
}

#[cfg(test)]
mod tests;
