//! A new configuration for a running service: what is equal is left alone, and a file with an error
//! changes nothing.
//!
//! | what differs in a connection | what happens |
//! |---|---|
//! | nothing | nothing |
//! | suites, lifetimes, names, what certificate files hold | SAs live on; what they negotiate next follows |
//! | gateway, prefixes, interface | the connection ends with a DELETE and starts anew |

use std::rc::Rc;

use tracing::{error, info};

use super::connection::RunningConnection;
use super::files::Noting;
use super::problem::Problem;
use super::service::Service;
use super::tunnel::RunningTunnel;
use crate::config::diff::{self, Changed, LoadedState, Part, Told};
use crate::config::settings::Connection;
use crate::config::{self, Loaded, Severity};
use crate::ike::PeerId;
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::endpoint::command::Command;
use crate::sys::clock;

impl Service {
    /// Reads the configuration again. What was done, in sentences; or why nothing was.
    pub(super) fn reload(&mut self) -> Result<Vec<String>, String> {
        match self.read_again() {
            Ok(done) => {
                for Told { connection, what } in &done {
                    info!(connection, "reload: {what}");
                }
                Ok(done.iter().map(Told::to_string).collect())
            }
            Err(why) => {
                let head = why.lines().next().unwrap_or_default();
                error!("reload: nothing was changed: {head}");
                Err(why)
            }
        }
    }

    fn read_again(&mut self) -> Result<Vec<Told>, String> {
        let Some(path) = self.source.clone() else {
            return Err("this service runs without a configuration file".to_owned());
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{name} cannot be read: {error}"))?;
        let loaded = config::load(&name, &text, &Noting::default(), clock::now());
        if loaded.config.is_none() || loaded.credentials.iter().any(Option::is_none) {
            let errors = loaded.report.found.iter().filter(|f| f.severity == Severity::Error);
            let mut told = "the file has errors".to_owned();
            for found in errors {
                error!("reload: {}", found.in_a_line());
                told += &format!("\n{found}");
            }
            return Err(told);
        }
        Ok(self.take_up(loaded))
    }

    fn take_up(&mut self, loaded: Loaded) -> Vec<Told> {
        let Loaded { config: Some(config), credentials, report } = loaded else {
            return Vec::new();
        };
        let old = LoadedState { config: &self.config, facts: &self.report.connections };
        let changes = diff::diff(old, LoadedState { config: &config, facts: &report.connections });
        let of_all = |what: &str| Told { connection: None, what: what.to_owned() };
        let mut done = changes.told();
        if changes.site.iter().any(|edit| edit.part == Part::Sockets) {
            done.push(of_all("sockets are opened anew at the next `systemctl restart s2sd` only"));
        }
        let site_changed = self.config.local_network_gateway != config.local_network_gateway;
        (self.config, self.report) = (config, report);
        self.stale = true;
        changes.removed.iter().for_each(|name| self.end(name));
        let connections = self.config.connections.clone();
        for (connection, credentials) in connections.iter().zip(credentials) {
            let name = connection.name.as_str();
            let credentials = self.trusted(credentials);
            let changed = changes.changed.iter().find(|changed| changed.name == name);
            if changes.added.iter().any(|added| added == name) {
                self.begin(connection, &credentials);
            } else if changed.is_some_and(Changed::ends_connection) {
                self.end(name);
                self.begin(connection, &credentials);
                done.push(Told::of(name, "started anew"));
            } else if (changed.is_some() || site_changed)
                && let Err(obstacle) = self.adjust(connection, &credentials)
            {
                done.push(Told::of(name, format_args!("goes on as it was: {obstacle}")));
            }
        }
        let order = |name: &str| connections.iter().position(|c| c.name.as_str() == name);
        self.links.sort_by_key(|link| order(link.settings.name.as_str()));
        if done.is_empty() {
            done.push(of_all("nothing changed"));
        }
        done
    }

    fn begin(
        &mut self,
        connection: &Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
    ) {
        for peer in self.add(connection.clone(), credentials, None) {
            self.prepare(peer);
        }
    }

    /// Ends a connection: farewells leave before its tunnels go.
    fn end(&mut self, name: &str) {
        let named = |link: &RunningConnection| link.settings.name.as_str() == name;
        let Some(at) = self.links.iter().position(named) else { return };
        let peers: Vec<PeerId> =
            self.links.iter().filter(|l| named(l)).flat_map(|l| &l.peers).map(|m| m.id).collect();
        for peer in peers {
            self.names.forget(peer);
            self.endpoint.command(clock::now(), Command::Remove(peer));
        }
        self.carry_out();
        let link = self.links.remove(at);
        link.peers.into_iter().filter_map(|member| member.tunnel).for_each(RunningTunnel::remove);
    }

    /// Gives a running connection its settings and credentials.
    fn adjust(
        &mut self,
        connection: &Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
    ) -> Result<(), Problem> {
        let name = connection.name.as_str();
        let Service { links, config, options, endpoint, .. } = self;
        let Some(link) = links.iter_mut().find(|link| link.settings.name.as_str() == name) else {
            return Ok(());
        };
        let (site, listen) = (&config.local_network_gateway, &config.device.listen_addresses);
        let mut configs = Vec::new();
        for (member, tunnel) in link.peers.iter_mut().zip(&connection.tunnels) {
            member.credentials.clone_from(credentials);
            let config = member.configure(connection, tunnel, site, listen, options.profile)?;
            configs.push((member.id, config));
        }
        link.settings = connection.clone();
        for (peer, config) in configs {
            endpoint.command(clock::now(), Command::Reconfigure(peer, Box::new(config)));
        }
        Ok(())
    }
}
