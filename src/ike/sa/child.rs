//! One child SA pair: what was negotiated, and the state of its inbound and outbound half.
//!
//! ```text
//! inbound    Reserved ───────> Installed ──────────────> Draining ──> Removed
//!            our SPI is in     keys are known            the Delete   late packets have
//!            a request         (and in the data plane)   is through   arrived
//!
//! outbound                     Registered <────> Active ──> Retired
//!                              ready, unused     carries    never again
//!                                                the slot
//! ```
//!
//! The state of the inbound half follows from where the child is: Reserved is an SPI in a request
//! of ours, Installed a [`ChildSa`] in its IKE SA, Draining a [`ChildSa`] in the peer's list. Only
//! the outbound half needs a field, [`OutState`].

use std::time::Duration;

use super::lifetime::Deadlines;
use crate::crypto::keymat::EspKeys;
use crate::crypto::{EspSuite, Secret};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::output::{EspSa, Output};
use crate::ike::exchange::step::Party;
use crate::ike::ids::{ChildId, Slot};
use crate::ike::path::Path;
use crate::time::Instant;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::EspSpi;

/// How long a new child that the peer asked for waits for the peer's first packet, while another
/// child sends the same traffic (RFC 7296 §2.8: "the responder MAY defer sending messages on a new
/// SA until either it receives one or a timeout has occurred").
pub(crate) const FIRST_PACKET: Duration = Duration::from_secs(2);

/// The state of an outbound half.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutState {
    /// Installed, while another child of the slot sends.
    Registered,
    /// Sends the slot's traffic.
    Active,
    /// Never sends again.
    Retired,
}

/// What is going to become of a child SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ChildLifecycle {
    Live,
    /// The peer made the child's successor and is to delete the child.
    Replaced {
        /// When we delete the child ourselves.
        overdue: Instant,
    },
    /// Our Delete is a task or in flight.
    Leaving,
}

impl ChildLifecycle {
    /// Whether a replaced child has waited long enough for the peer's Delete.
    pub(crate) fn is_overdue(self, now: Instant) -> bool {
        matches!(self, ChildLifecycle::Replaced { overdue } if overdue <= now)
    }
}

/// One direction of a child SA. The receiving end chose the SPI.
#[derive(Debug)]
pub(crate) struct ChildHalf {
    pub(crate) spi: EspSpi,
    pub(crate) keys: EspKeys,
}

/// A child SA pair.
#[derive(Debug)]
pub(crate) struct ChildSa {
    pub(crate) id: ChildId,
    pub(crate) slot: Slot,
    pub(crate) suite: EspSuite,
    pub(crate) selectors: ChildSelectors,
    pub(crate) inbound: ChildHalf,
    pub(crate) outbound: ChildHalf,
    /// The end that asked for the child, or for the first of the children that it succeeds.
    pub(crate) made_by: Party,
    pub(crate) made_at: Instant,
    /// When the last packet of the peer is known to have come on this pair, or on those that it
    /// succeeds.
    pub(crate) heard_at: Option<Instant>,
    /// Whether the peer is known to receive on this pair: the peer answered our request, sent a
    /// packet on the pair (RFC 7296 §2.8), or asked for the pair in IKE_AUTH.
    pub(crate) may_send: bool,
    /// When the peer is taken to receive on this pair without a sign of it; `None` when there was
    /// one, and for the successor of another child, which sends until the peer deletes it.
    pub(crate) send_at: Option<Instant>,
    pub(crate) out: OutState,
    pub(crate) lifecycle: ChildLifecycle,
    pub(crate) limits: Deadlines,
    /// When to ask for a successor; `None` once asked.
    pub(crate) rekey_at: Option<Instant>,
    /// When the child ends, rekeyed or not.
    pub(crate) expire_at: Instant,
}

impl ChildSa {
    pub(crate) fn install_inbound(&self, ctx: &mut Context<'_>, path: Path, encapsulated: bool) {
        let sa = self.data_plane(&self.inbound, ctx, path, encapsulated);
        ctx.out.push(Output::InstallInbound(sa));
    }

    pub(crate) fn install_outbound(&self, ctx: &mut Context<'_>, path: Path, encapsulated: bool) {
        let sa = self.data_plane(&self.outbound, ctx, path, encapsulated);
        ctx.out.push(Output::InstallOutbound(sa));
    }

    /// Sends the slot's traffic on this child from now on.
    pub(crate) fn activate(&mut self, ctx: &mut Context<'_>) {
        self.out = OutState::Active;
        ctx.out.push(Output::ActivateOutbound {
            peer: ctx.peer,
            slot: self.slot,
            child: self.id,
            spi: self.outbound.spi,
        });
    }

    /// Ends sending on this child, for good.
    pub(crate) fn retire(&mut self, ctx: &mut Context<'_>) {
        if self.out != OutState::Retired {
            self.out = OutState::Retired;
            ctx.out.push(Output::RetireOutbound {
                peer: ctx.peer,
                child: self.id,
                spi: self.outbound.spi,
            });
        }
    }

    /// Ends receiving on this child too and frees its SPI.
    pub(crate) fn remove(mut self, ctx: &mut Context<'_>) {
        self.retire(ctx);
        ctx.spis.release_esp(self.inbound.spi);
        ctx.out.push(Output::RemoveInbound {
            peer: ctx.peer,
            child: self.id,
            spi: self.inbound.spi,
        });
    }

    /// Notes that a packet of the peer has come on this pair.
    pub(crate) fn hear(&mut self, at: Instant) {
        self.heard_at = self.heard_at.max(Some(at));
        (self.may_send, self.send_at) = (true, None);
    }

    /// Takes over what holds for the child that this one succeeds by a rekey.
    pub(crate) fn succeed(&mut self, old: &ChildSa) {
        (self.made_by, self.heard_at) = (old.made_by, old.heard_at);
        self.send_at = None;
    }

    /// Whether the child is neither leaving nor replaced.
    pub(crate) fn is_live(&self) -> bool {
        self.lifecycle == ChildLifecycle::Live
    }

    /// Whether we are deleting the child.
    pub(crate) fn is_leaving(&self) -> bool {
        self.lifecycle == ChildLifecycle::Leaving
    }

    fn data_plane(
        &self,
        half: &ChildHalf,
        ctx: &Context<'_>,
        path: Path,
        encapsulated: bool,
    ) -> Box<EspSa> {
        Box::new(EspSa {
            peer: ctx.peer,
            child: self.id,
            slot: self.slot,
            spi: half.spi,
            suite: self.suite,
            keys: copy_keys(&half.keys),
            selectors: self.selectors.clone(),
            made_at: self.made_at,
            limits: self.limits,
            path,
            encapsulated,
        })
    }
}

/// The data plane's copy of the keys; the engine keeps its own for the snapshot.
fn copy_keys(keys: &EspKeys) -> EspKeys {
    EspKeys {
        encryption: Secret::copy_of(keys.encryption.expose()),
        integrity: Secret::copy_of(keys.integrity.expose()),
    }
}

/// One child SA of a slot, with what decides which child of the slot sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SendCandidate {
    pub(crate) id: ChildId,
    pub(crate) may_send: bool,
    pub(crate) out: OutState,
    pub(crate) leaving: bool,
}

/// Which child of a slot sends its outbound traffic: of those that are not leaving, one that the
/// peer is known to receive on before one that is not, then the newest. So an old child goes on
/// sending until the peer has used its successor, and the successor sends as soon as the old child
/// is deleted (make-before-break, RFC 7296 §2.8).
pub(crate) fn carrier(candidates: impl IntoIterator<Item = SendCandidate>) -> Option<ChildId> {
    candidates
        .into_iter()
        .filter(|c| !c.leaving && c.out != OutState::Retired)
        .max_by_key(|c| (c.may_send, c.id))
        .map(|c| c.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64, may_send: bool, leaving: bool) -> SendCandidate {
        SendCandidate { id: ChildId(id), may_send, out: OutState::Registered, leaving }
    }

    #[test]
    fn the_carrier_is_the_newest_proven_child_that_stays() {
        let table: &[(&[SendCandidate], Option<u64>)] = &[
            (&[], None),
            (&[candidate(1, false, false)], Some(1)),
            // The peer's rekey: its new child waits for the first packet.
            (&[candidate(1, true, false), candidate(2, false, false)], Some(1)),
            (&[candidate(1, true, false), candidate(2, true, false)], Some(2)),
            (&[candidate(1, true, true), candidate(2, false, false)], Some(2)),
            // Our successor lost to the peer's and leaves.
            (
                &[candidate(1, true, false), candidate(2, false, false), candidate(3, true, true)],
                Some(1),
            ),
            (&[candidate(1, true, true)], None),
        ];
        for (candidates, expected) in table {
            assert_eq!(
                carrier(candidates.iter().copied()),
                expected.map(ChildId),
                "{candidates:?}"
            );
        }
    }

    #[test]
    fn a_retired_half_never_comes_back() {
        let retired = SendCandidate { out: OutState::Retired, ..candidate(2, true, false) };
        assert_eq!(carrier([candidate(1, true, false), retired]), Some(ChildId(1)));
    }
}
