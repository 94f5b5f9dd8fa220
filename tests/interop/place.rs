//! The namespaces and the directory of one case.

use std::path::PathBuf;

use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Netlink};

use super::credentials::{Credentials, azure};
use super::daemon::{self, Daemon};
use super::engine::{self, Engine};
use super::lab::Lab;
use super::patience::Failure;
use super::strongswan::{self, Strongswan};

/// Namespaces and a directory; both go with this.
pub struct Place {
    pub lab: Lab,
    pub directory: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Result<Place, Failure> {
        let lab = Lab::build().ok_or_else(|| Failure::new("no namespaces", ""))?;
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let directory =
            std::env::temp_dir().join(format!("s2sd-interop-{}-{plain}", std::process::id()));
        std::fs::create_dir_all(&directory)
            .map_err(|error| Failure::new("the case's directory", error))?;
        Ok(Place { lab, directory })
    }

    /// One more address on a namespace's inner link.
    pub fn add_address(&self, namespace: &Namespace, address: &str) -> Result<(), Failure> {
        let address = address.parse().unwrap();
        namespace
            .run(|| Netlink::open()?.add_address("lan", AddressPrefix { address, length: 24 }))
            .map_err(|error| Failure::new("an address", error))
    }

    /// strongSwan on its side of the wire.
    pub fn strongswan(&self, settings: &strongswan::Settings) -> Result<Strongswan, Failure> {
        Strongswan::start(&self.lab.gateways[1], &self.directory.join("peer"), settings)
    }

    /// The engine on ours.
    pub fn engine(&self, settings: &engine::Settings) -> Result<Engine, Failure> {
        Engine::start(&self.lab.gateways[0], settings)
    }

    /// The whole of s2sd on ours.
    pub fn daemon(&self, settings: &daemon::Settings) -> Result<Daemon, Failure> {
        Daemon::start(&self.lab.gateways[0], &self.directory.join("s2sd"), settings)
    }

    /// The whole of s2sd on strongSwan's side of the wire.
    pub fn daemon_there(&self, settings: &daemon::Settings) -> Result<Daemon, Failure> {
        Daemon::start(&self.lab.gateways[1], &self.directory.join("peer"), settings)
    }

    /// Both ends, set up as given, changed as wanted.
    pub fn ends(
        &self,
        credentials: &[Credentials; 2],
        change: impl FnOnce(&mut engine::Settings, &mut strongswan::Settings),
    ) -> Result<Ends, Failure> {
        let mut ours = engine::Settings::new(&credentials[0]);
        let mut theirs = strongswan::Settings::new(&credentials[1]);
        change(&mut ours, &mut theirs);
        let peer = self.strongswan(&theirs)?;
        let engine = self.engine(&ours)?;
        Ok(Ends { engine, peer, ours, theirs })
    }

    /// Both ends of the Azure article.
    pub fn azure_ends(
        &self,
        change: impl FnOnce(&mut engine::Settings, &mut strongswan::Settings),
    ) -> Result<Ends, Failure> {
        self.ends(&azure(), change)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// The engine and its peer.
pub struct Ends {
    pub engine: Engine,
    pub peer: Strongswan,
    pub ours: engine::Settings,
    pub theirs: strongswan::Settings,
}
