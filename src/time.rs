//! Time as a value. Nothing here reads a clock: `sys::clock` does, once, at the edge.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since an origin that the clock's owner chose.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(pub u64);

impl Instant {
    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(later)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, sooner: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(sooner)))
    }
}

/// Seconds since 1970-01-01T00:00:00Z, as certificates count them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub u64);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// For deadlines and ages: never jumps.
    pub mono: Instant,
    /// For certificate dates: may jump when the operator sets the clock.
    pub unix: UnixTime,
}

/// A duration in nanoseconds; 584 years and more saturate.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant(5) + second, Instant(1_000_000_005));
        assert_eq!(Instant(5) - second, Instant(0));
        assert_eq!(Instant(u64::MAX) + second, Instant(u64::MAX));
        assert_eq!(Instant(7).since(Instant(9)), Duration::ZERO);
        assert_eq!(Instant(9).since(Instant(7)), Duration::from_nanos(2));
    }
}
