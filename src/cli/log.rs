//! The log: lines on standard error, as text for people or JSON for programs.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Level {
    /// What someone should be woken for.
    Warn,
    /// One line for each thing that happened.
    #[default]
    Info,
    /// What was ignored, too.
    Debug,
}

/// Sends the log to standard error. Under journald, which has a clock of its own, lines come
/// without time.
pub fn start(format: Format, level: Level) {
    let level = match level {
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    match (format, journal) {
        (Format::Json, _) => builder.json().flatten_event(true).init(),
        (Format::Text, true) => builder.without_time().init(),
        (Format::Text, false) => builder.init(),
    }
}
