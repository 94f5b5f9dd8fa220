//! The counters of one lane, written by its two loops once a batch and read by any thread.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::esp::Counters;

/// The number of classes of batch size: 1, 2..3, 4..7, ..., 128 and more packets.
pub const SIZES: usize = 8;

/// The counters of one direction.
#[derive(Debug, Default)]
pub struct DirectionCounters {
    /// Drops of packets that belong to no SA; its other counters stay 0.
    pub stray: Counters,
    /// Messages handed to or taken from the socket: runs, or datagrams that GRO joined.
    pub messages: AtomicU64,
    /// Those messages that were several datagrams.
    pub joined: AtomicU64,
    /// Frames read from or written to the device.
    pub frames: AtomicU64,
    sizes: [AtomicU64; SIZES],
}

/// The counters of one lane.
#[derive(Debug, Default)]
pub struct LaneCounters {
    /// From the device to the peer.
    pub egress: DirectionCounters,
    /// From the peer to the device.
    pub ingress: DirectionCounters,
    /// NAT keepalives sent (RFC 3948 §4).
    pub keepalives: AtomicU64,
    /// ICMP errors "too big" written to the device.
    pub replies: AtomicU64,
}

/// What one batch adds to the counters of its direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BatchStats {
    /// Packets in the batch.
    pub packets: usize,
    /// Messages at the socket.
    pub messages: usize,
    /// Messages of several datagrams.
    pub joined: usize,
    /// Frames at the device.
    pub frames: usize,
}

impl LaneCounters {
    /// Counts one ICMP error "too big" that was written to the device.
    pub fn replied(&self) {
        self.replies.fetch_add(1, Ordering::Relaxed);
    }
}

impl DirectionCounters {
    /// Adds a batch.
    pub fn add(&self, batch: BatchStats) {
        add(&self.messages, batch.messages);
        add(&self.joined, batch.joined);
        add(&self.frames, batch.frames);
        if let Some(class) = batch.packets.checked_ilog2() {
            let class = usize::try_from(class).unwrap_or(SIZES).min(SIZES - 1);
            self.sizes[class].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of batches of each size class.
    pub fn sizes(&self) -> [u64; SIZES] {
        std::array::from_fn(|class| self.sizes[class].load(Ordering::Relaxed))
    }
}

fn add(counter: &AtomicU64, count: usize) {
    if count > 0 {
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_sorted_by_size() {
        let direction = DirectionCounters::default();
        for packets in [0, 1, 2, 3, 4, 127, 128, 5000] {
            direction.add(BatchStats { packets, messages: 1, joined: 0, frames: 2 });
        }
        assert_eq!(direction.sizes(), [1, 2, 1, 0, 0, 0, 1, 2]);
        assert_eq!(direction.messages.load(Ordering::Relaxed), 8);
        assert_eq!(direction.frames.load(Ordering::Relaxed), 16);
    }
}
