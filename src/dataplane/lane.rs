//! One tunnel's two threads: egress and ingress, each a loop over its descriptors, with no channel
//! between them.
//!
//! A lone packet leaves at once: a batch ends when the device or the socket has nothing more, never
//! by a timer.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::backoff::Setbacks;
use super::change::Forwarding;
use super::counters::LaneCounters;
use super::egress::Egress;
use super::event::LaneEvent;
use super::ingress::Ingress;
use super::outage::Outage;
use super::port::LanePort;
use crate::sys::esp_socket::EspSocket;
use crate::sys::mmsg::{Received, Run};
use crate::sys::poll::{self, Waker};
use crate::sys::tun::{self, Tun};
use crate::sys::{affinity, clock, confine};
use crate::time::Instant;
use crate::wire::packet::datagram::KEEPALIVE;
use crate::wire::packet::vnet;

/// The largest frame: a virtio-net header and the largest IP packet.
const FRAME: usize = vnet::LEN + 65_535;

/// Frames read before what is ready leaves: keeps the first from waiting for the last.
const MAX_FRAMES: usize = 64;

/// Bytes sealed before they leave: two super-packets, or a batch of small ones.
const MAX_BYTES: usize = 64 << 10;

/// How long what is known of the path is believed while packets leave. That it shrank is learned
/// from errors; nobody says that it grew again, or that the kernel's ten minutes are over (RFC 1191
/// §6.3).
const PATH_AGE: Duration = Duration::from_secs(1);

/// How long a thread with nothing to do sleeps before it shows that it lives.
const PULSE: Duration = Duration::from_secs(2);

/// Places of the two threads.
const OUT: usize = 0;
const IN: usize = 1;

/// What a lane is made of.
#[derive(Debug)]
pub struct LaneParts {
    /// The connection's name, for the log.
    pub connection: String,
    /// The device's name, for threads and the log.
    pub name: String,
    /// The device.
    pub tun: Tun,
    /// The socket.
    pub socket: EspSocket,
    /// What to forward by.
    pub forwarding: Forwarding,
    /// Where events go.
    pub control: SyncSender<LaneEvent>,
    /// How long the lane may be silent before a NAT keepalive (RFC 3948 §4); `None` without NAT.
    pub keepalive: Option<Duration>,
    /// The processors of egress and ingress, if they are to stay.
    pub cpus: Option<[usize; 2]>,
}

/// A tunnel at work.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) parts: LaneParts,
    pub(super) counters: LaneCounters,
    pub(super) waker: Waker,
    /// Why packets do not leave, while they do not.
    pub(super) outage: Outage,
    stop: AtomicBool,
    /// Somebody deleted the device.
    lost: AtomicBool,
    /// The outer packet that the path carries.
    path: AtomicUsize,
    /// When each thread last turned.
    turned: [AtomicU64; 2],
}

impl Lane {
    /// Starts both threads.
    pub fn start(parts: LaneParts) -> io::Result<Lane> {
        // No way to the peer at the moment is no reason to begin without a lane.
        let known = parts.socket.path_mtu().ok();
        let path = known.unwrap_or_else(|| parts.forwarding.load().rules.outer_mtu);
        let now = clock::now().mono.0;
        let shared = Arc::new(Shared {
            counters: LaneCounters::default(),
            waker: Waker::new()?,
            outage: Outage::default(),
            stop: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            path: AtomicUsize::new(path),
            turned: [AtomicU64::new(now), AtomicU64::new(now)],
            parts,
        });
        info!(
            connection = shared.parts.connection,
            interface = shared.parts.name,
            offloads = ?shared.parts.tun.offloads(),
            gso = shared.parts.socket.gso(),
            gro = shared.parts.socket.gro(),
            path_mtu = shared.path.load(Ordering::Relaxed),
            "lane started"
        );
        let mut lane = Lane { shared, threads: Vec::new() };
        lane.spawn("out", OUT, |shared| EgressLoop::new(shared).run())?;
        lane.spawn("in", IN, |shared| IngressLoop::new(shared).run())?;
        Ok(lane)
    }

    fn spawn(&mut self, way: &str, index: usize, work: fn(&Shared)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = format!("{}-{way}", shared.parts.name);
        let cpu = shared.parts.cpus.map(|cpus| cpus[index]);
        let thread = Builder::new().name(name).spawn(move || {
            if let Some(error) = cpu.and_then(|cpu| affinity::pin(cpu).err()) {
                warn!(connection = shared.parts.connection, %error, "the lane's thread could not be pinned");
            }
            if let Err(error) = confine::lane() {
                warn!(connection = shared.parts.connection, error, "the lane's thread keeps its rights");
            }
            work(&shared);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The lane's numbers.
    pub fn counters(&self) -> &LaneCounters {
        &self.shared.counters
    }

    /// Whether both threads turned lately. One that ended, or hangs in a call, does not, and
    /// nothing else would tell of it.
    pub fn turns(&self, now: Instant) -> bool {
        let last = |turned: &AtomicU64| Instant(turned.load(Ordering::Relaxed));
        self.shared.turned.iter().all(|turned| now.since(last(turned)) < 3 * PULSE)
    }

    /// Why the last packets did not leave.
    pub fn outage(&self) -> Option<io::Error> {
        self.shared.outage.error(clock::now().mono)
    }

    /// Whether its device was deleted: an event that says so may be about a lane before this one.
    pub fn has_lost_device(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The device.
    pub fn tun(&self) -> &Tun {
        &self.shared.parts.tun
    }

    /// The socket.
    pub fn socket(&self) -> &EspSocket {
        &self.shared.parts.socket
    }

    /// Stops both threads after the batch they are at, and gives the parts back.
    pub fn stop(mut self) -> Option<LaneParts> {
        self.halt();
        let shared = Arc::clone(&self.shared);
        drop(self);
        Arc::into_inner(shared).map(|shared| shared.parts)
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already, through the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Shared {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn turn(&self, thread: usize, now: Instant) {
        self.turned[thread].store(now.0, Ordering::Relaxed);
    }

    /// Asks the kernel what the path carries; tells control when it is something else than before.
    pub(super) fn look_at_path(&self) {
        let Ok(mtu) = self.parts.socket.path_mtu() else { return };
        if self.path.swap(mtu, Ordering::Relaxed) != mtu {
            self.tell(LaneEvent::PathMtu(mtu));
        }
    }

    /// Whether the path takes a datagram of this length, as far as is known.
    pub(super) fn fits(&self, datagram: usize) -> bool {
        let overhead = self.parts.forwarding.load().rules.encapsulation.overhead();
        overhead + datagram <= self.path.load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, event: LaneEvent) -> bool {
        self.parts.control.try_send(event).is_ok()
    }
}

/// Device to peer.
struct EgressLoop<'l> {
    shared: &'l Shared,
    egress: Egress,
    frame: Box<[u8]>,
    setbacks: Setbacks,
    last_sent: Instant,
    last_look: Instant,
}

impl<'l> EgressLoop<'l> {
    fn new(shared: &'l Shared) -> EgressLoop<'l> {
        let (frame, now) = (vec![0; FRAME].into(), clock::now().mono);
        let (egress, setbacks) = (Egress::default(), Setbacks::default());
        EgressLoop { shared, egress, frame, setbacks, last_sent: now, last_look: now }
    }

    fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            match self.batch() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) if tun::is_gone(&error) => return self.report_device_lost(&error),
                Err(error) => {
                    self.setbacks.rest(&parts.connection, "reading from the device", &error)
                }
            }
            let wait = parts
                .keepalive
                .map_or(PULSE, |interval| interval.saturating_sub(self.silence()).min(PULSE));
            match poll::readable(parts.tun.as_fd(), &self.shared.waker, Some(wait)) {
                Ok(_) => {}
                Err(error) => {
                    self.setbacks.rest(&parts.connection, "waiting for the device", &error)
                }
            }
            self.keep_alive();
        }
    }

    /// Somebody deleted the device. Control is told until it has heard: nothing else would tell of
    /// it.
    fn report_device_lost(&mut self, error: &io::Error) {
        let parts = &self.shared.parts;
        debug!(connection = parts.connection, %error, "the device is gone");
        self.shared.lost.store(true, Ordering::Relaxed);
        while !self.shared.stopped() && !self.shared.tell(LaneEvent::DeviceLost) {
            self.setbacks.rest(&parts.connection, "telling control of it", error);
        }
    }

    /// Moves what the device has, up to a batch. Whether there may be more.
    fn batch(&mut self) -> io::Result<bool> {
        let EgressLoop { shared, egress, frame, setbacks, .. } = self;
        let (parts, now) = (&shared.parts, clock::now().mono);
        shared.turn(OUT, now);
        let tables = parts.forwarding.load();
        let path = shared.path.load(Ordering::Relaxed);
        let mut port = LanePort::new(shared);
        let mut batch = egress.begin(&tables, path, parts.socket.gso(), now);
        let mut outcome = Ok(true);
        let mut frames = 0;
        while frames < MAX_FRAMES && batch.len() < MAX_BYTES {
            match parts.tun.read(frame) {
                Ok(len) => {
                    setbacks.clear();
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
            if now.since(self.last_look) >= PATH_AGE {
                shared.look_at_path();
                self.last_look = now;
            }
        }
        outcome
    }

    fn silence(&self) -> Duration {
        clock::now().mono.since(self.last_sent)
    }

    /// One byte keeps a NAT's mapping when nothing else does.
    fn keep_alive(&mut self) {
        let parts = &self.shared.parts;
        if parts.keepalive.is_none_or(|interval| self.silence() < interval) {
            return;
        }
        let run = Run { start: 0, len: 1, segment: 1, tos: 0 };
        // Lost or refused, the next one is due soon enough.
        let _ = parts.socket.send(&[KEEPALIVE], &[run]);
        self.shared.counters.keepalives.fetch_add(1, Ordering::Relaxed);
        self.last_sent = clock::now().mono;
    }
}

/// Peer to device.
struct IngressLoop<'l> {
    shared: &'l Shared,
    ingress: Ingress,
    setbacks: Setbacks,
}

impl<'l> IngressLoop<'l> {
    fn new(shared: &'l Shared) -> IngressLoop<'l> {
        let ingress = Ingress::new(shared.parts.tun.offloads());
        IngressLoop { shared, ingress, setbacks: Setbacks::default() }
    }

    fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            if self.batch() {
                continue;
            }
            match poll::readable(parts.socket.as_fd(), &self.shared.waker, Some(PULSE)) {
                Ok(ready) if ready.error => drop(self.read_errors()),
                Ok(_) => {}
                Err(error) => {
                    self.setbacks.rest(&parts.connection, "waiting for the socket", &error)
                }
            }
        }
    }

    /// Moves what the socket has, up to a batch. Whether there may be more.
    fn batch(&mut self) -> bool {
        let (shared, parts) = (self.shared, &self.shared.parts);
        let now = clock::now().mono;
        shared.turn(IN, now);
        let mut received = [Received::default(); Ingress::SLOTS];
        let count = match parts.socket.receive(self.ingress.arena(), Ingress::SLOT, &mut received) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => {
                // As a rule an ICMP error that came for what was sent: it is in the queue too.
                if self.read_errors() == 0 {
                    self.setbacks.rest(&parts.connection, "receiving", &error);
                }
                return true;
            }
        };
        self.setbacks.clear();
        let tables = parts.forwarding.load();
        let received = &received[..count];
        self.ingress.process(
            &tables,
            received,
            now,
            &shared.counters.ingress,
            &mut LanePort::new(shared),
        );
        count == Ingress::SLOTS
    }

    /// How many there were.
    fn read_errors(&self) -> usize {
        let count = self.shared.parts.socket.drain_errors();
        self.shared.look_at_path();
        count
    }
}
