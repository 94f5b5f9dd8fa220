//! What becomes of packets to the gateway's networks while no tunnel is up: a host's default route
//! leads to a provider, who would read them.
//!
//! ```text
//!   host A ── site's gateway ══ tunnel ══ gateway B ── host B, 10.2.0.10
//!                   │
//!                   └── provider, who has 10.2.0.10 too
//! ```

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Hop, Netlink};
use s2sd::wire::packet::ip::IpVersion;

use super::lab::pair::{PATIENCE, Pair};
use super::lab::traffic::clock;
use super::lab::{Lab, host};

const PORT: u16 = 7777;

/// Where a datagram from the site's host to the host behind the gateway ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Tunnel,
    Clear,
    Refused,
    Nowhere,
}

fn prefix(address: &str, length: u8) -> AddressPrefix {
    AddressPrefix { address: address.parse().unwrap(), length }
}

/// The provider of the site's gateway.
fn provider(lab: &Lab) -> Namespace {
    let provider = Namespace::create().unwrap();
    let site = || {
        let netlink = Netlink::open()?;
        netlink.add_veth("isp", "site", &provider)?;
        netlink.add_address("isp", prefix("198.51.100.1", 24))?;
        netlink.add_address("isp", prefix("fd99::1", 64))?;
        netlink.set_up("isp")
    };
    let there = || {
        let netlink = Netlink::open()?;
        netlink.set_up("lo")?;
        netlink.add_address("lo", prefix("10.2.0.10", 32))?;
        netlink.add_address("lo", prefix("fd02::10", 128))?;
        netlink.add_address("site", prefix("198.51.100.2", 24))?;
        netlink.add_address("site", prefix("fd99::2", 64))?;
        netlink.set_up("site")
    };
    let default = || {
        // Each refusal is told to the sender.
        fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0")?;
        fs::write("/proc/sys/net/ipv6/icmp/ratelimit", "0")?;
        let netlink = Netlink::open()?;
        netlink.add_route(prefix("0.0.0.0", 0), Hop::Via("198.51.100.2".parse().unwrap()))?;
        netlink.add_route(prefix("::", 0), Hop::Via("fd99::2".parse().unwrap()))
    };
    let gateway = &lab.gateways[0];
    gateway.run(site).and_then(|()| provider.run(there)).unwrap();
    gateway.run(default).unwrap();
    provider
}

/// A socket that hears of ICMP errors, and waits a little for datagrams.
fn socket(place: &Namespace, at: SocketAddr) -> UdpSocket {
    let socket = place.run(|| UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    match at.is_ipv4() {
        true => setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap(),
        false => setsockopt(&socket, sockopt::Ipv6RecvErr, &true).unwrap(),
    }
    socket
}

/// The way of datagrams to `to`, of which one may end in a tunnel, one at an outsider.
fn way(from: &Namespace, to: IpAddr, inside: Option<&Namespace>, outside: &Namespace) -> Way {
    let any = SocketAddr::new(if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, 0);
    let target = SocketAddr::new(to, PORT);
    let (inside, outside) = (inside.map(|place| socket(place, target)), socket(outside, target));
    let sender = socket(from, any);
    sender.connect(target).unwrap();
    let arrived = |at: &UdpSocket| at.recv(&mut [0; 8]).is_ok();
    let begin = clock();
    while begin.elapsed() < PATIENCE {
        let sent = sender.send(b"?");
        let is_refusal = |error: io::Error| {
            [libc::EHOSTUNREACH, libc::ENETUNREACH].map(Some).contains(&error.raw_os_error())
        };
        if sent.is_err_and(is_refusal) || sender.recv(&mut [0; 8]).is_err_and(is_refusal) {
            return Way::Refused;
        }
        if inside.as_ref().is_some_and(arrived) {
            return Way::Tunnel;
        }
        if arrived(&outside) {
            return Way::Clear;
        }
    }
    Way::Nowhere
}

#[test]
fn nothing_leaves_in_clear_while_no_tunnel_is_up() {
    let Some(mut pair) = Pair::start("clear") else { return };
    let provider = provider(&pair.lab);
    for side in [0, 1] {
        pair.edit(side, "[\"10.1.0.0/24\"]", "[\"10.1.0.0/24\", \"fd01::/64\"]");
        pair.edit(side, "[\"10.2.0.0/24\"]", "[\"10.2.0.0/24\", \"fd02::/64\"]");
        pair.obey(side, &["reload"]);
    }
    pair.wait(0, "up");
    pair.wait(1, "up");
    let goes = |pair: &Pair, expected: Way, when: &str| {
        for version in [IpVersion::V4, IpVersion::V6] {
            let hosts = &pair.lab.hosts;
            let way = way(&hosts[0], host(1, version), Some(&hosts[1]), &provider);
            assert_eq!(way, expected, "{version:?}, {when}: {}", pair.log(0));
        }
    };
    goes(&pair, Way::Tunnel, "up");
    pair.obey(0, &["down", "tunnel"]);
    pair.wait(0, "down");
    goes(&pair, Way::Refused, "down");
    pair.obey(0, &["up", "tunnel"]);
    pair.wait(0, "up");
    goes(&pair, Way::Tunnel, "up again");
    pair.end(0, Signal::SIGKILL);
    goes(&pair, Way::Refused, "killed");
    pair.end(1, Signal::SIGKILL);
    pair.launch(0);
    pair.wait(0, "connecting");
    goes(&pair, Way::Refused, "with a gateway that does not answer");
    pair.end(0, Signal::SIGTERM);
    goes(&pair, Way::Refused, "stopped");

    // Whoever changes the configuration while the service is stopped is not left with old routes.
    pair.edit(0, "[\"10.2.0.0/24\", \"fd02::/64\"]", "[\"10.9.0.0/24\"]");
    pair.launch(0);
    pair.wait(0, "connecting");
    goes(&pair, Way::Clear, "with other prefixes");
    pair.edit(0, "[\"10.9.0.0/24\"]", "[\"10.2.0.0/24\", \"fd02::/64\"]");
    pair.obey(0, &["reload"]);
    goes(&pair, Way::Refused, "with the old prefixes");
    let off = "[connection.tunnel]\nunreachable_routes = false\n[connection.certificate";
    pair.edit(0, "[connection.certificate", off);
    pair.obey(0, &["reload"]);
    goes(&pair, Way::Clear, "switched off");
}

/// The gateway is behind the default route, and has prefixes that hold its own address, while the
/// host looks whether packets came the way back (rp_filter).
#[test]
fn a_gateway_with_all_prefixes_stays_reachable_while_nothing_else_is() {
    let Some(mut pair) = Pair::start("clear-all") else { return };
    pair.end(0, Signal::SIGTERM);
    let outside: IpAddr = "192.0.2.55".parse().unwrap();
    let site = || {
        let netlink = Netlink::open()?;
        netlink.delete_address("wan", prefix("203.0.113.1", 24))?;
        netlink.add_address("wan", prefix("203.0.113.1", 32))?;
        netlink.add_route(prefix("0.0.0.0", 0), Hop::Device("wan"))?;
        fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "2")
    };
    pair.lab.gateways[0].run(site).unwrap();
    let beyond = || Netlink::open()?.add_address("lo", prefix("192.0.2.55", 32));
    pair.lab.gateways[1].run(beyond).unwrap();
    pair.edit(0, "[\"10.2.0.0/24\"]", "[\"0.0.0.0/0\"]");
    pair.launch(0);
    pair.wait(0, "up");
    let goes = |pair: &Pair, expected: Way, when: &str| {
        let way = way(&pair.lab.hosts[0], outside, None, &pair.lab.gateways[1]);
        assert_eq!(way, expected, "{when}: {}", pair.log(0));
    };
    pair.obey(0, &["down", "tunnel"]);
    pair.wait(0, "down");
    goes(&pair, Way::Refused, "down");
    pair.obey(0, &["up", "tunnel"]);
    pair.wait(0, "up");
    pair.end(0, Signal::SIGTERM);
    goes(&pair, Way::Refused, "stopped");
    pair.launch(0);
    pair.wait(0, "up");
    let off = "[connection.tunnel]\nunreachable_routes = false\n[connection.certificate";
    pair.edit(0, "[connection.certificate", off);
    pair.obey(0, &["reload"]);
    pair.end(0, Signal::SIGTERM);
    goes(&pair, Way::Clear, "switched off and stopped");
}
