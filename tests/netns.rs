//! End to end through real devices and sockets, in network namespaces. Needs root; says so and passes where it is not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod lab;

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use s2sd::crypto::suite::{Aead, AesKey, EspProtection, Integ, Protection};
use s2sd::sys::netlink::{Netlink, Prefix};
use s2sd::sys::socket::Batching;
use s2sd::sys::tun::Offloads;
use s2sd::wire::ip::Version;

use lab::traffic::{flood, round_trips_over, transfer};
use lab::{GCM256, Lab, SIDES, Setup, Tunnel};

/// Both families, both directions, small and large: whatever carries packets must pass this.
fn passes(lab: &Lab, setup: Setup) {
    let tunnel = Tunnel::start(lab, setup);
    for version in [Version::V4, Version::V6] {
        for from in SIDES {
            transfer(lab, from, version, 8 << 20).unwrap();
        }
        for len in [1, 64, 1352 - 40] {
            let trips = round_trips_over(lab, 20, version, len);
            assert_eq!(
                trips.len(),
                20,
                "{setup:?}: {len} bytes over {version:?}: {}",
                tunnel.drops()
            );
        }
    }
    settle(&tunnel.current);
    for side in SIDES {
        let (sa, counters) = (&tunnel.current[side], tunnel.lanes[side].counters());
        let (sent, received) = (sa.outbound.counters.packets(), sa.inbound.counters.packets());
        assert_eq!(sent, received, "{setup:?}: {}", tunnel.drops());
        assert_eq!(sa.outbound.counters.bytes(), sa.inbound.counters.bytes());
        assert_eq!(sa.outbound.hold().spent(), sent, "each number went into a packet");
        assert_eq!(sa.inbound.hold().top(), sent, "and the last arrived");
        let joined = counters.egress.joined.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            joined > 0,
            setup.batching.gso && setup.udp && setup.offloads.tcp,
            "{setup:?}: GSO was used"
        );
    }
}

#[test]
fn every_way_to_carry_packets_carries_them() {
    let Some(lab) = Lab::build() else { return };
    let base = Setup::default();
    let cbc = EspProtection::Encrypted(Protection::Cbc(AesKey::Bits256, Integ::HmacSha2_256_128));
    let chacha = EspProtection::Encrypted(Protection::Aead(Aead::ChaCha20Poly1305));
    let setups = [
        base,
        Setup { esn: true, ..base },
        Setup { protection: cbc, ..base },
        Setup { protection: chacha, ..base },
        Setup { udp: false, ..base },
        Setup { udp: false, outer: Version::V6, protection: cbc, ..base },
        Setup { outer: Version::V6, ..base },
        Setup { batching: Batching { gso: false, gro: true }, ..base },
        Setup { batching: Batching { gso: true, gro: false }, ..base },
        Setup { offloads: Offloads { tcp: true, udp: false }, ..base },
        Setup { offloads: Offloads::NONE, batching: Batching { gso: false, gro: false }, ..base },
    ];
    for setup in setups {
        passes(&lab, setup);
    }
}

/// Packets that the kernel dropped before a tunnel device, at a link or in front of a receiver.
fn kernel_drops(lab: &Lab) -> usize {
    let mut drops = 0;
    for namespace in lab.hosts.iter().chain(&lab.gateways) {
        let read = |file: &str| {
            namespace
                .run(|| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")))
                .unwrap()
        };
        for line in read("dev").lines().filter_map(|line| line.split_once(':')) {
            let columns: Vec<usize> =
                line.1.split_whitespace().map(|text| text.parse().unwrap()).collect();
            drops += columns[3] + columns[11];
        }
        let snmp = read("snmp");
        let mut udp = snmp.lines().filter(|line| line.starts_with("Udp:"));
        let (names, values) = (udp.next().unwrap(), udp.next().unwrap());
        let errors =
            names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "RcvbufErrors");
        drops += errors.unwrap().1.parse::<usize>().unwrap();
    }
    drops
}

/// Waits until what was sent has arrived: the last acknowledgements of a stream are on their way when it ends.
fn settle(directions: &[lab::Direction]) {
    for _ in 0..200 {
        let open =
            |sa: &lab::Direction| sa.outbound.counters.packets() != sa.inbound.counters.packets();
        if !directions.iter().any(open) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn rekeys_under_load_lose_and_double_nothing() {
    let Some(lab) = Lab::build() else { return };
    let mut tunnel = Tunnel::start(&lab, Setup::default());
    let done = std::sync::atomic::AtomicBool::new(false);
    let seconds =
        std::env::var("S2SD_REKEY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (mut sent, mut received, mut rekeys) = (0, 0, 0);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let flood = flood(&lab, 0, 512, 20_000, Duration::from_secs(seconds), true);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            flood
        });
        let stream = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                transfer(&lab, 1, Version::V4, 16 << 20).unwrap();
            }
        });
        let mut draining: Option<Vec<lab::Direction>> = None;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            let old = tunnel.rekey();
            rekeys += 1;
            for old in draining.replace(old).iter().inspect(|old| tunnel.forget(old)).flatten() {
                sent += old.outbound.counters.packets();
                received += old.inbound.counters.packets();
            }
        }
        stream.join().unwrap();
        settle(&tunnel.current);
        for old in draining.iter().flatten().chain(&tunnel.current) {
            sent += old.outbound.counters.packets();
            received += old.inbound.counters.packets();
        }
        let flood = load.join().unwrap();
        // On a busy machine the kernel drops what waits too long in front of a device or socket, with or without rekeys.
        let kernel = kernel_drops(&lab);
        println!(
            "{rekeys} rekeys, {flood:?}, {kernel} dropped by the kernel, ESP packets {sent} sent, {received} received"
        );
        assert_eq!(flood.doubled, 0);
        assert!(flood.received + kernel >= flood.sent, "{}", tunnel.drops());
        assert!(rekeys >= seconds * 8);
    });
    assert_eq!(sent, received, "{}", tunnel.drops());
}

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_tunnels_forward_together_in_bounded_memory() {
    const TUNNELS: u8 = 100;
    let Some(lab) = Lab::build() else { return };
    let address = |side: usize, i: u8| IpAddr::from([10, [1, 2][side], 0, 100 + i]);
    for side in SIDES {
        lab.hosts[side]
            .run(|| {
                let netlink = Netlink::open()?;
                (0..TUNNELS).try_for_each(|i| {
                    netlink.add_address("lan", Prefix { address: address(side, i), length: 32 })
                })
            })
            .unwrap();
    }
    let before = resident();
    let tunnels: Vec<Tunnel> = (0..TUNNELS)
        .map(|i| {
            let routes = SIDES.map(|side| [Prefix { address: address(side, i), length: 32 }]);
            let setup = Setup { port: 4500 + u16::from(i), ..Setup::default() };
            Tunnel::start_named(&lab, setup, &format!("tun{i}"), &routes[0], &routes[1])
        })
        .collect();
    // All at once: each pair of hosts has datagrams on the way before the first is awaited.
    let socket = |side: usize, i: u8| {
        let socket = lab.hosts[side].run(|| UdpSocket::bind((address(side, i), 5000))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    };
    let pairs: Vec<_> = (0..TUNNELS).map(|i| (i, SIDES.map(|side| socket(side, i)))).collect();
    let rounds = 50u8;
    for round in 0..rounds {
        for (i, sockets) in &pairs {
            sockets[0].send_to(&[*i, round], (address(1, *i), 5000)).unwrap();
            sockets[1].send_to(&[*i, round], (address(0, *i), 5000)).unwrap();
        }
        for (i, sockets) in &pairs {
            for socket in sockets {
                let mut buffer = [0; 8];
                let got = socket.recv(&mut buffer).map(|len| buffer[..len].to_vec());
                assert_eq!(got.ok(), Some(vec![*i, round]), "{}", tunnels[usize::from(*i)].drops());
            }
        }
    }
    for tunnel in &tunnels {
        settle(&tunnel.current);
        for direction in &tunnel.current {
            // The devices' own IPv6 router solicitations travel too.
            let received = direction.inbound.counters.packets();
            assert!((u64::from(rounds)..u64::from(rounds) + 10).contains(&received), "{received}");
            assert_eq!(received, direction.outbound.counters.packets());
        }
    }
    let each = (resident() - before) / (usize::from(TUNNELS) * 2);
    println!("{each} KiB a lane");
    assert!(each < 1024, "{each} KiB a lane");
}

#[test]
fn a_path_that_shrinks_is_followed_without_fragments() {
    let Some(lab) = Lab::build() else { return };
    let tunnel = Tunnel::start(&lab, Setup { protection: GCM256, ..Setup::default() });
    transfer(&lab, 0, Version::V4, 1 << 20).unwrap();
    // 1338 bytes inside. (A path below 1342 cannot carry the 1280 that IPv6 is entitled to.)
    lab.set_wan_mtu(1400);
    // TCP on established routes learns from the ICMP that gateway A says inward.
    for version in [Version::V4, Version::V6] {
        for from in SIDES {
            let outcome = transfer(&lab, from, version, 1 << 20);
            assert!(
                outcome.is_ok(),
                "{outcome:?} from {from} over {version:?}: {}",
                tunnel.drops()
            );
        }
    }
    let replies: u64 = SIDES
        .map(|side| {
            tunnel.lanes[side].counters().replies.load(std::sync::atomic::Ordering::Relaxed)
        })
        .iter()
        .sum();
    assert!(replies > 0, "{}", tunnel.drops());
    for side in SIDES {
        let snmp = lab.gateways[side]
            .run(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))
            .unwrap();
        let mut lines = snmp.lines().filter(|line| line.starts_with("Ip:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let created =
            names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "FragCreates");
        assert_eq!(created, Some(("FragCreates", "0")), "no outer packet was fragmented");
    }
}
