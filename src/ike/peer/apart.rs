//! Peers that take one pair of address ranges in a child SA (RFC 7296 §2.9).
//!
//! ```text
//!   policy of a slot        we ask for            the peer's answer
//!   {A, B} <-> {C}          {A, B} <-> {C}        SINGLE_PAIR_REQUIRED, or
//!                                                 A <-> C and ADDITIONAL_TS_POSSIBLE
//!   becomes two slots       A <-> C, B <-> C      each granted
//! ```
//!
//! Either answer says that the rest of the policy takes child SAs of its own. So the slot is
//! divided into pieces, and each piece is a slot like any other: kept up, asked for again after a
//! refusal, rekeyed. A piece is not divided further, so no answer of the peer makes a circle. The
//! pieces outlive the IKE SA, a reload and a restart: the next handshake asks for them at once.

use std::rc::Rc;

use super::Peer;
use super::reconcile::SlotRetry;
use crate::ike::endpoint::config::ChildConfig;
use crate::ike::endpoint::context::{Apart, Context};
use crate::ike::ids::Slot;
use crate::wire::selector::narrow::ChildSelectors;

impl Peer {
    /// Divides the slots that the peer wants apart.
    pub(super) fn divide_slots(&mut self, ctx: &mut Context<'_>) {
        for Apart { slot, granted } in std::mem::take(&mut ctx.apart) {
            let Some(divided) = self.slot_retry(slot) else { continue };
            let pieces = pieces(&divided.policy, granted.as_slice());
            let others = self.slot_retries.len() - 1;
            if pieces.len() < 2 || others + pieces.len() > ctx.settings.max_children {
                continue;
            }
            self.slot_retries.retain(|retry| retry.slot != slot);
            for piece in pieces {
                // What was granted stands already, as the child SA of the old slot.
                let slot = if granted.as_ref() == Some(&piece) { slot } else { self.free_slot() };
                let piece = SlotRetry { is_piece: true, ..SlotRetry::new(slot, piece) };
                self.slot_retries.push(piece);
            }
            self.adapt_slots(ctx);
        }
    }

    /// A number that no slot and no child SA has.
    fn free_slot(&self) -> Slot {
        let children = self.sas.iter().flat_map(|sa| &sa.children).map(|child| child.slot);
        let draining = self.draining.iter().map(|drained| drained.child.slot);
        let slots = self.slot_retries.iter().map(|retry| retry.slot);
        let held: Vec<Slot> = slots.chain(children).chain(draining).collect();
        (0..=u16::MAX).map(Slot).find(|slot| !held.contains(slot)).unwrap_or(Slot(u16::MAX))
    }

    /// The children of the configuration, with the pieces of those that the peer wanted apart.
    pub(super) fn with_pieces(&self, old: &[SlotRetry]) -> Vec<(ChildConfig, bool)> {
        let divided = |child: &ChildConfig| {
            let known: Vec<ChildSelectors> = old
                .iter()
                .filter(|retry| retry.is_piece && child.selectors.covers(&retry.policy))
                .map(|retry| retry.policy.clone())
                .collect();
            if known.is_empty() {
                return vec![(child.clone(), false)];
            }
            let pieces = pieces(&child.selectors, &known).into_iter();
            pieces.map(|selectors| (ChildConfig { selectors, ..child.clone() }, true)).collect()
        };
        self.config.children.iter().flat_map(divided).collect()
    }

    /// Takes over the divided children.
    pub(super) fn set_children(&mut self, ctx: &mut Context<'_>, children: Vec<ChildConfig>) {
        let mut config = (*self.config).clone();
        config.children = children;
        self.config = Rc::new(config);
        ctx.config = Rc::clone(&self.config);
    }
}

impl Context<'_> {
    /// Whether the policy of a slot has several pairs, and so can be divided.
    pub(crate) fn has_several_pairs(&self, slot: Slot) -> bool {
        self.child_config(slot).is_some_and(|child| pieces(&child.selectors, &[]).len() > 1)
    }
}

/// The parts of a policy that get a child SA each: the `known` ones, and every pair of its ranges
/// that none of them covers.
fn pieces(policy: &ChildSelectors, known: &[ChildSelectors]) -> Vec<ChildSelectors> {
    let mut pieces = known.to_vec();
    for local in policy.local.selectors() {
        for remote in policy.remote.selectors() {
            let pair = ChildSelectors { local: (*local).into(), remote: (*remote).into() };
            if !known.iter().any(|piece| piece.covers(&pair)) {
                pieces.push(pair);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::selector::Selector;
    use crate::wire::selector::set::SelectorSet;

    fn set(texts: &[&str]) -> SelectorSet {
        texts.iter().map(|text| text.parse::<Selector>().expect("a selector")).collect()
    }

    fn between(local: &[&str], remote: &[&str]) -> ChildSelectors {
        ChildSelectors { local: set(local), remote: set(remote) }
    }

    #[test]
    fn a_policy_is_divided_into_what_is_known_and_the_pairs_that_are_left() {
        const A: &str = "10.1.0.0/24";
        const B: &str = "10.3.0.0/24";
        const C: &str = "10.2.0.0/24";
        const D: &str = "10.4.0.0/24";
        let policy = between(&[A, B], &[C, D]);
        let pair = |a: &str, b: &str| between(&[a], &[b]);
        assert_eq!(pieces(&policy, &[]), [pair(A, C), pair(A, D), pair(B, C), pair(B, D)]);
        let half = between(&[A, B], &[C]);
        assert_eq!(
            pieces(&policy, std::slice::from_ref(&half)),
            [half, pair(A, D), pair(B, D)],
            "what was granted stays one piece"
        );
        assert_eq!(pieces(&policy, std::slice::from_ref(&policy)).len(), 1);
        assert_eq!(pieces(&pair(A, C), &[]), [pair(A, C)]);
    }
}
