//! The Internet checksum (RFC 1071), fast enough to be done for every segment of a super-packet.
//!
//! Words are summed in the machine's own byte order and swapped once at the end (RFC 1071 §2 (B)),
//! eight bytes at a time with the carry added back (§2 (C)), in four lanes that do not wait for
//! each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An unfinished one's complement sum.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum(u64);

impl Sum {
    /// The pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1); `None` for mixed
    /// families.
    pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Option<Sum> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Sum::pseudo_v4(source, destination, protocol, length))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Sum::pseudo_v6(source, destination, protocol, length))
            }
            _ => None,
        }
    }

    /// The IPv4 pseudo-header.
    pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> Sum {
        Sum::default().with(&source.octets()).with(&destination.octets()).tail(protocol, length)
    }

    /// The IPv6 pseudo-header.
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> Sum {
        Sum::default().with(&source.octets()).with(&destination.octets()).tail(protocol, length)
    }

    fn tail(self, protocol: u8, length: usize) -> Sum {
        // No packet is longer than 32 bits can say: a longer length gives a wrong sum, not a panic.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.with(&length.to_be_bytes()).with(&[0, protocol])
    }

    /// Adds bytes. Only the last piece of a whole may have an odd length: it is padded with a zero.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Sum {
        Sum(self.0 + sum(bytes))
    }

    /// The checksum to put into the packet: 0 when this sum includes a correct checksum.
    pub fn finish(self) -> u16 {
        !fold(self.0).to_be()
    }

    /// As [`Sum::finish`], but never 0, which means "no checksum" in UDP (RFC 768).
    pub fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => u16::MAX,
            checksum => checksum,
        }
    }

    /// The folded sum without the final complement: what a device expects in the field of a packet
    /// whose checksum it is to complete.
    pub fn partial(self) -> u16 {
        fold(self.0).to_be()
    }
}

/// A checksum after one 16-bit word under it changed (RFC 1624, equation 3).
pub fn adjust(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u64::from(!checksum) + u64::from(!old) + u64::from(new);
    !fold(sum)
}

/// The sum of native-endian words, below 2^33.
fn sum(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut lanes = [0u64; 4];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = wrap(*lane, u64::from_ne_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_ne_bytes(*word));
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let total = lanes.into_iter().chain(words).fold(u64::from_ne_bytes(last), wrap);
    (total >> 32) + (total & 0xffff_ffff)
}

/// One's complement addition of 64-bit words: what a checksum of 16-bit words folds to all the
/// same.
fn wrap(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    // Cannot overflow: a sum that carried is at most 2^64 - 2.
    sum + u64::from(carry)
}

/// Adds the carries back until 16 bits hold the sum.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).expect("folded below 2^16 just above")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 word by word, as the standard writes it.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().with(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn all_ones_do_not_overflow() {
        let bytes = vec![0xff; 1 << 20];
        assert_eq!(Sum::default().with(&bytes).finish(), 0);
        assert_eq!(Sum::default().with(&bytes).finish_udp(), 0xffff);
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard(bytes in vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(Sum::default().with(&bytes).finish(), naive(&bytes));
        }

        #[test]
        fn pieces_add_up(bytes in vec(any::<u8>(), 0..600), cut in 0usize..300) {
            let (head, tail) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            let whole = Sum::default().with(&bytes).finish();
            prop_assert_eq!(Sum::default().with(head).with(tail).finish(), whole);
        }

        #[test]
        fn adjusting_is_recomputing(mut bytes in vec(any::<u8>(), 4..64), new: u16) {
            // All-zero data has two representations of zero; RFC 1624 §3 keeps them apart, real
            // headers have no such sum.
            bytes[3] |= 1;
            let old = u16::from_be_bytes([bytes[0], bytes[1]]);
            let before = Sum::default().with(&bytes).finish();
            bytes[..2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(adjust(before, old, new), Sum::default().with(&bytes).finish());
        }

        #[test]
        fn a_sum_over_its_own_checksum_is_zero(mut bytes in vec(any::<u8>(), 2..100)) {
            bytes[0] = 0;
            bytes[1] = 0;
            let checksum = Sum::default().with(&bytes).finish();
            bytes[..2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert_eq!(Sum::default().with(&bytes).finish(), 0);
        }
    }
}
