//! Waiting for conditions with a deadline, and the failure when a condition does not come true.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

/// Why a case failed: a sentence, then whatever helps to see why.
#[derive(Clone, Debug)]
pub struct Failure {
    pub sentence: String,
    pub evidence: String,
}

impl Failure {
    pub fn new(sentence: &str, evidence: impl Display) -> Failure {
        Failure { sentence: sentence.into(), evidence: evidence.to_string() }
    }

    /// With one more piece of evidence.
    pub fn with(mut self, title: &str, text: &str) -> Failure {
        self.evidence += &format!("\n--- {title}\n{text}");
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.sentence, self.evidence)
    }
}

/// Demands what a case is about.
pub fn ensure(holds: bool, sentence: &str, evidence: impl Display) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(sentence, evidence)) }
}

/// Asks until there is an answer.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T, Failure> {
    let deadline = clock() + patience;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if clock() > deadline {
            return Err(Failure::new(&format!("waited {patience:?} in vain for {what}"), ""));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Seconds of each part of a soak, when one is asked for: see `cases/soak.rs`.
pub fn soak_seconds() -> Option<u64> {
    std::env::var("S2SD_SOAK_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"))
}

/// How many planned restarts, and how many crashes, the case of restarts has: see
/// `cases/restart.rs`.
pub fn restarts() -> usize {
    std::env::var("S2SD_RESTARTS").map_or(3, |text| text.parse().expect("a number of restarts"))
}

/// Seconds that no daemon of a test outlives, whatever becomes of the test.
pub fn life() -> String {
    (270 + 3 * soak_seconds().unwrap_or(0) + 5 * restarts() as u64).to_string()
}

/// The clock of deadlines.
#[expect(clippy::disallowed_methods, reason = "a test's patience is measured in real time")]
pub fn clock() -> Instant {
    Instant::now()
}
