//! Address ranges: what a traffic selector, a route and a configured prefix have in common.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use super::span::Span;

/// All addresses from a first to a last one, of one family; never empty.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AddressRange(FamilySpan);

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum FamilySpan {
    V4(Span<u32>),
    V6(Span<u128>),
}

impl AddressRange {
    /// All IPv4 addresses, 0.0.0.0/0.
    pub const ANY_V4: AddressRange = AddressRange(FamilySpan::V4(Span::<u32>::ALL));
    /// All IPv6 addresses, ::/0.
    pub const ANY_V6: AddressRange = AddressRange(FamilySpan::V6(Span::<u128>::ALL));

    /// The range from `first` to `last`, both included.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<AddressRange, RangeError> {
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                Span::new(a.to_bits(), b.to_bits()).map(FamilySpan::V4)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                Span::new(a.to_bits(), b.to_bits()).map(FamilySpan::V6)
            }
            _ => return Err(RangeError::MixedFamilies { first, last }),
        }
        .map(AddressRange)
        .ok_or(RangeError::Reversed { first, last })
    }

    /// The range of one address.
    pub fn host(address: IpAddr) -> AddressRange {
        match address {
            IpAddr::V4(a) => AddressRange(FamilySpan::V4(Span::one(a.to_bits()))),
            IpAddr::V6(a) => AddressRange(FamilySpan::V6(Span::one(a.to_bits()))),
        }
    }

    /// The range of a prefix. Bits below the prefix must be zero: in `10.1.0.5/16` either the
    /// address or the length is a mistake.
    pub fn prefix(address: IpAddr, length: u8) -> Result<AddressRange, RangeError> {
        let bits = u32::from(length);
        let family = match address {
            IpAddr::V4(a) if bits <= 32 => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                Span::new(a.to_bits() & !host, a.to_bits() | host).map(FamilySpan::V4)
            }
            IpAddr::V6(a) if bits <= 128 => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                Span::new(a.to_bits() & !host, a.to_bits() | host).map(FamilySpan::V6)
            }
            _ => return Err(RangeError::PrefixLength { address, length }),
        };
        let range = AddressRange(family.expect("clearing bits makes no number larger"));
        match range.first() == address {
            true => Ok(range),
            false => Err(RangeError::HostBits { address, length, network: range.first() }),
        }
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        match self.0 {
            FamilySpan::V4(span) => Ipv4Addr::from_bits(span.first()).into(),
            FamilySpan::V6(span) => Ipv6Addr::from_bits(span.first()).into(),
        }
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        match self.0 {
            FamilySpan::V4(span) => Ipv4Addr::from_bits(span.last()).into(),
            FamilySpan::V6(span) => Ipv6Addr::from_bits(span.last()).into(),
        }
    }

    /// Whether these are IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, FamilySpan::V4(_))
    }

    /// Whether `address` lies in the range.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.0, address) {
            (FamilySpan::V4(span), IpAddr::V4(a)) => span.has(a.to_bits()),
            (FamilySpan::V6(span), IpAddr::V6(a)) => span.has(a.to_bits()),
            _ => false,
        }
    }

    /// Whether all of `other` lies in the range.
    pub fn covers(&self, other: &AddressRange) -> bool {
        match (self.0, other.0) {
            (FamilySpan::V4(a), FamilySpan::V4(b)) => a.covers(&b),
            (FamilySpan::V6(a), FamilySpan::V6(b)) => a.covers(&b),
            _ => false,
        }
    }

    /// The addresses that lie in both ranges.
    pub fn intersect(&self, other: &AddressRange) -> Option<AddressRange> {
        match (self.0, other.0) {
            (FamilySpan::V4(a), FamilySpan::V4(b)) => a.intersect(&b).map(FamilySpan::V4),
            (FamilySpan::V6(a), FamilySpan::V6(b)) => a.intersect(&b).map(FamilySpan::V6),
            _ => None,
        }
        .map(AddressRange)
    }

    /// One range for both, when there is no gap between them.
    pub fn join(&self, other: &AddressRange) -> Option<AddressRange> {
        match (self.0, other.0) {
            (FamilySpan::V4(a), FamilySpan::V4(b)) => a.join(&b).map(FamilySpan::V4),
            (FamilySpan::V6(a), FamilySpan::V6(b)) => a.join(&b).map(FamilySpan::V6),
            _ => None,
        }
        .map(AddressRange)
    }

    /// The rest of the range without `other`: a part below `other` and a part above.
    pub fn without(&self, other: &AddressRange) -> [Option<AddressRange>; 2] {
        match (self.0, other.0) {
            (FamilySpan::V4(a), FamilySpan::V4(b)) => {
                a.without(&b).map(|part| part.map(FamilySpan::V4).map(AddressRange))
            }
            (FamilySpan::V6(a), FamilySpan::V6(b)) => {
                a.without(&b).map(|part| part.map(FamilySpan::V6).map(AddressRange))
            }
            _ => [Some(*self), None],
        }
    }

    /// The prefix length, when the range is exactly one prefix.
    pub fn prefix_len(&self) -> Option<u8> {
        let (aligned, length) = match self.0 {
            FamilySpan::V4(span) => {
                let differing = span.first() ^ span.last();
                let host = 32 - differing.leading_zeros();
                let ones = differing.count_ones() == host;
                (ones && span.first() & differing == 0, 32 - host)
            }
            FamilySpan::V6(span) => {
                let differing = span.first() ^ span.last();
                let host = 128 - differing.leading_zeros();
                let ones = differing.count_ones() == host;
                (ones && span.first() & differing == 0, 128 - host)
            }
        };
        u8::try_from(length).ok().filter(|_| aligned)
    }

    /// The fewest prefixes that make up the range, lowest first: at most 62 for IPv4 and 254 for
    /// IPv6.
    pub fn prefixes(&self) -> Prefixes {
        Prefixes { left: Some(*self) }
    }
}

impl From<Ipv4Addr> for AddressRange {
    fn from(address: Ipv4Addr) -> AddressRange {
        AddressRange::host(address.into())
    }
}

impl From<Ipv6Addr> for AddressRange {
    fn from(address: Ipv6Addr) -> AddressRange {
        AddressRange::host(address.into())
    }
}

/// The prefixes of a range, see [`AddressRange::prefixes`].
#[derive(Clone, Debug)]
pub struct Prefixes {
    left: Option<AddressRange>,
}

impl Iterator for Prefixes {
    type Item = (IpAddr, u8);

    /// Takes the largest prefix that starts where the rest starts and does not reach beyond its
    /// end.
    fn next(&mut self) -> Option<(IpAddr, u8)> {
        let left = self.left?;
        let first = left.first();
        let longest = if left.is_ipv4() { 32 } else { 128 };
        let (length, prefix) = (0..=longest).find_map(|length| {
            let prefix = AddressRange::prefix(first, length).ok()?;
            left.covers(&prefix).then_some((length, prefix))
        })?;
        let [_, above] = left.without(&prefix);
        self.left = above;
        Some((first, length))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_len() {
            Some(length) => write!(f, "{}/{length}", self.first()),
            None => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

impl FromStr for AddressRange {
    type Err = RangeError;

    /// Reads `10.1.0.0/16`, `10.1.0.5-10.1.0.9` or `10.1.0.5`.
    fn from_str(text: &str) -> Result<AddressRange, RangeError> {
        let unreadable = || RangeError::Unreadable { text: text.to_owned() };
        let address = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| unreadable());
        if let Some((network, length)) = text.split_once('/') {
            let length = length.trim().parse().map_err(|_| unreadable())?;
            AddressRange::prefix(address(network)?, length)
        } else if let Some((first, last)) = text.split_once('-') {
            AddressRange::new(address(first)?, address(last)?)
        } else {
            address(text).map(AddressRange::host)
        }
    }
}

/// Why two addresses, or a text, are no address range.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RangeError {
    /// One IPv4 and one IPv6 address.
    #[error("{first} and {last} are of different families")]
    MixedFamilies {
        /// The start as given.
        first: IpAddr,
        /// The end as given.
        last: IpAddr,
    },
    /// The ends are the wrong way round.
    #[error("the range ends at {last}, below its start {first}")]
    Reversed {
        /// The start as given.
        first: IpAddr,
        /// The end as given.
        last: IpAddr,
    },
    /// More prefix bits than the address has.
    #[error("{address}/{length}: an address of this family has fewer bits")]
    PrefixLength {
        /// The address before the slash.
        address: IpAddr,
        /// The prefix length.
        length: u8,
    },
    /// Bits below the prefix are set.
    #[error("{address}/{length} has host bits set: did you mean {network}/{length}?")]
    HostBits {
        /// The address as given.
        address: IpAddr,
        /// The prefix length as given.
        length: u8,
        /// The address with the host bits cleared.
        network: IpAddr,
    },
    /// Neither address, prefix nor range.
    #[error("{text:?} is no address, prefix (10.1.0.0/16) or range (10.1.0.5-10.1.0.9)")]
    Unreadable {
        /// The text as given.
        text: String,
    },
}
