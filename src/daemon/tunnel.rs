//! One tunnel's packets: the device, the lane, and the child SAs as the engine wants them.
//!
//! ```text
//! InstallInbound ─> AddInbound        InstallOutbound ─> kept ready ─ ActivateOutbound ─> UseOutbound
//! RemoveInbound  ─> RemoveInbound     RetireOutbound ─> RetireOutbound, its key forgotten
//! ```
//!
//! The device lives as long as the configuration has the tunnel. The lane starts with the first SA, when its socket's ends
//! are known, and starts anew when they change in more than the peer's address.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc::Sender;

use super::child::Child;
use crate::crypto::{Provider, Standard};
use crate::dataplane::mtu::Encapsulation;
use crate::dataplane::{Change, Event, Forwarding, InboundSa, Lane, LaneParts, OutboundSa, Rules};
use crate::esp::{Counters, DropReason, Inbound, Lease, Outbound, Replay};
use crate::ike::output::EspSa;
use crate::ike::path::Path;
use crate::ike::{ChildId, PeerId, Slot};
use crate::sys::ike_socket;
use crate::sys::netlink::{Netlink, Prefix};
use crate::sys::socket::{Batching, LaneSocket};
use crate::sys::tun::{Offloads, Tun};
use crate::time::Instant;
use crate::wire::ip::Version;
use crate::wire::spi::EspSpi;

/// Events of one lane that wait for control: handshakes and hints, never packets.
const EVENTS: usize = 64;

/// Azure's advice where no path says less: the inner packet, and the TCP segment (azure.md §2.1).
const INNER_MTU: u16 = 1400;
const MSS: u16 = 1350;
/// The outer packet that a path is taken to carry until it says otherwise.
const OUTER_MTU: usize = 1500;

/// Packets that may wait for the device: a super-packet counts as one.
const QUEUE_LEN: u32 = 1000;

/// What an operator set for a tunnel's packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The device.
    pub interface: String,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// Its MTU; `None`: what Azure advises.
    pub mtu: Option<u16>,
    /// The largest TCP segment; `None`: what Azure advises.
    pub mss: Option<u16>,
    /// Whether service classes show outside.
    pub copy_dscp: bool,
    /// Whether to use offloads.
    pub offload: bool,
    /// Packets that may be late by this many.
    pub replay_window: u32,
}

/// An event of the lane of a tunnel.
pub type LaneEvent = (PeerId, Event);

/// One tunnel's data plane.
#[derive(Debug)]
pub struct Tunnel {
    peer: PeerId,
    plan: Plan,
    forwarding: Forwarding,
    carrier: Carrier,
    ends: Option<Ends>,
    children: BTreeMap<ChildId, Child>,
    active: BTreeMap<Slot, (ChildId, EspSpi)>,
    events: Sender<LaneEvent>,
    provider: Standard,
    /// What SAs moved that are gone.
    past: Traffic,
}

/// What moved, both ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Packets to the peer.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets from the peer.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
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

impl Tunnel {
    /// Makes the device. Needs CAP_NET_ADMIN.
    pub fn create(peer: PeerId, plan: Plan, events: Sender<LaneEvent>) -> io::Result<Tunnel> {
        let tun = plan.device()?;
        let rules = plan.rules(true, Version::V4);
        Ok(Tunnel {
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
        })
    }

    /// The device's name.
    pub fn interface(&self) -> &str {
        &self.plan.interface
    }

    /// What the operator set.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The device's MTU.
    pub fn mtu(&self) -> u16 {
        self.plan.mtu.unwrap_or(INNER_MTU)
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
        self.carry(Ends { path: sa.path, encapsulated: sa.encapsulated })?;
        let replay = Replay::new(self.plan.replay_window);
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        let inbound = Inbound::new(sa.spi, key, replay, sa.suite.esn, child.limits);
        let inbound = Arc::new(InboundSa::new(inbound, sa.selectors));
        child.inbound = Some(Arc::clone(&inbound));
        self.forwarding.apply([Change::AddInbound(inbound)]);
        Ok(())
    }

    /// Has this SA ready for sending.
    pub fn install_outbound(&mut self, sa: EspSa) -> io::Result<()> {
        let key = self.provider.esp_seal_key(&sa.suite, &sa.keys).map_err(io::Error::other)?;
        self.carry(Ends { path: sa.path, encapsulated: sa.encapsulated })?;
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        let lease = Lease::ephemeral(sa.suite.esn);
        let outbound = Outbound::new(sa.spi, key, lease, child.limits);
        child.outbound = Some(Arc::new(OutboundSa::new(outbound, sa.selectors)));
        Ok(())
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
    }

    /// Receives on this SA no longer.
    pub fn remove(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RemoveInbound(spi)]);
        self.forget(child, |child| drop(child.inbound.take()));
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
                return lane.socket().reconnect(ends.path.remote);
            }
        }
        self.ends = Some(ends);
        let tun = match std::mem::replace(&mut self.carrier, Carrier::Gone) {
            Carrier::Idle(tun) => Some(tun),
            Carrier::Lane(lane) => lane.stop().map(|parts| parts.tun),
            Carrier::Gone => None,
        };
        let tun = match tun {
            Some(tun) => tun,
            // A lane that could not be started took the device along.
            None => self.plan.device()?,
        };
        let lane = Lane::start(self.parts(tun, ends)?)?;
        self.carrier = Carrier::Lane(lane);
        Ok(())
    }

    fn parts(&self, tun: Tun, ends: Ends) -> io::Result<LaneParts> {
        let (local, remote) = (ends.path.local, ends.path.remote);
        let batching = Batching { gso: self.plan.offload, gro: self.plan.offload };
        let socket = match ends.encapsulated {
            true => LaneSocket::udp(at_4500(local.ip()), remote, batching)?,
            false => LaneSocket::raw(local.ip(), remote.ip())?,
        };
        // The mark may lead another way: connecting once more looks the way up again.
        ike_socket::mark(&socket.as_fd())?;
        let port = if ends.encapsulated { remote.port() } else { 0 };
        socket.reconnect(SocketAddr::new(remote.ip(), port))?;
        let version = if local.is_ipv4() { Version::V4 } else { Version::V6 };
        self.forwarding.apply([Change::SetRules(self.plan.rules(ends.encapsulated, version))]);
        Ok(LaneParts {
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

    /// From the lane's threads to control's: a thread that sleeps until there is an event, and ends with the lane.
    fn bridge(&self) -> io::Result<std::sync::mpsc::SyncSender<Event>> {
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

impl Plan {
    fn device(&self) -> io::Result<Tun> {
        let offloads = if self.offload { Offloads::ALL } else { Offloads::NONE };
        let tun = Tun::create(&self.interface, offloads)?;
        let netlink = Netlink::open()?;
        netlink.set_mtu(&self.interface, self.mtu.unwrap_or(INNER_MTU))?;
        netlink.set_queue_len(&self.interface, QUEUE_LEN)?;
        for address in &self.addresses {
            netlink.add_address(&self.interface, *address)?;
        }
        netlink.set_up(&self.interface)?;
        Ok(tun)
    }

    fn rules(&self, udp: bool, version: Version) -> Rules {
        let inner = self.mtu.unwrap_or(INNER_MTU);
        Rules {
            encapsulation: Encapsulation { version, udp },
            outer_mtu: OUTER_MTU,
            inner_mtu: usize::from(inner),
            mss: self.mss.unwrap_or(MSS),
            copy_dscp: self.copy_dscp,
        }
    }
}

impl Traffic {
    /// Both together.
    pub fn plus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_add)
    }

    fn minus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_sub)
    }

    fn each(self, other: Traffic, of: fn(u64, u64) -> u64) -> Traffic {
        Traffic {
            packets_out: of(self.packets_out, other.packets_out),
            bytes_out: of(self.bytes_out, other.bytes_out),
            packets_in: of(self.packets_in, other.packets_in),
            bytes_in: of(self.bytes_in, other.bytes_in),
        }
    }
}

/// Where a lane's socket sits: beside the one for IKE.
fn at_4500(local: IpAddr) -> SocketAddr {
    SocketAddr::new(local, 4500)
}
