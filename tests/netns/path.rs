//! The path between the gateways: routers that tell of a narrow path, and others that lie.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s2sd::dataplane::{Lane, LaneEvent};
use s2sd::esp::DropReason;
use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::Netlink;
use s2sd::wire::packet::ip::IpVersion;

use crate::lab::forger::{Forger, Quote};
use crate::lab::traffic::{round_trips_over, transfer};
use crate::lab::{Lab, SIDES, Setup, Tunnel, gateway};
use crate::{snmp, until};

/// Every kind of outer packet.
fn setups() -> Vec<Setup> {
    let base = Setup::default();
    let of = |outer, udp| Setup { outer, udp, ..base };
    vec![base, of(IpVersion::V4, false), of(IpVersion::V6, true), of(IpVersion::V6, false)]
}

/// What a packet of gateway A's lane begins with; `number` is that of the packet.
fn esp(tunnel: &Tunnel, number: u64) -> [u8; 8] {
    let [a, b, c, d] = tunnel.current[0].spi.0.to_be_bytes();
    let [.., e, f, g, h] = number.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

fn quote(setup: Setup, esp: Option<[u8; 8]>) -> Quote {
    let [from, to] = SIDES.map(|side| gateway(side, setup.outer));
    Quote { from, to, udp: setup.udp.then_some(setup.port), esp }
}

fn drops(tunnel: &Tunnel, reason: DropReason) -> u64 {
    let (sa, lane) = (&tunnel.current[0].outbound.counters, tunnel.lanes[0].counters());
    sa.drops(reason) + lane.egress.stray.drops(reason)
}

/// ICMP errors of somebody who has not seen a packet: they quote addresses and ports alone, or an
/// SPI that is none, or a number long past. TCP goes on beside them at full size.
#[test]
fn an_icmp_error_of_somebody_who_saw_no_packet_changes_nothing() {
    let Some(lab) = Lab::build() else { return };
    for setup in setups() {
        let tunnel = Tunnel::start(&lab, setup);
        let v6 = matches!(gateway(0, setup.outer), IpAddr::V6(_));
        let forger = Forger::open(&lab.gateways[1], v6);
        transfer(&lab, 0, IpVersion::V4, 1 << 20).unwrap();
        let mut wrong = esp(&tunnel, tunnel.current[0].outbound.counters.packets());
        wrong[0] ^= 0x80;
        // A number that is far ahead, as one is that lies far back.
        let lies = [None, Some(wrong), Some(esp(&tunnel, 1 << 30)), Some([0; 8])];
        // Bare ESP is never quoted without its first 8 octets.
        let lies = &lies[usize::from(!setup.udp)..];
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for lie in lies {
                        forger.tell(552, quote(setup, *lie));
                    }
                    std::thread::yield_now();
                }
            });
            for version in [IpVersion::V4, IpVersion::V6] {
                for from in SIDES {
                    let outcome = transfer(&lab, from, version, 8 << 20);
                    assert!(outcome.is_ok(), "{setup:?}: {outcome:?}: {}", tunnel.drops());
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(drops(&tunnel, DropReason::TooBig), 0, "{setup:?}: {}", tunnel.drops());
        for reason in [DropReason::PathShrank, DropReason::SendFailed] {
            assert_eq!(drops(&tunnel, reason), 0, "{setup:?}: {}", tunnel.drops());
        }
    }
}

/// What control does when a lane says that its path changed.
fn follow(gateway: &Namespace, lane: &Lane) -> u16 {
    let mtu = u16::try_from(lane.follow_path_mtu().unwrap()).unwrap();
    gateway.run(|| Netlink::open()?.set_mtu("tun0", mtu)).unwrap();
    mtu
}

/// Runs `work` while control follows what both lanes say. What they said.
fn controlled(lab: &Lab, tunnel: &mut Tunnel, work: impl FnOnce(&Tunnel)) -> Vec<LaneEvent> {
    let (events, done) = (std::mem::take(&mut tunnel.events), AtomicBool::new(false));
    let tunnel = &*tunnel;
    std::thread::scope(|scope| {
        let (done, lanes) = (&done, &tunnel.lanes);
        let controls = events.into_iter().zip(SIDES).map(|(events, side)| {
            scope.spawn(move || {
                let mut heard = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let Ok(event) = events.recv_timeout(Duration::from_millis(20)) else {
                        continue;
                    };
                    if matches!(event, LaneEvent::PathMtu(_)) {
                        follow(&lab.gateways[side], &lanes[side]);
                    }
                    heard.push(event);
                }
                heard
            })
        });
        let controls: Vec<_> = controls.collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(tunnel)));
        done.store(true, Ordering::Relaxed);
        let heard = controls.into_iter().flat_map(|control| control.join().unwrap()).collect();
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
        heard
    })
}

fn transfers(lab: &Lab, tunnel: &Tunnel, len: usize) {
    for version in [IpVersion::V4, IpVersion::V6] {
        for from in SIDES {
            let outcome = transfer(lab, from, version, len);
            let what = || format!("{:?} over {version:?} from {from}", tunnel.setup);
            assert!(outcome.is_ok(), "{}: {outcome:?}: {}", what(), tunnel.drops());
        }
    }
}

/// One gateway learns of the narrow link from the router's errors, which quote what it sent, the
/// other from its own kernel.
#[test]
fn what_a_router_says_of_a_packet_that_was_sent_is_believed() {
    for setup in setups() {
        let Some(lab) = Lab::build() else { return };
        let _router = lab.put_router(1400);
        let mut tunnel = Tunnel::start(&lab, setup);
        let heard = controlled(&lab, &mut tunnel, |tunnel| {
            let paths = || SIDES.map(|side| tunnel.lanes[side].path_mtu());
            until("both sides to know the path", || {
                round_trips_over(&lab, 1, IpVersion::V4, 1372);
                paths() == [1400; 2]
            });
            transfers(&lab, tunnel, 1 << 20);
            // The kernel in front of the device fragments what allows it.
            for side in SIDES {
                let set = || std::fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1");
                lab.hosts[side].run(set).unwrap();
            }
            let trips = round_trips_over(&lab, 10, IpVersion::V4, 1372);
            assert_eq!(trips.len(), 10, "{setup:?}: {}", tunnel.drops());
        });
        let told = heard.iter().filter(|event| **event == LaneEvent::PathMtu(1400)).count();
        assert_eq!(told, 2, "{setup:?}: {heard:?}");
        for side in SIDES {
            let mtu = follow(&lab.gateways[side], &tunnel.lanes[side]);
            assert!((1280..1400).contains(&mtu), "{setup:?}: {mtu}");
        }
    }
}

/// IPv6 sends packets of 1280 over any path. Where their outer packets do not fit, those go in
/// fragments; TCP, which can, keeps to what needs none.
#[test]
fn packets_of_1280_cross_a_path_of_1280() {
    for setup in setups() {
        let Some(lab) = Lab::build() else { return };
        let _router = lab.put_router(1280);
        let mut tunnel = Tunnel::start(&lab, setup);
        controlled(&lab, &mut tunnel, |tunnel| {
            until("both sides to know the path", || {
                round_trips_over(&lab, 1, IpVersion::V4, 1372);
                SIDES.map(|side| tunnel.lanes[side].path_mtu()) == [1280; 2]
            });
            until("the fragments to be allowed", || {
                round_trips_over(&lab, 1, IpVersion::V6, 1280 - 48).len() == 1
            });
            for (version, headers) in [(IpVersion::V4, 28), (IpVersion::V6, 48)] {
                let trips = round_trips_over(&lab, 10, version, 1280 - headers);
                assert_eq!(trips.len(), 10, "{setup:?} over {version:?}: {}", tunnel.drops());
            }
            let fragments = |side: usize| snmp(&lab.gateways[side], "Ip:", "FragCreates");
            let before = SIDES.map(fragments);
            transfers(&lab, tunnel, 4 << 20);
            let made = fragments(1) - before[1];
            assert!(made < 100, "{setup:?}: TCP went in {made} fragments");
        });
        for side in SIDES {
            assert_eq!(follow(&lab.gateways[side], &tunnel.lanes[side]), 1280, "{setup:?}");
            assert!(tunnel.lanes[side].socket().gso() || !setup.udp, "{setup:?}");
        }
    }
}
