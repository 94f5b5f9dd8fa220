//! Addresses of gateways that are known by name, looked up again and again: they may change.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::value::Host;
use crate::ike::PeerId;

/// How often a name is looked up. Azure does so every five minutes at most; one is enough for a device.
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
pub struct Names {
    sender: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    tasks: Vec<(PeerId, JoinHandle<()>)>,
}

impl Default for Names {
    fn default() -> Names {
        let (sender, found) = mpsc::channel(8);
        Names { sender, found, tasks: Vec::new() }
    }
}

impl Names {
    /// Looks a host up from now on, if it is a name.
    pub fn watch(&mut self, peer: PeerId, host: &Host) {
        let Host::Name(name) = host else { return };
        let (name, sender) = (name.as_str().to_owned(), self.sender.clone());
        self.tasks.push((peer, tokio::spawn(look_up(peer, name, sender))));
    }

    /// Looks up for this peer no longer.
    pub fn forget(&mut self, peer: PeerId) {
        for (_, task) in self.tasks.extract_if(.., |(of, _)| *of == peer) {
            task.abort();
        }
    }

    /// The next finding. Cancelling it loses none.
    pub async fn next(&mut self) -> Option<Found> {
        self.found.recv().await
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|(_, task)| task.abort());
    }
}

async fn look_up(peer: PeerId, name: String, to: mpsc::Sender<Found>) {
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
        tokio::time::sleep(pause).await;
    }
}

/// The address of a name; `held` as long as it is among the answers, else the first of IPv4, else the first.
fn resolve(name: &str, held: Option<IpAddr>) -> io::Result<IpAddr> {
    let found: Vec<IpAddr> = (name, 500).to_socket_addrs()?.map(|address| address.ip()).collect();
    let held = held.filter(|address| found.contains(address));
    let v4 = || found.iter().copied().find(IpAddr::is_ipv4);
    held.or_else(v4)
        .or(found.first().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
