//! Routes of type `unreachable` to the gateways' prefixes (a kill switch): a packet that no tunnel
//! takes is refused to its sender, and does not leave by the default route, in clear.
//!
//! ```text
//!   10.2.0.0/16 dev azure0 metric 100                     while a tunnel is up
//!   unreachable 10.2.0.0/16 proto 83 metric 4294967295    always
//! ```
//!
//! They are worse than every other route to the same prefix: a second line that the administrator
//! routes there goes on to be the fallback. One with even that metric stays, and there is none of
//! ours. They are there from the service's start on, and stay when the service stops or dies. Only
//! a configuration without the prefix removes them, at a reload or at the next start: the kernel is
//! asked for what a former process left, so one service in a network namespace is assumed.
//!
//! In a table to which a rule leads (see [`super::routes`]) the gateways' own addresses have routes
//! of type `throw`. Reverse path filtering (`rp_filter = 2`) asks that table for the way back to a
//! gateway, and would drop what comes from there as forged.

use std::collections::BTreeSet;
use std::io;

use nix::errno::Errno;

use super::problem::Problem;
use super::routes::{
    DeadEnd, DeadHop, GUARD_TABLE, KernelRoutes, RouteControl, RouteSource, ignore, is,
};
use crate::config::prefix::Prefix;
use crate::sys::netlink::{AddressPrefix, Hop, Route};

/// The metric: the worst that there is.
const METRIC: u32 = u32::MAX;

/// The unreachable routes of all connections, which may share some.
#[derive(Debug)]
pub(crate) struct UnreachableRoutes<S: RouteSource = KernelRoutes> {
    source: S,
    /// What the kernel has; `None` before the kernel was asked.
    present: Option<BTreeSet<DeadEnd>>,
    /// Why some are missing, or are left over.
    pub(crate) problem: Option<Problem>,
}

impl UnreachableRoutes {
    /// The routes of this network namespace, not looked at yet.
    pub(crate) fn new() -> UnreachableRoutes {
        UnreachableRoutes { source: KernelRoutes, present: None, problem: None }
    }
}

impl<S: RouteSource> UnreachableRoutes<S> {
    /// Whether the kernel was asked for the routes of former processes.
    pub(crate) fn is_known(&self) -> bool {
        self.present.is_some()
    }

    /// Whether some are in the table to which s2sd's routing rules lead.
    pub(crate) fn need_guard(&self) -> bool {
        self.present.iter().flatten().any(|end| end.table == GUARD_TABLE)
    }

    /// Has the kernel have these and no others. What is new is set before the rest is removed. A
    /// route that cannot be set does not keep the others away, and is tried again by the next call.
    pub(crate) fn set(&mut self, wanted: &BTreeSet<DeadEnd>) -> Result<(), Problem> {
        if self.present.as_ref() == Some(wanted) {
            return Ok(());
        }
        let failed = |error: io::Error| Problem::RoutesNotSet { cause: error.into() };
        let control = self.source.open().map_err(failed)?;
        let mut present = match self.present.take() {
            Some(present) => present,
            None => control.routes_to_nowhere().map_err(failed)?.iter().filter_map(read).collect(),
        };
        let mut outcome = Ok(());
        let missing: Vec<DeadEnd> = wanted.difference(&present).copied().collect();
        let left_over: Vec<DeadEnd> = present.difference(wanted).copied().collect();
        for end in &missing {
            // The host may do without one of the families: nothing leaves by it.
            let absent = [Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP];
            match control.create_route(route(end)) {
                Ok(()) => _ = present.insert(*end),
                // Another program's route with the worst metric stays: the fallback that is wanted.
                Err(error) if is(&error, &[Errno::EEXIST]) => {}
                Err(error) if is(&error, &absent) => _ = present.insert(*end),
                Err(error) => {
                    outcome = Err(Problem::NotClosed { prefix: end.to, cause: error.into() });
                }
            }
        }
        for end in left_over.iter().rev() {
            match ignore(control.drop_route(route(end)), &[Errno::ESRCH]) {
                Ok(()) => _ = present.remove(end),
                Err(error) => {
                    outcome = Err(Problem::RouteNotSet { prefix: end.to, cause: error.into() });
                }
            }
        }
        self.present = Some(present);
        outcome
    }
}

fn route(end: &DeadEnd) -> Route<'static> {
    let hop = match end.hop {
        DeadHop::Throw => Hop::Throw,
        DeadHop::Unreachable => Hop::Unreachable,
    };
    let to = AddressPrefix { address: end.to.network(), length: end.to.length() };
    Route { to, metric: METRIC, table: end.table, hop, source: None }
}

/// A route of the kernel, if this version of s2sd would have set it so.
fn read(route: &Route<'_>) -> Option<DeadEnd> {
    let hop = match route.hop {
        Hop::Throw => DeadHop::Throw,
        Hop::Unreachable => DeadHop::Unreachable,
        _ => return None,
    };
    let to = Prefix::of(route.to.address, route.to.length)?;
    (route.metric == METRIC).then_some(DeadEnd { hop, table: route.table, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::routes::tests::FakeRoutes;

    #[test]
    fn the_kernel_gets_what_is_missing_and_loses_what_a_former_process_left() {
        let kernel = FakeRoutes::default();
        let end = |hop, net: [u8; 2]| DeadEnd {
            hop,
            table: 254,
            to: Prefix::of([net[0], net[1], 0, 0].into(), 16).unwrap(),
        };
        let (shared, new) =
            (end(DeadHop::Unreachable, [10, 1]), end(DeadHop::Unreachable, [10, 2]));
        let gateway = end(DeadHop::Throw, [192, 0]);
        let mut routes = UnreachableRoutes { source: kernel.clone(), present: None, problem: None };
        kernel.0.borrow_mut().1.push(new.to);
        let wanted = BTreeSet::from([shared, new, gateway]);
        let failed = routes.set(&wanted).unwrap_err();
        assert!(matches!(failed, Problem::NotClosed { prefix, .. } if prefix == new.to));
        let expected = [
            "put 192.0.0.0/16 throw",
            "put 10.2.0.0/16 unreachable",
            "drop 10.9.0.0/16 unreachable",
            "drop 203.0.113.9/32 throw",
        ];
        assert_eq!(kernel.calls(), expected);
        kernel.0.borrow_mut().1.clear();
        assert_eq!(routes.set(&wanted), Ok(()), "tried again");
        assert_eq!(kernel.calls(), ["put 10.2.0.0/16 unreachable"]);
        assert_eq!(routes.set(&wanted), Ok(()));
        assert_eq!(kernel.calls(), Vec::<String>::new());
        assert_eq!(routes.set(&BTreeSet::from([shared])), Ok(()));
        assert_eq!(kernel.calls(), ["drop 10.2.0.0/16 unreachable", "drop 192.0.0.0/16 throw"]);
        drop(routes);
        assert_eq!(kernel.calls(), Vec::<String>::new(), "they outlive the service");
    }
}
