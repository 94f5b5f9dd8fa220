//! Two services, each with a keeper of its descriptors, and traffic between them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::keeper::Keeper;
use super::lab::pair::{NAMES, PATIENCE, certify, configuration};
use super::lab::traffic::clock;
use super::lab::{Lab, SIDES};

pub struct Pair {
    pub keepers: [Keeper; 2],
    pub lab: Lab,
    directory: PathBuf,
}

impl Pair {
    pub fn start(name: &str) -> Option<Pair> {
        let lab = Lab::build()?;
        let directory = std::env::temp_dir().join(format!("s2sd-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let keepers =
            SIDES.map(|side| Keeper::new(directory.join(format!("{}.keeper", NAMES[side]))));
        let mut pair = Pair { keepers, lab, directory };
        for side in SIDES {
            certify(&pair.directory, NAMES[side]);
            pair.configure(side, 45, 1400);
        }
        for side in [1, 0] {
            pair.launch(side);
        }
        pair.wait(0, "up");
        pair.wait(1, "up");
        Some(pair)
    }

    pub fn file(&self, side: usize, kind: &str) -> PathBuf {
        self.directory.join(format!("{}.{kind}", NAMES[side]))
    }

    pub fn configure(&self, side: usize, dpd: u32, mtu: u32) {
        let tunnel = format!("[connection.tunnel]\ninterface = \"azure0\"\nmtu = {mtu}\n");
        let text = configuration(&self.directory, side, dpd) + &tunnel;
        fs::write(self.file(side, "toml"), text).unwrap();
    }

    pub fn launch(&mut self, side: usize) {
        let (config, log) = (self.file(side, "toml"), self.file(side, "log"));
        self.keepers[side].start(&self.lab.gateways[side], &config, &log);
    }

    /// Ends a service in this way and starts the next at once.
    pub fn restart(&mut self, side: usize, signal: Signal) {
        self.keepers[side].end(signal);
        self.launch(side);
    }

    /// Runs a command against a side's service.
    pub fn order(&self, side: usize, words: &[&str]) -> Output {
        let socket = self.file(side, "sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
        command.args(words).arg("--socket").arg(socket).output().unwrap()
    }

    pub fn status(&self, side: usize) -> Json {
        let output = self.order(side, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
    }

    pub fn tunnel(&self, side: usize) -> Json {
        self.status(side)["connections"][0]["tunnels"][0].clone()
    }

    /// The SPIs of a side's active child.
    pub fn spi(&self, side: usize) -> String {
        let children = self.tunnel(side)["children"].clone();
        let active =
            children.as_array().into_iter().flatten().find(|child| child["active"] == true);
        active.map(|child| child["spi_in"].to_string()).unwrap_or_default()
    }

    /// Waits until a side's connection is in this state.
    pub fn wait(&self, side: usize, state: &str) {
        self.wait_for(side, state, |status| status["connections"][0]["state"] == state);
    }

    /// Waits until a service has been up for so long that its state is trusted.
    pub fn settle(&self, side: usize) {
        self.wait_for(side, "settled", |status| {
            status["running_seconds"].as_u64() >= Some(2)
                && status["connections"][0]["state"] == "up"
        });
    }

    pub fn wait_for(&self, side: usize, what: &str, is_so: impl Fn(&Json) -> bool) {
        let began = clock();
        while !is_so(&self.status(side)) {
            assert!(began.elapsed() < PATIENCE, "{} not {what}: {}", NAMES[side], self.log(side));
            // The processors are for the traffic.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self, side: usize) -> String {
        fs::read_to_string(self.file(side, "log")).unwrap_or_default()
    }

    /// How many lines of a side's log have these words.
    pub fn count(&self, side: usize, words: &str) -> usize {
        self.log(side).lines().filter(|line| line.contains(words)).count()
    }

    pub fn routes(&self, side: usize) -> String {
        let read = || fs::read_to_string("/proc/thread-self/net/route");
        self.lab.gateways[side].run(read).unwrap()
    }

    /// The device's number: another device has another.
    pub fn device(&self, side: usize) -> Option<u32> {
        let index = || Ok(nix::net::if_::if_nametoindex("azure0").ok());
        self.lab.gateways[side].run(index).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
