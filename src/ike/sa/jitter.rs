//! Jitter: random deadlines, so that two ends that did the same at the same moment do not do so
//! again.

use std::time::Duration;

use crate::rng::Rng;

/// Draws a number from `low` to `high`, both included; `low` when `high` is lower.
pub fn number_between(low: u64, high: u64, rng: &mut dyn Rng) -> u64 {
    let Some(span) = high.checked_sub(low) else { return low };
    match span.checked_add(1) {
        // The bias of the remainder is below 2^-20 for every span that a timer or a volume limit
        // has.
        Some(count) => low.saturating_add(rng.next_u64() % count),
        None => rng.next_u64(),
    }
}

/// Draws a duration from `low` to `high`, both included.
pub fn duration_between(low: Duration, high: Duration, rng: &mut dyn Rng) -> Duration {
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(number_between(nanos(low), nanos(high), rng))
}

#[cfg(test)]
pub mod fixed {
    //! Sources for tests of the timers.

    use crate::rng::Rng;

    /// A source that always gives the same octet: `Fixed(0)` draws the lowest of every range.
    #[derive(Debug)]
    pub struct Fixed(pub u8);

    impl Rng for Fixed {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    #[test]
    fn draws_stay_inside_and_reach_both_ends() {
        let mut rng = SeededRng(1);
        let draws: Vec<u64> = (0..200).map(|_| number_between(10, 13, &mut rng)).collect();
        for wanted in 10..=13 {
            assert!(draws.contains(&wanted));
        }
        assert!(draws.iter().all(|draw| (10..=13).contains(draw)));
        assert_eq!(number_between(9, 3, &mut rng), 9);
        assert_eq!(number_between(9, 9, &mut rng), 9);
        number_between(0, u64::MAX, &mut rng);
    }
}
