//! The command line: one module for each command.
//!
//! | file | what lives there |
//! |---|---|
//! | `run.rs` | `s2sd run`: starts and confines the service |
//! | `signer.rs` | `s2sd signer`: the process that keeps private keys, started by `s2sd run` |
//! | `check.rs` | `s2sd check`: errors and warnings of a configuration |
//! | `status.rs` | `s2sd status`: the page and the JSON |
//! | `control.rs` | `s2sd up`, `down`, `rekey`, `reload`, `explain` |
//! | `client.rs` | the control socket's client, which all of these use |
//! | `azure/` | `s2sd azure import`, `export`, `doctor` |
//! | `pki/` | `s2sd pki init`, `issue`, `show`, `export` |
//! | `demo/` | `s2sd demo`: two services and a tunnel on this host |
//! | `generate.rs`, `manual/` | `s2sd generate`: manual pages and shell completions |
//! | `log.rs` | the log on standard error |
//! | `format.rs` | durations, byte counts and colours |

mod azure;
mod check;
mod client;
mod control;
mod demo;
mod format;
mod generate;
mod log;
mod manual;
mod pki;
mod run;
mod signer;
mod status;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The default path of the configuration file.
const CONFIG: &str = "/etc/s2sd/s2sd.toml";

/// What `s2sd --version` prints. A program that `cargo bench` or `cargo test --release` left behind
/// has the simulator's cryptography inside, and says so.
const VERSION: &str = if cfg!(feature = "fake") {
    concat!(env!("CARGO_PKG_VERSION"), " (a build for tests)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// An IKEv2 site-to-site VPN peer for cloud gateways, with certificate authentication.
#[derive(Debug, Parser)]
#[command(name = "s2sd", version = VERSION, about, long_about = None)]
struct CommandLine {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the service: keep the tunnels of a configuration up until SIGTERM.
    Run(run::RunArguments),
    /// Show a working tunnel within this host: four network namespaces, two services, pings, TCP,
    /// and a rekey under load.
    Demo(demo::DemoArguments),
    /// Check a configuration file: exit code 0 no findings, 1 warnings, 2 errors.
    Check(check::CheckArguments),
    /// Convert Azure's resources to a configuration and back, and diagnose a connection.
    #[command(subcommand)]
    Azure(azure::AzureCommand),
    /// Show the state of the connections: exit code 0 when all are up, 1 otherwise.
    Status(status::StatusArguments),
    /// Bring a connection up, and keep it up.
    Up(control::ConnectionArguments),
    /// Take a connection down; the connection stays down until `up`, or until the service stops.
    Down(control::ConnectionArguments),
    /// Rekey now: the IKE SA and its Child SAs.
    Rekey(control::RekeyArguments),
    /// Have the service read its configuration again, and print what changed.
    Reload(control::ReloadArguments),
    /// Explain why a connection was last refused, and how to fix it.
    Explain(control::ExplainArguments),
    /// Keep the private keys of the service; `s2sd run` starts this command itself.
    #[command(hide = true)]
    Signer,
    /// Create, export and explain the certificates of both ends, by the rules of Azure's article.
    Pki(pki::PkiArguments),
    /// Write the manual pages or shell completions, for a package.
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
}

/// Runs the command of the command line.
pub fn main() -> ExitCode {
    match CommandLine::parse().command {
        CliCommand::Run(arguments) => run::run(&arguments),
        CliCommand::Demo(arguments) => demo::demo(&arguments),
        CliCommand::Check(arguments) => check::check(&arguments),
        CliCommand::Azure(command) => azure::azure(&command),
        CliCommand::Status(arguments) => status::status(&arguments),
        CliCommand::Up(named) => control::up(named),
        CliCommand::Down(named) => control::down(named),
        CliCommand::Rekey(arguments) => control::rekey(arguments),
        CliCommand::Reload(arguments) => control::reload(&arguments),
        CliCommand::Explain(arguments) => control::explain(arguments),
        CliCommand::Signer => signer::run(),
        CliCommand::Pki(arguments) => pki::pki(&arguments),
        CliCommand::Generate(arguments) => generate::generate(&arguments),
    }
}

/// Prints a line on standard output. A closed output is a failure without a message.
fn say(what: impl Display) -> ExitCode {
    match writeln!(std::io::stdout(), "{what}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints an error on standard error and returns the exit code 1.
fn fail(why: impl Display) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "a command-line tool prints errors on standard error")]
fn complain(why: impl Display) {
    eprintln!("s2sd: {why}");
}

/// The option that names the configuration file.
#[derive(clap::Args, Clone, Debug)]
struct ConfigPath {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

impl Default for ConfigPath {
    fn default() -> ConfigPath {
        ConfigPath { config: CONFIG.into() }
    }
}
