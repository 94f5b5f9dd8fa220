//! `s2sd demo`, the first command that a newcomer runs: it shows a tunnel, and leaves nothing
//! behind, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::lab::Lab;

/// The demonstration, with a directory of its own for its files.
fn demo(name: &str, arguments: &[&str]) -> (Command, PathBuf) {
    let directory = std::env::temp_dir().join(format!("s2sd-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
    command.arg("demo").args(arguments).env("TMPDIR", &directory).stdout(Stdio::piped());
    (command, directory)
}

fn expect_nothing_left(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_dir(directory).unwrap();
}

#[test]
fn the_demonstration_shows_a_tunnel_in_figures() {
    let Some(_can_be_had) = Lab::build() else { return };
    let (mut command, directory) = demo("show", &["--seconds", "2", "--json"]);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&shown["pings_answered"], &shown["rekeys"]), (&5.into(), &2.into()), "{shown:#}");
    assert!(shown["tcp_bytes"].as_u64() > Some(1 << 20), "{shown:#}");
    assert_eq!(shown["status"]["connections"][0]["state"], "up", "{shown:#}");
    expect_nothing_left(&directory);
}

#[test]
fn a_demonstration_that_is_ended_early_leaves_nothing() {
    let Some(_can_be_had) = Lab::build() else { return };
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (mut command, directory) = demo("ended", &["--seconds", "60"]);
        let mut show = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(show.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Gbit/s")), "no traffic");
        kill(Pid::from_raw(i32::try_from(show.id()).unwrap()), signal).unwrap();
        // Whoever reads no longer is no reason not to clean up either.
        drop(lines);
        assert_eq!(show.wait().unwrap().code(), Some(1), "{signal}");
        expect_nothing_left(&directory);
    }
}
