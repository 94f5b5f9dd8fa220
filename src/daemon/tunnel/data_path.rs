//! The state machine of one tunnel's device, ESP socket and lane.
//!
//! ```text
//!        new: the device is made, or inherited from a former process
//!                    │
//!                    v        set_ends, ensure_lane, release: a lane starts
//!   ┌────────────> Idle ─────────────────────────────────────────────> Running
//!   │          device, no lane                                  device, socket, lane
//!   │                │  ^                                           │       │
//!   │                │  └───── park, or a socket or a lane fails ───┘       │
//!   │                │ restore_device: no link                              │
//!   │                v                                                      │
//!   └───────────── Lost <───────────────────────────────────────────────────┘
//!  restore_device:  no device; a socket may wait       lose_device: the lane stops
//!  the device is made anew
//! ```
//!
//! - [`DataPath::set_ends`] and [`DataPath::ensure_lane`] make a lost device first.
//! - [`DataPath::park`] also keeps Idle and Lost from starting a lane, until
//!   [`DataPath::release`].
//!
//! Whatever fails leaves the machine in a state from which [`DataPath::restore_device`] and
//! [`DataPath::ensure_lane`] try again; the service calls both until they succeed. A lane whose
//! socket no longer fits is stopped, not left running: its connected socket would take every packet
//! of the peer, IKE's too, and nobody would read them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use super::PeerLaneEvent;
use super::host::{HostLane, OuterEnds, TunnelHost};
use crate::daemon::device::{DevicePlan, LinkControl, remove_device};
use crate::daemon::problem::Problem;
use crate::dataplane::{Change, Forwarding, InnerNetworks, LaneEvent};
use crate::ike::PeerId;
use crate::state::{Handles, PersistentState, fd_store};
use crate::wire::packet::ip::IpVersion;

/// Events of one lane that wait for the service: handshakes and hints, never packets.
const EVENTS: usize = 64;

/// The device of one tunnel, its ESP socket, and the lane that moves packets between the two.
#[derive(Debug)]
pub(crate) struct DataPath<H: TunnelHost> {
    pub(super) host: H,
    pub(super) plan: DevicePlan,
    pub(super) forwarding: Forwarding,
    handles: Handles,
    peer: PeerId,
    events: Sender<PeerLaneEvent>,
    /// The MTU that this process has given the device; `None` while a former process's is there.
    mtu: Option<u16>,
    state: State<H>,
}

#[derive(Debug)]
enum State<H: TunnelHost> {
    /// The device exists, and no lane moves its packets: the kernel queues or drops them.
    Idle { device: H::Device, standby: Standby },
    /// The lane moves packets between these ends.
    Running { lane: H::Lane, ends: OuterEnds },
    /// The device was deleted, or could not be made anew.
    Lost { standby: Standby },
}

/// What the next lane will need.
#[derive(Debug, Default)]
struct Standby {
    /// Where ESP will travel; `None` as long as there was no SA.
    ends: Option<OuterEnds>,
    /// The socket of a former process, or of a lane that lost its device, with the packets that
    /// wait in it.
    socket: Option<OwnedFd>,
    /// Whether no lane may start: the SAs are not recovered yet, or the packets are for the next
    /// process.
    parked: bool,
}

/// A tunnel's interface in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LinkState {
    Up,
    Down,
    Missing,
    /// The kernel could not be asked.
    Unknown,
}

impl<H: TunnelHost> DataPath<H> {
    /// Takes over the device and the socket that a former process left, and makes the device if
    /// there is none. Returns whether the device is a former process's. Needs CAP_NET_ADMIN.
    pub(super) fn new(
        host: H,
        peer: PeerId,
        plan: DevicePlan,
        events: Sender<PeerLaneEvent>,
        persistent: &mut PersistentState,
    ) -> Result<(DataPath<H>, bool), Problem> {
        let kept = persistent.take(&fd_store::device(&plan.interface));
        let kept = kept.and_then(|fd| host.adopt_device(fd, &plan).ok());
        let handles = persistent.handles.clone();
        let is_inherited = kept.is_some();
        let device = match kept {
            Some(device) => device,
            None => make_device(&host, &plan, &handles)?,
        };
        let socket = persistent.take(&fd_store::lane(&plan.interface));
        let state = State::Idle { device, standby: Standby { socket, ..Standby::default() } };
        let forwarding = Forwarding::new(plan.rules(true, IpVersion::V4));
        forwarding.apply([Change::SetNetworks(plan.networks.clone())]);
        let mtu = (!is_inherited).then(|| plan.mtu());
        let path = DataPath { host, plan, forwarding, handles, peer, events, mtu, state };
        Ok((path, is_inherited))
    }

    /// Sets the addresses between which the peer may send.
    pub(super) fn set_networks(&mut self, networks: Arc<InnerNetworks>) {
        self.forwarding.apply([Change::SetNetworks(networks.clone())]);
        self.plan.networks = networks;
    }

    /// The outer ends, once there was an SA.
    pub(super) fn ends(&self) -> Option<OuterEnds> {
        match &self.state {
            State::Running { ends, .. } => Some(*ends),
            State::Idle { standby, .. } | State::Lost { standby } => standby.ends,
        }
    }

    /// The lane, if one runs.
    pub(super) fn lane(&self) -> Option<&H::Lane> {
        match &self.state {
            State::Running { lane, .. } => Some(lane),
            State::Idle { .. } | State::Lost { .. } => None,
        }
    }

    /// The MTU of the device.
    pub(super) fn mtu(&self) -> u16 {
        self.mtu.unwrap_or_else(|| self.plan.mtu())
    }

    /// Gives the device the MTU that the path leaves, and the configured one at most: of larger
    /// packets the kernel then fragments those that allow it, and tells the senders of the others.
    pub(super) fn follow_path_mtu(&mut self) {
        let State::Running { lane, .. } = &self.state else { return };
        let (connection, interface) = (&self.plan.connection, &self.plan.interface);
        let set = lane.follow_path_mtu().and_then(|carried| {
            let mtu = u16::try_from(carried).unwrap_or(u16::MAX).min(self.plan.mtu());
            if self.mtu != Some(mtu) {
                self.host.links()?.set_mtu(interface, mtu)?;
                info!(connection, interface, mtu, "the interface's MTU follows the path");
            }
            Ok(mtu)
        });
        match set {
            Ok(mtu) => self.mtu = Some(mtu),
            Err(error) => warn!(
                connection, interface, %error,
                "the interface's MTU could not follow the path MTU; large packets may be lost"
            ),
        }
    }

    /// Stops the lane. None starts until [`DataPath::release`]: the packets wait in the kernel.
    pub(super) fn park(&mut self) {
        self.stop_lane();
        if let Some(standby) = self.standby() {
            standby.parked = true;
        }
    }

    /// Allows a lane again, and starts one if the device and the ends are known.
    pub(super) fn release(&mut self) -> Result<(), Problem> {
        if let Some(standby) = self.standby() {
            standby.parked = false;
        }
        if let State::Idle { standby: Standby { ends: Some(ends), .. }, .. } = &self.state {
            return self.start_lane(*ends);
        }
        self.forget_socket();
        Ok(())
    }

    /// Moves ESP to these ends: the lane's socket is connected anew, or a lane starts, unless it is
    /// parked.
    pub(super) fn set_ends(&mut self, ends: OuterEnds) -> Result<(), Problem> {
        match &mut self.state {
            State::Running { ends: held, .. } if *held == ends => Ok(()),
            State::Running { lane, ends: held } => {
                let same_socket = held.path.local == ends.path.local
                    && held.encapsulated == ends.encapsulated
                    && ends.encapsulated;
                *held = ends;
                if !same_socket {
                    return self.start_lane(ends);
                }
                let moved = lane.reconnect(ends.path.remote);
                moved.map_err(not_carried).inspect_err(|_| self.suspend())?;
                self.follow_path_mtu();
                Ok(())
            }
            State::Idle { standby, .. } | State::Lost { standby } => {
                standby.ends = Some(ends);
                if standby.parked { Ok(()) } else { self.start_lane(ends) }
            }
        }
    }

    /// Starts a lane if SAs need one that is not there: an earlier start failed, or the device was
    /// lost.
    pub(super) fn ensure_lane(&mut self) -> Result<(), Problem> {
        match self.ends().filter(|_| self.standby().is_some_and(|standby| !standby.parked)) {
            Some(ends) => self.start_lane(ends),
            None => Ok(()),
        }
    }

    /// Another program deleted the device. The lane's socket is kept, with the packets in it.
    pub(super) fn lose_device(&mut self) {
        let standby = match self.take_state() {
            State::Running { lane, ends } => {
                let socket = lane.stop().map(|(_, socket)| socket);
                Standby { ends: Some(ends), socket, parked: false }
            }
            State::Idle { standby, .. } | State::Lost { standby } => standby,
        };
        self.state = State::Lost { standby };
    }

    /// Makes the device anew if it is gone, and gives it what the configuration sets: another
    /// program that switched the device off and on took addresses away.
    pub(super) fn restore_device(&mut self) -> Result<(), Problem> {
        if self.link_state() == LinkState::Missing {
            self.lose_device();
        }
        self.ensure_device().inspect_err(|_| self.forget_socket())?;
        if let Err(error) = self.host.links().and_then(|links| self.plan.apply(&links, self.mtu()))
        {
            warn!(
                connection = self.plan.connection, interface = self.plan.interface, %error,
                "the interface's MTU and addresses could not be checked"
            );
        }
        Ok(())
    }

    /// What is wrong with the device, if no packet can pass it.
    pub(super) fn device_problem(&self) -> Option<Problem> {
        let interface = || self.plan.interface.clone();
        if matches!(self.state, State::Lost { .. }) {
            return Some(Problem::DeviceGone { interface: interface() });
        }
        match self.link_state() {
            LinkState::Missing => Some(Problem::DeviceGone { interface: interface() }),
            LinkState::Down => Some(Problem::DeviceDown { interface: interface() }),
            // A link that cannot be asked about is not known to be wrong.
            LinkState::Up | LinkState::Unknown => None,
        }
    }

    /// Deletes the device. Closing its descriptor is not enough where the file descriptor store has
    /// a copy.
    pub(super) fn remove(self) {
        let DataPath { host, plan, handles, state, .. } = self;
        drop(state);
        if handles.fd_store.exists() {
            remove_device(&plan.interface, &handles, || host.links());
        }
    }

    fn link_state(&self) -> LinkState {
        match self.host.links().and_then(|links| links.is_up(&self.plan.interface)) {
            Ok(true) => LinkState::Up,
            Ok(false) => LinkState::Down,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => LinkState::Missing,
            Err(_) => LinkState::Unknown,
        }
    }

    fn standby(&mut self) -> Option<&mut Standby> {
        match &mut self.state {
            State::Running { .. } => None,
            State::Idle { standby, .. } | State::Lost { standby } => Some(standby),
        }
    }

    fn take_state(&mut self) -> State<H> {
        std::mem::replace(&mut self.state, State::Lost { standby: Standby::default() })
    }

    /// Makes the device unless it is there.
    fn ensure_device(&mut self) -> Result<(), Problem> {
        if let State::Lost { standby } = &mut self.state {
            let device = make_device(&self.host, &self.plan, &self.handles)?;
            self.mtu = Some(self.plan.mtu());
            self.state = State::Idle { device, standby: std::mem::take(standby) };
        }
        Ok(())
    }

    /// Has a lane between these ends in place of the one that runs, if any.
    fn start_lane(&mut self, ends: OuterEnds) -> Result<(), Problem> {
        self.ensure_device()?;
        // The socket comes before the old lane stops: without a socket the device stays.
        let socket = self.connected_socket(ends).inspect_err(|_| self.suspend())?;
        let device = match self.take_state() {
            State::Idle { device, .. } => Some(device),
            State::Running { lane, .. } => lane.stop().map(|(device, _)| device),
            State::Lost { .. } => None,
        };
        let standby = Standby { ends: Some(ends), ..Standby::default() };
        self.state = State::Lost { standby };
        let device = match device {
            Some(device) => device,
            None => {
                self.mtu = Some(self.plan.mtu());
                make_device(&self.host, &self.plan, &self.handles)?
            }
        };
        let version = if ends.path.local.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
        self.forwarding.apply([Change::SetRules(self.plan.rules(ends.encapsulated, version))]);
        let started = self.event_channel().and_then(|events| {
            let forwarding = self.forwarding.clone();
            self.host.start_lane(device, socket, ends, &self.plan, forwarding, events)
        });
        let lane = started.map_err(not_carried).inspect_err(|_| self.suspend())?;
        self.state = State::Running { lane, ends };
        self.follow_path_mtu();
        Ok(())
    }

    /// Stops the lane; the device stays, and the file descriptor store's copy of the socket.
    fn stop_lane(&mut self) {
        self.state = match self.take_state() {
            State::Running { lane, ends } => {
                let standby = Standby { ends: Some(ends), ..Standby::default() };
                match lane.stop() {
                    Some((device, _)) => State::Idle { device, standby },
                    None => State::Lost { standby },
                }
            }
            state => state,
        };
    }

    /// Has no lane and no socket until [`DataPath::ensure_lane`].
    fn suspend(&mut self) {
        self.stop_lane();
        if let Some(standby) = self.standby() {
            standby.socket = None;
        }
        self.handles.fd_store.forget(&fd_store::lane(&self.plan.interface));
    }

    /// Drops a socket that no lane takes over: being connected, it would take all that the peer
    /// sends, IKE too, and nobody reads it.
    fn forget_socket(&mut self) {
        if self.standby().and_then(|standby| standby.socket.take()).is_some() {
            self.handles.fd_store.forget(&fd_store::lane(&self.plan.interface));
        }
    }

    /// The kept socket, with the packets that wait in it, if it is between these ends; else a new
    /// one, of which the file descriptor store gets a copy.
    fn connected_socket(&mut self, ends: OuterEnds) -> Result<H::Socket, Problem> {
        let kept = self.standby().and_then(|standby| standby.socket.take());
        let kept = kept.and_then(|fd| self.host.adopt_socket(fd, &self.plan, ends));
        let socket = match kept {
            Some(socket) => socket,
            None => {
                let socket = self.host.open_socket(&self.plan, ends).map_err(not_carried)?;
                let name = fd_store::lane(&self.plan.interface);
                self.handles.fd_store.forget(&name);
                self.handles.fd_store.keep(&name, &socket);
                socket
            }
        };
        self.host.connect_socket(&socket, ends).map_err(not_carried)?;
        Ok(socket)
    }

    /// From the lane's threads to the service: a thread that sleeps until there is an event, and
    /// ends with the lane.
    fn event_channel(&self) -> io::Result<SyncSender<LaneEvent>> {
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

/// Makes a device with its addresses and switches it on. The file descriptor store gets its copy
/// last, so that what is kept is complete.
fn make_device<H: TunnelHost>(
    host: &H,
    plan: &DevicePlan,
    handles: &Handles,
) -> Result<H::Device, Problem> {
    let name = fd_store::device(&plan.interface);
    // The file descriptor store's copy of a lost device would keep the interface's name in use.
    handles.fd_store.forget(&name);
    let make = || {
        let device = host.create_device(plan)?;
        let links = host.links()?;
        plan.apply(&links, plan.mtu())?;
        links.set_up(&plan.interface)?;
        Ok(device)
    };
    let device = make().map_err(|error: io::Error| Problem::DeviceNotMade {
        interface: plan.interface.clone(),
        cause: error.into(),
    })?;
    handles.fd_store.keep(&name, &device);
    Ok(device)
}

fn not_carried(error: io::Error) -> Problem {
    Problem::NotCarried { cause: error.into() }
}
