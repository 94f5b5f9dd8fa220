//! ICMP (RFC 792) and ICMPv6 (RFC 4443): the types that a tunnel must tell apart, and those that it
//! sends itself for path MTU discovery.

use super::ip::{ICMP, ICMPV6};

/// The length of the fixed part of an ICMP or ICMPv6 message.
pub const LEN: usize = 8;

/// ICMP destination unreachable; with code 4, "fragmentation needed and DF set" (RFC 1191 §4).
pub const V4_UNREACHABLE: u8 = 3;
/// The code of "fragmentation needed and DF set".
pub const V4_FRAGMENTATION_NEEDED: u8 = 4;
/// ICMPv6 packet too big (RFC 4443 §3.2).
pub const V6_TOO_BIG: u8 = 2;

/// Type and code: what traffic selectors see in place of ports (RFC 7296 §3.13.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IcmpHeader {
    /// The message's type.
    pub kind: u8,
    /// The message's code, a subdivision of the type.
    pub code: u8,
}

impl IcmpHeader {
    /// Reads the first two bytes of a message.
    pub fn parse(message: &[u8]) -> Option<IcmpHeader> {
        message.first_chunk::<2>().map(|[kind, code]| IcmpHeader { kind: *kind, code: *code })
    }

    /// Whether the message reports an error. No error message is sent about an error message (RFC
    /// 1122 §3.2.2, RFC 4443 §2.4 (e)).
    pub fn is_error(self, protocol: u8) -> bool {
        match protocol {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            ICMP => matches!(self.kind, 3 | 4 | 5 | 11 | 12),
            // Redirect (137) is no error by number, but RFC 4443 §2.4 (e.2) treats it as one.
            ICMPV6 => self.kind < 128 || self.kind == 137,
            _ => false,
        }
    }

    /// Type and code as one number, type in the upper half (RFC 7296 §3.13.1).
    pub fn as_port(self) -> u16 {
        u16::from_be_bytes([self.kind, self.code])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_questions_are_told_apart() {
        let v4 = |kind| IcmpHeader { kind, code: 0 }.is_error(ICMP);
        let v6 = |kind| IcmpHeader { kind, code: 0 }.is_error(ICMPV6);
        assert!(v4(3) && v4(11) && !v4(0) && !v4(8));
        assert!(v6(1) && v6(2) && v6(127) && v6(137) && !v6(128) && !v6(135));
        assert!(!IcmpHeader { kind: 3, code: 0 }.is_error(6));
        assert_eq!(IcmpHeader::parse(&[3, 4, 9]).unwrap().as_port(), 0x0304);
        assert_eq!(IcmpHeader::parse(&[3]), None);
    }
}
