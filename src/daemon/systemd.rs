//! What the service tells systemd while it runs (sd_notify(3)): ready, reloading, stopping, one
//! line of status, and the watchdog.

use std::time::Duration;

use tracing::{error, warn};

use crate::sys::clock;
use crate::sys::sd_notify::NotifySocket;
use crate::time::Instant;

/// The connection to systemd. Started without systemd, the service tells nobody.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<NotifySocket>,
    /// The interval of watchdog messages, where the unit has `WatchdogSec=`.
    watchdog: Option<Duration>,
    /// When the last watchdog message was sent.
    fed_at: Instant,
    /// The status line that systemd has.
    status: String,
    /// Whether watchdog messages are withheld, because a lane's thread is stuck.
    is_withheld: bool,
}

impl Systemd {
    /// The connection that `NOTIFY_SOCKET` and `WATCHDOG_USEC` describe.
    pub(super) fn from_environment() -> Systemd {
        let limit = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        // A third of the limit: two messages in a row may come late.
        let watchdog = limit.map(|microseconds: u64| Duration::from_micros(microseconds) / 3);
        Systemd {
            socket: NotifySocket::from_environment(),
            watchdog,
            fed_at: Instant::default(),
            status: String::new(),
            is_withheld: false,
        }
    }

    /// Says that the configuration is in force.
    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// Says that the configuration is being read again.
    pub(super) fn reloading(&self) {
        let microseconds = clock::boot_microseconds();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Says that the end has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=saying goodbye to the gateways");
    }

    /// Called once a turn of the loop: sends the status line when the line changed, and a watchdog
    /// message when one is due. The call itself proves that the loop turns. `stuck` names a tunnel
    /// whose threads do not: watchdog messages are withheld then, so that systemd restarts the
    /// service, which is all that can free the tunnel.
    pub(super) fn report(&mut self, status: &str, stuck: Option<&str>, now: Instant) {
        if self.status != status {
            self.send(&format!("STATUS={status}"));
            status.clone_into(&mut self.status);
        }
        if let Some(connection) = stuck
            && !self.is_withheld
        {
            error!(
                connection,
                "a thread that moves this tunnel's packets is stuck; the watchdog is not fed, so systemd will restart the service"
            );
        }
        self.is_withheld = stuck.is_some();
        let is_due = self.watchdog.is_some_and(|interval| now.since(self.fed_at) >= interval);
        if is_due && !self.is_withheld {
            self.send("WATCHDOG=1");
            self.fed_at = now;
        }
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message, &[]) {
            warn!(%error, "no message could be sent to systemd");
        }
    }
}
