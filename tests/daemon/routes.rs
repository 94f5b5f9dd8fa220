//! The routes of the host's administrator, and the source of the host's own packets.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use s2sd::wire::packet::ip::IpVersion;

use super::lab::host;
use super::lab::pair::Pair;

/// What a program prints in the site's gateway.
fn at_gateway(pair: &Pair, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let run = || Command::new(words[0]).args(&words[1..]).output();
    let output = pair.lab.gateways[0].run(run).unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The routes to the gateway's network, each with a line, without the unreachable one.
fn routes(pair: &Pair) -> Vec<String> {
    let all = at_gateway(pair, "ip route show 10.2.0.0/24");
    let lines = all.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.starts_with("unreachable")).collect()
}

/// A second line to the gateway's network, as MPLS, which the administrator has with the metric that
/// s2sd would take.
const THEIRS: &str = "10.2.0.0/24 via 203.0.113.77 dev wan metric 100";

#[test]
fn an_administrators_route_stays_whatever_the_service_does() {
    let Some(mut pair) = Pair::start("routes") else { return };
    pair.end(0, Signal::SIGTERM);
    at_gateway(&pair, &format!("ip route add {THEIRS}"));
    pair.launch(0);
    pair.wait(0, "up");
    pair.wait_for(0, "telling of the conflict", |status| {
        status.to_string().contains("somebody else has a route to 10.2.0.0/24 with metric 100")
    });
    let both = routes(&pair);
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.iter().any(|line| line == THEIRS), "{both:?}");
    assert!(
        both.iter().any(|line| line.contains("dev azure0") && line.ends_with("metric 101")),
        "{both:?}"
    );

    // A restart keeps both apart; and without theirs, ours is the one that was configured.
    pair.end(0, Signal::SIGKILL);
    pair.launch(0);
    pair.wait(0, "up");
    assert!(routes(&pair).iter().any(|line| line == THEIRS), "{:?}", routes(&pair));
    at_gateway(&pair, &format!("ip route del {THEIRS}"));
    pair.wait_for(0, "no conflict", |_| {
        routes(&pair).len() == 1 && !pair.status(0).to_string().contains("somebody else has")
    });
    assert!(routes(&pair)[0].ends_with("metric 100"), "{:?}", routes(&pair));

    pair.end(0, Signal::SIGTERM);
    assert_eq!(routes(&pair), Vec::<String>::new());
    at_gateway(&pair, &format!("ip route add {THEIRS}"));
    pair.launch(0);
    pair.wait(0, "up");
    pair.end(0, Signal::SIGTERM);
    assert_eq!(routes(&pair), [THEIRS], "a stop takes nothing of theirs");
}

#[test]
fn the_gateways_own_packets_have_a_source_inside_the_site() {
    let Some(pair) = Pair::start("source") else { return };
    pair.wait(0, "up");
    let target = SocketAddr::new(host(1, IpVersion::V4), 7788);
    let reached = || {
        let listening = pair.lab.hosts[1].run(|| UdpSocket::bind(target)).unwrap();
        listening.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let own = pair.lab.gateways[0].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        own.connect(target).unwrap();
        own.send(b"?").unwrap();
        let from = listening.recv_from(&mut [0; 8]).map(|(_, from)| from.ip().to_string());
        from.unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(reached(), "10.1.0.1");
    // An address that comes later is found, one that goes is not missed.
    at_gateway(&pair, "ip address add 10.1.0.77/32 dev lo");
    at_gateway(&pair, "ip address del 10.1.0.1/24 dev lan");
    pair.wait_for(0, "the other source", |_| {
        routes(&pair).iter().any(|line| line.contains("src 10.1.0.77"))
    });
}
