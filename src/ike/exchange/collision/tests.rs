use proptest::prelude::*;

use super::*;

fn nonces<'a>(initiator: &'a [u8], responder: &'a [u8]) -> Nonces<'a> {
    Nonces { initiator, responder }
}

// One test a row of RFC 7296 §2.25, in its order.

#[test]
fn rekey_of_a_child_that_we_close_waits() {
    let answer = on_rekey_child(IkeActivity::WithChild, ChildActivity::Closing);
    assert_eq!(answer, Creation::NotNow);
}

#[test]
fn rekey_of_a_child_that_we_rekey_is_a_rival() {
    let answer = on_rekey_child(IkeActivity::WithChild, ChildActivity::Rekeying);
    assert_eq!(answer, Creation::Rival);
}

#[test]
fn rekey_of_a_child_that_is_gone_is_not_found_whatever_else_happens() {
    for ike in
        [IkeActivity::Idle, IkeActivity::WithChild, IkeActivity::Rekeying, IkeActivity::Closing]
    {
        assert_eq!(on_rekey_child(ike, ChildActivity::Gone), Creation::NotFound);
    }
}

#[test]
fn rekey_of_a_child_at_rest_is_usual_even_beside_an_exchange_about_another_child() {
    assert_eq!(on_rekey_child(IkeActivity::Idle, ChildActivity::Idle), Creation::Usual);
    assert_eq!(on_rekey_child(IkeActivity::WithChild, ChildActivity::Idle), Creation::Usual);
}

#[test]
fn rekey_of_a_child_that_was_just_replaced_waits() {
    assert_eq!(on_rekey_child(IkeActivity::Idle, ChildActivity::Replaced), Creation::NotNow);
}

#[test]
fn delete_of_a_child_that_we_delete_carries_no_delete() {
    assert_eq!(on_delete_child(ChildActivity::Closing), Deletion::WithoutDelete);
}

#[test]
fn delete_of_a_child_that_we_rekey_is_answered_with_a_delete() {
    assert_eq!(on_delete_child(ChildActivity::Rekeying), Deletion::WithDelete);
    assert_eq!(on_delete_child(ChildActivity::Replaced), Deletion::WithDelete);
    assert_eq!(on_delete_child(ChildActivity::Idle), Deletion::WithDelete);
}

#[test]
fn delete_of_an_unknown_child_is_answered_with_nothing() {
    assert_eq!(on_delete_child(ChildActivity::Gone), Deletion::WithoutDelete);
}

#[test]
fn ike_rekey_while_we_do_something_to_a_child_waits() {
    assert_eq!(on_rekey_ike(IkeActivity::WithChild), Creation::NotNow);
}

#[test]
fn ike_rekey_while_we_rekey_it_is_a_rival() {
    assert_eq!(on_rekey_ike(IkeActivity::Rekeying), Creation::Rival);
}

#[test]
fn ike_rekey_while_we_close_it_or_have_replaced_it_waits() {
    assert_eq!(on_rekey_ike(IkeActivity::Closing), Creation::NotNow);
    assert_eq!(on_rekey_ike(IkeActivity::Replaced), Creation::NotNow);
    assert_eq!(on_rekey_ike(IkeActivity::Idle), Creation::Usual);
}

#[test]
fn children_wait_while_we_rekey_the_ike_sa() {
    for ike in [IkeActivity::Rekeying, IkeActivity::Replaced, IkeActivity::Closing] {
        assert_eq!(on_new_child(ike), Creation::NotNow);
        assert_eq!(on_rekey_child(ike, ChildActivity::Idle), Creation::NotNow);
        assert_eq!(on_rekey_child(ike, ChildActivity::Rekeying), Creation::NotNow);
    }
    assert_eq!(on_new_child(IkeActivity::Idle), Creation::Usual);
    assert_eq!(on_new_child(IkeActivity::WithChild), Creation::Usual);
}

#[test]
fn delete_of_the_ike_sa_ends_everything_unless_a_successor_stands() {
    let pair = Rival::Standing(nonces(b"a", b"b"));
    assert_eq!(on_delete_ike(IkeActivity::Idle, Rival::None), Closure::Everything);
    assert_eq!(on_delete_ike(IkeActivity::WithChild, Rival::None), Closure::Everything);
    assert_eq!(on_delete_ike(IkeActivity::Closing, Rival::None), Closure::Everything);
    assert_eq!(on_delete_ike(IkeActivity::Rekeying, Rival::None), Closure::Everything);
    assert_eq!(on_delete_ike(IkeActivity::Rekeying, Rival::Withdrawn), Closure::Everything);
    assert_eq!(on_delete_ike(IkeActivity::Rekeying, pair), Closure::RivalStands);
    assert_eq!(on_delete_ike(IkeActivity::Replaced, Rival::None), Closure::ShellOnly);
}

// RFC 7296 §2.8.1.

#[test]
fn the_successor_with_the_lowest_of_the_four_nonces_goes() {
    let table: &[(Nonces<'_>, Nonces<'_>, Party)] = &[
        (nonces(&[1, 9], &[9, 9]), nonces(&[2, 0], &[3, 0]), Party::Peer),
        (nonces(&[9, 9], &[1, 9]), nonces(&[2, 0], &[3, 0]), Party::Peer),
        (nonces(&[2, 0], &[3, 0]), nonces(&[9, 9], &[1, 9]), Party::We),
        // Octet by octet, not as numbers: the shorter beginning is lower, and length does not
        // count.
        (nonces(&[1, 2], &[9]), nonces(&[1, 2, 0], &[9]), Party::Peer),
        (nonces(&[2], &[9]), nonces(&[1, 0, 0, 0], &[9]), Party::We),
        (nonces(&[0x80], &[0xff]), nonces(&[0x7f], &[0xff]), Party::We),
    ];
    for (ours, theirs, stays) in table {
        assert_eq!(successor(*ours, Rival::Standing(*theirs)), *stays, "{ours:?} {theirs:?}");
    }
}

#[test]
fn ours_stays_when_there_is_no_rival_left() {
    let ours = nonces(&[0], &[0]);
    assert_eq!(successor(ours, Rival::None), Party::We);
    assert_eq!(successor(ours, Rival::Withdrawn), Party::We);
}

#[test]
fn after_a_refused_rekey_the_tunnel_is_never_left_without_a_child() {
    use ChildActivity::{Closing, Gone, Idle, Rekeying, Replaced};
    let rival = Rival::Standing(nonces(b"a", b"b"));
    let table = [
        // Late request: the peer had replaced and closed the child before ours arrived.
        (Gone, rival, true, AfterRefusal::Done),
        (Rekeying, rival, false, AfterRefusal::Done),
        (Replaced, Rival::None, false, AfterRefusal::Done),
        (Closing, Rival::None, false, AfterRefusal::Done),
        // The peer deleted it and made no other.
        (Gone, Rival::None, false, AfterRefusal::Recreate),
        (Gone, Rival::None, true, AfterRefusal::Recreate),
        (Gone, Rival::Withdrawn, false, AfterRefusal::Recreate),
        // It lost it, as after a crash.
        (Rekeying, Rival::None, true, AfterRefusal::Recreate),
        (Idle, Rival::None, true, AfterRefusal::Recreate),
        (Rekeying, Rival::None, false, AfterRefusal::Retry),
    ];
    for (child, rival, unknown, after) in table {
        assert_eq!(
            after_refused_rekey(child, rival, unknown),
            after,
            "{child:?} {rival:?} {unknown}"
        );
    }
}

#[test]
fn an_ike_sa_dialled_again_by_the_same_end_replaces_the_older() {
    let (low, high) = (nonces(&[0], &[1]), nonces(&[8], &[9]));
    for (older, newer) in [(low, high), (high, low)] {
        let pair = |by| (Dialled { by, nonces: older }, Dialled { by, nonces: newer });
        let (a, b) = pair(Party::We);
        assert_eq!(surplus(a, b), (Age::Older, Closing::Now));
        let (a, b) = pair(Party::Peer);
        assert_eq!(surplus(a, b), (Age::Older, Closing::AfterProof));
    }
}

proptest! {
    /// Both ends rekey the same SA: one of them keeps its successor, the other deletes its own.
    #[test]
    fn both_ends_agree_on_the_successor(
        a_ni in proptest::collection::vec(0u8..3, 1..6),
        a_nr in proptest::collection::vec(0u8..3, 1..6),
        b_ni in proptest::collection::vec(0u8..3, 1..6),
        b_nr in proptest::collection::vec(0u8..3, 1..6),
    ) {
        let (a, b) = (nonces(&a_ni, &a_nr), nonces(&b_ni, &b_nr));
        prop_assume!(a != b);
        let at_a = successor(a, Rival::Standing(b));
        let at_b = successor(b, Rival::Standing(a));
        prop_assert_eq!(at_a, at_b.other());
        let lowest = [&a_ni, &a_nr, &b_ni, &b_nr].into_iter().min().expect("four");
        if [&a_ni, &a_nr].contains(&lowest) && ![&b_ni, &b_nr].contains(&lowest) {
            prop_assert_eq!(at_a, Party::Peer);
        }
    }

    /// Both dialled: whichever each end saw first, they close the same SA, and exactly its dialler
    /// does so at once.
    #[test]
    fn both_ends_agree_on_the_surplus(
        a_ni in any::<[u8; 2]>(), a_nr in any::<[u8; 2]>(),
        b_ni in any::<[u8; 2]>(), b_nr in any::<[u8; 2]>(),
        a_sees_own_first in any::<bool>(), b_sees_own_first in any::<bool>(),
    ) {
        let (by_a, by_b) = (nonces(&a_ni, &a_nr), nonces(&b_ni, &b_nr));
        prop_assume!(by_a != by_b);
        // At one end: does the SA that this end dialled go, and how soon?
        let view = |own, other, own_first| {
            let own = Dialled { by: Party::We, nonces: own };
            let other = Dialled { by: Party::Peer, nonces: other };
            let (age, closing) = if own_first { surplus(own, other) } else { surplus(other, own) };
            ((age == Age::Older) == own_first, closing)
        };
        let (own_goes_at_a, closing_at_a) = view(by_a, by_b, a_sees_own_first);
        let (own_goes_at_b, closing_at_b) = view(by_b, by_a, b_sees_own_first);
        prop_assert_eq!(own_goes_at_a, !own_goes_at_b);
        prop_assert_eq!(closing_at_a == Closing::Now, own_goes_at_a);
        prop_assert_eq!(closing_at_b == Closing::Now, own_goes_at_b);
    }
}
