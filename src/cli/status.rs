//! `s2sd status`: the state of the connections, as a page or as JSON.

use std::io::{self, IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use super::client::ServiceAddress;
use super::format::{Paint, bytes, span};
use super::{complain, fail, say};
use crate::daemon::control::{Ask, ControlAnswer};
use crate::daemon::status::{ChildStatus, ConnectionStatus, Status, TunnelStatus};
use crate::doctor::service::ServiceError;
use crate::sys::clock;

/// The interval of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// The arguments of `s2sd status`.
#[derive(clap::Args, Debug)]
pub struct StatusArguments {
    /// Show this connection only.
    connection: Option<String>,
    /// Print the status as JSON with stable fields, see s2sd-json(5); with `--watch` one line every
    /// second.
    #[arg(long)]
    json: bool,
    /// Show the status every second until interrupted, also while the service restarts.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    service: ServiceAddress,
}

/// Runs `s2sd status`. The exit code is 0 when every connection asked for is up, 1 otherwise.
pub fn status(arguments: &StatusArguments) -> ExitCode {
    let status = match arguments.fetch() {
        Ok(status) => status,
        Err(why) => return fail(why),
    };
    if arguments.watch {
        return watch(arguments, status);
    }
    if let Err(why) = arguments.render(&status).map(say) {
        return fail(why);
    }
    let all_up = status.connections.iter().all(|connection| connection.state == "up");
    if all_up { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows the status every second, until interrupted or until the output is closed.
fn watch(arguments: &StatusArguments, first: Status) -> ExitCode {
    let mut seen = Ok(first);
    loop {
        let shown = seen.and_then(|status| arguments.render(&status));
        let written = match shown {
            Ok(text) => print(&text, arguments.json),
            // A program that reads the JSON expects nothing else on standard output.
            Err(why) if arguments.json => {
                complain(why);
                Ok(())
            }
            Err(why) => print(&format!("s2sd: {why}"), false),
        };
        if written.is_err() {
            return ExitCode::SUCCESS;
        }
        clock::pause(INTERVAL);
        seen = arguments.fetch();
    }
}

/// Writes the next page: a terminal is cleared first, any other output gets page after page.
fn print(text: &str, json: bool) -> io::Result<()> {
    let mut stdout = stdout().lock();
    match (json, stdout.is_terminal()) {
        (true, _) => writeln!(stdout, "{text}")?,
        // Moves the cursor home and clears the screen, then the page.
        (false, true) => writeln!(stdout, "\x1b[H\x1b[2J{text}")?,
        (false, false) => writeln!(stdout, "{text}\n")?,
    }
    stdout.flush()
}

impl StatusArguments {
    fn fetch(&self) -> Result<Status, String> {
        let ask = Ask::Status { connection: self.connection.clone() };
        match self.service.ask(ask).map_err(|error| error.to_string())? {
            ControlAnswer::Status(status) => Ok(status),
            ControlAnswer::Explanations(_) | ControlAnswer::Done(_) => {
                Err(ServiceError::UnexpectedAnswer.to_string())
            }
        }
    }

    fn render(&self, status: &Status) -> Result<String, String> {
        match (self.json, self.watch) {
            (false, _) => Ok(page(status, Paint::for_stdout())),
            (true, false) => serde_json::to_string_pretty(status).map_err(|e| e.to_string()),
            (true, true) => serde_json::to_string(status).map_err(|e| e.to_string()),
        }
    }
}

/// The status as a page of text.
pub fn page(status: &Status, paint: Paint) -> String {
    let connections: Vec<String> =
        status.connections.iter().map(|connection| of_connection(connection, paint)).collect();
    let head = format!(
        "{}: s2sd {}, running {}",
        status.device,
        status.s2sd,
        span(status.running_seconds)
    );
    let state = status.state_obstacle.iter().map(|why| format!("\n{}", row("problem", why)));
    format!("{head}{}\n\n{}", state.collect::<String>(), connections.join("\n\n"))
}

fn of_connection(connection: &ConnectionStatus, paint: Paint) -> String {
    let mut lines =
        vec![format!("{}  {}", paint.strong(&connection.name), paint.state(&connection.state))];
    for tunnel in &connection.tunnels {
        of_tunnel(tunnel, paint, &mut lines);
    }
    let routes = match connection.routes.as_slice() {
        [] => "none".to_owned(),
        routes => format!("{} into {}", routes.join(", "), connection.routes_into.join(", ")),
    };
    lines.push(row("routes", &routes));
    lines.extend(connection.routes_obstacle.iter().map(|why| row("problem", why)));
    lines.join("\n")
}

fn row(name: &str, value: &str) -> String {
    format!("    {name:<11}{value}")
}

fn of_tunnel(tunnel: &TunnelStatus, paint: Paint, lines: &mut Vec<String>) {
    let mut head = format!(
        "  {}  {} for {}",
        tunnel.interface,
        paint.state(&tunnel.state),
        span(tunnel.state_seconds)
    );
    if let Some(next) = tunnel.next_try_seconds {
        head += &format!(", next attempt in {next}s");
    } else if tunnel.attempt > 0 {
        head += &format!(", attempt {}", tunnel.attempt);
    }
    lines.push(head);
    let local = tunnel.local.as_ref().map(|local| format!(" from {local}")).unwrap_or_default();
    let how = if tunnel.encapsulation == "udp" { "ESP in UDP" } else { "ESP without UDP" };
    lines.push(row("peer", &format!("{}{local}, {how}", tunnel.peer)));
    let days =
        |days: Option<u64>| days.map(|days| format!(", {days} days left")).unwrap_or_default();
    if let Some(identity) = &tunnel.peer_identity {
        lines.push(row("peer ID", &format!("{identity}{}", days(tunnel.peer_certificate_days))));
    }
    if let Some(identity) = &tunnel.own_identity {
        lines.push(row("own ID", &format!("{identity}{}", days(tunnel.own_certificate_days))));
    }
    if let Some(suite) = &tunnel.ike_suite {
        lines.push(row("IKE", &format!("{suite}, {} old", span(tunnel.ike_seconds.unwrap_or(0)))));
    }
    for child in &tunnel.children {
        of_child(child, lines);
    }
    let received =
        tunnel.heard_seconds.map_or("never".to_owned(), |ago| format!("{} ago", span(ago)));
    let liveness = format!(
        "{received} (DPD timeout {}s), {} retransmits, {} rekeys",
        tunnel.dpd_timeout_seconds, tunnel.retransmits, tunnel.rekeys
    );
    lines.push(row("last seen", &liveness));
    if let Some(mtu) = tunnel.mtu {
        let path = tunnel.path_mtu.map(|path| format!(", path MTU {path}")).unwrap_or_default();
        lines.push(row("MTU", &format!("{mtu}{path}")));
    }
    let traffic = format!(
        "{} packets, {} out; {} packets, {} in",
        tunnel.packets_out,
        bytes(tunnel.bytes_out),
        tunnel.packets_in,
        bytes(tunnel.bytes_in)
    );
    lines.push(row("traffic", &traffic));
    if !tunnel.drops.is_empty() {
        let drops: Vec<String> =
            tunnel.drops.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        lines.push(row("dropped", &drops.join(", ")));
    }
    if let Some(obstacle) = &tunnel.obstacle {
        lines.push(row("problem", obstacle));
    }
    if let Some(why) = &tunnel.unsent {
        lines.push(row("not sent", why));
    }
    if let Some(error) = &tunnel.last_error
        && tunnel.state != "up"
    {
        lines.push(row("last error", &format!("{} ago: {}", span(error.seconds), error.text)));
    }
}

fn of_child(child: &ChildStatus, lines: &mut Vec<String>) {
    let role = if child.active { "child SA" } else { "old child" };
    let [local, remote] = &child.selectors;
    lines.push(row(
        role,
        &format!(
            "{}, {} old, rekey in {}; {local} <-> {remote}",
            child.suite,
            span(child.seconds),
            span(child.rekey_seconds)
        ),
    ));
}
