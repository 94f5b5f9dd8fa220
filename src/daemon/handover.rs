//! Restarts that nobody notices: what the next process gets, and how it goes on with it (see
//! [`crate::state`]).
//!
//! **Stop or restart?** systemd ends a service in both cases with a signal, but not with the same
//! one: `KillSignal=` is SIGTERM, and `RestartKillSignal=SIGUSR2` in the unit is what a restart job
//! sends (systemd.kill(5), since version 244). So the unit says which of the two is meant, and
//! nobody has to ask the manager for its jobs, which takes D-Bus, rights, and luck with the moment.
//! What sends no SIGUSR2 is a stop: `systemctl stop`, a shutdown, a unit written by hand, a
//! supervisor that knows nothing of this. A hand-over that nobody keeps anything for is a stop as
//! well.
//!
//! ```text
//!   SIGTERM   DELETE for every IKE SA, devices removed, descriptors forgotten
//!   SIGUSR2   lanes parked ─> snapshot and exact positions stored ─> exit. Devices, addresses, routes stay; the kernel queues
//!   SIGKILL   what was stored last holds; numbers go on at the ledger's ceilings, and children rekey at once
//! ```
//!
//! **A changed configuration** is met as a reload meets it: connections whose peers, devices and
//! routes are the same go on under their new settings; others get a DELETE, as do those that are no
//! longer there, and begin anew if they are.

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
use crate::ike::{ChildId, Endpoint, PeerId, Snapshot};
use crate::state::inventory::{self, Inventory};
use crate::state::{Recovered, fd_store};
use crate::sys::clock;
use crate::sys::netlink::Netlink;
use crate::sys::random::SystemRng;
use crate::time::Now;

/// How long a stop waits for the gateways' answers to our farewells.
const FAREWELL: Duration = Duration::from_secs(2);

/// How the peers of a former process are met.
#[derive(Default)]
struct Peers {
    /// They go on.
    going: Vec<(PeerId, PeerConfig)>,
    /// A DELETE is all that they get.
    departing: Vec<(PeerId, PeerConfig)>,
    /// They begin.
    fresh: Vec<PeerId>,
}

impl Service {
    /// Goes on with what a former process left.
    pub(super) fn resume(&mut self, credentials: Vec<Option<Credentials>>, legacy: Recovered) {
        let Recovered { mut inventory, snapshot, planned } = legacy;
        self.stale = true;
        self.next_peer = inventory.next_peer.max(1);
        if inventory.guarded {
            // Where it fails now, `ready` tries again and says why not.
            self.guard = Guard::set_up().ok();
        }
        let peers = self.match_peers(credentials, &mut inventory);
        self.discard();
        let going: Vec<PeerId> = peers.going.iter().map(|(peer, _)| *peer).collect();
        let mut fresh = peers.fresh;
        match self.restore(&snapshot, peers.going, peers.departing, &inventory) {
            Ok(()) => self.go_on(&going, planned),
            Err(why) => {
                warn!("what a former process left is put aside: {why}");
                self.go_on(&going, true);
                fresh.extend(going);
            }
        }
        fresh.into_iter().for_each(|peer| self.prepare(peer));
        self.carry_out();
        // Routes of tunnels that did not come back.
        self.links.iter_mut().for_each(RunningConnection::update_routes);
    }

    /// Compares the configuration with the former one, and takes devices over.
    fn match_peers(
        &mut self,
        credentials: Vec<Option<Credentials>>,
        inventory: &mut Inventory,
    ) -> Peers {
        let mut peers = Peers::default();
        let connections = self.config.connections.clone();
        for (connection, credentials) in connections.into_iter().zip(credentials) {
            let credentials = self.trusted(credentials);
            let same = |former: &inventory::InventoryConnection| {
                former.name == connection.name.as_str()
                    && former.tunnels.len() == connection.tunnels.len()
                    && diff::goes_on(&former.settings, &connection)
            };
            let Some(at) = inventory.connections.iter().position(same) else {
                peers.fresh.extend(self.add(connection, &credentials, None));
                continue;
            };
            let former = inventory.connections.swap_remove(at);
            self.add(connection, &credentials, Some(&former));
            for tunnel in &former.tunnels {
                let peer = PeerId(tunnel.peer);
                match self.ready_to_go_on(peer) {
                    Ok(config) => {
                        if let Some(obstacle) = self.lacks_credentials(peer) {
                            self.set_problem(peer, obstacle);
                        }
                        let positions = inventory.positions.clone();
                        if let Some(device) = self.tunnel_mut(peer) {
                            device.resume(tunnel.traffic.into(), positions);
                        }
                        peers.going.push((peer, config));
                    }
                    Err(obstacle) => {
                        self.set_problem(peer, obstacle);
                        peers.departing.push((peer, departed(tunnel)));
                    }
                }
            }
        }
        for link in &mut self.links {
            let devices = link.peers.iter().filter_map(|member| member.tunnel.as_ref());
            if !devices.into_iter().all(RunningTunnel::is_inherited) {
                // The routes went with the device that is missing.
                link.routes.leave();
            }
        }
        for former in &inventory.connections {
            info!(connection = former.name, "ends: it is configured no longer, or otherwise");
            let gone = former.tunnels.iter().map(|t| (PeerId(t.peer), departed(t)));
            peers.departing.extend(gone);
        }
        peers
    }

    /// Has the engine that was, says goodbye to those who are no longer wanted, and has the data
    /// plane as it was.
    fn restore(
        &mut self,
        snapshot: &Snapshot,
        going: Vec<(PeerId, PeerConfig)>,
        departing: Vec<(PeerId, PeerConfig)>,
        inventory: &Inventory,
    ) -> Result<(), String> {
        let now = clock::now();
        let leaving: Vec<PeerId> = departing.iter().map(|(peer, _)| *peer).collect();
        let peers = going.into_iter().chain(departing).collect();
        let (settings, rng) = (peers::endpoint(&self.config), Box::new(SystemRng::default()));
        let provider = Box::new(Standard::default());
        self.endpoint = Endpoint::restore(snapshot, now, settings, provider, rng, peers)
            .map_err(|corrupt| corrupt.to_string())?;
        debug!(positions = inventory.positions.len(), "the engine goes on");
        for peer in leaving {
            self.endpoint.command(now, Command::Remove(peer));
        }
        self.endpoint.reinstall(now);
        self.recall(now);
        self.carry_out();
        Ok(())
    }

    /// Lanes run again; after a crash with fresh keys soon.
    fn go_on(&mut self, going: &[PeerId], planned: bool) {
        let now = clock::now();
        let tunnels = self.links.iter().flat_map(|l| &l.peers).filter_map(|m| m.tunnel.as_ref());
        let children: Vec<ChildId> =
            tunnels.flat_map(RunningTunnel::children).map(|(id, _)| id).collect();
        self.estate.keeping.ledger.retain(|child| children.contains(&child));
        for peer in going {
            let Some(member) = self.member(*peer) else { continue };
            let wanted = member.wanted && member.credentials.is_ok();
            let Some(device) = &mut member.tunnel else { continue };
            let active: Vec<ChildId> =
                device.children().map(|(id, _)| id).filter(|id| device.is_active(*id)).collect();
            if let Err(problem) = device.release() {
                self.set_problem(*peer, problem);
            }
            if wanted {
                self.endpoint.command(now, Command::Up(*peer));
            }
            if !planned {
                // What the last process sent and saw is known in steps only.
                for child in active {
                    self.endpoint.command(now, Command::RekeyChild(*peer, child));
                }
            }
        }
        self.carry_out();
    }

    /// Notes the IKE SAs that are there already.
    fn recall(&mut self, now: Now) {
        let all: Vec<_> = self.endpoint.ike_sas().collect();
        for facts in all {
            let Some(member) = self.member(facts.peer) else { continue };
            let record = IkeRecord {
                suite: facts.suite,
                identity: facts.identity,
                proven_until: facts.proven_until,
                since: now.at(facts.since),
                path: facts.path,
            };
            member.record.ike_sas.insert(facts.ike, record);
        }
    }

    /// Ends what was kept and is not wanted.
    pub(super) fn discard(&mut self) {
        for name in self.estate.left() {
            self.estate.take(&name);
            if let Some(interface) = name.strip_prefix(&fd_store::device("")) {
                device::remove_device(interface, &self.estate.keeping, Netlink::open);
            }
            self.estate.keeping.keeper.forget(&name);
        }
    }

    /// Stores how things are.
    pub(super) fn keep(&mut self, now: Now) {
        (self.stored, self.stale) = (self.endpoint.revision(), false);
        if self.estate.is_kept() {
            let inventory = self.inventory(false);
            self.estate.put(&inventory, &self.endpoint.snapshot(now));
        }
    }

    /// Leaves everything as it is for the next process.
    pub(super) fn hand_over(&mut self) {
        let tunnels = self.links.iter_mut().flat_map(|link| &mut link.peers);
        tunnels.filter_map(|member| member.tunnel.as_mut()).for_each(RunningTunnel::park);
        // What has come already is worked off; nothing moves packets any more.
        while let Ok((peer, event)) = self.lane_events.try_recv() {
            self.hear_lane(peer, event);
        }
        while let Some(inbound) = self.sockets.try_receive() {
            self.take_in(inbound);
        }
        self.carry_out();
        let inventory = self.inventory(true);
        if let Some(generation) = self.estate.put(&inventory, &self.endpoint.snapshot(clock::now()))
        {
            self.estate.keeping.ledger.park(generation);
            self.estate.keeping.ledger.live();
            info!("handing over to the next process");
        }
        self.links.iter_mut().for_each(|link| link.routes.leave());
        self.guard.take().into_iter().for_each(Guard::leave);
    }

    /// Ends every tunnel with a DELETE, and waits a little for the answers.
    pub(super) async fn say_goodbye(&mut self) {
        info!("stopping");
        let peers = self.links.iter().flat_map(|link| &link.peers).map(|member| member.id);
        for peer in peers.collect::<Vec<_>>() {
            self.endpoint.command(clock::now(), Command::Down(peer));
        }
        self.carry_out();
        let end = clock::now().mono + FAREWELL;
        while self.links.iter().flat_map(|link| &link.peers).any(|m| !m.record.ike_sas.is_empty()) {
            let left = end.since(clock::now().mono);
            if left.is_zero() {
                return;
            }
            tokio::select! {
                Some(inbound) = self.sockets.receive() => self.take_in(inbound),
                Some((peer, event)) = self.lane_events.recv() => self.hear_lane(peer, event),
                () = tokio::time::sleep(left) => return,
            }
            self.carry_out();
        }
    }

    /// After the farewells: whoever keeps descriptors is to have none of ours.
    pub(super) fn leave_nothing(&mut self) {
        let members = self.links.drain(..).flat_map(|link| link.peers);
        members.filter_map(|member| member.tunnel).for_each(RunningTunnel::remove);
        for name in [fd_store::IKE, fd_store::STORE, fd_store::LEDGER] {
            self.estate.keeping.keeper.forget(name);
        }
    }

    fn inventory(&self, parked: bool) -> Inventory {
        let tunnels = self.links.iter().flat_map(|l| &l.peers).filter_map(|m| m.tunnel.as_ref());
        let positions = tunnels.filter(|_| parked).flat_map(RunningTunnel::positions).collect();
        Inventory {
            version: inventory::VERSION,
            ledger: self.estate.keeping.ledger.identity(),
            next_peer: self.next_peer,
            guarded: self.guard.is_some(),
            connections: self.links.iter().map(describe).collect(),
            positions,
        }
    }

    fn tunnel_mut(&mut self, peer: PeerId) -> Option<&mut RunningTunnel> {
        self.member(peer)?.tunnel.as_mut()
    }
}

fn describe(link: &RunningConnection) -> inventory::InventoryConnection {
    let tunnels = link.peers.iter().map(|member| inventory::InventoryTunnel {
        peer: member.id.0,
        interface: member.interface.clone(),
        remote: member.remote,
        local: member.local,
        wanted: member.wanted,
        traffic: member.tunnel.as_ref().map(RunningTunnel::traffic).unwrap_or_default().into(),
        up_since: member.record.up_since().map(|then| then.0),
        heard: member.record.heard.map(|heard| heard.0),
    });
    inventory::InventoryConnection {
        name: link.settings.name.to_string(),
        settings: diff::json(&link.settings),
        devices: link.routes.devices().to_vec(),
        tunnels: tunnels.collect(),
    }
}
