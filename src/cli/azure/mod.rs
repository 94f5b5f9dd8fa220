//! `s2sd azure`: converts Azure's resources to a configuration and back, and diagnoses a
//! connection.
//!
//! | file | what lives there |
//! |---|---|
//! | `import.rs` | `s2sd azure import`: from the JSON of `az` to a configuration |
//! | `export.rs` | `s2sd azure export`: from a configuration to commands or templates for Azure |
//! | `doctor.rs` | `s2sd azure doctor`: checks a connection from end to end |

mod doctor;
mod export;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

/// The commands below `s2sd azure`.
#[derive(Debug, Subcommand)]
pub enum AzureCommand {
    /// Make a configuration from the output of `az network ... show`.
    Import(import::AzureImportArguments),
    /// Print Azure's side of a configuration: as commands, as a template, or as fields of the
    /// portal.
    Export(export::AzureExportArguments),
    /// Check a connection from end to end: exit code 0 all checks passed, 1 warnings, 2 failures.
    Doctor(doctor::DoctorArguments),
}

/// Runs a command below `s2sd azure`.
pub fn azure(command: &AzureCommand) -> ExitCode {
    match command {
        AzureCommand::Import(arguments) => import::import(arguments),
        AzureCommand::Export(arguments) => export::export(arguments),
        AzureCommand::Doctor(arguments) => doctor::doctor(arguments),
    }
}
