//! The routes of one connection: set with its first tunnel that is up, removed with its last.
//!
//! **A tunnel must not swallow its own outer packets.** If a prefix behind the gateway contains the
//! gateway's own address, as `0.0.0.0/0` does, the routes go into a table of their own, and two
//! routing rules send only packets without s2sd's mark there:
//!
//! ```text
//!   21298: from all lookup main suppress_prefixlength 0   routes of this host but its default
//!   21299: not from all fwmark S2SD lookup 21298          the routes into the tunnel
//!   32766: from all lookup main                           outer packets; all if no tunnel is up
//! ```
//!
//! With strict reverse path filtering (`rp_filter = 1`) the kernel would then drop packets from the
//! gateway itself. Loose filtering (2) is right for such a host: systemd/90-s2sd.sysctl.conf.
//!
//! **The routes of others stay.** Where somebody else has a route to the same prefix with the same
//! metric, ours gets the next metric that is free, and the status says which of the two counts.
//!
//! **This host's own packets** into a tunnel have a source that the gateway takes: each route has
//! as its preferred source an address of this host within the site's prefixes, if there is one.
//!
//! What becomes of packets while no tunnel is up is in [`super::unreachable`].

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;

use super::problem::Problem;
use crate::config::algorithm::Routes as Mode;
use crate::config::prefix::Prefix;
use crate::config::settings::{Connection, Site};
use crate::sys::ike_socket::MARK;
use crate::sys::netlink::{self, Hop, Netlink, Route, RoutingRule};

/// The table for routes that would swallow outer packets: "S2" in ASCII.
pub(crate) const GUARD_TABLE: u32 = 0x5332;
/// The kernel's table `main`.
const MAIN: u32 = 254;
/// How many metrics after the configured one are tried when others have routes.
const ASIDE: u32 = 16;
/// The networks that hold all private ones of a family: 10.0.0.0/8, fc00::/7.
const PRIVATE_LENGTH: [u8; 2] = [8, 7];

/// The routes of one connection.
#[derive(Debug)]
pub(crate) struct Routes<S: RouteSource = KernelRoutes> {
    source: S,
    prefixes: Vec<Prefix>,
    mode: Mode,
    metric: u32,
    table: u32,
    /// Whether unreachable routes keep packets in while no tunnel is up.
    are_closed: bool,
    /// The devices that the routes lead into.
    devices: Vec<String>,
    /// Whether a route could not be set, or is not known to be set.
    incomplete: bool,
    /// The metric with which each route was set: another one than configured where somebody else
    /// has a route with that.
    set: BTreeMap<Prefix, u32>,
    /// The site's own networks.
    local: Vec<Prefix>,
    /// The preferred sources with which the routes were set: one for each family.
    sources: [Option<IpAddr>; 2],
    /// Whether links or addresses have changed since the routes were set: the kernel removes a
    /// route together with its preferred source, which may be back already.
    is_stale: bool,
}

/// Where a dead end leads, in the order in which they are set.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum DeadHop {
    /// To the next routing rule.
    Throw,
    /// Nowhere.
    Unreachable,
}

/// A route into no device.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct DeadEnd {
    pub(crate) hop: DeadHop,
    pub(crate) table: u32,
    pub(crate) to: Prefix,
}

/// Where access to the kernel's routes comes from: a fake in unit tests.
pub(crate) trait RouteSource {
    type Control: RouteControl;

    fn open(&self) -> io::Result<Self::Control>;
    /// The addresses of this host.
    fn own_addresses(&self) -> Vec<IpAddr>;
}

/// What the kernel is asked to do with routes.
pub(crate) trait RouteControl {
    /// Sets a route, or replaces the one to the same prefix.
    fn put_route(&self, route: Route<'_>) -> io::Result<()>;
    /// Sets a route; EEXIST when there is one to the same prefix with the same metric.
    fn create_route(&self, route: Route<'_>) -> io::Result<()>;
    /// Whether the one that there is belongs to this program, or leads into one of these devices.
    fn is_ours(&self, route: Route<'_>, devices: &[String]) -> io::Result<bool>;
    fn drop_route(&self, route: Route<'_>) -> io::Result<()>;
    /// The routes that lead nowhere and were set by this program or a former process of it.
    fn routes_to_nowhere(&self) -> io::Result<Vec<Route<'static>>>;
}

/// The routes of this network namespace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KernelRoutes;

impl RouteSource for KernelRoutes {
    type Control = Netlink;

    fn open(&self) -> io::Result<Netlink> {
        Netlink::open()
    }

    fn own_addresses(&self) -> Vec<IpAddr> {
        netlink::own_addresses()
    }
}

impl RouteControl for Netlink {
    fn put_route(&self, route: Route<'_>) -> io::Result<()> {
        Netlink::put_route(self, route)
    }

    fn create_route(&self, route: Route<'_>) -> io::Result<()> {
        Netlink::create_route(self, route)
    }

    fn is_ours(&self, route: Route<'_>, devices: &[String]) -> io::Result<bool> {
        Netlink::is_ours(self, route, devices)
    }

    fn drop_route(&self, route: Route<'_>) -> io::Result<()> {
        Netlink::drop_route(self, route)
    }

    fn routes_to_nowhere(&self) -> io::Result<Vec<Route<'static>>> {
        let mut routes = Netlink::routes_to_nowhere(self, false)?;
        routes.extend(Netlink::routes_to_nowhere(self, true)?);
        Ok(routes)
    }
}

impl Routes {
    /// The routes that a connection of `site` is to have, none of them set. `outer` are the
    /// addresses of the connection's gateway.
    pub(crate) fn new(site: &Site, connection: &Connection, outer: &[IpAddr]) -> Routes {
        let prefixes = connection.virtual_network_gateway.address_prefixes.clone();
        let tunnel = &connection.tunnel;
        Routes {
            source: KernelRoutes,
            table: table(&prefixes, tunnel.route_table, outer),
            prefixes,
            mode: tunnel.routes,
            metric: tunnel.route_metric,
            are_closed: tunnel.unreachable_routes,
            devices: Vec::new(),
            incomplete: false,
            set: BTreeMap::new(),
            local: site.address_prefixes.clone(),
            sources: [None; 2],
            is_stale: false,
        }
    }
}

impl<S: RouteSource> Routes<S> {
    /// Chooses the table for a gateway with these addresses. If another table than before is right,
    /// the routes are removed; [`Routes::lead_into`] sets them in the new one.
    pub(crate) fn protect_outer(
        &mut self,
        connection: &Connection,
        outer: &[IpAddr],
    ) -> Result<(), Problem> {
        let table = table(&self.prefixes, connection.tunnel.route_table, outer);
        if table != self.table {
            self.lead_into(&[])?;
            self.table = table;
        }
        Ok(())
    }

    /// Takes over the routes of a former process, which lead into these devices.
    pub(crate) fn adopt(&mut self, devices: Vec<String>) {
        // Whether the former process could set all of them is not known.
        self.incomplete = !devices.is_empty();
        self.devices = devices;
    }

    /// Leaves the routes as they are, for the next process.
    pub(crate) fn leave(&mut self) {
        self.devices.clear();
        self.set.clear();
        self.incomplete = false;
    }

    /// Whether routing rules have to keep outer packets out of these routes.
    pub(crate) fn is_guarded(&self) -> bool {
        self.table == GUARD_TABLE && self.mode != Mode::None
    }

    /// Sets whether unreachable routes keep packets in while no tunnel is up.
    pub(crate) fn set_closed(&mut self, are_closed: bool) {
        self.are_closed = are_closed;
    }

    /// The routes that keep packets to the prefixes in while no tunnel is up. `gateways` are the
    /// addresses of all gateways; `are_known` says whether this connection's are among them.
    pub(crate) fn dead_ends(&self, gateways: &[IpAddr], are_known: bool) -> Vec<DeadEnd> {
        if !self.are_closed || self.mode == Mode::None {
            return Vec::new();
        }
        let mut ends = Vec::new();
        for prefix in &self.prefixes {
            // The server that knows the gateway's address may be behind a prefix that is not
            // private; without the address there would never be a tunnel.
            let private = PRIVATE_LENGTH[usize::from(prefix.network().is_ipv6())];
            if !are_known && prefix.length() < private {
                continue;
            }
            let inside: Vec<&IpAddr> = gateways.iter().filter(|g| prefix.contains(**g)).collect();
            if self.table == MAIN && !inside.is_empty() {
                // Another connection's gateway, whose packets have to find their way.
                continue;
            }
            let end = |hop, to| DeadEnd { hop, table: self.table, to };
            let gateways = inside.into_iter().map(|gateway| Prefix::host(*gateway));
            ends.extend(gateways.map(|gateway| end(DeadHop::Throw, gateway)));
            ends.push(end(DeadHop::Unreachable, *prefix));
        }
        ends
    }

    /// The devices that the routes lead into.
    pub(crate) fn devices(&self) -> &[String] {
        &self.devices
    }

    /// The prefixes that routes lead to now.
    pub(crate) fn prefixes(&self) -> &[Prefix] {
        if self.devices.is_empty() { &[] } else { &self.prefixes }
    }

    /// Has the routes lead into these devices, given in the order of preference. Returns whether
    /// anything changed. A route that cannot be set does not keep the others away, and is tried
    /// again by the next call.
    pub(crate) fn lead_into(&mut self, up: &[&str]) -> Result<bool, Problem> {
        let wanted = match self.mode {
            Mode::Ecmp => up,
            Mode::Preferred => up.get(..1).unwrap_or_default(),
            Mode::None => &[],
        };
        let sources = self.own_sources();
        let are_sources_right = wanted.is_empty() || sources == self.sources;
        let is_settled = self.devices == wanted && !self.incomplete && are_sources_right;
        let is_stale = std::mem::take(&mut self.is_stale) && !wanted.is_empty();
        if is_settled && !is_stale && !self.is_aside() {
            return Ok(false);
        }
        let devices: Vec<String> = wanted.iter().map(|device| (*device).to_owned()).collect();
        let known: Vec<String> = self.devices.iter().chain(&devices).cloned().collect();
        (self.devices, self.sources, self.incomplete) = (devices, sources, true);
        let opened = self.source.open();
        let control = opened.map_err(|error| Problem::RoutesNotSet { cause: error.into() })?;
        let mut outcome = Ok(!is_settled);
        for prefix in self.prefixes.clone() {
            let hop = Hop::Devices(wanted);
            let done = match wanted {
                [] => self.remove(&control, prefix),
                _ => self.set(&control, prefix, hop, &known, !is_settled || is_stale),
            };
            if let Err(error) = done {
                outcome = Err(Problem::RouteNotSet { prefix, cause: error.into() });
            }
        }
        self.incomplete = outcome.is_err();
        outcome
    }

    /// Notes that links or addresses of this host have changed.
    pub(crate) fn look_again(&mut self) {
        self.is_stale = true;
    }

    /// Whether a route has another metric than configured, because of somebody else's.
    fn is_aside(&self) -> bool {
        self.set.values().any(|metric| *metric != self.metric)
    }

    /// What the operator has to know of routes that others have to the same prefixes.
    pub(crate) fn conflict(&self) -> Option<Problem> {
        let (prefix, metric) = self.set.iter().find(|(_, metric)| **metric != self.metric)?;
        Some(Problem::RouteOfOthers { prefix: *prefix, theirs: self.metric, ours: *metric })
    }

    /// The address of this host that its own packets into the tunnel are to have, by family.
    fn own_sources(&self) -> [Option<IpAddr>; 2] {
        let own = self.source.own_addresses();
        let inside = |v6: bool| {
            let of_family = own.iter().filter(|address| address.is_ipv6() == v6);
            let mut inside = of_family.filter(|a| self.local.iter().any(|p| p.contains(**a)));
            inside.next().copied()
        };
        [inside(false), inside(true)]
    }

    fn route<'a>(&self, prefix: Prefix, metric: u32, hop: Hop<'a>) -> Route<'a> {
        let to = netlink::AddressPrefix { address: prefix.network(), length: prefix.length() };
        let source = self.sources[usize::from(prefix.network().is_ipv6())];
        Route { to, metric, table: self.table, hop, source }
    }

    /// Sets the route to one prefix, beside those of others. `anew`: also where it stands already.
    fn set(
        &mut self,
        control: &S::Control,
        prefix: Prefix,
        hop: Hop<'_>,
        known: &[String],
        anew: bool,
    ) -> io::Result<()> {
        let before = self.set.get(&prefix).copied();
        for metric in self.metric..=self.metric.saturating_add(ASIDE) {
            let route = self.route(prefix, metric, hop);
            if before == Some(metric) && !anew {
                return Ok(());
            }
            match control.create_route(route) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() != Some(libc::EEXIST) => return Err(error),
                Err(_) if control.is_ours(route, known)? => control.put_route(route)?,
                Err(_) => continue,
            }
            // Somebody else's route is gone, and ours moves to where it belongs.
            if let Some(before) = before.filter(|before| *before != metric) {
                let aside = self.route(prefix, before, Hop::Devices(&[]));
                ignore(control.drop_route(aside), &[Errno::ESRCH])?;
            }
            self.set.insert(prefix, metric);
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EEXIST))
    }

    /// Removes the route to one prefix, and none of somebody else's.
    fn remove(&mut self, control: &S::Control, prefix: Prefix) -> io::Result<()> {
        let metric = self.set.get(&prefix).copied().unwrap_or(self.metric);
        let route = self.route(prefix, metric, Hop::Devices(&[]));
        // A device that was deleted took its routes along.
        ignore(control.drop_route(route), &[Errno::ESRCH, Errno::ENODEV])?;
        self.set.remove(&prefix);
        Ok(())
    }
}

impl<S: RouteSource> Drop for Routes<S> {
    fn drop(&mut self) {
        // A route that cannot be removed goes with its device.
        let _ = self.lead_into(&[]);
    }
}

/// The routing rules that keep outer packets out of tunnels. Dropping the value removes them.
#[derive(Debug)]
pub(crate) struct Guard(());

impl Guard {
    /// Sets the rules for both address families.
    pub(crate) fn set_up() -> Result<Guard, Problem> {
        let set_up = || {
            let netlink = Netlink::open()?;
            // EEXIST: a daemon that was killed left the same rule.
            rules().try_for_each(|rule| {
                ignore(netlink.add_rule(rule), &[Errno::EEXIST, Errno::EAFNOSUPPORT])
            })
        };
        set_up().map_err(|error: io::Error| Problem::RoutingRules { cause: error.into() })?;
        Ok(Guard(()))
    }

    /// Removes what a former process left of the rules.
    pub(crate) fn clear() {
        drop(Guard(()));
    }

    /// Leaves the rules as they are, for the next process.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Ok(netlink) = Netlink::open() else { return };
        for rule in rules() {
            // An error means that another program removed the rule already.
            let _ = netlink.delete_rule(rule);
        }
    }
}

/// The table for routes to these prefixes: one of their own if they would swallow outer packets to
/// the gateway.
fn table(prefixes: &[Prefix], configured: u32, outer: &[IpAddr]) -> u32 {
    let swallows = |prefix: &Prefix| outer.iter().any(|address| prefix.contains(*address));
    if configured == MAIN && prefixes.iter().any(swallows) { GUARD_TABLE } else { configured }
}

fn rules() -> impl Iterator<Item = RoutingRule> {
    [false, true].into_iter().flat_map(|v6| {
        let known_better = RoutingRule {
            v6,
            priority: GUARD_TABLE,
            table: MAIN,
            unless_marked: None,
            without_default: true,
        };
        let tunnelled = RoutingRule {
            priority: GUARD_TABLE + 1,
            table: GUARD_TABLE,
            unless_marked: Some(MARK),
            without_default: false,
            ..known_better
        };
        [known_better, tunnelled]
    })
}

/// Takes errors that leave the kernel as it should be for success.
pub(super) fn ignore(result: io::Result<()>, harmless: &[Errno]) -> io::Result<()> {
    match result {
        Err(error) if is(&error, harmless) => Ok(()),
        result => result,
    }
}

/// Whether an error is one of these.
pub(super) fn is(error: &io::Error, these: &[Errno]) -> bool {
    these.iter().any(|e| error.raw_os_error() == Some(*e as i32))
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn what_would_swallow_the_gateways_address_goes_into_a_table_of_its_own() {
        let gateway = IpAddr::from([203, 0, 113, 2]);
        for (configured, outer, expected) in
            [(MAIN, &[][..], MAIN), (MAIN, &[gateway], GUARD_TABLE), (100, &[gateway], 100)]
        {
            assert_eq!(table(&[Prefix::any_v4()], configured, outer), expected);
        }
        assert_eq!(table(&[Prefix::any_v6()], MAIN, &[gateway]), MAIN);
    }

    /// The calls that the kernel got, and the prefixes whose routes cannot be set.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct FakeRoutes(pub(crate) Rc<RefCell<(Vec<String>, Vec<Prefix>)>>);

    impl RouteSource for FakeRoutes {
        type Control = FakeRoutes;

        fn open(&self) -> io::Result<FakeRoutes> {
            Ok(self.clone())
        }

        fn own_addresses(&self) -> Vec<IpAddr> {
            Vec::new()
        }
    }

    impl FakeRoutes {
        fn call(&self, verb: &str, route: &Route<'_>) -> io::Result<()> {
            let (calls, failing) = &mut *self.0.borrow_mut();
            let devices = match route.hop {
                Hop::Device(device) => device.to_owned(),
                Hop::Devices(devices) => devices.join("+"),
                Hop::Via(router) => router.to_string(),
                Hop::Unreachable => "unreachable".to_owned(),
                Hop::Throw => "throw".to_owned(),
            };
            calls.push(format!("{verb} {}/{} {devices}", route.to.address, route.to.length));
            match failing.iter().any(|prefix| prefix.network() == route.to.address) {
                true => Err(io::Error::from_raw_os_error(libc::EPERM)),
                false => Ok(()),
            }
        }

        pub(crate) fn calls(&self) -> Vec<String> {
            std::mem::take(&mut self.0.borrow_mut().0)
        }
    }

    impl RouteControl for FakeRoutes {
        fn put_route(&self, route: Route<'_>) -> io::Result<()> {
            self.call("put", &route)
        }

        fn create_route(&self, route: Route<'_>) -> io::Result<()> {
            self.call("put", &route)
        }

        fn is_ours(&self, _: Route<'_>, _: &[String]) -> io::Result<bool> {
            Ok(true)
        }

        fn drop_route(&self, route: Route<'_>) -> io::Result<()> {
            self.call("drop", &route)
        }

        fn routes_to_nowhere(&self) -> io::Result<Vec<Route<'static>>> {
            let table = MAIN;
            let route = |address: [u8; 4], length, metric, hop| {
                let to = netlink::AddressPrefix { address: address.into(), length };
                Route { to, metric, table, hop, source: None }
            };
            Ok(vec![
                route([10, 1, 0, 0], 16, u32::MAX, Hop::Unreachable),
                route([10, 9, 0, 0], 16, u32::MAX, Hop::Unreachable),
                route([203, 0, 113, 9], 32, u32::MAX, Hop::Throw),
                route([10, 8, 0, 0], 16, 7, Hop::Unreachable),
            ])
        }
    }

    #[test]
    fn packets_are_kept_in_but_for_the_way_to_a_gateway_and_to_its_name() {
        let gateway = IpAddr::from([203, 0, 113, 2]);
        let prefix = |text: &str| {
            let (address, length) = text.split_once('/').unwrap();
            Prefix::of(address.parse().unwrap(), length.parse().unwrap()).unwrap()
        };
        let private = &["10.0.0.0/8", "fc00::/7"][..];
        for (prefixes, table, are_known, expected) in [
            (private, MAIN, true, &["Unreachable 10.0.0.0/8", "Unreachable fc00::/7"][..]),
            (private, MAIN, false, &["Unreachable 10.0.0.0/8", "Unreachable fc00::/7"]),
            // A name server may be there.
            (&["0.0.0.0/1", "2000::/3"], MAIN, false, &[]),
            (
                &["0.0.0.0/1", "2000::/3"],
                MAIN,
                true,
                &["Unreachable 0.0.0.0/1", "Unreachable 2000::/3"],
            ),
            // Another connection's gateway is within the prefix.
            (&["203.0.113.0/24", "10.1.0.0/16"], MAIN, true, &["Unreachable 10.1.0.0/16"]),
            (
                &["0.0.0.0/0", "::/0"],
                GUARD_TABLE,
                true,
                &["Throw 203.0.113.2/32", "Unreachable 0.0.0.0/0", "Unreachable ::/0"],
            ),
        ] {
            let mut routes = Routes {
                source: FakeRoutes::default(),
                prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
                mode: Mode::Ecmp,
                metric: 100,
                table,
                are_closed: true,
                devices: Vec::new(),
                incomplete: false,
                set: BTreeMap::new(),
                local: Vec::new(),
                sources: [None; 2],
                is_stale: false,
            };
            let ends = routes.dead_ends(&[gateway], are_known);
            assert!(ends.iter().all(|end| end.table == table));
            let ends: Vec<String> =
                ends.iter().map(|end| format!("{:?} {}", end.hop, end.to)).collect();
            assert_eq!(ends, expected, "{prefixes:?}");
            routes.set_closed(false);
            assert_eq!(routes.dead_ends(&[gateway], true), []);
            (routes.are_closed, routes.mode) = (true, Mode::None);
            assert_eq!(routes.dead_ends(&[gateway], true), [], "a routing daemon has its own");
        }
    }

    #[test]
    fn routes_follow_the_devices_that_are_up_and_one_that_fails_is_tried_again() {
        let kernel = FakeRoutes::default();
        let prefixes: Vec<Prefix> =
            [1, 2].map(|net| Prefix::of([10, net, 0, 0].into(), 16).unwrap()).to_vec();
        let mut routes = Routes {
            source: kernel.clone(),
            prefixes: prefixes.clone(),
            mode: Mode::Ecmp,
            metric: 0,
            table: MAIN,
            are_closed: true,
            devices: Vec::new(),
            incomplete: false,
            set: BTreeMap::new(),
            local: Vec::new(),
            sources: [None; 2],
            is_stale: false,
        };
        kernel.0.borrow_mut().1.push(prefixes[0]);
        let failed = routes.lead_into(&["a"]).unwrap_err();
        assert!(matches!(failed, Problem::RouteNotSet { prefix, .. } if prefix == prefixes[0]));
        assert_eq!(kernel.calls(), ["put 10.1.0.0/16 a", "put 10.2.0.0/16 a"]);
        kernel.0.borrow_mut().1.clear();
        assert_eq!(routes.lead_into(&["a"]), Ok(true), "tried again");
        kernel.calls();
        assert_eq!(routes.lead_into(&["a"]), Ok(false));
        assert_eq!(routes.lead_into(&["a", "b"]), Ok(true));
        assert_eq!(kernel.calls(), ["put 10.1.0.0/16 a+b", "put 10.2.0.0/16 a+b"]);
        // The device of `a` was deleted and made anew: its routes went, and come back.
        assert_eq!((routes.lead_into(&["b"]), routes.lead_into(&["a", "b"])), (Ok(true), Ok(true)));
        assert_eq!(kernel.calls().last().unwrap(), "put 10.2.0.0/16 a+b");
        drop(routes);
        assert_eq!(kernel.calls(), ["drop 10.1.0.0/16 ", "drop 10.2.0.0/16 "]);
    }
}
