//! Word of links and addresses that come, go and change.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR (linux/rtnetlink.h). Routes are left out:
/// there may be a million.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// An ear for the calling thread's network namespace.
#[derive(Debug)]
pub struct NetlinkWatch(AsyncFd<OwnedFd>);

impl NetlinkWatch {
    /// Listens from now on, within the calling thread's runtime.
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

    /// Waits for word; what it said is for the listener to look up. Cancelling it loses none.
    pub async fn next(&self) {
        while let Ok(mut ready) = self.0.readable().await {
            let heard = drain(self.0.get_ref());
            ready.clear_ready();
            if heard {
                return;
            }
        }
        // The runtime ends: there is no more word.
        pending().await
    }
}

/// Whether anything was there.
fn drain(fd: &OwnedFd) -> bool {
    let mut buffer = [0; 8192];
    let mut heard = false;
    loop {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            // ENOBUFS: there was more than the socket holds.
            Ok(_) | Err(Errno::ENOBUFS) => heard = true,
            Err(Errno::EINTR) => {}
            Err(_) => return heard,
        }
    }
}
