//! The doctor against faults, one at a time, between two services in network namespaces: the first
//! failing check must name the fault.
//!
//! ```text
//! host 0 ── lan ── s2sd, and the doctor ══ wan ══ s2sd as the gateway ── lan ── host 1
//! 10.1.0.10        203.0.113.1              203.0.113.2             10.2.0.10
//! ```
//!
//! The test has a `main` of its own because its output is a table. Without root the test is skipped
//! with a message.
//!
//! `cargo test --test doctor [PART OF A FAULT'S NAME ...]` runs the faults with such names.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_debug_implementations,
    missing_docs,
    reason = "a test's own harness"
)]

#[allow(dead_code, reason = "its other user makes more kinds of certificates")]
#[path = "../interop/credentials.rs"]
mod credentials;
#[allow(dead_code, reason = "its other user follows the log, and signals")]
#[path = "../interop/daemon.rs"]
mod daemon;
mod faults;
#[path = "../lab/mod.rs"]
mod lab;
#[allow(dead_code, unused_imports, reason = "its other user makes more kinds of certificates")]
#[path = "../certificates/maker.rs"]
mod maker;
#[allow(dead_code, reason = "its other user demands more")]
#[path = "../interop/patience.rs"]
mod patience;
mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use faults::{FAULTS, Fault};
use patience::{Failure, clock, ensure};
use stage::{DoctorRun, Plan, run_doctor};

/// The faults that are tested in parallel: most of their time is waiting.
const PARALLEL: usize = 4;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let cases: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| wanted.is_empty() || wanted.iter().any(|part| fault.name.contains(part)))
        .collect();
    if let Some(reason) = missing_requirement() {
        println!("SKIPPED the doctor test: {reason}");
        println!("test result: ok. 0 passed; 0 failed; {} skipped", cases.len());
        return ExitCode::SUCCESS;
    }
    let begin = clock();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(fault) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = clock();
                    let attempt = || diagnose(fault);
                    let verdict = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        Err(Failure::new(&format!("panicked: {text}"), ""))
                    });
                    results.lock().unwrap().push((fault.name, verdict, begin.elapsed()));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(name, ..)| cases.iter().position(|fault| fault.name == *name));
    report(&results, begin.elapsed())
}

fn missing_requirement() -> Option<String> {
    if let Err(error) = s2sd::sys::namespace::Namespace::create() {
        return Some(format!("network namespaces cannot be made here ({error}); run as root"));
    }
    let nft = Command::new("nft").arg("--version").output();
    nft.is_err().then(|| "no nft (Debian package nftables)".to_owned())
}

/// Sets up a fault and checks that the doctor's first failure names it. Returns that failure.
fn diagnose(fault: &Fault) -> Result<String, Failure> {
    let mut plan = Plan::new();
    (fault.plant)(&mut plan);
    let run = run_doctor(fault.name, &plan)?;
    match fault.check {
        None => nothing_wrong(&run),
        Some(check) => {
            let first = run
                .first_failure()
                .ok_or_else(|| Failure::new("the doctor reports no failure", &run.text))?;
            let line = format!("{}: {}", first["check"], first["seen"]);
            ensure(first["check"] == check, &format!("the first failure is {line}"), &run.text)?;
            let all = first.to_string().replace("\\\"", "\"");
            for part in fault.says {
                ensure(all.contains(part), &format!("{part} is missing in {line}"), &run.text)?;
            }
            ensure(run.code == Some(2), "the exit code is 2", &run.text)?;
            Ok(line.replace('"', ""))
        }
    }
}

/// Checks that all findings are ok, but for the clock: a test host may have no time
/// synchronization.
fn nothing_wrong(run: &DoctorRun) -> Result<String, Failure> {
    let with_service = run.of("service").is_some_and(|finding| finding["verdict"] == "ok");
    let spoiled = |check: &str| !(check == "clock" || (check == "service" && !with_service));
    let wrong = run.findings.iter().find(|finding| {
        let check = finding["check"].as_str().unwrap_or_default();
        matches!(finding["verdict"].as_str(), Some("warn" | "fail")) && spoiled(check)
    });
    ensure(wrong.is_none(), "the doctor reports a failure or warning", &run.text)?;
    let skipped = |finding: &&serde_json::Value| finding["verdict"] == "skip";
    let skips = run.findings.iter().filter(skipped).count();
    ensure(!with_service || skips == 0, "the doctor skips a check", &run.text)?;
    ensure(matches!(run.code, Some(0 | 1)), "the exit code is 0 or 1", &run.text)?;
    Ok(format!("{} lines", run.findings.len()))
}

fn report(results: &[(&str, Result<String, Failure>, Duration)], time: Duration) -> ExitCode {
    for (name, verdict, _) in results {
        if let Err(failure) = verdict {
            println!("\n---- {name}: {failure}");
        }
    }
    println!();
    for (name, verdict, time) in results {
        let (mark, note) = match verdict {
            Ok(note) => ("ok  ", note.as_str()),
            Err(failure) => ("FAIL", failure.sentence.as_str()),
        };
        println!("{mark} {:5.1} s  {name:40} {note}", time.as_secs_f64());
    }
    let failed = results.iter().filter(|(_, verdict, _)| verdict.is_err()).count();
    let passed = results.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; in {:.0} s",
        time.as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
