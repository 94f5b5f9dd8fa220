//! One tunnel of a connection, with its peer: what the configuration and the operator want, what
//! the kernel and the IKE engine report, and the state that follows.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tracing::{error, info};

use super::device::DevicePlan;
use super::ike_status::{TunnelRecord, TunnelState};
use super::no_credentials::NoCredentials;
use super::problem::Problem;
use super::tunnel::{PeerLaneEvent, RunningTunnel};
use crate::config::peers;
use crate::config::settings::{self, Connection, Site};
use crate::config::value::Host;
use crate::ike::PeerId;
use crate::ike::authenticator::Authenticator;
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::endpoint::config::{DialRole, PeerConfig};
use crate::ike::testing::emulation::PeerBehaviour;
use crate::state::{PersistentState, inventory};
use crate::sys::ike_socket;
use crate::time::{Instant, Now};
use crate::wire::spi::EspSpi;

/// How long after a problem the peer is prepared again.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// One tunnel of a connection, with its peer.
#[derive(Debug)]
pub(super) struct ServicePeer {
    pub(super) id: PeerId,
    /// The name of the tunnel's interface, whether the interface exists or not.
    pub(super) interface: String,
    /// The gateway, as the configuration names it.
    pub(super) host: Host,
    /// The gateway's address, once it is known.
    pub(super) remote: Option<IpAddr>,
    /// This host's address towards the gateway, once it is known.
    pub(super) local: Option<IpAddr>,
    /// The connection's credentials, or what is wrong with their files.
    pub(super) credentials: Result<Rc<CertificateAuthenticator>, Problem>,
    /// Which end may dial.
    pub(super) role: DialRole,
    /// The data plane; `None` if the device could not be made yet.
    pub(super) tunnel: Option<RunningTunnel>,
    /// What is known of the IKE side, the state and the problem.
    pub(super) record: TunnelRecord,
    /// Whether the operator wants the tunnel up.
    pub(super) wanted: bool,
    /// When to prepare the peer again because of its problem.
    pub(super) retry_at: Option<Instant>,
    /// Whether a request had to be sent again: an address of either end may have changed.
    pub(super) doubted: bool,
}

impl ServicePeer {
    /// The peer of one tunnel of the configuration, without a device.
    pub(super) fn new(
        id: PeerId,
        connection: &Connection,
        tunnel: &settings::GatewayTunnel,
        credentials: Result<Rc<CertificateAuthenticator>, Problem>,
        now: Now,
    ) -> ServicePeer {
        ServicePeer {
            id,
            interface: tunnel.interface.to_string(),
            host: tunnel.remote.clone(),
            remote: tunnel.remote.address(),
            local: None,
            credentials,
            role: DialRole::Both,
            tunnel: None,
            record: TunnelRecord::new(
                peers::name(connection, tunnel),
                TunnelState::Connecting,
                now,
            ),
            wanted: true,
            retry_at: None,
            doubted: false,
        }
    }

    /// Takes over what a former process knew of the peer.
    pub(super) fn recall(&mut self, former: &inventory::InventoryTunnel, now: Now) {
        (self.wanted, self.local) = (former.wanted, former.local);
        self.remote = self.remote.or(former.remote);
        self.record.up_before = former.up_since.map(|then| now.at(Instant(then)));
        self.record.heard = former.heard.map(Instant);
    }

    /// Makes the device, or mends it if it is there, and starts the lane if SAs need one.
    pub(super) fn equip(
        &mut self,
        plan: DevicePlan,
        events: &Sender<PeerLaneEvent>,
        persistent: &mut PersistentState,
    ) -> Result<(), Problem> {
        match &mut self.tunnel {
            Some(tunnel) => {
                tunnel.restore_device()?;
                tunnel.ensure_lane()
            }
            none => {
                *none = Some(RunningTunnel::create(self.id, plan, events.clone(), persistent)?);
                Ok(())
            }
        }
    }

    /// What is wrong with the device, if no packet can pass it.
    pub(super) fn device_problem(&self) -> Option<Problem> {
        self.tunnel.as_ref().and_then(RunningTunnel::device_problem)
    }

    /// Notes a problem, logs it unless it is the one before, and has the peer prepared again after
    /// [`RETRY`].
    pub(super) fn set_problem(&mut self, problem: Problem, now: Now) {
        if self.record.problem.as_ref() != Some(&problem) {
            error!(connection = self.record.name, "{problem}");
        }
        self.record.problem = Some(problem);
        self.retry_at = Some(now.mono + RETRY);
    }

    /// Notes that there is no problem any more.
    pub(super) fn clear_problem(&mut self) {
        self.retry_at = None;
        if let Some(problem) = self.record.problem.take() {
            info!(connection = self.record.name, "no longer a problem: {problem}");
        }
    }

    /// Whether another address of this host than before leads to the gateway.
    pub(super) fn has_moved(&self, listen: &[IpAddr]) -> bool {
        let found = self.remote.and_then(|remote| source(remote, listen).ok());
        found.is_some_and(|source| self.local != Some(source))
    }

    /// What the IKE engine has to know of the peer. Without credentials the peer can keep its SAs,
    /// and cannot authenticate again.
    pub(super) fn configure(
        &mut self,
        connection: &Connection,
        tunnel: &settings::GatewayTunnel,
        site: &Site,
        listen: &[IpAddr],
        behaviour: PeerBehaviour,
    ) -> Result<PeerConfig, Problem> {
        let unresolved = || Problem::NameLookup { host: self.host.to_string() };
        let remote = self.remote.ok_or_else(unresolved)?;
        // An SA may outlive a route that is gone for a moment: its local address still holds.
        let local = source(remote, listen).or_else(|problem| self.local.ok_or(problem))?;
        self.local = Some(local);
        let credentials: Rc<dyn Authenticator> = match &self.credentials {
            Ok(own) => Rc::clone(own) as _,
            Err(problem) => Rc::new(NoCredentials { reason: problem.to_string() }),
        };
        let config = peers::peer(site, connection, tunnel, local, vec![remote], credentials);
        self.role = config.role;
        Ok(PeerConfig { behaviour, ..config })
    }

    /// Works the state out again. Returns whether the tunnel came up or went down by it.
    pub(super) fn refresh_state(&mut self, now: Now) -> bool {
        let was_up = self.record.state == TunnelState::Up;
        let can_send = self.tunnel.as_ref().is_some_and(RunningTunnel::can_send);
        let problem = self.record.problem.as_ref();
        // An established SA needs no certificate files.
        let is_harmless = can_send && problem == self.credentials.as_ref().err();
        let is_broken = problem.is_some() && !is_harmless;
        let state = match &self.record {
            _ if !self.wanted && !can_send => TunnelState::Down,
            _ if is_broken => TunnelState::Broken,
            _ if can_send => TunnelState::Up,
            record if !record.ike_sas.is_empty() => TunnelState::Negotiating,
            _ if !self.role.dials() => TunnelState::Waiting,
            record if record.next_try.is_some() => TunnelState::Retrying,
            _ => TunnelState::Connecting,
        };
        self.record.enter(state, now);
        was_up != (state == TunnelState::Up)
    }

    /// The inbound SAs on which packets of the peer came since the last call.
    pub(super) fn newly_heard(&mut self) -> Vec<EspSpi> {
        self.tunnel.as_mut().map_or_else(Vec::new, RunningTunnel::newly_heard)
    }
}

/// This host's address towards a gateway, among the addresses that s2sd listens on.
fn source(gateway: IpAddr, listen: &[IpAddr]) -> Result<IpAddr, Problem> {
    let source = ike_socket::source_towards(gateway)
        .map_err(|error| Problem::NoRoute { gateway, cause: error.into() })?;
    if listen.is_empty() || listen.contains(&source) {
        return Ok(source);
    }
    let same_family = |address: &&IpAddr| address.is_ipv4() == gateway.is_ipv4();
    let other = listen.iter().find(same_family).copied();
    other.ok_or(Problem::NotListening { gateway, source })
}
