//! `s2sd check`: all that is wrong with a configuration, before it is put in force.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CONFIG, complain, fail, say};
use crate::config::{self, Severity};

/// What `s2sd check` takes.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = CONFIG)]
    file: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks a file. The exit code is 0 when it is fit, 1 when there are warnings, 2 when there are errors.
pub fn check(arguments: &Arguments) -> ExitCode {
    let name = arguments.file.display().to_string();
    let text = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            complain(format_args!("{name} cannot be read: {error}"));
            return ExitCode::from(2);
        }
    };
    let found = config::parse(&name, &text).found;
    if arguments.json {
        match serde_json::to_string_pretty(&found) {
            Ok(text) => say(text),
            Err(error) => return fail(error),
        };
    } else if found.is_empty() {
        say(format_args!("{name}: no fault found"));
    } else {
        let all: Vec<String> = found.iter().map(ToString::to_string).collect();
        say(all.join("\n").trim_end());
    }
    let gravest = found.iter().map(|found| found.severity).min();
    match gravest {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Error) => ExitCode::from(2),
    }
}
