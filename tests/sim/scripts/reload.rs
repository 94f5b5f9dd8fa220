//! Reloads: selector policies come, go, grow and shrink while traffic flows, and the IKE policy
//! becomes another one.

use std::time::Duration;

use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{DialRole, PeerConfig};
use s2sd::ike::endpoint::event::{Cause, IkeEvent};
use s2sd::ike::negotiation::combination::Combination;
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::wire::codes::KeId;

use super::{Script, Stage, script};
use crate::packet::{HostId, IKE_SA_INIT};
use crate::scene::{A, B, PEER, Setup, other};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("policy-inserted-in-front", 1, policy_inserted_in_front),
    script("policy-removed", 1, policy_removed),
    script("policy-grows", 1, policy_grows),
    script("policy-shrinks", 1, policy_shrinks),
    script("ike-policy-changes", 1, ike_policy_changes),
    script("ike-policy-changes-for-a-minimal-peer", 1, ike_policy_changes_for_a_minimal_peer),
    script("answer-only-is-renewed", 1, answer_only_is_renewed),
];

const SECOND: Duration = Duration::from_secs(1);

/// The configuration of `id` with so many slots.
fn with_slots(w: &World, id: HostId, slots: u16) -> PeerConfig {
    Setup { slots, ..Setup::default() }.peer(id, 0, &w.host(id).signed)
}

/// A third policy comes in front of two: their children stay, by number and by traffic.
fn policy_inserted_in_front(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.slots = 2);
    w.flow(A, B, 1, Duration::from_millis(50), Duration::from_secs(3_600));
    let before = [w.children_of_slot(0), w.children_of_slot(1)];
    for id in [stage.x, stage.y] {
        let new = with_slots(&w, id, 3).children.remove(2);
        w.reload(id, |config| config.children.insert(0, new));
        w.run_for(Duration::from_millis(100));
    }
    w.run_for(SECOND * 10);
    let after = [w.children_of_slot(0), w.children_of_slot(1)];
    w.check(before == after, || format!("children were {before:?} and are {after:?}"));
    w.expect_agreement_without_loss()
}

/// The first of two policies goes on both ends: its child ends with a reason, the other one stays.
fn policy_removed(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|s| s.slots = 2);
    w.stop_flows();
    for (from, to) in [(A, B), (B, A)] {
        w.flow(from, to, 1, Duration::from_millis(50), Duration::from_secs(3_600));
    }
    w.run_for(SECOND);
    let stays = w.children_of_slot(1);
    for id in [x, y] {
        w.reload(id, |config| drop(config.children.remove(0)));
        w.run_for(SECOND);
    }
    w.run_for(SECOND * 10);
    w.stop_flows();
    w.run_for(SECOND);
    let now = w.children_of_slot(1);
    w.check(now == stays, || format!("the other slot had {stays:?} and has {now:?}"));
    let told =
        w.host(x).events.iter().any(|(_, event)| {
            matches!(event, IkeEvent::ChildDown { cause: Cause::NotInPolicy, .. })
        });
    w.check(told, || "nobody is told why the child went".into());
    let why = w.disagreement();
    w.check(why.is_none(), || why.unwrap_or_default());
    w.expect_no_loss();
    w
}

/// One policy takes in the networks of another: the child is rekeyed and carries both, and nothing
/// is lost.
fn policy_grows(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    for id in [stage.y, stage.x] {
        let more = with_slots(&w, id, 2).children.remove(1).selectors;
        w.reload(id, |config| {
            let own = &mut config.children[0].selectors;
            (own.local, own.remote) =
                (own.local.union(&more.local), own.remote.union(&more.remote));
        });
        w.run_for(SECOND);
    }
    w.run_for(SECOND * 3);
    for (from, to) in [(A, B), (B, A)] {
        w.send_inner(from, to, 1);
    }
    w.expect_agreement_without_loss()
}

/// From everything to two networks on one end: what is beyond them passes no more, at once.
fn policy_shrinks(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|s| s.slots = 1);
    for id in [x, y] {
        w.reload(id, |config| {
            let any = s2sd::wire::selector::Selector::ANY_V4;
            let own = &mut config.children[0].selectors;
            (own.local, own.remote) = (any.into(), any.into());
        });
    }
    w.establish(x);
    w.send_stray(y, x);
    w.run_for(SECOND);
    w.expect_no_loss();
    let before = w.children_of_slot(0);
    let narrow = with_slots(&w, x, 1).children;
    w.reload(x, |config| config.children = narrow);
    w.send_stray(y, x);
    w.run_for(SECOND * 10);
    w.check(w.child(x, 0) != before[x.0], || "the wide child stayed".into());
    w.agree_within(Duration::from_secs(60));
    w
}

/// The same line in another group.
fn in_group(policy: &ProposalPolicy, ke: KeId) -> ProposalPolicy {
    let lines = policy.offered().iter().map(|line| match *line {
        Combination::Ike { cipher, prf, .. } => Combination::Ike { cipher, prf, ke },
        other => other,
    });
    ProposalPolicy::new(&lines.collect::<Vec<_>>()).0
}

fn groups_in_use(w: &World) -> Vec<String> {
    let facts = |id: HostId| w.host(id).engine.iter().flat_map(|e| e.ike_sas()).collect::<Vec<_>>();
    [A, B].into_iter().flat_map(facts).map(|facts| facts.suite.to_string()).collect()
}

/// Both ends get another IKE group: the next rekey negotiates it.
fn ike_policy_changes(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    for id in [stage.x, stage.y] {
        w.reload(id, |config| config.ike = in_group(&config.ike, KeId::Ecp384));
    }
    w.command(stage.x, Command::RekeyIke(PEER));
    w.run_for(SECOND);
    let used = groups_in_use(&w);
    let new = used.iter().all(|suite| suite.contains("ECP_384"));
    w.check(new && used.len() == 2, || format!("the IKE SA has {used:?}"));
    w.expect_agreement_without_loss()
}

/// The other end refuses every rekey: authenticated anew, the IKE SA has the new group.
fn ike_policy_changes_for_a_minimal_peer(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| {
        s.minimal = Some((stage.y, s2sd::ike::testing::emulation::MinimalAnswer::NoProposal));
    });
    for id in [stage.x, stage.y] {
        w.reload(id, |config| config.ike = in_group(&config.ike, KeId::Ecp384));
    }
    w.stop_flows();
    w.command(stage.x, Command::RekeyIke(PEER));
    w.run_for(SECOND * 90);
    let used = groups_in_use(&w);
    let new = used.iter().all(|suite| suite.contains("ECP_384"));
    w.check(new && used.len() == 2, || format!("the IKE SA has {used:?}"));
    w.expect_agreement()
}

/// An end that only answers is to be renewed, and never dials.
fn answer_only_is_renewed(stage: &Stage) -> World {
    let y = stage.y;
    let mut w = stage.world(|s| {
        s.roles[y.0] = DialRole::Answer;
        s.reauthenticate[y.0] = Some(Duration::from_secs(120));
    });
    w.establish(other(y));
    w.command(y, Command::Reauthenticate(PEER));
    w.run_for(SECOND * 400);
    let dials = [w.watch.requests(y, IKE_SA_INIT), w.watch.requests(stage.x, IKE_SA_INIT)];
    w.check(dials[0] == 0, || format!("an answerer dialled {} times", dials[0]));
    w.check((3..=5).contains(&dials[1]), || format!("the other end dialled {} times", dials[1]));
    w.expect_agreement()
}
