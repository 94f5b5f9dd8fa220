//! The command line.

mod log;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use log::Format;

/// Where the configuration is unless it is said.
const CONFIG: &str = "/etc/s2sd/s2sd.toml";

/// An IKEv2 site-to-site VPN peer for cloud gateways, with certificate authentication.
#[derive(Debug, Parser)]
#[command(name = "s2sd", version, about, long_about = None, propagate_version = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: keep the tunnels of a configuration up until SIGTERM.
    Run(run::Arguments),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    match Line::parse().command {
        Command::Run(arguments) => run::run(&arguments),
    }
}

/// Says why it did not work.
#[expect(clippy::print_stderr, reason = "a command-line tool complains on standard error")]
fn fail(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("s2sd: {why}");
    ExitCode::FAILURE
}

/// The path of the configuration file, as every command takes it.
#[derive(clap::Args, Clone, Debug)]
struct ConfigPath {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}
