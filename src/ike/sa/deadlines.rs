//! The deadlines of an IKE SA and what is done when one has come.
//!
//! | deadline | what happens | `Timer` |
//! |---|---|---|
//! | a request is unanswered | a retransmission, or the end ([`super::dpd`]) | `Retransmit` |
//! | the peer is silent | a probe ([`super::dpd`]) | `Liveness` |
//! | a postponed task may be tried | it becomes a request ([`super::task`]) | `Retry` |
//! | a soft lifetime is over | the IKE SA or child is rekeyed ([`super::lifetime`]) | `Rekey` |
//! | a hard lifetime is over | the IKE SA says its Delete and ends, the child ends | `Expire` |
//! | the peer's proof is over | the IKE SA is deleted ([`super::proof`]) | `Expire` |
//! | a new child has waited for a packet | it may send ([`super::child`]) | `FirstPacket` |
//! | the peer did not delete what it replaced | the IKE SA or child is deleted by us | `Linger` |
//! | a fresh authentication is due | a new IKE SA is dialled beside this one | `Reauthenticate` |
//! | a NAT mapping is idle | a keepalive ([`super::nat_traversal`]) | `Keepalive` |
//! | a message stays incomplete | its fragments are forgotten ([`super::fragment`]) | `HalfOpen` |

use std::time::Duration;

use super::child::ChildLifecycle;
use super::dpd::DpdTimeout;
use super::task::TaskKind;
use super::{IkeLifecycle, IkeSa, SaEffect};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::endpoint::schedule::{Earliest, Timer};

/// How long an IKE SA stays beyond its lifetime, for its Delete alone.
const FAREWELL: Duration = Duration::from_secs(5);

impl IkeSa {
    /// Adds all deadlines of this IKE SA and of its children to `earliest`.
    pub(crate) fn deadlines(&self, earliest: &mut Earliest, dpd: DpdTimeout) {
        match &self.flight {
            Some(flight) => earliest.at(flight.timer.due(), Timer::Retransmit),
            None => earliest.maybe(self.tasks.due_at(), Timer::Retry),
        }
        match self.lifecycle {
            IkeLifecycle::Live => {
                earliest.maybe(self.probe_due(dpd), Timer::Liveness);
                earliest.maybe(self.rekey_at, Timer::Rekey);
                earliest.maybe(self.reauth_at, Timer::Reauthenticate);
            }
            IkeLifecycle::Rival { overdue } | IkeLifecycle::Replaced { overdue } => {
                earliest.at(overdue, Timer::Linger);
            }
            IkeLifecycle::Leaving(_) => {}
        }
        earliest.at(self.expire_at, Timer::Expire);
        earliest.maybe(self.proof_ends_at, Timer::Expire);
        earliest.maybe(self.keepalive_due(), Timer::Keepalive);
        earliest.maybe(self.channel.fragments_until(), Timer::HalfOpen);
        for child in &self.children {
            earliest.at(child.expire_at, Timer::Expire);
            earliest.maybe(child.send_at, Timer::FirstPacket);
            match child.lifecycle {
                ChildLifecycle::Live => earliest.maybe(child.rekey_at, Timer::Rekey),
                ChildLifecycle::Replaced { overdue } => earliest.at(overdue, Timer::Linger),
                ChildLifecycle::Leaving | ChildLifecycle::Surplus => {}
            }
        }
    }

    /// Acts on all deadlines that have come. The peer carries out the effect, if one follows.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) -> Option<SaEffect> {
        let now = ctx.mono();
        self.channel.expire_fragments(now);
        self.keep_nat_mapping(ctx);
        if let Some(effect) = self.retransmit_or_declare_dead(ctx) {
            return Some(effect);
        }
        if self.expire_at <= now {
            // A request in flight means that the peer does not answer, and would not answer the
            // Delete either (RFC 7296 §2.4).
            if self.is_live() && self.flight.is_none() && self.requests.free().is_some() {
                self.expire_at = now + FAREWELL;
                self.close(ctx, Cause::Expired, None);
                return None;
            }
            return Some(SaEffect::End(match self.lifecycle {
                IkeLifecycle::Leaving(cause) => cause,
                _ => Cause::Expired,
            }));
        }
        self.end_with_proof(ctx);
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
        self.probe_if_silent(ctx);
        if self.reauth_at.is_some_and(|at| at <= now) {
            self.reauth_at = None;
            return Some(SaEffect::Reauthenticate);
        }
        None
    }

    /// Sends on children that have waited long enough, ends those whose hard lifetime is over,
    /// closes those that the peer should have deleted, and asks for the rekeying of those whose
    /// soft lifetime is over.
    fn wake_children(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.mono();
        let mut expired = Vec::new();
        let mut overdue = Vec::new();
        let mut due = Vec::new();
        for child in &mut self.children {
            if child.send_at.is_some_and(|at| at <= now) {
                (child.may_send, child.send_at) = (true, None);
            }
            if child.expire_at <= now {
                expired.push((child.id, child.inbound.spi));
            } else if child.lifecycle.is_overdue(now) {
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
}
