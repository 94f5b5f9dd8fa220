//! [`Service`]: the one task that owns the engine and the tunnels, and its loop.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{debug, error, info, warn};

use super::connection::{RunningConnection, find, tunnel};
use super::control::ControlSocket;
use super::host_changes::HostChanges;
use super::ike_status::TunnelState;
use super::peer::ServicePeer;
use super::problem::Problem;
use super::resolver::Resolver;
use super::routes::Guard;
use super::sockets::{ReceivedMessage, Sockets};
use super::systemd::Systemd;
use super::tunnel::{PeerLaneEvent, RunningTunnel};
use super::unreachable::UnreachableRoutes;
use crate::config::{Config, Loaded, Report, peers};
use crate::crypto::Standard;
use crate::crypto::signature::KeyStore;
use crate::dataplane::LaneEvent;
use crate::ike::endpoint::command::{Command, DataEvent};
use crate::ike::endpoint::event::{IkeEvent, LimitKind};
use crate::ike::endpoint::output::Output;
use crate::ike::path::{Datagram, Path, Port, Sending, Transmit};
use crate::ike::testing::emulation::PeerBehaviour;
use crate::ike::{Endpoint, PeerId, Timer};
use crate::rate::{Bucket, Rate};
use crate::state::{FdStore, PersistentState, Recovered};
use crate::sys::clock;
use crate::sys::random::SystemRng;
use crate::time::{Instant, Now};
use crate::wire::packet::esp::EspHeader;
use crate::wire::spi::EspSpi;

/// How many events of all lanes may wait for the loop.
const LANE_EVENTS: usize = 256;
/// The interval of [`Service::tick`], and so the precision of "last heard".
const TICK: Duration = Duration::from_secs(1);
/// How many ESP packets on IKE's sockets are decrypted to find a peer that moved. One authentic
/// packet is enough, and forged packets must not take the time of everything else.
const STRAY_ESP: Rate = Rate { burst: 100, interval: Duration::from_millis(10) };
/// How long a process must have run before it ends to get a new signing process. A faster cycle
/// would exceed the thirty starts a minute that systemd/s2sd.service allows.
const MIN_RUN: Duration = Duration::from_secs(3);

/// Logged when the signing process is gone and the service restarts for a new one.
const KEYS_LOST_KEPT: &str = "the process that keeps the private keys is gone; the tunnels are kept for the next start of the service, which starts it anew";
/// Logged when the signing process is gone and a restart would lose the tunnels.
const KEYS_LOST: &str = "the process that keeps the private keys is gone: established tunnels go on, a new handshake needs a restart of the service (systemctl restart s2sd)";

/// How the service runs, beside its configuration file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The behaviour towards peers: that of s2sd, or (in demonstrations) that of Azure.
    pub behaviour: PeerBehaviour,
    /// The path of the configuration file, for a reload.
    pub source: Option<PathBuf>,
    /// The file descriptor store that keeps what outlives the process.
    pub fd_store: FdStore,
    /// The place for the private keys that a reload reads.
    pub key_store: KeyStore,
}

/// An order from outside to a running service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Read the configuration file again (SIGHUP).
    Reload,
    /// End, and leave devices, sockets and SAs to the next process (SIGUSR2).
    HandOver,
    /// The signing process is gone: end as a failure for the next process to take over, if a file
    /// descriptor store keeps the tunnels.
    KeysLost,
    /// Delete all SAs and end (SIGTERM, SIGINT).
    Stop,
}

/// Runs the service until it is told to stop: opens the sockets, brings up the connections of the
/// configuration, and deletes all SAs at the end. `inherited` are the descriptors that a former
/// process left in the file descriptor store.
pub async fn run(
    loaded: Loaded,
    options: Options,
    inherited: Vec<(String, OwnedFd)>,
    mut signals: Receiver<Signal>,
) -> io::Result<()> {
    let Loaded { config, credentials, report } = loaded;
    let config = config.ok_or_else(|| io::Error::other("the configuration has errors"))?;
    let mut control = ControlSocket::open(&config.device.control_socket)?;
    let (mut service, recovered) = Service::open(config, report, options, inherited)?;
    let mut systemd = Systemd::from_environment();
    match recovered {
        Some(recovered) => service.resume(credentials, recovered),
        None => service.start(credentials),
    }
    service.carry_out();
    let (device, connections) = (&service.config.device.name, service.connections.len());
    info!(%device, connections, "running");
    systemd.ready();
    loop {
        service.carry_out();
        let now = clock::now().mono;
        systemd.report(&service.status_line(), service.stuck_tunnel(now), now);
        let deadline = service.next_deadline();
        let inputs = &mut service.inputs;
        tokio::select! {
            Some(message) = inputs.sockets.receive() => service.on_message(message),
            Some((peer, event)) = inputs.lane_events.recv() => service.on_lane_event(peer, event),
            () = tokio::time::sleep(deadline.since(clock::now().mono)) => service.on_deadline(),
            () = inputs.host.next() => service.inputs.host.note_notification(),
            Some((ask, reply_to)) = control.next() => {
                let reply = service.answer(ask);
                service.carry_out();
                // The command was carried out even if the caller no longer waits for the reply.
                let _ = reply_to.send(reply);
            }
            Some(found) = inputs.resolver.next() => service.on_name_lookup(found),
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => {
                    systemd.reloading();
                    // `reload` has logged the outcome.
                    let _ = service.reload();
                    systemd.ready();
                }
                Some(Signal::HandOver) if service.storage.state.is_kept() => {
                    systemd.stopping();
                    service.hand_over();
                    return Ok(());
                }
                Some(Signal::KeysLost) if service.may_restart_for_keys() => {
                    systemd.stopping();
                    service.hand_over();
                    return Err(io::Error::other(KEYS_LOST_KEPT));
                }
                Some(Signal::KeysLost) => error!("{KEYS_LOST}"),
                Some(Signal::HandOver | Signal::Stop) | None => break,
            },
        }
    }
    systemd.stopping();
    service.say_goodbye().await;
    service.leave_nothing();
    Ok(())
}

/// The running service: the engine, the tunnels, and everything that the engine's outputs act on.
///
/// **What it owns.** The [`Endpoint`] (the IKEv2 engine, which has no socket and no clock), one
/// [`RunningConnection`] for each connection of the configuration (with a [`ServicePeer`] for each
/// tunnel, which has the device and the lane), the routing rules, the state that outlives the
/// process ([`Storage`]), and the receiving ends of everything that can happen ([`Inputs`]).
///
/// **The loop** is [`run`]. It waits for the first of these inputs, has the engine or the tunnels
/// react, and then calls [`Service::carry_out`]:
///
/// | input | method | what follows |
/// |---|---|---|
/// | an IKE message | `on_message` | the engine handles the message |
/// | ESP on an IKE socket | `on_message` | if authentic, the engine learns that the peer moved |
/// | an event of a lane | `on_lane_event` | first packet, soft limit of an SA, device lost |
/// | a deadline of the engine | `on_deadline` | retransmissions, dead peer detection, lifetimes |
/// | a second is over | `on_deadline` | counters, retries, name look-ups, the host, CRL files |
/// | netlink: links or addresses changed | `HostChanges` | `check_host` looks at the next tick |
/// | a control command | `answer` | `control/handler.rs` |
/// | an address was looked up | `on_name_lookup` | the peer is dialled at the new address |
/// | SIGHUP | `reload` | `reload.rs` compares the old and the new configuration |
/// | SIGUSR2; the signing process died | `hand_over` | the next process goes on with everything |
/// | SIGTERM | `say_goodbye`, `leave_nothing` | DELETE for every IKE SA, devices removed |
///
/// **The order of work** in [`Service::carry_out`]:
///
/// 1. [`Service::persist`] stores the state if the engine's state changed. A crash after a message
///    was sent must not lead to a next process that knows less than the peer.
/// 2. All outputs of the engine are applied in the order in which the engine gave them, with
///    nothing in between: an SA is in the lane's tables before the message leaves that makes the
///    peer use the SA.
/// 3. Routes follow the tunnels that came up or went down.
///
/// **One thread** does all of this, on a current-thread runtime: the engine is a state machine
/// whose outputs have an order, so a second thread could only wait. Packets do not pass this
/// thread; every tunnel's lane moves packets in two threads of its own.
///
/// **One broken connection does not stop the others.** A file, a name or a device that is not in
/// order is a problem of its tunnel alone ([`Service::set_problem`]): the status shows the problem,
/// and the service tries again after [`super::peer::RETRY`].
///
/// **Where the methods are:**
///
/// | file | methods |
/// |---|---|
/// | `service.rs` | inputs, ticks, storing, carrying out outputs |
/// | `bring_up.rs` | adding a connection, and preparing a tunnel until it can be dialled |
/// | `reload.rs` | a new configuration: what changed, and what follows |
/// | `handover.rs` | going on from a former process, handing over to the next, ending |
/// | `control/handler.rs` | one method for each command of the control socket |
#[derive(Debug)]
pub(super) struct Service {
    pub(super) options: Options,
    pub(super) config: Config,
    /// The findings about the configuration's files.
    pub(super) report: Report,
    pub(super) endpoint: Endpoint,
    pub(super) connections: Vec<RunningConnection>,
    /// The number that the next new peer gets.
    pub(super) next_peer: u32,
    pub(super) storage: Storage,
    pub(super) inputs: Inputs,
    /// The routing rules that keep outer packets out of tunnels, while a connection needs them.
    pub(super) guard: Option<Guard>,
    /// The routes that keep packets in while no tunnel is up.
    pub(super) unreachable: UnreachableRoutes,
    stray_esp: Bucket,
    pub(super) started_at: Instant,
    ticked_at: Instant,
}

/// The state for the next process, and whether what is stored is the present state.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) state: PersistentState,
    /// The revision of the endpoint that is stored.
    stored_revision: u64,
    /// Whether something beside the endpoint changed since the state was stored.
    pub(super) is_stale: bool,
}

impl Storage {
    /// Has a write that failed tried again. What waits to be written goes on waiting.
    fn retry(&mut self) {
        self.is_stale |= self.state.store_error().is_some();
    }
}

/// The receiving ends of what the loop waits for, but for signals and control commands.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) sockets: Sockets,
    pub(super) lane_events: Receiver<PeerLaneEvent>,
    /// The sending end, of which every lane gets a clone.
    pub(super) lane_sender: Sender<PeerLaneEvent>,
    pub(super) resolver: Resolver,
    pub(super) host: HostChanges,
}

impl Service {
    fn open(
        config: Config,
        report: Report,
        options: Options,
        inherited: Vec<(String, OwnedFd)>,
    ) -> io::Result<(Service, Option<Recovered>)> {
        let fd_store = options.fd_store.clone();
        let inherited = if fd_store.exists() { inherited } else { Vec::new() };
        let (mut state, recovered) =
            PersistentState::open(fd_store, inherited, &mut SystemRng::default())?;
        let sockets = Sockets::open(&config.device.listen_addresses, &mut state)?;
        let rng = Box::new(SystemRng::default());
        let provider = Box::new(Standard::default());
        let endpoint = Endpoint::new(peers::endpoint(&config), provider, rng);
        let (lane_sender, lane_events) = mpsc::channel(LANE_EVENTS);
        let now = clock::now();
        let service = Service {
            options,
            config,
            report,
            endpoint,
            connections: Vec::new(),
            next_peer: 1,
            storage: Storage { state, stored_revision: 0, is_stale: false },
            inputs: Inputs {
                sockets,
                lane_events,
                lane_sender,
                resolver: Resolver::default(),
                host: HostChanges::new(now),
            },
            guard: None,
            unreachable: UnreachableRoutes::new(),
            stray_esp: Bucket::default(),
            started_at: now.mono,
            ticked_at: now.mono,
        };
        Ok((service, recovered))
    }

    /// The peers of all connections.
    pub(super) fn peers(&self) -> impl Iterator<Item = &ServicePeer> {
        self.connections.iter().flat_map(|connection| &connection.peers)
    }

    /// The peers of all connections, to change them.
    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut ServicePeer> {
        self.connections.iter_mut().flat_map(|connection| &mut connection.peers)
    }

    /// The peer of this number.
    pub(super) fn peer_mut(&mut self, peer: PeerId) -> Option<&mut ServicePeer> {
        let (connection, at) = find(&mut self.connections, peer)?;
        connection.peers.get_mut(at)
    }

    /// The state of the tunnels in one line, for `systemctl status`.
    fn status_line(&self) -> String {
        let up = self.peers().filter(|peer| peer.record.state == TunnelState::Up).count();
        let mut line = format!("{up} of {} tunnels up", self.peers().count());
        for peer in self.peers().filter(|peer| peer.record.state != TunnelState::Up) {
            line += &format!("; {} {}", peer.record.name, peer.record.state.word());
        }
        line
    }

    /// Whether this process should end to get a new signing process: the next process can recover
    /// all tunnels, and this one ran long enough. If keys were lost at once again and again, the
    /// service manager would give up, and drop the descriptors that it keeps.
    fn may_restart_for_keys(&self) -> bool {
        let state = &self.storage.state;
        let ran = clock::now().mono.since(self.started_at);
        state.is_kept() && state.store_error().is_none() && ran >= MIN_RUN
    }

    /// A tunnel whose threads no longer turn.
    fn stuck_tunnel(&self, now: Instant) -> Option<&str> {
        if self.inputs.host.threads_may_be_late(self.ticked_at, now) {
            return None;
        }
        let is_stuck = |peer: &&ServicePeer| {
            peer.tunnel.as_ref().is_some_and(|tunnel| !tunnel.is_responsive(now))
        };
        self.peers().find(is_stuck).map(|peer| peer.record.name.as_str())
    }

    fn next_deadline(&self) -> Instant {
        let tick = self.ticked_at + TICK;
        self.endpoint.poll_timeout().map_or(tick, |(deadline, _)| deadline.min(tick))
    }

    /// Handles a datagram of an IKE socket.
    pub(super) fn on_message(&mut self, message: ReceivedMessage) {
        let now = clock::now();
        match message {
            ReceivedMessage::Ike(path, bytes) => {
                self.endpoint.handle_datagram(now, Datagram { path, bytes: &bytes });
            }
            ReceivedMessage::Esp(path, packet) => self.on_stray_esp(now, path, packet),
        }
    }

    /// Handles an ESP packet that came on an IKE socket, because the packet is not from the address
    /// that the lane's socket is connected to. If the packet is authentic, the peer moved (its NAT
    /// mapping changed: RFC 7296 §2.23). The packet itself is lost.
    fn on_stray_esp(&mut self, now: Now, path: Path, mut packet: Vec<u8>) {
        let Some((header, _)) = EspHeader::parse(&packet) else { return };
        if !self.stray_esp.take(STRAY_ESP, now.mono) {
            return;
        }
        let spi = EspSpi(header.spi);
        let peers = self.connections.iter().flat_map(|connection| &connection.peers);
        let mut tunnels = peers.filter_map(|peer| peer.tunnel.as_ref());
        let Some(sa) = tunnels.find_map(|tunnel| tunnel.inbound_sa(spi)) else {
            debug!(from = %path.remote, "an ESP packet with the SPI of no SA was dropped");
            let stray = DataEvent::UnknownSpi { path, spi, len: packet.len() };
            return self.endpoint.handle_data_event(now, stray);
        };
        if sa.hold().open(&mut packet, now.mono).is_ok() {
            self.endpoint.handle_data_event(now, DataEvent::PeerMoved(spi, path));
        }
    }

    /// Handles an event of a peer's lane.
    pub(super) fn on_lane_event(&mut self, id: PeerId, event: LaneEvent) {
        let now = clock::now();
        let Some((connection, at)) = find(&mut self.connections, id) else { return };
        let Some(peer) = connection.peers.get_mut(at) else { return };
        let Some(tunnel) = &mut peer.tunnel else { return };
        match event {
            LaneEvent::Ike(bytes) => {
                let Some(path) = tunnel.path() else { return };
                // A lane for bare ESP has a socket on port 4500 too, which takes the peer's IKE.
                let path = if path.port == Port::NatT { path } else { path.floated() };
                self.endpoint.handle_datagram(now, Datagram { path, bytes: &bytes });
            }
            LaneEvent::UnknownSpi(spi, len) => {
                let Some(path) = tunnel.path() else { return };
                let stray = DataEvent::UnknownSpi { path, spi, len };
                self.endpoint.handle_data_event(now, stray);
            }
            LaneEvent::FirstPacket(spi) => {
                self.endpoint.handle_data_event(now, DataEvent::FirstPacket(spi));
            }
            LaneEvent::OutboundAging(spi) | LaneEvent::InboundAging(spi) => {
                if let Some(child) = tunnel.child_of(spi) {
                    self.endpoint.handle_data_event(now, DataEvent::SoftLimit(id, child));
                }
            }
            LaneEvent::OutboundExpired(spi) | LaneEvent::InboundExpired(spi) => {
                if let Some(child) = tunnel.child_of(spi) {
                    self.endpoint.handle_data_event(now, DataEvent::HardLimit(id, child));
                }
            }
            // Every tunnel is kept up without demand: the SA is being negotiated, or was refused.
            LaneEvent::Wanted(_) => {}
            LaneEvent::PathMtu(mtu) => {
                info!(connection = peer.record.name, mtu, "path MTU changed");
                tunnel.follow_path_mtu();
            }
            LaneEvent::DeviceLost if tunnel.has_lost_device() => {
                tunnel.lose_device();
                self.prepare_again(id);
            }
            // The event is late: another lane has been started since.
            LaneEvent::DeviceLost => {}
        }
    }

    /// Handles a deadline of the engine that has come, and the tick when a second is over.
    fn on_deadline(&mut self) {
        let now = clock::now();
        let due = self.endpoint.poll_timeout().filter(|(at, _)| *at <= now.mono);
        if matches!(due, Some((_, Timer::Liveness))) || now.mono.since(self.ticked_at) >= TICK {
            self.tick(now);
        }
        if due.is_some() {
            self.endpoint.handle_timeout(now);
            self.carry_out();
        }
    }

    /// Does what is due once a second: tells the engine which peers were heard, tries again what
    /// did not work, looks up peers that do not answer, and looks at changes of the host.
    fn tick(&mut self, now: Now) {
        let last = std::mem::replace(&mut self.ticked_at, now.mono);
        self.storage.retry();
        if now.mono.since(self.started_at) >= TICK {
            self.storage.state.handles.ledger.live();
        }
        let (mut alive, mut retry) = (Vec::new(), Vec::new());
        for peer in self.connections.iter_mut().flat_map(|connection| &mut connection.peers) {
            let heard = peer.newly_heard();
            if !heard.is_empty() {
                peer.record.heard = Some(now.mono);
                alive.extend(heard);
            }
            let mut again = peer.retry_at.is_some_and(|at| at <= now.mono);
            if std::mem::take(&mut peer.doubted) {
                self.inputs.resolver.look_again(peer.id);
                let listen = &self.config.device.listen_addresses;
                again |= peer.local.is_some() && peer.has_moved(listen);
            }
            if again {
                retry.push(peer.id);
            }
        }
        for spi in alive {
            self.endpoint.handle_data_event(now, DataEvent::Alive(spi, now.mono));
        }
        for peer in retry {
            self.prepare(peer);
        }
        self.connections
            .iter_mut()
            .filter(|connection| connection.routes_problem.is_some())
            .for_each(RunningConnection::update_routes);
        if self.unreachable.problem.is_some() {
            self.close_routes();
        }
        self.check_crls(now);
        self.check_host(last, now);
    }

    /// Looks at what changed on this host since the tick at `last` (see `host_changes.rs`).
    fn check_host(&mut self, last: Instant, now: Now) {
        let changes = self.inputs.host.changes_since(last, now, clock::slept());
        if !changes.clock_was_set && !changes.links {
            return;
        }
        for connection in self.connections.iter_mut().filter(|_| changes.links) {
            connection.routes.look_again();
            connection.update_routes();
        }
        let listen = &self.config.device.listen_addresses;
        let (mut changed, mut cut_off) = (Vec::new(), Vec::new());
        for peer in self.connections.iter().flat_map(|connection| &connection.peers) {
            let is_broken = peer.tunnel.is_none() || peer.device_problem().is_some();
            if is_broken != peer.record.problem.is_some() || peer.has_moved(listen) {
                changed.push(peer.id);
            }
            let may_answer_now = changes.clock_was_set || peer.record.send_problem.is_some();
            if peer.wanted && peer.record.ike_sas.is_empty() && may_answer_now {
                cut_off.push(peer.id);
            }
        }
        for peer in changed {
            self.prepare_again(peer);
        }
        // An address that came or went may be the source of this host's own packets.
        self.connections.iter_mut().for_each(RunningConnection::update_routes);
        for peer in cut_off {
            self.endpoint.command(now, Command::Up(peer));
        }
    }

    /// Carries out all that the engine wants, in the engine's order, after the state is stored.
    pub(super) fn carry_out(&mut self) {
        let now = clock::now();
        let outputs: Vec<Output> = std::iter::from_fn(|| self.endpoint.poll_output()).collect();
        let has_moved_on = self.endpoint.revision() != self.storage.stored_revision;
        if self.storage.is_stale || (!outputs.is_empty() && has_moved_on) {
            self.persist(now);
        }
        for output in outputs {
            self.apply(output, now);
        }
        for connection in &mut self.connections {
            let mut changed = false;
            for peer in &mut connection.peers {
                changed |= peer.refresh_state(now);
            }
            if changed {
                connection.update_routes();
                self.storage.is_stale = true;
            }
        }
    }

    /// Stores the present state for the next process, before any of it is known to a peer.
    fn persist(&mut self, now: Now) {
        self.storage.stored_revision = self.endpoint.revision();
        self.storage.is_stale = false;
        if self.storage.state.is_kept() {
            let inventory = self.inventory(false);
            self.storage.state.put(&inventory, &self.endpoint.snapshot(now));
        }
    }

    fn apply(&mut self, output: Output, now: Now) {
        match output {
            Output::InstallInbound(sa) => {
                self.on_tunnel(sa.peer, |tunnel| tunnel.install_inbound(*sa));
            }
            Output::InstallOutbound(sa) => {
                self.on_tunnel(sa.peer, |tunnel| tunnel.install_outbound(*sa));
            }
            Output::ActivateOutbound { peer, slot: _, child, spi } => {
                self.on_tunnel(peer, |tunnel| {
                    tunnel.activate_outbound(child, spi);
                    Ok(())
                });
            }
            Output::DisplaceOutbound { peer, child, spi } => {
                self.on_tunnel(peer, |tunnel| {
                    tunnel.displace_outbound(child, spi);
                    Ok(())
                });
            }
            Output::RetireOutbound { peer, child, spi } => {
                self.on_tunnel(peer, |tunnel| {
                    tunnel.retire_outbound(child, spi);
                    Ok(())
                });
            }
            Output::RemoveInbound { peer, child, spi } => {
                self.on_tunnel(peer, |tunnel| {
                    tunnel.remove_inbound(child, spi);
                    Ok(())
                });
            }
            Output::PeerMoved { peer, path, encapsulated } => {
                self.on_tunnel(peer, |tunnel| tunnel.set_path(path, encapsulated));
            }
            Output::Transmit(transmit) => self.transmit(&transmit),
            Output::Keepalive(path) => self.inputs.sockets.keep_alive(&path),
            Output::Event(event) => self.on_ike_event(event, now),
        }
    }

    /// Changes a tunnel's data plane. A change that fails is a problem of the tunnel, and is tried
    /// again.
    fn on_tunnel(
        &mut self,
        peer: PeerId,
        change: impl FnOnce(&mut RunningTunnel) -> Result<(), Problem>,
    ) {
        let Some(tunnel) = tunnel(&mut self.connections, peer) else { return };
        if let Err(problem) = change(tunnel) {
            self.set_problem(peer, problem);
        }
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let sent = self.inputs.sockets.send(&transmit.path, &transmit.bytes);
        let remote = Some(transmit.path.remote.ip());
        // The answer to an unknown initiator belongs to no peer.
        let Some(peer) = self.peers_mut().find(|peer| peer.remote == remote) else { return };
        peer.record.note_sent(sent);
        if transmit.sending == Sending::Retransmission {
            peer.record.retransmits += 1;
            peer.doubted = true;
        }
    }

    /// Logs an event of the engine, and notes the event for the status of its tunnel.
    fn on_ike_event(&mut self, event: IkeEvent, now: Now) {
        let id = match &event {
            IkeEvent::Limited(limit) => {
                warn!("limit reached: {}", limit_text(*limit));
                return;
            }
            IkeEvent::Ignored(path, why) => {
                debug!(from = %path.remote, why, "datagram ignored");
                return;
            }
            IkeEvent::Refused(peer, _)
            | IkeEvent::Moved(peer, _)
            | IkeEvent::Elsewhere(peer, _) => *peer,
            IkeEvent::Dialling { peer, .. }
            | IkeEvent::DialPaused { peer, .. }
            | IkeEvent::IkeUp { peer, .. }
            | IkeEvent::IkeRekeyed { peer, .. }
            | IkeEvent::IkeDown { peer, .. }
            | IkeEvent::ChildUp { peer, .. }
            | IkeEvent::ChildDown { peer, .. } => *peer,
        };
        if let Some(peer) = self.peer_mut(id) {
            peer.record.note(event, now);
        }
    }
}

/// What a limit of the engine bounds, for the log.
fn limit_text(limit: LimitKind) -> &'static str {
    match limit {
        LimitKind::HalfOpen => "half-open IKE SAs; new initiators are refused for now",
        LimitKind::Fragments => "fragments of one IKE message",
        LimitKind::Tasks => "tasks that wait on one IKE SA",
        LimitKind::Children => "child SAs of one peer",
        LimitKind::Answers => "answers to datagrams that belong to no IKE SA",
    }
}

#[cfg(all(test, feature = "faults"))]
mod tests {
    use super::*;
    use crate::ike::Snapshot;
    use crate::state::inventory::Inventory;

    #[test]
    fn a_write_that_failed_is_tried_again_and_one_that_waits_is_not_forgotten() {
        let opened =
            PersistentState::open(FdStore::default(), Vec::new(), &mut SystemRng::default());
        let mut storage = Storage { state: opened.unwrap().0, stored_revision: 0, is_stale: false };
        storage.retry();
        assert!(!storage.is_stale, "nothing failed");
        storage.is_stale = true;
        storage.retry();
        assert!(storage.is_stale, "something waits to be written");
        let put = |storage: &mut Storage| {
            storage.is_stale = false;
            storage.state.put(&Inventory::default(), &Snapshot::from_bytes(b"keys"));
            storage.retry();
            storage.is_stale
        };
        crate::sys::fault::here("store_write:ENOSPC", |_| assert!(put(&mut storage)));
        assert!(!put(&mut storage), "the write succeeded");
    }
}
