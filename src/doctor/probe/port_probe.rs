//! Sends probes to one UDP port of a gateway: each probe a few times, each wait bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ike_probe::{IkeProbe, IkeProbeAnswer, PendingProbe, UNOFFERED_GROUP};
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

/// How long to wait after each transmission of a full probe.
const FULL_WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(1500)];
/// The same for stateless probes, of which many are sent and many are expected to be lost.
const SHORT_WAITS: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(500)];
/// The requests that one full probe may need: a cookie, another group, and a cookie for that.
const ROUNDS: usize = 4;
/// The size of the receive buffer: the largest UDP datagram.
const LONGEST: usize = 65_536;

/// No answer came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NoAnswer {
    /// The error that the network or this host reported instead.
    pub error: Option<PortError>,
}

/// The error that the network or this host reported for a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortError {
    /// ICMP port unreachable: the host exists, and no program listens on the port.
    PortClosed,
    /// ICMP host or network unreachable, or no route.
    Unreachable,
    /// The firewall of this host refuses to send the probe.
    Forbidden,
    /// Any other error, by its errno.
    Other(i32),
}

/// One port of one gateway.
#[derive(Debug)]
pub struct PortProbe {
    remote: IpAddr,
    port: Port,
    rng: SystemRng,
}

impl PortProbe {
    /// The port of a gateway.
    pub fn new(remote: IpAddr, port: Port) -> PortProbe {
        PortProbe { remote, port, rng: SystemRng::default() }
    }

    /// Sends a full probe, as an initiating peer does: with a public value of the first group,
    /// again with a cookie, and again with another of `groups`, as the answers require.
    pub fn send(
        &mut self,
        offer: &SecurityAssociation,
        groups: &[Group],
    ) -> Result<IkeProbeAnswer, NoAnswer> {
        let Some(first) = groups.first() else { return Err(NoAnswer::default()) };
        let (mut group, mut cookie) = (*first, Vec::new());
        let mut tried = vec![group];
        for _ in 0..ROUNDS {
            let probe = IkeProbe { offer, group, cookie: &cookie, length: 0 };
            match self.exchange(&probe, &FULL_WAITS)? {
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
        Err(NoAnswer::default())
    }

    /// Sends a stateless probe, which creates no half-open IKE SA at the peer, padded to `length`.
    pub fn send_stateless(
        &mut self,
        offer: &SecurityAssociation,
        length: usize,
    ) -> Result<IkeProbeAnswer, NoAnswer> {
        let mut cookie = Vec::new();
        loop {
            let probe = IkeProbe { offer, group: UNOFFERED_GROUP, cookie: &cookie, length };
            match self.exchange(&probe, &SHORT_WAITS)? {
                IkeProbeAnswer::Cookie(wanted) if cookie.is_empty() => cookie = wanted,
                answer => return Ok(answer),
            }
        }
    }

    /// Whether a packet of `size` octets, IP and UDP headers included, is answered.
    pub fn passes(&mut self, offer: &SecurityAssociation, size: usize) -> bool {
        let ip = if self.remote.is_ipv4() { ip::V4_LEN } else { ip::V6_LEN };
        let frame = framed(self.port, &[]).len();
        self.send_stateless(offer, size.saturating_sub(ip + udp::LEN + frame)).is_ok()
    }

    /// Sends one request from one socket until an answer arrives or all waits have passed.
    fn exchange(
        &mut self,
        probe: &IkeProbe<'_>,
        waits: &[Duration],
    ) -> Result<IkeProbeAnswer, NoAnswer> {
        let provider = offer::provider();
        let no_answer = |error: io::Error| NoAnswer { error: Some(PortError::of(&error)) };
        let remote = SocketAddr::new(self.remote, self.port.number());
        let socket = UdpProbe::connect(remote).map_err(no_answer)?;
        let local = socket.local().map_err(no_answer)?;
        let path = Path { local, remote, port: self.port };
        let request = probe.request(&provider, &mut self.rng, path);
        let mut failure = NoAnswer::default();
        for wait in waits {
            if let Err(error) = socket.send(&framed(self.port, &request.bytes)) {
                failure = no_answer(error);
            }
            if failure.error == Some(PortError::Other(libc::EMSGSIZE)) {
                break;
            }
            let until = clock::now().mono + *wait;
            match await_answer(&socket, &provider, &request, until) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) => failure = NoAnswer { error: Some(error) },
            }
        }
        Err(failure)
    }
}

/// Waits for an answer until `until`. An error that the network reports does not end the wait,
/// because anybody can forge an ICMP message; it is returned when no answer came.
fn await_answer(
    socket: &UdpProbe,
    provider: &dyn Provider,
    request: &PendingProbe,
    until: Instant,
) -> Result<Option<IkeProbeAnswer>, PortError> {
    let mut buffer = vec![0; LONGEST];
    let mut reported = None;
    loop {
        let left = until.since(clock::now().mono);
        if left.is_zero() {
            return reported.map_or(Ok(None), Err);
        }
        match socket.receive(&mut buffer, left) {
            Ok(len) => {
                let datagram = buffer.get(..len).unwrap_or_default();
                let message = unframed(request.path.port, datagram);
                if let Some(answer) = message.and_then(|bytes| request.read(provider, bytes)) {
                    return Ok(Some(answer));
                }
            }
            Err(error) if is_over(&error) => return reported.map_or(Ok(None), Err),
            Err(error) => reported = Some(PortError::of(&error)),
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
                f.write_str("ICMP port unreachable: no program listens on that port")
            }
            PortError::Unreachable => f.write_str("the network reports the address as unreachable"),
            PortError::Forbidden => f.write_str("the firewall of this host blocks the packet"),
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
