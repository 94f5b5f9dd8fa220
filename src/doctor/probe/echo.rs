//! Pings through a tunnel: ICMP echo requests of a given size that are never fragmented.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use pnet_packet::Packet;
use pnet_packet::icmp::echo_reply::EchoReplyPacket;
use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet_packet::ipv4::Ipv4Packet;

use crate::rng::Rng;
use crate::sys::clock;
use crate::sys::probe::EchoProbe;
use crate::sys::random::SystemRng;

/// An IPv4 header without options.
const IP_HEADER: usize = 20;
/// The ICMP header with identifier and sequence number.
const ICMP_HEADER: usize = 8;
/// The smallest packet that is sent.
pub const LEAST: usize = IP_HEADER + ICMP_HEADER + 16;

/// A socket that sends echo requests from one address of this host.
#[derive(Debug)]
pub struct Pinger {
    socket: EchoProbe,
    identifier: u16,
    sequence: u16,
}

/// A reply to an echo request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EchoReply {
    /// The host that replied.
    pub from: Ipv4Addr,
    /// The time between request and reply.
    pub after: Duration,
}

impl Pinger {
    /// Opens a socket that sends from this address of this host and out of this interface.
    pub fn open(source: Ipv4Addr, interface: &str) -> io::Result<Pinger> {
        let [.., a, b] = SystemRng::default().next_u64().to_be_bytes();
        Ok(Pinger {
            socket: EchoProbe::open(source, interface)?,
            identifier: u16::from_be_bytes([a, b]),
            sequence: 0,
        })
    }

    /// Sends one packet of `size` octets, IP header included, to each address; returns the first
    /// reply.
    pub fn ping(&mut self, to: &[Ipv4Addr], size: usize, wait: Duration) -> Option<EchoReply> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = request(self.identifier, self.sequence, size);
        let began = clock::now().mono;
        let sent: Vec<Ipv4Addr> =
            to.iter().copied().filter(|to| self.socket.send(&message, *to).is_ok()).collect();
        if sent.is_empty() {
            return None;
        }
        let mut buffer = vec![0; 65_536];
        loop {
            let passed = clock::now().mono.since(began);
            let left = wait.checked_sub(passed).filter(|left| !left.is_zero())?;
            let len = match self.socket.receive(&mut buffer, left) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => continue,
            };
            let packet = buffer.get(..len).unwrap_or_default();
            let from = replier(packet, self.identifier, self.sequence);
            if let Some(from) = from.filter(|from| sent.contains(from)) {
                return Some(EchoReply { from, after: clock::now().mono.since(began) });
            }
        }
    }

    /// The largest packet up to `most` octets that `to` replies to.
    pub fn largest(&mut self, to: Ipv4Addr, most: usize, wait: Duration) -> Option<usize> {
        super::search::largest(LEAST, most, |size| {
            (0..2).any(|_| self.ping(&[to], size, wait).is_some())
        })
    }
}

/// An echo request that makes a packet of `size` octets.
fn request(identifier: u16, sequence: u16, size: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; size.saturating_sub(IP_HEADER).max(ICMP_HEADER)];
    {
        let mut echo =
            MutableEchoRequestPacket::new(&mut bytes).expect("a header fits into its own length");
        echo.set_icmp_type(IcmpTypes::EchoRequest);
        echo.set_icmp_code(pnet_packet::icmp::IcmpCode(0));
        echo.set_identifier(identifier);
        echo.set_sequence_number(sequence);
        echo.set_checksum(0);
    }
    let sum = IcmpPacket::new(&bytes).map_or(0, |packet| checksum(&packet));
    if let Some(mut echo) = MutableEchoRequestPacket::new(&mut bytes) {
        echo.set_checksum(sum);
    }
    bytes
}

/// The sender of this packet, if the packet is the reply to our request.
fn replier(packet: &[u8], identifier: u16, sequence: u16) -> Option<Ipv4Addr> {
    let ip = Ipv4Packet::new(packet)?;
    let payload = packet.get(usize::from(ip.get_header_length()) * 4..)?;
    let echo = EchoReplyPacket::new(payload)?;
    let ours = echo.get_icmp_type() == IcmpTypes::EchoReply
        && echo.get_identifier() == identifier
        && echo.get_sequence_number() == sequence
        && echo.payload().iter().all(|octet| *octet == 0x5a);
    ours.then(|| ip.get_source())
}

#[cfg(test)]
mod tests {
    use pnet_packet::ipv4::MutableIpv4Packet;

    use super::*;

    fn reply(identifier: u16, sequence: u16, kind: u8) -> Vec<u8> {
        let mut message = request(identifier, sequence, 84);
        message[0] = kind;
        let mut packet = vec![0; IP_HEADER + message.len()];
        packet[IP_HEADER..].copy_from_slice(&message);
        let mut ip = MutableIpv4Packet::new(&mut packet).unwrap();
        ip.set_version(4);
        ip.set_header_length(5);
        ip.set_source(Ipv4Addr::new(10, 2, 0, 4));
        packet
    }

    #[test]
    fn a_request_has_its_size_and_a_right_checksum() {
        for size in [LEAST, 84, 1400] {
            let bytes = request(7, 9, size);
            assert_eq!(bytes.len() + IP_HEADER, size);
            assert_eq!(crate::wire::packet::checksum::Sum::default().with(&bytes).finish(), 0);
        }
    }

    #[test]
    fn only_the_reply_to_the_request_is_taken() {
        let from = Some(Ipv4Addr::new(10, 2, 0, 4));
        assert_eq!(replier(&reply(7, 9, 0), 7, 9), from);
        assert_eq!(replier(&reply(7, 9, 8), 7, 9), None, "a request");
        assert_eq!(replier(&reply(7, 8, 0), 7, 9), None, "an older one");
        assert_eq!(replier(&reply(6, 9, 0), 7, 9), None, "another program's");
        assert_eq!(replier(&[0x4f; 21], 7, 9), None);
    }
}
