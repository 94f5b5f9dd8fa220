//! The trace of a world: always a hash, and lines of text only when somebody will read them.
//!
//! Worlds run without lines; one that fails is run again from its seed with them. That this works
//! at all is invariant 8.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s2sd::time::Instant;

use crate::net::Fate;
use crate::packet::{Datagram, HostId, Kind};
use crate::rules::extend_hash;

#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<Lines>,
    /// The clock's reading when the world began: lines count from it.
    origin: Instant,
}

/// The readable part. Shared with whoever ordered it, so that it outlives a world that panics.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn dump(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    fn push(&self, line: impl FnOnce() -> String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MAX_LINES {
            lines.push(line());
        } else if lines.len() == MAX_LINES {
            lines.push("              ... the trace goes on".into());
        }
    }
}

/// A dump ends here: what matters is before.
const MAX_LINES: usize = 20_000;

impl Trace {
    /// With `lines`, it can be read.
    pub fn new(origin: Instant, lines: Option<Lines>) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines, origin }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Mixes a fact into the hash, and writes the line that says it.
    pub fn note(&mut self, now: Instant, fact: &[u8], line: impl FnOnce() -> String) {
        self.mix(now, fact);
        if let Some(lines) = &self.lines {
            let at = seconds(now.since(self.origin));
            lines.push(|| format!("{at:>12.6}  {}", line()));
        }
    }

    /// A datagram that `from` sent. ESP that goes its way is too much to read.
    pub fn sent(&mut self, now: Instant, from: HostId, datagram: &Datagram, fate: Fate) {
        if matches!(datagram.kind(), Kind::Esp { .. }) && matches!(fate, Fate::Sent | Fate::Lost) {
            return self.mix(now, &datagram.bytes);
        }
        self.note(now, &datagram.bytes, || {
            let arrow = if fate == Fate::Sent { "-->" } else { "--x" };
            let fate = if fate == Fate::Sent { String::new() } else { format!("   ({fate:?})") };
            format!("{from} {arrow} {:<18} {}{fate}", datagram.dst.to_string(), content(datagram))
        });
    }

    /// A datagram that reached `to`.
    pub fn arrived(&mut self, now: Instant, to: HostId, datagram: &Datagram) {
        let fact = [u8::try_from(to.0).unwrap_or(u8::MAX)];
        if matches!(datagram.kind(), Kind::Esp { .. }) {
            return self.mix(now, &fact);
        }
        self.note(now, &fact, || {
            format!("{to} <-- {:<18} {}", datagram.src.to_string(), content(datagram))
        });
    }

    fn mix(&mut self, now: Instant, fact: &[u8]) {
        self.hash = extend_hash(extend_hash(self.hash, &now.0.to_be_bytes()), fact);
    }
}

fn content(datagram: &Datagram) -> String {
    let len = datagram.bytes.len();
    match datagram.kind() {
        Kind::Ike(header) => format!("{header} {len} bytes"),
        Kind::Esp { spi } => format!("ESP {spi:08x} {len} bytes"),
        Kind::Keepalive => "keepalive".into(),
        Kind::Runt => format!("{len} bytes of nothing"),
    }
}

fn seconds(d: Duration) -> f64 {
    d.as_secs_f64()
}

mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_being_readable() {
        let run = |lines: Option<Lines>| {
            let mut trace = Trace::new(Instant(0), lines);
            trace.note(Instant(1_500_000_000), b"fact", || "a fact".into());
            trace.hash()
        };
        let lines = Lines::default();
        assert_eq!(run(None), run(Some(lines.clone())));
        assert_eq!(lines.dump().trim(), "1.500000  a fact");
    }
}
