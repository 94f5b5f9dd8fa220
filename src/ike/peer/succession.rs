//! What one IKE SA of a peer means for another: a successor takes over from the IKE SA that it
//! rekeys, a rival wins or is withdrawn after a simultaneous rekey (RFC 7296 §2.8.2), and a removed
//! IKE SA takes its children with it.
//!
//! Which of two successors wins is decided in [`collision`](crate::ike::exchange::collision); this
//! file carries the decision out.

use super::Peer;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::error::Error;
use crate::ike::exchange::step::Party;
use crate::ike::exchange::{Crossing, Exchange, create_child, rekey_ike};
use crate::ike::ids::ChildId;
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeLifecycle, IkeSa, SaEffect};
use crate::ike::testing::mutation::{self, Mutation};
use crate::wire::codes::ProtocolId;
use crate::wire::payload::chain::Chain;
use crate::wire::spi::IkeSpi;

impl Peer {
    /// Carries out what an input on the IKE SA `spi` means for the peer's other IKE SAs.
    pub(super) fn carry_out(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, effects: Vec<SaEffect>) {
        for effect in effects {
            match effect {
                SaEffect::End(cause) => self.remove_sa(ctx, spi, cause),
                SaEffect::Succeed(successor) => self.succeed(ctx, spi, *successor),
                SaEffect::Keep(rival) => self.sas.push(*rival),
                SaEffect::Yield(mut ours, to) => {
                    ours.close(ctx, Cause::Duplicate, None);
                    self.sas.push(*ours);
                    self.promote(ctx, spi, to);
                }
                SaEffect::Promote(to) => self.promote(ctx, spi, to),
                SaEffect::Renew => self.renew(ctx, spi, 0),
                SaEffect::Reauthenticate => self.reauthenticate(ctx, spi),
                SaEffect::ChildGranted(slot) => self.on_child_granted(slot),
                SaEffect::ChildRefused { slot, for_good } => {
                    self.on_child_refused(ctx, spi, slot, for_good);
                }
            }
        }
    }

    /// Puts a successor in the place of the IKE SA `spi`: children and queued tasks go over.
    fn succeed(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, mut successor: IkeSa) {
        if let Some(old) = self.sas.iter_mut().find(|sa| sa.spi() == spi) {
            hand_over(ctx, old, &mut successor);
            if successor.channel.made_by == Party::We {
                old.close(ctx, Cause::Rekeyed, None);
            }
        }
        self.make_room(ctx);
        self.sas.push(successor);
    }

    /// Puts `to`, the peer's successor of the IKE SA `spi` and until now a rival, in its place.
    fn promote(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, to: IkeSpi) {
        let Some(at) = self.sas.iter().position(|sa| sa.spi() == to) else { return };
        let mut successor = self.sas.remove(at);
        successor.lifecycle = IkeLifecycle::Live;
        if let Some(old) = self.sas.iter_mut().find(|sa| sa.spi() == spi) {
            hand_over(ctx, old, &mut successor);
        }
        self.sas.push(successor);
    }

    /// Makes the rival `sa` live when the request `chain` on it shows that the peer uses it: then
    /// the peer never saw our crossing request to rekey the same IKE SA (RFC 7296 §2.8.2).
    pub(super) fn adopt_rival(
        &mut self,
        ctx: &mut Context<'_>,
        rival: &mut IkeSa,
        chain: &Result<Chain, Error>,
    ) {
        let is_rival = matches!(rival.lifecycle, IkeLifecycle::Rival { .. });
        if !is_rival || !shows_use(chain) {
            return;
        }
        rival.lifecycle = IkeLifecycle::Live;
        let crossed = |sa: &&mut IkeSa| match sa.flight.as_ref().map(|flight| &flight.exchange) {
            Some(Exchange::RekeyIke(asked)) => {
                matches!(asked.rival, Crossing::Standing(spi, _) if spi == rival.spi())
            }
            _ => false,
        };
        if let Some(old) = self.sas.iter_mut().find(crossed) {
            hand_over(ctx, old, rival);
        }
    }

    /// Removes an IKE SA at once, with its children and the request under way on it.
    pub(crate) fn remove_sa(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, cause: Cause) {
        let Some(at) = self.sas.iter().position(|sa| sa.spi() == spi) else { return };
        let mut sa = self.sas.remove(at);
        match sa.flight.take().map(|flight| flight.exchange) {
            Some(Exchange::NewChild(asked)) => create_child::abandon(ctx, &asked.wanted),
            Some(Exchange::RekeyChild(asked)) => create_child::abandon(ctx, &asked.new.wanted),
            Some(Exchange::RekeyIke(asked)) => {
                if let Some(SaEffect::Promote(to)) = rekey_ike::forget(ctx, &mut sa, &asked)
                    && let Some(rival) = self.sas.iter_mut().find(|sa| sa.spi() == to)
                {
                    rival.lifecycle = IkeLifecycle::Live;
                    hand_over(ctx, &mut sa, rival);
                }
            }
            Some(Exchange::Probe | Exchange::CloseChildren(_) | Exchange::CloseIke) | None => {}
        }
        self.withdraw_rival(spi);
        ctx.spis.release_ike(spi);
        let of_children = match cause {
            Cause::Rekeyed | Cause::Duplicate | Cause::DeletedByPeer => Cause::WithIke,
            other => other,
        };
        let ids: Vec<ChildId> = sa.children.iter().map(|child| child.id).collect();
        for id in ids {
            sa.detach_child(id, of_children);
        }
        self.retire_children(ctx, &mut sa);
        ctx.out.event(IkeEvent::IkeDown { peer: self.id, ike: spi, cause });
        self.dial.lost(ctx, cause);
    }

    /// Notes in our own request to rekey that the peer's crossing successor `spi` is gone: our
    /// successor will stay.
    fn withdraw_rival(&mut self, spi: IkeSpi) {
        for sa in &mut self.sas {
            if let Some(Exchange::RekeyIke(asked)) = sa.flight.as_mut().map(|f| &mut f.exchange)
                && matches!(asked.rival, Crossing::Standing(rival, _) if rival == spi)
            {
                asked.rival = Crossing::Withdrawn;
            }
        }
    }
}

/// Moves children and queued tasks from an IKE SA to its successor (RFC 7296 §2.8).
fn hand_over(ctx: &mut Context<'_>, old: &mut IkeSa, new: &mut IkeSa) {
    if !mutation::is(Mutation::ForgetChildrenAtIkeRekey) {
        new.children.append(&mut old.children);
    }
    new.heard_at = new.heard_at.max(old.heard_at);
    new.surplus = old.surplus.take();
    for task in std::mem::take(&mut old.tasks.0) {
        match task.kind {
            TaskKind::CloseIke(..) => old.tasks.0.push_back(task),
            TaskKind::RekeyIke(_) | TaskKind::Probe => {}
            _ => _ = new.tasks.push(task.kind, task.not_before),
        }
    }
    ctx.out.event(IkeEvent::IkeRekeyed { peer: ctx.peer, old: old.spi(), new: new.spi() });
    // An IKE SA that was to be closed while it was being rekeyed is closed through its successor.
    if let IkeLifecycle::Leaving(cause) = old.lifecycle {
        new.close(ctx, cause, None);
    }
}

/// Whether a request on a rival shows that the peer takes it for the one that stays.
fn shows_use(chain: &Result<Chain, Error>) -> bool {
    chain.as_ref().is_ok_and(|chain| {
        chain.sa().is_some() || chain.deletes().any(|d| d.protocol == ProtocolId::Esp)
    })
}
