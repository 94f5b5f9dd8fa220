//! Backoff: a system call that should not fail and does is tried again after a pause that doubles,
//! so that a thread of a lane neither ends nor spins.

use std::io;
use std::time::Duration;

use tracing::warn;

use crate::sys::clock;

/// The longest pause, and so about the longest that [`super::Lane::stop`] waits for a thread.
const LONGEST: Duration = Duration::from_millis(100);
/// The number of failures in a row that is logged.
const LOGGED_AFTER: u32 = 10;

/// The number of failures since the last success.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// Notes a success: the next failure is the first again.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.0 = 0;
    }

    /// Notes a failure of `what` and pauses the calling thread: 2 ms after the first, twice as long
    /// after each further one, at most [`LONGEST`].
    pub(super) fn pause(&mut self, connection: &str, what: &str, error: &io::Error) {
        self.0 = self.0.saturating_add(1);
        if self.0 == LOGGED_AFTER {
            warn!(connection, %error, "{what} failed {LOGGED_AFTER} times in a row; retrying every 100 ms");
        }
        clock::pause(self.length());
    }

    fn length(&self) -> Duration {
        Duration::from_millis(1 << self.0.min(10)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        let pauses = [(); 9].map(|()| {
            backoff.pause("t", "reading", &error);
            backoff.length().as_millis()
        });
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 100, 100, 100]);
        backoff.clear();
        backoff.pause("t", "reading", &error);
        assert_eq!(backoff.length().as_millis(), 2);
        backoff.0 = u32::MAX;
        assert_eq!(backoff.length(), LONGEST);
    }
}
