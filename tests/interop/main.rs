//! s2sd against a real peer: strongSwan with ESP in userspace, in network namespaces of its own for
//! each case.
//!
//! ```text
//! host 0 ── lan ── s2sd or its engine alone ══ wan ══ strongSwan ── lan ── host 1
//! 10.1.0.10        203.0.113.1              203.0.113.2          10.2.0.10
//! ```
//!
//! The namespaces have no names in the system and end with the process; the daemons end by
//! themselves after some minutes whatever becomes of the test. It has a `main` of its own because
//! what it shows is a table. Without root or without strongSwan it says so and passes.
//!
//! `S2SD_SOAK_SECONDS=60 cargo test --test interop soak` soaks the tunnel, see `cases/soak.rs`;
//! `cargo test --test interop [PART OF A CASE'S NAME ...]` runs some of it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_debug_implementations,
    missing_docs,
    reason = "a test's own harness"
)]

mod cases;
#[allow(dead_code, reason = "its other user plants faults")]
mod credentials;
mod daemon;
mod engine;
mod gateway;
#[allow(dead_code, reason = "its other user has it do more")]
#[path = "../restart/keeper.rs"]
mod keeper;
#[path = "../lab/mod.rs"]
mod lab;
#[allow(dead_code, unused_imports, reason = "its other user makes more kinds of certificates")]
#[path = "../certificates/maker.rs"]
mod maker;
mod page;
mod patience;
mod place;
mod strongswan;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use patience::{Failure, clock};
use place::Place;

/// What a case shows in the table when it passes.
pub type Verdict = Result<String, Failure>;

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub run: fn(&Place) -> Verdict,
}

/// Cases run side by side: most of their time is waiting.
const SIDE_BY_SIDE: usize = 3;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let cases: Vec<Case> = cases::all()
        .filter(|case| wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part)))
        .collect();
    if let Some(reason) = obstacle() {
        println!("SKIPPED interoperation with strongSwan: {reason}");
        println!("test result: ok. 0 passed; 0 failed; {} skipped", cases.len());
        return ExitCode::SUCCESS;
    }
    let begin = clock();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // A soak measures, and wants no neighbours.
    let side_by_side = if patience::soak_seconds().is_some() { 1 } else { SIDE_BY_SIDE };
    thread::scope(|scope| {
        for _ in 0..side_by_side {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(case);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|result| cases.iter().position(|case| case.name == result.name));
    report(&results, begin.elapsed())
}

fn obstacle() -> Option<String> {
    if let Err(error) = s2sd::sys::namespace::Namespace::create() {
        return Some(format!("network namespaces cannot be made here ({error}); run as root"));
    }
    strongswan::obstacle()
}

struct Outcome {
    name: &'static str,
    verdict: Verdict,
    time: Duration,
}

fn run(case: &Case) -> Outcome {
    let begin = clock();
    let attempt = || Place::new(case.name).and_then(|place| (case.run)(&place));
    let verdict = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("something");
        Err(Failure::new(&format!("panicked: {text}"), ""))
    });
    Outcome { name: case.name, verdict, time: begin.elapsed() }
}

fn report(results: &[Outcome], time: Duration) -> ExitCode {
    for Outcome { name, verdict, .. } in results {
        if let Err(failure) = verdict {
            println!("\n---- {name}: {failure}");
        }
    }
    println!();
    for Outcome { name, verdict, time } in results {
        let (mark, note) = match verdict {
            Ok(note) => ("ok  ", note.as_str()),
            Err(failure) => ("FAIL", failure.sentence.as_str()),
        };
        println!("{mark} {:5.1} s  {name:44} {note}", time.as_secs_f64());
    }
    let failed = results.iter().filter(|result| result.verdict.is_err()).count();
    let passed = results.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; in {:.0} s",
        time.as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
