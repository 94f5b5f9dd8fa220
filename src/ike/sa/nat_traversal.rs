//! NAT traversal (NAT-T) of an established IKE SA: keepalives, and following a peer whose address
//! moved (RFC 7296 §2.23, RFC 3948 §4).
//!
//! IKE_SA_INIT finds out which end is behind a NAT and whether the IKE SA moves to port 4500
//! ([`crate::ike::negotiation::nat_detection`]). From then on:
//!
//! - Behind a NAT, a keepalive follows 20 s after the last sending ([`IkeSa::keep_nat_mapping`]).
//! - After an authentic IKE message from another address or port we send there, unless we are
//!   behind a NAT ([`IkeSa::heard`]). For an ESP packet the data plane reports
//!   `DataEvent::PeerMoved`, which does the same.
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
    pub(crate) fn heard(&mut self, ctx: &mut Context<'_>, path: Path, leads: bool) {
        self.alive(ctx.mono());
        if leads && self.path.follows(path, self.nat.here) {
            self.move_to(ctx, path);
        }
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
