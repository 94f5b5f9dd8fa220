//! One tunnel at work: [`Lane`], its start, its stop, and what its owner may ask.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use tracing::{info, warn};

use super::counters::LaneCounters;
use super::loops::{EgressLoop, IngressLoop};
use super::outage::Outage;
use super::path::PathMtu;
use super::shared::{IN, LaneParts, OUT, PULSE, Shared};
use super::tables::Rules;
use crate::sys::esp_socket::EspSocket;
use crate::sys::poll::Waker;
use crate::sys::tun::Tun;
use crate::sys::{affinity, clock, confine};
use crate::time::Instant;

/// One tunnel's data plane: one tunnel device, one socket connected to the peer, and two threads
/// between them.
///
/// ```text
///            +---------------------------- Lane ----------------------------+
///            |             egress thread "azure0-out"                       |
///  Tun ------+---> read ---> look up the SA, seal ---> one GSO send --------+---> EspSocket
///  device <--+--- write <--- open, check <----------- one GRO receive <-----+---- to the peer
///            |             ingress thread "azure0-in"                       |
///            +------^-------------------------------------------+-----------+
///                   | Change (Forwarding)          LaneEvent    v
///                   +---------------- control, one thread ------+
/// ```
///
/// # Life
///
/// 1. **Made of parts.** Control opens the device and the socket and makes the tables
///    ([`super::Forwarding`]); [`LaneParts`] holds all of them. A lane opens nothing itself.
/// 2. **Started.** [`Lane::start`] starts both threads. Each thread gives up all rights but moving
///    bytes between open descriptors (`sys::confine`) before its first packet.
/// 3. **At work.** Each thread runs one batch after another while its descriptor has something, and
///    otherwise waits in poll(2). A batch ends when the descriptor has nothing more, or at a bound
///    of frames and bytes, never by a timer: a lone packet leaves at once.
/// 4. **Changed.** Control publishes new tables ([`super::Change`]: a new SA, another peer address
///    in [`Lane::reconnect`]) without a stop. Each batch loads the tables once.
/// 5. **Stopped.** [`Lane::stop`] wakes both threads, waits until each has finished its batch, and
///    gives the parts back. The descriptors stay open, and packets that wait in them are not lost:
///    a new lane of the same parts goes on with them. Dropping a lane stops the lane too, and
///    closes its descriptors.
/// 6. **Parked.** For a restart of the service the lane is stopped and the descriptors are kept by
///    the service manager: packets wait in the kernel until the next process adopts them
///    ([`Tun::adopt`], [`EspSocket::adopt`]).
///
/// # What a lane may not do
///
/// A lane knows no IKE: no peer, no lifetime, no negotiation. It opens no file, socket or device,
/// starts no thread, allocates nothing and takes no contended lock for a packet. It never ends by
/// itself but when the device is deleted: every other error is counted, reported, and followed by
/// another try after a pause ([`super::backoff`]).
///
/// # Counters, errors, events
///
/// - [`Lane::counters`]: packets and drops that no SA can be charged with, messages, frames and
///   batch sizes; what an SA carried and dropped is in its own `esp::Counters`. Each packet that
///   is dropped is in the counter of exactly one [`crate::esp::DropReason`].
/// - [`Lane::outage`]: why the last packets did not leave, for status and log.
/// - [`Lane::turns`]: whether both threads are alive; the service restarts when they are not.
/// - [`super::LaneEvent`]: what control must act on. The channel is bounded and a full one loses
///   events, so that a stalled control cannot stall packets.
///
/// # Why there is no queue between socket and device
///
/// Each thread reads, works and writes in turn. A queue would add latency and memory, would need a
/// policy for its overflow, and would hide from the sender that the far side is full. The kernel
/// has a queue on both sides already: when the socket is full, egress waits briefly and the
/// device's queue fills, which TCP senders notice. Two threads suffice, since one SA belongs to one
/// thread ("wire order is number order"), and the two directions share nothing.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Starts both threads.
    pub fn start(parts: LaneParts) -> io::Result<Lane> {
        let now = clock::now().mono.0;
        let shared = Arc::new(Shared {
            counters: LaneCounters::default(),
            waker: Waker::new()?,
            outage: Outage::default(),
            stop: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            path: PathMtu::default(),
            errors: AtomicUsize::new(0),
            alive: [AtomicU64::new(now), AtomicU64::new(now)],
            parts,
        });
        let offloads = shared.parts.tun.offloads();
        info!(
            connection = shared.parts.connection,
            interface = shared.parts.name,
            tcp_offload = offloads.tcp,
            udp_offload = offloads.udp,
            gso = shared.parts.socket.gso(),
            gro = shared.parts.socket.gro(),
            path_mtu = shared.path_mtu(),
            "data plane started"
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
        let thread = Builder::new().name(name.clone()).spawn(move || {
            let connection = &shared.parts.connection;
            if let Some((cpu, error)) = cpu.and_then(|cpu| Some((cpu, affinity::pin(cpu).err()?))) {
                warn!(connection, thread = name, cpu, %error, "data plane thread not pinned to its processor; the scheduler places it");
            }
            if let Err(error) = confine::lane() {
                warn!(connection, thread = name, error, "seccomp could not be applied to the data plane thread; it runs with the service's rights");
            }
            work(&shared);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The counters of the lane, which go on counting.
    pub fn counters(&self) -> &LaneCounters {
        &self.shared.counters
    }

    /// Whether both threads began a batch lately. A thread that ended, or hangs in a system call,
    /// did not, and reports nothing.
    pub fn turns(&self, now: Instant) -> bool {
        let last = |alive: &AtomicU64| Instant(alive.load(Ordering::Relaxed));
        self.shared.alive.iter().all(|alive| now.since(last(alive)) < 3 * PULSE)
    }

    /// Why the last packets did not leave; `None` while packets leave.
    pub fn outage(&self) -> Option<io::Error> {
        self.shared.outage.error(clock::now().mono)
    }

    /// The path MTU: the largest outer packet that is believed to arrive.
    pub fn path_mtu(&self) -> usize {
        self.shared.path_mtu()
    }

    /// Has the socket allow fragments where the path is too narrow for what is carried, and refuse
    /// them elsewhere. The largest inner packet that is carried, which is to be the device's MTU.
    /// Control calls this after [`super::LaneEvent::PathMtu`] and when an SA becomes the one to
    /// send on.
    pub fn follow_path_mtu(&self) -> io::Result<usize> {
        let (tables, path) = (self.shared.parts.forwarding.load(), self.path_mtu());
        let carried = tables.least(|rules, layout| Rules::carried_mtu(rules, path, layout));
        let whole = tables.least(|rules, layout| Rules::whole_mtu(rules, path, layout));
        self.socket().allow_fragments(whole < carried)?;
        Ok(carried)
    }

    /// Connects the socket to another address of the peer. What was believed of the path there is
    /// forgotten.
    pub fn reconnect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket().reconnect(peer)?;
        if let Some(other) = &self.shared.parts.other {
            // Bare ESP is received for the sake of unusual peers: its socket may fail.
            let _ = other.reconnect(SocketAddr::new(peer.ip(), 0));
        }
        self.shared.path.forget();
        Ok(())
    }

    /// Whether this lane's device was deleted. An event that says so may be about an earlier lane.
    pub fn has_lost_device(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The tunnel device.
    pub fn tun(&self) -> &Tun {
        &self.shared.parts.tun
    }

    /// The socket that is connected to the peer.
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
            // The panic hook has logged the panic of a thread that panicked.
            let _ = thread.join();
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.halt();
    }
}
