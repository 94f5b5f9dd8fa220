//! The sockets on which IKE messages come from anywhere: UDP 500 and 4500, with the local address
//! of each datagram.
//!
//! Every socket of s2sd that sends to a gateway carries one mark ([`MARK`]), so that a routing rule
//! can keep outer packets out of the tunnel that they carry.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};

use super::esp_socket::set;

/// The mark of outer packets. "S2SD" in ASCII, so that whoever meets it in a rule finds its owner.
pub const MARK: u32 = 0x5332_5344;

/// Where a datagram came from, and to which of our addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReceivedDatagram {
    /// Its bytes.
    pub len: usize,
    /// The sender.
    pub from: SocketAddr,
    /// Our address.
    pub to: IpAddr,
}

/// A socket on `address`, which may be the unspecified one. It never blocks, and its port may be
/// shared with the sockets of lanes.
pub fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    fault!(Bind);
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::ReusePort, &true)?;
    if address.is_ipv4() {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    mark(&fd)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    adopt(UdpSocket::from(fd))
}

/// Takes over a socket that [`open`] made, perhaps that of a former version.
///
/// The kernel's path MTU, which an ICMP error of anybody lowers, does not count over IPv4: with it
/// IKE messages would leave in IP fragments, and Azure drops those. DF is not set, because a peer
/// without IKE fragmentation (RFC 7383) is sent messages larger than a link. Over IPv6 no path MTU
/// is below 1280, and the kernel's counts.
pub fn adopt(socket: UdpSocket) -> io::Result<UdpSocket> {
    if socket.local_addr()?.is_ipv4() {
        set(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)?;
    }
    Ok(socket)
}

/// Takes one datagram.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<ReceivedDatagram> {
    fault!(IkeReceive);
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags)?;
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "a datagram of no IP family");
    let from = message.address.as_ref().and_then(address).ok_or_else(odd)?;
    let to = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    Ok(ReceivedDatagram { len: message.bytes, from, to: to.ok_or_else(odd)? })
}

/// Sends one datagram from one of our addresses.
pub fn send(socket: &impl AsFd, bytes: &[u8], from: IpAddr, to: SocketAddr) -> io::Result<()> {
    fault!(IkeSend);
    let (v4, v6);
    let control = match from {
        IpAddr::V4(address) => {
            let s_addr = u32::from_ne_bytes(address.octets());
            let none = libc::in_addr { s_addr: 0 };
            let ipi_spec_dst = libc::in_addr { s_addr };
            v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: none };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(address) => {
            let ipi6_addr = libc::in6_addr { s6_addr: address.octets() };
            v6 = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let (fd, to) = (socket.as_fd().as_raw_fd(), SockaddrStorage::from(to));
    let parts = [IoSlice::new(bytes)];
    sendmsg(fd, &parts, &[control], MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

/// Marks what leaves by a socket as an outer packet. Needs CAP_NET_ADMIN.
pub fn mark(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::Mark, &MARK)?)
}

/// Our address on the way to `remote`, as the routing tables have it for outer packets.
pub fn source_towards(remote: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    mark(&socket)?;
    socket.connect(SocketAddr::new(remote, 500))?;
    Ok(socket.local_addr()?.ip())
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| SocketAddr::from(SocketAddrV4::from(*a)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| SocketAddr::from(SocketAddrV6::from(*a))))
}
