//! `s2sd run`: the service.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{ConfigPath, fail, log};
use crate::config::{self, Loaded, Severity};
use crate::daemon::files::System;
use crate::daemon::{self, Options, Signal};
use crate::state::Keeper;
use crate::sys::clock;

/// What `s2sd run` takes.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// A supervisor's socket that keeps descriptors over restarts, as systemd does: FDSTORE=1 there, LISTEN_FDS at the start.
    #[arg(long, value_name = "PATH")]
    state_fd_socket: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: log::Format,
    /// How much is logged.
    #[arg(long, value_enum, default_value_t)]
    log_level: log::Level,
}

/// Runs the service until it is told to stop.
pub fn run(arguments: &Arguments) -> ExitCode {
    log::start(arguments.log_format, arguments.log_level);
    let path = &arguments.config.config;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("{} cannot be read: {error}", path.display())),
    };
    let loaded = config::load(&path.display().to_string(), &text, &System, clock::now());
    for found in &loaded.report.found {
        match found.severity {
            Severity::Error => tracing::error!("{found}"),
            Severity::Warning => tracing::warn!("{found}"),
        }
    }
    if loaded.config.is_none() {
        return fail(format_args!("{} has errors, see above", path.display()));
    }
    let keeper = match &arguments.state_fd_socket {
        Some(path) => Keeper::at(path),
        None => Ok(Keeper::from_environment()),
    };
    match keeper.and_then(|keeper| serve(loaded, path.clone(), keeper)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

fn serve(loaded: Loaded, source: PathBuf, keeper: Keeper) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = Options { source: Some(source), keeper, ..Options::default() };
    let outcome = runtime.block_on(async {
        let (sender, signals) = mpsc::channel(4);
        pass_on(SignalKind::terminate(), Signal::Stop, &sender)?;
        pass_on(SignalKind::interrupt(), Signal::Stop, &sender)?;
        pass_on(SignalKind::hangup(), Signal::Reload, &sender)?;
        pass_on(SignalKind::user_defined2(), Signal::HandOver, &sender)?;
        daemon::run(loaded, options, signals).await
    });
    // A look-up of a name that hangs does not hold up the next process.
    runtime.shutdown_background();
    outcome
}

fn pass_on(kind: SignalKind, meaning: Signal, to: &mpsc::Sender<Signal>) -> io::Result<()> {
    let mut signals = signal(kind)?;
    let to = to.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() && to.send(meaning).await.is_ok() {}
    });
    Ok(())
}
