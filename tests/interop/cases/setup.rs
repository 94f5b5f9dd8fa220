//! Setting up: which end dials, which suites are negotiated, and IKE_SA_INIT with a cookie or
//! another group.

use s2sd::ike::admission::budget::HalfOpenLimits;
use s2sd::ike::diagnosis::azure_names::PolicyNames;
use s2sd::ike::endpoint::event::IkeEvent;

use crate::credentials::with_long_chains;
use crate::engine::{NAMES, Order};
use crate::patience::{Failure, ensure};
use crate::place::{Ends, Place};
use crate::{Case, Verdict};

pub const CASES: &[Case] = &[
    Case { name: "setup: we dial", run: we_dial },
    Case { name: "setup: strongSwan dials", run: they_dial },
    Case { name: "setup: every suite, we dial", run: every_suite_from_us },
    Case { name: "setup: every suite, strongSwan dials", run: every_suite_from_them },
    Case { name: "setup: strongSwan wants another group", run: another_group_there },
    Case { name: "setup: we want another group", run: another_group_here },
    Case { name: "setup: strongSwan wants a cookie", run: cookie_there },
    Case { name: "setup: we want a cookie", run: cookie_here },
    Case { name: "setup: fragments both ways, we dial", run: fragments_from_us },
    Case { name: "setup: fragments both ways, strongSwan dials", run: fragments_from_them },
    Case { name: "setup: childless, we dial", run: childless_from_us },
    Case { name: "setup: childless, strongSwan dials", run: childless_from_them },
    Case { name: "setup: several selectors", run: several_selectors },
    Case { name: "setup: strongSwan narrows", run: they_narrow },
    Case { name: "setup: we narrow", run: we_narrow },
];

/// We dial; the suites of both SAs.
pub fn dial(ends: &Ends) -> Result<[String; 2], Failure> {
    let mark = ends.engine.mark();
    ends.engine.order(Order::Up);
    wait_up(ends, mark)
}

/// strongSwan dials; the suites of both SAs.
pub fn be_dialled(ends: &Ends) -> Result<[String; 2], Failure> {
    let mark = ends.engine.mark();
    let (succeeded, text) = ends.peer.initiate()?;
    let evidence = format!("{text}\n{}", ends.engine.story(mark));
    ensure(succeeded, "strongSwan could not set the child up", evidence)?;
    wait_up(ends, mark)
}

fn wait_up(ends: &Ends, mark: usize) -> Result<[String; 2], Failure> {
    let blame = |failure: Failure| failure.with("strongSwan's log", &ends.peer.tail());
    let ike = ends.engine.wait_ike_up(mark).map_err(blame)?;
    let (_, child, _) = ends.engine.wait_child_up(mark).map_err(blame)?;
    ends.peer.wait_log(0, &["CHILD_SA net{", "established"])?;
    Ok([ike, child])
}

fn we_dial(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    dial(&ends).map(|suites| suites.join(", "))
}

fn they_dial(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, _| {})?;
    be_dialled(&ends).map(|suites| suites.join(", "))
}

/// Each of Azure's values at least once, with strongSwan's words for it: the IKE SA's, then the
/// child's.
fn suites() -> Vec<(PolicyNames<'static>, String, &'static str)> {
    let mut suites = Vec::new();
    let gcm = [("SHA384", "prfsha384"), ("SHA256", "prfsha256"), ("SHA1", "prfsha1")];
    let ciphers = [("GCMAES256", "aes256gcm16"), ("GCMAES128", "aes128gcm16")];
    for ((encryption, word), (integrity, prf)) in ciphers
        .into_iter()
        .flat_map(|cipher| gcm.into_iter().map(move |integrity| (cipher, integrity)))
    {
        let names = PolicyNames { ike_encryption: encryption, ike_integrity: integrity, ..NAMES };
        suites.push((names, format!("{word}-{prf}-ecp384"), "aes256gcm16"));
    }
    for (encryption, word) in [("AES256", "aes256"), ("AES192", "aes192"), ("AES128", "aes128")] {
        for (integrity, hash) in [("SHA384", "sha384"), ("SHA256", "sha256"), ("SHA1", "sha1")] {
            let names =
                PolicyNames { ike_encryption: encryption, ike_integrity: integrity, ..NAMES };
            suites.push((names, format!("{word}-{hash}-ecp384"), "aes256gcm16"));
        }
    }
    for (group, word) in [
        ("DHGroup24", "modp2048s256"),
        ("ECP256", "ecp256"),
        ("DHGroup14", "modp2048"),
        ("DHGroup2", "modp1024"),
    ] {
        let names = PolicyNames { dh_group: group, ..NAMES };
        suites.push((names, format!("aes256gcm16-prfsha384-{word}"), "aes256gcm16"));
    }
    for (encryption, integrity, word) in [
        ("GCMAES192", "GCMAES192", "aes192gcm16"),
        ("GCMAES128", "GCMAES128", "aes128gcm16"),
        ("AES256", "SHA256", "aes256-sha256"),
        ("AES256", "SHA1", "aes256-sha1"),
        ("AES192", "SHA256", "aes192-sha256"),
        ("AES128", "SHA1", "aes128-sha1"),
        ("None", "SHA256", "null-sha256"),
    ] {
        let names =
            PolicyNames { ipsec_encryption: encryption, ipsec_integrity: integrity, ..NAMES };
        suites.push((names, "aes256gcm16-prfsha384-ecp384".into(), word));
    }
    suites
}

fn every_suite_from_us(place: &Place) -> Verdict {
    let mut ends = place.azure_ends(|_, _| {})?;
    every_suite(&mut ends, |ends| {
        dial(ends)?;
        ends.engine.order(Order::Down);
        Ok(())
    })
}

fn every_suite_from_them(place: &Place) -> Verdict {
    let mut ends = place.azure_ends(|_, _| {})?;
    every_suite(&mut ends, |ends| {
        be_dialled(ends)?;
        ends.peer.control(&["--terminate", "--ike", "s2s"]).map(drop)
    })
}

/// Up and down with each suite, which both ends confirm.
fn every_suite(ends: &mut Ends, connect: fn(&Ends) -> Result<(), Failure>) -> Verdict {
    let all = suites();
    for (names, ike, esp) in &all {
        let (mark, from) = (ends.engine.mark(), ends.peer.log().len());
        ends.ours.names = vec![*names];
        (ends.theirs.ike, ends.theirs.esp) = (ike.clone(), (*esp).to_owned());
        ends.peer.load(&ends.theirs)?;
        ends.engine.order(Order::Configure(Box::new(ends.ours.clone())));
        let story = |failure: Failure| failure.with("the suite", &format!("{names:?}"));
        connect(ends).map_err(story)?;
        ends.engine.wait(mark, "IKE SA down", |event| {
            matches!(event, IkeEvent::IkeDown { .. }).then_some(())
        })?;
        ends.peer.wait_log(from, &["IKE_SA deleted"])?;
    }
    Ok(format!("{} suites", all.len()))
}

fn another_group_there(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.names = vec![
            PolicyNames { dh_group: "ECP384", ..NAMES },
            PolicyNames { dh_group: "DHGroup14", ..NAMES },
        ];
        theirs.ike = "aes256gcm16-prfsha384-modp2048".into();
    })?;
    let [ike, _] = dial(&ends)?;
    ends.peer.wait_log(0, &["INVAL_KE"])?;
    ensure(ike.ends_with("MODP_2048"), "another group was taken", &ike)?;
    Ok(ike)
}

fn another_group_here(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.names = vec![PolicyNames { dh_group: "DHGroup14", ..NAMES }];
        theirs.ike = "aes256gcm16-prfsha384-ecp384-modp2048".into();
    })?;
    let [ike, _] = be_dialled(&ends)?;
    ends.peer.wait_log(0, &["peer didn't accept DH group ECP_384, it requested MODP_2048"])?;
    Ok(ike)
}

fn cookie_there(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| {
        theirs.daemon = "cookie_threshold = 1\ncookie_threshold_ip = 1".into();
    })?;
    // An IKE SA that stays half-open, from another SPI.
    ends.engine.order(Order::Mute);
    ends.engine.order(Order::Up);
    ends.peer.wait_log(0, &["generating IKE_SA_INIT response"])?;
    let Ends { engine, peer, ours, theirs } = ends;
    drop(engine);
    let engine = place.engine(&ours)?;
    let ends = Ends { engine, peer, ours, theirs };
    let suites = dial(&ends)?;
    ends.peer.wait_log(0, &["parsed IKE_SA_INIT request 0 [ N(COOKIE)"])?;
    Ok(suites.join(", "))
}

fn cookie_here(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, _| {
        ours.half_open = HalfOpenLimits { cookies_from: 0, ..HalfOpenLimits::default() };
    })?;
    let suites = be_dialled(&ends)?;
    ends.peer.wait_log(0, &["parsed IKE_SA_INIT response 0 [ N(COOKIE) ]"])?;
    Ok(suites.join(", "))
}

fn fragments_from_us(place: &Place) -> Verdict {
    let ends = place.ends(&with_long_chains(), |_, _| {})?;
    dial(&ends)?;
    fragmented(&ends)
}

fn fragments_from_them(place: &Place) -> Verdict {
    let ends = place.ends(&with_long_chains(), |_, _| {})?;
    be_dialled(&ends)?;
    fragmented(&ends)
}

fn fragmented(ends: &Ends) -> Verdict {
    ends.peer.wait_log(0, &["received fragment #", "reassembled fragmented IKE message"])?;
    ends.peer.wait_log(0, &["splitting IKE message"])?;
    Ok("RFC 7383".into())
}

fn childless_from_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.childless = true;
        theirs.connection = "childless = allow".into();
    })?;
    dial(&ends)?;
    ends.peer.wait_log(0, &["parsed CREATE_CHILD_SA request"])?;
    Ok("RFC 6023, the child by CREATE_CHILD_SA".into())
}

fn childless_from_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.childless = true;
        theirs.connection = "childless = force".into();
    })?;
    be_dialled(&ends)?;
    ends.peer.wait_log(0, &["parsed CREATE_CHILD_SA response"])?;
    Ok("RFC 6023, the child by CREATE_CHILD_SA".into())
}

fn several_selectors(place: &Place) -> Verdict {
    // kernel-libipsec makes routes, and for those wants an address of its own in every selector.
    place.add_address(&place.lab.gateways[1], "10.2.7.1")?;
    let ends = place.azure_ends(|ours, theirs| {
        ours.selectors =
            vec![["10.1.0.0/25,10.1.0.128/26", "10.2.0.0/24"], ["10.1.7.0/24", "10.2.7.0/24"]];
        (theirs.local_ts, theirs.remote_ts) =
            ("10.2.0.0/24".into(), "10.1.0.0/25,10.1.0.128/26".into());
        theirs.children =
            "two { local_ts = 10.2.7.0/24\nremote_ts = 10.1.7.0/24\nesp_proposals = aes256gcm16 }"
                .into();
    })?;
    dial(&ends)?;
    ends.peer.wait_log(0, &["CHILD_SA two{", "TS 10.2.7.0/24 === 10.1.7.0/24"])?;
    ends.peer.wait_log(0, &["CHILD_SA net{", "10.1.0.0/25", "10.1.0.128/26"])?;
    Ok("two children on one IKE SA".into())
}

fn they_narrow(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, _| ours.selectors = vec![["0.0.0.0/0", "0.0.0.0/0"]])?;
    let mark = ends.engine.mark();
    dial(&ends)?;
    agreed(&ends, mark)
}

fn we_narrow(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| {
        (theirs.local_ts, theirs.remote_ts) = ("0.0.0.0/0".into(), "0.0.0.0/0".into());
    })?;
    let mark = ends.engine.mark();
    be_dialled(&ends)?;
    agreed(&ends, mark)
}

fn agreed(ends: &Ends, mark: usize) -> Verdict {
    let selectors = ends.engine.wait(mark, "child up", |event| match event {
        IkeEvent::ChildUp { selectors, .. } => {
            Some([&selectors.local, &selectors.remote].map(ToString::to_string))
        }
        _ => None,
    })?;
    let said = selectors.join(" <-> ");
    ensure(
        selectors == ["10.1.0.0/24", "10.2.0.0/24"],
        "the narrower selectors were not agreed",
        &said,
    )?;
    ends.peer.wait_log(0, &["CHILD_SA net{", "TS 10.2.0.0/24 === 10.1.0.0/24"])?;
    Ok(said)
}
