//! Addresses of gateways that are known by name, looked up again and again, and at once when one
//! does not answer: they may change.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::value::Host;
use crate::ike::PeerId;

/// How often a name is looked up. Azure does so every five minutes at most; one is enough for a
/// device.
const EVERY: Duration = Duration::from_secs(60);
/// How soon after a failure.
const AGAIN: Duration = Duration::from_secs(10);

/// What a look-up found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// For which peer.
    pub peer: PeerId,
    /// The name.
    pub name: String,
    /// Its address, the same one as long as the name has it.
    pub address: Result<IpAddr, String>,
}

/// The names that are looked up.
#[derive(Debug)]
pub struct Resolver {
    sender: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    watches: Vec<NameWatch>,
}

/// One name.
#[derive(Debug)]
struct NameWatch {
    peer: PeerId,
    /// Ends the pause between two look-ups.
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
    /// Looks a host up from now on, if it is a name.
    pub fn watch(&mut self, peer: PeerId, host: &Host) {
        let Host::Name(name) = host else { return };
        let (name, sender) = (name.as_str().to_owned(), self.sender.clone());
        let again = Arc::new(Notify::new());
        let task = tokio::spawn(look_up(peer, name, Arc::clone(&again), sender));
        self.watches.push(NameWatch { peer, again, task });
    }

    /// Looks this peer's name up now, if it has one: it does not answer where it was.
    pub fn look_again(&self, peer: PeerId) {
        let of_peer = self.watches.iter().filter(|watch| watch.peer == peer);
        of_peer.for_each(|watch| watch.again.notify_one());
    }

    /// Looks up for this peer no longer.
    pub fn forget(&mut self, peer: PeerId) {
        self.watches.retain(|watch| watch.peer != peer);
    }

    /// The next finding. Cancelling it loses none.
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
            Ok(Ok(address)) => Ok(address),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the look-up ended early".to_owned()),
        };
        let pause = if address.is_ok() { EVERY } else { AGAIN };
        held = address.as_ref().ok().copied().or(held);
        if to.send(Found { peer, name: name.clone(), address }).await.is_err() {
            return;
        }
        // Either the pause is over, or somebody has a reason to ask sooner.
        let _ = timeout(pause, again.notified()).await;
    }
}

/// The address of a name; `held` as long as it is among the answers, else the first of IPv4, else
/// the first.
fn resolve(name: &str, held: Option<IpAddr>) -> io::Result<IpAddr> {
    let found: Vec<IpAddr> = (name, 500).to_socket_addrs()?.map(|address| address.ip()).collect();
    let held = held.filter(|address| found.contains(address));
    let v4 = || found.iter().copied().find(IpAddr::is_ipv4);
    held.or_else(v4)
        .or(found.first().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
