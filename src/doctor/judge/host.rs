//! This host: what can be wrong before the first packet leaves.

use std::net::IpAddr;

use crate::config::Severity;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{Connection, Site};
use crate::config::value::Host;
use crate::doctor::facts::{ClockFacts, Facts};
use crate::doctor::finding::{Check, DoctorFinding};

/// The lines about this host.
pub fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let mut findings = configuration(facts);
    findings.extend(certificates(facts));
    findings.push(clock(&facts.clock));
    let Some((site, connection)) = &facts.settings else {
        let why = "not reached: the configuration has errors, so nothing can be dialled";
        findings.push(DoctorFinding::skip(Check::Service, why));
        return findings;
    };
    findings.push(service(facts));
    findings.extend(addresses(facts, site, connection));
    findings
}

fn configuration(facts: &Facts) -> Vec<DoctorFinding> {
    match facts.configuration.as_slice() {
        [] => vec![DoctorFinding::ok(Check::Configuration, "nothing is wrong with it")],
        found => found.iter().map(|found| said(Check::Configuration, found)).collect(),
    }
}

/// What is wrong by this host's clock only is the clock's fault.
fn certificates(facts: &Facts) -> Vec<DoctorFinding> {
    let stays = |found: &&Diagnostic| {
        facts
            .certificates_then
            .iter()
            .any(|then| (then.line, &then.what) == (found.line, &found.what))
    };
    let (own, by_clock): (Vec<_>, Vec<_>) = facts.certificates.iter().partition(|d| stays(d));
    let mut findings: Vec<DoctorFinding> =
        own.into_iter().map(|found| said(Check::Certificates, found)).collect();
    findings.extend(by_clock.into_iter().map(|found| {
        let seen = format!("by this host's clock, {}", found.what);
        DoctorFinding::warn(Check::Certificates, seen).mend("set the clock right, see below")
    }));
    if findings.is_empty() {
        let seen = match &facts.own {
            Some((subject, issuer)) => format!("we are {subject}, issued by {issuer}"),
            None if facts.settings.is_none() => return vec![],
            None => "nothing is wrong with them".to_owned(),
        };
        findings.push(DoctorFinding::ok(Check::Certificates, seen));
    }
    findings
}

fn said(check: Check, found: &Diagnostic) -> DoctorFinding {
    let Diagnostic { file, line, what, hint, .. } = found;
    let seen = format!("{what} ({file}:{line})");
    match found.severity {
        Severity::Error => DoctorFinding::fail(check, seen).mend(hint.clone()),
        Severity::Warning => DoctorFinding::warn(check, seen).mend(hint.clone()),
    }
}

fn clock(clock: &ClockFacts) -> DoctorFinding {
    let set = "set it: `timedatectl set-ntp true`, or `date -u -s ...` and `hwclock -w` where there is no network time";
    if let Some(then) = clock.evidence() {
        let days = (then.0.abs_diff(clock.now.0) + 43_200) / 86_400;
        let way = if then > clock.now { "behind" } else { "ahead" };
        let rests_on = match (&clock.newest, clock.hardware) {
            (_, Some(hardware)) if hardware == then => {
                format!("the hardware clock says {hardware}")
            }
            (Some((file, at)), _) => format!("{file} was written at {at}"),
            _ => format!("it is {then}"),
        };
        let seen = format!(
            "this host's clock is {days} days {way}: it says {}, but {rests_on}",
            clock.now
        );
        return DoctorFinding::fail(Check::Clock, seen).mend(set);
    }
    match clock.synchronized {
        Some(false) => DoctorFinding::warn(
            Check::Clock,
            format!("it says {}, and nothing keeps it right", clock.now),
        )
        .mend("certificates end by the clock: `timedatectl set-ntp true`"),
        Some(true) => DoctorFinding::ok(Check::Clock, format!("{}, kept right", clock.now)),
        None => DoctorFinding::ok(Check::Clock, clock.now.to_string()),
    }
}

fn service(facts: &Facts) -> DoctorFinding {
    let status = match &facts.service {
        Ok(status) => status,
        Err(why) => {
            return DoctorFinding::warn(
                Check::Service,
                format!("it cannot be asked, so the tunnel itself cannot be judged: {why}"),
            )
            .mend("start it with `systemctl start s2sd`, then ask again");
        }
    };
    let obstacle = status
        .tunnels
        .iter()
        .filter(|tunnel| tunnel.state == "broken")
        .find_map(|tunnel| Some((tunnel, tunnel.obstacle.as_ref()?)));
    if let Some((tunnel, obstacle)) = obstacle {
        let seen = format!("{} is broken: {obstacle}", tunnel.interface);
        // Certificates that will not do break a tunnel too, and have their line already.
        return match facts.certificates.iter().any(|found| found.severity == Severity::Error) {
            true => DoctorFinding::warn(Check::Service, seen),
            false => {
                DoctorFinding::fail(Check::Service, seen).mend("`journalctl -u s2sd` tells more")
            }
        };
    }
    match status.state.as_str() {
        "down" => {
            DoctorFinding::warn(Check::Service, "it runs, and an operator took the connection down")
                .mend(format!("s2sd up {}", facts.connection))
        }
        state => DoctorFinding::ok(Check::Service, format!("it runs, the connection is {state}")),
    }
}

fn addresses(facts: &Facts, site: &Site, connection: &Connection) -> Vec<DoctorFinding> {
    let own = |wanted: IpAddr| {
        let of = |(address, _): &(IpAddr, _)| *address == wanted;
        facts.interfaces.iter().find(|interface| interface.addresses.iter().any(of))
    };
    let mut findings = overlaps(facts, connection);
    let public = match &site.address {
        Host::Name(name) => format!("this site is known as {name}"),
        Host::Address(address) => match own(*address) {
            Some(interface) => {
                format!("{address}, which Azure knows, is on {} of this host", interface.name)
            }
            None => format!(
                "{address}, which Azure knows, is not on this host: a NAT in front of it has to translate to it"
            ),
        },
    };
    if findings.is_empty() {
        findings.push(DoctorFinding::ok(Check::Addresses, public));
    }
    findings
}

/// A network that this host is in already cannot be behind the gateway too.
fn overlaps(facts: &Facts, connection: &Connection) -> Vec<DoctorFinding> {
    let tunnels: Vec<&str> =
        connection.tunnels.iter().map(|tunnel| tunnel.interface.as_str()).collect();
    let mut findings = Vec::new();
    for interface in facts.interfaces.iter().filter(|i| !tunnels.contains(&i.name.as_str())) {
        for (address, network) in &interface.addresses {
            let remote = &connection.virtual_network_gateway.address_prefixes;
            let other = remote.iter().filter(|prefix| !prefix.is_everything());
            // A host's own address alone is no network: loopback addresses of BGP speakers are
            // such.
            let is_host = network.length() == if address.is_ipv4() { 32 } else { 128 };
            let Some(other) = other.into_iter().find(|o| !is_host && o.overlaps(network)) else {
                continue;
            };
            findings.push(
                DoctorFinding::fail(
                    Check::Addresses,
                    format!(
                        "{other} is behind the gateway by `address_prefixes`, and overlaps {network}, the network of {} on this host",
                        interface.name
                    ),
                )
                .mend("one of the two needs other addresses: renumber, or translate with NAT rules on the Azure gateway and write the translated prefix"),
            );
        }
    }
    findings
}
