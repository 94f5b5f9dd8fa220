//! A gateway's port, asked over a socket: each question a few times, each wait bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ike_probe::{IkeProbe, IkeProbeAnswer, PendingProbe, STRANGE};
use super::offer;
use crate::crypto::{Group, Provider};
use crate::ike::path::{Path, Port};
use crate::sys::clock;
use crate::sys::probe::UdpProbe;
use crate::sys::random::SystemRng;
use crate::time::Instant;
use crate::wire::packet::datagram::NON_ESP_MARKER;
use crate::wire::packet::{ip, udp};
use crate::wire::payload::sa::SecurityAssociation;

/// How long each sending of a question is waited for.
const PATIENT: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(1500)];
/// The same where silence is an answer too, and many questions are asked.
const BRISK: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(500)];
/// Questions that answers lead to: a cookie, then another group, and a cookie for that.
const ROUNDS: usize = 4;
/// The largest answer: a datagram.
const LONGEST: usize = 65_536;

/// Why there is no answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Silence {
    /// What the network or this host said instead of the peer.
    pub error: Option<PortError>,
}

/// What the network or this host said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortError {
    /// A host is there, and nobody listens on the port.
    PortClosed,
    /// No way leads there, or nobody has the address.
    Unreachable,
    /// This host's own firewall does not let the probe out.
    Forbidden,
    /// Anything else, by its number.
    Other(i32),
}

/// One port of one gateway.
#[derive(Debug)]
pub struct Caller {
    remote: IpAddr,
    port: Port,
    rng: SystemRng,
}

impl Caller {
    /// The port of a gateway.
    pub fn new(remote: IpAddr, port: Port) -> Caller {
        Caller { remote, port, rng: SystemRng::default() }
    }

    /// Asks as a dialling peer does, with a value of the first group; goes on with a cookie and
    /// with another of `groups`.
    pub fn ask(
        &mut self,
        offer: &SecurityAssociation,
        groups: &[Group],
    ) -> Result<IkeProbeAnswer, Silence> {
        let Some(first) = groups.first() else { return Err(Silence::default()) };
        let (mut group, mut cookie) = (*first, Vec::new());
        let mut tried = vec![group];
        for _ in 0..ROUNDS {
            let knock = IkeProbe { offer, group, cookie: &cookie, length: 0 };
            match self.exchange(&knock, &PATIENT)? {
                IkeProbeAnswer::Cookie(wanted) => cookie = wanted,
                IkeProbeAnswer::Group(id) => match offer::group(id) {
                    Some(other) if groups.contains(&other) && !tried.contains(&other) => {
                        group = other;
                        tried.push(other);
                    }
                    _ => return Ok(IkeProbeAnswer::Group(id)),
                },
                answer => return Ok(answer),
            }
        }
        Err(Silence::default())
    }

    /// Asks without obliging the peer to anything, in a message filled up to `length`.
    pub fn touch(
        &mut self,
        offer: &SecurityAssociation,
        length: usize,
    ) -> Result<IkeProbeAnswer, Silence> {
        let mut cookie = Vec::new();
        loop {
            let knock = IkeProbe { offer, group: STRANGE, cookie: &cookie, length };
            match self.exchange(&knock, &BRISK)? {
                IkeProbeAnswer::Cookie(wanted) if cookie.is_empty() => cookie = wanted,
                answer => return Ok(answer),
            }
        }
    }

    /// Whether a packet of `size` octets, IP and UDP headers included, gets there and is answered.
    pub fn passes(&mut self, offer: &SecurityAssociation, size: usize) -> bool {
        let ip = if self.remote.is_ipv4() { ip::V4_LEN } else { ip::V6_LEN };
        let frame = framed(self.port, &[]).len();
        self.touch(offer, size.saturating_sub(ip + udp::LEN + frame)).is_ok()
    }

    /// One question in one socket, until the answer or the end of patience.
    fn exchange(
        &mut self,
        knock: &IkeProbe<'_>,
        waits: &[Duration],
    ) -> Result<IkeProbeAnswer, Silence> {
        let provider = offer::provider();
        let told = |error: io::Error| Silence { error: Some(PortError::of(&error)) };
        let remote = SocketAddr::new(self.remote, self.port.number());
        let socket = UdpProbe::connect(remote).map_err(told)?;
        let local = socket.local().map_err(told)?;
        let path = Path { local, remote, port: self.port };
        let request = knock.request(&provider, &mut self.rng, path);
        let mut silence = Silence::default();
        for wait in waits {
            if let Err(error) = socket.send(&framed(self.port, &request.bytes)) {
                silence = told(error);
            }
            if silence.error == Some(PortError::Other(libc::EMSGSIZE)) {
                break;
            }
            let until = clock::now().mono + *wait;
            match await_answer(&socket, &provider, &request, until) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) => silence = Silence { error: Some(error) },
            }
        }
        Err(silence)
    }
}

/// An answer, or nothing until then, or what the network said meanwhile: the peer is waited for all
/// the same, for anybody can send an ICMP message.
fn await_answer(
    socket: &UdpProbe,
    provider: &dyn Provider,
    request: &PendingProbe,
    until: Instant,
) -> Result<Option<IkeProbeAnswer>, PortError> {
    let mut buffer = vec![0; LONGEST];
    let mut said = None;
    loop {
        let left = until.since(clock::now().mono);
        if left.is_zero() {
            return said.map_or(Ok(None), Err);
        }
        match socket.receive(&mut buffer, left) {
            Ok(len) => {
                let datagram = buffer.get(..len).unwrap_or_default();
                let message = unframed(request.path.port, datagram);
                if let Some(answer) = message.and_then(|bytes| request.read(provider, bytes)) {
                    return Ok(Some(answer));
                }
            }
            Err(error) if is_over(&error) => return said.map_or(Ok(None), Err),
            Err(error) => said = Some(PortError::of(&error)),
        }
    }
}

fn framed(port: Port, message: &[u8]) -> Vec<u8> {
    match port {
        Port::Ike => message.to_vec(),
        Port::NatT => [&NON_ESP_MARKER[..], message].concat(),
    }
}

fn unframed(port: Port, datagram: &[u8]) -> Option<&[u8]> {
    match port {
        Port::Ike => Some(datagram),
        Port::NatT => datagram.strip_prefix(&NON_ESP_MARKER),
    }
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl PortError {
    fn of(error: &io::Error) -> PortError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => PortError::PortClosed,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                PortError::Unreachable
            }
            io::ErrorKind::PermissionDenied => PortError::Forbidden,
            _ => PortError::Other(error.raw_os_error().unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for PortError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PortError::PortClosed => {
                f.write_str("the host there says that nobody listens on the port")
            }
            PortError::Unreachable => f.write_str("the network says that it cannot be reached"),
            PortError::Forbidden => f.write_str("a firewall on this host forbids the packet"),
            PortError::Other(number) => write!(f, "{}", io::Error::from_raw_os_error(*number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_of_port_4500_comes_and_goes() {
        for port in [Port::Ike, Port::NatT] {
            assert_eq!(unframed(port, &framed(port, b"message")), Some(&b"message"[..]));
        }
        assert_eq!(unframed(Port::NatT, b"\0\0\0\x01esp"), None);
    }

    #[test]
    fn errors_of_the_network_have_names() {
        for (number, error) in [
            (libc::ECONNREFUSED, PortError::PortClosed),
            (libc::EHOSTUNREACH, PortError::Unreachable),
            (libc::ENETUNREACH, PortError::Unreachable),
            (libc::EPERM, PortError::Forbidden),
            (libc::EACCES, PortError::Forbidden),
            (libc::EMSGSIZE, PortError::Other(libc::EMSGSIZE)),
        ] {
            assert_eq!(PortError::of(&io::Error::from_raw_os_error(number)), error);
        }
    }
}
