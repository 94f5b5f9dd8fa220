//! The tunnel device: IP packets behind a virtio-net header, with segmentation offload.
//!
//! The `tun` crate creates it; it has no offload, so `TUNSETOFFLOAD` is set here. One device has
//! one queue: a second would let the kernel spread one security association over two threads and
//! break the order of its numbers.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The packet has a partial checksum that the receiver of the frame is to complete.
const TUN_F_CSUM: u64 = 0x01;
/// Super-packets of TCP over IPv4, over IPv6, and with congestion marks.
const TUN_F_TSO: u64 = 0x02 | 0x04 | 0x08;
/// Super-packets of UDP over IPv4 and IPv6 (Linux 6.2).
const TUN_F_USO: u64 = 0x20 | 0x40;

nix::ioctl_write_int!(
    /// linux/if_tun.h: TUNSETOFFLOAD
    tun_set_offload, b'T', 208
);

/// What the device may hand over and take in one piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offloads {
    /// TCP super-packets, and checksums left to us.
    pub tcp: bool,
    /// UDP super-packets; only together with `tcp`.
    pub udp: bool,
}

impl Offloads {
    /// All there are.
    pub const ALL: Offloads = Offloads { tcp: true, udp: true };
    /// Plain packets with complete checksums.
    pub const NONE: Offloads = Offloads { tcp: false, udp: false };

    fn flags(self) -> u64 {
        match self {
            Offloads { tcp: false, .. } => 0,
            Offloads { tcp: true, udp: false } => TUN_F_CSUM | TUN_F_TSO,
            Offloads { tcp: true, udp: true } => TUN_F_CSUM | TUN_F_TSO | TUN_F_USO,
        }
    }
}

/// An open tunnel device. Reads and writes never block.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
    offloads: Offloads,
}

impl Tun {
    /// Creates the device `name` in this thread's network namespace, with as much of `want` as the
    /// kernel has.
    pub fn create(name: &str, want: Offloads) -> io::Result<Tun> {
        fault!(TunCreate);
        let mut config = tun::Configuration::default();
        config.tun_name(name).platform_config(|platform| {
            // Addresses, routes and MTU are netlink's business, not the crate's.
            platform.vnet_hdr(true).ensure_root_privileges(false);
        });
        let device = tun::create(&config).map_err(io::Error::other)?;
        // SAFETY: `into_raw_fd` gives up the device's descriptor; nobody else closes it.
        let fd = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
        Tun::adopt(fd, name, want)
    }

    /// Takes over the descriptor of a device that exists, as after a restart.
    pub fn adopt(fd: OwnedFd, name: &str, want: Offloads) -> io::Result<Tun> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let offloads = set_offloads(&fd, want)?;
        Ok(Tun { fd, name: name.to_owned(), offloads })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was granted of what was wanted.
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Reads one frame: a virtio-net header and a packet.
    pub fn read(&self, frame: &mut [u8]) -> io::Result<usize> {
        fault!(TunRead);
        Ok(nix::unistd::read(&self.fd, frame)?)
    }

    /// Writes one frame, gathered from `parts`.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        fault!(TunWrite);
        Ok(nix::sys::uio::writev(&self.fd, parts)?)
    }
}

/// Whether an error of reading says that the device is no more: somebody deleted it. Any other is
/// about one packet.
pub fn is_gone(error: &io::Error) -> bool {
    // EBADFD as a rule; EIO and EFAULT from a read that the end overtakes (drivers/net/tun.c).
    let codes = [libc::EBADFD, libc::EBADF, libc::EIO, libc::EFAULT, libc::ENODEV, libc::ENXIO];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Asks for the offloads, then for less: the newest came last (USO in Linux 6.2).
fn set_offloads(fd: &OwnedFd, want: Offloads) -> io::Result<Offloads> {
    let mut error = None;
    for offloads in [want, Offloads { udp: false, ..want }, Offloads::NONE] {
        // SAFETY: TUNSETOFFLOAD takes its flags by value and touches no memory of ours.
        match unsafe { tun_set_offload(fd.as_raw_fd(), offloads.flags()) } {
            Ok(_) => return Ok(offloads),
            Err(errno) => error = Some(errno),
        }
    }
    Err(error.map_or_else(io::Error::last_os_error, io::Error::from))
}
