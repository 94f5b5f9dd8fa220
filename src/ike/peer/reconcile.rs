//! What the peer lacks and what is one too many: an IKE SA, a child SA for a slot, a surplus IKE SA
//! or child SA.
//!
//! Nothing here remembers what it has started. After every input [`Peer::reconcile`] compares the
//! configuration with the SAs that exist, so whatever was lost on the way (a refused child, an SA
//! that a simultaneous exchange removed) is requested again.
//!
//! | state found | action |
//! |---|---|
//! | no live IKE SA, or a fresh one is wanted | dial ([`dial`](super::dial)) |
//! | several IKE SAs from IKE_SA_INIT | close those that [`Peer::mark_surplus`] has chosen |
//! | two child SAs of the same selectors | delete the one that loses, once it is idle |
//! | a child SA that the policy does not cover | delete it ([`slots`](super::slots)) |
//! | a slot that is to be kept up and has no child SA | request a child SA |
//! | a slot whose child SA the peer refuses again and again | renew the IKE SA |

use std::cmp::Reverse;
use std::time::Duration;

use super::Peer;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::endpoint::schedule::{Earliest, Timer};
use crate::ike::exchange::Exchange;
use crate::ike::exchange::collision::{self, Age, Closing, Dialled};
use crate::ike::exchange::step::Party;
use crate::ike::ids::{ChildId, Slot};
use crate::ike::path::Path;
use crate::ike::sa::child::ChildSa;
use crate::ike::sa::dispatch::PATIENCE;
use crate::ike::sa::jitter::duration_between;
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeSa, Surplus};
use crate::time::Instant;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::IkeSpi;

/// How long the responder waits for the initiator to request a missing child before requesting it
/// itself: a time drawn between the two.
const COURTESY: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
/// How long a surplus IKE SA stays for packets and messages on their way: a time drawn between the
/// two.
const SETTLE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));
/// How much longer the peer may take to close a surplus IKE SA that it dialled.
const THEIRS: Duration = Duration::from_secs(20);
/// How long a surplus IKE SA that cannot be closed yet waits before it is looked at again, and how
/// long the IKE SA that stays may be silent before it is probed.
const RECHECK: Duration = Duration::from_secs(2);
/// The most IKE SAs with one peer: both ends dialled at once, re-authentication and rekeys.
const MOST: usize = 6;
/// How long two twins stay when the peer has not yet sent on both.
const TWIN_PAUSE: Duration = Duration::from_secs(5);
/// How long a twin stays after a packet of the peer, when the peer has never sent on the other.
const TWIN_IDLE: Duration = Duration::from_secs(60);
/// The peer did not want a child SA that it deletes within this time.
const BRIEF: Duration = Duration::from_secs(60);

/// One slot: what it is known by, and when its child SA may be requested again.
#[derive(Debug)]
pub(crate) struct SlotRetry {
    pub(crate) slot: Slot,
    /// The selector policy by which a changed configuration is compared ([`super::slots`]).
    pub(crate) policy: ChildSelectors,
    /// The policy is a part of a configured one, which the peer takes in several child SAs
    /// ([`super::apart`]).
    pub(crate) is_piece: bool,
    /// Child SAs in a row that the peer deleted within [`BRIEF`].
    pub(crate) failures: u32,
    /// The time of the next request; drawn when the slot is first found empty.
    pub(crate) at: Option<Instant>,
    /// Requests in a row, for a child SA of the slot or for its rekey, that the peer refused.
    pub(crate) refusals: u32,
    /// IKE SAs in a row that were renewed for the slot and did not help.
    pub(crate) renewals: u32,
}

impl SlotRetry {
    /// A slot that has lacked nothing so far.
    pub(super) fn new(slot: Slot, policy: ChildSelectors) -> SlotRetry {
        SlotRetry { slot, policy, is_piece: false, failures: 0, at: None, refusals: 0, renewals: 0 }
    }

    /// Notes that a child SA of the slot is gone. The Delete of one that was replaced, or that this
    /// end deletes too, says nothing about the next.
    pub(super) fn lost(&mut self, now: Instant, child: &ChildSa, cause: Cause) {
        if cause == Cause::DeletedByPeer && child.is_live() {
            let brief = now.since(child.made_at) < BRIEF;
            self.failures = if brief { self.failures.saturating_add(1) } else { 0 };
        }
        if now.since(child.made_at) >= BRIEF {
            self.renewals = 0;
        }
    }
}

impl Peer {
    /// Compares the configuration with the SAs that exist, and starts what follows.
    pub(super) fn reconcile(&mut self, ctx: &mut Context<'_>) {
        self.close_surplus(ctx);
        self.close_uncovered(ctx);
        self.close_twin(ctx);
        self.fill_slots(ctx);
        if self.hangs_up_at().is_some_and(|at| at <= ctx.now.mono) {
            self.hang_up(ctx);
        }
        if self.dials_at().is_some_and(|at| at <= ctx.now.mono) {
            self.dial(ctx);
        }
    }

    /// Adds the times at which [`Peer::reconcile`] will have something to do.
    pub(super) fn reconcile_deadlines(&self, earliest: &mut Earliest) {
        earliest.maybe(self.dials_at(), Timer::Dial);
        earliest.maybe(self.hangs_up_at(), Timer::Dial);
        for sa in self.sas.iter().filter(|sa| sa.is_live()) {
            earliest.maybe(sa.surplus.map(|surplus| surplus.at), Timer::Duplicate);
        }
        earliest.maybe(self.surplus_twin().map(|(_, at)| at), Timer::Duplicate);
        if let Some(sa) = self.main() {
            for slot in self.empty_slots(sa) {
                let retry = self.slot_retries.iter().find(|retry| retry.slot == slot);
                earliest.maybe(retry.and_then(|retry| retry.at), Timer::Retry);
            }
        }
    }

    /// The IKE SA that new requests go out on: the one that stays, the newest if there are several.
    pub(crate) fn main(&self) -> Option<&IkeSa> {
        let live = self.sas.iter().filter(|sa| sa.is_live());
        live.max_by_key(|sa| (sa.surplus.is_none(), sa.origin.up_at, sa.spi()))
    }

    /// The same, to ask something of it.
    pub(crate) fn main_mut(&mut self) -> Option<&mut IkeSa> {
        let main = self.main()?.spi();
        self.sas.iter_mut().find(|sa| sa.spi() == main)
    }

    /// Whether new requests go out on this IKE SA. What the peer refuses on another one, which is
    /// being replaced already, asks for nothing.
    pub(super) fn is_main(&self, spi: IkeSpi) -> bool {
        self.main().is_some_and(|main| main.spi() == spi)
    }

    /// Moves the tunnel to the path on which an ESP packet of the peer has authenticated, if that
    /// is not where the tunnel is already.
    pub(crate) fn follow(&mut self, ctx: &mut Context<'_>, path: Path) {
        let Some(sa) = self.main_mut() else { return };
        if sa.is_elsewhere(ctx, path) {
            ctx.out.event(IkeEvent::Elsewhere(ctx.peer, path));
        } else if sa.path.follows(path, sa.nat.here) {
            sa.move_to(ctx, path);
        }
    }

    /// Marks which IKE SAs the new one `sa` makes surplus; returns the mark of `sa` itself when
    /// that is the one that goes. `renewed`: this end dialled `sa` to replace the others.
    pub(super) fn mark_surplus(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &IkeSa,
        renewed: bool,
    ) -> Option<Surplus> {
        let at = ctx.now.mono + duration_between(SETTLE.0, SETTLE.1, ctx.rng);
        let mut own = None;
        for old in self.sas.iter_mut().filter(|old| old.is_live()) {
            let (age, closing) = if renewed {
                (Age::Older, Closing::Now)
            } else {
                collision::surplus(dialled(old), dialled(sa))
            };
            let surplus = match closing {
                Closing::Now => Surplus { at, proof_since: None },
                Closing::AfterProof => Surplus { at: at + THEIRS, proof_since: Some(ctx.now.mono) },
            };
            match age {
                // A surplus IKE SA keeps its earlier time, however often somebody dials again.
                Age::Older => {
                    let at = old.surplus.map_or(surplus.at, |before| before.at.min(surplus.at));
                    old.surplus = Some(Surplus { at, ..surplus });
                }
                Age::Newer => own = Some(surplus),
            }
        }
        own
    }

    /// Makes room for one more IKE SA. Where new ones come faster than Deletes are answered, the
    /// oldest that nothing uses is dropped without waiting for the answer.
    pub(super) fn make_room(&mut self, ctx: &mut Context<'_>) {
        while self.sas.len() >= MOST {
            let idle = self.sas.iter().filter(|sa| !sa.is_live() || sa.surplus.is_some());
            let oldest = idle.min_by_key(|sa| sa.origin.up_at).map(IkeSa::spi);
            let Some(spi) = oldest else { return };
            self.remove_sa(ctx, spi, Cause::Duplicate);
        }
    }

    /// Closes the surplus IKE SAs whose time has come.
    fn close_surplus(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.mono;
        let stays = self.main().map(|sa| (sa.spi(), sa.heard_at, sa.children.len()));
        let Some((stays, heard_at, children)) = stays else { return };
        for sa in self.sas.iter_mut().filter(|sa| sa.is_live()) {
            let Some(surplus) = sa.surplus.filter(|surplus| surplus.at <= now) else { continue };
            if sa.spi() == stays {
                // The others are gone already, so the last one is not surplus any more.
                sa.surplus = None;
                continue;
            }
            let proven = surplus.proof_since.is_none_or(|since| heard_at > since);
            // An IKE SA without children does not replace one that has some.
            let replaced = children > 0 || sa.children.is_empty();
            if proven && replaced {
                sa.close(ctx, Cause::Duplicate, None);
            } else {
                sa.surplus = Some(Surplus { at: now + RECHECK, ..surplus });
            }
        }
        let waits = |sa: &IkeSa| {
            sa.is_live() && sa.surplus.is_some_and(|s| s.proof_since.is_some_and(|p| heard_at <= p))
        };
        if self.sas.iter().any(waits)
            && let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == stays)
            && sa.flight.is_none()
            && sa.heard_at + RECHECK <= now
        {
            sa.want(ctx, TaskKind::Probe, now);
        }
    }

    /// Deletes one of two child SAs of the same slot and selectors (twins), when its time has come.
    fn close_twin(&mut self, ctx: &mut Context<'_>) {
        let Some((id, at)) = self.surplus_twin() else { return };
        if at <= ctx.now.mono
            && let Some(sa) = self.main_mut()
        {
            sa.close_twin(ctx, id);
        }
    }

    /// The child SA of ours to delete because it has a twin, and when. Twins are made when both
    /// ends ask at once, or by a peer that wants two. The end that asked for the one that
    /// [`loses_to`] the other deletes it, and no end deletes what the other asked for.
    fn surplus_twin(&self) -> Option<(ChildId, Instant)> {
        let sa = self.main()?;
        if matches!(sa.flight.as_ref().map(|f| &f.exchange), Some(Exchange::RekeyChild(_))) {
            return None;
        }
        let maker = sa.channel.made_by;
        let live = || sa.children.iter().filter(|child| child.is_live());
        let ours = live().filter(|child| child.made_by == Party::We);
        let twins = ours.flat_map(|own| live().map(move |other| (own, other)));
        let losers = twins.filter(|(own, other)| loses_to(own, other, maker));
        losers.map(|(own, other)| (own.id, twin_ends(own, other))).min_by_key(|(_, at)| *at)
    }

    /// Notes that the peer granted a request for a child of the slot.
    pub(super) fn on_child_granted(&mut self, slot: Slot) {
        if let Some(retry) = self.slot_retry(slot) {
            (retry.refusals, retry.renewals) = (0, 0);
        }
    }

    /// Notes that the peer refused a request for a child of the slot, on the IKE SA `spi`. When the
    /// refusals do not end, the IKE SA is renewed: the child SA of IKE_AUTH has no key exchange of
    /// its own, so a peer grants it whose settings for perfect forward secrecy differ. A child that
    /// cannot be rekeyed still carries meanwhile.
    pub(super) fn on_child_refused(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        slot: Slot,
        for_good: bool,
    ) {
        if !self.is_main(spi) {
            return;
        }
        let has = |child: &ChildSa| !child.is_leaving();
        let lacks = !self.sas.iter().flat_map(|sa| &sa.children).any(|c| c.slot == slot && has(c));
        let of_others = self.sas.iter().any(|sa| sa.spi() == spi && sa.children.iter().any(has));
        let renewing = self.dial.renew;
        let Some(retry) = self.slot_retry(slot) else { return };
        retry.refusals = retry.refusals.saturating_add(1);
        // A new IKE SA would lack this child as the present one does, and the other children would
        // have to be made again.
        if (lacks && of_others) || !(for_good || retry.refusals >= PATIENCE) {
            return;
        }
        let useless = retry.renewals;
        if lacks && !renewing {
            retry.renewals = retry.renewals.saturating_add(1);
        }
        self.renew(ctx, spi, if lacks { useless } else { 0 });
    }

    /// The slot of the child SA that IKE_AUTH makes: the one whose child the peer refuses
    /// elsewhere, otherwise the first that is to be kept up.
    pub(super) fn first_slot(&self) -> Option<Slot> {
        let kept_up = self.config.children.iter().zip(&self.slot_retries);
        let kept_up = kept_up.filter(|(child, _)| child.keep_up).map(|(_, retry)| retry);
        kept_up.min_by_key(|retry| Reverse(retry.refusals)).map(|retry| retry.slot)
    }

    /// The slots that are to be kept up and have no child SA, nor a request for one.
    fn empty_slots(&self, main: &IkeSa) -> Vec<Slot> {
        let kept_up = self.config.children.iter().zip(&self.slot_retries);
        kept_up
            .filter(|(child, _)| child.keep_up)
            .map(|(_, retry)| retry.slot)
            .filter(|slot| {
                let staying = self.sas.iter().filter(|sa| sa.is_live() && sa.surplus.is_none());
                let exists =
                    staying.flat_map(|sa| &sa.children).any(|c| c.slot == *slot && !c.is_leaving());
                let requested = main.flight.as_ref().is_some_and(|flight| match &flight.exchange {
                    Exchange::NewChild(asked) => asked.wanted.slot == *slot,
                    _ => false,
                });
                let queued = main
                    .tasks
                    .wants(|kind| matches!(kind, TaskKind::NewChild(of, _) if of == *slot));
                !exists && !requested && !queued
            })
            .collect()
    }

    /// Ends the pauses before a child SA is requested: whoever connects the peer by hand does not
    /// wait for them.
    pub(crate) fn retry_now(&mut self, ctx: &Context<'_>) {
        for retry in &mut self.slot_retries {
            let fresh = SlotRetry::new(retry.slot, retry.policy.clone());
            *retry = SlotRetry { is_piece: retry.is_piece, ..fresh };
        }
        for sa in &mut self.sas {
            sa.refusals = 0;
            let waiting = sa.tasks.0.iter_mut();
            for task in waiting.filter(|task| matches!(task.kind, TaskKind::NewChild(..))) {
                task.not_before = task.not_before.min(ctx.now.mono);
            }
        }
    }

    /// Requests a child SA for each empty slot: at once when this end dialled the IKE SA, after
    /// [`COURTESY`] when the peer did, after a growing pause when the peer keeps deleting it.
    fn fill_slots(&mut self, ctx: &mut Context<'_>) {
        let Some(main) = self.main() else { return };
        let (spi, dialled_by) = (main.spi(), main.origin.dialled_by);
        let empty = self.empty_slots(main);
        for retry in self.slot_retries.iter_mut().filter(|retry| !empty.contains(&retry.slot)) {
            retry.at = None;
        }
        for slot in empty {
            let retry = self.slot_retries.iter_mut().find(|retry| retry.slot == slot);
            let Some(retry) = retry else { continue };
            let at = *retry.at.get_or_insert_with(|| match (retry.failures, dialled_by) {
                (0, Party::We) => ctx.now.mono,
                (0, Party::Peer) => {
                    ctx.now.mono + duration_between(COURTESY.0, COURTESY.1, ctx.rng)
                }
                (failures, _) => ctx.now.mono + ctx.refused_pause(failures),
            });
            if at <= ctx.now.mono
                && let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == spi)
            {
                retry.at = None;
                sa.want(ctx, TaskKind::NewChild(slot, None), at);
            }
        }
    }
}

/// Whether `own` is the one of two twins to go: the one that the IKE SA's responder asked for, or
/// the older of two that one end asked for. Both ends decide alike.
fn loses_to(own: &ChildSa, other: &ChildSa, maker: Party) -> bool {
    let covers = |a: &ChildSa, b: &ChildSa| a.selectors.covers(&b.selectors);
    let order = |child: &ChildSa| (child.made_by == maker, child.id);
    own.slot == other.slot && covers(own, other) && covers(other, own) && order(own) < order(other)
}

/// When `own` is deleted, which loses to its twin: at once if the peer has sent on both, and else
/// when the peer has not sent on `own` for a while. A peer may have one of two twins in its
/// kernel's policy, and take the policy away with it: no twin is deleted that the peer may be about
/// to use.
fn twin_ends(own: &ChildSa, other: &ChildSa) -> Instant {
    let made_at = own.made_at.max(other.made_at);
    match (own.heard_at, other.heard_at) {
        (Some(own), Some(other)) => own.min(other).max(made_at),
        (None, _) => made_at + TWIN_PAUSE,
        (Some(heard_at), None) => heard_at.max(made_at) + TWIN_IDLE,
    }
}

fn dialled(sa: &IkeSa) -> Dialled<'_> {
    Dialled { by: sa.origin.dialled_by, nonces: sa.origin.nonces.view() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::endpoint::command::Command;
    use crate::ike::endpoint::event::IkeEvent;
    use crate::ike::tests::{PEER, Pair, established, in_both_ways};

    /// Takes the only child SA of an end away, as if it had expired, and gives the time of the next
    /// request: none when the request is out.
    fn lose_child(pair: &mut Pair, end: usize) -> Option<Instant> {
        let now = pair.now;
        let mut retry_at = None;
        pair.ends[end].with(now, PEER, |peer, ctx| {
            let sa = peer.sas.first_mut().expect("an IKE SA");
            let id = sa.children.first().expect("a child").id;
            sa.detach_child(id, Cause::Expired);
            peer.run_followups(ctx);
            retry_at = peer.slot_retries[0].at;
            let flight = peer.sas[0].flight.as_ref().map(|flight| &flight.exchange);
            let requested = matches!(flight, Some(Exchange::NewChild(_)));
            assert_eq!(requested, retry_at.is_none());
        });
        pair.collect(end);
        retry_at
    }

    #[test]
    fn an_empty_slot_is_filled_at_once_by_the_dialler_and_after_a_courtesy_by_the_other() {
        in_both_ways(|| {
            let mut pair = established();
            assert_eq!(lose_child(&mut pair, 0), None);
            let mut pair = established();
            let at = lose_child(&mut pair, 1).expect("a courtesy");
            let courtesy = at.since(pair.now.mono);
            assert!((COURTESY.0..=COURTESY.1).contains(&courtesy), "{courtesy:?}");
            assert_eq!(pair.ends[1].poll_timeout(), Some((at, Timer::Retry)));
            pair.pass(COURTESY.1);
            assert_eq!(pair.holds(1), (1, 1, 1), "the responder has requested the child");
        });
    }

    #[test]
    fn a_child_that_the_peer_deletes_soon_is_requested_after_a_pause() {
        let mut pair = established();
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, _| {
            let child = peer.sas[0].children.first().expect("a child");
            let lost = |failures, cause, age| {
                let mut retry =
                    SlotRetry { failures, ..SlotRetry::new(Slot(0), ChildSelectors::default()) };
                retry.lost(child.made_at + age, child, cause);
                retry.failures
            };
            let (soon, late) = (Duration::from_secs(59), Duration::from_secs(60));
            assert_eq!(lost(2, Cause::DeletedByPeer, soon), 3);
            assert_eq!(lost(2, Cause::DeletedByPeer, late), 0);
            assert_eq!(lost(2, Cause::Rekeyed, soon), 2);
            peer.slot_retries[0].failures = 1;
        });
        let at = lose_child(&mut pair, 0).expect("a pause");
        assert!(at > pair.now.mono);
    }

    #[test]
    fn connecting_by_hand_ends_the_pause_before_a_child_is_requested() {
        let mut pair = established();
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, _| peer.slot_retries[0].failures = 7);
        assert!(lose_child(&mut pair, 0).is_some());
        pair.command(0, Command::Up(PEER));
        pair.deliver();
        assert_eq!(pair.holds(0), (1, 1, 1));
    }

    /// Both ends compute the same: the dialler closes the older one soon, the other end only when
    /// the dialler does not.
    #[test]
    fn of_two_ike_sas_of_one_dialler_the_older_is_surplus() {
        in_both_ways(|| {
            let mut pair = established();
            let old = [0, 1].map(|end: usize| pair.ends[end].peers[&PEER].sas[0].spi());
            pair.command(0, Command::Reauthenticate(PEER));
            pair.deliver();
            for end in [0, 1] {
                let sas = &pair.ends[end].peers[&PEER].sas;
                let surplus: Vec<_> = sas.iter().filter(|sa| sa.surplus.is_some()).collect();
                assert_eq!((sas.len(), surplus.len()), (2, 1));
                assert_eq!(surplus[0].spi(), old[end]);
                let mark = surplus[0].surplus.expect("it is marked");
                assert_eq!(mark.proof_since.is_some(), end == 1);
                let wait = mark.at.since(pair.now.mono);
                assert_eq!(wait > SETTLE.1, end == 1, "{wait:?}");
            }
        });
    }

    #[test]
    fn a_surplus_ike_sa_that_is_the_last_one_stays() {
        in_both_ways(|| {
            let mut pair = established();
            let now = pair.now;
            pair.ends[0].with(now, PEER, |peer, ctx| {
                peer.sas[0].surplus = Some(Surplus { at: now.mono, proof_since: None });
                peer.run_followups(ctx);
                assert_eq!(peer.sas[0].surplus, None);
            });
            pair.collect(0);
            pair.pass(Duration::from_secs(60));
            assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
        });
    }

    #[test]
    fn an_ike_sa_without_children_replaces_none_that_has_some() {
        let mut pair = established();
        pair.command(0, Command::Reauthenticate(PEER));
        pair.deliver();
        let mut now = pair.now;
        now.mono = now.mono + SETTLE.1;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            let new = peer.sas.last_mut().expect("the new IKE SA");
            let children = std::mem::take(&mut new.children);
            peer.close_surplus(ctx);
            assert!(peer.sas[0].is_live(), "the new IKE SA has no child yet");
            peer.sas.last_mut().expect("the new IKE SA").children = children;
            ctx.now.mono = now.mono + RECHECK;
            peer.close_surplus(ctx);
            assert!(!peer.sas[0].is_live());
        });
    }

    #[test]
    fn ike_sas_are_bounded_however_often_the_peer_dials() {
        in_both_ways(|| {
            let mut pair = established();
            for _ in 0..2 * MOST {
                pair.command(0, Command::Reauthenticate(PEER));
                pair.deliver();
                for end in [0, 1] {
                    assert!(pair.holds(end).0 <= MOST);
                }
            }
            pair.pass(Duration::from_secs(60));
            assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
        });
    }

    #[test]
    fn a_twin_goes_because_of_its_twin_and_not_by_a_rekey() {
        in_both_ways(|| {
            let mut pair = established();
            let now = pair.now;
            pair.ends[0].with(now, PEER, |peer, ctx| {
                let sa = peer.sas.first_mut().expect("an IKE SA");
                sa.want(ctx, TaskKind::NewChild(Slot(0), None), now.mono);
                peer.run_followups(ctx);
            });
            pair.collect(0);
            pair.pass(Duration::from_secs(70));
            assert_eq!(pair.holds(0), (1, 1, 1));
            let causes: Vec<Cause> = pair.events[0]
                .iter()
                .filter_map(|event| match event {
                    IkeEvent::ChildDown { cause, .. } => Some(*cause),
                    _ => None,
                })
                .collect();
            assert_eq!(causes, [Cause::Duplicate]);
        });
    }
}
