//! Which seeds a run tries, and on which threads.
//!
//! - `S2SD_SIM_SEED=x`: that one world, with its trace whether it fails or not.
//! - `S2SD_SIM_SEEDS=n`: so many instead of the usual number.
//! - `tests/sim/seeds.txt`: seeds that once failed, each with what it broke; always tried, before
//!   all others.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seeds of a normal test run.
const USUAL: u64 = 2_000;

/// What the environment asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    One(u64),
    Many(Vec<u64>),
}

impl Wanted {
    pub fn from_environment() -> Wanted {
        let number = |name| std::env::var(name).ok().map(|text| parse(&text));
        match number("S2SD_SIM_SEED") {
            Some(seed) => Wanted::One(seed),
            None => Wanted::Many(
                kept().into_iter().chain(0..number("S2SD_SIM_SEEDS").unwrap_or(USUAL)).collect(),
            ),
        }
    }
}

/// Runs `world` for every seed on all cores; the failures come in the order of the seeds.
pub fn run_all<F: Send>(seeds: &[u64], world: impl Fn(u64) -> Option<F> + Sync) -> Vec<(u64, F)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((place, seed)) = take(&next, seeds) {
                    if let Some(failure) = world(seed) {
                        failures.lock().expect("no thread panics").push((place, seed, failure));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics");
    failures.sort_by_key(|(place, ..)| *place);
    failures.into_iter().map(|(_, seed, failure)| (seed, failure)).collect()
}

fn take(next: &AtomicUsize, seeds: &[u64]) -> Option<(usize, u64)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    seeds.get(place).map(|seed| (place, *seed))
}

fn kept() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines();
    lines.filter_map(|line| line.split('#').next()?.split_whitespace().next()).map(parse).collect()
}

/// Decimal, or hexadecimal after `0x`.
fn parse(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|_| panic!("`{text}` is not a seed"))
}

mod tests {
    use super::*;

    #[test]
    fn every_seed_runs_once_and_failures_come_in_order() {
        let seeds: Vec<u64> = (0..100).collect();
        let failures = run_all(&seeds, |seed| seed.is_multiple_of(10).then_some(seed * 2));
        let expected: Vec<(u64, u64)> = (0..10).map(|n| (n * 10, n * 20)).collect();
        assert_eq!(failures, expected);
        assert_eq!(parse("0xff"), 255);
    }
}
