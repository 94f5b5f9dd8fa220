//! What a running service may do: capabilities, users, groups, and descriptors of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::lab::ear::Ear;
use super::lab::pair::Pair;
use super::passes;

/// CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW, as proc_pid_status(5) prints them.
const SERVICE: &str = "0000000000003400";
const NONE: &str = "0000000000000000";
/// A user of every host who owns nothing.
const NOBODY: u32 = 65_534;

/// The status of each thread of a process (proc_pid_status(5)).
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_once(":\t").unwrap().1.trim()
}

/// The number of a process's only child: the signer.
fn signer_of(process: u32) -> u32 {
    let path = format!("/proc/{process}/task/{process}/children");
    fs::read_to_string(path).unwrap().trim().parse().expect("one child, the signer")
}

fn assert_rights(pair: &Pair, uid: &str) {
    let main = pair.services[0].as_ref().unwrap().id();
    for (process, kept) in [(main, SERVICE), (signer_of(main), NONE)] {
        for status in threads(process) {
            for set in ["CapPrm", "CapEff"] {
                assert_eq!(field(&status, set), kept, "{set} in {status}");
            }
            // The signer is started as the other user, who cannot shrink that set any more, and
            // can start nothing that would use it.
            if process == main || uid == "0" {
                assert_eq!(field(&status, "CapBnd"), kept, "{status}");
            }
            for set in ["CapInh", "CapAmb"] {
                assert_eq!(field(&status, set), NONE, "{set} in {status}");
            }
            assert!(field(&status, "Uid").split('\t').all(|id| id == uid), "{status}");
        }
    }
}

#[test]
fn a_service_that_root_starts_keeps_three_capabilities() {
    let Some(pair) = Pair::start("root") else { return };
    assert_rights(&pair, "0");
    assert!(pair.log(0).contains("capabilities dropped yes"), "{}", pair.log(0));
}

#[test]
fn a_service_that_root_starts_becomes_another_user_when_told_to() {
    let Some(mut pair) = Pair::start("user") else { return };
    pair.end(0, Signal::SIGTERM);
    // Its directory is made for it; the tests look for the socket where it was.
    let socket = pair.file(0, "sock");
    let elsewhere = pair.directory.join("run/site.sock");
    pair.edit(0, &socket.display().to_string(), &elsewhere.display().to_string());
    symlink(&elsewhere, &socket).unwrap();
    // Only root reads the key, as where an administrator put it.
    fs::set_permissions(pair.file(0, "key"), fs::Permissions::from_mode(0o600)).unwrap();
    pair.launch_with(0, |service| {
        open_tun_device_to_all();
        service.args(["--user", "nobody"]);
    });
    pair.wait(0, "up");
    assert_rights(&pair, &NOBODY.to_string());
    let run = fs::metadata(pair.directory.join("run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o777, 0o750);
    passes(&pair.lab);
    pair.obey(0, &["rekey", "tunnel", "--ike"]);
    passes(&pair.lab);
    pair.end(0, Signal::SIGTERM);
    assert!(!elsewhere.exists(), "the socket is removed");

    pair.launch_with(0, |service| _ = service.args(["--user", "s2sd-nobody-here"]));
    assert!(!pair.services[0].take().unwrap().wait().unwrap().success());
    assert!(pair.log(0).contains("this host has no user s2sd-nobody-here"), "{}", pair.log(0));
}

/// As a unit starts it: by another user than root, with the three capabilities in the ambient and
/// the bounding set. The signer, which inherits them, gives up even those.
#[test]
fn a_service_that_another_user_starts_with_three_capabilities_keeps_them() {
    let Some(mut pair) = Pair::start("ambient") else { return };
    pair.end(0, Signal::SIGTERM);
    let log = pair.file(0, "log");
    chown(&pair.directory, Some(NOBODY), Some(NOBODY)).unwrap();
    pair.launch_with(0, |service| {
        open_tun_device_to_all();
        let three = "-all,+net_admin,+net_raw,+net_bind_service";
        let mut started = Command::new("setpriv");
        started.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        started.args(["--inh-caps", three, "--ambient-caps", three, "--bounding-set", three]);
        started.arg(service.get_program()).args(service.get_args());
        started.stderr(fs::File::create(log).unwrap());
        *service = started;
    });
    pair.wait(0, "up");
    assert_rights(&pair, &NOBODY.to_string());
    passes(&pair.lab);
}

/// Gives the calling thread, and what it starts, a /dev/net/tun as every distribution has it:
/// everybody may open it, and only CAP_NET_ADMIN does something with it. Where this test runs, the
/// file may be root's alone.
fn open_tun_device_to_all() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("none"), "/dev/net", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    let (file, all) = ("/dev/net/tun", Mode::from_bits_truncate(0o666));
    mknod(file, SFlag::S_IFCHR, all, makedev(10, 200)).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
}

/// The environment may say more than is there. A number that is free when the service starts is a
/// descriptor of its own a moment later, and must not be taken for one that was kept.
#[test]
fn descriptors_that_were_not_kept_are_not_taken() {
    let Some(mut pair) = Pair::start("numbers") else { return };
    pair.end(0, Signal::SIGTERM);
    let (ear, log) = (Ear::at(&pair.file(0, "notify")), pair.file(0, "log"));
    pair.launch_with(0, |service| {
        // The shell knows its own number, which the service keeps.
        let mut shell = Command::new("sh");
        shell.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\""]);
        shell.arg(service.get_program()).args(service.get_args());
        shell.envs([ear.environment(), ("LISTEN_FDS", "8"), ("LISTEN_FDNAMES", "a:b:c:d:e:f:g:h")]);
        shell.stderr(fs::File::create(log).unwrap());
        *service = shell;
    });
    pair.wait(0, "up");
    passes(&pair.lab);
    signer_of(pair.services[0].as_ref().unwrap().id());
    assert!(!pair.log(0).contains("private keys is gone"), "{}", pair.log(0));
}

/// Whoever is a member of the service's group by the kernel's word: no name service is asked, which
/// may be a server that does not answer.
#[test]
fn a_member_of_the_group_is_served_whatever_the_user_database_says() {
    let Some(pair) = Pair::start("members") else { return };
    let ask = |groups: &str| {
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", "a_stranger_asks", "--nocapture"]);
        command.env("S2SD_ASK", pair.file(0, "sock")).env("S2SD_ASK_GROUPS", groups);
        let told = command.process_group(0).output().unwrap();
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    fs::set_permissions(pair.file(0, "sock"), fs::Permissions::from_mode(0o666)).unwrap();
    let member = ask("7,0");
    assert!(member.contains("connections"), "{member}");
    let stranger = ask("7,8");
    assert!(stranger.contains("member of the group root"), "{stranger}");
}
