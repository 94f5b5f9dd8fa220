//! One tunnel of a connection with its peer: what is wanted of it, what stands in its way, how it
//! is.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tracing::info;

use super::device::DevicePlan;
use super::ike_status::{TunnelRecord, TunnelState};
use super::no_credentials::Nobody;
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

/// Why a tunnel cannot be put to work: a sentence with its remedy.
pub type Obstacle = String;

/// How long to wait before an obstacle is looked at again: a name that did not resolve, a network
/// that was not there.
pub const RETRY: Duration = Duration::from_secs(10);

/// One tunnel.
#[derive(Debug)]
pub struct ServicePeer {
    /// The engine's name for the peer.
    pub peer: PeerId,
    /// The tunnel's interface, there or not.
    pub interface: String,
    /// Where the gateway is.
    pub host: Host,
    /// Its address, once it is known.
    pub remote: Option<IpAddr>,
    /// Our address towards it, once it is known.
    pub local: Option<IpAddr>,
    /// The connection's credentials, or what is wrong with their files.
    pub credentials: Result<Rc<CertificateAuthenticator>, Obstacle>,
    /// Who may dial.
    pub role: DialRole,
    /// The packets' side; `None` when the device could not be made.
    pub tunnel: Option<RunningTunnel>,
    /// What is known of the IKE side.
    pub record: TunnelRecord,
    /// Whether the operator wants it up.
    pub wanted: bool,
    /// When to look at the obstacle again.
    pub retry_at: Option<Instant>,
    /// It did not answer at once: it may be elsewhere by now, or we are.
    pub doubted: bool,
}

impl ServicePeer {
    /// A tunnel as the configuration has it.
    pub fn new(
        peer: PeerId,
        connection: &Connection,
        tunnel: &settings::GatewayTunnel,
        credentials: Result<Rc<CertificateAuthenticator>, Obstacle>,
        now: Now,
    ) -> ServicePeer {
        ServicePeer {
            peer,
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

    /// Goes on as the one that a former process had.
    pub fn recall(&mut self, former: &inventory::InventoryTunnel, now: Now) {
        (self.wanted, self.local) = (former.wanted, former.local);
        self.remote = self.remote.or(former.remote);
        self.record.up_before = former.up_since.map(|then| now.at(Instant(then)));
        self.record.heard = former.heard.map(Instant);
    }

    /// Makes the device, unless it is there, and what else its packets need.
    pub fn equip(
        &mut self,
        plan: DevicePlan,
        events: &Sender<PeerLaneEvent>,
        estate: &mut PersistentState,
    ) -> Result<(), Obstacle> {
        let interface = plan.interface.clone();
        let unmade = |error: io::Error| {
            format!("the interface {interface} cannot be made: {error}{}", device_remedy(&error))
        };
        match &mut self.tunnel {
            Some(tunnel) => {
                tunnel.mend().map_err(unmade)?;
                tunnel.go_on().map_err(|error| format!("its packets cannot be carried: {error}"))
            }
            none => {
                let made = RunningTunnel::create(self.peer, plan, events.clone(), estate);
                *none = Some(made.map_err(unmade)?);
                Ok(())
            }
        }
    }

    /// Why no packet can pass the device, if it is the device.
    pub fn hitch(&self) -> Option<Obstacle> {
        self.tunnel.as_ref().and_then(RunningTunnel::hitch)
    }

    /// Nothing is in the way any more.
    pub fn clear(&mut self) {
        self.retry_at = None;
        if let Some(was) = self.record.obstacle.take() {
            info!(connection = self.record.name, "no longer in the way: {was}");
        }
    }

    /// Whether another address of ours than before leads to the gateway.
    pub fn has_moved(&self, listen: &[IpAddr]) -> bool {
        let found = self.remote.and_then(|remote| source(remote, listen).ok());
        found.is_some_and(|source| self.local != Some(source))
    }

    /// What the engine has to know of the peer, once everything for it is there. Without
    /// certificates it proves nothing anew.
    pub fn configure(
        &mut self,
        connection: &Connection,
        tunnel: &settings::GatewayTunnel,
        site: &Site,
        listen: &[IpAddr],
        behaviour: PeerBehaviour,
    ) -> Result<PeerConfig, Obstacle> {
        let remote =
            self.remote.ok_or_else(|| format!("the name {} has no address yet", self.host))?;
        // A network that is away for a moment is no reason to give up what goes on by an address.
        let local = source(remote, listen).or_else(|why| self.local.ok_or(why))?;
        self.local = Some(local);
        let credentials: Rc<dyn Authenticator> = match &self.credentials {
            Ok(own) => Rc::clone(own) as _,
            Err(why) => Rc::new(Nobody(why.clone())),
        };
        let config = peers::peer(site, connection, tunnel, local, vec![remote], credentials);
        self.role = config.role;
        Ok(PeerConfig { behaviour, ..config })
    }

    /// Brings the word for the state up to date. Whether packets can pass now and could not before,
    /// or the reverse.
    pub fn refresh_state(&mut self, now: Now) -> bool {
        let was_up = self.record.state == TunnelState::Up;
        let up = self.tunnel.as_ref().is_some_and(RunningTunnel::is_up);
        let obstacle = self.record.obstacle.as_ref();
        // What is established needs no certificate files.
        let goes_on = up && obstacle == self.credentials.as_ref().err();
        let hindered = obstacle.is_some() && !goes_on;
        let state = match &self.record {
            _ if !self.wanted && !up => TunnelState::Down,
            _ if hindered => TunnelState::Broken,
            _ if up => TunnelState::Up,
            record if !record.ikes.is_empty() => TunnelState::Negotiating,
            _ if !self.role.dials() => TunnelState::Waiting,
            record if record.next_try.is_some() => TunnelState::Retrying,
            _ => TunnelState::Connecting,
        };
        self.record.enter(state, now);
        was_up != (state == TunnelState::Up)
    }

    /// The inbound SAs on which packets of the peer came since the last look.
    pub fn heard(&mut self) -> Vec<EspSpi> {
        self.tunnel.as_mut().map_or_else(Vec::new, RunningTunnel::heard)
    }
}

/// Our address towards a gateway, among those that we listen on.
fn source(remote: IpAddr, listen: &[IpAddr]) -> Result<IpAddr, Obstacle> {
    let source = ike_socket::source_towards(remote)
        .map_err(|error| format!("there is no route to {remote} ({error})"))?;
    if listen.is_empty() || listen.contains(&source) {
        return Ok(source);
    }
    let same_family = |address: &&IpAddr| address.is_ipv4() == remote.is_ipv4();
    listen.iter().find(same_family).copied().ok_or_else(|| {
        format!("listen_addresses has no address of the family of {remote}; add {source} to it")
    })
}

fn device_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; s2sd needs CAP_NET_ADMIN: run it as root or by its unit"
        }
        io::ErrorKind::NotFound => "; /dev/net/tun is missing: load the kernel module tun",
        io::ErrorKind::ResourceBusy => {
            "; another program has one of this name: end it, or set another interface"
        }
        _ => "",
    }
}
