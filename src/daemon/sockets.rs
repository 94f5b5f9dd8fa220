//! IKE's sockets: one task for each takes datagrams in and passes them on; sending is done at once,
//! from control.
//!
//! On port 4500 an IKE message has four zero bytes in front of it (RFC 3948 §2.2): they are put on
//! and taken off here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::ike::path::{Path, Port};
use crate::state::{PersistentState, fd_store};
use crate::sys::ike_socket::{self, ReceivedDatagram};
use crate::wire::packet::datagram::{Classified, KEEPALIVE, NON_ESP_MARKER};

/// Datagrams that wait for control; more wait in the kernel.
const WAITING: usize = 64;

/// The largest datagram taken: IKE's own limit.
const LARGEST: usize = 1 << 16;

/// What came in.
#[derive(Debug)]
pub enum ReceivedMessage {
    /// An IKE message, without marker.
    Ike(Path, Vec<u8>),
    /// An ESP packet that no lane's socket took: its sender is not where its peer was.
    Esp(Path, Vec<u8>),
}

/// The sockets.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    tasks: Vec<JoinHandle<()>>,
    arrivals: mpsc::Receiver<ReceivedMessage>,
}

impl Sockets {
    /// Opens ports 500 and 4500 on these addresses; on all when there are none. What was kept is
    /// taken over.
    pub fn open(listen: &[IpAddr], estate: &mut PersistentState) -> io::Result<Sockets> {
        let kept = std::iter::from_fn(|| estate.take(fd_store::IKE)).map(std::net::UdpSocket::from);
        let mut kept: Vec<std::net::UdpSocket> = kept.collect();
        let mut opened = false;
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let addresses = if listen.is_empty() { &any[..] } else { listen };
        let (sender, arrivals) = mpsc::channel(WAITING);
        let mut all = Sockets { sockets: Vec::new(), tasks: Vec::new(), arrivals };
        for address in addresses {
            for port in [Port::Ike, Port::NatT] {
                let at = SocketAddr::new(*address, port.number());
                let same = |socket: &std::net::UdpSocket| {
                    socket.local_addr().is_ok_and(|local| local == at)
                };
                let found = kept.iter().position(same);
                opened |= found.is_none();
                let socket = match found
                    .map_or_else(|| ike_socket::open(at), |found| Ok(kept.swap_remove(found)))
                {
                    Ok(socket) => socket,
                    // A system without IPv6 is no fault.
                    Err(error) if listen.is_empty() && at.is_ipv6() => {
                        debug!(%at, %error, "no IPv6 here");
                        continue;
                    }
                    Err(error) => {
                        let what = format!("cannot open UDP {at} ({error}){}", remedy(&error));
                        return Err(io::Error::new(error.kind(), what));
                    }
                };
                let socket = Arc::new(UdpSocket::from_std(socket)?);
                all.tasks.push(tokio::spawn(take_in(Arc::clone(&socket), port, sender.clone())));
                all.sockets.push((at, socket));
            }
        }
        if opened || !kept.is_empty() {
            let keeper = &estate.handles.fd_store;
            keeper.forget(fd_store::IKE);
            all.sockets.iter().for_each(|(_, socket)| keeper.keep(fd_store::IKE, socket));
        }
        Ok(all)
    }

    /// A datagram that has come already.
    pub fn waiting(&mut self) -> Option<ReceivedMessage> {
        self.arrivals.try_recv().ok()
    }

    /// The next datagram. Cancelling it loses none.
    pub async fn receive(&mut self) -> Option<ReceivedMessage> {
        self.arrivals.recv().await
    }

    /// Sends an IKE message. What the kernel does not take is lost, as on the way.
    pub fn send(&self, path: &Path, message: &[u8]) -> io::Result<()> {
        match path.port {
            Port::Ike => self.send_raw(path, message),
            Port::NatT => self.send_raw(path, &[&NON_ESP_MARKER, message].concat()),
        }
    }

    /// Keeps a NAT's mapping.
    pub fn keep_alive(&self, path: &Path) {
        // Lost or refused, the next one is due soon enough.
        let _ = self.send_raw(path, &[KEEPALIVE]);
    }

    fn send_raw(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (port, from) = (path.port.number(), path.local.ip());
        let serves = |at: &SocketAddr| {
            let ip = at.ip();
            at.port() == port
                && ip.is_ipv4() == from.is_ipv4()
                && (ip == from || ip.is_unspecified())
        };
        let Some((_, socket)) = self.sockets.iter().find(|(at, _)| serves(at)) else {
            let what = format!("no socket for {from}: listen_addresses leaves it out");
            return Err(io::Error::other(what));
        };
        ike_socket::send(socket, bytes, from, path.remote).inspect_err(|error| {
            debug!(to = %path.remote, %error, "an IKE message could not be sent");
        })
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another IKE daemon has it; stop it (`systemctl disable --now strongswan ipsec`)"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": no interface has this address; correct listen_addresses"
        }
        io::ErrorKind::PermissionDenied => {
            ": s2sd needs CAP_NET_BIND_SERVICE and CAP_NET_ADMIN; run it as root or by its unit"
        }
        _ => "",
    }
}

async fn take_in(socket: Arc<UdpSocket>, port: Port, to: mpsc::Sender<ReceivedMessage>) {
    let mut buffer = vec![0; LARGEST];
    let mut failures = 0u32;
    loop {
        let take = || ike_socket::receive(&socket, &mut buffer);
        // An error is an ICMP message about something that was sent, and timers see to it. One that
        // stays must not have us spin.
        let Ok(arrival) = socket.async_io(Interest::READABLE, take).await else {
            failures = failures.saturating_add(1);
            tokio::time::sleep(Duration::from_millis(1 << failures.min(7))).await;
            continue;
        };
        failures = 0;
        let bytes = buffer.get(..arrival.len).unwrap_or_default();
        if let Some(inbound) = sort(port, arrival, bytes)
            && to.send(inbound).await.is_err()
        {
            return;
        }
    }
}

fn sort(port: Port, arrival: ReceivedDatagram, bytes: &[u8]) -> Option<ReceivedMessage> {
    let local = SocketAddr::new(arrival.to, port.number());
    let path = Path { local, remote: arrival.from, port };
    match (port, Classified::classify(bytes)) {
        (Port::Ike, _) => Some(ReceivedMessage::Ike(path, bytes.to_vec())),
        (Port::NatT, Classified::Ike(message)) => {
            Some(ReceivedMessage::Ike(path, message.to_vec()))
        }
        (Port::NatT, Classified::Esp(packet)) => Some(ReceivedMessage::Esp(path, packet.to_vec())),
        (Port::NatT, Classified::Keepalive | Classified::Runt) => None,
    }
}
