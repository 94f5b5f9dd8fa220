//! The log on standard error: lines for people, for the journal, or as JSON.
//!
//! ```text
//!   2026-11-30T02:10:44.120331Z  WARN VNet1-to-Site1: child SA down (cause the peer deleted it)
//!   <4>VNet1-to-Site1: child SA down (cause the peer deleted it)           under journald
//! ```
//!
//! The connection's name comes first, then what happened, then details as `name value`. Under
//! journald the time is left out, because journald records it, and the level is the prefix of
//! sd-daemon(3), so that `journalctl -p warning` finds the line.

use std::fmt;
use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogLevel {
    /// Problems that need somebody's attention.
    Warn,
    /// Events: one line for each change of state.
    #[default]
    Info,
    /// Also packets and messages that were ignored.
    Debug,
}

/// Starts logging to standard error.
pub fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let journal = std::env::var_os("JOURNAL_STREAM").is_some();
            builder.event_format(TextLine { journal }).init();
        }
    }
}

/// Writes an event as one line of text.
struct TextLine {
    /// Whether journald reads the lines.
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(line, "<{}>", priority(level))?;
        } else {
            SystemTime.format_time(&mut line)?;
            match (line.has_ansi_escapes(), colour(level)) {
                (true, Some(colour)) => write!(line, " \x1b[{colour}m{level:>5}\x1b[0m ")?,
                _ => write!(line, " {level:>5} ")?,
            }
        }
        let mut parts = LineParts::default();
        event.record(&mut parts);
        writeln!(line, "{parts}")
    }
}

/// The priority of syslog(3) for a level, as sd-daemon(3) expects it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The terminal's own colour of a level that asks for attention.
fn colour(level: Level) -> Option<u8> {
    match level {
        Level::ERROR => Some(31),
        Level::WARN => Some(33),
        _ => None,
    }
}

/// The fields of an event in the order of a sentence.
#[derive(Default)]
struct LineParts {
    connection: String,
    message: String,
    details: Vec<String>,
    error: String,
}

impl LineParts {
    fn take(&mut self, field: &Field, value: String) {
        let value = on_one_line(&value);
        match field.name() {
            "connection" => self.connection = value,
            "message" => self.message = value,
            "error" => self.error = value,
            name => self.details.push(format!("{} {value}", name.replace('_', " "))),
        }
    }
}

/// A value without line breaks and control characters: part of it may come from a peer, who must
/// not begin lines of the log or speak to a terminal.
fn on_one_line(value: &str) -> String {
    let mut line = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\n' => line.push_str("; "),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

impl Visit for LineParts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    /// A flag that is set is its own name; one that is not set says nothing.
    fn record_bool(&mut self, field: &Field, value: bool) {
        if value {
            self.details.push(field.name().replace('_', " "));
        }
    }

    /// Messages and fields with `%` come here too, and their `Debug` is their `Display`.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

impl fmt::Display for LineParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineParts { connection, message, details, error } = self;
        if !connection.is_empty() {
            write!(f, "{connection}: ")?;
        }
        f.write_str(message)?;
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        if !error.is_empty() {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written to the log.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(journal: bool) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(TextLine { journal })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let (name, error) = (String::from("VNet1"), io::Error::from(io::ErrorKind::NotFound));
            tracing::info!(connection = name, to = %"203.0.113.2:500", attempt = 2, "dialling");
            tracing::info!(connection = "VNet1", rekeyed = true, moved = false, "child SA up");
            tracing::warn!(name = "gw.example.com", %error, "the name could not be looked up");
            tracing::error!(peer = "CN=a\x1b[2J\n<0>b", "two\nlines: {}", "no connection");
        });
        String::from_utf8(sink.0.lock().expect("one thread").clone()).expect("text")
    }

    #[test]
    fn a_line_under_journald_begins_with_its_priority() {
        assert_eq!(
            logged(true),
            "<6>VNet1: dialling (to 203.0.113.2:500, attempt 2)\n\
             <6>VNet1: child SA up (rekeyed)\n\
             <4>the name could not be looked up (name gw.example.com): entity not found\n\
             <3>two; lines: no connection (peer CN=a\\u{1b}[2J; <0>b)\n"
        );
    }

    #[test]
    fn a_line_elsewhere_begins_with_time_and_level() {
        let lines = logged(false);
        for (line, end) in lines.lines().zip([
            "Z  INFO VNet1: dialling (to 203.0.113.2:500, attempt 2)",
            "Z  INFO VNet1: child SA up (rekeyed)",
            "Z  WARN the name could not be looked up (name gw.example.com): entity not found",
            "Z ERROR two; lines: no connection (peer CN=a\\u{1b}[2J; <0>b)",
        ]) {
            assert!(line.starts_with("20") && line.ends_with(end), "{line}");
        }
    }
}
