//! Packets on the wire between the gateways, captured by a packet socket.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use s2sd::sys::namespace::Namespace;

/// Ethernet, then IPv4 without options, then UDP.
pub const IP: usize = 14;
pub const UDP: usize = IP + 20;

/// A socket that sees all frames of a namespace from now on.
pub fn tap(namespace: &Namespace) -> OwnedFd {
    namespace
        .run(|| {
            let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC);
            let fd = socket(kind.0, kind.1, kind.2, SockProtocol::EthAll)?;
            setsockopt(&fd, sockopt::RcvBufForce, &(256 << 20))?;
            Ok(fd)
        })
        .unwrap()
}

/// The datagrams that were seen on their way to these ports of an address: each with its port.
pub fn datagrams(tap: &OwnedFd, to: Ipv4Addr, ports: &[u16]) -> Vec<(u16, Vec<u8>)> {
    let mut frame = vec![0; 70_000];
    let frames = std::iter::from_fn(|| {
        let len = recv(tap.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT).ok()?;
        Some(frame[..len].to_vec())
    });
    let datagram = |frame: Vec<u8>| {
        let is_udp = frame.get(12..15) == Some(&[8, 0, 0x45]) && frame.get(IP + 9) == Some(&17);
        let port = frame.get(UDP + 2..UDP + 4).map(|p| u16::from_be_bytes([p[0], p[1]]))?;
        let goes_there = frame[IP + 16..IP + 20] == to.octets() && ports.contains(&port);
        (is_udp && goes_there).then(|| (port, frame[UDP + 8..].to_vec()))
    };
    frames.filter_map(datagram).collect()
}
