//! Sockets that look at a path: UDP to one address, and ICMP echo from one. What they send is never
//! fragmented, and what the network says about it comes back as an error.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind,
    recv, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::esp_socket::set;
use super::ike_socket;

/// A UDP socket with a port of its own, connected to one address.
#[derive(Debug)]
pub struct UdpProbe(UdpSocket);

impl UdpProbe {
    /// Connects. Marked as the outer packets of tunnels are, where this process may, so that no
    /// tunnel swallows it.
    pub fn connect(remote: SocketAddr) -> io::Result<UdpProbe> {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        // Without CAP_NET_ADMIN there is no mark; then the main table alone decides, as for any
        // program.
        let _ = ike_socket::mark(&socket);
        let fd = socket.as_fd();
        if remote.is_ipv4() {
            set(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
            setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
        } else {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
            setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?;
        }
        socket.connect(remote)?;
        Ok(UdpProbe(socket))
    }

    /// Our address and port.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends one datagram. An error may be the network's about an earlier one.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes).map(drop)
    }

    /// The next datagram, or what the network said, or `WouldBlock` when the wait is over.
    pub fn receive(&self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.0.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        self.0.recv(buffer)
    }
}

/// A raw socket for ICMP messages from one of our addresses, out by one interface and in by any.
/// Needs CAP_NET_RAW.
#[derive(Debug)]
pub struct EchoProbe {
    fd: OwnedFd,
    out: libc::in_pktinfo,
}

impl EchoProbe {
    /// Opens it.
    pub fn open(source: Ipv4Addr, interface: &str) -> io::Result<EchoProbe> {
        let ipi_ifindex = i32::try_from(if_nametoindex(interface)?).map_err(io::Error::other)?;
        let s_addr = u32::from_ne_bytes(source.octets());
        let ipi_spec_dst = libc::in_addr { s_addr };
        let out =
            libc::in_pktinfo { ipi_ifindex, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
        set(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
        bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
        Ok(EchoProbe { fd, out })
    }

    /// Sends one ICMP message.
    pub fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()> {
        let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
        let (parts, how) = ([IoSlice::new(message)], [ControlMessage::Ipv4PacketInfo(&self.out)]);
        Ok(sendmsg(self.fd.as_raw_fd(), &parts, &how, MsgFlags::empty(), Some(&to)).map(drop)?)
    }

    /// The next ICMP message with its IPv4 header, or `WouldBlock` when the wait is over.
    pub fn receive(&self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        let wait = wait.max(Duration::from_millis(1));
        let micros = wait.subsec_micros().into();
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        setsockopt(&self.fd, sockopt::ReceiveTimeout, &TimeVal::new(seconds, micros))?;
        Ok(recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_nobody_has_refuses() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let probe = UdpProbe::connect(gone).unwrap();
        probe.send(b"anybody?").unwrap();
        let error = probe.receive(&mut [0; 16], Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_silent_port_is_waited_for_and_no_longer() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let probe = UdpProbe::connect(other.local_addr().unwrap()).unwrap();
        probe.send(b"hello").unwrap();
        let error = probe.receive(&mut [0; 16], Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut buffer = [0; 16];
        let (len, from) = other.recv_from(&mut buffer).unwrap();
        other.send_to(&buffer[..len], from).unwrap();
        assert_eq!(probe.receive(&mut buffer, Duration::from_secs(5)).unwrap(), 5);
        assert_eq!(probe.local().unwrap(), from);
    }
}
