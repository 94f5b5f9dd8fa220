//! `s2sd azure doctor`: a connection looked at from end to end.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::client::ServiceAddress;
use crate::cli::{ConfigPath, complain, say};
use crate::doctor::run::DoctorRequest;
use crate::doctor::{self, DoctorVerdict};

/// What `s2sd azure doctor` takes.
#[derive(clap::Args, Debug)]
pub struct DoctorArguments {
    /// The connection's name, as in the configuration.
    #[arg(value_name = "NAME")]
    connection: String,
    #[command(flatten)]
    config: ConfigPath,
    /// A host behind the gateway that answers pings; without it some likely addresses are tried.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Ipv4Addr>,
    /// How long a gateway that does not answer is listened for: it may dial.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    listen: u64,
    /// Do not have the service make new keys, which is how a difference in perfect forward secrecy
    /// shows.
    #[arg(long)]
    no_rekey: bool,
    /// Print JSON; its fields are stable.
    #[arg(long)]
    json: bool,
}

/// Looks, and says what is wrong. The exit code is 0 when nothing is, 1 when there are warnings, 2
/// when something fails.
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
    let order = DoctorRequest {
        file: arguments.config.config.clone(),
        connection: arguments.connection.clone(),
        target: arguments.to,
        listen: Duration::from_secs(arguments.listen),
        rekey: !arguments.no_rekey,
    };
    let service = ServiceAddress::of(arguments.config.clone());
    let facts = doctor::collect_facts(&order, &|ask| service.ask(ask))?;
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
