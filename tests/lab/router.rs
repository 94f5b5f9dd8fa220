//! A router between the gateways, which is where a path is narrower than both links.
//!
//! ```text
//! gateway A ══ router ══ gateway B
//!         1500       narrow
//! ```

use std::net::IpAddr;

use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Hop, Netlink};
use s2sd::wire::packet::ip::IpVersion;

use super::{Lab, SIDES, address, gateway};

const VERSIONS: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

/// The addresses of a side's link to the router: the gateway's, then the router's.
fn link(side: usize, version: IpVersion) -> [IpAddr; 2] {
    let texts = match version {
        IpVersion::V4 => [["198.51.100.1", "198.51.100.2"], ["198.51.100.5", "198.51.100.6"]],
        IpVersion::V6 => [["fd0a::1", "fd0a::2"], ["fd0b::1", "fd0b::2"]],
    };
    texts[side].map(address)
}

fn prefix(address: IpAddr, [v4, v6]: [u8; 2]) -> AddressPrefix {
    AddressPrefix { address, length: if address.is_ipv4() { v4 } else { v6 } }
}

impl Lab {
    /// Puts a router between the gateways. Its link to gateway B takes packets of `mtu` bytes.
    pub fn put_router(&self, mtu: u16) -> Namespace {
        self.gateways[0].run(|| Netlink::open()?.delete_link("wan")).unwrap();
        let router = Namespace::create().unwrap();
        for (side, name) in [(0, "left"), (1, "right")] {
            let far = &self.gateways[side];
            router.run(|| Netlink::open()?.add_veth(name, "wan", far)).unwrap();
            far.run(|| {
                let netlink = Netlink::open()?;
                for version in VERSIONS {
                    let [here, _] = link(side, version);
                    netlink.add_address("wan", prefix(gateway(side, version), [32, 128]))?;
                    netlink.add_address("wan", prefix(here, [30, 64]))?;
                }
                netlink.set_up("wan")
            })
            .unwrap();
        }
        router
            .run(|| {
                let netlink = Netlink::open()?;
                for (file, text) in [
                    ("ipv4/ip_forward", "1"),
                    ("ipv6/conf/all/forwarding", "1"),
                    // An error for each packet: the tests do not wait for the next one.
                    ("ipv4/icmp_ratelimit", "0"),
                    ("ipv6/icmp/ratelimit", "0"),
                ] {
                    std::fs::write(format!("/proc/sys/net/{file}"), text)?;
                }
                for (side, name) in [(0, "left"), (1, "right")] {
                    for version in VERSIONS {
                        netlink.add_address(name, prefix(link(side, version)[1], [30, 64]))?;
                    }
                    netlink.set_up(name)?;
                }
                netlink.set_mtu("right", mtu)
            })
            .unwrap();
        self.gateways[1].run(|| Netlink::open()?.set_mtu("wan", mtu)).unwrap();
        for side in SIDES {
            for version in VERSIONS {
                let [here, there] = link(side, version);
                let far = prefix(gateway(1 - side, version), [32, 128]);
                let near = prefix(gateway(side, version), [32, 128]);
                self.gateways[side]
                    .run(|| Netlink::open()?.add_route(far, Hop::Via(there)))
                    .unwrap();
                router.run(|| Netlink::open()?.add_route(near, Hop::Via(here))).unwrap();
            }
        }
        router
    }
}
