//! Rekeying, renewing and deleting the IKE SA itself, alone and across other exchanges (RFC 7296
//! §2.8.2, §2.25.2).

use std::time::Duration;

use s2sd::ike::endpoint::command::{Command, DataEvent};

use super::{Script, Stage, script};
use crate::packet::{CREATE_CHILD_SA, HostId, INFORMATIONAL};
use crate::rules::{Action, Pattern};
use crate::scene::PEER;
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("ike-rekey-plain", 1, ike_rekey_plain),
    script("ike-rekey-vs-child-rekey", 3, ike_rekey_vs_child_rekey),
    script("ike-rekey-vs-child-create", 2, ike_rekey_vs_child_create),
    script("ike-delete-vs-child-rekey", 3, ike_delete_vs_child_rekey),
    script("ike-rekey-collision", 6, ike_rekey_collision),
    script("ike-delete-vs-ike-rekey", 2, ike_delete_vs_ike_rekey),
    script("reauth-overlap", 2, reauth_overlap),
    script("renewed-without-pause", 4, renewed_without_pause),
];

const SECOND: Duration = Duration::from_secs(1);

fn rekey_ike(w: &mut World, id: HostId) {
    let peer = w.peer_of(id);
    w.command(id, Command::RekeyIke(peer));
}

/// Somebody dials anew before the last dial's surplus is closed, again and again: `x`, or both by
/// turns, or `x` whose Deletes do not arrive; or that one rekeys so. What is held stays bounded,
/// and one IKE SA is left.
fn renewed_without_pause(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|_| ());
    w.establish(x);
    if stage.variant >= 2 {
        w.net.rules.add(
            Pattern::from(x).exchange(INFORMATIONAL).request(),
            Action::Drop,
            usize::MAX,
        );
    }
    for turn in 0..40 {
        let id = if stage.variant == 1 && turn % 2 == 1 { y } else { x };
        let peer = w.peer_of(id);
        w.command(
            id,
            match stage.variant {
                3 => Command::RekeyIke(peer),
                _ => Command::Reauthenticate(peer),
            },
        );
        w.run_for(Duration::from_millis(231));
    }
    w.net.rules.clear();
    w.expect_agreement_within(Duration::from_secs(600))
}

/// The children move, the old SA is deleted, message ids start again at zero.
fn ike_rekey_plain(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let (old, children) = (w.ikes(), w.children_of_slot(0));
    rekey_ike(&mut w, stage.x);
    w.run_for(SECOND);
    let (new, same) = (w.ikes(), w.children_of_slot(0));
    w.check(new != old, || "the IKE SA was not replaced".into());
    w.check(children == same, || "the children did not move as they are".into());
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.expect_agreement_without_loss()
}

/// `x` rekeys the IKE SA, `y` a child: both at once, or the one request after the other's answer.
fn ike_rekey_vs_child_rekey(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let old = w.ikes();
    match stage.variant {
        0 => {}
        1 => w.hold(Pattern::from(stage.x).exchange(CREATE_CHILD_SA).request(), "late"),
        _ => w.hold(Pattern::from(stage.y).exchange(CREATE_CHILD_SA).request(), "late"),
    }
    rekey_ike(&mut w, stage.x);
    w.rekey_child(stage.y, 0);
    w.run_for(SECOND);
    w.release("late");
    w.run_until(Duration::from_secs(120), |w| w.ikes() != old && w.disagreement().is_none());
    let new = w.ikes();
    w.check(new != old, || "the IKE SA was not replaced".into());
    w.expect_agreement_without_loss()
}

/// `x` rekeys the IKE SA while `y` makes a child anew.
fn ike_rekey_vs_child_create(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.slots = 2);
    let gone = w.established_child(stage.y, 1);
    if stage.variant == 1 {
        w.hold(Pattern::from(stage.x).exchange(CREATE_CHILD_SA).request(), "late");
    }
    w.inform(stage.y, DataEvent::HardLimit(PEER, gone));
    w.run_for(Duration::from_millis(5));
    rekey_ike(&mut w, stage.x);
    w.run_for(SECOND);
    w.release("late");
    w.expect_agreement()
}

/// `x` disconnects while `y` rekeys a child; everything goes, and comes back when `x` is told to
/// connect.
fn ike_delete_vs_child_rekey(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    match stage.variant {
        0 => {}
        1 => w.hold(Pattern::from(x).exchange(INFORMATIONAL).request(), "late"),
        _ => w.hold(Pattern::from(y).exchange(CREATE_CHILD_SA).request(), "late"),
    }
    let peer = w.peer_of(x);
    w.rekey_child(y, 0);
    w.command(x, Command::Down(peer));
    w.run_for(SECOND);
    w.release("late");
    w.run_for(SECOND);
    let left = w.ikes().iter().map(Vec::len).sum::<usize>();
    w.check(left == 0, || format!("{left} IKE SAs after a disconnect"));
    w.command(x, Command::Up(peer));
    w.expect_agreement()
}

/// Both rekey the IKE SA. Orders 0 to 3: requests cross, and each of the four nonces in turn is the
/// lowest; 4: `x`'s request comes when `y` is done; 5: `y`'s answer comes when everything else is
/// done.
fn ike_rekey_collision(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let old = w.ikes();
    super::child::steer(&w, stage);
    match stage.variant {
        4 => w.hold(Pattern::from(x).exchange(CREATE_CHILD_SA).request(), "late"),
        5 => w.hold(Pattern::from(y).exchange(CREATE_CHILD_SA).response(), "late"),
        _ => {}
    }
    rekey_ike(&mut w, x);
    rekey_ike(&mut w, y);
    w.run_for(SECOND);
    w.release("late");
    w.run_until(Duration::from_secs(120), |w| w.ikes() != old && w.disagreement().is_none());
    let new = w.ikes();
    w.check(new != old, || "the IKE SA was not replaced".into());
    w.rekey_child(y, 0);
    w.run_for(SECOND);
    w.expect_agreement_without_loss()
}

/// `x` disconnects while `y` rekeys the IKE SA: nothing may survive on the successor.
fn ike_delete_vs_ike_rekey(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    if stage.variant == 1 {
        w.hold(Pattern::from(x).exchange(INFORMATIONAL).request(), "late");
    }
    let peer = w.peer_of(x);
    rekey_ike(&mut w, y);
    w.command(x, Command::Down(peer));
    w.run_for(SECOND);
    w.release("late");
    w.run_for(Duration::from_secs(60));
    let left = w.ikes().iter().map(Vec::len).sum::<usize>();
    w.check(left == 0, || format!("{left} IKE SAs after a disconnect"));
    w.command(x, Command::Up(peer));
    w.expect_agreement()
}

/// A new IKE SA with children of its own stands before the old one goes: make before break. Variant
/// 1: both ends at once.
fn reauth_overlap(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let old = w.ikes();
    for id in [stage.x, stage.y].into_iter().take(1 + usize::from(stage.variant)) {
        let peer = w.peer_of(id);
        w.command(id, Command::Reauthenticate(peer));
    }
    w.run_for(Duration::from_secs(5));
    let new = w.ikes();
    w.check(new != old, || "no new IKE SA".into());
    w.expect_agreement_without_loss()
}
