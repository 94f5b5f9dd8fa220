//! One pair of child SAs as the data plane has it, with what `s2sd status` shows of it.

use std::sync::Arc;

use super::traffic::Traffic;
use crate::crypto::EspSuite;
use crate::dataplane::{InboundSa, OutboundSa};
use crate::esp::{Counters, Limits, limits::Quota};
use crate::ike::endpoint::output::EspSa;
use crate::ike::sa::lifetime::Deadlines;
use crate::time::Instant;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::EspSpi;

/// The inbound and the outbound SA of one child, and what both have in common.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) suite: EspSuite,
    pub(crate) selectors: ChildSelectors,
    /// When the pair was negotiated.
    pub(crate) since: Instant,
    /// When the rekey is due, and when the pair expires.
    pub(crate) deadlines: Deadlines,
    /// The deadlines as the data plane keeps them.
    pub(crate) limits: Limits,
    pub(crate) inbound: Option<Arc<InboundSa>>,
    pub(crate) outbound: Option<Arc<OutboundSa>>,
    /// What the pair moved under a former process.
    pub(crate) before: Traffic,
    /// The number of inbound packets at the last [`Child::newly_heard`].
    counted: u64,
}

impl Child {
    /// A pair that has neither half yet; both halves of one child say the same of it.
    pub(crate) fn new(sa: &EspSa) -> Child {
        Child {
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

    /// What the pair moved under this process.
    pub(crate) fn traffic(&self) -> Traffic {
        let of = |counters: Option<&Counters>| {
            counters.map_or((0, 0), |counters| (counters.packets(), counters.bytes()))
        };
        let (packets_out, bytes_out) = of(self.outbound.as_ref().map(|sa| &sa.counters));
        let (packets_in, bytes_in) = of(self.inbound.as_ref().map(|sa| &sa.counters));
        Traffic { packets_out, bytes_out, packets_in, bytes_in }
    }

    /// The inbound SPI, if packets came on it since the last call.
    pub(crate) fn newly_heard(&mut self) -> Option<EspSpi> {
        let inbound = self.inbound.as_ref()?;
        let count = inbound.counters.packets();
        (std::mem::replace(&mut self.counted, count) != count).then_some(inbound.spi)
    }

    /// The counters of both halves.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counters> {
        let outbound = self.outbound.as_ref().map(|sa| &sa.counters);
        outbound.into_iter().chain(self.inbound.as_ref().map(|sa| &sa.counters))
    }
}

/// The most packets and bytes that an SA can have served under a process which died. The ledger's
/// ceiling bounds the packets, and each may have been as long as the device's largest MTU, however
/// small a narrow path has made the device's MTU at the end. The bytes count
/// up to the soft limit only: the rekey that follows then has the rest of the lifetime to succeed.
pub(crate) fn served_at_most(ceiling: u64, mtu: u16, limits: &Limits) -> (u64, u64) {
    let packets = ceiling.saturating_sub(1);
    (packets, packets.saturating_mul(u64::from(mtu)).min(limits.soft.bytes))
}

/// The soft limits of the data plane are packets and bytes, because the IKE engine keeps the time.
/// The hard limits include the time, so that an SA expires even if the engine fails.
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
