//! Two services in network namespaces, as operators run them: the real binary, its control socket, its routes. Needs root;
//! says so and passes where it is not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod lab;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use s2sd::wire::ip::Version;

use lab::ear::Ear;
use lab::pair::Pair;
use lab::traffic::{round_trips_over, transfer};
use lab::{Lab, SIDES};

fn passes(lab: &Lab) {
    for from in SIDES {
        transfer(lab, from, Version::V4, 4 << 20).unwrap();
    }
}

#[test]
fn two_services_carry_packets_and_obey_orders() {
    let Some(mut pair) = Pair::start("orders") else { return };
    passes(&pair.lab);
    let tunnel = pair.tunnel(0);
    assert_eq!(tunnel["state"], "up");
    assert!(tunnel["bytes_out"].as_u64().unwrap() > 4 << 20, "{tunnel:#}");
    assert_eq!(tunnel["children"][0]["suite"], "AES_GCM_16-256");
    assert_eq!(tunnel["peer_identity"], "CN=azure");

    for which in [&["rekey", "tunnel", "--child"][..], &["rekey", "tunnel", "--ike"]] {
        let before = pair.tunnel(0)["rekeys"].as_u64().unwrap();
        assert!(pair.order(0, which).status.success());
        pair.wait_for(0, "rekeyed", |status| {
            status["connections"][0]["tunnels"][0]["rekeys"].as_u64() > Some(before)
        });
        passes(&pair.lab);
    }

    assert!(pair.routes(0).contains("azure0"));
    assert!(pair.order(0, &["down", "tunnel"]).status.success());
    pair.wait(0, "down");
    pair.wait(1, "waiting");
    assert!(!pair.routes(0).contains("azure0") && !pair.routes(1).contains("azure0"));
    assert!(pair.order(0, &["up", "tunnel"]).status.success());
    pair.wait(0, "up");
    pair.wait(1, "up");
    passes(&pair.lab);

    let unknown = pair.order(0, &["up", "nobody"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is tunnel"));

    pair.signal(0, Signal::SIGTERM);
    assert!(pair.services[0].take().unwrap().wait().unwrap().success());
    pair.wait(1, "waiting");
    assert!(!pair.file(0, "sock").exists());
    pair.launch(0);
    pair.wait(0, "up");
    passes(&pair.lab);
}

#[test]
fn a_reload_with_a_broken_file_leaves_traffic_untouched() {
    let Some(mut pair) = Pair::start("reload") else { return };
    passes(&pair.lab);
    let before = pair.tunnel(0);
    let good = fs::read_to_string(pair.file(0, "toml")).unwrap();
    for broken in [good.replace("Default", "Defalt"), good.replace("azure-root", "nowhere")] {
        fs::write(pair.file(0, "toml"), broken).unwrap();
        let refused = pair.order(0, &["reload"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("error: "));
        pair.signal(0, Signal::SIGHUP);
        passes(&pair.lab);
    }
    pair.configure(0, 30);
    let done = pair.order(0, &["reload"]);
    assert_eq!(
        String::from_utf8_lossy(&done.stdout).trim(),
        "tunnel: dpd_timeout_seconds: 45 -> 30"
    );
    passes(&pair.lab);
    let after = pair.tunnel(0);
    assert_eq!(after["dpd_timeout_seconds"], 30);
    assert_eq!(before["children"][0]["spi_in"], after["children"][0]["spi_in"], "the SA lived on");
    assert_eq!(pair.status(0)["connections"][0]["state"], "up");
}

#[test]
fn the_control_socket_refuses_strangers() {
    let Some(pair) = Pair::start("strangers") else { return };
    let socket = pair.file(0, "sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let as_stranger = || -> io::Result<Output> {
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", "a_stranger_asks", "--nocapture"]).env("S2SD_ASK", &socket);
        command.uid(65_534).gid(65_534).output()
    };
    // By its mode the kernel keeps strangers out; by their credentials the service does, whatever the mode.
    for (mode, said) in [(0o660, "Permission denied"), (0o666, "not permitted")] {
        fs::set_permissions(&socket, fs::Permissions::from_mode(mode)).unwrap();
        let told = as_stranger().unwrap();
        let told = String::from_utf8_lossy(&told.stdout);
        assert!(told.contains(said), "{told}");
        assert!(!told.contains("connections"), "{told}");
    }
    assert_eq!(pair.status(0)["connections"][0]["state"], "up", "and who may still can");
}

/// The other half of the test above, run by it as another user; by itself it has nobody to ask.
#[test]
fn a_stranger_asks() {
    use std::io::{Read, Write};
    let Some(socket) = std::env::var_os("S2SD_ASK") else { return };
    match std::os::unix::net::UnixStream::connect(socket) {
        Err(error) => println!("{error}"),
        Ok(mut stream) => {
            let _ = stream.write_all(b"{\"version\":1,\"do\":\"status\",\"connection\":null}\n");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            println!("{answer}");
        }
    }
}

#[test]
fn a_killed_service_leaves_nothing_that_its_successor_trips_over() {
    let Some(mut pair) = Pair::start("killed") else { return };
    pair.signal(0, Signal::SIGKILL);
    pair.services[0].take().unwrap().wait().unwrap();
    assert!(!pair.routes(0).contains("azure0"), "device and routes went with it");
    pair.launch(0);
    pair.wait(0, "up");
    assert_eq!(round_trips_over(&pair.lab, 5, Version::V4, 64).len(), 5);
}

/// A thread of another process that is held where it is, until this is dropped.
struct Held(Pid);

impl Held {
    fn thread(process: u32, name: &str) -> Held {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let named = |task: &PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let task = tasks.map(|task| task.unwrap().path()).find(named).unwrap();
        let thread = Pid::from_raw(task.file_name().unwrap().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Held(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The thread may have ended with its process.
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn the_watchdog_is_fed_while_the_loop_and_both_threads_of_a_tunnel_turn() {
    let Some(mut pair) = Pair::start("watchdog") else { return };
    pair.signal(0, Signal::SIGTERM);
    pair.services[0].take().unwrap().wait().unwrap();
    let ear = Ear::at(&pair.file(0, "notify"));
    pair.launch_with(0, &[ear.environment(), ("WATCHDOG_USEC", "300000")]);
    ear.hear("READY=1");
    ear.hear("STATUS=1 of 1 tunnels up");
    ear.hear("WATCHDOG=1");
    let process = pair.services[0].as_ref().unwrap().id();
    for name in ["azure0-out", "azure0-in"] {
        let held = Held::thread(process, name);
        // Food comes each second: three of them without are hunger, though the loop answers.
        ear.wait_for_silence(Duration::from_secs(3));
        assert_eq!(pair.status(0)["connections"][0]["state"], "up");
        drop(held);
        ear.hear("WATCHDOG=1");
        passes(&pair.lab);
    }
    let log = fs::read_to_string(pair.file(0, "log")).unwrap();
    assert_eq!(log.matches("is stuck; the watchdog is not fed").count(), 2, "{log}");

    pair.signal(0, Signal::SIGHUP);
    ear.hear("RELOADING=1");
    ear.hear("READY=1");
    assert!(pair.order(0, &["down", "tunnel"]).status.success());
    ear.hear("STATUS=0 of 1 tunnels up; tunnel down");
    pair.signal(0, Signal::SIGTERM);
    ear.hear("STOPPING=1");
}
