//! What callers at the control socket wish, carried out by the shell.

use super::{Ask, ControlAnswer, ControlReply, RekeyWhich};
use crate::daemon::connection::RunningConnection;
use crate::daemon::explain::explain;
use crate::daemon::problem::Problem;
use crate::daemon::service::Service;
use crate::daemon::status::{self, Status};
use crate::ike::endpoint::command::Command;
use crate::ike::{ChildId, PeerId};
use crate::sys::clock;

impl Service {
    /// Does what is asked.
    pub(crate) fn answer(&mut self, ask: Ask) -> ControlReply {
        let answer = match ask {
            Ask::Status { connection } => self.status(connection.as_deref()),
            Ask::Up { connection } => self.want(&connection, true),
            Ask::Down { connection } => self.want(&connection, false),
            Ask::Rekey { connection, which } => self.rekey(&connection, which),
            Ask::Explain { connection } => self.explain(&connection),
            Ask::Reload => self.reload().map(ControlAnswer::Done),
        };
        match answer {
            Ok(answer) => ControlReply::Result(Box::new(answer)),
            Err(why) => ControlReply::Error(why),
        }
    }

    fn link(&self, name: &str) -> Result<&RunningConnection, String> {
        let named = self.links.iter().find(|link| link.settings.name.as_str() == name);
        named.ok_or_else(|| {
            let names: Vec<&str> =
                self.links.iter().map(|link| link.settings.name.as_str()).collect();
            format!("no connection is called {name}; there is {}", names.join(", "))
        })
    }

    fn status(&self, name: Option<&str>) -> Result<ControlAnswer, String> {
        let now = clock::now();
        let of = |link: &RunningConnection| {
            let problem = link.routes_problem.as_ref();
            status::connection(&link.settings, &link.peers, &link.routes, problem, now)
        };
        let connections = match name {
            Some(name) => vec![of(self.link(name)?)],
            None => self.links.iter().map(of).collect(),
        };
        Ok(ControlAnswer::Status(Status {
            version: status::VERSION,
            device: self.config.device.name.to_string(),
            s2sd: env!("CARGO_PKG_VERSION").to_owned(),
            running_seconds: now.mono.since(self.started).as_secs(),
            state_obstacle: self
                .estate
                .hitch()
                .map(|reason| Problem::State { reason: reason.to_owned() }.to_string()),
            connections,
        }))
    }

    fn want(&mut self, name: &str, up: bool) -> Result<ControlAnswer, String> {
        let peers = self.peers(name)?;
        let now = clock::now();
        self.stale = true;
        for peer in peers {
            if let Some(member) = self.member(peer) {
                member.wanted = up;
            }
            self.endpoint.command(now, if up { Command::Up(peer) } else { Command::Down(peer) });
        }
        let done = if up { "is being brought up" } else { "is taken down and stays so" };
        Ok(ControlAnswer::Done(vec![format!("{name} {done}")]))
    }

    fn rekey(&mut self, name: &str, which: RekeyWhich) -> Result<ControlAnswer, String> {
        let now = clock::now();
        let mut done = Vec::new();
        for peer in self.peers(name)? {
            let Some(member) = self.member(peer) else { continue };
            let (tunnel, up) = (member.record.name.clone(), member.record.ike().is_some());
            let children: Vec<ChildId> = member
                .tunnel
                .iter()
                .flat_map(|tunnel| {
                    tunnel.children().map(|(id, _)| id).filter(|id| tunnel.is_active(*id))
                })
                .collect();
            if !up {
                done.push(format!("{tunnel} has no IKE SA to rekey"));
                continue;
            }
            if which != RekeyWhich::Ike {
                done.push(format!("{tunnel}: {} child SAs are being rekeyed", children.len()));
                for child in children {
                    self.endpoint.command(now, Command::RekeyChild(peer, child));
                }
            }
            if which != RekeyWhich::Child {
                done.push(format!("{tunnel}: the IKE SA is being rekeyed"));
                self.endpoint.command(now, Command::RekeyIke(peer));
            }
        }
        Ok(ControlAnswer::Done(done))
    }

    fn explain(&self, name: &str) -> Result<ControlAnswer, String> {
        let (link, now) = (self.link(name)?, clock::now());
        let file = self.source.as_ref().and_then(|path| {
            Some((path.display().to_string(), std::fs::read_to_string(path).ok()?))
        });
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let members = link.peers.iter();
        let explanations =
            members.map(|member| explain(&member.record, &link.settings, file, now)).collect();
        Ok(ControlAnswer::Explanations(explanations))
    }

    fn peers(&self, name: &str) -> Result<Vec<PeerId>, String> {
        Ok(self.link(name)?.peers.iter().map(|member| member.id).collect())
    }
}
