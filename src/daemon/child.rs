//! One child SA pair as the data plane has it, with what the status shows of it.

use std::sync::Arc;

use super::traffic::Traffic;
use crate::crypto::EspSuite;
use crate::dataplane::{InboundSa, OutboundSa};
use crate::esp::{Counters, Limits, limits::Quota};
use crate::ike::Slot;
use crate::ike::endpoint::output::EspSa;
use crate::ike::sa::lifetime::Deadlines;
use crate::time::Instant;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::EspSpi;

/// One pair.
#[derive(Debug)]
pub struct Child {
    /// The tunnel policy it serves.
    pub slot: Slot,
    /// Its algorithms.
    pub suite: EspSuite,
    /// What may pass.
    pub selectors: ChildSelectors,
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
    /// What it moved under a former process.
    pub before: Traffic,
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
            since: sa.made_at,
            deadlines: sa.limits,
            limits: limits(&sa.limits),
            inbound: None,
            outbound: None,
            before: Traffic::default(),
            counted: 0,
        }
    }

    /// What it moved under this process.
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

/// Packets and bytes that a half served at most under a process which died: the ledger bounds its
/// packets, and each may have been as long as the device takes. Of the bytes no more counts than
/// the soft limit: a successor is on its way, and has the rest to arrive.
pub fn served_at_most(ceiling: u64, mtu: u16, limits: &Limits) -> (u64, u64) {
    let packets = ceiling.saturating_sub(1);
    (packets, packets.saturating_mul(u64::from(mtu)).min(limits.soft.bytes))
}

/// The data plane counts packets and bytes, and the engine keeps the time; the end holds whoever
/// fails.
fn limits(deadlines: &Deadlines) -> Limits {
    let Deadlines { time, bytes, packets } = deadlines;
    Limits {
        soft: Quota { packets: packets.soft, bytes: bytes.soft, until: Instant(u64::MAX) },
        hard: Quota { packets: packets.hard, bytes: bytes.hard, until: time.hard },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_crash_volume_counts_from_above_and_leaves_the_successor_time() {
        let quota = |bytes| Quota { bytes, ..Quota::UNBOUNDED };
        let limits = Limits { soft: quota(75_000_000), hard: quota(100_000_000) };
        assert_eq!(served_at_most(0, 1400, &limits), (0, 0), "it never moved a packet");
        assert_eq!(served_at_most(1001, 1400, &limits), (1000, 1_400_000));
        assert_eq!(served_at_most(65_537, 1400, &limits), (65_536, 75_000_000));
        assert_eq!(served_at_most(u64::MAX, 1400, &Limits::UNBOUNDED).1, u64::MAX);
    }
}
