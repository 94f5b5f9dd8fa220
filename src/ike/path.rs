//! Where datagrams go: addresses, and which of IKE's two ports.

use std::net::{IpAddr, SocketAddr};

/// Which of IKE's sockets a datagram came in on or leaves by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Port {
    /// UDP 500: bare IKE messages.
    Ike,
    /// UDP 4500: IKE messages behind the non-ESP marker, ESP in UDP, keepalives (RFC 3948). The
    /// marker belongs to the shell: the engine neither sees nor writes it.
    NatT,
}

/// Both ends of a peer's datagrams.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's, as seen from here: behind a NAT the port is anything.
    pub remote: SocketAddr,
    /// Which socket.
    pub port: Port,
}

impl Path {
    /// Both addresses with the port number that `port` stands for at both ends.
    pub fn new(local: IpAddr, remote: IpAddr, port: Port) -> Path {
        let number = port.number();
        Path {
            local: SocketAddr::new(local, number),
            remote: SocketAddr::new(remote, number),
            port,
        }
    }

    /// The same ends on port 4500 (RFC 7296 §2.23): both sides move at once.
    pub fn floated(self) -> Path {
        Path::new(self.local.ip(), self.remote.ip(), Port::NatT)
    }
}

impl Port {
    /// The number in the UDP header.
    pub fn number(self) -> u16 {
        match self {
            Port::Ike => 500,
            Port::NatT => 4500,
        }
    }
}

/// A datagram that came in.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived and whence.
    pub path: Path,
    /// The IKE message, the non-ESP marker of port 4500 removed.
    pub bytes: &'a [u8],
}

/// Whether a message is sent for the first time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sending {
    /// The first sending of a request, or of the reply to a request.
    First,
    /// A request of ours again, because the peer has not answered (RFC 7296 §2.1).
    Retransmission,
    /// A cached reply again, because the peer repeated its request (RFC 7296 §2.1).
    RepeatedReply,
}

/// A datagram to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Whether the message was sent before.
    pub sending: Sending,
    /// By which socket and whither.
    pub path: Path,
    /// The IKE message; on port 4500 the shell puts the non-ESP marker in front.
    pub bytes: Vec<u8>,
}
