//! The judgement by tables: facts as they were never all seen on one bench.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::config;
use crate::daemon::explain::Explanation;
use crate::daemon::status::{ConnectionStatus, TunnelStatus};
use crate::doctor::facts::{
    ClockFacts, InnerPings, Interface, OuterMtu, RekeyOutcome, RouteToGateway, Survey,
};
use crate::doctor::probe::ike_probe::{Acceptance, IkeProbeAnswer};
use crate::doctor::probe::port_probe::{PortError, Silence};
use crate::doctor::probe::sniffer::Sighting;
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
        way: Ok(RouteToGateway { source: OWN, interface: Some("wan".into()) }),
        ike: Ok(accepted(none(), true)),
        natt: Ok(IkeProbeAnswer::Group(KeId::Ecp384)),
        survey: None,
        sighting: None,
        watched: Duration::ZERO,
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
            moved: (1, 1),
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

/// The same, not up, and refused so.
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

fn silence(error: Option<PortError>) -> Result<IkeProbeAnswer, Silence> {
    Err(Silence { error })
}

fn silent(facts: &mut Facts, error: Option<PortError>, dialled_by: &[IpAddr]) {
    refused(facts, "no-answer", "IKE_SA_INIT");
    let tunnel = &mut facts.tunnels[0];
    (tunnel.ike, tunnel.natt) = (silence(error), silence(error));
    let dialled_by: BTreeSet<IpAddr> = dialled_by.iter().copied().collect();
    tunnel.sighting = Some(Sighting { dialled_by, ..Sighting::default() });
}

/// What the line says that is worst and first.
fn worst(facts: &Facts) -> (FindingVerdict, Check, String) {
    let diagnosis = judge(facts);
    let worst = diagnosis.verdict;
    let line = diagnosis.findings.iter().find(|finding| finding.verdict == worst).unwrap();
    let advice = line.remedy.clone().unwrap_or_default() + line.az.as_deref().unwrap_or_default();
    (worst, line.check, format!("{} {advice}", line.seen))
}

#[test]
fn nothing_is_wrong_with_a_healthy_tunnel() {
    let diagnosis = judge(&healthy("Default"));
    assert!(diagnosis.findings.iter().all(|f| f.verdict == FindingVerdict::Ok), "{diagnosis}");
    let order: Vec<Check> = diagnosis.findings.iter().map(|finding| finding.check).collect();
    assert!(order.is_sorted(), "a packet's order: {order:?}");
}

#[test]
fn each_fact_has_its_line() {
    type Row = (FindingVerdict, Check, &'static str, fn(&mut Facts));
    let rows: &[Row] = &[
        (FindingVerdict::Fail, Check::Clock, "10 days ahead", |f| {
            f.clock.hardware = Some(UnixTime(f.clock.now.0 - 864_000));
        }),
        (FindingVerdict::Warn, Check::Clock, "timedatectl", |f| f.clock.synchronized = Some(false)),
        (FindingVerdict::Warn, Check::Service, "systemctl start", |f| {
            f.service = Err("gone".into())
        }),
        (FindingVerdict::Fail, Check::Addresses, "10.2.0.0/16", |f| {
            let own = "10.2.3.4".parse().unwrap();
            f.interfaces[0].addresses.push((own, config::prefix::Prefix::of(own, 24).unwrap()));
        }),
        (FindingVerdict::Fail, Check::Route, "no way", |f| {
            f.tunnels[0].way = Err("unreachable".into())
        }),
        (FindingVerdict::Fail, Check::Route, "own tunnel", |f| {
            f.tunnels[0].way = Ok(RouteToGateway { source: OWN, interface: Some("azure0".into()) });
        }),
        (FindingVerdict::Fail, Check::Route, "no address", |f| {
            f.tunnels[0].address = Err("no DNS".into())
        }),
        (FindingVerdict::Warn, Check::Udp500, "UDP 500 is blocked", |f| {
            f.tunnels[0].ike = silence(None)
        }),
        (FindingVerdict::Fail, Check::Udp4500, "UDP 4500 is blocked", |f| {
            refused(f, "no-answer", "IKE_AUTH");
            f.tunnels[0].natt = silence(None);
        }),
        (FindingVerdict::Fail, Check::Udp500, "own firewall does not let", |f| {
            silent(f, Some(PortError::Forbidden), &[]);
        }),
        (FindingVerdict::Fail, Check::Udp500, "one of four", |f| silent(f, None, &[])),
        (FindingVerdict::Fail, Check::Udp500, "wrong peer address?", |f| {
            silent(f, Some(PortError::PortClosed), &[]);
        }),
        (FindingVerdict::Fail, Check::Udp500, "192.0.2.9 dials this host", |f| {
            silent(f, None, &["192.0.2.9".parse().unwrap()]);
        }),
        (FindingVerdict::Warn, Check::Udp500, "connectionMode=Default", |f| {
            silent(f, None, &[GATEWAY])
        }),
        (FindingVerdict::Fail, Check::Proposal, "dh_group = \"DHGroup14\"", |f| {
            refused(f, "no-common-ike-proposal", "IKE_SA_INIT");
            f.tunnels[0].ike = Ok(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen));
            f.tunnels[0].survey = Some(Survey::Group(KeId::Modp2048));
        }),
        (FindingVerdict::Fail, Check::Proposal, "whatever else", |f| {
            refused(f, "no-common-ike-proposal", "IKE_SA_INIT");
            f.tunnels[0].ike = Ok(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen));
            f.tunnels[0].survey = Some(Survey::Nothing);
        }),
        (FindingVerdict::Warn, Check::Nat, "--gateway-ip-address 192.0.2.7", |f| {
            let source = "192.0.2.7".parse().unwrap();
            f.tunnels[0].way = Ok(RouteToGateway { source, interface: Some("wan".into()) });
        }),
        (FindingVerdict::Warn, Check::Nat, "NAT's public address", |f| {
            f.tunnels[0].ike = Ok(accepted(Nat { here: true, ..none() }, true));
        }),
        (FindingVerdict::Warn, Check::Fragmentation, "RFC 7383", |f| {
            f.tunnels[0].ike = Ok(accepted(none(), false));
        }),
        (FindingVerdict::Fail, Check::Authentication, "13826", |f| {
            refused(f, "credentials-refused", "IKE_AUTH");
        }),
        (FindingVerdict::Fail, Check::Authentication, "long ones are lost", |f| {
            refused(f, "no-answer", "IKE_AUTH");
        }),
        (FindingVerdict::Fail, Check::ChildProposal, "no common ESP", |f| {
            refused(f, "no-common-esp-proposal", "IKE_AUTH");
        }),
        (FindingVerdict::Fail, Check::ForwardSecrecy, "PFS mismatch", |f| {
            refused(f, "no-common-esp-proposal", "CREATE_CHILD_SA (child rekey)");
        }),
        (
            FindingVerdict::Fail,
            Check::Selectors,
            "--use-policy-based-traffic-selectors false",
            |f| {
                refused(f, "selectors-unacceptable", "IKE_AUTH");
            },
        ),
        (FindingVerdict::Warn, Check::ForwardSecrecy, "in a minute", |f| {
            f.tunnels[0].rekey = Some(RekeyOutcome::Nothing(Duration::from_secs(5)));
        }),
        (FindingVerdict::Fail, Check::Mtu, "mtu = 1239", |f| {
            f.tunnels[0].inner.as_mut().unwrap().largest = Some(1239);
        }),
        (FindingVerdict::Fail, Check::Mtu, "takes 1300 bytes", |f| {
            f.tunnels[0].inner = None;
            f.tunnels[0].outer = Some(OuterMtu { largest: 1300, tried: 1500 });
        }),
        (FindingVerdict::Warn, Check::Packets, "--to ADDRESS", |f| {
            let inner = f.tunnels[0].inner.as_mut().unwrap();
            (inner.reply, inner.largest, inner.moved) = (None, None, (1, 0));
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

/// The same silence means another thing for each mode.
#[test]
fn a_gateway_that_dials_is_judged_by_who_is_to_dial() {
    for (mode, dials, verdict) in [
        ("Default", true, FindingVerdict::Warn),
        ("ResponderOnly", true, FindingVerdict::Fail),
        ("InitiatorOnly", false, FindingVerdict::Fail),
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
        judge(&facts).findings.iter().filter(|f| f.verdict == FindingVerdict::Fail).count();
    assert_eq!(failures, 1);
}
