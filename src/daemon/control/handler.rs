//! What each command of the control socket does: one method of [`Service`] for each [`Ask`].
//!
//! | command | method |
//! |---|---|
//! | `status` | [`Service::status`] |
//! | `up`, `down` | [`Service::set_wanted`] |
//! | `rekey` | [`Service::rekey`] |
//! | `explain` | [`Service::explain`] |
//! | `reload` | `Service::reload`, in `daemon/reload.rs`; SIGHUP does the same |

use super::{Ask, ControlAnswer, ControlReply, RekeyWhich};
use crate::daemon::connection::RunningConnection;
use crate::daemon::explain::explain;
use crate::daemon::problem::Problem;
use crate::daemon::reload::ReloadError;
use crate::daemon::service::Service;
use crate::daemon::status::{self, Status};
use crate::ike::endpoint::command::Command;
use crate::ike::{ChildId, PeerId};
use crate::sys::clock;

/// Why a control command was not carried out.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("no connection is called {name}; there is {}", .known.join(", "))]
    NoSuchConnection { name: String, known: Vec<String> },
    #[error(transparent)]
    Reload(#[from] ReloadError),
}

impl Service {
    /// Carries out a command of the control socket.
    pub(crate) fn answer(&mut self, ask: Ask) -> ControlReply {
        let answer = match ask {
            Ask::Status { connection } => self.status(connection.as_deref()),
            Ask::Up { connection } => self.set_wanted(&connection, true),
            Ask::Down { connection } => self.set_wanted(&connection, false),
            Ask::Rekey { connection, which } => self.rekey(&connection, which),
            Ask::Explain { connection } => self.explain(&connection),
            // See `daemon/reload.rs`.
            Ask::Reload => self.reload().map(ControlAnswer::Done).map_err(CommandError::from),
        };
        match answer {
            Ok(answer) => ControlReply::Result(Box::new(answer)),
            Err(why) => ControlReply::Error(why.to_string()),
        }
    }

    fn connection(&self, name: &str) -> Result<&RunningConnection, CommandError> {
        let is_named = |connection: &&RunningConnection| connection.settings.name.as_str() == name;
        self.connections.iter().find(is_named).ok_or_else(|| {
            let known = self.connections.iter().map(|known| known.settings.name.to_string());
            CommandError::NoSuchConnection { name: name.to_owned(), known: known.collect() }
        })
    }

    fn status(&self, name: Option<&str>) -> Result<ControlAnswer, CommandError> {
        let now = clock::now();
        let of = |connection: &RunningConnection| {
            let RunningConnection { settings, peers, routes, routes_problem, crls: _ } = connection;
            status::connection(settings, peers, routes, routes_problem.as_ref(), now)
        };
        let connections = match name {
            Some(name) => vec![of(self.connection(name)?)],
            None => self.connections.iter().map(of).collect(),
        };
        let store_error = self.storage.state.store_error();
        Ok(ControlAnswer::Status(Status {
            version: status::VERSION,
            device: self.config.device.name.to_string(),
            s2sd: env!("CARGO_PKG_VERSION").to_owned(),
            running_seconds: now.mono.since(self.started_at).as_secs(),
            state_obstacle: store_error
                .map(|reason| Problem::State { reason: reason.to_owned() }.to_string()),
            connections,
        }))
    }

    /// Brings a connection up, or takes the connection down until the operator wants it up again.
    fn set_wanted(&mut self, name: &str, up: bool) -> Result<ControlAnswer, CommandError> {
        let peers = self.peers_of(name)?;
        let now = clock::now();
        self.storage.is_stale = true;
        for id in peers {
            if let Some(peer) = self.peer_mut(id) {
                peer.wanted = up;
            }
            self.endpoint.command(now, if up { Command::Up(id) } else { Command::Down(id) });
        }
        let done = if up { "is being brought up" } else { "is taken down and stays so" };
        Ok(ControlAnswer::Done(vec![format!("{name} {done}")]))
    }

    fn rekey(&mut self, name: &str, which: RekeyWhich) -> Result<ControlAnswer, CommandError> {
        let now = clock::now();
        let mut done = Vec::new();
        for id in self.peers_of(name)? {
            let Some(peer) = self.peer_mut(id) else { continue };
            let (tunnel, is_up) = (peer.record.name.clone(), peer.record.ike().is_some());
            let children: Vec<ChildId> = peer
                .tunnel
                .iter()
                .flat_map(|tunnel| {
                    tunnel.children().map(|(id, _)| id).filter(|id| tunnel.is_active(*id))
                })
                .collect();
            if !is_up {
                done.push(format!("{tunnel} has no IKE SA to rekey"));
                continue;
            }
            if which != RekeyWhich::Ike {
                done.push(format!("{tunnel}: {} child SAs are being rekeyed", children.len()));
                for child in children {
                    self.endpoint.command(now, Command::RekeyChild(id, child));
                }
            }
            if which != RekeyWhich::Child {
                done.push(format!("{tunnel}: the IKE SA is being rekeyed"));
                self.endpoint.command(now, Command::RekeyIke(id));
            }
        }
        Ok(ControlAnswer::Done(done))
    }

    fn explain(&self, name: &str) -> Result<ControlAnswer, CommandError> {
        let (connection, now) = (self.connection(name)?, clock::now());
        let file = self.options.source.as_ref().and_then(|path| {
            Some((path.display().to_string(), std::fs::read_to_string(path).ok()?))
        });
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let explanations = connection
            .peers
            .iter()
            .map(|peer| explain(&peer.record, &connection.settings, file, now))
            .collect();
        Ok(ControlAnswer::Explanations(explanations))
    }

    fn peers_of(&self, name: &str) -> Result<Vec<PeerId>, CommandError> {
        Ok(self.connection(name)?.peers.iter().map(|peer| peer.id).collect())
    }
}
