//! The replay window: what a packet costs it in order, out of order, replayed, and far ahead.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and what fails must be seen"
)]

mod meter;

use std::hint::black_box;

use s2sd::esp::Replay;

use meter::{contest, time, turns};

const STEPS: usize = 4096;

fn main() {
    let turns = turns(300);
    for window in [64, 1024, 8192, 1 << 17] {
        let receive = |replay: &mut Replay, seq: u64| {
            if replay.precheck(seq).is_ok() {
                replay.commit(seq);
            }
        };
        let steps = STEPS as u64;
        let (mut ordered, mut mixed, mut old, mut jumping) = (
            Replay::new(window),
            Replay::new(window),
            Replay::resumed(window, 1 << 20),
            Replay::new(window),
        );
        let span = u64::from(window) / 2;
        let times = contest(
            turns,
            STEPS,
            &mut [
                &mut || {
                    time(|| {
                        let top = ordered.top();
                        (1..=steps).for_each(|step| receive(&mut ordered, black_box(top + step)));
                    })
                },
                // Blocks of eight numbers, each backwards.
                &mut || {
                    time(|| {
                        let top = mixed.top();
                        (0..steps)
                            .for_each(|step| receive(&mut mixed, black_box(top + 1 + (step ^ 7))));
                    })
                },
                &mut || {
                    time(|| {
                        (0..steps)
                            .for_each(|step| receive(&mut old, black_box((1 << 20) - step % span)))
                    })
                },
                &mut || {
                    time(|| {
                        let top = jumping.top();
                        (1..=steps)
                            .for_each(|step| receive(&mut jumping, black_box(top + step * span)));
                    })
                },
            ],
        );
        println!(
            "window {window:>6}: in order {:>5.1}  reordered {:>5.1}  replayed {:>5.1}  half a window ahead {:>7.1}  ns a packet",
            times[0], times[1], times[2], times[3]
        );
    }
}
