//! Messages to the service manager (sd_notify(3)): a datagram of `NAME=value` lines to the socket
//! that `NOTIFY_SOCKET` names, with file descriptors beside the lines where the manager is to keep
//! them.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// How many seconds a send waits for a manager that does not read its socket.
const SEND_TIMEOUT: i64 = 1;

/// A socket to the service manager.
#[derive(Debug)]
pub struct NotifySocket {
    socket: OwnedFd,
    manager: UnixAddr,
}

impl NotifySocket {
    /// The socket to the manager that listens at this path; a name that begins with `@` is an
    /// abstract one (unix(7)).
    pub fn at(path: &Path) -> io::Result<NotifySocket> {
        let manager = match path.as_os_str().as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
            _ => UnixAddr::new(path)?,
        };
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::seconds(SEND_TIMEOUT))?;
        Ok(NotifySocket { socket, manager })
    }

    /// The socket to the manager that started this process; `None` without a usable
    /// `NOTIFY_SOCKET`.
    pub fn from_environment() -> Option<NotifySocket> {
        NotifySocket::at(Path::new(&std::env::var_os("NOTIFY_SOCKET")?)).ok()
    }

    /// Sends one message, with these descriptors beside it.
    pub fn send(&self, message: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = [IoSlice::new(message.as_bytes())];
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let beside = if numbers.is_empty() { &[][..] } else { &rights };
        let (socket, to) = (self.socket.as_raw_fd(), Some(&self.manager));
        sendmsg(socket, &text, beside, MsgFlags::MSG_NOSIGNAL, to)?;
        Ok(())
    }
}
