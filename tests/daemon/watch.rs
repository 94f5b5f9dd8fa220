//! `s2sd status` as it is watched: in a pipe, on a terminal, and where the service has another
//! control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use super::lab::pair::{PATIENCE, Pair};
use super::lab::skip;
use super::lab::traffic::clock;

/// A command that goes on, with what it says.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
}

impl Watcher {
    fn start(command: &mut Command) -> Watcher {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Whoever drops the receiver has the pipe closed.
        std::thread::spawn(move || {
            reader.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        Watcher { child, lines }
    }

    /// The next line with this in it.
    fn see(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no {part:?} in {seen:#?}"));
            if line.contains(part) {
                return line;
            }
            seen.push(line);
            assert!(seen.len() < 10_000, "no {part:?} in {seen:#?}");
        }
    }

    /// The next line that it complains with.
    fn complaint(&mut self) -> String {
        let pipe = self.child.stderr.as_mut().unwrap();
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], patience).unwrap();
        assert_eq!(ready, 1, "no complaint in {PATIENCE:?}");
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        line
    }

    /// Reads on until its end; how that was, and what it complained of.
    fn end(self) -> (ExitStatus, String) {
        let began = clock();
        while self.lines.recv_timeout(PATIENCE).is_ok() {
            assert!(began.elapsed() < PATIENCE, "it goes on and on");
        }
        self.leave()
    }

    /// Reads no more, and waits for its end.
    fn leave(self) -> (ExitStatus, String) {
        let Watcher { mut child, lines } = self;
        drop(lines);
        let began = clock();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not notice that nobody reads");
            std::thread::yield_now();
        };
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        (status, complaints)
    }
}

fn watch(pair: &Pair, more: &[&str]) -> Watcher {
    // Whoever runs the tests in the background may have them ignore interrupts.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_s2sd"), "status", "--watch"])
        .args(more)
        .arg("--socket")
        .arg(pair.file(0, "sock"));
    Watcher::start(&mut command)
}

#[test]
fn a_watched_status_follows_the_service_through_its_absence() {
    let Some(mut pair) = Pair::start("watch") else { return };
    let watcher = watch(&pair, &[]);
    let mut programs = watch(&pair, &["--json"]);
    watcher.see("tunnel  up");
    pair.obey(0, &["down", "tunnel"]);
    watcher.see("tunnel  down");
    for _ in 0..2 {
        let line = programs.see("running_seconds");
        assert_eq!(serde_json::from_str::<Json>(&line).unwrap()["version"], 1, "one line each");
    }
    pair.end(0, Signal::SIGTERM);
    watcher.see("the service does not run");
    let complaint = programs.complaint();
    assert!(complaint.contains("the service does not run"), "{complaint:?}");
    pair.launch(0);
    let line = watcher.see("tunnel  up");
    assert!(!line.contains('\x1b'), "no colours in a pipe: {line:?}");

    // An interrupt ends it at once; so does a reader that goes away.
    kill(Pid::from_raw(i32::try_from(watcher.child.id()).unwrap()), Signal::SIGINT).unwrap();
    let (status, complaints) = watcher.end();
    assert_eq!((status.signal(), complaints.as_str()), (Some(Signal::SIGINT as i32), ""));
    let (status, complaints) = programs.leave();
    assert!(status.success(), "{status}: {complaints}");
    let (status, complaints) = watch(&pair, &[]).leave();
    assert!(status.success() && complaints.is_empty(), "{status}: {complaints}");

    let stranger = watch(&pair, &["nobody"]).end();
    assert_eq!(stranger.0.code(), Some(1), "what is not there at first is not waited for");
    assert!(stranger.1.contains("no connection is called nobody"), "{}", stranger.1);
}

#[test]
fn on_a_terminal_one_page_stands_for_the_other_until_control_c() {
    let Some(pair) = Pair::start("terminal") else { return };
    if Command::new("script").arg("--version").output().is_err() {
        return skip(
            "a watched status on a terminal: no program `script` (Debian package bsdutils)",
        );
    }
    let words = format!(
        "env --default-signal=INT {} status --watch --socket {}",
        env!("CARGO_BIN_EXE_s2sd"),
        pair.file(0, "sock").display()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &words, "/dev/null"]).env_remove("NO_COLOR");
    let mut watcher = Watcher::start(&mut command);
    for _ in 0..2 {
        watcher.see("\x1b[H\x1b[2J");
        watcher.see("\x1b[32mup\x1b[0m");
    }
    watcher.child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let (status, complaints) = watcher.end();
    assert_eq!((status.code(), complaints.as_str()), (Some(128 + Signal::SIGINT as i32), ""));
}

#[test]
fn commands_find_the_service_by_its_configuration() {
    let Some(pair) = Pair::start("socket") else { return };
    let ask = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
        command.args(words).arg("--config").arg(pair.file(0, "toml")).output().unwrap()
    };
    for words in [&["status"][..], &["rekey", "tunnel", "--child"], &["reload"]] {
        let output = ask(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A file that is wrong elsewhere still says where to ask what is wrong with it.
    pair.edit(0, "\"Default\"", "\"Defalt\"");
    let refused = ask(&["reload"]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("did you mean \"Default\""), "{complaint}");
    // One that says otherwise by now has to be overridden.
    pair.edit(0, "site.sock", "other.sock");
    let lost = ask(&["status"]);
    let complaint = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert!(complaint.contains("other.sock") && complaint.contains("--socket"), "{complaint}");
    assert!(pair.order(0, &["status"]).status.success());
}
