//! One connection at work: its tunnels, and the routes into those that are up.

use std::net::IpAddr;

use tracing::{error, info};

use super::ike_status::TunnelState;
use super::peer::ServicePeer;
use super::routes::Routes;
use super::tunnel::RunningTunnel;
use crate::config::settings::Connection;
use crate::ike::PeerId;

/// One connection at work.
#[derive(Debug)]
pub(super) struct RunningConnection {
    pub(super) settings: Connection,
    pub(super) peers: Vec<ServicePeer>,
    pub(super) routes: Routes,
    /// Why some routes are not as they should be.
    pub(super) lacking: Option<String>,
}

impl RunningConnection {
    /// The gateway is elsewhere: its address may be one that the routes would swallow.
    pub(super) fn protect_outer(&mut self) {
        let connection = &self.settings.name;
        if let Err(error) = self.routes.protect_outer(&self.settings, &outer(&self.peers)) {
            error!(%connection, %error, "the routes could not be changed");
        }
        self.update_routes();
    }

    /// Has the routes lead into the tunnels that are up.
    pub(super) fn update_routes(&mut self) {
        let up = self.peers.iter().filter(|m| m.record.state == TunnelState::Up);
        let devices: Vec<&str> =
            up.filter_map(|member| member.tunnel.as_ref()).map(RunningTunnel::interface).collect();
        let connection = &self.settings.name;
        let before = self.lacking.take();
        match self.routes.lead_into(&devices) {
            Ok(true) => info!(%connection, into = ?devices, "routes"),
            Ok(false) => {}
            Err(error) => {
                let lacking = error.to_string();
                if before.as_ref() != Some(&lacking) {
                    error!(%connection, "{lacking}");
                }
                self.lacking = Some(lacking);
            }
        }
    }
}

/// Where a connection's gateway is, as far as it is known.
pub(super) fn outer(members: &[ServicePeer]) -> Vec<IpAddr> {
    members.iter().filter_map(|member| member.remote).collect()
}

/// A peer's connection, and which of its tunnels it is.
pub(super) fn find(
    links: &mut [RunningConnection],
    peer: PeerId,
) -> Option<(&mut RunningConnection, usize)> {
    links.iter_mut().find_map(|link| {
        let at = link.peers.iter().position(|member| member.peer == peer)?;
        Some((link, at))
    })
}

/// A peer's tunnel, if there is one.
pub(super) fn tunnel(links: &mut [RunningConnection], peer: PeerId) -> Option<&mut RunningTunnel> {
    let (link, at) = find(links, peer)?;
    link.peers.get_mut(at)?.tunnel.as_mut()
}
