//! A second opinion on packets: what `pnet` reads in them is what we read, what it computes over
//! them is what we compute, and what we build is sound to it. Its parsers share neither code nor
//! authors with ours.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::Packet;
use pnet_packet::icmp::destination_unreachable::{
    DestinationUnreachablePacket, IcmpCodes::FragmentationRequiredAndDFFlagSet,
};
use pnet_packet::icmp::{self as their_icmp, IcmpPacket, IcmpTypes};
use pnet_packet::icmpv6::{self as their_icmpv6, Icmpv6Packet, Icmpv6Types};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self as their_ipv4, Ipv4Flags, Ipv4Packet, MutableIpv4Packet};
use pnet_packet::ipv6::{ExtensionPacket, FragmentPacket, Ipv6Packet, MutableIpv6Packet};
use pnet_packet::tcp::{self as their_tcp, MutableTcpPacket, TcpPacket};
use pnet_packet::udp::{self as their_udp, MutableUdpPacket, UdpPacket};
use proptest::collection::vec;
use proptest::prelude::*;

use s2sd::dataplane::icmp::{MAX_REPLY, too_big};
use s2sd::dataplane::segment::Segments;
use s2sd::wire::packet::checksum::Sum;
use s2sd::wire::packet::icmp::IcmpHeader;
use s2sd::wire::packet::ip::{
    ICMP, ICMPV6, IpFragment, IpHeader, IpVersion, TCP, UDP, V4_LEN, V6_LEN, complete_v4_checksum,
};
use s2sd::wire::packet::tcp::{TcpHeader, clamp_mss};
use s2sd::wire::packet::udp::UdpHeader;
use s2sd::wire::packet::vnet::{Gso, VnetHeader};

/// Both ends of a packet, in one family.
#[derive(Clone, Copy, Debug)]
enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    fn pseudo(self, protocol: u8, length: usize) -> Sum {
        match self {
            Ends::V4(source, destination) => Sum::pseudo_v4(source, destination, protocol, length),
            Ends::V6(source, destination) => Sum::pseudo_v6(source, destination, protocol, length),
        }
    }

    fn tcp(self, segment: &[u8]) -> u16 {
        let segment = TcpPacket::new(segment).unwrap();
        match self {
            Ends::V4(source, destination) => {
                their_tcp::ipv4_checksum(&segment, &source, &destination)
            }
            Ends::V6(source, destination) => {
                their_tcp::ipv6_checksum(&segment, &source, &destination)
            }
        }
    }

    fn udp(self, datagram: &[u8]) -> u16 {
        let datagram = UdpPacket::new(datagram).unwrap();
        match self {
            Ends::V4(source, destination) => {
                their_udp::ipv4_checksum(&datagram, &source, &destination)
            }
            Ends::V6(source, destination) => {
                their_udp::ipv6_checksum(&datagram, &source, &destination)
            }
        }
    }

    /// An IP packet around a transport packet, written by `pnet`.
    fn packet(self, protocol: u8, transport: &[u8]) -> Vec<u8> {
        match self {
            Ends::V4(source, destination) => {
                let mut bytes = vec![0; V4_LEN + transport.len()];
                let total = u16::try_from(bytes.len()).unwrap();
                let mut packet = MutableIpv4Packet::new(&mut bytes).unwrap();
                packet.set_version(4);
                packet.set_header_length(5);
                packet.set_total_length(total);
                packet.set_identification(0xfffe);
                packet.set_flags(Ipv4Flags::DontFragment);
                packet.set_ttl(63);
                packet.set_next_level_protocol(IpNextHeaderProtocol(protocol));
                packet.set_source(source);
                packet.set_destination(destination);
                packet.set_payload(transport);
                packet.set_checksum(their_ipv4::checksum(&packet.to_immutable()));
                bytes
            }
            Ends::V6(source, destination) => {
                let mut bytes = vec![0; V6_LEN + transport.len()];
                let mut packet = MutableIpv6Packet::new(&mut bytes).unwrap();
                packet.set_version(6);
                packet.set_payload_length(u16::try_from(transport.len()).unwrap());
                packet.set_hop_limit(63);
                packet.set_next_header(IpNextHeaderProtocol(protocol));
                packet.set_source(source);
                packet.set_destination(destination);
                packet.set_payload(transport);
                bytes
            }
        }
    }
}

/// Unicast addresses, as a packet deserving an answer has them.
fn ends() -> impl Strategy<Value = Ends> {
    prop_oneof![
        any::<[[u8; 3]; 2]>().prop_map(|[[a, b, c], [d, e, f]]| {
            Ends::V4(Ipv4Addr::new(10, a, b, c), Ipv4Addr::new(192, d, e, f))
        }),
        any::<[u128; 2]>().prop_map(|[a, b]| {
            let unicast = |bits: u128| Ipv6Addr::from(bits >> 8 | 0x20 << 120);
            Ends::V6(unicast(a), unicast(b))
        }),
    ]
}

fn place(offset: u16, more: bool) -> IpFragment {
    match (offset, more) {
        (0, false) => IpFragment::Whole,
        (0, true) => IpFragment::First,
        _ => IpFragment::Later,
    }
}

/// The end of a chain of IPv6 extension headers, walked with `pnet`: protocol, length, place.
fn walk(first: u8, payload: &[u8]) -> (u8, usize, IpFragment) {
    let (mut protocol, mut at) = (first, 0);
    loop {
        let rest = &payload[at..];
        match protocol {
            44 => {
                let header = FragmentPacket::new(rest).unwrap();
                let field = header.get_fragment_offset_with_flags();
                (protocol, at) = (header.get_next_header().0, at + 8);
                let place = place(field >> 3, field & 1 != 0);
                // Only one fragment header is generated, as the last of its chain or before plain
                // options.
                if place == IpFragment::Later {
                    return (protocol, at, place);
                }
                let (protocol, length, _) = walk(protocol, &payload[at..]);
                return (protocol, at + length, place);
            }
            0 | 43 | 60 => {
                let header = ExtensionPacket::new(rest).unwrap();
                at += 2 + header.payload().len();
                protocol = header.get_next_header().0;
            }
            _ => return (protocol, at, IpFragment::Whole),
        }
    }
}

/// IPv6 extension headers in front of `data`: kind by index, length in steps of 8, filler.
fn chain(kinds: &[(usize, u8, u8)], fragment: Option<u16>, last: u8, data: &[u8]) -> (u8, Vec<u8>) {
    let plain = kinds.iter().map(|(kind, steps, fill)| {
        let mut header = vec![*fill; 8 + usize::from(*steps) * 8];
        header[1] = *steps;
        ([0, 43, 60][*kind], header)
    });
    let fragment = fragment.map(|field| {
        let [high, low] = field.to_be_bytes();
        (44, vec![0, 0, high, low, 1, 2, 3, 4])
    });
    let mut headers: Vec<(u8, Vec<u8>)> = plain.collect();
    let middle = headers.len() / 2;
    headers.splice(middle..middle, fragment);
    headers.into_iter().rev().fold((last, data.to_vec()), |(next, rest), (kind, mut header)| {
        header[0] = next;
        header.extend(rest);
        (kind, header)
    })
}

proptest! {
    /// Whatever stands in an IPv4 header, lies about lengths included.
    #[test]
    fn ipv4_headers_read_the_same(
        mut bytes in vec(any::<u8>(), 20..200),
        words in 4u8..=15,
        total in 0u16..204,
    ) {
        bytes[0] = 0x40 | words;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        let theirs = Ipv4Packet::new(&bytes).unwrap();
        let header_len = usize::from(theirs.get_header_length()) * 4;
        let total = usize::from(theirs.get_total_length());
        let sound = header_len >= 20 && (header_len..=bytes.len()).contains(&total);
        let ours = IpHeader::parse(&bytes);
        prop_assert_eq!(ours.is_some(), sound);
        let Some(ours) = ours else { return Ok(()) };
        let flags = theirs.get_flags();
        let fragment = place(theirs.get_fragment_offset(), flags & Ipv4Flags::MoreFragments != 0);
        prop_assert_eq!(ours, IpHeader {
            version: IpVersion::V4,
            source: theirs.get_source().into(),
            destination: theirs.get_destination().into(),
            protocol: theirs.get_next_level_protocol().0,
            header_len,
            total_len: total,
            tos: theirs.get_dscp() << 2 | theirs.get_ecn(),
            hop_limit: theirs.get_ttl(),
            dont_fragment: flags & Ipv4Flags::DontFragment != 0,
            fragment,
        });
        prop_assert_eq!(ours.payload(&bytes).unwrap(), theirs.payload());
        let checksum = their_ipv4::checksum(&theirs);
        complete_v4_checksum(&mut bytes, header_len);
        prop_assert_eq!(Ipv4Packet::new(&bytes).unwrap().get_checksum(), checksum);
    }

    #[test]
    fn ipv6_headers_and_their_extensions_read_the_same(
        mut head in any::<[u8; V6_LEN]>(),
        kinds in vec((0usize..3, 0u8..3, any::<u8>()), 0..6),
        fragment in proptest::option::of(any::<u16>()),
        last in prop::sample::select(vec![TCP, UDP, ICMPV6, 59, 132]),
        data in vec(any::<u8>(), 0..100),
        behind in vec(any::<u8>(), 0..9),
    ) {
        let (next, payload) = chain(&kinds, fragment, last, &data);
        head[0] = 0x60 | head[0] & 0x0f;
        head[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        head[6] = next;
        let bytes = [&head[..], &payload, &behind].concat();
        let theirs = Ipv6Packet::new(&bytes).unwrap();
        let (protocol, extensions, fragment) =
            walk(theirs.get_next_header().0, theirs.payload());
        let ours = IpHeader::parse(&bytes).unwrap();
        prop_assert_eq!(ours, IpHeader {
            version: IpVersion::V6,
            source: theirs.get_source().into(),
            destination: theirs.get_destination().into(),
            protocol,
            header_len: V6_LEN + extensions,
            total_len: V6_LEN + usize::from(theirs.get_payload_length()),
            tos: theirs.get_traffic_class(),
            hop_limit: theirs.get_hop_limit(),
            dont_fragment: true,
            fragment,
        });
        prop_assert_eq!(ours.payload(&bytes).unwrap(), &theirs.payload()[extensions..]);
    }

    #[test]
    fn tcp_reads_and_sums_the_same(ends in ends(), mut segment in vec(any::<u8>(), 20..1500), words in 5u8..=15) {
        segment[12] = words << 4 | segment[12] & 0x0f;
        let theirs = TcpPacket::new(&segment).unwrap();
        let header_len = usize::from(theirs.get_data_offset()) * 4;
        let ours = TcpHeader::parse(&segment);
        prop_assert_eq!(ours, (header_len <= segment.len()).then(|| TcpHeader {
            source_port: theirs.get_source(),
            destination_port: theirs.get_destination(),
            sequence: theirs.get_sequence(),
            header_len,
            flags: theirs.get_flags(),
        }));
        let theirs = ends.tcp(&segment);
        segment[16..18].fill(0);
        prop_assert_eq!(ends.pseudo(TCP, segment.len()).with(&segment).finish(), theirs);
    }

    #[test]
    fn udp_reads_and_sums_the_same(ends in ends(), mut datagram in vec(any::<u8>(), 8..1500), length in 0u16..1504) {
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        let theirs = UdpPacket::new(&datagram).unwrap();
        let length = usize::from(theirs.get_length());
        let sound = (8..=datagram.len()).contains(&length);
        prop_assert_eq!(UdpHeader::parse(&datagram), sound.then(|| UdpHeader {
            source_port: theirs.get_source(),
            destination_port: theirs.get_destination(),
            length,
            checksum: theirs.get_checksum(),
        }));
        let theirs = ends.udp(&datagram);
        datagram[6..8].fill(0);
        let sum = ends.pseudo(UDP, datagram.len()).with(&datagram);
        prop_assert_eq!(sum.finish(), theirs);
        prop_assert_eq!(sum.finish_udp(), if theirs == 0 { 0xffff } else { theirs });
    }

    #[test]
    fn icmp_reads_and_sums_the_same(ends in ends(), mut message in vec(any::<u8>(), 8..1500)) {
        let ours = IcmpHeader::parse(&message).unwrap();
        let (kind, code, theirs, sum) = match ends {
            Ends::V4(..) => {
                let theirs = IcmpPacket::new(&message).unwrap();
                let (kind, code) = (theirs.get_icmp_type().0, theirs.get_icmp_code().0);
                (kind, code, their_icmp::checksum(&theirs), Sum::default())
            }
            Ends::V6(source, destination) => {
                let theirs = Icmpv6Packet::new(&message).unwrap();
                let (kind, code) = (theirs.get_icmpv6_type().0, theirs.get_icmpv6_code().0);
                let checksum = their_icmpv6::checksum(&theirs, &source, &destination);
                (kind, code, checksum, ends.pseudo(ICMPV6, message.len()))
            }
        };
        prop_assert_eq!((ours.kind, ours.code), (kind, code));
        message[2..4].fill(0);
        prop_assert_eq!(sum.with(&message).finish(), theirs);
    }

    /// Our only packets of our own: what `pnet` reads in them is what the standards ask for.
    #[test]
    fn too_big_is_sound(ends in ends(), payload in vec(any::<u8>(), 8..1600), mtu in 576u16..1500) {
        let packet = ends.packet(UDP, &payload);
        let header = IpHeader::parse(&packet).unwrap();
        let mut reply = [0x77; MAX_REPLY];
        let len = too_big(&header, &packet, usize::from(mtu), &mut reply).unwrap();
        let reply = &reply[..len];
        match ends {
            Ends::V4(source, destination) => {
                let ip = Ipv4Packet::new(reply).unwrap();
                prop_assert_eq!((ip.get_version(), ip.get_header_length()), (4, 5));
                prop_assert_eq!(usize::from(ip.get_total_length()), len);
                prop_assert_eq!(ip.get_next_level_protocol().0, ICMP);
                prop_assert_eq!((ip.get_source(), ip.get_destination()), (destination, source));
                prop_assert_eq!(ip.get_checksum(), their_ipv4::checksum(&ip));
                let icmp = IcmpPacket::new(ip.payload()).unwrap();
                prop_assert_eq!(icmp.get_checksum(), their_icmp::checksum(&icmp));
                let message = DestinationUnreachablePacket::new(ip.payload()).unwrap();
                prop_assert_eq!(message.get_icmp_type(), IcmpTypes::DestinationUnreachable);
                prop_assert_eq!(message.get_icmp_code(), FragmentationRequiredAndDFFlagSet);
                prop_assert_eq!((message.get_unused(), message.get_next_hop_mtu()), (0, mtu));
                // As much as 576 bytes hold (RFC 1812 §4.3.2.3).
                prop_assert_eq!(message.payload(), &packet[..packet.len().min(576 - 28)]);
            }
            Ends::V6(source, destination) => {
                let ip = Ipv6Packet::new(reply).unwrap();
                prop_assert_eq!(ip.get_version(), 6);
                prop_assert_eq!(usize::from(ip.get_payload_length()), len - V6_LEN);
                prop_assert_eq!(ip.get_next_header().0, ICMPV6);
                prop_assert_eq!((ip.get_source(), ip.get_destination()), (destination, source));
                let icmp = Icmpv6Packet::new(ip.payload()).unwrap();
                prop_assert_eq!(
                    icmp.get_checksum(),
                    their_icmpv6::checksum(&icmp, &destination, &source)
                );
                prop_assert_eq!(icmp.get_icmpv6_type(), Icmpv6Types::PacketTooBig);
                prop_assert_eq!(icmp.get_icmpv6_code().0, 0);
                let (said, quote) = icmp.payload().split_at(4);
                prop_assert_eq!(said, u32::from(mtu).to_be_bytes());
                // As much as the least MTU holds (RFC 4443 §2.4 (c)).
                prop_assert_eq!(quote, &packet[..packet.len().min(1280 - 48)]);
            }
        }
    }

    /// A super-packet of `pnet`'s, divided by us: each piece is a packet to `pnet`, and together
    /// they are the whole.
    #[test]
    fn divided_packets_are_sound(
        ends in ends(),
        datagrams: bool,
        sequence: u32,
        segment in 1u16..1400,
        payload in vec(any::<u8>(), 1..9000),
    ) {
        let (protocol, gso, transport_len) = match (datagrams, ends) {
            (true, _) => (UDP, Gso::Udp, 8),
            (false, Ends::V4(..)) => (TCP, Gso::Tcp4, 20),
            (false, Ends::V6(..)) => (TCP, Gso::Tcp6, 20),
        };
        let mut transport = vec![0; transport_len];
        transport.extend(&payload);
        if datagrams {
            let length = u16::try_from(transport.len()).unwrap();
            let mut datagram = MutableUdpPacket::new(&mut transport).unwrap();
            datagram.set_source(1000);
            datagram.set_length(length);
        } else {
            let mut tcp = MutableTcpPacket::new(&mut transport).unwrap();
            tcp.set_destination(80);
            tcp.set_sequence(sequence);
            tcp.set_data_offset(5);
            tcp.set_flags(their_tcp::TcpFlags::ACK);
        }
        let mut packet = ends.packet(protocol, &transport);
        let header = IpHeader::parse(&packet).unwrap();
        let frame = VnetHeader { checksum: None, gso, segment, header_len: 0 };
        let segments = Segments::of(&frame, &header, &mut packet).unwrap();
        let mut whole: Vec<u8> = Vec::new();
        for index in 0..segments.count() {
            let mut piece = vec![0; segments.len(index)];
            segments.write(&packet, index, &mut piece);
            let transport = match ends {
                Ends::V4(..) => {
                    let ip = Ipv4Packet::new(&piece).unwrap();
                    prop_assert_eq!(usize::from(ip.get_total_length()), piece.len());
                    prop_assert_eq!(ip.get_checksum(), their_ipv4::checksum(&ip));
                    let id = 0xfffeu16.wrapping_add(u16::try_from(index).unwrap());
                    prop_assert_eq!(ip.get_identification(), id);
                    ip.payload().to_vec()
                }
                Ends::V6(..) => {
                    let ip = Ipv6Packet::new(&piece).unwrap();
                    prop_assert_eq!(usize::from(ip.get_payload_length()), piece.len() - V6_LEN);
                    ip.payload().to_vec()
                }
            };
            if datagrams {
                let udp = UdpPacket::new(&transport).unwrap();
                let checksum = ends.udp(&transport);
                prop_assert_eq!(usize::from(udp.get_length()), transport.len());
                prop_assert_eq!(udp.get_checksum(), if checksum == 0 { 0xffff } else { checksum });
                whole.extend(udp.payload());
            } else {
                let tcp = TcpPacket::new(&transport).unwrap();
                let offset = u32::try_from(whole.len()).unwrap();
                prop_assert_eq!(tcp.get_sequence(), sequence.wrapping_add(offset));
                prop_assert_eq!(tcp.get_checksum(), ends.tcp(&transport));
                whole.extend(tcp.payload());
            }
        }
        prop_assert_eq!(whole, payload);
    }

    /// A clamped SYN still sums up, wherever its option stands.
    #[test]
    fn a_clamped_segment_is_sound(ends in ends(), before in 0usize..6, mss: u16, limit in 500u16..1400) {
        let [high, low] = mss.to_be_bytes();
        let mut segment = vec![0; 20];
        segment.extend(vec![1; before]);
        segment.extend([2, 4, high, low]);
        segment.resize(32, 0);
        let mut tcp = MutableTcpPacket::new(&mut segment).unwrap();
        tcp.set_data_offset(8);
        tcp.set_flags(their_tcp::TcpFlags::SYN);
        let checksum = ends.tcp(&segment);
        MutableTcpPacket::new(&mut segment).unwrap().set_checksum(checksum);
        prop_assert_eq!(clamp_mss(&mut segment, limit), mss > limit);
        let tcp = TcpPacket::new(&segment).unwrap();
        let options = tcp.get_options();
        let option = options.iter().find(|option| option.number.0 == 2).unwrap();
        prop_assert_eq!(&option.data[..], mss.min(limit).to_be_bytes());
        prop_assert_eq!(tcp.get_checksum(), ends.tcp(&segment));
    }
}
