//! How control changes what a lane forwards by: values in, new [`Tables`] published at once.
//!
//! A rekey loses nothing when its changes come in this order (make before break):
//!
//! ```text
//! AddInbound(new)  ->  UseOutbound(new)  ->  ... the peer switches too ...  ->  RetireOutbound(old)  ->  RemoveInbound(old)
//! ```

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::tables::{InboundSa, OutboundSa, Rules, Tables};
use crate::wire::spi::EspSpi;

/// One step.
#[derive(Debug)]
pub enum Change {
    /// Packets of this SA are received from now on.
    AddInbound(Arc<InboundSa>),
    /// Packets that this SA covers leave on it from now on, before all older ones.
    UseOutbound(Arc<OutboundSa>),
    /// Nothing leaves on this SA any more.
    RetireOutbound(EspSpi),
    /// Nothing is received on this SA any more.
    RemoveInbound(EspSpi),
    /// The operator's settings, or the path, have changed.
    SetRules(Rules),
}

/// Control's end of a lane's tables.
#[derive(Clone, Debug)]
pub struct Forwarding(Arc<ArcSwap<Tables>>);

impl Forwarding {
    /// A tunnel without SAs.
    pub fn new(rules: Rules) -> Forwarding {
        Forwarding(Arc::new(ArcSwap::from_pointee(Tables::new(rules))))
    }

    /// What holds now.
    pub fn current(&self) -> Arc<Tables> {
        self.0.load_full()
    }

    /// What holds now, cheaply: for the loops.
    pub(super) fn load(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.0.load()
    }

    /// Applies changes in their order and publishes the outcome once. One caller at a time: control
    /// has one thread.
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
        }
    }
}
