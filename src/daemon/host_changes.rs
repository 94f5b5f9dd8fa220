//! What changes around a running service: links and addresses, the wall clock, sleep.
//!
//! | what | what follows |
//! |---|---|
//! | a tunnel's interface was deleted | it is made anew, with addresses and routes; its SAs go on |
//! | it was switched off | the status says so; routes go, and come back with it |
//! | another address of ours leads to a gateway | its peer is told by the next message from there |
//! | the way back to a gateway that is not up | it is dialled at once |
//! | the wall clock was set | gateways that are not up are dialled at once: certificates may have come into their time |
//! | the machine slept, or the process was stopped | nothing: SAs grew old meanwhile, and deadlines that passed are due |
//!
//! Word of links and addresses comes from the kernel; what it says is looked up once a second at
//! most.

use std::future::pending;
use std::time::Duration;

use tracing::{info, warn};

use super::service::Service;
use crate::ike::PeerId;
use crate::ike::endpoint::command::Command;
use crate::sys::clock;
use crate::sys::netlink::NetlinkWatch;
use crate::time::{Instant, Now};

/// A turn of the loop that comes so late has slept with the machine, or stood still with all other
/// threads of the process.
const LATE: Duration = Duration::from_secs(5);
/// How long other threads may take to find that out.
const DROWSY: Duration = Duration::from_secs(6);
/// A wall clock that is kept right by somebody moves less at a time, in seconds.
const SET: i64 = 30;

/// What is known of the surroundings.
#[derive(Debug)]
pub struct Surroundings {
    watch: Option<NetlinkWatch>,
    /// There was word that nobody has looked into.
    pub(super) changed: bool,
    /// How far the wall clock is ahead of the other, in seconds.
    ahead: i64,
    /// How long the machine has slept since its boot.
    slept: Duration,
    /// When a turn was late last.
    woke: Option<Instant>,
}

impl Surroundings {
    /// Listens from now on.
    pub fn new(now: Now) -> Surroundings {
        let watch = NetlinkWatch::open()
            .inspect_err(|error| warn!(%error, "links and addresses are not watched"));
        let slept = clock::slept();
        Surroundings { watch: watch.ok(), changed: true, ahead: ahead(now), slept, woke: None }
    }

    /// Waits for word. Cancelling it loses none.
    pub async fn next(&self) {
        match &self.watch {
            Some(watch) => watch.next().await,
            None => pending().await,
        }
    }

    /// Whether threads may be late as the loop is: `last` is when it turned.
    pub fn are_drowsy(&self, last: Instant, now: Instant) -> bool {
        now.since(last) > LATE || self.woke.is_some_and(|woke| now.since(woke) < DROWSY)
    }

    /// A second is over, or more: `last` is when the one before was; the machine has slept so long.
    /// Whether the wall clock was set.
    fn note(&mut self, last: Instant, now: Now, slept: Duration) -> bool {
        let late = now.mono.since(last);
        let asleep = slept.saturating_sub(std::mem::replace(&mut self.slept, slept));
        if late > LATE {
            info!("{}", absence(late, asleep));
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

impl Service {
    /// Looks at what changed since `last`.
    pub(super) fn look_around(&mut self, last: Instant, now: Now) {
        let was_set = self.surroundings.note(last, now, clock::slept());
        let changed = std::mem::take(&mut self.surroundings.changed);
        if !was_set && !changed {
            return;
        }
        let listen = &self.config.device.listen_addresses;
        let (mut stale, mut cut_off) = (Vec::new(), Vec::new());
        for member in self.links.iter().flat_map(|link| &link.peers) {
            let is_broken = member.tunnel.is_none() || member.device_problem().is_some();
            if is_broken != member.record.problem.is_some() || member.has_moved(listen) {
                stale.push(member.id);
            }
            let was_hindered = was_set || member.record.send_problem.is_some();
            if member.wanted && member.record.ike_sas.is_empty() && was_hindered {
                cut_off.push(member.id);
            }
        }
        for peer in stale {
            self.renew(peer);
        }
        for peer in cut_off {
            self.endpoint.command(now, Command::Up(peer));
        }
    }

    /// Has everything ready for a peer anew. In between its routes are taken away: they went with
    /// the device, or may have.
    pub(super) fn renew(&mut self, peer: PeerId) {
        let Some(member) = self.member(peer) else { return };
        if let Some(hitch) = member.device_problem() {
            warn!(connection = member.record.name, "{hitch}");
            member.record.problem = Some(hitch);
            self.carry_out();
        }
        self.prepare(peer);
        self.carry_out();
    }
}

/// What a turn says that is so late, of which the machine was asleep for a while.
fn absence(late: Duration, asleep: Duration) -> String {
    let seconds = late.as_secs();
    if asleep > late / 2 {
        format!("the machine slept for {seconds} s")
    } else {
        format!(
            "the service stood still for {seconds} s: it was stopped, or got no time from the machine"
        )
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
            assert_eq!(around.note(last.mono, now, Duration::ZERO), set, "{now:?}");
            assert_eq!(around.are_drowsy(now.mono, now.mono), drowsy, "{now:?}");
            last = now;
        }
        assert!(around.are_drowsy(last.mono, at(6000, 6000).mono), "before it is noted");
    }

    #[test]
    fn what_only_stood_still_is_not_said_to_have_slept() {
        let seconds = Duration::from_secs;
        assert_eq!(absence(seconds(3600), seconds(3599)), "the machine slept for 3600 s");
        assert!(absence(seconds(20), seconds(0)).starts_with("the service stood still for 20 s: "));
    }
}
