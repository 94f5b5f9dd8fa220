//! A tunnel under load for a long time, with rekeys of child and IKE SA from both sides, beside the
//! same load without them. Not part of the ordinary run: `S2SD_SOAK_SECONDS` sets the time of each
//! of the two, and so asks for it.
//!
//! Each minute (or each sixth of the time, when that is less) our side replaces everything, half of
//! that later the other side does. The load is a stream of TCP and one of numbered datagrams each
//! way; `S2SD_SOAK_MEGABITS` sets what the streams carry together. strongSwan's ESP in userspace
//! has its limit below 1 Gbit/s: towards it the load is what it can carry.

use std::time::Duration;

use crate::credentials::azure;
use crate::daemon::{self, Daemon};
use crate::lab::traffic::{flood, retransmitted, stream};
use crate::patience::{Failure, clock, ensure, soak_seconds, until};
use crate::place::Place;
use crate::strongswan;
use crate::{Case, Verdict};

const CASES: &[Case] = &[
    Case { name: "soak: strongSwan, rekeys from both sides", run: with_strongswan },
    Case { name: "soak: s2sd at both ends, rekeys from both sides", run: with_ourselves },
];

/// The cases, when they are asked for.
pub fn cases() -> &'static [Case] {
    if soak_seconds().is_some() { CASES } else { &[] }
}

/// Numbered datagrams a second, each way.
const DATAGRAMS: usize = 2000;
const CONNECTION: &str = "VNet1-to-Site1";

/// What became of a load.
#[derive(Debug)]
struct Outcome {
    gigabits_per_second: f64,
    datagrams: usize,
    lost: usize,
    doubled: usize,
    retransmitted: u64,
    rekeys: usize,
}

/// One round of rekeys by one side, waited for.
type Rekey<'a> = &'a (dyn Fn() -> Result<(), Failure> + Sync);

fn with_strongswan(place: &Place) -> Verdict {
    let credentials = azure();
    let mut theirs = strongswan::Settings::new(&credentials[1]);
    theirs.esp = "aes256gcm16-ecp384".into();
    let theirs = place.strongswan(&theirs)?;
    let ours = place.daemon(&settings(0))?;
    ours.wait_log(0, &["child SA up"])?;
    theirs.wait_log(0, &["CHILD_SA net{", "established"])?;
    let by_them = || {
        let from = ours.log().len();
        theirs.control(&["--rekey", "--child", "net"])?;
        ours.wait_log(from, &["child SA up", "rekeyed)"])?;
        theirs.control(&["--rekey", "--ike", "s2s"])?;
        ours.wait_log(from, &["IKE SA rekeyed"]).map(drop)
    };
    compare(place, 400, [&|| rekey(&ours), &by_them])
}

fn with_ourselves(place: &Place) -> Verdict {
    let theirs = place.daemon_there(&settings(1))?;
    let ours = place.daemon(&settings(0))?;
    ours.wait_log(0, &["child SA up"])?;
    theirs.wait_log(0, &["child SA up"])?;
    compare(place, 1000, [&|| rekey(&ours), &|| rekey(&theirs)])
}

fn settings(side: usize) -> daemon::Settings {
    let mut settings = daemon::Settings::new(&azure()[side]);
    settings.connection = "dpd_timeout_seconds = 45".into();
    settings.mode = ["Default", "InitiatorOnly"][side];
    if side == 1 {
        std::mem::swap(&mut settings.here, &mut settings.there[0]);
        std::mem::swap(&mut settings.local, &mut settings.remote);
    }
    settings
}

/// One side of ours replaces its child and its IKE SA.
fn rekey(daemon: &Daemon) -> Result<(), Failure> {
    let from = daemon.log().len();
    daemon.order(&["rekey", CONNECTION, "--child"])?;
    daemon.wait_log(from, &["child SA up", "rekeyed)"])?;
    daemon.order(&["rekey", CONNECTION, "--ike"])?;
    daemon.wait_log(from, &["IKE SA rekeyed"]).map(drop)
}

/// The same load twice, without rekeys and with them.
fn compare(place: &Place, megabits: u64, sides: [Rekey<'_>; 2]) -> Verdict {
    let megabits = std::env::var("S2SD_SOAK_MEGABITS").map_or(megabits, |n| n.parse().unwrap());
    let time = Duration::from_secs(soak_seconds().unwrap_or_default());
    let still = load(place, time, megabits, |_| Ok(0))?;
    println!("without rekeys: {still:?}");
    let period = (time / 6).min(Duration::from_secs(60));
    let busy = load(place, time, megabits, |begin| rekey_by_turns(begin, time, period, sides))?;
    println!("with rekeys:    {busy:?}");
    let evidence = format!("without rekeys: {still:?}\nwith rekeys:    {busy:?}");
    ensure(still.doubled + busy.doubled == 0, "datagrams arrived twice", &evidence)?;
    ensure(busy.lost <= still.lost, "rekeys lost datagrams", &evidence)?;
    let enough = megabits as f64 / 1e3 * 0.95;
    let least = still.gigabits_per_second.min(busy.gigabits_per_second);
    ensure(least >= enough, "the streams were slower than they should be", &evidence)?;
    Ok(format!(
        "{least:.2} Gbit/s, {} rekeys; lost {} of {} without, {} of {} with; TCP sent again {} and {}",
        busy.rekeys,
        still.lost,
        still.datagrams,
        busy.lost,
        busy.datagrams,
        still.retransmitted,
        busy.retransmitted
    ))
}

/// Each side at its time, as long as there is load; how many SAs were replaced.
fn rekey_by_turns(
    begin: std::time::Instant,
    time: Duration,
    period: Duration,
    sides: [Rekey<'_>; 2],
) -> Result<usize, Failure> {
    let mut rekeys = 0;
    for turn in 1u32.. {
        let at = period * turn / 2;
        // The last one still has load behind it.
        if at + period / 4 >= time {
            break;
        }
        std::thread::sleep(at.saturating_sub(begin.elapsed()));
        let side = sides[usize::from(turn % 2 == 0)];
        side()?;
        rekeys += 2;
    }
    Ok(rekeys)
}

fn load(
    place: &Place,
    time: Duration,
    megabits: u64,
    work: impl FnOnce(std::time::Instant) -> Result<usize, Failure>,
) -> Result<Outcome, Failure> {
    let lab = &place.lab;
    // The routes are there when an echo passes.
    until("an echo", Duration::from_secs(10), || {
        (!crate::lab::traffic::round_trips(lab, 1).is_empty()).then_some(())
    })?;
    let (before, begin) = (retransmitted(lab), clock());
    std::thread::scope(|scope| {
        let streams = [0, 1].map(|from| scope.spawn(move || stream(lab, from, megabits / 2, time)));
        let floods =
            [0, 1].map(|from| scope.spawn(move || flood(lab, from, 200, DATAGRAMS, time, true)));
        let rekeys = work(begin)?;
        let mut bytes = 0;
        for stream in streams {
            let received = stream.join().expect("no panic");
            bytes += received.map_err(|error| Failure::new("a TCP stream", error))?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let floods = floods.map(|flood| flood.join().expect("no panic"));
        let sum = |of: fn(&crate::lab::traffic::Flood) -> usize| floods.iter().map(of).sum();
        Ok(Outcome {
            gigabits_per_second: bytes as f64 * 8.0 / seconds / 1e9,
            datagrams: sum(|flood| flood.sent),
            lost: sum(|flood| flood.sent - (flood.received - flood.doubled)),
            doubled: sum(|flood| flood.doubled),
            retransmitted: retransmitted(lab) - before,
            rekeys,
        })
    })
}
