//! Paths: the addresses and UDP ports of both ends, NAT traversal's port 4500 among them, and who
//! may change the peer's address.

use std::net::{IpAddr, SocketAddr};

/// Which of IKE's two sockets a datagram arrived on or leaves by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Port {
    /// UDP 500: bare IKE messages.
    Ike,
    /// UDP 4500, the port of NAT traversal (NAT-T, RFC 7296 §2.23 and RFC 3948): IKE messages
    /// behind the non-ESP marker, ESP in UDP, keepalives. The caller of the engine adds and removes
    /// the marker. Both ends move here when one of them detects a NAT or wants ESP in UDP.
    NatT,
}

/// The addresses and ports of both ends, as one of a peer's datagrams has them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    /// This end's address and port.
    pub local: SocketAddr,
    /// The peer's address and port as seen from here. Behind a NAT the port may be any.
    pub remote: SocketAddr,
    /// The socket of this end.
    pub port: Port,
}

impl Path {
    /// A path between two addresses with the number of `port` at both ends.
    pub fn new(local: IpAddr, remote: IpAddr, port: Port) -> Path {
        let number = port.number();
        Path {
            local: SocketAddr::new(local, number),
            remote: SocketAddr::new(remote, number),
            port,
        }
    }

    /// The same addresses on port 4500, where the initiator moves with IKE_AUTH (RFC 7296 §2.23).
    pub fn floated(self) -> Path {
        Path::new(self.local.ip(), self.remote.ip(), Port::NatT)
    }

    /// Decides who may change a tunnel's remote address: whether an IKE SA on this path moves, with
    /// all its children, to `seen`, the path of a packet that has just authenticated.
    ///
    /// Only the peer itself can move the tunnel, because the caller asks after the packet has
    /// authenticated: a new IKE request or a response on the peer's main IKE SA (`IkeSa::heard`),
    /// or an ESP packet, which the data plane reports as `DataEvent::PeerMoved` (`Peer::follow`).
    /// Retransmissions and unauthenticated datagrams never get here. An end that is itself behind a
    /// NAT does not follow: RFC 7296 §2.23 warns that an attacker on the path could move it away by
    /// resending a valid packet from another address, and a peer that is not behind a NAT keeps its
    /// address.
    pub(crate) fn follows(self, seen: Path, behind_nat: bool) -> bool {
        seen != self && !behind_nat
    }
}

impl Port {
    /// The UDP port number.
    pub fn number(self) -> u16 {
        match self {
            Port::Ike => 500,
            Port::NatT => 4500,
        }
    }
}

/// An IKE datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The socket that it arrived on, and the addresses of both ends.
    pub path: Path,
    /// The IKE message, without the non-ESP marker of port 4500.
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

/// An IKE datagram to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Whether the message was sent before.
    pub sending: Sending,
    /// The socket that it leaves by, and the addresses of both ends.
    pub path: Path,
    /// The IKE message; on port 4500 the caller puts the non-ESP marker in front.
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_follows_an_authenticated_peer_unless_it_is_behind_a_nat_itself() {
        let path = |host: &str| {
            let [local, remote] = ["192.0.2.1", host].map(|text| text.parse().expect("an address"));
            Path::new(local, remote, Port::NatT)
        };
        let (here, there) = (path("198.51.100.1"), path("198.51.100.2"));
        assert!(here.follows(there, false));
        assert!(!here.follows(there, true));
        assert!(!here.follows(here, false));
    }
}
