//! Egress and ingress without descriptors: what a super-packet costs from the device's frame to
//! sealed runs, and from received messages to the device's frame, with the real cipher and with
//! none. Asserts that a batch allocates nothing.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and what fails must be seen"
)]

mod meter;

use std::alloc::System;
use std::cell::RefCell;
use std::io::IoSlice;
use std::sync::Arc;

use s2sd::crypto::keymat::EspKeys;
use s2sd::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Protection};
use s2sd::crypto::{Provider, Secret, Standard, fake};
use s2sd::dataplane::counters::DirectionCounters;
use s2sd::dataplane::egress::{Egress, EgressPort};
use s2sd::dataplane::ingress::{Ingress, IngressPort, SocketBatch};
use s2sd::dataplane::mtu::OuterHeaders;
use s2sd::dataplane::{Change, Forwarding, InboundSa, LaneEvent, OutboundSa, Rules};
use s2sd::esp::{Inbound, Lease, Limits, Outbound, PacketTally, Replay};
use s2sd::sys::mmsg::{Received, Run};
use s2sd::sys::tun::Offloads;
use s2sd::time::Instant;
use s2sd::wire::packet::ip::IpVersion;
use s2sd::wire::packet::vnet::{Gso, VnetHeader};
use s2sd::wire::selector::Selector;
use s2sd::wire::selector::narrow::ChildSelectors;
use s2sd::wire::spi::EspSpi;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use meter::{contest, time, turns};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Instant = Instant(1);

fn main() {
    let turns = turns(200);
    println!("nanoseconds a packet (Gbit/s of inner bytes on one core)");
    for (title, frames, count, bytes) in [
        ("TCP, 48 segments of 1,338 bytes", vec![tcp_frame(48 * 1338, 1338)], 48, 48 * 1390usize),
        ("UDP, 64 packets of 92 bytes", vec![udp_packet(64); 64], 64, 64 * 92),
        ("UDP, one packet of 92 bytes", vec![udp_packet(64)], 1, 92),
        ("UDP, 48 packets of 1,400 bytes", vec![udp_packet(1372); 48], 48, 48 * 1400),
    ] {
        for (cipher, null) in [("AES-256-GCM", false), ("null cipher", true)] {
            let [out, back] = measure(&frames, count, null, turns);
            let rate = |ns: f64| bytes as f64 * 8.0 / (ns * count as f64);
            println!(
                "{title:<34} {cipher:<12} egress {out:>7.1} ({:>5.1})  ingress {back:>7.1} ({:>5.1})",
                rate(out),
                rate(back)
            );
        }
    }
}

/// Keeps what egress sends, laid out as a peer would receive it.
struct Wire {
    arena: Vec<u8>,
    received: Vec<Received>,
    frames: usize,
}

impl EgressPort for Wire {
    fn send(&mut self, buffer: &[u8], runs: &[Run], _: &mut PacketTally) {
        for run in runs {
            let start = self.received.len() * Ingress::SLOT;
            self.arena[start..start + run.len]
                .copy_from_slice(&buffer[run.start..run.start + run.len]);
            self.received.push(Received {
                start,
                len: run.len,
                segment: run.segment,
                tos: run.tos,
            });
        }
    }

    fn reply(&mut self, _: &[u8]) {
        unreachable!("everything fits");
    }

    fn tell(&mut self, event: LaneEvent) -> bool {
        unreachable!("{event:?}");
    }
}

impl IngressPort for Wire {
    fn deliver(&mut self, _: &[IoSlice<'_>]) -> bool {
        self.frames += 1;
        true
    }

    fn tell(&mut self, _: LaneEvent) -> bool {
        true
    }
}

fn measure(frames: &[Vec<u8>], count: usize, null: bool, turns: usize) -> [f64; 2] {
    let forwarding = forwarding(null);
    let tables = forwarding.current();
    let (mut egress, ingress) = (Egress::default(), RefCell::new(Ingress::new(Offloads::ALL)));
    let numbers = [DirectionCounters::default(), DirectionCounters::default()];
    let arena = vec![0; Ingress::SLOTS * Ingress::SLOT];
    let wire = RefCell::new(Wire { arena, received: Vec::with_capacity(64), frames: 0 });
    let mut scratch = frames.to_vec();
    let allocated = RefCell::new([0; 2]);

    let mut out = || {
        let mut wire = wire.borrow_mut();
        wire.received.clear();
        scratch.clone_from_slice(frames);
        let region = Region::new(ALLOCATOR);
        let elapsed = time(|| {
            let mut batch = egress.begin(&tables, 1500, true, NOW);
            scratch.iter_mut().for_each(|frame| batch.push(frame, &mut *wire));
            batch.finish(&numbers[0], &mut *wire);
        });
        allocated.borrow_mut()[0] = region.change().allocations;
        elapsed
    };
    let mut back = || {
        let (mut ingress, mut wire) = (ingress.borrow_mut(), wire.borrow_mut());
        let Wire { arena, received, .. } = &mut *wire;
        let received = received.clone();
        ingress.arena().copy_from_slice(arena);
        let batch = SocketBatch { received: &received, in_udp: true };
        let region = Region::new(ALLOCATOR);
        let elapsed = time(|| ingress.process(&tables, batch, 1500, NOW, &numbers[1], &mut *wire));
        allocated.borrow_mut()[1] = region.change().allocations;
        elapsed
    };
    let times = contest(turns, count, &mut [&mut out, &mut back]);
    assert_eq!(*allocated.borrow(), [0, 0], "a batch allocates nothing");
    let packets = tables.inbound[0].counters.packets();
    assert_eq!(packets, (turns * count) as u64, "every packet went all the way");
    times.try_into().unwrap()
}

fn forwarding(null: bool) -> Forwarding {
    let protection = EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    let suite = EspSuite { protection, group: None, esn: false };
    let keys = EspKeys { encryption: Secret::copy_of(&[7; 36]), integrity: Secret::copy_of(&[]) };
    let (seal, open) = match null {
        true => fake::null_cipher(&suite),
        false => {
            let provider = Standard::default();
            (
                provider.esp_seal_key(&suite, &keys).unwrap(),
                provider.esp_open_key(&suite, &keys).unwrap(),
            )
        }
    };
    let all = || std::iter::once("0.0.0.0/0".parse::<Selector>().unwrap()).collect();
    let selectors = ChildSelectors { local: all(), remote: all() };
    let outbound = Outbound::new(EspSpi(256), seal, Lease::ephemeral(false), Limits::UNBOUNDED);
    let inbound = Inbound::new(EspSpi(256), open, Replay::new(8192), false, Limits::UNBOUNDED);
    let forwarding = Forwarding::new(Rules {
        encapsulation: OuterHeaders { version: IpVersion::V4, udp: true },
        outer_mtu: 1500,
        inner_mtu: 1400,
        mss: 1350,
        copy_dscp: false,
    });
    forwarding.apply([
        Change::AddInbound(Arc::new(InboundSa::new(inbound, selectors.clone()))),
        Change::UseOutbound(Arc::new(OutboundSa::new(outbound, selectors))),
    ]);
    forwarding
}

/// A TCP super-packet with timestamps, as the kernel hands it over.
fn tcp_frame(payload: usize, segment: u16) -> Vec<u8> {
    let frame = VnetHeader { checksum: None, gso: Gso::Tcp4, segment, header_len: 52 };
    let mut bytes = [&frame.to_bytes()[..], &ipv4(6, 32 + payload)].concat();
    bytes[30..62].copy_from_slice(&[
        0x1f, 0x90, 0, 80, 0, 0, 0, 1, 0, 0, 0, 9, 0x80, 0x10, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 1, 2,
        3, 4, 5, 6, 7, 8,
    ]);
    bytes
}

fn udp_packet(payload: usize) -> Vec<u8> {
    let mut bytes = [&VnetHeader::default().to_bytes()[..], &ipv4(17, 8 + payload)].concat();
    let len = u16::try_from(8 + payload).unwrap().to_be_bytes();
    bytes[30..36].copy_from_slice(&[0x1f, 0x90, 0, 53, len[0], len[1]]);
    let header = s2sd::wire::packet::ip::IpHeader::parse(&bytes[10..]).unwrap();
    let checksum = header.pseudo(8 + payload).with(&bytes[30..]).finish_udp();
    bytes[36..38].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn ipv4(protocol: u8, payload: usize) -> Vec<u8> {
    let len = u16::try_from(20 + payload).unwrap().to_be_bytes();
    let header =
        [0x45, 0, len[0], len[1], 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 1, 0, 10, 10, 2, 0, 10];
    let mut packet = [&header[..], &vec![0x5a; payload]].concat();
    s2sd::wire::packet::ip::complete_v4_checksum(&mut packet, 20);
    packet
}
