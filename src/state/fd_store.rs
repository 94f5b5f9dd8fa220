//! Who keeps descriptors for the next process: a datagram of `NAME=value` lines, with the
//! descriptor beside it (sd_notify(3)).
//!
//! `FDPOLL=0` because the manager would else drop a socket as soon as it reports an error, and a
//! UDP socket does so after any ICMP message.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use tracing::warn;

/// How many seconds a keeper that does not listen is waited for.
const PATIENCE: i64 = 1;

/// The name under which the store is kept.
pub const STORE: &str = "store";
/// The ledger's.
pub const LEDGER: &str = "ledger";
/// That of each of IKE's sockets.
pub const IKE: &str = "ike";

/// That of a tunnel's device.
pub fn device(interface: &str) -> String {
    format!("tun-{interface}")
}

/// That of a tunnel's socket to its peer.
pub fn lane(interface: &str) -> String {
    format!("lane-{interface}")
}

/// The way to the keeper, if there is one. Without, everything here does nothing.
#[derive(Clone, Debug, Default)]
pub struct Keeper(Option<Arc<NotifyLine>>);

#[derive(Debug)]
struct NotifyLine {
    socket: std::os::fd::OwnedFd,
    to: UnixAddr,
}

impl Keeper {
    /// The keeper that listens at this path; a name of the abstract kind begins with `@`.
    pub fn at(path: &Path) -> io::Result<Keeper> {
        let to = match path.as_os_str().as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
            _ => UnixAddr::new(path)?,
        };
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::seconds(PATIENCE))?;
        Ok(Keeper(Some(Arc::new(NotifyLine { socket, to }))))
    }

    /// The service manager, when it started us.
    pub fn from_environment() -> Keeper {
        let path = std::env::var_os("NOTIFY_SOCKET");
        // Without an address there is nobody to complain to: the log is not at work yet.
        path.and_then(|path| Keeper::at(Path::new(&path)).ok()).unwrap_or_default()
    }

    /// Whether anything outlives us.
    pub fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// Has this descriptor kept under a name. Names may be shared.
    pub fn keep(&self, name: &str, fd: &impl AsFd) {
        let fds = [fd.as_fd().as_raw_fd()];
        self.say(
            &format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"),
            &[ControlMessage::ScmRights(&fds)],
        );
    }

    /// Has all descriptors of this name forgotten.
    pub fn forget(&self, name: &str) {
        self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
    }

    fn say(&self, message: &str, beside: &[ControlMessage<'_>]) {
        let Some(NotifyLine { socket, to }) = self.0.as_deref() else { return };
        let text = [IoSlice::new(message.as_bytes())];
        let sent = sendmsg(socket.as_raw_fd(), &text, beside, MsgFlags::MSG_NOSIGNAL, Some(to));
        if let Err(error) = sent {
            warn!(%error, what = message.replace('\n', " "), "the keeper of descriptors could not be told");
        }
    }
}
