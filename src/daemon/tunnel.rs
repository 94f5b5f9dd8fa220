//! One tunnel's packets: the device, the lane, and the child SAs as the engine wants them.
//!
//! ```text
//! InstallInbound ─> AddInbound        InstallOutbound ─> kept ready ─ ActivateOutbound ─> UseOutbound
//! RemoveInbound  ─> RemoveInbound     RetireOutbound ─> RetireOutbound, its key forgotten
//! ```
//!
//! The device lives as long as the configuration has the tunnel, over restarts too where somebody
//! keeps it. The lane starts with the first SA, when its socket's ends are known, and starts anew
//! when they change in more than the peer's address. SAs outlive both: a device that somebody
//! deleted is made anew under them, and a lane that could not start finds them when it can.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc::Sender;
use tracing::warn;

use super::child::{Child, served_at_most};
use super::device::{DevicePlan, dismiss};
use super::traffic::Traffic;
use crate::crypto::{Provider, Standard};
use crate::dataplane::{Change, Forwarding, InboundSa, Lane, LaneEvent, LaneParts, OutboundSa};
use crate::esp::{Ceiling, Counters, DropReason, Inbound, Lease, Outbound, Replay};
use crate::ike::endpoint::output::EspSa;
use crate::ike::path::Path;
use crate::ike::{ChildId, PeerId, Slot};
use crate::state::inventory::{Position, Seen, Sent};
use crate::state::{Handles, PersistentState, SaDirection, fd_store};
use crate::sys::esp_socket::{Batching, EspSocket};
use crate::sys::ike_socket;
use crate::sys::netlink::Netlink;
use crate::sys::tun::Tun;
use crate::time::Instant;
use crate::wire::packet::ip::IpVersion;
use crate::wire::spi::EspSpi;

/// Events of one lane that wait for control: handshakes and hints, never packets.
const EVENTS: usize = 64;

/// An event of the lane of a tunnel.
pub type PeerLaneEvent = (PeerId, LaneEvent);

/// One tunnel's data plane.
#[derive(Debug)]
pub struct RunningTunnel {
    peer: PeerId,
    plan: DevicePlan,
    forwarding: Forwarding,
    carrier: Carrier,
    ends: Option<Ends>,
    children: BTreeMap<ChildId, Child>,
    active: BTreeMap<Slot, (ChildId, EspSpi)>,
    events: Sender<PeerLaneEvent>,
    provider: Standard,
    /// What SAs moved that are gone.
    past: Traffic,
    keeping: Handles,
    /// A socket that a former process had.
    socket: Option<OwnedFd>,
    /// A former process made the device.
    inherited: bool,
    /// No lane may run: nothing is there to forward by yet, or any more.
    held: bool,
    /// Where SAs of a former process stand, as long as they are not installed.
    positions: Vec<Position>,
}

/// Between which ends ESP travels, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ends {
    path: Path,
    encapsulated: bool,
}

/// Who has the device.
#[derive(Debug)]
enum Carrier {
    /// Nobody: there was no SA yet.
    Idle(Tun),
    /// The lane.
    Lane(Lane),
    /// It is lost.
    Gone,
}

impl RunningTunnel {
    /// Makes the device, or takes over the one that was kept. Needs CAP_NET_ADMIN.
    pub fn create(
        peer: PeerId,
        plan: DevicePlan,
        events: Sender<PeerLaneEvent>,
        estate: &mut PersistentState,
    ) -> io::Result<RunningTunnel> {
        let kept = estate.take(&fd_store::device(&plan.interface));
        let kept = kept.and_then(|fd| Tun::adopt(fd, &plan.interface, plan.offloads()).ok());
        let keeping = estate.handles.clone();
        let inherited = kept.is_some();
        let tun = match kept {
            Some(tun) => tun,
            None => plan.device(&keeping)?,
        };
        let socket = estate.take(&fd_store::lane(&plan.interface));
        let rules = plan.rules(true, IpVersion::V4);
        Ok(RunningTunnel {
            peer,
            plan,
            forwarding: Forwarding::new(rules),
            carrier: Carrier::Idle(tun),
            ends: None,
            children: BTreeMap::new(),
            active: BTreeMap::new(),
            events,
            provider: Standard::default(),
            past: Traffic::default(),
            keeping,
            socket,
            inherited,
            held: false,
            positions: Vec::new(),
        })
    }

    /// Goes on with what a former process had: lanes wait until [`RunningTunnel::release`], and SAs
    /// begin where they stand.
    pub fn resume(&mut self, past: Traffic, positions: Vec<Position>) {
        (self.held, self.past, self.positions) = (true, past, positions);
    }

    /// Whether a former process made the device: then it has its routes.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The lane may run.
    pub fn release(&mut self) -> io::Result<()> {
        self.held = false;
        self.positions.clear();
        match (&self.carrier, self.ends) {
            (Carrier::Idle(_), Some(ends)) => self.start(ends),
            _ => {
                self.let_go();
                Ok(())
            }
        }
    }

    /// No lane takes the kept socket over: being connected, it would take all that the peer sends,
    /// IKE too, and nobody reads it.
    fn let_go(&mut self) {
        if self.socket.take().is_some() {
            self.keeping.fd_store.forget(&fd_store::lane(&self.plan.interface));
        }
    }

    /// Stops the lane for good: packets wait in the kernel for the next process.
    pub fn park(&mut self) {
        self.held = true;
        self.halt();
    }

    /// Where each SA stands, exactly if the lane stands still.
    pub fn positions(&self) -> Vec<Position> {
        let stand = |(id, child): (&ChildId, &Child)| Position {
            child: id.0,
            outbound: child.outbound.as_ref().map(|sa| Sent::from(&*sa.hold())),
            inbound: child.inbound.as_ref().map(|sa| Seen::from(&*sa.hold())),
        };
        self.children.iter().map(stand).collect()
    }

    /// Whether the lane at work has lost its device.
    pub fn has_lost_device(&self) -> bool {
        matches!(&self.carrier, Carrier::Lane(lane) if lane.has_lost_device())
    }

    /// The device is gone. Its SAs stay, and the socket with all that waits in it.
    pub fn lose_device(&mut self) {
        if let Carrier::Lane(lane) = std::mem::replace(&mut self.carrier, Carrier::Gone) {
            self.socket = lane.stop().map(|parts| parts.socket.into());
        }
    }

    /// Has the device as it should be: there, with what the operator set for it.
    pub fn mend(&mut self) -> io::Result<()> {
        if self.is_missing() {
            self.lose_device();
        }
        if let Err(error) = self.have_device() {
            self.let_go();
            return Err(error);
        }
        // Somebody who switched it off and on took addresses away.
        if let Err(error) = Netlink::open().and_then(|netlink| self.plan.dress(&netlink)) {
            warn!(connection = self.plan.connection, %error, "the interface could not be looked after");
        }
        Ok(())
    }

    /// Has a lane if there is something to carry: it could not start, or its device was lost.
    pub fn go_on(&mut self) -> io::Result<()> {
        match (&self.carrier, self.ends) {
            (Carrier::Idle(_) | Carrier::Gone, Some(ends)) if !self.held => self.start(ends),
            _ => Ok(()),
        }
    }

    /// Why no packet can pass the device, if it is the device.
    pub fn hitch(&self) -> Option<String> {
        let name = &self.plan.interface;
        if matches!(self.carrier, Carrier::Gone) || self.is_missing() {
            return Some(format!("the interface {name} is gone"));
        }
        let up = Netlink::open().and_then(|netlink| netlink.is_up(name));
        // What cannot be asked is not known to be wrong.
        (!up.unwrap_or(true)).then(|| {
            format!("the interface {name} is down; `ip link set {name} up` brings it back")
        })
    }

    fn is_missing(&self) -> bool {
        let up = Netlink::open().and_then(|netlink| netlink.is_up(&self.plan.interface));
        up.is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV))
    }

    /// Why its last packets did not leave.
    pub fn outage(&self) -> Option<io::Error> {
        match &self.carrier {
            Carrier::Lane(lane) => lane.outage(),
            Carrier::Idle(_) | Carrier::Gone => None,
        }
    }

    /// Ends the device. Closing it is not enough where somebody keeps it.
    pub fn dismiss(mut self) {
        self.carrier = Carrier::Gone;
        if self.keeping.fd_store.exists() {
            dismiss(&self.plan.interface, &self.keeping);
        }
    }

    /// The device's name.
    pub fn interface(&self) -> &str {
        &self.plan.interface
    }

    /// What the operator set.
    pub fn plan(&self) -> &DevicePlan {
        &self.plan
    }

    /// The outer ends, once there was an SA.
    pub fn path(&self) -> Option<Path> {
        self.ends.map(|ends| ends.path)
    }

    /// Whether ESP travels in UDP.
    pub fn encapsulated(&self) -> bool {
        self.ends.is_none_or(|ends| ends.encapsulated)
    }

    /// The largest outer packet of the path, as the kernel knows it.
    pub fn path_mtu(&self) -> Option<usize> {
        match &self.carrier {
            Carrier::Lane(lane) => lane.socket().path_mtu().ok(),
            Carrier::Idle(_) | Carrier::Gone => None,
        }
    }

    /// Whether the threads that move its packets turn, if there are any.
    pub fn turns(&self, now: Instant) -> bool {
        match &self.carrier {
            Carrier::Lane(lane) => lane.turns(now),
            Carrier::Idle(_) | Carrier::Gone => true,
        }
    }

    /// The child SAs.
    pub fn children(&self) -> impl Iterator<Item = (ChildId, &Child)> {
        self.children.iter().map(|(id, child)| (*id, child))
    }

    /// Whether some slot has a carrier: packets can leave.
    pub fn is_up(&self) -> bool {
        !self.active.is_empty()
    }

    /// Whether this child carries its slot's traffic.
    pub fn is_active(&self, child: ChildId) -> bool {
        self.active.values().any(|(id, _)| *id == child)
    }

    /// What moved since the tunnel was made.
    pub fn traffic(&self) -> Traffic {
        self.children.values().fold(self.past, |sum, child| sum.plus(child.traffic()))
    }

    /// The inbound SAs on which packets came since the last look.
    pub fn heard(&mut self) -> Vec<EspSpi> {
        self.children.values_mut().filter_map(Child::heard).collect()
    }

    /// Why packets were dropped, and how many, of those that no present SA can tell.
    pub fn drops(&self) -> BTreeMap<&'static str, u64> {
        let mut drops = BTreeMap::new();
        let mut add = |counters: &Counters| {
            for (reason, count) in counters.all_drops() {
                *drops.entry(DropReason::name(reason)).or_default() += count;
            }
        };
        if let Carrier::Lane(lane) = &self.carrier {
            add(&lane.counters().egress.stray);
            add(&lane.counters().ingress.stray);
        }
        for child in self.children.values() {
            child.counters().for_each(&mut add);
        }
        drops
    }

    /// Which child an SA of this tunnel belongs to, by either SPI.
    pub fn child_of(&self, spi: EspSpi) -> Option<ChildId> {
        let of_spi = |child: &Child| {
            child.inbound.as_ref().is_some_and(|sa| sa.spi == spi)
                || child.outbound.as_ref().is_some_and(|sa| sa.spi == spi)
        };
        self.children.iter().find(|(_, child)| of_spi(child)).map(|(id, _)| *id)
    }

    /// The SA that a packet of this SPI belongs to, if it is one of ours.
    pub fn inbound(&self, spi: EspSpi) -> Option<&Arc<InboundSa>> {
        self.children.values().filter_map(|child| child.inbound.as_ref()).find(|sa| sa.spi == spi)
    }

    /// Receives on this SA from now on.
    pub fn install_inbound(&mut self, sa: EspSa) -> io::Result<()> {
        let key = self.provider.esp_open_key(&sa.suite, &sa.keys).map_err(io::Error::other)?;
        let ends = Ends { path: sa.path, encapsulated: sa.encapsulated };
        let (ledger, ceiling) = self.claim(sa.child, SaDirection::In)?;
        let seen = self.positions.iter().find(|p| p.child == sa.child.0);
        let seen = seen.and_then(|position| position.inbound.as_ref());
        let replay = replay(self.plan.replay_window, ceiling, seen);
        let exact = seen.map(|seen| (seen.packets, seen.bytes));
        let mtu = self.plan.mtu();
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        (child.before.packets_in, child.before.bytes_in) = exact.unwrap_or_default();
        let (packets, bytes) = exact.unwrap_or_else(|| served_at_most(ceiling, mtu, &child.limits));
        let inbound = Inbound::new(sa.spi, key, replay, sa.suite.esn, child.limits)
            .noted_in(ledger)
            .resumed(packets, bytes);
        let inbound = Arc::new(InboundSa::new(inbound, sa.selectors));
        child.inbound = Some(Arc::clone(&inbound));
        self.forwarding.apply([Change::AddInbound(inbound)]);
        // Last: a lane that cannot start now finds the SA when it can.
        self.carry(ends)
    }

    /// Has this SA ready for sending.
    pub fn install_outbound(&mut self, sa: EspSa) -> io::Result<()> {
        let key = self.provider.esp_seal_key(&sa.suite, &sa.keys).map_err(io::Error::other)?;
        let ends = Ends { path: sa.path, encapsulated: sa.encapsulated };
        let (ledger, ceiling) = self.claim(sa.child, SaDirection::Out)?;
        let sent = self.positions.iter().find(|p| p.child == sa.child.0);
        let sent = sent.and_then(|position| position.outbound);
        let exact = sent.map(|sent| (sent.packets, sent.bytes));
        let lease = Lease::new(sent.map_or(ceiling, |sent| sent.next), sa.suite.esn, ledger);
        let mtu = self.plan.mtu();
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        (child.before.packets_out, child.before.bytes_out) = exact.unwrap_or_default();
        let (packets, bytes) = exact.unwrap_or_else(|| served_at_most(ceiling, mtu, &child.limits));
        let outbound = Outbound::new(sa.spi, key, lease, child.limits).resumed(packets, bytes);
        child.outbound = Some(Arc::new(OutboundSa::new(outbound, sa.selectors)));
        self.carry(ends)
    }

    /// Sends a slot's traffic on this SA, and no longer on the one before it.
    pub fn activate(&mut self, slot: Slot, child: ChildId, spi: EspSpi) {
        let ready = self.children.get(&child).and_then(|child| child.outbound.as_ref());
        let Some(outbound) = ready.filter(|sa| sa.spi == spi) else { return };
        let fresh = Change::UseOutbound(Arc::clone(outbound));
        let before = self.active.insert(slot, (child, spi)).filter(|before| before.1 != spi);
        let stale = before.map(|(_, spi)| Change::RetireOutbound(spi));
        self.forwarding.apply(std::iter::once(fresh).chain(stale));
    }

    /// Never sends on this SA again.
    pub fn retire(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RetireOutbound(spi)]);
        self.active.retain(|_, carrier| *carrier != (child, spi));
        self.forget(child, |child| drop(child.outbound.take()));
        self.keeping.ledger.release(child, SaDirection::Out);
    }

    /// Receives on this SA no longer.
    pub fn remove(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RemoveInbound(spi)]);
        self.forget(child, |child| drop(child.inbound.take()));
        self.keeping.ledger.release(child, SaDirection::In);
    }

    fn claim(&self, child: ChildId, way: SaDirection) -> io::Result<(Arc<dyn Ceiling>, u64)> {
        let full = || io::Error::other("the ledger of sequence numbers is full");
        self.keeping.ledger.claim(child, way).ok_or_else(full)
    }

    fn forget(&mut self, id: ChildId, half: impl FnOnce(&mut Child)) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let before = child.traffic();
        half(child);
        self.past = self.past.plus(before.minus(child.traffic()));
        if child.inbound.is_none() && child.outbound.is_none() {
            self.children.remove(&id);
        }
    }

    /// The peer's packets go elsewhere from now on.
    pub fn move_to(&mut self, path: Path, encapsulated: bool) -> io::Result<()> {
        if self.ends.is_none() {
            return Ok(());
        }
        self.carry(Ends { path, encapsulated })
    }

    /// Has a lane between these ends.
    fn carry(&mut self, ends: Ends) -> io::Result<()> {
        if matches!(self.carrier, Carrier::Lane(_)) {
            let Some(held) = self.ends.replace(ends) else { return Ok(()) };
            if held == ends {
                return Ok(());
            }
            let same_socket = held.path.local == ends.path.local
                && held.encapsulated == ends.encapsulated
                && ends.encapsulated;
            if same_socket && let Carrier::Lane(lane) = &self.carrier {
                let moved = lane.socket().reconnect(ends.path.remote);
                return moved.inspect_err(|_| self.suspend());
            }
        }
        self.ends = Some(ends);
        if self.held { Ok(()) } else { self.start(ends) }
    }

    fn start(&mut self, ends: Ends) -> io::Result<()> {
        self.have_device()?;
        // Before the device is taken: if there is no socket, it stays.
        let socket = self.connect(ends).inspect_err(|_| self.suspend())?;
        let tun = match std::mem::replace(&mut self.carrier, Carrier::Gone) {
            Carrier::Idle(tun) => tun,
            Carrier::Lane(lane) => match lane.stop() {
                Some(parts) => parts.tun,
                None => self.plan.device(&self.keeping)?,
            },
            Carrier::Gone => self.plan.device(&self.keeping)?,
        };
        let lane = self.parts(tun, socket, ends).and_then(Lane::start);
        self.carrier = Carrier::Lane(lane.inspect_err(|_| self.suspend())?);
        Ok(())
    }

    /// Stops the lane; the device stays.
    fn halt(&mut self) {
        self.carrier = match std::mem::replace(&mut self.carrier, Carrier::Gone) {
            Carrier::Lane(lane) => {
                lane.stop().map_or(Carrier::Gone, |parts| Carrier::Idle(parts.tun))
            }
            other => other,
        };
    }

    /// Has no lane until [`RunningTunnel::go_on`]: one that is where the peer is not any more
    /// misleads packets, and its socket, being connected, would take all that the peer sends,
    /// though nobody reads it.
    fn suspend(&mut self) {
        self.halt();
        self.socket = None;
        self.keeping.fd_store.forget(&fd_store::lane(&self.plan.interface));
    }

    /// Makes the device unless it is there.
    fn have_device(&mut self) -> io::Result<()> {
        if matches!(self.carrier, Carrier::Gone) {
            self.carrier = Carrier::Idle(self.plan.device(&self.keeping)?);
        }
        Ok(())
    }

    fn connect(&mut self, ends: Ends) -> io::Result<EspSocket> {
        let socket = self.socket(ends)?;
        // The mark may lead another way: connecting once more looks the way up again.
        ike_socket::mark(&socket.as_fd())?;
        let remote = ends.path.remote;
        let port = if ends.encapsulated { remote.port() } else { 0 };
        socket.reconnect(SocketAddr::new(remote.ip(), port))?;
        Ok(socket)
    }

    fn parts(&mut self, tun: Tun, socket: EspSocket, ends: Ends) -> io::Result<LaneParts> {
        let version = if ends.path.local.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
        self.forwarding.apply([Change::SetRules(self.plan.rules(ends.encapsulated, version))]);
        Ok(LaneParts {
            connection: self.plan.connection.clone(),
            name: self.plan.interface.clone(),
            tun,
            socket,
            forwarding: self.forwarding.clone(),
            control: self.bridge()?,
            // The engine keeps NATs open: it knows of them.
            keepalive: None,
            cpus: None,
        })
    }

    /// The socket that was kept, with all that waits in it, if it is between these ends; else a new
    /// one, kept from now on.
    fn socket(&mut self, ends: Ends) -> io::Result<EspSocket> {
        let Ends { path: Path { local, remote, .. }, encapsulated } = ends;
        let batching = Batching { gso: self.plan.offload, gro: self.plan.offload };
        let kept = self.socket.take();
        let kept = kept.and_then(|fd| EspSocket::adopt(fd, !encapsulated, batching).ok());
        let fits = |at: SocketAddr| {
            at.ip() == local.ip() && (at.port() == at_4500(local.ip()).port()) == encapsulated
        };
        if let Some(socket) = kept.filter(|socket| socket.local().is_ok_and(fits)) {
            return Ok(socket);
        }
        let socket = match encapsulated {
            true => EspSocket::udp(at_4500(local.ip()), remote, batching)?,
            false => EspSocket::raw(local.ip(), remote.ip())?,
        };
        let name = fd_store::lane(&self.plan.interface);
        self.keeping.fd_store.forget(&name);
        self.keeping.fd_store.keep(&name, &socket);
        Ok(socket)
    }

    /// From the lane's threads to control's: a thread that sleeps until there is an event, and ends
    /// with the lane.
    fn bridge(&self) -> io::Result<std::sync::mpsc::SyncSender<LaneEvent>> {
        let (sender, receiver) = sync_channel(EVENTS);
        let (peer, events) = (self.peer, self.events.clone());
        let name = format!("{}-events", self.plan.interface);
        std::thread::Builder::new().name(name).spawn(move || {
            for event in receiver {
                if events.blocking_send((peer, event)).is_err() {
                    return;
                }
            }
        })?;
        Ok(sender)
    }
}

/// The window of a receiving half: exact, or with all that a process which died may have seen.
fn replay(window: u32, ceiling: u64, seen: Option<&Seen>) -> Replay {
    let exact = seen.and_then(|seen| Replay::restored(window, seen.top, &seen.blocks));
    exact.unwrap_or_else(|| match ceiling {
        0 => Replay::new(window),
        ceiling => Replay::resumed(window, ceiling - 1),
    })
}

/// Where a lane's socket sits: beside the one for IKE.
fn at_4500(local: IpAddr) -> SocketAddr {
    SocketAddr::new(local, 4500)
}
