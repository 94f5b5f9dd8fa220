//! The data plane's ways in: packet views, super-packets from the device, datagrams from the peer,
//! joining for the device.

use std::cell::RefCell;
use std::io::IoSlice;
use std::sync::Arc;

use s2sd::crypto::fake::null_cipher;
use s2sd::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Protection};
use s2sd::dataplane::coalesce::Coalescer;
use s2sd::dataplane::counters::DirectionCounters;
use s2sd::dataplane::ingress::{Ingress, IngressPort, SocketBatch};
use s2sd::dataplane::mtu::OuterHeaders;
use s2sd::dataplane::segment::Segments;
use s2sd::dataplane::{Change, Forwarding, InboundSa, LaneEvent, Rules};
use s2sd::esp::{Inbound, Limits, Replay};
use s2sd::sys::mmsg::Received;
use s2sd::sys::tun::Offloads;
use s2sd::time::Instant;
use s2sd::wire::packet::checksum::Sum;
use s2sd::wire::packet::datagram::Classified;
use s2sd::wire::packet::esp::{EspHeader, Trailer};
use s2sd::wire::packet::icmp::IcmpHeader;
use s2sd::wire::packet::ip::{IpHeader, IpVersion};
use s2sd::wire::packet::tcp::{TcpHeader, clamp_mss};
use s2sd::wire::packet::udp::UdpHeader;
use s2sd::wire::packet::vnet::VnetHeader;
use s2sd::wire::selector::Selector;
use s2sd::wire::selector::narrow::ChildSelectors;
use s2sd::wire::spi::EspSpi;

const SPI: EspSpi = EspSpi(0x100);

/// Every view of the bytes: none panics, none says more than there is.
pub fn packet_views(data: &[u8]) {
    if let Some(header) = IpHeader::parse(data) {
        assert!(header.header_len <= header.total_len && header.total_len <= data.len());
        let payload = header.payload(data).expect("within the packet");
        assert!(TcpHeader::parse(payload).is_none_or(|tcp| tcp.header_len <= payload.len()));
        assert!(UdpHeader::parse(payload).is_none_or(|udp| udp.length <= payload.len()));
        assert_eq!(IcmpHeader::parse(payload).is_some(), payload.len() >= 2);
        let before = Sum::default().with(payload).finish();
        let mut clamped = payload.to_vec();
        if clamp_mss(&mut clamped, 1000) && before == 0 {
            // 0 and 0xffff are the same sum (RFC 1624 §3).
            assert!([0, u16::MAX].contains(&Sum::default().with(&clamped).finish()));
        }
    }
    assert!(Trailer::parse(data).is_none_or(|trailer| trailer.payload_len + 2 <= data.len()));
    match Classified::classify(data) {
        Classified::Esp(packet) => assert!(EspHeader::parse(packet).is_some()),
        Classified::Ike(message) => assert_eq!(message.len() + 4, data.len()),
        Classified::Keepalive => assert_eq!(data, [0xff]),
        Classified::Runt => assert!(data.len() < 8),
    }
}

/// A frame from the device: whatever it is divided into is whole packets with right checksums and
/// all of the payload.
pub fn packet_split(data: &[u8]) {
    let packets = split(&mut data.to_vec());
    let Some((frame, packet)) = VnetHeader::parse(&mut data.to_vec()).map(|(f, p)| (f, p.to_vec()))
    else {
        return assert!(packets.is_empty());
    };
    if packets.len() < 2 {
        return;
    }
    let whole = IpHeader::parse(&packet).expect("it was divided");
    let mut payload = 0;
    for packet in &packets {
        let header = IpHeader::parse(packet).expect("a packet");
        assert_eq!((header.total_len, header.header_len), (packet.len(), whole.header_len));
        let data = header.payload(packet).expect("a payload");
        assert_eq!(header.pseudo(data.len()).with(data).finish(), 0, "transport checksum");
        let headers = packet.len() - data.len() + transport_len(&header, data);
        assert!(packet.len() - headers <= usize::from(frame.segment));
        payload += packet.len() - headers;
    }
    let data = whole.payload(&packet).expect("a payload");
    assert_eq!(payload, data.len() - transport_len(&whole, data), "all of it, once");
}

fn transport_len(header: &IpHeader, data: &[u8]) -> usize {
    if header.protocol == 6 { TcpHeader::parse(data).expect("TCP").header_len } else { 8 }
}

fn split(frame: &mut [u8]) -> Vec<Vec<u8>> {
    let Some((header, packet)) = VnetHeader::parse(frame) else { return vec![] };
    let Some(ip) = IpHeader::parse(packet) else { return vec![] };
    let Some(segments) = Segments::of(&header, &ip, packet) else { return vec![] };
    let write = |index| {
        let mut out = vec![0; segments.len(index)];
        segments.write(packet, index, &mut out);
        out
    };
    (0..segments.count()).map(write).collect()
}

/// Packets, each behind two bytes of length, joined for the device and divided again: every one
/// comes back, once, in the order of its flow, and unchanged but for identifications that nobody
/// may look at.
pub fn packet_join(data: &[u8]) {
    let (mut arena, mut packets, mut rest) = (Vec::new(), Vec::new(), data);
    while let Some(([high, low], tail)) = rest.split_first_chunk() {
        let (packet, after) =
            tail.split_at(tail.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        rest = after;
        if let Some(header) = IpHeader::parse(packet) {
            packets.push((arena.len(), header));
            arena.extend_from_slice(&packet[..header.total_len]);
        }
    }
    let mut before: Vec<Vec<u8>> = packets
        .iter()
        .map(|(start, header)| normal(&arena[*start..start + header.total_len]))
        .collect();
    let mut coalescer = Coalescer::new(true, true, 16);
    packets.iter().for_each(|(start, header)| coalescer.push(&arena, *start, header));
    let mut after = Vec::new();
    coalescer.drain(&mut arena, |parts, count| {
        let mut frame: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let packets = match count {
            1 => vec![frame[10..].to_vec()],
            _ => split(&mut frame),
        };
        assert_eq!(packets.len(), count);
        after.extend(packets.iter().map(|packet| normal(packet)));
    });
    // Flows may overtake each other, packets of one flow may not: a stable sort by flow compares
    // just that.
    before.sort_by_key(|packet| flow(packet));
    after.sort_by_key(|packet| flow(packet));
    assert_eq!(before, after);
}

/// A packet without the fields that mean nothing where "don't fragment" is set (RFC 6864 §4.1).
fn normal(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fn flow(packet: &[u8]) -> Vec<u8> {
    let header = IpHeader::parse(packet).expect("it was one before");
    match header.version {
        IpVersion::V4 => [&packet[9..10], &packet[12..packet.len().min(24)]].concat(),
        IpVersion::V6 => [&packet[6..7], &packet[8..packet.len().min(44)]].concat(),
    }
}

/// Datagrams from the peer, each behind two bytes of length, on an SA whose cipher lets everything
/// through: what is delivered is sound IP inside the selectors, and a number is taken once.
pub fn packet_ingress(data: &[u8]) {
    thread_local! {
        static INGRESS: RefCell<Ingress> = RefCell::new(Ingress::new(Offloads::NONE));
    }
    let tables = tables();
    let mut delivered = Delivered::default();
    INGRESS.with_borrow_mut(|ingress| {
        let mut rest = data;
        while let Some(([high, low], tail)) = rest.split_first_chunk() {
            let (datagram, after) =
                tail.split_at(tail.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
            rest = after;
            ingress.arena()[..datagram.len()].copy_from_slice(datagram);
            let received = [Received {
                start: 0,
                len: datagram.len(),
                segment: datagram.len(),
                tos: *low & 3,
            }];
            ingress.process(
                &tables.current(),
                SocketBatch { received: &received, in_udp: true },
                1500,
                Instant(1),
                &DirectionCounters::default(),
                &mut delivered,
            );
        }
    });
    let sa = &tables.current().inbound[0];
    assert_eq!(sa.counters.packets(), delivered.packets);
    assert!(sa.hold().packets() >= delivered.packets);
}

#[derive(Default)]
struct Delivered {
    packets: u64,
}

impl IngressPort for Delivered {
    fn deliver(&mut self, frame: &[IoSlice<'_>]) -> bool {
        let frame: Vec<u8> = frame.iter().flat_map(|part| part.to_vec()).collect();
        let header = IpHeader::parse(&frame[10..]).expect("sound IP");
        assert_eq!(header.total_len + 10, frame.len());
        assert!(header.source.is_ipv4(), "the selectors are IPv4");
        self.packets += 1;
        true
    }

    fn tell(&mut self, _: LaneEvent) -> bool {
        true
    }
}

fn tables() -> Forwarding {
    let protection = EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    let (_, open) = null_cipher(&EspSuite { protection, group: None, esn: false });
    let all = || std::iter::once("0.0.0.0/0".parse::<Selector>().expect("a prefix")).collect();
    let selectors = ChildSelectors { local: all(), remote: all() };
    let inbound = Inbound::new(SPI, open, Replay::new(64), false, Limits::UNBOUNDED);
    let forwarding = Forwarding::new(Rules {
        encapsulation: OuterHeaders { version: IpVersion::V4, udp: true },
        outer_mtu: 1500,
        inner_mtu: 1400,
        mss: 1350,
        copy_dscp: false,
    });
    forwarding.apply([Change::AddInbound(Arc::new(InboundSa::new(inbound, selectors)))]);
    forwarding
}
