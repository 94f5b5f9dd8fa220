//! Restarts that peers do not notice: what the next process gets, how the service goes on from what
//! a former process left (see [`crate::state`]), and how the service ends.
//!
//! **Stop or restart?** systemd ends a service with a signal in both cases, but not with the same
//! signal: `KillSignal=` is SIGTERM, and `RestartKillSignal=SIGUSR2` in the unit is what a restart
//! job sends (systemd.kill(5), since version 244). The service therefore need not ask systemd for
//! its jobs over D-Bus. Whatever sends no SIGUSR2 is a stop: `systemctl stop`, a shutdown, a unit
//! written by hand, another supervisor. A hand-over without a file descriptor store is a stop as
//! well.
//!
//! ```text
//!   SIGTERM   DELETE for every IKE SA, devices removed, descriptors removed from the store;
//!             unreachable routes stay
//!   SIGUSR2   lanes stopped ─> snapshot and exact positions stored ─> exit;
//!             devices, addresses and routes stay, and the kernel queues packets
//!   SIGKILL   the snapshot stored last holds; sequence numbers go on at the ledger's ceilings,
//!             and child SAs are rekeyed at once
//! ```
//!
//! **A changed configuration** at the restart has the effect of a reload: connections whose peers,
//! devices and routes are the same go on under their new settings. The peers of all other
//! connections get a DELETE, and those that are still configured are dialled anew.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::connection::RunningConnection;
use super::device;
use super::ike_status::IkeRecord;
use super::no_credentials::departed;
use super::routes::Guard;
use super::service::Service;
use super::tunnel::RunningTunnel;
use crate::config::credentials::Credentials;
use crate::config::{diff, peers};
use crate::crypto::Standard;
use crate::ike::endpoint::command::Command;
use crate::ike::endpoint::config::PeerConfig;
use crate::ike::snapshot::Corrupt;
use crate::ike::{ChildId, Endpoint, PeerId, Snapshot};
use crate::state::inventory::{self, Inventory, InventoryConnection, InventoryTunnel};
use crate::state::{Recovered, fd_store};
use crate::sys::clock;
use crate::sys::netlink::Netlink;
use crate::sys::random::SystemRng;
use crate::time::Now;

/// How long a stop waits for the gateways' answers to the DELETEs.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The peers of a former process, by what becomes of each.
#[derive(Default)]
struct MatchedPeers {
    /// These peers go on with their SAs.
    going_on: Vec<(PeerId, PeerConfig)>,
    /// These peers only get a DELETE.
    removed: Vec<(PeerId, PeerConfig)>,
    /// These peers are new and are dialled.
    fresh: Vec<PeerId>,
}

impl Service {
    /// Goes on with what a former process left.
    pub(super) fn resume(&mut self, credentials: Vec<Option<Credentials>>, recovered: Recovered) {
        let Recovered { mut inventory, snapshot, planned } = recovered;
        self.storage.is_stale = true;
        self.next_peer = inventory.next_peer.max(1);
        if inventory.guarded {
            // If this fails, `prepare_data_plane` tries again and reports why.
            self.guard = Guard::set_up().ok();
        }
        let peers = self.match_peers(credentials, &mut inventory);
        self.close_routes();
        self.discard_untaken();
        let going_on: Vec<PeerId> = peers.going_on.iter().map(|(peer, _)| *peer).collect();
        let mut fresh = peers.fresh;
        match self.restore(&snapshot, peers.going_on, peers.removed, &inventory) {
            Ok(()) => self.release_lanes(&going_on, planned),
            Err(why) => {
                warn!(
                    "the state of the former process is not used, all tunnels are dialled anew: {why}"
                );
                self.release_lanes(&going_on, true);
                fresh.extend(going_on);
            }
        }
        fresh.into_iter().for_each(|peer| self.prepare(peer));
        self.carry_out();
        // Removes the routes of tunnels that did not come back.
        self.connections.iter_mut().for_each(RunningConnection::update_routes);
    }

    /// Compares the configuration with that of the former process, and takes devices over.
    fn match_peers(
        &mut self,
        credentials: Vec<Option<Credentials>>,
        inventory: &mut Inventory,
    ) -> MatchedPeers {
        let mut peers = MatchedPeers::default();
        let connections = self.config.connections.clone();
        for (connection, credentials) in connections.into_iter().zip(credentials) {
            let credentials = self.authenticator(credentials);
            let goes_on = |former: &InventoryConnection| {
                former.name == connection.name.as_str()
                    && former.tunnels.len() == connection.tunnels.len()
                    && diff::goes_on(&former.settings, &connection)
            };
            let Some(at) = inventory.connections.iter().position(goes_on) else {
                peers.fresh.extend(self.add_connection(connection, &credentials, None));
                continue;
            };
            let former = inventory.connections.swap_remove(at);
            self.add_connection(connection, &credentials, Some(&former));
            for tunnel in &former.tunnels {
                self.match_tunnel(tunnel, inventory, &mut peers);
            }
        }
        for connection in &mut self.connections {
            let tunnels = connection.peers.iter().filter_map(|peer| peer.tunnel.as_ref());
            if !tunnels.into_iter().all(RunningTunnel::is_inherited) {
                // The routes went with the device that is missing.
                connection.routes.leave();
            }
        }
        for former in &inventory.connections {
            info!(
                connection = former.name,
                "connection removed or changed incompatibly; deleting its SAs"
            );
            let removed = former.tunnels.iter().map(|t| (PeerId(t.peer), departed(t)));
            peers.removed.extend(removed);
        }
        peers
    }

    /// Has a tunnel go on whose settings are compatible, if its data plane can be prepared.
    fn match_tunnel(
        &mut self,
        former: &InventoryTunnel,
        inventory: &Inventory,
        peers: &mut MatchedPeers,
    ) {
        let peer = PeerId(former.peer);
        match self.prepare_data_plane(peer) {
            Ok(config) => {
                if let Some(problem) = self.credentials_problem(peer) {
                    self.set_problem(peer, problem);
                }
                let positions = inventory.positions.clone();
                if let Some(tunnel) = self.peer_mut(peer).and_then(|peer| peer.tunnel.as_mut()) {
                    tunnel.resume(former.traffic.into(), positions);
                }
                peers.going_on.push((peer, config));
            }
            Err(problem) => {
                self.set_problem(peer, problem);
                peers.removed.push((peer, departed(former)));
            }
        }
    }

    /// Restores the engine, installs its SAs in the lanes as they were, and sends DELETEs to the
    /// removed peers.
    fn restore(
        &mut self,
        snapshot: &Snapshot,
        going_on: Vec<(PeerId, PeerConfig)>,
        removed: Vec<(PeerId, PeerConfig)>,
        inventory: &Inventory,
    ) -> Result<(), Corrupt> {
        let now = clock::now();
        let to_remove: Vec<PeerId> = removed.iter().map(|(peer, _)| *peer).collect();
        let peers = going_on.into_iter().chain(removed).collect();
        let (settings, rng) = (peers::endpoint(&self.config), Box::new(SystemRng::default()));
        let provider = Box::new(Standard::default());
        self.endpoint = Endpoint::restore(snapshot, now, settings, provider, rng, peers)?;
        debug!(positions = inventory.positions.len(), "the engine is restored");
        for peer in to_remove {
            self.endpoint.command(now, Command::Remove(peer));
        }
        self.endpoint.reinstall(now);
        self.note_ike_sas(now);
        self.carry_out();
        Ok(())
    }

    /// Lets lanes run again. After a crash, the child SAs are rekeyed at once.
    fn release_lanes(&mut self, going_on: &[PeerId], planned: bool) {
        let now = clock::now();
        let tunnels = self.peers().filter_map(|peer| peer.tunnel.as_ref());
        let children: Vec<ChildId> =
            tunnels.flat_map(RunningTunnel::children).map(|(id, _)| id).collect();
        self.storage.state.handles.ledger.retain(|child| children.contains(&child));
        for id in going_on {
            let Some(peer) = self.peer_mut(*id) else { continue };
            let wanted = peer.wanted && peer.credentials.is_ok();
            let Some(tunnel) = &mut peer.tunnel else { continue };
            let active: Vec<ChildId> =
                tunnel.children().map(|(id, _)| id).filter(|id| tunnel.is_active(*id)).collect();
            if let Err(problem) = tunnel.release() {
                self.set_problem(*id, problem);
            }
            if wanted {
                self.endpoint.command(now, Command::Up(*id));
            }
            if !planned {
                // The ledger bounds the sequence numbers of the dead process in blocks only: the
                // peer may refuse numbers, and late packets count as replayed. New SAs end that.
                for child in active {
                    self.endpoint.command(now, Command::RekeyChild(*id, child));
                }
            }
        }
        self.carry_out();
    }

    /// Notes the restored IKE SAs for the status.
    fn note_ike_sas(&mut self, now: Now) {
        let all: Vec<_> = self.endpoint.ike_sas().collect();
        for facts in all {
            let Some(peer) = self.peer_mut(facts.peer) else { continue };
            let record = IkeRecord {
                suite: facts.suite,
                identity: facts.identity,
                proven_until: facts.proven_until,
                since: now.at(facts.since),
                path: facts.path,
            };
            peer.record.ike_sas.insert(facts.ike, record);
        }
    }

    /// Closes inherited descriptors that nothing in this configuration uses, and removes their
    /// devices.
    pub(super) fn discard_untaken(&mut self) {
        let state = &mut self.storage.state;
        for name in state.untaken() {
            state.take(&name);
            if let Some(interface) = name.strip_prefix(&fd_store::device("")) {
                device::remove_device(interface, &state.handles, Netlink::open);
            }
            state.handles.fd_store.forget(&name);
        }
    }

    /// Stops all lanes, stores the exact state, and leaves everything as it is for the next
    /// process.
    pub(super) fn hand_over(&mut self) {
        let tunnels = self.peers_mut().filter_map(|peer| peer.tunnel.as_mut());
        tunnels.for_each(RunningTunnel::park);
        // What came before the lanes stopped is handled here; no packet moves any more.
        while let Ok((peer, event)) = self.inputs.lane_events.try_recv() {
            self.on_lane_event(peer, event);
        }
        while let Some(message) = self.inputs.sockets.try_receive() {
            self.on_message(message);
        }
        self.carry_out();
        let inventory = self.inventory(true);
        let snapshot = self.endpoint.snapshot(clock::now());
        if let Some(generation) = self.storage.state.put(&inventory, &snapshot) {
            self.storage.state.handles.ledger.park(generation);
            self.storage.state.handles.ledger.live();
            info!("handing over to the next process");
        }
        self.connections.iter_mut().for_each(|connection| connection.routes.leave());
        self.guard.take().into_iter().for_each(Guard::leave);
    }

    /// Sends a DELETE for every IKE SA, and waits a little for the answers.
    pub(super) async fn say_goodbye(&mut self) {
        info!("stopping");
        let peers: Vec<PeerId> = self.peers().map(|peer| peer.id).collect();
        for peer in peers {
            self.endpoint.command(clock::now(), Command::Down(peer));
        }
        self.carry_out();
        let end = clock::now().mono + GOODBYE_TIMEOUT;
        while self.peers().any(|peer| !peer.record.ike_sas.is_empty()) {
            let left = end.since(clock::now().mono);
            if left.is_zero() {
                return;
            }
            let inputs = &mut self.inputs;
            tokio::select! {
                Some(message) = inputs.sockets.receive() => self.on_message(message),
                Some((peer, event)) = inputs.lane_events.recv() => self.on_lane_event(peer, event),
                () = tokio::time::sleep(left) => return,
            }
            self.carry_out();
        }
    }

    /// Removes all devices, and all descriptors from the file descriptor store. Unreachable routes
    /// stay: nothing leaves in clear because the service is stopped.
    pub(super) fn leave_nothing(&mut self) {
        if self.unreachable.need_guard() {
            self.guard.take().into_iter().for_each(Guard::leave);
        }
        let peers = self.connections.drain(..).flat_map(|connection| connection.peers);
        peers.filter_map(|peer| peer.tunnel).for_each(RunningTunnel::remove);
        for name in [fd_store::IKE, fd_store::STORE, fd_store::LEDGER] {
            self.storage.state.handles.fd_store.forget(name);
        }
    }

    /// The daemon's part of the state. `parked` says that the lanes have stopped, so that positions
    /// are exact.
    pub(super) fn inventory(&self, parked: bool) -> Inventory {
        let tunnels = self.peers().filter_map(|peer| peer.tunnel.as_ref());
        let positions = tunnels.filter(|_| parked).flat_map(RunningTunnel::positions).collect();
        Inventory {
            version: inventory::VERSION,
            ledger: self.storage.state.handles.ledger.identity(),
            next_peer: self.next_peer,
            guarded: self.guard.is_some(),
            connections: self.connections.iter().map(describe).collect(),
            positions,
        }
    }
}

fn describe(connection: &RunningConnection) -> InventoryConnection {
    let tunnels = connection.peers.iter().map(|peer| InventoryTunnel {
        peer: peer.id.0,
        interface: peer.interface.clone(),
        remote: peer.remote,
        local: peer.local,
        wanted: peer.wanted,
        traffic: peer.tunnel.as_ref().map(RunningTunnel::traffic).unwrap_or_default().into(),
        up_since: peer.record.up_since().map(|then| then.0),
        heard: peer.record.heard.map(|heard| heard.0),
    });
    InventoryConnection {
        name: connection.settings.name.to_string(),
        settings: diff::json(&connection.settings),
        devices: connection.routes.devices().to_vec(),
        tunnels: tunnels.collect(),
    }
}
