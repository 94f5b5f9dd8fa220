//! What an operator set for a tunnel's packets, and the device that is made by it.

use std::io;

use crate::config::peers;
use crate::config::prefix::InterfaceAddress;
use crate::config::settings::{self, Connection};
use crate::dataplane::Rules;
use crate::dataplane::mtu::OuterHeaders;
use crate::state::{Handles, fd_store};
use crate::sys::netlink::{AddressPrefix, Netlink};
use crate::sys::tun::{Offloads, Tun};
use crate::wire::packet::ip::IpVersion;

/// The inner packet and the TCP segment that Azure advises, where the path does not carry less
/// (Azure docs, "About VPN devices", IPsec/IKE parameters).
const INNER_MTU: u16 = 1400;
const MSS: u16 = 1350;
/// The outer packet that a path is taken to carry until it says otherwise.
const OUTER_MTU: usize = 1500;

/// Packets that may wait for the device: a super-packet counts as one.
const QUEUE_LEN: u32 = 1000;

/// What an operator set for a tunnel's packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DevicePlan {
    /// The connection, as the log names it.
    pub connection: String,
    /// The device.
    pub interface: String,
    /// Its addresses.
    pub addresses: Vec<AddressPrefix>,
    /// Its MTU; `None`: what Azure advises.
    pub mtu: Option<u16>,
    /// The largest TCP segment; `None`: what Azure advises.
    pub mss: Option<u16>,
    /// Whether service classes show outside.
    pub copy_dscp: bool,
    /// Whether to use offloads.
    pub offload: bool,
    /// Packets that may be late by this many.
    pub replay_window: u32,
}

impl DevicePlan {
    /// What a connection's configuration says of one of its tunnels.
    pub fn new(connection: &Connection, tunnel: &settings::GatewayTunnel) -> DevicePlan {
        let settings = &connection.tunnel;
        let address = |a: &InterfaceAddress| AddressPrefix { address: a.address, length: a.length };
        DevicePlan {
            connection: peers::name(connection, tunnel),
            interface: tunnel.interface.to_string(),
            addresses: settings.addresses.iter().map(address).collect(),
            mtu: settings.mtu,
            mss: settings.tcp_mss,
            copy_dscp: settings.copy_dscp,
            offload: settings.offload,
            replay_window: settings.replay_window,
        }
    }

    /// The device's MTU.
    pub fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(INNER_MTU)
    }

    /// What the device is to do for us.
    pub fn offloads(&self) -> Offloads {
        if self.offload { Offloads::ALL } else { Offloads::NONE }
    }

    /// Makes the device. Needs CAP_NET_ADMIN.
    pub fn device(&self, keeping: &Handles) -> io::Result<Tun> {
        // What is kept of one that we lost would keep the name.
        let name = fd_store::device(&self.interface);
        keeping.fd_store.forget(&name);
        let tun = Tun::create(&self.interface, self.offloads())?;
        let netlink = Netlink::open()?;
        self.dress(&netlink)?;
        netlink.set_up(&self.interface)?;
        // Only now: what is kept is complete.
        keeping.fd_store.keep(&name, &tun);
        Ok(tun)
    }

    /// Gives the device what the operator set for it.
    pub fn dress(&self, netlink: &Netlink) -> io::Result<()> {
        netlink.set_mtu(&self.interface, self.mtu())?;
        netlink.set_queue_len(&self.interface, QUEUE_LEN)?;
        self.addresses.iter().try_for_each(|address| netlink.add_address(&self.interface, *address))
    }

    /// What a lane goes by, between ends of this IP version.
    pub fn rules(&self, udp: bool, version: IpVersion) -> Rules {
        Rules {
            encapsulation: OuterHeaders { version, udp },
            outer_mtu: OUTER_MTU,
            inner_mtu: usize::from(self.mtu()),
            mss: self.mss.unwrap_or(MSS),
            copy_dscp: self.copy_dscp,
        }
    }
}

/// Ends a device and has it forgotten, with its socket.
pub fn dismiss(interface: &str, keeping: &Handles) {
    keeping.fd_store.forget(&fd_store::device(interface));
    keeping.fd_store.forget(&fd_store::lane(interface));
    // It is gone already, or goes with the keeper's copy.
    let _ = Netlink::open().and_then(|netlink| netlink.delete_link(interface));
}
