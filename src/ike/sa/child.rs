//! One child SA pair: what was negotiated, and the state of its inbound and outbound half.
//!
//! ```text
//! inbound    Reserved ───────> Installed ──────────────> Draining ──> Removed
//!            our SPI is in     keys are known            the Delete   late packets have
//!            a request         (and in the data plane)   is through   arrived
//!
//! outbound                     Registered <────> Active ──> Retired
//!                              ready, unused     carries    never again
//!                                                traffic
//! ```
//!
//! The state of the inbound half follows from where the child is: Reserved is an SPI in a request
//! of ours, Installed a [`ChildSa`] in its IKE SA, Draining a [`ChildSa`] in the peer's list. Only
//! the outbound half needs a field, [`OutState`].

use std::cmp::Reverse;
use std::time::Duration;

use super::lifetime::Deadlines;
use crate::crypto::keymat::EspKeys;
use crate::crypto::{EspSuite, Secret};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
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
    /// Installed, while another child of the slot sends the same traffic.
    Registered,
    /// Sends traffic of the slot.
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
    /// Our Delete is a task or in flight: a successor has replaced the child.
    Leaving,
    /// Our Delete is a task or in flight: another child of the same selectors stays (a twin).
    Surplus,
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

    /// Sends on this child from now on what its selectors cover.
    pub(crate) fn activate(&mut self, ctx: &mut Context<'_>) {
        self.out = OutState::Active;
        ctx.out.push(Output::ActivateOutbound {
            peer: ctx.peer,
            slot: self.slot,
            child: self.id,
            spi: self.outbound.spi,
        });
    }

    /// Sends nothing on this child for now: another child covers its traffic.
    pub(crate) fn displace(&mut self, ctx: &mut Context<'_>) {
        self.out = OutState::Registered;
        ctx.out.push(Output::DisplaceOutbound {
            peer: ctx.peer,
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
        matches!(self.lifecycle, ChildLifecycle::Leaving | ChildLifecycle::Surplus)
    }

    /// The cause of the end of a child that we delete.
    pub(crate) fn cause_of_leaving(&self) -> Cause {
        match self.lifecycle {
            ChildLifecycle::Surplus => Cause::Duplicate,
            _ => Cause::Rekeyed,
        }
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

/// One child SA of a slot, with what decides which children of the slot send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendCandidate<'a> {
    pub(crate) id: ChildId,
    pub(crate) selectors: &'a ChildSelectors,
    pub(crate) may_send: bool,
    pub(crate) out: OutState,
    pub(crate) leaving: bool,
}

impl SendCandidate<'_> {
    /// Whether `other`, which comes first, keeps this child from sending.
    fn is_displaced_by(&self, other: &SendCandidate<'_>) -> bool {
        match other.may_send && !self.may_send {
            true => other.selectors.overlaps(self.selectors),
            false => other.selectors.covers(self.selectors),
        }
    }
}

/// The children of a slot that send its outbound traffic. A peer may make several children under
/// one pair of selectors of ours, as one for each pair of its networks: all of them send, each what
/// its own selectors cover.
///
/// Of the children that are not leaving, one that the peer is known to receive on comes before one
/// that is not, then the newest. A child is displaced by one that comes first and covers its
/// selectors; as long as the peer is not known to receive on it, by one that shares any traffic
/// with it. So an old child goes on sending until the peer has used its successor, and the
/// successor sends as soon as the old child is deleted (make-before-break, RFC 7296 §2.8).
pub(crate) fn carriers<'a>(
    candidates: impl IntoIterator<Item = SendCandidate<'a>>,
) -> Vec<ChildId> {
    let may = |c: &SendCandidate<'_>| !c.leaving && c.out != OutState::Retired;
    let mut order: Vec<SendCandidate<'_>> = candidates.into_iter().filter(may).collect();
    order.sort_by_key(|c| Reverse((c.may_send, c.id)));
    let mut carriers: Vec<SendCandidate<'_>> = Vec::new();
    for candidate in order {
        if !carriers.iter().any(|other| candidate.is_displaced_by(other)) {
            carriers.push(candidate);
        }
    }
    carriers.iter().map(|carrier| carrier.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::selector::Selector;
    use crate::wire::selector::set::SelectorSet;

    fn candidate<'a>(
        id: u64,
        may_send: bool,
        leaving: bool,
        selectors: &'a ChildSelectors,
    ) -> SendCandidate<'a> {
        SendCandidate { id: ChildId(id), selectors, may_send, out: OutState::Registered, leaving }
    }

    fn selectors(local: &str, remote: &str) -> ChildSelectors {
        let set = |text: &str| SelectorSet::from(text.parse::<Selector>().expect("a selector"));
        ChildSelectors { local: set(local), remote: set(remote) }
    }

    fn ids(ids: &[u64]) -> Vec<ChildId> {
        ids.iter().copied().map(ChildId).collect()
    }

    #[test]
    fn the_carrier_of_equal_children_is_the_newest_proven_one_that_stays() {
        let any = selectors("0.0.0.0/0", "0.0.0.0/0");
        let candidate = |id, may_send, leaving| candidate(id, may_send, leaving, &any);
        let table: &[(&[SendCandidate<'_>], &[u64])] = &[
            (&[], &[]),
            (&[candidate(1, false, false)], &[1]),
            // The peer's rekey: its new child waits for the first packet.
            (&[candidate(1, true, false), candidate(2, false, false)], &[1]),
            (&[candidate(1, true, false), candidate(2, true, false)], &[2]),
            (&[candidate(1, true, true), candidate(2, false, false)], &[2]),
            // Our successor lost to the peer's and leaves.
            (
                &[candidate(1, true, false), candidate(2, false, false), candidate(3, true, true)],
                &[1],
            ),
            (&[candidate(1, true, true)], &[]),
        ];
        for (candidates, expected) in table {
            assert_eq!(carriers(candidates.iter().copied()), ids(expected), "{candidates:?}");
        }
    }

    #[test]
    fn a_retired_half_never_comes_back() {
        let any = selectors("0.0.0.0/0", "0.0.0.0/0");
        let retired = SendCandidate { out: OutState::Retired, ..candidate(2, true, false, &any) };
        assert_eq!(carriers([candidate(1, true, false, &any), retired]), ids(&[1]));
    }

    #[test]
    fn each_pair_of_networks_has_its_carrier() {
        let (one, two) =
            (selectors("10.1.0.0/24", "10.2.0.0/24"), selectors("10.1.1.0/24", "10.2.0.0/24"));
        let wide = selectors("10.1.0.0/16", "10.2.0.0/24");
        // Pairs that share nothing send side by side, proven or not.
        let pairs = [candidate(1, true, false, &one), candidate(2, false, false, &two)];
        assert_eq!(carriers(pairs), ids(&[1, 2]));
        // A rekey displaces its own pair only.
        let rekeyed = [pairs[0], pairs[1], candidate(3, true, false, &one)];
        assert_eq!(carriers(rekeyed), ids(&[3, 2]));
        // A wider child displaces the narrow ones once it is proven, and a narrow one no wide one.
        let wider = [pairs[0], pairs[1], candidate(3, true, false, &wide)];
        assert_eq!(carriers(wider), ids(&[3]));
        let unproven = [pairs[0], candidate(3, false, false, &wide)];
        assert_eq!(carriers(unproven), ids(&[1]));
        let narrower = [candidate(1, true, false, &wide), candidate(2, true, false, &one)];
        assert_eq!(carriers(narrower), ids(&[2, 1]));
    }
}
