//! What fails around a running service, and what it does: each fault is named in the log or the
//! status, no thread spins, the other tunnel goes on, and this one carries packets again when the
//! fault is over. Needs root; says so and passes where it is not.
#![allow(clippy::print_stdout, reason = "figures beside the verdicts, for --nocapture")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../lab/mod.rs"]
mod lab;
mod two;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::Signal;
use s2sd::sys::fault::Call;

use lab::traffic::clock;
use two::{TUNNELS, Two, prefix};

/// What a service that has nothing to do but to try again may take of a processor.
const IDLE: f64 = 0.3;
/// How long that is looked at.
const WINDOW: Duration = Duration::from_secs(1);

/// Seconds until a time when the certificates are no longer valid, and to one when they were not
/// yet: rcgen's are from 1975 to 4096.
const FUTURE: i64 = 70_000_000_000;
const PAST: i64 = -1_700_000_000;

/// Pings without an end for a while; whether any came through.
fn ping_for(two: &Two, time: Duration) -> bool {
    let began = clock();
    let mut passed = false;
    while began.elapsed() < time {
        passed |= two.ping(0);
    }
    passed
}

#[test]
fn packets_that_the_kernel_refuses_are_counted_by_reason_and_named() {
    let Some(two) = Two::start("refused") else { return };
    let spis = TUNNELS.map(|tunnel| two.spis(tunnel));
    for (errno, counter, words) in [
        ("EPERM", "firewall", "a firewall on this host"),
        ("ENETUNREACH", "no_route", "no route leads to the gateway"),
        ("EHOSTUNREACH", "no_route", "no route leads to the gateway"),
        ("ENETDOWN", "no_route", "no route leads to the gateway"),
        ("EADDRNOTAVAIL", "no_address", "not on this host any more"),
        ("EINVAL", "no_address", "not on this host any more"),
        ("ENOBUFS", "no_room", "no room"),
        ("ENOMEM", "no_room", "no room"),
        ("EAGAIN", "no_room", ""),
        ("EMSGSIZE", "path_shrank", "does not fit"),
        ("EIO", "send_failed", "Input/output error"),
    ] {
        let before = two.tunnel(0)["drops"][counter].as_u64().unwrap_or(0);
        two.arm(&format!("send:{errno}"));
        let load = two.load(|| {
            assert!(!two.ping(0) && !two.ping(0), "{errno}");
            two.wait_until(0, counter, |tunnel| {
                let unsent = tunnel["unsent"].as_str().unwrap_or("");
                tunnel["drops"][counter].as_u64() > Some(before) && unsent.contains(words)
            });
        });
        println!("send {errno}: {load:.2} of a processor");
        assert!(two.faults.failed(Call::Send) > 0);
        two.arm("send:");
        two.passes(0);
        two.wait_until(0, "mended", |tunnel| tunnel["unsent"].is_null());
    }
    two.arm("send:EPERM");
    assert!(!two.ping(0));
    let page = String::from_utf8(two.order(0, &["status"]).stdout).unwrap();
    assert!(page.contains("    not sent   a firewall on this host refuses the packets"), "{page}");
    two.arm("send:");
    for errno in ["ENOBUFS", "ENOMEM", "EAGAIN", "EIO"] {
        let before = two.tunnel(0)["drops"]["device_full"].as_u64().unwrap_or(0);
        two.arm(&format!("tun_write:{errno}:times=3"));
        assert!(!two.ping(0), "{errno}");
        two.wait_until(0, errno, |tunnel| tunnel["drops"]["device_full"].as_u64() > Some(before));
        two.passes(0);
    }
    // Now and then is no outage: what is lost is counted, the rest passes.
    two.arm("send:ENOBUFS:every=3,tun_write:ENOMEM:every=5");
    assert!((0..20).filter(|_| two.ping(0)).count() > 0);
    two.arm("send:,tun_write:");
    TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    assert_eq!(TUNNELS.map(|tunnel| two.spis(tunnel)), spis, "nothing was negotiated anew");
    let log = two.log();
    assert!(
        log.contains("packets cannot be sent") && log.contains("packets are sent again"),
        "{log}"
    );
    assert!(log.matches("cannot be sent").count() < 10, "{log}");
}

#[test]
fn calls_that_fail_again_and_again_make_no_thread_spin_or_end() {
    let Some(two) = Two::start("backoff") else { return };
    for (call, errno, line) in [
        (Call::Receive, "receive:ENOMEM", "receiving from the peer failed 10 times"),
        (Call::Receive, "receive:ECONNREFUSED", ""),
        (Call::Receive, "receive:EINTR", ""),
        (Call::TunRead, "tun_read:ENOMEM", "reading packets from the device failed 10 times"),
        (Call::Poll, "poll:ENOMEM", "failed 10 times in a row"),
        (Call::IkeReceive, "ike_receive:ENOMEM", ""),
    ] {
        two.arm(errno);
        let load = two.load(|| _ = ping_for(&two, WINDOW));
        println!("{errno}: {load:.2} of a processor, {} calls failed", two.faults.failed(call));
        assert!(load < IDLE, "{errno}: {load:.2} of a processor: {}", two.log());
        if call != Call::IkeReceive {
            assert!((5..5000).contains(&two.faults.failed(call)), "{}", two.faults.failed(call));
        }
        assert!(two.log().contains(line), "{line}: {}", two.log());
        two.arm(&format!("{}:", errno.split_once(':').unwrap().0));
        TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    }
    two.arm("tun_read:EINTR:times=1000,receive:EINTR:times=20");
    TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    assert!(!two.log().contains("stuck"), "{}", two.log());
}

#[test]
fn a_device_that_somebody_deletes_or_switches_off_comes_back_under_its_sas() {
    let Some(two) = Two::start("device") else { return };
    let spis = TUNNELS.map(|tunnel| two.spis(tunnel));
    let device = || two.lab.gateways[0].run(|| Ok(if_nametoindex("azure0").ok())).unwrap();
    let first = device();
    two.on_site(|netlink| netlink.delete_link("azure0"));
    two.wait_for_line("no longer a problem: the interface azure0 is gone");
    two.passes(0);
    assert!(device().is_some() && device() != first);
    two.wait_until(0, "up", |tunnel| tunnel["state"] == "up");

    two.on_site(|netlink| netlink.set_down("azure0"));
    two.wait_until(0, "broken", |tunnel| {
        let obstacle = tunnel["obstacle"].as_str().unwrap_or("");
        tunnel["state"] == "broken" && obstacle.contains("`ip link set azure0 up`")
    });
    assert!(!two.ping(0));
    two.passes(1);
    two.on_site(|netlink| netlink.set_up("azure0"));
    two.wait_until(0, "up", |tunnel| tunnel["state"] == "up");
    two.passes(0);

    // It cannot be made anew at once: the status says why, and it is tried again.
    two.arm("netlink:EPERM");
    two.on_site(|netlink| netlink.delete_link("azure0"));
    two.wait_until(0, "broken", |tunnel| {
        let obstacle = tunnel["obstacle"].as_str().unwrap_or("");
        tunnel["state"] == "broken"
            && obstacle.contains("azure0 cannot be made: ")
            && obstacle.contains("CAP_NET_ADMIN")
    });
    two.wait_for(0, "routes missing", |status| {
        status["connections"][0]["routes_obstacle"].is_string()
    });
    two.passes(1);
    two.arm("netlink:");
    two.wait_until(0, "up", |tunnel| tunnel["state"] == "up");
    two.passes(0);
    two.wait_for(0, "routes back", |status| status["connections"][0]["routes_obstacle"].is_null());
    assert_eq!(TUNNELS.map(|tunnel| two.spis(tunnel)), spis, "nothing was negotiated anew");
}

#[test]
fn links_addresses_and_firewalls_that_go_and_come_back() {
    let Some(two) = Two::start("network") else { return };
    let spis = two.spis(1);
    let wan = prefix([203, 0, 113, 1], 24);
    let through = |program: &str, words: &[&str]| {
        let run = || Command::new(program).args(words).status();
        two.lab.gateways[0].run(run).is_ok_and(|status| status.success())
    };
    let firewall = "add table ip t; add chain ip t o { type filter hook output priority 0; }; \
                    add rule ip t o ip daddr 203.0.113.2 drop";
    // What breaks, what the status says of it, and how to break and to mend it.
    type Break<'a> = (&'a str, &'a str, &'a dyn Fn(bool));
    let breaks: [Break<'_>; 3] = [
        ("link down", "no route leads to the gateway", &|off| {
            two.on_site(|netlink| match off {
                true => netlink.set_down("wan"),
                false => netlink.set_up("wan"),
            });
        }),
        // The route that came with it goes with it.
        ("address gone", "no route leads to the gateway", &|off| {
            two.on_site(|netlink| match off {
                true => netlink.delete_address("wan", wan),
                false => netlink.add_address("wan", wan),
            });
        }),
        ("firewall", "a firewall on this host", &|off| match off {
            true => assert!(through("nft", &[firewall])),
            false => assert!(through("nft", &["delete table ip t"])),
        }),
    ];
    for (what, words, set) in breaks {
        if what == "firewall" && !through("nft", &["list ruleset"]) {
            lab::skip(
                "a firewall in the way of a tunnel: no program `nft` (Debian package nftables)",
            );
            continue;
        }
        set(true);
        let load = two.load(|| assert!(!ping_for(&two, WINDOW), "{what}"));
        println!("{what}: {load:.2} of a processor");
        assert!(load < IDLE, "{what}: {load:.2} of a processor");
        two.wait_until(0, what, |tunnel| {
            tunnel["unsent"].as_str().is_some_and(|unsent| unsent.contains(words))
        });
        two.passes(1);
        if what == "link down" {
            // Longer than the peer is believed to live: its SAs are gone, and it is dialled in
            // vain.
            two.wait_until(0, "cut off", |tunnel| {
                tunnel["state"].is_string() && tunnel["state"] != "up"
            });
        }
        set(false);
        let began = clock();
        two.passes(0);
        println!("{what}: packets pass {:.1} s after its end", began.elapsed().as_secs_f64());
        two.wait_until(0, "mended", |tunnel| tunnel["unsent"].is_null());
    }
    // Another address instead: the tunnel moves there.
    two.on_site(|netlink| {
        netlink.delete_address("wan", wan)?;
        netlink.add_address("wan", prefix([203, 0, 113, 7], 24))
    });
    two.wait_until(0, "moved", |tunnel| tunnel["local"] == "203.0.113.7");
    two.passes(0);
    assert_eq!(two.spis(1), spis, "the other tunnel knew nothing of it");
}

#[test]
fn clocks_that_jump_and_state_that_cannot_be_stored_stop_no_tunnel() {
    let Some(mut two) = Two::build("clocks") else { return };
    let manager = UnixDatagram::bind(two.file(0, "notify")).unwrap();
    let path = two.file(0, "notify").display().to_string();
    // Someone has to listen: the socket holds ten messages.
    std::thread::spawn(move || while manager.recv(&mut [0; 4096]).is_ok() {});
    // A device whose clock begins in another time has certificates that are not valid yet, until it
    // is set.
    two.arm(&format!("wall_clock:{PAST}"));
    two.launch(0, &[("NOTIFY_SOCKET", &path)]);
    TUNNELS.iter().for_each(|at| {
        two.wait_until(*at, "refused", |tunnel| {
            let why = tunnel["last_error"]["text"].as_str().unwrap_or("");
            why.contains("check this machine's clock")
        });
    });
    two.arm("wall_clock:0");
    two.settle();

    // Years ahead, and behind: what runs goes on, and rekeys.
    let up = |two: &Two| two.log().matches("IKE SA up").count();
    assert_eq!(up(&two), 2);
    for seconds in [FUTURE, PAST, 0] {
        two.arm(&format!("wall_clock:{seconds}"));
        let rekeys = two.tunnel(0)["rekeys"].as_u64().unwrap();
        assert!(two.order(0, &["rekey", "tunnel"]).status.success());
        two.wait_until(0, "rekeyed", |tunnel| tunnel["rekeys"].as_u64() >= Some(rekeys + 2));
        TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    }
    assert!(two.log().contains("the wall clock was set by"), "{}", two.log());

    two.arm("store_write:ENOSPC");
    assert!(two.order(0, &["rekey", "tunnel"]).status.success());
    two.wait_for(0, "not stored", |status| {
        status["state_obstacle"].as_str().is_some_and(|why| why.contains("No space left"))
    });
    TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    two.arm("store_write:");
    two.wait_for(0, "stored", |status| status["state_obstacle"].is_null());
    assert_eq!(two.log().matches("could not be stored").count(), 1, "{}", two.log());
    assert_eq!(up(&two), 2);

    // An hour of sleep: the peer is asked whether it is still there, and is. A day: all SAs ran
    // out, and there are new ones.
    two.arm("boot_clock:3600");
    two.wait_for_line("the machine slept for 3");
    TUNNELS.iter().for_each(|tunnel| two.passes(*tunnel));
    two.arm("boot_clock:90000");
    two.wait_for(0, "up anew", |_| up(&two) >= 4);
    two.settle();
    assert!(!two.log().contains("stuck"), "{}", two.log());
}

#[test]
fn a_start_that_cannot_be_says_what_is_missing() {
    let Some(mut two) = Two::build("start") else { return };
    for (faults, words) in [
        ("memfd:ENOMEM", "no memory for the state that outlives the process: Cannot allocate"),
        ("bind:EACCES", "cannot open UDP 0.0.0.0:500"),
        ("bind:EADDRINUSE", "another IKE daemon uses the port"),
    ] {
        two.arm(faults);
        two.launch(0, &[]);
        let status = two.pair.services[0].take().unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(1), "{faults}");
        assert!(two.log().contains(words), "{faults}: {}", two.log());
        two.arm(&format!("{}:", faults.split_once(':').unwrap().0));
    }
    for limit in [8, 16] {
        let limited = format!("ulimit -n {limit}; exec \"$0\" run --config \"$1\"");
        let [binary, config] = [env!("CARGO_BIN_EXE_s2sd").into(), two.file(0, "toml")];
        let ended = Command::new("sh").arg("-c").arg(limited).args([binary, config]).output();
        let said = String::from_utf8_lossy(&ended.unwrap().stderr).into_owned();
        assert!(
            said.contains(&format!("open descriptors is {limit}, and 40 are needed")),
            "{limit}: {said}"
        );
    }
    // What one tunnel lacks is in that tunnel's way, and memory that cannot be locked is in
    // nobody's.
    let raised = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok();
    let unlocked = if raised { "Cannot allocate memory" } else { "RLIMIT_MEMLOCK is" };
    two.arm("mlock:ENOMEM,tun_create:EBUSY:times=1");
    two.launch(0, &[]);
    two.wait_until(0, "broken", |tunnel| {
        let obstacle = tunnel["obstacle"].as_str().unwrap_or("");
        obstacle.contains("azure0 cannot be made")
            && obstacle.contains("another program has an interface of this name")
    });
    two.passes(1);
    two.settle();
    let log = two.log();
    assert!(log.contains(&format!("locked memory no ({unlocked}")), "{log}");
    two.pair.signal(0, Signal::SIGTERM);
    assert!(two.pair.services[0].take().unwrap().wait().unwrap().success());
    assert!(!fs::exists(two.file(0, "sock")).unwrap());
}
