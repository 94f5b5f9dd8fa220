//! The routes of this program, as the kernel has them: whoever set them may be gone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv, send};

use super::request::{self, DUMP, HEADER_LEN, NetlinkRequest, acknowledged, family, index, kind};
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
        let listed = self.list(v6, PROTOCOL)?;
        Ok(listed.into_iter().filter(|listed| listed.device.is_none()).map(|l| l.route).collect())
    }

    /// Whether the route to this range with this metric is one of this program: by its protocol, or
    /// because it leads into one of these devices, as those of versions before 0.2.0 do.
    pub fn is_ours(&self, route: Route<'_>, devices: &[String]) -> io::Result<bool> {
        let v6 = route.to.address.is_ipv6();
        let is_same = |listed: &ListedRoute| {
            let Route { to, metric, table, .. } = listed.route;
            listed.device.is_some() && (to, metric, table) == (route.to, route.metric, route.table)
        };
        if self.list(v6, PROTOCOL)?.iter().any(is_same) {
            return Ok(true);
        }
        let own: Vec<u32> = devices.iter().filter_map(|device| index(device).ok()).collect();
        let by_device = |listed: &ListedRoute| listed.device.is_some_and(|at| own.contains(&at));
        let of_others = self.list(v6, libc::RTPROT_STATIC)?;
        Ok(of_others.iter().any(|listed| is_same(listed) && by_device(listed)))
    }

    /// The routes of one program and family that lead into devices, or nowhere.
    fn list(&self, v6: bool, protocol: u8) -> io::Result<Vec<ListedRoute>> {
        fault!(Netlink);
        // An older kernel lists all routes; those of other programs are left out below.
        let _ = set(&self.0, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
        let mut request = NetlinkRequest::new(libc::RTM_GETROUTE, DUMP);
        // rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type,
        // flags.
        request.put(&[family(v6), 0, 0, 0, 0, protocol, 0, 0, 0, 0, 0, 0]);
        send(self.0.as_raw_fd(), &request.finish(), MsgFlags::empty())?;
        let (mut routes, mut piece) = (Vec::new(), vec![0; PIECE]);
        loop {
            let len = recv(self.0.as_raw_fd(), &mut piece, MsgFlags::empty())?;
            for message in request::messages(&piece[..len]) {
                match kind(message).map(i32::from) {
                    Some(libc::NLMSG_DONE) => return Ok(routes),
                    Some(libc::NLMSG_ERROR) => return acknowledged(message).map(|()| routes),
                    _ => routes.extend(listed(message, protocol)),
                }
            }
        }
    }
}

/// A route that the kernel has.
struct ListedRoute {
    /// The route. One into devices has an empty list of them here.
    route: Route<'static>,
    /// The number of the device that the route leads into, or of the first one.
    device: Option<u32>,
}

/// The route that an RTM_NEWROUTE describes, if it is of this program.
fn listed(message: &[u8], of: u8) -> Option<ListedRoute> {
    let header = message.get(HEADER_LEN..HEADER_LEN + ROUTE_LEN)?;
    let &[family, length, _, _, short_table, protocol, _, kind, ..] = header else { return None };
    let hops = [Hop::Unreachable, Hop::Throw, Hop::Devices(&[])];
    let hop = hops.into_iter().find(|hop| hop.kind() == kind)?;
    if protocol != of || message.get(4..6)? != libc::RTM_NEWROUTE.to_ne_bytes() {
        return None;
    }
    let any: IpAddr = match family == request::family(true) {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let to = AddressPrefix { address: any, length };
    let mut route = Route { to, metric: 0, table: short_table.into(), hop, source: None };
    let mut device = None;
    for (kind, data) in request::attributes(message.get(HEADER_LEN + ROUTE_LEN..)?) {
        let number = |at: usize| data.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        match kind {
            libc::RTA_DST => route.to.address = address(data)?,
            libc::RTA_PRIORITY => route.metric = number(0)?,
            libc::RTA_TABLE => route.table = number(0)?,
            libc::RTA_OIF => device = number(0),
            // rtnexthop: length, flags, weight less one, device.
            libc::RTA_MULTIPATH => device = number(4),
            _ => {}
        }
    }
    let leads_on = matches!(hop, Hop::Devices(_));
    Some(ListedRoute { route, device: device.filter(|_| leads_on) })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).ok().map(IpAddr::from);
    v4().or_else(v6)
}
