//! Address prefixes such as `10.1.0.0/24`, as values of the file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

use super::doc::ValueKind;
use super::reader::{ConfigReader, ConfigValue, Entry};
use super::value::bad_address;

/// A network and its length, with no bit set below the length.
///
/// `sys::netlink::AddressPrefix` is what the kernel takes for addresses and routes: an address and
/// a length that nobody has checked. A selector's `AddressRange` need not be a prefix.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

/// An address of an interface with the length of its network: bits below the length may be set,
/// which a [`Prefix`] does not allow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct InterfaceAddress {
    /// The interface's address.
    pub address: IpAddr,
    /// The number of leading bits that are the network.
    pub length: u8,
}

impl Prefix {
    /// The network that an address lies in; `None` when the address has fewer bits than `length`.
    pub fn of(address: IpAddr, length: u8) -> Option<Prefix> {
        let network = match address {
            IpAddr::V4(v4) => {
                let mask = mask(32, length)?;
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & u32::try_from(mask).ok()?))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(128, length)?)),
        };
        Some(Prefix { network, length })
    }

    /// The network of one address.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix { network: address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// All addresses of IPv4.
    pub fn any_v4() -> Prefix {
        Prefix { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 }
    }

    /// All addresses of IPv6.
    pub fn any_v6() -> Prefix {
        Prefix { network: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 }
    }

    /// The first address of the network.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// The number of leading bits that all addresses of the network share.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The last address of the network.
    pub fn last(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | host))
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | host))
            }
        }
    }

    /// Whether the prefix is `0.0.0.0/0` or `::/0`.
    pub fn is_everything(&self) -> bool {
        self.length == 0
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4()
            && Prefix::of(address, self.length).is_some_and(|p| p.network == self.network)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }
}

/// A mask of `bits` bits with the first `length` set.
fn mask(bits: u8, length: u8) -> Option<u128> {
    let host = bits.checked_sub(length)?;
    let all = u128::MAX.checked_shr(u32::from(128 - bits)).unwrap_or(0);
    Some(all & u128::MAX.checked_shl(u32::from(host)).unwrap_or(0))
}

impl ConfigValue for Prefix {
    const KIND: ValueKind = ValueKind::Text("an address prefix");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<Prefix> {
        let text = entry.text(&Self::KIND, reader)?;
        let InterfaceAddress { address, length } = parse(text, entry, reader)?;
        let prefix = Prefix::of(address, length)?;
        if prefix.network != address {
            let what = format!("{text:?} has bits set beyond its length, /{length}");
            entry.refuse(
                reader,
                what,
                format!("the network is \"{prefix}\"; the one address is \"{}\"", single(address)),
            );
            return None;
        }
        Some(prefix)
    }
}

impl ConfigValue for InterfaceAddress {
    const KIND: ValueKind = ValueKind::Text("an address with the length of its network");

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<InterfaceAddress> {
        let text = entry.text(&Self::KIND, reader)?;
        parse(text, entry, reader)
    }
}

/// The parts of `address/length`; reports a text that is none.
fn parse(
    text: &str,
    entry: Entry<'_, '_>,
    reader: &mut ConfigReader<'_>,
) -> Option<InterfaceAddress> {
    let Some((address, length)) = text.split_once('/') else {
        let what = format!("{text:?} has no prefix length");
        let hint = match text.parse() {
            Ok(address) => format!(
                "for this one address write \"{}\"; for a network add its length, as in \"10.1.0.0/24\"",
                single(address)
            ),
            Err(_) => "write a prefix such as \"10.1.0.0/24\"".to_owned(),
        };
        entry.refuse(reader, what, hint);
        return None;
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        let (what, hint) = bad_address(address);
        entry.refuse(reader, format!("{text:?} is no address prefix: {what}"), hint);
        return None;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length.parse() {
        Ok(length) if length <= most => Some(InterfaceAddress { address, length }),
        _ => {
            let hint = match length.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits) {
                Ok(mask) if mask.leading_ones() + mask.trailing_zeros() >= 32 => {
                    format!("write the mask as a length: \"{address}/{}\"", mask.leading_ones())
                }
                _ => format!("the length is a number from 0 to {most}"),
            };
            entry.refuse(
                reader,
                format!("{text:?} is no address prefix: its length is {length:?}"),
                hint,
            );
            None
        }
    }
}

fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for InterfaceAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix::of(address.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    #[test]
    fn first_and_last() {
        for (text, first, last) in [
            ("10.1.2.3/24", "10.1.2.0", "10.1.2.255"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/0", "0.0.0.0", "255.255.255.255"),
            ("2001:db8::1/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::5/128", "fe80::5", "fe80::5"),
        ] {
            assert_eq!(prefix(text).network(), first.parse::<IpAddr>().unwrap(), "{text}");
            assert_eq!(prefix(text).last(), last.parse::<IpAddr>().unwrap(), "{text}");
        }
        assert_eq!(Prefix::of(IpAddr::V4(Ipv4Addr::LOCALHOST), 33), None);
        assert_eq!(Prefix::of(IpAddr::V6(Ipv6Addr::LOCALHOST), 129), None);
    }

    #[test]
    fn overlap_is_mutual_and_stays_in_its_family() {
        let table = [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/16", "10.1.0.0/16", false),
            ("0.0.0.0/0", "10.1.0.0/16", true),
            ("0.0.0.0/0", "::/0", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ];
        for (a, b, overlap) in table {
            assert_eq!(prefix(a).overlaps(&prefix(b)), overlap, "{a} {b}");
            assert_eq!(prefix(b).overlaps(&prefix(a)), overlap, "{b} {a}");
        }
    }
}
