//! An established IKE SA: its two message windows, its child SAs, its deadlines.
//!
//! **Life cycle** ([`IkeLifecycle`]). An IKE SA begins when IKE_AUTH or a rekey has made it:
//!
//! ```text
//!   Live ──── the peer rekeyed it ────────> Replaced ──> the peer's Delete, or ours when overdue
//!    ▲  └──── we rekeyed it, or close it ─> Leaving ───> our Delete is answered
//!    │
//!   Rival: the peer's successor of an IKE SA that we are rekeying too (simultaneous rekey); the
//!   nonces decide whether the Rival becomes Live or the peer deletes it
//! ```
//!
//! **Two windows** ([`window`]). Both ends may ask at once, so our requests and the peer's know
//! nothing of each other:
//!
//! ```text
//!   task ──> request ──> exchange in flight ──> response ──> what follows
//!    ▲                    │ no response           │           └─> SaEffect, beyond this IKE SA
//!    │                    └─> retransmission,     │
//!    │                        or the peer is dead │
//!    └────────── TEMPORARY_FAILURE, after a pause ┘
//!
//!   peer's request ──> reply, cached ──> the same request again ──> the cached reply again
//! ```
//!
//! What an input means beyond this IKE SA is returned as [`SaEffect`]s, which
//! [`crate::ike::peer`] carries out.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | [`IkeSa`], its life cycle, sending requests and replies |
//! | `dispatch` | task to request, request to reply, response to what follows |
//! | [`task`] | the tasks: what is wanted and is no request yet |
//! | [`window`] | message IDs, the request window, the reply window with its cached reply |
//! | [`retransmit`] | when a request is sent again, when to give up, pauses between tries |
//! | `deadlines` | every deadline of an IKE SA and what is done when it has come |
//! | [`dpd`] | dead peer detection (DPD) |
//! | [`proof`] | the end of the peer's proof, and a proof that is judged anew |
//! | `nat_traversal` | keepalives behind a NAT, following a peer whose address moved |
//! | [`child`] | a child SA pair, and which child of a slot sends |
//! | [`lifetime`], [`jitter`] | hard and soft lifetimes, drawn at random |
//! | [`channel`] | sealing and opening messages with the keys of the IKE SA |
//! | [`fragment`] | IKE fragmentation (RFC 7383): joining fragments |

pub(crate) mod channel;
pub(crate) mod child;
mod deadlines;
pub(crate) mod dispatch;
pub mod dpd;
pub(crate) mod fragment;
pub(crate) mod jitter;
pub mod lifetime;
mod nat_traversal;
mod proof;
pub(crate) mod retransmit;
pub(crate) mod task;
pub(crate) mod window;

use std::time::Duration;

use super::authenticator::{Presented, Proven};
use super::endpoint::context::Context;
use super::endpoint::event::{Cause, IkeEvent, LimitKind as Bound};
use super::exchange::collision::{ChildActivity, IkeActivity};
use super::exchange::step::Party;
use super::exchange::{Exchange, NoncePair};
use super::ids::{ChildId, Slot};
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

/// How long a peer may take to delete an SA that it has replaced, or a successor that lost a
/// simultaneous rekey. It is longer than a peer retransmits.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// One established IKE SA (see the module page).
#[derive(Debug)]
pub(crate) struct IkeSa {
    pub(crate) channel: Channel,
    pub(crate) origin: Origin,
    pub(crate) proven: Proven,
    /// What the peer proved itself with; `None` where an older snapshot has kept nothing.
    pub(crate) presented: Option<Presented>,
    /// When the peer's proof ends ([`proof`]). A successor inherits it.
    pub(crate) proof_ends_at: Option<Instant>,
    pub(crate) lifecycle: IkeLifecycle,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    /// Whether ESP travels in UDP.
    pub(crate) encapsulated: bool,
    pub(crate) requests: RequestWindow,
    /// Our request in flight; there is one exactly while `requests` has one outstanding.
    pub(crate) flight: Option<Flight>,
    pub(crate) replies: ReplyWindow,
    pub(crate) tasks: Tasks,
    /// Refusals in a row: each makes the pause before the next try longer.
    pub(crate) refusals: u32,
    pub(crate) children: Vec<ChildSa>,
    /// Children detached while an input was handled; the peer retires them.
    pub(crate) departed: Vec<(ChildSa, Cause)>,
    /// When the last sign of life arrived ([`dpd`]).
    pub(crate) heard_at: Instant,
    /// When we last sent something on `path`.
    pub(crate) sent_at: Instant,
    pub(crate) rekey_at: Option<Instant>,
    pub(crate) expire_at: Instant,
    pub(crate) reauth_at: Option<Instant>,
    /// Set when another IKE SA with this peer does the same work and this one is to be closed.
    pub(crate) surplus: Option<Surplus>,
}

/// When we close an IKE SA that is one too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Surplus {
    pub(crate) at: Instant,
    /// The IKE SA is closed only when the one that stays was heard from after this moment.
    pub(crate) proof_since: Option<Instant>,
}

/// The IKE_SA_INIT exchange that an IKE SA comes from. A successor inherits its origin.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The end that sent the IKE_SA_INIT request.
    pub(crate) dialled_by: Party,
    /// The nonces of IKE_SA_INIT.
    pub(crate) nonces: NoncePair,
    /// When IKE_SA_INIT was sent or answered here.
    pub(crate) began_at: Instant,
    /// When both ends were authenticated.
    pub(crate) up_at: Instant,
}

/// What is going to become of an IKE SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IkeLifecycle {
    Live,
    /// The peer's successor of an IKE SA that we are rekeying too: the loser of the two will be
    /// deleted.
    Rival {
        /// When the rival is dropped, if the peer has neither used nor deleted it.
        overdue: Instant,
    },
    /// The successor has taken over, and the peer is to delete this IKE SA.
    Replaced {
        /// When we delete it ourselves.
        overdue: Instant,
    },
    /// Our Delete is a task or in flight.
    Leaving(Cause),
}

/// Our request in flight, with the task that it came from.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) kind: TaskKind,
    pub(crate) exchange: Exchange,
    pub(crate) timer: Retransmit,
}

/// An SPI of ours that stands in a request and belongs to no SA yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReservedSpi {
    /// The SPI of the IKE SA's successor.
    Ike(IkeSpi),
    /// The inbound SPI of a child SA.
    Esp(EspSpi),
}

/// What follows from an input beyond the IKE SA that the input was for.
#[derive(Debug)]
pub(crate) enum SaEffect {
    /// The IKE SA ends without another message.
    End(Cause),
    /// A successor takes the place of the IKE SA.
    Succeed(Box<IkeSa>),
    /// The peer's successor is kept as a rival until the response to our own rekey request decides.
    Keep(Box<IkeSa>),
    /// Our successor was made and lost to the rival with this SPI, which takes over; ours is
    /// closed.
    Yield(Box<IkeSa>, IkeSpi),
    /// The rival with this SPI takes over; we made no successor.
    Promote(IkeSpi),
    /// The IKE SA cannot do what is wanted: a new one is dialled beside it.
    Renew,
    /// A fresh authentication is due.
    Reauthenticate,
    /// The peer granted our request for a child of this slot.
    ChildGranted(Slot),
    /// The peer refused our request for a child of this slot. `for_good`: it takes no further ones
    /// on this IKE SA (NO_ADDITIONAL_SAS, RFC 7296 §1.3).
    ChildRefused { slot: Slot, for_good: bool },
}

/// What a new IKE SA takes over from the exchange that made it; everything else starts empty.
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
            presented: None,
            proof_ends_at: None,
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

    /// Our SPI, by which the IKE SA is known.
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

    /// The SPI that the request in flight has reserved.
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

    /// Whether the peer may have one more child, which replaces one of this IKE SA if `replaces`.
    pub(crate) fn has_room(&self, ctx: &Context<'_>, replaces: bool) -> bool {
        let live = self.children.iter().filter(|child| child.is_live()).count();
        live.saturating_sub(usize::from(replaces)) + ctx.beside.live < ctx.settings.max_children
            && ctx.has_bounds_for_child(self.children.len())
    }

    /// Takes a child out of this IKE SA; the peer retires the child after the input.
    pub(crate) fn detach_child(&mut self, id: ChildId, cause: Cause) -> bool {
        let Some(at) = self.children.iter().position(|child| child.id == id) else { return false };
        let child = self.children.remove(at);
        self.tasks.forget(|kind| match kind {
            TaskKind::CloseChild(of) | TaskKind::RekeyChild(of, _) => of == id,
            _ => false,
        });
        self.departed.push((child, cause));
        true
    }

    /// What we are doing to this IKE SA, as the rules of [`crate::ike::exchange::collision`] ask.
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

    /// What we are doing to a child, as the same rules ask.
    pub(crate) fn child_activity(&self, id: ChildId) -> ChildActivity {
        let rekeying = match self.flight.as_ref().map(|flight| &flight.exchange) {
            Some(Exchange::RekeyChild(asked)) => asked.old == id,
            _ => false,
        };
        match self.child(id).map(|child| child.lifecycle) {
            None => ChildActivity::Gone,
            Some(child::ChildLifecycle::Leaving | child::ChildLifecycle::Surplus) => {
                ChildActivity::Closing
            }
            Some(child::ChildLifecycle::Replaced { .. }) => ChildActivity::Replaced,
            Some(child::ChildLifecycle::Live) if rekeying => ChildActivity::Rekeying,
            Some(child::ChildLifecycle::Live) => ChildActivity::Idle,
        }
    }

    /// Adds a task, once and within bounds. An IKE SA that has a successor, or that is a rival,
    /// takes no tasks.
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

    /// Adds the task to delete a child. The child sends no more from here on, and receives until
    /// the peer has answered our Delete.
    pub(crate) fn close_child(&mut self, ctx: &mut Context<'_>, id: ChildId) {
        self.close_child_as(ctx, id, child::ChildLifecycle::Leaving);
    }

    /// The same for one of two children of the same selectors: the other stays.
    pub(crate) fn close_twin(&mut self, ctx: &mut Context<'_>, id: ChildId) {
        self.close_child_as(ctx, id, child::ChildLifecycle::Surplus);
    }

    fn close_child_as(
        &mut self,
        ctx: &mut Context<'_>,
        id: ChildId,
        lifecycle: child::ChildLifecycle,
    ) {
        let Some(child) = self.child_mut(id).filter(|child| !child.is_leaving()) else { return };
        child.lifecycle = lifecycle;
        self.tasks.forget(|kind| matches!(kind, TaskKind::RekeyChild(of, _) if of == id));
        self.want(ctx, TaskKind::CloseChild(id), ctx.mono());
    }

    /// Replaces all tasks by one: delete this IKE SA with all its children.
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

    /// Sends a request. `exchange` holds what the response will be read with.
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
        let Ok(message) = self.channel.seal(envelope, chain, limit, ctx.rng) else {
            // Sealing fails for a reason that lasts: the IKE SA is of no use any more.
            self.lifecycle = IkeLifecycle::Leaving(Cause::Failed);
            self.expire_at = ctx.mono();
            return;
        };
        self.transmit(ctx, Sending::First, self.path, message.datagrams());
        self.requests.begin(message);
        let budget = ctx.config.dpd_timeout.probe_budget();
        let schedule = RetransmitSchedule::established(budget);
        let timer = Retransmit::start(schedule, ctx.mono(), ctx.rng);
        self.flight = Some(Flight { kind, exchange, timer });
    }

    /// Sends the reply to the request that is being handled, and caches it for a repeated request.
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
        let Ok(message) = self.channel.seal(envelope, chain, limit, ctx.rng) else {
            self.lifecycle = IkeLifecycle::Leaving(Cause::Failed);
            self.expire_at = ctx.mono();
            return;
        };
        self.transmit(ctx, Sending::First, path, message.datagrams());
        self.replies.answer(fingerprint, message);
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

/// The largest IKE message on a path: on port 4500 the non-ESP marker takes four octets (RFC 3948
/// §2.2).
pub(crate) fn datagram_limit(ctx: &Context<'_>, path: Path) -> usize {
    match path.port {
        Port::Ike => ctx.settings.max_datagram,
        Port::NatT => ctx.settings.max_datagram.saturating_sub(4),
    }
}
