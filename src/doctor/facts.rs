//! The facts about a connection, as values: the only input of the checks.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::probe::ike_probe::IkeProbeAnswer;
use super::probe::port_probe::NoAnswer;
use super::probe::sniffer::Sniffed;
use super::service::ServiceError;
use crate::config::diagnostic::Diagnostic;
use crate::config::prefix::Prefix;
use crate::config::settings::{Connection, Site};
use crate::daemon::explain::Explanation;
use crate::daemon::status::{ConnectionStatus, TunnelStatus};
use crate::time::UnixTime;
use crate::wire::codes::KeId;
use crate::wire::payload::sa::SecurityAssociation;

/// All facts about one connection.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The connection's name.
    pub connection: String,
    /// The diagnostics of the configuration file, without those of the files that it names.
    pub configuration: Vec<Diagnostic>,
    /// This site and the connection; `None` when the configuration has errors or no such
    /// connection.
    pub settings: Option<(Site, Connection)>,
    /// The diagnostics of the connection's certificates and keys at this host's time.
    pub certificates: Vec<Diagnostic>,
    /// The same at the time of [`ClockFacts::evidence`]; equal when there is no evidence.
    pub certificates_then: Vec<Diagnostic>,
    /// Subject and issuer of our certificate.
    pub own: Option<(String, String)>,
    /// This host's clock.
    pub clock: ClockFacts,
    /// This host's addresses.
    pub interfaces: Vec<Interface>,
    /// The settings of sysctl(8) that keep packets between the site's networks and the tunnels from
    /// being forwarded.
    pub not_forwarding: Vec<String>,
    /// The service's status, or the reason why the service could not be asked.
    pub service: Result<ConnectionStatus, ServiceError>,
    /// The facts of each tunnel: one for each address of the gateway.
    pub tunnels: Vec<DoctorTunnelFacts>,
}

/// This host's clock and the evidence of the true time.
#[derive(Clone, Debug, Default)]
pub struct ClockFacts {
    /// The time of this host's clock.
    pub now: UnixTime,
    /// The file that was written last, and when: a correct clock is not behind that time.
    pub newest: Option<(String, UnixTime)>,
    /// The time of the hardware clock.
    pub hardware: Option<UnixTime>,
    /// Whether the kernel reports the clock as synchronized; `None` when unknown.
    pub synchronized: Option<bool>,
}

/// A network interface of this host.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// The interface's name.
    pub name: String,
    /// The interface's addresses, each with its network.
    pub addresses: Vec<(IpAddr, Prefix)>,
}

/// The facts of one tunnel.
#[derive(Clone, Debug)]
pub struct DoctorTunnelFacts {
    /// The tunnel's name, as in the log.
    pub name: String,
    /// The name of the tunnel's interface.
    pub interface: String,
    /// The gateway's address or name, as configured.
    pub host: String,
    /// The gateway's address, or the reason why it is not known.
    pub address: Result<IpAddr, String>,
    /// The route to the gateway, or the reason why there is none.
    pub route: Result<RouteToGateway, String>,
    /// The answer of UDP port 500.
    pub ike: Result<IkeProbeAnswer, NoAnswer>,
    /// The answer of UDP port 4500 (NAT-T).
    pub natt: Result<IkeProbeAnswer, NoAnswer>,
    /// The policy that the gateway accepts, when the gateway refuses ours.
    pub gateway_policy: Option<GatewayPolicy>,
    /// The IKE messages that the sniffer saw; `None` when no sniffer ran, or none was allowed.
    pub sniffed: Option<Sniffed>,
    /// How long the sniffer ran.
    pub sniffed_for: Duration,
    /// Whether the gateway names an authority of ours in CERTREQ; `None` when that is unknown.
    pub trusts_us: Option<bool>,
    /// The path MTU towards port 4500, as far as it was measured.
    pub outer: Option<OuterMtu>,
    /// The service's status of the tunnel.
    pub status: Option<TunnelStatus>,
    /// The service's explanation of the last refusal.
    pub explanation: Option<Explanation>,
    /// The outcome of the rekey that the doctor asked for.
    pub rekey: Option<RekeyOutcome>,
    /// The results of pings through the tunnel.
    pub inner: Option<InnerPings>,
}

/// The route of outer packets to a gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteToGateway {
    /// The source address.
    pub source: IpAddr,
    /// The outgoing interface.
    pub interface: Option<String>,
}

/// The policy of a gateway that refuses ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GatewayPolicy {
    /// The gateway accepts our policy with this other group.
    OtherGroup(KeId),
    /// The gateway accepts this proposal.
    Accepts(SecurityAssociation),
    /// The gateway accepts nothing that an Azure connection can be set to.
    Unknown,
}

/// The measured path MTU towards a gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OuterMtu {
    /// The largest packet that was answered.
    pub largest: usize,
    /// The largest packet that was sent.
    pub tried: usize,
}

/// The outcome of a rekey.
#[derive(Clone, Debug, PartialEq)]
pub enum RekeyOutcome {
    /// The new Child SA is in use.
    Done,
    /// The rekey was refused.
    Refused(Box<Explanation>),
    /// Neither happened within this time.
    TimedOut(Duration),
}

/// The results of pings through a tunnel.
#[derive(Clone, Debug, Default)]
pub struct InnerPings {
    /// The source address; `None` when no address of this host lies in the site's prefixes.
    pub source: Option<Ipv4Addr>,
    /// Why the pings could not be sent.
    pub send_error: Option<String>,
    /// The addresses that were pinged.
    pub asked: Vec<Ipv4Addr>,
    /// Whether the operator named the address to ping.
    pub named: bool,
    /// The host that replied first, and its round-trip time.
    pub reply: Option<(Ipv4Addr, Duration)>,
    /// The largest packet that was replied to; `None` when no host replied.
    pub largest: Option<usize>,
    /// The tunnel's MTU, which is the largest packet that was sent.
    pub mtu: usize,
    /// The packets that the tunnel carried during the pings, out and in.
    pub packets: (u64, u64),
}

impl ClockFacts {
    /// The tolerance in seconds: certificates count days, and time zones differ by at most 14 hours
    /// from UTC.
    pub const TOLERANCE: u64 = 86_400;

    /// A time nearer to the true time than this host's clock: the hardware clock's when the two
    /// differ by more than the tolerance, the newest file's when this host's clock is behind it.
    pub fn evidence(&self) -> Option<UnixTime> {
        let (now, most) = (self.now.0, ClockFacts::TOLERANCE);
        let behind = self.newest.as_ref().map(|(_, at)| *at).filter(|at| at.0 > now + most);
        // A hardware clock without a battery starts in 1970, or in 2000.
        let plausible = |at: &UnixTime| self.newest.as_ref().is_none_or(|(_, newest)| at >= newest);
        let apart = self.hardware.filter(plausible).filter(|at| at.0.abs_diff(now) > most);
        apart.or(behind)
    }
}

impl DoctorTunnelFacts {
    /// Whether the tunnel is up.
    pub fn is_up(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state == "up")
    }

    /// The answer to IKE_SA_INIT on either port.
    pub fn answer(&self) -> Option<&IkeProbeAnswer> {
        self.ike.as_ref().or(self.natt.as_ref()).ok()
    }

    /// Why the tunnel is not up, as far as the service knows.
    pub fn refusal(&self) -> Option<&Explanation> {
        let found = self.explanation.as_ref().filter(|explanation| explanation.reason.is_some());
        found.filter(|_| !self.is_up())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_the_hardware_clock_are_evidence_of_the_time() {
        const DAY: u64 = 86_400;
        const NOW: u64 = 20_000 * DAY;
        let at = |days: i64| Some(UnixTime(NOW.saturating_add_signed(days * 86_400)));
        for (newest, hardware, evidence) in [
            (at(-30), None, None),
            (at(0), at(0), None),
            (at(1), at(1), None),
            (at(365), None, at(365)),
            (at(365), at(366), at(366)),
            (at(-30), at(-20), at(-20)),
            (at(-30), at(-400), None),
            (None, at(-400), at(-400)),
            (None, None, None),
        ] {
            let newest = newest.map(|at| ("file".to_owned(), at));
            let facts = ClockFacts { now: UnixTime(NOW), newest, hardware, synchronized: None };
            assert_eq!(facts.evidence(), evidence, "{facts:?}");
        }
    }
}
