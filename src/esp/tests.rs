//! Whole packets through both halves: every cipher, every fault, and no effect but the counter's.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::crypto::keymat::EspKeys;
use crate::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Integ, Protection};
use crate::crypto::{Provider, Secret, Standard};
use crate::time::Instant;
use crate::wire::packet::ip::{IPV4, IPV6, NO_NEXT};
use crate::wire::spi::EspSpi;

const NOW: Instant = Instant(1);
const SPI: EspSpi = EspSpi(0xc0de_cafe);

/// Every way to protect a packet.
fn suites() -> Vec<EspSuite> {
    let sizes = [AesKey::Bits128, AesKey::Bits192, AesKey::Bits256];
    let integs = [
        Integ::HmacSha1_96,
        Integ::HmacSha2_256_128,
        Integ::HmacSha2_384_192,
        Integ::HmacSha2_512_256,
    ];
    let aeads = sizes.map(Aead::AesGcm16).into_iter().chain([Aead::ChaCha20Poly1305]);
    let cbcs = sizes.into_iter().flat_map(|size| integs.map(|integ| Protection::Cbc(size, integ)));
    let encrypted = aeads.map(Protection::Aead).chain(cbcs).map(EspProtection::Encrypted);
    let all = encrypted.chain(integs.map(EspProtection::Null));
    all.flat_map(|protection| [false, true].map(|esn| EspSuite { protection, group: None, esn }))
        .collect()
}

fn gcm(esn: bool) -> EspSuite {
    let protection = EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    EspSuite { protection, group: None, esn }
}

fn keys(suite: &EspSuite) -> EspKeys {
    let key = |len: usize, salt: u8| {
        Secret::copy_of(&(0..len).map(|i| salt ^ i.to_le_bytes()[0]).collect::<Vec<_>>())
    };
    EspKeys {
        encryption: key(suite.protection.encryption_key_len(), 0x5a),
        integrity: key(suite.protection.integrity_key_len(), 0xa5),
    }
}

fn pair(suite: &EspSuite) -> (Outbound, Inbound) {
    pair_at(suite, 1, 0)
}

/// A pair whose next number is `next` and whose window has `top` as its highest.
fn pair_at(suite: &EspSuite, next: u64, top: u64) -> (Outbound, Inbound) {
    let ledger = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let lease = Lease::new(next, suite.esn, ledger);
    let seal = Standard::default().esp_seal_key(suite, &keys(suite)).unwrap();
    let open = Standard::default().esp_open_key(suite, &keys(suite)).unwrap();
    let replay = if top == 0 { Replay::new(64) } else { Replay::resumed(64, top) };
    (
        Outbound::new(SPI, seal, lease, Limits::UNBOUNDED),
        Inbound::new(SPI, open, replay, suite.esn, Limits::UNBOUNDED),
    )
}

/// An IPv4 packet of any length; below 20 bytes it is only called so.
fn ipv4(len: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|i| (i * 7).to_le_bytes()[0]).collect();
    let header =
        [&[0x45, 0][..], &u16::try_from(len).unwrap().to_be_bytes(), &[0, 1, 0x40, 0, 64, 17]];
    packet.iter_mut().zip(header.concat()).for_each(|(to, from)| *to = from);
    packet
}

/// Seals the next packet with `tfc` bytes between the inner packet and the padding.
fn seal(outbound: &mut Outbound, inner: &[u8], tfc: usize, next_header: u8) -> Vec<u8> {
    let len = inner.len() + tfc;
    let mut packet = vec![0xee; outbound.packet_len(len)];
    packet[outbound.lead()..][..inner.len()].copy_from_slice(inner);
    let seq = outbound.reserve(1, 0, NOW).unwrap().next().unwrap();
    assert!(outbound.seal(seq, &mut packet, len, next_header));
    packet
}

/// RFC 4303 §2.3: the inner packet begins at a multiple of 8 octets from the ESP header.
#[test]
fn the_inner_packet_is_aligned_behind_the_esp_header() {
    for suite in suites() {
        let (outbound, _) = pair(&suite);
        assert_eq!(outbound.lead() % 8, 0, "{suite:?}");
    }
}

/// An IPv4 header in front of one pattern, cut to any length without writing it anew.
struct Inner(Vec<u8>);

impl Inner {
    fn new() -> Inner {
        Inner(ipv4(65_535))
    }

    fn of(&mut self, len: usize) -> &[u8] {
        self.0[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        &self.0[..len]
    }
}

/// Seals and opens one packet of each length with one pair of halves: the same bytes come back, the
/// SA's numbers add up.
fn returns(suite: &EspSuite, lengths: impl Iterator<Item = usize>) {
    let (mut outbound, mut inbound) = pair(suite);
    let (mut inner, mut packet) = (Inner::new(), Vec::new());
    let (lead, mut whole) = (outbound.lead(), 0);
    for len in lengths {
        let inner = inner.of(len);
        packet.clear();
        packet.resize(outbound.packet_len(len), 0xee);
        packet[lead..][..len].copy_from_slice(inner);
        let seq = outbound.reserve(1, 0, NOW).unwrap().next().unwrap();
        assert!(outbound.seal(seq, &mut packet, len, IPV4), "{suite:?} {len}");
        match inbound.open(&mut packet, NOW) {
            Ok(opened) => {
                assert_eq!((opened.start, opened.header.total_len), (lead, len), "{suite:?}");
                whole += 1;
            }
            // Too short for an IP header, yet authentic and decrypted.
            Err(reason) => assert!(len < 20 && reason == DropReason::BadInner, "{suite:?} {len}"),
        }
        assert!(packet[lead..][..len] == *inner, "{suite:?}: {len} bytes came back as others");
    }
    assert_eq!(inbound.top(), outbound.spent(), "{suite:?}: every packet was authentic");
    assert_eq!(inbound.packets(), outbound.spent(), "{suite:?}: and counted once");
    assert!(whole > 0);
}

fn is_plain_aead(suite: &EspSuite) -> bool {
    let protection = suite.protection;
    !suite.esn && matches!(protection, EspProtection::Encrypted(Protection::Aead(_)))
}

#[test]
fn every_aead_returns_every_length() {
    for suite in suites().iter().filter(|suite| is_plain_aead(suite)) {
        returns(suite, 0..=65_535);
    }
}

/// The other 36 (CBC and NULL with each HMAC, and all with extended numbers) share the lengths out:
/// suite `i` takes every 31st from `i` on. So each length is taken by at least one suite and each
/// suite meets every length modulo the blocks of its cipher and hash (31 is prime to 128) some 16
/// times. Every length up to 300 is taken by every suite. All 36 at all 65,536 lengths would be 150
/// GB to encrypt and authenticate: minutes, and no other code path.
#[test]
fn every_other_suite_returns_its_share_of_every_length() {
    const STRIDE: usize = 31;
    let suites: Vec<_> = suites().into_iter().filter(|suite| !is_plain_aead(suite)).collect();
    assert!(suites.len() >= STRIDE, "every remainder has a suite");
    for (index, suite) in suites.iter().enumerate() {
        let share = (index % STRIDE..=65_535).step_by(STRIDE).filter(|len| *len > 300);
        returns(suite, (0..=300).chain(share).chain([65_535]));
    }
}

#[test]
fn every_changed_bit_fails_authentication() {
    for suite in suites() {
        let (mut outbound, mut inbound) = pair(&suite);
        // Number 3: with one bit changed it is never 0, which would be too old to be looked at.
        assert_eq!(outbound.reserve(2, 0, NOW).unwrap().count(), 2);
        let packet = seal(&mut outbound, &ipv4(50), 0, IPV4);
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                inbound.open(&mut changed, NOW),
                Err(DropReason::AuthFailed),
                "{suite:?} bit {bit}"
            );
        }
        assert_eq!((inbound.top(), inbound.packets()), (0, 0), "nothing moved");
        assert!(inbound.open(&mut packet.clone(), NOW).is_ok());
    }
}

#[test]
fn truncated_packets_are_dropped_without_effect() {
    for suite in suites() {
        let (mut outbound, mut inbound) = pair(&suite);
        let packet = seal(&mut outbound, &ipv4(50), 0, IPV4);
        for len in 0..packet.len() {
            let reason = inbound.open(&mut packet[..len].to_vec(), NOW).unwrap_err();
            let allowed = [DropReason::Runt, DropReason::BadLength, DropReason::AuthFailed];
            assert!(allowed.contains(&reason), "{suite:?}: {reason} at {len}");
            assert_eq!(reason == DropReason::Runt, len < 8);
        }
        assert_eq!((inbound.top(), inbound.packets()), (0, 0));
    }
}

#[test]
fn replays_and_old_numbers_are_told_apart() {
    let (mut outbound, mut inbound) = pair(&gcm(false));
    let packets: Vec<_> = (0..100).map(|_| seal(&mut outbound, &ipv4(40), 0, IPV4)).collect();
    assert!(inbound.open(&mut packets[99].clone(), NOW).is_ok());
    assert_eq!(inbound.open(&mut packets[99].clone(), NOW), Err(DropReason::Replayed));
    assert_eq!(inbound.open(&mut packets[35].clone(), NOW), Err(DropReason::TooOld));
    assert!(inbound.open(&mut packets[36].clone(), NOW).is_ok(), "64 numbers, the top included");
    assert_eq!(inbound.packets(), 2);
}

#[test]
fn what_is_authentic_but_wrong_inside_says_what() {
    let cases: [(&str, Vec<u8>, u8, DropReason); 6] = [
        ("a dummy", vec![0; 40], NO_NEXT, DropReason::Dummy),
        ("TCP without IP", vec![0; 40], 6, DropReason::BadNextHeader),
        ("IPv4 announced as IPv6", ipv4(40), IPV6, DropReason::BadInner),
        (
            "IPv6 announced as IPv4",
            [&[0x60, 0, 0, 0, 0, 0, 59, 64][..], &[1; 32]].concat(),
            IPV4,
            DropReason::BadInner,
        ),
        ("nothing", vec![], IPV4, DropReason::BadInner),
        ("longer than it is", ipv4(60)[..40].to_vec(), IPV4, DropReason::BadInner),
    ];
    for (what, inner, next_header, reason) in cases {
        let (mut outbound, mut inbound) = pair(&gcm(false));
        let mut packet = seal(&mut outbound, &inner, 0, next_header);
        assert_eq!(inbound.open(&mut packet.clone(), NOW), Err(reason), "{what}");
        assert_eq!(
            inbound.open(&mut packet, NOW),
            Err(DropReason::Replayed),
            "{what}: its number is spent"
        );
    }
}

#[test]
fn wrong_padding_is_seen_behind_a_right_icv() {
    let (outbound, mut inbound) = pair(&gcm(false));
    let key = Standard::default().esp_seal_key(&gcm(false), &keys(&gcm(false))).unwrap();
    for (number, tail) in [(1, [1, 1, 2, IPV4]), (2, [2, 1, 2, IPV4]), (3, [1, 2, 200, IPV4])] {
        let mut packet = vec![0; outbound.packet_len(40) + 4];
        packet[..4].copy_from_slice(&SPI.0.to_be_bytes());
        let end = packet.len() - outbound.layout().icv;
        packet[end - 4..end].copy_from_slice(&tail);
        key.seal(number, &mut packet).unwrap();
        assert_eq!(inbound.open(&mut packet, NOW), Err(DropReason::BadPadding));
    }
}

#[test]
fn flow_padding_is_taken_off() {
    for suite in suites() {
        let (mut outbound, mut inbound) = pair(&suite);
        for tfc in [1, 3, 100, 1300] {
            let inner = ipv4(64);
            let mut packet = seal(&mut outbound, &inner, tfc, IPV4);
            let opened = inbound.open(&mut packet, NOW).unwrap();
            assert_eq!(&packet[opened.start..][..opened.header.total_len], &inner[..]);
        }
        let mut dummy = vec![0; outbound.packet_len(700)];
        let seq = outbound.reserve(1, 0, NOW).unwrap().next().unwrap();
        assert!(outbound.seal(seq, &mut dummy, 700, NO_NEXT));
        assert_eq!(inbound.open(&mut dummy, NOW), Err(DropReason::Dummy));
    }
}

#[test]
fn extended_numbers_pass_their_boundary_and_short_ones_end_there() {
    let top = u64::from(u32::MAX);
    for suite in suites() {
        let (mut outbound, mut inbound) = pair_at(&suite, top - 2, top - 3);
        for number in top - 2..=top + 3 {
            if !suite.esn && number > top {
                assert_eq!(outbound.reserve(1, 0, NOW).unwrap_err(), DropReason::NumbersSpent);
                continue;
            }
            let mut packet = seal(&mut outbound, &ipv4(40), 0, IPV4);
            assert!(inbound.open(&mut packet, NOW).is_ok(), "{suite:?} {number:#x}");
            assert_eq!(inbound.top(), number);
        }
    }
}

#[test]
fn a_packet_of_another_epoch_fails_authentication() {
    for suite in suites().into_iter().filter(|suite| suite.esn) {
        let (mut outbound, _) = pair_at(&suite, 5, 0);
        let (_, mut inbound) = pair_at(&suite, 1, (1 << 32) + 4);
        let mut packet = seal(&mut outbound, &ipv4(40), 0, IPV4);
        assert_eq!(inbound.open(&mut packet, NOW), Err(DropReason::AuthFailed), "{suite:?}");
    }
}

#[test]
fn hard_limits_end_both_halves() {
    let suite = gcm(false);
    let limits = Limits {
        soft: Quota { packets: 2, ..Quota::UNBOUNDED },
        hard: Quota { packets: 3, ..Quota::UNBOUNDED },
    };
    let seal_key = Standard::default().esp_seal_key(&suite, &keys(&suite)).unwrap();
    let open_key = Standard::default().esp_open_key(&suite, &keys(&suite)).unwrap();
    let mut outbound = Outbound::new(SPI, seal_key, Lease::ephemeral(false), limits);
    let mut inbound = Inbound::new(SPI, open_key, Replay::new(64), false, limits);
    for count in 1..=3 {
        let mut packet = seal(&mut outbound, &ipv4(40), 0, IPV4);
        assert!(inbound.open(&mut packet, NOW).is_ok());
        let expected: &[UsageLimit] = match count {
            1 => &[],
            2 => &[UsageLimit::Soft],
            _ => &[UsageLimit::Hard],
        };
        let mut told = Vec::new();
        outbound.report(NOW, |limit| {
            told.push(limit);
            true
        });
        assert_eq!(std::mem::take(&mut told), expected);
        inbound.report(NOW, |limit| {
            told.push(limit);
            true
        });
        assert_eq!(told, expected);
    }
    assert_eq!(outbound.reserve(1, 40, NOW).unwrap_err(), DropReason::Expired);
    let (mut unlimited, _) = pair_at(&suite, 4, 0);
    let mut packet = seal(&mut unlimited, &ipv4(40), 0, IPV4);
    assert_eq!(inbound.open(&mut packet, NOW), Err(DropReason::Expired));
}

#[test]
fn what_a_former_process_may_have_seen_is_not_taken_again() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let suite = gcm(false);
    let receiver = |replay: Replay, ledger: &Arc<AtomicU64>| {
        let key = Standard::default().esp_open_key(&suite, &keys(&suite)).unwrap();
        Inbound::new(SPI, key, replay, false, Limits::UNBOUNDED).noted_in(ledger.clone())
    };
    let (mut outbound, _) = pair(&suite);
    let sent: Vec<Vec<u8>> = (0..200).map(|_| seal(&mut outbound, &ipv4(40), 0, IPV4)).collect();
    let ledger = Arc::new(AtomicU64::new(0));
    let mut first = receiver(Replay::new(1024), &ledger);
    for packet in sent.iter().take(100).filter(|packet| packet[7] != 50) {
        first.open(&mut packet.clone(), NOW).unwrap();
        let ceiling = ledger.load(Ordering::Acquire);
        assert!(ceiling > first.top() && ceiling <= first.top() + 64, "{ceiling}");
    }

    // It handed over: the one number that did not come is still welcome, and the count goes on.
    let (packets, bytes) = (99, 99 * 40);
    let window = Replay::restored(1024, first.top(), first.replay().blocks()).unwrap();
    let mut planned = receiver(window, &ledger).resumed(packets, bytes);
    assert_eq!(planned.packets(), 0, "of this process");
    for (at, packet) in sent.iter().enumerate().take(120) {
        let is_new = at + 1 == 50 || at >= 100;
        assert_eq!(planned.open(&mut packet.clone(), NOW).is_ok(), is_new, "number {}", at + 1);
    }
    assert_eq!((planned.packets(), planned.served().0), (21, 120));
    assert!(Replay::restored(2048, 1, first.replay().blocks()).is_none(), "of another size");

    // It died: all that it may have seen is taken for seen.
    let ceiling = ledger.load(Ordering::Acquire);
    let mut crashed = receiver(Replay::resumed(1024, ceiling - 1), &ledger);
    for (number, packet) in (1u64..).zip(&sent) {
        assert_eq!(crashed.open(&mut packet.clone(), NOW).is_ok(), number >= ceiling, "{number}");
    }
}

#[test]
fn a_packet_laid_out_wrong_is_not_sealed() {
    let (mut outbound, _) = pair(&gcm(false));
    let len = outbound.packet_len(40);
    for (len, inner) in [(0, 40), (len - 3, 40), (len + 300, 40), (len, len)] {
        let seq = outbound.reserve(1, 0, NOW).unwrap().next().unwrap();
        assert!(!outbound.seal(seq, &mut vec![0; len], inner, IPV4), "{len} {inner}");
    }
}

proptest! {
    /// What [`every_changed_bit_fails_authentication`] says of one packet of each suite, said of
    /// any.
    #[test]
    fn any_changed_bit_of_any_packet_fails_authentication(
        suite in proptest::sample::select(suites()),
        len in 20usize..9000,
        tfc in 0usize..300,
        number in 3u64..=u64::from(u32::MAX),
        bit: proptest::sample::Index,
    ) {
        // The window is empty: but for 0, whatever the number becomes is looked at.
        let (mut outbound, mut inbound) = pair_at(&suite, number, 0);
        let mut packet = seal(&mut outbound, &ipv4(len), tfc, IPV4);
        let bit = bit.index(packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        prop_assume!(packet[4..8] != [0; 4]);
        prop_assert_eq!(inbound.open(&mut packet, NOW), Err(DropReason::AuthFailed));
        prop_assert_eq!((inbound.top(), inbound.packets()), (0, 0));
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in vec(any::<u8>(), 0..200), esn: bool) {
        let (_, mut inbound) = pair(&gcm(esn));
        prop_assert!(inbound.open(&mut bytes, NOW).is_err());
        prop_assert_eq!(inbound.packets(), 0);
    }
}
