//! Waiting for descriptors with poll(2), and waking a thread that waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// What ended a wait; all false after the timeout.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ready {
    /// The descriptor can be read (or written, as asked), or has an error to report.
    pub io: bool,
    /// The descriptor has an error to report: a socket's error queue waits to be read.
    pub error: bool,
    /// The waker was pulled.
    pub woken: bool,
}

/// Waits until `fd` can be read, `waker` is pulled or `timeout` is over. `None` waits for ever.
pub fn readable(fd: BorrowedFd<'_>, waker: &Waker, timeout: Option<Duration>) -> io::Result<Ready> {
    wait(fd, PollFlags::POLLIN, waker, timeout)
}

/// Waits until `fd` or `other`, if there is one, can be read, `waker` is pulled or `timeout` is
/// over. [`Ready`] is about both.
pub fn either_readable(
    fd: BorrowedFd<'_>,
    other: Option<BorrowedFd<'_>>,
    waker: &Waker,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let Some(other) = other else { return readable(fd, waker, timeout) };
    fault!(Poll);
    let asked = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let [first, second, woken] =
        poll_all([asked(fd), asked(other), asked(waker.0.as_fd())], timeout)?;
    let error = (first | second).contains(PollFlags::POLLERR);
    Ok(Ready { io: !(first | second).is_empty(), error, woken: !woken.is_empty() })
}

/// Waits until `fd` can be written, `waker` is pulled or `timeout` is over.
pub fn writable(fd: BorrowedFd<'_>, waker: &Waker, timeout: Option<Duration>) -> io::Result<Ready> {
    wait(fd, PollFlags::POLLOUT, waker, timeout)
}

fn wait(
    fd: BorrowedFd<'_>,
    what: PollFlags,
    waker: &Waker,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    fault!(Poll);
    let fds = [PollFd::new(fd, what), PollFd::new(waker.0.as_fd(), PollFlags::POLLIN)];
    let [io, woken] = poll_all(fds, timeout)?;
    let error = io.contains(PollFlags::POLLERR);
    Ok(Ready { io: !io.is_empty(), error, woken: !woken.is_empty() })
}

/// What each descriptor has to say.
fn poll_all<const N: usize>(
    mut fds: [PollFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[PollFlags; N]> {
    let timeout = match timeout {
        None => PollTimeout::NONE,
        // A wait of less than a millisecond is rounded up: it must not become a spin.
        Some(timeout) => {
            PollTimeout::try_from(timeout.as_millis().max(1)).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut fds, timeout) {
        // A signal is no event of ours; the caller looks and waits again.
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty())))
}

/// Wakes a thread that waits on it, once or for good: it stays pulled until [`Waker::reset`].
#[derive(Debug)]
pub struct Waker(EventFd);

impl Waker {
    /// A waker nobody has pulled.
    pub fn new() -> io::Result<Waker> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Waker(EventFd::from_value_and_flags(0, flags)?))
    }

    /// Wakes. Pulling twice is pulling once.
    pub fn wake(&self) {
        // The one failure is a counter at its maximum, which is as awake as it gets.
        let _ = self.0.write(1);
    }

    /// Lets the next wait sleep again.
    pub fn reset(&self) {
        // Nothing to read is what was wanted.
        let _ = self.0.read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulled_waker_ends_every_wait_until_reset() {
        let (waker, idle) = (Waker::new().unwrap(), Waker::new().unwrap());
        let wait = || readable(idle.0.as_fd(), &waker, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(wait(), Ready::default());
        waker.wake();
        assert_eq!(wait(), Ready { woken: true, ..Ready::default() });
        assert_eq!(wait(), Ready { woken: true, ..Ready::default() });
        waker.reset();
        assert_eq!(wait(), Ready::default());
        assert!(writable(idle.0.as_fd(), &waker, None).unwrap().io);
    }
}
