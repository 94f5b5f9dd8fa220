//! Attacks on the key exchange: sizes, weak values, points off the curve. They go to a responder,
//! and in answers to an initiator, where a forged answer must not spoil the genuine answer after
//! it.

use s2sd::crypto::Group;
use s2sd::wire::codes::NotifyType;
use s2sd::wire::message::Message;
use s2sd::wire::payload::nonce::Nonce;

use crate::hand::{CREATE_CHILD_SA, Hand, errors, established, raw};
use crate::people::PEER;
use crate::target::{GROUPS, Target};
use s2sd::wire::codes::PayloadType;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::ke::KeyExchange;

/// 16 and 256 octets are a nonce; 15 and 257 are none (RFC 7296 §3.9).
#[test]
fn nonce_sizes_15_16_256_257() {
    let mut target = Target::answering();
    for (size, good) in [(0, false), (15, false), (16, true), (256, true), (257, false)] {
        let mut hand = Hand::dialling(Group::Ecp256);
        let public = hand.public();
        let bytes = hand.init(hand.init_chain(&public, &vec![9; size]));
        assert_eq!(target.give(&bytes).len(), usize::from(good), "{size} octets");
    }
    target.expect_unharmed();

    for (size, good) in [(0, false), (15, false), (16, true), (256, true), (257, false)] {
        let (mut target, request) = Target::dialling(Group::Ecp256);
        let mut hand = Hand::answering(Group::Ecp256, &request);
        let answer = hand.init(hand.init_chain(&hand.public(), &vec![9; size]));
        let said = target.give(&answer);
        assert_eq!(!said.is_empty(), good, "{size} octets");
        if !good {
            expect_the_genuine_answer_counts(&mut target, &request);
        }
    }

    for size in [15, 257] {
        let mut target = Target::answering();
        let person = target.root.person(PEER);
        let mut hand = established(&mut target, &person);
        let mut payloads = hand.child(None);
        payloads.push(raw(PayloadType::Nonce, &vec![9; size]));
        let request = hand.seal(CREATE_CHILD_SA, 2, false, &payloads);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::InvalidSyntax]);
        target.expect_unharmed();
    }
    assert_eq!((Nonce::MIN, Nonce::MAX), (16, 256));
}

/// A public value of any other length than its group's.
#[test]
fn ke_of_wrong_size() {
    for group in GROUPS {
        let mut target = Target::answering();
        let right = group.public_len();
        for size in [0, 1, right - 1, right + 1, 2 * right, 7_000, 60_000] {
            let mut hand = Hand::dialling(group);
            let nonce = hand.nonce.clone();
            let bytes = hand.init(hand.init_chain(&vec![2; size], &nonce));
            target.shrug_first(&bytes);
        }
        target.expect_unharmed();
        for size in [0, 1, right - 1, right + 1, 60_000] {
            expect_harmless_answer(group, &vec![2; size]);
        }
    }
}

/// 0, 1, p-1, p and beyond in the MODP groups; and the points of small order of Curve25519.
#[test]
fn zero_and_p_minus_1_public_values() {
    for group in [Group::Modp2048, Group::Modp2048S256] {
        let size = group.public_len();
        let small = |last: u8| {
            let mut value = vec![0; size];
            value[size - 1] = last;
            value
        };
        let mut below = modulus(group);
        below[size - 1] -= 1;
        for value in [small(0), small(1), below, modulus(group), vec![0xff; size]] {
            expect_refused(group, &value);
        }
    }
    let mut one = vec![0; 32];
    one[0] = 1;
    for value in [vec![0; 32], one] {
        expect_refused(Group::Curve25519, &value);
    }
}

/// Points that are not on the curve tell whoever sends many of them the private key of a careless
/// implementation.
#[test]
fn points_off_the_curve() {
    for group in [Group::Ecp256, Group::Ecp384] {
        let size = group.public_len();
        let mut off = Hand::dialling(group).public();
        off[size - 1] ^= 1;
        let mut beyond = Hand::dialling(group).public();
        beyond[..size / 2].fill(0xff);
        for value in [off, beyond, vec![0; size], vec![0xff; size]] {
            expect_refused(group, &value);
        }
    }
}

/// A value that is refused has cost a key exchange, and leaves nothing half open that would be
/// counted: whoever sends many is asked for a cookie, and whoever shows cookies is not heard
/// without end either.
#[test]
fn weak_public_values_without_end() {
    let mut target = Target::answering();
    let mut worked = 0;
    for _ in 0..100 {
        let mut hand = Hand::dialling(Group::Ecp256);
        let mut payloads = hand.init_chain(&[0; 64], &hand.nonce.clone());
        let chain = Message::decode(&target.ask(&hand.init(payloads.clone()))).unwrap().chain;
        let Some(cookie) = chain.notify(NotifyType::Cookie) else {
            assert_eq!(errors(&chain), [NotifyType::InvalidSyntax]);
            worked += 1;
            continue;
        };
        payloads.insert(0, cookie.clone().into());
        // The errors that may be told have been told.
        target.ignore(&hand.init(payloads));
    }
    assert_eq!(worked, 8);
    target.expect_unharmed();
}

/// Longer than any honest first message: it would be kept until its sender proves who it is.
#[test]
fn first_messages_of_any_length() {
    let mut target = Target::answering();
    for (size, heard) in [(4_000, true), (8_000, false), (60_000, false)] {
        let mut hand = Hand::dialling(Group::Ecp256);
        let mut payloads = hand.init_chain(&hand.public(), &hand.nonce.clone());
        payloads.push(raw(PayloadType::VendorId, &vec![7; size]));
        assert_eq!(target.give(&hand.init(payloads)).len(), usize::from(heard), "{size} octets");
    }
    target.expect_unharmed();
}

/// A group that is none of ours, or another than the proposal's: told once in clear, and nothing is
/// kept.
#[test]
fn ke_of_another_group() {
    let mut target = Target::answering();
    let mut hand = Hand::dialling(Group::Ecp256);
    let mut payloads = hand.init_chain(&hand.public(), &hand.nonce.clone());
    payloads[1] = Payload::KeyExchange(KeyExchange::new(Group::Ecp384.id(), vec![2; 96]));
    let bytes = hand.init(payloads);
    let chain = Message::decode(&target.ask(&bytes)).unwrap().chain;
    assert_eq!(errors(&chain), [NotifyType::InvalidKePayload]);
    target.expect_unharmed();
}

/// Neither the answerer nor the dialler goes on with it.
#[track_caller]
fn expect_refused(group: Group, value: &[u8]) {
    let mut target = Target::answering();
    let mut hand = Hand::dialling(group);
    let nonce = hand.nonce.clone();
    let bytes = hand.init(hand.init_chain(value, &nonce));
    let answers = target.give(&bytes);
    for answer in &answers {
        let chain = Message::decode(answer).unwrap().chain;
        assert_eq!(errors(&chain), [NotifyType::InvalidSyntax], "{group:?}");
    }
    assert!(target.refusal().contains("public value"), "{}", target.refusal());
    target.expect_unharmed();
    expect_harmless_answer(group, value);
}

/// An answer with this value does not end the attempt: the genuine answer, to the request that
/// stands then, still counts.
#[track_caller]
fn expect_harmless_answer(group: Group, value: &[u8]) {
    let (mut target, request) = Target::dialling(group);
    let mut hand = Hand::answering(group, &request);
    let answer = hand.init(hand.init_chain(value, &hand.nonce.clone()));
    let said = target.give(&answer);
    assert!(said.len() <= 1, "{} datagrams for one", said.len());
    // A value of the right size that is no member of the group costs the dialler its private one,
    // and it asks again.
    let request = said.first().unwrap_or(&request).clone();
    assert_eq!(Message::decode(&request).unwrap().chain.sa().map(|_| ()), Some(()), "goes on");
    expect_the_genuine_answer_counts(&mut target, &request);
}

#[track_caller]
fn expect_the_genuine_answer_counts(target: &mut Target, request: &[u8]) {
    let group = Message::decode(request).unwrap().chain.key_exchange().unwrap().group;
    let group = GROUPS.into_iter().find(|known| known.id() == group).unwrap();
    let person = target.root.person(PEER);
    let mut hand = Hand::answering(group, request);
    let answer = hand.honest_init();
    hand.hear(request);
    let proof = target.give(&answer);
    assert!(!proof.is_empty(), "the dialler goes on to IKE_AUTH: {:#?}", target.events);
    let payloads = hand.proof(&person);
    let bytes = hand.seal(crate::hand::IKE_AUTH, 1, true, &payloads);
    target.give(&bytes);
    assert_eq!(target.ikes(), 1, "{:#?}", target.events);
}

/// RFC 3526 §3, RFC 5114 §2.3.
fn modulus(group: Group) -> Vec<u8> {
    let text = match group {
        Group::Modp2048 => {
            "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879\
             8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B\
             0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA4836\
             1C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804\
             F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6\
             955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF"
        }
        _ => {
            "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00E00DF8F1D61957D4FAF7DF45\
             61B2AA3016C3D91134096FAA3BF4296D830E9A7C209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C0\
             22E0B1EF4275BF7B6C5BFC11D45F9088B941F54EB1E59BB8BC39A0BF12307F5C4FDB70C581B23F76B63ACAE1\
             CAA6B7902D52526735488A0EF13C6D9A51BFA4AB3AD8347796524D8EF6A167B5A41825D967E144E5140564251\
             CCACB83E6B486F6B3CA3F7971506026C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7\
             014103A4B54330C198AF126116D2276E11715F693877FAD7EF09CADB094AE91E1A1597"
        }
    };
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
