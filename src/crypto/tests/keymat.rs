//! The key schedule against NIST's example and an independent computation.

use super::{Record, records};
use crate::crypto::keymat::{
    ChildKeys, IkeKeys, IkeSpis, Nonces, SkD, SkP, SkPi, SkPr, SkeySeed, prf_plus, signed_octets,
};
use crate::crypto::{EspSuite, IkeSuite, Prf, Provider, Secret, SharedSecret, Standard};
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId};

#[test]
fn nist_cavp_and_python() {
    let records = records(include_str!("../../../tests/vectors/ikev2_kdf.txt"));
    assert_eq!(records.len(), 4);
    for record in records {
        let keys = [
            "ni",
            "nr",
            "spii",
            "spir",
            "shared",
            "shared_new",
            "skeyseed",
            "dkm",
            "rekey",
            "child",
            "child_pfs",
        ];
        // NIST gives more of the children's key material than a suite takes.
        let counting = if record.text("prf") == "sha1" { &keys[..9] } else { &keys };
        record.every_octet_counts(counting, follows);
    }
}

/// Derives all there is, and puts the keys back together in the order of the standard.
fn follows(record: &Record) -> bool {
    let provider = Standard::default();
    let (ike, esp) = suites(record.text("prf"));
    let (ni, nr) = (record.hex("ni"), record.hex("nr"));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let spis = IkeSpis { initiator: record.chunk("spii"), responder: record.chunk("spir") };
    let shared = SharedSecret(Secret::new(record.hex("shared")));
    let fresh = SharedSecret(Secret::new(record.hex("shared_new")));

    let seed = SkeySeed::of_new(&provider, ike.prf, nonces, &shared);
    let keys = IkeKeys::derive(&provider, &ike, &seed, nonces, spis);
    let together = [
        keys.d.expose(),
        keys.ai.expose(),
        keys.ar.expose(),
        keys.ei.expose(),
        keys.er.expose(),
        keys.pi.expose(),
        keys.pr.expose(),
    ];
    let children = [("child", None), ("child_pfs", Some(&fresh))].map(|(name, shared)| {
        let child = ChildKeys::derive(&provider, ike.prf, &keys.d, &esp, nonces, shared);
        let together = [
            child.initiator.encryption.expose(),
            child.initiator.integrity.expose(),
            child.responder.encryption.expose(),
            child.responder.integrity.expose(),
        ];
        record.hex(name).starts_with(&together.concat())
    });
    let rekeyed = SkeySeed::of_rekeyed(&provider, ike.prf, &keys.d, nonces, &fresh);
    seed.expose() == record.hex("skeyseed")
        && together.concat() == record.hex("dkm")
        && children == [true; 2]
        && rekeyed.expose() == record.hex("rekey")
}

/// Suites that take as much key material as the records have.
fn suites(prf: &str) -> (IkeSuite, EspSuite) {
    let (prf, integ) = match prf {
        "sha1" => (Prf::HmacSha1, IntegId::HmacSha1_96),
        "sha256" => (Prf::HmacSha2_256, IntegId::HmacSha2_256_128),
        "sha384" => (Prf::HmacSha2_384, IntegId::HmacSha2_384_192),
        _ => (Prf::HmacSha2_512, IntegId::HmacSha2_512_256),
    };
    let ((encr, bits, ike_integ), esp_bits) = match prf {
        Prf::HmacSha1 => ((EncrId::AesCbc, 128, Some(integ)), 128),
        _ => ((EncrId::AesGcm16, 256, None), 256),
    };
    let ike = IkeSuite::from_transforms(encr, Some(bits), prf.id(), ike_integ, KeId::Modp2048);
    let esp = EspSuite::from_transforms(
        EncrId::AesCbc,
        Some(esp_bits),
        Some(integ),
        None,
        EsnId::Sequence32,
    );
    (ike.unwrap(), esp.unwrap())
}

#[test]
fn prf_plus_ends_after_255_blocks() {
    let all = prf_plus(&Standard::default(), Prf::HmacSha1, b"key", &[b"seed"], 255 * 20);
    assert_eq!(all.len(), 5100);
    let less = prf_plus(&Standard::default(), Prf::HmacSha1, b"key", &[b"se", b"ed"], 5099);
    assert_eq!(less.expose(), &all.expose()[..5099]);
    assert!(prf_plus(&Standard::default(), Prf::HmacSha1, b"key", &[b"seed"], 0).is_empty());
}

#[test]
#[should_panic(expected = "prf+ ends after 255 blocks")]
fn prf_plus_refuses_a_256th_block() {
    prf_plus(&Standard::default(), Prf::HmacSha1, b"key", &[b"seed"], 255 * 20 + 1);
}

#[test]
fn signed_octets_bind_message_nonce_and_identity() {
    let provider = Standard::default();
    let pi = SkPi::restore(Secret::copy_of(&[1; 32]));
    let pr = SkPr::restore(Secret::copy_of(&[2; 32]));
    let octets =
        |key| signed_octets(&provider, Prf::HmacSha2_256, key, b"message", b"nonce", b"identity");
    let expected = |key| {
        let mac = provider.prf(Prf::HmacSha2_256, key, &[b"identity"]);
        [b"messagenonce", mac.expose()].concat()
    };
    assert_eq!(octets(SkP::Initiator(&pi)), expected(&[1; 32]));
    assert_eq!(octets(SkP::Responder(&pr)), expected(&[2; 32]));
}

#[test]
fn keys_print_nothing_of_themselves() {
    let key = SkD::restore(Secret::copy_of(&[0xab; 32]));
    assert_eq!(format!("{key:?}"), "SkD(<secret>)");
}
