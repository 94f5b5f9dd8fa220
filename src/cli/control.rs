//! `s2sd up`, `down`, `rekey`, `reload` and `explain`.

use std::process::ExitCode;

use super::client::ServiceAddress;
use super::{fail, say};
use crate::daemon::control::{Ask, ControlAnswer, RekeyWhich};
use crate::daemon::explain::Explanation;

/// A connection and the service that has it.
#[derive(clap::Args, Debug)]
pub struct Named {
    /// The connection's name, as in the configuration.
    #[arg(value_name = "NAME")]
    connection: String,
    #[command(flatten)]
    service: ServiceAddress,
}

/// What `s2sd rekey` takes.
#[derive(clap::Args, Debug)]
pub struct RekeyArguments {
    #[command(flatten)]
    named: Named,
    /// Replace the keys of the IKE SA only.
    #[arg(long, conflicts_with = "child")]
    ike: bool,
    /// Replace the keys of the packets only.
    #[arg(long)]
    child: bool,
}

/// What `s2sd explain` takes.
#[derive(clap::Args, Debug)]
pub struct Explain {
    #[command(flatten)]
    named: Named,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `s2sd reload` takes.
#[derive(clap::Args, Debug)]
pub struct Reload {
    #[command(flatten)]
    service: ServiceAddress,
}

/// Keeps a connection up.
pub fn up(named: Named) -> ExitCode {
    order(&named.service, Ask::Up { connection: named.connection })
}

/// Takes a connection down.
pub fn down(named: Named) -> ExitCode {
    order(&named.service, Ask::Down { connection: named.connection })
}

/// Replaces keys.
pub fn rekey(arguments: RekeyArguments) -> ExitCode {
    let which = match (arguments.ike, arguments.child) {
        (true, _) => RekeyWhich::Ike,
        (_, true) => RekeyWhich::Child,
        _ => RekeyWhich::Both,
    };
    let Named { connection, service } = arguments.named;
    order(&service, Ask::Rekey { connection, which })
}

/// Has the service read its configuration again.
pub fn reload(arguments: &Reload) -> ExitCode {
    order(&arguments.service, Ask::Reload)
}

/// Explains a connection's last refusals.
pub fn explain(arguments: Explain) -> ExitCode {
    let Named { connection, service } = arguments.named;
    match service.ask(Ask::Explain { connection }) {
        Ok(ControlAnswer::Explanations(all)) if arguments.json => {
            match serde_json::to_string_pretty(&all) {
                Ok(text) => say(text),
                Err(error) => fail(error),
            }
        }
        Ok(ControlAnswer::Explanations(all)) => {
            let all: Vec<String> = all.iter().map(tell).collect();
            say(all.join("\n\n"))
        }
        Ok(_) => fail("the service answered something else"),
        Err(why) => fail(why),
    }
}

fn order(service: &ServiceAddress, ask: Ask) -> ExitCode {
    match service.ask(ask) {
        Ok(ControlAnswer::Done(lines)) => say(lines.join("\n")),
        Ok(_) => fail("the service answered something else"),
        Err(why) => fail(why),
    }
}

/// A refusal as a page for people: the sentence, then what it rests on.
fn tell(explanation: &Explanation) -> String {
    let Explanation { tunnel, seconds, text, .. } = explanation;
    let mut page = match seconds {
        Some(seconds) => format!("{tunnel}, {} ago:\n  {text}", crate::cli::format::span(*seconds)),
        None => format!("{tunnel}: {text}"),
    };
    let mut row = |name: &str, value: &str| page += &format!("\n  {name:<12}{value}");
    for line in &explanation.ours {
        row("ours", line);
    }
    for line in &explanation.theirs {
        row("theirs", line);
    }
    let rows = [
        ("difference", &explanation.difference),
        ("to mend it", &explanation.remedy),
        ("look at", &explanation.line),
        ("at Azure", &explanation.az),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            row(name, value);
        }
    }
    for error in &explanation.azure_errors {
        row("Azure logs", error);
    }
    page
}
