//! Time as a value. Nothing here reads a clock: `sys::clock` does, once, at the edge.

use std::fmt;
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

impl fmt::Display for UnixTime {
    /// As RFC 3339 writes it, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Days to a date by counting years from March, in eras of 400 years (Hinnant,
        // "chrono-compatible date algorithms").
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// For deadlines and ages: never jumps.
    pub mono: Instant,
    /// For certificate dates: may jump when the operator sets the clock.
    pub unix: UnixTime,
}

impl Now {
    /// Both clocks as they were at an earlier moment.
    pub fn at(self, then: Instant) -> Now {
        let age = self.mono.since(then).as_secs();
        Now { mono: then, unix: UnixTime(self.unix.0.saturating_sub(age)) }
    }
}

/// A duration in nanoseconds; 584 years and more saturate.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_time_prints_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(UnixTime(seconds).to_string(), text);
        }
    }

    #[test]
    fn an_earlier_moment_has_both_clocks() {
        let now = Now { mono: Instant(9_000_000_000), unix: UnixTime(1000) };
        let then = Now { mono: Instant(2_000_000_000), unix: UnixTime(993) };
        assert_eq!(now.at(then.mono), then);
    }

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
