//! The loops of a lane's two threads: egress and ingress, over the lane's descriptors.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::debug;

use super::backoff::Backoff;
use super::egress::Egress;
use super::event::LaneEvent;
use super::ingress::{Ingress, SocketBatch};
use super::port::LanePort;
use super::shared::{IN, OUT, PULSE, Shared};
use crate::sys::esp_socket::EspSocket;
use crate::sys::mmsg::{Received, Run};
use crate::sys::{clock, poll, tun};
use crate::time::Instant;
use crate::wire::packet::datagram::KEEPALIVE;
use crate::wire::packet::vnet;

/// The largest frame: a virtio-net header and the largest IP packet.
const FRAME: usize = vnet::LEN + 65_535;

/// The frames read before a batch is sent: the first must not wait long for the last.
const MAX_FRAMES: usize = 64;

/// The bytes sealed before a batch is sent: two super-packets, or a batch of small packets.
const MAX_BYTES: usize = 64 << 10;

/// How often a link that took small packets only is looked at: nothing says that it grew.
const LINK_AGE: Duration = Duration::from_secs(1);

/// The thread that takes packets from the device and sends them to the peer.
pub(super) struct EgressLoop<'l> {
    shared: &'l Shared,
    egress: Egress,
    frame: Box<[u8]>,
    backoff: Backoff,
    last_sent: Instant,
    link_seen: Instant,
    /// The path MTU that control knows of.
    told_path: usize,
}

impl<'l> EgressLoop<'l> {
    pub(super) fn new(shared: &'l Shared) -> EgressLoop<'l> {
        let (frame, now) = (vec![0; FRAME].into(), clock::now().mono);
        let (egress, backoff) = (Egress::default(), Backoff::default());
        let told_path = shared.path_mtu();
        EgressLoop { shared, egress, frame, backoff, last_sent: now, link_seen: now, told_path }
    }

    pub(super) fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            match self.batch() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) if tun::is_gone(&error) => return self.report_device_lost(&error),
                Err(error) => {
                    self.backoff.pause(&parts.connection, "reading packets from the device", &error)
                }
            }
            let wait = parts
                .keepalive
                .map_or(PULSE, |interval| interval.saturating_sub(self.silence()).min(PULSE));
            match poll::readable(parts.tun.as_fd(), &self.shared.waker, Some(wait)) {
                Ok(_) => {}
                Err(error) => self.backoff.pause(
                    &parts.connection,
                    "waiting for packets from the device",
                    &error,
                ),
            }
            self.keep_alive();
        }
    }

    /// Ends the thread, since somebody deleted the device. The event is sent until control has
    /// taken it: nothing else repeats it.
    fn report_device_lost(&mut self, error: &io::Error) {
        let parts = &self.shared.parts;
        debug!(connection = parts.connection, interface = parts.name, %error, "the tunnel device was deleted");
        self.shared.lost.store(true, Ordering::Relaxed);
        while !self.shared.stopped() && !self.shared.tell(LaneEvent::DeviceLost) {
            self.backoff.pause(
                &parts.connection,
                "sending the event that the device was deleted",
                error,
            );
        }
    }

    /// Sends what the device has, up to a batch. Whether the device may have more.
    fn batch(&mut self) -> io::Result<bool> {
        let EgressLoop { shared, egress, frame, backoff, told_path, .. } = self;
        let (parts, now) = (&shared.parts, clock::now().mono);
        shared.show_life(OUT, now);
        let tables = parts.forwarding.load();
        let path = shared.path.at(now).min(tables.rules.outer_mtu);
        // Also when no packet leaves: a belief may be over, and the device's MTU follows.
        if path != *told_path && shared.tell(LaneEvent::PathMtu(path)) {
            *told_path = path;
        }
        let mut port = LanePort::new(shared);
        let mut batch = egress.begin(&tables, path, parts.socket.gso(), now);
        let mut outcome = Ok(true);
        let mut frames = 0;
        while frames < MAX_FRAMES && batch.len() < MAX_BYTES {
            match parts.tun.read(frame) {
                Ok(len) => {
                    backoff.clear();
                    batch.push(frame.get_mut(..len).unwrap_or_default(), &mut port);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => outcome = Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => outcome = Err(error),
            }
            if !matches!(outcome, Ok(true)) {
                break;
            }
            frames += 1;
        }
        batch.finish(&shared.counters.egress, &mut port);
        if frames > 0 {
            self.last_sent = now;
        }
        if now.since(self.link_seen) >= LINK_AGE {
            shared.look_at_link(now);
            self.link_seen = now;
        }
        outcome
    }

    fn silence(&self) -> Duration {
        clock::now().mono.since(self.last_sent)
    }

    /// Sends a NAT keepalive of one octet (RFC 3948 §4) when nothing else was sent for the
    /// interval.
    fn keep_alive(&mut self) {
        let parts = &self.shared.parts;
        if parts.keepalive.is_none_or(|interval| self.silence() < interval) {
            return;
        }
        let run = Run { start: 0, len: 1, segment: 1, tos: 0 };
        // A keepalive that is lost or refused is not repeated: the next one is due soon enough.
        let _ = parts.socket.send(&[KEEPALIVE], &[run]);
        self.shared.counters.keepalives.fetch_add(1, Ordering::Relaxed);
        self.last_sent = clock::now().mono;
    }
}

/// The thread that takes datagrams from the sockets and writes their packets to the device.
pub(super) struct IngressLoop<'l> {
    shared: &'l Shared,
    ingress: Ingress,
    backoff: Backoff,
    /// The queued errors that were known at the last look at them.
    errors_seen: usize,
}

impl<'l> IngressLoop<'l> {
    pub(super) fn new(shared: &'l Shared) -> IngressLoop<'l> {
        let ingress = Ingress::new(shared.parts.tun.offloads());
        IngressLoop { shared, ingress, backoff: Backoff::default(), errors_seen: 0 }
    }

    pub(super) fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            let more = self.batch(&parts.socket);
            let other = parts.other.as_ref();
            if other.is_some_and(|other| self.batch(other)) || more {
                continue;
            }
            let other = other.map(EspSocket::as_fd);
            let waker = &self.shared.waker;
            match poll::either_readable(parts.socket.as_fd(), other, waker, Some(PULSE)) {
                Ok(ready) if ready.error => drop(self.has_errors()),
                Ok(_) => {}
                Err(error) => self.backoff.pause(
                    &parts.connection,
                    "waiting for packets from the peer",
                    &error,
                ),
            }
        }
    }

    /// Delivers what a socket has, up to a batch. Whether the socket may have more.
    fn batch(&mut self, socket: &EspSocket) -> bool {
        let (shared, parts) = (self.shared, &self.shared.parts);
        let now = clock::now().mono;
        shared.show_life(IN, now);
        let mut received = [Received::default(); Ingress::SLOTS];
        let count = match socket.receive(self.ingress.arena(), Ingress::SLOT, &mut received) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => {
                // As a rule the error is that of an ICMP message about a packet that was sent,
                // which is in the error queue too.
                if !self.has_errors() {
                    self.backoff.pause(&parts.connection, "receiving from the peer", &error);
                }
                return true;
            }
        };
        self.backoff.clear();
        let tables = parts.forwarding.load();
        let batch = SocketBatch { received: &received[..count], in_udp: !socket.is_raw() };
        self.ingress.process(
            &tables,
            batch,
            shared.path.at(now),
            now,
            &shared.counters.ingress,
            &mut LanePort::new(shared),
        );
        count == Ingress::SLOTS
    }

    /// Empties the sockets' error queues. Whether there were errors since the last call, which the
    /// other thread may have read.
    fn has_errors(&mut self) -> bool {
        self.shared.read_errors();
        let count = self.shared.errors.load(Ordering::Relaxed);
        std::mem::replace(&mut self.errors_seen, count) != count
    }
}
