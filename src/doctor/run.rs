//! Collects the facts in order: this host, the service, then each tunnel from the outside in.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::facts::{DoctorTunnelFacts, Facts, GatewayPolicy, InnerPings, OuterMtu, RekeyOutcome};
use super::probe::echo::Pinger;
use super::probe::ike_probe::IkeProbeAnswer;
use super::probe::port_probe::{NoAnswer, PortProbe};
use super::probe::sniffer::Sniffer;
use super::probe::{host, offer, search};
use super::service::{self, AskService};
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{CertificateAuthentication, Connection, GatewayTunnel, Site};
use crate::config::value::FileRef;
use crate::config::{self, Loaded, peers};
use crate::crypto::signature::KeyStore;
use crate::daemon::control::{Ask, RekeyWhich};
use crate::daemon::explain::Explanation;
use crate::daemon::files::{self, System};
use crate::daemon::status::TunnelStatus;
use crate::ike::negotiation::proposal::ProposalPolicy;
use crate::ike::path::Port;
use crate::sys::clock;
use crate::time::{Now, UnixTime};
use crate::wire::codes::NotifyType;

/// Which connection to check, and how.
#[derive(Clone, Debug)]
pub struct DoctorRequest {
    /// The configuration file.
    pub file: PathBuf,
    /// The name of the connection.
    pub connection: String,
    /// A host behind the gateway that answers pings.
    pub target: Option<Ipv4Addr>,
    /// How long to watch for a gateway that answers no probe but may initiate by itself.
    pub listen: Duration,
    /// Whether the service may be asked to rekey a Child SA.
    pub rekey: bool,
}

/// The interval at which a condition is polled.
const TICK: Duration = Duration::from_millis(50);
/// How long a rekey may take.
const REKEYING: Duration = Duration::from_secs(5);
/// How long the reply to a ping may take.
const PING: Duration = Duration::from_millis(1000);
/// How long the reply to a ping of a given size may take; each size is sent twice.
const SIZED_PING: Duration = Duration::from_millis(400);
/// The smallest and the largest outer packet that the path MTU search sends. A path below the
/// smallest cannot carry a tunnel; few Internet paths carry more than the largest.
const OUTER: (usize, usize) = (700, 1500);

/// Collects all facts. An error is about the request itself: the file cannot be read, or has no
/// such connection.
pub fn collect_facts(request: &DoctorRequest, ask: AskService<'_>) -> Result<Facts, String> {
    let file = request.file.display().to_string();
    let text = files::configuration(&request.file)
        .map_err(|error| format!("{file} cannot be read: {error}"))?;
    let parsed = config::parse(&file, &text);
    let mut files = vec![request.file.clone()];
    let mut settings = None;
    if let Some(config) = &parsed.config {
        let named = |connection: &&Connection| connection.name.as_str() == request.connection;
        let Some(connection) = config.connections.iter().find(named) else {
            let names: Vec<&str> =
                config.connections.iter().map(|connection| connection.name.as_str()).collect();
            let (wanted, all) = (&request.connection, names.join(", "));
            return Err(format!("{file} has no connection named {wanted}; it has {all}"));
        };
        files.extend(credential_files(&connection.certificate_authentication));
        settings = Some((config.local_network_gateway.clone(), connection.clone()));
    }
    let clock = host::clock(&files);
    let loaded = load(&file, &text, clock.now);
    let of_files = |loaded: &Loaded| certificate_findings(loaded, &parsed.found, &text, request);
    let certificates = of_files(&loaded);
    let certificates_then = match clock.evidence() {
        Some(then) => of_files(&load(&file, &text, then)),
        None => certificates.clone(),
    };
    let interfaces = host::interfaces();
    let not_forwarding = settings.as_ref().map_or_else(Vec::new, |(site, connection)| {
        host::not_forwarding(&interfaces, site, connection)
    });
    let mut facts = Facts {
        connection: request.connection.clone(),
        configuration: parsed.found,
        certificates,
        certificates_then,
        own: own(&loaded, request),
        clock,
        interfaces,
        not_forwarding,
        service: service::status(&request.connection, ask),
        settings,
        tunnels: Vec::new(),
    };
    facts.tunnels = tunnels(request, &facts, &loaded, ask);
    Ok(facts)
}

fn load(file: &str, text: &str, unix: UnixTime) -> Loaded {
    config::load(file, text, &System, &KeyStore::in_process(), Now { unix, ..clock::now() })
}

fn credential_files(authentication: &CertificateAuthentication) -> impl Iterator<Item = PathBuf> {
    let CertificateAuthentication { inbound_certificate, inbound_private_key, .. } = authentication;
    let all = [inbound_certificate].into_iter().chain(inbound_private_key);
    all.chain(&authentication.outbound_certificate_roots).filter_map(|file| match file {
        FileRef::Path(path) => Some(path.clone()),
        FileRef::Credential(_) => None,
    })
}

/// The diagnostics about this connection's certificate and key files: those that `load` reports and
/// `parse`, which opens no file, does not.
fn certificate_findings(
    loaded: &Loaded,
    parsed: &[Diagnostic],
    text: &str,
    request: &DoctorRequest,
) -> Vec<Diagnostic> {
    let lines = section(text, &request.connection);
    let found = loaded.report.found.iter();
    found.filter(|d| !parsed.contains(d) && lines.contains(&d.line)).cloned().collect()
}

/// The lines of a connection's tables, counted from 1; all lines when the name is not found.
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

fn own(loaded: &Loaded, request: &DoctorRequest) -> Option<(String, String)> {
    let facts = loaded.report.connections.iter().find(|facts| facts.name == request.connection)?;
    let leaf = facts.credentials.inbound.first()?;
    let top = facts.credentials.inbound.last()?;
    Some((leaf.subject.clone(), top.issuer.clone()))
}

/// The facts of each tunnel. An active-active gateway has two; they are probed in parallel.
fn tunnels(
    request: &DoctorRequest,
    facts: &Facts,
    loaded: &Loaded,
    ask: AskService<'_>,
) -> Vec<DoctorTunnelFacts> {
    let Some((site, connection)) = &facts.settings else { return Vec::new() };
    let explanations = service::explanations(&request.connection, ask);
    let known = |at: usize| facts.service.as_ref().ok()?.tunnels.get(at).cloned();
    let trusts = |authorities: &[u8]| trusts_us(loaded, request, authorities);
    let trusts: &(dyn Fn(&[u8]) -> Option<bool> + Sync) = &trusts;
    let tunnels: Vec<TunnelUnderTest<'_>> = (0..)
        .zip(&connection.tunnels)
        .map(|(at, tunnel)| TunnelUnderTest {
            request,
            site,
            connection,
            tunnel,
            at,
            facts,
            ask,
            status: known(at),
            explanation: explanations.get(at).cloned(),
        })
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> =
            tunnels.iter().map(|tunnel| scope.spawn(|| tunnel.collect_facts())).collect();
        let facts = threads.into_iter().filter_map(|thread| thread.join().ok());
        facts
            .map(|mut tunnel| {
                if let Some(IkeProbeAnswer::Accepted(accepted)) = tunnel.answer() {
                    tunnel.trusts_us = trusts(&accepted.authorities);
                }
                tunnel
            })
            .collect()
    })
}

/// Whether the peer's CERTREQ payload names an authority above our certificate. `None` when no
/// authority of ours is known, or the peer names none.
fn trusts_us(loaded: &Loaded, request: &DoctorRequest, authorities: &[u8]) -> Option<bool> {
    let connections = loaded.config.iter().flat_map(|config| &config.connections);
    let (_, credentials) = connections
        .zip(&loaded.credentials)
        .find(|(connection, _)| connection.name.as_str() == request.connection)?;
    let own = &credentials.as_ref()?.own;
    let known = own.authorities().next().is_some() && !authorities.is_empty();
    known.then(|| own.is_requested(authorities))
}

/// One tunnel, with what is known before it is probed.
struct TunnelUnderTest<'a> {
    request: &'a DoctorRequest,
    site: &'a Site,
    connection: &'a Connection,
    tunnel: &'a GatewayTunnel,
    at: usize,
    facts: &'a Facts,
    ask: AskService<'a>,
    status: Option<TunnelStatus>,
    explanation: Option<Explanation>,
}

impl TunnelUnderTest<'_> {
    fn collect_facts(&self) -> DoctorTunnelFacts {
        let no_answer = || Err(NoAnswer::default());
        let mut facts = DoctorTunnelFacts {
            name: peers::name(self.connection, self.tunnel),
            interface: self.tunnel.interface.to_string(),
            host: self.tunnel.remote.to_string(),
            address: host::resolve(&self.tunnel.remote),
            route: Err("the gateway's address is not known".to_owned()),
            ike: no_answer(),
            natt: no_answer(),
            gateway_policy: None,
            sniffed: None,
            sniffed_for: Duration::ZERO,
            trusts_us: None,
            outer: None,
            status: self.status.clone(),
            explanation: self.explanation.clone(),
            rekey: None,
            inner: None,
        };
        let Ok(address) = facts.address.clone() else { return facts };
        facts.route =
            host::route(address, &self.facts.interfaces).map_err(|error| error.to_string());
        if facts.route.is_ok() {
            self.probe_gateway(address, &mut facts);
        }
        if facts.is_up() {
            self.probe_tunnel(&mut facts);
        } else if let Some(explanation) =
            service::explanations(&self.request.connection, self.ask).get(self.at)
        {
            // The service may have tried again during the probes: the latest refusal counts.
            facts.explanation = Some(explanation.clone());
        }
        facts
    }

    /// Probes both ports, then what their answers call for: a sniffer when neither answers, the
    /// gateway's policy when ours is refused, the path MTU otherwise.
    fn probe_gateway(&self, address: IpAddr, facts: &mut DoctorTunnelFacts) {
        let (policy, _) = peers::policies(&self.connection.ipsec_policy);
        let own = offer::own(policy.offered());
        let groups = policy.groups();
        let began = clock::now().mono;
        // A packet socket costs every packet of its interface a copy, so it is opened only while
        // the tunnel carries none.
        let sniffer = match &facts.route {
            Ok(route) if !facts.is_up() => Sniffer::start(route.source).ok(),
            _ => None,
        };
        (facts.ike, facts.natt) = thread::scope(|scope| {
            let natt = scope.spawn(|| {
                let mut probe = PortProbe::new(address, Port::NatT);
                probe.send_stateless(&own, 0).or_else(|_| probe.send(&own, &groups))
            });
            let ike = PortProbe::new(address, Port::Ike).send(&own, &groups);
            (ike, natt.join().unwrap_or_else(|_| Err(NoAnswer::default())))
        });
        if facts.ike.is_err() && matches!(facts.natt, Ok(IkeProbeAnswer::Group(_))) {
            // Port 4500 got the stateless probe only. Port 500 does not answer, so the full probe
            // goes to port 4500.
            let full = PortProbe::new(address, Port::NatT).send(&own, &groups);
            facts.natt = full.or(std::mem::replace(&mut facts.natt, Err(NoAnswer::default())));
        }
        if let Some(sniffer) = sniffer {
            let passed = || clock::now().mono.since(began);
            let unanswered = facts.ike.is_err() && facts.natt.is_err();
            while unanswered
                && sniffer.seen().dialled_by.is_empty()
                && passed() < self.request.listen
            {
                clock::pause(TICK);
            }
            (facts.sniffed, facts.sniffed_for) = (Some(sniffer.seen()), passed());
        }
        let port = if facts.natt.is_ok() { Port::NatT } else { Port::Ike };
        let mut probe = PortProbe::new(address, port);
        match facts.answer() {
            Some(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen)) => {
                facts.gateway_policy = Some(gateway_policy(&mut probe, &policy));
            }
            Some(_) if facts.natt.is_ok() => {
                let (least, most) = OUTER;
                let largest = search::largest(least, most, |size| probe.passes(&own, size));
                facts.outer = largest.map(|largest| OuterMtu { largest, tried: most });
            }
            _ => {}
        }
    }

    /// Has the service rekey a Child SA, then sends pings through the tunnel.
    fn probe_tunnel(&self, facts: &mut DoctorTunnelFacts) {
        if self.request.rekey {
            facts.rekey = Some(self.rekey());
        }
        facts.inner = Some(self.ping());
    }

    fn rekey(&self) -> RekeyOutcome {
        let spi = |status: Option<TunnelStatus>| -> Option<String> {
            status?.children.into_iter().find(|child| child.active)?.spi_in
        };
        let (before, began) = (spi(self.now()), clock::now().mono);
        let passed = || clock::now().mono.since(began);
        let rekey =
            Ask::Rekey { connection: self.request.connection.clone(), which: RekeyWhich::Child };
        if (self.ask)(rekey).is_err() {
            return RekeyOutcome::TimedOut(Duration::ZERO);
        }
        while passed() < REKEYING {
            let after = spi(self.now());
            if after.is_some() && after != before {
                return RekeyOutcome::Done;
            }
            let latest =
                service::explanations(&self.request.connection, self.ask).into_iter().nth(self.at);
            let since = |explanation: &Explanation| {
                // Ages are whole seconds: a refusal no older than the request is its answer.
                explanation.seconds.is_some_and(|age| age <= passed().as_secs())
            };
            let about_keys = |explanation: &Explanation| {
                explanation.step.as_deref().is_some_and(|step| step.starts_with("CREATE_CHILD_SA"))
            };
            if let Some(refusal) = latest.filter(|latest| since(latest) && about_keys(latest)) {
                return RekeyOutcome::Refused(Box::new(refusal));
            }
            clock::pause(TICK);
        }
        RekeyOutcome::TimedOut(passed())
    }

    fn ping(&self) -> InnerPings {
        let now = self.now();
        let mtu = now.as_ref().and_then(|status| status.mtu).map_or(0, usize::from);
        let mut inner = InnerPings {
            source: self.source(),
            asked: self.request.target.map_or_else(|| self.guesses(), |target| vec![target]),
            named: self.request.target.is_some(),
            mtu,
            ..InnerPings::default()
        };
        let Some(source) = inner.source else { return inner };
        let mut pinger = match Pinger::open(source, self.tunnel.interface.as_str()) {
            Ok(pinger) => pinger,
            Err(error) => {
                inner.send_error = Some(error.to_string());
                return inner;
            }
        };
        let size = 84.min(mtu);
        let reply = (0..2).find_map(|_| pinger.ping(&inner.asked, size, PING));
        inner.reply = reply.map(|reply| (reply.from, reply.after));
        inner.largest = reply.and_then(|reply| pinger.largest(reply.from, mtu, SIZED_PING));
        if let (Some(before), Some(after)) = (now, self.now()) {
            inner.packets = (
                after.packets_out.saturating_sub(before.packets_out),
                after.packets_in.saturating_sub(before.packets_in),
            );
        }
        inner
    }

    /// An address of this host within the site's prefixes, so that the gateway routes replies to
    /// the tunnel.
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

    /// Addresses behind the gateway that are likely to answer pings. Azure reserves the first four
    /// addresses of each subnet, so the first virtual machine of a subnet has the fifth.
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
        service::status(&self.request.connection, self.ask).ok()?.tunnels.into_iter().nth(self.at)
    }
}

/// Finds out which policy a gateway accepts that refuses ours.
fn gateway_policy(probe: &mut PortProbe, ours: &ProposalPolicy) -> GatewayPolicy {
    if let Ok(IkeProbeAnswer::Group(group)) =
        probe.send_stateless(&offer::any_group(ours.offered()), 0)
    {
        return GatewayPolicy::OtherGroup(group);
    }
    match probe.send(&offer::everything(), &offer::GROUPS) {
        Ok(IkeProbeAnswer::Accepted(accepted)) => GatewayPolicy::Accepts(accepted.chosen),
        _ => GatewayPolicy::Unknown,
    }
}
