//! Two gateways without descriptors: frames into one, frames out of the other, and every packet
//! accounted for.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use super::counters::DirectionCounters;
use super::egress::{Egress, EgressPort};
use super::ingress::{Ingress, IngressPort, SocketBatch};
use super::mtu::OuterHeaders;
use super::*;
use crate::crypto::keymat::EspKeys;
use crate::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Protection};
use crate::crypto::{Provider, Secret, Standard};
use crate::esp::{DropReason, Inbound, Lease, Limits, Outbound, PacketTally, Quota, Replay};
use crate::sys::mmsg::{Received, Run};
use crate::sys::tun::Offloads;
use crate::time::Instant;
use crate::wire::packet::checksum::Sum;
use crate::wire::packet::ip::{IpHeader, IpVersion, Ipv4Fields, TCP, UDP, complete_v4_checksum};
use crate::wire::packet::tcp::{ACK, CWR, FIN, PSH, SYN, TcpHeader};
use crate::wire::packet::vnet::{Checksum, Gso, VnetHeader};
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::selector::set::SelectorSet;
use crate::wire::spi::EspSpi;

const NOW: Instant = Instant(1_000_000_000);
const SPI: EspSpi = EspSpi(0x1000);
const RULES: Rules = Rules {
    encapsulation: OuterHeaders { version: IpVersion::V4, udp: true },
    outer_mtu: 1500,
    inner_mtu: 1400,
    mss: 1350,
    copy_dscp: false,
};

fn ranges(texts: &[&str]) -> SelectorSet {
    texts.iter().map(|text| text.parse::<Selector>().unwrap()).collect()
}

fn everything() -> ChildSelectors {
    ChildSelectors { local: ranges(&["0.0.0.0/0", "::/0"]), remote: ranges(&["0.0.0.0/0", "::/0"]) }
}

fn suite() -> (EspSuite, EspKeys) {
    let protection = EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    let keys = EspKeys { encryption: Secret::copy_of(&[7; 36]), integrity: Secret::copy_of(&[]) };
    (EspSuite { protection, group: None, esn: false }, keys)
}

fn outbound(spi: EspSpi, selectors: ChildSelectors, limits: Limits) -> Arc<OutboundSa> {
    let (suite, keys) = suite();
    let key = Standard::default().esp_seal_key(&suite, &keys).unwrap();
    Arc::new(OutboundSa::new(Outbound::new(spi, key, Lease::ephemeral(false), limits), selectors))
}

fn inbound(spi: EspSpi, selectors: ChildSelectors, limits: Limits) -> Arc<InboundSa> {
    let (suite, keys) = suite();
    let key = Standard::default().esp_open_key(&suite, &keys).unwrap();
    Arc::new(InboundSa::new(Inbound::new(spi, key, Replay::new(8192), false, limits), selectors))
}

/// One gateway, and what came out of it.
struct TestGateway {
    forwarding: Forwarding,
    egress: Egress,
    ingress: Ingress,
    numbers: [DirectionCounters; 2],
    out: Outlet,
    path: usize,
}

#[derive(Default)]
struct Outlet {
    /// Datagrams to the peer, with their TOS bytes, in runs as sent.
    sent: Vec<(u8, Vec<Vec<u8>>)>,
    /// Frames to the device.
    frames: Vec<Vec<u8>>,
    replies: Vec<Vec<u8>>,
    events: Vec<LaneEvent>,
    /// Whether control has no room for an event.
    is_full: bool,
}

impl EgressPort for Outlet {
    fn send(&mut self, buffer: &[u8], runs: &[Run], _: &mut PacketTally) {
        for run in runs {
            let singles = run.singles().map(|run| buffer[run.start..run.start + run.len].to_vec());
            self.sent.push((run.tos, singles.collect()));
        }
    }

    fn reply(&mut self, packet: &[u8]) {
        self.replies.push(packet.to_vec());
    }

    fn tell(&mut self, event: LaneEvent) -> bool {
        self.events.push(event);
        !self.is_full
    }
}

impl IngressPort for Outlet {
    fn deliver(&mut self, frame: &[IoSlice<'_>]) -> bool {
        self.frames.push(frame.iter().flat_map(|part| part.to_vec()).collect());
        true
    }

    fn tell(&mut self, event: LaneEvent) -> bool {
        self.events.push(event);
        !self.is_full
    }
}

impl TestGateway {
    fn new(changes: impl IntoIterator<Item = Change>) -> TestGateway {
        let forwarding = Forwarding::new(RULES);
        forwarding.apply(changes);
        TestGateway {
            forwarding,
            egress: Egress::default(),
            ingress: Ingress::new(Offloads::ALL),
            numbers: Default::default(),
            out: Outlet::default(),
            path: 1500,
        }
    }

    /// Sends frames from the device as one batch.
    fn push(&mut self, frames: &[Vec<u8>]) {
        let tables = self.forwarding.current();
        let mut batch = self.egress.begin(&tables, 1500, true, NOW);
        for frame in frames {
            batch.push(&mut frame.clone(), &mut self.out);
        }
        batch.finish(&self.numbers[0], &mut self.out);
    }

    /// Receives messages, each of equal datagrams and a shorter last, as GRO would join them.
    fn pull(&mut self, messages: &[(u8, Vec<Vec<u8>>)]) {
        let tables = self.forwarding.current();
        for some in messages.chunks(Ingress::SLOTS) {
            let mut received = Vec::new();
            for ((tos, datagrams), slot) in
                some.iter().zip(self.ingress.arena().chunks_mut(Ingress::SLOT))
            {
                let bytes = datagrams.concat();
                slot[..bytes.len()].copy_from_slice(&bytes);
                let start = received.len() * Ingress::SLOT;
                received.push(Received {
                    start,
                    len: bytes.len(),
                    segment: datagrams[0].len(),
                    tos: *tos,
                });
            }
            self.ingress.process(
                &tables,
                SocketBatch { received: &received, in_udp: tables.rules.encapsulation.udp },
                self.path,
                NOW,
                &self.numbers[1],
                &mut self.out,
            );
        }
    }

    fn stray(&self, way: usize, reason: DropReason) -> u64 {
        self.numbers[way].stray.drops(reason)
    }
}

/// Two gateways with one SA from the first to the second.
fn gateways() -> (TestGateway, TestGateway, Arc<OutboundSa>, Arc<InboundSa>) {
    let (to, from) = (
        outbound(SPI, everything(), Limits::UNBOUNDED),
        inbound(SPI, everything(), Limits::UNBOUNDED),
    );
    let first = TestGateway::new([Change::UseOutbound(to.clone())]);
    let second = TestGateway::new([Change::AddInbound(from.clone())]);
    (first, second, to, from)
}

/// An IP header of either family in front of a transport packet, checksums complete.
fn packet(version: IpVersion, protocol: u8, tos: u8, mut transport: Vec<u8>) -> Vec<u8> {
    let mut packet = match version {
        IpVersion::V4 => {
            let len = u16::try_from(20 + transport.len()).unwrap().to_be_bytes();
            vec![
                0x45, tos, len[0], len[1], 0xab, 0xcd, 0x40, 0, 63, protocol, 0, 0, 10, 1, 0, 10,
                10, 2, 0, 10,
            ]
        }
        IpVersion::V6 => {
            let len = u16::try_from(transport.len()).unwrap().to_be_bytes();
            let mut header = vec![0x60 | tos >> 4, tos << 4, 0, 7, len[0], len[1], protocol, 63];
            header.extend([0xfd; 16]);
            header.extend([0xfc; 16]);
            header
        }
    };
    crate::wire::packet::ip::complete_v4_checksum(
        &mut packet,
        if version == IpVersion::V4 { 20 } else { 0 },
    );
    let at = match protocol {
        TCP => Some(16),
        UDP => Some(6),
        _ => None,
    };
    let head = packet.len();
    packet.append(&mut transport);
    let header = IpHeader::parse(&packet).unwrap();
    if let Some(at) = at {
        let sum = header.pseudo(packet.len() - head).with(&packet[head..]).finish();
        packet[head + at..head + at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn tcp(sequence: u32, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x1f, 0x90, 0, 80];
    segment.extend(sequence.to_be_bytes());
    segment.extend([
        0,
        0,
        0,
        9,
        u8::try_from((20 + options.len()) / 4).unwrap() << 4,
        flags,
        1,
        0,
        0,
        0,
        0,
        0,
    ]);
    segment.extend(options);
    segment.extend(payload);
    segment
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&[0x1f, 0x90, 0, 53, len[0], len[1], 0, 0][..], payload].concat()
}

/// A frame of one complete packet.
fn single(packet: &[u8]) -> Vec<u8> {
    [&VnetHeader::default().to_bytes()[..], packet].concat()
}

/// A super-packet as the kernel hands it over: the checksum is only the pseudo-header's.
fn super_frame(gso: Gso, segment: u16, mut packet: Vec<u8>) -> Vec<u8> {
    let header = IpHeader::parse(&packet).unwrap();
    let offset = if header.protocol == TCP { 16 } else { 6 };
    let at = header.header_len + offset;
    let pseudo = header.pseudo(header.total_len - header.header_len).partial();
    packet[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
    let start = u16::try_from(header.header_len).unwrap();
    let checksum = Some(Checksum { start, offset: u16::try_from(offset).unwrap() });
    let frame = VnetHeader { checksum, gso, segment, header_len: 0 };
    [&frame.to_bytes()[..], &packet].concat()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251).to_le_bytes()[0]).collect()
}

/// Checks all checksums of a complete packet and gives its header.
fn sound(packet: &[u8]) -> IpHeader {
    let header = IpHeader::parse(packet).unwrap();
    assert_eq!(header.total_len, packet.len());
    if header.version == IpVersion::V4 {
        assert_eq!(Sum::default().with(&packet[..header.header_len]).finish(), 0, "IP checksum");
    }
    let data = header.payload(packet).unwrap();
    assert_eq!(header.pseudo(data.len()).with(data).finish(), 0, "transport checksum");
    header
}

#[test]
fn a_super_packet_travels_whole_and_arrives_whole() {
    for (version, gso) in [(IpVersion::V4, Gso::Tcp4), (IpVersion::V6, Gso::Tcp6)] {
        let (mut first, mut second, to, from) = gateways();
        let payload = bytes(50_000);
        let original = packet(
            version,
            TCP,
            2,
            tcp(u32::MAX - 5000, ACK | PSH, &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], &payload),
        );
        first.push(&[super_frame(gso, 1328, original.clone())]);
        let count = payload.len().div_ceil(1328);
        assert_eq!(first.out.sent.iter().map(|(_, run)| run.len()).sum::<usize>(), count);
        assert!(first.out.sent.iter().all(|(tos, _)| *tos == 2), "ECN is copied outward");
        second.pull(&first.out.sent);
        let [frame] = &second.out.frames[..] else { panic!("{} frames", second.out.frames.len()) };
        let expected = super_frame(gso, 1328, original);
        let (got_header, got) =
            VnetHeader::parse(&mut frame.clone()).map(|(h, p)| (h, p.to_vec())).unwrap();
        let (want_header, want) =
            VnetHeader::parse(&mut expected.clone()).map(|(h, p)| (h, p.to_vec())).unwrap();
        assert_eq!(VnetHeader { header_len: 0, ..got_header }, want_header);
        assert_eq!(got, want);
        assert_eq!((to.counters.packets(), from.counters.packets()), (count as u64, count as u64));
        assert_eq!(to.counters.bytes(), from.counters.bytes());
        assert_eq!(second.out.events, [LaneEvent::FirstPacket(SPI)]);
    }
}

#[test]
fn each_segment_is_what_its_sender_would_have_sent() {
    let (mut first, mut second, ..) = gateways();
    second.ingress = Ingress::new(Offloads::NONE);
    let original =
        packet(IpVersion::V4, TCP, 0, tcp(1000, ACK | PSH | FIN | CWR, &[], &bytes(3000)));
    first.push(&[super_frame(Gso::Tcp4, 1300, original)]);
    second.pull(&first.out.sent);
    let expected = [
        (1000, ACK | CWR, 1300, 0xabcd),
        (2300, ACK, 1300, 0xabce),
        (3600, ACK | PSH | FIN, 400, 0xabcf),
    ];
    assert_eq!(second.out.frames.len(), expected.len());
    for (frame, (sequence, flags, len, id)) in second.out.frames.iter().zip(expected) {
        let packet = &frame[10..];
        let segment = TcpHeader::parse(sound(packet).payload(packet).unwrap()).unwrap();
        assert_eq!((segment.sequence, segment.flags, packet.len() - 40), (sequence, flags, len));
        assert_eq!(u16::from_be_bytes([packet[4], packet[5]]), id);
    }
}

#[test]
fn datagrams_are_divided_and_joined_too() {
    for version in [IpVersion::V4, IpVersion::V6] {
        let (mut first, mut second, ..) = gateways();
        let original = packet(version, UDP, 0, udp(&bytes(5 * 1000 + 10)));
        first.push(&[super_frame(Gso::Udp, 1000, original.clone())]);
        assert_eq!(first.out.sent.iter().map(|(_, run)| run.len()).sum::<usize>(), 6);
        second.pull(&first.out.sent);
        assert_eq!(second.out.frames.len(), 1);
        let expected = super_frame(Gso::Udp, 1000, original);
        assert_eq!(second.out.frames[0][10..], expected[10..]);
    }
}

#[test]
fn only_what_continues_a_flow_joins_it() {
    let data = |sequence, flags, len: usize| {
        packet(IpVersion::V4, TCP, 0, tcp(sequence, flags, &[], &bytes(len)))
    };
    let mut wrong_sum = data(100, ACK, 100);
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut other_ttl = data(100, ACK, 100);
    other_ttl[8] -= 1;
    crate::wire::packet::ip::complete_v4_checksum(&mut other_ttl, 20);
    let mut wrong_head = data(100, ACK, 100);
    wrong_head[10] ^= 1;
    // Two words of "no operation" between the IP and the TCP header.
    let mut optioned = data(100, ACK, 100);
    optioned.splice(20..20, [1; 8]);
    optioned[0] = 0x47;
    optioned[3] += 8;
    crate::wire::packet::ip::complete_v4_checksum(&mut optioned, 28);
    let cases: [(&str, Vec<Vec<u8>>, usize); 13] = [
        ("a wrong IP checksum", vec![data(0, ACK, 100), wrong_head], 2),
        ("IP options between", vec![data(0, ACK, 100), optioned, data(100, ACK, 100)], 3),
        ("in sequence", vec![data(0, ACK, 100), data(100, ACK, 100), data(200, ACK, 50)], 1),
        ("a gap", vec![data(0, ACK, 100), data(101, ACK, 100)], 2),
        ("after a short one", vec![data(0, ACK, 100), data(100, ACK, 50), data(150, ACK, 50)], 2),
        ("after PSH", vec![data(0, ACK | PSH, 100), data(100, ACK, 100)], 2),
        ("PSH ends", vec![data(0, ACK, 100), data(100, ACK | PSH, 100), data(200, ACK, 100)], 2),
        ("longer than the first", vec![data(0, ACK, 100), data(100, ACK, 101)], 2),
        ("FIN", vec![data(0, ACK, 100), data(100, ACK | FIN, 100)], 2),
        ("a wrong checksum", vec![data(0, ACK, 100), wrong_sum], 2),
        ("another TTL", vec![data(0, ACK, 100), other_ttl], 2),
        ("no payload", vec![data(0, ACK, 100), data(100, ACK, 0), data(100, ACK, 100)], 3),
        (
            "another option",
            vec![
                data(0, ACK, 100),
                packet(IpVersion::V4, TCP, 0, tcp(100, ACK, &[1, 1, 1, 1], &bytes(100))),
            ],
            2,
        ),
    ];
    for (what, packets, frames) in cases {
        let (mut first, mut second, ..) = gateways();
        first.push(&packets.iter().map(|packet| single(packet)).collect::<Vec<_>>());
        second.pull(&first.out.sent);
        assert_eq!(second.out.frames.len(), frames, "{what}");
        if frames == packets.len() {
            let got: Vec<_> = second.out.frames.iter().map(|frame| frame[10..].to_vec()).collect();
            assert_eq!(got, packets, "{what}: untouched and in order");
        }
    }
}

/// A datagram may be empty, and may carry no checksum: neither joins another, and none is lost.
#[test]
fn datagrams_that_join_nothing_arrive_as_they_were() {
    let data = |len: usize| packet(IpVersion::V4, UDP, 0, udp(&bytes(len)));
    let mut unsummed = data(100);
    unsummed[26..28].fill(0);
    let cases = [
        ("empty after a full one", vec![data(100), data(0), data(100)]),
        ("empty ones", vec![data(0), data(0), data(0)]),
        ("without checksum", vec![data(100), unsummed.clone(), data(100)]),
        ("without checksum first", vec![unsummed, data(100)]),
    ];
    for (what, packets) in cases {
        let (mut first, mut second, ..) = gateways();
        first.push(&packets.iter().map(|packet| single(packet)).collect::<Vec<_>>());
        second.pull(&first.out.sent);
        let got: Vec<_> = second.out.frames.iter().map(|frame| frame[10..].to_vec()).collect();
        assert_eq!(got, packets, "{what}");
    }
}

#[test]
fn a_packet_without_an_sa_is_dropped_and_wanted() {
    let mut gateway = TestGateway::new([]);
    let data = packet(IpVersion::V4, TCP, 0, tcp(0, ACK, &[], &bytes(3000)));
    gateway.push(&[super_frame(Gso::Tcp4, 1000, data)]);
    assert_eq!(gateway.stray(0, DropReason::NoSa), 3);
    let [LaneEvent::Wanted(tuple)] = &gateway.out.events[..] else {
        panic!("{:?}", gateway.out.events)
    };
    assert_eq!((tuple.source_port, tuple.destination_port), (Some(8080), Some(80)));
    assert!(gateway.out.sent.is_empty());
}

/// RFC 4301 §7.1, §7.3: a later fragment has no ports. It passes where all ports do, and neither
/// way where the selectors name some.
#[test]
fn a_later_fragment_has_no_ports() {
    let later = |mut packet: Vec<u8>| {
        let mut fields = Ipv4Fields::of(&mut packet).unwrap();
        fields.set_checksum(0);
        packet[6..8].copy_from_slice(&[0x20, 0x10]);
        complete_v4_checksum(&mut packet, 20);
        packet
    };
    let whole = packet(IpVersion::V4, TCP, 0, tcp(0, ACK, &[], b"x"));
    let fragment = later(whole.clone());
    let selectors = |ports: &str| ChildSelectors {
        local: ranges(&["10.1.0.0/24"]),
        remote: ranges(&[&format!("10.2.0.0/24{ports}")]),
    };
    for (ports, passes) in [("", true), ("[tcp]", true), ("[tcp/80]", false)] {
        let narrow = selectors(ports);
        let mirrored =
            ChildSelectors { local: narrow.remote.clone(), remote: narrow.local.clone() };
        let mut first =
            TestGateway::new([Change::UseOutbound(outbound(SPI, narrow, Limits::UNBOUNDED))]);
        first.push(&[single(&whole), single(&fragment)]);
        assert_eq!(first.stray(0, DropReason::NoSa), u64::from(!passes), "{ports}");
        let (mut first, ..) = gateways();
        let from = inbound(SPI, mirrored, Limits::UNBOUNDED);
        let mut second = TestGateway::new([Change::AddInbound(from.clone())]);
        first.push(&[single(&whole), single(&fragment)]);
        second.pull(&first.out.sent);
        let dropped = from.counters.drops(DropReason::BadSelector);
        assert_eq!(
            (from.counters.packets(), dropped),
            match passes {
                true => (2, 0),
                false => (1, 1),
            }
        );
    }
}

#[test]
fn selectors_hold_both_ways() {
    let narrow = ChildSelectors {
        local: ranges(&["10.1.0.0/24"]),
        remote: ranges(&["10.2.0.0/24[tcp/80]"]),
    };
    let mirrored = ChildSelectors { local: narrow.remote.clone(), remote: narrow.local.clone() };
    let good = packet(IpVersion::V4, TCP, 0, tcp(0, ACK, &[], b"x"));
    let bad = packet(IpVersion::V4, UDP, 0, udp(b"x"));
    let mut first =
        TestGateway::new([Change::UseOutbound(outbound(SPI, narrow, Limits::UNBOUNDED))]);
    first.push(&[single(&good), single(&bad)]);
    assert_eq!((first.out.sent.len(), first.stray(0, DropReason::NoSa)), (1, 1));
    // A peer that sends everything meets the same selectors at the receiver.
    let (mut first, ..) = gateways();
    let from = inbound(SPI, mirrored, Limits::UNBOUNDED);
    let mut second = TestGateway::new([Change::AddInbound(from.clone())]);
    first.push(&[
        single(&good),
        single(&bad),
        single(&packet(IpVersion::V6, TCP, 0, tcp(0, ACK, &[], b"x"))),
    ]);
    second.pull(&first.out.sent);
    assert_eq!(second.out.frames, [single(&good)]);
    assert_eq!((from.counters.packets(), from.counters.drops(DropReason::BadSelector)), (1, 2));
}

#[test]
fn a_peer_sends_from_its_networks_to_ours_on_an_any_to_any_sa_too() {
    let range = |text: &str| {
        let (address, length) = text.split_once('/').unwrap();
        AddressRange::prefix(address.parse().unwrap(), length.parse().unwrap()).unwrap()
    };
    let networks = InnerNetworks::new(
        vec![range("10.1.0.0/24"), range("fd00::/8"), range("fe80::/10")],
        vec![range("10.2.0.0/24"), range("fc00::/8"), range("ff00::/8")],
    );
    let (_, mut second, to, from) = gateways();
    second.forwarding.apply([Change::SetNetworks(Arc::new(networks))]);
    let good = packet(IpVersion::V4, TCP, 0, tcp(0, ACK, &[], b"x"));
    let at = |octets: std::ops::Range<usize>, value: &[u8], packet: &[u8]| {
        let mut packet = packet.to_vec();
        packet[octets].copy_from_slice(value);
        crate::wire::packet::ip::complete_v4_checksum(&mut packet, 20);
        packet
    };
    let icmp = |kind: u8| packet(IpVersion::V4, 1, 0, vec![kind, 0, 0, 0, 0, 0, 0, 0]);
    let icmp6 = |kind: u8| packet(IpVersion::V6, 58, 0, vec![kind, 0, 0, 0, 0, 0, 0, 0]);
    let passing = [good.clone(), icmp(8), icmp6(128)];
    let refused = [
        at(12..16, &[10, 2, 0, 7], &good),
        at(12..16, &[169, 254, 1, 1], &good),
        at(16..20, &[10, 1, 0, 10], &good),
        at(16..20, &[224, 0, 0, 5], &good),
        // Redirect, Router Advertisement, ICMPv6 Redirect: between addresses that may pass.
        icmp(5),
        icmp6(134),
        icmp6(137),
    ];
    // A peer of another make, which looks at nothing. A good packet before each: what passed is no
    // excuse for what follows.
    let before_each = refused.iter().flat_map(|bad| [&passing[0], bad]);
    let each = before_each.chain(&passing).map(|packet| (0, vec![sealed(&to, packet)]));
    second.pull(&each.collect::<Vec<_>>());
    let drops = |reason| from.counters.drops(reason);
    assert_eq!(drops(DropReason::BadSource), 2);
    assert_eq!(drops(DropReason::BadDestination), 2);
    assert_eq!(drops(DropReason::LinkControl), 3);
    assert_eq!(from.counters.packets(), (refused.len() + passing.len()) as u64);
}

/// A packet in ESP, past all that egress looks at.
fn sealed(sa: &OutboundSa, packet: &[u8]) -> Vec<u8> {
    let mut outbound = sa.hold();
    let version = IpHeader::parse(packet).unwrap().version;
    let mut numbers = outbound.reserve(1, packet.len() as u64, NOW).unwrap();
    let (lead, mut room) = (outbound.lead(), vec![0; outbound.packet_len(packet.len())]);
    room[lead..lead + packet.len()].copy_from_slice(packet);
    let number = numbers.next().unwrap();
    assert!(outbound.seal(number, &mut room, packet.len(), version.next_header()));
    room
}

#[test]
fn what_the_kernel_says_to_a_link_never_enters_a_tunnel_unless_its_address_is_configured() {
    let moved = |octets: std::ops::Range<usize>, value: &[u8], packet: &[u8]| {
        let mut packet = packet.to_vec();
        packet[octets].copy_from_slice(value);
        packet
    };
    let v4 = packet(IpVersion::V4, UDP, 0, udp(b"x"));
    let v6 = packet(IpVersion::V6, UDP, 0, udp(b"x"));
    let all_routers = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let link = [
        moved(8..24, &[0; 16], &v6),
        moved(24..40, &all_routers, &v6),
        moved(16..20, &[224, 0, 0, 251], &v4),
        moved(16..20, &[255; 4], &v4),
        moved(12..16, &[169, 254, 7, 7], &v4),
        // Router Solicitation and Redirect, whatever their addresses.
        packet(IpVersion::V6, 58, 0, vec![133, 0, 0, 0, 0, 0, 0, 0]),
        packet(IpVersion::V4, 1, 0, vec![5, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let speaker = moved(12..16, &[169, 254, 21, 5], &v4);
    let (mut gateway, ..) = gateways();
    for packet in link.iter().chain([&speaker]) {
        gateway.push(&[single(packet)]);
    }
    assert_eq!(gateway.stray(0, DropReason::LinkOnly), link.len() as u64 + 1);
    assert!(gateway.out.sent.is_empty() && gateway.out.events.is_empty());
    // An address for BGP, which `addresses` of the tunnel has.
    let own = vec![AddressRange::host([169, 254, 21, 5].into())];
    let networks = Arc::new(InnerNetworks::new(vec![], own));
    gateway.forwarding.apply([Change::SetNetworks(networks)]);
    gateway.push(&[single(&speaker), single(&link[4]), single(&v4), single(&v6)]);
    assert_eq!(gateway.out.sent.iter().map(|(_, run)| run.len()).sum::<usize>(), 3);
}

#[test]
fn too_big_is_answered_inward_within_a_rate() {
    for version in [IpVersion::V4, IpVersion::V6] {
        let (mut first, _, to, _) = gateways();
        let big = packet(version, UDP, 0, udp(&bytes(1400)));
        first.push(&vec![single(&big); 100]);
        assert_eq!(to.counters.drops(DropReason::TooBig), 100);
        assert_eq!(first.out.replies.len(), 50, "the burst");
        let reply = &first.out.replies[0];
        let at = if version == IpVersion::V4 { 26 } else { 46 };
        assert_eq!(u16::from_be_bytes([reply[at], reply[at + 1]]), 1400);
        assert!(first.out.sent.is_empty());
        // What just fits goes.
        let headers = big.len() - 1400;
        first.push(&[single(&packet(version, UDP, 0, udp(&bytes(1400 - headers))))]);
        assert_eq!(first.out.sent.len(), 1);
    }
}

#[test]
fn a_narrow_path_lowers_what_fits() {
    // 1360 outer: 20 + 8 + 8 + 8 + 16 around, 2 of trailer, 4-byte steps: 1298 inside. Over a path
    // that has no room for 1280 inside, they go in fragments.
    for (path, most) in [(1360, 1298), (1342, 1280), (1300, 1280), (576, 1280)] {
        let (mut first, _, to, _) = gateways();
        let tables = first.forwarding.current();
        for (inner, fits) in [(most, true), (most + 1, false)] {
            let mut frame = single(&packet(IpVersion::V4, UDP, 0, udp(&bytes(inner - 28))));
            let mut batch = first.egress.begin(&tables, path, true, NOW);
            batch.push(&mut frame, &mut first.out);
            batch.finish(&first.numbers[0], &mut first.out);
            assert_eq!(to.counters.drops(DropReason::TooBig), u64::from(!fits), "{path} {inner}");
        }
        let told = u16::try_from(most).unwrap().to_be_bytes();
        assert_eq!(first.out.replies[0][26..28], told, "{path}: what is carried");
    }
}

#[test]
fn tcp_is_kept_to_what_crosses_a_narrow_path_in_one_piece() {
    let syn = single(&packet(IpVersion::V4, TCP, 0, tcp(0, SYN, &[2, 4, 0x05, 0xb4], &[])));
    let (mut first, mut second, ..) = gateways();
    let tables = first.forwarding.current();
    let mut batch = first.egress.begin(&tables, 1300, true, NOW);
    batch.push(&mut syn.clone(), &mut first.out);
    batch.finish(&first.numbers[0], &mut first.out);
    second.pull(&first.out.sent);
    assert_eq!(second.out.frames[0][10 + 42..][..2], 1198u16.to_be_bytes(), "outward");
    // The receiver's own path binds what its side sends back.
    let (mut first, mut second, to, _) = gateways();
    second.forwarding.apply([Change::UseOutbound(to)]);
    second.path = 1300;
    first.push(&[syn]);
    second.pull(&first.out.sent);
    assert_eq!(second.out.frames[0][10 + 42..][..2], 1198u16.to_be_bytes(), "inward");
}

/// Whoever has seen a packet can quote its number; a guess is as likely as one in 2^48.
#[test]
fn a_quote_of_a_packet_that_was_sent_lately_is_known() {
    let sa = outbound(SPI, everything(), Limits::UNBOUNDED);
    let tables = TestGateway::new([Change::UseOutbound(sa.clone())]).forwarding.current();
    let quote = |spi: u32, low: u32| [spi.to_be_bytes(), low.to_be_bytes()].concat();
    let has_sent = |low: u32| tables.has_sent(&quote(SPI.0, low));
    assert!(!has_sent(0) && !has_sent(1), "nothing was sent");
    sa.note_sent(3);
    assert_eq!([0, 1, 3, 4, u32::MAX].map(has_sent), [false, true, true, false, false]);
    assert!(!tables.has_sent(&quote(SPI.0 + 1, 3)), "another SPI");
    assert!(!tables.has_sent(&quote(SPI.0, 3)[..7]), "too short");
    // Beyond 32 bits, and around their end.
    sa.note_sent((5 << 32) + 10);
    let around = [10, 0, u32::MAX, 10u32.wrapping_sub(65_535), 10u32.wrapping_sub(65_536), 11];
    assert_eq!(around.map(has_sent), [true, true, true, true, false, false]);
    let limits = Limits::UNBOUNDED;
    let (suite, keys) = suite();
    let key = Standard::default().esp_seal_key(&suite, &keys).unwrap();
    let lease = Lease::new(77, false, Arc::new(AtomicU64::new(0)));
    let resumed = OutboundSa::new(Outbound::new(SPI, key, lease, limits), everything());
    let tables = TestGateway::new([Change::UseOutbound(Arc::new(resumed))]).forwarding.current();
    let has_sent = |low: u32| tables.has_sent(&quote(SPI.0, low));
    assert!(has_sent(76) && !has_sent(77), "after a restart too");
}

#[test]
fn segment_sizes_are_clamped_both_ways() {
    for version in [IpVersion::V4, IpVersion::V6] {
        let syn = packet(version, TCP, 0, tcp(0, SYN, &[2, 4, 0x05, 0xb4], &[]));
        let (mut first, mut second, ..) = gateways();
        first.push(&[single(&syn)]);
        second.pull(&first.out.sent);
        let limit: u16 = if version == IpVersion::V4 { 1350 } else { 1340 };
        let got = &second.out.frames[0][10..];
        let header = sound(got);
        assert_eq!(got[header.header_len + 22..][..2], limit.to_be_bytes());
    }
    // What a peer without a clamp sends is clamped by the receiver.
    let syn = packet(IpVersion::V4, TCP, 0, tcp(0, SYN, &[2, 4, 0x05, 0xb4], &[]));
    let (mut first, mut second, ..) = gateways();
    first.forwarding.apply([Change::SetRules(Rules { mss: u16::MAX, inner_mtu: 1446, ..RULES })]);
    first.push(&[single(&syn)]);
    second.pull(&first.out.sent);
    sound(&second.out.frames[0][10..]);
    assert_eq!(second.out.frames[0][10 + 42..][..2], 1350u16.to_be_bytes());
}

#[test]
fn congestion_marks_pass_inward() {
    let cases = [(0, 0, Some(0)), (2, 3, Some(3)), (1, 3, Some(3)), (0, 3, None), (3, 0, Some(3))];
    for (inner, outer, expected) in cases {
        let (mut first, mut second, _, from) = gateways();
        first.push(&[single(&packet(IpVersion::V4, UDP, 0xb8 | inner, udp(b"x")))]);
        second.pull(&[(outer, first.out.sent[0].1.clone())]);
        let got = second.out.frames.first().map(|frame| sound(&frame[10..]).tos);
        assert_eq!(got, expected.map(|ecn| 0xb8 | ecn), "{inner} in {outer}");
        assert_eq!(from.counters.drops(DropReason::CongestionLost), u64::from(expected.is_none()));
    }
}

#[test]
fn classes_show_outside_only_when_asked() {
    for (copy_dscp, expected) in [(false, 2), (true, 0xba)] {
        let (mut first, ..) = gateways();
        first.forwarding.apply([Change::SetRules(Rules { copy_dscp, ..RULES })]);
        first.push(&[single(&packet(IpVersion::V4, UDP, 0xba, udp(b"x")))]);
        assert_eq!(first.out.sent[0].0, expected);
    }
}

#[test]
fn whatever_else_comes_from_the_peer_is_sorted_out() {
    let (mut first, mut second, _, from) = gateways();
    first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(b"x")))]);
    let esp = first.out.sent[0].1[0].clone();
    let mut unknown = esp.clone();
    unknown[3] ^= 1;
    let told = LaneEvent::UnknownSpi(EspSpi(SPI.0 ^ 1), unknown.len());
    let datagrams = [
        vec![0, 0, 0, 0, 7, 7],
        vec![0xff],
        vec![1, 2, 3],
        vec![],
        unknown,
        esp.clone(),
        esp[..20].to_vec(),
        esp,
    ];
    second.pull(&datagrams.map(|datagram| (0, vec![datagram])));
    assert_eq!(second.out.frames.len(), 1);
    assert_eq!(second.out.events, [LaneEvent::Ike(vec![7, 7]), told, LaneEvent::FirstPacket(SPI)]);
    assert_eq!(second.stray(1, DropReason::Runt), 2);
    assert_eq!(second.stray(1, DropReason::UnknownSpi), 1);
    let drops: Vec<_> = from.counters.all_drops().collect();
    assert_eq!(
        drops,
        [(DropReason::Replayed, 2)],
        "a stump of a packet seen is a replay before it is a stump"
    );
}

#[test]
fn a_changed_bit_anywhere_has_no_effect_but_one_count() {
    // No single bit of this SPI makes it 0, which would be IKE's marker.
    let spi = EspSpi(0xc0de_cafe);
    let from = inbound(spi, everything(), Limits::UNBOUNDED);
    let to = outbound(spi, everything(), Limits::UNBOUNDED);
    let mut first = TestGateway::new([Change::UseOutbound(to)]);
    let mut second = TestGateway::new([Change::AddInbound(from.clone())]);
    // Number 3: with one bit changed it is never 0, which would be too old to be looked at.
    for text in [&b"first"[..], b"second", b"third"] {
        first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(text)))]);
    }
    let (tos, run) = first.out.sent[2].clone();
    for bit in 0..run[0].len() * 8 {
        let mut changed = run[0].clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        second.pull(&[(tos, vec![changed])]);
        let unknown = second.stray(1, DropReason::UnknownSpi);
        let failed = from.counters.drops(DropReason::AuthFailed);
        assert_eq!((unknown + failed, unknown), (bit as u64 + 1, (bit as u64 + 1).min(32)));
    }
    assert_eq!(
        (from.counters.all_drops().count(), second.numbers[1].stray.all_drops().count()),
        (1, 1)
    );
    // Of 32 unknown SPIs at once, control is told of one.
    assert!(matches!(second.out.events[..], [LaneEvent::UnknownSpi(..)]));
    assert!(second.out.frames.is_empty());
    assert_eq!((from.counters.packets(), from.hold().top()), (0, 0));
    second.pull(&[(tos, run)]);
    assert_eq!((second.out.frames.len(), from.hold().top()), (1, 3));
}

#[test]
fn limits_are_told_and_kept() {
    let limits = Limits {
        soft: Quota { packets: 2, ..Quota::UNBOUNDED },
        hard: Quota { packets: 4, ..Quota::UNBOUNDED },
    };
    let (to, from) = (outbound(SPI, everything(), limits), inbound(SPI, everything(), limits));
    let mut first = TestGateway::new([Change::UseOutbound(to.clone())]);
    let mut second = TestGateway::new([Change::AddInbound(from)]);
    for _ in 0..6 {
        first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(b"x")))]);
    }
    let told = [LaneEvent::OutboundAging(SPI), LaneEvent::OutboundExpired(SPI)];
    assert_eq!(first.out.events, told);
    assert_eq!(to.counters.drops(DropReason::Expired), 2);
    second.pull(&first.out.sent);
    let told =
        [LaneEvent::FirstPacket(SPI), LaneEvent::InboundAging(SPI), LaneEvent::InboundExpired(SPI)];
    assert_eq!(second.out.events, told);
}

/// What control did not hear of is told again: a rekey that nobody asks for would end the tunnel.
#[test]
fn limits_that_a_full_channel_lost_are_told_again() {
    let limits = Limits { soft: Quota { packets: 1, ..Quota::UNBOUNDED }, hard: Quota::UNBOUNDED };
    let (to, from) = (outbound(SPI, everything(), limits), inbound(SPI, everything(), limits));
    let mut first = TestGateway::new([Change::UseOutbound(to)]);
    let mut second = TestGateway::new([Change::AddInbound(from)]);
    (first.out.is_full, second.out.is_full) = (true, true);
    for _ in 0..2 {
        first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(b"x")))]);
        second.pull(&std::mem::take(&mut first.out.sent));
    }
    assert_eq!(first.out.events, vec![LaneEvent::OutboundAging(SPI); 2]);
    let aging = second.out.events.iter().filter(|e| **e == LaneEvent::InboundAging(SPI));
    assert_eq!(aging.count(), 2);
    (first.out.is_full, second.out.is_full) = (false, false);
    for _ in 0..2 {
        first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(b"x")))]);
        second.pull(&std::mem::take(&mut first.out.sent));
    }
    assert_eq!(first.out.events.len(), 3);
}

#[test]
fn a_rekey_between_any_two_packets_loses_and_doubles_nothing() {
    let new = EspSpi(0x2000);
    let (mut first, mut second, old_to, old_from) = gateways();
    second.ingress = Ingress::new(Offloads::NONE);
    let (to, from) = (
        outbound(new, everything(), Limits::UNBOUNDED),
        inbound(new, everything(), Limits::UNBOUNDED),
    );
    let send = |first: &mut TestGateway, i: u8| {
        first.push(&[single(&packet(IpVersion::V4, UDP, 0, udp(&[i])))])
    };
    send(&mut first, 0);
    second.forwarding.apply([Change::AddInbound(from.clone())]);
    send(&mut first, 1);
    first.forwarding.apply([Change::UseOutbound(to.clone())]);
    send(&mut first, 2);
    first.forwarding.apply([Change::RetireOutbound(SPI)]);
    send(&mut first, 3);
    // The path reorders: the old SA still drains while the new one is in use.
    first.out.sent.reverse();
    second.pull(&first.out.sent);
    second.forwarding.apply([Change::RemoveInbound(SPI)]);
    let mut got: Vec<_> = second.out.frames.iter().map(|frame| frame[10 + 28]).collect();
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3]);
    assert_eq!((old_to.counters.packets(), old_from.counters.packets()), (2, 2));
    assert_eq!((to.counters.packets(), from.counters.packets()), (2, 2));
    second.pull(&first.out.sent[2..]);
    assert_eq!(second.stray(1, DropReason::UnknownSpi), 2, "the old SA is gone");
}

#[test]
fn numbers_are_leased_from_the_ledger() {
    let ledger = Arc::new(AtomicU64::new(0));
    let (suite, keys) = suite();
    let key = Standard::default().esp_seal_key(&suite, &keys).unwrap();
    let lease = Lease::new(1, false, ledger.clone());
    let sa = OutboundSa::new(Outbound::new(SPI, key, lease, Limits::UNBOUNDED), everything());
    let mut first = TestGateway::new([Change::UseOutbound(Arc::new(sa))]);
    first.push(&[super_frame(
        Gso::Tcp4,
        1000,
        packet(IpVersion::V4, TCP, 0, tcp(0, ACK, &[], &bytes(30_000))),
    )]);
    assert!(ledger.load(Ordering::Acquire) > 30);
}

proptest! {
    /// Split then join gives the packets back, whatever their sizes, flags and families.
    #[test]
    fn split_then_join_is_identity(
        six: bool,
        datagrams: bool,
        segment in 100u16..1340,
        len in 1usize..60_000,
        sequence: u32,
        push: bool,
    ) {
        let version = if six { IpVersion::V6 } else { IpVersion::V4 };
        let limit = usize::from(segment) * 64;
        let payload = bytes(len.min(limit));
        let flags = if push { ACK | PSH } else { ACK };
        let (protocol, gso, transport) = match (datagrams, six) {
            (true, _) => (UDP, Gso::Udp, udp(&payload)),
            (false, false) => (TCP, Gso::Tcp4, tcp(sequence, flags, &[], &payload)),
            (false, true) => (TCP, Gso::Tcp6, tcp(sequence, flags, &[], &payload)),
        };
        let original = packet(version, protocol, 0, transport);
        let (mut first, mut second, ..) = gateways();
        first.push(&[super_frame(gso, segment, original.clone())]);
        second.pull(&first.out.sent);
        prop_assert_eq!(second.out.frames.len(), 1);
        let expected = match payload.len() > usize::from(segment) {
            true => super_frame(gso, segment, original),
            false => single(&original),
        };
        prop_assert_eq!(&second.out.frames[0][10..], &expected[10..]);
    }

    /// Packets of several flows, in any order, arrive each as sent or joined, in order within their
    /// flow.
    #[test]
    fn flows_keep_their_order(steps in vec((0u8..4, 1usize..4), 1..60)) {
        let (mut first, mut second, ..) = gateways();
        let mut next = [0u32; 4];
        let mut frames = Vec::new();
        for (flow, size) in steps {
            let at = usize::from(flow);
            let mut segment = tcp(next[at], ACK, &[], &bytes(size * 100));
            segment[1] = flow;
            next[at] += u32::try_from(size * 100).unwrap();
            frames.push(single(&packet(IpVersion::V4, TCP, 0, segment)));
        }
        first.push(&frames);
        second.pull(&first.out.sent);
        let mut got = [0u32; 4];
        for frame in &second.out.frames {
            let packet = &frame[10..];
            let header = IpHeader::parse(packet).unwrap();
            let segment = TcpHeader::parse(header.payload(packet).unwrap()).unwrap();
            let flow = usize::from(packet[21]);
            prop_assert_eq!(segment.sequence, got[flow]);
            got[flow] += u32::try_from(header.total_len - 40).unwrap();
        }
        prop_assert_eq!(got, next);
    }

    #[test]
    fn any_frame_is_survived(mut frame in vec(any::<u8>(), 0..300), gso in 0u8..6, ip: bool) {
        if let Some(kind) = frame.get_mut(1) {
            *kind = gso;
        }
        if let (true, Some(first)) = (ip, frame.get_mut(10)) {
            *first = 0x45;
        }
        let (mut first, ..) = gateways();
        first.push(&[frame]);
    }

    #[test]
    fn any_datagram_is_survived(datagram in vec(any::<u8>(), 0..300), known: bool) {
        let (_, mut second, _, from) = gateways();
        let mut datagram = datagram;
        if let (true, Some(spi)) = (known, datagram.first_chunk_mut()) {
            *spi = SPI.0.to_be_bytes();
        }
        second.pull(&[(0, vec![datagram])]);
        prop_assert_eq!(from.counters.packets(), 0);
    }
}

#[test]
fn ranges_of_one_family_do_not_let_the_other_through() {
    let v4 = ChildSelectors { local: ranges(&["0.0.0.0/0"]), remote: ranges(&["0.0.0.0/0"]) };
    assert!(v4.local.covers_selector(&Selector::addresses(
        AddressRange::prefix([0, 0, 0, 0].into(), 0).unwrap()
    )));
    let mut first = TestGateway::new([Change::UseOutbound(outbound(SPI, v4, Limits::UNBOUNDED))]);
    first.push(&[
        single(&packet(IpVersion::V6, UDP, 0, udp(b"x"))),
        single(&packet(IpVersion::V4, UDP, 0, udp(b"x"))),
    ]);
    assert_eq!((first.out.sent.len(), first.stray(0, DropReason::NoSa)), (1, 1));
}
