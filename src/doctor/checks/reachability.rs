//! Checks from this host to the gateway's first answer: route, UDP ports 500 and 4500, IKE
//! proposal, NAT traversal, IKE fragmentation.

use std::net::IpAddr;

use super::{Case, not_reached};
use crate::config::algorithm::ConnectionMode;
use crate::config::peers;
use crate::config::value::Host;
use crate::doctor::facts::{GatewayPolicy, RouteToGateway};
use crate::doctor::finding::{Check, DoctorFinding, DoctorVerdict};
use crate::doctor::probe::ike_probe::{Acceptance, IkeProbeAnswer};
use crate::doctor::probe::port_probe::{NoAnswer, PortError};
use crate::ike::diagnosis::azure_names;
use crate::ike::diagnosis::difference::Difference;
use crate::wire::codes::{KeId, NotifyType};
use crate::wire::payload::sa::{SecurityAssociation, Transform};

/// The findings from the route to IKE fragmentation.
pub fn findings(case: &Case<'_>) -> Vec<DoctorFinding> {
    let (finding, route) = route(case);
    let mut findings = vec![finding];
    let Some(route) = route else {
        findings.push(not_reached(Check::Udp500, Check::Route));
        return findings;
    };
    findings.extend(ports(case, route));
    let failed = findings.iter().find(|f| f.verdict == DoctorVerdict::Fail).map(|f| f.check);
    match (case.tunnel.answer(), failed) {
        (Some(answer), _) => findings.extend(answered(case, route, answer)),
        (None, Some(check)) => findings.push(not_reached(Check::Proposal, check)),
        (None, None) => {
            findings.push(DoctorFinding::skip(
                Check::Proposal,
                "the gateway answers no probe, because it only dials",
            ));
        }
    }
    findings
}

fn route<'a>(case: &Case<'a>) -> (DoctorFinding, Option<&'a RouteToGateway>) {
    let tunnel = case.tunnel;
    let address = match &tunnel.address {
        Ok(address) => address,
        Err(why) => {
            let seen = format!("the gateway {} has no address: {why}", tunnel.host);
            let finding = DoctorFinding::fail(Check::Route, seen)
                .remedy("check that this host can look up names, or write the gateway's address")
                .at_azure(case.az().gateway_addresses());
            return (finding, None);
        }
    };
    match &tunnel.route {
        Ok(route) if route.interface.as_deref() == Some(tunnel.interface.as_str()) => {
            let seen = format!(
                "the route to {address} leads into {}, the tunnel to this gateway itself",
                tunnel.interface
            );
            let remedy = format!(
                "add a route to {address} via the uplink: ip route add {address} via ROUTER"
            );
            (DoctorFinding::fail(Check::Route, seen).remedy(remedy), None)
        }
        Ok(route) => {
            let by = route.interface.as_deref().unwrap_or("an unknown interface");
            let seen = format!("to {address} from {} on {by}", route.source);
            (DoctorFinding::ok(Check::Route, seen), Some(route))
        }
        Err(why) => {
            let seen = format!("this host has no route to {address}: {why}");
            (
                DoctorFinding::fail(Check::Route, seen)
                    .remedy("add a default route; `ip route` shows the present ones"),
                None,
            )
        }
    }
}

fn ports(case: &Case<'_>, route: &RouteToGateway) -> Vec<DoctorFinding> {
    let tunnel = case.tunnel;
    match (&tunnel.ike, &tunnel.natt) {
        (Ok(_), Ok(_)) => vec![answers(Check::Udp500), answers(Check::Udp4500)],
        (Err(no_answer), Ok(_)) => {
            vec![one_unanswered(case, Check::Udp500, no_answer), answers(Check::Udp4500)]
        }
        (Ok(_), Err(_)) if tunnel.is_up() => {
            let seen = "the probe was not answered, but the tunnel is up over this port";
            vec![answers(Check::Udp500), DoctorFinding::ok(Check::Udp4500, seen)]
        }
        (Ok(_), Err(no_answer)) => {
            vec![answers(Check::Udp500), one_unanswered(case, Check::Udp4500, no_answer)]
        }
        (Err(no_answer), Err(_)) => both_unanswered(case, route, no_answer),
    }
}

fn answers(check: Check) -> DoctorFinding {
    DoctorFinding::ok(check, "answered")
}

fn one_unanswered(case: &Case<'_>, check: Check, no_answer: &NoAnswer) -> DoctorFinding {
    let host = &case.tunnel.host;
    let (name, other) = match check {
        Check::Udp500 => ("UDP 500", "UDP 4500"),
        _ => ("UDP 4500", "UDP 500"),
    };
    if let Some(local) = blocked_here(case, no_answer) {
        return local;
    }
    let reported = no_answer.error.map(|error| format!(" ({error})")).unwrap_or_default();
    let seen = format!("{name} is blocked: {host} answers on {other} and not on {name}{reported}");
    let remedy = format!(
        "allow {name} in both directions: in this host's firewall, in the site's, and in every other one before {host}"
    );
    let finding = match case.tunnel.is_up() {
        true => DoctorFinding::warn(check, seen),
        false => DoctorFinding::fail(check, seen),
    };
    finding.remedy(remedy).at_azure(case.az().ike_log())
}

/// The finding for probes or answers that this host's own firewall blocks.
fn blocked_here(case: &Case<'_>, no_answer: &NoAnswer) -> Option<DoctorFinding> {
    let host = &case.tunnel.host;
    let seen = if no_answer.error == Some(PortError::Forbidden) {
        format!("this host's own firewall blocks packets to {host}")
    } else {
        let answered = |sniffed: &crate::doctor::probe::sniffer::Sniffed| {
            case.tunnel.address.as_ref().is_ok_and(|a| sniffed.answered_by.contains(a))
        };
        let arrived = case.tunnel.sniffed.as_ref().is_some_and(answered);
        // With one port answered, the answers that the sniffer saw are that port's.
        if !arrived || case.tunnel.answer().is_some() {
            return None;
        }
        format!("{host} answers, but this host's own firewall drops the answers")
    };
    let remedy = "allow UDP 500 and 4500 in both directions; `nft list ruleset` shows the rules";
    Some(DoctorFinding::fail(Check::Udp500, seen).remedy(remedy))
}

fn both_unanswered(
    case: &Case<'_>,
    route: &RouteToGateway,
    no_answer: &NoAnswer,
) -> Vec<DoctorFinding> {
    if let Some(local) = blocked_here(case, no_answer) {
        return vec![local, not_reached(Check::Udp4500, Check::Udp500)];
    }
    let nobody = std::collections::BTreeSet::new();
    let dialled_by = case.tunnel.sniffed.as_ref().map_or(&nobody, |s| &s.dialled_by);
    let gateway = case.tunnel.address.as_ref().ok();
    if case.tunnel.is_up() || gateway.is_some_and(|gateway| dialled_by.contains(gateway)) {
        return vec![dials_only(case)];
    }
    if case.connection.connection_mode == ConnectionMode::InitiatorOnly {
        return vec![never_dialled(case, route)];
    }
    let others: Vec<&IpAddr> = dialled_by.iter().filter(|from| !is_gateway(case, from)).collect();
    vec![unanswered(case, route, no_answer, &others), not_reached(Check::Udp4500, Check::Udp500)]
}

/// Whether an address is one of the connection's gateways.
fn is_gateway(case: &Case<'_>, address: &IpAddr) -> bool {
    case.facts.tunnels.iter().any(|tunnel| tunnel.address.as_ref() == Ok(address))
}

/// The finding for a gateway that dials and answers no probe: Azure logs error 1225.
fn dials_only(case: &Case<'_>) -> DoctorFinding {
    let host = &case.tunnel.host;
    let mode = case.connection.connection_mode;
    if mode == ConnectionMode::InitiatorOnly {
        let seen =
            format!("{host} dials and answers no probe, as connection_mode InitiatorOnly requires");
        return DoctorFinding::ok(Check::Udp500, seen);
    }
    let seen = format!(
        "the gateway is InitiatorOnly: {host} does not answer when dialled, and dials itself (Azure logs this device's dials as \
         1225), but connection_mode is {mode} here"
    );
    let remedy = "set connection_mode = \"InitiatorOnly\" here, so that this device waits for the gateway, or Azure's connectionMode to Default";
    let finding = match mode {
        // This device answers too in this mode, so the gateway's own dials can succeed.
        ConnectionMode::Default => DoctorFinding::warn(Check::Udp500, seen),
        _ => DoctorFinding::fail(Check::Udp500, seen),
    };
    finding.remedy(remedy).at_azure(case.az().set_mode(ConnectionMode::Default))
}

fn never_dialled(case: &Case<'_>, route: &RouteToGateway) -> DoctorFinding {
    let (host, seconds) = (&case.tunnel.host, case.tunnel.sniffed_for.as_secs());
    let known = &case.site.address;
    if case.tunnel.sniffed.is_none() {
        let why = "the gateway is to dial, and only root can watch for its packets";
        return DoctorFinding::skip(Check::Udp500, why);
    }
    let seen = format!(
        "{host} is to dial (connection_mode InitiatorOnly), but did not dial within {seconds} s"
    );
    let remedy = format!(
        "Azure dials {known}, which must be this site's public address, with UDP 500 and 4500 forwarded to {}; or let this device \
         dial: connection_mode = \"Default\" here and in Azure",
        route.source
    );
    DoctorFinding::fail(Check::Udp500, seen)
        .remedy(remedy)
        .at_azure(case.az().set_mode(ConnectionMode::Default))
}

fn unanswered(
    case: &Case<'_>,
    route: &RouteToGateway,
    no_answer: &NoAnswer,
    others: &[&IpAddr],
) -> DoctorFinding {
    let host = &case.tunnel.host;
    let az = case.az();
    if let [other, ..] = others {
        let seen = format!(
            "wrong peer address: {host} does not answer, and {other}, which no connection names, dials this host"
        );
        let remedy = format!("if {other} is the gateway, write it into public_ip_addresses");
        return DoctorFinding::fail(Check::Udp500, seen)
            .remedy(remedy)
            .at_azure(az.gateway_addresses());
    }
    let wrong = match no_answer.error {
        Some(error @ PortError::PortClosed) => {
            Some(format!("{error}, so {host} is no VPN gateway"))
        }
        Some(error @ PortError::Unreachable) => Some(error.to_string()),
        _ => None,
    };
    if let Some(why) = wrong {
        let seen = format!("wrong peer address? {host} does not answer: {why}");
        let remedy = "compare public_ip_addresses with the gateway's addresses";
        return DoctorFinding::fail(Check::Udp500, seen)
            .remedy(remedy)
            .at_azure(az.gateway_addresses());
    }
    let reported = no_answer.error.map(|error| format!(" ({error})")).unwrap_or_default();
    let seen = format!("{host} answers neither on UDP 500 nor on UDP 4500{reported}");
    let known = match &case.site.address {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.to_string(),
    };
    let remedy = format!(
        "one of four causes: public_ip_addresses is not the gateway's address; a firewall on the path blocks both ports (packets \
         leave from {}); Azure has another address of this site than {known}; or the connection is InitiatorOnly there (Azure \
         logs 1225)",
        route.source
    );
    DoctorFinding::fail(Check::Udp500, seen).remedy(remedy).at_azure(az.gateway_addresses())
}

fn answered(
    case: &Case<'_>,
    route: &RouteToGateway,
    answer: &IkeProbeAnswer,
) -> Vec<DoctorFinding> {
    match answer {
        IkeProbeAnswer::Accepted(accepted) => {
            let taken = lines(&accepted.chosen);
            let mut findings =
                vec![DoctorFinding::ok(Check::Proposal, format!("both ends chose {taken}"))];
            findings.push(nat(case, route, accepted));
            findings.push(fragmentation(accepted));
            findings
        }
        // The answer to a stateless probe: the gateway accepts our proposal with a group of ours,
        // and says nothing about NAT or fragmentation.
        IkeProbeAnswer::Group(group) if is_ours(case, *group) => {
            vec![DoctorFinding::ok(
                Check::Proposal,
                format!("the gateway accepts ours, with {group}"),
            )]
        }
        IkeProbeAnswer::Group(group) => vec![wrong_group(case, *group)],
        IkeProbeAnswer::Refused(NotifyType::NoProposalChosen) => vec![no_proposal(case)],
        IkeProbeAnswer::Refused(kind) => {
            let seen = format!("the gateway refuses IKE_SA_INIT with {kind}");
            vec![DoctorFinding::fail(Check::Proposal, seen).at_azure(case.az().ike_log())]
        }
        IkeProbeAnswer::Cookie(_) => {
            let seen = "the gateway answers every cookie with another cookie: the gateway is busy or under attack";
            vec![DoctorFinding::warn(Check::Proposal, seen)]
        }
    }
}

fn is_ours(case: &Case<'_>, group: KeId) -> bool {
    let (policy, _) = peers::policies(&case.connection.ipsec_policy);
    policy.groups().iter().any(|ours| ours.id() == group)
}

fn wrong_group(case: &Case<'_>, group: KeId) -> DoctorFinding {
    let ours = &case.connection.ipsec_policy;
    let name = azure_names::name(crate::crypto::SaKind::Ike, &Transform::new(group));
    let seen = format!(
        "wrong group: the gateway accepts our ciphers with {group} only, which is not our dh_group (here: {ours}); Azure logs \
         13822 or 13868"
    );
    let remedy = match name {
        Some(name) => format!(
            "set dh_group = \"{name}\" in [connection.ipsec_policy], or our dh_group on the Azure connection"
        ),
        None => "set a dh_group that both ends support".to_owned(),
    };
    DoctorFinding::fail(Check::Proposal, seen).remedy(remedy).at_azure(case.az().set_policy())
}

fn no_proposal(case: &Case<'_>) -> DoctorFinding {
    let az = case.az();
    let ours = &case.connection.ipsec_policy;
    match &case.tunnel.gateway_policy {
        Some(GatewayPolicy::OtherGroup(group)) => wrong_group(case, *group),
        Some(GatewayPolicy::Accepts(theirs)) => {
            let (policy, _) = peers::policies(ours);
            let difference = Difference::between(policy.offered(), theirs);
            let differs = difference.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
            let seen = format!(
                "no common IKE proposal: the gateway accepts {}, this device offers {ours}{differs}; Azure logs 13868",
                lines(theirs)
            );
            let setting = difference.as_ref().map(|d| (d.setting(), d.their_name()));
            let remedy = match setting {
                Some((setting, Some(name))) => format!(
                    "set {setting} = \"{name}\" here, or our policy on the Azure connection"
                ),
                Some((setting, None)) => format!("make {setting} the same on both ends"),
                None => "make the policies of both ends the same".to_owned(),
            };
            DoctorFinding::fail(Check::Proposal, seen).remedy(remedy).at_azure(az.set_policy())
        }
        Some(GatewayPolicy::Unknown) | None => {
            let seen = format!(
                "no common IKE proposal: the gateway refuses {ours}, and every policy that an Azure connection can have; Azure \
                 logs 13868 or 13825"
            );
            DoctorFinding::fail(Check::Proposal, seen)
                .remedy("compare the policies of both ends")
                .at_azure(az.policy())
        }
    }
}

fn lines(sa: &SecurityAssociation) -> String {
    let all: Vec<String> = sa.proposals.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn nat(case: &Case<'_>, route: &RouteToGateway, accepted: &Acceptance) -> DoctorFinding {
    let nat = accepted.nat;
    let known = case.site.address.address();
    let az = case.az();
    if !nat.understood {
        let seen = "the gateway sent no NAT detection payloads, so it may not support NAT traversal (ESP in UDP)";
        return DoctorFinding::warn(Check::Nat, seen);
    }
    match (nat.here, known) {
        (false, Some(known)) if known != route.source => {
            let (source, site) = (route.source, &case.site.name);
            let seen = format!(
                "no NAT: packets reach the gateway from {source}, but gateway_ip_address is {known}; Azure accepts packets from {known} only"
            );
            let remedy = format!(
                "write {source} as gateway_ip_address here and in the local network gateway {site}"
            );
            DoctorFinding::warn(Check::Nat, seen)
                .remedy(remedy)
                .at_azure(az.set_site_address(source))
        }
        (true, Some(known)) if known == route.source => {
            let seen =
                format!("a NAT translates {known}, this host's address, so Azure cannot reach it");
            let remedy = "write the NAT's public address as gateway_ip_address here and in Azure";
            DoctorFinding::warn(Check::Nat, seen)
                .remedy(remedy)
                .at_azure(az.show("localNetworkGateway2.id"))
        }
        (true, _) => {
            let seen = "a NAT translates this host's address: NAT traversal (ESP in UDP) is used, and this device has to dial";
            let finding = DoctorFinding::ok(Check::Nat, seen);
            match case.connection.connection_mode {
                ConnectionMode::InitiatorOnly => DoctorFinding::warn(Check::Nat, finding.seen)
                    .remedy("forward UDP 500 and 4500 from the NAT to this host, or let this device dial")
                    .at_azure(az.set_mode(ConnectionMode::Default)),
                _ => finding,
            }
        }
        (false, _) if nat.there => DoctorFinding::ok(
            Check::Nat,
            "no NAT before this host; the gateway is behind a NAT, or forces NAT traversal (ESP in UDP)",
        ),
        (false, _) => DoctorFinding::ok(Check::Nat, "no NAT on the path"),
    }
}

fn fragmentation(accepted: &Acceptance) -> DoctorFinding {
    match accepted.fragments {
        true => DoctorFinding::ok(Check::Fragmentation, "the gateway supports IKE fragmentation (RFC 7383)"),
        false => DoctorFinding::warn(
            Check::Fragmentation,
            "the gateway does not support IKE fragmentation (RFC 7383): a long certificate path needs IP fragments, which are often lost",
        )
        .remedy("if IKE_AUTH is not answered, have certificates issued with fewer intermediates"),
    }
}
