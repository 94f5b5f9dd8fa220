//! Packets that cannot be sent: the cause, for the log and the status, as long as it lasts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::sys::send_error::SendError;
use crate::time::Instant;

/// The least time between two log lines of a lane on which sending fails and works in turn.
const QUIET: Duration = Duration::from_secs(10);
/// How long a full queue is reported when nothing was sent since.
const FULL: Duration = Duration::from_secs(10);

/// The socket's last error of sending.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// The error's number; 0 while packets leave.
    errno: AtomicI32,
    /// When the last such error came.
    at: AtomicU64,
    /// When an outage was logged last; 0 for never.
    told: AtomicU64,
    /// Whether the present outage is the one that was logged.
    logged: AtomicBool,
}

impl Outage {
    /// Notes that no packet of a batch could be sent.
    pub(super) fn begin(&self, connection: &str, error: &io::Error, now: Instant) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let cause = SendError::of(error);
        self.at.store(now.0, Ordering::Relaxed);
        let is_known = self.errno.swap(errno, Ordering::Relaxed) == errno
            && self.logged.load(Ordering::Relaxed);
        // A queue that is full for a moment is counted, not logged.
        if is_known || cause == SendError::NoRoom {
            return;
        }
        let told = self.told.load(Ordering::Relaxed);
        if told == 0 || now.since(Instant(told)) >= QUIET {
            warn!(connection, %error, "packets cannot be sent: {cause}");
            self.told.store(now.0, Ordering::Relaxed);
            self.logged.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that a packet was sent.
    pub(super) fn end(&self, connection: &str) {
        if self.errno.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.errno.store(0, Ordering::Relaxed);
        if self.logged.swap(false, Ordering::Relaxed) {
            info!(connection, "packets are sent again");
        }
    }

    /// Why packets cannot be sent; `None` when the last ones were.
    pub(super) fn error(&self, now: Instant) -> Option<io::Error> {
        let errno = self.errno.load(Ordering::Relaxed);
        let error = (errno != 0).then(|| io::Error::from_raw_os_error(errno))?;
        let age = now.since(Instant(self.at.load(Ordering::Relaxed)));
        (SendError::of(&error) != SendError::NoRoom || age < FULL).then_some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_one_in_the_quiet_time_after_it() {
        let outage = Outage::default();
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        let error = |errno| io::Error::from_raw_os_error(errno);
        let told = |outage: &Outage| Instant(outage.told.load(Ordering::Relaxed));
        assert!(outage.error(at(1)).is_none());
        for (second, errno, last) in [
            (100, libc::EPERM, 100),
            (150, libc::EPERM, 100),
            (151, libc::ENETUNREACH, 151),
            (155, 0, 151),
            (156, libc::EPERM, 151),
            (162, libc::EPERM, 162),
            (190, 0, 162),
            (200, libc::ENOBUFS, 162),
        ] {
            match errno {
                0 => outage.end("t"),
                errno => outage.begin("t", &error(errno), at(second)),
            }
            let found =
                outage.error(at(second)).and_then(|error| error.raw_os_error()).unwrap_or(0);
            assert_eq!((found, told(&outage)), (errno, at(last)), "at {second} s");
        }
        assert!(outage.error(at(209)).is_some() && outage.error(at(210)).is_none(), "room is back");
        outage.begin("t", &error(libc::EPERM), at(220));
        assert!(outage.error(at(1000)).is_some(), "a firewall stays until a packet is sent");
    }
}
