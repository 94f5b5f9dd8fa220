//! What the service manager is told (sd_notify(3)): ready, how it is, that the loop and the lanes
//! still turn.
//!
//! The protocol is a datagram of `NAME=value` lines to a socket; there is nothing to gain from a
//! library.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::{error, warn};

use crate::sys::clock;
use crate::time::Instant;

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that we live.
    watchdog: Option<Duration>,
    fed: Instant,
    told: String,
    /// Whether the watchdog goes hungry.
    starving: bool,
}

impl Manager {
    /// From `NOTIFY_SOCKET` and `WATCHDOG_USEC`; without them nobody is told.
    pub fn from_environment() -> Manager {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        let limit = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        // A third of the limit: two in a row may come late.
        let watchdog = limit.map(|microseconds: u64| Duration::from_micros(microseconds) / 3);
        Manager { socket, watchdog, fed: Instant::default(), told: String::new(), starving: false }
    }

    /// The configuration is in force.
    pub fn ready(&mut self) {
        self.say("READY=1");
    }

    /// The configuration is being read again.
    pub fn reloading(&mut self) {
        let microseconds = clock::boot_microseconds();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The end has begun.
    pub fn stopping(&mut self) {
        self.say("STOPPING=1\nSTATUS=saying goodbye to the gateways");
    }

    /// Once a turn of the loop: says how it is when that changed, and feeds the watchdog when it is
    /// due. The loop that comes by here lives; a tunnel that is `stuck` goes unfed, for a restart
    /// is all that can free it.
    pub fn attend(&mut self, summary: &str, stuck: Option<&str>, now: Instant) {
        if self.told != summary {
            self.say(&format!("STATUS={summary}"));
            summary.clone_into(&mut self.told);
        }
        if let Some(connection) = stuck
            && !self.starving
        {
            error!(connection, "a thread that moves its packets is stuck; the watchdog is not fed");
        }
        self.starving = stuck.is_some();
        let due = self.watchdog.is_some_and(|every| now.since(self.fed) >= every);
        if due && !self.starving {
            self.say("WATCHDOG=1");
            self.fed = now;
        }
    }

    fn say(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            warn!(%error, "the service manager could not be told");
        }
    }
}
