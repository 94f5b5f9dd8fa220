//! What senders without keys can do: change nothing (RFC 7296 §2.6, §2.21).

use std::time::Duration;

use s2sd::ike::endpoint::command::Command;

use super::{Script, Stage, script};
use crate::packet::{CREATE_CHILD_SA, IKE_AUTH, IKE_SA_INIT, INFORMATIONAL};
use crate::rules::{Action, Pattern};
use crate::scene::{A, B};
use crate::world::World;

pub const SCRIPTS: &[Script] = &[
    script("spoofed-flood", 2, spoofed_flood),
    script("cookie-then-reboot", 1, cookie_then_reboot),
    script("fragment-flood", 1, fragment_flood),
    script("clear-delete", 1, clear_delete),
    script("damaged-on-the-way", 6, damaged_on_the_way),
    script("replayed-yesterday", 1, replayed_yesterday),
    script("forged-invalid-ke", 1, forged_invalid_ke),
];

const SECOND: Duration = Duration::from_secs(1);
/// What a flood may make an engine hold: the half-open IKE SAs that are begun without a cookie, at
/// some 800 octets each.
const FLOODED: usize = 40_000;

/// 100,000 IKE_SA_INIT from made-up addresses, ten a millisecond; in the middle of it the genuine
/// peer dials. Variant 1: it may come from anywhere, so that every stranger could be it.
fn spoofed_flood(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|s| s.anywhere = (stage.variant == 1).then_some(y));
    // One genuine message as the flood's model.
    w.hold(Pattern::from(x).exchange(IKE_SA_INIT).request(), "model");
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    // The tenth part will do where each stranger costs a hundred times the work: when the engine is
    // restored each time, or broken on purpose.
    let dear = stage.options.restore_each_step || stage.options.mutation.is_some();
    let bursts = match stage.options.crash {
        // A crash has as many places as there are strangers, and one is like the other.
        Some(_) => 10,
        None if dear => 100,
        None => 1_000,
    };
    for burst in 0..bursts {
        w.flood(y, 100);
        if burst == bursts / 2 {
            w.release("model");
        }
        w.run_for(Duration::from_millis(10));
        let held = w.host(y).octets(w.now());
        w.check(held <= FLOODED, || format!("the engine holds {held} octets after burst {burst}"));
    }
    let connected = w.host(y).census.ikes.len();
    w.check(connected == 1, || {
        "the genuine peer did not get through while the flood lasted".into()
    });
    let signed = w.host(y).signed.get();
    w.check(signed <= 4, || format!("{signed} signatures for strangers"));
    let begun = w.watch.half_open(y);
    w.check(begun <= 64, || format!("{begun} IKE SAs begun for strangers in ten seconds"));
    let lines = w.host(y).events.len();
    // The allowance for lines does not outlive a process: being restored each time is an allowance
    // each time.
    let told = lines <= 40 || stage.options.restore_each_step;
    w.check(told, || format!("{lines} events about a flood of ten seconds"));
    w.expect_agreement()
}

/// `y` asks for a cookie, reboots and no longer knows the secret that made it: it asks again
/// (§2.6).
fn cookie_then_reboot(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|_| ());
    w.hold(Pattern::from(x).exchange(IKE_SA_INIT).request().nth(1), "model");
    // The second request carries the cookie; it waits until y has forgotten.
    w.hold(Pattern::from(x).exchange(IKE_SA_INIT).request().nth(2), "cookie");
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.flood(y, 2_000);
    w.run_for(Duration::from_millis(50));
    w.release("model");
    w.run_for(Duration::from_millis(200));
    let held = w.net.held("cookie");
    w.check(held > 0, || "no cookie was asked for under load".into());
    w.crash(y);
    w.boot(y);
    w.flood(y, 2_000);
    w.run_for(Duration::from_millis(50));
    w.release("cookie");
    w.expect_agreement()
}

/// Fragments of a message that is never whole, from somebody who has no key.
fn fragment_flood(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|s| s.chain = vec![1_800, 1_500]);
    w.net.rules.add(
        Pattern::from(x).exchange(IKE_AUTH).request().fragment(3),
        Action::Hold("rest"),
        usize::MAX,
    );
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.run_for(Duration::from_millis(100));
    let model = w.watch.last_sent(x, IKE_AUTH, false);
    w.check(model.is_some_and(|m| m.header().is_some_and(|h| h.fragment > 0)), || {
        "no fragments".into()
    });
    for number in 0..5_000_u16 {
        w.forge(x, y, IKE_AUTH, |bytes| {
            // Fragment number and total behind the two headers; the checksum is wrong whatever they
            // say.
            bytes[32..34].copy_from_slice(&(1 + number % 200).to_be_bytes());
            bytes[34..36].copy_from_slice(&200_u16.to_be_bytes());
        });
    }
    w.run_for(SECOND);
    w.release("rest");
    w.expect_agreement()
}

/// A Delete that nobody sealed, with the right SPIs and the right message id.
fn clear_delete(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.tunnel(|_| ());
    let peer = w.peer_of(x);
    w.command(x, Command::Probe(peer));
    w.run_for(SECOND);
    let old = w.ikes();
    for ahead in 0..3 {
        w.forge(x, y, INFORMATIONAL, |bytes| clear_delete_of(bytes, ahead));
    }
    w.run_for(SECOND);
    let same = w.ikes();
    w.check(old == same, || "a Delete in clear was obeyed".into());
    w.expect_agreement_without_loss()
}

/// Turns a sealed message into header, Delete payload and nothing else.
fn clear_delete_of(bytes: &mut Vec<u8>, ahead: u32) {
    let id = u32::from_be_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]) + ahead;
    bytes.truncate(28);
    bytes[16] = 42;
    bytes[20..24].copy_from_slice(&id.to_be_bytes());
    // Next payload none, length 8, protocol IKE, no SPIs.
    bytes.extend([0, 0, 0, 8, 1, 0, 0, 0]);
    let length = u32::try_from(bytes.len()).expect("short");
    bytes[24..28].copy_from_slice(&length.to_be_bytes());
}

/// Each message of a rekey is once damaged, cut short, doubled or late on its way; what does not
/// authenticate did not happen.
fn damaged_on_the_way(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    let damage = match stage.variant {
        0 => Action::Corrupt(0),
        1 => Action::Corrupt(40),
        2 => Action::Truncate(60),
        3 => Action::Truncate(20),
        4 => Action::Duplicate,
        _ => Action::Delay(Duration::from_millis(700)),
    };
    for (from, exchange) in
        [(A, CREATE_CHILD_SA), (B, CREATE_CHILD_SA), (A, INFORMATIONAL), (B, INFORMATIONAL)]
    {
        w.net.rules.add(Pattern::from(from).exchange(exchange), damage.clone(), 1);
    }
    let before = w.children_of_slot(0);
    w.rekey_child(stage.x, 0);
    w.run_for(Duration::from_secs(20));
    w.expect_one_new_child(before, "damage was not mended by a retransmission");
    w.expect_agreement_without_loss()
}

/// Everything that was ever said is said again by a third party.
fn replayed_yesterday(stage: &Stage) -> World {
    let mut w = stage.tunnel(|_| ());
    w.watch.start_record();
    for id in [stage.x, stage.y] {
        w.rekey_child(id, 0);
        w.run_for(SECOND);
        let peer = w.peer_of(id);
        w.command(id, Command::RekeyIke(peer));
        w.run_for(SECOND);
    }
    let old = (w.ikes(), w.children_of_slot(0));
    w.replay_record();
    w.run_for(Duration::from_secs(2));
    let same = (w.ikes(), w.children_of_slot(0));
    w.check(old == same, || "a replay changed something".into());
    w.expect_agreement_without_loss()
}

/// A forged INVALID_KE_PAYLOAD arrives before the peer's answer to IKE_SA_INIT. Nothing in it is
/// authenticated (RFC 7296 §2.21), so the genuine answer still counts.
fn forged_invalid_ke(stage: &Stage) -> World {
    let (x, y) = (stage.x, stage.y);
    let mut w = stage.world(|_| ());
    w.hold(Pattern::from(y).exchange(IKE_SA_INIT).response(), "genuine");
    let peer = w.peer_of(x);
    w.command(x, Command::Up(peer));
    w.run_for(Duration::from_millis(100));
    w.forge_invalid_ke(x, y);
    w.run_for(Duration::from_millis(100));
    w.release("genuine");
    w.expect_agreement()
}
