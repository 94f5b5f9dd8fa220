//! Rekeying and deleting children, alone and across each other (RFC 7296 §2.8, §2.25).

use std::time::Duration;

use s2sd::ike::endpoint::command::{Command, DataEvent};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::ids::ChildId;
use s2sd::ike::testing::emulation::OnePairAnswer;

use super::{Script, Stage, script};
use crate::packet::{CREATE_CHILD_SA, INFORMATIONAL};
use crate::rules::{Action, Pattern};
use crate::scene::{A, B, PEER, other};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("rekey-plain", 1, rekey_plain),
    script("rekey-wrong-group", 1, rekey_wrong_group),
    script("soft-expire-while-answering", 1, soft_expire_while_answering),
    script("hard-expire-while-answering", 1, hard_expire_while_answering),
    script("peer-deletes-while-we-rekey", 1, peer_deletes_while_we_rekey),
    script("rekey-of-unknown-child", 1, rekey_of_unknown_child),
    script("peer-deletes-old-too-early", 1, peer_deletes_old_too_early),
    script("rekey-before-the-answer", 2, rekey_before_the_answer),
    script("delete-before-the-answer", 2, delete_before_the_answer),
    script("delete-lost", 2, delete_lost),
    script("collision", 4, collision),
    script("collision-late-response", 4, collision_late_response),
    script("collision-late-request", 4, collision_late_request),
    script("collision-late-both-with-delete", 4, collision_late_both_with_delete),
    script("collision-wrong-group", 4, collision_wrong_group),
    script("both-delete-child", 1, both_delete_child),
    script("delete-vs-rekey", 4, delete_vs_rekey),
    script("volume-rekey-under-load", 1, volume_rekey_under_load),
    script("temporary-failure-is-tried-again", 1, temporary_failure_is_tried_again),
    script("quick-rekeys-are-no-refusals", 1, quick_rekeys_are_no_refusals),
    script("two-equal-children", 2, two_equal_children),
    script("one-child-a-pair", 2, one_child_a_pair),
    script("peer-takes-one-pair", 4, peer_takes_one_pair),
];

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(15);

/// ```text
/// x  CREATE_CHILD_SA { REKEY_SA } -->
///    <-- CREATE_CHILD_SA             y receives on the new SA, sends on the old
/// x  sends on the new SA ----------> y sees it, sends on the new SA
/// x  INFORMATIONAL { D } ---------->
/// ```
fn rekey_plain(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let before = w.children_of_slot(0);
    w.rekey_child(stage.x, 0);
    w.run_for(SECOND);
    w.expect_one_new_child(before, "the child was not replaced");
    w.expect_agreement_without_loss()
}

/// `x` guesses a group that `y` does not take; `y` names another one.
fn rekey_wrong_group(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.pfs_wrong_guess = Some(stage.x));
    let before = w.children_of_slot(0);
    w.rekey_child(stage.x, 0);
    w.run_for(SECOND);
    w.expect_one_new_child(before, "the child was not replaced after INVALID_KE_PAYLOAD");
    w.expect_agreement_without_loss()
}

/// `y` has answered a rekey and waits for the Delete, when its own soft limit is reached: there is
/// nothing left to do.
fn soft_expire_while_answering(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    w.net.rules.add(
        Pattern::from(x).exchange(INFORMATIONAL).request(),
        Action::Hold("delete"),
        usize::MAX,
    );
    w.rekey_child(x, 0);
    w.run_for(SECOND);
    w.inform(y, DataEvent::SoftLimit(PEER, old));
    let asked = w.watch.requests(y, CREATE_CHILD_SA);
    w.run_for(SECOND);
    let again = w.watch.requests(y, CREATE_CHILD_SA);
    w.check(asked == again, || "a child that was replaced is rekeyed once more".into());
    w.release("delete");
    w.expect_agreement_without_loss()
}

/// As before, but the old child has to end at once: both Deletes cross.
fn hard_expire_while_answering(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    w.net.rules.add(
        Pattern::from(x).exchange(INFORMATIONAL).request(),
        Action::Hold("delete"),
        usize::MAX,
    );
    w.rekey_child(x, 0);
    w.run_for(SECOND);
    w.inform(y, DataEvent::HardLimit(PEER, old));
    w.run_for(SECOND);
    w.release("delete");
    w.expect_agreement()
}

/// ```text
/// x  CREATE_CHILD_SA { REKEY_SA } --.  .-- INFORMATIONAL { D }  y
///                    TEMPORARY_FAILURE or CHILD_SA_NOT_FOUND
/// ```
fn peer_deletes_while_we_rekey(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    w.rekey_child(x, 0);
    w.inform(y, DataEvent::HardLimit(PEER, old));
    w.expect_agreement()
}

/// `x`'s request is on its way while `y` deletes the child in a whole exchange of its own.
fn rekey_of_unknown_child(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    w.net.rules.add(
        Pattern::from(x).exchange(CREATE_CHILD_SA).request(),
        Action::Hold("rekey"),
        usize::MAX,
    );
    w.rekey_child(x, 0);
    w.inform(y, DataEvent::HardLimit(PEER, old));
    w.run_for(Duration::from_millis(200));
    w.release("rekey");
    w.expect_agreement()
}

/// `y` answers and deletes the old child before its answer arrives.
fn peer_deletes_old_too_early(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    w.net.rules.add(
        Pattern::from(y).exchange(CREATE_CHILD_SA).response(),
        Action::Hold("answer"),
        usize::MAX,
    );
    w.rekey_child(x, 0);
    w.run_for(TICK);
    w.inform(y, DataEvent::HardLimit(PEER, old));
    w.run_for(Duration::from_millis(100));
    w.release("answer");
    w.expect_agreement()
}

/// `y` has made a child and answered, and wants it rekeyed before its answer arrives: `x` has never
/// heard of it yet. Variant 1: the child was a successor.
fn rekey_before_the_answer(stage: &Stage) -> World {
    let (mut w, new) = answered_and_unheard(stage);
    w.command(stage.y, Command::RekeyChild(PEER, new));
    w.run_for(Duration::from_millis(200));
    w.release("answer");
    w.expect_agreement_within(Duration::from_secs(30))
}

/// The same, and `y` deletes it: what `x` is told at last does not exist any more.
fn delete_before_the_answer(stage: &Stage) -> World {
    let (mut w, new) = answered_and_unheard(stage);
    w.inform(stage.y, DataEvent::HardLimit(PEER, new));
    w.run_for(Duration::from_millis(200));
    w.release("answer");
    w.expect_agreement_within(Duration::from_secs(30))
}

/// A world in which `y` has a child whose announcement is still held; the child.
fn answered_and_unheard(stage: &Stage) -> (World, ChildId) {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|s| s.slots = 2);
    let slot = 1;
    let before = w.child(y, slot);
    if stage.variant == 0 {
        let gone = w.established_child(x, slot);
        w.inform(x, DataEvent::HardLimit(PEER, gone));
    } else {
        w.rekey_child(x, slot);
    }
    w.hold(Pattern::from(y).exchange(CREATE_CHILD_SA).response(), "answer");
    w.run_until(Duration::from_secs(20), |w| w.net.held("answer") > 0);
    let newest = w.host(y).census.children.last().copied();
    w.check(newest != before, || "no new child to be silent about".into());
    (w, newest.unwrap_or(ChildId(0)))
}

/// The Delete of the old child, or the answer to it, is lost: a retransmission mends it.
fn delete_lost(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let lost = match stage.variant {
        0 => Pattern::from(x).exchange(INFORMATIONAL).request(),
        _ => Pattern::from(y).exchange(INFORMATIONAL).response(),
    };
    let rule = w.net.rules.add(lost, Action::Drop, 2);
    w.rekey_child(x, 0);
    w.run_for(Duration::from_secs(20));
    let acted = w.net.rules.has_acted(rule);
    w.check(acted, || "there was no Delete to lose".into());
    w.expect_agreement_without_loss()
}

/// Which of the four nonces of a collision is the lowest: `x`'s or `y`'s request, `y`'s or `x`'s
/// answer.
pub fn steer(w: &World, stage: &Stage) {
    let of = |lowest: bool| if lowest { 0 } else { 0xf0 };
    let [x, y] = [stage.x, stage.y].map(|id| w.host(id).dice.clone());
    // A host draws for its own request first, then for its answer.
    x.steer(of(stage.variant == 0));
    x.steer(of(stage.variant == 3));
    y.steer(of(stage.variant == 1));
    y.steer(of(stage.variant == 2));
}

/// ```text
/// x  CREATE_CHILD_SA { REKEY_SA } --.  .-- CREATE_CHILD_SA { REKEY_SA }  y
///                                    \/
///                                    /\
///                    <--------------'  '-------------->      both answer
/// the lowest nonce loses (RFC 7296 §2.8.1)
/// ```
fn collision(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let before = w.children_of_slot(0);
    steer(&w, stage);
    w.rekey_child(stage.x, 0);
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.expect_one_new_child(before, "two rekeys and no new child");
    w.expect_agreement_without_loss()
}

/// Both requests cross; `y`'s answer comes late, when everything else is done.
fn collision_late_response(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    steer(&w, stage);
    w.net.rules.add(
        Pattern::from(stage.y).exchange(CREATE_CHILD_SA).response(),
        Action::Hold("answer"),
        usize::MAX,
    );
    w.rekey_child(stage.x, 0);
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.release("answer");
    w.expect_agreement_without_loss()
}

/// `x`'s request comes late: `y`'s rekey is over, in `y`'s eyes the child is gone.
fn collision_late_request(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    steer(&w, stage);
    w.net.rules.add(
        Pattern::from(stage.x).exchange(CREATE_CHILD_SA).request(),
        Action::Hold("request"),
        usize::MAX,
    );
    w.rekey_child(stage.x, 0);
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.release("request");
    w.expect_agreement_without_loss()
}

/// `x`'s request is late, and so is `y`'s answer to it, until after `y`'s Delete of the old child.
fn collision_late_both_with_delete(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    steer(&w, stage);
    let hold = |w: &mut World, pattern: Pattern, name| {
        w.net.rules.add(pattern, Action::Hold(name), usize::MAX);
    };
    hold(&mut w, Pattern::from(stage.x).exchange(CREATE_CHILD_SA).request(), "request");
    hold(&mut w, Pattern::from(stage.y).exchange(CREATE_CHILD_SA).response(), "answer");
    hold(&mut w, Pattern::from(stage.y).exchange(INFORMATIONAL).request(), "delete");
    w.rekey_child(stage.x, 0);
    w.rekey_child(stage.y, 0);
    w.run_for(TICK);
    w.release("request");
    w.run_for(Duration::from_millis(100));
    w.release("delete");
    w.run_for(Duration::from_millis(100));
    w.release("answer");
    w.expect_agreement_without_loss()
}

/// Both rekey, and one of them with a group that the other does not take.
fn collision_wrong_group(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.pfs_wrong_guess = Some(stage.x));
    steer(&w, stage);
    w.rekey_child(stage.x, 0);
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.expect_agreement_without_loss()
}

/// Both Deletes cross: each answers without a Delete payload (§1.4.1), and a new child is made.
fn both_delete_child(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    for id in [stage.x, stage.y] {
        let child = w.established_child(id, 0);
        w.inform(id, DataEvent::HardLimit(PEER, child));
    }
    w.expect_agreement()
}

/// `x` rekeys and `y` deletes, in the four orders of arrival: request first, Delete first, each
/// with its answer held.
fn delete_vs_rekey(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.established_child(y, 0);
    let held = match stage.variant {
        0 => Pattern::from(y).exchange(INFORMATIONAL).request(),
        1 => Pattern::from(x).exchange(CREATE_CHILD_SA).request(),
        2 => Pattern::from(y).exchange(CREATE_CHILD_SA).response(),
        _ => Pattern::from(x).exchange(INFORMATIONAL).response(),
    };
    w.net.rules.add(held, Action::Hold("late"), usize::MAX);
    w.rekey_child(x, 0);
    w.inform(y, DataEvent::HardLimit(PEER, old));
    w.run_for(Duration::from_millis(300));
    w.release("late");
    w.expect_agreement()
}

/// Thousands of packets a second run into the limits again and again: nothing is lost.
fn volume_rekey_under_load(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.soft_packets = Some(1_000));
    for _ in 0..5 {
        w.run_for(Duration::from_secs(3));
    }
    let rekeys = w.rekeyed_children(stage.x);
    w.check(rekeys >= 3, || format!("only {rekeys} rekeys for 15 times the volume"));
    w.expect_agreement_without_loss()
}

/// `y` is closing the IKE SA's predecessor when `x` wants a child rekeyed: TEMPORARY_FAILURE, and
/// later another try.
fn temporary_failure_is_tried_again(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let before = w.children_of_slot(0);
    w.net.rules.add(
        Pattern::from(y).exchange(CREATE_CHILD_SA).request(),
        Action::Hold("ike"),
        usize::MAX,
    );
    let peer = w.peer_of(y);
    w.command(y, Command::RekeyIke(peer));
    w.rekey_child(x, 0);
    w.run_for(SECOND);
    w.release("ike");
    w.run_for(Duration::from_secs(60));
    w.expect_one_new_child(before, "the child was never rekeyed");
    w.expect_agreement_without_loss()
}

/// `y` rekeys the child seven times in a row and deletes each old one, as it should. When a child
/// then ends at `x`, nothing says that `y` does not want one: `x`, who dialled, asks at once.
fn quick_rekeys_are_no_refusals(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    for _ in 0..7 {
        w.rekey_child(y, 0);
        w.run_for(2 * SECOND);
    }
    let last = w.established_child(x, 0);
    w.inform(x, DataEvent::HardLimit(PEER, last));
    let soon = w.run_until(2 * SECOND, |w| w.child(x, 0).is_some_and(|child| child != last));
    w.check(soon, || "no child two seconds after the last one ended".into());
    w.expect_agreement()
}

/// The peer makes two equal children where the other end has one slot, as daemons do that ask again
/// for what they have: both stay, and so do their successors. Variant 1: the peer dials.
fn two_equal_children(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let (maker, other) = if stage.variant == 0 { (y, x) } else { (x, y) };
    let mut w = stage.world(|s| s.twins = Some(maker));
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.run_for(Duration::from_secs(30));
    for (from, to) in [(A, B), (B, A)] {
        w.flow(from, to, 0, Duration::from_millis(100), Duration::from_secs(3_600));
    }
    w.run_for(Duration::from_secs(10));
    let made = w.new_children(other);
    for child in w.host(other).census.children.clone() {
        w.command(other, Command::RekeyChild(PEER, child));
    }
    w.run_for(Duration::from_secs(20));
    let rekeyed = w.rekeyed_children(other);
    w.check(rekeyed == 2, || format!("{rekeyed} children of two were rekeyed"));
    let again = w.new_children(other);
    w.check(again == made, || format!("{} children were deleted as twins", again - made));
    w.expect_agreement_without_loss()
}

/// The peer makes a child for each pair of networks where the other end has one slot for everything:
/// all of them send, each what its selectors cover, and each is rekeyed by itself, by either end.
/// Variant 1: the peer dials.
fn one_child_a_pair(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let (maker, other) = if stage.variant == 0 { (y, x) } else { (x, y) };
    let mut w = stage.world(|s| (s.slots, s.pairs) = (3, Some(maker)));
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.run_for(Duration::from_secs(30));
    for (from, to) in [(A, B), (B, A)] {
        for slot in 0..3 {
            w.flow(from, to, slot, Duration::from_millis(100), Duration::from_secs(3_600));
        }
    }
    w.run_for(SECOND);
    for (id, slot) in [(other, 0), (maker, 0), (other, 2), (maker, 1)] {
        w.rekey_child(id, slot);
        w.run_for(SECOND);
    }
    w.command(other, Command::RekeyIke(peer));
    w.run_for(Duration::from_secs(10));
    let rekeyed = w.rekeyed_children(other);
    w.check(rekeyed == 4, || format!("{rekeyed} children were rekeyed, not four"));
    w.expect_agreement_without_loss()
}

/// The peer takes one pair of networks in each child, and this end has one slot for all pairs: the
/// slot is divided, and each pair gets its child, also on the next IKE SA and after a restart. What
/// the peer answers is no refusal, so nothing waits. Variants 0 and 1: SINGLE_PAIR_REQUIRED, the
/// first pair alone; variants 2 and 3: the same, and the peer dials.
fn peer_takes_one_pair(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let (refuse, narrow) = (OnePairAnswer::Refuse, OnePairAnswer::Narrow);
    let answer = if stage.variant.is_multiple_of(2) { refuse } else { narrow };
    let maker = if stage.variant < 2 { y } else { x };
    let other = other(maker);
    let mut w = stage.world(|s| (s.slots, s.apart) = (2, Some((maker, answer))));
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.run_for(Duration::from_secs(10));
    let events = w.host(other).events.iter();
    let refused = events.filter(|(_, event)| matches!(event, IkeEvent::Refused(..))).count();
    w.check(refused == 0, || format!("{refused} refusals were told"));
    for (from, to) in [(A, B), (B, A)] {
        for slot in 0..2 {
            w.flow(from, to, slot, Duration::from_millis(100), Duration::from_secs(3_600));
        }
    }
    w.command(other, Command::RekeyIke(peer));
    w.run_for(Duration::from_secs(10));
    let now = w.now();
    w.host_mut(other).replace_by_snapshot(now);
    w.run_for(Duration::from_secs(10));
    // The old IKE SA goes when the new one has a child, not when it has all.
    w.stop_flows();
    w.command(other, Command::Reauthenticate(peer));
    w.run_for(Duration::from_secs(30));
    w.expect_agreement_without_loss()
}
