//! Services that are restarted and killed under traffic, each with a keeper of its descriptors: no
//! SA is negotiated from scratch, streams live on, no sequence number is used twice. Needs root,
//! and passes with a line that says so where it is missing.
//!
//! `S2SD_RESTARTS=50` has fifty of each kind instead of three; run with `--nocapture` for the
//! figures: `S2SD_RESTARTS=50 cargo test --release --test restart under_load -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod capture;
mod keeper;
#[path = "../lab/mod.rs"]
mod lab;
mod load;
mod pair;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use s2sd::wire::packet::ip::IpVersion;
use serde_json::Value as Json;

use lab::SIDES;
use lab::traffic::{clock, transfer};
use lab::wire::tap;
use load::Pulse;
use pair::Pair;

/// A restart as the service manager's restart job has it.
const PLANNED: Signal = Signal::SIGUSR2;
const CRASH: Signal = Signal::SIGKILL;

fn passes(pair: &Pair) {
    for from in SIDES {
        transfer(&pair.lab, from, IpVersion::V4, 1 << 20).unwrap();
    }
}

/// Down and up again: with a signature.
fn negotiates_anew(pair: &Pair) {
    assert!(pair.order(0, &["down", "tunnel"]).status.success());
    pair.wait(1, "waiting");
    assert!(pair.order(0, &["up", "tunnel"]).status.success());
    pair.wait(0, "up");
    passes(pair);
}

#[test]
fn restarts_and_crashes_under_load_lose_no_tunnel() {
    let Some(mut pair) = Pair::start("load") else { return };
    let asked = std::env::var("S2SD_RESTARTS");
    let times: usize = asked.as_ref().map_or(3, |text| text.parse().unwrap());
    let (done, moved, pulse) = (AtomicBool::new(false), AtomicU64::new(0), Pulse::default());
    let wire = tap(&pair.lab.gateways[0]);
    let lab = pair.lab.share();
    let (mut planned, mut crashed) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| capture::watch(&wire, &done));
        let stream = scope.spawn(|| load::stream(&lab, &done, &moved));
        let pulses = SIDES.map(|from| {
            let (pulse, lab, done) = (&pulse, &lab, &done);
            scope.spawn(move || pulse.run(lab, from, done))
        });
        let _end = Finally(&done);
        for turn in 0..2 * times {
            let side = turn / 2 % 2;
            let signal = [PLANNED, CRASH][turn % 2];
            SIDES.into_iter().for_each(|side| pair.settle(side));
            let (spi, bytes, began) = (pair.spi(side), moved.load(Ordering::Relaxed), clock());
            pair.restart(side, signal);
            let up = clock();
            wait(|| pulse.beats_after(up) && moved.load(Ordering::Relaxed) > bytes, &pair);
            pair.settle(side);
            let gap = pulse.gap(began);
            match signal {
                PLANNED => {
                    assert_eq!(pair.spi(side), spi, "a planned restart renegotiates nothing");
                    planned.push(gap);
                }
                _ => {
                    pair.wait_for(side, "rekeyed", |_| {
                        ![spi.as_str(), ""].contains(&&*pair.spi(side))
                    });
                    crashed.push(gap);
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        stream.join().unwrap().unwrap();
        pulses.into_iter().for_each(|pulse| pulse.join().unwrap());
        let seen = watch.join().unwrap();
        assert!(seen.packets > 1000, "{} packets captured", seen.packets);
        assert!(seen.repeated.is_empty(), "numbers came twice: {:x?}", seen.repeated);
        println!(
            "{times} planned restarts: {}\n{times} crashes:          {}\n{} MB in one TCP stream; {} ESP packets on {} SAs captured, no number twice",
            tell(&mut planned),
            tell(&mut crashed),
            moved.load(Ordering::Relaxed) >> 20,
            seen.packets,
            seen.sas(),
        );
    });
    for side in SIDES {
        assert_eq!(pair.count(side, "IKE SA up"), 1, "{}", pair.log(side));
        assert_eq!(pair.count(side, "the former process is not used"), 0, "{}", pair.log(side));
    }
    // A machine that does other things as well is slower than the one of the acceptance run, which
    // says how often.
    let within = if asked.is_ok() { [100, 1000] } else { [1000, 3000] };
    for (gaps, most) in [planned, crashed].into_iter().zip(within) {
        assert!(gaps.iter().max() < Some(&Duration::from_millis(most)), "{gaps:?}");
    }
}

/// Ends the traffic whatever way the test goes.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn wait(is_so: impl Fn() -> bool, pair: &Pair) {
    let began = clock();
    while !is_so() {
        let logs = || SIDES.map(|side| pair.log(side)).join("\n---\n");
        assert!(began.elapsed() < Duration::from_secs(20), "traffic does not go on: {}", logs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn tell(gaps: &mut [Duration]) -> String {
    gaps.sort_unstable();
    let (median, max) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    format!(
        "gap {:.1} ms median, {:.1} ms at most",
        1e3 * median.as_secs_f64(),
        1e3 * max.as_secs_f64()
    )
}

#[test]
fn a_stop_says_goodbye_and_leaves_nothing() {
    let Some(mut pair) = Pair::start("stop") else { return };
    assert!(
        ["store", "ledger", "ike", "tun-azure0", "lane-azure0"]
            .iter()
            .all(|name| pair.keepers[0].names().iter().any(|kept| kept == name))
    );
    assert!(matches!(pair.keepers[0].end(Signal::SIGTERM), WaitStatus::Exited(_, 0)));
    pair.wait(1, "waiting");
    assert_eq!(pair.keepers[0].names(), Vec::<String>::new());
    assert_eq!(pair.device(0), None, "the device is gone though it was kept");
    pair.launch(0);
    pair.wait(0, "up");
    passes(&pair);
}

#[test]
fn a_restart_meets_a_changed_configuration_as_a_reload_does() {
    let Some(mut pair) = Pair::start("changed") else { return };
    passes(&pair);
    let (spi, device) = (pair.spi(0), pair.device(0));
    pair.configure(0, 30, 1400);
    assert!(matches!(pair.keepers[0].end(PLANNED), WaitStatus::Exited(_, 0)));
    assert_eq!(pair.device(0), device, "the device stays");
    assert!(pair.routes(0).contains("azure0"), "and its routes");
    pair.launch(0);
    pair.wait(0, "up");
    assert_eq!((pair.spi(0), pair.device(0)), (spi, device));
    assert_eq!(pair.tunnel(0)["dpd_timeout_seconds"], 30);
    passes(&pair);
    // Another interface is another tunnel: the old one ends with a farewell.
    pair.configure(0, 30, 1300);
    pair.restart(0, PLANNED);
    pair.wait_for(0, "up anew", |status| {
        let tunnel = &status["connections"][0]["tunnels"][0];
        tunnel["state"] == "up" && tunnel["mtu"] == 1300
    });
    assert_ne!(pair.device(0), device);
    assert!(pair.count(1, "the peer deleted the SA") > 0, "{}", pair.log(1));
    passes(&pair);
}

#[test]
fn what_cannot_be_taken_up_is_put_aside_and_the_start_is_cold() {
    let Some(mut pair) = Pair::start("cold") else { return };
    passes(&pair);
    pair.keepers[0].end(CRASH);
    pair.keepers[0].lose("ledger");
    pair.launch(0);
    pair.wait(0, "up");
    passes(&pair);
    assert_eq!(pair.count(0, "IKE SA up"), 2);
    wait(|| pair.count(1, "the peer started anew") > 0, &pair);
    // A device or a socket that is missing is made anew, and the SAs go on.
    for name in ["tun-azure0", "lane-azure0", "ike"] {
        pair.settle(0);
        pair.keepers[0].end(PLANNED);
        pair.keepers[0].lose(name);
        pair.launch(0);
        pair.wait(0, "up");
        passes(&pair);
    }
    assert_eq!(pair.count(0, "IKE SA up"), 2, "{}", pair.log(0));
}

#[test]
fn ages_and_volumes_go_on_over_a_restart() {
    let Some(mut pair) = Pair::start("ages") else { return };
    passes(&pair);
    let read = |tunnel: &Json, fields: &[&str]| -> Vec<u64> {
        let field = |name: &&str| tunnel.pointer(&format!("/{name}")).and_then(Json::as_u64);
        fields
            .iter()
            .map(|name| field(name).unwrap_or_else(|| panic!("{name}: {tunnel:#}")))
            .collect()
    };
    let ages = ["state_seconds", "ike_seconds"];
    let volumes = ["bytes_out", "bytes_in", "children/0/bytes_out", "children/0/bytes_in"];
    for signal in [PLANNED, CRASH] {
        pair.wait_for(0, "older", |status| status["running_seconds"].as_u64() >= Some(3));
        let before = pair.tunnel(0);
        pair.restart(0, signal);
        pair.wait(0, "up");
        let status = pair.status(0);
        let after = &status["connections"][0]["tunnels"][0];
        for (was, is) in read(&before, &ages).into_iter().zip(read(after, &ages)) {
            assert!(was >= 2 && was <= is, "{ages:?} before {before:#} and after {after:#}");
        }
        assert!(status["running_seconds"].as_u64() < after["state_seconds"].as_u64());
        assert!(after["heard_seconds"].is_u64(), "{after:#}");
        if signal == PLANNED {
            // Nothing moves meanwhile: what is counted once more, or not at all, shows.
            assert!(read(&before, &volumes).iter().all(|volume| *volume > 1 << 20), "{before:#}");
            assert_eq!(read(&before, &volumes), read(after, &volumes));
            assert!(read(after, &["children/0/seconds"]) >= read(&before, &["children/0/seconds"]));
        }
    }
}

/// The kernel's numbers of the lane's sockets: those of UDP that are connected.
fn lane_sockets(pair: &Pair) -> Vec<String> {
    let read = || fs::read_to_string("/proc/thread-self/net/udp");
    let table = pair.lab.gateways[0].run(read).unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let connected = rows.filter(|cells| !cells[2].starts_with("00000000"));
    connected.map(|cells| cells[9].to_owned()).collect()
}

/// What had arrived and was not read yet is in the socket: another one would begin without it.
#[test]
fn a_planned_restart_goes_on_with_the_lanes_socket() {
    let Some(mut pair) = Pair::start("socket") else { return };
    let before = lane_sockets(&pair);
    assert_eq!(before.len(), 1, "{before:?}");
    pair.restart(0, PLANNED);
    pair.wait(0, "up");
    passes(&pair);
    assert_eq!(lane_sockets(&pair), before);
}

#[test]
fn a_signer_that_dies_is_replaced_with_its_service_and_the_tunnel_is_kept() {
    let Some(mut pair) = Pair::start("signer") else { return };
    passes(&pair);
    pair.settle(0);
    let (spi, device) = (pair.spi(0), pair.device(0));
    pair.wait_for(0, "old enough", |status| status["running_seconds"].as_u64() >= Some(4));
    let [signer] = pair.keepers[0].children()[..] else { panic!("one child, the signer") };
    nix::sys::signal::kill(signer, CRASH).unwrap();
    // A failure, so that the unit is started again.
    let ended = pair.keepers[0].await_end();
    assert!(matches!(ended, WaitStatus::Exited(_, 1)), "{ended:?}: {}", pair.log(0));
    assert_eq!(pair.count(0, "keeps the private keys is gone; the tunnels are kept"), 1);
    assert_eq!(pair.device(0), device);
    pair.launch(0);
    pair.wait(0, "up");
    assert_eq!(pair.spi(0), spi, "nothing is negotiated");
    passes(&pair);
    negotiates_anew(&pair);
    assert_eq!(pair.count(0, "IKE SA up"), 2, "{}", pair.log(0));
}

#[test]
fn a_restart_while_certificate_files_are_not_in_order_keeps_what_is_established() {
    let Some(mut pair) = Pair::start("files") else { return };
    passes(&pair);
    let certificate = pair.file(0, "cer");
    let good = fs::read(&certificate).unwrap();
    fs::write(&certificate, "half of a certifi").unwrap();
    for signal in [PLANNED, CRASH] {
        pair.restart(0, signal);
        pair.wait(0, "up");
        let tunnel = pair.tunnel(0);
        let obstacle = tunnel["obstacle"].as_str().unwrap_or("");
        assert!(obstacle.contains("certificate files are not in order"), "{tunnel:#}");
        assert!(pair.routes(0).contains("azure0"));
        passes(&pair);
    }
    // A rekey needs no certificate. What does need one is refused, and says why.
    let before = pair.tunnel(0)["rekeys"].as_u64();
    assert!(pair.order(0, &["rekey", "tunnel", "--ike"]).status.success());
    pair.wait_for(0, "rekeyed", |status| {
        status["connections"][0]["tunnels"][0]["rekeys"].as_u64() > before
    });
    assert_eq!(pair.count(1, "IKE SA up"), 1, "{}", pair.log(1));
    fs::write(&certificate, good).unwrap();
    assert!(pair.order(0, &["reload"]).status.success());
    pair.wait_for(0, "mended", |status| {
        status["connections"][0]["tunnels"][0]["obstacle"].is_null()
    });
    passes(&pair);
    negotiates_anew(&pair);
}

#[test]
fn an_operators_wish_outlives_a_restart() {
    let Some(mut pair) = Pair::start("wish") else { return };
    assert!(pair.order(0, &["down", "tunnel"]).status.success());
    pair.wait(1, "waiting");
    for signal in [PLANNED, CRASH] {
        pair.restart(0, signal);
        pair.wait(0, "down");
    }
    assert!(pair.order(0, &["up", "tunnel"]).status.success());
    pair.wait(0, "up");
    passes(&pair);
}
