//! From this host to the gateway's first answer.

use std::net::IpAddr;

use super::{Case, not_reached};
use crate::config::algorithm::ConnectionMode;
use crate::config::peers;
use crate::config::value::Host;
use crate::doctor::facts::{RouteToGateway, Survey};
use crate::doctor::finding::{Check, DoctorFinding, FindingVerdict};
use crate::doctor::probe::ike_probe::{Acceptance, IkeProbeAnswer};
use crate::doctor::probe::port_probe::{PortError, Silence};
use crate::ike::diagnosis::azure_names;
use crate::ike::diagnosis::difference::Difference;
use crate::wire::codes::{KeId, NotifyType};
use crate::wire::payload::sa::{SecurityAssociation, Transform};

/// The lines from the route to what the gateway says of itself.
pub fn judge(case: &Case<'_>) -> Vec<DoctorFinding> {
    let (route, way) = route(case);
    let mut findings = vec![route];
    let Some(way) = way else {
        findings.push(not_reached(Check::Udp500, Check::Route));
        return findings;
    };
    findings.extend(ports(case, way));
    let silent = findings.iter().find(|f| f.verdict == FindingVerdict::Fail).map(|f| f.check);
    match (case.tunnel.answer(), silent) {
        (Some(answer), _) => findings.extend(answered(case, way, answer)),
        (None, Some(check)) => findings.push(not_reached(Check::Proposal, check)),
        (None, None) => {
            findings.push(DoctorFinding::skip(
                Check::Proposal,
                "the gateway does not answer, it dials",
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
                .mend("see whether this host can look up names, or write the gateway's address")
                .at_azure(case.az().gateway_addresses());
            return (finding, None);
        }
    };
    match &tunnel.way {
        Ok(way) if way.interface.as_deref() == Some(tunnel.interface.as_str()) => {
            let seen = format!(
                "the way to {address} leads into {}, the gateway's own tunnel",
                tunnel.interface
            );
            let remedy =
                format!("give {address} a route by the uplink: ip route add {address} via ROUTER");
            (DoctorFinding::fail(Check::Route, seen).mend(remedy), None)
        }
        Ok(way) => {
            let by = way.interface.as_deref().unwrap_or("an interface without a name");
            let seen = format!("to {address} from {} by {by}", way.source);
            (DoctorFinding::ok(Check::Route, seen), Some(way))
        }
        Err(why) => {
            let seen = format!("no way leads to {address}: {why}");
            (
                DoctorFinding::fail(Check::Route, seen)
                    .mend("this host needs a default route, see `ip route`"),
                None,
            )
        }
    }
}

fn ports(case: &Case<'_>, way: &RouteToGateway) -> Vec<DoctorFinding> {
    let tunnel = case.tunnel;
    match (&tunnel.ike, &tunnel.natt) {
        (Ok(_), Ok(_)) => vec![answers(Check::Udp500), answers(Check::Udp4500)],
        (Err(silence), Ok(_)) => {
            vec![one_silent(case, Check::Udp500, silence), answers(Check::Udp4500)]
        }
        (Ok(_), Err(_)) if tunnel.is_up() => {
            let seen = "the probe was not answered, but the tunnel is up over it";
            vec![answers(Check::Udp500), DoctorFinding::ok(Check::Udp4500, seen)]
        }
        (Ok(_), Err(silence)) => {
            vec![answers(Check::Udp500), one_silent(case, Check::Udp4500, silence)]
        }
        (Err(silence), Err(_)) => both_silent(case, way, silence),
    }
}

fn answers(check: Check) -> DoctorFinding {
    DoctorFinding::ok(check, "answered")
}

fn one_silent(case: &Case<'_>, check: Check, silence: &Silence) -> DoctorFinding {
    let host = &case.tunnel.host;
    let (name, other) = match check {
        Check::Udp500 => ("UDP 500", "UDP 4500"),
        _ => ("UDP 4500", "UDP 500"),
    };
    if let Some(local) = blocked_here(case, silence) {
        return local;
    }
    let said = silence.error.map(|error| format!(" ({error})")).unwrap_or_default();
    let seen = format!("{name} is blocked: {host} answers on {other} and not on {name}{said}");
    let remedy = format!(
        "let {name} pass in both directions: this host's firewall, the site's, and whatever filters before {host}"
    );
    let finding = match case.tunnel.is_up() {
        true => DoctorFinding::warn(check, seen),
        false => DoctorFinding::fail(check, seen),
    };
    finding.mend(remedy).at_azure(case.az().ike_log())
}

/// What this host's own firewall does.
fn blocked_here(case: &Case<'_>, silence: &Silence) -> Option<DoctorFinding> {
    let host = &case.tunnel.host;
    let seen = if silence.error == Some(PortError::Forbidden) {
        format!("this host's own firewall does not let packets to {host} out")
    } else {
        let answered = |sighting: &crate::doctor::probe::sniffer::Sighting| {
            case.tunnel.address.as_ref().is_ok_and(|a| sighting.answered_by.contains(a))
        };
        let arrived = case.tunnel.sighting.as_ref().is_some_and(answered);
        // With one port answered, the answers that were seen are that port's.
        if !arrived || case.tunnel.answer().is_some() {
            return None;
        }
        format!("{host} answers, and this host's own firewall drops the answers")
    };
    let remedy =
        "let UDP 500 and 4500 pass in both directions: `nft list ruleset` shows what is in the way";
    Some(DoctorFinding::fail(Check::Udp500, seen).mend(remedy))
}

fn both_silent(case: &Case<'_>, way: &RouteToGateway, silence: &Silence) -> Vec<DoctorFinding> {
    if let Some(local) = blocked_here(case, silence) {
        return vec![local, not_reached(Check::Udp4500, Check::Udp500)];
    }
    let nobody = std::collections::BTreeSet::new();
    let dialled_by = case.tunnel.sighting.as_ref().map_or(&nobody, |s| &s.dialled_by);
    let gateway = case.tunnel.address.as_ref().ok();
    if case.tunnel.is_up() || gateway.is_some_and(|gateway| dialled_by.contains(gateway)) {
        return vec![dials_only(case)];
    }
    if case.connection.connection_mode == ConnectionMode::InitiatorOnly {
        return vec![never_dialled(case, way)];
    }
    let others: Vec<&IpAddr> = dialled_by.iter().filter(|from| !is_gateway(case, from)).collect();
    vec![nobody_there(case, way, silence, &others), not_reached(Check::Udp4500, Check::Udp500)]
}

/// Whether an address is one of the connection's gateways.
fn is_gateway(case: &Case<'_>, address: &IpAddr) -> bool {
    case.facts.tunnels.iter().any(|tunnel| tunnel.address.as_ref() == Ok(address))
}

/// The gateway dials us and does not answer: error 1225 at Azure.
fn dials_only(case: &Case<'_>) -> DoctorFinding {
    let host = &case.tunnel.host;
    let mode = case.connection.connection_mode;
    if mode == ConnectionMode::InitiatorOnly {
        let seen =
            format!("{host} dials and does not answer, as connection_mode InitiatorOnly says");
        return DoctorFinding::ok(Check::Udp500, seen);
    }
    let seen = format!(
        "the gateway is InitiatorOnly: {host} does not answer when it is dialled, and dials itself (Azure logs our dials as \
         1225), but connection_mode is {mode} here"
    );
    let remedy = "set connection_mode = \"InitiatorOnly\" here, so that this device waits for the gateway, or Azure's connectionMode to Default";
    let finding = match mode {
        // We answer too, so the gateway's own dials can succeed.
        ConnectionMode::Default => DoctorFinding::warn(Check::Udp500, seen),
        _ => DoctorFinding::fail(Check::Udp500, seen),
    };
    finding.mend(remedy).at_azure(case.az().set_mode(ConnectionMode::Default))
}

fn never_dialled(case: &Case<'_>, way: &RouteToGateway) -> DoctorFinding {
    let (host, seconds) = (&case.tunnel.host, case.tunnel.watched.as_secs());
    let known = &case.site.address;
    if case.tunnel.sighting.is_none() {
        let why = "the gateway is to dial, and who dials can be watched by root alone";
        return DoctorFinding::skip(Check::Udp500, why);
    }
    let seen = format!(
        "{host} is to dial (connection_mode InitiatorOnly), and did not within {seconds} s"
    );
    let remedy = format!(
        "Azure dials {known}: that must be this site's public address, with UDP 500 and 4500 led to {}; or let this device dial: \
         connection_mode = \"Default\" here and in Azure",
        way.source
    );
    DoctorFinding::fail(Check::Udp500, seen)
        .mend(remedy)
        .at_azure(case.az().set_mode(ConnectionMode::Default))
}

fn nobody_there(
    case: &Case<'_>,
    way: &RouteToGateway,
    silence: &Silence,
    others: &[&IpAddr],
) -> DoctorFinding {
    let host = &case.tunnel.host;
    let az = case.az();
    if let [other, ..] = others {
        let seen = format!(
            "wrong peer address: nobody answers at {host}, and {other} dials this host, which no connection names"
        );
        let remedy = format!("if {other} is the gateway, write it into public_ip_addresses");
        return DoctorFinding::fail(Check::Udp500, seen)
            .mend(remedy)
            .at_azure(az.gateway_addresses());
    }
    let wrong = match silence.error {
        Some(error @ PortError::PortClosed) => Some(format!("{error}, so it is no VPN gateway")),
        Some(error @ PortError::Unreachable) => Some(error.to_string()),
        _ => None,
    };
    if let Some(why) = wrong {
        let seen = format!("wrong peer address? nobody answers at {host}: {why}");
        let remedy = "compare public_ip_addresses with the gateway's";
        return DoctorFinding::fail(Check::Udp500, seen)
            .mend(remedy)
            .at_azure(az.gateway_addresses());
    }
    let said = silence.error.map(|error| format!(" ({error})")).unwrap_or_default();
    let seen = format!("{host} answers neither on UDP 500 nor on UDP 4500{said}");
    let known = match &case.site.address {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.to_string(),
    };
    let remedy = format!(
        "one of four: public_ip_addresses is not the gateway's address; a firewall on the way blocks both ports (packets leave from \
         {}); Azure knows this site by another address than {known}; or the connection is InitiatorOnly there (1225 in its log)",
        way.source
    );
    DoctorFinding::fail(Check::Udp500, seen).mend(remedy).at_azure(az.gateway_addresses())
}

fn answered(case: &Case<'_>, way: &RouteToGateway, answer: &IkeProbeAnswer) -> Vec<DoctorFinding> {
    match answer {
        IkeProbeAnswer::Accepted(accepted) => {
            let taken = lines(&accepted.chosen);
            let mut findings =
                vec![DoctorFinding::ok(Check::Proposal, format!("both take {taken}"))];
            findings.push(nat(case, way, accepted));
            findings.push(fragmentation(accepted));
            findings
        }
        // Asked with a strange value, the gateway names a group of ours: it takes our proposal, and
        // says no more of itself.
        IkeProbeAnswer::Group(group) if is_ours(case, *group) => {
            vec![DoctorFinding::ok(
                Check::Proposal,
                format!("the gateway takes ours, with {group}"),
            )]
        }
        IkeProbeAnswer::Group(group) => vec![wrong_group(case, *group)],
        IkeProbeAnswer::Refused(NotifyType::NoProposalChosen) => vec![no_proposal(case)],
        IkeProbeAnswer::Refused(kind) => {
            let seen = format!("the gateway refuses IKE_SA_INIT with {kind}");
            vec![DoctorFinding::fail(Check::Proposal, seen).at_azure(case.az().ike_log())]
        }
        IkeProbeAnswer::Cookie(_) => {
            let seen =
                "the gateway asks for one cookie after the other: it is busy, or under attack";
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
        "wrong group: the gateway takes our ciphers with {group} alone, which is not our dh_group (here: {ours}); Azure logs \
         13822 or 13868"
    );
    let remedy = match name {
        Some(name) => format!(
            "set dh_group = \"{name}\" in [connection.ipsec_policy], or ours on the Azure connection"
        ),
        None => "set a dh_group that both ends have".to_owned(),
    };
    DoctorFinding::fail(Check::Proposal, seen).mend(remedy).at_azure(case.az().set_policy())
}

fn no_proposal(case: &Case<'_>) -> DoctorFinding {
    let az = case.az();
    let ours = &case.connection.ipsec_policy;
    match &case.tunnel.survey {
        Some(Survey::Group(group)) => wrong_group(case, *group),
        Some(Survey::Takes(theirs)) => {
            let (policy, _) = peers::policies(ours);
            let difference = Difference::between(policy.offered(), theirs);
            let differs = difference.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
            let seen = format!(
                "no common IKE proposal: the gateway takes {}, we offer {ours}{differs}; Azure logs 13868",
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
            DoctorFinding::fail(Check::Proposal, seen).mend(remedy).at_azure(az.set_policy())
        }
        Some(Survey::Nothing) | None => {
            let seen = format!(
                "no common IKE proposal: the gateway refuses {ours}, and whatever else an Azure connection can be set to; Azure logs \
                 13868 or 13825"
            );
            DoctorFinding::fail(Check::Proposal, seen)
                .mend("compare the policies of both ends")
                .at_azure(az.policy())
        }
    }
}

fn lines(sa: &SecurityAssociation) -> String {
    let all: Vec<String> = sa.proposals.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn nat(case: &Case<'_>, way: &RouteToGateway, accepted: &Acceptance) -> DoctorFinding {
    let nat = accepted.nat;
    let known = case.site.address.address();
    let az = case.az();
    if !nat.understood {
        let seen = "the gateway says nothing about addresses, so ESP in UDP may not pass";
        return DoctorFinding::warn(Check::Nat, seen);
    }
    match (nat.here, known) {
        (false, Some(known)) if known != way.source => {
            let (source, site) = (way.source, &case.site.name);
            let seen = format!(
                "no NAT: the gateway sees us as {source}, but gateway_ip_address is {known}; Azure takes what comes from {known} alone"
            );
            let remedy = format!(
                "write {source} as gateway_ip_address here and in the local network gateway {site}"
            );
            DoctorFinding::warn(Check::Nat, seen).mend(remedy).at_azure(az.set_site_address(source))
        }
        (true, Some(known)) if known == way.source => {
            let seen = format!("a NAT translates our address {known}, which Azure cannot reach");
            let remedy = "gateway_ip_address, here and in Azure, is to be the NAT's public address";
            DoctorFinding::warn(Check::Nat, seen)
                .mend(remedy)
                .at_azure(az.show("localNetworkGateway2.id"))
        }
        (true, _) => {
            let seen =
                "a NAT translates our address: ESP travels in UDP, and this device has to dial";
            let finding = DoctorFinding::ok(Check::Nat, seen);
            match case.connection.connection_mode {
                ConnectionMode::InitiatorOnly => DoctorFinding::warn(Check::Nat, finding.seen)
                    .mend("lead UDP 500 and 4500 through the NAT to this host, or let this device dial")
                    .at_azure(az.set_mode(ConnectionMode::Default)),
                _ => finding,
            }
        }
        (false, _) if nat.there => DoctorFinding::ok(
            Check::Nat,
            "none before this host; the gateway is behind one, or asks for ESP in UDP",
        ),
        (false, _) => DoctorFinding::ok(Check::Nat, "none on the way"),
    }
}

fn fragmentation(accepted: &Acceptance) -> DoctorFinding {
    match accepted.fragments {
        true => DoctorFinding::ok(Check::Fragmentation, "the gateway takes IKE messages in fragments (RFC 7383)"),
        false => DoctorFinding::warn(
            Check::Fragmentation,
            "the gateway takes no IKE fragments (RFC 7383): a long certificate path travels in IP fragments, which are often lost",
        )
        .mend("if IKE_AUTH is not answered, have certificates issued with fewer intermediates"),
    }
}
