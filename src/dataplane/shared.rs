//! What the two threads of a lane and its owner share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::change::Forwarding;
use super::counters::LaneCounters;
use super::event::LaneEvent;
use super::outage::Outage;
use super::path::PathMtu;
use crate::sys::clock;
use crate::sys::esp_socket::{EspSocket, QueuedError};
use crate::sys::poll::Waker;
use crate::sys::tun::Tun;
use crate::time::Instant;

/// The longest that a thread with nothing to do waits before it shows that it is alive.
pub(super) const PULSE: Duration = Duration::from_secs(2);

/// The places of the two threads in arrays of two.
pub(super) const OUT: usize = 0;
pub(super) const IN: usize = 1;

/// What a lane is made of, and what [`super::Lane::stop`] gives back.
#[derive(Debug)]
pub struct LaneParts {
    /// The name of the connection, for the log.
    pub connection: String,
    /// The name of the device, for the log and for the names of the threads.
    pub name: String,
    /// The tunnel device.
    pub tun: Tun,
    /// The socket that is connected to the peer.
    pub socket: EspSocket,
    /// A socket that only receives: bare ESP where `socket` has ESP in UDP, and the other way
    /// round. A peer may send either at any time (RFC 7296 §2.23). `None` where the kernel gives
    /// none.
    pub other: Option<EspSocket>,
    /// The tables that the lane forwards by; control keeps a clone and changes them.
    pub forwarding: Forwarding,
    /// The bounded channel for the lane's events.
    pub control: SyncSender<LaneEvent>,
    /// How long the lane may send nothing before it sends a NAT keepalive (RFC 3948 §4); `None`
    /// without a NAT on the path.
    pub keepalive: Option<Duration>,
    /// The processors that the egress and the ingress thread are pinned to; `None` leaves both to
    /// the scheduler.
    pub cpus: Option<[usize; 2]>,
}

/// The state of a running lane.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) parts: LaneParts,
    pub(super) counters: LaneCounters,
    pub(super) waker: Waker,
    /// Why packets do not leave, while they do not.
    pub(super) outage: Outage,
    /// Tells both threads to end.
    pub(super) stop: AtomicBool,
    /// Whether somebody deleted the device.
    pub(super) lost: AtomicBool,
    /// The path MTU that is believed in.
    pub(super) path: PathMtu,
    /// The errors that were taken out of the socket's error queue, by either thread.
    pub(super) errors: AtomicUsize,
    /// When each thread last began a batch.
    pub(super) alive: [AtomicU64; 2],
}

impl Shared {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn show_life(&self, thread: usize, now: Instant) {
        self.alive[thread].store(now.0, Ordering::Relaxed);
    }

    /// The largest outer packet that is believed to arrive.
    pub(super) fn path_mtu(&self) -> usize {
        let most = self.parts.forwarding.load().rules.outer_mtu;
        self.path.at(clock::now().mono).min(most)
    }

    /// Empties the sockets' error queues, and believes what deserves it ([`PathMtu`]). Whether the
    /// link refused a packet for its size. Nothing is believed of the socket that only receives.
    pub(super) fn read_errors(&self) -> bool {
        let (tables, now) = (self.parts.forwarding.load(), clock::now().mono);
        let mut is_link = false;
        let count = self.parts.socket.read_errors(|error| match error {
            QueuedError::LinkMtu(mtu) => {
                is_link = true;
                self.path.set_link(mtu, now);
            }
            QueuedError::PathMtu { mtu, quote: Some(quote) } if tables.has_sent(&quote) => {
                self.path.lower(mtu, now);
            }
            QueuedError::PathMtu { .. } | QueuedError::Other => {}
        });
        let other = self.parts.other.as_ref().map_or(0, |other| other.read_errors(|_| {}));
        self.errors.fetch_add(count + other, Ordering::Relaxed);
        is_link
    }

    /// Notices that the link takes larger packets again. The kernel's own path MTU may be smaller
    /// than the link's and is never larger.
    pub(super) fn look_at_link(&self, now: Instant) {
        if self.path.is_link_known(now)
            && let Ok(mtu) = self.parts.socket.kernel_path_mtu()
        {
            self.path.raise_link(mtu, now);
        }
    }

    /// Whether a datagram of this length fits the path MTU, as far as that is known.
    pub(super) fn fits(&self, datagram: usize) -> bool {
        let overhead = self.parts.forwarding.load().rules.encapsulation.overhead();
        overhead + datagram <= self.path_mtu()
    }

    /// Sends an event to control; false when the channel is full.
    pub(super) fn tell(&self, event: LaneEvent) -> bool {
        self.parts.control.try_send(event).is_ok()
    }
}
