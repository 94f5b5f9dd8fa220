//! The ports of a traffic selector, or what its protocol has in their place (RFC 7296 §3.13.1, RFC
//! 4301 §4.4.1.1).
//!
//! A packet has a port, or its port cannot be seen (a later fragment, a protocol without ports).
//! `OPAQUE` covers only packets without a visible port, a range only packets with one, `ANY` both.
//! ICMP has type and code in place of a port, as one number with the type first.

use super::span::Span;

/// The ports of a traffic selector: all, a range, or only packets without a visible port.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ports(PortsKind);

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum PortsKind {
    Any,
    /// Never 0 to 65535: that is `Any`.
    Range(Span<u16>),
    Opaque,
}

impl Ports {
    /// Every port, and packets without one: 0 to 65535 on the wire.
    pub const ANY: Ports = Ports(PortsKind::Any);
    /// Only packets whose port cannot be seen: 65535 to 0 on the wire.
    pub const OPAQUE: Ports = Ports(PortsKind::Opaque);

    /// The range of one port.
    pub const fn one(port: u16) -> Ports {
        Ports(PortsKind::Range(Span::one(port)))
    }

    /// The ports of the two fields of a payload; `None` when the end is below the start and the
    /// fields are not those of `OPAQUE`.
    pub fn new(first: u16, last: u16) -> Option<Ports> {
        match (first, last) {
            (0, u16::MAX) => Some(Ports::ANY),
            (u16::MAX, 0) => Some(Ports::OPAQUE),
            _ => Span::new(first, last).map(|span| Ports(PortsKind::Range(span))),
        }
    }

    /// One ICMP type, with one code or all of them.
    pub fn icmp(kind: u8, code: Option<u8>) -> Ports {
        let first = u16::from_be_bytes([kind, code.unwrap_or(0)]);
        let last = u16::from_be_bytes([kind, code.unwrap_or(u8::MAX)]);
        Ports::new(first, last).expect("a type's codes are in order")
    }

    /// The start port as a payload has it.
    pub fn first(&self) -> u16 {
        match self.0 {
            PortsKind::Any => 0,
            PortsKind::Range(span) => span.first(),
            PortsKind::Opaque => u16::MAX,
        }
    }

    /// The end port as a payload has it.
    pub fn last(&self) -> u16 {
        match self.0 {
            PortsKind::Any => u16::MAX,
            PortsKind::Range(span) => span.last(),
            PortsKind::Opaque => 0,
        }
    }

    /// Whether a packet with this port, or without a visible port, is covered.
    pub fn has(&self, port: Option<u16>) -> bool {
        match (self.0, port) {
            (PortsKind::Any, _) | (PortsKind::Opaque, None) => true,
            (PortsKind::Range(span), Some(port)) => span.has(port),
            (PortsKind::Range(_), None) | (PortsKind::Opaque, Some(_)) => false,
        }
    }

    /// Whether all ports of `other` are covered.
    pub fn covers(&self, other: &Ports) -> bool {
        self.span().covers(&other.span())
    }

    /// The ports that both cover.
    pub fn intersect(&self, other: &Ports) -> Option<Ports> {
        match (self.0, other.0) {
            (PortsKind::Any, _) => Some(*other),
            (_, PortsKind::Any) => Some(*self),
            (PortsKind::Range(a), PortsKind::Range(b)) => {
                a.intersect(&b).map(PortsKind::Range).map(Ports)
            }
            (PortsKind::Opaque, PortsKind::Opaque) => Some(Ports::OPAQUE),
            _ => None,
        }
    }

    /// One range for exactly the ports of both, if there is one. All 65536 ports without the opaque
    /// packets have no form on the wire, so two ranges never join to `ANY`.
    pub fn join(&self, other: &Ports) -> Option<Ports> {
        match (self.0, other.0) {
            (PortsKind::Range(a), PortsKind::Range(b)) => {
                let joined = a.join(&b)?;
                Ports::new(joined.first(), joined.last()).filter(|ports| *ports != Ports::ANY)
            }
            _ if self.covers(other) => Some(*self),
            _ if other.covers(self) => Some(*other),
            _ => None,
        }
    }

    /// As a range of numbers in which 65536 stands for the opaque packets.
    pub(crate) fn span(&self) -> Span<u32> {
        const OPAQUE: u32 = 65_536;
        match self.0 {
            PortsKind::Any => Span::new(0, OPAQUE).expect("zero is not above the mark"),
            PortsKind::Range(span) => Span::new(span.first().into(), span.last().into())
                .expect("widening keeps the order"),
            PortsKind::Opaque => Span::one(OPAQUE),
        }
    }
}
