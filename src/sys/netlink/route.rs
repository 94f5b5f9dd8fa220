//! Routes, and the rules that choose the table in which a packet's route is looked up.

use std::io;
use std::net::IpAddr;

use super::request::{CREATE, EXCLUSIVE, NetlinkRequest, REPLACE, family, index, octets};
use super::{AddressPrefix, Netlink};

// linux/fib_rules.h, which libc does not have.
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;

/// Octets of rtnexthop.
const NEXT_HOP_LEN: u16 = 8;

/// The protocol of s2sd's routes, by which they are told from those of others: what rt_protos has
/// for nobody ("S" in ASCII).
pub(super) const PROTOCOL: u8 = 0x53;

/// A route to a range of addresses.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The destinations that the route serves.
    pub to: AddressPrefix,
    /// The priority: among routes to one range in one table the lowest metric wins. 0 leaves the
    /// choice to the kernel.
    pub metric: u32,
    /// The number of the routing table.
    pub table: u32,
    /// Where the packets go next.
    pub hop: Hop<'a>,
    /// The source of packets of this host's own that are bound to none; `None` leaves the choice to
    /// the kernel.
    pub source: Option<IpAddr>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hop<'a> {
    /// To a router.
    Via(IpAddr),
    /// Into a device.
    Device(&'a str),
    /// Into several devices, over which the kernel spreads the flows (ECMP).
    Devices(&'a [&'a str]),
    /// Nowhere: the packet is dropped, and the sender told so.
    Unreachable,
    /// On to the next rule, as if the table had no route.
    Throw,
}

impl Hop<'_> {
    /// The type of a route of rtnetlink(7).
    pub(super) fn kind(self) -> u8 {
        match self {
            Hop::Via(_) | Hop::Device(_) | Hop::Devices(_) => libc::RTN_UNICAST,
            Hop::Unreachable => libc::RTN_UNREACHABLE,
            Hop::Throw => libc::RTN_THROW,
        }
    }

    fn protocol(self) -> u8 {
        match self {
            Hop::Unreachable | Hop::Throw | Hop::Devices(_) => PROTOCOL,
            Hop::Via(_) | Hop::Device(_) => libc::RTPROT_STATIC,
        }
    }
}

/// A routing rule (ip-rule(8)): the table in which some packets' route is looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoutingRule {
    /// Whether the rule is one for IPv6; otherwise the rule is one for IPv4.
    pub v6: bool,
    /// The place among the rules: the kernel tries the lowest first.
    pub priority: u32,
    /// The number of the routing table.
    pub table: u32,
    /// The mark whose packets the rule passes over.
    pub unless_marked: Option<u32>,
    /// Whether a default route that the table has is passed over, so that the next rule is tried.
    pub without_default: bool,
}

impl Netlink {
    /// Adds a route, or replaces the one to the same range with the same metric.
    pub fn put_route(&self, route: Route<'_>) -> io::Result<()> {
        self.ask(route_request(libc::RTM_NEWROUTE, CREATE | REPLACE, route, Some(route.hop))?)
    }

    /// Adds a route; EEXIST when there is one to the same range with the same metric, whoever made
    /// it.
    pub fn create_route(&self, route: Route<'_>) -> io::Result<()> {
        self.ask(route_request(libc::RTM_NEWROUTE, CREATE | EXCLUSIVE, route, Some(route.hop))?)
    }

    /// Removes the route to the same range with the same metric, of the same type and by the same
    /// program, wherever that route leads.
    pub fn drop_route(&self, route: Route<'_>) -> io::Result<()> {
        self.ask(route_request(libc::RTM_DELROUTE, 0, route, None)?)
    }

    /// Adds a rule; EEXIST when there is one like it.
    pub fn add_rule(&self, rule: RoutingRule) -> io::Result<()> {
        self.ask(rule_request(libc::RTM_NEWRULE, CREATE | EXCLUSIVE, rule))
    }

    /// Removes a rule.
    pub fn delete_rule(&self, rule: RoutingRule) -> io::Result<()> {
        self.ask(rule_request(libc::RTM_DELRULE, 0, rule))
    }
}

fn route_request(
    kind: u16,
    flags: u16,
    route: Route<'_>,
    hop: Option<Hop<'_>>,
) -> io::Result<NetlinkRequest> {
    let Route { to, metric, table, .. } = route;
    let v4 = to.address.is_ipv4();
    let scope = match hop {
        // A request to remove matches a route of any scope.
        None => libc::RT_SCOPE_NOWHERE,
        Some(Hop::Device(_) | Hop::Devices(_)) if v4 => libc::RT_SCOPE_LINK,
        Some(_) => libc::RT_SCOPE_UNIVERSE,
    };
    let mut request = NetlinkRequest::new(kind, flags);
    // rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
    request.put(&[
        family(!v4),
        to.length,
        0,
        0,
        short_table(table),
        route.hop.protocol(),
        scope,
        route.hop.kind(),
        0,
        0,
        0,
        0,
    ]);
    request.attribute(libc::RTA_DST, &octets(to.address));
    request.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
    request.attribute(libc::RTA_TABLE, &table.to_ne_bytes());
    if let (Some(source), Some(_)) = (route.source, hop) {
        request.attribute(libc::RTA_PREFSRC, &octets(source));
    }
    match hop {
        None | Some(Hop::Unreachable | Hop::Throw) => {}
        Some(Hop::Via(router)) => request.attribute(libc::RTA_GATEWAY, &octets(router)),
        Some(Hop::Device(device)) => output(&mut request, device)?,
        Some(Hop::Devices([])) => {}
        Some(Hop::Devices([device])) => output(&mut request, device)?,
        Some(Hop::Devices(devices)) => {
            let paths = request.open(libc::RTA_MULTIPATH);
            for device in devices {
                // rtnexthop: length, flags, weight less one, device.
                let [low, high] = NEXT_HOP_LEN.to_ne_bytes();
                let [a, b, c, d] = index(device)?.to_ne_bytes();
                request.put(&[low, high, 0, 0, a, b, c, d]);
            }
            request.close(paths);
        }
    }
    Ok(request)
}

fn output(request: &mut NetlinkRequest, device: &str) -> io::Result<()> {
    request.attribute(libc::RTA_OIF, &index(device)?.to_ne_bytes());
    Ok(())
}

fn rule_request(kind: u16, flags: u16, rule: RoutingRule) -> NetlinkRequest {
    let mut request = NetlinkRequest::new(kind, flags);
    let invert = if rule.unless_marked.is_some() { FIB_RULE_INVERT } else { 0 };
    // fib_rule_hdr: family, lengths of destination and source, TOS, table, two reserved octets,
    // action, flags.
    let [a, b, c, d] = invert.to_ne_bytes();
    let table = short_table(rule.table);
    request.put(&[family(rule.v6), 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, a, b, c, d]);
    request.attribute(FRA_PRIORITY, &rule.priority.to_ne_bytes());
    request.attribute(FRA_TABLE, &rule.table.to_ne_bytes());
    if let Some(mark) = rule.unless_marked {
        request.attribute(FRA_FWMARK, &mark.to_ne_bytes());
    }
    if rule.without_default {
        request.attribute(FRA_SUPPRESS_PREFIXLEN, &0u32.to_ne_bytes());
    }
    request
}

/// The octet that a header has for a table; a number beyond 255 is in an attribute alone.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC)
}
