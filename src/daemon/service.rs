//! The loop: waits for whatever comes first, hands it to the engine, carries out what the engine
//! wants.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{debug, error, info, warn};

use super::connection::{RunningConnection, find, outer, tunnel};
use super::control::ControlSocket;
use super::device::DevicePlan;
use super::host_changes::Surroundings;
use super::ike_status::TunnelState;
use super::manager::Manager;
use super::peer::ServicePeer;
use super::problem::Problem;
use super::resolver::{Found, Resolver};
use super::routes::{Guard, Routes};
use super::sockets::{ReceivedMessage, Sockets};
use super::tunnel::{PeerLaneEvent, RunningTunnel};
use crate::config::credentials::Credentials;
use crate::config::settings::Connection;
use crate::config::{Config, Diagnostic, Loaded, Report, Severity, peers};
use crate::crypto::Standard;
use crate::dataplane::LaneEvent as Seen;
use crate::ike::admission::budget::{Bucket, Rate};
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::endpoint::command::{Command, DataEvent};
use crate::ike::endpoint::config::PeerConfig;
use crate::ike::endpoint::event::IkeEvent;
use crate::ike::endpoint::output::Output;
use crate::ike::path::{Datagram, Path, Port};
use crate::ike::testing::emulation::PeerBehaviour;
use crate::ike::{Endpoint, PeerId, Timer};
use crate::state::{Keeper, PersistentState, Recovered, inventory};
use crate::sys::random::SystemRng;
use crate::sys::{clock, inherited};
use crate::time::{Instant, Now};
use crate::wire::packet::esp::EspHeader;
use crate::wire::spi::EspSpi;

/// Events of all lanes that wait for the loop.
const LANE_EVENTS: usize = 256;
/// How often counters are looked at: the precision of "last heard".
const TICK: Duration = Duration::from_secs(1);
/// ESP beside the lanes' sockets: one packet shows that a peer moved, and forged ones are not to
/// take the time of all else.
const STRAYS: Rate = Rate { burst: 100, interval: Duration::from_millis(10) };
/// A process that ran so long may be followed by another: systemd/s2sd.service allows thirty starts
/// a minute.
const WORTH_A_START: Duration = Duration::from_secs(3);

/// What is said when the process that signs is gone, and somebody keeps the tunnels for the next
/// process or nobody does.
const KEYS_LOST_KEPT: &str = "the process that keeps the private keys is gone; the tunnels are kept for the next start of the service, which starts it anew";
const KEYS_LOST: &str = "the process that keeps the private keys is gone: established tunnels go on, a new handshake needs a restart of the service (systemctl restart s2sd)";

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose manners to keep: Azure's are for demonstrations.
    pub profile: PeerBehaviour,
    /// The file that the configuration came from, for a reload.
    pub source: Option<PathBuf>,
    /// Who keeps what is to outlive the process.
    pub keeper: Keeper,
}

/// What the outside tells a running service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Read the configuration again.
    Reload,
    /// End, and leave everything as it is for the next process.
    HandOver,
    /// The process that signs is gone: end as a failure for the next process to take over, if
    /// somebody keeps what it needs.
    KeysLost,
    /// Say goodbye and end.
    Stop,
}

/// Runs until it is told to stop: opens the sockets, brings up what the configuration has, says
/// goodbye at the end.
pub async fn run(
    loaded: Loaded,
    options: Options,
    mut signals: Receiver<Signal>,
) -> io::Result<()> {
    let Loaded { config, credentials, report } = loaded;
    let config = config.ok_or_else(|| io::Error::other("the configuration has errors"))?;
    let mut control = ControlSocket::open(&config.device.control_socket)?;
    let (mut shell, legacy) = Service::open(config, report, options)?;
    let mut manager = Manager::from_environment();
    match legacy {
        Some(legacy) => shell.resume(credentials, legacy),
        None => shell.start(credentials),
    }
    shell.carry_out();
    info!(device = %shell.config.device.name, connections = shell.links.len(), "running");
    manager.ready();
    loop {
        shell.carry_out();
        let now = clock::now().mono;
        manager.attend(&shell.summary(), shell.stuck(now), now);
        let tick = shell.ticked + TICK;
        let due = shell.endpoint.poll_timeout().map_or(tick, |(at, _)| at.min(tick));
        tokio::select! {
            Some(inbound) = shell.sockets.receive() => shell.take_in(inbound),
            Some((peer, event)) = shell.lane_events.recv() => shell.hear_lane(peer, event),
            () = tokio::time::sleep(due.since(clock::now().mono)) => shell.wake(),
            () = shell.surroundings.next() => shell.surroundings.changed = true,
            Some((ask, back)) = control.next() => {
                let reply = shell.answer(ask);
                shell.carry_out();
                // A caller who does not wait for the answer had the wish carried out all the same.
                let _ = back.send(reply);
            }
            Some(found) = shell.names.next() => shell.hear_of(found),
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => {
                    manager.reloading();
                    // The log has told of it either way.
                    let _ = shell.reload();
                    manager.ready();
                }
                Some(Signal::HandOver) if shell.estate.is_kept() => {
                    manager.stopping();
                    shell.hand_over();
                    return Ok(());
                }
                Some(Signal::KeysLost) if shell.is_worth_a_start() => {
                    manager.stopping();
                    shell.hand_over();
                    return Err(io::Error::other(KEYS_LOST_KEPT));
                }
                Some(Signal::KeysLost) => error!("{KEYS_LOST}"),
                Some(Signal::HandOver | Signal::Stop) | None => break,
            },
        }
    }
    manager.stopping();
    shell.say_goodbye().await;
    shell.leave_nothing();
    Ok(())
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) config: Config,
    /// What is known of the configuration's files.
    pub(super) report: Report,
    pub(super) options: Options,
    pub(super) endpoint: Endpoint,
    pub(super) links: Vec<RunningConnection>,
    pub(super) source: Option<PathBuf>,
    pub(super) started: Instant,
    pub(super) estate: PersistentState,
    /// What is stored of the endpoint, by its revision.
    pub(super) stored: u64,
    /// What is stored lacks something.
    pub(super) stale: bool,
    pub(super) sockets: Sockets,
    pub(super) lane_events: Receiver<PeerLaneEvent>,
    lanes: Sender<PeerLaneEvent>,
    pub(super) names: Resolver,
    pub(super) guard: Option<Guard>,
    pub(super) next_peer: u32,
    pub(super) surroundings: Surroundings,
    /// ESP packets beside the lanes' sockets that may be looked into.
    strays: Bucket,
    /// When counters were looked at.
    ticked: Instant,
    /// Whether the outputs that come now are repetitions.
    repeating: bool,
}

impl Service {
    fn open(
        config: Config,
        report: Report,
        options: Options,
    ) -> io::Result<(Service, Option<Recovered>)> {
        let keeper = options.keeper.clone();
        let inherited = if keeper.exists() { inherited::take() } else { Vec::new() };
        let (mut estate, legacy) =
            PersistentState::open(keeper, inherited, &mut SystemRng::default())?;
        let sockets = Sockets::open(&config.device.listen_addresses, &mut estate)?;
        let rng = Box::new(SystemRng::default());
        let provider = Box::new(Standard::default());
        let endpoint = Endpoint::new(peers::endpoint(&config), provider, rng);
        let (lanes, lane_events) = mpsc::channel(LANE_EVENTS);
        let now = clock::now();
        let shell = Service {
            config,
            report,
            source: options.source.clone(),
            options,
            endpoint,
            links: Vec::new(),
            started: now.mono,
            estate,
            stored: 0,
            stale: false,
            sockets,
            lane_events,
            lanes,
            names: Resolver::default(),
            guard: None,
            next_peer: 1,
            surroundings: Surroundings::new(now),
            strays: Bucket::default(),
            ticked: now.mono,
            repeating: false,
        };
        Ok((shell, legacy))
    }

    /// Brings up every connection.
    fn start(&mut self, credentials: Vec<Option<Credentials>>) {
        self.discard();
        let connections = self.config.connections.clone();
        let mut peers = Vec::new();
        for (connection, credentials) in connections.into_iter().zip(credentials) {
            let credentials = self.trusted(credentials);
            peers.extend(self.add(connection, &credentials, None));
        }
        for peer in peers {
            self.prepare(peer);
        }
    }

    /// Credentials as the engine takes them, or what is wrong with the files they are in.
    pub(super) fn trusted(
        &self,
        credentials: Option<Credentials>,
    ) -> Result<Rc<CertificateAuthenticator>, Problem> {
        let address = self.config.local_network_gateway.address.address();
        match credentials {
            Some(credentials) => Ok(Rc::new(credentials.certificates(address))),
            None => {
                let errors = self.report.found.iter().filter(|f| f.severity == Severity::Error);
                let errors: Vec<String> = errors.map(Diagnostic::in_a_line).collect();
                Err(Problem::Credentials { errors })
            }
        }
    }

    /// Takes a connection up, perhaps one that a former process had; its peers are still to be
    /// prepared.
    pub(super) fn add(
        &mut self,
        settings: Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
        former: Option<&inventory::InventoryConnection>,
    ) -> Vec<PeerId> {
        let now = clock::now();
        let mut members = Vec::new();
        for (at, tunnel) in settings.tunnels.iter().enumerate() {
            let former = former.and_then(|former| former.tunnels.get(at));
            let peer = PeerId(former.map_or(self.next_peer, |former| former.peer));
            let mut member = ServicePeer::new(peer, &settings, tunnel, credentials.clone(), now);
            match former {
                Some(former) => member.recall(former, now),
                None => self.next_peer += 1,
            }
            members.push(member);
        }
        let mut routes = Routes::new(&settings, &outer(&members));
        routes.adopt(former.map_or_else(Vec::new, |former| former.devices.clone()));
        let peers = members.iter().map(|member| member.id).collect();
        for member in &members {
            self.names.watch(member.id, &member.host);
        }
        self.links.push(RunningConnection {
            settings,
            peers: members,
            routes,
            routes_problem: None,
        });
        peers
    }

    /// A name was looked up. An SA that lives stays where it is: the peer there still answers.
    fn hear_of(&mut self, found: Found) {
        let Found { peer, name, address } = found;
        let Some((link, at)) = find(&mut self.links, peer) else { return };
        let Some(member) = link.peers.get_mut(at) else { return };
        let connection = member.record.name.as_str();
        match address {
            Ok(address) if member.remote == Some(address) => {}
            Ok(address) => {
                info!(connection, name, %address, "looked up");
                member.remote = Some(address);
                link.protect_outer();
                self.prepare(peer);
            }
            Err(error) => warn!(connection, name, error, "the name could not be looked up"),
        }
    }

    /// One tunnel by its peer.
    pub(super) fn member(&mut self, peer: PeerId) -> Option<&mut ServicePeer> {
        let (link, at) = find(&mut self.links, peer)?;
        link.peers.get_mut(at)
    }

    /// How it is, in a line.
    fn summary(&self) -> String {
        let members = || self.links.iter().flat_map(|link| &link.peers);
        let up = members().filter(|member| member.record.state == TunnelState::Up).count();
        let mut line = format!("{up} of {} tunnels up", members().count());
        for member in members().filter(|member| member.record.state != TunnelState::Up) {
            line += &format!("; {} {}", member.record.name, member.record.state.word());
        }
        line
    }

    /// Whether the next process goes on with all that is there, and has a better chance with the
    /// keys: where they are lost at once again and again, the service manager would give up, and
    /// with it all that it keeps.
    fn is_worth_a_start(&self) -> bool {
        let ran = clock::now().mono.since(self.started);
        self.estate.is_kept() && self.estate.hitch().is_none() && ran >= WORTH_A_START
    }

    /// A tunnel whose threads do not turn.
    fn stuck(&self, now: Instant) -> Option<&str> {
        if self.surroundings.are_drowsy(self.ticked, now) {
            return None;
        }
        let mut members = self.links.iter().flat_map(|link| &link.peers);
        let stands =
            |member: &&ServicePeer| member.tunnel.as_ref().is_some_and(|t| !t.is_responsive(now));
        members.find(stands).map(|member| member.record.name.as_str())
    }

    /// Does what is still to do before a tunnel can be dialled; what stands in the way is noted and
    /// tried again.
    pub(super) fn prepare(&mut self, peer: PeerId) {
        let now = clock::now();
        self.stale = true;
        match self.ready(peer) {
            Ok(config) => {
                // Adds a peer that is not known yet.
                self.endpoint.command(now, Command::Reconfigure(peer, Box::new(config)));
                let Some(member) = self.member(peer) else { return };
                let (hitch, wanted) = (member.device_problem(), member.wanted);
                match hitch {
                    Some(hitch) => self.set_problem(peer, hitch),
                    None => member.clear_problem(),
                }
                if wanted {
                    self.endpoint.command(now, Command::Up(peer));
                }
            }
            Err(obstacle) => self.set_problem(peer, obstacle),
        }
    }

    /// Has everything ready for a peer, that it can be dialled: what the engine has to know of it.
    fn ready(&mut self, peer: PeerId) -> Result<PeerConfig, Problem> {
        let config = self.ready_to_go_on(peer)?;
        self.lacks_credentials(peer).map_or(Ok(config), Err)
    }

    /// What is wrong with a peer's certificate files.
    pub(super) fn lacks_credentials(&mut self, peer: PeerId) -> Option<Problem> {
        self.member(peer)?.credentials.as_ref().err().cloned()
    }

    /// The same for one whose certificate files need not be in order.
    pub(super) fn ready_to_go_on(&mut self, peer: PeerId) -> Result<PeerConfig, Problem> {
        let Service { links, config, options, lanes, guard, estate, .. } = self;
        let gone = || Problem::NotConfigured;
        let (link, at) = find(links, peer).ok_or_else(gone)?;
        let RunningConnection { settings, peers, routes, .. } = link;
        let member = peers.get_mut(at).ok_or_else(gone)?;
        let tunnel = settings.tunnels.get(at).ok_or_else(gone)?;
        if routes.is_guarded() && guard.is_none() {
            *guard = Some(Guard::set_up()?);
        }
        let listen = &config.device.listen_addresses;
        let site = &config.local_network_gateway;
        member.equip(DevicePlan::new(settings, tunnel), lanes, estate)?;
        member.configure(settings, tunnel, site, listen, options.profile)
    }

    /// Something stands in the way of a tunnel.
    pub(super) fn set_problem(&mut self, peer: PeerId, obstacle: Problem) {
        let Some(member) = self.member(peer) else { return };
        member.set_problem(obstacle, clock::now());
    }

    /// A datagram came in on an IKE socket.
    pub(super) fn take_in(&mut self, inbound: ReceivedMessage) {
        let now = clock::now();
        match inbound {
            ReceivedMessage::Ike(path, bytes) => {
                self.endpoint.handle_datagram(now, Datagram { path, bytes: &bytes });
            }
            ReceivedMessage::Esp(path, packet) => self.take_stray(now, path, packet),
        }
    }

    /// ESP beside the lane's socket: if it is authentic, the peer moved. The packet itself is given
    /// up for that.
    fn take_stray(&mut self, now: Now, path: Path, mut packet: Vec<u8>) {
        let Some((header, _)) = EspHeader::parse(&packet) else { return };
        if !self.strays.take(STRAYS, now.mono) {
            return;
        }
        let spi = EspSpi(header.spi);
        let tunnels = self.links.iter().flat_map(|link| &link.peers);
        let sa = tunnels
            .filter_map(|member| member.tunnel.as_ref())
            .find_map(|tunnel| tunnel.inbound_sa(spi));
        let Some(sa) = sa else {
            debug!(from = %path.remote, "an ESP packet of no SA of ours");
            return;
        };
        if sa.hold().open(&mut packet, now.mono).is_ok() {
            self.endpoint.handle_data_event(now, DataEvent::PeerMoved(spi, path));
        }
    }

    /// A lane saw something.
    pub(super) fn hear_lane(&mut self, peer: PeerId, event: Seen) {
        let now = clock::now();
        let Some((link, at)) = find(&mut self.links, peer) else { return };
        let Some(member) = link.peers.get_mut(at) else { return };
        let Some(tunnel) = &mut member.tunnel else { return };
        match event {
            Seen::Ike(bytes) => {
                let Some(path) = tunnel.path() else { return };
                let path = Path { port: Port::NatT, ..path };
                self.endpoint.handle_datagram(now, Datagram { path, bytes: &bytes });
            }
            Seen::FirstPacket(spi) => {
                self.endpoint.handle_data_event(now, DataEvent::FirstPacket(spi));
            }
            Seen::OutboundAging(spi) | Seen::InboundAging(spi) => {
                if let Some(child) = tunnel.child_of(spi) {
                    self.endpoint.handle_data_event(now, DataEvent::SoftLimit(peer, child));
                }
            }
            // Every tunnel is kept up anyway: what is wanted is on its way or refused.
            Seen::Wanted(_) => {}
            Seen::PathMtu(mtu) => {
                info!(connection = member.record.name, mtu, "path MTU changed");
            }
            Seen::DeviceLost if tunnel.has_lost_device() => {
                tunnel.lose_device();
                self.renew(peer);
            }
            // It came late: there is another lane by now.
            Seen::DeviceLost => {}
        }
    }

    /// A deadline has come, or a second is over.
    fn wake(&mut self) {
        let now = clock::now();
        let due = self.endpoint.poll_timeout().filter(|(at, _)| *at <= now.mono);
        if matches!(due, Some((_, Timer::Liveness))) || now.mono.since(self.ticked) >= TICK {
            self.tick(now);
        }
        if let Some((_, timer)) = due {
            self.repeating = timer == Timer::Retransmit;
            self.endpoint.handle_timeout(now);
            self.carry_out();
            self.repeating = false;
        }
    }

    /// Looks at counters, at obstacles whose time has come, and where a peer that does not answer
    /// is now, and we are.
    fn tick(&mut self, now: Now) {
        let last = std::mem::replace(&mut self.ticked, now.mono);
        // What could not be stored is tried again.
        self.stale |= self.estate.hitch().is_some();
        if now.mono.since(self.started) >= TICK {
            self.estate.keeping.ledger.live();
        }
        let mut alive = Vec::new();
        let mut retry = Vec::new();
        for member in self.links.iter_mut().flat_map(|link| &mut link.peers) {
            let heard = member.newly_heard();
            if !heard.is_empty() {
                member.record.heard = Some(now.mono);
                alive.extend(heard);
            }
            let mut again = member.retry_at.is_some_and(|at| at <= now.mono);
            if std::mem::take(&mut member.doubted) {
                self.names.look_again(member.id);
                let listen = &self.config.device.listen_addresses;
                again |= member.local.is_some() && member.has_moved(listen);
            }
            if again {
                retry.push(member.id);
            }
        }
        for spi in alive {
            self.endpoint.handle_data_event(now, DataEvent::Alive(spi, now.mono));
        }
        for peer in retry {
            self.prepare(peer);
        }
        self.links
            .iter_mut()
            .filter(|link| link.routes_problem.is_some())
            .for_each(RunningConnection::update_routes);
        self.look_around(last, now);
    }

    /// Carries out all that the engine wants, in its order; it is stored before any of it is done.
    pub(super) fn carry_out(&mut self) {
        let now = clock::now();
        let outputs: Vec<Output> = std::iter::from_fn(|| self.endpoint.poll_output()).collect();
        if self.stale || (!outputs.is_empty() && self.endpoint.revision() != self.stored) {
            self.keep(now);
        }
        for output in outputs {
            self.apply(output, now);
        }
        for link in &mut self.links {
            let mut changed = false;
            for member in &mut link.peers {
                changed |= member.refresh_state(now);
            }
            if changed {
                link.update_routes();
                self.stale = true;
            }
        }
    }

    fn apply(&mut self, output: Output, now: Now) {
        match output {
            Output::InstallInbound(sa) => self.on(sa.peer, |tunnel| tunnel.install_inbound(*sa)),
            Output::InstallOutbound(sa) => self.on(sa.peer, |tunnel| tunnel.install_outbound(*sa)),
            Output::ActivateOutbound { peer, slot, child, spi } => {
                self.on(peer, |tunnel| {
                    tunnel.activate_outbound(slot, child, spi);
                    Ok(())
                });
            }
            Output::RetireOutbound { peer, child, spi } => {
                self.on(peer, |tunnel| {
                    tunnel.retire_outbound(child, spi);
                    Ok(())
                });
            }
            Output::RemoveInbound { peer, child, spi } => {
                self.on(peer, |tunnel| {
                    tunnel.remove_inbound(child, spi);
                    Ok(())
                });
            }
            Output::PeerMoved { peer, path, encapsulated } => {
                self.on(peer, |tunnel| tunnel.set_path(path, encapsulated));
            }
            Output::Transmit(transmit) => self.transmit(&transmit.path, &transmit.bytes),
            Output::Keepalive(path) => self.sockets.keep_alive(&path),
            Output::Event(event) => self.note(event, now),
        }
    }

    /// Does something to a tunnel's data plane. What does not work now is in the tunnel's way, and
    /// is tried again.
    fn on(&mut self, peer: PeerId, work: impl FnOnce(&mut RunningTunnel) -> Result<(), Problem>) {
        let Some(tunnel) = tunnel(&mut self.links, peer) else { return };
        if let Err(problem) = work(tunnel) {
            self.set_problem(peer, problem);
        }
    }

    fn transmit(&mut self, path: &Path, message: &[u8]) {
        let sent = self.sockets.send(path, message);
        let remote = Some(path.remote.ip());
        let mut members = self.links.iter_mut().flat_map(|link| &mut link.peers);
        // Strangers are answered too.
        let Some(member) = members.find(|member| member.remote == remote) else { return };
        member.record.note_sent(sent);
        member.record.retransmits += u64::from(self.repeating);
        member.doubted |= self.repeating;
    }

    fn note(&mut self, event: IkeEvent, now: Now) {
        let peer = match &event {
            IkeEvent::Limited(limit) => {
                warn!(?limit, "a limit held something back");
                return;
            }
            IkeEvent::Ignored(path, why) => {
                debug!(from = %path.remote, why, "datagram ignored");
                return;
            }
            IkeEvent::Refused(peer, _) | IkeEvent::Moved(peer, _) => *peer,
            IkeEvent::Dialling { peer, .. }
            | IkeEvent::DialPaused { peer, .. }
            | IkeEvent::IkeUp { peer, .. }
            | IkeEvent::IkeRekeyed { peer, .. }
            | IkeEvent::IkeDown { peer, .. }
            | IkeEvent::ChildUp { peer, .. }
            | IkeEvent::ChildDown { peer, .. } => *peer,
        };
        if let Some((link, at)) = find(&mut self.links, peer)
            && let Some(member) = link.peers.get_mut(at)
        {
            member.record.note(event, now);
        }
    }
}
