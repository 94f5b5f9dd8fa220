//! What to do when both ends do something at once: decisions only, no state.
//!
//! Each end has one request under way at most, so all crossings are pairs. The rules are RFC 7296
//! §2.25 (what to answer while busy) and §2.8 (which of two successors stays), here as functions of
//! what this end is doing. Both ends run them on mirrored arguments, and the tests check that their
//! decisions fit together.

use super::step::Party;
use crate::crypto::keymat::Nonces;
use crate::ike::testing::mutation::{self, Mutation};

/// What this end is doing to the IKE SA that a request arrived on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IkeActivity {
    /// Nothing.
    Idle,
    /// Our request for a new child, a child's successor or a child's end is under way.
    WithChild,
    /// Our request for its successor is under way.
    Rekeying,
    /// Its successor stands and the children have moved there; it only waits for its Delete.
    Replaced,
    /// Our Delete of it is under way.
    Closing,
}

/// What this end is doing to the child SA that a request names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChildActivity {
    /// Nothing.
    Idle,
    /// Our request for its successor is under way.
    Rekeying,
    /// The peer's request for its successor was answered; the peer is to delete it.
    Replaced,
    /// Our Delete of it is under way, or about to be.
    Closing,
    /// There is no such child here, or no longer.
    Gone,
}

/// How to answer a request to create or rekey.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Creation {
    /// As usual.
    Usual,
    /// As usual, and keep its nonces: our own request for the same is under way, and its response
    /// decides.
    Rival,
    /// TEMPORARY_FAILURE.
    NotNow,
    /// CHILD_SA_NOT_FOUND.
    NotFound,
}

/// How to answer a request to delete a child.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Deletion {
    /// Remove it, and name our own SPI in a Delete payload.
    WithDelete,
    /// Answer without a Delete payload for it: it is gone, or our own Delete already said so.
    WithoutDelete,
}

/// A request for a further child (RFC 7296 §2.25.2).
pub fn on_new_child(ike: IkeActivity) -> Creation {
    match ike {
        IkeActivity::Idle | IkeActivity::WithChild => Creation::Usual,
        IkeActivity::Rekeying | IkeActivity::Replaced | IkeActivity::Closing => Creation::NotNow,
    }
}

/// A request for a child's successor (RFC 7296 §2.25.1, §2.25.2).
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

/// A request to delete a child (RFC 7296 §1.4.1, §2.25.1). Never refused, whatever the IKE SA is
/// at.
pub fn on_delete_child(child: ChildActivity) -> Deletion {
    match child {
        ChildActivity::Idle | ChildActivity::Rekeying | ChildActivity::Replaced => {
            Deletion::WithDelete
        }
        ChildActivity::Closing | ChildActivity::Gone => Deletion::WithoutDelete,
    }
}

/// A request for the IKE SA's successor (RFC 7296 §2.25.1, §2.25.2).
pub fn on_rekey_ike(ike: IkeActivity) -> Creation {
    match ike {
        IkeActivity::Idle => Creation::Usual,
        IkeActivity::Rekeying => Creation::Rival,
        // "An IKE SA that it is currently trying to close (whether or not it has already sent the
        // delete notification)" (§2.8.2).
        IkeActivity::WithChild | IkeActivity::Replaced | IkeActivity::Closing => Creation::NotNow,
    }
}

/// What a peer's Delete of the IKE SA means. It is always answered, and our own request under way
/// is forgotten.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Closure {
    /// The IKE SA ends with its children.
    Everything,
    /// Only the shell of a replaced IKE SA ends; its children live on the successor.
    ShellOnly,
    /// The peer did not see our crossing rekey: its own successor stands, the children move there,
    /// and our attempt is forgotten (RFC 7296 §2.8.2).
    RivalStands,
}

/// A request to delete the IKE SA.
pub fn on_delete_ike(ike: IkeActivity, rival: Rival<'_>) -> Closure {
    match (ike, rival) {
        (IkeActivity::Rekeying, Rival::Standing(_)) => Closure::RivalStands,
        (IkeActivity::Replaced, _) => Closure::ShellOnly,
        _ => Closure::Everything,
    }
}

/// The peer's successor of the same SA, answered by us while our own request was under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rival<'a> {
    /// There was none.
    None,
    /// There is one, made with these nonces.
    Standing(Nonces<'a>),
    /// There was one, and the peer deleted it again: it has decided that ours stays.
    Withdrawn,
}

/// Our request for a successor got its response: whose successor stays?
///
/// The initiator of the one that stays deletes the old SA; the initiator of the other deletes that
/// one (RFC 7296 §2.8.1, §2.8.2). So for `Party::We` we delete the old SA, and for `Party::Peer`
/// our own successor.
pub fn successor(ours: Nonces<'_>, rival: Rival<'_>) -> Party {
    match rival {
        Rival::None | Rival::Withdrawn => Party::We,
        Rival::Standing(theirs) => lower(ours, theirs).other(),
    }
}

/// What follows when our request to rekey a child was refused with TEMPORARY_FAILURE or
/// CHILD_SA_NOT_FOUND.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AfterRefusal {
    /// Nothing: the peer's successor does the work, or the child was not to live on.
    Done,
    /// The child is gone here or there and nothing replaced it: ask for a new one.
    Recreate,
    /// The child lives: ask again after a pause.
    Retry,
}

/// Our request to rekey a child was refused; `child` is what has become of it meanwhile.
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

/// An IKE SA that came from IKE_SA_INIT, beside another one with the same peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dialled<'a> {
    /// Who sent the IKE_SA_INIT request.
    pub by: Party,
    /// Of that exchange.
    pub nonces: Nonces<'a>,
}

/// One of two IKE SAs with the same peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Age {
    /// The one that was up first.
    Older,
    /// The other.
    Newer,
}

/// How soon this end closes an IKE SA that is one too many.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Closing {
    /// At once: we dialled it.
    Now,
    /// The peer dialled it and should close it. When it has not after a while, and the one that
    /// stays has answered a probe since both were up, we do.
    AfterProof,
}

/// Both ends dialled at once, or one dialled again: which of two established IKE SAs goes, and how
/// soon here?
///
/// RFC 7296 has no rule for two *initial* IKE SAs. Ours is that of its §2.8.2, which both ends
/// compute alike without having seen the same order of events: the SA with the lowest of the four
/// nonces goes, closed by the end that dialled it. "The newest stays" would not do, for the ends
/// may disagree which that is, and each would close the other's choice. A peer without this rule
/// (Azure's is unknown) may close the other one, or none: hence [`Closing::AfterProof`], and the
/// proof is there because an SA that lost may be the only one that a restarted peer still knows.
///
/// Two SAs dialled by the same end are a re-authentication or a restart: the older goes. An end
/// that dials to replace an SA of the other's making closes that one itself, without asking here.
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

/// Which pair has the lowest of the four nonces: `We` for the first. Octet by octet, and a nonce
/// that is the other's beginning is the lower one (RFC 7296 §2.8.1): the order of slices.
///
/// Four random nonces do not tie. For a peer that reuses one the pairs still order the same way at
/// both ends, unless they are the same pair.
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
