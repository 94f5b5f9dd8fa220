//! Attacks before anything is authenticated: what anybody may send.

use s2sd::crypto::Group;
use s2sd::wire::codes::{ExchangeType, NotifyType, PayloadType};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::delete::Delete;
use s2sd::wire::spi::IkeSpi;

use crate::hand::{
    CREATE_CHILD_SA, Hand, IKE_AUTH, INFORMATIONAL, encode, everything, half_open, nonce, raw,
};
use crate::people::PEER;
use crate::target::Target;

/// Messages of later exchanges where there is no IKE SA: dropped, or answered with a hint that
/// keeps nothing.
#[test]
fn ike_auth_before_init() {
    let mut target = Target::answering();
    for exchange in [IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, ExchangeType::from(99)] {
        for (id, response) in [(0, false), (1, false), (u32::MAX, false), (1, true)] {
            for responder in [IkeSpi::ZERO, IkeSpi(0x1234_5678_9abc_def0)] {
                let mut hand = Hand::dialling(Group::Ecp256);
                hand.peer_spi = responder;
                let header = hand.header(exchange, id, response);
                let body = vec![0x5a; 200];
                for kind in [PayloadType::Encrypted, PayloadType::IdInitiator] {
                    let chain = [Payload::Unknown { kind, body: body.clone() }];
                    let bytes = match kind {
                        PayloadType::Encrypted => with_next(header_only(header), 46, &body),
                        _ => Message::clear(header, chain.to_vec()).encode().unwrap(),
                    };
                    let answers = target.give(&bytes);
                    assert!(answers.len() <= 1);
                    for answer in answers {
                        assert!(answer.len() <= bytes.len(), "an answer that is larger");
                        let chain = Message::decode(&answer).unwrap().chain;
                        assert!(chain.notify(NotifyType::InvalidIkeSpi).is_some());
                    }
                }
            }
        }
    }
    assert_eq!(target.ikes(), 0);
    target.expect_unharmed();
}

/// What begins nothing is no reason to store anything, however much of it comes: a first message
/// that was answered already, one that is asked for a cookie, a message of no SA.
#[test]
fn floods_that_store_nothing() {
    let mut target = Target::answering();
    let first = Hand::dialling(Group::Ecp256).honest_init();
    let answer = target.ask(&first);
    let mut last = first.clone();
    while Message::decode(&target.ask(&last)).unwrap().chain.notify(NotifyType::Cookie).is_none() {
        last = Hand::dialling(Group::Ecp256).honest_init();
    }
    let before = target.revision();
    for _ in 0..100 {
        assert!(target.give(&first).iter().all(|again| *again == answer));
        target.ask(&Hand::dialling(Group::Ecp256).honest_init());
        let mut nobody = Hand::dialling(Group::Ecp256);
        nobody.peer_spi = IkeSpi(0x1234_5678_9abc_def0);
        let header = header_only(nobody.header(INFORMATIONAL, 0, false));
        target.shrug(&with_next(header, 46, &[0x5a; 200]));
    }
    assert_eq!(target.revision(), before);
    target.expect_unharmed();
}

/// Anything but IKE_AUTH under the keys of an unauthenticated IKE SA: as if it had not come.
#[test]
fn informational_before_authentication() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let delete = [Payload::Delete(Delete::ike_sa())];
    let mut child = hand.child(None);
    child.push(nonce(&[7; 32]));
    for id in [0, 1, 2] {
        for (exchange, payloads) in [
            (INFORMATIONAL, &delete[..]),
            (INFORMATIONAL, &[]),
            (CREATE_CHILD_SA, &child),
            (ExchangeType::IkeSaInit, &delete),
            (ExchangeType::from(43), &delete),
        ] {
            for response in [false, true] {
                let bytes = hand.seal(exchange, id, response, payloads);
                target.ignore(&bytes);
            }
        }
    }
    // The attempt is what it was: the proof that comes now counts.
    let chain = hand.proof(&person);
    let request = hand.seal_auth(&chain);
    target.give(&request);
    assert_eq!((target.ikes(), target.children()), (1, 1), "{:#?}", target.events);
    target.expect_unharmed();
}

/// Each payload of a first message without a body, cut short, lying about its length, or as large
/// as a datagram can be.
#[test]
fn empty_and_oversized_payloads_in_every_position_of_init() {
    let mut target = Target::answering();
    let honest = Hand::dialling(Group::Ecp256);
    let payloads = honest.init_chain(&honest.public(), &honest.nonce);
    for at in 0..payloads.len() {
        let kind = payloads[at].kind();
        for size in [0, 1, 2, 3, 4, 7, 7_000, 60_000] {
            let mut hand = Hand::dialling(Group::Ecp256);
            let mut payloads = payloads.clone();
            payloads[at] = raw(kind, &vec![0; size]);
            let bytes = hand.init(payloads);
            target.shrug_first(&bytes);
        }
        for length in [0_u16, 1, 2, 3, 5, 0x7fff, 0xffff] {
            let mut hand = Hand::dialling(Group::Ecp256);
            let mut bytes = hand.init(payloads.clone());
            let start = 28 + encode(&payloads[..at]).1.len();
            bytes[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
            target.ignore(&bytes);
        }
    }
    target.expect_unharmed();
}

/// The same inside the first sealed message, where nobody is proven yet.
#[test]
fn empty_and_oversized_payloads_in_every_position_of_auth() {
    let root = Target::answering().root;
    let person = root.person(PEER);
    // ID, CERT, AUTH, SA, TSi, TSr.
    for at in 0..6 {
        for size in [0, 1, 2, 3, 4, 7, 40_000] {
            let mut target = Target::under(&root);
            let mut hand = half_open(&mut target);
            let mut payloads = hand.proof(&person);
            let kind = payloads[at].kind();
            payloads[at] = raw(kind, &vec![0; size]);
            let request = hand.seal_auth(&payloads);
            let answer = target.ask(&request);
            assert!(!hand.open(&answer).is_empty(), "a refusal says why");
            if !matches!(
                kind,
                PayloadType::Sa | PayloadType::TsInitiator | PayloadType::TsResponder
            ) {
                assert_eq!(target.ikes(), 0, "{kind} of {size} octets: {:#?}", target.events);
            }
            assert_eq!(target.children(), 0, "{kind} of {size} octets");
            target.expect_unharmed();
        }
    }
}

/// SA, KE, nonces and selectors where they have no business.
#[test]
fn sa_payload_in_the_wrong_exchange() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    // IKE_SA_INIT with what belongs into IKE_AUTH.
    let mut hand = Hand::dialling(Group::Ecp256);
    let mut payloads = hand.init_chain(&hand.public(), &hand.nonce.clone());
    payloads.extend([Payload::TsInitiator(everything()), Payload::TsResponder(everything())]);
    let bytes = hand.init(payloads);
    target.ignore(&bytes);
    // Two SA payloads in one.
    let mut hand = Hand::dialling(Group::Ecp256);
    let mut payloads = hand.init_chain(&hand.public(), &hand.nonce.clone());
    payloads.push(payloads[0].clone());
    let bytes = hand.init(payloads);
    target.ignore(&bytes);
    // IKE_AUTH with a key exchange, with two children, with half a child.
    for extra in [
        raw(PayloadType::KeyExchange, &[0, 19, 0, 0, 1, 2, 3]),
        nonce(&[3; 32]),
        hand.child(None).remove(0),
        raw(PayloadType::Delete, &[1, 0, 0, 0]),
    ] {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(&person);
        payloads.push(extra);
        let request = hand.seal_auth(&payloads);
        target.shrug(&request);
    }
    let mut hand = half_open(&mut target);
    let mut payloads = hand.proof(&person);
    payloads.retain(|payload| payload.kind() != PayloadType::TsResponder);
    let request = hand.seal_auth(&payloads);
    target.shrug(&request);
    assert_eq!(target.ikes(), 0, "{:#?}", target.events);
    target.expect_unharmed();
}

fn header_only(header: s2sd::wire::header::Header) -> Vec<u8> {
    Message::clear(header, Vec::new()).encode().unwrap()
}

/// A header with one payload behind it that only looks like one.
fn with_next(mut bytes: Vec<u8>, next: u8, body: &[u8]) -> Vec<u8> {
    bytes[16] = next;
    bytes.extend([0, 0]);
    bytes.extend(u16::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend(body);
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    bytes[24..28].copy_from_slice(&length);
    bytes
}
