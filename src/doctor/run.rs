//! The order of looking: this host, the service, then each tunnel from the outside in.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::facts::{DoctorTunnelFacts, Facts, InnerPings, OuterMtu, RekeyOutcome, Survey};
use super::probe::echo::Pinger;
use super::probe::ike_probe::IkeProbeAnswer;
use super::probe::port_probe::{Caller, Silence};
use super::probe::sniffer::Tap;
use super::probe::{host, offer, search};
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{CertificateAuthentication, Connection, GatewayTunnel, Site};
use crate::config::value::FileRef;
use crate::config::{self, Loaded, peers};
use crate::daemon::control::{self, Ask, RekeyWhich};
use crate::daemon::explain::Explanation;
use crate::daemon::files::System;
use crate::daemon::status::{ConnectionStatus, TunnelStatus};
use crate::ike::negotiation::proposal::ProposalPolicy;
use crate::ike::path::Port;
use crate::sys::clock;
use crate::time::{Now, UnixTime};
use crate::wire::codes::NotifyType;

/// What is to be looked at, and how.
#[derive(Clone, Debug)]
pub struct DoctorOrder {
    /// The configuration file.
    pub file: PathBuf,
    /// The connection.
    pub connection: String,
    /// A host behind the gateway that answers pings.
    pub target: Option<Ipv4Addr>,
    /// How long a silent gateway is listened for.
    pub listen: Duration,
    /// Whether the service may be asked for new keys.
    pub rekey: bool,
}

/// How the service is asked.
pub type AskService<'a> = &'a (dyn Fn(Ask) -> Result<control::ControlAnswer, String> + Sync);

/// How often something is looked at again.
const TICK: Duration = Duration::from_millis(50);
/// How long new keys may take.
const REKEYING: Duration = Duration::from_secs(5);
/// How long a ping may take.
const PING: Duration = Duration::from_millis(1000);
/// How long a ping of a certain size may take, which is asked twice.
const SIZED_PING: Duration = Duration::from_millis(400);
/// The outer packets that are tried: a path below the first is no path for a tunnel, and few
/// Internet paths take more than the last.
const OUTER: (usize, usize) = (700, 1500);

/// Looks at everything. Errors are about the order itself: a file that cannot be read, a connection
/// that is not in it.
pub fn examine(order: &DoctorOrder, service: AskService<'_>) -> Result<Facts, String> {
    let file = order.file.display().to_string();
    let text = std::fs::read_to_string(&order.file)
        .map_err(|error| format!("{file} cannot be read: {error}"))?;
    let parsed = config::parse(&file, &text);
    let mut files = vec![order.file.clone()];
    let mut settings = None;
    if let Some(config) = &parsed.config {
        let named = |connection: &&Connection| connection.name.as_str() == order.connection;
        let Some(connection) = config.connections.iter().find(named) else {
            let names: Vec<&str> =
                config.connections.iter().map(|connection| connection.name.as_str()).collect();
            let (wanted, all) = (&order.connection, names.join(", "));
            return Err(format!("{file} has no connection {wanted}; it has {all}"));
        };
        files.extend(credential_files(&connection.certificate_authentication));
        settings = Some((config.local_network_gateway.clone(), connection.clone()));
    }
    let clock = host::clock(&files);
    let loaded = load(&file, &text, clock.now);
    let of_files = |loaded: &Loaded| certificate_findings(loaded, &parsed.found, &text, order);
    let certificates = of_files(&loaded);
    let certificates_then = match clock.evidence() {
        Some(then) => of_files(&load(&file, &text, then)),
        None => certificates.clone(),
    };
    let mut facts = Facts {
        connection: order.connection.clone(),
        configuration: parsed.found,
        certificates,
        certificates_then,
        own: own(&loaded, order),
        clock,
        interfaces: host::interfaces(),
        service: status(order, service),
        settings,
        tunnels: Vec::new(),
    };
    facts.tunnels = tunnels(order, &facts, &loaded, service);
    Ok(facts)
}

fn load(file: &str, text: &str, unix: UnixTime) -> Loaded {
    config::load(file, text, &System, Now { unix, ..clock::now() })
}

fn credential_files(authentication: &CertificateAuthentication) -> impl Iterator<Item = PathBuf> {
    let CertificateAuthentication { inbound_certificate, inbound_private_key, .. } = authentication;
    let all = [inbound_certificate].into_iter().chain(inbound_private_key);
    all.chain(&authentication.outbound_certificate_roots).filter_map(|file| match file {
        FileRef::Path(path) => Some(path.clone()),
        FileRef::Credential(_) => None,
    })
}

/// What is said of this connection's files: what `load` finds and `parse`, which opens no file,
/// does not.
fn certificate_findings(
    loaded: &Loaded,
    parsed: &[Diagnostic],
    text: &str,
    order: &DoctorOrder,
) -> Vec<Diagnostic> {
    let lines = section(text, &order.connection);
    let found = loaded.report.found.iter();
    found.filter(|d| !parsed.contains(d) && lines.contains(&d.line)).cloned().collect()
}

/// The lines of a connection's tables, counted from 1; all lines when it is not found.
fn section(text: &str, name: &str) -> Range<usize> {
    let lines = || text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let heads: Vec<usize> =
        lines().filter(|(_, line)| line.starts_with("[[connection]]")).map(|(at, _)| at).collect();
    let is_name = |line: &str| {
        let value = line.strip_prefix("name").and_then(|rest| rest.trim_start().strip_prefix('='));
        value.is_some_and(|value| {
            value
                .trim_start()
                .trim_start_matches(['"', '\''])
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['"', '\'']))
        })
    };
    let named = lines().filter(|(_, line)| is_name(line)).map(|(at, _)| at);
    let start = named.filter_map(|at| heads.iter().copied().filter(|head| *head < at).max()).next();
    let Some(start) = start else { return 0..usize::MAX };
    start..heads.iter().copied().find(|head| *head > start).unwrap_or(usize::MAX)
}

fn own(loaded: &Loaded, order: &DoctorOrder) -> Option<(String, String)> {
    let facts = loaded.report.connections.iter().find(|facts| facts.name == order.connection)?;
    let leaf = facts.credentials.inbound.first()?;
    let top = facts.credentials.inbound.last()?;
    Some((leaf.subject.clone(), top.issuer.clone()))
}

fn status(order: &DoctorOrder, service: AskService<'_>) -> Result<ConnectionStatus, String> {
    let ask = Ask::Status { connection: Some(order.connection.clone()) };
    match service(ask)? {
        control::ControlAnswer::Status(status) => status
            .connections
            .into_iter()
            .next()
            .ok_or_else(|| "it knows no such connection".into()),
        _ => Err("the service answered something else".to_owned()),
    }
}

fn explanations(order: &DoctorOrder, service: AskService<'_>) -> Vec<Explanation> {
    match service(Ask::Explain { connection: order.connection.clone() }) {
        Ok(control::ControlAnswer::Explanations(all)) => all,
        _ => Vec::new(),
    }
}

/// Active-active gateways have two tunnels: they are looked at side by side.
fn tunnels(
    order: &DoctorOrder,
    facts: &Facts,
    loaded: &Loaded,
    service: AskService<'_>,
) -> Vec<DoctorTunnelFacts> {
    let Some((site, connection)) = &facts.settings else { return Vec::new() };
    let told = explanations(order, service);
    let known = |at: usize| facts.service.as_ref().ok()?.tunnels.get(at).cloned();
    let trusts = |authorities: &[u8]| trusts_us(loaded, order, authorities);
    let trusts: &(dyn Fn(&[u8]) -> Option<bool> + Sync) = &trusts;
    let patients: Vec<TunnelUnderTest<'_>> = (0..)
        .zip(&connection.tunnels)
        .map(|(at, tunnel)| TunnelUnderTest {
            order,
            site,
            connection,
            tunnel,
            at,
            facts,
            service,
            status: known(at),
            explanation: told.get(at).cloned(),
        })
        .collect();
    thread::scope(|scope| {
        let looking: Vec<_> =
            patients.iter().map(|patient| (patient, scope.spawn(|| patient.look()))).collect();
        let seen = looking.into_iter().filter_map(|(_, look)| look.join().ok());
        seen.map(|mut tunnel| {
            if let Some(IkeProbeAnswer::Accepted(accepted)) = tunnel.answer() {
                tunnel.trusts_us = trusts(&accepted.authorities);
            }
            tunnel
        })
        .collect()
    })
}

/// Whether an authority above our certificate is among these. Unknown when we hold none of ours, or
/// the peer names none.
fn trusts_us(loaded: &Loaded, order: &DoctorOrder, authorities: &[u8]) -> Option<bool> {
    let connections = loaded.config.iter().flat_map(|config| &config.connections);
    let (_, credentials) = connections
        .zip(&loaded.credentials)
        .find(|(connection, _)| connection.name.as_str() == order.connection)?;
    let own = &credentials.as_ref()?.own;
    let known = own.authorities().next().is_some() && !authorities.is_empty();
    known.then(|| own.is_requested(authorities))
}

/// One tunnel, and what is known before it is looked at.
struct TunnelUnderTest<'a> {
    order: &'a DoctorOrder,
    site: &'a Site,
    connection: &'a Connection,
    tunnel: &'a GatewayTunnel,
    at: usize,
    facts: &'a Facts,
    service: AskService<'a>,
    status: Option<TunnelStatus>,
    explanation: Option<Explanation>,
}

impl TunnelUnderTest<'_> {
    fn look(&self) -> DoctorTunnelFacts {
        let silent = || Err(Silence::default());
        let mut seen = DoctorTunnelFacts {
            name: peers::name(self.connection, self.tunnel),
            interface: self.tunnel.interface.to_string(),
            host: self.tunnel.remote.to_string(),
            address: host::resolve(&self.tunnel.remote),
            way: Err("its address is not known".to_owned()),
            ike: silent(),
            natt: silent(),
            survey: None,
            sighting: None,
            watched: Duration::ZERO,
            trusts_us: None,
            outer: None,
            status: self.status.clone(),
            explanation: self.explanation.clone(),
            rekey: None,
            inner: None,
        };
        let Ok(address) = seen.address.clone() else { return seen };
        seen.way = host::way(address, &self.facts.interfaces).map_err(|error| error.to_string());
        if seen.way.is_ok() {
            self.look_outside(address, &mut seen);
        }
        if seen.is_up() {
            self.look_inside(&mut seen);
        } else if let Some(explanation) = explanations(self.order, self.service).get(self.at) {
            // While we looked, the service tried again: the latest counts.
            seen.explanation = Some(explanation.clone());
        }
        seen
    }

    /// Both ports, the wire when they are silent, the policy when it is refused, the largest
    /// packet.
    fn look_outside(&self, address: IpAddr, seen: &mut DoctorTunnelFacts) {
        let (policy, _) = peers::policies(&self.connection.ipsec_policy);
        let own = offer::own(policy.offered());
        let groups = policy.groups();
        let began = clock::now().mono;
        // A tap costs every packet of its interface a little: it is for tunnels that carry none.
        let tap = match &seen.way {
            Ok(way) if !seen.is_up() => Tap::start(way.source).ok(),
            _ => None,
        };
        (seen.ike, seen.natt) = thread::scope(|scope| {
            let natt = scope.spawn(|| {
                let mut caller = Caller::new(address, Port::NatT);
                caller.touch(&own, 0).or_else(|_| caller.ask(&own, &groups))
            });
            let ike = Caller::new(address, Port::Ike).ask(&own, &groups);
            (ike, natt.join().unwrap_or_else(|_| Err(Silence::default())))
        });
        if seen.ike.is_err() && matches!(seen.natt, Ok(IkeProbeAnswer::Group(_))) {
            // Port 4500 was only touched; with port 500 silent it is the one that has to tell the
            // rest.
            let full = Caller::new(address, Port::NatT).ask(&own, &groups);
            seen.natt = full.or(std::mem::replace(&mut seen.natt, Err(Silence::default())));
        }
        if let Some(tap) = tap {
            let passed = || clock::now().mono.since(began);
            let silent = seen.ike.is_err() && seen.natt.is_err();
            while silent && tap.seen().dialled_by.is_empty() && passed() < self.order.listen {
                clock::pause(TICK);
            }
            (seen.sighting, seen.watched) = (Some(tap.seen()), passed());
        }
        let port = if seen.natt.is_ok() { Port::NatT } else { Port::Ike };
        let mut caller = Caller::new(address, port);
        match seen.answer() {
            Some(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen)) => {
                seen.survey = Some(survey(&mut caller, &policy));
            }
            Some(_) if seen.natt.is_ok() => {
                let (least, most) = OUTER;
                let largest = search::largest(least, most, |size| caller.passes(&own, size));
                seen.outer = largest.map(|largest| OuterMtu { largest, tried: most });
            }
            _ => {}
        }
    }

    /// New keys, then pings.
    fn look_inside(&self, seen: &mut DoctorTunnelFacts) {
        if self.order.rekey {
            seen.rekey = Some(self.rekey());
        }
        seen.inner = Some(self.ping());
    }

    fn rekey(&self) -> RekeyOutcome {
        let spi = |status: Option<TunnelStatus>| -> Option<String> {
            status?.children.into_iter().find(|child| child.active)?.spi_in
        };
        let (before, began) = (spi(self.now()), clock::now().mono);
        let passed = || clock::now().mono.since(began);
        let wish =
            Ask::Rekey { connection: self.order.connection.clone(), which: RekeyWhich::Child };
        if (self.service)(wish).is_err() {
            return RekeyOutcome::Nothing(Duration::ZERO);
        }
        while passed() < REKEYING {
            let after = spi(self.now());
            if after.is_some() && after != before {
                return RekeyOutcome::Done;
            }
            let told = explanations(self.order, self.service).into_iter().nth(self.at);
            let since = |explanation: &Explanation| {
                // Ages are whole seconds: one that is not older than the wish is about it.
                explanation.seconds.is_some_and(|age| age <= passed().as_secs())
            };
            let about_keys = |explanation: &Explanation| {
                explanation.step.as_deref().is_some_and(|step| step.starts_with("CREATE_CHILD_SA"))
            };
            if let Some(told) = told.filter(|told| since(told) && about_keys(told)) {
                return RekeyOutcome::Refused(Box::new(told));
            }
            clock::pause(TICK);
        }
        RekeyOutcome::Nothing(passed())
    }

    fn ping(&self) -> InnerPings {
        let now = self.now();
        let mtu = now.as_ref().and_then(|status| status.mtu).map_or(0, usize::from);
        let mut inner = InnerPings {
            source: self.source(),
            asked: self.order.target.map_or_else(|| self.guesses(), |target| vec![target]),
            named: self.order.target.is_some(),
            mtu,
            ..InnerPings::default()
        };
        let Some(source) = inner.source else { return inner };
        let mut pinger = match Pinger::open(source, self.tunnel.interface.as_str()) {
            Ok(pinger) => pinger,
            Err(error) => {
                inner.obstacle = Some(error.to_string());
                return inner;
            }
        };
        let size = 84.min(mtu);
        let reply = (0..2).find_map(|_| pinger.ping(&inner.asked, size, PING));
        inner.reply = reply.map(|reply| (reply.from, reply.after));
        inner.largest = reply.and_then(|reply| pinger.largest(reply.from, mtu, SIZED_PING));
        if let (Some(before), Some(after)) = (now, self.now()) {
            inner.moved = (
                after.packets_out.saturating_sub(before.packets_out),
                after.packets_in.saturating_sub(before.packets_in),
            );
        }
        inner
    }

    /// An address of this host that the gateway sends answers to.
    fn source(&self) -> Option<Ipv4Addr> {
        let addresses = self.facts.interfaces.iter().flat_map(|interface| &interface.addresses);
        let of_site = |address: &IpAddr| {
            self.site.address_prefixes.iter().any(|prefix| prefix.contains(*address))
        };
        addresses.map(|(address, _)| *address).filter(of_site).find_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
    }

    /// Addresses behind the gateway that may answer. Azure keeps the first four of each subnet for
    /// itself, so the first machine of the first subnets has the fifth.
    fn guesses(&self) -> Vec<Ipv4Addr> {
        let prefixes = &self.connection.virtual_network_gateway.address_prefixes;
        let starts = prefixes.iter().filter_map(|prefix| match prefix.network() {
            IpAddr::V4(start) => Some((prefix, start)),
            IpAddr::V6(_) => None,
        });
        starts
            .flat_map(|(prefix, start)| {
                let at = |step: u32| Ipv4Addr::from(u32::from(start).saturating_add(step));
                [4, 5, 260, 1].map(at).into_iter().filter(|a| prefix.contains(IpAddr::V4(*a)))
            })
            .take(12)
            .collect()
    }

    fn now(&self) -> Option<TunnelStatus> {
        status(self.order, self.service).ok()?.tunnels.into_iter().nth(self.at)
    }
}

/// What a gateway takes that takes nothing of ours.
fn survey(caller: &mut Caller, ours: &ProposalPolicy) -> Survey {
    if let Ok(IkeProbeAnswer::Group(group)) = caller.touch(&offer::any_group(ours.offered()), 0) {
        return Survey::Group(group);
    }
    match caller.ask(&offer::everything(), &offer::GROUPS) {
        Ok(IkeProbeAnswer::Accepted(accepted)) => Survey::Takes(accepted.chosen),
        _ => Survey::Nothing,
    }
}
