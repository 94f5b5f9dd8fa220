//! Every scheme round trip, every byte of a signature counts, and what must be refused is.

use super::*;

macro_rules! key {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/pki/keys/", $name))
    };
}

const RSA_2048: &[u8] = key!("rsa2048-1.p8.der");
const RSA_3072: &[u8] = key!("rsa3072.p8.der");
const RSA_4096: &[u8] = key!("rsa4096.p8.der");
const P256: &[u8] = key!("ec256.p8.der");
const P384: &[u8] = key!("ec384.p8.der");
const ED25519: &[u8] = key!("ed25519.p8.der");

const MESSAGE: &[u8] = b"RealMessage | NonceRData | MACedIDForI";

fn load(der: &[u8]) -> PrivateKey {
    PrivateKey::from_der(der).unwrap()
}

/// The schemes that a kind of key signs with.
fn schemes(kind: KeyKind) -> Vec<Scheme> {
    match kind {
        KeyKind::Rsa { .. } => Scheme::ALL[..7].to_vec(),
        KeyKind::EcdsaP256 => vec![Scheme::EcdsaSha256, Scheme::EcdsaP256Sha256Fixed],
        KeyKind::EcdsaP384 => vec![Scheme::EcdsaSha384, Scheme::EcdsaP384Sha384Fixed],
        KeyKind::Ed25519 => vec![Scheme::Ed25519],
    }
}

#[test]
fn every_scheme_round_trips_and_no_other_does() {
    for der in [RSA_2048, RSA_3072, RSA_4096, P256, P384, ED25519] {
        let key = load(der);
        let fitting = schemes(key.kind());
        for scheme in Scheme::ALL {
            let unfit = SignError::Unfit { scheme, key: key.kind() };
            let signature = match key.sign(scheme, MESSAGE) {
                Ok(signature) => signature,
                Err(error) => {
                    assert_eq!(error, unfit);
                    assert!(!fitting.contains(&scheme));
                    continue;
                }
            };
            assert!(fitting.contains(&scheme));
            assert_eq!(key.public_key().verify(scheme, MESSAGE, &signature), Ok(()));
            for other in Scheme::ALL.into_iter().filter(|other| *other != scheme) {
                assert!(key.public_key().verify(other, MESSAGE, &signature).is_err());
            }
        }
    }
}

#[test]
fn one_flipped_byte_of_signature_or_message_is_refused() {
    for der in [RSA_2048, P256, P384, ED25519] {
        let key = load(der);
        for scheme in schemes(key.kind()) {
            let signature = key.sign(scheme, MESSAGE).unwrap();
            for i in 0..signature.len() {
                let mut bad = signature.clone();
                bad[i] ^= 0x01;
                let refused = Err(VerifyError::Mismatch(scheme));
                assert_eq!(key.public_key().verify(scheme, MESSAGE, &bad), refused, "{scheme} {i}");
            }
            for i in 0..MESSAGE.len() {
                let mut bad = MESSAGE.to_vec();
                bad[i] ^= 0x80;
                assert!(key.public_key().verify(scheme, &bad, &signature).is_err());
            }
        }
    }
}

/// RSASSA-PKCS1-v1_5 is deterministic, so OpenSSL's own signature must come out byte for byte.
/// `openssl dgst -sha1 -sign rsa2048-1.p8.der -keyform DER` over MESSAGE; see
/// tests/vectors/pki/README.md.
#[test]
fn the_sha1_signature_is_the_one_openssl_makes() {
    let expected = include_bytes!("../../../tests/vectors/pki/rsa2048-1.sha1.sig");
    assert_eq!(load(RSA_2048).sign(Scheme::RsaPkcs1Sha1, MESSAGE).unwrap(), expected);
}

#[test]
fn the_same_key_loads_from_each_of_its_forms() {
    let pkcs1 = key!("rsa2048-1.pkcs1.der");
    assert_eq!(load(RSA_2048).public_key(), load(pkcs1).public_key());
    assert_eq!(load(P256).public_key(), load(key!("ec256.sec1.der")).public_key());
    assert_eq!(load(P384).public_key(), load(key!("ec384.sec1.der")).public_key());
    assert_eq!(load(RSA_4096).kind(), KeyKind::Rsa { bits: 4096 });
}

#[test]
fn keys_that_cannot_serve_say_why() {
    let refused = |der: &[u8]| PrivateKey::from_der(der).unwrap_err();
    assert_eq!(
        refused(key!("rsa1024.p8.der")),
        KeyError::RsaSize { bits: 1024, min: 2048, max: 4096 }
    );
    assert_eq!(refused(key!("ec521.p8.der")), KeyError::Curve { oid: "1.3.132.0.35".into() });
    assert_eq!(refused(key!("ed448.p8.der")), KeyError::Algorithm { oid: "1.3.101.113".into() });
    assert_eq!(refused(key!("encrypted.p8.der")), KeyError::Encrypted);
    // 65535, odd and in its shortest form: ring would not sign under it.
    let mut small = key!("rsa2048-1.pkcs1.der").to_vec();
    let at = small.windows(5).position(|w| w == [2, 3, 1, 0, 1]).unwrap();
    small[at..at + 5].copy_from_slice(&[2, 3, 0, 0xff, 0xff]);
    assert_eq!(refused(&small), KeyError::RsaExponent);
    assert!(matches!(refused(b"no key at all"), KeyError::Malformed(_)));
    assert!(matches!(refused(&RSA_2048[..600]), KeyError::Malformed(_)));
    assert_eq!(refused(key!("ec256-nopub.p8.der")), KeyError::PublicHalfMissing);
}

/// A flipped bit in the middle of any part of the key never yields a signature that verifies.
#[test]
fn a_damaged_key_lets_nothing_out() {
    for (der, scheme) in [
        (RSA_2048, Scheme::RsaPkcs1Sha1),
        (RSA_2048, Scheme::RsaPkcs1Sha256),
        (P256, Scheme::EcdsaSha256),
    ] {
        let public = load(der).public_key().clone();
        for at in (30..der.len()).step_by(37) {
            let mut damaged = der.to_vec();
            damaged[at] ^= 0x10;
            let Ok(key) = PrivateKey::from_der(&damaged) else { continue };
            let Ok(signature) = key.sign(scheme, MESSAGE) else { continue };
            // The damage did not touch what this scheme uses, or it made another sound key.
            assert_eq!(key.public_key().verify(scheme, MESSAGE, &signature), Ok(()));
            assert!(
                *key.public_key() != public || public.verify(scheme, MESSAGE, &signature).is_ok()
            );
        }
    }
}

#[test]
fn a_private_key_does_not_print() {
    assert_eq!(format!("{:?}", load(RSA_2048)), "PrivateKey(RSA 2048)");
}

#[test]
fn public_keys_read_from_garbage_without_a_panic() {
    let spki = include_bytes!("../../../tests/vectors/pki/rsa2048-1.spki.der");
    let whole = PublicKey::from_spki(spki).unwrap();
    assert_eq!(whole.kind(), KeyKind::Rsa { bits: 2048 });
    assert_eq!(&whole, load(RSA_2048).public_key());
    for end in 0..spki.len() {
        assert!(PublicKey::from_spki(&spki[..end]).is_err());
    }
}

#[test]
fn no_other_public_key_verifies() {
    let scheme = Scheme::RsaPkcs1Sha256;
    let signature = load(RSA_2048).sign(scheme, MESSAGE).unwrap();
    let spki = include_bytes!("../../../tests/vectors/pki/rsa2048-1.spki.der");
    let accepts = |spki: &[u8]| {
        PublicKey::from_spki(spki).is_ok_and(|key| key.verify(scheme, MESSAGE, &signature).is_ok())
    };
    assert!(accepts(spki));
    for at in 0..spki.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = spki.to_vec();
            bad[at] ^= flip;
            assert!(!accepts(&bad), "byte {at} ^ {flip:#04x}");
        }
    }
}

/// Key Vault and PKCS#12 files hold keys as PKCS#8: other forms get that envelope, byte for byte as
/// OpenSSL puts it on.
#[test]
fn every_form_of_a_key_becomes_pkcs8() {
    let wrapped = |der: &[u8]| to_pkcs8(der).unwrap().expose().to_vec();
    assert_eq!(wrapped(key!("rsa2048-1.pkcs1.der")), key!("rsa2048-1.p8.der"));
    assert_eq!(wrapped(key!("rsa2048-1.p8.der")), key!("rsa2048-1.p8.der"));
    for sec1 in [&key!("ec256.sec1.der")[..], key!("ec384.sec1.der")] {
        let key = PrivateKey::from_der(&wrapped(sec1)).unwrap();
        assert_eq!(key.public_key(), load(sec1).public_key());
    }
    assert!(to_pkcs8(&[0x30, 0]).is_err());
    assert!(to_pkcs8(key!("ec256-nopub.p8.der")).is_ok(), "an envelope is not opened");
}
