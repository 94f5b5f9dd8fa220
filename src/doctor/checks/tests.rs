//! The checks by tables of facts: more cases than the namespaces of `tests/doctor` can produce.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::config;
use crate::daemon::explain::Explanation;
use crate::daemon::status::{ConnectionStatus, TunnelStatus};
use crate::doctor::facts::{
    ClockFacts, GatewayPolicy, InnerPings, Interface, OuterMtu, RekeyOutcome, RouteToGateway,
};
use crate::doctor::probe::ike_probe::{Acceptance, IkeProbeAnswer};
use crate::doctor::probe::port_probe::{NoAnswer, PortError};
use crate::doctor::probe::sniffer::Sniffed;
use crate::doctor::service::ServiceError;
use crate::ike::negotiation::nat_detection::Nat;
use crate::time::UnixTime;
use crate::wire::codes::{KeId, NotifyType};
use crate::wire::payload::sa::SecurityAssociation;

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

const FILE: &str = r#"
[local_network_gateway]
name = "Site1"
gateway_ip_address = "203.0.113.1"
address_prefixes = ["10.1.0.0/24"]
[[connection]]
name = "c"
connection_mode = "MODE"
[connection.ipsec_policy]
ike_encryption = "GCMAES256"
ike_integrity = "SHA384"
dh_group = "ECP384"
ipsec_encryption = "GCMAES256"
ipsec_integrity = "GCMAES256"
pfs_group = "ECP384"
[connection.virtual_network_gateway]
name = "gw"
public_ip_addresses = ["198.51.100.2"]
address_prefixes = ["10.2.0.0/16"]
[connection.certificate_authentication]
inbound_certificate = "/own.pem"
inbound_private_key = "/own.key"
outbound_certificate_roots = ["/root.pem"]
outbound_certificate_subject_name = "gw"
"#;

fn status(state: &str) -> TunnelStatus {
    let text = format!(
        r#"{{"interface":"azure0","state":"{state}","state_seconds":1,"peer":"198.51.100.2","encapsulation":"udp",
        "children":[],"dpd_timeout_seconds":45,"retransmits":0,"rekeys":0,"attempt":0,"mtu":1400,
        "packets_out":5,"bytes_out":1,"packets_in":0,"bytes_in":0,"drops":{{}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn accepted(nat: Nat, fragments: bool) -> IkeProbeAnswer {
    let chosen = SecurityAssociation::default();
    IkeProbeAnswer::Accepted(Box::new(Acceptance { chosen, nat, fragments, authorities: vec![] }))
}

fn none() -> Nat {
    Nat { understood: true, ..Nat::default() }
}

/// A tunnel that is up, with nothing wrong.
fn healthy(mode: &str) -> Facts {
    let config = config::parse("f", &FILE.replace("MODE", mode)).config.unwrap();
    let up = status("up");
    let tunnel = DoctorTunnelFacts {
        name: "c".into(),
        interface: "azure0".into(),
        host: GATEWAY.to_string(),
        address: Ok(GATEWAY),
        route: Ok(RouteToGateway { source: OWN, interface: Some("wan".into()) }),
        ike: Ok(accepted(none(), true)),
        natt: Ok(IkeProbeAnswer::Group(KeId::Ecp384)),
        gateway_policy: None,
        sniffed: None,
        sniffed_for: Duration::ZERO,
        trusts_us: None,
        outer: Some(OuterMtu { largest: 1500, tried: 1500 }),
        status: Some(up.clone()),
        explanation: None,
        rekey: Some(RekeyOutcome::Done),
        inner: Some(InnerPings {
            source: Some(Ipv4Addr::new(10, 1, 0, 1)),
            asked: vec![Ipv4Addr::new(10, 2, 0, 4)],
            reply: Some((Ipv4Addr::new(10, 2, 0, 4), Duration::from_millis(9))),
            largest: Some(1400),
            mtu: 1400,
            packets: (1, 1),
            ..InnerPings::default()
        }),
    };
    Facts {
        connection: "c".into(),
        configuration: vec![],
        settings: Some((config.local_network_gateway, config.connections[0].clone())),
        certificates: vec![],
        certificates_then: vec![],
        own: Some(("CN=me".into(), "CN=root".into())),
        not_forwarding: Vec::new(),
        clock: ClockFacts {
            now: UnixTime(1_800_000_000),
            synchronized: Some(true),
            ..ClockFacts::default()
        },
        interfaces: vec![Interface {
            name: "wan".into(),
            addresses: vec![(OWN, config::prefix::Prefix::of(OWN, 24).unwrap())],
        }],
        service: Ok(ConnectionStatus {
            name: "c".into(),
            state: "up".into(),
            routes: vec![],
            routes_into: vec![],
            routes_obstacle: None,
            tunnels: vec![up],
        }),
        tunnels: vec![tunnel],
    }
}

/// Makes the tunnel not up, with this reason of refusal.
fn refused(facts: &mut Facts, reason: &str, step: &str) {
    let text = format!(
        r#"{{"tunnel":"c","seconds":1,"reason":"{reason}","text":"{step}: no. To mend it: x","step":"{step}",
        "by":"the peer","ours":["a"],"theirs":[],"azure_errors":[]}}"#
    );
    let explanation: Explanation = serde_json::from_str(&text).unwrap();
    facts.tunnels[0].status = Some(status("retrying"));
    facts.tunnels[0].explanation = Some(explanation);
    facts.tunnels[0].inner = None;
}

fn no_answer(error: Option<PortError>) -> Result<IkeProbeAnswer, NoAnswer> {
    Err(NoAnswer { error })
}

fn silent(facts: &mut Facts, error: Option<PortError>, dialled_by: &[IpAddr]) {
    refused(facts, "no-answer", "IKE_SA_INIT");
    let tunnel = &mut facts.tunnels[0];
    (tunnel.ike, tunnel.natt) = (no_answer(error), no_answer(error));
    let dialled_by: BTreeSet<IpAddr> = dialled_by.iter().copied().collect();
    tunnel.sniffed = Some(Sniffed { dialled_by, ..Sniffed::default() });
}

/// The verdict, check and text of the first finding with the worst verdict.
fn worst(facts: &Facts) -> (DoctorVerdict, Check, String) {
    let diagnosis = diagnose(facts);
    let worst = diagnosis.verdict;
    let line = diagnosis.findings.iter().find(|finding| finding.verdict == worst).unwrap();
    let advice = line.remedy.clone().unwrap_or_default() + line.az.as_deref().unwrap_or_default();
    (worst, line.check, format!("{} {advice}", line.seen))
}

#[test]
fn nothing_is_wrong_with_a_healthy_tunnel() {
    let diagnosis = diagnose(&healthy("Default"));
    assert!(diagnosis.findings.iter().all(|f| f.verdict == DoctorVerdict::Ok), "{diagnosis}");
    let order: Vec<Check> = diagnosis.findings.iter().map(|finding| finding.check).collect();
    assert!(order.is_sorted(), "a packet's order: {order:?}");
}

#[test]
fn each_fact_has_its_line() {
    type Row = (DoctorVerdict, Check, &'static str, fn(&mut Facts));
    let rows: &[Row] = &[
        (DoctorVerdict::Fail, Check::Clock, "10 days ahead", |f| {
            f.clock.hardware = Some(UnixTime(f.clock.now.0 - 864_000));
        }),
        (DoctorVerdict::Warn, Check::Clock, "timedatectl", |f| f.clock.synchronized = Some(false)),
        (DoctorVerdict::Warn, Check::Service, "systemctl start", |f| {
            f.service = Err(ServiceError::Unreachable("gone".into()));
        }),
        (DoctorVerdict::Warn, Check::Service, "s2sd reload", |f| {
            f.service = Err(ServiceError::Refused("no connection named c".into()));
        }),
        (DoctorVerdict::Fail, Check::Addresses, "10.2.0.0/16", |f| {
            let own = "10.2.3.4".parse().unwrap();
            f.interfaces[0].addresses.push((own, config::prefix::Prefix::of(own, 24).unwrap()));
        }),
        (DoctorVerdict::Fail, Check::Route, "no route", |f| {
            f.tunnels[0].route = Err("unreachable".into())
        }),
        (DoctorVerdict::Fail, Check::Route, "the tunnel to this gateway itself", |f| {
            f.tunnels[0].route =
                Ok(RouteToGateway { source: OWN, interface: Some("azure0".into()) });
        }),
        (DoctorVerdict::Fail, Check::Route, "no address", |f| {
            f.tunnels[0].address = Err("no DNS".into())
        }),
        (DoctorVerdict::Warn, Check::Udp500, "UDP 500 is blocked", |f| {
            f.tunnels[0].ike = no_answer(None)
        }),
        (DoctorVerdict::Fail, Check::Udp4500, "UDP 4500 is blocked", |f| {
            refused(f, "no-answer", "IKE_AUTH");
            f.tunnels[0].natt = no_answer(None);
        }),
        (DoctorVerdict::Fail, Check::Udp500, "own firewall blocks packets to", |f| {
            silent(f, Some(PortError::Forbidden), &[]);
        }),
        (DoctorVerdict::Fail, Check::Udp500, "one of four causes", |f| silent(f, None, &[])),
        (DoctorVerdict::Fail, Check::Udp500, "wrong peer address?", |f| {
            silent(f, Some(PortError::PortClosed), &[]);
        }),
        (
            DoctorVerdict::Fail,
            Check::Udp500,
            "192.0.2.9, which no connection names, dials this host",
            |f| {
                silent(f, None, &["192.0.2.9".parse().unwrap()]);
            },
        ),
        (DoctorVerdict::Warn, Check::Udp500, "connectionMode=Default", |f| {
            silent(f, None, &[GATEWAY])
        }),
        (DoctorVerdict::Fail, Check::Proposal, "dh_group = \"DHGroup14\"", |f| {
            refused(f, "no-common-ike-proposal", "IKE_SA_INIT");
            f.tunnels[0].ike = Ok(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen));
            f.tunnels[0].gateway_policy = Some(GatewayPolicy::OtherGroup(KeId::Modp2048));
        }),
        (
            DoctorVerdict::Fail,
            Check::Proposal,
            "every policy that an Azure connection can have",
            |f| {
                refused(f, "no-common-ike-proposal", "IKE_SA_INIT");
                f.tunnels[0].ike = Ok(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen));
                f.tunnels[0].gateway_policy = Some(GatewayPolicy::Unknown);
            },
        ),
        (DoctorVerdict::Warn, Check::Nat, "--gateway-ip-address 192.0.2.7", |f| {
            let source = "192.0.2.7".parse().unwrap();
            f.tunnels[0].route = Ok(RouteToGateway { source, interface: Some("wan".into()) });
        }),
        (DoctorVerdict::Warn, Check::Nat, "NAT's public address", |f| {
            f.tunnels[0].ike = Ok(accepted(Nat { here: true, ..none() }, true));
        }),
        (DoctorVerdict::Warn, Check::Fragmentation, "RFC 7383", |f| {
            f.tunnels[0].ike = Ok(accepted(none(), false));
        }),
        (DoctorVerdict::Fail, Check::Authentication, "13826", |f| {
            refused(f, "credentials-refused", "IKE_AUTH");
        }),
        (DoctorVerdict::Fail, Check::Authentication, "large messages are lost", |f| {
            refused(f, "no-answer", "IKE_AUTH");
        }),
        (DoctorVerdict::Fail, Check::ChildProposal, "no common ESP", |f| {
            refused(f, "no-common-esp-proposal", "IKE_AUTH");
        }),
        (DoctorVerdict::Fail, Check::ForwardSecrecy, "PFS mismatch", |f| {
            refused(f, "no-common-esp-proposal", "CREATE_CHILD_SA (child rekey)");
        }),
        (
            DoctorVerdict::Fail,
            Check::Selectors,
            "--use-policy-based-traffic-selectors false",
            |f| {
                refused(f, "selectors-unacceptable", "IKE_AUTH");
            },
        ),
        (DoctorVerdict::Warn, Check::ForwardSecrecy, "in a minute", |f| {
            f.tunnels[0].rekey = Some(RekeyOutcome::TimedOut(Duration::from_secs(5)));
        }),
        (DoctorVerdict::Fail, Check::Mtu, "mtu = 1239", |f| {
            f.tunnels[0].inner.as_mut().unwrap().largest = Some(1239);
        }),
        (DoctorVerdict::Fail, Check::Mtu, "path MTU is 1300", |f| {
            f.tunnels[0].inner = None;
            f.tunnels[0].outer = Some(OuterMtu { largest: 1300, tried: 1500 });
        }),
        (DoctorVerdict::Warn, Check::Packets, "--to ADDRESS", |f| {
            let inner = f.tunnels[0].inner.as_mut().unwrap();
            (inner.reply, inner.largest, inner.packets) = (None, None, (1, 0));
        }),
    ];
    for (verdict, check, says, change) in rows {
        let mut facts = healthy("Default");
        change(&mut facts);
        let (found, at, text) = worst(&facts);
        assert_eq!((found, at), (*verdict, *check), "{text}");
        assert!(text.contains(says), "{says:?} in {text}");
    }
}

/// A gateway that answers no probe is a different finding in each connection mode.
#[test]
fn the_finding_for_an_unanswered_probe_depends_on_the_connection_mode() {
    for (mode, dials, verdict) in [
        ("Default", true, DoctorVerdict::Warn),
        ("ResponderOnly", true, DoctorVerdict::Fail),
        ("InitiatorOnly", false, DoctorVerdict::Fail),
    ] {
        let mut facts = healthy(mode);
        silent(&mut facts, None, if dials { &[GATEWAY] } else { &[] });
        let (found, check, text) = worst(&facts);
        assert_eq!((found, check), (verdict, Check::Udp500), "{mode}: {text}");
        assert!(text.contains("InitiatorOnly"), "{text}");
    }
}

#[test]
fn what_follows_from_a_failure_is_not_another() {
    let mut facts = healthy("Default");
    silent(&mut facts, None, &[]);
    let failures =
        diagnose(&facts).findings.iter().filter(|f| f.verdict == DoctorVerdict::Fail).count();
    assert_eq!(failures, 1);
}
