//! One tunnel's two threads: egress and ingress, each a loop over its descriptors, with no channel between them.
//!
//! A lone packet leaves at once: a batch ends when the device or the socket has nothing more, never by a timer.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tracing::{info, warn};

use super::change::Forwarding;
use super::counters::LaneCounters;
use super::egress::{Egress, EgressPort};
use super::event::Event;
use super::ingress::{Ingress, IngressPort};
use crate::esp::{DropReason, Tally};
use crate::sys::mmsg::{Received, Run};
use crate::sys::poll::{self, Waker};
use crate::sys::socket::LaneSocket;
use crate::sys::tun::Tun;
use crate::sys::{affinity, clock, confine};
use crate::time::Instant;
use crate::wire::datagram::KEEPALIVE;
use crate::wire::vnet::{self, VnetHeader};

/// The largest frame: a virtio-net header and the largest IP packet.
const FRAME: usize = vnet::LEN + 65_535;

/// Frames read before what is ready leaves: keeps the first from waiting for the last.
const MAX_FRAMES: usize = 64;

/// Bytes sealed before they leave: two super-packets, or a batch of small ones.
const MAX_BYTES: usize = 64 << 10;

/// How long what is known of the path is believed while packets leave. That it shrank is learned from errors; nobody says
/// that it grew again, or that the kernel's ten minutes are over (RFC 1191 §6.3).
const PATH_AGE: Duration = Duration::from_secs(1);

/// How long a full socket is waited for before its packets are dropped.
const PATIENCE: Duration = Duration::from_millis(100);

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
    pub socket: LaneSocket,
    /// What to forward by.
    pub forwarding: Forwarding,
    /// Where events go.
    pub control: SyncSender<Event>,
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
struct Shared {
    parts: LaneParts,
    counters: LaneCounters,
    waker: Waker,
    stop: AtomicBool,
    /// The outer packet that the path carries.
    path: AtomicUsize,
    /// When each thread last turned.
    turned: [AtomicU64; 2],
}

impl Lane {
    /// Starts both threads.
    pub fn start(parts: LaneParts) -> io::Result<Lane> {
        let path = AtomicUsize::new(parts.socket.path_mtu()?);
        let now = clock::now().mono.0;
        let shared = Arc::new(Shared {
            counters: LaneCounters::default(),
            waker: Waker::new()?,
            stop: AtomicBool::new(false),
            path,
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

    /// Whether both threads turned lately. One that ended, or hangs in a call, does not, and nothing else would tell of it.
    pub fn turns(&self, now: Instant) -> bool {
        let last = |turned: &AtomicU64| Instant(turned.load(Ordering::Relaxed));
        self.shared.turned.iter().all(|turned| now.since(last(turned)) < 3 * PULSE)
    }

    /// The device.
    pub fn tun(&self) -> &Tun {
        &self.shared.parts.tun
    }

    /// The socket.
    pub fn socket(&self) -> &LaneSocket {
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
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn turn(&self, thread: usize, now: Instant) {
        self.turned[thread].store(now.0, Ordering::Relaxed);
    }

    /// Asks the kernel what the path carries; tells control when it is something else than before.
    fn look_at_path(&self) {
        let Ok(mtu) = self.parts.socket.path_mtu() else { return };
        if self.path.swap(mtu, Ordering::Relaxed) != mtu {
            self.tell(Event::PathMtu(mtu));
        }
    }

    /// Whether the path takes a datagram of this length, as far as is known.
    fn fits(&self, datagram: usize) -> bool {
        let overhead = self.parts.forwarding.load().rules.encapsulation.overhead();
        overhead + datagram <= self.path.load(Ordering::Relaxed)
    }

    fn tell(&self, event: Event) -> bool {
        self.parts.control.try_send(event).is_ok()
    }
}

/// Device to peer.
struct EgressLoop<'l> {
    shared: &'l Shared,
    egress: Egress,
    frame: Box<[u8]>,
    last_sent: Instant,
    last_look: Instant,
}

impl<'l> EgressLoop<'l> {
    fn new(shared: &'l Shared) -> EgressLoop<'l> {
        let (frame, now) = (vec![0; FRAME].into(), clock::now().mono);
        EgressLoop { shared, egress: Egress::default(), frame, last_sent: now, last_look: now }
    }

    fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            match self.batch() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    warn!(connection = parts.connection, %error, "the device is gone");
                    self.shared.tell(Event::DeviceLost);
                    return;
                }
            }
            let wait = parts
                .keepalive
                .map_or(PULSE, |interval| interval.saturating_sub(self.silence()).min(PULSE));
            if let Err(error) = poll::readable(parts.tun.as_fd(), &self.shared.waker, Some(wait)) {
                warn!(connection = parts.connection, %error, "waiting for the device failed");
                self.shared.tell(Event::DeviceLost);
                return;
            }
            self.keep_alive();
        }
    }

    /// Moves what the device has, up to a batch. Whether there may be more.
    fn batch(&mut self) -> io::Result<bool> {
        let EgressLoop { shared, egress, frame, .. } = self;
        let (parts, now) = (&shared.parts, clock::now().mono);
        shared.turn(OUT, now);
        let tables = parts.forwarding.load();
        let path = shared.path.load(Ordering::Relaxed);
        let mut port = LanePort(shared);
        let mut batch = egress.begin(&tables, path, parts.socket.gso(), now);
        let mut outcome = Ok(true);
        let mut frames = 0;
        while frames < MAX_FRAMES && batch.len() < MAX_BYTES {
            match parts.tun.read(frame) {
                Ok(len) => batch.push(frame.get_mut(..len).unwrap_or_default(), &mut port),
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
}

impl<'l> IngressLoop<'l> {
    fn new(shared: &'l Shared) -> IngressLoop<'l> {
        IngressLoop { shared, ingress: Ingress::new(shared.parts.tun.offloads()) }
    }

    fn run(&mut self) {
        let parts = &self.shared.parts;
        while !self.shared.stopped() {
            if self.batch() {
                continue;
            }
            match poll::readable(parts.socket.as_fd(), &self.shared.waker, Some(PULSE)) {
                Ok(ready) if ready.error => self.read_errors(),
                Ok(_) => {}
                Err(error) => {
                    warn!(connection = parts.connection, %error, "waiting for the socket failed");
                    self.shared.tell(Event::DeviceLost);
                    return;
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
            Err(_) => {
                // An ICMP error that came for what was sent: it is in the queue too.
                self.read_errors();
                return true;
            }
        };
        let tables = parts.forwarding.load();
        let received = &received[..count];
        self.ingress.process(
            &tables,
            received,
            now,
            &shared.counters.ingress,
            &mut LanePort(shared),
        );
        count == Ingress::SLOTS
    }

    fn read_errors(&self) {
        self.shared.parts.socket.drain_errors();
        self.shared.look_at_path();
    }
}

/// The descriptors, as both loops see them.
struct LanePort<'l>(&'l Shared);

impl EgressPort for LanePort<'_> {
    fn send(&mut self, buffer: &[u8], runs: &[Run], lost: &mut Tally) {
        let socket = &self.0.parts.socket;
        let mut rest = runs;
        let mut retried = false;
        while !rest.is_empty() && !self.0.stopped() {
            let (sent, result) = socket.send(buffer, rest);
            rest = &rest[sent..];
            let (Some((run, after)), Err(error)) = (rest.split_first(), result) else { return };
            let packets = u32::try_from(run.count()).unwrap_or(u32::MAX);
            match error.raw_os_error() {
                Some(libc::EAGAIN) => {
                    let wait = poll::writable(socket.as_fd(), &self.0.waker, Some(PATIENCE));
                    if wait.is_ok_and(|ready| ready.io) {
                        continue;
                    }
                    lost.drop(DropReason::SendFailed, packets);
                }
                Some(libc::EMSGSIZE) => {
                    self.0.look_at_path();
                    lost.drop(DropReason::PathShrank, packets);
                }
                // EIO: the device cannot complete checksums. EINVAL: it cannot segment, or, from some kernels, the segments
                // do not fit the path any longer: then each of them says so.
                Some(libc::EIO | libc::EINVAL) if run.count() > 1 => {
                    self.0.look_at_path();
                    if self.0.fits(run.segment) && socket.disable_gso() {
                        let connection = &self.0.parts.connection;
                        warn!(connection, %error, "the path refuses UDP GSO; going on without");
                    }
                    run.singles().for_each(|single| self.send(buffer, &[single], lost));
                }
                // An ICMP error for an earlier packet is reported by this call: once, then the packet's own turn comes.
                _ if !retried => {
                    retried = true;
                    continue;
                }
                _ => lost.drop(DropReason::SendFailed, packets),
            }
            retried = false;
            rest = after;
        }
    }

    fn reply(&mut self, packet: &[u8]) {
        let header = VnetHeader::default().to_bytes();
        if self.0.parts.tun.write(&[IoSlice::new(&header), IoSlice::new(packet)]).is_ok() {
            self.0.counters.replies.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell(&mut self, event: Event) {
        self.0.tell(event);
    }
}

impl IngressPort for LanePort<'_> {
    fn deliver(&mut self, frame: &[IoSlice<'_>]) -> bool {
        self.0.parts.tun.write(frame).is_ok()
    }

    fn tell(&mut self, event: Event) -> bool {
        self.0.tell(event)
    }
}
