//! Counters of one security association. A loop gathers a [`PacketTally`] on its stack and flushes
//! the tally once a batch; any thread reads the [`Counters`] at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::drop_reason::DropReason;

/// The packets and drops since the last flush.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PacketTally {
    /// The packets that went through.
    pub packets: u64,
    /// The bytes of those packets, without ESP around them.
    pub bytes: u64,
    drops: [u32; DropReason::COUNT],
    dropped: bool,
}

impl PacketTally {
    /// Counts packets that went through.
    #[inline]
    pub fn pass(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }

    /// Counts dropped packets.
    #[inline]
    pub fn drop(&mut self, reason: DropReason, packets: u32) {
        if let Some(count) = self.drops.get_mut(reason.index()) {
            *count = count.saturating_add(packets);
            self.dropped = true;
        }
    }

    /// The packets dropped for one reason.
    pub fn drops(&self, reason: DropReason) -> u32 {
        self.drops.get(reason.index()).copied().unwrap_or(0)
    }
}

/// The totals since the SA began.
#[derive(Debug, Default)]
pub struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    drops: [AtomicU64; DropReason::COUNT],
}

impl Counters {
    /// Adds a tally, and empties the tally.
    pub fn flush(&self, tally: &mut PacketTally) {
        if tally.packets > 0 {
            self.packets.fetch_add(tally.packets, Ordering::Relaxed);
            self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        }
        if tally.dropped {
            for (total, count) in self.drops.iter().zip(&tally.drops) {
                if *count > 0 {
                    total.fetch_add(u64::from(*count), Ordering::Relaxed);
                }
            }
        }
        if tally.packets > 0 || tally.dropped {
            *tally = PacketTally::default();
        }
    }

    /// The packets that went through.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// The bytes of the packets that went through, without ESP around them.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The packets dropped for one reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.index()).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The reasons for which packets were dropped, with their numbers.
    pub fn all_drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.drops(*reason))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_moves_everything_once() {
        let (counters, mut tally) = (Counters::default(), PacketTally::default());
        tally.pass(3, 300);
        tally.drop(DropReason::Replayed, 2);
        assert_eq!(tally.drops(DropReason::Replayed), 2);
        counters.flush(&mut tally);
        counters.flush(&mut tally);
        assert_eq!((counters.packets(), counters.bytes()), (3, 300));
        assert_eq!(counters.all_drops().collect::<Vec<_>>(), [(DropReason::Replayed, 2)]);
        assert_eq!(tally, PacketTally::default());
    }
}
