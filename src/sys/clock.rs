//! The one place that reads clocks.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::{Instant, Now, UnixTime};

/// Both clocks, now. The monotonic origin is the first call of this process.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now() -> Now {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = ORIGIN.get_or_init(std::time::Instant::now);
    let mono = u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    // A wall clock before 1970 reads as 1970: every certificate is then "not yet valid", which is the truth.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Now { mono: Instant(mono), unix: UnixTime(unix) }
}

/// CLOCK_MONOTONIC in microseconds, as systemd counts (sd_notify(3), `MONOTONIC_USEC`).
pub fn boot_microseconds() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    // The clock is always there; without it a reload would only be timed wrongly.
    time.map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000
            + u64::try_from(time.tv_nsec()).unwrap_or(0) / 1000
    })
}

/// Whether something keeps the wall clock right (adjtimex(2)); `None` where the kernel does not tell.
pub fn is_synchronized() -> Option<bool> {
    // SAFETY: timex is a struct of integers, for which all zeros are values.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live timex; with no mode set the kernel only writes to it.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    (result >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_steps_back() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono);
        assert!(first.unix.0 > 1_700_000_000);
    }
}
