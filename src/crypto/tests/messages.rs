//! IKE messages: the SK payload's body, there and back, and every single bit changed.

use super::{SeededRng, ike_suites};
use crate::crypto::aead::AeadKey;
use crate::crypto::keymat::{IkeKeys, IkeSpis, MessageKeys, Nonces, SkeySeed};
use crate::crypto::mac::Mac;
use crate::crypto::suite::{Aead, AesKey, Protection};
use crate::crypto::{
    IkeSuite, MessageSealer, OpenError, Prf, Provider, SealError, Secret, SharedSecret, Standard,
    fake,
};
use crate::wire::codes::{EncrId, KeId, PrfId};

/// Where the body begins: an IKE header and the generic header of SK.
const BODY: usize = 32;

#[test]
fn every_size_goes_there_and_back() {
    for provider in providers() {
        for suite in ike_suites() {
            let keys = keys(&*provider, &suite, 1);
            let mut sealer =
                provider.message_sealer(&suite, keys.of_initiator(), &mut SeededRng(1)).unwrap();
            let opener = provider.message_opener(&suite, keys.of_initiator()).unwrap();
            for len in (0..100).chain([1200, 65_000]) {
                let text = vec![0x5a; len];
                let mut message = sealed(&mut *sealer, &suite, &text);
                assert_ne!(
                    message.get(BODY + suite.protection.ike_layout().iv..),
                    Some(&*text),
                    "{suite}"
                );
                let found = opener.open(&mut message, BODY).unwrap();
                assert_eq!(message[found], text, "{suite} {len}");
            }
        }
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    for provider in providers() {
        for suite in ike_suites() {
            let keys = keys(&*provider, &suite, 1);
            let mut sealer =
                provider.message_sealer(&suite, keys.of_responder(), &mut SeededRng(1)).unwrap();
            let opener = provider.message_opener(&suite, keys.of_responder()).unwrap();
            let message = sealed(&mut *sealer, &suite, b"identity, certificate, proof");
            for bit in 0..message.len() * 8 {
                let mut changed = message.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    opener.open(&mut changed, BODY),
                    Err(OpenError::Authentication),
                    "{suite} {bit}"
                );
            }
        }
    }
}

#[test]
fn every_changed_octet_of_key_is_noticed() {
    let text = b"identity, certificate, proof";
    for provider in providers() {
        for suite in ike_suites() {
            let right = keys(&*provider, &suite, 1);
            let right = right.of_initiator();
            let mut sealer = provider.message_sealer(&suite, right, &mut SeededRng(1)).unwrap();
            let message = sealed(&mut *sealer, &suite, text);
            for at in 0..right.encryption.len() + right.integrity.len() {
                let (mut encryption, mut integrity) =
                    (right.encryption.to_vec(), right.integrity.to_vec());
                *encryption.iter_mut().chain(&mut integrity).nth(at).unwrap() ^= 0x10;
                let wrong = MessageKeys { encryption: &encryption, integrity: &integrity };
                let opener = provider.message_opener(&suite, wrong).unwrap();
                let mut message = message.clone();
                // Under CBC the MAC has a key of its own: a wrong encryption key gives garbage, not
                // an error.
                let opened = opener.open(&mut message, BODY).map(|found| message[found].to_vec());
                assert_ne!(opened.as_deref(), Ok(&text[..]), "{suite} {at}");
            }
        }
    }
}

#[test]
fn a_direction_does_not_open_the_other() {
    for provider in providers() {
        for suite in ike_suites() {
            let keys = keys(&*provider, &suite, 1);
            let mut sealer =
                provider.message_sealer(&suite, keys.of_initiator(), &mut SeededRng(1)).unwrap();
            let opener = provider.message_opener(&suite, keys.of_responder()).unwrap();
            let mut message = sealed(&mut *sealer, &suite, b"reflected");
            assert_eq!(opener.open(&mut message, BODY), Err(OpenError::Authentication), "{suite}");
        }
    }
}

#[test]
fn short_messages_are_refused() {
    for provider in providers() {
        for suite in ike_suites() {
            let keys = keys(&*provider, &suite, 1);
            let opener = provider.message_opener(&suite, keys.of_initiator()).unwrap();
            let layout = suite.protection.ike_layout();
            for len in 0..BODY + layout.iv + layout.trailer + layout.icv {
                assert_eq!(
                    opener.open(&mut vec![0; len], BODY),
                    Err(OpenError::Length),
                    "{suite} {len}"
                );
            }
        }
    }
}

#[test]
fn a_wrong_layout_is_not_sealed() {
    for provider in providers() {
        for suite in ike_suites() {
            let keys = keys(&*provider, &suite, 1);
            let mut sealer =
                provider.message_sealer(&suite, keys.of_initiator(), &mut SeededRng(1)).unwrap();
            let right = BODY + suite.protection.ike_layout().sealed_len(20);
            for len in (0..right).chain(right + 1..right + 40) {
                let refused = sealer.seal(&mut vec![0; len], BODY, 20, &mut SeededRng(1));
                assert_eq!(refused, Err(SealError), "{suite} {len}");
            }
            assert_eq!(
                sealer.seal(&mut vec![0; right], BODY, 20, &mut SeededRng(1)),
                Ok(()),
                "{suite}"
            );
        }
    }
}

/// Also not when a sealer is made again from the same keys, as after a restart.
#[test]
fn no_iv_comes_twice() {
    for suite in ike_suites() {
        let provider = Standard::default();
        let keys = keys(&provider, &suite, 1);
        let mut rng = SeededRng(99);
        let mut ivs = Vec::new();
        for _ in 0..3 {
            let mut sealer =
                provider.message_sealer(&suite, keys.of_initiator(), &mut rng).unwrap();
            for _ in 0..100 {
                let layout = suite.protection.ike_layout();
                let mut message = vec![0; BODY + layout.sealed_len(0)];
                sealer.seal(&mut message, BODY, 0, &mut rng).unwrap();
                ivs.push(message[BODY..][..layout.iv].to_vec());
            }
        }
        ivs.sort();
        ivs.dedup();
        assert_eq!(ivs.len(), 300, "{suite}");
    }
}

/// A sender may pad more than it has to (RFC 7296 §3.14); it may not claim more padding than there
/// is.
#[test]
fn padding_is_what_its_length_says() {
    let bits = Some(256);
    let suite =
        IkeSuite::from_transforms(EncrId::AesGcm16, bits, PrfId::HmacSha2_256, None, KeId::Ecp384)
            .unwrap();
    let provider = Standard::default();
    let keys = keys(&provider, &suite, 1);
    let opener = provider.message_opener(&suite, keys.of_initiator()).unwrap();
    let key = AeadKey::new(Aead::AesGcm16(AesKey::Bits256), keys.ei.expose()).unwrap();
    for (pad_len, outcome) in [
        (0, Ok(10)),
        (5, Ok(5)),
        (10, Ok(0)),
        (11, Err(OpenError::Padding)),
        (255, Err(OpenError::Padding)),
    ] {
        let mut message = vec![0; BODY + 8 + 11 + 16];
        let (clear, body) = message.split_at_mut(BODY);
        let text = &mut body[8..19];
        text[10] = pad_len;
        let icv = key.seal([0; 8], clear, text).unwrap();
        body[19..].copy_from_slice(&icv);
        assert_eq!(opener.open(&mut message, BODY).map(|found| found.len()), outcome, "{pad_len}");
    }
}

/// Encrypt-then-MAC: the ICV covers header, IV and ciphertext, as anybody with the key can compute.
#[test]
fn the_mac_covers_the_whole_message() {
    for suite in ike_suites() {
        let Protection::Cbc(_, integ) = suite.protection else { continue };
        let provider = Standard::default();
        let keys = keys(&provider, &suite, 1);
        let mut sealer =
            provider.message_sealer(&suite, keys.of_initiator(), &mut SeededRng(1)).unwrap();
        let message = sealed(&mut *sealer, &suite, b"text");
        let (authenticated, icv) = message.split_at(message.len() - integ.icv_len());
        assert!(
            Mac::new(integ, keys.ai.expose()).unwrap().verify(authenticated, &[], icv),
            "{suite}"
        );
    }
}

#[test]
fn keys_of_another_suite_are_refused() {
    let suites = ike_suites();
    for provider in providers() {
        let short = MessageKeys { encryption: &[0; 16], integrity: &[] };
        for suite in &suites {
            assert!(provider.message_opener(suite, short).is_err(), "{suite}");
            assert!(provider.message_sealer(suite, short, &mut SeededRng(1)).is_err(), "{suite}");
        }
    }
}

fn sealed(sealer: &mut dyn MessageSealer, suite: &IkeSuite, text: &[u8]) -> Vec<u8> {
    let layout = suite.protection.ike_layout();
    let mut message = (0..BODY).map(|at| u8::try_from(at).unwrap()).collect::<Vec<_>>();
    message.resize(BODY + layout.iv, 0xee);
    message.extend(text);
    message.resize(BODY + layout.sealed_len(text.len()), 0xee);
    sealer.seal(&mut message, BODY, text.len(), &mut SeededRng(5)).unwrap();
    message
}

fn keys(provider: &dyn Provider, suite: &IkeSuite, seed: u8) -> IkeKeys {
    let nonces = Nonces { initiator: &[seed; 32], responder: &[2; 32] };
    let spis = IkeSpis { initiator: [3; 8], responder: [4; 8] };
    let shared = SharedSecret(Secret::copy_of(&[5; 32]));
    let seed = SkeySeed::of_new(provider, Prf::HmacSha2_256, nonces, &shared);
    IkeKeys::derive(provider, suite, &seed, nonces, spis)
}

fn providers() -> [Box<dyn Provider>; 2] {
    [Box::new(Standard::default()), Box::new(fake::Fake)]
}
