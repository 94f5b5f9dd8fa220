//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers: one parsed value for both, and setters for what a
//! tunnel rewrites.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;

/// The protocol number of ICMP.
pub const ICMP: u8 = 1;
/// The protocol number of IPv4 in a tunnel: the next header of a tunnel-mode ESP packet (RFC 4303
/// §2.6).
pub const IPV4: u8 = 4;
/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;
/// The protocol number of IPv6 in a tunnel.
pub const IPV6: u8 = 41;
/// The protocol number of ESP.
pub const ESP: u8 = 50;
/// The protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// "No next header" (RFC 8200 §4.7): in ESP, a dummy packet to be thrown away (RFC 4303 §2.6).
pub const NO_NEXT: u8 = 59;

/// The length of an IPv4 header without options.
pub const V4_LEN: usize = 20;
/// The length of an IPv6 header without extensions.
pub const V6_LEN: usize = 40;

/// The most extension headers of a packet that is parsed. No legitimate packet has so many.
const MAX_EXTENSIONS: usize = 8;

/// Where a packet stands in a fragmented datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IpFragment {
    /// The whole datagram.
    Whole,
    /// The first piece: it has the transport header, but not all data.
    First,
    /// A later piece: what follows the IP header is not a transport header.
    Later,
}

/// The version of an IP packet: the address family.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IpVersion {
    /// IPv4 (RFC 791).
    V4,
    /// IPv6 (RFC 8200).
    V6,
}

impl IpVersion {
    /// The version nibble of a packet.
    pub fn of(packet: &[u8]) -> Option<IpVersion> {
        match packet.first()? >> 4 {
            4 => Some(IpVersion::V4),
            6 => Some(IpVersion::V6),
            _ => None,
        }
    }

    /// This family as the next header of a tunnel.
    pub fn next_header(self) -> u8 {
        match self {
            IpVersion::V4 => IPV4,
            IpVersion::V6 => IPV6,
        }
    }
}

/// The fields of an IPv4 or IPv6 header that the data plane looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpHeader {
    /// The IP version.
    pub version: IpVersion,
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The transport protocol, after any IPv6 extension headers.
    pub protocol: u8,
    /// The length of the header with its options or extension headers: where the transport header
    /// begins.
    pub header_len: usize,
    /// The packet's length by its own length field; never more than the bytes given.
    pub total_len: usize,
    /// DSCP and ECN: the IPv4 TOS byte or the IPv6 traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4 "don't fragment"; always true for IPv6.
    pub dont_fragment: bool,
    /// The place in a fragmented datagram.
    pub fragment: IpFragment,
}

impl IpHeader {
    /// Reads the header at the start of `packet`; `None` when the packet is cut or malformed. Bytes
    /// after the packet's own length are allowed: traffic flow confidentiality padding (RFC 4303
    /// §2.7).
    pub fn parse(packet: &[u8]) -> Option<IpHeader> {
        match IpVersion::of(packet)? {
            IpVersion::V4 => parse_v4(packet),
            IpVersion::V6 => parse_v6(packet),
        }
    }

    /// The transport header and its data, in the packet that the header was parsed from.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        packet.get(self.header_len..self.total_len)
    }

    /// The pseudo-header sum for the transport checksum over `length` bytes.
    pub fn pseudo(&self, length: usize) -> Sum {
        Sum::pseudo(self.source, self.destination, self.protocol, length)
            .expect("both addresses were read from one header of one family")
    }
}

fn parse_v4(packet: &[u8]) -> Option<IpHeader> {
    let header = packet.first_chunk::<V4_LEN>()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_len < V4_LEN || total_len < header_len || total_len > packet.len() {
        return None;
    }
    let place = u16::from_be_bytes([header[6], header[7]]);
    let (more, offset) = (place & 0x2000 != 0, place & 0x1fff);
    Some(IpHeader {
        version: IpVersion::V4,
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
        protocol: header[9],
        header_len,
        total_len,
        tos: header[1],
        hop_limit: header[8],
        dont_fragment: place & 0x4000 != 0,
        fragment: fragment(more, offset),
    })
}

fn fragment(more: bool, offset: u16) -> IpFragment {
    match (more, offset) {
        (_, 1..) => IpFragment::Later,
        (true, 0) => IpFragment::First,
        (false, 0) => IpFragment::Whole,
    }
}

fn parse_v6(packet: &[u8]) -> Option<IpHeader> {
    let (header, rest) = packet.split_first_chunk::<V6_LEN>()?;
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = rest.get(..payload_len)?;
    let extensions = ExtensionHeaders::walk(header[6], payload)?;
    Some(IpHeader {
        version: IpVersion::V6,
        source: address_v6(header.get(8..24)?)?,
        destination: address_v6(header.get(24..40)?)?,
        protocol: extensions.protocol,
        header_len: V6_LEN + extensions.length,
        total_len: V6_LEN + payload_len,
        tos: (header[0] << 4) | (header[1] >> 4),
        hop_limit: header[7],
        dont_fragment: true,
        fragment: extensions.fragment,
    })
}

fn address_v6(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 16] = bytes.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}

/// The chain of IPv6 extension headers (RFC 8200 §4).
struct ExtensionHeaders {
    protocol: u8,
    length: usize,
    fragment: IpFragment,
}

impl ExtensionHeaders {
    fn walk(first: u8, payload: &[u8]) -> Option<ExtensionHeaders> {
        let mut chain =
            ExtensionHeaders { protocol: first, length: 0, fragment: IpFragment::Whole };
        for _ in 0..MAX_EXTENSIONS {
            let rest = payload.get(chain.length..)?;
            let step = match chain.protocol {
                // Hop-by-hop, routing, destination options.
                0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
                // Fragment.
                44 => {
                    let place = u16::from_be_bytes(*rest.get(2..)?.first_chunk::<2>()?);
                    chain.fragment = fragment(place & 1 != 0, place >> 3);
                    8
                }
                // Authentication header (RFC 4302 §2.2 counts in 4-byte words, minus 2).
                51 => (usize::from(*rest.get(1)?) + 2) * 4,
                _ => return Some(chain),
            };
            chain.protocol = *rest.first()?;
            chain.length += step;
            if chain.length > payload.len() {
                return None;
            }
            if chain.fragment == IpFragment::Later {
                return Some(chain);
            }
        }
        None
    }
}

/// The fields of an IPv4 header that a tunnel rewrites.
#[derive(Debug)]
pub struct Ipv4Fields<'a>(&'a mut [u8; V4_LEN]);

impl<'a> Ipv4Fields<'a> {
    /// The header at the start of `packet`.
    pub fn of(packet: &'a mut [u8]) -> Option<Ipv4Fields<'a>> {
        packet.first_chunk_mut().map(Ipv4Fields)
    }

    /// The identification field.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// Sets the identification field.
    pub fn set_id(&mut self, id: u16) {
        [self.0[4], self.0[5]] = id.to_be_bytes();
    }

    /// Sets the total length.
    pub fn set_total_len(&mut self, length: u16) {
        [self.0[2], self.0[3]] = length.to_be_bytes();
    }

    /// Sets DSCP and ECN.
    pub fn set_tos(&mut self, tos: u8) {
        self.0[1] = tos;
    }

    /// The header checksum.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[10], self.0[11]])
    }

    /// Sets the header checksum as given.
    pub fn set_checksum(&mut self, checksum: u16) {
        [self.0[10], self.0[11]] = checksum.to_be_bytes();
    }
}

/// Computes the checksum of the IPv4 header of `header_len` bytes at the start of `packet`.
pub fn complete_v4_checksum(packet: &mut [u8], header_len: usize) {
    let Some(header) = packet.get_mut(..header_len) else { return };
    if let Some(mut fields) = Ipv4Fields::of(header) {
        fields.set_checksum(0);
    }
    let checksum = Sum::default().with(header).finish();
    if let Some(mut fields) = Ipv4Fields::of(header) {
        fields.set_checksum(checksum);
    }
}

/// Sets the IPv6 payload length.
pub fn set_v6_payload_len(packet: &mut [u8], length: u16) {
    if let Some(header) = packet.first_chunk_mut::<V6_LEN>() {
        [header[4], header[5]] = length.to_be_bytes();
    }
}

/// Sets the IPv6 traffic class.
pub fn set_v6_class(packet: &mut [u8], tos: u8) {
    if let Some(header) = packet.first_chunk_mut::<V6_LEN>() {
        header[0] = (header[0] & 0xf0) | (tos >> 4);
        header[1] = (header[1] & 0x0f) | (tos << 4);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn v4(total: u16, place: u16) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0xb9, 0, 0, 0x12, 0x34, 0, 0, 63, TCP, 0, 0, 10, 1, 0, 10, 10, 2, 0, 10];
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[6..8].copy_from_slice(&place.to_be_bytes());
        packet.resize(usize::from(total).max(V4_LEN), 0);
        packet
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x6b, 0x90, 0, 0, 0, 0, next, 64];
        packet[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend([0xfd; 16]);
        packet.extend([0xfc; 16]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn an_ipv4_header_is_read() {
        let header = IpHeader::parse(&v4(40, 0x4000)).unwrap();
        assert_eq!(header.source, IpAddr::from([10, 1, 0, 10]));
        assert_eq!(header.destination, IpAddr::from([10, 2, 0, 10]));
        assert_eq!((header.protocol, header.header_len, header.total_len), (TCP, 20, 40));
        assert_eq!((header.tos, header.hop_limit), (0xb9, 63));
        assert!(header.dont_fragment);
        assert_eq!(header.fragment, IpFragment::Whole);
        assert_eq!(IpHeader::parse(&v4(40, 0x2000)).unwrap().fragment, IpFragment::First);
        assert_eq!(IpHeader::parse(&v4(40, 0x0007)).unwrap().fragment, IpFragment::Later);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for (at, value) in [(0, 0x44), (0, 0x4f), (3, 19), (3, 41), (2, 1), (0, 0x55)] {
            let mut packet = v4(40, 0);
            packet[at] = value;
            assert_eq!(IpHeader::parse(&packet), None, "byte {at} = {value:#x}");
        }
        assert_eq!(IpHeader::parse(&v4(40, 0)[..39]), None);
        assert_eq!(IpHeader::parse(&v6(UDP, &[0; 8])[..47]), None);
    }

    #[test]
    fn ipv6_extensions_are_walked() {
        let hop = [UDP, 0, 0, 0, 0, 0, 0, 0, /* UDP */ 1, 2, 3, 4, 0, 8, 0, 0];
        let header = IpHeader::parse(&v6(0, &hop)).unwrap();
        assert_eq!((header.protocol, header.header_len, header.total_len), (UDP, 48, 56));
        assert_eq!(header.tos, 0xb9);
        let first = [UDP, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(IpHeader::parse(&v6(44, &first)).unwrap().fragment, IpFragment::First);
        // What follows a later fragment's header is data: the walk must not read it as a header.
        let later = [0, 0, 0, 8, 0, 0, 0, 9, 0xff, 0xff];
        let header = IpHeader::parse(&v6(44, &later)).unwrap();
        assert_eq!((header.fragment, header.header_len), (IpFragment::Later, 48));
        assert_eq!(IpHeader::parse(&v6(0, &[UDP, 1, 0, 0, 0, 0, 0, 0])), None);
        let endless: Vec<u8> = [[0, 0, 0, 0, 0, 0, 0, 0]; 9].concat();
        assert_eq!(IpHeader::parse(&v6(0, &endless)), None);
    }

    #[test]
    fn rewritten_fields_read_back() {
        let mut packet = v4(40, 0);
        let mut fields = Ipv4Fields::of(&mut packet).unwrap();
        assert_eq!(fields.id(), 0x1234);
        fields.set_id(7);
        fields.set_total_len(30);
        fields.set_tos(3);
        complete_v4_checksum(&mut packet, V4_LEN);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!((header.total_len, header.tos), (30, 3));
        assert_eq!(Sum::default().with(&packet[..20]).finish(), 0);

        let mut packet = v6(UDP, &[0; 20]);
        set_v6_payload_len(&mut packet, 10);
        set_v6_class(&mut packet, 0x5a);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!((header.version, header.total_len, header.tos), (IpVersion::V6, 50, 0x5a));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in vec(any::<u8>(), 0..200), six: bool) {
            if let Some(first) = bytes.first_mut() {
                *first = (*first & 0x0f) | if six { 0x60 } else { 0x40 };
            }
            if let Some(header) = IpHeader::parse(&bytes) {
                prop_assert!(header.header_len <= header.total_len);
                prop_assert!(header.total_len <= bytes.len());
                prop_assert!(header.payload(&bytes).is_some());
            }
        }
    }
}
