//! What the configuration sets for a tunnel's device, and how the device gets it.
//!
//! Where the path MTU is not known yet, the inner MTU and the MSS are Azure's advice (TCP MSS
//! clamping).

use std::io;
use std::sync::Arc;

use crate::config::peers;
use crate::config::prefix::InterfaceAddress;
use crate::config::settings::{self, Connection};
use crate::dataplane::mtu::OuterHeaders;
use crate::dataplane::{InnerNetworks, Rules};
use crate::state::{Handles, fd_store};
use crate::sys::netlink::{AddressPrefix, Netlink};
use crate::sys::tun::Offloads;
use crate::wire::packet::ip::IpVersion;

/// The MTU of the device that Azure recommends.
const INNER_MTU: u16 = 1400;
/// The largest TCP segment that Azure recommends.
const MSS: u16 = 1350;
/// The outer packet that a path is assumed to carry before path MTU discovery says otherwise.
const OUTER_MTU: usize = 1500;

/// How many packets may wait for the device to be read. A super-packet counts as one.
const QUEUE_LEN: u32 = 1000;

/// What the configuration sets for the device of one tunnel and for its packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DevicePlan {
    /// The connection and its tunnel, as the log names them.
    pub(crate) connection: String,
    pub(crate) interface: String,
    pub(crate) addresses: Vec<AddressPrefix>,
    /// The largest MTU of the device; `None` for what Azure recommends.
    pub(crate) mtu: Option<u16>,
    /// The largest TCP segment; `None` for what Azure recommends.
    pub(crate) mss: Option<u16>,
    /// Whether the outer header gets the inner packet's DSCP.
    pub(crate) copy_dscp: bool,
    /// Whether to use segmentation offload at the device and the socket.
    pub(crate) offload: bool,
    /// The size of the anti-replay window, in packets.
    pub(crate) replay_window: u32,
    /// The addresses between which the peer may send.
    pub(crate) networks: Arc<InnerNetworks>,
}

impl DevicePlan {
    /// The plan for one tunnel of a connection of this site.
    pub(crate) fn new(
        connection: &Connection,
        tunnel: &settings::GatewayTunnel,
        site: &settings::Site,
    ) -> DevicePlan {
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
            networks: Arc::new(peers::inner_networks(connection, site)),
        }
    }

    /// The largest MTU of the device: on a narrow path the device has a smaller one.
    pub(crate) fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(INNER_MTU)
    }

    /// What the device and the socket may take and give in one piece.
    pub(crate) fn offloads(&self) -> Offloads {
        if self.offload { Offloads::ALL } else { Offloads::NONE }
    }

    /// Gives the device this MTU, its queue and its addresses.
    pub(crate) fn apply(&self, links: &impl LinkControl, mtu: u16) -> io::Result<()> {
        links.set_mtu(&self.interface, mtu)?;
        links.set_queue_len(&self.interface, QUEUE_LEN)?;
        links.seclude(&self.interface)?;
        self.addresses.iter().try_for_each(|address| links.add_address(&self.interface, *address))
    }

    /// The lane's rules for outer headers of this IP version, in UDP or bare.
    pub(crate) fn rules(&self, udp: bool, version: IpVersion) -> Rules {
        Rules {
            encapsulation: OuterHeaders { version, udp },
            outer_mtu: OUTER_MTU,
            inner_mtu: usize::from(self.mtu()),
            mss: self.mss.unwrap_or(MSS),
            copy_dscp: self.copy_dscp,
        }
    }
}

/// What the kernel is asked to do with the interfaces of tunnels.
pub(crate) trait LinkControl {
    /// Whether the interface is switched on; ENODEV if there is none.
    fn is_up(&self, interface: &str) -> io::Result<bool>;
    fn set_up(&self, interface: &str) -> io::Result<()>;
    fn set_mtu(&self, interface: &str, mtu: u16) -> io::Result<()>;
    fn set_queue_len(&self, interface: &str, packets: u32) -> io::Result<()>;
    /// Has the interface take and send no word of routers: no link-local address, no Redirects.
    fn seclude(&self, interface: &str) -> io::Result<()>;
    /// Adds an address that the interface may have already.
    fn add_address(&self, interface: &str, address: AddressPrefix) -> io::Result<()>;
    fn delete_link(&self, interface: &str) -> io::Result<()>;
}

impl LinkControl for Netlink {
    fn is_up(&self, interface: &str) -> io::Result<bool> {
        Netlink::is_up(self, interface)
    }

    fn set_up(&self, interface: &str) -> io::Result<()> {
        Netlink::set_up(self, interface)
    }

    fn set_mtu(&self, interface: &str, mtu: u16) -> io::Result<()> {
        Netlink::set_mtu(self, interface, mtu)
    }

    fn set_queue_len(&self, interface: &str, packets: u32) -> io::Result<()> {
        Netlink::set_queue_len(self, interface, packets)
    }

    fn seclude(&self, interface: &str) -> io::Result<()> {
        Netlink::seclude(self, interface)
    }

    fn add_address(&self, interface: &str, address: AddressPrefix) -> io::Result<()> {
        Netlink::add_address(self, interface, address)
    }

    fn delete_link(&self, interface: &str) -> io::Result<()> {
        Netlink::delete_link(self, interface)
    }
}

/// Deletes a device, and the file descriptor store's copies of the device and of its socket.
pub(crate) fn remove_device<L: LinkControl>(
    interface: &str,
    handles: &Handles,
    links: impl FnOnce() -> io::Result<L>,
) {
    handles.fd_store.forget(&fd_store::device(interface));
    handles.fd_store.forget(&fd_store::lane(interface));
    // An error means that the device is gone already, or goes with the file descriptor store's
    // copy.
    let _ = links().and_then(|links| links.delete_link(interface));
}
