//! NAT traversal (NAT-T) of an established IKE SA: keepalives, and following a peer whose address
//! moved (RFC 7296 §2.23, RFC 3948 §4).
//!
//! IKE_SA_INIT finds out which end is behind a NAT and whether the IKE SA moves to port 4500
//! ([`crate::ike::negotiation::nat_detection`]). From then on:
//!
//! - Behind a NAT, a keepalive follows 20 s after the last sending ([`IkeSa::keep_nat_mapping`]).
//! - After an authentic IKE message from another address or port we send there, unless we are
//!   behind a NAT, or the peer cannot be there ([`IkeSa::heard`]). For an ESP packet the data plane
//!   reports `DataEvent::PeerMoved`, which does the same.
//! - After a change of our own address a probe tells the peer ([`IkeSa::local_address_changed`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::IkeSa;
use super::task::TaskKind;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::IkeEvent;
use crate::ike::endpoint::output::Output;
use crate::ike::path::{Path, Port};
use crate::time::Instant;

/// The longest silence on a path behind a NAT: a NAT forgets a mapping that carries no packet (RFC
/// 3948 §4).
const KEEPALIVE: Duration = Duration::from_secs(20);

impl IkeSa {
    /// Notes an authentic and new message of the peer that arrived from `path`.
    ///
    /// An end that is not behind a NAT sends to where the peer was last seen. An end behind a NAT
    /// does not, since anyone on the way could redirect its packets (RFC 7296 §2.23).
    ///
    /// Only the peer's main IKE SA (`leads`) moves, and the tunnel with it. Another one stays where
    /// the tunnel is until it leads itself: whoever speaks on it may be an older state of the peer.
    ///
    /// A message from where the peer cannot be ([`IkeSa::is_elsewhere`]) is answered there (RFC
    /// 7296 §2.11), but shows nothing of the path that the tunnel is on: it is no sign of life.
    pub(crate) fn heard(&mut self, ctx: &mut Context<'_>, path: Path, leads: bool) {
        if self.is_elsewhere(ctx, path) {
            ctx.out.event(IkeEvent::Elsewhere(ctx.peer, path));
            return;
        }
        self.alive(ctx.mono());
        if leads && self.path.follows(path, self.nat.here) {
            self.move_to(ctx, path);
        }
    }

    /// Whether `path` leads to an address that the configuration does not have, although the peer's
    /// addresses are fixed and no NAT changes them. Whoever sends authentic packets from there is
    /// not the peer where the operator expects it, or somebody on the way who sends them on.
    pub(crate) fn is_elsewhere(&self, ctx: &Context<'_>, path: Path) -> bool {
        let remote = path.remote.ip();
        ctx.config.fixed_remotes
            && !self.nat.there
            && remote != self.path.remote.ip()
            && !ctx.config.remotes.is_empty()
            && !ctx.config.remotes.contains(&remote)
    }

    /// Moves the IKE SA and its children's ESP to another path.
    pub(crate) fn move_to(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.path = path;
        let encapsulated = self.encapsulated;
        ctx.out.push(Output::PeerMoved { peer: ctx.peer, path, encapsulated });
        ctx.out.event(IkeEvent::Moved(ctx.peer, path));
    }

    /// Takes over our own new address. The peer learns the address from the next message that
    /// authenticates, so a probe is sent at once.
    pub(crate) fn local_address_changed(&mut self, ctx: &mut Context<'_>, local: IpAddr) {
        if self.path.local.ip() != local {
            let local = SocketAddr::new(local, self.path.local.port());
            self.move_to(ctx, Path { local, ..self.path });
            if self.is_live() {
                self.want(ctx, TaskKind::Probe, ctx.mono());
            }
        }
    }

    /// When a keepalive is due; `None` when we are not behind a NAT.
    pub(super) fn keepalive_due(&self) -> Option<Instant> {
        let is_kept = self.nat.here && self.path.port == Port::NatT;
        is_kept.then(|| self.sent_at + KEEPALIVE)
    }

    /// Sends a keepalive when one is due, so that the NAT in front of us keeps its mapping.
    pub(super) fn keep_nat_mapping(&mut self, ctx: &mut Context<'_>) {
        if self.keepalive_due().is_some_and(|due| due <= ctx.mono()) {
            self.sent_at = ctx.mono();
            ctx.out.push(Output::Keepalive(self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::endpoint::command::{Command, DataEvent};
    use crate::ike::endpoint::config::{DialRole, EspEncapsulation};
    use crate::ike::tests::{PEER, Pair, address, config, in_both_ways};

    /// A tunnel without a NAT on the way; `fixed`: the addresses are configured as such.
    fn without_nat(fixed: bool) -> Pair {
        let one = |host, other, role| {
            let mut config = config(host, other, role);
            config.encapsulation = EspEncapsulation::Auto;
            config.fixed_remotes = fixed;
            config
        };
        let mut pair = Pair::with(one(1, 2, DialRole::Dial), one(2, 1, DialRole::Answer));
        (0..2).for_each(|end| pair.command(end, Command::Up(PEER)));
        pair.deliver();
        assert_eq!(pair.holds(1), (1, 1, 1));
        pair
    }

    /// End 0's IKE SA.
    fn sa(pair: &Pair) -> &IkeSa {
        pair.ends[0].peers[&PEER].main().expect("an IKE SA")
    }

    #[test]
    fn a_peer_with_fixed_addresses_is_followed_to_no_other() {
        in_both_ways(|| {
            for (fixed, host, is_followed) in
                [(true, 66, false), (true, 2, false), (false, 66, true)]
            {
                let mut pair = without_nat(fixed);
                let (path, heard) = (sa(&pair).path, sa(&pair).heard_at);
                pair.command(1, Command::Probe(PEER));
                let (from, sent, _) = pair.wire.front_mut().expect("a probe");
                assert_eq!(*from, 1);
                sent.local.set_ip(address(host));
                pair.deliver_one();
                // The answer goes to where the request came from (RFC 7296 §2.11).
                let (from, answer, _) = pair.wire.front().expect("an answer");
                assert_eq!((*from, answer.remote.ip()), (0, address(host)));
                assert_eq!(sa(&pair).path != path, is_followed);
                let moved = pair.count(0, |e| matches!(e, IkeEvent::Moved(..)));
                let elsewhere = pair.count(0, |e| matches!(e, IkeEvent::Elsewhere(..)));
                let is_told = fixed && host == 66;
                assert_eq!((moved, elsewhere), (usize::from(is_followed), usize::from(is_told)));
                assert_eq!(sa(&pair).heard_at > heard, !is_told, "a sign of life of the path");
            }
        });
    }

    #[test]
    fn esp_and_answers_from_elsewhere_move_nothing_either() {
        in_both_ways(|| {
            let mut pair = without_nat(true);
            let (path, spi) = (sa(&pair).path, sa(&pair).children[0].inbound.spi);
            let there = Path::new(address(1), address(66), Port::Ike);
            pair.ends[0].handle_data_event(pair.now, DataEvent::PeerMoved(spi, there));
            pair.collect(0);
            pair.command(0, Command::Probe(PEER));
            pair.deliver_one();
            let heard = sa(&pair).heard_at;
            let (from, answer, _) = pair.wire.front_mut().expect("an answer");
            assert_eq!(*from, 1);
            answer.local.set_ip(address(66));
            pair.deliver_one();
            assert!(
                sa(&pair).heard_at > heard,
                "the request has reached the peer where it should be"
            );
            assert_eq!(sa(&pair).path, path);
            assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::Moved(..))), 0);
            assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::Elsewhere(..))), 2);
        });
    }
}
