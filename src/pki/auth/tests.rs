//! What goes out, what is accepted, and what is not.

use super::*;
use crate::pki::refusal::TrustReason;

macro_rules! key {
    ($name:literal) => {
        PrivateKey::from_der(include_bytes!(concat!("../../../tests/vectors/pki/keys/", $name)))
            .unwrap()
    };
}

const OCTETS: &[&[u8]] = &[b"RealMessage", b"NonceRData", b"MACedIDForI"];

fn policy() -> AuthPolicy {
    AuthPolicy::default()
}

/// A payload of a peer without RFC 7427.
fn claim(method: AuthMethod, data: &[u8]) -> SignatureClaim<'_> {
    SignatureClaim { method, data, octets: OCTETS, announced: false }
}

fn reason(refusal: TrustRefusal) -> AuthReason {
    match refusal.reason {
        TrustReason::Auth(reason) => reason,
        other => panic!("not about AUTH: {other:?}"),
    }
}

#[test]
fn the_choice_follows_key_and_announcement() {
    use HashId::{Identity, Sha1, Sha2_256, Sha2_384, Sha2_512, Unknown};
    let rsa = KeyKind::Rsa { bits: 2048 };
    let (p256, p384, ed) = (KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519);
    let modern = AuthMethod::DigitalSignature;
    for (key, announced, method, scheme) in [
        (rsa, None, AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha1),
        (rsa, Some(&[][..]), AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha1),
        (rsa, Some(&[Sha1, Unknown(9)]), AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha1),
        (rsa, Some(&[Sha2_512, Sha2_256]), modern, Scheme::RsaPssSha512),
        (rsa, Some(&[Sha1, Sha2_384, Sha2_256]), modern, Scheme::RsaPssSha384),
        (rsa, Some(&[Identity, Sha2_256]), modern, Scheme::RsaPssSha256),
        (p256, None, AuthMethod::EcdsaSha256P256, Scheme::EcdsaP256Sha256Fixed),
        (p256, Some(&[Sha2_256]), modern, Scheme::EcdsaSha256),
        (p256, Some(&[Sha2_384]), AuthMethod::EcdsaSha256P256, Scheme::EcdsaP256Sha256Fixed),
        (p384, None, AuthMethod::EcdsaSha384P384, Scheme::EcdsaP384Sha384Fixed),
        (p384, Some(&[Sha2_256, Sha2_384]), modern, Scheme::EcdsaSha384),
        (ed, Some(&[Sha2_256, Identity]), modern, Scheme::Ed25519),
    ] {
        assert_eq!(choose(key, announced, &policy()), Ok(SignatureChoice { method, scheme }));
    }
    for announced in [None, Some(&[Sha2_256, Sha2_512][..])] {
        let refused = choose(ed, announced, &policy()).unwrap_err();
        assert!(matches!(reason(refused), AuthReason::NoCommonHash { .. }));
    }
    let pkcs1 = AuthPolicy { padding: RsaPadding::Pkcs1, ..policy() };
    assert_eq!(choose(rsa, Some(&ANNOUNCED), &pkcs1).unwrap().scheme, Scheme::RsaPkcs1Sha256);
    let sha512 = AuthPolicy { method1_hash: Method1Hash::Sha512, ..policy() };
    assert_eq!(choose(rsa, None, &sha512).unwrap().scheme, Scheme::RsaPkcs1Sha512);
}

/// libreswan signs with the strongest hash that was announced, whatever its key.
#[test]
fn what_is_announced_can_be_verified_with_every_key_that_hashes() {
    let method = AuthMethod::DigitalSignature;
    for key in [key!("rsa2048-1.p8.der"), key!("ec256.p8.der"), key!("ec384.p8.der")] {
        for hash in ANNOUNCED.into_iter().filter(|hash| *hash != HashId::Identity) {
            let ours = Scheme::ALL.into_iter().filter(|scheme| scheme.hash() == hash);
            let known = ours.filter(|&scheme| {
                let identifier = algorithm::identifier(scheme);
                let payload = identifier
                    .map(|der| [&[u8::try_from(der.len()).unwrap()], &der[..], b"x"].concat());
                let verdict = payload
                    .map(|data| verify_with(key.public_key(), &claim(method, &data), &policy()));
                verdict == Some(Err(AuthReason::NotVerified { method }))
            });
            assert!(known.count() > 0, "{hash} with {}", key.kind());
        }
    }
}

/// SLOTH: the nonce of the verifier stands behind what collides.
#[test]
fn sha1_is_refused_of_a_peer_that_has_better() {
    let key = key!("rsa2048-1.p8.der");
    let method = AuthMethod::RsaSignature;
    let signed = |scheme| sign(&key, SignatureChoice { method, scheme }, OCTETS).unwrap();
    let verdict = |data: &[u8], announced, policy: &AuthPolicy| {
        verify_with(key.public_key(), &SignatureClaim { announced, ..claim(method, data) }, policy)
    };
    let (sha1, sha256) = (signed(Scheme::RsaPkcs1Sha1), signed(Scheme::RsaPkcs1Sha256));
    assert_eq!(verdict(&sha1, false, &policy()), Ok(Scheme::RsaPkcs1Sha1));
    assert_eq!(verdict(&sha1, true, &policy()), Err(AuthReason::Sha1Needless));
    assert_eq!(verdict(&sha256, true, &policy()), Ok(Scheme::RsaPkcs1Sha256));
    // Where RFC 7427 is switched off here, the peer cannot use it.
    let off = AuthPolicy { digital_signatures: DigitalSignatures::Refuse, ..policy() };
    assert_eq!(verdict(&sha1, true, &off), Ok(Scheme::RsaPkcs1Sha1));
}

#[test]
fn method_1_is_accepted_over_every_hash() {
    let key = key!("rsa2048-1.p8.der");
    for scheme in [
        Scheme::RsaPkcs1Sha1,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
    ] {
        let method = AuthMethod::RsaSignature;
        let data = sign(&key, SignatureChoice { method, scheme }, OCTETS).unwrap();
        let verify =
            |policy: &AuthPolicy| verify_with(key.public_key(), &claim(method, &data), policy);
        assert_eq!(verify(&policy()), Ok(scheme));
        let strict = AuthPolicy { sha1: Sha1Policy::Refuse, ..policy() };
        let sha1 = scheme == Scheme::RsaPkcs1Sha1;
        let expected = if sha1 { Err(AuthReason::Sha1Refused) } else { Ok(scheme) };
        assert_eq!(verify(&strict), expected);
        // PSS does not pass for method 1, nor the other way round.
        let mut changed = data.clone();
        changed[17] ^= 1;
        let refused = verify_with(key.public_key(), &claim(method, &changed), &policy());
        assert_eq!(refused, Err(AuthReason::NotVerified { method }));
    }
    let pss = key.sign(Scheme::RsaPssSha256, &OCTETS.concat()).unwrap();
    let method = AuthMethod::RsaSignature;
    let refused = verify_with(key.public_key(), &claim(method, &pss), &policy());
    assert_eq!(refused, Err(AuthReason::NotVerified { method }));
}

#[test]
fn method_14_is_accepted_with_every_scheme() {
    let method = AuthMethod::DigitalSignature;
    for key in [
        key!("rsa2048-1.p8.der"),
        key!("rsa3072.p8.der"),
        key!("ec256.p8.der"),
        key!("ec384.p8.der"),
        key!("ed25519.p8.der"),
    ] {
        for scheme in Scheme::ALL {
            let Ok(data) = sign(&key, SignatureChoice { method, scheme }, OCTETS) else { continue };
            let identifier = algorithm::identifier(scheme).unwrap();
            assert_eq!(usize::from(data[0]), identifier.len());
            assert_eq!(data[1..=identifier.len()], identifier);
            let verified = verify_with(key.public_key(), &claim(method, &data), &policy());
            let expected = match scheme.hash() {
                HashId::Sha1 => Err(AuthReason::NotAnnounced(HashId::Sha1)),
                _ => Ok(scheme),
            };
            assert_eq!(verified, expected);
        }
    }
}

/// It was not announced, so a peer that signs over it breaks RFC 7427, whatever is said about
/// method 1.
#[test]
fn sha1_is_never_accepted_under_method_14() {
    let key = key!("rsa2048-1.p8.der");
    let method = AuthMethod::DigitalSignature;
    let data =
        sign(&key, SignatureChoice { method, scheme: Scheme::RsaPkcs1Sha1 }, OCTETS).unwrap();
    for sha1 in [Sha1Policy::Accept, Sha1Policy::Refuse] {
        let policy = AuthPolicy { sha1, ..policy() };
        let refused = verify_with(key.public_key(), &claim(method, &data), &policy);
        assert_eq!(refused, Err(AuthReason::NotAnnounced(HashId::Sha1)));
    }
}

#[test]
fn method_14_can_be_switched_off_both_ways() {
    let key = key!("rsa2048-1.p8.der");
    let off = AuthPolicy { digital_signatures: DigitalSignatures::Refuse, ..policy() };
    let choice = choose(key.kind(), Some(&ANNOUNCED), &off).unwrap();
    assert_eq!(choice.method, AuthMethod::RsaSignature);
    let modern = choose(key.kind(), Some(&ANNOUNCED), &policy()).unwrap();
    let data = sign(&key, modern, OCTETS).unwrap();
    let refused = verify_with(key.public_key(), &claim(modern.method, &data), &off);
    assert_eq!(refused, Err(AuthReason::Method(modern.method)));
}

#[test]
fn what_is_not_accepted_says_why() {
    let rsa = key!("rsa2048-1.p8.der");
    let ec = key!("ec256.p8.der");
    let verify = |key: &PrivateKey, method, data: &[u8]| {
        verify_with(key.public_key(), &claim(method, data), &policy()).unwrap_err()
    };
    let modern = AuthMethod::DigitalSignature;
    let signed =
        sign(&rsa, SignatureChoice { method: modern, scheme: Scheme::RsaPkcs1Sha256 }, OCTETS);
    let signed = signed.unwrap();

    let psk = verify(&rsa, AuthMethod::SharedKeyMic, &[0; 32]);
    assert_eq!(psk, AuthReason::Method(AuthMethod::SharedKeyMic));
    assert!(psk.remedy().contains("pre-shared key"));
    let p521 = verify(&ec, AuthMethod::EcdsaSha512P521, &[0; 132]);
    assert_eq!(p521, AuthReason::Method(AuthMethod::EcdsaSha512P521));
    assert!(matches!(
        verify(&ec, AuthMethod::RsaSignature, &[0; 256]),
        AuthReason::KeyUnfit { .. }
    ));
    assert!(matches!(
        verify(&rsa, AuthMethod::EcdsaSha256P256, &[0; 64]),
        AuthReason::KeyUnfit { .. }
    ));
    assert!(matches!(verify(&ec, modern, &signed), AuthReason::KeyUnfit { .. }));
    assert_eq!(verify(&rsa, modern, &[]), AuthReason::Truncated);
    assert_eq!(verify(&rsa, modern, &signed[..10]), AuthReason::Truncated);
    assert!(matches!(verify(&rsa, modern, &[0, 1, 2]), AuthReason::Algorithm(_)));
    let mut md5 = signed.clone();
    md5[13] = 4;
    let unsupported = AlgorithmError::Unsupported("RSA with MD5".into());
    assert_eq!(verify(&rsa, modern, &md5), AuthReason::Algorithm(unsupported));
    assert_eq!(verify(&rsa, modern, &signed[..200]), AuthReason::NotVerified { method: modern });
}

#[test]
fn each_changed_byte_of_an_auth_payload_is_refused() {
    let key = key!("ec256.p8.der");
    let method = AuthMethod::DigitalSignature;
    let data = sign(&key, SignatureChoice { method, scheme: Scheme::EcdsaSha256 }, OCTETS).unwrap();
    for at in 0..data.len() {
        let mut bad = data.clone();
        bad[at] ^= 0x01;
        assert!(verify_with(key.public_key(), &claim(method, &bad), &policy()).is_err(), "{at}");
    }
}

#[test]
fn a_refused_signature_names_the_padding() {
    for (padding, announced, expected) in [
        (RsaPadding::Pss, &[HashId::Sha2_256][..], "signature_padding = \"PKCS1\""),
        (RsaPadding::Pkcs1, &[HashId::Sha2_256], "signature_padding = \"PSS\""),
        (RsaPadding::Pss, &[], "rsa_signature_hash"),
    ] {
        let policy = AuthPolicy { padding, ..policy() };
        let hashes = (!announced.is_empty()).then_some(announced);
        let choice = choose(KeyKind::Rsa { bits: 2048 }, hashes, &policy).unwrap();
        let text = describe(choice, announced);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_remedy_for_an_algorithm_is_one_that_works() {
    let remedy =
        |name: &str| AuthReason::Algorithm(AlgorithmError::Unsupported(name.into())).remedy();
    let ecdsa = remedy("ECDSA with SHA-512");
    assert!(ecdsa.contains("ECDSA over SHA-256 or SHA-384"), "{ecdsa}");
    assert!(!ecdsa.contains("ECDSA over SHA-2\"") && !ecdsa.ends_with("SHA-2"), "{ecdsa}");
}
