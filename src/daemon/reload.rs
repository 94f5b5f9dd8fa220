//! The control command `reload` and SIGHUP: a new configuration for a running service. What is
//! equal is left alone, and a file with an error changes nothing.
//!
//! | what differs in a connection | what happens |
//! |---|---|
//! | nothing | nothing |
//! | suites, lifetimes, names | SAs live on; the next negotiation uses the new ones |
//! | selector policies | SAs that the new ones do not cover end; a policy that grew is rekeyed |
//! | certificates, revocation lists | each live peer's certificates are judged anew |
//! | this site's prefixes | the routes follow |
//! | gateway, prefixes, interface | the connection is deleted and started anew |
//!
//! What is compared, and which key belongs to which row, is in [`crate::config::diff`].

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tracing::{error, info};

use super::connection::RunningConnection;
use super::files::{self, Noting};
use super::problem::Problem;
use super::service::Service;
use super::tunnel::RunningTunnel;
use crate::config::diff::{self, Changed, LoadedState, Part, Told};
use crate::config::peers;
use crate::config::settings::Connection;
use crate::config::{self, Diagnostic, Loaded, Severity};
use crate::ike::PeerId;
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::endpoint::command::Command;
use crate::sys::clock;

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("this service was started without a configuration file")]
    NoFile,
    #[error("{name} cannot be read: {error}")]
    Unreadable { name: String, error: io::Error },
    #[error("the file has errors{}", listed(.0))]
    Invalid(Vec<Diagnostic>),
}

fn listed(errors: &[Diagnostic]) -> String {
    errors.iter().map(|error| format!("\n{error}")).collect()
}

impl Service {
    /// Reads the configuration file again and applies what changed. Returns what was done, in
    /// sentences.
    pub(super) fn reload(&mut self) -> Result<Vec<String>, ReloadError> {
        match self.load_again() {
            Ok(loaded) => {
                let done = self.apply_configuration(loaded);
                for Told { connection, what } in &done {
                    info!(connection, "reload: {what}");
                }
                Ok(done.iter().map(Told::to_string).collect())
            }
            Err(why) => {
                if let ReloadError::Invalid(errors) = &why {
                    for found in errors {
                        error!("reload: {}", found.in_a_line());
                    }
                    error!("reload: nothing was changed: the file has errors");
                } else {
                    error!("reload: nothing was changed: {why}");
                }
                Err(why)
            }
        }
    }

    fn load_again(&self) -> Result<Loaded, ReloadError> {
        let path = self.options.source.as_ref().ok_or(ReloadError::NoFile)?;
        let name = path.display().to_string();
        let text = match files::configuration(path) {
            Ok(text) => text,
            Err(error) => return Err(ReloadError::Unreadable { name, error }),
        };
        let (files, key_store) = (Noting::default(), &self.options.key_store);
        let loaded = config::load(&name, &text, &files, key_store, clock::now());
        if loaded.config.is_none() || loaded.credentials.iter().any(Option::is_none) {
            let found = loaded.report.found.into_iter();
            let errors = found.filter(|found| found.severity == Severity::Error).collect();
            return Err(ReloadError::Invalid(errors));
        }
        Ok(loaded)
    }

    fn apply_configuration(&mut self, loaded: Loaded) -> Vec<Told> {
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
        self.storage.is_stale = true;
        changes.removed.iter().for_each(|name| self.remove_connection(name));
        let connections = self.config.connections.clone();
        for (connection, credentials) in connections.iter().zip(credentials) {
            let name = connection.name.as_str();
            let credentials = self.authenticator(credentials);
            let changed = changes.changed.iter().find(|changed| changed.name == name);
            if changes.added.iter().any(|added| added == name) {
                self.begin_connection(connection, &credentials);
            } else if changed.is_some_and(Changed::ends_connection) {
                self.remove_connection(name);
                self.begin_connection(connection, &credentials);
                done.push(Told::of(name, "started anew"));
            } else if (changed.is_some() || site_changed)
                && let Err(problem) = self.adjust_connection(connection, &credentials)
            {
                done.push(Told::of(name, format_args!("keeps its old settings: {problem}")));
            }
        }
        self.close_routes();
        let order = |name: &str| connections.iter().position(|c| c.name.as_str() == name);
        self.connections.sort_by_key(|connection| order(connection.settings.name.as_str()));
        if done.is_empty() {
            done.push(of_all("nothing changed"));
        }
        done
    }

    fn begin_connection(
        &mut self,
        connection: &Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
    ) {
        for peer in self.add_connection(connection.clone(), credentials, None) {
            self.prepare(peer);
        }
    }

    /// Removes a connection: DELETEs are sent before its tunnels are taken away.
    fn remove_connection(&mut self, name: &str) {
        let is_named = |connection: &RunningConnection| connection.settings.name.as_str() == name;
        let Some(at) = self.connections.iter().position(is_named) else { return };
        let named = self.connections.iter().filter(|connection| is_named(connection));
        let peers: Vec<PeerId> =
            named.flat_map(|connection| &connection.peers).map(|peer| peer.id).collect();
        for peer in peers {
            self.inputs.resolver.forget(peer);
            self.endpoint.command(clock::now(), Command::Remove(peer));
        }
        self.carry_out();
        let connection = self.connections.remove(at);
        let tunnels = connection.peers.into_iter().filter_map(|peer| peer.tunnel);
        tunnels.for_each(RunningTunnel::remove);
    }

    /// Gives a running connection new settings and credentials.
    pub(super) fn adjust_connection(
        &mut self,
        settings: &Connection,
        credentials: &Result<Rc<CertificateAuthenticator>, Problem>,
    ) -> Result<(), Problem> {
        let name = settings.name.as_str();
        let Service { connections, config, options, endpoint, .. } = self;
        let named = |connection: &&mut RunningConnection| connection.settings.name.as_str() == name;
        let Some(connection) = connections.iter_mut().find(named) else { return Ok(()) };
        let (site, listen) = (&config.local_network_gateway, &config.device.listen_addresses);
        let mut configs = Vec::new();
        for (peer, tunnel) in connection.peers.iter_mut().zip(&settings.tunnels) {
            peer.credentials.clone_from(credentials);
            let config = peer.configure(settings, tunnel, site, listen, options.behaviour)?;
            configs.push((peer.id, config));
            if let Some(running) = &mut peer.tunnel {
                running.set_networks(Arc::new(peers::inner_networks(settings, site)));
            }
        }
        connection.routes.set_closed(settings.tunnel.unreachable_routes);
        connection.settings = settings.clone();
        for (peer, config) in configs {
            endpoint.command(clock::now(), Command::Reconfigure(peer, Box::new(config)));
        }
        Ok(())
    }
}
