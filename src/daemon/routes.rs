//! Routes of one connection: they come with the first tunnel that is up and go with the last.
//!
//! **A tunnel must not swallow its own packets.** Where a prefix of the gateway holds the gateway's
//! own address (or is everything), its routes go into a table of their own and two rules decide,
//! for packets that do not carry our mark:
//!
//! ```text
//!   21298: from all lookup main suppress_prefixlength 0     what this device knows better than "default" stays
//!   21299: not from all fwmark S2SD lookup 21298            the rest may go into the tunnel
//!   32766: from all lookup main                             outer packets, and all when no tunnel is up
//! ```
//!
//! With strict reverse path filtering (rp_filter = 1) the kernel drops what comes from the gateway
//! itself then; loose (2) is right for such a device. systemd/90-s2sd.sysctl.conf sets it.

use std::io;
use std::net::IpAddr;

use nix::errno::Errno;

use crate::config::algorithm::Routes as Mode;
use crate::config::prefix::Prefix;
use crate::config::settings::Connection;
use crate::sys::ike_socket::MARK;
use crate::sys::netlink::{self, Hop, Netlink, Route, RoutingRule};

/// The table of routes that need the guard: "S2" in ASCII.
pub const GUARD_TABLE: u32 = 0x5332;
const MAIN: u32 = 254;

/// The routes of one connection.
#[derive(Debug)]
pub struct Routes {
    prefixes: Vec<Prefix>,
    mode: Mode,
    metric: u32,
    table: u32,
    /// The devices that they lead into now.
    devices: Vec<String>,
    /// Whether some of them could not be set.
    lacking: bool,
}

impl Routes {
    /// The routes that a connection is to have. `outer` are the addresses of its gateway.
    pub fn new(connection: &Connection, outer: &[IpAddr]) -> Routes {
        let prefixes = connection.virtual_network_gateway.address_prefixes.clone();
        let tunnel = &connection.tunnel;
        Routes {
            table: table(&prefixes, tunnel.route_table, outer),
            prefixes,
            mode: tunnel.routes,
            metric: tunnel.route_metric,
            devices: Vec::new(),
            lacking: false,
        }
    }

    /// The gateway is at these addresses now. Routes that must go into another table are withdrawn;
    /// they are led anew.
    pub fn protect_outer(&mut self, connection: &Connection, outer: &[IpAddr]) -> io::Result<()> {
        let table = table(&self.prefixes, connection.tunnel.route_table, outer);
        if table != self.table {
            self.lead_into(&[])?;
            self.table = table;
        }
        Ok(())
    }

    /// Takes over what a former process set: its routes lead into these devices.
    pub fn adopt(&mut self, devices: Vec<String>) {
        // Whether all of them could be set is not known.
        self.lacking = !devices.is_empty();
        self.devices = devices;
    }

    /// Leaves the routes as they are, for the next process.
    pub fn leave(&mut self) {
        self.devices.clear();
        self.lacking = false;
    }

    /// Whether rules have to keep outer packets out of these routes.
    pub fn is_guarded(&self) -> bool {
        self.table == GUARD_TABLE && self.mode != Mode::None
    }

    /// The devices that the routes lead into.
    pub fn devices(&self) -> &[String] {
        &self.devices
    }

    /// The prefixes that there are routes to now.
    pub fn prefixes(&self) -> &[Prefix] {
        if self.devices.is_empty() { &[] } else { &self.prefixes }
    }

    /// Has the routes lead into these devices, in the order of preference. Whether that changed
    /// anything. One that cannot be set does not keep the others away, and is tried again the next
    /// time.
    pub fn lead_into(&mut self, up: &[&str]) -> io::Result<bool> {
        let wanted = match self.mode {
            Mode::Ecmp => up,
            Mode::Preferred => up.get(..1).unwrap_or_default(),
            Mode::None => &[],
        };
        if self.devices == wanted && !self.lacking {
            return Ok(false);
        }
        self.devices = wanted.iter().map(|device| (*device).to_owned()).collect();
        self.lacking = true;
        let netlink = Netlink::open()?;
        let mut outcome = Ok(true);
        for prefix in &self.prefixes {
            let to = netlink::AddressPrefix { address: prefix.network(), length: prefix.length() };
            let route =
                Route { to, metric: self.metric, table: self.table, hop: Hop::Devices(wanted) };
            let done = match wanted {
                // A device that is gone took its routes along.
                [] => pass(netlink.drop_route(route), &[Errno::ESRCH, Errno::ENODEV]),
                _ => netlink.put_route(route),
            };
            if let Err(error) = done {
                let what = format!("the route to {prefix} cannot be changed: {error}");
                outcome = Err(io::Error::new(error.kind(), what));
            }
        }
        self.lacking = outcome.is_err();
        outcome
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        // What cannot be removed goes with the device.
        let _ = self.lead_into(&[]);
    }
}

/// The rules that keep outer packets out of tunnels, while they stand.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Sets up the rules for both families.
    pub fn set_up() -> io::Result<Guard> {
        let netlink = Netlink::open()?;
        for rule in rules() {
            // Left by a daemon that was killed: the same rule.
            pass(netlink.add_rule(rule), &[Errno::EEXIST, Errno::EAFNOSUPPORT])?;
        }
        Ok(Guard(()))
    }

    /// Leaves the rules as they are, for the next process.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Ok(netlink) = Netlink::open() else { return };
        for rule in rules() {
            // Whoever removed it before us wanted the same.
            let _ = netlink.delete_rule(rule);
        }
    }
}

/// The table of routes to these prefixes: one of their own if they would swallow what goes to the
/// gateway.
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

fn pass(result: io::Result<()>, harmless: &[Errno]) -> io::Result<()> {
    match result {
        Err(error) if harmless.iter().any(|e| error.raw_os_error() == Some(*e as i32)) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
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
}
