//! [`HostChanges`]: what changes on this host while the service runs: links, addresses and routes,
//! the wall clock, sleep.
//!
//! | change | what follows (`Service::check_host`) |
//! |---|---|
//! | a tunnel's interface was deleted | it is made anew with addresses and routes; SAs go on |
//! | a tunnel's interface was set down | the status says so; routes go until it is up |
//! | another address of ours leads to a gateway | the peer is told by the next message from there |
//! | a route to a gateway that is not up came back | the gateway is dialled at once |
//! | the wall clock was set | gateways that are not up are dialled: certificates may be valid |
//! | the machine slept, the process was stopped | nothing: SAs aged, passed deadlines are due |
//!
//! The kernel reports changes of links, addresses and routes (rtnetlink). What changed is looked up
//! at most once a second.

use std::future::pending;
use std::time::Duration;

use tracing::{info, warn};

use crate::sys::clock;
use crate::sys::netlink::NetlinkWatch;
use crate::time::{Instant, Now};

/// A tick that is this late shows that the machine slept, or that the whole process stood still.
const LATE: Duration = Duration::from_secs(5);
/// How long after a late tick the other threads may still be late.
const CATCH_UP: Duration = Duration::from_secs(6);
/// A clock step above this many seconds counts as "the clock was set"; NTP moves the clock by less.
const CLOCK_STEP: i64 = 30;

/// The watch on links, addresses, the wall clock and sleep.
#[derive(Debug)]
pub(super) struct HostChanges {
    netlink: Option<NetlinkWatch>,
    /// Whether the kernel reported a change that nobody has looked at.
    is_notified: bool,
    /// How many seconds the wall clock is ahead of the monotonic clock.
    clock_offset: i64,
    /// How long the machine has slept since it was booted.
    slept: Duration,
    /// When a tick was late last.
    late_at: Option<Instant>,
}

/// What changed since the tick before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct HostChange {
    pub(super) clock_was_set: bool,
    /// Whether links, addresses or routes may have changed.
    pub(super) links: bool,
}

impl HostChanges {
    /// Watches from now on. The first [`HostChanges::changes_since`] reports changed links.
    pub(super) fn new(now: Now) -> HostChanges {
        let netlink = NetlinkWatch::open().inspect_err(|error| {
            warn!(%error, "changes of interfaces and addresses are not noticed");
        });
        HostChanges {
            netlink: netlink.ok(),
            is_notified: true,
            clock_offset: clock_offset(now),
            slept: clock::slept(),
            late_at: None,
        }
    }

    /// Waits for a notification of the kernel. Cancelling the future loses none.
    pub(super) async fn next(&self) {
        match &self.netlink {
            Some(netlink) => netlink.next().await,
            None => pending().await,
        }
    }

    /// Notes that the kernel sent a notification; the next tick looks at what changed.
    pub(super) fn note_notification(&mut self) {
        self.is_notified = true;
    }

    /// Whether all threads of the process may be late, because the machine slept: `last` is when
    /// the loop ticked last.
    pub(super) fn threads_may_be_late(&self, last: Instant, now: Instant) -> bool {
        now.since(last) > LATE || self.late_at.is_some_and(|at| now.since(at) < CATCH_UP)
    }

    /// What changed since the tick at `last`. `slept` is how long the machine has slept since it
    /// was booted.
    pub(super) fn changes_since(&mut self, last: Instant, now: Now, slept: Duration) -> HostChange {
        let late = now.mono.since(last);
        let asleep = slept.saturating_sub(std::mem::replace(&mut self.slept, slept));
        if late > LATE {
            info!("{}", absence(late, asleep));
            self.late_at = Some(now.mono);
        }
        let offset = clock_offset(now);
        let step = offset - std::mem::replace(&mut self.clock_offset, offset);
        let clock_was_set = step.abs() > CLOCK_STEP;
        if clock_was_set {
            info!("the wall clock was set by {step} s, to {}", now.unix);
        }
        HostChange { clock_was_set, links: std::mem::take(&mut self.is_notified) }
    }
}

/// The log line of a tick that is this late, when the machine was asleep for a part of the time.
fn absence(late: Duration, asleep: Duration) -> String {
    let seconds = late.as_secs();
    if asleep > late / 2 {
        format!("the machine slept for {seconds} s")
    } else {
        format!("the service stood still for {seconds} s: it was stopped, or got no processor time")
    }
}

/// How many seconds the wall clock is ahead of the monotonic clock.
fn clock_offset(now: Now) -> i64 {
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
        let mut host = HostChanges::new(at(100, 100));
        let mut last = at(100, 100);
        for (now, set, late) in [
            (at(101, 101), false, false),
            (at(102, 110), false, false),
            (at(103, 400_000), true, false),
            (at(104, 104), true, false),
            (at(5000, 5000), false, true),
            (at(5005, 5005), false, true),
            (at(5006, 5006), false, false),
        ] {
            let changes = host.changes_since(last.mono, now, Duration::ZERO);
            assert_eq!(changes.clock_was_set, set, "{now:?}");
            assert_eq!(host.threads_may_be_late(now.mono, now.mono), late, "{now:?}");
            last = now;
        }
        assert!(host.threads_may_be_late(last.mono, at(6000, 6000).mono), "before it is noted");
    }

    #[test]
    fn what_only_stood_still_is_not_said_to_have_slept() {
        let seconds = Duration::from_secs;
        assert_eq!(absence(seconds(3600), seconds(3599)), "the machine slept for 3600 s");
        assert!(absence(seconds(20), seconds(0)).starts_with("the service stood still for 20 s: "));
    }
}
