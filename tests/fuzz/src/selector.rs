//! Traffic-selector algebra and its text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use s2sd::wire::selector::Selector;
use s2sd::wire::selector::address::AddressRange;
use s2sd::wire::selector::narrow::{ChildSelectors, choose, narrow};
use s2sd::wire::selector::ports::Ports;
use s2sd::wire::selector::set::SelectorSet;

/// The length of a first list of selectors, then both lists: their algebra, checked packet by
/// packet in a small world that has a packet on each side of every edge.
pub fn selector_algebra(data: &[u8]) {
    let Some((count, chunks)) = data.split_first() else { return };
    let mut selectors = chunks.as_chunks::<4>().0.iter().map(selector);
    let a: Vec<Selector> = selectors.by_ref().take(usize::from(count % 7)).collect();
    let b: Vec<Selector> = selectors.take(6).collect();
    let (set_a, set_b) = (SelectorSet::from_iter(a.clone()), SelectorSet::from_iter(b.clone()));

    let means = |list: &[Selector], (address, protocol, port)| {
        list.iter().any(|s| s.matches(address, protocol, port))
    };
    let (both, either) = (set_a.intersect(&set_b), set_a.union(&set_b));
    let narrowed = narrow(&a, &set_b);
    let answer = narrowed.as_ref().map_or(&[][..], |n| &n.selectors);
    let (mut a_covers_b, mut first_covered) = (true, true);
    for packet in world() {
        let (address, protocol, port) = packet;
        let (in_a, in_b) = (means(&a, packet), means(&b, packet));
        assert_eq!(set_a.matches(address, protocol, port), in_a);
        assert_eq!(set_b.matches(address, protocol, port), in_b);
        assert_eq!(both.matches(address, protocol, port), in_a && in_b);
        assert_eq!(either.matches(address, protocol, port), in_a || in_b);
        assert_eq!(means(answer, packet), in_a && in_b);
        a_covers_b &= in_a || !in_b;
        first_covered &= in_b || !a.first().is_some_and(|f| f.matches(address, protocol, port));
    }
    // No selector here can tell apart packets between those of the world, so it decides coverage
    // too.
    assert_eq!(set_a.covers(&set_b), a_covers_b);
    assert!(set_a.covers(&both) && set_b.covers(&both));
    assert!(either.covers(&set_a) && either.covers(&set_b));
    assert!(set_a.selectors().len() <= a.len());
    if let Some(narrowed) = narrowed {
        assert_eq!(narrowed.first, first_covered);
        assert_eq!(narrowed.whole, set_b.covers(&set_a));
        assert!(!narrowed.whole || narrowed.selectors == a);
    } else {
        assert!(both.is_empty());
    }
    choice(&a, &b, &set_a, &set_b);
}

/// Among the two sets as policies, an offer from one of them is never refused, and never narrowed.
fn choice(a: &[Selector], b: &[Selector], set_a: &SelectorSet, set_b: &SelectorSet) {
    let one = ChildSelectors { local: set_a.clone(), remote: set_b.clone() };
    let two = ChildSelectors { local: set_b.clone(), remote: set_a.clone() };
    let chosen = choose(a, b, [&two, &one]);
    match chosen {
        None => assert!(a.is_empty() || b.is_empty()),
        Some(chosen) => assert!(chosen.local.whole && chosen.remote.whole),
    }
}

/// Any text: what can be read prints, and what is printed reads the same. A range is exactly its
/// prefixes.
pub fn selector_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(selector) = text.parse::<Selector>() else {
        assert!(text.parse::<AddressRange>().is_err());
        return;
    };
    assert_eq!(selector.to_string().parse(), Ok(selector));
    let range = selector.addresses;
    assert_eq!(range.to_string().parse(), Ok(range));

    let prefixes: Vec<AddressRange> = range
        .prefixes()
        .map(|(network, length)| AddressRange::prefix(network, length).expect("no host bits"))
        .collect();
    assert!(prefixes.len() <= 254);
    let joined = prefixes.iter().copied().reduce(|a, b| {
        assert_eq!(a.intersect(&b), None);
        a.join(&b).expect("no gap")
    });
    assert_eq!(joined, Some(range));
    assert_eq!(prefixes.len() == 1, range.prefix_len().is_some());
}

/// Every packet that the selectors of [`selector`] can tell apart.
fn world() -> impl Iterator<Item = (IpAddr, u8, Option<u16>)> {
    let middle = [Ipv4Addr::from_bits(1 << 31).into(), Ipv6Addr::from_bits(1 << 127).into()];
    let addresses = (0..32).map(address).chain(middle);
    addresses.flat_map(|address| {
        [0, 1, 6, 200].into_iter().flat_map(move |protocol| {
            let ports = PORTS.into_iter().map(Some).chain([Some(0x8000), None]);
            ports.map(move |port| (address, protocol, port))
        })
    })
}

/// The ports that ranges begin and end with.
const PORTS: [u16; 8] = [0, 1, 2, 3, 0xfffc, 0xfffd, 0xfffe, 0xffff];

/// One selector out of four bytes: addresses and ports at both ends of their types, and a protocol.
fn selector(bytes: &[u8; 4]) -> Selector {
    let [addresses, family, protocol, ports] = *bytes;
    let base = (family & 1) * 16;
    let (one, other) = (address(base + (addresses & 15)), address(base + (addresses >> 4)));
    let addresses = AddressRange::new(one.min(other), one.max(other)).expect("in order");
    let port = |n: u8| PORTS[usize::from(n & 7)];
    let (one, other) = (port(ports), port(ports >> 3));
    let ports = match ports >> 6 {
        0 => Ports::OPAQUE,
        1 => Ports::ANY,
        _ => Ports::new(one.min(other), one.max(other)).expect("in order"),
    };
    // The protocol in a packet may be 0 too, which no selector can name alone.
    Selector { addresses, protocol: [0, 1, 6, 6][usize::from(protocol & 3)], ports }
}

/// The world's addresses: the first and last eight of each family.
fn address(n: u8) -> IpAddr {
    let place = n % 16;
    match n < 16 {
        true if place < 8 => Ipv4Addr::from_bits(place.into()).into(),
        true => Ipv4Addr::from_bits(u32::MAX - u32::from(15 - place)).into(),
        false if place < 8 => Ipv6Addr::from_bits(place.into()).into(),
        false => Ipv6Addr::from_bits(u128::MAX - u128::from(15 - place)).into(),
    }
}
