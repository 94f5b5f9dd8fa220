//! Links, addresses and routes by rtnetlink(7), as much as a tunnel and its tests need,
//! synchronously.
//!
//! A [`Netlink`] acts on the network namespace of the thread that opened it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::namespace::Namespace;

mod route;
mod watch;

pub use route::{Route, RoutingRule};
pub use watch::NetlinkWatch;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

const REQUEST_ACK: u16 = 0x01 | 0x04;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const REPLACE: u16 = 0x100;

const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;

/// An address range behind a prefix length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressPrefix {
    /// Any address in it.
    pub address: IpAddr,
    /// The number of leading bits that all share.
    pub length: u8,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hop<'a> {
    /// To a router.
    Via(IpAddr),
    /// Into a device.
    Device(&'a str),
}

/// A connection to the kernel's routing tables.
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

    /// A pair of Ethernet devices joined by a wire: `name` here, `peer` in the other namespace.
    pub fn add_veth(&self, name: &str, peer: &str, other: &Namespace) -> io::Result<()> {
        let mut request = NetlinkRequest::new(RTM_NEWLINK, CREATE | EXCLUSIVE);
        request.link(0, 0, 0);
        request.attribute(3, &text(name)); // IFLA_IFNAME
        let info = request.open(18); // IFLA_LINKINFO
        request.attribute(1, b"veth"); // IFLA_INFO_KIND
        let data = request.open(2); // IFLA_INFO_DATA
        let far = request.open(1); // VETH_INFO_PEER
        request.link(0, 0, 0);
        request.attribute(3, &text(peer));
        request.attribute(28, &other.file().as_raw_fd().to_ne_bytes()); // IFLA_NET_NS_FD
        request.close(far);
        request.close(data);
        request.close(info);
        self.ask(request)
    }

    /// Removes a device.
    pub fn delete_link(&self, name: &str) -> io::Result<()> {
        let mut request = NetlinkRequest::new(RTM_DELLINK, 0);
        request.link(index(name)?, 0, 0);
        self.ask(request)
    }

    /// Whether a device is switched on. ENODEV when there is none of the name.
    pub fn is_up(&self, name: &str) -> io::Result<bool> {
        let mut request = NetlinkRequest::new(RTM_GETLINK, 0);
        request.link(index(name)?, 0, 0);
        let mut reply = [0; 8192];
        // nlmsghdr, then ifinfomsg with the flags at 8.
        match self.exchange(request, &mut reply)? {
            reply if kind(reply) == Some(RTM_NEWLINK) => {
                Ok(word(reply, 24).is_some_and(|flags| flags & IFF_UP != 0))
            }
            reply => acknowledged(reply).and(Ok(false)),
        }
    }

    /// Switches a device on.
    pub fn set_up(&self, name: &str) -> io::Result<()> {
        self.switch(name, IFF_UP)
    }

    /// Switches a device off.
    pub fn set_down(&self, name: &str) -> io::Result<()> {
        self.switch(name, 0)
    }

    fn switch(&self, name: &str, flags: u32) -> io::Result<()> {
        let mut request = NetlinkRequest::new(RTM_NEWLINK, 0);
        request.link(index(name)?, flags, IFF_UP);
        self.ask(request)
    }

    /// Sets the largest packet of a device.
    pub fn set_mtu(&self, name: &str, mtu: u16) -> io::Result<()> {
        let mut request = NetlinkRequest::new(RTM_NEWLINK, 0);
        request.link(index(name)?, 0, 0);
        request.attribute(4, &u32::from(mtu).to_ne_bytes()); // IFLA_MTU
        self.ask(request)
    }

    /// Sets how many packets may wait for a device.
    pub fn set_queue_len(&self, name: &str, packets: u32) -> io::Result<()> {
        let mut request = NetlinkRequest::new(RTM_NEWLINK, 0);
        request.link(index(name)?, 0, 0);
        request.attribute(13, &packets.to_ne_bytes()); // IFLA_TXQLEN
        self.ask(request)
    }

    /// Gives a device an address.
    pub fn add_address(&self, name: &str, address: AddressPrefix) -> io::Result<()> {
        self.address(RTM_NEWADDR, CREATE | REPLACE, name, address)
    }

    /// Takes an address from a device.
    pub fn delete_address(&self, name: &str, address: AddressPrefix) -> io::Result<()> {
        self.address(RTM_DELADDR, 0, name, address)
    }

    fn address(&self, kind: u16, flags: u16, name: &str, address: AddressPrefix) -> io::Result<()> {
        let mut request = NetlinkRequest::new(kind, flags);
        // ifaddrmsg, with IFA_F_NODAD: nobody else is there to have the address already.
        let [a, b, c, d] = index(name)?.to_ne_bytes();
        request.put(&[family(address.address), address.length, 0x02, 0, a, b, c, d]);
        request.attribute(2, &octets(address.address)); // IFA_LOCAL
        request.attribute(1, &octets(address.address)); // IFA_ADDRESS
        self.ask(request)
    }

    /// Adds a route, or replaces the one to the same range.
    pub fn add_route(&self, to: AddressPrefix, hop: Hop<'_>) -> io::Result<()> {
        self.route(RTM_NEWROUTE, CREATE | REPLACE, to, hop)
    }

    /// Removes a route.
    pub fn delete_route(&self, to: AddressPrefix, hop: Hop<'_>) -> io::Result<()> {
        self.route(RTM_DELROUTE, 0, to, hop)
    }

    fn route(&self, kind: u16, flags: u16, to: AddressPrefix, hop: Hop<'_>) -> io::Result<()> {
        let mut request = NetlinkRequest::new(kind, flags);
        // rtmsg: table main, protocol static, scope by kind of hop, type unicast.
        let scope = if matches!(hop, Hop::Device(_)) && to.address.is_ipv4() { 253 } else { 0 };
        request.put(&[family(to.address), to.length, 0, 0, 254, 4, scope, 1, 0, 0, 0, 0]);
        request.attribute(1, &octets(to.address)); // RTA_DST
        match hop {
            Hop::Via(router) => request.attribute(5, &octets(router)), // RTA_GATEWAY
            Hop::Device(name) => request.attribute(4, &index(name)?.to_ne_bytes()), // RTA_OIF
        }
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

/// What an acknowledgement says: nlmsghdr (16 bytes, the type at 4), then the negated errno.
fn acknowledged(reply: &[u8]) -> io::Result<()> {
    match (kind(reply), word(reply, 16).map(u32::cast_signed)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(Errno::from_raw(-code).into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not an acknowledgement")),
    }
}

fn kind(message: &[u8]) -> Option<u16> {
    message.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]))
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

/// One request in the making: headers, then attributes, some of them nested.
struct NetlinkRequest(Vec<u8>);

/// A nested attribute that waits for its end.
struct Nest(usize);

impl NetlinkRequest {
    fn new(kind: u16, flags: u16) -> NetlinkRequest {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST_ACK | flags).to_ne_bytes());
        NetlinkRequest(bytes)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// An ifinfomsg.
    fn link(&mut self, index: u32, flags: u32, change: u32) {
        let words = [0, index, flags, change];
        self.put(words.map(u32::to_ne_bytes).as_flattened());
    }

    fn attribute(&mut self, kind: u16, data: &[u8]) {
        let nest = self.open(kind);
        self.0.extend_from_slice(data);
        self.close(nest);
    }

    fn open(&mut self, kind: u16) -> Nest {
        let start = self.0.len();
        self.0.extend([0, 0]);
        self.0.extend(kind.to_ne_bytes());
        Nest(start)
    }

    fn close(&mut self, nest: Nest) {
        let len = u16::try_from(self.0.len() - nest.0).expect("attributes here are short");
        self.0[nest.0..nest.0 + 2].copy_from_slice(&len.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).expect("requests here are short");
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

fn index(name: &str) -> io::Result<u32> {
    Ok(if_nametoindex(name)?)
}

fn family(address: IpAddr) -> u8 {
    // AF_INET and AF_INET6; both are below 256 on every Linux.
    if address.is_ipv4() { 2 } else { 10 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
