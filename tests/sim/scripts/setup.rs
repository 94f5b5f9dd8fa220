//! How a tunnel comes up when everything goes against it: both dial, messages vanish, hosts restart
//! in the middle.

use std::time::Duration;

use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::DialRole;
use s2sd::ike::endpoint::event::{IkeEvent, LimitKind};

use super::{Script, Stage, script};
use crate::net::Link;
use crate::packet::{HostId, IKE_AUTH, IKE_SA_INIT};
use crate::rules::{Action, Pattern};
use crate::scene::{A, B};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("establish-and-leave", 2, establish_and_leave),
    script("both-initiate", 4, both_initiate),
    script("both-initiate-one-lost", 2, both_initiate_one_lost),
    script("peer-restarts-before-auth", 2, peer_restarts_before_auth),
    script("peer-restarts-after-auth", 2, peer_restarts_after_auth),
    script("both-boot-together", 2, both_boot_together),
    script("retransmit-storm", 1, retransmit_storm),
    script("fragment-loss", 2, fragment_loss),
    script("fragments-too-large-for-the-path", 3, fragments_too_large_for_the_path),
    script("init-wrong-group", 1, init_wrong_group),
    script("childless", 1, childless),
    script("narrowed-selectors", 1, narrowed_selectors),
    script("silent-peer-is-found-dead", 1, silent_peer_is_found_dead),
    script("answer-only-never-dials", 1, answer_only_never_dials),
    script("peer-returns-after-silence", 4, peer_returns_after_silence),
    script("auth-meets-a-restarted-peer", 2, auth_meets_a_restarted_peer),
    script("peer-restarts-silently", 1, peer_restarts_silently),
];

const SECOND: Duration = Duration::from_secs(1);

fn up(w: &mut World, id: HostId) {
    let peer = w.peer_of(id);
    w.command(id, Command::Up(peer));
}

/// Up, and down by the operator of either side: nothing stays on either host.
fn establish_and_leave(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    w.run_for(SECOND);
    w.stop_flows();
    w.run_for(SECOND);
    w.expect_no_loss();
    let id = if stage.variant == 0 { stage.x } else { stage.y };
    let peer = w.peer_of(id);
    w.command(id, Command::Down(peer));
    if id == stage.y {
        // Whoever dialled would dial again.
        let peer = w.peer_of(stage.x);
        w.command(stage.x, Command::Down(peer));
    }
    w.run_for(Duration::from_secs(60));
    for id in [A, B] {
        let host = w.host(id);
        let (ikes, children) = (host.census.ikes.len(), host.census.children.len());
        let (inbound, outbound) = (host.plane.inbound.len(), host.plane.outbound.len());
        let left = (ikes, children, inbound, outbound);
        w.check(left == (0, 0, 0, 0), || format!("{id} kept {left:?}"));
    }
    w
}

/// ```text
/// x  IKE_SA_INIT --.  .-- IKE_SA_INIT  y      two IKE SAs; the one with the lowest nonce goes
/// ```
fn both_initiate(stage: &Stage) -> World {
    let mut w = stage.world(|_| ());
    super::child::steer(&w, stage);
    up(&mut w, stage.x);
    up(&mut w, stage.y);
    w.run_for(Duration::from_secs(30));
    w.expect_agreement()
}

/// As before, but one's first message, or its IKE_AUTH, is lost once: it comes a retransmission
/// later.
fn both_initiate_one_lost(stage: &Stage) -> World {
    let mut w = stage.world(|_| ());
    let exchange = if stage.variant == 0 { IKE_SA_INIT } else { IKE_AUTH };
    w.net.rules.add(Pattern::from(stage.x).exchange(exchange).request(), Action::Drop, 1);
    up(&mut w, stage.x);
    up(&mut w, stage.y);
    w.run_for(Duration::from_secs(60));
    w.expect_agreement()
}

/// `y` crashes after its IKE_SA_INIT answer, and comes back with or without a memory.
fn peer_restarts_before_auth(stage: &Stage) -> World {
    let y = stage.y;
    let mut w = stage.world(|_| ());
    w.hold(Pattern::from(stage.x).exchange(IKE_AUTH).request(), "auth");
    up(&mut w, stage.x);
    w.run_for(Duration::from_millis(100));
    w.crash(y);
    w.run_for(SECOND);
    again(&mut w, stage);
    w.release("auth");
    w.expect_agreement()
}

/// `y` crashes when it has answered IKE_AUTH, and its answer is lost.
fn peer_restarts_after_auth(stage: &Stage) -> World {
    let y = stage.y;
    let mut w = stage.world(|_| ());
    w.net.rules.add(Pattern::from(y).exchange(IKE_AUTH).response(), Action::Drop, 1);
    up(&mut w, stage.x);
    w.run_for(Duration::from_millis(100));
    w.crash(y);
    w.run_for(SECOND);
    again(&mut w, stage);
    w.expect_agreement()
}

fn again(w: &mut World, stage: &Stage) {
    if stage.variant == 0 {
        w.restart(stage.y);
    } else {
        w.boot(stage.y);
    }
}

/// A power cut takes both; they come back together, with or without a memory, and both dial.
fn both_boot_together(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    for id in [A, B] {
        w.crash(id);
    }
    w.run_for(SECOND);
    for id in [A, B] {
        if stage.variant == 0 {
            w.restart(id)
        } else {
            w.boot(id)
        }
        up(&mut w, id);
    }
    w.expect_agreement()
}

/// A line that answers after seconds: every request is sent several times, every answer comes
/// several times.
fn retransmit_storm(stage: &Stage) -> World {
    let mut w = stage.world(|_| ());
    let slow = Link { latency: Duration::from_secs(2), duplicate_permille: 500, ..Link::default() };
    w.net.set_links(A, B, slow);
    up(&mut w, stage.x);
    w.run_for(Duration::from_secs(30));
    for _ in 0..3 {
        w.rekey_child(stage.x, 0);
        w.rekey_child(stage.y, 0);
        w.run_for(Duration::from_secs(60));
    }
    w.expect_agreement()
}

/// A certificate chain needs several fragments; one of the request, or of the answer, is lost twice
/// (RFC 7383).
fn fragment_loss(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.chain = vec![1_800, 1_500, 1_500]);
    let lost = if stage.variant == 0 {
        Pattern::from(stage.x).exchange(IKE_AUTH).request()
    } else {
        Pattern::from(stage.y).exchange(IKE_AUTH).response()
    };
    let rule = w.net.rules.add(lost.fragment(2), Action::Drop, 2);
    w.net.set_links(A, B, Link { mtu: 1_400, ..Link::default() });
    up(&mut w, stage.x);
    w.run_for(Duration::from_secs(30));
    let acted = w.net.rules.has_acted(rule);
    w.check(acted, || "there was no second fragment to lose".into());
    w.expect_agreement()
}

/// The path loses what is larger than 600 octets, both ways or one way, and nobody says so: the
/// request goes in smaller fragments after a few tries, and its answer too (RFC 7383 §2.5.1).
fn fragments_too_large_for_the_path(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.chain = vec![1_800, 1_500, 1_500]);
    let narrow = Link { mtu: 600, ..Link::default() };
    if stage.variant != 1 {
        *w.net.link(stage.x, stage.y) = narrow;
    }
    if stage.variant != 2 {
        *w.net.link(stage.y, stage.x) = narrow;
    }
    up(&mut w, stage.x);
    w.run_for(Duration::from_secs(10));
    let dialled = w.watch.requests(stage.x, IKE_SA_INIT);
    w.check(dialled == 1, || format!("{dialled} first messages where one is enough"));
    w.expect_agreement()
}

/// `x` guesses an IKE group that `y` does not take: INVALID_KE_PAYLOAD, and one more try (§1.2).
fn init_wrong_group(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.ike_wrong_guess = Some(stage.x));
    w.establish(stage.x);
    let asked = w.watch.requests(stage.x, IKE_SA_INIT);
    w.check(asked == 2, || format!("{asked} IKE_SA_INIT requests instead of two"));
    w.expect_agreement()
}

/// The IKE SA comes up alone, its children after it (RFC 6023).
fn childless(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.childless = true);
    w.establish(stage.x);
    w.expect_agreement()
}

/// `x` offers everything, `y` allows its own networks only: what is delivered lies within both.
fn narrowed_selectors(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.any_to_any = Some(stage.x));
    w.establish(stage.x);
    w.send_stray(stage.x, stage.y);
    w.send_stray(stage.y, stage.x);
    w.expect_agreement()
}

/// The line is cut both ways: each end notices by the dead-peer timeout, and finds the other again
/// afterwards.
fn silent_peer_is_found_dead(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    w.stop_flows();
    for (from, to) in [(A, B), (B, A)] {
        w.net.link(from, to).up = false;
    }
    w.run_for(Duration::from_secs(600));
    for id in [A, B] {
        let left = w.host(id).census.ikes.len();
        w.check(left == 0, || format!("{id} believes in {left} IKE SAs after ten silent minutes"));
    }
    w.net.heal();
    w.expect_agreement()
}

/// An answerer that lost its tunnel waits to be dialled.
fn answer_only_never_dials(stage: &Stage) -> World {
    let y = stage.y;
    let mut w = stage.tunnel(|s| s.roles[stage.y.0] = DialRole::Answer);
    w.crash(y);
    w.run_for(SECOND);
    w.boot(y);
    up(&mut w, y);
    w.agree_within(Duration::from_secs(1_800));
    let dialled = w.watch.requests(y, IKE_SA_INIT);
    w.check(dialled == 0, || format!("an answerer dialled {dialled} times"));
    let limited =
        w.host(y).events.iter().any(|(_, e)| matches!(e, IkeEvent::Limited(LimitKind::HalfOpen)));
    w.check(!limited, || "one peer is no flood".into());
    w
}

/// The peer was away for five minutes and is back: the tunnel is up again within 10 s. Variants: the
/// line was cut and both dial, or only `x` dials; the peer was switched off, answers only, and has
/// forgotten everything; the line was cut for half an hour, which takes 20 s.
fn peer_returns_after_silence(stage: &Stage) -> World {
    let y = stage.y;
    let (off, long) = (stage.variant == 2, stage.variant == 3);
    let mut w = stage.tunnel(|s| {
        if stage.variant == 1 || off {
            s.roles[y.0] = DialRole::Answer;
        }
    });
    w.stop_flows();
    if off {
        w.crash(y);
    } else {
        for (from, to) in [(A, B), (B, A)] {
            w.net.link(from, to).up = false;
        }
    }
    w.run_for(Duration::from_secs(if long { 1_800 } else { 300 }));
    w.net.heal();
    if off {
        w.boot(y);
        up(&mut w, y);
    }
    let within = Duration::from_secs(if long { 20 } else { 10 });
    let back = w.run_until(within, |w| w.disagreement().is_none());
    w.check(back, || format!("no tunnel {within:?} after the peer came back"));
    w.expect_agreement()
}

/// Variant 0: `y` restarts without a memory between its IKE_SA_INIT answer and IKE_AUTH, so nobody
/// ever answers that IKE_AUTH; `x` dials anew beside it. Variant 1: `y` is slow to answer IKE_AUTH,
/// and the first answer still counts.
fn auth_meets_a_restarted_peer(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|s| s.roles[y.0] = DialRole::Answer);
    if stage.variant == 0 {
        w.hold(Pattern::from(x).exchange(IKE_AUTH).request(), "auth");
        up(&mut w, x);
        w.run_for(Duration::from_millis(100));
        w.crash(y);
        w.boot(y);
        up(&mut w, y);
        w.release("auth");
    } else {
        w.hold(Pattern::from(y).exchange(IKE_AUTH).response(), "auth");
        up(&mut w, x);
        w.run_for(Duration::from_secs(8));
        w.release("auth");
    }
    let back = w.run_until(Duration::from_secs(10), |w| w.disagreement().is_none());
    w.check(back, || "no tunnel after ten seconds".into());
    w.expect_agreement()
}

/// `y` loses everything, dials again and says nothing of it: packets to it pass as soon as its new
/// IKE SA stands, not only when the old one is found dead.
fn peer_restarts_silently(stage: &Stage) -> World {
    let y = stage.y;
    let mut w = stage.tunnel(|s| s.quiet = Some(y));
    w.stop_flows();
    w.crash(y);
    w.run_for(SECOND);
    w.boot(y);
    up(&mut w, y);
    w.run_for(SECOND);
    w.expect_passage();
    w.expect_agreement()
}
