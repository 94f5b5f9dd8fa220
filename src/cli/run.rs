//! `s2sd run`: the service.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{ConfigPath, fail, log};
use crate::config::{self, Severity};
use crate::daemon::{self, Options};

/// What `s2sd run` takes.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
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
    let parsed = config::parse(&path.display().to_string(), &text);
    for found in &parsed.found {
        match found.severity {
            Severity::Error => tracing::error!("{found}"),
            Severity::Warning => tracing::warn!("{found}"),
        }
    }
    let Some(config) = parsed.config else {
        return fail(format_args!("{} has errors, see above", path.display()));
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

fn serve(config: config::Config) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The daemon is gone already when nobody listens.
            let _ = stop.send(true);
        });
        daemon::run(config, Options::default(), stopped).await
    })
}
