//! Somebody beside the line: ICMP errors "fragmentation needed" and "packet too big" that quote
//! packets as the forger likes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};
use s2sd::sys::namespace::Namespace;
use s2sd::wire::packet::checksum::Sum;

/// The outer packet that an error claims to be about.
#[derive(Clone, Copy)]
pub struct Quote {
    pub from: IpAddr,
    pub to: IpAddr,
    /// The UDP port of both ends; `None` for bare ESP.
    pub udp: Option<u16>,
    /// What the ESP packet begins with; `None` for an error that quotes 8 octets of UDP alone.
    pub esp: Option<[u8; 8]>,
}

/// A raw ICMP socket.
pub struct Forger {
    fd: OwnedFd,
    v6: bool,
}

impl Forger {
    pub fn open(namespace: &Namespace, v6: bool) -> Forger {
        let (family, protocol) = match v6 {
            true => (AddressFamily::Inet6, SockProtocol::IcmpV6),
            false => (AddressFamily::Inet, SockProtocol::Icmp),
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let open = || Ok::<_, io::Error>(socket(family, SockType::Raw, flags, protocol)?);
        Forger { fd: namespace.run(open).unwrap(), v6 }
    }

    /// Tells the sender of the quoted packet that its path takes no packet above `mtu`.
    pub fn tell(&self, mtu: u16, quote: Quote) {
        let message = if self.v6 { v6(mtu, quote) } else { v4(mtu, quote) };
        let to = SockaddrStorage::from(SocketAddr::new(quote.from, 0));
        // The kernel may refuse: then one error fewer is sent.
        let _ = sendto(self.fd.as_raw_fd(), &message, &to, MsgFlags::empty());
    }
}

/// What stands behind the quoted IP header.
fn inner(quote: Quote) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(port) = quote.udp {
        bytes.extend([port.to_be_bytes(), port.to_be_bytes(), [5, 180], [0, 0]].concat());
    }
    bytes.extend(quote.esp.into_iter().flatten());
    bytes
}

fn v4(mtu: u16, quote: Quote) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (quote.from, quote.to) else { panic!("not IPv4") };
    let [high, low] = mtu.to_be_bytes();
    let mut message = vec![3, 4, 0, 0, 0, 0, high, low];
    let protocol = if quote.udp.is_some() { 17 } else { 50 };
    message.extend([0x45, 0, 5, 200, 0, 0, 0x40, 0, 63, protocol, 0, 0]);
    message.extend(from.octets());
    message.extend(to.octets());
    message.extend(inner(quote));
    let sum = Sum::default().with(&message).finish().to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// The kernel completes the checksum.
fn v6(mtu: u16, quote: Quote) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (quote.from, quote.to) else { panic!("not IPv6") };
    let [high, low] = mtu.to_be_bytes();
    let mut message = vec![2, 0, 0, 0, 0, 0, high, low];
    let protocol = if quote.udp.is_some() { 17 } else { 50 };
    message.extend([0x60, 0, 0, 0, 5, 160, protocol, 63]);
    message.extend(from.octets());
    message.extend(to.octets());
    message.extend(inner(quote));
    message
}
