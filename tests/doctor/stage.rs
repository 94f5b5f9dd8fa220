//! The setup of a fault: two services in network namespaces, and the doctor beside our service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value as Json;

use super::credentials::{self, Credentials};
use super::daemon::{self, Daemon, Settings};
use super::lab::Lab;
use super::patience::{Failure, until};

/// The name of the connection that `daemon::Settings` write.
pub const CONNECTION: &str = "VNet1-to-Site1";

/// The setup of one run; a fault changes it.
pub struct Plan {
    /// The settings of our service.
    pub ours: Settings,
    /// Whether our service runs; otherwise only its files exist.
    pub ours_runs: bool,
    /// The settings of the gateway's service.
    pub theirs: Settings,
    /// Rules of the input filter of our gateway and of theirs.
    pub filters: [Vec<&'static str>; 2],
    /// The error of our clock in seconds.
    pub clock: i64,
    /// Further arguments of the doctor.
    pub words: Vec<&'static str>,
    /// Settings of this host: a file below /proc/sys/net, and what is written there.
    pub settings: Vec<(&'static str, &'static str)>,
    /// The state of our service to wait for before the doctor runs.
    pub wait: Wait,
}

/// The state of our service to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wait {
    Up,
    Refused,
    Nothing,
}

impl Plan {
    /// A setup without a fault.
    pub fn new() -> Plan {
        let [here, there] = credentials::azure();
        let mut theirs = gateway(&there);
        // The gateway answers, and does not dial.
        theirs.mode = "InitiatorOnly";
        Plan {
            ours: Settings::new(&here),
            ours_runs: true,
            theirs,
            filters: [vec![], vec![]],
            clock: 0,
            words: vec![],
            settings: vec![],
            wait: Wait::Refused,
        }
    }

    /// Sets other certificates for both ends.
    pub fn certify(&mut self, [here, there]: [Credentials; 2]) {
        (self.ours.credentials, self.theirs.credentials) = (here, there);
    }
}

/// The settings of the other end.
fn gateway(credentials: &Credentials) -> Settings {
    Settings {
        here: "203.0.113.2".into(),
        there: vec!["203.0.113.1".into()],
        local: vec!["10.2.0.0/24".into()],
        remote: vec!["10.1.0.0/24".into()],
        ..Settings::new(credentials)
    }
}

/// The output of the doctor.
pub struct DoctorRun {
    pub code: Option<i32>,
    pub findings: Vec<Json>,
    /// The output and both logs, for the message of a failed test.
    pub text: String,
}

impl DoctorRun {
    /// The first failing check.
    pub fn first_failure(&self) -> Option<&Json> {
        self.findings.iter().find(|finding| finding["verdict"] == "fail")
    }

    /// The finding of a check.
    pub fn of(&self, check: &str) -> Option<&Json> {
        self.findings.iter().find(|finding| finding["check"] == check)
    }
}

/// Sets up a plan, and runs the doctor.
pub fn run_doctor(name: &str, plan: &Plan) -> Result<DoctorRun, Failure> {
    let lab = Lab::build().ok_or_else(|| Failure::new("no namespaces", ""))?;
    let directory = Directory::new(name)?;
    for (gateway, rules) in lab.gateways.iter().zip(&plan.filters) {
        gateway
            .run(|| filter(rules))
            .map_err(|error| Failure::new("nft does not take the filter", error))?;
    }
    for (file, value) in &plan.settings {
        lab.gateways[0]
            .run(|| std::fs::write(format!("/proc/sys/net/{file}"), value))
            .map_err(|error| Failure::new("a setting cannot be changed", error))?;
    }
    let theirs = Daemon::start(&lab.gateways[1], &directory.0.join("theirs"), &plan.theirs)?;
    let home = directory.0.join("ours");
    let ours = match plan.ours_runs {
        true => Some(Daemon::start(&lab.gateways[0], &home, &plan.ours)?),
        false => None,
    };
    if ours.is_none() {
        daemon::write(&home, &plan.ours)
            .map_err(|error| Failure::new("our files cannot be written", error))?;
    }
    let (config, socket) = (home.join("s2sd.toml"), home.join("control.sock"));
    await_service(plan.wait, &socket)?;
    let output = lab.gateways[0]
        .run(|| {
            let mut doctor = Command::new(env!("CARGO_BIN_EXE_s2sd"));
            doctor.args(["azure", "doctor", CONNECTION, "--json", "--config"]).arg(&config);
            if plan.clock != 0 {
                doctor.env("LD_PRELOAD", shifted_clock()?);
                doctor.env("S2SD_TEST_CLOCK_OFF", plan.clock.to_string());
            }
            doctor.args(&plan.words).output()
        })
        .map_err(|error| Failure::new("the doctor cannot be started", error))?;
    let logs = [ours.as_ref().map(Daemon::log).unwrap_or_default(), theirs.log()];
    read(&output, &logs)
}

fn read(output: &Output, logs: &[String; 2]) -> Result<DoctorRun, Failure> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = || format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let diagnosis: Json = serde_json::from_str(&text)
        .map_err(|_| Failure::new("the doctor prints no JSON", why()))?;
    let findings = diagnosis["findings"].as_array().cloned().unwrap_or_default();
    let text = format!("{text}\n--- ours\n{}\n--- theirs\n{}", logs[0], logs[1]);
    Ok(DoctorRun { code: output.status.code(), findings, text })
}

fn await_service(wait: Wait, socket: &Path) -> Result<(), Failure> {
    if wait == Wait::Nothing {
        return Ok(());
    }
    let mut last = Json::Null;
    until("our service to come to something", Duration::from_secs(20), || {
        let mut ask = Command::new(env!("CARGO_BIN_EXE_s2sd"));
        let output = ask.args(["status", "--json", "--socket"]).arg(socket).output().ok()?;
        last = serde_json::from_slice(&output.stdout).ok()?;
        let tunnel = &last["connections"][0]["tunnels"][0];
        let there = match wait {
            Wait::Up => tunnel["state"] == "up",
            _ => tunnel["last_error"] != Json::Null || tunnel["state"] == "broken",
        };
        there.then_some(())
    })
    .map_err(|failure| failure.with("its status", &format!("{last:#}")))
}

fn filter(rules: &[&str]) -> std::io::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let rules = rules.join("\n");
    let table = format!(
        "table ip fault {{\nchain arriving {{\ntype filter hook input priority 0;\n{rules}\n}}\n}}\n"
    );
    let status = Command::new("nft").arg(table).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other("nft refuses the rules")) }
}

/// The path of the library of `clock.c`, which is compiled once.
fn shifted_clock() -> std::io::Result<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shifted-clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        cc.status().is_ok_and(|status| status.success()).then_some(library)
    });
    built
        .as_deref()
        .ok_or_else(|| std::io::Error::other("cc does not compile tests/doctor/clock.c"))
}

/// The directory of one run; dropping the value removes it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Result<Directory, Failure> {
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = std::env::temp_dir().join(format!("s2sd-doctor-{}-{plain}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| Failure::new("the case's directory", error))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
