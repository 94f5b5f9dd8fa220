//! Peers that refuse whatever comes after IKE_AUTH: settings for perfect forward secrecy that
//! differ, and implementations that never rekey. The tunnel stands all the same.

use std::time::Duration;

use s2sd::ike::endpoint::command::DataEvent;
use s2sd::ike::endpoint::config::DialRole;
use s2sd::ike::testing::emulation::MinimalAnswer;

use super::{Script, Stage, script};
use crate::packet::{HostId, IKE_SA_INIT};
use crate::scene::{A, B, PEER, Setup};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("pfs-mismatch", 2, pfs_mismatch),
    script("pfs-mismatch-after-a-loss", 2, pfs_mismatch_after_a_loss),
    script("peer-that-never-rekeys", 3, peer_that_never_rekeys),
    script("peer-that-never-rekeys-dials", 3, peer_that_never_rekeys_dials),
    script("nothing-in-common", 1, nothing_in_common),
];

/// Who has perfect forward secrecy alone: the end that dials, or the other one.
fn alone(stage: &Stage) -> HostId {
    if stage.variant == 0 { stage.x } else { stage.y }
}

fn answer(stage: &Stage) -> MinimalAnswer {
    match stage.variant {
        0 => MinimalAnswer::Temporary,
        1 => MinimalAnswer::NoProposal,
        _ => MinimalAnswer::NoAdditionalSas,
    }
}

/// Inner packets that `w` lost, of those that were sent since the start.
fn lost(w: &World) -> usize {
    w.watch.lost(s2sd::time::Instant(0), w.now().mono).len()
}

/// How long a tunnel is watched: five lives of its child.
const WATCHED: Duration = Duration::from_secs(1_500);

/// A tunnel over several lives of its child, with a packet every two seconds each way.
fn lives(stage: &Stage, tune: impl FnOnce(&mut Setup)) -> World {
    let mut w = stage.world(|s| {
        s.child_seconds = [300; 2];
        tune(s);
    });
    w.establish(stage.x);
    for (from, to) in [(A, B), (B, A)] {
        w.flow(from, to, 0, Duration::from_secs(2), WATCHED);
    }
    w.run_for(WATCHED);
    w
}

/// No storm: about one IKE SA for each life of a child, and some that cross.
fn expect_few_dials(w: &mut World, most: usize) {
    let dials: usize = [A, B].iter().map(|id| w.watch.requests(*id, IKE_SA_INIT)).sum();
    w.check(dials <= most, || format!("{dials} IKE SAs were dialled"));
}

/// The child of IKE_AUTH needs no key exchange; each rekey is refused. A fresh IKE SA is made in
/// time, beside the old one.
fn pfs_mismatch(stage: &Stage) -> World {
    let mut w = lives(stage, |s| s.pfs_mismatch = Some(alone(stage)));
    let lost = lost(&w);
    w.check(lost == 0, || format!("{lost} packets lost over five lives of the child"));
    expect_few_dials(&mut w, 20);
    w.expect_agreement()
}

/// The child is gone, and every request for another one is refused.
fn pfs_mismatch_after_a_loss(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| {
        s.pfs_mismatch = Some(alone(stage));
        // Only the other end is there to notice.
        s.roles[stage.y.0] = DialRole::Answer;
    });
    let child = w.established_child(stage.y, 0);
    w.inform(stage.y, DataEvent::HardLimit(PEER, child));
    w.expect_agreement_within(Duration::from_secs(150))
}

/// The end that dials wants to rekey, the other one never grants it.
fn peer_that_never_rekeys(stage: &Stage) -> World {
    let mut w = lives(stage, |s| {
        s.minimal = Some((stage.y, answer(stage)));
        s.ike_seconds[stage.x.0] = 600;
        s.child_seconds[stage.y.0] = 27_000;
    });
    let lost = lost(&w);
    w.check(lost == 0, || format!("{lost} packets lost over five lives of the child"));
    expect_few_dials(&mut w, 20);
    w.expect_agreement()
}

/// The end that never grants a rekey is the only one that dials: the other one hangs up when it has
/// to.
fn peer_that_never_rekeys_dials(stage: &Stage) -> World {
    let mut w = lives(stage, |s| {
        s.minimal = Some((stage.x, answer(stage)));
        s.roles[stage.y.0] = DialRole::Answer;
        s.ike_seconds[stage.y.0] = 600;
        s.child_seconds[stage.x.0] = 27_000;
    });
    let lost = lost(&w);
    w.check(lost < 60, || format!("{lost} of 1500 packets lost"));
    expect_few_dials(&mut w, 20);
    let dials = w.watch.requests(stage.y, IKE_SA_INIT);
    w.check(dials == 0, || format!("an answerer dialled {dials} times"));
    w.expect_agreement()
}

/// The two have no traffic selectors in common, so that the child of every IKE_AUTH is refused too:
/// the pauses between IKE SAs grow.
fn nothing_in_common(stage: &Stage) -> World {
    let mut w = stage.world(|s| {
        s.strangers_behind = Some(alone(stage));
        s.roles[stage.y.0] = DialRole::Answer;
    });
    for id in [stage.x, stage.y] {
        w.command(id, s2sd::ike::endpoint::command::Command::Up(PEER));
    }
    w.run_for(Duration::from_secs(5_400));
    expect_few_dials(&mut w, 8);
    let dials = w.watch.requests(stage.y, IKE_SA_INIT);
    w.check(dials == 0, || format!("an answerer dialled {dials} times"));
    w
}
