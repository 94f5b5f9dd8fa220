//! Which exchange a message belongs to: from a task to our request, from the peer's request to the
//! reply, from the peer's response to what follows. What an exchange does is in its own file under
//! [`crate::ike::exchange`].

use super::child::ChildSa;
use super::retransmit;
use super::task::TaskKind;
use super::{Flight, IkeLifecycle, IkeSa, SaEffect};
use crate::crypto::{Group, SaKind};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::error::{
    Busy, Detail, Error, Farewell, Fate, Incompatible, PeerMisbehaved, WhichChild,
};
use crate::ike::exchange::Exchange;
use crate::ike::exchange::acceptance::{self, Meaning};
use crate::ike::exchange::collision::{self, AfterRefusal, Creation};
use crate::ike::exchange::create_child::{self, ChildOffer, Granted};
use crate::ike::exchange::informational;
use crate::ike::exchange::rekey_child;
use crate::ike::exchange::rekey_ike;
use crate::ike::exchange::step::{MessageHalf, Step};
use crate::wire::codes::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;
use crate::wire::spi::EspSpi;

/// After so many refusals in a row of one thing, some seconds, the peer is not merely busy with a
/// crossing exchange.
pub(crate) const PATIENCE: u32 = 4;

impl IkeSa {
    /// Sends the request of the next task that is due, unless a request is in flight.
    pub(crate) fn send_next_request(&mut self, ctx: &mut Context<'_>) {
        if matches!(self.lifecycle, IkeLifecycle::Rival { .. } | IkeLifecycle::Replaced { .. }) {
            return;
        }
        while self.flight.is_none() {
            if self.requests.free().is_none() {
                // All message ids are used up (RFC 7296 §2.2).
                self.expire_at = ctx.mono();
                return;
            }
            let Some(kind) = self.tasks.take_due(ctx.mono()) else { return };
            match kind {
                TaskKind::CloseIke(cause, notify) => {
                    informational::delete_ike(ctx, self, cause, notify);
                }
                TaskKind::CloseChild(_) | TaskKind::Disown(_) => {
                    self.tasks.push(kind, ctx.mono());
                    let (children, spis) = self.tasks.take_closings(ctx.mono());
                    informational::delete_children(ctx, self, kind, children, spis);
                }
                TaskKind::RekeyIke(group) => rekey_ike::ask(ctx, self, group),
                TaskKind::RekeyChild(child, group) => rekey_child::ask(ctx, self, child, group),
                TaskKind::NewChild(slot, group) => self.ask_child(ctx, slot, group),
                TaskKind::Probe => informational::probe(ctx, self),
            }
        }
    }

    fn ask_child(
        &mut self,
        ctx: &mut Context<'_>,
        slot: crate::ike::ids::Slot,
        group: Option<Group>,
    ) {
        let config = std::rc::Rc::clone(&ctx.config);
        let Some(child) = ctx.place(slot).and_then(|at| config.children.get(at)) else { return };
        let selectors = child.selectors.clone();
        let asked = create_child::ask(ctx, slot, selectors, None, group);
        let Some((chain, asked)) = asked else { return };
        self.ask(ctx, TaskKind::NewChild(slot, group), Exchange::NewChild(asked), &chain);
    }

    /// Handles a request of the peer: the payloads of the reply, and what follows beyond this IKE
    /// SA. `others` are the peer's other IKE SAs.
    pub(crate) fn answer(
        &mut self,
        ctx: &mut Context<'_>,
        others: &mut [IkeSa],
        exchange: ExchangeType,
        request: Result<Chain, Error>,
    ) -> (Chain, Vec<SaEffect>) {
        let mut step = Step::Inform;
        let outcome = request.as_ref().map_err(|error| *error).and_then(|request| {
            step = step_of(exchange, request)?;
            acceptance::accept_chain(step, MessageHalf::Request, request)?;
            if step != Step::Inform {
                ctx.config.behaviour.takes_further_exchanges()?;
            }
            match step {
                Step::NewChild => self.grant_child(ctx, request).map(|chain| (chain, Vec::new())),
                Step::RekeyChild => {
                    rekey_child::answer(ctx, self, request).map(|chain| (chain, Vec::new()))
                }
                Step::RekeyIke => rekey_ike::answer(ctx, self, request)
                    .map(|(chain, effect)| (chain, vec![effect])),
                _ => informational::answer(ctx, self, others, request),
            }
        });
        outcome.unwrap_or_else(|error| {
            ctx.refuse(step, MessageHalf::Request, error, request.as_ref().ok());
            let mut chain = Chain::new();
            if let Some(notice) = error.to_notify() {
                chain.push(match notice.detail {
                    Detail::Child(spi) => Notify::about_esp(notice.kind, spi),
                    _ => Notify::with_data(notice.kind, notice.data()),
                });
            }
            let effects = match error.to_fate(step, MessageHalf::Request) {
                Fate::DeleteIke(_) => vec![SaEffect::End(Cause::Failed)],
                _ => Vec::new(),
            };
            (chain, effects)
        })
    }

    fn grant_child(&mut self, ctx: &mut Context<'_>, request: &Chain) -> Result<Chain, Error> {
        if collision::on_new_child(self.activity()) != Creation::Usual {
            return Err(Busy::Crossing.into());
        }
        if !self.has_room(ctx, false) {
            return Err(Incompatible::NoAdditionalSas.into());
        }
        let Granted { child, answer, .. } = create_child::grant(ctx, &self.channel, request, None)?;
        self.install(ctx, child, None);
        Ok(answer)
    }

    /// Handles the peer's response to our request.
    pub(crate) fn take_answer(
        &mut self,
        ctx: &mut Context<'_>,
        flight: Flight,
        answer: Result<Chain, Error>,
    ) -> Vec<SaEffect> {
        let Flight { kind, exchange, .. } = flight;
        let step = exchange.step();
        let answer = answer.and_then(|answer| read(step, answer));
        let error = match (exchange, answer) {
            (Exchange::Probe, Ok(_)) => return Vec::new(),
            (Exchange::CloseIke, _) => return vec![SaEffect::End(self.cause_of_leaving())],
            (Exchange::CloseChildren(children), _) => {
                for id in children {
                    if let Some(cause) = self.child(id).map(ChildSa::cause_of_leaving) {
                        self.detach_child(id, cause);
                    }
                }
                return Vec::new();
            }
            (Exchange::NewChild(asked), Ok(answer)) => {
                let ChildOffer { spi, slot, .. } = asked.wanted;
                match create_child::take(ctx, &self.channel, asked, &answer) {
                    Ok((child, _)) => {
                        self.refusals = 0;
                        create_child::note_others(ctx, &child, &answer);
                        self.install(ctx, child, None);
                        return vec![SaEffect::ChildGranted(slot)];
                    }
                    Err(error) => self.disown(ctx, spi, error),
                }
            }
            (Exchange::RekeyChild(asked), Ok(answer)) => {
                let ChildOffer { spi, slot, .. } = asked.new.wanted;
                match rekey_child::granted(ctx, self, asked, &answer) {
                    Ok(()) => {
                        self.refusals = 0;
                        return vec![SaEffect::ChildGranted(slot)];
                    }
                    Err(error) => self.disown(ctx, spi, error),
                }
            }
            (Exchange::RekeyIke(asked), Ok(answer)) => {
                let spi = asked.spi;
                match rekey_ike::granted(ctx, self, asked, &answer) {
                    Ok(effect) => return vec![effect],
                    Err(error) => {
                        ctx.spis.release_ike(spi);
                        error
                    }
                }
            }
            (Exchange::Probe, Err(error)) => error,
            (Exchange::NewChild(asked), Err(error)) => {
                create_child::abandon(ctx, &asked.wanted);
                error
            }
            (Exchange::RekeyChild(asked), Err(error)) => {
                create_child::abandon(ctx, &asked.new.wanted);
                let gone = error == Error::from(Busy::ChildGoneThere);
                if gone || error == Error::from(Busy::Refused) {
                    let after = rekey_child::refused(ctx, self, &asked, gone);
                    if after != AfterRefusal::Retry {
                        return Vec::new();
                    }
                }
                error
            }
            (Exchange::RekeyIke(asked), Err(error)) => match rekey_ike::forget(ctx, self, &asked) {
                Some(effect) => return vec![effect],
                None => error,
            },
        };
        self.on_request_failed(ctx, step, kind, error)
    }

    /// The peer has made a child from a response that we cannot use: the child is to be deleted.
    fn disown(&mut self, ctx: &mut Context<'_>, spi: EspSpi, error: Error) -> Error {
        ctx.spis.release_esp(spi);
        self.want(ctx, TaskKind::Disown(spi), ctx.mono());
        error
    }

    /// Decides what becomes of a task whose request failed.
    fn on_request_failed(
        &mut self,
        ctx: &mut Context<'_>,
        step: Step,
        kind: TaskKind,
        error: Error,
    ) -> Vec<SaEffect> {
        if let Some(again) = in_the_wanted_group(ctx, kind, error) {
            self.want(ctx, again, ctx.mono());
            return Vec::new();
        }
        if let TaskKind::NewChild(slot, _) = kind
            && create_child::wants_pairs_apart(ctx, slot, error)
        {
            return Vec::new();
        }
        ctx.refuse(step, MessageHalf::Response, error, None);
        match error.to_fate(step, MessageHalf::Response) {
            Fate::Ignore | Fate::RefuseExchange => {}
            Fate::RetryLater | Fate::DeleteChild(WhichChild::New) => {
                self.want_later(ctx, kind);
                return self.refused(kind, false);
            }
            Fate::DeleteChild(WhichChild::Old) => {
                if let TaskKind::RekeyChild(old, _) = kind {
                    self.detach_child(old, Cause::DeletedByPeer);
                }
            }
            Fate::DeleteIke(Farewell::Silent) => return vec![SaEffect::End(Cause::Failed)],
            Fate::DeleteIke(Farewell::Delete) => {
                let notify = error.to_notify().map(|notice| notice.kind);
                self.close(ctx, Cause::Failed, notify);
            }
            Fate::Renew if matches!(kind, TaskKind::NewChild(..) | TaskKind::RekeyChild(..)) => {
                self.want_later(ctx, kind);
                return self.refused(kind, true);
            }
            Fate::Renew => return vec![SaEffect::Renew],
        }
        Vec::new()
    }

    /// What a refusal means for the peer's IKE SAs.
    fn refused(&self, kind: TaskKind, for_good: bool) -> Vec<SaEffect> {
        let slot = match kind {
            TaskKind::NewChild(slot, _) => Some(slot),
            TaskKind::RekeyChild(id, _) => self.child(id).map(|child| child.slot),
            TaskKind::RekeyIke(_) if self.refusals >= PATIENCE => return vec![SaEffect::Renew],
            _ => None,
        };
        slot.map(|slot| SaEffect::ChildRefused { slot, for_good }).into_iter().collect()
    }

    /// Adds the task again after a pause, which grows with each refusal.
    fn want_later(&mut self, ctx: &mut Context<'_>, kind: TaskKind) {
        let pause = retransmit::retry_pause(self.refusals, ctx.rng);
        self.refusals = self.refusals.saturating_add(1);
        self.want(ctx, kind, ctx.mono() + pause);
    }

    fn cause_of_leaving(&self) -> Cause {
        match self.lifecycle {
            IkeLifecycle::Leaving(cause) => cause,
            _ => Cause::Command,
        }
    }
}

/// The step that a request belongs to.
fn step_of(exchange: ExchangeType, request: &Chain) -> Result<Step, Error> {
    match exchange {
        ExchangeType::CreateChildSa => {
            let rekey = request.notify(NotifyType::RekeySa);
            if let Some(other) = rekey.filter(|rekey| rekey.protocol != ProtocolId::Esp) {
                return Err(Incompatible::RekeyOf(other.protocol).into());
            }
            Ok(acceptance::purpose(request.kinds(), rekey.is_some()))
        }
        ExchangeType::Informational => Ok(Step::Inform),
        // Whoever authenticates twice breaks the protocol.
        again @ (ExchangeType::IkeSaInit | ExchangeType::IkeAuth) => {
            Err(PeerMisbehaved::UnexpectedExchange(again).into())
        }
        other => Err(Incompatible::Exchange(other).into()),
    }
}

/// The response when it does what was asked; otherwise the error that the response tells.
fn read(step: Step, answer: Chain) -> Result<Chain, Error> {
    let told = answer.notifies().find(|notify| notify.kind.is_error());
    if let Some(notify) = told.filter(|_| step != Step::Inform) {
        let group = notify.invalid_ke_group().map(Incompatible::Group);
        return Err(group.map_or_else(|| Error::told(notify.kind), Error::from));
    }
    let form = acceptance::accept_chain(step, MessageHalf::Response, &answer)?;
    match form.meaning {
        Meaning::Notifies => Err(Incompatible::Unsaid.into()),
        _ => Ok(answer),
    }
}

/// The same task in the group that the peer asks for with INVALID_KE_PAYLOAD: once, and only in a
/// group that we offer.
fn in_the_wanted_group(ctx: &Context<'_>, kind: TaskKind, error: Error) -> Option<TaskKind> {
    let Error::Incompatible(Incompatible::Group(group)) = error else { return None };
    let esp = |slot: crate::ike::ids::Slot| {
        let group = Group::from_id(SaKind::Esp, group).ok()?;
        let child = ctx.child_config(slot)?;
        child.esp.groups().contains(&group).then_some(group)
    };
    match kind {
        TaskKind::RekeyIke(None) => {
            let group = Group::from_id(SaKind::Ike, group).ok()?;
            ctx.config.ike.groups().contains(&group).then_some(TaskKind::RekeyIke(Some(group)))
        }
        TaskKind::NewChild(slot, None) => Some(TaskKind::NewChild(slot, Some(esp(slot)?))),
        TaskKind::RekeyChild(child, None) => {
            let group = Group::from_id(SaKind::Esp, group).ok()?;
            let offered = ctx.config.children.iter().any(|c| c.esp.groups().contains(&group));
            offered.then_some(TaskKind::RekeyChild(child, Some(group)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_grants_nothing_and_says_nothing_is_told_so() {
        let mut answer = Chain::new();
        answer.push(Notify::new(NotifyType::InitialContact));
        for step in [Step::NewChild, Step::RekeyChild, Step::RekeyIke] {
            let error = read(step, answer.clone()).expect_err("nothing was granted");
            assert_eq!(error.to_string(), "the peer refused, and did not say why", "{step}");
            let fate = error.to_fate(step, MessageHalf::Response);
            assert!(!matches!(fate, Fate::DeleteIke(_)), "{step}: the tunnel stays");
        }
    }
}
