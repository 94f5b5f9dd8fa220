//! A stop-watch for things that are compared with each other: they take turns, so that a busy
//! neighbour disturbs all alike, and the best turn of each counts.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and what fails must be seen"
)]
#![allow(dead_code, reason = "each bench takes its part")]

use std::time::{Duration, Instant};

/// The least time of each contender over `turns` turns, in nanoseconds for one of `work` items.
pub fn contest(
    turns: usize,
    work: usize,
    contenders: &mut [&mut dyn FnMut() -> Duration],
) -> Vec<f64> {
    let mut best = vec![Duration::MAX; contenders.len()];
    for _ in 0..turns {
        for (best, contender) in best.iter_mut().zip(contenders.iter_mut()) {
            *best = contender().min(*best);
        }
    }
    best.into_iter().map(|time| time.as_secs_f64() * 1e9 / work as f64).collect()
}

/// How long `work` takes.
#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
pub fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// The number of turns on the command line, or what is given here.
pub fn turns(default: usize) -> usize {
    std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(default)
}
