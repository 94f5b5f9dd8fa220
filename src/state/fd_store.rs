//! The file descriptor store: another process (systemd, or a small supervisor with the same
//! protocol) that keeps our descriptors while no process of s2sd runs.
//!
//! A descriptor is handed over in an sd_notify(3) message with `FDSTORE=1`, and comes back at the
//! next start by `LISTEN_FDS` ([`crate::sys::inherited`]). The messages carry `FDPOLL=0`, because
//! systemd would otherwise drop a socket as soon as the socket reports an error, and a UDP socket
//! does so after any ICMP message.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use crate::sys::sd_notify::NotifySocket;

/// The name of the descriptor of the [`super::store::Store`].
pub const STORE: &str = "store";
/// The name of the descriptor of the [`super::Ledger`].
pub const LEDGER: &str = "ledger";
/// The name that the descriptors of all IKE sockets share.
pub(crate) const IKE: &str = "ike";

/// The name of the descriptor of a tunnel's device.
pub(crate) fn device(interface: &str) -> String {
    format!("tun-{interface}")
}

/// The name of the descriptor of the lane's ESP socket.
pub(crate) fn lane(interface: &str) -> String {
    format!("lane-{interface}")
}

/// A client of the file descriptor store. Without a store (the default), every call does nothing.
#[derive(Clone, Debug, Default)]
pub struct FdStore(Option<Arc<NotifySocket>>);

impl FdStore {
    /// The store whose socket is at this path; a name that begins with `@` is an abstract one.
    pub fn at(path: &Path) -> io::Result<FdStore> {
        Ok(FdStore(Some(Arc::new(NotifySocket::at(path)?))))
    }

    /// The store of the service manager that started this process, or none.
    pub fn from_environment() -> FdStore {
        FdStore(NotifySocket::from_environment().map(Arc::new))
    }

    /// Whether there is a store, so that descriptors outlive this process.
    pub fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a descriptor over to be kept under a name. Several descriptors may share a name.
    pub fn keep(&self, name: &str, fd: &impl AsFd) {
        self.send(&format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), &[fd.as_fd()]);
    }

    /// Removes all descriptors of this name from the store.
    pub fn forget(&self, name: &str) {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
    }

    fn send(&self, message: &str, descriptors: &[BorrowedFd<'_>]) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(message, descriptors) {
            let message = message.replace('\n', " ");
            warn!(%error, message, "no message could be sent to the file descriptor store");
        }
    }
}
