//! `s2sd check`: all that is wrong with a configuration, before it is put in force.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CONFIG, complain, fail, say};
use crate::config::{self, Severity};
use crate::daemon::files::System;
use crate::sys::clock;

/// What `s2sd check` takes.
#[derive(clap::Args, Debug)]
pub struct CheckArguments {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = CONFIG)]
    file: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks a file. The exit code is 0 when it is fit, 1 when there are warnings, 2 when there are
/// errors.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    let name = arguments.file.display().to_string();
    let text = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            complain(format_args!("{name} cannot be read: {error}"));
            return ExitCode::from(2);
        }
    };
    let report = config::check(&name, &text, &System, clock::now());
    let told = match arguments.json {
        true => serde_json::to_string_pretty(&report).map_err(|error| error.to_string()),
        false => Ok(report.to_string().trim_end().to_owned()),
    };
    match told {
        Ok(text) => say(text),
        Err(error) => return fail(error),
    };
    match report.severity() {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Error) => ExitCode::from(2),
    }
}
