//! Two services with two tunnels between them, each over a wire of its own, and what may fail of
//! the first service.
//!
//! ```text
//!              site                                azure
//!   10.1.0.1   azure0 ── 203.0.113.1 ══ wan  ══ 203.0.113.2 ── azure0   10.2.0.1
//!   10.3.0.1   azure1 ── 192.0.2.1   ══ wan2 ══ 192.0.2.2   ── azure1   10.4.0.1
//! ```

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Deref;
use std::time::Duration;

use s2sd::sys::fault::FaultTable;
use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Netlink};
use serde_json::Value as Json;

use super::lab::pair::{NAMES, PATIENCE, Pair, certify, configuration};
use super::lab::traffic::clock;
use super::lab::{Lab, SIDES};

/// The two tunnels.
pub const TUNNELS: [usize; 2] = [0, 1];
/// Seconds of silence after which a peer is dead: the fewest that may be set.
const DPD: u32 = 9;
/// How long an answer may take before the next try.
const ANSWER: Duration = Duration::from_millis(100);

pub struct Two {
    pub pair: Pair,
    /// What fails of the first service.
    pub faults: FaultTable,
}

impl Deref for Two {
    type Target = Pair;

    fn deref(&self) -> &Pair {
        &self.pair
    }
}

impl Two {
    /// Both services at work and both tunnels up.
    pub fn start(name: &str) -> Option<Two> {
        let mut two = Two::build(name)?;
        two.launch(0, &[]);
        two.settle();
        Some(two)
    }

    /// The second service alone.
    pub fn build(name: &str) -> Option<Two> {
        let lab = Lab::build()?;
        let [first, second] = &lab.gateways;
        first.run(|| Netlink::open()?.add_veth("wan2", "wan2", second)).unwrap();
        for side in SIDES {
            let own = u8::try_from(side).unwrap() + 1;
            lab.gateways[side]
                .run(|| {
                    let netlink = Netlink::open()?;
                    netlink.add_address("wan2", prefix([192, 0, 2, own], 24))?;
                    netlink.add_address("lo", prefix([10, own + 2, 0, 1], 32))?;
                    netlink.set_up("wan2")
                })
                .unwrap();
        }
        let directory = std::env::temp_dir().join(format!("s2sd-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let pair = Pair { lab, directory, services: [None, None] };
        let mut two = Two { pair, faults: FaultTable::create().unwrap() };
        SIDES.iter().for_each(|side| certify(&two.directory, NAMES[*side]));
        SIDES.iter().for_each(|side| two.configure(*side));
        two.launch(1, &[]);
        Some(two)
    }

    fn configure(&self, side: usize) {
        let first = configuration(&self.directory, side, DPD);
        let (device, connection) = first.split_once("[[connection]]").unwrap();
        let there = 2 - side;
        let second = connection
            .replace("name = \"tunnel\"", "name = \"other\"")
            .replace("203.0.113.", "192.0.2.")
            .replace(&format!("10.{there}.0.0"), &format!("10.{}.0.0", there + 2));
        // What the second gateway's hosts send has to go to a network of this site.
        let (own, further) = (side + 1, side + 3);
        let device = device.replace(
            &format!("[\"10.{own}.0.0/24\"]"),
            &format!("[\"10.{own}.0.0/24\", \"10.{further}.0.0/24\"]"),
        );
        let numbered = |number: usize, text: &str| {
            format!("[[connection]]{text}[connection.tunnel]\ninterface = \"azure{number}\"\n")
        };
        let text = [device.as_str(), &numbered(0, connection), &numbered(1, &second)].concat();
        fs::write(self.file(side, "toml"), text).unwrap();
    }

    /// Starts a service; the first one with what may fail of it.
    pub fn launch(&mut self, side: usize, environment: &[(&str, &str)]) {
        let path = self.faults.path();
        let faults = [("S2SD_FAULTS", path.as_str())];
        let environment = [environment, &faults[..1 - side]].concat();
        self.pair.launch_with(side, |service| {
            service.envs(environment.iter().copied());
        });
    }

    /// Waits until both tunnels are up on both sides and carry packets.
    pub fn settle(&self) {
        for side in SIDES {
            self.wait_for(side, "up", |status| {
                TUNNELS.iter().all(|at| status["connections"][*at]["state"] == "up")
            });
        }
        TUNNELS.iter().for_each(|tunnel| self.passes(*tunnel));
    }

    /// Has calls of the first service fail.
    pub fn arm(&self, faults: &str) {
        self.faults.arm(faults).unwrap();
    }

    /// What the first service says of a tunnel.
    pub fn tunnel(&self, tunnel: usize) -> Json {
        self.status(0)["connections"][tunnel]["tunnels"][0].clone()
    }

    /// Waits until the first service says this of a tunnel.
    pub fn wait_until(&self, tunnel: usize, what: &str, is_so: impl Fn(&Json) -> bool) {
        self.wait_for(0, what, |status| is_so(&status["connections"][tunnel]["tunnels"][0]));
    }

    /// The SPIs of a tunnel's children, as the first service has them: others after any
    /// negotiation.
    pub fn spis(&self, tunnel: usize) -> Vec<String> {
        let tunnel = self.tunnel(tunnel);
        let children = tunnel["children"].as_array().unwrap();
        children.iter().map(|child| child["spi_in"].to_string()).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.file(0, "log")).unwrap_or_default()
    }

    /// Waits until the first service's log has these words.
    pub fn wait_for_line(&self, words: &str) {
        self.wait_for(0, words, |_| self.log().contains(words));
    }

    /// Does something to the first service's network.
    pub fn on_site(&self, work: impl FnOnce(&Netlink) -> io::Result<()> + Send) {
        self.lab.gateways[0].run(|| work(&Netlink::open()?)).unwrap();
    }

    /// Waits until a tunnel carries a packet there and one back.
    pub fn passes(&self, tunnel: usize) {
        let began = clock();
        while !self.ping(tunnel) {
            assert!(began.elapsed() < PATIENCE, "azure{tunnel} carries nothing: {}", self.log());
        }
    }

    /// Sends a packet through a tunnel, waits for the answer a moment.
    pub fn ping(&self, tunnel: usize) -> bool {
        let end = |side: usize| {
            let own = u8::try_from(2 * tunnel + side + 1).unwrap();
            open(&self.lab.gateways[side], Ipv4Addr::new(10, own, 0, 1))
        };
        let (near, far) = (end(0), end(1));
        let pass = |from: &UdpSocket, to: &UdpSocket| {
            let mut buffer = [0; 16];
            let sent = from.send_to(b"ping", to.local_addr().unwrap());
            sent.is_ok() && to.recv(&mut buffer).is_ok_and(|len| &buffer[..len] == b"ping")
        };
        pass(&near, &far) && pass(&far, &near)
    }

    /// What the first service and its signer took of a processor while this was done, as a share of
    /// the time.
    pub fn load(&self, work: impl FnOnce()) -> f64 {
        let (began, before) = (clock(), self.processor_time());
        work();
        (self.processor_time() - before) / began.elapsed().as_secs_f64()
    }

    fn processor_time(&self) -> f64 {
        let process = self.services[0].as_ref().unwrap().id();
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // After the name in parentheses: utime and stime are the 12th and 13th, in hundredths of a
        // second.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }
}

pub fn prefix(address: [u8; 4], length: u8) -> AddressPrefix {
    AddressPrefix { address: address.into(), length }
}

fn open(namespace: &Namespace, address: Ipv4Addr) -> UdpSocket {
    let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address.into(), 0))).unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket
}
