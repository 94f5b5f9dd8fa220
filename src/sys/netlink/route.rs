//! Routes with a metric, a table and several devices, and the rules that choose a table.

use std::io;

use super::{
    AddressPrefix, CREATE, EXCLUSIVE, Netlink, NetlinkRequest, REPLACE, family, index, octets,
};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

/// The rule holds for packets without the mark.
const INVERT: u32 = 2;

/// A route into tunnels: with several devices the kernel spreads the flows over them.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// What it leads to.
    pub to: AddressPrefix,
    /// Among routes to the same, the lowest wins.
    pub metric: u32,
    /// In which table.
    pub table: u32,
    /// Into which devices.
    pub devices: &'a [&'a str],
}

/// Which table a packet's route is looked up in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoutingRule {
    /// For IPv6, else for IPv4.
    pub v6: bool,
    /// Rules are tried from the lowest.
    pub priority: u32,
    /// The table.
    pub table: u32,
    /// Only for packets that do not have this mark.
    pub unless_marked: Option<u32>,
    /// A default route found in the table does not count: the next rule is tried.
    pub without_default: bool,
}

impl Netlink {
    /// Adds a route, or replaces the one to the same with the same metric.
    pub fn put_route(&self, route: Route<'_>) -> io::Result<()> {
        self.ask(request(RTM_NEWROUTE, CREATE | REPLACE, route)?)
    }

    /// Removes the route to the same with the same metric, whatever its devices.
    pub fn drop_route(&self, route: Route<'_>) -> io::Result<()> {
        self.ask(request(RTM_DELROUTE, 0, Route { devices: &[], ..route })?)
    }

    /// Adds a rule.
    pub fn add_rule(&self, rule: RoutingRule) -> io::Result<()> {
        self.ask(rule_request(RTM_NEWRULE, CREATE | EXCLUSIVE, rule))
    }

    /// Removes a rule.
    pub fn delete_rule(&self, rule: RoutingRule) -> io::Result<()> {
        self.ask(rule_request(RTM_DELRULE, 0, rule))
    }
}

fn request(kind: u16, flags: u16, route: Route<'_>) -> io::Result<NetlinkRequest> {
    let Route { to, metric, table, devices } = route;
    let mut request = NetlinkRequest::new(kind, flags);
    // rtmsg: protocol static, scope link for IPv4 (nowhere, when a route of any scope is to go),
    // type unicast.
    let scope = match (devices, to.address.is_ipv4()) {
        ([], _) => 255,
        (_, true) => 253,
        (_, false) => 0,
    };
    let short = u8::try_from(table).unwrap_or(0);
    request.put(&[family(to.address), to.length, 0, 0, short, 4, scope, 1, 0, 0, 0, 0]);
    request.attribute(1, &octets(to.address)); // RTA_DST
    request.attribute(6, &metric.to_ne_bytes()); // RTA_PRIORITY
    request.attribute(15, &table.to_ne_bytes()); // RTA_TABLE
    match devices {
        [] => {}
        [device] => request.attribute(4, &index(device)?.to_ne_bytes()), // RTA_OIF
        devices => {
            let paths = request.open(9); // RTA_MULTIPATH
            for device in devices {
                // rtnexthop: its length, no flags, weight 1 (written as 0), the device.
                let [a, b, c, d] = index(device)?.to_ne_bytes();
                let [low, high] = 8u16.to_ne_bytes();
                request.put(&[low, high, 0, 0, a, b, c, d]);
            }
            request.close(paths);
        }
    }
    Ok(request)
}

fn rule_request(kind: u16, flags: u16, rule: RoutingRule) -> NetlinkRequest {
    let mut request = NetlinkRequest::new(kind, flags);
    // fib_rule_hdr: family, no prefixes, table, action "to table", flags.
    let family = if rule.v6 { 10 } else { 2 };
    let [a, b, c, d] = if rule.unless_marked.is_some() { INVERT } else { 0 }.to_ne_bytes();
    let short = u8::try_from(rule.table).unwrap_or(0);
    request.put(&[family, 0, 0, 0, short, 0, 0, 1, a, b, c, d]);
    request.attribute(6, &rule.priority.to_ne_bytes()); // FRA_PRIORITY
    request.attribute(15, &rule.table.to_ne_bytes()); // FRA_TABLE
    if let Some(mark) = rule.unless_marked {
        request.attribute(10, &mark.to_ne_bytes()); // FRA_FWMARK
    }
    if rule.without_default {
        request.attribute(14, &0u32.to_ne_bytes()); // FRA_SUPPRESS_PREFIXLEN
    }
    request
}
