//! The command line.

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

/// Where the configuration is unless it is said.
const CONFIG: &str = "/etc/s2sd/s2sd.toml";

/// An IKEv2 site-to-site VPN peer for cloud gateways, with certificate authentication.
#[derive(Debug, Parser)]
#[command(name = "s2sd", version, about, long_about = None)]
struct CommandLine {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the service: keep the tunnels of a configuration up until SIGTERM.
    Run(run::RunArguments),
    /// Show a working tunnel on this machine alone: four hosts, two services, pings, TCP, a
    /// rekeying under load.
    Demo(demo::DemoArguments),
    /// Say what is wrong with a configuration file: exit code 0 fit, 1 warnings, 2 errors.
    Check(check::CheckArguments),
    /// From Azure to a configuration, and from a configuration to Azure.
    #[command(subcommand)]
    Azure(azure::AzureCommand),
    /// Show how the connections are: exit code 0 when all are up.
    Status(status::StatusArguments),
    /// Keep a connection up.
    Up(control::Named),
    /// Take a connection down; it stays so until `up`, or until the service is stopped.
    Down(control::Named),
    /// Replace keys now: of the packets and of the IKE SA.
    Rekey(control::RekeyArguments),
    /// Have the service read its configuration again, and say what changed.
    Reload(control::Reload),
    /// Explain why a connection was last refused, and what would mend it.
    Explain(control::Explain),
    /// Keep private keys for the service, which starts it.
    #[command(hide = true)]
    Signer,
    /// Make, export and explain the certificates of both ends, by the rules of Azure's article.
    Pki(pki::PkiArguments),

    /// Write the manual pages or shell completions, for a package.
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
}

/// Does what the command line says.
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

/// Answers on standard output. Whoever closed it wanted no more.
fn say(what: impl Display) -> ExitCode {
    match writeln!(std::io::stdout(), "{what}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says why it did not work.
fn fail(why: impl Display) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "a command-line tool complains on standard error")]
fn complain(why: impl Display) {
    eprintln!("s2sd: {why}");
}

/// The path of the configuration file.
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
