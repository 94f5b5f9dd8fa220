//! The simulator's clock: monotonic and wall time together. It moves only when told to, to the next
//! thing that happens.

use std::time::Duration;

use s2sd::time::{Instant, Now, UnixTime};

/// 2026-06-01T00:00:00Z: inside the validity of every certificate the tests make.
pub const EPOCH: u64 = 1_780_272_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    mono: Instant,
    /// Wall time at `mono` zero; an operator who sets the clock moves this alone.
    wall_origin: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        // Not zero, so that code which takes zero for "never" is found out.
        Clock { mono: Instant(3_000_000_000), wall_origin: EPOCH }
    }
}

impl Clock {
    pub fn now(&self) -> Now {
        let seconds = Duration::from_nanos(self.mono.0).as_secs();
        Now { mono: self.mono, unix: UnixTime(self.wall_origin + seconds) }
    }

    /// Moves on to `later`; a time already passed leaves the clock where it is.
    pub fn advance_to(&mut self, later: Instant) {
        self.mono = self.mono.max(later);
    }

    /// The operator sets the wall clock; monotonic time does not notice.
    pub fn jump_wall(&mut self, seconds: i64) {
        self.wall_origin = self.wall_origin.saturating_add_signed(seconds);
    }
}

mod tests {
    use super::*;

    #[test]
    fn wall_jumps_leave_monotonic_time_alone() {
        let mut clock = Clock::default();
        let before = clock.now();
        clock.jump_wall(-3600);
        assert_eq!(clock.now().mono, before.mono);
        assert_eq!(clock.now().unix.0, before.unix.0 - 3600);
        clock.advance_to(before.mono + Duration::from_secs(5));
        assert_eq!(clock.now().unix.0, before.unix.0 - 3595);
    }
}
