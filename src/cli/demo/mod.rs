//! `s2sd demo`: a whole site-to-site connection on one host, without other programs.
//!
//! Two services run, each in a thread inside the network namespace of its gateway. The
//! demonstration controls them as an operator does, over their control sockets.
//!
//! | file | what lives there |
//! |---|---|
//! | `network.rs` | the namespaces, links, configurations and services |
//! | `certificates.rs` | both certificate chains |
//! | `traffic.rs` | pings and a TCP stream through the tunnel |
//! | `rights.rs` | the right to create network namespaces |

mod certificates;
mod network;
mod rights;
mod traffic;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::client::ServiceAddress;
use super::format::{Paint, bytes, span};
use super::{fail, log, say, status};
use crate::daemon::control::{Ask, ControlAnswer, RekeyWhich};
use crate::daemon::status::{ConnectionStatus, Status};
use crate::doctor::service::ServiceError;
use crate::sys::clock;
use crate::time::Instant;
use network::{CONNECTION, DemoNetwork, End};
use traffic::Meter;

/// How long the tunnel may take to come up.
const UP_TIMEOUT: Duration = Duration::from_secs(20);
/// The interval at which the throughput is shown.
const INTERVAL: Duration = Duration::from_millis(500);
/// The number of pings.
const PINGS: u16 = 5;

/// The arguments of `s2sd demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArguments {
    /// The duration of the TCP stream in seconds.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=3600))]
    seconds: u16,
    /// Keep both services running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Print the figures as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Show the logs of both services.
    #[arg(long)]
    verbose: bool,
}

/// The figures of a demonstration.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(super) struct Figures {
    /// The time from the start of both services until the tunnel was up.
    up_milliseconds: u128,
    /// The number of pings sent through the tunnel.
    pings_sent: u16,
    /// The number of pings that were answered.
    pings_answered: usize,
    /// The median round-trip time of the answered pings.
    ping_microseconds: Option<u128>,
    /// The duration of the TCP stream.
    tcp_seconds: f64,
    /// The bytes of the TCP stream that arrived.
    tcp_bytes: u64,
    /// The throughput of the TCP stream.
    gigabits_per_second: f64,
    /// The SAs that were rekeyed during the stream.
    rekeys: u64,
    /// The longest time without an arriving byte, rekeying included.
    longest_gap_milliseconds: f64,
    /// The status of the site's service at the end, as in the output of `s2sd status --json`.
    status: Status,
}

/// Runs `s2sd demo`.
pub fn demo(arguments: &DemoArguments) -> ExitCode {
    if let Err(missing) = rights::acquire() {
        return fail(missing);
    }
    if arguments.verbose {
        log::start(log::LogFormat::Text, log::LogLevel::Info);
    }
    let progress = Progress { quiet: arguments.json };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let arguments = (arguments.seconds, arguments.keep, arguments.json);
    runtime.block_on(async move {
        // An interrupt ends the demonstration in order, so that namespaces and files are removed.
        let (stop, stopped) = std::sync::mpsc::channel();
        tokio::spawn(async move {
            if interrupted().await.is_ok() {
                // The receiver is gone when the demonstration has ended already.
                let _ = stop.send(());
            }
        });
        let outcome =
            tokio::task::spawn_blocking(move || run_demo(arguments, progress, &stopped)).await;
        match outcome {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(why)) => fail(why),
            Err(error) => fail(error),
        }
    })
}

/// Waits for SIGINT, SIGTERM or SIGHUP.
async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// Prints progress lines, unless the output is JSON.
#[derive(Clone, Copy, Debug)]
struct Progress {
    quiet: bool,
}

impl Progress {
    fn line(self, text: impl std::fmt::Display) {
        if !self.quiet {
            // A closed output does not end the demonstration.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

type Stopped = std::sync::mpsc::Receiver<()>;

fn run_demo(
    (seconds, keep, json): (u16, bool, bool),
    progress: Progress,
    stopped: &Stopped,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    progress
        .line("four network namespaces, two certificate chains, two services: the site and Azure");
    progress.line("  10.1.0.10 ── 203.0.113.1 ══ ESP ══ 203.0.113.2 ── 10.2.0.10");
    let mut network = DemoNetwork::build().map_err(text)?;
    let begun = clock::now().mono;
    network.start(End::Azure).map_err(text)?;
    network.start(End::Site).map_err(text)?;
    let site = ServiceAddress::at(network.socket(End::Site));
    let up = wait_until_up(&mut network, &site, begun, stopped)?;
    progress.line(format_args!("tunnel up after {} ms", up.as_millis()));
    let trips = traffic::ping(&network.site_host, PINGS).map_err(text)?;
    let median = self::median(trips.clone());
    let median_text =
        median.map_or("none".to_owned(), |trip| format!("{:.2} ms", trip.as_secs_f64() * 1e3));
    progress.line(format_args!("{} of {PINGS} pings answered, median {median_text}", trips.len()));
    let before = connection(&site)?.1.tunnels.iter().map(|tunnel| tunnel.rekeys).sum::<u64>();
    let (meter, flowed) = flow(&network, &site, u32::from(seconds), progress, stopped)?;
    let (status, after) = connection(&site)?;
    let rekeys = after.tunnels.iter().map(|tunnel| tunnel.rekeys).sum::<u64>() - before;
    let gigabits = gigabits(meter.bytes(), flowed);
    let gap = meter.longest_gap();
    progress.line(format_args!(
        "{} in {:.1} s: {gigabits:.2} Gbit/s; {rekeys} SAs rekeyed meanwhile, longest pause {:.1} ms",
        bytes(meter.bytes()),
        flowed.as_secs_f64(),
        gap.as_secs_f64() * 1e3
    ));
    progress.line(format_args!("\n{}", status::page(&status, Paint::for_stdout())));
    if json {
        let figures = Figures {
            up_milliseconds: up.as_millis(),
            pings_sent: PINGS,
            pings_answered: trips.len(),
            ping_microseconds: median.map(|trip| trip.as_micros()),
            tcp_seconds: flowed.as_secs_f64(),
            tcp_bytes: meter.bytes(),
            gigabits_per_second: gigabits,
            rekeys,
            longest_gap_milliseconds: gap.as_secs_f64() * 1e3,
            status,
        };
        say(serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?);
    }
    if keep {
        wait_for_interrupt(&network, progress, stopped);
    }
    if trips.is_empty() || meter.bytes() == 0 || rekeys == 0 {
        return Err("the tunnel came up, but pings, TCP or rekeying failed: see above".to_owned());
    }
    Ok(())
}

fn wait_for_interrupt(network: &DemoNetwork, progress: Progress, stopped: &Stopped) {
    let (pid, site) = (std::process::id(), network.socket(End::Site));
    progress.line(format_args!(
        "\nrunning until Ctrl-C. From another terminal:\n  s2sd status --socket {}\n  s2sd rekey {CONNECTION} --socket {}\n  \
         configurations and certificates: {}\n  process {pid}",
        site.display(),
        site.display(),
        network.directory.display()
    ));
    // The sender lives as long as the process.
    let _ = stopped.recv();
}

fn wait_until_up(
    network: &mut DemoNetwork,
    site: &ServiceAddress,
    begun: Instant,
    stopped: &Stopped,
) -> Result<Duration, String> {
    loop {
        if let Some(why) = network.failure() {
            return Err(why);
        }
        let waited = clock::now().mono.since(begun);
        let found = connection(site);
        match &found {
            Ok((_, connection)) if connection.state == "up" => return Ok(waited),
            Ok((_, connection)) if connection.state == "broken" => {
                let obstacle = connection.tunnels.iter().find_map(|t| t.obstacle.clone());
                return Err(obstacle.unwrap_or_default());
            }
            _ if waited < UP_TIMEOUT => {}
            Ok((_, connection)) => {
                let error = connection.tunnels.iter().find_map(|t| t.last_error.clone());
                let why = error
                    .map_or_else(|| "the service reports no reason".to_owned(), |error| error.text);
                return Err(format!("no tunnel after {}: {why}", span(waited.as_secs())));
            }
            Err(why) => return Err(why.clone()),
        }
        if stopped.recv_timeout(Duration::from_millis(2)).is_ok() {
            return Err("interrupted".to_owned());
        }
    }
}

/// Sends a TCP stream for this many seconds, and rekeys all SAs half-way.
fn flow(
    network: &DemoNetwork,
    site: &ServiceAddress,
    seconds: u32,
    progress: Progress,
    stopped: &Stopped,
) -> Result<(Meter, Duration), String> {
    let text = |error: std::io::Error| error.to_string();
    let listener = traffic::listen(&network.azure_host).map_err(text)?;
    let meter = Meter::default();
    let flowed = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| traffic::receive(&listener, &meter));
        let sender = scope.spawn(|| traffic::send(&network.site_host, &meter));
        let begun = clock::now().mono;
        let mut outcome = Ok(());
        let (mut shown_bytes, mut shown_at) = (0, begun);
        let ticks = seconds * 2;
        for tick in 1..=ticks {
            if sender.is_finished() || stopped.recv_timeout(INTERVAL).is_ok() {
                outcome = Err("interrupted".to_owned());
                break;
            }
            let (count, now) = (meter.bytes(), clock::now().mono);
            let rate = gigabits(count - shown_bytes, now.since(shown_at));
            let at = now.since(begun).as_secs_f64();
            let mut line = format!("  {at:>5.1} s  {rate:>6.2} Gbit/s");
            (shown_bytes, shown_at) = (count, now);
            if tick == ticks / 2 {
                let connection = CONNECTION.to_owned();
                let asked = site.ask(Ask::Rekey { connection, which: RekeyWhich::Both });
                outcome = asked.map(drop).map_err(|error| error.to_string());
                line += "  rekeying all SAs";
            }
            progress.line(line);
            if outcome.is_err() {
                break;
            }
        }
        meter.stop();
        let flowed = clock::now().mono.since(begun);
        let sent = sender.join().unwrap_or_else(|_| Err(std::io::Error::other("panicked")));
        let received = receiver.join().unwrap_or_else(|_| Err(std::io::Error::other("panicked")));
        outcome.and(sent.and(received).map_err(text)).map(|()| flowed)
    })?;
    Ok((meter, flowed))
}

fn connection(site: &ServiceAddress) -> Result<(Status, ConnectionStatus), String> {
    match site.ask(Ask::Status { connection: None }).map_err(|error| error.to_string())? {
        ControlAnswer::Status(status) => {
            let first = status.connections.first().cloned();
            first.map(|first| (status, first)).ok_or_else(|| "no connection".to_owned())
        }
        ControlAnswer::Explanations(_) | ControlAnswer::Done(_) => {
            Err(ServiceError::UnexpectedAnswer.to_string())
        }
    }
}

fn median(mut trips: Vec<Duration>) -> Option<Duration> {
    trips.sort();
    trips.get(trips.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
fn gigabits(bytes: u64, span: Duration) -> f64 {
    bytes as f64 * 8.0 / span.as_secs_f64().max(1e-9) / 1e9
}
