//! A call that fails though it should not: it is tried again after a pause that grows, so that a
//! thread neither ends nor spins.

use std::io;
use std::thread;
use std::time::Duration;

use tracing::warn;

/// The longest pause: no stop waits much longer.
const LONGEST: Duration = Duration::from_millis(100);
/// So many in a row are worth a line of the log.
const WORTH_TELLING: u32 = 10;

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Setbacks(u32);

impl Setbacks {
    /// It worked.
    #[inline]
    pub fn clear(&mut self) {
        self.0 = 0;
    }

    /// It failed: rests a while.
    pub fn rest(&mut self, connection: &str, what: &str, error: &io::Error) {
        self.0 = self.0.saturating_add(1);
        if self.0 == WORTH_TELLING {
            warn!(connection, %error, "{what} fails again and again; it is tried on");
        }
        thread::park_timeout(self.pause());
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(1 << self.0.min(10)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut setbacks = Setbacks::default();
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        let pauses = [(); 9].map(|()| {
            setbacks.rest("t", "reading", &error);
            setbacks.pause().as_millis()
        });
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 100, 100, 100]);
        setbacks.clear();
        setbacks.rest("t", "reading", &error);
        assert_eq!(setbacks.pause().as_millis(), 2);
        setbacks.0 = u32::MAX;
        assert_eq!(setbacks.pause(), LONGEST);
    }
}
