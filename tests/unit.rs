//! The unit as systemd reads it: no mistake in it, and little that a broken service could reach.
//! Says so and passes where there is no systemd-analyze.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What `systemd-analyze security` may say at most, of 10.
const EXPOSURE: f64 = 2.0;

/// Runs systemd-analyze on the unit, with a program that is there.
fn analyze(name: &str, arguments: &[&str]) -> Option<Output> {
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/s2sd.service"));
    let unit = unit.unwrap().replace("/usr/bin/s2sd", env!("CARGO_BIN_EXE_s2sd"));
    let directory: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("s2sd.service");
    fs::write(&file, unit).unwrap();
    match Command::new("systemd-analyze").args(arguments).arg(&file).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let reason =
                format!("\nSKIPPED the unit: systemd-analyze does not run here ({error})\n");
            io::stderr().write_all(reason.as_bytes()).unwrap();
            None
        }
    }
}

#[test]
fn the_unit_is_without_mistakes() {
    // The manual pages are installed by the package only.
    let Some(output) = analyze("verify", &["verify", "--man=no"]) else { return };
    // Other units of this host are looked at too, and are not ours to mend.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("s2sd"), "{said}");
}

#[test]
fn the_unit_is_well_locked_up() {
    let Some(output) = analyze("security", &["security", "--offline=yes", "--no-pager"]) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let overall = said.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let level = overall.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(level.parse::<f64>().unwrap() <= EXPOSURE, "{said}");
}
