//! How control changes what a lane forwards by: [`Change`] values in, new [`Tables`] published at
//! once.
//!
//! A rekey loses no packet when its changes come in this order (make-before-break):
//!
//! ```text
//! AddInbound(new)  ->  UseOutbound(new)  ->  the peer switches too
//!                                               ->  RetireOutbound(old)  ->  RemoveInbound(old)
//! ```

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::networks::InnerNetworks;
use super::tables::{InboundSa, OutboundSa, Rules, Tables};
use crate::wire::spi::EspSpi;

/// One change of a lane's tables.
#[derive(Debug)]
pub enum Change {
    /// From now on packets of this SA are received.
    AddInbound(Arc<InboundSa>),
    /// From now on packets that this SA covers are sent on it, in preference to all older SAs.
    UseOutbound(Arc<OutboundSa>),
    /// From now on nothing is sent on this SA.
    RetireOutbound(EspSpi),
    /// From now on nothing is received on this SA.
    RemoveInbound(EspSpi),
    /// The operator's settings changed, or the outer headers did.
    SetRules(Rules),
    /// The operator's prefixes changed.
    SetNetworks(Arc<InnerNetworks>),
}

/// A handle to a lane's tables: control publishes new ones, the lane loads the latest for each
/// batch. Clones share the tables.
#[derive(Clone, Debug)]
pub struct Forwarding(Arc<ArcSwap<Tables>>);

impl Forwarding {
    /// Tables without SAs.
    pub fn new(rules: Rules) -> Forwarding {
        Forwarding(Arc::new(ArcSwap::from_pointee(Tables::new(rules))))
    }

    /// The tables that hold now.
    pub fn current(&self) -> Arc<Tables> {
        self.0.load_full()
    }

    /// The tables that hold now, without a change of their reference count: for the loops.
    pub(super) fn load(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.0.load()
    }

    /// Applies changes in their order and publishes the outcome once. Two callers at the same time
    /// would lose changes; control has one thread.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut tables = Tables::clone(&self.0.load());
        changes.into_iter().for_each(|change| tables.apply(change));
        self.0.store(Arc::new(tables));
    }
}

impl Tables {
    fn apply(&mut self, change: Change) {
        match change {
            Change::AddInbound(sa) => {
                self.inbound.retain(|old| old.spi != sa.spi);
                self.inbound.insert(0, sa);
            }
            Change::UseOutbound(sa) => {
                self.outbound.retain(|old| old.spi != sa.spi);
                self.outbound.insert(0, sa);
            }
            Change::RetireOutbound(spi) => self.outbound.retain(|sa| sa.spi != spi),
            Change::RemoveInbound(spi) => self.inbound.retain(|sa| sa.spi != spi),
            Change::SetRules(rules) => self.rules = rules,
            Change::SetNetworks(networks) => self.networks = networks,
        }
    }
}
