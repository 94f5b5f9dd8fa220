//! The news that links or addresses came, went or changed.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Links and addresses. Routes are left out: there may be a million of them.
const GROUPS: u32 =
    (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR).cast_unsigned();

/// A subscription to changes of links and addresses in one network namespace.
#[derive(Debug)]
pub struct NetlinkWatch(AsyncFd<OwnedFd>);

impl NetlinkWatch {
    /// Subscribes within the calling thread's network namespace and tokio runtime.
    pub fn open() -> io::Result<NetlinkWatch> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkRoute;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        // SAFETY: an OwnedFd is open, and gives the same descriptor, as long as it lives; it lives
        // in what this makes.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(NetlinkWatch(fd?))
    }

    /// Waits for a change. What changed is for the caller to look up: several changes may end one
    /// wait. No change is lost when the future is dropped.
    pub async fn next(&self) {
        while let Ok(mut ready) = self.0.readable().await {
            let heard = drain(self.0.get_ref());
            ready.clear_ready();
            if heard {
                return;
            }
        }
        // The runtime ends: no more changes are reported.
        pending().await
    }
}

/// Reads all messages that wait; whether there were any.
fn drain(fd: &OwnedFd) -> bool {
    let mut buffer = [0; 8192];
    let mut heard = false;
    loop {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            // ENOBUFS: more was reported than the socket holds, and the rest is lost.
            Ok(_) | Err(Errno::ENOBUFS) => heard = true,
            Err(Errno::EINTR) => {}
            Err(_) => return heard,
        }
    }
}
