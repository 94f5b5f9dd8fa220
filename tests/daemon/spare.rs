//! A second instance of side 1's gateway, at 203.0.113.3: the other half of an active-active
//! gateway, or its replacement.

use std::fs;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Hop, Netlink};

use super::lab::pair::{Pair, configuration};

pub struct Spare {
    service: Child,
    _namespace: Namespace,
}

impl Spare {
    pub fn start(pair: &Pair) -> Spare {
        let namespace = Namespace::create().unwrap();
        connect(&pair.lab.gateways[0], &namespace);
        let (config, log) = (pair.directory.join("spare.toml"), pair.directory.join("spare.log"));
        let text = configuration(&pair.directory, 1, 9);
        let text = text.replace("203.0.113.2", "203.0.113.3").replace("azure.sock", "spare.sock");
        fs::write(&config, text).unwrap();
        let service = namespace.run(|| {
            let mut service = Command::new(env!("CARGO_BIN_EXE_s2sd"));
            service.args(["run", "--config"]).arg(config);
            service.stderr(fs::File::create(log)?).stdout(Stdio::null()).spawn()
        });
        Spare { service: service.unwrap(), _namespace: namespace }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// A line of its own between the site and the instance.
fn connect(site: &Namespace, spare: &Namespace) {
    let host = |text: &str| AddressPrefix { address: text.parse::<IpAddr>().unwrap(), length: 32 };
    let (here, there) = (host("203.0.113.1"), host("203.0.113.3"));
    let at_site = || {
        let netlink = Netlink::open()?;
        netlink.add_veth("wan2", "wan", spare)?;
        netlink.set_up("wan2")?;
        netlink.add_route(there, Hop::Device("wan2"))
    };
    let at_spare = || {
        let netlink = Netlink::open()?;
        netlink.set_up("lo")?;
        netlink.add_address("wan", there)?;
        netlink.set_up("wan")?;
        netlink.add_route(here, Hop::Device("wan"))
    };
    site.run(at_site).and_then(|()| spare.run(at_spare)).unwrap();
}
