//! The UDP sockets of IKE, on ports 500 and 4500. One task for each socket receives datagrams and
//! passes them to the service, which sends without a task.
//!
//! Port 4500 is that of NAT traversal (NAT-T). There an IKE message begins with four zero bytes,
//! the non-ESP marker (RFC 3948 §2.2), which this file adds and removes.

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

/// How many datagrams may wait for the service. More of them wait in the kernel.
const WAITING: usize = 64;

/// The largest datagram that is received: more than UDP can carry.
const LARGEST: usize = 1 << 16;

/// A datagram for the service.
#[derive(Debug)]
pub(super) enum ReceivedMessage {
    /// An IKE message, without the non-ESP marker.
    Ike(Path, Vec<u8>),
    /// An ESP packet that no lane's socket took: the packet comes from another address than its
    /// peer's last one.
    Esp(Path, Vec<u8>),
}

/// The sockets of IKE on all addresses, and the tasks that receive on them.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    tasks: Vec<JoinHandle<()>>,
    arrivals: mpsc::Receiver<ReceivedMessage>,
}

impl Sockets {
    /// Opens ports 500 and 4500 on these addresses, or on every address if the list is empty.
    /// Sockets that a former process left are taken over.
    pub(super) fn open(listen: &[IpAddr], persistent: &mut PersistentState) -> io::Result<Sockets> {
        let kept =
            std::iter::from_fn(|| persistent.take(fd_store::IKE)).map(std::net::UdpSocket::from);
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
                let socket = match found.map_or_else(
                    || ike_socket::open(at),
                    |found| ike_socket::adopt(kept.swap_remove(found)),
                ) {
                    Ok(socket) => socket,
                    // A host without IPv6 is in order.
                    Err(error) if listen.is_empty() && at.is_ipv6() => {
                        debug!(%at, %error, "no IPv6 socket: this host has no IPv6");
                        continue;
                    }
                    Err(error) => {
                        let what = format!("cannot open UDP {at} ({error}){}", remedy(&error));
                        return Err(io::Error::new(error.kind(), what));
                    }
                };
                let socket = Arc::new(UdpSocket::from_std(socket)?);
                all.tasks.push(tokio::spawn(receive_on(Arc::clone(&socket), port, sender.clone())));
                all.sockets.push((at, socket));
            }
        }
        if opened || !kept.is_empty() {
            let fd_store = &persistent.handles.fd_store;
            fd_store.forget(fd_store::IKE);
            all.sockets.iter().for_each(|(_, socket)| fd_store.keep(fd_store::IKE, socket));
        }
        Ok(all)
    }

    /// The next datagram, if one waits.
    pub(super) fn try_receive(&mut self) -> Option<ReceivedMessage> {
        self.arrivals.try_recv().ok()
    }

    /// The next datagram. Cancelling the future loses none.
    pub(super) async fn receive(&mut self) -> Option<ReceivedMessage> {
        self.arrivals.recv().await
    }

    /// Sends an IKE message. A message that the kernel does not take is lost like one that the
    /// network loses: the engine's timers send it again.
    pub(super) fn send(&self, path: &Path, message: &[u8]) -> io::Result<()> {
        match path.port {
            Port::Ike => self.send_raw(path, message),
            Port::NatT => self.send_raw(path, &[&NON_ESP_MARKER, message].concat()),
        }
    }

    /// Sends a NAT keepalive (RFC 3948 §4).
    pub(super) fn keep_alive(&self, path: &Path) {
        // If the kernel refuses this one, the next is due soon enough.
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
            let what = format!("no socket for {from}: listen_addresses does not have it");
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
            ": another IKE daemon uses the port; stop that daemon (`systemctl disable --now strongswan ipsec`)"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": no interface has this address; correct listen_addresses"
        }
        io::ErrorKind::PermissionDenied => {
            ": s2sd needs CAP_NET_BIND_SERVICE and CAP_NET_ADMIN; run s2sd as root or by its systemd unit, in a container with `--cap-add NET_ADMIN --cap-add NET_BIND_SERVICE`"
        }
        _ => "",
    }
}

async fn receive_on(socket: Arc<UdpSocket>, port: Port, to: mpsc::Sender<ReceivedMessage>) {
    let mut buffer = vec![0; LARGEST];
    let mut failures = 0u32;
    loop {
        let receive = || ike_socket::receive(&socket, &mut buffer);
        // An error is an ICMP message about a datagram that was sent, which the engine's timers
        // send again. The pause keeps an error that stays from taking a whole processor.
        let Ok(arrival) = socket.async_io(Interest::READABLE, receive).await else {
            failures = failures.saturating_add(1);
            tokio::time::sleep(Duration::from_millis(1 << failures.min(7))).await;
            continue;
        };
        failures = 0;
        let bytes = buffer.get(..arrival.len).unwrap_or_default();
        if let Some(inbound) = classify(port, arrival, bytes)
            && to.send(inbound).await.is_err()
        {
            return;
        }
    }
}

/// Tells IKE from ESP, and drops keepalives.
fn classify(port: Port, arrival: ReceivedDatagram, bytes: &[u8]) -> Option<ReceivedMessage> {
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
