//! The network of the demonstration: two gateways and two hosts, in network namespaces that end
//! with this process:
//!
//! ```text
//!   site host ── lan ── site's s2sd ══ wan ══ Azure's s2sd ── lan ── Azure host
//!   10.1.0.10           203.0.113.1          203.0.113.2           10.2.0.10
//! ```

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::certificates::{self, AZURE, SITE};
use crate::config::{self, Severity};
use crate::crypto::signature::KeyStore;
use crate::daemon::files::System;
use crate::daemon::{self, Options, Signal};
use crate::ike::testing::emulation::PeerBehaviour;
use crate::sys::clock;
use crate::sys::namespace::Namespace;
use crate::sys::netlink::{AddressPrefix, Hop, Netlink};

/// The host behind Azure's gateway.
pub const AZURE_HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 10);
/// The name of the connection at both ends.
pub const CONNECTION: &str = "VNet1-to-Site1";

/// One end of the tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The on-premises site.
    Site,
    /// Azure's gateway, played by s2sd.
    Azure,
}

/// The namespaces, files and services; dropping the value removes them.
#[derive(Debug)]
pub struct DemoNetwork {
    /// The directory of certificates, configurations and control sockets.
    pub directory: PathBuf,
    /// The host behind the site's gateway.
    pub site_host: Namespace,
    /// The host behind Azure's gateway.
    pub azure_host: Namespace,
    gateways: [Namespace; 2],
    services: Vec<DemoService>,
}

#[derive(Debug)]
struct DemoService {
    signals: mpsc::Sender<Signal>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl DemoNetwork {
    /// Creates namespaces, links, certificates and configurations.
    pub fn build() -> io::Result<DemoNetwork> {
        let directory = std::env::temp_dir().join(format!("s2sd-demo-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let network = DemoNetwork {
            directory,
            site_host: Namespace::create()?,
            azure_host: Namespace::create()?,
            gateways: [Namespace::create()?, Namespace::create()?],
            services: Vec::new(),
        };
        network.connect()?;
        for side in [SITE, AZURE] {
            certificates::write(&network.directory, side)?;
        }
        for end in [End::Site, End::Azure] {
            fs::write(network.file(end, "toml"), configuration(&network.directory, end))?;
        }
        Ok(network)
    }

    fn connect(&self) -> io::Result<()> {
        let [site, azure] = &self.gateways;
        site.run(|| Netlink::open()?.add_veth("wan", "wan", azure))?;
        let ends = [(site, &self.site_host, 1), (azure, &self.azure_host, 2)];
        for (gateway, host, number) in ends {
            host.run(|| Netlink::open()?.add_veth("lan", "lan", gateway))?;
            let lan = |last| AddressPrefix {
                address: Ipv4Addr::new(10, number, 0, last).into(),
                length: 24,
            };
            host.run(|| {
                let netlink = Netlink::open()?;
                netlink.set_up("lo")?;
                netlink.add_address("lan", lan(10))?;
                netlink.set_up("lan")?;
                let everything = AddressPrefix { address: Ipv4Addr::UNSPECIFIED.into(), length: 0 };
                netlink.add_route(everything, Hop::Via(lan(1).address))
            })?;
            gateway.run(|| {
                let netlink = Netlink::open()?;
                fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
                netlink.set_up("lo")?;
                netlink.add_address("lan", lan(1))?;
                netlink.add_address("wan", AddressPrefix { address: outer(number), length: 24 })?;
                netlink.set_up("lan")?;
                netlink.set_up("wan")
            })?;
        }
        Ok(())
    }

    /// Starts the service of one end, in a thread inside its gateway.
    pub fn start(&mut self, end: End) -> io::Result<()> {
        let path = self.file(end, "toml");
        let name = path.display().to_string();
        let text = fs::read_to_string(&path)?;
        let (signals, receiver) = mpsc::channel(4);
        let gateway = self.gateways[end as usize].try_clone()?;
        let behaviour =
            if end == End::Azure { PeerBehaviour::Azure } else { PeerBehaviour::Standard };
        let options = Options { behaviour, source: Some(path), ..Options::default() };
        let thread = std::thread::Builder::new().name(format!("{end:?}").to_lowercase()).spawn(
            move || {
                gateway.enter()?;
                serve(&name, &text, options, receiver)
            },
        )?;
        self.services.push(DemoService { signals, thread: Some(thread) });
        Ok(())
    }

    /// The control socket of an end.
    pub fn socket(&self, end: End) -> PathBuf {
        self.file(end, "sock")
    }

    /// The reason why a service ended, if one ended.
    pub fn failure(&mut self) -> Option<String> {
        let ended = |service: &&mut DemoService| {
            service.thread.as_ref().is_some_and(JoinHandle::is_finished)
        };
        let service = self.services.iter_mut().find(ended)?;
        match service.thread.take()?.join() {
            Ok(Ok(())) => Some("a service ended unexpectedly".to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("a service panicked".to_owned()),
        }
    }

    fn file(&self, end: End, kind: &str) -> PathBuf {
        self.directory.join(format!("{}.{kind}", word(end)))
    }
}

impl Drop for DemoNetwork {
    fn drop(&mut self) {
        for service in &self.services {
            // The send fails when the service has ended already.
            let _ = service.signals.blocking_send(Signal::Stop);
        }
        for service in &mut self.services {
            if let Some(thread) = service.thread.take() {
                // An error of the service was reported by `failure`.
                let _ = thread.join();
            }
        }
        // Remaining files are in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn serve(
    name: &str,
    text: &str,
    options: Options,
    signals: mpsc::Receiver<Signal>,
) -> io::Result<()> {
    let loaded = config::load(name, text, &System, &KeyStore::in_process(), clock::now());
    if loaded.report.severity() == Some(Severity::Error) {
        return Err(io::Error::other(loaded.report.to_string()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(daemon::run(loaded, options, Vec::new(), signals))
}

fn word(end: End) -> &'static str {
    match end {
        End::Site => "site",
        End::Azure => "azure",
    }
}

fn outer(number: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, number).into()
}

/// The configuration of an end, as an operator writes one.
fn configuration(directory: &Path, end: End) -> String {
    let (us, them) = match end {
        End::Site => (1, 2),
        End::Azure => (2, 1),
    };
    let (own, other, mode) = match end {
        End::Site => (SITE.name, AZURE.name, "Default"),
        End::Azure => (AZURE.name, SITE.name, "InitiatorOnly"),
    };
    let (here, there, name) = (outer(us), outer(them), word(end));
    let directory = directory.display();
    format!(
        r#"[device]
name = "{name}"
control_socket = "{directory}/{name}.sock"

[local_network_gateway]
name = "{name}"
gateway_ip_address = "{here}"
address_prefixes = ["10.{us}.0.0/24"]

[[connection]]
name = "{CONNECTION}"
connection_mode = "{mode}"

[connection.ipsec_policy]
ike_encryption = "GCMAES256"
ike_integrity = "SHA384"
dh_group = "ECP384"
ipsec_encryption = "GCMAES256"
ipsec_integrity = "GCMAES256"
pfs_group = "ECP384"

[connection.virtual_network_gateway]
name = "VNet1GW"
public_ip_addresses = ["{there}"]
address_prefixes = ["10.{them}.0.0/24"]

[connection.certificate_authentication]
inbound_certificate = "{directory}/{own}.cer"
inbound_private_key = "{directory}/{own}.key"
outbound_certificate_roots = ["{directory}/{other}-root.cer"]
outbound_certificate_subject_name = "{other}"
"#
    )
}
