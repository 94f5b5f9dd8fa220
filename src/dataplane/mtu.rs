//! Path MTU: the largest inner packet that fits the path behind a suite's overhead, and the TCP
//! segment size (MSS) that goes with it.
//!
//! Path MTU discovery has three parts. Towards the peer a lane keeps the path MTU by itself, and
//! believes ICMP errors that prove to be about its own packets ([`super::path`]). The smallest of
//! that value, the configured outer MTU and the configured inner MTU bounds a packet
//! ([`super::Rules::carried_mtu`]), and the device's MTU follows: in front of it the kernel
//! fragments IPv4 packets that allow it. A sender whose packet still is larger gets an ICMP error
//! ([`super::icmp`]), and TCP is spared both by MSS clamping ([`mss`]).
//!
//! No path is too narrow for an inner packet of 1280: outer packets that do not fit go in fragments
//! there ([`crate::sys::esp_socket::EspSocket::allow_fragments`]).

use crate::crypto::suite::Layout;
use crate::wire::packet::esp::HEADER_LEN;
use crate::wire::packet::ip::{IpVersion, V4_LEN, V6_LEN};
use crate::wire::packet::{tcp, udp};

/// The least MTU of a link that carries IPv6 (RFC 8200 §5).
pub const MIN_V6: usize = 1280;
/// The packet that every IPv4 host takes (RFC 791 §3.2). A link is not believed to take less.
pub const MIN_V4: usize = 576;

/// The headers in front of ESP: outer IP, and UDP where ESP is encapsulated in UDP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OuterHeaders {
    /// The IP version of the outer header.
    pub version: IpVersion,
    /// Whether ESP is encapsulated in UDP for NAT traversal (RFC 3948).
    pub udp: bool,
}

impl OuterHeaders {
    /// The number of bytes in front of the ESP header.
    pub fn overhead(self) -> usize {
        let ip = match self.version {
            IpVersion::V4 => V4_LEN,
            IpVersion::V6 => V6_LEN,
        };
        ip + if self.udp { udp::LEN } else { 0 }
    }

    /// The largest inner packet whose sealed form fits into `outer` bytes.
    pub fn inner_mtu(self, outer: usize, layout: Layout) -> usize {
        let room = outer.saturating_sub(self.overhead() + HEADER_LEN);
        layout.plaintext_room(room).unwrap_or(0)
    }
}

/// The TCP segment size that fits into `mtu`, without options (RFC 6691).
pub fn mss(mtu: usize, version: IpVersion) -> u16 {
    let ip = match version {
        IpVersion::V4 => V4_LEN,
        IpVersion::V6 => V6_LEN,
    };
    u16::try_from(mtu.saturating_sub(ip + tcp::LEN)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::{Aead, AesKey, EspProtection, Integ, Protection};

    const GCM: EspProtection =
        EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    const CBC_SHA1: EspProtection =
        EspProtection::Encrypted(Protection::Cbc(AesKey::Bits256, Integ::HmacSha1_96));
    const CBC_SHA256: EspProtection =
        EspProtection::Encrypted(Protection::Cbc(AesKey::Bits256, Integ::HmacSha2_256_128));
    const UDP4: OuterHeaders = OuterHeaders { version: IpVersion::V4, udp: true };

    #[test]
    fn a_segment_for_azure_has_the_outer_size_worked_out_by_hand() {
        // Inner 1,390 bytes (MSS 1350): 20 + 8 + 8 + IV + text to the block + ICV.
        let cases = [
            (GCM, 1390, 1452),
            (GCM, 1400, 1464),
            (CBC_SHA1, 1390, 1456),
            (CBC_SHA256, 1390, 1460),
        ];
        for (protection, inner, outer) in cases {
            let layout = protection.layout();
            assert_eq!(
                UDP4.overhead() + HEADER_LEN + layout.sealed_len(inner),
                outer,
                "{protection:?}"
            );
            assert!(UDP4.inner_mtu(outer, layout) >= inner);
            assert!(UDP4.inner_mtu(outer - layout.align, layout) < inner);
        }
    }

    #[test]
    fn the_largest_inner_packet_fits_and_the_next_does_not() {
        for protection in [GCM, CBC_SHA1, CBC_SHA256, EspProtection::Null(Integ::HmacSha1_96)] {
            for version in [IpVersion::V4, IpVersion::V6] {
                for udp in [false, true] {
                    let encapsulation = OuterHeaders { version, udp };
                    let layout = protection.layout();
                    let sealed =
                        |inner| encapsulation.overhead() + HEADER_LEN + layout.sealed_len(inner);
                    for outer in 576..1600 {
                        let inner = encapsulation.inner_mtu(outer, layout);
                        assert!(sealed(inner) <= outer && sealed(inner + 1) > outer);
                    }
                }
            }
        }
        assert_eq!(UDP4.inner_mtu(10, GCM.layout()), 0);
        assert_eq!((mss(1400, IpVersion::V4), mss(1400, IpVersion::V6)), (1360, 1340));
    }
}
