//! `s2sd azure export`: Azure's side of a configuration.

use std::process::ExitCode;

use crate::cli::{ConfigPath, fail};

/// What `s2sd azure export` takes.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
}

/// Prints Azure's side.
pub fn export(arguments: &Arguments) -> ExitCode {
    fail(format_args!("export of {} is being built", arguments.config.config.display()))
}
