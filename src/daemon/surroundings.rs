//! What changes around a running service: links and addresses, the wall clock, sleep.
//!
//! | what | what follows |
//! |---|---|
//! | a tunnel's interface was deleted | it is made anew, with addresses and routes; its SAs go on |
//! | it was switched off | the status says so; routes go, and come back with it |
//! | another address of ours leads to a gateway | its peer is told by the next message from there |
//! | the way back to a gateway that is not up | it is dialled at once |
//! | the wall clock was set | gateways that are not up are dialled at once: certificates may have come into their time |
//! | the machine slept | nothing: SAs grew old meanwhile, and deadlines that passed are due |
//!
//! Word of links and addresses comes from the kernel; what it says is looked up once a second at most.

use std::future::pending;
use std::time::Duration;

use tracing::{info, warn};

use super::shell::Shell;
use crate::ike::PeerId;
use crate::ike::command::Command;
use crate::sys::netlink::Watch;
use crate::time::{Instant, Now};

/// A turn of the loop that comes so late has slept, with the machine.
const SLEPT: Duration = Duration::from_secs(5);
/// How long other threads may take to find out that they slept.
const DROWSY: Duration = Duration::from_secs(6);
/// A wall clock that is kept right by somebody moves less at a time, in seconds.
const SET: i64 = 30;

/// What is known of the surroundings.
#[derive(Debug)]
pub struct Surroundings {
    watch: Option<Watch>,
    /// There was word that nobody has looked into.
    pub(super) changed: bool,
    /// How far the wall clock is ahead of the other, in seconds.
    ahead: i64,
    /// When the machine was last seen to have slept.
    woke: Option<Instant>,
}

impl Surroundings {
    /// Listens from now on.
    pub fn new(now: Now) -> Surroundings {
        let watch =
            Watch::open().inspect_err(|error| warn!(%error, "links and addresses are not watched"));
        Surroundings { watch: watch.ok(), changed: true, ahead: ahead(now), woke: None }
    }

    /// Waits for word. Cancelling it loses none.
    pub async fn next(&self) {
        match &self.watch {
            Some(watch) => watch.next().await,
            None => pending().await,
        }
    }

    /// Whether threads may be late because the machine slept: `last` is when the loop turned.
    pub fn are_drowsy(&self, last: Instant, now: Instant) -> bool {
        now.since(last) > SLEPT || self.woke.is_some_and(|woke| now.since(woke) < DROWSY)
    }

    /// A second is over, or more: `last` is when the one before was. Whether the wall clock was set.
    fn note(&mut self, last: Instant, now: Now) -> bool {
        let slept = now.mono.since(last);
        if slept > SLEPT {
            info!("the machine slept for {} s", slept.as_secs());
            self.woke = Some(now.mono);
        }
        let ahead = ahead(now);
        let by = ahead - std::mem::replace(&mut self.ahead, ahead);
        if by.abs() > SET {
            info!("the wall clock was set by {by} s, to {}", now.unix);
        }
        by.abs() > SET
    }
}

impl Shell {
    /// Looks at what changed since `last`.
    pub(super) fn look_around(&mut self, last: Instant, now: Now) {
        let was_set = self.surroundings.note(last, now);
        let changed = std::mem::take(&mut self.surroundings.changed);
        if !was_set && !changed {
            return;
        }
        let listen = &self.config.device.listen_addresses;
        let (mut stale, mut cut_off) = (Vec::new(), Vec::new());
        for member in self.links.iter().flat_map(|link| &link.members) {
            let is_broken = member.tunnel.is_none() || member.hitch().is_some();
            if is_broken != member.record.obstacle.is_some() || member.has_moved(listen) {
                stale.push(member.peer);
            }
            let was_hindered = was_set || member.record.unsent.is_some();
            if member.wanted && member.record.ikes.is_empty() && was_hindered {
                cut_off.push(member.peer);
            }
        }
        for peer in stale {
            self.renew(peer);
        }
        for peer in cut_off {
            self.endpoint.command(now, Command::Up(peer));
        }
    }

    /// Has everything ready for a peer anew. In between its routes are taken away: they went with the device, or may have.
    pub(super) fn renew(&mut self, peer: PeerId) {
        let Some(member) = self.member(peer) else { return };
        if let Some(hitch) = member.hitch() {
            warn!(connection = member.record.name, "{hitch}");
            member.record.obstacle = Some(hitch);
            self.carry_out();
        }
        self.prepare(peer);
        self.carry_out();
    }
}

fn ahead(now: Now) -> i64 {
    let seconds = now.mono.since(Instant(0)).as_secs();
    now.unix.0.cast_signed().saturating_sub(seconds.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    #[tokio::test]
    async fn sleep_and_a_clock_that_was_set_are_told_apart() {
        let at = |mono: u64, unix: u64| Now {
            mono: Instant(mono * 1_000_000_000),
            unix: UnixTime(1_800_000_000 + unix),
        };
        let mut around = Surroundings::new(at(100, 100));
        let mut last = at(100, 100);
        for (now, set, drowsy) in [
            (at(101, 101), false, false),
            (at(102, 110), false, false),
            (at(103, 400_000), true, false),
            (at(104, 104), true, false),
            (at(5000, 5000), false, true),
            (at(5005, 5005), false, true),
            (at(5006, 5006), false, false),
        ] {
            assert_eq!(around.note(last.mono, now), set, "{now:?}");
            assert_eq!(around.are_drowsy(now.mono, now.mono), drowsy, "{now:?}");
            last = now;
        }
        assert!(around.are_drowsy(last.mono, at(6000, 6000).mono), "before it is noted");
    }
}
