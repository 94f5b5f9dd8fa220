//! The routes of this program that lead nowhere, as the kernel has them: whoever set them may be
//! gone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv, send};

use super::request::{self, DUMP, HEADER_LEN, NetlinkRequest, acknowledged, family, kind};
use super::route::PROTOCOL;
use super::{AddressPrefix, Hop, Netlink, Route};
use crate::sys::esp_socket::set;

/// Octets of rtmsg.
const ROUTE_LEN: usize = 12;
/// linux/netlink.h: the kernel selects by the fields of a request (since 4.20).
const NETLINK_GET_STRICT_CHK: i32 = 12;
/// The largest piece of a list that the kernel sends.
const PIECE: usize = 1 << 16;

impl Netlink {
    /// The routes of types `unreachable` and `throw` that this program set, of one family. Empty
    /// when the host does not have the family.
    pub fn routes_to_nowhere(&self, v6: bool) -> io::Result<Vec<Route<'static>>> {
        fault!(Netlink);
        // An older kernel lists all routes; those of others are left out below.
        let _ = set(&self.0, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
        let mut request = NetlinkRequest::new(libc::RTM_GETROUTE, DUMP);
        // rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type,
        // flags.
        request.put(&[family(v6), 0, 0, 0, 0, PROTOCOL, 0, 0, 0, 0, 0, 0]);
        send(self.0.as_raw_fd(), &request.finish(), MsgFlags::empty())?;
        let (mut routes, mut piece) = (Vec::new(), vec![0; PIECE]);
        loop {
            let len = recv(self.0.as_raw_fd(), &mut piece, MsgFlags::empty())?;
            for message in request::messages(&piece[..len]) {
                match kind(message).map(i32::from) {
                    Some(libc::NLMSG_DONE) => return Ok(routes),
                    Some(libc::NLMSG_ERROR) => return acknowledged(message).map(|()| routes),
                    _ => routes.extend(route(message)),
                }
            }
        }
    }
}

/// The route that an RTM_NEWROUTE describes, if this program set it to lead nowhere.
fn route(message: &[u8]) -> Option<Route<'static>> {
    let header = message.get(HEADER_LEN..HEADER_LEN + ROUTE_LEN)?;
    let &[family, length, _, _, short_table, protocol, _, kind, ..] = header else { return None };
    let hop = [Hop::Unreachable, Hop::Throw].into_iter().find(|hop| hop.kind() == kind)?;
    if protocol != PROTOCOL || message.get(4..6)? != libc::RTM_NEWROUTE.to_ne_bytes() {
        return None;
    }
    let any: IpAddr = match family == request::family(true) {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let mut route = Route {
        to: AddressPrefix { address: any, length },
        metric: 0,
        table: short_table.into(),
        hop,
    };
    for (kind, data) in request::attributes(message.get(HEADER_LEN + ROUTE_LEN..)?) {
        let number = || Some(u32::from_ne_bytes(data.try_into().ok()?));
        match kind {
            libc::RTA_DST => route.to.address = address(data)?,
            libc::RTA_PRIORITY => route.metric = number()?,
            libc::RTA_TABLE => route.table = number()?,
            _ => {}
        }
    }
    Some(route)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).ok().map(IpAddr::from);
    v4().or_else(v6)
}
