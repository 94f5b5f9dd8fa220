//! `s2sd azure import`: the JSON of the Azure command line in, a configuration out.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::fail;

/// What `s2sd azure import` takes.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Files with what `az network ... show` printed, in any order; `-` is standard input.
    #[arg(value_name = "JSON", required = true)]
    files: Vec<PathBuf>,
}

/// Makes a configuration.
pub fn import(arguments: &Arguments) -> ExitCode {
    fail(format_args!("import of {} files is being built", arguments.files.len()))
}
