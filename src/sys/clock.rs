//! The one place that reads clocks, and the one pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

#[cfg(feature = "faults")]
use super::fault::off;
use crate::time::{Instant, Now, UnixTime};

/// Both clocks, now. The monotonic one counts from the boot, which is the same for every process:
/// what one wrote down means the same to its successor. It counts while the machine sleeps too
/// (CLOCK_BOOTTIME), for so do the peers: on waking, SAs are as old as they are there.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now() -> Now {
    // A wall clock before 1970 reads as 1970: every certificate is then "not yet valid", which is
    // the truth.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mono = u64::try_from(read(ClockId::CLOCK_BOOTTIME).as_nanos()).unwrap_or(u64::MAX);
    let [wall, boot] = off();
    Now {
        mono: Instant(mono.saturating_add_signed(boot.saturating_mul(1_000_000_000))),
        unix: UnixTime(unix.saturating_add_signed(wall)),
    }
}

/// How long the machine has slept since its boot: by so much is CLOCK_BOOTTIME ahead of
/// CLOCK_MONOTONIC.
pub fn slept() -> Duration {
    let awake = read(ClockId::CLOCK_MONOTONIC);
    Duration::from_nanos(now().mono.0).saturating_sub(awake)
}

/// CLOCK_MONOTONIC in microseconds, as systemd counts (sd_notify(3), `MONOTONIC_USEC`).
pub fn boot_microseconds() -> u64 {
    u64::try_from(read(ClockId::CLOCK_MONOTONIC).as_micros()).unwrap_or(u64::MAX)
}

/// Stops the calling thread for a while, for three callers that no event could wake: a lane whose
/// system calls fail (`dataplane::backoff`, where poll(2) itself may be what fails), `s2sd doctor`
/// between two looks at a service, and `s2sd status --watch` between two pages. A thread that waits
/// for an event waits in [`super::poll`].
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

fn read(clock: ClockId) -> Duration {
    // Linux has both clocks always.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// By how many seconds a test has the clocks off.
#[cfg(not(feature = "faults"))]
fn off() -> [i64; 2] {
    [0, 0]
}

/// Whether something keeps the wall clock right (adjtimex(2)); `None` where the kernel does not
/// tell.
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
        assert!(slept() <= Duration::from_nanos(now().mono.0));
    }
}
