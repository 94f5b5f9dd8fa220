//! Which slot is which when the configuration changes (a reload, a restart with another file).
//!
//! A slot is known by its selector policy and not by its place in the file: a policy that is
//! inserted in front of others moves no child SA to another slot.
//!
//! | policy of the new configuration | slot | child SAs |
//! |---|---|---|
//! | the same as before | the same, wherever it stands | stay |
//! | covers a child SA of a policy that is gone | of that policy | stay, and are rekeyed |
//! | another one | a new one | are requested |
//!
//! A child SA that no policy covers any more is deleted at once: "the SA should have been already
//! deleted after the policy change took effect" (RFC 7296 §2.9.2). A rekey asks for the whole
//! policy, so it takes up what was added.

use std::collections::BTreeSet;

use super::Peer;
use super::reconcile::SlotRetry;
use crate::ike::endpoint::config::ChildConfig;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::ids::Slot;
use crate::ike::sa::IkeLifecycle;
use crate::ike::sa::child::ChildSa;
use crate::ike::sa::task::TaskKind;

impl Peer {
    /// The state of a slot; none when the slot is gone from the configuration.
    pub(super) fn slot_retry(&mut self, slot: Slot) -> Option<&mut SlotRetry> {
        self.slot_retries.iter_mut().find(|retry| retry.slot == slot)
    }

    /// Gives each child of the new configuration its slot, and rekeys what may become wider.
    pub(super) fn adapt_slots(&mut self, ctx: &mut Context<'_>) {
        let mut old = std::mem::take(&mut self.slot_retries);
        let (configured, is_piece): (Vec<ChildConfig>, Vec<bool>) =
            self.with_pieces(&old).into_iter().unzip();
        let children: Vec<&ChildSa> = self.sas.iter().flat_map(|sa| &sa.children).collect();
        let mut new: Vec<Option<SlotRetry>> = Vec::new();
        for child in &configured {
            let at = old.iter().position(|retry| retry.policy == child.selectors);
            new.push(at.map(|at| old.remove(at)));
        }
        let kept = new.iter().flatten().map(|retry| retry.slot);
        let mut held: BTreeSet<Slot> =
            children.iter().map(|child| child.slot).chain(kept).collect();
        let mut wider = Vec::new();
        for (entry, child) in new.iter_mut().zip(&configured).filter(|(e, _)| e.is_none()) {
            let policy = &child.selectors;
            let carries =
                |slot| children.iter().any(|c| c.slot == slot && policy.covers(&c.selectors));
            let slot = match old.iter().position(|retry| carries(retry.slot)) {
                Some(at) => {
                    let slot = old.remove(at).slot;
                    wider.push(slot);
                    slot
                }
                None => {
                    let free = (0..=u16::MAX).map(Slot).find(|slot| !held.contains(slot));
                    free.unwrap_or(Slot(u16::MAX))
                }
            };
            held.insert(slot);
            *entry = Some(SlotRetry::new(slot, policy.clone()));
        }
        self.slot_retries = new.into_iter().flatten().collect();
        for (retry, is_piece) in self.slot_retries.iter_mut().zip(is_piece) {
            retry.is_piece = is_piece;
        }
        self.set_children(ctx, configured);
        ctx.slots = self.slot_retries.iter().map(|retry| retry.slot).collect();
        self.close_uncovered(ctx);
        self.rekey_slots(ctx, &wider);
    }

    /// Rekeys the child SAs of these slots that their policy has outgrown.
    fn rekey_slots(&mut self, ctx: &mut Context<'_>, slots: &[Slot]) {
        let now = ctx.mono();
        for sa in &mut self.sas {
            let outgrown = |child: &&ChildSa| {
                let policy = ctx.child_config(child.slot).map(|config| &config.selectors);
                let covers = policy.is_some_and(|policy| child.selectors.covers(policy));
                child.is_live() && slots.contains(&child.slot) && !covers
            };
            let due: Vec<_> = sa.children.iter().filter(outgrown).map(|child| child.id).collect();
            for child in due {
                sa.want(ctx, TaskKind::RekeyChild(child, None), now);
            }
        }
    }

    /// Ends the child SAs that the policy of their slot does not cover, and tells the peer.
    pub(super) fn close_uncovered(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.mono();
        let slots = &self.slot_retries;
        let is_covered = |child: &ChildSa| {
            let own = slots.iter().find(|retry| retry.slot == child.slot);
            own.is_some_and(|retry| retry.policy.covers(&child.selectors))
        };
        for sa in &mut self.sas {
            let stray = |child: &&ChildSa| !child.is_leaving() && !is_covered(child);
            let gone = sa.children.iter().filter(stray).map(|child| (child.id, child.inbound.spi));
            for (id, spi) in gone.collect::<Vec<_>>() {
                sa.detach_child(id, Cause::NotInPolicy);
                if !matches!(sa.lifecycle, IkeLifecycle::Leaving(_)) {
                    sa.want(ctx, TaskKind::Disown(spi), now);
                }
            }
        }
        let draining = std::mem::take(&mut self.draining);
        let (kept, gone): (Vec<_>, Vec<_>) =
            draining.into_iter().partition(|drained| is_covered(&drained.child));
        self.draining = kept;
        gone.into_iter().for_each(|drained| drained.child.remove(ctx));
    }
}
