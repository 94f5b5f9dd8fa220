//! [`Resolver`]: addresses of gateways that are configured by name. A name is looked up once a
//! minute, and at once when its gateway does not answer, because the address may have changed.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::value::Host;
use crate::ike::PeerId;

/// The pause after a look-up that found an address. (Azure looks up the names of sites every five
/// minutes.)
const PAUSE: Duration = Duration::from_secs(60);
/// The pause after a look-up that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The outcome of a look-up.
#[derive(Debug)]
pub struct Found {
    /// The peer whose gateway has the name.
    pub peer: PeerId,
    /// The name that was looked up.
    pub name: String,
    /// The address of the name, the same one as long as the name has it; or why there is none.
    pub address: io::Result<IpAddr>,
}

/// The names that are looked up, each in a task of its own.
#[derive(Debug)]
pub struct Resolver {
    sender: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    watches: Vec<NameWatch>,
}

/// A name that is looked up for one peer.
#[derive(Debug)]
struct NameWatch {
    peer: PeerId,
    /// Ends the pause between two look-ups early.
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for NameWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Default for Resolver {
    fn default() -> Resolver {
        let (sender, found) = mpsc::channel(8);
        Resolver { sender, found, watches: Vec::new() }
    }
}

impl Resolver {
    /// Looks up a host from now on, if the host is a name.
    pub fn watch(&mut self, peer: PeerId, host: &Host) {
        let Host::Name(name) = host else { return };
        let (name, sender) = (name.as_str().to_owned(), self.sender.clone());
        let again = Arc::new(Notify::new());
        let task = tokio::spawn(look_up(peer, name, Arc::clone(&again), sender));
        self.watches.push(NameWatch { peer, again, task });
    }

    /// Looks up the name of this peer now, because the peer does not answer at the old address.
    pub fn look_again(&self, peer: PeerId) {
        let of_peer = self.watches.iter().filter(|watch| watch.peer == peer);
        of_peer.for_each(|watch| watch.again.notify_one());
    }

    /// Ends the look-ups for this peer.
    pub fn forget(&mut self, peer: PeerId) {
        self.watches.retain(|watch| watch.peer != peer);
    }

    /// Waits for the next outcome. Cancelling the future loses none.
    pub async fn next(&mut self) -> Option<Found> {
        self.found.recv().await
    }
}

async fn look_up(peer: PeerId, name: String, again: Arc<Notify>, to: mpsc::Sender<Found>) {
    let mut held = None;
    loop {
        let asked = name.clone();
        let answer = tokio::task::spawn_blocking(move || resolve(&asked, held)).await;
        let address = match answer {
            Ok(outcome) => outcome,
            Err(_) => Err(io::Error::other("the look-up was aborted")),
        };
        let pause = if address.is_ok() { PAUSE } else { RETRY_PAUSE };
        held = address.as_ref().ok().copied().or(held);
        if to.send(Found { peer, name: name.clone(), address }).await.is_err() {
            return;
        }
        // The timeout is the pause; `look_again` ends the pause early.
        let _ = timeout(pause, again.notified()).await;
    }
}

/// Looks up a name. Among several addresses the one in use (`held`) is preferred, then the first
/// IPv4 address, then the first.
fn resolve(name: &str, held: Option<IpAddr>) -> io::Result<IpAddr> {
    let found: Vec<IpAddr> = (name, 500).to_socket_addrs()?.map(|address| address.ip()).collect();
    let held = held.filter(|address| found.contains(address));
    let v4 = || found.iter().copied().find(IpAddr::is_ipv4);
    held.or_else(v4)
        .or(found.first().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
