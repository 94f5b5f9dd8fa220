//! The traffic of the demonstration: pings, then one TCP stream.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::network::AZURE_HOST;
use crate::sys::clock;
use crate::sys::namespace::Namespace;
use crate::time::Instant;
use crate::wire::packet::checksum::Sum;
use crate::wire::packet::icmp;

/// The port of the TCP stream.
const PORT: u16 = 5001;
/// The octets of one write or read.
const PIECE: usize = 256 << 10;

/// Pings Azure's host from the site's host; returns the round-trip times of the answered pings.
pub fn ping(from: &Namespace, count: u16) -> io::Result<Vec<Duration>> {
    from.run(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500))?;
        let to = SockaddrIn::from(SocketAddrV4::new(AZURE_HOST, 0));
        let mut trips = Vec::new();
        for number in 1..=count {
            let sent = clock::now().mono;
            sendto(socket.as_raw_fd(), &echo(number), &to, MsgFlags::empty())?;
            let mut packet = [0; 256];
            while let Ok(len) = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                // A raw socket shows the IP header too, of 20 bytes here; an echo reply is type 0,
                // its number at 6.
                let reply = packet.get(20..len).unwrap_or_default();
                let is_ours =
                    reply.first() == Some(&0) && reply.get(6..8) == Some(&number.to_be_bytes());
                if is_ours {
                    trips.push(clock::now().mono.since(sent));
                    break;
                }
            }
        }
        Ok(trips)
    })
}

/// An ICMP echo request with 56 octets of data, as of ping(8).
fn echo(number: u16) -> [u8; icmp::LEN + 56] {
    let mut message = [0; icmp::LEN + 56];
    message[0] = 8;
    message[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = Sum::default().with(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Counts the received bytes of the stream while it runs.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: AtomicU64,
    /// The longest time without received bytes, in nanoseconds.
    gap: AtomicU64,
    over: AtomicBool,
}

impl Meter {
    /// The bytes received so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The longest time without received bytes so far.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.gap.load(Ordering::Relaxed))
    }

    /// Stops the sender.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn arrived(&self, count: usize, silence: Duration) {
        self.bytes.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        let silence = u64::try_from(silence.as_nanos()).unwrap_or(u64::MAX);
        self.gap.fetch_max(silence, Ordering::Relaxed);
    }
}

/// Opens the listening socket on Azure's host.
pub fn listen(host: &Namespace) -> io::Result<TcpListener> {
    host.run(|| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))))
}

/// Receives one stream until the sender closes it.
pub fn receive(listener: &TcpListener, meter: &Meter) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; PIECE];
    let mut last: Option<Instant> = None;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let now = clock::now().mono;
        meter.arrived(count, last.map_or(Duration::ZERO, |last| now.since(last)));
        last = Some(now);
    }
}

/// Sends one stream from the site's host until the meter is stopped.
pub fn send(host: &Namespace, meter: &Meter) -> io::Result<()> {
    host.run(|| {
        let mut stream = TcpStream::connect((AZURE_HOST, PORT))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let piece = vec![0x5a; PIECE];
        while !meter.over.load(Ordering::Relaxed) {
            stream.write_all(&piece)?;
        }
        Ok(())
    })
}
