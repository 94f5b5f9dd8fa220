//! Path MTU discovery for senders behind the tunnel: the ICMP errors "fragmentation needed" (RFC
//! 1191) and "packet too big" (RFC 4443 §3.2) about a packet that does not fit.
//!
//! The source of the error is the packet's own destination. The kernel would refuse a packet from
//! the device whose source is an address of this host; and the destination's side of the tunnel is
//! where the packet would have met the narrow path.

use std::net::IpAddr;

use crate::wire::packet::checksum::Sum;
use crate::wire::packet::icmp::{self, IcmpHeader};
use crate::wire::packet::ip::{
    ICMP, ICMPV6, IpFragment, IpHeader, IpVersion, V4_LEN, V6_LEN, complete_v4_checksum,
};

/// The length of the largest error: RFC 4443 §2.4 (c) fills up to the least IPv6 MTU.
pub const MAX_REPLY: usize = 1280;
/// RFC 1812 §4.3.2.3 wants as much of the packet as fits into 576 bytes.
const MAX_REPLY_V4: usize = 576;

/// Builds the ICMP error about `packet` that names `mtu`, and gives the length of the error; `None`
/// when no error may be sent about this packet.
pub fn too_big(
    header: &IpHeader,
    packet: &[u8],
    mtu: usize,
    reply: &mut [u8; MAX_REPLY],
) -> Option<usize> {
    if !deserves_reply(header, packet) {
        return None;
    }
    let (ip_len, limit) = match header.version {
        IpVersion::V4 => (V4_LEN, MAX_REPLY_V4),
        IpVersion::V6 => (V6_LEN, MAX_REPLY),
    };
    let quote = packet.get(..header.total_len.min(limit - ip_len - icmp::LEN))?;
    let len = ip_len + icmp::LEN + quote.len();
    let reply = &mut reply[..len];
    let (ip, message) = reply.split_at_mut(ip_len);
    message[icmp::LEN..].copy_from_slice(quote);
    match header.version {
        IpVersion::V4 => write_v4(header, mtu, ip, message)?,
        IpVersion::V6 => write_v6(header, mtu, ip, message)?,
    }
    Some(len)
}

/// Whether an ICMP error may be sent: never about ICMP errors, later fragments, or packets that
/// were not sent from one host to one host (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)). "Packet too big"
/// about a multicast would be allowed, but then all members would answer.
fn deserves_reply(header: &IpHeader, packet: &[u8]) -> bool {
    let single = |address: IpAddr| match address {
        IpAddr::V4(a) => {
            !(a.is_multicast() || a.is_broadcast() || a.is_unspecified() || a.is_loopback())
        }
        IpAddr::V6(a) => !(a.is_multicast() || a.is_unspecified() || a.is_loopback()),
    };
    let error = || {
        let icmp = header.payload(packet).and_then(IcmpHeader::parse);
        icmp.is_some_and(|icmp| icmp.is_error(header.protocol))
    };
    header.fragment != IpFragment::Later
        && single(header.source)
        && single(header.destination)
        && !error()
}

fn write_v4(header: &IpHeader, mtu: usize, ip: &mut [u8], message: &mut [u8]) -> Option<()> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (header.destination, header.source) else {
        return None;
    };
    let total = u16::try_from(V4_LEN + message.len()).ok()?.to_be_bytes();
    ip.copy_from_slice(&[0; V4_LEN]);
    ip[0] = 0x45;
    ip[1] = 0xc0; // Internetwork control (RFC 1812 §4.3.2.5).
    ip[2..4].copy_from_slice(&total);
    ip[8] = 64;
    ip[9] = ICMP;
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&destination.octets());
    complete_v4_checksum(ip, V4_LEN);
    let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
    let (kind, code) = (icmp::V4_UNREACHABLE, icmp::V4_FRAGMENTATION_NEEDED);
    message[..icmp::LEN].copy_from_slice(&[kind, code, 0, 0, 0, 0, mtu[0], mtu[1]]);
    let checksum = Sum::default().with(message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

fn write_v6(header: &IpHeader, mtu: usize, ip: &mut [u8], message: &mut [u8]) -> Option<()> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (header.destination, header.source) else {
        return None;
    };
    let len = u16::try_from(message.len()).ok()?.to_be_bytes();
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, len[0], len[1], ICMPV6, 64]);
    ip[8..24].copy_from_slice(&source.octets());
    ip[24..40].copy_from_slice(&destination.octets());
    let [a, b, c, d] = u32::try_from(mtu).ok()?.to_be_bytes();
    message[..icmp::LEN].copy_from_slice(&[icmp::V6_TOO_BIG, 0, 0, 0, a, b, c, d]);
    let checksum =
        Sum::pseudo_v6(source, destination, ICMPV6, message.len()).with(message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, place: u16, destination: [u8; 4], first: u8) -> Vec<u8> {
        let [p, q] = place.to_be_bytes();
        let mut packet = vec![0x45, 0, 5, 220, 0, 7, p, q, 64, protocol, 0, 0, 10, 1, 0, 10];
        packet.extend(destination);
        packet.resize(1500, 0xab);
        packet[20] = first;
        packet
    }

    fn answer(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
        let header = IpHeader::parse(packet).unwrap();
        let mut reply = [0x77; MAX_REPLY];
        too_big(&header, packet, mtu, &mut reply).map(|len| reply[..len].to_vec())
    }

    #[test]
    fn ipv4_is_told_mtu_and_quoted() {
        let packet = v4(6, 0x4000, [10, 2, 0, 10], 1);
        let reply = answer(&packet, 1400).unwrap();
        let header = IpHeader::parse(&reply).unwrap();
        assert_eq!(header.source, IpAddr::from([10, 2, 0, 10]));
        assert_eq!(header.destination, IpAddr::from([10, 1, 0, 10]));
        assert_eq!((header.protocol, header.total_len, reply.len()), (ICMP, 576, 576));
        assert_eq!(Sum::default().with(&reply[..20]).finish(), 0);
        assert_eq!(Sum::default().with(&reply[20..]).finish(), 0);
        assert_eq!(reply[20..22], [3, 4]);
        assert_eq!(reply[26..28], 1400u16.to_be_bytes());
        assert_eq!(reply[28..], packet[..548]);
    }

    #[test]
    fn ipv6_is_told_mtu_and_quoted() {
        let mut packet = vec![0x60, 0, 0, 0, 5, 180, 17, 64];
        packet.extend([0xfd; 16]);
        packet.extend([0xfc; 16]);
        packet.resize(1500, 0xab);
        let reply = answer(&packet, 1380).unwrap();
        let header = IpHeader::parse(&reply).unwrap();
        assert_eq!(
            (header.source, header.destination),
            (IpAddr::from([0xfc; 16]), IpAddr::from([0xfd; 16]))
        );
        assert_eq!((header.protocol, header.total_len), (ICMPV6, 1280));
        assert_eq!(header.pseudo(1240).with(&reply[40..]).finish(), 0);
        assert_eq!(reply[40], 2);
        assert_eq!(reply[44..48], 1380u32.to_be_bytes());
        assert_eq!(reply[48..], packet[..1232]);
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let host = [10, 2, 0, 10];
        assert!(answer(&v4(ICMP, 0x4000, host, 8), 1400).is_some(), "an echo request may be");
        for (what, packet) in [
            ("an ICMP error", v4(ICMP, 0x4000, host, 3)),
            ("a later fragment", v4(17, 0x0010, host, 1)),
            ("multicast", v4(17, 0x4000, [224, 0, 0, 5], 1)),
            ("broadcast", v4(17, 0x4000, [255; 4], 1)),
            ("loopback", v4(17, 0x4000, [127, 0, 0, 1], 1)),
        ] {
            assert_eq!(answer(&packet, 1400), None, "{what}");
        }
    }
}
