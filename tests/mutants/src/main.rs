//! Mutants: a sample of small faults in `src`, all in one build behind a switch, and every test that reaches one.
//!
//! ```text
//! cargo run --manifest-path tests/mutants/Cargo.toml -- prepare --seed 7 --count 200
//! cargo run --manifest-path tests/mutants/Cargo.toml -- run --shard 1/2 & ... -- run --shard 2/2
//! cargo run --manifest-path tests/mutants/Cargo.toml -- report
//! ```
//!
//! `prepare` copies the tree to `target/mutants/tree`, plants the sample, builds every test binary and
//! runs each once with no mutant on, to learn which mutants it reaches. `run` turns one mutant on at a
//! time (the variable `S2SD_MUTANT`) and runs the binaries that reach it, the quickest first, until a
//! test fails; it can be stopped and goes on where it was.
//!
//! | file | what is in it |
//! |---|---|
//! | `find.rs` | every mutant of a source file |
//! | `plant.rs` | the sample, and the copy of the tree with the sample in it |
//! | `suite.rs` | the test binaries: built, traced, run |

mod find;
mod plant;
mod suite;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// Any failure of this tool: it is told and ends.
type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Where everything of this tool lies, below the repository's root.
struct Room {
    /// The repository's root.
    root: PathBuf,
    /// The copy with the mutants in it.
    tree: PathBuf,
    /// What is kept between the commands: the sample, the binaries, the results.
    kept: PathBuf,
}

impl Room {
    fn new() -> Room {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kept = root.join("target/mutants");
        Room { root, tree: kept.join("tree"), kept }
    }

    /// Runs cargo on the copy: its messages, and whether it succeeded.
    fn cargo(&self, arguments: &[&str]) -> Fallible<(Vec<Value>, bool)> {
        let output = Command::new("cargo")
            .args(arguments)
            .args(["--all-features", "--quiet", "--message-format=json"])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", self.kept.join("target"))
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let messages = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok((messages.collect(), output.status.success()))
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("prepare") => prepare(&words),
        Some("run") => run(&words),
        Some("report") => report(),
        _ => Err("usage: prepare [--seed N] [--count N] | run [--shard K/N] | report".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mutants: {why}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(words: &[String]) -> Fallible<()> {
    let room = Room::new();
    let seed = option(words, "--seed").unwrap_or("1").parse()?;
    let count = option(words, "--count").unwrap_or("200").parse()?;
    plant::plant_sample(&room, seed, count)?;
    suite::trace(&room)
}

fn run(words: &[String]) -> Fallible<()> {
    let (shard, shards) =
        option(words, "--shard").unwrap_or("1/1").split_once('/').ok_or("--shard K/N")?;
    suite::run(&Room::new(), shard.parse()?, shards.parse()?)
}

fn report() -> Fallible<()> {
    suite::report(&Room::new())
}

/// The word after `name`.
fn option<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}
