//! Fragments whose numbers do not make sense (RFC 7383 §2.5, §2.6). All of them are sealed with the
//! right keys: everybody who completed an IKE_SA_INIT has such keys, before any authentication.

use std::time::Duration;

use s2sd::wire::codes::PayloadType;

use crate::hand::{Hand, IKE_AUTH, encode, half_open};
use crate::people::PEER;
use crate::target::Target;

/// Nothing is fragment 0, nor one above the total, nor one of none; alone or between honest ones.
#[test]
fn fragment_zero_or_number_above_total() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let payloads = hand.proof(&person);
    let (first, text) = encode(&payloads);
    let pieces: Vec<&[u8]> = text.chunks(text.len().div_ceil(3)).collect();
    for (number, total) in
        [(0, 0), (0, 1), (0, 3), (1, 0), (2, 1), (4, 3), (0xffff, 3), (0xffff, 0xfffe), (1, 0xffff)]
    {
        let bytes = piece(&mut hand, (number, total), first, pieces[0]);
        target.ignore(&bytes);
    }
    for (at, text) in pieces.iter().enumerate() {
        let number = u16::try_from(at + 1).unwrap();
        let first = if number == 1 { first } else { PayloadType::None };
        for odd in [(0, 3), (number + 3, 3), (number, 0)] {
            let bytes = piece(&mut hand, odd, first, text);
            target.ignore(&bytes);
        }
        let bytes = piece(&mut hand, (number, 3), first, text);
        target.give(&bytes);
    }
    assert_eq!((target.ikes(), target.children()), (1, 1), "{:#?}", target.events);
    target.expect_unharmed();
}

/// Pieces of different cuttings never make one message; the finer cutting replaces the coarser
/// (§2.6).
#[test]
fn mixed_fragment_totals() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let payloads = hand.proof(&person);
    let (first, text) = encode(&payloads);
    let (front, back) = text.split_at(text.len() / 2);
    // Together these would be the whole, if totals were not looked at.
    for parts in [[((1, 2), front), ((2, 3), back)], [((1, 4), front), ((2, 3), back)]] {
        for ((number, total), text) in parts {
            let kind = if number == 1 { first } else { PayloadType::None };
            let bytes = piece(&mut hand, (number, total), kind, text);
            target.ignore(&bytes);
        }
    }
    // A total that grows for ever, and one that jumps to and fro.
    for total in (2..64).chain([3, 60, 2, 64]) {
        let bytes = piece(&mut hand, (2, total), PayloadType::None, back);
        target.ignore(&bytes);
    }
    assert_eq!(target.ikes(), 0);
    // What is cut finest of all still arrives.
    let pieces: Vec<&[u8]> = text.chunks(text.len().div_ceil(64)).collect();
    let total = u16::try_from(pieces.len()).unwrap();
    target.pass(Duration::from_secs(31));
    let mut hand = half_open(&mut target);
    let payloads = hand.proof(&person);
    let (first, text) = encode(&payloads);
    let share = text.len().div_ceil(usize::from(total));
    let pieces: Vec<&[u8]> = text.chunks(share).collect();
    let total = u16::try_from(pieces.len()).unwrap();
    for (at, text) in pieces.iter().enumerate().rev() {
        let number = u16::try_from(at + 1).unwrap();
        let kind = if number == 1 { first } else { PayloadType::None };
        let bytes = piece(&mut hand, (number, total), kind, text);
        target.give(&bytes);
    }
    assert_eq!((target.ikes(), target.children()), (1, 1), "{:#?}", target.events);
    target.expect_unharmed();
}

/// A first piece that names a payload it does not begin with, and later ones that name one at all.
#[test]
fn fragments_that_name_the_wrong_first_payload() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let payloads = hand.proof(&person);
    let (_, text) = encode(&payloads);
    let (front, back) = text.split_at(text.len() / 2);
    let bytes = piece(&mut hand, (1, 2), PayloadType::EncryptedFragment, front);
    target.ignore(&bytes);
    let bytes = piece(&mut hand, (2, 2), PayloadType::Encrypted, back);
    target.shrug(&bytes);
    assert_eq!(target.ikes(), 0);
    target.expect_unharmed();
}

/// A request that was answered comes again, cut finer, since the answer was lost on a narrow path
/// (§2.5.1): its first piece has the answer sent again (§2.6.1), if it is authentic, and no other.
#[test]
fn request_cut_finer_after_its_answer() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let payloads = hand.proof(&person);
    let (first, text) = encode(&payloads);
    let mut cut = |total: usize| -> Vec<Vec<u8>> {
        let pieces = text.chunks(text.len().div_ceil(total)).zip(1..);
        let total = u16::try_from(total).unwrap();
        let kind = |number| if number == 1 { first } else { PayloadType::None };
        pieces.map(|(text, n)| piece(&mut hand, (n, total), kind(n), text)).collect()
    };
    let (coarse, fine) = (cut(2), cut(4));
    target.ignore(&coarse[0]);
    let answer = target.give(&coarse[1]);
    assert_eq!((target.ikes(), target.children()), (1, 1), "{:#?}", target.events);
    let joined = hand.join(&answer);
    let mut forged = fine[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    target.ignore(&forged);
    target.ignore(&fine[1]);
    let again = target.give(&fine[0]);
    assert!(!again.is_empty(), "the answer is sent again");
    assert_eq!(hand.join(&again), joined, "it says the same");
    assert_eq!((target.ikes(), target.children()), (1, 1), "it is not handled twice");
    target.expect_unharmed();
}

fn piece(hand: &mut Hand, numbers: (u16, u16), first: PayloadType, text: &[u8]) -> Vec<u8> {
    let header = hand.header(IKE_AUTH, 1, false);
    hand.seal_text(header, Some(numbers), first, text)
}
