//! Lifetime of an SA in packets, bytes and time (RFC 4301 §4.4.2.1): the soft limit starts a rekey,
//! the hard limit ends the service.

use crate::time::Instant;

/// Three bounds, of which the first that is reached counts. A field without a bound has its
/// maximum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// The number of packets at which the bound is reached.
    pub packets: u64,
    /// The number of bytes at which the bound is reached (Azure's "SA data size").
    pub bytes: u64,
    /// The moment at which the bound is reached.
    pub until: Instant,
}

impl Quota {
    /// A quota without bounds.
    pub const UNBOUNDED: Quota =
        Quota { packets: u64::MAX, bytes: u64::MAX, until: Instant(u64::MAX) };

    fn is_over(&self, packets: u64, bytes: u64, now: Instant) -> bool {
        packets >= self.packets || bytes >= self.bytes || now >= self.until
    }
}

/// The soft and the hard limit of an SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The limit at which a rekey is due.
    pub soft: Quota,
    /// The limit at which packets are dropped.
    pub hard: Quota,
}

impl Limits {
    /// Limits that are never reached.
    pub const UNBOUNDED: Limits = Limits { soft: Quota::UNBOUNDED, hard: Quota::UNBOUNDED };
}

/// One of an SA's limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UsageLimit {
    /// A rekey is due.
    Soft,
    /// The SA carries nothing more.
    Hard,
}

/// What an SA has carried so far, against its limits.
#[derive(Debug)]
pub struct Usage {
    limits: Limits,
    packets: u64,
    bytes: u64,
    soft_told: bool,
    hard_told: bool,
}

impl Usage {
    /// Makes the usage of a new SA.
    pub fn new(limits: Limits) -> Usage {
        Usage { limits, packets: 0, bytes: 0, soft_told: false, hard_told: false }
    }

    /// Goes on counting where a former process stopped.
    pub fn resumed(self, packets: u64, bytes: u64) -> Usage {
        Usage { packets, bytes, ..self }
    }

    /// Whether the hard limit is reached.
    #[inline]
    pub fn is_over(&self, now: Instant) -> bool {
        self.limits.hard.is_over(self.packets, self.bytes, now)
    }

    /// Adds packets and their bytes.
    #[inline]
    pub fn add(&mut self, packets: u64, bytes: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Reports each limit that has been reached, until `tell` has once returned true for it.
    pub fn report(&mut self, now: Instant, mut tell: impl FnMut(UsageLimit) -> bool) {
        if !self.soft_told && self.limits.soft.is_over(self.packets, self.bytes, now) {
            self.soft_told = tell(UsageLimit::Soft);
        }
        if !self.hard_told && self.is_over(now) {
            self.hard_told = tell(UsageLimit::Hard);
        }
    }

    /// The packets carried.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The bytes carried.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_reached_by_itself_and_told_once() {
        let quotas = [
            Quota { packets: 10, ..Quota::UNBOUNDED },
            Quota { bytes: 1000, ..Quota::UNBOUNDED },
            Quota { until: Instant(50), ..Quota::UNBOUNDED },
        ];
        for quota in quotas {
            let mut soft = Usage::new(Limits { soft: quota, hard: Quota::UNBOUNDED });
            let mut hard = Usage::new(Limits { soft: Quota::UNBOUNDED, hard: quota });
            let reported = |usage: &mut Usage, at, arrives| {
                let mut told = Vec::new();
                usage.report(Instant(at), |limit| {
                    told.push(limit);
                    arrives
                });
                told
            };
            for (usage, limit) in [(&mut soft, UsageLimit::Soft), (&mut hard, UsageLimit::Hard)] {
                usage.add(9, 999);
                assert!(!usage.is_over(Instant(49)) && reported(usage, 49, true).is_empty());
                usage.add(1, 1);
                // A report that was lost on its way is repeated.
                assert_eq!(reported(usage, 50, false), [limit]);
                assert_eq!(reported(usage, 50, true), [limit]);
                assert!(reported(usage, 50, true).is_empty());
            }
            assert!(!soft.is_over(Instant(50)) && hard.is_over(Instant(50)));
        }
    }
}
