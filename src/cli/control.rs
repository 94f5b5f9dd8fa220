//! `s2sd up`, `down`, `rekey`, `reload` and `explain`: commands for the running service.

use std::process::ExitCode;

use super::client::ServiceAddress;
use super::{fail, say};
use crate::daemon::control::{Ask, ControlAnswer, RekeyWhich};
use crate::daemon::explain::Explanation;
use crate::doctor::service::ServiceError;

/// The arguments that name a connection and its service.
#[derive(clap::Args, Debug)]
pub struct ConnectionArguments {
    /// The connection's name, as in the configuration.
    #[arg(value_name = "NAME")]
    connection: String,
    #[command(flatten)]
    service: ServiceAddress,
}

/// The arguments of `s2sd rekey`.
#[derive(clap::Args, Debug)]
pub struct RekeyArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Rekey the IKE SA only.
    #[arg(long, conflicts_with = "child")]
    ike: bool,
    /// Rekey the Child SAs (ESP) only.
    #[arg(long)]
    child: bool,
}

/// The arguments of `s2sd explain`.
#[derive(clap::Args, Debug)]
pub struct ExplainArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `s2sd reload`.
#[derive(clap::Args, Debug)]
pub struct ReloadArguments {
    #[command(flatten)]
    service: ServiceAddress,
}

/// Runs `s2sd up`.
pub fn up(arguments: ConnectionArguments) -> ExitCode {
    command(&arguments.service, Ask::Up { connection: arguments.connection })
}

/// Runs `s2sd down`.
pub fn down(arguments: ConnectionArguments) -> ExitCode {
    command(&arguments.service, Ask::Down { connection: arguments.connection })
}

/// Runs `s2sd rekey`.
pub fn rekey(arguments: RekeyArguments) -> ExitCode {
    let which = match (arguments.ike, arguments.child) {
        (true, _) => RekeyWhich::Ike,
        (_, true) => RekeyWhich::Child,
        _ => RekeyWhich::Both,
    };
    let ConnectionArguments { connection, service } = arguments.connection;
    command(&service, Ask::Rekey { connection, which })
}

/// Runs `s2sd reload`.
pub fn reload(arguments: &ReloadArguments) -> ExitCode {
    command(&arguments.service, Ask::Reload)
}

/// Runs `s2sd explain`.
pub fn explain(arguments: ExplainArguments) -> ExitCode {
    let ConnectionArguments { connection, service } = arguments.connection;
    match service.ask(Ask::Explain { connection }) {
        Ok(ControlAnswer::Explanations(all)) if arguments.json => {
            match serde_json::to_string_pretty(&all) {
                Ok(text) => say(text),
                Err(error) => fail(error),
            }
        }
        Ok(ControlAnswer::Explanations(all)) => {
            let all: Vec<String> = all.iter().map(page).collect();
            say(all.join("\n\n"))
        }
        Ok(_) => fail(ServiceError::UnexpectedAnswer),
        Err(why) => fail(why),
    }
}

fn command(service: &ServiceAddress, ask: Ask) -> ExitCode {
    match service.ask(ask) {
        Ok(ControlAnswer::Done(lines)) => say(lines.join("\n")),
        Ok(_) => fail(ServiceError::UnexpectedAnswer),
        Err(why) => fail(why),
    }
}

/// An explanation as text: the sentence, which has the difference, then one line for each fact.
fn page(explanation: &Explanation) -> String {
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
        ("remedy", &explanation.remedy),
        ("setting", &explanation.line),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::diagnosis::refusal::Refusal;
    use crate::ike::error::Error;
    use crate::ike::exchange::step::Step;
    use crate::wire::codes::NotifyType;

    #[test]
    fn an_explanation_says_its_remedy_once() {
        let refusal = Refusal::new(Error::told(NotifyType::NoProposalChosen), Step::Init);
        let explanation =
            Explanation { tunnel: "c".into(), seconds: Some(5), ..Explanation::of(&refusal) };
        let page = page(&explanation);
        let remedy = refusal.remedy().expect("a remedy");
        assert_eq!(page.matches(&remedy).count(), 1, "{page}");
        let azure = refusal.reason.azure()[0].to_string();
        assert_eq!(page.matches(&azure).count(), 1, "{page}");
    }
}
