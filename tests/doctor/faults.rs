//! The faults, each with the check that must fail first and the words of its finding.

use super::credentials::{
    another_root, azure, with_expired, with_issued, with_other_name, with_stranger,
    young_for_ninety_days,
};
use super::daemon::POLICY;
use super::stage::{Plan, Wait};

/// One fault.
pub struct Fault {
    pub name: &'static str,
    pub plant: fn(&mut Plan),
    /// The check that fails first; `None` when no check fails.
    pub check: Option<&'static str>,
    /// Words that the finding, its remedy or its command must contain.
    pub says: &'static [&'static str],
}

const fn fault(
    name: &'static str,
    check: &'static str,
    says: &'static [&'static str],
    plant: fn(&mut Plan),
) -> Fault {
    Fault { name, plant, check: Some(check), says }
}

const YEAR: i64 = 365 * 86_400;

/// Drops packets above 1300 bytes without ICMP "fragmentation needed": a path MTU black hole.
const NARROW: &str = "iifname wan meta length > 1300 drop";

pub const FAULTS: &[Fault] = &[
    Fault { name: "nothing", plant: healthy, check: None, says: &[] },
    Fault { name: "nothing, and no service", plant: no_service, check: None, says: &[] },
    fault("wrong root", "authentication", &["certificate", "outbound_certificate_roots"], |plan| {
        let mut both = azure();
        both[0].roots = vec![another_root()];
        plan.certify(both);
    }),
    fault("wrong root at the gateway", "authentication", &["13801", "wrong root"], |plan| {
        let mut both = with_stranger(0);
        both[0].chain = vec![another_root()];
        plan.certify(both);
    }),
    fault("wrong CN", "authentication", &["Somebody-else", "Outbound-certificate"], |plan| {
        plan.certify(with_other_name(1));
    }),
    fault("wrong CN at the gateway", "authentication", &["13801", "Inbound-certificate"], |plan| {
        plan.certify(with_other_name(0));
    }),
    fault("expired", "certificates", &["expired"], |plan| plan.certify(with_expired(0))),
    fault("expired at the gateway", "authentication", &["expired"], |plan| {
        plan.certify(with_expired(1));
    }),
    fault("key mismatch", "certificates", &["key"], |plan| {
        plan.ours.credentials.key = plan.theirs.credentials.key.clone();
    }),
    fault("clock off a year", "clock", &["365 days behind"], |plan| {
        plan.certify(with_issued(young_for_ninety_days));
        (plan.clock, plan.ours_runs, plan.wait) = (-YEAR, false, Wait::Nothing);
    }),
    fault("UDP 500 blocked", "udp500", &["UDP 500 is blocked"], |plan| {
        plan.filters[1] = vec!["udp dport 500 drop"];
        plan.wait = Wait::Nothing;
    }),
    fault("UDP 4500 blocked", "udp4500", &["UDP 4500 is blocked"], |plan| {
        plan.filters[1] = vec!["udp dport 4500 drop"];
        plan.wait = Wait::Nothing;
    }),
    fault("both blocked on this host", "udp500", &["this host's own firewall"], |plan| {
        plan.filters[0] = vec!["udp sport { 500, 4500 } drop"];
        plan.wait = Wait::Nothing;
    }),
    fault(
        "wrong group",
        "proposal",
        &["wrong group", "ECP_256", "dh_group = \"ECP256\""],
        |plan| {
            plan.theirs.policy = POLICY.replace("dh_group = \"ECP384\"", "dh_group = \"ECP256\"");
        },
    ),
    fault("no common proposal", "proposal", &["no common IKE proposal", "AES_CBC_256"], |plan| {
        plan.theirs.policy =
            POLICY.replace("ike_encryption = \"GCMAES256\"", "ike_encryption = \"AES256\"");
    }),
    fault("no common ESP proposal", "child-proposal", &["no common ESP proposal"], |plan| {
        plan.theirs.policy = POLICY
            .replace("ipsec_encryption = \"GCMAES256\"", "ipsec_encryption = \"AES256\"")
            .replace("ipsec_integrity = \"GCMAES256\"", "ipsec_integrity = \"SHA256\"");
    }),
    fault("selectors", "selectors", &["10.3.0.0/24", "13999"], |plan| {
        for settings in [&mut plan.ours, &mut plan.theirs] {
            settings.connection += "\nuse_policy_based_traffic_selectors = true";
        }
        plan.ours.remote = vec!["10.3.0.0/24".into()];
    }),
    fault("PFS mismatch", "forward-secrecy", &["PFS mismatch", "pfs_group"], |plan| {
        plan.theirs.policy = POLICY.replace("pfs_group = \"ECP384\"", "pfs_group = \"PFS2048\"");
        plan.wait = Wait::Up;
    }),
    fault("path MTU 1300", "mtu", &["mtu = 12", "1400"], |plan| {
        plan.filters = [vec![NARROW], vec![NARROW]];
        plan.words = vec!["--to", "10.2.0.10"];
        plan.wait = Wait::Up;
    }),
    fault(
        "path MTU 1300, and nobody answers pings",
        "mtu",
        &["path MTU is 1300", "mtu = 12"],
        |plan| {
            plan.filters = [vec![NARROW], vec![NARROW]];
            plan.words = vec!["--to", "10.2.0.77"];
            plan.wait = Wait::Up;
        },
    ),
    fault(
        "overlapping prefixes",
        "configuration",
        &["10.1.0.128/25 overlaps 10.1.0.0/24"],
        |plan| {
            plan.ours.remote = vec!["10.1.0.128/25".into()];
            (plan.ours_runs, plan.wait) = (false, Wait::Nothing);
        },
    ),
    fault(
        "network of this host behind the gateway",
        "addresses",
        &["10.1.0.0/24", "lan"],
        |plan| {
            plan.ours.local = vec!["10.7.0.0/24".into()];
            plan.ours.remote = vec!["10.1.0.0/16".into()];
            plan.wait = Wait::Nothing;
        },
    ),
    fault(
        "forwarding off",
        "forwarding",
        &["net.ipv4.conf.lan.forwarding", "ip_forward=1"],
        |plan| {
            plan.settings = vec![("ipv4/ip_forward", "0")];
            plan.wait = Wait::Up;
        },
    ),
    fault("peer InitiatorOnly", "udp500", &["InitiatorOnly", "1225"], |plan| {
        // Both dial, and neither answers.
        (plan.ours.mode, plan.theirs.mode) = ("ResponderOnly", "ResponderOnly");
        plan.words = vec!["--listen", "20"];
        plan.wait = Wait::Nothing;
    }),
    fault(
        "wrong peer address",
        "udp500",
        &["wrong peer address", "203.0.113.2", "public_ip_addresses"],
        |plan| {
            plan.ours.there = vec!["203.0.113.77".into()];
            plan.theirs.mode = "Default";
            plan.words = vec!["--listen", "20"];
            plan.wait = Wait::Nothing;
        },
    ),
];

fn healthy(plan: &mut Plan) {
    plan.words = vec!["--to", "10.2.0.10"];
    plan.wait = Wait::Up;
}

fn no_service(plan: &mut Plan) {
    (plan.ours_runs, plan.wait) = (false, Wait::Nothing);
}
