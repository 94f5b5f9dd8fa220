//! `s2sd azure`: what Azure knows becomes a configuration, and what Azure needs comes out of one.

mod doctor;
mod export;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

/// What there is below `s2sd azure`.
#[derive(Debug, Subcommand)]
pub enum AzureCommand {
    /// Make a configuration of what `az network ... show` prints.
    Import(import::AzureImportArguments),
    /// Print Azure's side of a configuration, as commands, as a template or as the fields of the
    /// portal.
    Export(export::AzureExportArguments),
    /// Look at a connection from end to end: exit code 0 all is well, 1 warnings, 2 something
    /// fails.
    Doctor(doctor::DoctorArguments),
}

/// Does what the command line says.
pub fn azure(command: &AzureCommand) -> ExitCode {
    match command {
        AzureCommand::Import(arguments) => import::import(arguments),
        AzureCommand::Export(arguments) => export::export(arguments),
        AzureCommand::Doctor(arguments) => doctor::doctor(arguments),
    }
}
