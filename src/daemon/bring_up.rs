//! Bringing a connection up: from its settings to peers that the engine can dial.
//!
//! ```text
//! add_connection ─> prepare ─> prepare_data_plane   device, lane, rules, our outer address
//!                      │   └─> credentials          certificate files in order
//!                      ├─ all there:   the engine gets the peer's configuration and dials
//!                      └─ not there:   set_problem, and `prepare` again after a pause
//! ```

use std::net::IpAddr;
use std::rc::Rc;

use tracing::{error, info, warn};

use super::connection::{RunningConnection, find, outer};
use super::crl_watch::CrlWatch;
use super::device::DevicePlan;
use super::peer::ServicePeer;
use super::problem::Problem;
use super::resolver::Found;
use super::routes::{Guard, Routes};
use super::service::Service;
use crate::config::credentials::Credentials;
use crate::config::settings::Connection;
use crate::config::{Diagnostic, Severity};
use crate::ike::PeerId;
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::endpoint::command::Command;
use crate::ike::endpoint::config::PeerConfig;
use crate::state::inventory::InventoryConnection;
use crate::sys::clock;

impl Service {
    /// Brings up every connection, with no state of a former process.
    pub(super) fn start(&mut self, credentials: Vec<Option<Credentials>>) {
        self.discard_untaken();
        let connections = self.config.connections.clone();
        let mut peers = Vec::new();
        for (connection, credentials) in connections.into_iter().zip(credentials) {
            let credentials = self.authenticator(credentials);
            peers.extend(self.add_connection(connection, &credentials, None));
        }
        self.close_routes();
        for peer in peers {
            self.prepare(peer);
        }
    }

    /// The authenticator of a connection, or what is wrong with its certificate files.
    pub(super) fn authenticator(
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

    /// Adds a connection, and returns its peers, which the caller still has to prepare. `former` is
    /// the same connection as a former process left it.
    pub(super) fn add_connection(
        &mut self,
        settings: Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
        former: Option<&InventoryConnection>,
    ) -> Vec<PeerId> {
        let now = clock::now();
        let mut peers = Vec::new();
        for (at, tunnel) in settings.tunnels.iter().enumerate() {
            let former = former.and_then(|former| former.tunnels.get(at));
            let id = PeerId(former.map_or(self.next_peer, |former| former.peer));
            let mut peer = ServicePeer::new(id, &settings, tunnel, credentials.clone(), now);
            match former {
                Some(former) => peer.recall(former, now),
                None => self.next_peer += 1,
            }
            peers.push(peer);
        }
        let mut routes = Routes::new(&self.config.local_network_gateway, &settings, &outer(&peers));
        routes.adopt(former.map_or_else(Vec::new, |former| former.devices.clone()));
        for peer in &peers {
            self.inputs.resolver.watch(peer.id, &peer.host);
        }
        let ids = peers.iter().map(|peer| peer.id).collect();
        let crls = CrlWatch::default();
        let running = RunningConnection { settings, peers, routes, routes_problem: None, crls };
        self.connections.push(running);
        ids
    }

    /// Sets the unreachable routes that the connections want, and removes others.
    pub(super) fn close_routes(&mut self) {
        let all = &self.connections;
        let gateways: Vec<IpAddr> = all.iter().flat_map(|c| outer(&c.peers)).collect();
        let wanted = all.iter().flat_map(|connection| connection.dead_ends(&gateways)).collect();
        let (is_first, before) = (!self.unreachable.is_known(), self.unreachable.problem.take());
        let mut outcome = self.unreachable.set(&wanted);
        if self.unreachable.need_guard() {
            if self.guard.is_none() {
                match Guard::set_up() {
                    Ok(guard) => self.guard = Some(guard),
                    Err(problem) => outcome = Err(problem),
                }
            }
        } else if is_first && self.guard.is_none() {
            Guard::clear();
        }
        if let Err(problem) = outcome {
            if before.as_ref() != Some(&problem) {
                error!("{problem}");
            }
            self.unreachable.problem = Some(problem);
        }
    }

    /// Handles the outcome of a name look-up. An SA that lives stays at the old address: the peer
    /// there still answers.
    pub(super) fn on_name_lookup(&mut self, found: Found) {
        let Found { peer: id, name, address } = found;
        let Some((connection, at)) = find(&mut self.connections, id) else { return };
        let Some(peer) = connection.peers.get_mut(at) else { return };
        let tunnel = peer.record.name.as_str();
        match address {
            Ok(address) if peer.remote == Some(address) => {}
            Ok(address) => {
                info!(connection = tunnel, name, %address, "looked up the gateway's address");
                peer.remote = Some(address);
                connection.protect_outer();
                self.close_routes();
                self.prepare(id);
            }
            Err(error) => {
                warn!(connection = tunnel, name, %error, "the gateway's name could not be looked up");
            }
        }
    }

    /// Prepares a peer until it can be dialled, and has the engine dial. A problem on the way is
    /// noted, and `prepare` is called again later.
    pub(super) fn prepare(&mut self, id: PeerId) {
        let now = clock::now();
        self.storage.is_stale = true;
        match self.prepare_to_dial(id) {
            Ok(config) => {
                // Adds the peer if the engine does not have it.
                self.endpoint.command(now, Command::Reconfigure(id, Box::new(config)));
                let Some(peer) = self.peer_mut(id) else { return };
                let (problem, wanted) = (peer.device_problem(), peer.wanted);
                match problem {
                    Some(problem) => self.set_problem(id, problem),
                    None => peer.clear_problem(),
                }
                if wanted {
                    self.endpoint.command(now, Command::Up(id));
                }
            }
            Err(problem) => self.set_problem(id, problem),
        }
    }

    /// Prepares a peer anew whose device or network changed. In between, the tunnel is broken and
    /// has no routes: the routes went with the device, or may have.
    pub(super) fn prepare_again(&mut self, id: PeerId) {
        let Some(peer) = self.peer_mut(id) else { return };
        if let Some(problem) = peer.device_problem() {
            warn!(connection = peer.record.name, "{problem}");
            peer.record.problem = Some(problem);
            self.carry_out();
        }
        self.prepare(id);
        self.carry_out();
    }

    /// Has everything ready to dial a peer. Returns what the engine has to know of the peer.
    fn prepare_to_dial(&mut self, id: PeerId) -> Result<PeerConfig, Problem> {
        let config = self.prepare_data_plane(id)?;
        self.credentials_problem(id).map_or(Ok(config), Err)
    }

    /// What is wrong with a peer's certificate files.
    pub(super) fn credentials_problem(&mut self, id: PeerId) -> Option<Problem> {
        self.peer_mut(id)?.credentials.as_ref().err().cloned()
    }

    /// Has everything ready for a peer that is established already, whose certificate files need
    /// not be in order.
    pub(super) fn prepare_data_plane(&mut self, id: PeerId) -> Result<PeerConfig, Problem> {
        let Service { connections, config, options, inputs, guard, storage, .. } = self;
        let gone = || Problem::NotConfigured;
        let (connection, at) = find(connections, id).ok_or_else(gone)?;
        let RunningConnection { settings, peers, routes, .. } = connection;
        let peer = peers.get_mut(at).ok_or_else(gone)?;
        let tunnel = settings.tunnels.get(at).ok_or_else(gone)?;
        if routes.is_guarded() && guard.is_none() {
            *guard = Some(Guard::set_up()?);
        }
        let listen = &config.device.listen_addresses;
        let site = &config.local_network_gateway;
        let plan = DevicePlan::new(settings, tunnel, site);
        peer.equip(plan, &inputs.lane_sender, &mut storage.state)?;
        peer.configure(settings, tunnel, site, listen, options.behaviour)
    }

    /// Notes and logs a problem of a tunnel, which is tried again after a pause.
    pub(super) fn set_problem(&mut self, id: PeerId, problem: Problem) {
        if let Some(peer) = self.peer_mut(id) {
            peer.set_problem(problem, clock::now());
        }
    }
}
