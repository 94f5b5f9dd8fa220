//! Formats durations and byte counts, and colours words on a terminal.

use std::io::{IsTerminal, stdout};

/// A duration in its two largest units: `3m 20s`.
pub fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A number of bytes in powers of 1000: `1.5 GB`.
pub fn bytes(count: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut tenth) = (count, 0);
    for next in ["kB", "MB", "GB", "TB"] {
        if whole < 1000 {
            break;
        }
        (whole, tenth, unit) = (whole / 1000, whole % 1000 / 100, next);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenth} {unit}") }
}

/// Colours words if the output is a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Colours if standard output is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub fn for_stdout() -> Paint {
        Paint(stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// A state of a connection or tunnel: green, yellow, red or dim.
    pub fn state(self, word: &str) -> String {
        let code = match word {
            "up" => "32",
            "broken" => "31",
            "down" | "waiting" => "2",
            _ => "33",
        };
        self.with(code, word)
    }

    /// A word in bold.
    pub fn strong(self, word: &str) -> String {
        self.with("1", word)
    }

    fn with(self, code: &str, word: &str) -> String {
        if self.0 { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (200, "3m 20s"),
            (3600, "1h"),
            (3601, "1h"),
            (93_784, "1d 2h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn bytes_have_one_decimal_above_a_thousand() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
