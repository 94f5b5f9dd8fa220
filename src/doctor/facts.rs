//! All that was seen of a connection, as values: what the judgement rests on, and nothing else.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::probe::ike_probe::IkeProbeAnswer;
use super::probe::port_probe::Silence;
use super::probe::sniffer::Sighting;
use crate::config::diagnostic::Diagnostic;
use crate::config::prefix::Prefix;
use crate::config::settings::{Connection, Site};
use crate::daemon::explain::Explanation;
use crate::daemon::status::{ConnectionStatus, TunnelStatus};
use crate::time::UnixTime;
use crate::wire::codes::KeId;
use crate::wire::payload::sa::SecurityAssociation;

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The connection's name.
    pub connection: String,
    /// What is wrong with the configuration, the files that it names left aside.
    pub configuration: Vec<Diagnostic>,
    /// This site and the connection; `None` when the configuration has errors or no such
    /// connection.
    pub settings: Option<(Site, Connection)>,
    /// What is wrong with the connection's certificates and keys, by this host's clock.
    pub certificates: Vec<Diagnostic>,
    /// The same by the time that [`ClockFacts::evidence`] shows; equal when it shows none.
    pub certificates_then: Vec<Diagnostic>,
    /// Our certificate: its subject and its issuer.
    pub own: Option<(String, String)>,
    /// This host's clock.
    pub clock: ClockFacts,
    /// This host's addresses.
    pub interfaces: Vec<Interface>,
    /// What the service says, or why it says nothing.
    pub service: Result<ConnectionStatus, String>,
    /// One for each address of the gateway.
    pub tunnels: Vec<DoctorTunnelFacts>,
}

/// What there is to judge a clock by.
#[derive(Clone, Debug, Default)]
pub struct ClockFacts {
    /// What it says.
    pub now: UnixTime,
    /// The file that was written last, and when: no clock that is right is behind it.
    pub newest: Option<(String, UnixTime)>,
    /// The hardware clock.
    pub hardware: Option<UnixTime>,
    /// Whether something keeps it right; `None` when nobody knows.
    pub synchronized: Option<bool>,
}

/// A network interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses, each with the network it is in.
    pub addresses: Vec<(IpAddr, Prefix)>,
}

/// One tunnel.
#[derive(Clone, Debug)]
pub struct DoctorTunnelFacts {
    /// Its name, as the log has it.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// The gateway as it is configured.
    pub host: String,
    /// Its address.
    pub address: Result<IpAddr, String>,
    /// How packets get there.
    pub way: Result<RouteToGateway, String>,
    /// What port 500 answered.
    pub ike: Result<IkeProbeAnswer, Silence>,
    /// What port 4500 answered.
    pub natt: Result<IkeProbeAnswer, Silence>,
    /// What the gateway would take instead, when it takes nothing of ours.
    pub survey: Option<Survey>,
    /// What the wire showed, when the ports were silent; `None` when nobody looked, or might.
    pub sighting: Option<Sighting>,
    /// How long the wire was watched.
    pub watched: Duration,
    /// Whether the gateway names an authority of ours among those it trusts; `None` when it cannot
    /// be known.
    pub trusts_us: Option<bool>,
    /// The largest outer packet that gets to port 4500, and the largest that was tried.
    pub outer: Option<OuterMtu>,
    /// What the service says of it.
    pub status: Option<TunnelStatus>,
    /// The last refusal.
    pub explanation: Option<Explanation>,
    /// What became of new keys.
    pub rekey: Option<RekeyOutcome>,
    /// What pings through the tunnel showed.
    pub inner: Option<InnerPings>,
}

/// How packets get to a gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteToGateway {
    /// Our address.
    pub source: IpAddr,
    /// By which interface.
    pub interface: Option<String>,
}

/// What a gateway takes that takes nothing of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Survey {
    /// Ours, with another group: this one.
    Group(KeId),
    /// This.
    Takes(SecurityAssociation),
    /// Nothing that an Azure connection can be set to.
    Nothing,
}

/// Outer packets on the way to a gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OuterMtu {
    /// The largest that got there.
    pub largest: usize,
    /// The largest that was tried: what the interface takes.
    pub tried: usize,
}

/// What became of a wish for new keys.
#[derive(Clone, Debug, PartialEq)]
pub enum RekeyOutcome {
    /// They are there.
    Done,
    /// They were refused.
    Refused(Box<Explanation>),
    /// Nothing happened in this time.
    Nothing(Duration),
}

/// Pings through a tunnel.
#[derive(Clone, Debug, Default)]
pub struct InnerPings {
    /// From which address of ours; `None` when no address of this host lies in the site's prefixes.
    pub source: Option<Ipv4Addr>,
    /// Why they could not be sent.
    pub obstacle: Option<String>,
    /// To whom they went.
    pub asked: Vec<Ipv4Addr>,
    /// Whether the operator said whom to ask.
    pub named: bool,
    /// Who answered, and how soon.
    pub reply: Option<(Ipv4Addr, Duration)>,
    /// The largest that came back; `None` when nobody answered.
    pub largest: Option<usize>,
    /// The tunnel's MTU: the largest that was tried.
    pub mtu: usize,
    /// Packets that the tunnel carried meanwhile, out and in.
    pub moved: (u64, u64),
}

impl ClockFacts {
    /// Further off than this is wrong: certificates count days, and time zones are at most 14
    /// hours.
    pub const TOLERANCE: u64 = 86_400;

    /// A time that is nearer to the truth than the clock is: that of the newest file when the clock
    /// is behind it, that of the hardware clock when the two are far apart.
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
    /// Whether packets can pass.
    pub fn is_up(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state == "up")
    }

    /// What an IKE_SA_INIT came to, on whichever port.
    pub fn answer(&self) -> Option<&IkeProbeAnswer> {
        self.ike.as_ref().or(self.natt.as_ref()).ok()
    }

    /// Why it is not up, as far as the service knows.
    pub fn refusal(&self) -> Option<&Explanation> {
        let found = self.explanation.as_ref().filter(|explanation| explanation.reason.is_some());
        found.filter(|_| !self.is_up())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_files_and_by_the_hardware() {
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
