//! The groups of the process at the other end of a Unix socket (unix(7), `SO_PEERGROUPS`): who may
//! do what, without asking a name service.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many groups a process may have (`NGROUPS_MAX`).
const MOST: usize = 65_536;
/// How many groups nearly every process has room in.
const USUAL: usize = 32;

/// The supplementary groups that the process had when it connected.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    match read(socket, USUAL) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => read(socket, MOST),
        found => found,
    }
}

fn read(socket: BorrowedFd<'_>, room: usize) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; room];
    let mut length =
        libc::socklen_t::try_from(size_of_val(groups.as_slice())).map_err(io::Error::other)?;
    let (level, option, into) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.as_mut_ptr());
    // SAFETY: the kernel writes at most `length` octets into `groups`, and then the true length.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, into.cast(), &raw mut length)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(usize::try_from(length).map_err(io::Error::other)? / size_of::<u32>());
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_groups_are_those_of_the_process_at_the_other_end() {
        let (here, _there) = UnixStream::pair().unwrap();
        let mut found = peer_groups(here.as_fd()).unwrap();
        let own = nix::unistd::getgroups().unwrap();
        let mut own: Vec<u32> = own.into_iter().map(nix::unistd::Gid::as_raw).collect();
        found.sort_unstable();
        own.sort_unstable();
        assert_eq!(found, own);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(peer_groups(udp.as_fd()).is_err());
    }
}
