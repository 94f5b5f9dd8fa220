//! Selector algebra by tables; by packets of a small world in `tests/fuzz/src/selector.rs`.

use std::net::IpAddr;

use proptest::prelude::*;

use super::values;
use crate::wire::selector::Selector;
use crate::wire::selector::address::{AddressRange, RangeError};
use crate::wire::selector::narrow::{ChildSelectors, Tuple, choose, narrow};
use crate::wire::selector::ports::Ports;
use crate::wire::selector::set::SelectorSet;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn range(text: &str) -> AddressRange {
    text.parse().unwrap()
}

fn list(text: &str) -> Vec<Selector> {
    text.split_terminator(", ").map(|part| part.parse().unwrap()).collect()
}

fn set(text: &str) -> SelectorSet {
    list(text).into_iter().collect()
}

#[test]
fn ranges_print_and_read() {
    for text in ["10.1.0.0/24", "10.1.0.5/32", "0.0.0.0/0", "10.1.0.5-10.1.0.9", "fd00::/8", "::/0"]
    {
        assert_eq!(range(text).to_string(), text);
    }
    let same = [
        ("10.1.0.0-10.1.0.255", "10.1.0.0/24"),
        ("10.1.0.7", "10.1.0.7/32"),
        ("::1", "::1/128"),
        ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
        (" 10.0.0.0 / 8 ", "10.0.0.0/8"),
    ];
    for (text, printed) in same {
        assert_eq!(range(text).to_string(), printed);
    }
}

#[test]
fn ranges_that_are_none() {
    let refusal = |text: &str| text.parse::<AddressRange>().unwrap_err().to_string();
    assert_eq!(refusal("10.1.0.1/16"), "10.1.0.1/16 has host bits set: did you mean 10.1.0.0/16?");
    assert_eq!(refusal("10.1.0.0/33"), "10.1.0.0/33: an address of this family has fewer bits");
    assert_eq!(refusal("fd00::/129"), "fd00::/129: an address of this family has fewer bits");
    assert_eq!(
        refusal("10.0.0.9-10.0.0.5"),
        "the range ends at 10.0.0.5, below its start 10.0.0.9"
    );
    assert_eq!(refusal("10.0.0.9-::1"), "10.0.0.9 and ::1 are of different families");
    assert_eq!(
        refusal("10.1"),
        "\"10.1\" is no address, prefix (10.1.0.0/16) or range (10.1.0.5-10.1.0.9)"
    );
    assert!(matches!("10.0.0.0/x".parse::<AddressRange>(), Err(RangeError::Unreadable { .. })));
}

#[test]
fn ranges_as_prefixes() {
    let prefixes = |text: &str| -> Vec<String> {
        range(text).prefixes().map(|(network, length)| format!("{network}/{length}")).collect()
    };
    assert_eq!(prefixes("10.1.0.0/16"), ["10.1.0.0/16"]);
    assert_eq!(
        prefixes("10.1.0.5-10.1.0.16"),
        ["10.1.0.5/32", "10.1.0.6/31", "10.1.0.8/29", "10.1.0.16/32"]
    );
    assert_eq!(prefixes("::fffe-::1:0"), ["::fffe/127", "::1:0/128"]);
    assert_eq!(range("0.0.0.1-255.255.255.254").prefixes().count(), 62);
    let most = range("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    assert_eq!(most.prefixes().count(), 254);
    assert_eq!(range("10.1.0.5-10.1.0.16").prefix_len(), None);
    assert_eq!(range("10.1.1.0-10.1.2.255").prefix_len(), None, "a power of two, not aligned");
}

#[test]
fn selectors_print_and_read() {
    let texts = [
        "10.1.0.0/24",
        "10.1.0.0/24[tcp]",
        "10.1.0.0/24[tcp/443]",
        "10.1.0.0/24[udp/1000-2000]",
        "10.1.0.5-10.1.0.9[any/53]",
        "10.1.0.0/24[icmp/8]",
        "10.1.0.0/24[icmp/3(4)]",
        "10.1.0.0/24[icmp/3(4)-5(1)]",
        "fd00::/8[icmpv6/128(0)]",
        "10.1.0.0/24[tcp/OPAQUE]",
        "10.1.0.0/24[gre]",
        "10.1.0.0/24[99/7]",
    ];
    for text in texts {
        assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
    }
    let bad = [
        "10.1.0.0/24[",
        "10.1.0.0/24[tcp",
        "10.1.0.0/24[tcp/]",
        "10.1.0.0/24[tcp/70000]",
        "10.1.0.0/24[tcp/9-8]",
        "10.1.0.0/24[udp/65535-0]",
        "10.1.0.0/24[ipx]",
        "[tcp]",
        "10.1.0.0/24[tcp/1]x",
    ];
    for text in bad {
        assert!(text.parse::<Selector>().is_err(), "{text}");
    }
    assert_eq!(
        "10.1.0.0/24[ipx]".parse::<Selector>().unwrap_err().to_string(),
        "\"10.1.0.0/24[ipx]\": after the addresses, [protocol] or [protocol/ports] is expected, as in [tcp/443]"
    );
}

#[test]
fn opaque_is_no_port_and_any_is_both() {
    let (tcp, web) = (Some(443), Ports::one(443));
    assert!(Ports::ANY.has(tcp) && Ports::ANY.has(None));
    assert!(web.has(tcp) && !web.has(None) && !web.has(Some(444)));
    assert!(!Ports::OPAQUE.has(tcp) && Ports::OPAQUE.has(None));
    assert_eq!((Ports::OPAQUE.first(), Ports::OPAQUE.last()), (65_535, 0));
    assert_eq!(Ports::new(65_535, 0), Some(Ports::OPAQUE));
    assert_eq!(Ports::new(0, 65_535), Some(Ports::ANY));
    assert_eq!(Ports::new(2, 1), None);
    assert_eq!(Ports::ANY.intersect(&Ports::OPAQUE), Some(Ports::OPAQUE));
    assert_eq!(web.intersect(&Ports::OPAQUE), None);
    // All ports in two halves are not ANY: the opaque packets are missing.
    let halves = set("10.0.0.0/8[tcp/0-1023], 10.0.0.0/8[tcp/1024-65535]");
    assert_eq!(halves.selectors().len(), 2);
    assert!(!halves.covers(&set("10.0.0.0/8[tcp]")));
    assert!(halves.union(&set("10.0.0.0/8[tcp/OPAQUE]")).covers(&set("10.0.0.0/8[tcp]")));
    assert_eq!(Ports::icmp(8, None), Ports::new(0x0800, 0x08ff).unwrap());
    assert_eq!(Ports::icmp(3, Some(4)), Ports::one(0x0304));
}

#[test]
fn sets_normalise() {
    let table = [
        ("", "nothing"),
        ("10.1.0.0/24, 10.1.1.0/24", "10.1.0.0/23"),
        ("10.1.0.0/24, 10.1.2.0/24", "10.1.0.0/24, 10.1.2.0/24"),
        ("10.1.2.0/24, 10.1.0.0/24, 10.1.1.0/24", "10.1.0.0-10.1.2.255"),
        ("10.1.0.0/24, 10.1.0.0/16, 10.1.7.0/24", "10.1.0.0/16"),
        ("10.1.0.0/24[tcp/80], 10.1.0.0/24", "10.1.0.0/24"),
        ("10.1.0.0/24[tcp/80], 10.1.0.0/24[tcp/81]", "10.1.0.0/24[tcp/80-81]"),
        ("10.1.0.0/24[tcp/80], 10.1.1.0/24[tcp/80], 10.1.0.0/23[tcp/81]", "10.1.0.0/23[tcp/80-81]"),
        ("10.1.0.0/24[tcp], 10.1.0.0/24[udp]", "10.1.0.0/24[tcp], 10.1.0.0/24[udp]"),
        ("0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1", "0.0.0.0/0, ::/0"),
    ];
    for (text, normal) in table {
        assert_eq!(set(text).to_string(), normal, "{text}");
    }
    let both = set("10.1.0.0/24[tcp/80], 10.1.0.128-10.1.1.255[udp]");
    let prefixes: Vec<String> =
        both.prefixes().map(|(network, length)| format!("{network}/{length}")).collect();
    assert_eq!(prefixes, ["10.1.0.0/23"]);
}

#[test]
fn sets_cover_by_several_of_their_parts() {
    let policy = set("10.1.0.0/24[tcp/0-99], 10.1.0.0/24[tcp/100-200], 10.1.1.0/24[tcp]");
    assert!(policy.covers(&set("10.1.0.0/23[tcp/50-150]")));
    assert!(!policy.covers(&set("10.1.0.0/23[tcp/50-250]")));
    assert!(!policy.covers(&set("10.1.0.0/23[any/50-150]")));
    assert!(SelectorSet::EMPTY.covers(&SelectorSet::EMPTY));
    assert!(!SelectorSet::EMPTY.covers(&policy));
}

/// Packets of 10.0.0.0/8 by TCP, covered by boxes that cut one another as finely as they can: a
/// strip of ports for every even port below `2 * count`, across columns of one address that all
/// have other ports.
fn crossing(count: u16) -> Vec<Selector> {
    let tcp = |first: u32, last: u32, ports: (u16, u16)| {
        let address = |n| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
        let addresses = AddressRange::new(address(first), address(last)).unwrap();
        Selector { addresses, protocol: 6, ports: Ports::new(ports.0, ports.1).unwrap() }
    };
    let end = 0x00ff_ffff;
    let columns = (0..count).flat_map(|n| {
        let (column, split) = (2 * u32::from(n), 30_000 + n);
        [
            tcp(column, column, (0, 65_535)),
            tcp(column + 1, column + 1, (0, split)),
            tcp(column, column + 1, (split + 1, 65_535)),
        ]
    });
    let strips = (0..count).map(|n| tcp(0, end, (2 * n, 2 * n)));
    let rest = tcp(2 * u32::from(count), end, (0, 65_535));
    columns.chain(strips).chain([rest]).collect()
}

#[test]
fn covering_gives_up_on_too_many_pieces() {
    let whole = "10.0.0.0/8[tcp/0-40000]".parse().unwrap();
    let few = SelectorSet::from_iter(crossing(8));
    assert!(few.selectors().len() > 24 && few.covers_selector(&whole));
    let many = SelectorSet::from_iter(crossing(60));
    assert!(many.selectors().len() < 255 && !many.covers_selector(&whole));
    // The answer to such an offer is no less than it would be: all of it, in the policy's own
    // pieces.
    let narrowed = narrow(&[whole], &many).unwrap();
    assert!(!narrowed.whole);
    assert_eq!(narrowed.selectors.len(), many.selectors().len());
    // Prefixes in a row that nothing joins: nowhere near too many.
    let row: SelectorSet = (0..=255u8)
        .map(|n| list(&format!("10.{n}.0.0/16{}", ["", "[tcp]"][usize::from(n % 2)]))[0])
        .collect();
    assert_eq!(row.selectors().len(), 256);
    assert!(row.covers_selector(&whole));
}

/// RFC 7296 §2.9, case by case: the offer, our policy, the answer, whether it is whole, whether the
/// first is in.
#[test]
fn narrowing() {
    let table = [
        // Nothing in common.
        ("10.1.0.0/16", "10.2.0.0/16", None),
        ("10.1.0.0/16[tcp]", "10.1.0.0/16[udp]", None),
        ("::/0", "10.1.0.0/16", None),
        ("", "10.1.0.0/16", None),
        // All of it: the same, in the same order and spelling.
        ("0.0.0.0/0", "0.0.0.0/0", Some(("0.0.0.0/0", true, true))),
        (
            "10.1.0.5/32[tcp/99], 10.1.0.0/16",
            "10.0.0.0/8",
            Some(("10.1.0.5/32[tcp/99], 10.1.0.0/16", true, true)),
        ),
        ("10.0.0.0/8", "10.0.0.0/9, 10.128.0.0/9", Some(("10.0.0.0/8", true, true))),
        // The first allowed, not the whole.
        ("10.1.0.5/32[tcp/99], 10.0.0.0/8", "10.1.0.0/16", Some(("10.1.0.0/16", false, true))),
        (
            "10.2.0.5/32, 10.0.0.0/8",
            "10.1.0.0/16, 10.2.0.0/16, 10.4.0.0/16",
            Some(("10.1.0.0-10.2.255.255, 10.4.0.0/16", false, true)),
        ),
        (
            "10.4.0.5/32, 10.0.0.0/8",
            "10.1.0.0/16, 10.4.0.0/16",
            Some(("10.4.0.0/16, 10.1.0.0/16", false, true)),
        ),
        // The first not allowed.
        ("10.3.0.5/32, 10.0.0.0/8", "10.1.0.0/16", Some(("10.1.0.0/16", false, false))),
        ("0.0.0.0/0", "10.1.0.0/16, 10.3.0.0/16", Some(("10.1.0.0/16, 10.3.0.0/16", false, false))),
        ("0.0.0.0/0, ::/0", "10.1.0.0/16", Some(("10.1.0.0/16", false, false))),
        (
            "10.1.0.0/16[tcp]",
            "10.0.0.0/8[tcp/443], 10.0.0.0/8[udp]",
            Some(("10.1.0.0/16[tcp/443]", false, false)),
        ),
    ];
    for (offer, policy, answer) in table {
        let narrowed = narrow(&list(offer), &set(policy));
        let printed = narrowed.as_ref().map(|n| {
            let texts: Vec<String> = n.selectors.iter().map(ToString::to_string).collect();
            (texts.join(", "), n.whole, n.first)
        });
        let expected = answer.map(|(text, whole, first)| (text.to_owned(), whole, first));
        assert_eq!(printed, expected, "{offer} by {policy}");
    }
}

#[test]
fn narrowing_stops_at_what_a_payload_holds() {
    let hosts = |step: u32, count: u32| {
        (0..count).map(move |n| {
            let host = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n * step);
            Selector::addresses(AddressRange::from(host))
        })
    };
    let policy: SelectorSet = hosts(2, 300).collect();
    let narrowed = narrow(&[Selector::ANY_V4], &policy).unwrap();
    assert_eq!(narrowed.selectors.len(), 255);
    assert!(narrowed.selectors.iter().all(|s| policy.covers_selector(s)));
}

#[test]
fn the_best_policy_is_chosen() {
    let pair =
        |local: &str, remote: &str| ChildSelectors { local: set(local), remote: set(remote) };
    let policies = [
        pair("10.1.0.0/16", "172.16.0.0/16"),
        pair("10.1.0.0/16", "172.17.0.0/16"),
        pair("10.0.0.0/8", "172.17.0.0/16"),
        pair("10.2.0.0/16", "172.18.0.0/16"),
    ];
    let chosen = |local: &str, remote: &str| {
        choose(&list(local), &list(remote), &policies).map(|choice| choice.policy)
    };
    assert_eq!(chosen("10.1.0.0/16", "172.17.0.0/16"), Some(1), "whole, and the earlier");
    assert_eq!(chosen("10.3.0.0/16", "172.17.0.0/16"), Some(2), "the only one");
    assert_eq!(chosen("0.0.0.0/0", "0.0.0.0/0"), Some(0), "nothing decides");
    assert_eq!(
        chosen("10.2.0.1/32[tcp/9], 0.0.0.0/0", "172.18.0.1/32[tcp/80], 0.0.0.0/0"),
        Some(3),
        "the first selectors decide"
    );
    assert_eq!(chosen("10.3.0.0/16", "172.19.0.0/16"), None);
}

#[test]
fn pairs_look_at_both_ends() {
    let pair = ChildSelectors { local: set("10.1.0.0/16"), remote: set("172.16.0.0/16[tcp/443]") };
    let packet = Tuple {
        source: ip("10.1.2.3"),
        destination: ip("172.16.2.3"),
        protocol: 6,
        source_port: Some(50_000),
        destination_port: Some(443),
    };
    assert!(pair.matches_outbound(&packet) && !pair.matches_inbound(&packet));
    let back = Tuple {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        ..packet
    };
    assert!(pair.matches_inbound(&back) && !pair.matches_outbound(&back));
    assert!(!pair.matches_outbound(&Tuple { protocol: 17, ..packet }));
    assert!(!pair.matches_outbound(&Tuple { destination_port: None, ..packet }));
    assert!(!pair.matches_outbound(&Tuple { source: ip("10.2.0.1"), ..packet }));
    assert!(!pair.matches_outbound(&Tuple { source: ip("::1"), ..packet }));
    assert!(pair.covers(&ChildSelectors { local: set("10.1.7.0/24"), ..pair.clone() }));
    assert!(!pair.covers(&ChildSelectors { local: set("10.0.0.0/8"), ..pair.clone() }));
}

proptest! {
    #[test]
    fn any_selector_prints_and_reads(selector in values::selector()) {
        prop_assert_eq!(selector.to_string().parse(), Ok(selector));
    }

    #[test]
    fn any_range_is_its_prefixes(range in values::range()) {
        let prefixes = range.prefixes().map(|(network, length)| {
            AddressRange::prefix(network, length).unwrap()
        });
        let joined = prefixes.reduce(|a, b| {
            assert_eq!(a.intersect(&b), None);
            a.join(&b).unwrap()
        });
        prop_assert_eq!(joined, Some(range));
    }

    /// Giving up never claims a packet that is not there: without any one of many boxes, what it
    /// alone has is missing.
    #[test]
    fn covering_claims_nothing(count in 2u16..64, gone: prop::sample::Index) {
        let mut boxes = crossing(count);
        let whole: Selector = "10.0.0.0/8[tcp/0-40000]".parse().unwrap();
        let gone = boxes.remove(gone.index(boxes.len()));
        let left = SelectorSet::from_iter(boxes.iter().copied());
        let addresses = [gone.addresses.first(), gone.addresses.last()];
        let alone = addresses.into_iter().any(|address| {
            [gone.ports.first(), 2001].into_iter().any(|port| {
                let has = |b: &Selector| b.matches(address, 6, Some(port));
                has(&gone) && has(&whole) && !boxes.iter().any(has)
            })
        });
        prop_assert!(!alone || !left.covers_selector(&whole));
    }

    /// With selectors from all over the number space: the algebra's laws.
    #[test]
    fn laws(a in prop::collection::vec(values::selector(), 0..5),
            b in prop::collection::vec(values::selector(), 0..5)) {
        let (a, b) = (SelectorSet::from_iter(a), SelectorSet::from_iter(b));
        let (both, either) = (a.intersect(&b), a.union(&b));
        prop_assert!(a.covers(&both) && b.covers(&both));
        prop_assert!(either.covers(&a) && either.covers(&b));
        prop_assert!(both.covers(&b.intersect(&a)) && b.intersect(&a).covers(&both));
        prop_assert_eq!(a.covers(&b), both.covers(&b));
        prop_assert_eq!(a.intersect(&a.union(&b)).covers(&a), true);
        let again = SelectorSet::from_iter(a.selectors().iter().copied());
        prop_assert_eq!(&again, &a);
        if let Some(narrowed) = narrow(a.selectors(), &b) {
            let narrowed = SelectorSet::from_iter(narrowed.selectors);
            prop_assert!(narrowed.covers(&both) && both.covers(&narrowed));
        }
    }
}
