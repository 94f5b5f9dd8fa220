//! The path between two services: somebody beside the line who lies about it, and a path that is
//! narrow in earnest.

use std::process::{Child, Command, Stdio};

use s2sd::wire::packet::ip::IpVersion;
use serde_json::Value as Json;

use crate::lab::forger::{Forger, Quote};
use crate::lab::pair::Pair;
use crate::lab::traffic::{round_trips_over, transfer};
use crate::lab::{SIDES, gateway};

/// A process in the place of somebody on the Internet: it has the addresses and ports of a tunnel
/// and has seen none of its packets.
struct Attacker(Child);

impl Attacker {
    fn start(pair: &Pair) -> Attacker {
        let spawn = || {
            let mut attacker = Command::new(std::env::current_exe()?);
            attacker.args(["--exact", "path::the_attacker", "--ignored"]);
            attacker.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        Attacker(pair.lab.gateways[1].run(spawn).unwrap())
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// How many rounds the attacker sends at most, should nobody end it: some minutes' worth.
const ROUNDS: usize = 20_000_000;

/// The body of that process. It ends with the process that started it, or by its own count.
#[test]
#[ignore = "the process of an attacker, which other tests start and end"]
fn the_attacker() {
    let forger = Forger::open(&s2sd::sys::namespace::Namespace::current().unwrap(), false);
    let [from, to] = SIDES.map(|side| gateway(side, IpVersion::V4));
    let parent = std::os::unix::process::parent_id();
    for _ in 0..ROUNDS {
        if std::os::unix::process::parent_id() != parent {
            return;
        }
        for (port, esp) in [(4500, None), (4500, Some([0; 8])), (4500, Some([7; 8])), (500, None)] {
            forger.tell(552, Quote { from, to, udp: Some(port), esp });
        }
        std::thread::yield_now();
    }
}

fn fragments_made(pair: &Pair, side: usize) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/snmp");
    let table = pair.lab.gateways[side].run(read).unwrap();
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let mut cells = names.split(' ').zip(values.split(' '));
    cells.find(|(name, _)| *name == "FragCreates").unwrap().1.parse().unwrap()
}

fn tunnel(status: &Json) -> &Json {
    &status["connections"][0]["tunnels"][0]
}

/// Neither packets nor IKE take notice: no packet is refused for its size, no IKE message leaves in
/// IP fragments, which Azure drops.
#[test]
fn forged_icmp_errors_hinder_neither_the_tunnel_nor_ike() {
    let Some(pair) = Pair::start("forger") else { return };
    let attacker = Attacker::start(&pair);
    for from in SIDES {
        transfer(&pair.lab, from, IpVersion::V4, 8 << 20).unwrap();
    }
    let now = pair.tunnel(0);
    assert_eq!((&now["path_mtu"], &now["mtu"]), (&Json::from(1500), &Json::from(1400)), "{now:#}");
    pair.obey(0, &["down", "tunnel"]);
    pair.wait(1, "waiting");
    pair.obey(0, &["up", "tunnel"]);
    pair.wait(0, "up");
    pair.wait(1, "up");
    transfer(&pair.lab, 0, IpVersion::V4, 8 << 20).unwrap();
    let now = pair.tunnel(0);
    assert_eq!(now["path_mtu"], 1500, "{now:#}");
    for reason in ["too_big", "path_shrank", "send_failed"] {
        assert_eq!(now["drops"][reason], Json::Null, "{now:#}");
    }
    assert_eq!(fragments_made(&pair, 0), 0);
    drop(attacker);
}

/// The interface's MTU follows a path that narrows and widens: what may be fragmented is, and
/// passes.
#[test]
fn the_interfaces_mtu_follows_the_path() {
    let Some(pair) = Pair::start("narrow") else { return };
    // Hosts whose datagrams may be fragmented.
    for side in SIDES {
        let set = || std::fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1");
        pair.lab.hosts[side].run(set).unwrap();
    }
    pair.lab.set_wan_mtu(1400);
    for side in SIDES {
        pair.wait_for(side, "on the narrow path", |status| {
            round_trips_over(&pair.lab, 1, IpVersion::V4, 1372);
            (&tunnel(status)["path_mtu"], &tunnel(status)["mtu"])
                == (&Json::from(1400), &Json::from(1338))
        });
    }
    assert_eq!(round_trips_over(&pair.lab, 10, IpVersion::V4, 1372).len(), 10);
    pair.lab.set_wan_mtu(1500);
    for side in SIDES {
        pair.wait_for(side, "on the wide path", |status| tunnel(status)["mtu"] == 1400);
    }
    assert_eq!(round_trips_over(&pair.lab, 10, IpVersion::V4, 1372).len(), 10);
}
