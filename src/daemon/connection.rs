//! One connection at work: its peers with their tunnels, and the routes into the tunnels that are
//! up.

use std::net::IpAddr;

use tracing::{error, info, warn};

use super::crl_watch::CrlWatch;
use super::ike_status::TunnelState;
use super::peer::ServicePeer;
use super::problem::Problem;
use super::routes::{DeadEnd, Routes};
use super::tunnel::RunningTunnel;
use crate::config::settings::Connection;
use crate::ike::PeerId;

/// One connection at work.
#[derive(Debug)]
pub(super) struct RunningConnection {
    pub(super) settings: Connection,
    /// One peer for each tunnel of the settings, in their order.
    pub(super) peers: Vec<ServicePeer>,
    pub(super) routes: Routes,
    /// Why some routes are missing, or lead where they should not.
    pub(super) routes_problem: Option<Problem>,
    pub(super) crls: CrlWatch,
}

impl RunningConnection {
    /// Moves the routes to the right table after an address of the gateway has changed: the new
    /// address may be one that the routes would swallow.
    pub(super) fn protect_outer(&mut self) {
        let connection = self.settings.name.as_str();
        if let Err(problem) = self.routes.protect_outer(&self.settings, &outer(&self.peers)) {
            error!(connection, "{problem}");
        }
        self.update_routes();
    }

    /// The routes that keep packets in while no tunnel is up. `gateways` are the addresses of all
    /// gateways that are known.
    pub(super) fn dead_ends(&self, gateways: &[IpAddr]) -> Vec<DeadEnd> {
        let are_known = self.peers.iter().all(|peer| peer.remote.is_some());
        self.routes.dead_ends(gateways, are_known)
    }

    /// Has the routes lead into the tunnels that are up.
    pub(super) fn update_routes(&mut self) {
        let up = self.peers.iter().filter(|peer| peer.record.state == TunnelState::Up);
        let devices: Vec<&str> =
            up.filter_map(|peer| peer.tunnel.as_ref()).map(RunningTunnel::interface).collect();
        let connection = self.settings.name.as_str();
        let before = self.routes_problem.take();
        match self.routes.lead_into(&devices) {
            Ok(true) if devices.is_empty() => {
                info!(connection, "the routes are removed: no tunnel is up");
            }
            Ok(true) => {
                let into = devices.join(", ");
                info!(connection, into, "the routes lead into the tunnels that are up");
            }
            Ok(false) => {}
            Err(problem) => {
                if before.as_ref() != Some(&problem) {
                    error!(connection, "{problem}");
                }
                self.routes_problem = Some(problem);
                return;
            }
        }
        self.routes_problem = self.routes.conflict();
        if let Some(problem) =
            self.routes_problem.as_ref().filter(|now| before.as_ref() != Some(now))
        {
            warn!(connection, "{problem}; {}", problem.remedy().unwrap_or_default());
        }
    }
}

/// The addresses of a connection's gateway, as far as they are known.
pub(super) fn outer(peers: &[ServicePeer]) -> Vec<IpAddr> {
    peers.iter().filter_map(|peer| peer.remote).collect()
}

/// The connection that has this peer, and the peer's place in it.
pub(super) fn find(
    connections: &mut [RunningConnection],
    id: PeerId,
) -> Option<(&mut RunningConnection, usize)> {
    connections.iter_mut().find_map(|connection| {
        let at = connection.peers.iter().position(|peer| peer.id == id)?;
        Some((connection, at))
    })
}

/// The tunnel of this peer, if its device could be made.
pub(super) fn tunnel(
    connections: &mut [RunningConnection],
    id: PeerId,
) -> Option<&mut RunningTunnel> {
    let (connection, at) = find(connections, id)?;
    connection.peers.get_mut(at)?.tunnel.as_mut()
}
