//! From transforms to suites and back, and what goes around a plaintext.

use super::{esp_suites, ike_suites};
use crate::crypto::{EspSuite, Group, IkeSuite, SaKind, Unsupported};
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};

#[test]
fn suites_read_as_administrators_write_them() {
    let ike = |encr, bits, prf, integ, ke| {
        IkeSuite::from_transforms(encr, bits, prf, integ, ke).unwrap().to_string()
    };
    assert_eq!(
        ike(EncrId::AesGcm16, Some(256), PrfId::HmacSha2_384, None, KeId::Ecp384),
        "AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384"
    );
    assert_eq!(
        ike(EncrId::AesCbc, Some(128), PrfId::HmacSha1, Some(IntegId::HmacSha1_96), KeId::Modp1024),
        "AES_CBC-128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024"
    );
    let esp = |encr, bits, integ, ke, esn| {
        EspSuite::from_transforms(encr, bits, integ, ke, esn).unwrap().to_string()
    };
    assert_eq!(
        esp(
            EncrId::ChaCha20Poly1305,
            None,
            Some(IntegId::None),
            Some(KeId::None),
            EsnId::Sequence32
        ),
        "CHACHA20_POLY1305"
    );
    let integ = Some(IntegId::HmacSha2_256_128);
    assert_eq!(
        esp(EncrId::AesCbc, Some(256), integ, Some(KeId::Modp2048), EsnId::Extended64),
        "AES_CBC-256/HMAC_SHA2_256_128/MODP_2048/ESN"
    );
    assert_eq!(esp(EncrId::Null, None, integ, None, EsnId::Sequence32), "NULL/HMAC_SHA2_256_128");
}

#[test]
fn a_suite_gives_back_its_transforms() {
    for suite in ike_suites() {
        let integ = suite.protection.integ().map(|integ| integ.id());
        let (encr, bits) = (suite.protection.encr_id(), suite.protection.key_bits());
        let again = IkeSuite::from_transforms(encr, bits, suite.prf.id(), integ, suite.group.id());
        assert_eq!(again, Ok(suite));
    }
    for suite in esp_suites() {
        let integ = suite.protection.integ().map(|integ| integ.id());
        let esn = if suite.esn { EsnId::Extended64 } else { EsnId::Sequence32 };
        let (encr, bits) = (suite.protection.encr_id(), suite.protection.key_bits());
        assert_eq!(EspSuite::from_transforms(encr, bits, integ, None, esn), Ok(suite));
    }
}

#[test]
fn what_cannot_be_run_is_refused_with_its_reason() {
    use SaKind::{Esp, Ike};
    let sha2 = Some(IntegId::HmacSha2_256_128);
    let ike = |encr, bits, prf, integ, ke| {
        IkeSuite::from_transforms(encr, bits, prf, integ, ke).unwrap_err()
    };
    let esp = |encr, bits, integ, ke, esn| {
        EspSuite::from_transforms(encr, bits, integ, ke, esn).unwrap_err()
    };
    let (prf, ke, no_esn) = (PrfId::HmacSha2_256, KeId::Modp2048, EsnId::Sequence32);
    let cases = [
        (
            ike(EncrId::TripleDes, None, prf, sha2, ke),
            Unsupported::Encryption(Ike, EncrId::TripleDes),
        ),
        (ike(EncrId::Null, None, prf, sha2, ke), Unsupported::Encryption(Ike, EncrId::Null)),
        (
            ike(EncrId::AesCbc, None, prf, sha2, ke),
            Unsupported::KeyLength(Ike, EncrId::AesCbc, None),
        ),
        (
            ike(EncrId::AesCbc, Some(64), prf, sha2, ke),
            Unsupported::KeyLength(Ike, EncrId::AesCbc, Some(64)),
        ),
        (
            ike(EncrId::AesCbc, Some(256), prf, None, ke),
            Unsupported::NoIntegrity(Ike, EncrId::AesCbc),
        ),
        (
            ike(EncrId::AesGcm16, Some(256), prf, sha2, ke),
            Unsupported::AeadWithIntegrity(Ike, EncrId::AesGcm16, IntegId::HmacSha2_256_128),
        ),
        (
            ike(EncrId::AesGcm16, Some(256), PrfId::HmacMd5, None, ke),
            Unsupported::Prf(PrfId::HmacMd5),
        ),
        (
            ike(EncrId::AesCbc, Some(256), prf, Some(IntegId::HmacMd5_96), ke),
            Unsupported::Integrity(Ike, IntegId::HmacMd5_96),
        ),
        (
            ike(EncrId::AesGcm16, Some(256), prf, None, KeId::Modp768),
            Unsupported::KeyExchange(Ike, KeId::Modp768),
        ),
        (
            ike(EncrId::AesGcm16, Some(256), prf, None, KeId::None),
            Unsupported::KeyExchange(Ike, KeId::None),
        ),
        (esp(EncrId::Des, None, sha2, None, no_esn), Unsupported::Encryption(Esp, EncrId::Des)),
        (
            esp(EncrId::AesGcm8, Some(256), None, None, no_esn),
            Unsupported::Encryption(Esp, EncrId::AesGcm8),
        ),
        (esp(EncrId::Null, None, None, None, no_esn), Unsupported::NoIntegrity(Esp, EncrId::Null)),
        (
            esp(EncrId::Null, Some(8), sha2, None, no_esn),
            Unsupported::KeyLength(Esp, EncrId::Null, Some(8)),
        ),
        (
            esp(EncrId::ChaCha20Poly1305, Some(256), None, None, no_esn),
            Unsupported::KeyLength(Esp, EncrId::ChaCha20Poly1305, Some(256)),
        ),
        (
            esp(EncrId::AesGcm16, Some(256), None, Some(KeId::Modp768), no_esn),
            Unsupported::KeyExchange(Esp, KeId::Modp768),
        ),
        (
            esp(EncrId::AesGcm16, Some(256), None, None, EsnId::from(2)),
            Unsupported::SequenceNumbers(EsnId::from(2)),
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
        let sentence = found.to_string();
        assert!(sentence.contains(": set ") || sentence.contains("has to offer"), "{sentence}");
    }
}

/// No algorithm that has a name here can be met without an answer that names a setting.
#[test]
fn every_known_number_is_either_run_or_explained() {
    for &ke in KeId::KNOWN {
        for role in [SaKind::Ike, SaKind::Esp] {
            match Group::from_id(role, ke) {
                Ok(group) => assert_eq!(group.id(), ke),
                Err(refusal) => assert!(refusal.to_string().contains("Group"), "{refusal}"),
            }
        }
    }
    for &encr in EncrId::KNOWN {
        for bits in [None, Some(256)] {
            for integ in [None, Some(IntegId::HmacSha2_256_128)] {
                if let Err(refusal) =
                    EspSuite::from_transforms(encr, bits, integ, None, EsnId::Sequence32)
                {
                    assert!(refusal.to_string().contains("ipsec"), "{refusal}");
                }
            }
        }
    }
}

#[test]
fn padding_is_the_least_that_aligns() {
    let ike = ike_suites().into_iter().map(|suite| suite.protection.ike_layout());
    let esp = esp_suites().into_iter().map(|suite| suite.protection.layout());
    for layout in ike.chain(esp) {
        for len in 0..300 {
            let padding = layout.padding(len);
            assert!(padding < layout.align && padding < 16);
            assert_eq!((len + padding + layout.trailer) % layout.align, 0);
            let sealed = layout.sealed_len(len);
            assert_eq!(sealed, layout.iv + len + padding + layout.trailer + layout.icv);
            // `plaintext_room` is the exact inverse: this fits, one octet more does not.
            let room = layout.plaintext_room(sealed).unwrap();
            assert!(
                room >= len
                    && layout.sealed_len(room) <= sealed
                    && layout.sealed_len(room + 1) > sealed
            );
        }
        let least = layout.sealed_len(0);
        assert_eq!(layout.plaintext_room(least - 1), None);
    }
}

/// The overheads that Azure's inner MTU of 1,400 octets is computed from: 1,390 octets of packet,
/// ESP in UDP.
#[test]
fn overheads_are_as_computed_by_hand() {
    let overhead = |encr, bits, integ| {
        let suite = EspSuite::from_transforms(encr, bits, integ, None, EsnId::Sequence32).unwrap();
        20 + 8 + 8 + suite.protection.layout().sealed_len(1390)
    };
    assert_eq!(overhead(EncrId::AesGcm16, Some(256), None), 1452);
    assert_eq!(overhead(EncrId::AesCbc, Some(256), Some(IntegId::HmacSha1_96)), 1456);
    assert_eq!(overhead(EncrId::AesCbc, Some(256), Some(IntegId::HmacSha2_256_128)), 1460);
}
