//! A lane's socket, connected to its peer: ESP in UDP (RFC 3948) with GSO and GRO, or raw ESP (IP
//! protocol 50).
//!
//! Outer packets forbid fragments (DF), and the kernel's own path MTU is not asked: it changes by
//! an ICMP error of anybody. Only the MTU of the link binds a packet (`IP_PMTUDISC_PROBE`, ip(7)),
//! which is refused with EMSGSIZE when it is larger. Errors of both kinds come through the error
//! queue, [`EspSocket::read_errors`]; which of them is believed is the lane's decision.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind,
    connect, getsockname, recvmsg, socket, sockopt,
};

use super::mmsg::{self, Received, Run};

/// Room for packets in the kernel, each way: about 10 ms at 3 Gbit/s.
const BUFFER: usize = 4 << 20;

/// Errors read in one go, lest a flood of ICMP keep a lane from its packets.
const ERRORS: usize = 64;

/// Switches that an operator may set, and that the kernel may refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Batching {
    /// Send equal segments in one call (UDP GSO).
    pub gso: bool,
    /// Receive segments joined (UDP GRO).
    pub gro: bool,
}

/// The octets of an ESP packet that an ICMP error has to quote to be believed: the SPI and the
/// sequence number.
pub const QUOTE: usize = 8;

/// An error out of a socket's error queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueuedError {
    /// The link towards the peer takes no packet larger than this, as this host itself says.
    LinkMtu(usize),
    /// Somebody's ICMP error says that the path takes no packet larger than `mtu`.
    PathMtu {
        /// The largest packet.
        mtu: usize,
        /// How the ESP packet begins that the error is about; `None` when the error quotes less.
        quote: Option<[u8; QUOTE]>,
    },
    /// Any other.
    Other,
}

/// A connected socket that carries ESP.
#[derive(Debug)]
pub struct EspSocket {
    fd: OwnedFd,
    v6: bool,
    raw: bool,
    gso: AtomicBool,
    gro: bool,
}

impl EspSocket {
    /// ESP in UDP between two addresses. The local port may be shared (SO_REUSEPORT) with the
    /// wildcard socket: being connected, this one receives all that comes from its peer.
    pub fn udp(local: SocketAddr, peer: SocketAddr, batching: Batching) -> io::Result<EspSocket> {
        fault!(Bind);
        let fd = socket(family(local.ip()), SockType::Datagram, flags(), None)?;
        nix::sys::socket::setsockopt(&fd, sockopt::ReusePort, &true)?;
        prepare(&fd, local.is_ipv6())?;
        bind(fd.as_raw_fd(), &SockaddrStorage::from(local))?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
        EspSocket::adopt(fd, false, batching)
    }

    /// Raw ESP between two addresses.
    pub fn raw(local: IpAddr, peer: IpAddr) -> io::Result<EspSocket> {
        fault!(Bind);
        let (domain, kind) = (family(local) as i32, libc::SOCK_RAW | flags().bits());
        // SAFETY: socket(2) takes three integers. nix would do, had it a name for ESP among its
        // protocols.
        let fd = unsafe { libc::socket(domain, kind, libc::IPPROTO_ESP) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a non-negative result of socket(2) is a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        prepare(&fd, local.is_ipv6())?;
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, 0)))?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(peer, 0)))?;
        EspSocket::adopt(fd, true, Batching { gso: false, gro: false })
    }

    /// Takes over a socket that one of the two above made, as after a restart: packets went on
    /// waiting in it.
    pub fn adopt(fd: OwnedFd, raw: bool, batching: Batching) -> io::Result<EspSocket> {
        let v6 = address(&fd)?.is_ipv6();
        let gso = batching.gso && get(&fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok();
        let gro = !raw && set(&fd, libc::SOL_UDP, libc::UDP_GRO, batching.gro.into()).is_ok();
        let socket = EspSocket { fd, v6, raw, gso: AtomicBool::new(gso), gro: gro && batching.gro };
        socket.allow_fragments(false)?;
        Ok(socket)
    }

    /// Sets whether outer packets may become IP fragments on a path that is too narrow for them.
    ///
    /// | | refused | allowed |
    /// |---|---|---|
    /// | IPv4 | DF; the link's MTU binds | no DF; routers divide (`IP_PMTUDISC_OMIT`) |
    /// | IPv6 | the link's MTU binds | the kernel divides by its path MTU, which is 1280 at least |
    pub fn allow_fragments(&self, allow: bool) -> io::Result<()> {
        let (level, name, allowed) = match self.v6 {
            true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
            false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        };
        // The constant is the same for both families.
        set(&self.fd, level, name, if allow { allowed } else { libc::IP_PMTUDISC_PROBE })
    }

    /// Connects to another address of the peer: it moved.
    pub fn reconnect(&self, peer: SocketAddr) -> io::Result<()> {
        Ok(connect(self.fd.as_raw_fd(), &SockaddrStorage::from(peer))?)
    }

    /// A socket between the same two ends that receives the other form: bare ESP for ESP in UDP,
    /// and ESP in UDP, on `port` at both ends, for bare ESP.
    pub fn other_form(&self, peer: IpAddr, port: u16, batching: Batching) -> io::Result<EspSocket> {
        let local = self.local()?.ip();
        match self.raw {
            true => {
                EspSocket::udp(SocketAddr::new(local, port), SocketAddr::new(peer, port), batching)
            }
            false => EspSocket::raw(local, peer),
        }
    }

    /// The local address.
    pub fn local(&self) -> io::Result<SocketAddr> {
        address(&self.fd)
    }

    /// Whether equal segments may be sent as one run.
    pub fn gso(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
    }

    /// Stops the use of GSO: the kernel or the device refused it. Whether it was in use.
    pub fn disable_gso(&self) -> bool {
        self.gso.swap(false, Ordering::Relaxed)
    }

    /// Sends without UDP checksums, whereupon this kernel refuses GSO (EINVAL): what a test needs
    /// to see it refused.
    #[cfg(feature = "fake")]
    pub fn refuse_gso(&self) -> io::Result<()> {
        set(&self.fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
    }

    /// Whether the kernel joins what it receives.
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether this is raw ESP.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Sends runs; says how many left, and why the next did not.
    pub fn send(&self, buffer: &[u8], runs: &[Run]) -> (usize, io::Result<()>) {
        mmsg::send(self.fd.as_fd(), buffer, runs, self.v6)
    }

    /// Receives as many messages as wait, up to the room given. Never blocks.
    pub fn receive(
        &self,
        arena: &mut [u8],
        slot: usize,
        received: &mut [Received],
    ) -> io::Result<usize> {
        let count = mmsg::receive(self.fd.as_fd(), arena, slot, received)?;
        if self.raw && !self.v6 {
            received.iter_mut().take(count).for_each(|message| strip_ip_header(arena, message));
        }
        Ok(count)
    }

    /// The kernel's path MTU, which an ICMP error of anybody lowers. It is never above the link's.
    pub fn kernel_path_mtu(&self) -> io::Result<usize> {
        let (level, name) = match self.v6 {
            true => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
            false => (libc::IPPROTO_IP, libc::IP_MTU),
        };
        usize::try_from(get(&self.fd, level, name)?).map_err(io::Error::other)
    }

    /// Takes errors out of the error queue, which keeps poll(2) awake as long as it holds
    /// something. How many there were.
    pub fn read_errors(&self, mut each: impl FnMut(QueuedError)) -> usize {
        let mut count = 0;
        while count < ERRORS {
            let Some(error) = self.next_error() else { break };
            each(error);
            count += 1;
        }
        count
    }

    fn next_error(&self) -> Option<QueuedError> {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let (mut quote, mut control) = ([0; QUOTE], [0; 512]);
        let mut parts = [IoSliceMut::new(&mut quote)];
        let fd = self.fd.as_raw_fd();
        let message = recvmsg::<()>(fd, &mut parts, Some(&mut control), flags).ok()?;
        let error = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|control| match control {
                ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error),
                _ => None,
            })
        });
        let is_whole = message.bytes == QUOTE;
        Some(error.map_or(QueuedError::Other, |error| meaning(&error, is_whole.then_some(quote))))
    }
}

/// What an error is about. The kernel's quote begins behind the UDP header where ESP is in UDP, and
/// behind the IP header where it is not: with the ESP header in both cases.
fn meaning(error: &libc::sock_extended_err, quote: Option<[u8; QUOTE]>) -> QueuedError {
    let is_too_big = i32::try_from(error.ee_errno) == Ok(libc::EMSGSIZE);
    let mtu = usize::try_from(error.ee_info).unwrap_or(usize::MAX);
    match error.ee_origin {
        libc::SO_EE_ORIGIN_LOCAL if is_too_big => QueuedError::LinkMtu(mtu),
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 if is_too_big => {
            QueuedError::PathMtu { mtu, quote }
        }
        _ => QueuedError::Other,
    }
}

impl AsFd for EspSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<EspSocket> for OwnedFd {
    fn from(socket: EspSocket) -> OwnedFd {
        socket.fd
    }
}

/// An IPv4 raw socket delivers the IP header too (raw(7)); an IPv6 one does not.
fn strip_ip_header(arena: &[u8], message: &mut Received) {
    let first = arena.get(message.start).copied().unwrap_or(0);
    let header = (usize::from(first & 0x0f) * 4).min(message.len);
    message.start += header;
    message.len -= header;
    message.segment = message.len;
}

/// What both kinds have in common.
fn prepare(fd: &OwnedFd, v6: bool) -> io::Result<()> {
    let (level, errors, tos) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, libc::IPV6_RECVTCLASS)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR, libc::IP_RECVTOS)
    };
    set(fd, level, errors, 1)?;
    set(fd, level, tos, 1)?;
    // Beyond the limit of an ordinary user where that is allowed, else as far as it goes.
    let size = i32::try_from(BUFFER).expect("4 MiB");
    let (receive, send) = (libc::SO_RCVBUF, libc::SO_SNDBUF);
    for (force, plain) in [(libc::SO_RCVBUFFORCE, receive), (libc::SO_SNDBUFFORCE, send)] {
        let forced = set(fd, libc::SOL_SOCKET, force, size);
        forced.or_else(|_| set(fd, libc::SOL_SOCKET, plain, size))?;
    }
    Ok(())
}

fn address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    let v6 = address.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into()));
    v4.or(v6).ok_or_else(|| io::Error::other("a socket of no IP family"))
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn flags() -> SockFlag {
    SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK
}

/// setsockopt(2) of an int.
pub(super) fn set(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<i32>()).expect("4");
    let (fd, value) = (fd.as_fd().as_raw_fd(), &raw const value);
    // SAFETY: the pointer is to a live i32 and the length is that of an i32.
    let result = unsafe { libc::setsockopt(fd, level, name, value.cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// getsockopt(2) of an int.
fn get(fd: &OwnedFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut len = libc::socklen_t::try_from(size_of::<i32>()).expect("4");
    // SAFETY: the pointers are to a live i32 and to its length, which bounds what is written.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";
    const ALL: Batching = Batching { gso: true, gro: true };
    const SLOT: usize = 1 << 16;

    /// Two sockets connected to each other over the loopback device.
    fn pair(batching: Batching) -> (EspSocket, EspSocket) {
        let any: SocketAddr = ANY.parse().unwrap();
        let first = EspSocket::udp(any, "127.0.0.1:9".parse().unwrap(), batching).unwrap();
        let second = EspSocket::udp(any, first.local().unwrap(), batching).unwrap();
        first.reconnect(second.local().unwrap()).unwrap();
        (first, second)
    }

    /// What arrives, as `(segment length, TOS, bytes)` for each datagram, in order.
    fn drain(socket: &EspSocket) -> Vec<(u8, Vec<u8>)> {
        let mut arena = vec![0; 4 * SLOT];
        let mut received = [Received::default(); 4];
        let mut datagrams = Vec::new();
        while let Ok(count) = socket.receive(&mut arena, SLOT, &mut received) {
            for message in &received[..count] {
                let bytes = &arena[message.start..message.start + message.len];
                datagrams.extend(bytes.chunks(message.segment).map(|d| (message.tos, d.to_vec())));
            }
        }
        datagrams
    }

    #[test]
    fn runs_arrive_as_their_datagrams_with_and_without_batching() {
        let buffer: Vec<u8> = (0..2000u16).map(|i| i.to_le_bytes()[0]).collect();
        let runs = [
            Run { start: 0, len: 950, segment: 300, tos: 0 },
            Run { start: 950, len: 50, segment: 50, tos: 3 },
            Run { start: 1000, len: 1000, segment: 100, tos: 2 },
        ];
        for batching in
            [ALL, Batching { gso: false, gro: false }, Batching { gso: true, gro: false }]
        {
            let (sender, receiver) = pair(batching);
            assert_eq!(sender.gso(), batching.gso, "this kernel has GSO");
            let sent: Vec<Run> = match batching.gso {
                true => runs.to_vec(),
                false => runs.iter().flat_map(|run| run.singles()).collect(),
            };
            let (count, result) = sender.send(&buffer, &sent);
            result.unwrap();
            assert_eq!(count, sent.len());
            let want: Vec<_> = runs
                .iter()
                .flat_map(|run| run.singles())
                .map(|run| (run.tos, buffer[run.start..run.start + run.len].to_vec()))
                .collect();
            assert_eq!(drain(&receiver), want, "{batching:?}");
        }
    }

    #[test]
    fn what_the_link_does_not_take_is_refused_not_fragmented() {
        let (sender, receiver) = pair(ALL);
        assert!(sender.kernel_path_mtu().unwrap() >= 65_535);
        // A UDP payload may have 65,507 bytes; the loopback device's MTU lets pass all of them.
        let buffer = vec![0; 65_508];
        let run = |len| [Run { start: 0, len, segment: len, tos: 0 }];
        assert!(sender.send(&buffer, &run(65_507)).1.is_ok());
        let (count, result) = sender.send(&buffer, &run(65_508));
        assert_eq!((count, result.unwrap_err().raw_os_error()), (0, Some(libc::EMSGSIZE)));
        assert_eq!(drain(&receiver).len(), 1);
    }

    /// The errors of both origins, and the quotes that make one of them worth a look.
    #[test]
    fn an_error_means_what_its_origin_says() {
        let error = |origin, errno: i32, info| libc::sock_extended_err {
            ee_errno: errno.unsigned_abs(),
            ee_origin: origin,
            ee_type: 3,
            ee_code: 4,
            ee_pad: 0,
            ee_info: info,
            ee_data: 0,
        };
        let quote = Some([7; QUOTE]);
        let too_big = |origin| meaning(&error(origin, libc::EMSGSIZE, 1400), quote);
        assert_eq!(too_big(libc::SO_EE_ORIGIN_LOCAL), QueuedError::LinkMtu(1400));
        for origin in [libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6] {
            assert_eq!(too_big(origin), QueuedError::PathMtu { mtu: 1400, quote });
            let other = error(origin, libc::ECONNREFUSED, 1400);
            assert_eq!(meaning(&other, quote), QueuedError::Other);
        }
        assert_eq!(too_big(libc::SO_EE_ORIGIN_NONE), QueuedError::Other);
    }

    #[test]
    fn what_waits_in_a_socket_survives_its_adoption() {
        let (sender, receiver) = pair(ALL);
        let buffer = vec![7; 900];
        assert!(
            sender.send(&buffer, &[Run { start: 0, len: 900, segment: 300, tos: 0 }]).1.is_ok()
        );
        let adopted = EspSocket::adopt(receiver.fd, false, ALL).unwrap();
        assert!(adopted.gso() && adopted.gro() && !adopted.is_raw());
        assert_eq!(drain(&adopted).len(), 3);
    }

    #[test]
    fn an_icmp_error_is_read_from_the_queue() {
        let (sender, receiver) = pair(ALL);
        drop(receiver);
        let run = [Run { start: 0, len: 1, segment: 1, tos: 0 }];
        assert!(sender.send(&[1], &run).1.is_ok());
        let refused = sender.receive(&mut [0; 64], 64, &mut [Received::default()]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
        let mut errors = Vec::new();
        assert_eq!(sender.read_errors(|error| errors.push(error)), 1);
        assert_eq!(errors, [QueuedError::Other]);
        assert_eq!(sender.read_errors(|_| {}), 0);
    }
}
