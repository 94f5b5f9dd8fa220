//! The words that scripts are told in: what can be done to a world, asked of it, and demanded.

use std::net::SocketAddr;
use std::time::Duration;

use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::PeerConfig;
use s2sd::ike::endpoint::event::{Cause, IkeEvent};
use s2sd::ike::ids::{ChildId, PeerId};
use s2sd::time::Instant;
use s2sd::wire::spi::IkeSpi;

use crate::invariants::{Rule, Violation};
use crate::packet::{Datagram, HostId, IKE_SA_INIT};
use crate::rules::{Action, Pattern};
use crate::scene::{A, ADDRESSES, B, OTHER_ADDRESSES, PEER, other};
use crate::world::{World, inner_address};

/// Longer than any dead-peer timeout, pause between dials and retry of a refused child together.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Long enough for stragglers to drain, and shorter than anything that tidies up after somebody who
/// forgot to.
const SOON: Duration = Duration::from_secs(15);

/// Doing.
impl World {
    /// `id` dials, and the tunnel comes up in a moment.
    #[track_caller]
    pub fn establish(&mut self, id: HostId) {
        self.command(id, Command::Up(PEER));
        let up = self.run_until(Duration::from_secs(5), |w| w.disagreement().is_none());
        let why = self.disagreement();
        self.check(up, || format!("no tunnel after five seconds: {}", why.unwrap_or_default()));
    }

    pub fn rekey_child(&mut self, id: HostId, slot: u16) {
        if let Some(child) = self.child(id, slot) {
            self.command(id, Command::RekeyChild(PEER, child));
        }
    }

    /// Keeps what matches aside, retransmissions too, until it is released.
    pub fn hold(&mut self, pattern: Pattern, name: &'static str) {
        self.net.rules.add(pattern, Action::Hold(name), usize::MAX);
    }

    /// Lets go what was held.
    pub fn release(&mut self, name: &'static str) {
        let count = self.net.release(self.now().mono, name);
        self.note(name.as_bytes(), || format!("release {count} held as `{name}`"));
    }

    /// The host's address becomes another one; its engine is told as by an operator, the other end
    /// is not.
    pub fn renumber(&mut self, id: HostId) {
        let host = self.host_mut(id);
        let old = host.address;
        let new = if old == ADDRESSES[id.0] { OTHER_ADDRESSES[id.0] } else { ADDRESSES[id.0] };
        host.address = new;
        for config in host.peers.values_mut() {
            config.local = new;
        }
        let config = host.peers.get(&PEER).cloned();
        self.net.remove_address(old);
        self.net.add_address(id, new);
        if let Some(config) = config {
            self.command(id, Command::Reconfigure(PEER, Box::new(config)));
        }
    }

    /// A reload on `id`: the engine is given the changed configuration.
    pub fn reload(&mut self, id: HostId, change: impl FnOnce(&mut PeerConfig)) {
        let Some(config) = self.host_mut(id).peers.get_mut(&PEER) else { return };
        change(config);
        let config = config.clone();
        self.slots = u16::try_from(config.children.len()).expect("a few");
        self.host_mut(id).children = config.children.len();
        self.command(id, Command::Reconfigure(PEER, Box::new(config)));
    }

    /// So many IKE_SA_INIT requests to `id`, each from another made-up address, with another SPI
    /// and nonce.
    pub fn flood(&mut self, id: HostId, count: u32) {
        let Some(model) = self.watch.last_sent(other(id), IKE_SA_INIT, false) else { return };
        let to = SocketAddr::new(self.host(id).address, 500);
        for _ in 0..count {
            let mut bytes = model.bytes.strip_prefix(&[0; 4]).unwrap_or(&model.bytes).to_vec();
            self.strangers += 1;
            let number = self.strangers;
            bytes[..8].copy_from_slice(&(0x5000_0000_0000_0000 | number).to_be_bytes());
            let [_, b, c, d] = u32::try_from(number & 0x00ff_ffff).unwrap_or(0).to_be_bytes();
            // Every other one claims the address of the genuine peer.
            let source = if number.is_multiple_of(2) {
                SocketAddr::new(
                    self.host(other(id)).address,
                    1024 + u16::from(c) * 200 + u16::from(d),
                )
            } else {
                SocketAddr::from(([100, b, c, d], 500))
            };
            let now = self.now().mono;
            self.net.inject(now, other(id), id, Datagram { src: source, dst: to, bytes });
        }
    }

    /// A datagram to `to` made from the last request of this exchange that `from` sent.
    pub fn forge(
        &mut self,
        from: HostId,
        to: HostId,
        exchange: u8,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(mut model) = self.watch.last_sent(from, exchange, false) else {
            return self.check(false, || "nothing to forge from".into());
        };
        let marker = if model.bytes.starts_with(&[0; 4]) { 4 } else { 0 };
        let mut message = model.bytes.split_off(marker);
        change(&mut message);
        model.bytes.extend(message);
        let now = self.now().mono;
        self.net.inject(now, from, to, model);
    }

    /// An INVALID_KE_PAYLOAD for the IKE_SA_INIT that `victim` sent last, naming a group that it
    /// never offered.
    pub fn forge_invalid_ke(&mut self, victim: HostId, from: HostId) {
        let Some(request) = self.watch.last_sent(victim, IKE_SA_INIT, false) else { return };
        let asked = request.bytes.strip_prefix(&[0; 4]).unwrap_or(&request.bytes);
        let mut bytes = asked[..28].to_vec();
        bytes[16] = 41;
        bytes[19] = 0x20;
        bytes[24..28].copy_from_slice(&38_u32.to_be_bytes());
        // Notify: 10 octets, no protocol, no SPI, INVALID_KE_PAYLOAD, group 1.
        bytes.extend([0, 0, 0, 10, 0, 0, 0, 17, 0, 1]);
        let marker: &[u8] = if asked.len() < request.bytes.len() { &[0; 4] } else { &[] };
        let datagram =
            Datagram { src: request.dst, dst: request.src, bytes: [marker, &bytes].concat() };
        let now = self.now().mono;
        self.net.inject(now, from, victim, datagram);
    }

    /// Sends everything once more that was recorded.
    pub fn replay_record(&mut self) {
        for (from, datagram) in self.watch.take_record() {
            let now = self.now().mono;
            self.net.inject(now, from, other(from), datagram);
        }
    }
}

/// Asking.
impl World {
    pub fn peer_of(&self, _: HostId) -> PeerId {
        PEER
    }

    /// The child that carries the traffic of the networks of this slot.
    pub fn child(&self, id: HostId, slot: u16) -> Option<ChildId> {
        self.host(id).plane.carrier(inner_address(id, slot), inner_address(other(id), slot))
    }

    /// The same where a script takes it for granted. In a world with a crash the tunnel may be
    /// away: then it is a child that nobody has, and whatever is wished of it is the wish of
    /// somebody who does not know yet.
    #[track_caller]
    pub fn established_child(&mut self, id: HostId, slot: u16) -> ChildId {
        let child = self.child(id, slot);
        self.check(child.is_some(), || format!("{id} has no child in slot {slot}"));
        child.unwrap_or(ChildId(u64::MAX))
    }

    pub fn children_of_slot(&self, slot: u16) -> [Option<ChildId>; 2] {
        [A, B].map(|id| self.child(id, slot))
    }

    /// Every IKE SA that each host believes in.
    pub fn ikes(&self) -> [Vec<IkeSpi>; 2] {
        [A, B].map(|id| self.host(id).census.ikes.keys().copied().collect())
    }

    /// How many children took another's place.
    pub fn rekeyed_children(&self, id: HostId) -> usize {
        let rekeyed =
            |e: &&(Instant, IkeEvent)| matches!(e.1, IkeEvent::ChildUp { replaces: Some(_), .. });
        self.host(id).events.iter().filter(rekeyed).count()
    }

    /// How many children came up that took no other's place.
    pub fn new_children(&self, id: HostId) -> usize {
        let new =
            |e: &&(Instant, IkeEvent)| matches!(e.1, IkeEvent::ChildUp { replaces: None, .. });
        self.host(id).events.iter().filter(new).count()
    }

    /// SAs that ended without a command, and that no successor replaced.
    pub fn unplanned_ends(&self) -> Vec<(HostId, Cause)> {
        let cause = |event: &IkeEvent| match event {
            IkeEvent::IkeDown { cause, .. } | IkeEvent::ChildDown { cause, .. } => Some(*cause),
            _ => None,
        };
        let planned = |cause: &Cause| {
            matches!(
                cause,
                Cause::Rekeyed | Cause::Duplicate | Cause::DeletedByPeer | Cause::Command
            )
        };
        let of = |id: HostId| {
            let causes = self.host(id).events.iter().filter_map(|(_, e)| cause(e));
            causes.filter(|c| !planned(c)).map(move |c| (id, c)).collect::<Vec<_>>()
        };
        [A, B].into_iter().flat_map(of).collect()
    }

    /// Why the two ends do not hold the same, once each; `None` when they do. This is invariant 7.
    pub fn disagreement(&self) -> Option<String> {
        let [a, b] = [A, B].map(|id| self.host(id));
        for host in [a, b] {
            if !host.is_up() {
                return Some(format!("{} is down", host.id));
            }
            let ikes = host.census.ikes.len();
            if ikes != 1 {
                return Some(format!("{} has {ikes} IKE SAs", host.id));
            }
            let slots = host.peers.get(&PEER).map_or(0, |peer| peer.children.len());
            let wanted = slots.max(host.children);
            let sizes =
                (host.plane.inbound.len(), host.plane.outbound.len(), host.plane.active.len());
            // Of equal children in one slot one sends; each pair of networks has one that does.
            let active = slots.max(usize::from(self.slots)).max(self.pairs);
            if sizes != (wanted, wanted, active) {
                return Some(format!(
                    "{} has {sizes:?} SAs in, out, active for {wanted} children in {slots} slots",
                    host.id
                ));
            }
            if host.census.children.len() != wanted {
                return Some(format!("{} counts {} children", host.id, host.census.children.len()));
            }
        }
        let ((a_in, a_out), (b_in, b_out)) = (a.plane.spis(), b.plane.spis());
        if a_in != b_out || b_in != a_out {
            return Some(format!(
                "A receives on {a_in:?}, B sends on {b_out:?}; B {b_in:?}, A {a_out:?}"
            ));
        }
        None
    }
}

/// Demanding.
impl World {
    /// In the end both hold the same, and every slot passes packets both ways.
    pub fn expect_agreement(mut self) -> World {
        self.agree_within(PATIENCE);
        self
    }

    /// The same, by then.
    pub fn expect_agreement_within(mut self, span: Duration) -> World {
        self.agree_within(span);
        self
    }

    /// The same, soon, and nothing was lost on the way.
    pub fn expect_agreement_without_loss(mut self) -> World {
        self.agree_within(SOON);
        self.expect_no_loss();
        self
    }

    /// Both hold the same by then, packets pass, and it stays so.
    pub fn agree_within(&mut self, span: Duration) {
        self.run_for(Duration::from_secs(2));
        self.stop_flows();
        for when in ["", "not for long: "] {
            self.run_until(span, |w| w.disagreement().is_none());
            if let Some(why) = self.disagreement() {
                self.judge(Err(Violation::new(Rule::Convergence, format!("{when}{why}"))));
            }
            self.expect_passage();
        }
    }

    /// Invariant 6: every inner packet arrived.
    pub fn expect_no_loss(&mut self) {
        let lost = self.watch.lost(Instant(0), self.now().mono);
        if let Some((number, journey)) = lost.first() {
            let why = if journey.sealed { "on the way" } else { "for want of an SA" };
            let text = format!(
                "{} inner packets lost, the first is {number} from {} at {:?}, {why}",
                lost.len(),
                journey.from,
                journey.sent
            );
            self.judge(Err(Violation::new(Rule::Loss, text)));
        }
    }

    /// One packet each way in every slot passes. The net has to be whole.
    pub fn expect_passage(&mut self) {
        let began = self.now().mono;
        for slot in 0..self.slots {
            self.send_inner(A, B, slot);
            self.send_inner(B, A, slot);
        }
        self.run_for(Duration::from_secs(10));
        if let Some((_, journey)) = self.watch.lost(began, self.now().mono).first() {
            let text = format!("both agree, yet a packet from {} does not pass", journey.from);
            self.judge(Err(Violation::new(Rule::Convergence, text)));
        }
    }

    /// The first slot has another child than before, on both ends.
    #[track_caller]
    pub fn expect_one_new_child(&mut self, before: [Option<ChildId>; 2], text: &str) {
        let now = self.children_of_slot(0);
        let replaced = now.iter().zip(&before).all(|(new, old)| new.is_some() && new != old);
        self.check(replaced, || format!("{text}: {before:?} then {now:?}"));
    }
}
