//! The child SAs of one tunnel, as the IKE engine wants them in the data plane.
//!
//! | output of the engine | change of the lane's tables |
//! |---|---|
//! | `InstallInbound` | `AddInbound` |
//! | `InstallOutbound` | none: the SA is kept ready |
//! | `ActivateOutbound` | `UseOutbound`: before all that were activated earlier |
//! | `DisplaceOutbound` | `RetireOutbound`, and the SA is kept ready |
//! | `RetireOutbound` | `RetireOutbound`, and the key is forgotten |
//! | `RemoveInbound` | `RemoveInbound`, and the key is forgotten |
//!
//! The order is the engine's, and a rekey loses no packet by it (make-before-break): the new
//! inbound half is there before the old outbound half retires.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::crypto::{Provider, Standard};
use crate::daemon::child::{Child, served_at_most};
use crate::daemon::device::DevicePlan;
use crate::daemon::traffic::Traffic;
use crate::dataplane::{Change, Forwarding, InboundSa, OutboundSa};
use crate::esp::{Ceiling, Counters, Inbound, Lease, Outbound, Replay};
use crate::ike::ChildId;
use crate::ike::endpoint::output::EspSa;
use crate::state::SaDirection;
use crate::state::inventory::{Position, Seen, Sent};
use crate::state::ledger::Ledger;
use crate::wire::spi::EspSpi;

/// The child SAs of one tunnel.
#[derive(Debug)]
pub(super) struct ChildTable {
    children: BTreeMap<ChildId, Child>,
    /// The children whose outbound SAs traffic leaves on.
    active: BTreeSet<ChildId>,
    forwarding: Forwarding,
    ledger: Ledger,
    provider: Standard,
    /// What SAs moved that are gone.
    past: Traffic,
    /// The exact positions of a former process's SAs, until those SAs are installed.
    recovered: Vec<Position>,
}

impl ChildTable {
    pub(super) fn new(forwarding: Forwarding, ledger: Ledger) -> ChildTable {
        ChildTable {
            children: BTreeMap::new(),
            active: BTreeSet::new(),
            forwarding,
            ledger,
            provider: Standard::default(),
            past: Traffic::default(),
            recovered: Vec::new(),
        }
    }

    /// Counts on from what a former process moved; its SAs, when they are installed, begin at these
    /// positions.
    pub(super) fn recover(&mut self, past: Traffic, positions: Vec<Position>) {
        (self.past, self.recovered) = (past, positions);
    }

    /// Every SA of the former process is installed: no position holds for another SA.
    pub(super) fn forget_recovered(&mut self) {
        self.recovered.clear();
    }

    /// The position of each SA, exact as long as no lane runs.
    pub(super) fn positions(&self) -> Vec<Position> {
        let position = |(id, child): (&ChildId, &Child)| Position {
            child: id.0,
            outbound: child.outbound.as_ref().map(|sa| Sent::from(&*sa.hold())),
            inbound: child.inbound.as_ref().map(|sa| Seen::from(&*sa.hold())),
        };
        self.children.iter().map(position).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ChildId, &Child)> {
        self.children.iter().map(|(id, child)| (*id, child))
    }

    /// Whether any traffic can leave.
    pub(super) fn can_send(&self) -> bool {
        !self.active.is_empty()
    }

    /// Whether traffic leaves on this child.
    pub(super) fn is_active(&self, child: ChildId) -> bool {
        self.active.contains(&child)
    }

    /// What moved since the tunnel was made, over restarts too.
    pub(super) fn traffic(&self) -> Traffic {
        self.children.values().fold(self.past, |sum, child| sum.plus(child.traffic()))
    }

    /// The inbound SAs on which packets came since the last call.
    pub(super) fn newly_heard(&mut self) -> Vec<EspSpi> {
        self.children.values_mut().filter_map(Child::newly_heard).collect()
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.children.values().flat_map(Child::counters)
    }

    /// The child that has this SPI in either direction.
    pub(super) fn child_of(&self, spi: EspSpi) -> Option<ChildId> {
        let of_spi = |child: &Child| {
            child.inbound.as_ref().is_some_and(|sa| sa.spi == spi)
                || child.outbound.as_ref().is_some_and(|sa| sa.spi == spi)
        };
        self.children.iter().find(|(_, child)| of_spi(child)).map(|(id, _)| *id)
    }

    /// The inbound SA of this SPI.
    pub(super) fn inbound_sa(&self, spi: EspSpi) -> Option<&Arc<InboundSa>> {
        self.children.values().filter_map(|child| child.inbound.as_ref()).find(|sa| sa.spi == spi)
    }

    /// Receives on this SA from now on.
    pub(super) fn install_inbound(&mut self, sa: EspSa, plan: &DevicePlan) -> io::Result<()> {
        let key = self.provider.esp_open_key(&sa.suite, &sa.keys).map_err(io::Error::other)?;
        let (ledger, ceiling) = self.claim(sa.child, SaDirection::In)?;
        let seen = self.recovered.iter().find(|p| p.child == sa.child.0);
        let seen = seen.and_then(|position| position.inbound.as_ref());
        let replay = replay(plan.replay_window, ceiling, seen);
        let exact = seen.map(|seen| (seen.packets, seen.bytes));
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        (child.before.packets_in, child.before.bytes_in) = exact.unwrap_or_default();
        let at_most = || served_at_most(ceiling, plan.mtu(), &child.limits);
        let (packets, bytes) = exact.unwrap_or_else(at_most);
        let inbound = Inbound::new(sa.spi, key, replay, sa.suite.esn, child.limits)
            .noted_in(ledger)
            .resumed(packets, bytes);
        let inbound = Arc::new(InboundSa::new(inbound, sa.selectors));
        child.inbound = Some(Arc::clone(&inbound));
        self.forwarding.apply([Change::AddInbound(inbound)]);
        Ok(())
    }

    /// Has this SA ready for sending; nothing is sent on it before
    /// [`ChildTable::activate_outbound`].
    pub(super) fn install_outbound(&mut self, sa: EspSa, plan: &DevicePlan) -> io::Result<()> {
        let key = self.provider.esp_seal_key(&sa.suite, &sa.keys).map_err(io::Error::other)?;
        let (ledger, ceiling) = self.claim(sa.child, SaDirection::Out)?;
        let sent = self.recovered.iter().find(|p| p.child == sa.child.0);
        let sent = sent.and_then(|position| position.outbound);
        let exact = sent.map(|sent| (sent.packets, sent.bytes));
        let lease = Lease::new(sent.map_or(ceiling, |sent| sent.next), sa.suite.esn, ledger);
        let child = self.children.entry(sa.child).or_insert_with(|| Child::new(&sa));
        (child.before.packets_out, child.before.bytes_out) = exact.unwrap_or_default();
        let at_most = || served_at_most(ceiling, plan.mtu(), &child.limits);
        let (packets, bytes) = exact.unwrap_or_else(at_most);
        let outbound = Outbound::new(sa.spi, key, lease, child.limits).resumed(packets, bytes);
        child.outbound = Some(Arc::new(OutboundSa::new(outbound, sa.selectors)));
        Ok(())
    }

    /// Sends on this SA what its selectors cover, in preference to the SAs before it.
    pub(super) fn activate_outbound(&mut self, child: ChildId, spi: EspSpi) {
        let ready = self.children.get(&child).and_then(|child| child.outbound.as_ref());
        let Some(outbound) = ready.filter(|sa| sa.spi == spi) else { return };
        self.forwarding.apply([Change::UseOutbound(Arc::clone(outbound))]);
        self.active.insert(child);
    }

    /// Sends nothing on this SA until it is activated again.
    pub(super) fn displace_outbound(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RetireOutbound(spi)]);
        self.active.remove(&child);
    }

    /// Never sends on this SA again.
    pub(super) fn retire_outbound(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RetireOutbound(spi)]);
        self.active.remove(&child);
        self.drop_half(child, |child| drop(child.outbound.take()));
        self.ledger.release(child, SaDirection::Out);
    }

    /// No longer receives on this SA.
    pub(super) fn remove_inbound(&mut self, child: ChildId, spi: EspSpi) {
        self.forwarding.apply([Change::RemoveInbound(spi)]);
        self.drop_half(child, |child| drop(child.inbound.take()));
        self.ledger.release(child, SaDirection::In);
    }

    fn claim(&self, child: ChildId, way: SaDirection) -> io::Result<(Arc<dyn Ceiling>, u64)> {
        let full = || io::Error::other("the ledger of sequence numbers is full");
        self.ledger.claim(child, way).ok_or_else(full)
    }

    fn drop_half(&mut self, id: ChildId, half: impl FnOnce(&mut Child)) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let before = child.traffic();
        half(child);
        self.past = self.past.plus(before.minus(child.traffic()));
        if child.inbound.is_none() && child.outbound.is_none() {
            self.children.remove(&id);
        }
    }
}

/// The anti-replay window of an inbound SA: exact, or taken to have seen all that a process which
/// died may have seen.
fn replay(window: u32, ceiling: u64, seen: Option<&Seen>) -> Replay {
    let exact = seen.and_then(|seen| Replay::restored(window, seen.top, &seen.blocks));
    exact.unwrap_or_else(|| match ceiling {
        0 => Replay::new(window),
        ceiling => Replay::resumed(window, ceiling - 1),
    })
}
