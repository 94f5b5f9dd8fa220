//! Descriptors that the service manager kept for us (sd_listen_fds(3)): numbers from 3 on, named in `LISTEN_FDNAMES`.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first number.
const FIRST: RawFd = 3;

/// Takes them, each with its name. The second call finds none.
pub fn take() -> Vec<(String, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name| std::env::var(name).ok();
    let meant = variable("LISTEN_PID").and_then(|pid| pid.parse().ok());
    if meant != Some(std::process::id()) || TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let count = variable("LISTEN_FDS").and_then(|count| count.parse().ok()).unwrap_or(0);
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let numbers = (FIRST..).take(count);
    numbers
        .zip(names.split(':'))
        .filter_map(|(fd, name)| Some((name.to_owned(), own(fd)?)))
        .collect()
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
