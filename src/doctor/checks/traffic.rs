//! Checks of the tunnel's traffic: which packet sizes pass, and whether replies arrive.

use super::Case;
use crate::config::peers;
use crate::crypto::EspSuite;
use crate::dataplane::mtu::OuterHeaders;
use crate::doctor::facts::{InnerPings, OuterMtu};
use crate::doctor::finding::{Check, DoctorFinding};
use crate::wire::packet::ip::IpVersion;

/// The MTU that Azure requires (Azure docs, "About VPN devices"), and the most that
/// `mtu = "auto"` gives.
const AZURE_MTU: usize = 1400;

/// The findings about MTU and packets.
pub fn findings(case: &Case<'_>) -> Vec<DoctorFinding> {
    let inner = case.tunnel.inner.as_ref();
    vec![mtu(case, inner), packets(case, inner)]
}

fn mtu(case: &Case<'_>, inner: Option<&InnerPings>) -> DoctorFinding {
    let configured = inner.map(|inner| inner.mtu).filter(|mtu| *mtu > 0);
    let wanted = configured.or(case.connection.tunnel.mtu.map(usize::from)).unwrap_or(AZURE_MTU);
    if let Some(InnerPings { largest: Some(largest), reply: Some((host, _)), .. }) = inner {
        return match *largest < wanted {
            true => too_large(
                case,
                wanted,
                *largest,
                &format!("larger pings to {host} are not answered"),
            ),
            false => DoctorFinding::ok(
                Check::Mtu,
                format!("packets of {largest} bytes, the tunnel's MTU, pass in both directions"),
            ),
        };
    }
    let Some(outer) = case.tunnel.outer else {
        return DoctorFinding::skip(
            Check::Mtu,
            "the path MTU cannot be measured: UDP 4500 does not answer",
        );
    };
    let Some(fits) = inner_mtu(case, outer) else {
        return DoctorFinding::skip(Check::Mtu, "no supported ESP suite is configured");
    };
    let OuterMtu { largest, .. } = outer;
    match fits < wanted {
        true => too_large(case, wanted, fits, &format!("the path MTU is {largest}")),
        false => DoctorFinding::ok(
            Check::Mtu,
            format!("the path MTU is {largest}, so packets of {wanted} bytes fit into the tunnel"),
        ),
    }
}

fn too_large(case: &Case<'_>, mtu: usize, fits: usize, because: &str) -> DoctorFinding {
    let seen =
        format!("packets above {fits} bytes are lost in the tunnel, whose MTU is {mtu}: {because}");
    let remedy = format!(
        "set mtu = {fits} in [connection.tunnel], which lowers the TCP maximum segment size too; or find the link towards {} with \
         an MTU below 1500 (PPPoE, another tunnel)",
        case.tunnel.host
    );
    DoctorFinding::fail(Check::Mtu, seen).remedy(remedy)
}

/// The inner MTU that the path MTU leaves with the configured ESP suite.
fn inner_mtu(case: &Case<'_>, outer: OuterMtu) -> Option<usize> {
    let (_, esp) = peers::policies(&case.connection.ipsec_policy);
    let suite = esp.offered().iter().find_map(|line| EspSuite::try_from(*line).ok())?;
    let v6 = case.tunnel.address.as_ref().is_ok_and(std::net::IpAddr::is_ipv6);
    let udp = case.tunnel.status.as_ref().is_none_or(|status| status.encapsulation == "udp");
    let version = if v6 { IpVersion::V6 } else { IpVersion::V4 };
    Some(OuterHeaders { version, udp }.inner_mtu(outer.largest, suite.protection.layout()))
}

fn packets(case: &Case<'_>, inner: Option<&InnerPings>) -> DoctorFinding {
    let Some(inner) = inner else {
        let why = match &case.tunnel.status {
            Some(_) => "the tunnel is not up",
            None => "the service cannot be asked",
        };
        return DoctorFinding::skip(Check::Packets, why);
    };
    let counts = case.tunnel.status.as_ref().map_or((0, 0), |s| (s.packets_out, s.packets_in));
    if let Some((host, after)) = inner.reply {
        let seen = format!("{host} answered a ping after {:.1} ms", after.as_secs_f64() * 1000.0);
        return DoctorFinding::ok(Check::Packets, seen);
    }
    let prefixes: Vec<String> =
        case.site.address_prefixes.iter().map(ToString::to_string).collect();
    let prefixes = prefixes.join(", ");
    if inner.source.is_none() {
        let why =
            format!("this host has no address in {prefixes}, so it cannot ping through the tunnel");
        return counted(counts, DoctorFinding::skip(Check::Packets, why));
    }
    if let Some(error) = &inner.send_error {
        let why = format!("pings need root or CAP_NET_RAW: {error}");
        return counted(counts, DoctorFinding::skip(Check::Packets, why));
    }
    let asked: Vec<String> = inner.asked.iter().map(ToString::to_string).collect();
    let asked = asked.join(", ");
    if inner.packets.1 > 0 || counts.1 > 0 {
        let seen = format!("packets pass in both directions; pings to {asked} were not answered");
        let finding = match inner.named {
            true => DoctorFinding::warn(Check::Packets, seen)
                .remedy("check that the host is up and answers pings"),
            false => DoctorFinding::ok(Check::Packets, seen),
        };
        return finding;
    }
    let (out, _) = inner.packets;
    let seen = format!(
        "{} packets went into the tunnel and none came back; pings to {asked} were not answered",
        counts.0.max(out)
    );
    let remedy = match inner.named {
        true => format!(
            "at Azure: {prefixes} must be in the local network gateway's address space, the host's network security group must allow \
             ICMP, and no route table may route {prefixes} elsewhere"
        ),
        false => "name a host behind the gateway that answers pings: --to ADDRESS".to_owned(),
    };
    DoctorFinding::warn(Check::Packets, seen).remedy(remedy).at_azure(case.az().set_site_prefixes())
}

/// Traffic that arrived shows as much as an answered ping does.
fn counted((out, came): (u64, u64), otherwise: DoctorFinding) -> DoctorFinding {
    match came {
        0 => otherwise,
        _ => DoctorFinding::ok(
            Check::Packets,
            format!("{out} packets went out and {came} came in so far"),
        ),
    }
}
