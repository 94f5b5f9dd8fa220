//! A new configuration for a running service: what is equal is left alone, and a file with an error changes nothing.
//!
//! | what differs in a connection | what happens |
//! |---|---|
//! | nothing | its certificate files are read again; SAs live on |
//! | suites, lifetimes, names, certificates | the engine takes them up; SAs live on, what they negotiate next follows |
//! | gateway, prefixes, interface | the connection ends with a DELETE and starts anew |

use tracing::{error, info};

use super::member;
use super::shell::Shell;
use crate::config::settings::Connection;
use crate::config::{self, Config, Severity};
use crate::ike::PeerId;
use crate::ike::command::Command;
use crate::sys::clock;

impl Shell {
    /// Reads the configuration again. What was done, in sentences; or why nothing was.
    pub(super) fn reload(&mut self) -> Result<Vec<String>, String> {
        let done = self.read_again();
        match &done {
            Ok(done) => done.iter().for_each(|line| info!("reload: {line}")),
            Err(why) => error!("reload: nothing was changed: {why}"),
        }
        done
    }

    fn read_again(&mut self) -> Result<Vec<String>, String> {
        let Some(path) = self.source.clone() else {
            return Err("this service runs without a configuration file".to_owned());
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{name} cannot be read: {error}"))?;
        let parsed = config::parse(&name, &text);
        let Some(config) = parsed.config else {
            let errors = parsed.found.iter().filter(|found| found.severity == Severity::Error);
            let errors: Vec<String> = errors.map(ToString::to_string).collect();
            return Err(format!("the file has errors\n{}", errors.join("\n")));
        };
        Ok(self.take_up(config))
    }

    fn take_up(&mut self, config: Config) -> Vec<String> {
        let mut done = Vec::new();
        let (old, new) = (&self.config.device, &config.device);
        if old.listen_addresses != new.listen_addresses || old.control_socket != new.control_socket
        {
            done.push(
                "listen_addresses and control_socket take effect with `systemctl restart s2sd`"
                    .to_owned(),
            );
        }
        let site_changed = self.config.local_network_gateway != config.local_network_gateway;
        let is_kept = |name: &str| config.connections.iter().any(|c| c.name.as_str() == name);
        let names = self.links.iter().map(|link| link.settings.name.to_string());
        for gone in names.filter(|name| !is_kept(name)).collect::<Vec<_>>() {
            self.end(&gone);
            done.push(format!("{gone} is removed"));
        }
        self.config.local_network_gateway = config.local_network_gateway.clone();
        for connection in &config.connections {
            let name = connection.name.as_str();
            let held = self.links.iter().find(|link| link.settings.name.as_str() == name);
            let Some(held) = held.map(|link| link.settings.clone()) else {
                self.begin(connection.clone());
                done.push(format!("{name} is added"));
                continue;
            };
            if needs_restart(&held, connection) {
                self.end(name);
                self.begin(connection.clone());
                done.push(format!(
                    "{name} is started anew: its gateway, prefixes or interface changed"
                ));
                continue;
            }
            match self.adjust(connection) {
                Err(obstacle) => done.push(format!("{name} stays as it was: {obstacle}")),
                Ok(()) if held != *connection || site_changed => {
                    done.push(format!("{name} has new settings; its SAs live on and follow them from the next rekeying"));
                }
                Ok(()) => {}
            }
        }
        if done.is_empty() {
            done.push("nothing changed; certificate files were read again".to_owned());
        }
        let order = |name: &str| config.connections.iter().position(|c| c.name.as_str() == name);
        self.links.sort_by_key(|link| order(link.settings.name.as_str()));
        self.config = config;
        done
    }

    fn begin(&mut self, connection: Connection) {
        for peer in self.add(connection) {
            self.prepare(peer);
        }
    }

    /// Ends a connection: farewells leave before its tunnels go.
    fn end(&mut self, name: &str) {
        let Some(at) = self.links.iter().position(|link| link.settings.name.as_str() == name)
        else {
            return;
        };
        let peers: Vec<PeerId> = match self.links.get(at) {
            Some(link) => link.members.iter().map(|member| member.peer).collect(),
            None => return,
        };
        for peer in peers {
            self.names.forget(peer);
            self.endpoint.command(clock::now(), Command::Remove(peer));
        }
        self.carry_out();
        self.links.remove(at);
    }

    /// Gives a running connection its settings, with its certificate files read again.
    fn adjust(&mut self, connection: &Connection) -> Result<(), String> {
        let name = connection.name.as_str();
        let Shell { links, config, options, endpoint, .. } = self;
        let Some(link) = links.iter_mut().find(|link| link.settings.name.as_str() == name) else {
            return Ok(());
        };
        let (site, listen) = (&config.local_network_gateway, &config.device.listen_addresses);
        let mut configs = Vec::new();
        for member in &mut link.members {
            let held = member.credentials.take();
            match member.configure(connection, site, listen, options.profile) {
                Ok(config) => configs.push((member.peer, config)),
                Err(obstacle) => {
                    member.credentials = held;
                    return Err(obstacle);
                }
            }
        }
        link.settings = connection.clone();
        for (peer, config) in configs {
            endpoint.command(clock::now(), Command::Reconfigure(peer, Box::new(config)));
        }
        Ok(())
    }
}

/// Whether two settings of a connection differ in what its devices, routes or peers are made of.
fn needs_restart(old: &Connection, new: &Connection) -> bool {
    let plans = |connection: &Connection| -> Vec<_> {
        connection.tunnels.iter().map(|tunnel| member::plan(connection, tunnel)).collect()
    };
    let routes = |c: &Connection| (c.tunnel.routes, c.tunnel.route_metric, c.tunnel.route_table);
    old.tunnels != new.tunnels
        || old.virtual_network_gateway != new.virtual_network_gateway
        || old.tunnel.encapsulation != new.tunnel.encapsulation
        || plans(old) != plans(new)
        || routes(old) != routes(new)
}
