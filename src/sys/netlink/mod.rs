//! Links, addresses and routes by rtnetlink(7), as much as a tunnel needs, synchronously.
//!
//! A [`Netlink`] acts on the network namespace of the thread that opened it.
//!
//! | file | noun |
//! |---|---|
//! | here | the connection; devices and their addresses |
//! | `dump` | the list of routes that lead nowhere |
//! | `lab` | what only tests and the demonstration do: veth pairs, devices off, addresses away |
//! | `request` | requests with attributes, and their acknowledgements |
//! | `route` | routes, and the rules that choose a table |
//! | `watch` | the news that links and addresses changed |

mod dump;
mod lab;
mod request;
mod route;
mod watch;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use request::{CREATE, NetlinkRequest, REPLACE, acknowledged, family, index, kind, octets};
pub use route::{Hop, Route, RoutingRule};
pub use watch::NetlinkWatch;

/// IFF_UP of `ifi_flags`, which is unsigned.
const IFF_UP: u32 = libc::IFF_UP.cast_unsigned();

// linux/if_link.h and linux/ip.h, which libc does not have.
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const DEVCONF_ACCEPT_REDIRECTS: u16 = 4;
const DEVCONF_SEND_REDIRECTS: u16 = 6;

/// A range of addresses that share their leading bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressPrefix {
    /// Any address of the range.
    pub address: IpAddr,
    /// The number of leading bits that all addresses of the range share.
    pub length: u8,
}

/// The addresses of this host that its packets can have as their source, without loopback and
/// link-local ones. None when the kernel does not tell.
pub fn own_addresses() -> Vec<IpAddr> {
    let listed = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let is_global = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    };
    listed.filter_map(|one| one.address.and_then(address)).filter(is_global).collect()
}

/// A connection to the kernel's tables of links, addresses and routes.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Connects within the calling thread's network namespace.
    pub fn open() -> io::Result<Netlink> {
        let protocol = SockProtocol::NetlinkRoute;
        Ok(Netlink(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )?))
    }

    /// Removes a device.
    pub fn delete_link(&self, name: &str) -> io::Result<()> {
        self.ask(NetlinkRequest::about(libc::RTM_DELLINK, name, 0, 0)?)
    }

    /// Whether a device is switched on. ENODEV when there is none of the name.
    pub fn is_up(&self, name: &str) -> io::Result<bool> {
        let request = NetlinkRequest::about(libc::RTM_GETLINK, name, 0, 0)?;
        let mut reply = [0; 8192];
        match self.exchange(request, &mut reply)? {
            reply if kind(reply) == Some(libc::RTM_NEWLINK) => {
                Ok(request::link_flags(reply).is_some_and(|flags| flags & IFF_UP != 0))
            }
            reply => acknowledged(reply).and(Ok(false)),
        }
    }

    /// Switches a device on.
    pub fn set_up(&self, name: &str) -> io::Result<()> {
        self.switch(name, IFF_UP)
    }

    fn switch(&self, name: &str, flags: u32) -> io::Result<()> {
        self.ask(NetlinkRequest::about(libc::RTM_NEWLINK, name, flags, IFF_UP)?)
    }

    /// Sets the largest packet of a device.
    pub fn set_mtu(&self, name: &str, mtu: u16) -> io::Result<()> {
        let mut request = NetlinkRequest::about(libc::RTM_NEWLINK, name, 0, 0)?;
        request.attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        self.ask(request)
    }

    /// Sets how many packets may wait for a device.
    pub fn set_queue_len(&self, name: &str, packets: u32) -> io::Result<()> {
        let mut request = NetlinkRequest::about(libc::RTM_NEWLINK, name, 0, 0)?;
        request.attribute(libc::IFLA_TXQLEN, &packets.to_ne_bytes());
        self.ask(request)
    }

    /// Has a device without neighbours take and send no word of a router: no IPv6 link-local
    /// address, hence no solicitation of routers, and no ICMP Redirects. `accept_ra` has no place
    /// in rtnetlink; the data plane drops Router Advertisements.
    pub fn seclude(&self, name: &str) -> io::Result<()> {
        let mut request = NetlinkRequest::about(libc::RTM_NEWLINK, name, 0, 0)?;
        let families = request.open(libc::IFLA_AF_SPEC);
        let v4 = request.open(u16::from(family(false)));
        let settings = request.open(IFLA_INET_CONF);
        for setting in [DEVCONF_ACCEPT_REDIRECTS, DEVCONF_SEND_REDIRECTS] {
            request.attribute(setting, &0u32.to_ne_bytes());
        }
        request.close(settings);
        request.close(v4);
        request.close(families);
        self.ask(request)?;
        let mut request = NetlinkRequest::about(libc::RTM_NEWLINK, name, 0, 0)?;
        let families = request.open(libc::IFLA_AF_SPEC);
        let v6 = request.open(u16::from(family(true)));
        request.attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        request.close(v6);
        request.close(families);
        match self.ask(request) {
            // The host, or this device for its small MTU, has no IPv6.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
            done => done,
        }
    }

    /// Gives a device an address.
    pub fn add_address(&self, name: &str, address: AddressPrefix) -> io::Result<()> {
        self.address(libc::RTM_NEWADDR, CREATE | REPLACE, name, address)
    }

    fn address(&self, kind: u16, flags: u16, name: &str, prefix: AddressPrefix) -> io::Result<()> {
        let mut request = NetlinkRequest::new(kind, flags);
        let [a, b, c, d] = index(name)?.to_ne_bytes();
        // Nobody else on a tunnel can have the address already: no duplicate address detection.
        let flags = u8::try_from(libc::IFA_F_NODAD).expect("IFA_F_NODAD is 2");
        // ifaddrmsg: family, prefix length, flags, scope, device.
        let family = family(prefix.address.is_ipv6());
        request.put(&[family, prefix.length, flags, libc::RT_SCOPE_UNIVERSE, a, b, c, d]);
        request.attribute(libc::IFA_LOCAL, &octets(prefix.address));
        request.attribute(libc::IFA_ADDRESS, &octets(prefix.address));
        self.ask(request)
    }

    /// Sends a request and waits for its acknowledgement.
    fn ask(&self, request: NetlinkRequest) -> io::Result<()> {
        acknowledged(self.exchange(request, &mut [0; 4096])?)
    }

    /// Sends a request and gives the first message that comes back.
    fn exchange<'r>(&self, request: NetlinkRequest, reply: &'r mut [u8]) -> io::Result<&'r [u8]> {
        fault!(Netlink);
        let bytes = request.finish();
        send(self.0.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let len = recv(self.0.as_raw_fd(), reply, MsgFlags::empty())?;
        Ok(&reply[..len])
    }
}
