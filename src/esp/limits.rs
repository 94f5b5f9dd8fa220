//! How much and how long an SA may serve (RFC 4301 §4.4.2.1): a soft limit asks for a successor, a
//! hard one ends the service.

use crate::time::Instant;

/// Bounds of service. What is not bounded is at its maximum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// When so many packets have passed.
    pub packets: u64,
    /// When so many bytes have passed (Azure's "SA data size").
    pub bytes: u64,
    /// When this moment has come.
    pub until: Instant,
}

impl Quota {
    /// No bound.
    pub const UNBOUNDED: Quota =
        Quota { packets: u64::MAX, bytes: u64::MAX, until: Instant(u64::MAX) };

    fn is_over(&self, packets: u64, bytes: u64, now: Instant) -> bool {
        packets >= self.packets || bytes >= self.bytes || now >= self.until
    }
}

/// Both limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// When a successor is asked for.
    pub soft: Quota,
    /// When packets are dropped.
    pub hard: Quota,
}

impl Limits {
    /// No limit.
    pub const UNBOUNDED: Limits = Limits { soft: Quota::UNBOUNDED, hard: Quota::UNBOUNDED };
}

/// What an SA has served against what it may serve.
#[derive(Debug)]
pub struct Usage {
    limits: Limits,
    packets: u64,
    bytes: u64,
    soft_told: bool,
}

impl Usage {
    /// An unused SA.
    pub fn new(limits: Limits) -> Usage {
        Usage { limits, packets: 0, bytes: 0, soft_told: false }
    }

    /// The same SA in another process: what it served counts on.
    pub fn resumed(self, packets: u64, bytes: u64) -> Usage {
        Usage { packets, bytes, ..self }
    }

    /// Whether the hard limit is reached.
    #[inline]
    pub fn is_over(&self, now: Instant) -> bool {
        self.limits.hard.is_over(self.packets, self.bytes, now)
    }

    /// Adds service.
    #[inline]
    pub fn add(&mut self, packets: u64, bytes: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// True once, when the soft limit has been reached.
    pub fn take_soft(&mut self, now: Instant) -> bool {
        if self.soft_told || !self.limits.soft.is_over(self.packets, self.bytes, now) {
            return false;
        }
        self.soft_told = true;
        true
    }

    /// Packets served.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes served.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_reached_by_itself_and_the_soft_one_told_once() {
        let quotas = [
            Quota { packets: 10, ..Quota::UNBOUNDED },
            Quota { bytes: 1000, ..Quota::UNBOUNDED },
            Quota { until: Instant(50), ..Quota::UNBOUNDED },
        ];
        for quota in quotas {
            let mut soft = Usage::new(Limits { soft: quota, hard: Quota::UNBOUNDED });
            let mut hard = Usage::new(Limits { soft: Quota::UNBOUNDED, hard: quota });
            for usage in [&mut soft, &mut hard] {
                usage.add(9, 999);
                assert!(!usage.is_over(Instant(49)) && !usage.take_soft(Instant(49)));
                usage.add(1, 1);
            }
            assert!(soft.take_soft(Instant(50)) && !soft.take_soft(Instant(50)));
            assert!(!soft.is_over(Instant(50)) && hard.is_over(Instant(50)));
        }
    }
}
