//! Addresses that change (NAT rebinding), and peers that behave like Azure's gateway.

use std::time::Duration;

use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::EspEncapsulation;

use super::{Script, Stage, script};
use crate::packet::{CREATE_CHILD_SA, INFORMATIONAL};
use crate::scene::{A, B};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("nat-rebind", 2, nat_rebind),
    script("nat-keeps-its-mapping", 1, nat_keeps_its_mapping),
    script("address-change", 1, address_change),
    script("peer-without-nat-traversal", 2, peer_without_nat_traversal),
    script("traffic-is-a-sign-of-life", 1, traffic_is_a_sign_of_life),
    script("azure-defaults", 1, azure_defaults),
    script("azure-rekey-95-percent", 1, azure_rekey_95_percent),
    script("azure-redial-every-few-seconds", 1, azure_redial_every_few_seconds),
    script("a-day-in-a-second", 1, a_day_in_a_second),
];

const SECOND: Duration = Duration::from_secs(1);

/// The NAT before `x` forgets its mapping: `y` learns the new one from what authenticates (§2.23).
/// Variant 1: no traffic, so that a probe has to show it.
fn nat_rebind(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.nat = Some(stage.x));
    if stage.variant == 1 {
        w.stop_flows();
        w.run_for(SECOND);
    }
    let old = w.ikes();
    w.net.rebind(stage.x);
    if stage.variant == 1 {
        let peer = w.peer_of(stage.x);
        w.command(stage.x, Command::Probe(peer));
    }
    w.run_for(Duration::from_secs(5));
    let same = w.ikes();
    w.check(old == same, || "a new NAT mapping cost the IKE SA".into());
    w.expect_agreement()
}

/// Keepalives hold a NAT's mapping; they are no sign of life and no traffic (RFC 3948 §4).
fn nat_keeps_its_mapping(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| {
        s.nat = Some(stage.x);
        s.dpd = [Duration::from_secs(900); 2];
    });
    w.stop_flows();
    let before = w.watch.keepalives(stage.x);
    w.run_for(Duration::from_secs(120));
    let sent = w.watch.keepalives(stage.x) - before;
    w.check((3..=12).contains(&sent), || format!("{sent} keepalives in two quiet minutes"));
    w.expect_agreement()
}

/// `x` comes from another address: a new provider, a new lease.
fn address_change(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    w.renumber(stage.x);
    w.run_for(Duration::from_secs(10));
    w.expect_agreement()
}

/// `y` sends no NAT detection and has nobody on port 4500 (RFC 7296 §2.23): everything stays on
/// port 500, and ESP travels without UDP, whatever `encapsulation` says here. Variant 1: `auto`.
fn peer_without_nat_traversal(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| {
        s.without_nat_traversal = Some(stage.y);
        if stage.variant == 1 {
            s.encapsulation = EspEncapsulation::Auto;
        }
    });
    w.rekey_child(stage.x, 0);
    w.run_for(SECOND);
    for id in [stage.x, stage.y] {
        let peer = w.peer_of(id);
        w.command(id, Command::RekeyIke(peer));
        w.run_for(SECOND);
    }
    w.expect_agreement_without_loss()
}

/// While packets arrive nobody asks whether the other is there; in silence both do (RFC 7296 §2.4).
fn traffic_is_a_sign_of_life(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.dpd = [Duration::from_secs(9); 2]);
    let asked = |w: &World| [A, B].map(|id| w.watch.requests(id, INFORMATIONAL));
    let before = asked(&w);
    w.run_for(Duration::from_secs(60));
    let busy = asked(&w);
    w.check(busy == before, || format!("asked {before:?} times, and {busy:?} a busy minute later"));
    w.stop_flows();
    w.run_for(Duration::from_secs(60));
    let quiet: usize = asked(&w).iter().sum();
    let busy: usize = busy.iter().sum();
    w.check(quiet >= busy + 10, || format!("asked {busy} times, and {quiet} a quiet minute later"));
    w.expect_agreement_without_loss()
}

/// `y` has Azure's manners: default lists, group 2, no RFC 7427, no PFS, and refuses a
/// CREATE_CHILD_SA with a KE.
fn azure_defaults(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.azure = Some(stage.y));
    for _ in 0..3 {
        w.rekey_child(stage.x, 0);
        w.run_for(SECOND);
        w.rekey_child(stage.y, 0);
        w.run_for(SECOND);
        let peer = w.peer_of(stage.x);
        w.command(stage.x, Command::RekeyIke(peer));
        w.run_for(SECOND);
    }
    w.expect_agreement_without_loss()
}

/// A day with Azure: its IKE SA is rekeyed at 95 % of 28,800 s unless we were first; nothing is
/// torn down.
fn azure_rekey_95_percent(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| {
        s.azure = Some(stage.y);
        // Only Azure's own lifetimes act.
        s.ike_seconds[stage.x.0] = 86_400;
    });
    w.stop_flows();
    let forever = Duration::from_secs(1_000_000);
    for (from, to) in [(A, B), (B, A)] {
        w.flow(from, to, 0, Duration::from_secs(10), forever);
    }
    w.run_for(Duration::from_secs(86_400));
    let downs = w.unplanned_ends();
    w.check(downs.is_empty(), || format!("torn down: {downs:?}"));
    w.expect_agreement_without_loss()
}

/// Azure dials every few seconds while it is not connected; meanwhile `x` does so too.
fn azure_redial_every_few_seconds(stage: &Stage) -> World {
    let mut w = stage.world(|s| s.azure = Some(stage.y));
    w.net.link(A, B).up = false;
    w.net.link(B, A).up = false;
    for id in [stage.x, stage.y] {
        let peer = w.peer_of(id);
        w.command(id, Command::Up(peer));
    }
    w.run_for(Duration::from_secs(300));
    w.net.heal();
    w.expect_agreement()
}

/// Default lifetimes on both sides: everything is rekeyed several times, nothing is lost, nothing
/// piles up.
fn a_day_in_a_second(stage: &Stage) -> World {
    let mut w = stage.tunnel(|s| s.slots = 2);
    w.stop_flows();
    let forever = Duration::from_secs(1_000_000);
    for (from, to) in [(A, B), (B, A)] {
        w.flow(from, to, 0, Duration::from_secs(10), forever);
    }
    w.run_for(Duration::from_secs(86_400));
    let asked = w.watch.requests(A, CREATE_CHILD_SA) + w.watch.requests(B, CREATE_CHILD_SA);
    w.check((9..60).contains(&asked), || format!("{asked} rekeys in a day"));
    let downs = w.unplanned_ends();
    w.check(downs.is_empty(), || format!("torn down: {downs:?}"));
    w.expect_agreement_without_loss()
}
