//! Checks of this host: what can be wrong before the first packet is sent.

use std::net::IpAddr;

use crate::config::Severity;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{Connection, Site};
use crate::config::value::Host;
use crate::doctor::facts::{ClockFacts, Facts};
use crate::doctor::finding::{Check, DoctorFinding};
use crate::doctor::service::ServiceError;

/// The findings about this host.
pub fn findings(facts: &Facts) -> Vec<DoctorFinding> {
    let mut findings = configuration(facts);
    findings.extend(certificates(facts));
    findings.push(clock(&facts.clock));
    let Some((site, connection)) = &facts.settings else {
        let why = "not reached: the configuration has errors, so no tunnel can be checked";
        findings.push(DoctorFinding::skip(Check::Service, why));
        return findings;
    };
    findings.push(service(facts));
    findings.extend(addresses(facts, site, connection));
    findings.push(forwarding(facts));
    findings
}

fn configuration(facts: &Facts) -> Vec<DoctorFinding> {
    match facts.configuration.as_slice() {
        [] => vec![DoctorFinding::ok(Check::Configuration, "no errors or warnings")],
        found => found.iter().map(|found| from_diagnostic(Check::Configuration, found)).collect(),
    }
}

/// An error that appears only at this host's time is the clock's fault, see [`Facts`].
fn certificates(facts: &Facts) -> Vec<DoctorFinding> {
    let stays = |found: &&Diagnostic| {
        facts
            .certificates_then
            .iter()
            .any(|then| (then.line, &then.what) == (found.line, &found.what))
    };
    let (own, by_clock): (Vec<_>, Vec<_>) = facts.certificates.iter().partition(|d| stays(d));
    let mut findings: Vec<DoctorFinding> =
        own.into_iter().map(|found| from_diagnostic(Check::Certificates, found)).collect();
    findings.extend(by_clock.into_iter().map(|found| {
        let seen = format!("{}, according to this host's clock, which is wrong", found.what);
        DoctorFinding::warn(Check::Certificates, seen).remedy("set the clock, see the line `clock`")
    }));
    if findings.is_empty() {
        let seen = match &facts.own {
            Some((subject, issuer)) => format!("our certificate is {subject}, issued by {issuer}"),
            None if facts.settings.is_none() => return vec![],
            None => "no errors or warnings".to_owned(),
        };
        findings.push(DoctorFinding::ok(Check::Certificates, seen));
    }
    findings
}

fn from_diagnostic(check: Check, found: &Diagnostic) -> DoctorFinding {
    let Diagnostic { file, line, what, hint, .. } = found;
    let seen = format!("{what} ({file}:{line})");
    match found.severity {
        Severity::Error => DoctorFinding::fail(check, seen).remedy(hint.clone()),
        Severity::Warning => DoctorFinding::warn(check, seen).remedy(hint.clone()),
    }
}

fn clock(clock: &ClockFacts) -> DoctorFinding {
    let set =
        "`timedatectl set-ntp true`; without network time: `date -u -s ...`, then `hwclock -w`";
    if let Some(then) = clock.evidence() {
        let days = (then.0.abs_diff(clock.now.0) + 43_200) / 86_400;
        let direction = if then > clock.now { "behind" } else { "ahead" };
        let evidence = match (&clock.newest, clock.hardware) {
            (_, Some(hardware)) if hardware == then => {
                format!("the hardware clock says {hardware}")
            }
            (Some((file, at)), _) => format!("{file} was written at {at}"),
            _ => format!("the time is {then}"),
        };
        let seen = format!(
            "this host's clock is {days} days {direction}: the clock says {}, but {evidence}",
            clock.now
        );
        return DoctorFinding::fail(Check::Clock, seen).remedy(set);
    }
    match clock.synchronized {
        Some(false) => DoctorFinding::warn(
            Check::Clock,
            format!("{}, and the clock is not synchronized", clock.now),
        )
        .remedy("certificates expire by this clock: `timedatectl set-ntp true`"),
        Some(true) => DoctorFinding::ok(Check::Clock, format!("{}, synchronized", clock.now)),
        None => DoctorFinding::ok(Check::Clock, clock.now.to_string()),
    }
}

fn service(facts: &Facts) -> DoctorFinding {
    let status = match &facts.service {
        Ok(status) => status,
        Err(ServiceError::Refused(why)) => {
            return DoctorFinding::warn(
                Check::Service,
                format!("the service does not report this connection, so checks inside the tunnel are skipped: {why}"),
            )
            .remedy("`s2sd reload` if the connection is new in the configuration, then run the doctor again");
        }
        Err(why) => {
            return DoctorFinding::warn(
                Check::Service,
                format!(
                    "the service cannot be asked, so checks inside the tunnel are skipped: {why}"
                ),
            )
            .remedy("`systemctl start s2sd`, then run the doctor again");
        }
    };
    let obstacle = status
        .tunnels
        .iter()
        .filter(|tunnel| tunnel.state == "broken")
        .find_map(|tunnel| Some((tunnel, tunnel.obstacle.as_ref()?)));
    if let Some((tunnel, obstacle)) = obstacle {
        let seen = format!("{} is broken: {obstacle}", tunnel.interface);
        // Unusable certificates break a tunnel too; they have a finding of their own.
        return match facts.certificates.iter().any(|found| found.severity == Severity::Error) {
            true => DoctorFinding::warn(Check::Service, seen),
            false => DoctorFinding::fail(Check::Service, seen)
                .remedy("`journalctl -u s2sd` shows the details"),
        };
    }
    match status.state.as_str() {
        "down" => DoctorFinding::warn(
            Check::Service,
            "the service runs; an operator took the connection down",
        )
        .remedy(format!("s2sd up {}", facts.connection)),
        state => DoctorFinding::ok(
            Check::Service,
            format!("the service runs; the connection is {state}"),
        ),
    }
}

fn addresses(facts: &Facts, site: &Site, connection: &Connection) -> Vec<DoctorFinding> {
    let own = |wanted: IpAddr| {
        let of = |(address, _): &(IpAddr, _)| *address == wanted;
        facts.interfaces.iter().find(|interface| interface.addresses.iter().any(of))
    };
    let mut findings = overlaps(facts, connection);
    let public = match &site.address {
        Host::Name(name) => format!("Azure looks this site up as {name}"),
        Host::Address(address) => match own(*address) {
            Some(interface) => {
                format!(
                    "this site's public address {address} is on interface {} of this host",
                    interface.name
                )
            }
            None => format!(
                "this site's public address {address} is not on this host: a NAT must translate it to this host's address"
            ),
        },
    };
    if findings.is_empty() {
        findings.push(DoctorFinding::ok(Check::Addresses, public));
    }
    findings
}

/// A setting that is off drops what the hosts behind this one send, and this host's own pings pass.
fn forwarding(facts: &Facts) -> DoctorFinding {
    match facts.not_forwarding.as_slice() {
        [] => DoctorFinding::ok(Check::Forwarding, "this host forwards packets"),
        off => {
            let seen = format!(
                "this host does not forward packets between the site's networks and the tunnel: {} is 0",
                off.join(", ")
            );
            DoctorFinding::fail(Check::Forwarding, seen).remedy(
                "`sysctl -w net.ipv4.ip_forward=1`, for IPv6 net.ipv6.conf.all.forwarding=1; a file in /etc/sysctl.d keeps it",
            )
        }
    }
}

/// Networks of this host that overlap the prefixes behind the gateway.
fn overlaps(facts: &Facts, connection: &Connection) -> Vec<DoctorFinding> {
    let tunnels: Vec<&str> =
        connection.tunnels.iter().map(|tunnel| tunnel.interface.as_str()).collect();
    let mut findings = Vec::new();
    for interface in facts.interfaces.iter().filter(|i| !tunnels.contains(&i.name.as_str())) {
        for (address, network) in &interface.addresses {
            let remote = &connection.virtual_network_gateway.address_prefixes;
            let other = remote.iter().filter(|prefix| !prefix.is_everything());
            // A host prefix is no network: BGP speakers have such addresses on loopback.
            let is_host = network.length() == if address.is_ipv4() { 32 } else { 128 };
            let Some(other) = other.into_iter().find(|o| !is_host && o.overlaps(network)) else {
                continue;
            };
            findings.push(
                DoctorFinding::fail(
                    Check::Addresses,
                    format!(
                        "`address_prefixes` of the gateway has {other}, which overlaps {network}, the network of interface {} on this host",
                        interface.name
                    ),
                )
                .remedy("renumber one of the two networks, or add NAT rules to the Azure gateway and write the translated prefix into `address_prefixes`"),
            );
        }
    }
    findings
}
