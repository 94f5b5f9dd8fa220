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
pub(crate) mod child;
mod deadlines;
pub(crate) mod dispatch;
pub mod dpd;
pub(crate) mod fragment;
pub(crate) mod jitter;
pub mod lifetime;
mod nat_traversal;
pub(crate) mod retransmit;
pub(crate) mod task;
pub(crate) mod window;

use std::time::Duration;

use super::authenticator::Proven;
use super::endpoint::context::Context;
use super::endpoint::event::{Cause, IkeEvent, LimitKind as Bound};
use super::exchange::collision::{ChildActivity, IkeActivity};
use super::exchange::step::Party;
use super::exchange::{Exchange, NoncePair};
use super::ids::ChildId;
use super::negotiation::nat_detection::Nat;
use super::path::{Path, Port, Sending};
use super::testing::mutation;
use crate::time::Instant;
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::header::MessageId;
use crate::wire::payload::chain::Chain;
use crate::wire::spi::{EspSpi, IkeSpi};
use channel::{Channel, Envelope};
use child::ChildSa;
use retransmit::{Retransmit, RetransmitSchedule};
use task::{TaskKind, Tasks};
use window::{Datagrams, Fingerprint, ReplyWindow, RequestWindow};

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

/// What distinguishes a new IKE SA: everything else starts empty, or now.
pub(crate) struct NewIkeSa {
    pub(crate) channel: Channel,
    pub(crate) origin: Origin,
    pub(crate) proven: Proven,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    pub(crate) encapsulated: bool,
    /// The message ID of our first request.
    pub(crate) first_request: MessageId,
    /// The message ID of the peer's first request.
    pub(crate) first_reply: MessageId,
    /// When we last sent something on `path`.
    pub(crate) sent_at: Instant,
    pub(crate) reauth_at: Option<Instant>,
}

impl IkeSa {
    /// An IKE SA without children and without a request in flight. Its lifetimes are drawn here.
    pub(crate) fn new(ctx: &mut Context<'_>, new: NewIkeSa) -> IkeSa {
        let now = ctx.mono();
        let lifetime = ctx.config.behaviour.ike_lifetime(ctx.config.ike_lifetime);
        let limits = lifetime.draw(now, ctx.rng);
        IkeSa {
            channel: new.channel,
            origin: new.origin,
            proven: new.proven,
            lifecycle: IkeLifecycle::Live,
            path: new.path,
            nat: new.nat,
            encapsulated: new.encapsulated,
            requests: RequestWindow::starting_at(new.first_request),
            flight: None,
            replies: ReplyWindow::starting_at(new.first_reply),
            tasks: Tasks::default(),
            refusals: 0,
            children: Vec::new(),
            departed: Vec::new(),
            heard_at: now,
            sent_at: new.sent_at,
            rekey_at: Some(limits.time.soft),
            expire_at: limits.time.hard,
            reauth_at: new.reauth_at,
            surplus: None,
        }
    }

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

    /// Installs a child SA pair in the data plane and takes it among this IKE SA's children. The
    /// inbound half comes first, so that no packet of the peer arrives before it can be opened.
    pub(crate) fn install(
        &mut self,
        ctx: &mut Context<'_>,
        child: ChildSa,
        replaces: Option<ChildId>,
    ) {
        child.install_inbound(ctx, self.path, self.encapsulated);
        child.install_outbound(ctx, self.path, self.encapsulated);
        ctx.out.event(IkeEvent::ChildUp {
            peer: ctx.peer,
            child: child.id,
            slot: child.slot,
            replaces,
            suite: child.suite,
            inbound: child.inbound.spi,
            outbound: child.outbound.spi,
            selectors: child.selectors.clone(),
        });
        self.children.push(child);
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
        if mutation::loses_task(kind, not_before > ctx.mono(), &self.children) {
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
        self.transmit(ctx, Sending::First, self.path, &datagrams);
        self.requests.begin(datagrams);
        let budget = ctx.config.dpd_timeout.probe_budget();
        let schedule = RetransmitSchedule::established(budget);
        let timer = Retransmit::start(schedule, ctx.mono(), ctx.rng);
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
        let envelope = Envelope { exchange, id: self.replies.expected(), response: true };
        let limit = datagram_limit(ctx, path);
        let Ok(datagrams) = self.channel.seal(envelope, chain, limit, ctx.rng) else {
            self.lifecycle = IkeLifecycle::Leaving(Cause::Failed);
            self.expire_at = ctx.mono();
            return;
        };
        self.transmit(ctx, Sending::First, path, &datagrams);
        self.replies.answer(fingerprint, datagrams);
    }

    pub(crate) fn transmit(
        &mut self,
        ctx: &mut Context<'_>,
        sending: Sending,
        path: Path,
        datagrams: &Datagrams,
    ) {
        for bytes in datagrams {
            ctx.out.transmit(sending, path, bytes.clone());
        }
        if path == self.path {
            self.sent_at = ctx.mono();
        }
    }
}

/// The largest message on this path: on port 4500 the non-ESP marker takes four octets.
pub(crate) fn datagram_limit(ctx: &Context<'_>, path: Path) -> usize {
    match path.port {
        Port::Ike => ctx.settings.max_datagram,
        Port::NatT => ctx.settings.max_datagram.saturating_sub(4),
    }
}
