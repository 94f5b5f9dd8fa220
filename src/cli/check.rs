//! `s2sd check`: all errors and warnings of a configuration, before the service uses it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CONFIG, complain, fail, say};
use crate::config::{self, Severity};
use crate::daemon::files::{self, System};
use crate::sys::clock;

/// The arguments of `s2sd check`.
#[derive(clap::Args, Debug)]
pub struct CheckArguments {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = CONFIG)]
    file: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `s2sd check`. The exit code is 0 without findings, 1 with warnings, 2 with errors.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    let name = arguments.file.display().to_string();
    let text = match files::configuration(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            complain(format_args!("{name} cannot be read: {error}"));
            return ExitCode::from(2);
        }
    };
    let report = config::check(&name, &text, &System, clock::now());
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report).map_err(|error| error.to_string()),
        false => Ok(report.to_string().trim_end().to_owned()),
    };
    match text {
        Ok(text) => say(text),
        Err(error) => return fail(error),
    };
    match report.severity() {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Error) => ExitCode::from(2),
    }
}
