//! A token bucket, for whatever a peer or a host could make us say too often.

use std::time::Duration;

use crate::time::Instant;

/// Allows `burst` things at once and then one each `interval`.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    burst: u32,
    tokens: u32,
    since: Instant,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(interval: Duration, burst: u32) -> RateLimit {
        RateLimit { interval, burst, tokens: burst, since: Instant(0) }
    }

    /// Whether one more is allowed now; it counts as done then.
    pub fn allow(&mut self, now: Instant) -> bool {
        let gained = now.since(self.since).as_nanos() / self.interval.as_nanos().max(1);
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(gained).min(self.burst);
            self.since = match self.tokens == self.burst {
                true => now,
                false => self.since + self.interval * gained,
            };
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut limit = RateLimit::new(Duration::from_nanos(100), 3);
        let allowed =
            |limit: &mut RateLimit, at| (0..10).filter(|_| limit.allow(Instant(at))).count();
        assert_eq!(allowed(&mut limit, 1000), 3);
        assert_eq!(allowed(&mut limit, 1099), 0);
        assert_eq!(allowed(&mut limit, 1100), 1);
        assert_eq!(allowed(&mut limit, 1250), 1);
        assert_eq!(allowed(&mut limit, 1300), 1, "half an interval was not lost");
        assert_eq!(allowed(&mut limit, 1_000_000), 3);
    }
}
