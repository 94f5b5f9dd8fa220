//! What a peer lacks, and when to do something about it: an IKE SA, a child for a slot, one IKE SA
//! less.
//!
//! Nothing here remembers what it started. It compares what is wanted with what is there, after
//! every input, so whatever was lost on the way (a refused child, an SA that a crossing swept away)
//! is asked for again.

use std::net::IpAddr;
use std::time::Duration;

use super::{Handshake, Peer, fingerprint, release};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::endpoint::schedule::{Earliest, Timer};
use crate::ike::error::Busy;
use crate::ike::exchange::Exchange;
use crate::ike::exchange::auth::{AuthOutcome, AuthSent};
use crate::ike::exchange::collision::{self, Age, Closing, Dialled};
use crate::ike::exchange::init::{InitProgress, InitSent};
use crate::ike::exchange::step::{MessageHalf, Party, Step};
use crate::ike::ids::Slot;
use crate::ike::path::{Path, Port, Sending};
use crate::ike::sa::channel::OpenedMessage;
use crate::ike::sa::child::ChildSa;
use crate::ike::sa::jitter::duration_between;
use crate::ike::sa::retransmit::RetransmitVerdict;
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeSa, Surplus};
use crate::time::Instant;
use crate::wire::codes::ExchangeType;
use crate::wire::header::Header;
use crate::wire::spi::IkeSpi;

/// A child that the other end should ask for is asked for here, after all, when that has not
/// happened.
const COURTESY: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
/// Time for packets and messages on their way, before an IKE SA that is one too many goes.
const SETTLE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));
/// How long the peer may take to close one that it dialled.
const THEIRS: Duration = Duration::from_secs(20);
/// IKE SAs with one peer: dialled by both ends at once, re-authenticated, and rekeyed.
const MOST: usize = 6;
/// A fresh IKE SA in place of one that could not give what was wanted comes no sooner than this
/// after it: a peer that refuses on the fresh one too would be dialled in circles.
const RENEWAL: (Duration, Duration) = (Duration::from_secs(45), Duration::from_secs(75));
/// A child that did not live longer than this was not wanted there.
const BRIEF: Duration = Duration::from_secs(60);

/// Our attempts to connect.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// The operator wants this peer connected: it is dialled until it is.
    pub(crate) wanted: bool,
    /// The operator disconnected this peer: nobody dials, not even it.
    pub(crate) barred: bool,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Not before.
    pub(crate) at: Instant,
    /// Which of the peer's addresses is next.
    pub(crate) next_remote: usize,
    /// A fresh IKE SA is wanted beside the one that is there.
    pub(crate) renew: bool,
}

/// How it went with one slot's children.
#[derive(Debug, Default)]
pub(crate) struct SlotRetry {
    /// Children in a row that the peer deleted soon.
    pub(crate) failures: u32,
    /// When the next may be asked for; drawn when the slot is first found empty.
    pub(crate) at: Option<Instant>,
}

impl Dial {
    /// A fresh IKE SA is wanted beside the present one, from then on.
    pub(crate) fn renew(&mut self, at: Instant) {
        self.at = if self.renew { self.at.min(at) } else { at };
        self.renew = true;
    }

    /// An IKE SA was lost: pause a moment before dialling, so that two ends do not do so in step.
    pub(crate) fn lost(&mut self, ctx: &mut Context<'_>, cause: Cause) {
        if !matches!(cause, Cause::Rekeyed | Cause::Duplicate) {
            self.at = self.at.max(ctx.now.mono + ctx.redial_pause(self.failures));
        }
    }

    fn failed(&mut self, ctx: &mut Context<'_>) {
        self.failures = self.failures.saturating_add(1);
        self.next_remote = self.next_remote.wrapping_add(1);
        let pause = ctx.redial_pause(self.failures);
        self.at = ctx.now.mono + pause;
        ctx.out.event(IkeEvent::DialPaused { peer: ctx.peer, pause });
    }
}

impl SlotRetry {
    /// A child of the slot is gone.
    pub(crate) fn lost(&mut self, ctx: &mut Context<'_>, child: &ChildSa, cause: Cause) {
        if cause == Cause::DeletedByPeer {
            let brief = ctx.now.mono.since(child.made_at) < BRIEF;
            self.failures = if brief { self.failures.saturating_add(1) } else { 0 };
        }
    }
}

impl Peer {
    /// This IKE SA cannot give what is wanted: a fresh one may.
    pub(crate) fn renew(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let now = ctx.mono();
        let up_at = self.sas.iter().find(|sa| sa.spi() == spi).map_or(now, |sa| sa.origin.up_at);
        let rested = up_at + duration_between(RENEWAL.0, RENEWAL.1, ctx.rng);
        self.dial.renew(rested.max(now));
    }

    /// Compares what is wanted with what is there.
    pub(crate) fn reconcile(&mut self, ctx: &mut Context<'_>) {
        self.close_surplus(ctx);
        self.close_twin(ctx);
        self.fill_slots(ctx);
        if self.dials_at().is_some_and(|at| at <= ctx.now.mono) {
            self.dial(ctx);
        }
    }

    /// Deadlines of what waits here.
    pub(crate) fn care_deadlines(&self, earliest: &mut Earliest) {
        earliest.maybe(self.dials_at(), Timer::Dial);
        for sa in self.sas.iter().filter(|sa| sa.is_live()) {
            earliest.maybe(sa.surplus.map(|surplus| surplus.at), Timer::Duplicate);
        }
        if let Some(sa) = self.main() {
            for slot in self.empty_slots(sa) {
                let care = self.care.get(usize::from(slot.0));
                earliest.maybe(care.and_then(|care| care.at), Timer::Retry);
            }
        }
    }

    /// The IKE SA to ask on: the one that stays, the newest if there are several.
    pub(crate) fn main(&self) -> Option<&IkeSa> {
        let live = self.sas.iter().filter(|sa| sa.is_live());
        live.max_by_key(|sa| (sa.surplus.is_none(), sa.origin.up_at, sa.spi()))
    }

    /// When to dial, if at all.
    fn dials_at(&self) -> Option<Instant> {
        let lacks = self.dial.renew || !self.sas.iter().any(IkeSa::is_live);
        let wanted = self.dial.renew || (self.dial.wanted && self.config.role.dials());
        let may = wanted && !self.dial.barred && !self.config.remotes.is_empty();
        let dialling = self.handshakes.iter().any(Handshake::is_ours);
        (may && lacks && !dialling).then_some(self.dial.at)
    }

    fn dial(&mut self, ctx: &mut Context<'_>) {
        let Some(remote) = self.next_remote() else { return };
        let port = if self.config.start_on_4500 { Port::NatT } else { Port::Ike };
        let path = Path::new(self.config.local, remote, port);
        let attempt = self.dial.failures.saturating_add(1);
        ctx.out.event(IkeEvent::Dialling { peer: self.id, attempt, path });
        match InitSent::start(ctx, path) {
            Some(phase) => self.handshakes.push(Handshake::InitSent(Box::new(phase))),
            // A policy without a group that we can run: the configuration refuses it before it
            // comes here.
            None => self.dial.failed(ctx),
        }
    }

    /// Where the peer is now, if it is connected; else where it was last, and after each failure
    /// the next of its addresses.
    fn next_remote(&self) -> Option<IpAddr> {
        let remotes = &self.config.remotes;
        let present = self.main().map(|sa| sa.path.remote.ip()).filter(|ip| remotes.contains(ip));
        present.or_else(|| remotes.get(self.dial.next_remote % remotes.len().max(1)).copied())
    }

    /// A datagram for an attempt.
    pub(crate) fn advance(
        &mut self,
        ctx: &mut Context<'_>,
        phase: Handshake,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        match phase {
            Handshake::InitSent(sent) => match sent.on_response(ctx, bytes) {
                InitProgress::Wait(sent) => self.handshakes.push(Handshake::InitSent(sent)),
                InitProgress::Keyed(keyed) => self.on_init_response(ctx, *keyed),
            },
            Handshake::AuthSent(sent) => self.on_auth_response(ctx, sent, header, bytes),
            Handshake::InitAnswered(answered) => {
                self.on_auth_request(ctx, answered, header, path, bytes);
            }
            Handshake::AuthRefused(mut refused) => {
                let (fingerprint, now) = (fingerprint(ctx, bytes), ctx.mono());
                // A refusal serves nobody but who was refused: there is one share of it.
                for bytes in refused.answered.again(fingerprint, true, now).into_iter().flatten() {
                    ctx.out.transmit(Sending::RepeatedReply, path, bytes.clone());
                }
                self.handshakes.push(Handshake::AuthRefused(refused));
            }
        }
    }

    /// IKE_SA_INIT is through: go on to IKE_AUTH.
    fn on_init_response(
        &mut self,
        ctx: &mut Context<'_>,
        keyed: crate::ike::exchange::init::InitDone,
    ) {
        let spi = keyed.channel.own;
        let slot = self.config.children.iter().position(|child| child.keep_up);
        let slot = slot.and_then(|slot| u16::try_from(slot).ok()).map(Slot);
        // To say INITIAL_CONTACT is to disown every other IKE SA (RFC 7296 §2.4): only when there
        // is none.
        let alone = self.sas.is_empty();
        match AuthSent::start(ctx, keyed, slot, alone) {
            Ok(phase) => self.handshakes.push(Handshake::AuthSent(Box::new(phase))),
            Err(error) => {
                ctx.spis.release_ike(spi);
                ctx.refuse(Step::Auth, MessageHalf::Request, error, None);
                self.dial.failed(ctx);
            }
        }
    }

    /// The responder's IKE_AUTH.
    fn on_auth_response(
        &mut self,
        ctx: &mut Context<'_>,
        mut sent: Box<AuthSent>,
        header: &Header,
        bytes: &[u8],
    ) {
        let answers = header.is_response()
            && header.exchange == ExchangeType::IkeAuth
            && header.message_id == crate::ike::exchange::auth::AUTH_ID;
        let print = fingerprint(ctx, bytes);
        let opened = answers.then(|| sent.keyed.channel.open(ctx.now.mono, bytes, print)).flatten();
        let Some(OpenedMessage::Whole(answer, _)) = opened else {
            self.handshakes.push(Handshake::AuthSent(sent));
            return;
        };
        let spi = sent.keyed.channel.own;
        match sent.finish(ctx, answer) {
            AuthOutcome::Up(sa) => self.on_established(ctx, *sa, false),
            AuthOutcome::Reject(mut sa, error) => {
                sa.close(ctx, Cause::Failed, error.to_notify().map(|notice| notice.kind));
                self.sas.push(*sa);
                self.dial.failed(ctx);
            }
            AuthOutcome::Failed => {
                ctx.spis.release_ike(spi);
                self.dial.failed(ctx);
            }
        }
    }

    /// The initiator's IKE_AUTH.
    fn on_auth_request(
        &mut self,
        ctx: &mut Context<'_>,
        mut answered: Box<crate::ike::exchange::auth::InitAnswered>,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        let asks = !header.is_response()
            && header.exchange == ExchangeType::IkeAuth
            && header.message_id == crate::ike::exchange::auth::AUTH_ID;
        let print = fingerprint(ctx, bytes);
        let channel = &mut answered.keyed.channel;
        let opened = asks.then(|| channel.open(ctx.now.mono, bytes, print)).flatten();
        let Some(OpenedMessage::Whole(request, print)) = opened else {
            self.handshakes.push(Handshake::InitAnswered(answered));
            return;
        };
        match answered.finish(ctx, path, print, request) {
            Ok((sa, initial_contact)) => self.on_established(ctx, *sa, initial_contact),
            Err(refused) => self.handshakes.push(Handshake::AuthRefused(refused)),
        }
    }

    /// A new IKE SA with the peer is up: what becomes of the others?
    fn on_established(&mut self, ctx: &mut Context<'_>, sa: IkeSa, initial_contact: bool) {
        let began_at = sa.origin.began_at;
        if initial_contact {
            // Only what was up before the peer began to dial: a crossing attempt of ours is news to
            // it.
            let stale: Vec<IkeSpi> =
                self.sas.iter().filter(|old| old.origin.up_at < began_at).map(IkeSa::spi).collect();
            for spi in stale {
                self.remove_sa(ctx, spi, Cause::InitialContact);
            }
        }
        self.dial.failures = 0;
        let renewed = sa.origin.dialled_by == Party::We && std::mem::take(&mut self.dial.renew);
        let at = ctx.now.mono + duration_between(SETTLE.0, SETTLE.1, ctx.rng);
        let mut loses = None;
        for old in self.sas.iter_mut().filter(|old| old.is_live()) {
            let (age, closing) = if renewed {
                (Age::Older, Closing::Now)
            } else {
                collision::surplus(dialled(old), dialled(&sa))
            };
            let surplus = match closing {
                Closing::Now => Surplus { at, proof_since: None },
                Closing::AfterProof => Surplus { at: at + THEIRS, proof_since: Some(ctx.now.mono) },
            };
            match age {
                // One that is surplus already goes when it was to go, however often somebody dials
                // anew.
                Age::Older => {
                    let at = old.surplus.map_or(surplus.at, |before| before.at.min(surplus.at));
                    old.surplus = Some(Surplus { at, ..surplus });
                }
                Age::Newer => loses = Some(surplus),
            }
        }
        self.make_room(ctx);
        self.sas.push(IkeSa { surplus: loses, ..sa });
        if !self.dial.renew {
            self.stop_init(ctx);
        }
    }

    /// Has room for one more IKE SA. Where they come faster than Deletes are answered, the oldest
    /// does not wait for that.
    pub(crate) fn make_room(&mut self, ctx: &mut Context<'_>) {
        while self.sas.len() >= MOST {
            let idle = self.sas.iter().filter(|sa| !sa.is_live() || sa.surplus.is_some());
            let oldest = idle.min_by_key(|sa| sa.origin.up_at).map(IkeSa::spi);
            let Some(spi) = oldest else { return };
            self.remove_sa(ctx, spi, Cause::Duplicate);
        }
    }

    /// An attempt of ours that has proved nothing yet is not needed any more.
    fn stop_init(&mut self, ctx: &mut Context<'_>) {
        self.handshakes.retain(|handshake| {
            let stop = matches!(handshake, Handshake::InitSent(_));
            if stop {
                release(ctx, handshake);
            }
            !stop
        });
    }

    /// Closes IKE SAs that are one too many, when their time has come.
    fn close_surplus(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.mono;
        let stays = self.main().map(|sa| (sa.spi(), sa.heard_at, sa.children.len()));
        let Some((stays, heard_at, children)) = stays else { return };
        for sa in self.sas.iter_mut().filter(|sa| sa.is_live()) {
            let Some(surplus) = sa.surplus.filter(|surplus| surplus.at <= now) else { continue };
            if sa.spi() == stays {
                // The other one is gone already: this is the one that is left.
                sa.surplus = None;
                continue;
            }
            let proven = surplus.proof_since.is_none_or(|since| heard_at > since);
            // The newest with a child stays: let it have one first.
            let replaced = children > 0 || sa.children.is_empty();
            if proven && replaced {
                sa.close(ctx, Cause::Duplicate, None);
            } else {
                sa.surplus = Some(Surplus { at: now + Duration::from_secs(2), ..surplus });
            }
        }
        let waits = |sa: &IkeSa| {
            sa.is_live() && sa.surplus.is_some_and(|s| s.proof_since.is_some_and(|p| heard_at <= p))
        };
        if self.sas.iter().any(waits)
            && let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == stays)
            && sa.flight.is_none()
            && sa.heard_at + Duration::from_secs(2) <= now
        {
            sa.want(ctx, TaskKind::Probe, now);
        }
    }

    /// Two children that do the same work: both ends asked at once. The one that the IKE SA's
    /// responder asked for goes, or the older of two that one end asked for; whoever asked for it
    /// deletes it.
    fn close_twin(&mut self, ctx: &mut Context<'_>) {
        let Some(main) = self.main().map(IkeSa::spi) else { return };
        let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == main) else { return };
        if matches!(sa.flight.as_ref().map(|f| &f.exchange), Some(Exchange::RekeyChild(_))) {
            return;
        }
        let maker = sa.channel.made_by;
        let loses = |a: &ChildSa, b: &ChildSa| {
            let same = a.slot == b.slot && a.selectors.covers(&b.selectors);
            let order = |c: &ChildSa| (c.made_by == maker, c.id);
            a.id != b.id && same && b.selectors.covers(&a.selectors) && order(a) < order(b)
        };
        let live = || sa.children.iter().filter(|child| child.is_live());
        let twin = live().find(|a| a.made_by == Party::We && live().any(|b| loses(a, b)));
        if let Some(twin) = twin.map(|twin| twin.id) {
            sa.close_child(ctx, twin);
        }
    }

    /// Slots that should have a child and have none, nor one in the making.
    fn empty_slots(&self, main: &IkeSa) -> Vec<Slot> {
        let wanted = self.config.children.iter().enumerate().filter(|(_, child)| child.keep_up);
        wanted
            .filter_map(|(at, _)| u16::try_from(at).ok().map(Slot))
            .filter(|slot| {
                let has = self.sas.iter().filter(|sa| sa.is_live() && sa.surplus.is_none());
                let has =
                    has.flat_map(|sa| &sa.children).any(|c| c.slot == *slot && !c.is_leaving());
                let asked = main.flight.as_ref().is_some_and(|flight| match &flight.exchange {
                    Exchange::NewChild(asked) => asked.wanted.slot == *slot,
                    _ => false,
                });
                let wished = main
                    .tasks
                    .wants(|kind| matches!(kind, TaskKind::NewChild(of, _) if of == *slot));
                !has && !asked && !wished
            })
            .collect()
    }

    /// Wants a child for each empty slot: at once when we dialled, after a courtesy when the peer
    /// did, later each time when the peer keeps deleting it.
    fn fill_slots(&mut self, ctx: &mut Context<'_>) {
        let Some(main) = self.main() else { return };
        let (spi, dialled_by) = (main.spi(), main.origin.dialled_by);
        let empty = self.empty_slots(main);
        for (at, care) in self.care.iter_mut().enumerate() {
            if !empty.iter().any(|slot| usize::from(slot.0) == at) {
                care.at = None;
            }
        }
        for slot in empty {
            let Some(care) = self.care.get_mut(usize::from(slot.0)) else { continue };
            let at = *care.at.get_or_insert_with(|| match (care.failures, dialled_by) {
                (0, Party::We) => ctx.now.mono,
                (0, Party::Peer) => {
                    ctx.now.mono + duration_between(COURTESY.0, COURTESY.1, ctx.rng)
                }
                (failures, _) => ctx.now.mono + ctx.redial_pause(failures),
            });
            if at <= ctx.now.mono
                && let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == spi)
            {
                care.at = None;
                sa.want(ctx, TaskKind::NewChild(slot, None), at);
            }
        }
    }

    /// Deadlines of attempts.
    pub(crate) fn wake_handshakes(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.mono;
        for mut handshake in std::mem::take(&mut self.handshakes) {
            if handshake.due().0 > now {
                self.handshakes.push(handshake);
                continue;
            }
            let verdict = match &mut handshake {
                Handshake::InitSent(phase) => phase.wake(ctx),
                Handshake::AuthSent(phase) => phase.wake(ctx),
                Handshake::InitAnswered(_) | Handshake::AuthRefused(_) => RetransmitVerdict::GiveUp,
            };
            match verdict {
                RetransmitVerdict::Resend => self.handshakes.push(handshake),
                RetransmitVerdict::GiveUp => self.give_up(ctx, &handshake),
            }
        }
    }

    fn give_up(&mut self, ctx: &mut Context<'_>, handshake: &Handshake) {
        release(ctx, handshake);
        let silent_in = match handshake {
            // The peer was not silent: what it said was told when it came.
            Handshake::InitSent(phase) if !phase.hearsay.is_empty() => None,
            Handshake::InitSent(_) => Some(Step::Init),
            _ => Some(Step::Auth),
        };
        if handshake.is_ours() {
            if let Some(step) = silent_in {
                ctx.refuse(step, MessageHalf::Response, Busy::NoAnswer.into(), None);
            }
            self.dial.failed(ctx);
        }
    }
}

fn dialled(sa: &IkeSa) -> Dialled<'_> {
    Dialled { by: sa.origin.dialled_by, nonces: sa.origin.nonces.view() }
}
