//! Source address validation inside a tunnel (anti-spoofing): which addresses the peer may send
//! from and to, whatever was negotiated. An any-to-any SA has traffic selectors that allow all
//! (RFC 4301 §5.2 step 4 then checks nothing), and the kernel behind the device would take a packet
//! that claims to come from this site itself, or from a neighbour on the link.
//!
//! In the other direction, what is meant for one link never enters a tunnel: the kernel speaks of
//! multicast groups, routers and neighbours into each of its devices, and the peer would have to
//! drop it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::esp::DropReason;
use crate::wire::packet::ip::{ICMP, ICMPV6, IpFragment, IpHeader};
use crate::wire::selector::address::AddressRange;

/// ICMP Redirect (RFC 792).
const REDIRECT: u8 = 5;
/// Router Solicitation to Redirect: Neighbor Discovery (RFC 4861 §4).
const NEIGHBOR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// The addresses between which the peer may send, and the link-local and multicast addresses that a
/// tunnel carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InnerNetworks {
    sources: Vec<AddressRange>,
    destinations: Vec<AddressRange>,
}

impl InnerNetworks {
    /// The networks behind the peer, and those on this side.
    pub fn new(sources: Vec<AddressRange>, destinations: Vec<AddressRange>) -> InnerNetworks {
        InnerNetworks { sources, destinations }
    }

    /// All addresses but those that belong to one link or one host.
    pub fn everything() -> InnerNetworks {
        let all = vec![AddressRange::ANY_V4, AddressRange::ANY_V6];
        InnerNetworks { sources: all.clone(), destinations: all }
    }

    /// Whether a packet from the device may enter a tunnel: all but those of one link or host,
    /// unless such addresses are configured, on whichever side.
    #[inline]
    pub fn carry(&self, header: &IpHeader, packet: &[u8]) -> bool {
        let ordinary = |address| special_block(address).is_none();
        let ordinary = ordinary(header.source) && ordinary(header.destination);
        (ordinary || self.are_named(header)) && !is_link_control(header, packet)
    }

    #[cold]
    fn are_named(&self, header: &IpHeader) -> bool {
        [header.source, header.destination].into_iter().all(|address| {
            admits(&self.sources, address)
                || admits(&self.destinations, address)
                || special_block(address).is_none()
        })
    }

    /// Checks a packet from the peer.
    pub fn check(&self, header: &IpHeader, packet: &[u8]) -> Result<(), DropReason> {
        if is_link_control(header, packet) {
            return Err(DropReason::LinkControl);
        }
        if !admits(&self.sources, header.source) {
            return Err(DropReason::BadSource);
        }
        match admits(&self.destinations, header.destination) {
            true => Ok(()),
            false => Err(DropReason::BadDestination),
        }
    }
}

/// Whether a packet speaks for routers or neighbours of one link. A tunnel has neither: its routes
/// are configured, and a Router Advertisement or a Redirect would change those of this host.
fn is_link_control(header: &IpHeader, packet: &[u8]) -> bool {
    if !matches!(header.protocol, ICMP | ICMPV6) || header.fragment == IpFragment::Later {
        return false;
    }
    let kind = header.payload(packet).and_then(|message| message.first());
    kind.is_some_and(|kind| match header.protocol {
        ICMP => *kind == REDIRECT,
        _ => NEIGHBOR_DISCOVERY.contains(kind),
    })
}

/// Whether one of these ranges has the address. An address of one link or host needs a range that
/// names such addresses: 0.0.0.0/0 does not stand for link-local ones.
fn admits(ranges: &[AddressRange], address: IpAddr) -> bool {
    let special = special_block(address);
    ranges
        .iter()
        .any(|range| range.has(address) && special.is_none_or(|special| special.covers(range)))
}

/// The block of addresses without a meaning beyond one link or host that an address lies in (RFC
/// 6890, RFC 4291 §2.4).
#[inline]
fn special_block(address: IpAddr) -> Option<AddressRange> {
    let (first, length): (IpAddr, u8) = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0, ..] => (Ipv4Addr::UNSPECIFIED.into(), 8),
            [127, ..] => (Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            [169, 254, ..] => (Ipv4Addr::new(169, 254, 0, 0).into(), 16),
            [224..=239, ..] => (Ipv4Addr::new(224, 0, 0, 0).into(), 4),
            [240..=255, ..] => (Ipv4Addr::new(240, 0, 0, 0).into(), 4),
            _ => return None,
        },
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_loopback() => {
            (Ipv6Addr::UNSPECIFIED.into(), 127)
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10)
        }
        IpAddr::V6(v6) if v6.is_multicast() => {
            (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8)
        }
        IpAddr::V6(_) => return None,
    };
    Some(AddressRange::prefix(first, length).expect("each block begins at its first address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_range_and_a_special_one_a_range_of_its_kind() {
        let range = |text: &str| {
            let (address, length) = text.split_once('/').unwrap();
            AddressRange::prefix(address.parse().unwrap(), length.parse().unwrap()).unwrap()
        };
        for (ranges, address, expected) in [
            (&["10.2.0.0/24"][..], "10.2.0.255", true),
            (&["10.2.0.0/24"], "10.2.1.0", false),
            (&["10.2.0.0/24"], "fd02::1", false),
            (&["10.2.0.0/24", "fd02::/64"], "fd02::1", true),
            (&["0.0.0.0/0"], "192.0.2.1", true),
            (&["0.0.0.0/0"], "127.0.0.1", false),
            (&["0.0.0.0/0"], "0.0.0.0", false),
            (&["0.0.0.0/0"], "169.254.21.2", false),
            (&["0.0.0.0/0", "169.254.21.2/32"], "169.254.21.2", true),
            (&["0.0.0.0/0", "169.254.21.2/32"], "169.254.21.3", false),
            (&["0.0.0.0/0"], "224.0.0.5", false),
            (&["224.0.0.0/4"], "224.0.0.5", true),
            (&["0.0.0.0/0"], "255.255.255.255", false),
            (&["::/0"], "2001:db8::1", true),
            (&["::/0"], "::", false),
            (&["::/0"], "::1", false),
            (&["::/0"], "fe80::1", false),
            (&["::/0"], "ff02::1", false),
            (&["fe80::/10"], "fe80::1", true),
        ] {
            let ranges: Vec<AddressRange> = ranges.iter().map(|text| range(text)).collect();
            assert_eq!(admits(&ranges, address.parse().unwrap()), expected, "{address} {ranges:?}");
        }
    }
}
