//! When and where a peer is dialled: the dialling state, the pause after a failure (back-off), and
//! the rotation over the peer's addresses.
//!
//! A peer is dialled when [`Peer::dials_at`] gives a time. There is one when
//!
//! - the operator wants the peer connected and no IKE SA is live; or a fresh IKE SA is wanted
//!   beside the present one (re-authentication, or [`Peer::renew`]); and
//! - this end's role is to dial, the operator has not disconnected the peer, an address is
//!   configured, and no handshake of this end is under way, but for one whose IKE_AUTH has been
//!   unanswered for [`SLOW`].
//!
//! An end that only answers deletes the IKE SA that is to be renewed ([`Peer::hangs_up_at`]), and
//! the peer dials.

use std::net::IpAddr;
use std::time::Duration;

use super::Peer;
use super::handshake::Handshake;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::exchange::init::InitSent;
use crate::ike::path::{Path, Port};
use crate::ike::sa::IkeSa;
use crate::ike::sa::jitter::duration_between;
use crate::time::Instant;
use crate::wire::spi::IkeSpi;

/// The least age, drawn between the two, of an IKE SA that is replaced because the peer refuses
/// something on it: a peer that refuses on the fresh IKE SA too must not be dialled in circles.
const RENEWAL: (Duration, Duration) = (Duration::from_secs(45), Duration::from_secs(75));
/// The most that this age grows to when fresh IKE SAs do not help: then the settings do not match,
/// and somebody has to change them.
const RENEWAL_MAX: Duration = Duration::from_secs(1_800);
/// How long before its end an IKE SA is deleted that only the peer can replace. An IKE SA that ends
/// without a Delete is missed by the peer only when its messages stay unanswered.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// How long IKE_AUTH may be unanswered before the peer is dialled anew beside it. A peer that
/// restarted after its IKE_SA_INIT response knows nothing of the handshake and never answers. One
/// that is only slow may still: the older handshake goes on.
pub(crate) const SLOW: Duration = Duration::from_secs(5);

/// The state of this end's attempts to connect to one peer.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// The operator wants this peer connected: it is dialled until an IKE SA is up.
    pub(crate) wanted: bool,
    /// The operator disconnected this peer: neither end may dial.
    pub(crate) barred: bool,
    /// Failed attempts in a row.
    pub(crate) failures: u32,
    /// The earliest time of the next attempt.
    pub(crate) at: Instant,
    /// Counts up with each failure; modulo the number of addresses, the address to dial next.
    pub(crate) next_remote: usize,
    /// A fresh IKE SA is wanted beside the present one.
    pub(crate) renew: bool,
}

impl Dial {
    /// Wants a fresh IKE SA beside the present one, dialled at `at` or at an earlier time that was
    /// asked for before.
    pub(crate) fn renew(&mut self, at: Instant) {
        self.at = if self.renew { self.at.min(at) } else { at };
        self.renew = true;
    }

    /// Pauses before dialling because an IKE SA was lost. The pause is random, so that two ends
    /// that lost it together do not dial in step.
    pub(crate) fn lost(&mut self, ctx: &mut Context<'_>, cause: Cause) {
        if !matches!(cause, Cause::Rekeyed | Cause::Duplicate) {
            self.at = self.at.max(ctx.now.mono + ctx.redial_pause(self.failures));
        }
    }

    /// Notes an attempt that the peer did not answer: the next one comes soon, at the next address.
    pub(super) fn unanswered(&mut self, ctx: &mut Context<'_>) {
        let pause = ctx.redial_pause(self.failures.saturating_add(1));
        self.failed(ctx, pause);
    }

    /// Notes an attempt that either end refused: the next one comes after a longer pause, at the
    /// next address.
    pub(super) fn refused(&mut self, ctx: &mut Context<'_>) {
        let pause = ctx.refused_pause(self.failures.saturating_add(1));
        self.failed(ctx, pause);
    }

    fn failed(&mut self, ctx: &mut Context<'_>, pause: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.next_remote = self.next_remote.wrapping_add(1);
        self.at = ctx.now.mono + pause;
        ctx.out.event(IkeEvent::DialPaused { peer: ctx.peer, pause });
    }
}

impl Peer {
    /// Replaces the IKE SA `spi`, on which the peer refuses something that it may grant on a fresh
    /// one: a further child SA (RFC 7296 §1.3), or one with a key exchange of its own, which the
    /// child SA of IKE_AUTH does not have (§1.2). After `useless` renewals in a row that did not
    /// help, the IKE SA has to be so much older.
    pub(super) fn renew(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, useless: u32) {
        if !self.is_main(spi) {
            return;
        }
        let now = ctx.mono();
        let up_at = self.sas.iter().find(|sa| sa.spi() == spi).map_or(now, |sa| sa.origin.up_at);
        let factor = 1u32.checked_shl(useless).unwrap_or(u32::MAX);
        let age = duration_between(RENEWAL.0, RENEWAL.1, ctx.rng).saturating_mul(factor);
        self.dial.renew((up_at + age.min(RENEWAL_MAX)).max(now));
    }

    /// Authenticates anew: by an IKE SA beside `spi`, or by its Delete where only the peer can
    /// dial.
    pub(super) fn reauthenticate(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        if self.may_dial() {
            self.renew(ctx, spi, 0);
        } else if let Some(sa) = self.sas.iter_mut().find(|sa| sa.spi() == spi) {
            sa.close(ctx, Cause::Expired, None);
        }
    }

    /// Whether this end can dial the peer at all.
    fn may_dial(&self) -> bool {
        self.config.role.dials() && !self.dial.barred && !self.config.remotes.is_empty()
    }

    /// When to dial the peer; none when it is not to be dialled.
    pub(super) fn dials_at(&self) -> Option<Instant> {
        let lacks = self.dial.renew || !self.sas.iter().any(IkeSa::is_live);
        let wanted = self.dial.renew || self.dial.wanted;
        let dials = wanted && lacks && self.may_dial();
        dials.then(|| self.free_to_dial_at()).flatten()
    }

    /// When the handshakes of this end leave room for one more; none while they do not.
    fn free_to_dial_at(&self) -> Option<Instant> {
        let mut ours = self.handshakes.iter().filter(|handshake| handshake.is_ours());
        match (ours.next(), ours.next()) {
            (None, _) => Some(self.dial.at),
            (Some(Handshake::AuthSent(sent)), None) => {
                Some(self.dial.at.max(sent.timer.since + SLOW))
            }
            _ => None,
        }
    }

    /// When to delete the IKE SA that is to be renewed, because only the peer can dial: at the time
    /// at which this end would dial if no child SA is lost by that, otherwise at the last moment.
    pub(super) fn hangs_up_at(&self) -> Option<Instant> {
        if !self.dial.renew || self.may_dial() {
            return None;
        }
        let main = self.main()?;
        let carries = main.children.iter().any(|child| !child.is_leaving());
        Some(if carries { main.expire_at - LAST_MOMENT } else { self.dial.at })
    }

    /// Deletes the IKE SA that is to be renewed: the peer dials a new one.
    pub(super) fn hang_up(&mut self, ctx: &mut Context<'_>) {
        self.dial.renew = false;
        if let Some(sa) = self.main_mut() {
            sa.close(ctx, Cause::Failed, None);
        }
    }

    /// Starts a handshake as the initiator.
    pub(super) fn dial(&mut self, ctx: &mut Context<'_>) {
        let Some(remote) = self.next_remote() else { return };
        let port = if self.config.start_on_4500 { Port::NatT } else { Port::Ike };
        let path = Path::new(self.config.local, remote, port);
        let attempt = self.dial.failures.saturating_add(1);
        ctx.out.event(IkeEvent::Dialling { peer: self.id, attempt, path });
        match InitSent::start(ctx, path) {
            Some(phase) => self.handshakes.push(Handshake::InitSent(Box::new(phase))),
            // No key exchange group of the policy is implemented. The configuration refuses such a
            // policy, so this does not happen.
            None => self.dial.refused(ctx),
        }
    }

    /// The address to dial: where the peer is now, if it is connected; else where it was last, and
    /// after each failure the next of its configured addresses.
    fn next_remote(&self) -> Option<IpAddr> {
        let remotes = &self.config.remotes;
        let present = self.main().map(|sa| sa.path.remote.ip()).filter(|ip| remotes.contains(ip));
        present.or_else(|| remotes.get(self.dial.next_remote % remotes.len().max(1)).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::endpoint::command::Command;
    use crate::ike::endpoint::config::DialRole;
    use crate::ike::tests::{PEER, Pair, address, config, established, in_both_ways};

    fn dialled(pair: &Pair) -> Vec<(u32, IpAddr)> {
        let dialled = pair.events[0].iter().filter_map(|event| match event {
            IkeEvent::Dialling { attempt, path, .. } => Some((*attempt, path.remote.ip())),
            _ => None,
        });
        dialled.collect()
    }

    #[test]
    fn each_failure_lengthens_the_pause_and_takes_the_next_address() {
        in_both_ways(|| {
            let mut one = config(1, 2, DialRole::Dial);
            one.remotes = vec![address(2), address(3), address(4)];
            let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
            pair.is_cut = true;
            pair.command(0, Command::Up(PEER));
            while dialled(&pair).len() < 5 {
                pair.pass(Duration::from_secs(60));
            }
            let expected = [(1, 2), (2, 3), (3, 4), (4, 2), (5, 3)];
            assert_eq!(dialled(&pair)[..5], expected.map(|(n, host)| (n, address(host))));
            let pauses: Vec<Duration> = pair.events[0]
                .iter()
                .filter_map(|event| match event {
                    IkeEvent::DialPaused { pause, .. } => Some(*pause),
                    _ => None,
                })
                .collect();
            assert!(pauses[3] > pauses[0], "{pauses:?}");
        });
    }

    #[test]
    fn a_connected_peer_is_dialled_where_it_is() {
        in_both_ways(|| {
            let mut one = config(1, 2, DialRole::Dial);
            one.remotes = vec![address(2), address(3)];
            let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
            pair.command(0, Command::Up(PEER));
            pair.deliver();
            let now = pair.now;
            pair.ends[0].with(now, PEER, |peer, _| peer.dial.next_remote = 1);
            pair.command(0, Command::Reauthenticate(PEER));
            assert_eq!(dialled(&pair), [(1, address(2)), (1, address(2))]);
        });
    }

    #[test]
    fn who_may_not_dial_has_no_time_to_dial() {
        for (role, command, dials) in [
            (DialRole::Both, Command::Up(PEER), true),
            (DialRole::Dial, Command::Up(PEER), true),
            (DialRole::Answer, Command::Up(PEER), false),
            (DialRole::Both, Command::Down(PEER), false),
        ] {
            let mut pair = Pair::idle([role, DialRole::Answer]);
            pair.command(0, command);
            assert_eq!(dialled(&pair).len(), usize::from(dials), "{role:?}");
        }
        let mut one = config(1, 2, DialRole::Both);
        one.remotes.clear();
        let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        assert!(dialled(&pair).is_empty(), "a peer without an address cannot be dialled");
    }

    #[test]
    fn the_loss_of_an_ike_sa_pauses_dialling_and_a_rekey_does_not() {
        let mut pair = established();
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            for cause in [Cause::Rekeyed, Cause::Duplicate] {
                peer.dial.at = now.mono;
                peer.dial.lost(ctx, cause);
                assert_eq!(peer.dial.at, now.mono, "{cause:?}");
            }
            peer.dial.lost(ctx, Cause::Silence);
            assert!(peer.dial.at > now.mono);
        });
    }

    #[test]
    fn of_two_renewals_the_earlier_time_counts() {
        let mut dial = Dial { at: Instant(5), ..Dial::default() };
        dial.renew(Instant(90));
        assert_eq!(dial.at, Instant(90), "the time of an older attempt is no bound");
        dial.renew(Instant(70));
        dial.renew(Instant(80));
        assert_eq!((dial.at, dial.renew), (Instant(70), true));
    }

    #[test]
    fn an_ike_sa_is_not_renewed_before_it_has_lived_a_while() {
        let mut pair = established();
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            let (spi, up_at) = (peer.sas[0].spi(), peer.sas[0].origin.up_at);
            peer.renew(ctx, spi, 0);
            assert!((45..=75).contains(&peer.dial.at.since(up_at).as_secs()));
            peer.dial.renew = false;
            for (useless, seconds) in [(1, 90..=150), (3, 360..=600), (9, 1_800..=1_800)] {
                peer.renew(ctx, spi, useless);
                let age = peer.dial.at.since(up_at).as_secs();
                assert!(seconds.contains(&age), "{useless} useless renewals, {age} s");
                peer.dial.renew = false;
            }
            ctx.now.mono = up_at + Duration::from_secs(3_600);
            peer.renew(ctx, spi, 0);
            assert_eq!(peer.dial.at, ctx.now.mono);
        });
    }
}
