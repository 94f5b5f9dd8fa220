//! `s2sd azure`: what Azure knows becomes a configuration, and what Azure needs comes out of one.

mod doctor;
mod export;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

/// What there is below `s2sd azure`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a configuration of what `az network ... show` prints.
    Import(import::Arguments),
    /// Print Azure's side of a configuration, as commands, as a template or as the fields of the portal.
    Export(export::Arguments),
    /// Look at a connection from end to end: exit code 0 all is well, 1 warnings, 2 something fails.
    Doctor(doctor::Arguments),
}

/// Does what the command line says.
pub fn azure(command: &Command) -> ExitCode {
    match command {
        Command::Import(arguments) => import::import(arguments),
        Command::Export(arguments) => export::export(arguments),
        Command::Doctor(arguments) => doctor::doctor(arguments),
    }
}
