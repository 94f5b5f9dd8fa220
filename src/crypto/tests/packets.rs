//! ESP packets: published ones, sealed ones to the last octet, and every single bit changed.

use super::{Record, SeededRng, esp_suites, records};
use crate::crypto::esp::{OpenKey, SealKey};
use crate::crypto::keymat::EspKeys;
use crate::crypto::mac::Mac;
use crate::crypto::suite::Integ;
use crate::crypto::{EspSuite, KeyLengthError, OpenError, Provider, Secret, Standard, fake};
use crate::rng::Rng;
use crate::wire::codes::{EncrId, EsnId, IntegId};
use crate::wire::packet::esp::HEADER_LEN;

#[test]
fn draft_mcgrew_gcm_and_rfc_7634_open() {
    let all = records(include_str!("../../../tests/vectors/esp.txt"));
    assert_eq!(all.len(), 15);
    for record in all {
        record.every_octet_counts(&["keymat", "packet", "text"], |record| {
            let keymat = record.hex("keymat");
            let (encr, bits) = match record.name.as_str() {
                "chacha" => (EncrId::ChaCha20Poly1305, None),
                _ => (EncrId::AesGcm16, u16::try_from((keymat.len() - 4) * 8).ok()),
            };
            let suite =
                EspSuite::from_transforms(encr, bits, None, None, esn(record.flag("esn"))).unwrap();
            let keys = EspKeys { encryption: Secret::new(keymat), integrity: Secret::new(vec![]) };
            let open = Standard::default().esp_open_key(&suite, &keys).unwrap();
            let mut packet = record.hex("packet");
            let text = open.open(record.sequence(), &mut packet);
            text.is_ok_and(|text| *text == record.hex("text"))
        });
    }
}

/// The RFC's packets carry no ICV; one is put behind them, by an HMAC that has vectors of its own.
#[test]
fn rfc_3602_packets_open() {
    let all = records(include_str!("../../../tests/vectors/esp_cbc.txt"));
    assert_eq!(all.len(), 4);
    let integ = IntegId::HmacSha2_256_128;
    let suite =
        EspSuite::from_transforms(EncrId::AesCbc, Some(128), Some(integ), None, EsnId::Sequence32)
            .unwrap();
    for record in all {
        let keys = EspKeys {
            encryption: Secret::new(record.hex("key")),
            integrity: Secret::copy_of(&[3; 32]),
        };
        let mut packet = record.hex("packet");
        let mut icv = [0; 16];
        Mac::new(Integ::HmacSha2_256_128, &[3; 32]).unwrap().sign(&packet, &[], &mut icv);
        packet.extend(icv);
        let open = Standard::default().esp_open_key(&suite, &keys).unwrap();
        assert_eq!(open.open(0, &mut packet).unwrap(), record.hex("text"), "{}", record.name);
    }
}

#[test]
fn sealed_packets_are_as_an_independent_implementation_makes_them() {
    let all = records(include_str!("../../../tests/vectors/esp_sealed.txt"));
    assert_eq!(all.len(), 22);
    for record in all {
        record.every_octet_counts(&["encryption", "integrity", "packet"], |record| {
            let suite = suite_of(record);
            let keys = EspKeys {
                encryption: Secret::new(record.hex("encryption")),
                integrity: Secret::new(record.hex("integrity")),
            };
            let sealed = record.hex("packet");
            let (seal, open) = both(&Standard::default(), &suite, &keys);
            let text = (0..48).collect::<Vec<u8>>();
            let mut opened = sealed.clone();
            packet(&seal, 0xc0ff_ee01, record.sequence(), &text) == sealed
                && open.open(record.sequence(), &mut opened).is_ok_and(|opened| *opened == text)
        });
    }
}

fn suite_of(record: &Record) -> EspSuite {
    let (encr, bits) = match record.text("encr") {
        "gcm" => (EncrId::AesGcm16, record.text("bits").parse().ok()),
        "chacha" => (EncrId::ChaCha20Poly1305, None),
        "cbc" => (EncrId::AesCbc, record.text("bits").parse().ok()),
        _ => (EncrId::Null, None),
    };
    let integ = match record.text("integ") {
        "sha1" => Some(IntegId::HmacSha1_96),
        "sha256" => Some(IntegId::HmacSha2_256_128),
        "sha384" => Some(IntegId::HmacSha2_384_192),
        "sha512" => Some(IntegId::HmacSha2_512_256),
        _ => None,
    };
    EspSuite::from_transforms(encr, bits, integ, None, esn(record.flag("esn"))).unwrap()
}

#[test]
fn every_size_goes_there_and_back() {
    let mut rng = SeededRng(1);
    for provider in providers() {
        for suite in esp_suites() {
            let (seal, open) = both(&*provider, &suite, &keys(&suite, 7));
            let layout = seal.layout();
            assert_eq!(layout, open.layout());
            for len in (0..200).chain([1400, 9000, 65_000]) {
                let mut text = vec![0; len + layout.padding(len) + layout.trailer];
                rng.fill(&mut text);
                let sequence = rng.next_u64();
                let mut sealed = packet(&seal, 1, sequence, &text);
                assert_eq!(sealed.len(), HEADER_LEN + layout.sealed_len(len), "{suite} {len}");
                assert_eq!(open.open(sequence, &mut sealed).unwrap(), text, "{suite} {len}");
            }
        }
    }
}

/// SPI, number, IV, text and ICV are all bound: whatever bit changes, nothing comes out.
#[test]
fn every_changed_bit_is_noticed() {
    for provider in providers() {
        for suite in esp_suites() {
            let (seal, open) = both(&*provider, &suite, &keys(&suite, 7));
            let sequence = 0x0000_0003_ffff_fffe;
            let sealed = packet(&seal, 0x1234_5678, sequence, &[0x5a; 32]);
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    open.open(sequence, &mut changed),
                    Err(OpenError::Authentication),
                    "{suite} {bit}"
                );
            }
            // The upper half, never sent, counts with ESN and only then.
            let other = open.open(sequence ^ (1 << 32), &mut sealed.clone()).is_ok();
            assert_eq!(other, !suite.esn, "{suite}");
        }
    }
}

#[test]
fn every_changed_octet_of_key_is_noticed() {
    for provider in providers() {
        for suite in esp_suites() {
            let (seal, _) = both(&*provider, &suite, &keys(&suite, 7));
            let text = [0x5a; 32];
            let sealed = packet(&seal, 1, 9, &text);
            let sizes =
                (suite.protection.encryption_key_len(), suite.protection.integrity_key_len());
            for at in 0..sizes.0 + sizes.1 {
                let mut wrong = keys(&suite, 7);
                let which = if at < sizes.0 { &mut wrong.encryption } else { &mut wrong.integrity };
                let mut octets = which.expose().to_vec();
                octets[if at < sizes.0 { at } else { at - sizes.0 }] ^= 0x10;
                *which = Secret::new(octets);
                let (_, open) = both(&*provider, &suite, &wrong);
                // Under CBC the MAC has a key of its own: a wrong encryption key gives garbage, not
                // an error.
                let mut sealed = sealed.clone();
                let opened = open.open(9, &mut sealed);
                assert!(
                    opened.is_err() || opened.is_ok_and(|opened| *opened != text),
                    "{suite} {at}"
                );
            }
        }
    }
}

#[test]
fn short_packets_are_refused() {
    for provider in providers() {
        for suite in esp_suites() {
            let (seal, open) = both(&*provider, &suite, &keys(&suite, 7));
            let layout = seal.layout();
            for len in 0..HEADER_LEN + layout.iv + layout.icv {
                assert!(open.open(1, &mut vec![0; len]).is_err(), "{suite} {len}");
            }
            for len in (0..HEADER_LEN + layout.iv + layout.icv).filter(|_| layout.iv > 0) {
                assert!(seal.seal(1, &mut vec![0; len]).is_err(), "{suite} {len}");
            }
        }
    }
}

/// Only whoever has the key can make such a packet, and even so it must not be decrypted by halves.
#[test]
fn authentic_half_blocks_are_refused() {
    let integ = Some(IntegId::HmacSha2_256_128);
    let suite =
        EspSuite::from_transforms(EncrId::AesCbc, Some(256), integ, None, EsnId::Sequence32)
            .unwrap();
    let keys = keys(&suite, 7);
    let (seal, open) = both(&Standard::default(), &suite, &keys);
    let mut packet = vec![0; HEADER_LEN + 16 + 24];
    let mut icv = [0; 16];
    Mac::new(Integ::HmacSha2_256_128, keys.integrity.expose()).unwrap().sign(
        &packet,
        &[],
        &mut icv,
    );
    packet.extend(icv);
    assert_eq!(open.open(0, &mut packet), Err(OpenError::Length));
    assert!(seal.seal(1, &mut packet).is_err());
}

#[test]
fn no_iv_comes_twice() {
    for suite in esp_suites().into_iter().filter(|suite| suite.protection.layout().iv > 0) {
        let (seal, _) = both(&Standard::default(), &suite, &keys(&suite, 7));
        let iv = |sequence| {
            packet(&seal, 1, sequence, &[0; 32])[HEADER_LEN..][..seal.layout().iv].to_vec()
        };
        let edges = [0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, 0x2_0000_0000, u64::MAX];
        let mut ivs = (0..1000).chain(edges).map(iv).collect::<Vec<_>>();
        let count = ivs.len();
        ivs.sort();
        ivs.dedup();
        assert_eq!(ivs.len(), count, "{suite}");
    }
}

/// Keys move to the threads that use them.
#[test]
fn keys_may_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<SealKey>();
    crosses::<OpenKey>();
    crosses::<Box<dyn Provider>>();
}

#[test]
fn keys_of_another_suite_are_refused() {
    let gcm = |bits| {
        EspSuite::from_transforms(EncrId::AesGcm16, Some(bits), None, None, EsnId::Sequence32)
            .unwrap()
    };
    for provider in providers() {
        let refusal = provider.esp_seal_key(&gcm(256), &keys(&gcm(128), 7)).unwrap_err();
        assert_eq!(refusal, KeyLengthError { what: "encryption", expected: 36, found: 20 });
        let mut extra = keys(&gcm(256), 7);
        extra.integrity = Secret::copy_of(&[0; 20]);
        let refusal = provider.esp_open_key(&gcm(256), &extra).unwrap_err();
        assert_eq!(refusal, KeyLengthError { what: "integrity", expected: 0, found: 20 });
    }
}

#[test]
fn the_null_cipher_changes_the_number_alone() {
    let suite = esp_suites().remove(0);
    let (seal, open) = fake::null_cipher(&suite);
    let mut sealed = packet(&seal, 0xaabb_ccdd, 5, b"left as it is...");
    assert_eq!(sealed[..HEADER_LEN], [0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0, 5]);
    assert_eq!(open.open(5, &mut sealed).unwrap(), b"left as it is...");
}

fn packet(seal: &SealKey, spi: u32, sequence: u64, text: &[u8]) -> Vec<u8> {
    let layout = seal.layout();
    let mut packet = spi.to_be_bytes().to_vec();
    packet.resize(HEADER_LEN + layout.iv, 0xee);
    packet.extend(text);
    packet.resize(packet.len() + layout.icv, 0xee);
    seal.seal(sequence, &mut packet).unwrap();
    packet
}

fn both(provider: &dyn Provider, suite: &EspSuite, keys: &EspKeys) -> (SealKey, OpenKey) {
    (provider.esp_seal_key(suite, keys).unwrap(), provider.esp_open_key(suite, keys).unwrap())
}

fn keys(suite: &EspSuite, seed: u64) -> EspKeys {
    let draw = |len| {
        let mut octets = vec![0; len];
        SeededRng(seed).fill(&mut octets);
        Secret::new(octets)
    };
    EspKeys {
        encryption: draw(suite.protection.encryption_key_len()),
        integrity: draw(suite.protection.integrity_key_len()),
    }
}

fn providers() -> [Box<dyn Provider>; 2] {
    [Box::new(Standard::default()), Box::new(fake::Fake)]
}

fn esn(on: bool) -> EsnId {
    if on { EsnId::Extended64 } else { EsnId::Sequence32 }
}
