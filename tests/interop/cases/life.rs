//! An established connection: rekeys from either side, simultaneous rekeys, re-authentication, dead
//! peer detection, Deletes.

use std::time::Duration;

use s2sd::ike::ChildId;
use s2sd::ike::diagnosis::azure_names::PolicyNames;
use s2sd::ike::endpoint::event::{Cause, IkeEvent};

use super::setup::{be_dialled, dial};
use crate::engine::{NAMES, Order};
use crate::patience::{Failure, ensure, until};
use crate::place::{Ends, Place};
use crate::{Case, Verdict};

pub const CASES: &[Case] = &[
    Case { name: "rekey: child, by us", run: child_by_us },
    Case { name: "rekey: child, by strongSwan", run: child_by_them },
    Case { name: "rekey: child with PFS, by us", run: pfs_by_us },
    Case { name: "rekey: child with PFS, by strongSwan", run: pfs_by_them },
    Case { name: "rekey: child with PFS, strongSwan wants another group", run: pfs_another_group },
    Case { name: "rekey: child, PFS there and none here", run: pfs_mismatch },
    Case { name: "rekey: IKE, by us", run: ike_by_us },
    Case { name: "rekey: IKE, by strongSwan", run: ike_by_them },
    Case { name: "rekey: IKE and child by turns, both sides", run: by_turns },
    Case { name: "rekey: both at once, child and IKE", run: crossing },
    Case { name: "rekey: by strongSwan's clock", run: by_their_clock },
    Case { name: "rekey: by our clock", run: by_our_clock },
    Case { name: "reauthentication by us", run: reauthentication_by_us },
    Case { name: "reauthentication by strongSwan, break first", run: reauthentication_broken },
    Case { name: "reauthentication by strongSwan, make first", run: reauthentication_made },
    Case { name: "delete: IKE, by us", run: delete_by_us },
    Case { name: "delete: IKE, by strongSwan; we dial again", run: delete_by_them },
    Case { name: "delete: child, by strongSwan; we ask again", run: delete_child_by_them },
    Case { name: "silence: strongSwan asks for a sign of life", run: they_ask },
    Case { name: "silence: strongSwan is killed and comes back", run: they_die },
    Case { name: "silence: we are killed and come back", run: we_die },
    Case { name: "both dial at once", run: both_dial },
];

/// After what a case did, both ends have one IKE SA and one child, and they work.
fn settled(ends: &Ends) -> Result<(), Failure> {
    settled_within(ends, Duration::from_secs(15))
}

fn settled_within(ends: &Ends, patience: Duration) -> Result<(), Failure> {
    until("one IKE SA and one child at strongSwan", patience, || {
        let counts = (ends.peer.count_ike_sas().ok()?, ends.peer.count_child_sas().ok()?);
        (counts == (1, 1)).then_some(())
    })
    .map_err(|failure| {
        let sas = ends.peer.sas().unwrap_or_default();
        let failure = failure.with("strongSwan's SAs", &sas);
        failure.with("its log", &ends.peer.tail()).with("ours", &ends.engine.story(0))
    })?;
    quiet(ends)
}

/// Nothing was refused and nothing made no sense, at either end.
fn quiet(ends: &Ends) -> Result<(), Failure> {
    let story = ends.engine.story(0);
    ensure(!story.contains("Refused"), "something was refused", &story)?;
    let log = ends.peer.log();
    let bad = ["INVALID_SYNTAX", "invalid", "verification failed", "critical"];
    let told = log.lines().find(|line| bad.iter().any(|word| line.contains(word)));
    ensure(told.is_none(), "strongSwan complains", told.unwrap_or_default())
}

/// We rekey the newest child.
fn rekey_child(ends: &Ends) -> Verdict {
    let old = newest_child(ends)?;
    let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
    ends.engine.order(Order::RekeyChild(old));
    let (_, suite, replaces) = ends
        .engine
        .wait_child_up(mark)
        .map_err(|failure| failure.with("strongSwan's log", &ends.peer.tail()))?;
    ensure(replaces == Some(old), "the new child does not replace the old one", &suite)?;
    ends.peer.wait_log(from, &["CHILD_SA closed"])?;
    Ok(suite)
}

fn newest_child(ends: &Ends) -> Result<ChildId, Failure> {
    let newest = |event: &IkeEvent| match event {
        IkeEvent::ChildUp { child, .. } => Some(*child),
        _ => None,
    };
    ends.engine.last(newest).ok_or_else(|| Failure::new("no child is up", ends.engine.story(0)))
}

/// strongSwan rekeys its child.
fn rekey_child_there(ends: &Ends) -> Verdict {
    let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
    ends.peer.control(&["--rekey", "--child", "net"])?;
    let (_, suite, replaces) = ends
        .engine
        .wait_child_up(mark)
        .map_err(|failure| failure.with("strongSwan's log", &ends.peer.tail()))?;
    ensure(replaces.is_some(), "the new child replaces none", &suite)?;
    ends.peer.wait_log(from, &["CHILD_SA closed"])?;
    Ok(suite)
}

fn rekeyed_ike(ends: &Ends, mark: usize, from: usize) -> Result<(), Failure> {
    ends.engine
        .wait(mark, "IKE SA rekeyed", |event| {
            matches!(event, IkeEvent::IkeRekeyed { .. }).then_some(())
        })
        .map_err(|failure| failure.with("strongSwan's log", &ends.peer.tail()))?;
    ends.peer.wait_log(from, &["rekeyed between"])?;
    ends.peer.wait_log(from, &["IKE_SA deleted"]).map(drop)
}

fn rekey_ike(ends: &Ends) -> Result<(), Failure> {
    let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
    ends.engine.order(Order::RekeyIke);
    rekeyed_ike(ends, mark, from)
}

fn rekey_ike_there(ends: &Ends) -> Result<(), Failure> {
    let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
    ends.peer.control(&["--rekey", "--ike", "s2s"])?;
    rekeyed_ike(ends, mark, from)
}

fn child_by_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let suite = rekey_child(&ends)?;
    settled(&ends)?;
    Ok(suite)
}

fn child_by_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let suite = rekey_child_there(&ends)?;
    settled(&ends)?;
    Ok(suite)
}

const GROUPS: [(&str, &str); 5] = [
    ("ECP384", "ecp384"),
    ("ECP256", "ecp256"),
    ("PFS2048", "modp2048"),
    ("PFS24", "modp2048s256"),
    ("PFS2", "modp1024"),
];

/// Each group, one connection after another.
fn every_group(place: &Place, rekey: fn(&Ends) -> Verdict) -> Verdict {
    let mut said = Vec::new();
    for (name, word) in GROUPS {
        let ends = place.azure_ends(|ours, theirs| {
            ours.names = vec![PolicyNames { pfs_group: name, ..NAMES }];
            theirs.esp = format!("aes256gcm16-{word}");
        })?;
        dial(&ends)?;
        said.push(rekey(&ends).map_err(|failure| failure.with("the group", name))?);
        settled(&ends)?;
    }
    Ok(said.join(", ").replace("AES_GCM_16-256/", ""))
}

fn pfs_by_us(place: &Place) -> Verdict {
    every_group(place, rekey_child)
}

fn pfs_by_them(place: &Place) -> Verdict {
    every_group(place, rekey_child_there)
}

fn pfs_another_group(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.names =
            ["ECP384", "PFS2048"].map(|group| PolicyNames { pfs_group: group, ..NAMES }).into();
        theirs.esp = "aes256gcm16-modp2048".into();
    })?;
    dial(&ends)?;
    let suite = rekey_child(&ends)?;
    ensure(suite.ends_with("MODP_2048"), "another group was taken", &suite)?;
    settled(&ends)?;
    Ok(suite)
}

/// A difference in perfect forward secrecy, which shows only hours later: the child of IKE_AUTH has
/// no key exchange of its own and comes up (RFC 7296 §1.2), its rekey is refused.
fn pfs_mismatch(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.esp = "aes256gcm16-ecp384".into())?;
    dial(&ends)?;
    let child = newest_child(&ends)?;
    let mark = ends.engine.mark();
    ends.engine.order(Order::RekeyChild(child));
    let said = ends.engine.wait_refused(mark)?;
    ends.peer.wait_log(0, &["no acceptable proposal found"])?;
    ensure(said.contains("NO_PROPOSAL_CHOSEN"), "the refusal names no reason", &said)?;
    let up = (ends.peer.count_ike_sas()?, ends.peer.count_child_sas()?);
    ensure(up == (1, 1), "the tunnel did not live on", ends.peer.sas()?)?;
    Ok(said)
}

fn ike_by_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    rekey_ike(&ends)?;
    rekey_child(&ends)?;
    settled(&ends)?;
    Ok("and a child rekey on the new one".into())
}

fn ike_by_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    be_dialled(&ends)?;
    rekey_ike_there(&ends)?;
    rekey_child_there(&ends)?;
    settled(&ends)?;
    Ok("and a child rekey on the new one".into())
}

fn by_turns(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    for _ in 0..3 {
        rekey_ike(&ends)?;
        rekey_child_there(&ends)?;
        rekey_ike_there(&ends)?;
        rekey_child(&ends)?;
    }
    settled(&ends)?;
    Ok("12 rekeys".into())
}

/// Both ends are told at the same moment; some of these cross on the wire.
fn crossing(place: &Place) -> Verdict {
    const ROUNDS: usize = 12;
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    for round in 0..ROUNDS {
        let child = newest_child(&ends)?;
        let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
        let is_ike = round % 2 == 1;
        let theirs: &[&str] =
            if is_ike { &["--rekey", "--ike", "s2s"] } else { &["--rekey", "--child", "net"] };
        let (asked, said) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| ends.peer.ask(theirs));
            ends.engine.order(match is_ike {
                true => Order::RekeyIke,
                false => Order::RekeyChild(child),
            });
            asked.join().expect("no panic")
        })?;
        // Where our request was there first, strongSwan has no SA any more that it may rekey.
        let came_late = said.contains("no matching SAs to rekey found");
        ensure(asked || came_late, "strongSwan does not rekey", said)?;
        ends.engine.wait(mark, "a rekey", |event| match event {
            IkeEvent::IkeRekeyed { .. } => is_ike.then_some(()),
            IkeEvent::ChildUp { replaces: Some(_), .. } => (!is_ike).then_some(()),
            _ => None,
        })?;
        ends.peer.wait_log(from, &[if is_ike { "IKE_SA deleted" } else { "CHILD_SA closed" }])?;
        settled(&ends)?;
    }
    Ok(format!("{ROUNDS} rounds"))
}

fn by_their_clock(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| {
        theirs.connection = "rekey_time = 5s\nover_time = 5s\nrand_time = 0s".into();
        theirs.child = "rekey_time = 2s\nlife_time = 10s\nrand_time = 0s".into();
    })?;
    dial(&ends)?;
    clocked(&ends, 0)
}

fn by_our_clock(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, _| {
        (ours.ike_lifetime, ours.child_lifetime) = (Duration::from_secs(6), Duration::from_secs(3));
    })?;
    dial(&ends)?;
    clocked(&ends, 0)
}

/// Two rekeys of the IKE SA and three of the child, none of them asked for.
fn clocked(ends: &Ends, mark: usize) -> Verdict {
    until("two IKE rekeys and three child rekeys", Duration::from_secs(25), || {
        let story = ends.engine.story(mark);
        let rekeys = (story.matches("IkeRekeyed").count(), story.matches("replaces: Some").count());
        (rekeys.0 >= 2 && rekeys.1 >= 3).then_some(())
    })
    .map_err(|failure| failure.with("ours", &ends.engine.story(mark)))?;
    quiet(ends)?;
    Ok("2 of the IKE SA, 3 of the child".into())
}

fn reauthentication_by_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let mark = ends.engine.mark();
    ends.engine.order(Order::Reauthenticate);
    ends.engine.wait_ike_up(mark)?;
    ends.engine.wait(mark, "the old IKE SA goes", |event| {
        matches!(event, IkeEvent::IkeDown { .. }).then_some(())
    })?;
    settled(&ends)?;
    Ok("make before break".into())
}

fn reauthentication_broken(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    be_dialled(&ends)?;
    reauthenticated(&ends)
}

fn reauthentication_made(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.daemon = "make_before_break = yes".into())?;
    be_dialled(&ends)?;
    reauthenticated(&ends)
}

fn reauthenticated(ends: &Ends) -> Verdict {
    let mark = ends.engine.mark();
    ends.peer.control(&["--rekey", "--ike", "s2s", "--reauth"])?;
    ends.engine.wait_ike_up(mark)?;
    ends.engine.wait(mark, "the old IKE SA goes", |event| {
        matches!(event, IkeEvent::IkeDown { .. }).then_some(())
    })?;
    settled(ends)?;
    Ok(String::new())
}

fn down(ends: &Ends, mark: usize) -> Result<Cause, Failure> {
    ends.engine.wait(mark, "IKE SA down", |event| match event {
        IkeEvent::IkeDown { cause, .. } => Some(*cause),
        _ => None,
    })
}

fn delete_by_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    ends.engine.order(Order::Down);
    down(&ends, 0)?;
    ends.peer.wait_log(0, &["received DELETE for IKE_SA s2s"])?;
    ensure(ends.peer.count_ike_sas()? == 0, "an IKE SA stays", ends.peer.sas()?)?;
    Ok(String::new())
}

fn delete_by_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let mark = ends.engine.mark();
    ends.peer.control(&["--terminate", "--ike", "s2s"])?;
    let cause = down(&ends, mark)?;
    ensure(cause == Cause::DeletedByPeer, "the cause is another", format!("{cause:?}"))?;
    ends.engine.wait_child_up(mark)?;
    settled(&ends)?;
    Ok("up again".into())
}

fn delete_child_by_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let mark = ends.engine.mark();
    ends.peer.control(&["--terminate", "--child", "net"])?;
    ends.engine.wait_child_up(mark)?;
    settled(&ends)?;
    ensure(!ends.engine.story(mark).contains("IkeDown"), "the IKE SA went with it", "")?;
    Ok("up again on the same IKE SA".into())
}

fn they_ask(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.connection = "dpd_delay = 1s".into())?;
    dial(&ends)?;
    for _ in 0..3 {
        let from = ends.peer.log().len();
        ends.peer.wait_log(from, &["sending DPD request"])?;
        ends.peer.wait_log(from, &["parsed INFORMATIONAL response"])?;
    }
    settled(&ends)?;
    Ok("3 answers".into())
}

fn they_die(place: &Place) -> Verdict {
    let mut ends = place.azure_ends(|ours, _| ours.dpd_seconds = 9)?;
    dial(&ends)?;
    let mark = ends.engine.mark();
    ends.peer.kill();
    let cause = down(&ends, mark)?;
    ensure(cause == Cause::Silence, "the cause is another", format!("{cause:?}"))?;
    ends.peer = place.strongswan(&ends.theirs)?;
    ends.engine.wait_child_up(mark)?;
    ends.peer.wait_log(0, &["CHILD_SA net{", "established"])?;
    Ok("noticed by its silence, dialled until it was back".into())
}

fn we_die(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends)?;
    let Ends { engine, peer, ours, theirs } = ends;
    drop(engine);
    let from = peer.log().len();
    let engine = place.engine(&ours)?;
    let ends = Ends { engine, peer, ours, theirs };
    ends.engine.order(Order::Up);
    ends.engine.wait_child_up(0)?;
    ends.peer.wait_log(from, &["destroying duplicate IKE_SA"])?;
    settled(&ends)?;
    Ok("INITIAL_CONTACT clears the old SAs".into())
}

fn both_dial(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ends.peer.initiate());
        ends.engine.order(Order::Up);
        asked.join().expect("no panic")
    })?;
    ends.engine.wait_child_up(0)?;
    // strongSwan closes neither of two, so we do, once it had its time to.
    settled_within(&ends, Duration::from_secs(40))?;
    Ok("one remains".into())
}
