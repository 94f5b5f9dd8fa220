//! An established IKE SA: its two windows, its children, its deadlines.
//!
//! ```text
//!                   rekeyed by us ─────────────┐
//!   Live ─────────> rekeyed by the peer ─> Replaced ──┐ (its Delete comes, or is overdue)
//!    ▲  └─────────> to be closed ──────────> Leaving ─┴─> gone
//!    │
//!   Rival: the peer's successor while our own request for one was under way; it lives, or is withdrawn
//! ```
//!
//! What an input does beyond this IKE SA is returned as [`SaEffect`]s, which the peer that owns it
//! carries out.

pub(crate) mod channel;
pub mod child;
pub(crate) mod dispatch;
pub mod dpd;
pub mod fragment;
pub mod jitter;
pub mod lifetime;
pub mod retransmit;
pub(crate) mod task;
pub mod window;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::authenticator::Proven;
use super::endpoint::context::Context;
use super::endpoint::event::{Cause, IkeEvent, LimitKind as Bound};
use super::endpoint::output::Output;
use super::endpoint::schedule::{Earliest, Timer};
use super::exchange::collision::{ChildActivity, IkeActivity};
use super::exchange::step::Party;
use super::exchange::{Exchange, NoncePair};
use super::ids::ChildId;
use super::negotiation::nat_detection::Nat;
use super::path::{Path, Port};
use super::testing::mutation::{self, Mutation};
use crate::time::Instant;
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::payload::chain::Chain;
use crate::wire::spi::{EspSpi, IkeSpi};
use channel::{Channel, Envelope};
use child::ChildSa;
use retransmit::{Retransmit, RetransmitSchedule, RetransmitVerdict};
use task::{TaskKind, Tasks};
use window::{Datagrams, Fingerprint, ReplyWindow, RequestWindow};

/// A NAT forgets a mapping that it sees no packet of (RFC 3948 §4).
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long a peer may take to delete what it has replaced, or to withdraw what has lost: longer
/// than it would retransmit.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// One established IKE SA.
#[derive(Debug)]
pub(crate) struct IkeSa {
    pub(crate) channel: Channel,
    pub(crate) origin: Origin,
    pub(crate) proven: Proven,
    pub(crate) lifecycle: IkeLifecycle,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    /// ESP travels in UDP.
    pub(crate) encapsulated: bool,
    pub(crate) requests: RequestWindow,
    /// What our outstanding request is about; there is one exactly while `requests` has one
    /// outstanding.
    pub(crate) flight: Option<Flight>,
    pub(crate) replies: ReplyWindow,
    pub(crate) tasks: Tasks,
    /// Refusals in a row, for the pause before the next try.
    pub(crate) refusals: u32,
    pub(crate) children: Vec<ChildSa>,
    /// Children that left while an input was handled; the peer sees to their end.
    pub(crate) departed: Vec<(ChildSa, Cause)>,
    /// When something authentic of the peer last arrived, be it IKE or ESP.
    pub(crate) heard_at: Instant,
    /// When we last sent something on `path`.
    pub(crate) sent_at: Instant,
    pub(crate) rekey_at: Option<Instant>,
    pub(crate) expire_at: Instant,
    pub(crate) reauth_at: Option<Instant>,
    /// Another IKE SA with this peer does the same work, and this is the one that goes.
    pub(crate) surplus: Option<Surplus>,
}

/// When an IKE SA that is one too many is closed by us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Surplus {
    pub(crate) at: Instant,
    /// Only once the one that stays has been heard from since.
    pub(crate) proof_since: Option<Instant>,
}

/// Where an IKE SA comes from. A successor inherits it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Who sent the IKE_SA_INIT request.
    pub(crate) dialled_by: Party,
    /// Of IKE_SA_INIT.
    pub(crate) nonces: NoncePair,
    /// When IKE_SA_INIT was sent or answered here.
    pub(crate) began_at: Instant,
    /// When both ends were proven.
    pub(crate) up_at: Instant,
}

/// What is going to become of an IKE SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IkeLifecycle {
    /// It goes on.
    Live,
    /// The peer's successor of an IKE SA that we are rekeying too: one of the two will be
    /// withdrawn.
    Rival {
        /// When it is dropped, if the peer has neither used nor deleted it.
        overdue: Instant,
    },
    /// Its successor has taken over; the peer is to delete it.
    Replaced {
        /// When we do, if it has not.
        overdue: Instant,
    },
    /// Our Delete of it is wanted or under way.
    Leaving(Cause),
}

/// Our request under way, with the wish that it came from.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) kind: TaskKind,
    pub(crate) exchange: Exchange,
    pub(crate) timer: Retransmit,
}

/// An SPI of ours that is in a request and in no SA yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReservedSpi {
    /// Of a successor.
    Ike(IkeSpi),
    /// Of a child.
    Esp(EspSpi),
}

/// What follows from an input for the peer as a whole.
#[derive(Debug)]
pub(crate) enum SaEffect {
    /// This IKE SA is over, without another word.
    End(Cause),
    /// This IKE SA takes the place of the one that the input was for.
    Succeed(Box<IkeSa>),
    /// The peer's successor came while ours is being asked for: it is kept until that is decided.
    Keep(Box<IkeSa>),
    /// Ours was made and lost: it goes, and the rival with this SPI takes over.
    Yield(Box<IkeSa>, IkeSpi),
    /// The rival with this SPI takes over; there is none of ours.
    Promote(IkeSpi),
    /// This IKE SA cannot give what is wanted: dial a new one beside it.
    Renew,
}

impl IkeSa {
    /// Our SPI: its name.
    pub(crate) fn spi(&self) -> IkeSpi {
        self.channel.own
    }

    pub(crate) fn is_live(&self) -> bool {
        self.lifecycle == IkeLifecycle::Live
    }

    pub(crate) fn child(&self, id: ChildId) -> Option<&ChildSa> {
        self.children.iter().find(|child| child.id == id)
    }

    pub(crate) fn child_mut(&mut self, id: ChildId) -> Option<&mut ChildSa> {
        self.children.iter_mut().find(|child| child.id == id)
    }

    /// The SPIs that the request under way has reserved.
    pub(crate) fn reserved(&self) -> Option<ReservedSpi> {
        match &self.flight.as_ref()?.exchange {
            Exchange::NewChild(asked) => Some(ReservedSpi::Esp(asked.wanted.spi)),
            Exchange::RekeyChild(asked) => Some(ReservedSpi::Esp(asked.new.wanted.spi)),
            Exchange::RekeyIke(asked) => Some(ReservedSpi::Ike(asked.spi)),
            Exchange::Probe | Exchange::CloseChildren(_) | Exchange::CloseIke => None,
        }
    }

    /// Takes a child out; its end is the peer's business.
    pub(crate) fn detach_child(&mut self, id: ChildId, cause: Cause) -> bool {
        let Some(at) = self.children.iter().position(|child| child.id == id) else { return false };
        let child = self.children.remove(at);
        self.tasks.forget(
            |kind| matches!(kind, TaskKind::CloseChild(of) | TaskKind::RekeyChild(of, _) if of == id),
        );
        self.departed.push((child, cause));
        true
    }

    /// What we are doing to this IKE SA, for the tables of [`crate::ike::exchange::collision`].
    pub(crate) fn activity(&self) -> IkeActivity {
        match self.lifecycle {
            IkeLifecycle::Leaving(_) => return IkeActivity::Closing,
            IkeLifecycle::Replaced { .. } | IkeLifecycle::Rival { .. } => {
                return IkeActivity::Replaced;
            }
            IkeLifecycle::Live => {}
        }
        match self.flight.as_ref().map(|flight| &flight.exchange) {
            Some(Exchange::RekeyIke(_)) => IkeActivity::Rekeying,
            Some(Exchange::CloseIke) => IkeActivity::Closing,
            Some(Exchange::CloseChildren(..) | Exchange::NewChild(_) | Exchange::RekeyChild(_)) => {
                IkeActivity::WithChild
            }
            Some(Exchange::Probe) | None => IkeActivity::Idle,
        }
    }

    /// What we are doing to this child.
    pub(crate) fn child_activity(&self, id: ChildId) -> ChildActivity {
        let rekeying = match self.flight.as_ref().map(|flight| &flight.exchange) {
            Some(Exchange::RekeyChild(asked)) => asked.old == id,
            _ => false,
        };
        match self.child(id).map(|child| child.lifecycle) {
            None => ChildActivity::Gone,
            Some(child::ChildLifecycle::Leaving) => ChildActivity::Closing,
            Some(child::ChildLifecycle::Replaced { .. }) => ChildActivity::Replaced,
            Some(child::ChildLifecycle::Live) if rekeying => ChildActivity::Rekeying,
            Some(child::ChildLifecycle::Live) => ChildActivity::Idle,
        }
    }

    /// Wants something of this IKE SA; at most once, and within bounds. One that has a successor,
    /// or may be withdrawn, is asked for nothing.
    pub(crate) fn want(&mut self, ctx: &mut Context<'_>, kind: TaskKind, not_before: Instant) {
        if matches!(self.lifecycle, IkeLifecycle::Rival { .. } | IkeLifecycle::Replaced { .. }) {
            return;
        }
        if !self.tasks.push(kind, not_before) {
            ctx.out.event(IkeEvent::Limited(Bound::Tasks));
        }
    }

    /// Wants this child gone: it sends no more from here on, and receives until the peer has
    /// agreed.
    pub(crate) fn close_child(&mut self, ctx: &mut Context<'_>, id: ChildId) {
        let Some(child) = self.child_mut(id) else { return };
        if child.lifecycle == child::ChildLifecycle::Leaving {
            return;
        }
        child.lifecycle = child::ChildLifecycle::Leaving;
        self.tasks.forget(|kind| matches!(kind, TaskKind::RekeyChild(of, _) if of == id));
        self.want(ctx, TaskKind::CloseChild(id), ctx.mono());
    }

    /// Wants this IKE SA gone, all its children with it.
    pub(crate) fn close(
        &mut self,
        ctx: &mut Context<'_>,
        cause: Cause,
        notify: Option<NotifyType>,
    ) {
        if matches!(self.lifecycle, IkeLifecycle::Leaving(_)) {
            return;
        }
        self.lifecycle = IkeLifecycle::Leaving(cause);
        for child in &mut self.children {
            child.lifecycle = child::ChildLifecycle::Leaving;
        }
        self.tasks.forget(|_| true);
        self.want(ctx, TaskKind::CloseIke(cause, notify), ctx.mono());
    }

    /// Sends a request. `exchange` is how its answer will be understood.
    pub(crate) fn ask(
        &mut self,
        ctx: &mut Context<'_>,
        kind: TaskKind,
        exchange: Exchange,
        chain: &Chain,
    ) {
        let Some(id) = self.requests.free() else { return };
        let envelope = Envelope { exchange: exchange.kind(), id, response: false };
        let limit = datagram_limit(ctx, self.path);
        let Ok(datagrams) = self.channel.seal(envelope, chain, limit, ctx.rng) else {
            // Keys that do not seal will not do so later either.
            self.lifecycle = IkeLifecycle::Leaving(Cause::Failed);
            self.expire_at = ctx.mono();
            return;
        };
        self.transmit(ctx, self.path, &datagrams);
        self.requests.begin(datagrams);
        let timer = Retransmit::start(self.patience(ctx), ctx.mono(), ctx.rng);
        self.flight = Some(Flight { kind, exchange, timer });
    }

    /// Sends the answer to the request that is being handled, and keeps it.
    pub(crate) fn reply(
        &mut self,
        ctx: &mut Context<'_>,
        path: Path,
        exchange: ExchangeType,
        fingerprint: Fingerprint,
        chain: &Chain,
    ) {
        let mut id = self.replies.expected();
        if mutation::is(Mutation::AnswerWrongId) {
            id.0 = id.0.wrapping_add(1);
        }
        let envelope = Envelope { exchange, id, response: true };
        let limit = datagram_limit(ctx, path);
        let Ok(datagrams) = self.channel.seal(envelope, chain, limit, ctx.rng) else {
            self.lifecycle = IkeLifecycle::Leaving(Cause::Failed);
            self.expire_at = ctx.mono();
            return;
        };
        self.transmit(ctx, path, &datagrams);
        self.replies.answer(fingerprint, datagrams);
    }

    /// Something authentic and new of the peer arrived from `path`.
    ///
    /// An end that is not behind a NAT answers to where the peer was last seen; one that is does
    /// not, since anyone on the way could send it elsewhere (RFC 7296 §2.23).
    pub(crate) fn heard(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.alive(ctx.mono());
        if self.path.follows(path, self.nat.here) {
            self.move_to(ctx, path);
        }
    }

    /// A sign of life, of either kind of traffic.
    pub(crate) fn alive(&mut self, at: Instant) {
        self.heard_at = self.heard_at.max(at);
        if let Some(flight) = &mut self.flight
            && !matches!(flight.exchange, Exchange::CloseIke)
        {
            flight.timer.heard(at);
        }
    }

    /// The peer is elsewhere.
    pub(crate) fn move_to(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.path = path;
        let encapsulated = self.encapsulated;
        ctx.out.push(Output::PeerMoved { peer: ctx.peer, path, encapsulated });
        ctx.out.event(IkeEvent::Moved(ctx.peer, path));
    }

    /// We are elsewhere: the peer learns it from the next thing that authenticates, so something is
    /// said at once.
    pub(crate) fn local_address_changed(&mut self, ctx: &mut Context<'_>, local: IpAddr) {
        if self.path.local.ip() != local {
            let local = SocketAddr::new(local, self.path.local.port());
            self.move_to(ctx, Path { local, ..self.path });
            if self.is_live() {
                self.want(ctx, TaskKind::Probe, ctx.mono());
            }
        }
    }

    /// Adds its deadlines.
    pub(crate) fn deadlines(
        &self,
        earliest: &mut Earliest,
        ctx_dpd: crate::ike::sa::dpd::DpdTimeout,
    ) {
        match &self.flight {
            Some(flight) => earliest.at(flight.timer.due(), Timer::Retransmit),
            None => earliest.maybe(self.tasks.due_at(), Timer::Retry),
        }
        match self.lifecycle {
            IkeLifecycle::Live => {
                let idle = self.flight.is_none() && self.tasks.due_at().is_none();
                if idle && !mutation::is(Mutation::NeverProbe) {
                    earliest.at(ctx_dpd.probe_at(self.heard_at), Timer::Liveness);
                }
                earliest.maybe(self.rekey_at, Timer::Rekey);
                earliest.maybe(self.reauth_at, Timer::Reauthenticate);
            }
            IkeLifecycle::Rival { overdue } | IkeLifecycle::Replaced { overdue } => {
                earliest.at(overdue, Timer::Linger);
            }
            IkeLifecycle::Leaving(_) => {}
        }
        earliest.at(self.expire_at, Timer::Expire);
        if self.nat.here && self.path.port == Port::NatT {
            earliest.at(self.sent_at + KEEPALIVE, Timer::Keepalive);
        }
        earliest.maybe(self.channel.fragments_until(), Timer::HalfOpen);
        for child in &self.children {
            earliest.at(child.expire_at, Timer::Expire);
            match child.lifecycle {
                child::ChildLifecycle::Live => earliest.maybe(child.rekey_at, Timer::Rekey),
                child::ChildLifecycle::Replaced { overdue } => earliest.at(overdue, Timer::Linger),
                child::ChildLifecycle::Leaving => {}
            }
        }
    }

    /// Acts on all deadlines that have come.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) -> Option<SaEffect> {
        let now = ctx.mono();
        self.channel.expire_fragments(now);
        self.keep_nat_open(ctx);
        if let Some(effect) = self.retransmit(ctx) {
            return Some(effect);
        }
        if self.expire_at <= now {
            return Some(SaEffect::End(match self.lifecycle {
                IkeLifecycle::Leaving(cause) => cause,
                _ => Cause::Expired,
            }));
        }
        match self.lifecycle {
            IkeLifecycle::Rival { overdue } if overdue <= now => {
                return Some(SaEffect::End(Cause::Duplicate));
            }
            IkeLifecycle::Replaced { overdue } if overdue <= now => {
                self.close(ctx, Cause::Rekeyed, None);
            }
            _ => {}
        }
        self.wake_children(ctx);
        if !self.is_live() {
            return None;
        }
        if self.rekey_at.is_some_and(|at| at <= now) {
            self.rekey_at = None;
            self.want(ctx, TaskKind::RekeyIke(None), now);
        }
        let silent = ctx.config.dpd_timeout.probe_at(self.heard_at) <= now;
        let silent = silent && !mutation::is(Mutation::NeverProbe);
        if silent && self.flight.is_none() && self.tasks.due_at().is_none() {
            self.want(ctx, TaskKind::Probe, now);
        }
        if self.reauth_at.is_some_and(|at| at <= now) {
            self.reauth_at = None;
            return Some(SaEffect::Renew);
        }
        None
    }

    fn wake_children(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.mono();
        let mut expired = Vec::new();
        let mut overdue = Vec::new();
        let mut due = Vec::new();
        for child in &mut self.children {
            if child.expire_at <= now {
                expired.push((child.id, child.inbound.spi));
            } else if matches!(child.lifecycle, child::ChildLifecycle::Replaced { overdue } if overdue <= now)
            {
                overdue.push(child.id);
            } else if child.is_live() && child.rekey_at.is_some_and(|at| at <= now) {
                child.rekey_at = None;
                due.push(child.id);
            }
        }
        for (id, spi) in expired {
            self.detach_child(id, Cause::Expired);
            if !matches!(self.lifecycle, IkeLifecycle::Leaving(_)) {
                self.want(ctx, TaskKind::Disown(spi), now);
            }
        }
        for id in overdue {
            self.close_child(ctx, id);
        }
        for id in due {
            self.want(ctx, TaskKind::RekeyChild(id, None), now);
        }
    }

    fn retransmit(&mut self, ctx: &mut Context<'_>) -> Option<SaEffect> {
        let flight = self.flight.as_mut().filter(|flight| flight.timer.due() <= ctx.now.mono)?;
        match flight.timer.fire(ctx.now.mono, ctx.rng) {
            RetransmitVerdict::Resend => {
                let mut datagrams = self.requests.outstanding()?.datagrams.clone();
                if mutation::is(Mutation::AlterRetransmission) {
                    datagrams.iter_mut().filter_map(|d| d.last_mut()).for_each(|octet| *octet ^= 1);
                }
                self.transmit(ctx, self.path, &datagrams);
                None
            }
            RetransmitVerdict::GiveUp => Some(SaEffect::End(match self.lifecycle {
                IkeLifecycle::Leaving(cause) => cause,
                _ => Cause::Silence,
            })),
        }
    }

    fn keep_nat_open(&mut self, ctx: &mut Context<'_>) {
        let due = self.sent_at + KEEPALIVE <= ctx.mono();
        if due && self.nat.here && self.path.port == Port::NatT {
            self.sent_at = ctx.mono();
            ctx.out.push(Output::Keepalive(self.path));
        }
    }

    pub(crate) fn transmit(&mut self, ctx: &mut Context<'_>, path: Path, datagrams: &Datagrams) {
        for bytes in datagrams {
            ctx.out.transmit(path, bytes.clone());
        }
        if path == self.path {
            self.sent_at = ctx.mono();
        }
    }

    /// How long a request is repeated.
    fn patience(&self, ctx: &Context<'_>) -> RetransmitSchedule {
        RetransmitSchedule::established(ctx.config.dpd_timeout.probe_budget())
    }
}

/// The largest message on this path: on port 4500 the non-ESP marker takes four octets.
pub(crate) fn datagram_limit(ctx: &Context<'_>, path: Path) -> usize {
    match path.port {
        Port::Ike => ctx.settings.max_datagram,
        Port::NatT => ctx.settings.max_datagram.saturating_sub(4),
    }
}
