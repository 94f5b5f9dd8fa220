//! Attacks by an authenticated peer that is hostile, or broken.

use std::time::Duration;

use s2sd::sys::clock;
use s2sd::wire::codes::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::delete::Delete;
use s2sd::wire::payload::notify::Notify;
use s2sd::wire::payload::ts::TrafficSelectors;
use s2sd::wire::selector::Selector;
use s2sd::wire::spi::EspSpi;

use crate::hand::{
    CREATE_CHILD_SA, Hand, INFORMATIONAL, errors, established, everything, nonce, raw,
};
use crate::people::PEER;
use crate::target::Target;

/// Counts that the payload does not hold are faults of form; counts that it does hold are worked
/// through, in bounded time.
#[test]
fn delete_with_absurd_counts() {
    for body in [
        vec![3, 4, 0xff, 0xff],
        vec![3, 4, 0, 1],
        vec![3, 4, 0, 0, 1, 2, 3, 4],
        vec![3, 8, 0x20, 0, 1, 2, 3, 4],
        vec![3, 0, 0xff, 0xff],
        vec![1, 0, 0, 1],
        vec![3, 255, 0xff, 0xff],
    ] {
        let (mut target, mut hand) = pair();
        let request = hand.seal(INFORMATIONAL, 2, false, &[raw(PayloadType::Delete, &body)]);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::InvalidSyntax], "{body:?}");
        // RFC 7296 §2.21.3: fatal to the IKE SA, and to nothing else.
        assert_eq!((target.ikes(), target.children()), (0, 0), "{body:?}");
        target.expect_unharmed();
    }
    let (mut target, mut hand) = pair();
    let begun = clock::now().mono;
    let most = |from: u32| Payload::Delete(Delete::esp((from..from + 15_000).map(EspSpi)));
    for id in 2..20 {
        let request = hand.seal(INFORMATIONAL, id, false, &[most(1 << 20)]);
        let answer = target.ask(&request);
        assert!(hand.open(&answer).is_empty(), "no child of ours was meant");
    }
    let empty = vec![raw(PayloadType::Delete, &[3, 4, 0, 0]); 127];
    let request = hand.seal(INFORMATIONAL, 20, false, &empty);
    assert!(hand.open(&target.ask(&request)).is_empty());
    let took = clock::now().mono.since(begun);
    assert!(took < Duration::from_secs(10), "the deletes took {:?}", took);
    assert_eq!((target.ikes(), target.children()), (1, 1));
    target.expect_unharmed();
}

/// No selector at all asks for nothing; 255 are narrowed to what the policy allows; a count that is
/// not there is a fault of form.
#[test]
fn selector_count_0_and_255() {
    let (mut target, mut hand) = pair();
    let none = TrafficSelectors::default();
    let answer = ask_child(&mut target, &mut hand, Payload::TsInitiator(none.clone()), 2);
    assert_eq!(errors(&answer), [NotifyType::TsUnacceptable]);
    let many = (0..=254_u8).map(|n| {
        let at = std::net::IpAddr::from([10, n, 0, 0]);
        Selector::from(s2sd::wire::selector::address::AddressRange::prefix(at, 24).unwrap())
    });
    let many = Payload::TsInitiator(TrafficSelectors::from_iter(many));
    let answer = ask_child(&mut target, &mut hand, many, 3);
    assert_eq!(errors(&answer), []);
    assert_eq!(answer.ts_initiator().unwrap().entries.len(), 255);
    assert_eq!(target.children(), 2);
    for body in [
        vec![255, 0, 0, 0],
        vec![0],
        vec![],
        vec![1, 0, 0, 0],
        // Type 7 with lengths of 0, 15, 17 and 65,535.
        [&[1, 0, 0, 0, 7, 0, 0, 0][..], &[0; 12]].concat(),
        [&[1, 0, 0, 0, 7, 0, 0, 15][..], &[0; 12]].concat(),
        [&[1, 0, 0, 0, 7, 0, 0, 17][..], &[0; 12]].concat(),
        [&[1, 0, 0, 0, 7, 0, 255, 255][..], &[0; 12]].concat(),
    ] {
        let (mut target, mut hand) = pair();
        let odd = raw(PayloadType::TsInitiator, &body);
        let answer = ask_child(&mut target, &mut hand, odd, 2);
        assert_eq!(errors(&answer), [NotifyType::InvalidSyntax], "{body:?}");
        target.expect_unharmed();
    }
    target.expect_unharmed();
}

/// Selectors that end before they begin, of both kinds of address, with ports likewise.
#[test]
fn selectors_that_are_upside_down() {
    let mut upside_down = vec![1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255];
    upside_down.extend([10, 0, 0, 9, 10, 0, 0, 1]);
    let mut ports = vec![1, 0, 0, 0, 7, 6, 0, 16, 0, 80, 0, 79];
    ports.extend([10, 0, 0, 1, 10, 0, 0, 9]);
    for body in [upside_down, ports] {
        let (mut target, mut hand) = pair();
        let odd = raw(PayloadType::TsInitiator, &body);
        let answer = ask_child(&mut target, &mut hand, odd, 2);
        assert!(!errors(&answer).is_empty(), "{body:?} made a child");
        assert!(target.children() <= 1);
        target.expect_unharmed();
    }
}

/// A child in an INFORMATIONAL, a proof in a CREATE_CHILD_SA: authentic, in a place where nobody
/// reads them, and no reason to end anything.
#[test]
fn known_payloads_in_unlisted_places() {
    let (mut target, mut hand) = pair();
    let mut child = hand.child(None);
    child.push(nonce(&[5; 32]));
    let request = hand.seal(INFORMATIONAL, 2, false, &child);
    let answer = target.ask(&request);
    assert!(hand.open(&answer).is_empty());
    assert_eq!((target.ikes(), target.children()), (1, 1), "it asked for nothing");

    let mut child = hand.child(None);
    child.extend([nonce(&[5; 32]), raw(PayloadType::Authentication, &[1, 0, 0, 0, 9])]);
    let request = hand.seal(CREATE_CHILD_SA, 3, false, &child);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), []);
    assert_eq!((target.ikes(), target.children()), (1, 2));
    target.expect_unharmed();
}

/// MikroTik's RouterOS rekeys its children with a CP payload in the request.
#[test]
fn cp_in_the_rekey_of_a_child() {
    let (mut target, mut hand) = pair();
    let mut rekey = vec![Notify::rekey(target.child_of_peer()).into()];
    rekey.extend(hand.child(None));
    rekey.extend([nonce(&[5; 32]), raw(PayloadType::Configuration, &[1, 0, 0, 0, 0, 1, 0, 0])]);
    let request = hand.seal(CREATE_CHILD_SA, 2, false, &rekey);
    let answer = hand.open(&target.ask(&request));
    assert_eq!(errors(&answer), []);
    assert!(answer.sa().is_some(), "the successor is granted");
    assert_eq!((target.ikes(), target.children()), (1, 2));
    target.expect_unharmed();
}

/// An exchange that only later documents have, one that none has, the rekey of an AH child: each
/// is refused, without the notify that would end the IKE SA (RFC 7296 §2.21.3).
#[test]
fn exchanges_that_are_not_for_us() {
    for exchange in [ExchangeType::IkeFollowupKe, ExchangeType::Unknown(200)] {
        let (mut target, mut hand) = pair();
        let request = hand.seal(exchange, 2, false, &[nonce(&[5; 32])]);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::NoProposalChosen], "{exchange}");
        assert_eq!((target.ikes(), target.children()), (1, 1), "{exchange}");
        target.expect_unharmed();
    }
    let (mut target, mut hand) = pair();
    let rekey = Notify { protocol: ProtocolId::Ah, ..Notify::rekey(target.child_of_peer()) };
    let mut payloads = vec![rekey.into()];
    payloads.extend(hand.child(None));
    payloads.push(nonce(&[5; 32]));
    let request = hand.seal(CREATE_CHILD_SA, 2, false, &payloads);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::NoProposalChosen]);
    assert_eq!((target.ikes(), target.children()), (1, 1));
    target.expect_unharmed();
}

/// A peer that could not read our response says INVALID_SYNTAX in a request of its own, with a
/// Delete or without one: the IKE SA ends here too (RFC 7296 §2.21.3).
#[test]
fn invalid_syntax_as_a_farewell() {
    let blame = || Payload::from(Notify::new(NotifyType::InvalidSyntax));
    let delete = || Payload::Delete(Delete::ike_sa());
    for farewell in [vec![blame()], vec![blame(), delete()], vec![delete(), blame()]] {
        let (mut target, mut hand) = pair();
        let request = hand.seal(INFORMATIONAL, 2, false, &farewell);
        let answer = target.ask(&request);
        assert!(hand.open(&answer).is_empty(), "a farewell is acknowledged");
        assert_eq!((target.ikes(), target.children()), (0, 0), "{} payloads", farewell.len());
        assert!(target.refusal().contains("INVALID_SYNTAX"), "{}", target.refusal());
        target.expect_unharmed();
    }
}

/// Each payload of a CREATE_CHILD_SA without a body or with too much of one.
#[test]
fn empty_and_oversized_payloads_in_every_position_of_create_child_sa() {
    for at in 0..4 {
        for size in [0, 1, 3, 4, 8, 60_000] {
            let (mut target, mut hand) = pair();
            let mut payloads = hand.child(None);
            payloads.push(nonce(&[5; 32]));
            payloads[at] = raw(payloads[at].kind(), &vec![0; size]);
            let request = hand.seal(CREATE_CHILD_SA, 2, false, &payloads);
            let answer = target.ask(&request);
            assert!(!errors(&hand.open(&answer)).is_empty(), "payload {at} of {size} octets");
            assert!(target.children() <= 1);
            target.expect_unharmed();
        }
    }
}

/// The same of an INFORMATIONAL.
#[test]
fn empty_and_oversized_payloads_in_every_position_of_informational() {
    let notify = Notify::with_data(NotifyType::InitialContact, Vec::new());
    let honest = [Payload::Delete(Delete::esp([EspSpi(0x4321)])), notify.into()];
    for at in 0..honest.len() {
        for size in [0, 1, 3, 5, 60_000] {
            let (mut target, mut hand) = pair();
            let mut payloads = honest.to_vec();
            payloads[at] = raw(payloads[at].kind(), &vec![0; size]);
            let request = hand.seal(INFORMATIONAL, 2, false, &payloads);
            let answer = target.ask(&request);
            // A notify of enough zeros is one of a type that nobody knows.
            let is_sound = at == 1 && size >= 4;
            let refused = !errors(&hand.open(&answer)).is_empty();
            assert_eq!(refused, !is_sound, "payload {at} of {size} octets");
            target.expect_unharmed();
        }
    }
}

/// As many children as a peer likes: there is an end to it, and it is told.
#[test]
fn children_without_end() {
    let (mut target, mut hand) = pair();
    for id in 2..130 {
        let answer = ask_child(&mut target, &mut hand, Payload::TsInitiator(everything()), id);
        let full = errors(&answer) == [NotifyType::NoAdditionalSas];
        assert_eq!(full, id > 100, "request {id}: {:?}", errors(&answer));
    }
    assert_eq!(target.children(), 100);
    target.expect_unharmed();
}

/// The last request again, octet for octet, is answered again as often as a peer may need it, from
/// wherever it comes; not as often as somebody who heard it can send it.
#[test]
fn a_storm_of_the_last_request() {
    let (mut target, mut hand) = pair();
    let request = hand.seal(INFORMATIONAL, 2, false, &[]);
    let answer = target.ask(&request);
    let storm = |target: &mut Target| {
        let answers: Vec<_> = (0..1000).flat_map(|_| target.give(&request)).collect();
        assert!(answers.iter().all(|again| *again == answer));
        answers.len()
    };
    assert_eq!(storm(&mut target), 8);
    assert_eq!(storm(&mut target), 0);
    // Four a second are earned, whatever comes in between: a peer that repeats what it asked is
    // answered then.
    target.pass(Duration::from_secs(1));
    assert_eq!(storm(&mut target), 4);
    target.pass(Duration::from_millis(250));
    assert_eq!(target.ask(&request), answer);
    // The next request is another one.
    storm(&mut target);
    let next = hand.seal(INFORMATIONAL, 3, false, &[]);
    assert!(hand.open(&target.ask(&next)).is_empty());
    assert_eq!((target.ikes(), target.children()), (1, 1));
    target.expect_unharmed();
}

/// A target with an authenticated peer.
fn pair() -> (Target, Hand) {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let hand = established(&mut target, &person);
    (target, hand)
}

/// Asks for a child with this for TSi; gives the answer.
#[track_caller]
fn ask_child(
    target: &mut Target,
    hand: &mut Hand,
    near: Payload,
    id: u32,
) -> s2sd::wire::payload::chain::Chain {
    let mut payloads = hand.child(None);
    payloads[1] = near;
    payloads.push(nonce(&[5; 32]));
    let request = hand.seal(CREATE_CHILD_SA, id, false, &payloads);
    let answer = target.give(&request);
    hand.join(&answer)
}
