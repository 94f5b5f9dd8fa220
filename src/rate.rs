//! The token bucket: the one rate limit for whatever a peer, a stranger or a host could otherwise
//! make this end do too often.

use std::time::Duration;

use crate::time::Instant;

/// A rate: `burst` at once after a quiet time, and one each `interval` in the long run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// The most at once; zero counts as one.
    pub burst: u32,
    /// The time that earns one token.
    pub interval: Duration,
}

/// A token bucket, kept as the time when it will be full again: eight octets, and full when new.
///
/// The rate is passed to each call, because many buckets share one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes one token, if there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let has_one = self.has_one(rate, now);
        if has_one {
            self.full_at = self.full_at.max(now) + rate.interval;
        }
        has_one
    }

    /// Whether there is a token.
    pub fn has_one(&self, rate: Rate, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + rate.interval;
        full_at.since(now) <= rate.interval * rate.burst.max(1)
    }

    /// Whether no token is missing: the bucket is as good as a new one.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant(1_000_000_000);

    fn taken(bucket: &mut Bucket, rate: Rate, now: Instant) -> usize {
        (0..10).filter(|_| bucket.take(rate, now)).count()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_each_interval() {
        let rate = Rate { burst: 3, interval: Duration::from_nanos(100) };
        let mut bucket = Bucket::default();
        for (after, tokens) in [(0, 3), (99, 0), (100, 1), (250, 1), (300, 1), (1_000_000, 3)] {
            let now = START + Duration::from_nanos(after);
            assert_eq!(bucket.has_one(rate, now), tokens > 0, "after {after} ns");
            assert_eq!(taken(&mut bucket, rate, now), tokens, "after {after} ns");
        }
    }

    #[test]
    fn a_bucket_is_full_when_new_and_after_its_burst_was_earned_again() {
        let rate = Rate { burst: 2, interval: Duration::from_secs(1) };
        let mut bucket = Bucket::default();
        assert!(bucket.is_full(START));
        assert_eq!(taken(&mut bucket, rate, START), 2);
        assert!(!bucket.is_full(START + Duration::from_millis(1999)));
        assert!(bucket.is_full(START + Duration::from_secs(2)));
    }

    #[test]
    fn a_burst_of_zero_is_one() {
        let rate = Rate { burst: 0, interval: Duration::from_secs(1) };
        assert_eq!(taken(&mut Bucket::default(), rate, START), 1);
    }

    proptest! {
        /// Over any time a bucket gives no more than its burst and what its rate earns.
        #[test]
        fn a_bucket_never_gives_too_much(
            steps in proptest::collection::vec(0u64..2_000, 1..300), burst in 1u32..20,
        ) {
            let rate = Rate { burst, interval: Duration::from_millis(100) };
            let (mut bucket, mut now, mut given) = (Bucket::default(), START, 0u64);
            for step in steps {
                now = now + Duration::from_millis(step) / 10;
                given += u64::from(bucket.take(rate, now));
            }
            let earned = now.since(START).as_millis() / 100;
            prop_assert!(u128::from(given) <= u128::from(burst) + earned);
            prop_assert!(given > 0);
        }

        /// The time when it is full says as much as a count of tokens would.
        #[test]
        fn a_bucket_gives_what_counted_tokens_would(
            steps in proptest::collection::vec(0u64..400, 1..300), burst in 1u32..20,
        ) {
            let rate = Rate { burst, interval: Duration::from_nanos(100) };
            let (mut bucket, mut now) = (Bucket::default(), START);
            let (mut tokens, mut since) = (burst, START);
            for step in steps {
                now = now + Duration::from_nanos(step);
                while tokens < burst && now.since(since) >= rate.interval {
                    (tokens, since) = (tokens + 1, since + rate.interval);
                }
                if tokens == burst {
                    since = now;
                }
                let expected = tokens > 0;
                tokens = tokens.saturating_sub(1);
                prop_assert_eq!(bucket.take(rate, now), expected);
            }
        }
    }
}
