//! What the two threads of a lane and its owner share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::change::Forwarding;
use super::counters::LaneCounters;
use super::event::LaneEvent;
use super::outage::Outage;
use crate::sys::esp_socket::EspSocket;
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
    /// The path MTU: the largest outer packet that the path is known to carry.
    pub(super) path: AtomicUsize,
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

    /// Asks the kernel for the path MTU, and tells control when the value changed.
    pub(super) fn refresh_path_mtu(&self) {
        let Ok(mtu) = self.parts.socket.path_mtu() else { return };
        if self.path.swap(mtu, Ordering::Relaxed) != mtu {
            self.tell(LaneEvent::PathMtu(mtu));
        }
    }

    /// Whether a datagram of this length fits the path MTU, as far as that is known.
    pub(super) fn fits(&self, datagram: usize) -> bool {
        let overhead = self.parts.forwarding.load().rules.encapsulation.overhead();
        overhead + datagram <= self.path.load(Ordering::Relaxed)
    }

    /// Sends an event to control; false when the channel is full.
    pub(super) fn tell(&self, event: LaneEvent) -> bool {
        self.parts.control.try_send(event).is_ok()
    }
}
