//! A flood of IKE_SA_INIT from forged addresses, each with another SPI. Every other one claims to come from the genuine peer.
//!
//! The sender shares its processors with what it floods, and takes from TCP what it needs for itself. So the measure is the same
//! flood at a port of the same host where nobody listens: the difference is what s2sd does about it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use s2sd::crypto::{Group, Provider, Standard};
use s2sd::ike::combination::{Cipher, Combination};
use s2sd::ike::proposal::{self, Groups};
use s2sd::sys::namespace::Namespace;
use s2sd::sys::random::SystemRng;
use s2sd::wire::codes::{EncrId, ExchangeType, PrfId};
use s2sd::wire::header::{Flags, Header, MessageId, Version};
use s2sd::wire::ke::KeyExchange;
use s2sd::wire::message::Message;
use s2sd::wire::nonce::Nonce;
use s2sd::wire::payload::Payload;
use s2sd::wire::spi::{IkeSpi, Spi};

use crate::lab::traffic::clock;

/// Datagrams a second.
pub const RATE: u64 = 50_000;
/// How often the sender looks at the clock.
const PACE: Duration = Duration::from_millis(1);
/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// A sender at work; it ends with this.
pub struct Flood {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<(u64, Duration)>>>,
}

impl Flood {
    /// Starts sending to this port from inside of a namespace; half of it as if from `peer`.
    pub fn start(from: &Namespace, peer: Ipv4Addr, to: SocketAddrV4) -> Flood {
        let (stop, stopped) = channel();
        // The socket belongs to the namespace whatever thread uses it.
        let raw = from.run(|| {
            Ok(socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Raw,
            )?)
        });
        let raw = raw.unwrap();
        let thread = std::thread::spawn(move || send(&raw, peer, to, &stopped));
        Flood { stop: Some(stop), thread: Some(thread) }
    }

    /// Stops; how many datagrams a second there were.
    pub fn stop(mut self) -> u64 {
        drop(self.stop.take());
        let (sent, time) = self.thread.take().unwrap().join().unwrap().unwrap();
        sent * 1000 / u64::try_from(time.as_millis()).unwrap().max(1)
    }
}

fn send(
    raw: &impl std::os::fd::AsRawFd,
    peer: Ipv4Addr,
    to: SocketAddrV4,
    stopped: &Receiver<()>,
) -> io::Result<(u64, Duration)> {
    let mut packet = packet(to);
    let target = SockaddrIn::from(to);
    let (begun, mut sent) = (clock(), 0_u64);
    loop {
        let due = u64::try_from(begun.elapsed().as_micros()).unwrap() * RATE / 1_000_000;
        while sent < due {
            sent += 1;
            forge(&mut packet, peer, sent);
            // A full queue is the line's business: what did not fit was not sent by a fast attacker either.
            let _ = sendto(raw.as_raw_fd(), &packet, &target, MsgFlags::MSG_DONTWAIT);
        }
        if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
            return Ok((sent, begun.elapsed()));
        }
    }
}

/// Another source and another SPI.
fn forge(packet: &mut [u8], peer: Ipv4Addr, number: u64) {
    let [.., b, c, d] = number.to_be_bytes();
    let (source, port) = match number % 2 {
        0 => (peer.octets(), 10_000 + u16::from(c % 128) * 256 + u16::from(d)),
        _ => ([100, b, c, d], 500),
    };
    packet[12..16].copy_from_slice(&source);
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[HEADERS..HEADERS + 8].copy_from_slice(&(0x5000_0000_0000_0000 | number).to_be_bytes());
}

/// An honest first message with its headers; the kernel fills in length and checksum.
fn packet(to: SocketAddrV4) -> Vec<u8> {
    let message = first_message();
    let length = u16::try_from(8 + message.len()).unwrap();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0];
    packet.extend(to.ip().octets());
    packet.extend([0, 0]);
    packet.extend(to.port().to_be_bytes());
    packet.extend(length.to_be_bytes());
    // No UDP checksum (RFC 768).
    packet.extend([0, 0]);
    packet.extend(message);
    packet
}

/// It fits the policy of the flooded end, and its public value is a point on the curve: the dearest there is.
fn first_message() -> Vec<u8> {
    let cipher = Cipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None };
    let group = Group::Ecp256;
    let line = Combination::Ike { cipher, prf: PrfId::HmacSha2_384, ke: group.id() };
    let exchange = Standard::default().start_exchange(group, &mut SystemRng::default());
    let payloads = vec![
        Payload::Sa(proposal::offer(&[line], Spi::None, Groups::Negotiated)),
        Payload::KeyExchange(KeyExchange::new(group.id(), exchange.public_value())),
        Payload::Nonce(Nonce::new([7; 32]).unwrap()),
    ];
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi::ZERO,
        version: Version::V2,
        exchange: ExchangeType::IkeSaInit,
        flags: Flags::INITIATOR,
        message_id: MessageId(0),
    };
    Message::clear(header, payloads).encode().unwrap()
}
