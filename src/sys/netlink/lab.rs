//! Calls with which tests and the demonstration build a network of namespaces. No service makes
//! one of them.

use std::io;
use std::os::fd::AsRawFd;

use super::request::{CREATE, EXCLUSIVE, NetlinkRequest, text};
use super::{AddressPrefix, Hop, Netlink, Route};
use crate::sys::namespace::Namespace;

/// linux/veth.h, which libc does not have.
const VETH_INFO_PEER: u16 = 1;

impl Netlink {
    /// Makes a pair of Ethernet devices joined by a wire: `name` here, `peer` in the other
    /// namespace.
    pub fn add_veth(&self, name: &str, peer: &str, other: &Namespace) -> io::Result<()> {
        let mut request = NetlinkRequest::new(libc::RTM_NEWLINK, CREATE | EXCLUSIVE);
        request.link(0, 0, 0);
        request.attribute(libc::IFLA_IFNAME, &text(name));
        let info = request.open(libc::IFLA_LINKINFO);
        request.attribute(libc::IFLA_INFO_KIND, b"veth");
        let data = request.open(libc::IFLA_INFO_DATA);
        let far = request.open(VETH_INFO_PEER);
        request.link(0, 0, 0);
        request.attribute(libc::IFLA_IFNAME, &text(peer));
        request.attribute(libc::IFLA_NET_NS_FD, &other.file().as_raw_fd().to_ne_bytes());
        request.close(far);
        request.close(data);
        request.close(info);
        self.ask(request)
    }

    /// Switches a device off.
    pub fn set_down(&self, name: &str) -> io::Result<()> {
        self.switch(name, 0)
    }

    /// Takes an address from a device.
    pub fn delete_address(&self, name: &str, address: AddressPrefix) -> io::Result<()> {
        self.address(libc::RTM_DELADDR, 0, name, address)
    }

    /// Adds a route to the main table, or replaces the one to the same range.
    pub fn add_route(&self, to: AddressPrefix, hop: Hop<'_>) -> io::Result<()> {
        self.put_route(Route {
            to,
            metric: 0,
            table: libc::RT_TABLE_MAIN.into(),
            hop,
            source: None,
        })
    }
}
