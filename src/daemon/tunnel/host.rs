//! What a tunnel asks of the kernel: devices, links, sockets and the threads of a lane. The state
//! machine of [`super::data_path`] reaches them through these traits, so that its unit tests run
//! over a fake.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::SyncSender;

use tracing::debug;

use crate::daemon::device::{DevicePlan, LinkControl};
use crate::dataplane::{Forwarding, Lane, LaneEvent, LaneParts};
use crate::esp::Counters;
use crate::ike::path::{Path, Port};
use crate::sys::esp_socket::{Batching, EspSocket};
use crate::sys::ike_socket;
use crate::sys::netlink::Netlink;
use crate::sys::tun::Tun;
use crate::time::Instant;

/// The two outer addresses between which ESP travels, and whether UDP surrounds it (NAT traversal,
/// RFC 3948).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OuterEnds {
    pub(crate) path: Path,
    pub(crate) encapsulated: bool,
}

/// The kernel as a tunnel sees it.
pub(crate) trait TunnelHost: Debug {
    type Device: AsFd + Debug;
    type Socket: AsFd + Debug;
    type Lane: HostLane<Device = Self::Device> + Debug;
    type Links: LinkControl;

    /// Takes over the descriptor of a device that a former process made.
    fn adopt_device(&self, fd: OwnedFd, plan: &DevicePlan) -> io::Result<Self::Device>;
    /// Makes a device without addresses, which is still switched off.
    fn create_device(&self, plan: &DevicePlan) -> io::Result<Self::Device>;
    /// Access to the links of this network namespace.
    fn links(&self) -> io::Result<Self::Links>;
    /// Takes over a socket for ESP, if it is bound as these ends need it.
    fn adopt_socket(&self, fd: OwnedFd, plan: &DevicePlan, ends: OuterEnds)
    -> Option<Self::Socket>;
    /// Opens a socket for ESP between these ends.
    fn open_socket(&self, plan: &DevicePlan, ends: OuterEnds) -> io::Result<Self::Socket>;
    /// Marks the socket's packets as outer packets and connects the socket to the peer.
    fn connect_socket(&self, socket: &Self::Socket, ends: OuterEnds) -> io::Result<()>;
    /// Starts the threads that move packets between the device and the socket.
    fn start_lane(
        &self,
        device: Self::Device,
        socket: Self::Socket,
        ends: OuterEnds,
        plan: &DevicePlan,
        forwarding: Forwarding,
        events: SyncSender<LaneEvent>,
    ) -> io::Result<Self::Lane>;
}

/// A lane that runs.
pub(crate) trait HostLane {
    type Device;

    /// Connects the lane's socket to another address of the peer.
    fn reconnect(&self, remote: SocketAddr) -> io::Result<()>;
    /// Stops the threads and gives the device and the socket back; `None` if they are lost.
    fn stop(self) -> Option<(Self::Device, OwnedFd)>;
    /// Whether another program deleted the device of this very lane.
    fn has_lost_device(&self) -> bool;
    /// Why the last packets did not leave.
    fn send_error(&self) -> Option<io::Error>;
    /// The largest outer packet that is believed to arrive.
    fn path_mtu(&self) -> usize;
    /// Allows outer fragments where the path is too narrow. The largest inner packet that is
    /// carried.
    fn follow_path_mtu(&self) -> io::Result<usize>;
    /// Whether both threads have shown lately that they run.
    fn is_responsive(&self, now: Instant) -> bool;
    /// Packets that belong to no SA.
    fn stray_counters(&self) -> [&Counters; 2];
}

/// The kernel of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KernelHost;

impl TunnelHost for KernelHost {
    type Device = Tun;
    type Socket = EspSocket;
    type Lane = Lane;
    type Links = Netlink;

    fn adopt_device(&self, fd: OwnedFd, plan: &DevicePlan) -> io::Result<Tun> {
        Tun::adopt(fd, &plan.interface, plan.offloads())
    }

    fn create_device(&self, plan: &DevicePlan) -> io::Result<Tun> {
        Tun::create(&plan.interface, plan.offloads())
    }

    fn links(&self) -> io::Result<Netlink> {
        Netlink::open()
    }

    fn adopt_socket(&self, fd: OwnedFd, plan: &DevicePlan, ends: OuterEnds) -> Option<EspSocket> {
        let local = ends.path.local.ip();
        let fits = |at: SocketAddr| {
            at.ip() == local && (at.port() == nat_t(local).port()) == ends.encapsulated
        };
        let socket = EspSocket::adopt(fd, !ends.encapsulated, batching(plan)).ok()?;
        socket.local().is_ok_and(fits).then_some(socket)
    }

    fn open_socket(&self, plan: &DevicePlan, ends: OuterEnds) -> io::Result<EspSocket> {
        let OuterEnds { path: Path { local, remote, .. }, encapsulated } = ends;
        match encapsulated {
            true => EspSocket::udp(nat_t(local.ip()), remote, batching(plan)),
            false => EspSocket::raw(local.ip(), remote.ip()),
        }
    }

    fn connect_socket(&self, socket: &EspSocket, ends: OuterEnds) -> io::Result<()> {
        // The mark may lead another way: connecting after it has the kernel look up the way again.
        ike_socket::mark(&socket.as_fd())?;
        let remote = ends.path.remote;
        let port = if ends.encapsulated { remote.port() } else { 0 };
        socket.reconnect(SocketAddr::new(remote.ip(), port))
    }

    fn start_lane(
        &self,
        tun: Tun,
        socket: EspSocket,
        ends: OuterEnds,
        plan: &DevicePlan,
        forwarding: Forwarding,
        control: SyncSender<LaneEvent>,
    ) -> io::Result<Lane> {
        let other = receive_only(&socket, ends.path.remote.ip(), plan);
        Lane::start(LaneParts {
            connection: plan.connection.clone(),
            name: plan.interface.clone(),
            tun,
            socket,
            other,
            forwarding,
            control,
            // The IKE engine knows of NATs and keeps their mappings open.
            keepalive: None,
            cpus: None,
        })
    }
}

impl HostLane for Lane {
    type Device = Tun;

    fn reconnect(&self, remote: SocketAddr) -> io::Result<()> {
        Lane::reconnect(self, remote)
    }

    fn stop(self) -> Option<(Tun, OwnedFd)> {
        Lane::stop(self).map(|parts| (parts.tun, parts.socket.into()))
    }

    fn has_lost_device(&self) -> bool {
        Lane::has_lost_device(self)
    }

    fn send_error(&self) -> Option<io::Error> {
        self.outage()
    }

    fn path_mtu(&self) -> usize {
        Lane::path_mtu(self)
    }

    fn follow_path_mtu(&self) -> io::Result<usize> {
        Lane::follow_path_mtu(self)
    }

    fn is_responsive(&self, now: Instant) -> bool {
        self.turns(now)
    }

    fn stray_counters(&self) -> [&Counters; 2] {
        [&self.counters().egress.stray, &self.counters().ingress.stray]
    }
}

/// A socket for the form of ESP that this end does not send (RFC 7296 §2.23).
fn receive_only(socket: &EspSocket, peer: IpAddr, plan: &DevicePlan) -> Option<EspSocket> {
    let opened = socket.other_form(peer, Port::NatT.number(), batching(plan));
    opened
        .inspect_err(|error| {
            let form = if socket.is_raw() { "in UDP" } else { "without UDP" };
            debug!(connection = plan.connection, %error, "ESP {form} will not be received");
        })
        .ok()
}

fn batching(plan: &DevicePlan) -> Batching {
    Batching { gso: plan.offload, gro: plan.offload }
}

/// Where a lane's socket for ESP in UDP is bound: the port of NAT traversal, beside IKE's socket.
fn nat_t(local: IpAddr) -> SocketAddr {
    SocketAddr::new(local, Port::NatT.number())
}
