//! One remote gateway with all it owns: attempts to connect, IKE SAs, what drains.
//!
//! Whatever comes in, the same four steps end it (see [`Peer::run_followups`]): what is missing is
//! wanted ([`crate::ike::peer::care`]), each slot's outbound carrier is settled, what is wanted is
//! asked, and the earliest deadline is known.

pub(crate) mod care;

use std::net::IpAddr;
use std::rc::Rc;

use super::endpoint::config::PeerConfig;
use super::endpoint::context::Context;
use super::endpoint::event::{Cause, IkeEvent};
use super::endpoint::schedule::{Earliest, Timer};
use super::exchange::auth::{AuthRefused, AuthSent, InitAnswered};
use super::exchange::init::InitSent;
use super::exchange::step::Party;
use super::exchange::{Crossing, Exchange};
use super::exchange::{create_child, rekey_ike};
use super::ids::{ChildId, PeerId, Slot};
use super::path::{Path, Sending};
use super::sa::channel::OpenedMessage;
use super::sa::child::{self, ChildSa, OutState, SendCandidate};
use super::sa::task::TaskKind;
use super::sa::window::{Fingerprint, RequestArrival};
use super::sa::{IkeLifecycle, IkeSa, SaEffect};
use super::testing::mutation::{self, Mutation};
use crate::crypto::Hash;
use crate::time::Instant;
use crate::wire::header::Header;
use crate::wire::spi::{EspSpi, IkeSpi};
use care::{Dial, SlotRetry};

/// One remote gateway.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) config: Rc<PeerConfig>,
    pub(crate) dial: Dial,
    /// How it went with each slot's children, in the order of the configuration.
    pub(crate) care: Vec<SlotRetry>,
    pub(crate) handshakes: Vec<Handshake>,
    pub(crate) sas: Vec<IkeSa>,
    pub(crate) draining: Vec<Draining>,
    /// What the schedule holds of us.
    pub(crate) registered: Option<(Instant, Timer)>,
}

/// An attempt of either end, by its phase.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// We dial: IKE_SA_INIT is out.
    InitSent(Box<InitSent>),
    /// We dial: IKE_AUTH is out.
    AuthSent(Box<AuthSent>),
    /// The peer dials: IKE_SA_INIT is answered.
    InitAnswered(Box<InitAnswered>),
    /// The peer dialled and was not believed.
    AuthRefused(Box<AuthRefused>),
}

/// So many drain at a time for each slot that there is: children that are replaced faster have no
/// stragglers of the oldest any more.
const DRAINING: usize = 4;

/// An inbound half that outlives its child for a moment: stragglers of a rekey still open.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) child: ChildSa,
    pub(crate) until: Instant,
}

impl Handshake {
    /// Our SPI.
    pub(crate) fn spi(&self) -> IkeSpi {
        match self {
            Handshake::InitSent(phase) => phase.spi,
            Handshake::AuthSent(phase) => phase.keyed.channel.own,
            Handshake::InitAnswered(phase) => phase.keyed.channel.own,
            Handshake::AuthRefused(phase) => phase.channel.own,
        }
    }

    /// Whether we dial.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Handshake::InitSent(_) | Handshake::AuthSent(_))
    }

    pub(crate) fn due(&self) -> (Instant, Timer) {
        match self {
            Handshake::InitSent(phase) => (phase.timer.due(), Timer::Retransmit),
            Handshake::AuthSent(phase) => (phase.timer.due(), Timer::Retransmit),
            Handshake::InitAnswered(phase) => (phase.forget_at, Timer::HalfOpen),
            Handshake::AuthRefused(phase) => (phase.forget_at, Timer::HalfOpen),
        }
    }
}

impl Peer {
    pub(crate) fn new(id: PeerId, config: PeerConfig) -> Peer {
        let care = config.children.iter().map(|_| SlotRetry::default()).collect();
        Peer {
            id,
            config: Rc::new(config),
            dial: Dial::default(),
            care,
            handshakes: Vec::new(),
            sas: Vec::new(),
            draining: Vec::new(),
            registered: None,
        }
    }

    /// A datagram for one of our SPIs.
    pub(crate) fn receive(
        &mut self,
        ctx: &mut Context<'_>,
        own: IkeSpi,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        if let Some(at) = self.sas.iter().position(|sa| sa.spi() == own) {
            let mut sa = self.sas.remove(at);
            let effects = if header.is_response() {
                self.hear_answer(ctx, &mut sa, header, path, bytes)
            } else {
                self.hear_request(ctx, &mut sa, header, path, bytes)
            };
            let spi = sa.spi();
            self.sas.insert(at, sa);
            self.carry_out(ctx, spi, effects);
        } else if let Some(at) = self.handshakes.iter().position(|phase| phase.spi() == own) {
            let phase = self.handshakes.remove(at);
            self.advance(ctx, phase, header, path, bytes);
        }
        self.run_followups(ctx);
    }

    /// The peer's request on an established IKE SA.
    fn hear_request(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) -> Vec<SaEffect> {
        let fingerprint = fingerprint(ctx, bytes);
        let from_peer = path == sa.path;
        match sa.replies.classify(header.message_id, fingerprint, from_peer, ctx.mono()) {
            RequestArrival::New => {}
            RequestArrival::Repeated(datagrams) => {
                let datagrams = datagrams.to_vec();
                sa.transmit(ctx, Sending::RepeatedReply, path, &datagrams);
                return Vec::new();
            }
            RequestArrival::Outside => return Vec::new(),
        }
        let (chain, fingerprint) = match sa.channel.open(ctx.mono(), bytes, fingerprint) {
            None => return Vec::new(),
            Some(OpenedMessage::Fragment) => {
                sa.alive(ctx.mono());
                return Vec::new();
            }
            Some(OpenedMessage::Whole(chain, fingerprint)) => (chain, fingerprint),
        };
        sa.heard(ctx, path);
        let mut effects = Vec::new();
        if matches!(sa.lifecycle, IkeLifecycle::Rival { .. }) && adopts(&chain) {
            // The peer uses its successor: it never saw our crossing request (RFC 7296 §2.8.2).
            sa.lifecycle = IkeLifecycle::Live;
            self.inherit(ctx, sa);
        }
        let (answer, more) = sa.answer(ctx, header.exchange, chain);
        effects.extend(more);
        self.select_outbound(ctx, Some(sa));
        sa.reply(ctx, path, header.exchange, fingerprint, &answer);
        effects
    }

    /// The peer's answer on an established IKE SA.
    fn hear_answer(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) -> Vec<SaEffect> {
        let kind = sa.flight.as_ref().map(|flight| flight.exchange.kind());
        if !sa.requests.awaits(header.message_id) || kind != Some(header.exchange) {
            return Vec::new();
        }
        let fingerprint = fingerprint(ctx, bytes);
        let chain = match sa.channel.open(ctx.mono(), bytes, fingerprint) {
            None => return Vec::new(),
            Some(OpenedMessage::Fragment) => {
                sa.alive(ctx.mono());
                return Vec::new();
            }
            Some(OpenedMessage::Whole(chain, _)) => chain,
        };
        sa.requests.finish();
        let Some(flight) = sa.flight.take() else { return Vec::new() };
        sa.heard(ctx, path);
        sa.take_answer(ctx, flight, chain)
    }

    /// What an input on the IKE SA `spi` means for the others.
    pub(crate) fn carry_out(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, effects: Vec<SaEffect>) {
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
                SaEffect::Renew => self.renew(ctx, spi),
            }
        }
    }

    /// A successor takes the place of an IKE SA: children and wishes go over.
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

    /// The peer's successor of `spi` stands.
    fn promote(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, to: IkeSpi) {
        let Some(at) = self.sas.iter().position(|sa| sa.spi() == to) else { return };
        let mut successor = self.sas.remove(at);
        successor.lifecycle = IkeLifecycle::Live;
        if let Some(old) = self.sas.iter_mut().find(|sa| sa.spi() == spi) {
            hand_over(ctx, old, &mut successor);
        }
        self.sas.push(successor);
    }

    /// A rival that the peer uses takes over from the IKE SA whose rekeying it crossed.
    fn inherit(&mut self, ctx: &mut Context<'_>, rival: &mut IkeSa) {
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

    /// An IKE SA ends here and now, with all that hangs on it.
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
        self.withdraw(spi);
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

    /// The peer withdrew a rival: our own successor stays.
    fn withdraw(&mut self, spi: IkeSpi) {
        for sa in &mut self.sas {
            if let Some(Exchange::RekeyIke(asked)) = sa.flight.as_mut().map(|f| &mut f.exchange)
                && matches!(asked.rival, Crossing::Standing(rival, _) if rival == spi)
            {
                asked.rival = Crossing::Withdrawn;
            }
        }
    }

    /// The configuration is another one than when these SAs were made; `was_local` was our address
    /// in it.
    pub(crate) fn adapt(&mut self, ctx: &mut Context<'_>, was_local: IpAddr) {
        let kept = self.config.children.len();
        self.care.resize_with(kept, Default::default);
        for sa in &mut self.sas {
            if sa.path.local.ip() == was_local {
                sa.local_address_changed(ctx, self.config.local);
            }
            let gone = sa.children.iter().filter(|child| usize::from(child.slot.0) >= kept);
            for child in gone.map(|child| child.id).collect::<Vec<_>>() {
                sa.close_child(ctx, child);
            }
        }
    }

    /// Everything that follows from any input.
    pub(crate) fn run_followups(&mut self, ctx: &mut Context<'_>) {
        self.reconcile(ctx);
        self.select_outbound(ctx, None);
        for at in 0..self.sas.len() {
            if let Some(sa) = self.sas.get_mut(at) {
                sa.send_next_request(ctx);
            }
        }
        self.select_outbound(ctx, None);
    }

    /// Sees to it that each slot's traffic has the right carrier, and to the end of children that
    /// departed. `handled` is the IKE SA that is being handled and so is not among the others.
    pub(crate) fn select_outbound(
        &mut self,
        ctx: &mut Context<'_>,
        mut handled: Option<&mut IkeSa>,
    ) {
        let slots = self.config.children.len();
        for slot in (0..slots).filter_map(|slot| u16::try_from(slot).ok()).map(Slot) {
            let all = self.sas.iter_mut().chain(handled.as_deref_mut());
            let mut children: Vec<&mut ChildSa> =
                all.flat_map(|sa| &mut sa.children).filter(|child| child.slot == slot).collect();
            let carrier = child::carrier(children.iter().map(|child| SendCandidate {
                id: child.id,
                may_send: child.may_send,
                out: child.out,
                leaving: child.lifecycle == child::ChildLifecycle::Leaving,
            }));
            for child in &mut children {
                if Some(child.id) == carrier && child.out != OutState::Active {
                    child.activate(ctx);
                } else if Some(child.id) != carrier && child.out == OutState::Active {
                    child.out = OutState::Registered;
                }
            }
            for child in children {
                if child.lifecycle == child::ChildLifecycle::Leaving {
                    child.retire(ctx);
                }
            }
        }
        for at in 0..self.sas.len() {
            let Some(mut sa) = self.sas.get_mut(at).map(take_departed) else { continue };
            self.lay_down_all(ctx, &mut sa);
        }
        if let Some(sa) = handled {
            self.retire_children(ctx, sa);
        }
    }

    fn retire_children(&mut self, ctx: &mut Context<'_>, sa: &mut IkeSa) {
        let mut departed = take_departed(sa);
        self.lay_down_all(ctx, &mut departed);
    }

    /// Children that departed send no more, and drain or stop receiving.
    fn lay_down_all(&mut self, ctx: &mut Context<'_>, departed: &mut Vec<(ChildSa, Cause)>) {
        for (mut child, cause) in departed.drain(..) {
            child.retire(ctx);
            ctx.out.event(IkeEvent::ChildDown { peer: self.id, child: child.id, cause });
            if let Some(care) = self.care.get_mut(usize::from(child.slot.0)) {
                care.lost(ctx, &child, cause);
            }
            let drains = matches!(
                cause,
                Cause::Rekeyed | Cause::DeletedByPeer | Cause::Duplicate | Cause::WithIke
            );
            if drains {
                let until = ctx.mono() + ctx.settings.drain;
                self.draining.push(Draining { child, until });
            } else {
                child.remove(ctx);
            }
        }
        // The oldest are in front.
        let most = DRAINING * self.config.children.len();
        let excess = self.draining.len().saturating_sub(most);
        for drained in self.draining.drain(..excess) {
            drained.child.remove(ctx);
        }
    }

    /// The earliest thing to wake up for.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        let mut earliest = Earliest::default();
        for handshake in &self.handshakes {
            let (at, timer) = handshake.due();
            earliest.at(at, timer);
        }
        for sa in &self.sas {
            sa.deadlines(&mut earliest, self.config.dpd_timeout);
        }
        earliest.maybe(self.draining.iter().map(|d| d.until).min(), Timer::Drain);
        self.care_deadlines(&mut earliest);
        earliest.0
    }

    /// Deadlines have come.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) {
        self.wake_handshakes(ctx);
        let spis: Vec<IkeSpi> = self.sas.iter().map(IkeSa::spi).collect();
        for spi in spis {
            let woken = self.sas.iter_mut().find(|sa| sa.spi() == spi);
            let effect = woken.and_then(|sa| sa.wake(ctx));
            self.carry_out(ctx, spi, effect.into_iter().collect());
        }
        let now = ctx.mono();
        let (done, draining) =
            std::mem::take(&mut self.draining).into_iter().partition(|d| d.until <= now);
        self.draining = draining;
        let done: Vec<Draining> = done;
        for drained in done {
            drained.child.remove(ctx);
        }
        self.run_followups(ctx);
    }

    /// The IKE SA that has this child.
    pub(crate) fn sa_of_child(&mut self, child: ChildId) -> Option<&mut IkeSa> {
        self.sas.iter_mut().find(|sa| sa.child(child).is_some())
    }

    /// The peer sends on this inbound SA, so it has it: we may send on its other half.
    pub(crate) fn first_packet(&mut self, ctx: &mut Context<'_>, spi: EspSpi) {
        let children = self.sas.iter_mut().flat_map(|sa| &mut sa.children);
        for child in children.filter(|child| child.inbound.spi == spi) {
            child.may_send = true;
        }
        self.run_followups(ctx);
    }

    /// Says goodbye on all IKE SAs and gives up all attempts.
    pub(crate) fn close_all(&mut self, ctx: &mut Context<'_>, cause: Cause) {
        for handshake in std::mem::take(&mut self.handshakes) {
            release(ctx, &handshake);
        }
        for sa in &mut self.sas {
            sa.close(ctx, cause, None);
        }
        self.run_followups(ctx);
    }
}

/// Frees what an attempt had reserved.
pub(crate) fn release(ctx: &mut Context<'_>, handshake: &Handshake) {
    ctx.spis.release_ike(handshake.spi());
    match handshake {
        Handshake::InitAnswered(phase) => ctx.half_open.leave(phase.source),
        Handshake::AuthRefused(phase) => ctx.half_open.leave(phase.source),
        Handshake::InitSent(_) | Handshake::AuthSent(_) => {}
    }
    if let Handshake::AuthSent(phase) = handshake
        && let Some(wanted) = &phase.wanted
    {
        create_child::abandon(ctx, wanted);
    }
}

/// What makes two datagrams the same message (RFC 7296 §2.1).
pub(crate) fn fingerprint(ctx: &Context<'_>, bytes: &[u8]) -> Fingerprint {
    let digest = ctx.provider.hash(Hash::Sha2_256, &[bytes]);
    let mut octets = [0; 32];
    for (to, from) in octets.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Fingerprint(octets)
}

fn take_departed(sa: &mut IkeSa) -> Vec<(ChildSa, Cause)> {
    std::mem::take(&mut sa.departed)
}

/// Children and wishes go from an IKE SA to its successor (RFC 7296 §2.8).
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
    // What was to go when its rekeying was under way goes none the less.
    if let IkeLifecycle::Leaving(cause) = old.lifecycle {
        new.close(ctx, cause, None);
    }
}

/// Whether a request on a rival shows that the peer takes it for the one that stands.
fn adopts(chain: &Result<crate::wire::payload::chain::Chain, super::error::Error>) -> bool {
    use crate::wire::codes::ProtocolId;
    chain.as_ref().is_ok_and(|chain| {
        chain.sa().is_some() || chain.deletes().any(|d| d.protocol == ProtocolId::Esp)
    })
}
