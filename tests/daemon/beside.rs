//! The administrator's own routes beside the service's, and the source address of what the router
//! itself sends.

use std::net::UdpSocket;

use nix::sys::signal::Signal;
use s2sd::sys::netlink::{AddressPrefix, Netlink};

use super::addresses::ip;
use super::lab::pair::{Pair, certify, configuration};
use super::lab::{Lab, SIDES, skip};

const THERE: &str = "10.2.0.0/24";

/// A pair whose services do not run yet, in a lab where the program `ip` is.
fn prepared(name: &str) -> Option<Pair> {
    let lab = Lab::build()?;
    if ip(&lab, 0, &["-Version"]).is_none() {
        skip(&format!("{name}: no program `ip` (Debian package iproute2)"));
        return None;
    }
    let directory = std::env::temp_dir().join(format!("s2sd-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let pair = Pair { lab, directory, services: [None, None] };
    for side in SIDES {
        certify(&pair.directory, ["site", "azure"][side]);
        std::fs::write(pair.file(side, "toml"), configuration(&pair.directory, side, 45)).unwrap();
    }
    Some(pair)
}

/// The site's routes to the far network, as `ip` prints them.
fn routes(pair: &Pair) -> Vec<String> {
    let text = ip(&pair.lab, 0, &["route", "show", THERE]).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn run_ip(pair: &Pair, words: &str) {
    ip(&pair.lab, 0, &words.split(' ').collect::<Vec<_>>()).unwrap();
}

fn obstacle(pair: &Pair) -> String {
    pair.status(0)["connections"][0]["routes_obstacle"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn another_programs_route_with_the_same_metric_stays_in_force() {
    let Some(mut pair) = prepared("beside") else { return };
    run_ip(&pair, "route add 10.2.0.0/24 via 203.0.113.9 metric 100");
    run_ip(&pair, "route add unreachable 10.2.0.0/24 metric 4294967295");
    let before = routes(&pair);
    SIDES.into_iter().rev().for_each(|side| pair.launch(side));
    pair.wait(0, "up");
    let mine = |pair: &Pair| -> Vec<String> {
        routes(pair).into_iter().filter(|route| !before.contains(route)).collect()
    };
    let stays = |pair: &Pair| assert!(before.iter().all(|route| routes(pair).contains(route)));
    let at = |metric: u32, pair: &Pair| {
        let mine = mine(pair);
        assert_eq!(mine.len(), 1, "{mine:?}");
        assert!(mine[0].contains("dev azure0 proto 83"), "{mine:?}");
        assert!(mine[0].ends_with(&format!("metric {metric}")), "{mine:?}");
    };
    stays(&pair);
    at(101, &pair);
    let told = obstacle(&pair);
    assert!(told.contains("a route to 10.2.0.0/24 with metric 100, which counts"), "{told}");

    // A process that goes on finds its own route again, and no second one.
    pair.end(0, Signal::SIGKILL);
    pair.launch(0);
    pair.wait(0, "up");
    stays(&pair);
    at(101, &pair);

    // The administrator moves the route out of the way.
    run_ip(&pair, "route add 10.2.0.0/24 via 203.0.113.9 metric 200");
    run_ip(&pair, "route del 10.2.0.0/24 via 203.0.113.9 metric 100");
    pair.wait_for(0, "alone", |status| status["connections"][0]["routes_obstacle"].is_null());
    assert!(
        routes(&pair).iter().any(|it| it.contains("dev azure0") && it.contains("metric 100 ")
            || it.ends_with("metric 100"))
    );
    assert!(!routes(&pair).iter().any(|it| it.contains("metric 101")));
    run_ip(&pair, "route del 10.2.0.0/24 via 203.0.113.9 metric 200");
    run_ip(&pair, "route add 10.2.0.0/24 via 203.0.113.9 metric 300");
    pair.end(0, Signal::SIGTERM);
    let left = routes(&pair);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].starts_with("10.2.0.0/24 via 203.0.113.9 dev wan metric 300"), "{left:?}");
    assert_eq!(left[1], before[1], "{left:?}");
}

#[test]
fn what_the_router_itself_sends_has_an_address_of_the_site() {
    let Some(mut pair) = prepared("own-address") else { return };
    SIDES.into_iter().rev().for_each(|side| pair.launch(side));
    pair.wait(0, "up");
    let source = |pair: &Pair| {
        let chosen = || {
            let socket = UdpSocket::bind(("0.0.0.0", 0))?;
            socket.connect(("10.2.0.10", 9))?;
            Ok(socket.local_addr()?.ip().to_string())
        };
        pair.lab.gateways[0].run(chosen).unwrap()
    };
    assert_eq!(source(&pair), "10.1.0.1");
    // The address goes, and the kernel removes the route with it; another comes later.
    let prefix = |last| AddressPrefix { address: [10, 1, 0, last].into(), length: 24 };
    let change = |from: Option<u8>, to: Option<u8>| {
        let work = || {
            let netlink = Netlink::open()?;
            from.map_or(Ok(()), |last| netlink.delete_address("lan", prefix(last)))?;
            to.map_or(Ok(()), |last| netlink.add_address("lan", prefix(last)))
        };
        pair.lab.gateways[0].run(work).unwrap();
    };
    let until = |expected: &str| {
        pair.wait_for(0, expected, |_| {
            routes(&pair).iter().any(|it| it.contains("azure0")) && source(&pair) == expected
        });
    };
    change(Some(1), None);
    until("203.0.113.1");
    change(None, Some(7));
    until("10.1.0.7");
    // Both within one tick: the route is gone, its source the same.
    change(Some(7), Some(7));
    until("10.1.0.7");
}
