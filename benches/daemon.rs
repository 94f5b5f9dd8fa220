//! The service at rest and at its start: two of them in network namespaces, one waits for the
//! other. Needs root.
//!
//! Measured is the one that dials: its memory and its share of a processor with one idle tunnel,
//! and the time from its start until its tunnel is up, certificates read and proved on the way.
//! `S2SD_IDLE_SECONDS` sets how long it idles.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_debug_implementations,
    missing_docs,
    reason = "a bench's own harness"
)]

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use lab::ear::Ear;
use lab::pair::Pair;
use lab::traffic::clock;

/// Starts that the median is taken of.
const STARTS: usize = 21;
/// What a service may have and take (CHANGELOG and the issue it came from hold it to that).
const MEBIBYTES: f64 = 25.0;
const SHARE: f64 = 0.2;
const MILLISECONDS: f64 = 150.0;

fn main() {
    // `cargo test --benches` runs this too; it is no test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(mut pair) = Pair::start("bench") else { return };
    let mut starts: Vec<f64> = (0..STARTS).map(|_| start(&mut pair)).collect();
    starts.sort_by(f64::total_cmp);
    let idle = std::env::var("S2SD_IDLE_SECONDS").map_or(30, |text| text.parse().unwrap());
    let process = pair.services[0].as_ref().unwrap().id();
    let share = share(process, Duration::from_secs(idle));
    show("resident with one tunnel, MiB", resident(process), MEBIBYTES);
    show(&format!("of a core, idle for {idle} s, %"), share, SHARE);
    show("start to tunnel up, ms, median", starts[STARTS / 2], MILLISECONDS);
    println!("{:<38}{:>9.1} to {:.1}", "  fastest and slowest", starts[0], starts[STARTS - 1]);
}

fn show(what: &str, value: f64, target: f64) {
    let verdict = if value < target { "" } else { ": MISSED" };
    println!("{what:<38}{value:>9.3}   (under {target}{verdict})");
}

/// Stops the service that dials and starts it anew; milliseconds from there until it says that its
/// tunnel is up.
fn start(pair: &mut Pair) -> f64 {
    pair.signal(0, Signal::SIGTERM);
    pair.services[0].take().unwrap().wait().unwrap();
    pair.wait(1, "waiting");
    let path = pair.file(0, "notify");
    fs::remove_file(&path).ok();
    let ear = Ear::at(&path);
    let begin = clock();
    pair.launch_with(0, |service| {
        service.envs([ear.environment()]);
    });
    ear.hear("STATUS=1 of 1 tunnels up");
    begin.elapsed().as_secs_f64() * 1e3
}

/// Mebibytes of memory that are in use.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Percent of a processor over such a time.
fn share(process: u32, time: Duration) -> f64 {
    let (before, begin) = (busy(process), clock());
    std::thread::sleep(time);
    (busy(process) - before) as f64 / begin.elapsed().as_nanos() as f64 * 100.0
}

/// Nanoseconds that the process's threads ran so far, as the scheduler counts them: its clock ticks
/// are too coarse.
fn busy(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let ran = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    tasks.map(|task| ran(task.unwrap())).sum()
}
