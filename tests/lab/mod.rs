//! Four network namespaces and two data planes, for tests and benches alike. Needs root, no
//! external tools; what it makes has no names in the system and ends with the process, whatever way
//! that ends.
//!
//! ```text
//! host A ── lan ── gateway A ══ wan ══ gateway B ── lan ── host B
//! 10.1.0.10        203.0.113.1        203.0.113.2        10.2.0.10
//! fd01::10         fd00::1            fd00::2            fd02::10
//! ```
#![allow(dead_code, missing_docs, reason = "each user takes its part")]
#![allow(clippy::unwrap_used, reason = "a lab that cannot be built says so and fails")]

pub mod ear;
pub mod forger;
pub mod pair;
pub mod router;
pub mod traffic;
pub mod wire;

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use s2sd::crypto::keymat::EspKeys;
use s2sd::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Protection};
use s2sd::crypto::{Provider, Secret, Standard};
use s2sd::dataplane::mtu::OuterHeaders;
use s2sd::dataplane::{
    Change, Forwarding, InboundSa, Lane, LaneEvent, LaneParts, OutboundSa, Rules,
};
use s2sd::esp::{Inbound, Lease, Limits, Outbound, Replay};
use s2sd::sys::esp_socket::{Batching, EspSocket};
use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Hop, Netlink};
use s2sd::sys::tun::{Offloads, Tun};
use s2sd::wire::packet::ip::IpVersion;
use s2sd::wire::selector::Selector;
use s2sd::wire::selector::narrow::ChildSelectors;
use s2sd::wire::spi::EspSpi;

pub const GCM256: EspProtection =
    EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));

/// The two sides.
pub const SIDES: [usize; 2] = [0, 1];

/// The namespaces, by side.
pub struct Lab {
    pub hosts: [Namespace; 2],
    pub gateways: [Namespace; 2],
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn host(side: usize, version: IpVersion) -> IpAddr {
    address(match version {
        IpVersion::V4 => ["10.1.0.10", "10.2.0.10"][side],
        IpVersion::V6 => ["fd01::10", "fd02::10"][side],
    })
}

pub fn gateway(side: usize, version: IpVersion) -> IpAddr {
    address(match version {
        IpVersion::V4 => ["203.0.113.1", "203.0.113.2"][side],
        IpVersion::V6 => ["fd00::1", "fd00::2"][side],
    })
}

fn lans(side: usize) -> [AddressPrefix; 2] {
    let v4 = AddressPrefix { address: address(["10.1.0.0", "10.2.0.0"][side]), length: 24 };
    [v4, AddressPrefix { address: address(["fd01::", "fd02::"][side]), length: 64 }]
}

impl Lab {
    /// The lab, or `None` with a reason printed where it may not be built.
    pub fn build() -> Option<Lab> {
        let namespaces: io::Result<Vec<Namespace>> = (0..4).map(|_| Namespace::create()).collect();
        let mut namespaces = match namespaces {
            Ok(namespaces) => namespaces.into_iter(),
            Err(error) => {
                skip(&format!("network namespaces: cannot be made here ({error}); run as root"));
                return None;
            }
        };
        let mut pair = || [namespaces.next().unwrap(), namespaces.next().unwrap()];
        let lab = Lab { hosts: pair(), gateways: pair() };
        let probe = lab.gateways[0].run(|| Tun::create("probe", Offloads::NONE).map(drop));
        if let Err(error) = probe {
            skip(&format!("no TUN device can be made here ({error})"));
            return None;
        }
        lab.wire();
        Some(lab)
    }

    fn wire(&self) {
        let [first, second] = &self.gateways;
        first.run(|| Netlink::open()?.add_veth("wan", "wan", second)).unwrap();
        for side in SIDES {
            let gateway = &self.gateways[side];
            self.hosts[side].run(|| Netlink::open()?.add_veth("lan", "lan", gateway)).unwrap();
        }
        for side in SIDES {
            self.hosts[side].run(|| set_up_host(side)).unwrap();
            self.gateways[side].run(|| set_up_gateway(side)).unwrap();
        }
    }

    /// Another handle to the same namespaces.
    pub fn share(&self) -> Lab {
        let share = |pair: &[Namespace; 2]| [0, 1].map(|side| pair[side].try_clone().unwrap());
        Lab { hosts: share(&self.hosts), gateways: share(&self.gateways) }
    }

    /// Routes without a tunnel: what the wire itself can do.
    pub fn route_plainly(&self) {
        for side in SIDES {
            self.gateways[side]
                .run(|| {
                    let netlink = Netlink::open()?;
                    for (lan, version) in
                        lans(1 - side).into_iter().zip([IpVersion::V4, IpVersion::V6])
                    {
                        netlink.add_route(lan, Hop::Via(gateway(1 - side, version)))?;
                    }
                    Ok(())
                })
                .unwrap();
        }
    }

    /// Sets the largest packet between the gateways.
    pub fn set_wan_mtu(&self, mtu: u16) {
        for side in SIDES {
            self.gateways[side].run(|| Netlink::open()?.set_mtu("wan", mtu)).unwrap();
        }
    }
}

/// Tells `tests/run` what was not tested: past the harness, which keeps what a passing test prints
/// with a macro, and on a line of its own, whatever dots are before it.
pub fn skip(reason: &str) {
    io::stderr().write_all(format!("\nSKIPPED {reason}\n").as_bytes()).unwrap();
}

fn set_up_host(side: usize) -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.set_up("lo")?;
    for (version, length, router) in
        [(IpVersion::V4, 24, ["10.1.0.1", "10.2.0.1"]), (IpVersion::V6, 64, ["fd01::1", "fd02::1"])]
    {
        netlink.add_address("lan", AddressPrefix { address: host(side, version), length })?;
        netlink.set_up("lan")?;
        let everything = if version == IpVersion::V4 { "0.0.0.0" } else { "::" };
        let default = AddressPrefix { address: address(everything), length: 0 };
        netlink.add_route(default, Hop::Via(address(router[side])))?;
    }
    Ok(())
}

fn set_up_gateway(side: usize) -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.set_up("lo")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    let routers = [["10.1.0.1", "10.2.0.1"], ["fd01::1", "fd02::1"]];
    for (version, length, router) in
        [(IpVersion::V4, 24, routers[0]), (IpVersion::V6, 64, routers[1])]
    {
        netlink.add_address("lan", AddressPrefix { address: address(router[side]), length })?;
        netlink.add_address("wan", AddressPrefix { address: gateway(side, version), length })?;
    }
    netlink.set_up("lan")?;
    netlink.set_up("wan")
}

/// What a tunnel is made with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub protection: EspProtection,
    pub esn: bool,
    pub outer: IpVersion,
    pub udp: bool,
    /// The side that sends ESP in the other form, if one does.
    pub otherwise: Option<usize>,
    pub offloads: Offloads,
    pub batching: Batching,
    /// A cipher that does nothing, to see what the rest costs.
    pub null: bool,
    pub port: u16,
    /// The time without a packet after which a NAT may forget a mapping.
    pub keepalive: Option<Duration>,
    pub cpus: Option<[[usize; 2]; 2]>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            protection: GCM256,
            esn: false,
            outer: IpVersion::V4,
            udp: true,
            otherwise: None,
            offloads: Offloads::ALL,
            batching: Batching { gso: true, gro: true },
            null: false,
            port: 4500,
            keepalive: None,
            cpus: None,
        }
    }
}

/// Two lanes with SAs between them, as IKE would have installed them.
pub struct Tunnel {
    pub setup: Setup,
    pub lanes: Vec<Lane>,
    pub forwarding: Vec<Forwarding>,
    pub events: Vec<Receiver<LaneEvent>>,
    /// What is in use, by sending side.
    pub current: Vec<Direction>,
}

/// One direction's SA, both halves.
#[derive(Clone)]
pub struct Direction {
    pub spi: EspSpi,
    pub outbound: Arc<OutboundSa>,
    pub inbound: Arc<InboundSa>,
}

impl Tunnel {
    pub fn start(lab: &Lab, setup: Setup) -> Tunnel {
        Tunnel::start_named(lab, setup, "tun0", &lans(0), &lans(1))
    }

    /// A tunnel over a device of its own, for the given ranges of each side.
    pub fn start_named(
        lab: &Lab,
        setup: Setup,
        name: &str,
        a: &[AddressPrefix],
        b: &[AddressPrefix],
    ) -> Tunnel {
        let rules = |udp| Rules {
            encapsulation: OuterHeaders { version: setup.outer, udp },
            outer_mtu: 1500,
            inner_mtu: 1400,
            mss: 1350,
            copy_dscp: false,
        };
        let mut tunnel =
            Tunnel { setup, lanes: vec![], forwarding: vec![], events: vec![], current: vec![] };
        for (side, routes) in [(0, b), (1, a)] {
            let udp = setup.udp != (setup.otherwise == Some(side));
            let forwarding = Forwarding::new(rules(udp));
            let (control, events) = sync_channel(64);
            let parts = lab.gateways[side].run(|| {
                let tun = Tun::create(name, setup.offloads)?;
                let netlink = Netlink::open()?;
                netlink.set_mtu(name, 1400)?;
                netlink.set_queue_len(name, 1000)?;
                netlink.set_up(name)?;
                for route in routes {
                    netlink.add_route(*route, Hop::Device(name))?;
                }
                let (here, there) = (gateway(side, setup.outer), gateway(1 - side, setup.outer));
                let socket = match udp {
                    true => EspSocket::udp(
                        SocketAddr::new(here, setup.port),
                        SocketAddr::new(there, setup.port),
                        setup.batching,
                    )?,
                    false => EspSocket::raw(here, there)?,
                };
                let other = socket.other_form(there, setup.port, setup.batching)?;
                let cpus = setup.cpus.map(|cpus| cpus[side]);
                Ok(LaneParts {
                    connection: "lab".into(),
                    name: name.into(),
                    tun,
                    socket,
                    other: Some(other),
                    forwarding: forwarding.clone(),
                    control,
                    keepalive: setup.keepalive,
                    cpus,
                })
            });
            tunnel.lanes.push(Lane::start(parts.unwrap()).unwrap());
            tunnel.forwarding.push(forwarding);
            tunnel.events.push(events);
        }
        tunnel.current = SIDES.map(|_| tunnel.direction()).to_vec();
        for side in SIDES {
            tunnel.forwarding[1 - side]
                .apply([Change::AddInbound(tunnel.current[side].inbound.clone())]);
            tunnel.forwarding[side]
                .apply([Change::UseOutbound(tunnel.current[side].outbound.clone())]);
        }
        tunnel
    }

    /// A fresh SA with keys of its own.
    pub fn direction(&self) -> Direction {
        static NEXT: AtomicU32 = AtomicU32::new(0x1000);
        let spi = EspSpi(NEXT.fetch_add(1, Ordering::Relaxed));
        let Setup { protection, esn, .. } = self.setup;
        let suite = EspSuite { protection, group: None, esn };
        let key = |len: usize, salt: u32| {
            Secret::copy_of(
                &(0..len)
                    .map(|i| (spi.0 ^ salt).to_le_bytes()[i % 4] ^ i.to_le_bytes()[0])
                    .collect::<Vec<_>>(),
            )
        };
        let keys = EspKeys {
            encryption: key(protection.encryption_key_len(), 0x5a5a),
            integrity: key(protection.integrity_key_len(), 0xa5a5),
        };
        let (seal, open) = match self.setup.null {
            true => s2sd::crypto::fake::null_cipher(&suite),
            false => {
                let provider = Standard::default();
                (
                    provider.esp_seal_key(&suite, &keys).unwrap(),
                    provider.esp_open_key(&suite, &keys).unwrap(),
                )
            }
        };
        let all = || {
            ["0.0.0.0/0", "::/0"]
                .map(|text| text.parse::<Selector>().unwrap())
                .into_iter()
                .collect()
        };
        let selectors = ChildSelectors { local: all(), remote: all() };
        let outbound = Outbound::new(spi, seal, Lease::ephemeral(esn), Limits::UNBOUNDED);
        let inbound =
            Inbound::new(spi, open, Replay::new(Replay::DEFAULT_WINDOW), esn, Limits::UNBOUNDED);
        Direction {
            spi,
            outbound: Arc::new(OutboundSa::new(outbound, selectors.clone())),
            inbound: Arc::new(InboundSa::new(inbound, selectors)),
        }
    }

    /// Replaces both SAs, make before break; the old ones go on draining until [`Tunnel::forget`].
    pub fn rekey(&mut self) -> Vec<Direction> {
        let new = SIDES.map(|_| self.direction()).to_vec();
        for side in SIDES {
            self.forwarding[1 - side].apply([Change::AddInbound(new[side].inbound.clone())]);
        }
        for side in SIDES {
            let retired = self.current[side].spi;
            self.forwarding[side].apply([
                Change::UseOutbound(new[side].outbound.clone()),
                Change::RetireOutbound(retired),
            ]);
        }
        std::mem::replace(&mut self.current, new)
    }

    /// Ends the draining of old SAs.
    pub fn forget(&self, old: &[Direction]) {
        for side in SIDES {
            self.forwarding[1 - side].apply([Change::RemoveInbound(old[side].spi)]);
        }
    }

    /// What was dropped, wherever it was counted, as text: empty when nothing was.
    pub fn drops(&self) -> String {
        let mut text = String::new();
        for side in SIDES {
            let counters = self.lanes[side].counters();
            let (sa_out, sa_in) =
                (&self.current[side].outbound.counters, &self.current[1 - side].inbound.counters);
            let all = [
                ("out", &counters.egress.stray),
                ("in", &counters.ingress.stray),
                ("sa out", sa_out),
                ("sa in", sa_in),
            ];
            for (way, counters) in all {
                for (reason, count) in counters.all_drops() {
                    text += &format!("side {side} {way}: {reason} {count}; ");
                }
            }
        }
        text
    }
}
