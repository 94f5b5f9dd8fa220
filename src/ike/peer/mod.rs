//! One remote gateway with all its state: handshakes, IKE SAs with their children, and inbound SAs
//! that drain.
//!
//! Everything about one remote gateway is in one [`Peer`], so that whatever concerns two of its IKE
//! SAs (rekeys, re-authentication, both ends dialling at once) is decided in one place. Every input
//! ends with the same steps ([`Peer::run_followups`]): SAs that are missing or surplus are found,
//! each slot's outbound SA is selected, the next requests are sent. Then the earliest deadline is
//! computed from the state ([`Peer::deadline`]).
//!
//! | file | what lives there |
//! |---|---|
//! | `mod` | [`Peer`]: messages on established IKE SAs, outbound SAs of slots, drains, deadlines |
//! | [`dial`] | when and where the peer is dialled: back-off, rotation over its addresses |
//! | [`handshake`] | IKE_SA_INIT and IKE_AUTH as initiator and responder |
//! | [`reconcile`] | what the peer lacks and what is one too many |
//! | [`slots`] | which slot is which when the configuration changes |
//! | [`apart`] | slots that the peer takes in several child SAs |
//! | [`succession`] | what one IKE SA means for another: rekeys, rivals, removal |

mod apart;
pub(crate) mod dial;
pub(crate) mod handshake;
pub(crate) mod reconcile;
mod slots;
mod succession;

use std::net::IpAddr;
use std::rc::Rc;

use super::endpoint::config::PeerConfig;
use super::endpoint::context::{ChildCount, Context};
use super::endpoint::event::{Cause, IkeEvent};
use super::endpoint::schedule::{Earliest, Timer};
use super::ids::{ChildId, PeerId, Slot};
use super::path::{Path, Sending};
use super::sa::channel::OpenedMessage;
use super::sa::child::{self, ChildSa, OutState, SendCandidate};
use super::sa::window::{Fingerprint, RequestArrival};
use super::sa::{IkeSa, SaEffect};
use crate::crypto::Hash;
use crate::time::Instant;
use crate::wire::header::Header;
use crate::wire::spi::{EspSpi, IkeSpi};
use dial::Dial;
use handshake::Handshake;
use reconcile::SlotRetry;

/// One remote gateway.
///
/// The methods are in seven files, by subject: see the table of the [module](self).
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) config: Rc<PeerConfig>,
    pub(crate) dial: Dial,
    /// One for each slot, in the order of the configuration.
    pub(crate) slot_retries: Vec<SlotRetry>,
    pub(crate) handshakes: Vec<Handshake>,
    pub(crate) sas: Vec<IkeSa>,
    pub(crate) draining: Vec<Draining>,
    /// The deadline that [`super::endpoint`]'s schedule holds for this peer.
    pub(crate) registered: Option<(Instant, Timer)>,
}

/// The most inbound SAs that drain at a time, for each child that carries traffic: when children
/// are replaced faster, no late packets of the oldest are expected any more.
const DRAINING: usize = 4;

/// The inbound half of a child that is gone, kept for a moment so that late packets still decrypt.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) child: ChildSa,
    pub(crate) until: Instant,
}

impl Peer {
    pub(crate) fn new(id: PeerId, config: PeerConfig) -> Peer {
        let slots = (0..=u16::MAX).map(Slot).zip(&config.children);
        let slot_retries =
            slots.map(|(slot, child)| SlotRetry::new(slot, child.selectors.clone())).collect();
        Peer {
            id,
            config: Rc::new(config),
            dial: Dial::default(),
            slot_retries,
            handshakes: Vec::new(),
            sas: Vec::new(),
            draining: Vec::new(),
            registered: None,
        }
    }

    /// Handles a datagram for `own`, an SPI of one of the peer's IKE SAs or handshakes.
    pub(crate) fn receive(
        &mut self,
        ctx: &mut Context<'_>,
        own: IkeSpi,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        ctx.beside = self.count_children(own);
        if let Some(at) = self.sas.iter().position(|sa| sa.spi() == own) {
            let leads = self.main().is_some_and(|main| main.spi() == own);
            let mut sa = self.sas.remove(at);
            let effects = if header.is_response() {
                self.on_response(ctx, &mut sa, header, path, bytes, leads)
            } else {
                self.on_request(ctx, &mut sa, header, path, bytes, leads)
            };
            let spi = sa.spi();
            self.sas.insert(at, sa);
            self.carry_out(ctx, spi, effects);
        } else if let Some(at) = self.handshakes.iter().position(|phase| phase.spi() == own) {
            let phase = self.handshakes.remove(at);
            self.on_handshake_message(ctx, phase, header, path, bytes);
        }
        self.run_followups(ctx);
    }

    /// The child SAs on all IKE SAs but this one.
    fn count_children(&self, but: IkeSpi) -> ChildCount {
        let mut count = ChildCount::default();
        for sa in self.sas.iter().filter(|sa| sa.spi() != but) {
            count.all += sa.children.len();
            if sa.is_live() && sa.surplus.is_none() {
                count.live += sa.children.iter().filter(|child| child.is_live()).count();
            }
        }
        count
    }

    /// Handles the peer's request on an established IKE SA: a retransmission is answered with the
    /// cached response, a new request is executed once.
    fn on_request(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        header: &Header,
        path: Path,
        bytes: &[u8],
        leads: bool,
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
            RequestArrival::Outside => {
                self.answer_other_fragments(ctx, sa, header, path, bytes);
                return Vec::new();
            }
        }
        let (chain, fingerprint) = match sa.channel.open(ctx.mono(), bytes, fingerprint) {
            None => return Vec::new(),
            Some(OpenedMessage::Fragment) => {
                if !sa.is_elsewhere(ctx, path) {
                    sa.alive(ctx.mono());
                }
                return Vec::new();
            }
            Some(OpenedMessage::Whole(chain, fingerprint)) => (chain, fingerprint),
        };
        sa.heard(ctx, path, leads);
        self.adopt_rival(ctx, sa, &chain);
        let (answer, effects) = sa.answer(ctx, &mut self.sas, header.exchange, chain);
        // The new inbound SA is installed before the response that announces it leaves.
        self.select_outbound(ctx, Some(sa));
        sa.reply(ctx, path, header.exchange, fingerprint, &answer);
        effects
    }

    /// Answers a request again that is repeated in other fragments. Its first fragment alone counts
    /// (RFC 7383 §2.6.1), and it has to authenticate: its octets are not known.
    fn answer_other_fragments(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        let id = header.message_id;
        if !sa.replies.has_answered(id) || !sa.channel.is_first_fragment(bytes) {
            return;
        }
        let datagrams = sa.replies.answer_smaller(path == sa.path, ctx.mono()).cloned();
        if let Some(datagrams) = datagrams {
            sa.transmit(ctx, Sending::RepeatedReply, path, &datagrams);
        }
    }

    /// Handles the peer's response on an established IKE SA.
    fn on_response(
        &mut self,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        header: &Header,
        path: Path,
        bytes: &[u8],
        leads: bool,
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
        // The peer has got our request where the tunnel is, wherever the answer comes from.
        sa.alive(ctx.mono());
        sa.heard(ctx, path, leads);
        sa.take_answer(ctx, flight, chain)
    }

    /// Adapts the SAs to a configuration that replaced the one under which they were made;
    /// `was_local` was this end's address in the old one.
    pub(crate) fn adapt(&mut self, ctx: &mut Context<'_>, was_local: IpAddr) {
        for sa in self.sas.iter_mut().filter(|sa| sa.path.local.ip() == was_local) {
            sa.local_address_changed(ctx, self.config.local);
        }
        self.adapt_slots(ctx);
    }

    /// Judges anew whether the peer of each IKE SA has proved itself.
    pub(crate) fn judge_again(&mut self, ctx: &mut Context<'_>) {
        self.sas.iter_mut().for_each(|sa| sa.judge_again(ctx));
    }

    /// Does everything that may follow from any input: finds SAs that are missing or surplus,
    /// selects each slot's outbound SAs, sends the next requests.
    pub(crate) fn run_followups(&mut self, ctx: &mut Context<'_>) {
        self.divide_slots(ctx);
        self.reconcile(ctx);
        self.select_outbound(ctx, None);
        for at in 0..self.sas.len() {
            if let Some(sa) = self.sas.get_mut(at) {
                sa.send_next_request(ctx);
            }
        }
        self.select_outbound(ctx, None);
    }

    /// Selects the child SAs that carry each slot's outbound traffic, and retires the children that
    /// were detached. `handled` is the IKE SA whose message is being handled: it is not in the
    /// list.
    pub(crate) fn select_outbound(
        &mut self,
        ctx: &mut Context<'_>,
        mut handled: Option<&mut IkeSa>,
    ) {
        for slot in self.slot_retries.iter().map(|retry| retry.slot) {
            let all = self.sas.iter_mut().chain(handled.as_deref_mut());
            let mut children: Vec<&mut ChildSa> =
                all.flat_map(|sa| &mut sa.children).filter(|child| child.slot == slot).collect();
            // The newest is activated last, and so comes first in the data plane.
            children.sort_by_key(|child| child.id);
            let carriers = child::carriers(children.iter().map(|child| SendCandidate {
                id: child.id,
                selectors: &child.selectors,
                may_send: child.may_send,
                out: child.out,
                leaving: child.is_leaving(),
            }));
            let (carrying, others): (Vec<_>, Vec<_>) =
                children.into_iter().partition(|child| carriers.contains(&child.id));
            for child in carrying.into_iter().filter(|child| child.out != OutState::Active) {
                child.activate(ctx);
            }
            for child in others {
                if child.is_leaving() {
                    child.retire(ctx);
                } else if child.out == OutState::Active {
                    child.displace(ctx);
                }
            }
        }
        self.retire_departed(ctx);
        if let Some(sa) = handled {
            self.retire_children(ctx, sa);
        }
    }

    /// Retires the detached children of all IKE SAs in the list.
    pub(crate) fn retire_departed(&mut self, ctx: &mut Context<'_>) {
        for at in 0..self.sas.len() {
            let Some(sa) = self.sas.get_mut(at) else { continue };
            let departed = std::mem::take(&mut sa.departed);
            self.retire(ctx, departed);
        }
    }

    /// Retires the detached children of an IKE SA that is not in the list.
    fn retire_children(&mut self, ctx: &mut Context<'_>, sa: &mut IkeSa) {
        let departed = std::mem::take(&mut sa.departed);
        self.retire(ctx, departed);
    }

    /// Ends detached children: none sends any more, and each drains or stops receiving.
    fn retire(&mut self, ctx: &mut Context<'_>, departed: Vec<(ChildSa, Cause)>) {
        for (mut child, cause) in departed {
            child.retire(ctx);
            ctx.out.event(IkeEvent::ChildDown { peer: self.id, child: child.id, cause });
            if let Some(retry) = self.slot_retry(child.slot) {
                retry.lost(ctx.mono(), &child, cause);
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
        let all = self.sas.iter().flat_map(|sa| &sa.children);
        let carriers = all.filter(|child| child.out == OutState::Active).count();
        let most = DRAINING * carriers.max(self.config.children.len());
        let excess = self.draining.len().saturating_sub(most);
        for drained in self.draining.drain(..excess) {
            drained.child.remove(ctx);
        }
    }

    /// The earliest deadline, computed from the state.
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
        self.reconcile_deadlines(&mut earliest);
        earliest.0
    }

    /// Handles every deadline that has come.
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

    /// The IKE SA that the child with this inbound SPI belongs to.
    pub(crate) fn sa_of_inbound(&mut self, spi: EspSpi) -> Option<&mut IkeSa> {
        self.sas.iter_mut().find(|sa| sa.children.iter().any(|child| child.inbound.spi == spi))
    }

    /// The IKE SA that a child belongs to.
    pub(crate) fn sa_of_child(&mut self, child: ChildId) -> Option<&mut IkeSa> {
        self.sas.iter_mut().find(|sa| sa.child(child).is_some())
    }

    /// Handles the first packet on an inbound SA: the peer has installed the pair, so this end may
    /// send on the other half (RFC 7296 §2.8).
    pub(crate) fn on_first_packet(&mut self, ctx: &mut Context<'_>, spi: EspSpi) {
        let children = self.sas.iter_mut().flat_map(|sa| &mut sa.children);
        for child in children.filter(|child| child.inbound.spi == spi) {
            child.hear(ctx.now.mono);
        }
        self.run_followups(ctx);
    }

    /// Closes all IKE SAs, with a Delete each, and drops all handshakes.
    pub(crate) fn close_all(&mut self, ctx: &mut Context<'_>, cause: Cause) {
        for handshake in std::mem::take(&mut self.handshakes) {
            handshake.release(ctx);
        }
        for sa in &mut self.sas {
            sa.close(ctx, cause, None);
        }
        self.run_followups(ctx);
    }
}

/// The hash by which a datagram is recognised as a retransmission of another (RFC 7296 §2.1).
pub(crate) fn fingerprint(ctx: &Context<'_>, bytes: &[u8]) -> Fingerprint {
    let digest = ctx.provider.hash(Hash::Sha2_256, &[bytes]);
    let mut octets = [0; 32];
    for (to, from) in octets.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Fingerprint(octets)
}
