//! What can be seen on the wire without any key: a datagram, its kind, and the IKE header.
//!
//! Read here with code of its own, so that the simulator does not believe the engine's decoder
//! about the engine.

use std::fmt;
use std::net::SocketAddr;

/// A host's number in the world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostId(pub usize);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = u8::try_from(self.0).ok().and_then(|n| b'A'.checked_add(n));
        write!(f, "{}", char::from(letter.unwrap_or(b'?')))
    }
}

/// A UDP datagram under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Datagram {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub bytes: Vec<u8>,
}

/// The exchange types, as the header has them (RFC 7296 §3.1).
pub const IKE_SA_INIT: u8 = 34;
pub const IKE_AUTH: u8 = 35;
pub const CREATE_CHILD_SA: u8 = 36;
pub const INFORMATIONAL: u8 = 37;

const FLAG_INITIATOR: u8 = 0x08;
const FLAG_RESPONSE: u8 = 0x20;
const PAYLOAD_SK: u8 = 46;
const PAYLOAD_SKF: u8 = 53;

/// The cleartext header of an IKE message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Header {
    pub spi_i: u64,
    pub spi_r: u64,
    pub exchange: u8,
    pub response: bool,
    /// Sent by the original initiator of the IKE SA.
    pub initiator: bool,
    pub message_id: u32,
    /// Fragment number of a fragmented message (RFC 7383), else zero.
    pub fragment: u16,
    /// The number of fragments of this cut of the message, or zero.
    pub total: u16,
    /// Wholly encrypted: the first payload is SK or SKF.
    pub encrypted: bool,
}

/// What a datagram carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Ike(Header),
    Esp { spi: u32 },
    Keepalive,
    Runt,
}

impl Datagram {
    /// Sorts by port and first bytes (RFC 3948 §2.2).
    pub fn kind(&self) -> Kind {
        let ike = if self.dst.port() == 500 || self.src.port() == 500 {
            Some(&self.bytes[..])
        } else {
            self.bytes.strip_prefix(&[0; 4])
        };
        match (ike, &self.bytes[..]) {
            (Some(message), _) => Header::read(message).map_or(Kind::Runt, Kind::Ike),
            (None, [0xff]) => Kind::Keepalive,
            (None, [a, b, c, d, _, ..]) => Kind::Esp { spi: u32::from_be_bytes([*a, *b, *c, *d]) },
            (None, _) => Kind::Runt,
        }
    }

    pub fn header(&self) -> Option<Header> {
        match self.kind() {
            Kind::Ike(header) => Some(header),
            Kind::Esp { .. } | Kind::Keepalive | Kind::Runt => None,
        }
    }
}

impl Header {
    fn read(message: &[u8]) -> Option<Header> {
        let (head, rest) = message.split_at_checked(28)?;
        let flags = head[19];
        let fragmented = head[16] == PAYLOAD_SKF;
        Some(Header {
            spi_i: u64::from_be_bytes(head[..8].try_into().ok()?),
            spi_r: u64::from_be_bytes(head[8..16].try_into().ok()?),
            exchange: head[18],
            response: flags & FLAG_RESPONSE != 0,
            initiator: flags & FLAG_INITIATOR != 0,
            message_id: u32::from_be_bytes(head[20..24].try_into().ok()?),
            fragment: match rest {
                [_, _, _, _, high, low, ..] if fragmented => u16::from_be_bytes([*high, *low]),
                _ => 0,
            },
            total: match rest {
                [_, _, _, _, _, _, high, low, ..] if fragmented => {
                    u16::from_be_bytes([*high, *low])
                }
                _ => 0,
            },
            encrypted: fragmented || head[16] == PAYLOAD_SK,
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.exchange {
            IKE_SA_INIT => "IKE_SA_INIT",
            IKE_AUTH => "IKE_AUTH",
            CREATE_CHILD_SA => "CREATE_CHILD_SA",
            INFORMATIONAL => "INFORMATIONAL",
            _ => "exchange ?",
        };
        let direction = if self.response { "response" } else { "request" };
        write!(f, "{name} {direction} #{}", self.message_id)?;
        if self.fragment != 0 {
            write!(f, " fragment {}", self.fragment)?;
        }
        write!(f, " [{:04x}.{:04x}]", self.spi_i >> 48, self.spi_r >> 48)
    }
}

mod tests {
    use super::*;

    fn datagram(port: u16, bytes: &[u8]) -> Datagram {
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        Datagram { src: at(port), dst: at(port), bytes: bytes.to_vec() }
    }

    #[test]
    fn port_and_first_bytes_tell_the_kind() {
        let mut message = vec![0; 36];
        message[..20]
            .copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 4, 53, 0x20, 36, 0x28]);
        message[23] = 7;
        message[33] = 2;
        let header = datagram(500, &message).header().expect("an IKE message");
        assert_eq!((header.exchange, header.message_id, header.fragment), (36, 7, 2));
        assert!(header.response && header.initiator && header.encrypted);
        assert_eq!(header.to_string(), "CREATE_CHILD_SA response #7 fragment 2 [0100.0300]");
        assert_eq!(datagram(4500, &[[0; 4].as_slice(), &message].concat()).header(), Some(header));
        assert_eq!(datagram(4500, &[0xff]).kind(), Kind::Keepalive);
        assert_eq!(datagram(4500, &[0, 0, 1, 2, 9]).kind(), Kind::Esp { spi: 258 });
        assert_eq!(datagram(4500, &[0, 0, 0, 0, 9]).kind(), Kind::Runt);
    }
}
