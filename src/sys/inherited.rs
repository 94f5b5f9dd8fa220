//! Descriptors that the service manager kept over a restart (sd_listen_fds(3)): numbers from 3 on,
//! named in `LISTEN_FDNAMES`.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first number.
const FIRST: RawFd = 3;

/// Takes the descriptors, each with its name, and keeps them from the programs that this process
/// starts. The second call finds none.
///
/// To be called before the process opens anything: the environment may name more descriptors than
/// there are, and a number that is free now may be a socket of this process a moment later.
pub fn take() -> Vec<(String, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    numbers()
        .zip(names.split(':'))
        .filter_map(|(fd, name)| Some((name.to_owned(), own(fd)?)))
        .collect()
}

/// The numbers, when they are meant for this process.
fn numbers() -> impl Iterator<Item = RawFd> {
    let meant = variable("LISTEN_PID").and_then(|pid| pid.parse().ok());
    let count = variable("LISTEN_FDS").filter(|_| meant == Some(std::process::id()));
    (FIRST..).take(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn own(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl(2) with F_GETFD takes integers only.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the number is open, it is ours by the protocol, and `take` hands each out once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // What we start is not to have it.
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_ok().then_some(fd)
}
