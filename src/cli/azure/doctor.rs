//! `s2sd azure doctor`: checks a connection from end to end.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::client::ServiceAddress;
use crate::cli::{ConfigPath, complain, say};
use crate::doctor::run::DoctorRequest;
use crate::doctor::{self, DoctorVerdict};

/// The arguments of `s2sd azure doctor`.
#[derive(clap::Args, Debug)]
pub struct DoctorArguments {
    /// The connection's name, as in the configuration.
    #[arg(value_name = "NAME")]
    connection: String,
    #[command(flatten)]
    config: ConfigPath,
    /// A host behind the gateway that answers pings; without this option likely addresses are
    /// tried.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Ipv4Addr>,
    /// How long to wait for packets of a gateway that answers no probe, because it may dial itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    listen: u64,
    /// Do not have the service rekey a Child SA; a mismatch of perfect forward secrecy is then not
    /// found.
    #[arg(long)]
    no_rekey: bool,
    /// Print the findings as JSON with stable fields, see s2sd-json(5).
    #[arg(long)]
    json: bool,
}

/// Runs `s2sd azure doctor`. The exit code is 0 when all checks passed, 1 with warnings, 2 with
/// failures.
pub fn doctor(arguments: &DoctorArguments) -> ExitCode {
    match diagnose(arguments) {
        Ok(code) => code,
        Err(why) => {
            complain(why);
            ExitCode::from(2)
        }
    }
}

fn diagnose(arguments: &DoctorArguments) -> Result<ExitCode, String> {
    let request = DoctorRequest {
        file: arguments.config.config.clone(),
        connection: arguments.connection.clone(),
        target: arguments.to,
        listen: Duration::from_secs(arguments.listen),
        rekey: !arguments.no_rekey,
    };
    let service = ServiceAddress::of(arguments.config.clone());
    let facts = doctor::collect_facts(&request, &|ask| service.ask(ask))?;
    let diagnosis = doctor::diagnose(&facts);
    say(match arguments.json {
        true => serde_json::to_string_pretty(&diagnosis).map_err(|error| error.to_string())?,
        false => diagnosis.to_string(),
    });
    Ok(match diagnosis.verdict {
        DoctorVerdict::Ok | DoctorVerdict::Skip => ExitCode::SUCCESS,
        DoctorVerdict::Warn => ExitCode::from(1),
        DoctorVerdict::Fail => ExitCode::from(2),
    })
}
