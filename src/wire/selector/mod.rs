//! Traffic selectors: which packets an SA carries, seen from one side (RFC 7296 §2.9, RFC 4301
//! §4.4.1.1).
//!
//! | file | what |
//! |---|---|
//! | [`Selector`] (here) | one box: addresses by protocol by ports |
//! | [`set`] | [`SelectorSet`](set::SelectorSet): a union of boxes, with exact algebra |
//! | [`narrow`](mod@narrow) | traffic selector narrowing: what a responder accepts of an offer |
//! | [`address`], [`ports`] | the ranges that make up a box |
//! | `span` | ranges of whole numbers, under all of these |

pub mod address;
pub mod narrow;
pub mod ports;
pub mod set;
pub(crate) mod span;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

use address::{AddressRange, RangeError};
use ports::Ports;

/// One traffic selector. Every combination of fields is a valid one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector {
    /// The addresses of the packets on this side.
    pub addresses: AddressRange,
    /// IP protocol number, or [`Selector::ANY_PROTOCOL`].
    pub protocol: u8,
    /// The ports, or the ICMP types and codes.
    pub ports: Ports,
}

impl Selector {
    /// The protocol number that means every protocol.
    pub const ANY_PROTOCOL: u8 = 0;
    /// All IPv4 packets.
    pub const ANY_V4: Selector = Selector::addresses(AddressRange::ANY_V4);
    /// All IPv6 packets.
    pub const ANY_V6: Selector = Selector::addresses(AddressRange::ANY_V6);

    /// All packets of these addresses.
    pub const fn addresses(addresses: AddressRange) -> Selector {
        Selector { addresses, protocol: Selector::ANY_PROTOCOL, ports: Ports::ANY }
    }

    /// Whether the selector covers a packet that has, on the selector's side, this address and this
    /// port. The port is `None` when it cannot be seen. For ICMP the type and code are the port of
    /// both sides.
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        (self.protocol == Selector::ANY_PROTOCOL || self.protocol == protocol)
            && self.ports.has(port)
            && self.addresses.has(address)
    }

    /// Whether the selector covers all packets of `other`.
    pub fn covers(&self, other: &Selector) -> bool {
        (self.protocol == Selector::ANY_PROTOCOL || self.protocol == other.protocol)
            && self.ports.covers(&other.ports)
            && self.addresses.covers(&other.addresses)
    }

    /// The packets that both selectors cover.
    pub fn intersect(&self, other: &Selector) -> Option<Selector> {
        let protocol = match (self.protocol, other.protocol) {
            (Selector::ANY_PROTOCOL, theirs) => theirs,
            (ours, Selector::ANY_PROTOCOL) => ours,
            (ours, theirs) if ours == theirs => ours,
            _ => return None,
        };
        let addresses = self.addresses.intersect(&other.addresses)?;
        let ports = self.ports.intersect(&other.ports)?;
        Some(Selector { addresses, protocol, ports })
    }

    /// One selector for exactly the packets of both, if there is one.
    pub fn join(&self, other: &Selector) -> Option<Selector> {
        if self.covers(other) {
            return Some(*self);
        }
        if other.covers(self) {
            return Some(*other);
        }
        if self.protocol != other.protocol {
            return None;
        }
        if self.ports == other.ports {
            let addresses = self.addresses.join(&other.addresses)?;
            return Some(Selector { addresses, ..*self });
        }
        if self.addresses == other.addresses {
            let ports = self.ports.join(&other.ports)?;
            return Some(Selector { ports, ..*self });
        }
        None
    }
}

impl From<AddressRange> for Selector {
    fn from(addresses: AddressRange) -> Selector {
        Selector::addresses(addresses)
    }
}

/// Protocols with a name here; all others are written as their number.
const PROTOCOLS: [(u8, &str); 9] = [
    (Selector::ANY_PROTOCOL, "any"),
    (ICMP, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (47, "gre"),
    (50, "esp"),
    (ICMPV6, "icmpv6"),
    (89, "ospf"),
    (132, "sctp"),
];
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl fmt::Display for Selector {
    /// `10.1.0.0/24`, `10.1.0.5-10.1.0.9[tcp/443]`, `10.1.0.1/32[icmp/8(0)]`,
    /// `fd00::/8[any/OPAQUE]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addresses.fmt(f)?;
        if self.protocol == Selector::ANY_PROTOCOL && self.ports == Ports::ANY {
            return Ok(());
        }
        match PROTOCOLS.iter().find(|(number, _)| *number == self.protocol) {
            Some((_, name)) => write!(f, "[{name}")?,
            None => write!(f, "[{}", self.protocol)?,
        }
        match (self.ports.first(), self.ports.last()) {
            _ if self.ports == Ports::ANY => {}
            _ if self.ports == Ports::OPAQUE => f.write_str("/OPAQUE")?,
            (first, last) if matches!(self.protocol, ICMP | ICMPV6) => {
                let ([kind, code], [last_kind, last_code]) =
                    (first.to_be_bytes(), last.to_be_bytes());
                match kind == last_kind {
                    true if code == last_code => write!(f, "/{kind}({code})")?,
                    true if (code, last_code) == (0, u8::MAX) => write!(f, "/{kind}")?,
                    _ => write!(f, "/{kind}({code})-{last_kind}({last_code})")?,
                }
            }
            (first, last) if first == last => write!(f, "/{first}")?,
            (first, last) => write!(f, "/{first}-{last}")?,
        }
        f.write_str("]")
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let Some((addresses, bracket)) = text.split_once('[') else {
            return Ok(Selector::addresses(text.parse()?));
        };
        let addresses = addresses.parse()?;
        let unreadable = || SelectorError::Unreadable { text: text.to_owned() };
        let inside = bracket.strip_suffix(']').ok_or_else(unreadable)?;
        let (protocol, ports) = match inside.split_once('/') {
            Some((protocol, ports)) => (protocol, Some(ports)),
            None => (inside, None),
        };
        let protocol = match PROTOCOLS.iter().find(|(_, name)| *name == protocol) {
            Some((number, _)) => *number,
            None => protocol.parse().map_err(|_| unreadable())?,
        };
        let ports = match ports {
            None => Ports::ANY,
            Some("OPAQUE") => Ports::OPAQUE,
            Some(ports) => {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                let read = if matches!(protocol, ICMP | ICMPV6) { read_icmp } else { read_port };
                let (Some((first, _)), Some((_, last))) = (read(first), read(last)) else {
                    return Err(unreadable());
                };
                Ports::new(first, last).filter(|p| *p != Ports::OPAQUE).ok_or_else(unreadable)?
            }
        };
        Ok(Selector { addresses, protocol, ports })
    }
}

/// A port, as the range of itself.
fn read_port(text: &str) -> Option<(u16, u16)> {
    let port = text.parse().ok()?;
    Some((port, port))
}

/// `8(0)` is one type and code, `8` all codes of a type.
fn read_icmp(text: &str) -> Option<(u16, u16)> {
    match text.split_once('(') {
        Some((kind, code)) => {
            let code = code.strip_suffix(')')?.parse().ok()?;
            let number = u16::from_be_bytes([kind.parse().ok()?, code]);
            Some((number, number))
        }
        None => {
            let kind = text.parse().ok()?;
            Some((u16::from_be_bytes([kind, 0]), u16::from_be_bytes([kind, u8::MAX])))
        }
    }
}

/// Why a text is no selector.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SelectorError {
    /// The part before the bracket is wrong.
    #[error(transparent)]
    Addresses(#[from] RangeError),
    /// The part in brackets is wrong.
    #[error(
        "{text:?}: after the addresses, [protocol] or [protocol/ports] is expected, as in [tcp/443]"
    )]
    Unreadable {
        /// The text as given.
        text: String,
    },
}
