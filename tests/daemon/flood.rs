//! Floods from forged addresses: of IKE_SA_INIT, each with another SPI, of which every other one
//! claims to come from the genuine peer; of what only a peer would send; and of what a peer did
//! send, again and again.
//!
//! The sender shares its processors with what it floods, and takes from TCP what it needs for
//! itself. So the measure is the same flood at a port of the same host where nobody listens: the
//! difference is what s2sd does about it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use s2sd::crypto::{Group, Provider, Standard};
use s2sd::ike::negotiation::combination::{Combination, CombinationCipher};
use s2sd::ike::negotiation::proposal::{self, Groups};
use s2sd::sys::namespace::Namespace;
use s2sd::sys::random::SystemRng;
use s2sd::wire::codes::{EncrId, ExchangeType, PrfId};
use s2sd::wire::header::{Flags, Header, IkeVersion, MessageId};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::ke::KeyExchange;
use s2sd::wire::payload::nonce::Nonce;
use s2sd::wire::spi::{IkeSpi, Spi};

use crate::lab::traffic::clock;

/// Datagrams a second.
pub const RATE: u64 = 50_000;
/// How often the sender looks at the clock.
const PACE: Duration = Duration::from_millis(1);
/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// What is sent: one body that is varied for each datagram, which gives where it is to come from
/// too.
pub struct Model {
    body: Vec<u8>,
    vary: Box<Vary>,
}

/// Makes the body that of the so-manieth datagram; where it is to come from.
type Vary = dyn Fn(&mut [u8], u64) -> SocketAddrV4 + Send;

/// A sender at work; it ends with this.
pub struct Flood {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<(u64, Duration)>>>,
}

impl Flood {
    /// Starts sending to this port from inside of a namespace.
    pub fn start(from: &Namespace, model: Model, to: SocketAddrV4) -> Flood {
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
        let thread = std::thread::spawn(move || send(&raw, &model, to, &stopped));
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
    model: &Model,
    to: SocketAddrV4,
    stopped: &Receiver<()>,
) -> io::Result<(u64, Duration)> {
    let mut packet = packet(&model.body, to);
    let target = SockaddrIn::from(to);
    let (begun, mut sent) = (clock(), 0_u64);
    loop {
        let due = u64::try_from(begun.elapsed().as_micros()).unwrap() * RATE / 1_000_000;
        while sent < due {
            sent += 1;
            let source = (model.vary)(&mut packet[HEADERS..], sent);
            packet[12..16].copy_from_slice(&source.ip().octets());
            packet[20..22].copy_from_slice(&source.port().to_be_bytes());
            // A full queue is the line's business: what did not fit was not sent by a fast attacker
            // either.
            let _ = sendto(raw.as_raw_fd(), &packet, &target, MsgFlags::MSG_DONTWAIT);
        }
        if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
            return Ok((sent, begun.elapsed()));
        }
    }
}

/// The body with its headers; the kernel fills in length and checksum.
fn packet(body: &[u8], to: SocketAddrV4) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).unwrap();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0];
    packet.extend(to.ip().octets());
    packet.extend([0, 0]);
    packet.extend(to.port().to_be_bytes());
    packet.extend(length.to_be_bytes());
    // No UDP checksum (RFC 768).
    packet.extend([0, 0]);
    packet.extend(body);
    packet
}

/// Honest first messages, every other one as if from the peer.
pub fn first_messages(peer: Ipv4Addr) -> Model {
    let vary = move |body: &mut [u8], number: u64| {
        body[..8].copy_from_slice(&(0x5000_0000_0000_0000 | number).to_be_bytes());
        let [.., b, c, d] = number.to_be_bytes();
        match number % 2 {
            0 => SocketAddrV4::new(peer, 10_000 + u16::from(c % 128) * 256 + u16::from(d)),
            _ => SocketAddrV4::new([100, b, c, d].into(), 500),
        }
    };
    Model { body: first_message(), vary: Box::new(vary) }
}

/// ESP as if from the peer, of one SPI, or of another one each time. Nobody sealed it.
pub fn esp(peer: Ipv4Addr, spi: Option<u32>) -> Model {
    let vary = move |body: &mut [u8], number: u64| {
        let [.., a, b, c, d] = number.to_be_bytes();
        body[..4].copy_from_slice(
            &spi.unwrap_or(0x4000_0000 | u32::from_be_bytes([0, b, c, d])).to_be_bytes(),
        );
        // Above all numbers that were used: no window knows it.
        body[4..8].copy_from_slice(&[0x40 | a, b, c, d]);
        SocketAddrV4::new(peer, 4500)
    };
    // Header, IV, text and check value of AES-GCM.
    Model { body: vec![0x5a; 8 + 8 + 96 + 16], vary: Box::new(vary) }
}

/// Sealed messages of IKE SAs that there are not, each as if from another address.
pub fn sealed() -> Model {
    let mut body = vec![0x5a; 4 + 28 + 4 + 80];
    body[..4].fill(0);
    // Sealed payload, version 2, INFORMATIONAL, request of the initiator; the lengths.
    body[20..24].copy_from_slice(&[46, 0x20, 37, 0x08]);
    body[28..32].copy_from_slice(&112_u32.to_be_bytes());
    body[32..36].copy_from_slice(&[0, 0, 0, 84]);
    let vary = |body: &mut [u8], number: u64| {
        body[4..12].copy_from_slice(&(0x6000_0000_0000_0000 | number).to_be_bytes());
        stranger(number)
    };
    Model { body, vary: Box::new(vary) }
}

/// Octets that are no message, of every length of header fields.
pub fn garbage() -> Model {
    let vary = |body: &mut [u8], number: u64| {
        for (at, octet) in (0_u64..).zip(body.iter_mut()) {
            *octet = number
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(u32::try_from(at % 64).unwrap())
                .to_be_bytes()[0];
        }
        stranger(number)
    };
    Model { body: vec![0; 200], vary: Box::new(vary) }
}

/// What the peer did send, from the port that it was sent from.
pub fn echoes(peer: Ipv4Addr, port: u16, body: Vec<u8>) -> Model {
    Model { body, vary: Box::new(move |_, _| SocketAddrV4::new(peer, port)) }
}

fn stranger(number: u64) -> SocketAddrV4 {
    let [.., b, c, d] = number.to_be_bytes();
    SocketAddrV4::new([100, b, c, d].into(), 500)
}

/// It fits the policy of the flooded end, and its public value is a point on the curve: the dearest
/// there is.
fn first_message() -> Vec<u8> {
    let cipher = CombinationCipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None };
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
        version: IkeVersion::V2,
        exchange: ExchangeType::IkeSaInit,
        flags: Flags::INITIATOR,
        message_id: MessageId(0),
    };
    Message::clear(header, payloads).encode().unwrap()
}
