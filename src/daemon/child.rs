//! One child SA pair as the data plane has it, with what the status shows of it.

use std::sync::Arc;

use super::tunnel::Traffic;
use crate::crypto::EspSuite;
use crate::dataplane::{InboundSa, OutboundSa};
use crate::esp::{Counters, Limits, limits::Quota};
use crate::ike::Slot;
use crate::ike::lifetime::Deadlines;
use crate::ike::output::EspSa;
use crate::sys::clock;
use crate::time::Instant;
use crate::wire::narrow::SelectorPair;
use crate::wire::spi::EspSpi;

/// One pair.
#[derive(Debug)]
pub struct Child {
    /// The tunnel policy it serves.
    pub slot: Slot,
    /// Its algorithms.
    pub suite: EspSuite,
    /// What may pass.
    pub selectors: SelectorPair,
    /// When it was made.
    pub since: Instant,
    /// When its successor is due, and when it ends.
    pub deadlines: Deadlines,
    /// The same as the data plane keeps it.
    pub limits: Limits,
    /// The receiving half.
    pub inbound: Option<Arc<InboundSa>>,
    /// The sending half.
    pub outbound: Option<Arc<OutboundSa>>,
    /// Packets received at the last look.
    counted: u64,
}

impl Child {
    /// What both halves have in common.
    pub fn new(sa: &EspSa) -> Child {
        Child {
            slot: sa.slot,
            suite: sa.suite,
            selectors: sa.selectors.clone(),
            since: clock::now().mono,
            deadlines: sa.limits,
            limits: limits(&sa.limits),
            inbound: None,
            outbound: None,
            counted: 0,
        }
    }

    /// What it moved.
    pub fn traffic(&self) -> Traffic {
        let of = |counters: Option<&Counters>| {
            counters.map_or((0, 0), |counters| (counters.packets(), counters.bytes()))
        };
        let (packets_out, bytes_out) = of(self.outbound.as_ref().map(|sa| &sa.counters));
        let (packets_in, bytes_in) = of(self.inbound.as_ref().map(|sa| &sa.counters));
        Traffic { packets_out, bytes_out, packets_in, bytes_in }
    }

    /// The receiving half's SPI, if packets came on it since the last look.
    pub fn heard(&mut self) -> Option<EspSpi> {
        let inbound = self.inbound.as_ref()?;
        let count = inbound.counters.packets();
        (std::mem::replace(&mut self.counted, count) != count).then_some(inbound.spi)
    }

    /// The counters of its halves.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        let outbound = self.outbound.as_ref().map(|sa| &sa.counters);
        outbound.into_iter().chain(self.inbound.as_ref().map(|sa| &sa.counters))
    }
}

/// The data plane counts packets and bytes, and the engine keeps the time; the end holds whoever fails.
fn limits(deadlines: &Deadlines) -> Limits {
    let Deadlines { time, bytes, packets } = deadlines;
    Limits {
        soft: Quota { packets: packets.soft, bytes: bytes.soft, until: Instant(u64::MAX) },
        hard: Quota { packets: packets.hard, bytes: bytes.hard, until: time.hard },
    }
}
