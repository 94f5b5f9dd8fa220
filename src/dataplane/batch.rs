//! The send buffer of egress: sealed packets one behind the other, and the runs of equal packets
//! that a socket sends in one piece (UDP GSO).

use crate::sys::mmsg::Run;

/// Room for two super-packets and their overhead in segments of 500 bytes and more. Super-packets
/// of smaller segments leave in more batches.
const CAPACITY: usize = 160 << 10;

/// The most bytes of one GSO send. UDP allows 65,507, but a packet that together with its link
/// header reaches the device's `gso_max_size` of 65,536 is segmented in software on every device
/// that the packet crosses: five times the cost.
const MAX_RUN: usize = 65_000;

/// The number of segments that every kernel with UDP GSO takes (`UDP_MAX_SEGMENTS`, 128 since Linux
/// 6.8).
const MAX_SEGMENTS: usize = 64;

/// The number of runs that a batch may have before it is sent: 16 make one system call.
const MAX_RUNS: usize = 64;

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Batch {
    buffer: Box<[u8]>,
    end: usize,
    runs: Vec<Run>,
    /// Segments in the last run. A run takes no more segments once a shorter one ended it.
    segments: usize,
    max_segments: usize,
    /// The largest packet of a run: the kernel refuses a run of packets that it has to fragment.
    largest: usize,
    packets: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            buffer: vec![0; CAPACITY].into(),
            end: 0,
            runs: Vec::with_capacity(MAX_RUNS),
            segments: 0,
            max_segments: MAX_SEGMENTS,
            largest: usize::MAX,
            packets: 0,
        }
    }
}

impl Batch {
    /// Sets whether packets of equal size may form a run, and up to which size.
    pub(super) fn set_gso(&mut self, gso: bool, largest: usize) {
        self.max_segments = if gso { MAX_SEGMENTS } else { 1 };
        self.largest = largest;
    }

    /// Room for a packet of `len` bytes behind the others; `None` when the batch must leave first.
    #[inline]
    pub(super) fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.runs.len() == MAX_RUNS {
            return None;
        }
        self.buffer.get_mut(self.end..self.end + len)
    }

    /// Appends the packet of `len` bytes that was written into [`Batch::room`].
    #[inline]
    pub(super) fn commit(&mut self, len: usize, tos: u8) {
        let joins = |run: &&mut Run| {
            self.segments < self.max_segments
                && len <= run.segment
                && run.segment <= self.largest
                && run.tos == tos
                && run.len + len <= MAX_RUN
                // A shorter segment was the tail.
                && run.len == self.segments * run.segment
        };
        match self.runs.last_mut().filter(joins) {
            Some(run) => {
                run.len += len;
                self.segments += 1;
            }
            None => {
                self.runs.push(Run { start: self.end, len, segment: len, tos });
                self.segments = 1;
            }
        }
        self.end += len;
        self.packets += 1;
    }

    /// The send buffer, and the runs in it.
    pub(super) fn content(&self) -> (&[u8], &[Run]) {
        (&self.buffer, &self.runs)
    }

    /// The packets in the batch.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// The bytes in the batch.
    pub(super) fn len(&self) -> usize {
        self.end
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Empties the batch after it was sent.
    pub(super) fn clear(&mut self) {
        self.end = 0;
        self.runs.clear();
        self.packets = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(packets: &[(usize, u8)], gso: bool) -> Vec<(usize, usize, u8)> {
        let mut batch = Batch::default();
        batch.set_gso(gso, 1424);
        for (len, tos) in packets {
            batch.room(*len).unwrap();
            batch.commit(*len, *tos);
        }
        batch.content().1.iter().map(|run| (run.len, run.segment, run.tos)).collect()
    }

    #[test]
    fn equal_packets_and_one_shorter_tail_make_a_run() {
        assert_eq!(
            runs(&[(100, 0), (100, 0), (60, 0), (60, 0)], true),
            [(260, 100, 0), (60, 60, 0)]
        );
        assert_eq!(runs(&[(60, 0), (100, 0)], true), [(60, 60, 0), (100, 100, 0)]);
        assert_eq!(runs(&[(60, 0), (60, 2)], true), [(60, 60, 0), (60, 60, 2)]);
        assert_eq!(runs(&[(60, 0), (60, 0)], false), [(60, 60, 0), (60, 60, 0)]);
        let many = runs(&[(100, 0); 130], true);
        assert_eq!(many, [(6400, 100, 0), (6400, 100, 0), (200, 100, 0)]);
        let large = runs(&[(1424, 0); 48], true);
        assert_eq!(large, [(45 * 1424, 1424, 0), (3 * 1424, 1424, 0)]);
        assert_eq!(runs(&[(1425, 0); 2], true), [(1425, 1425, 0); 2], "too large for the path");
    }

    #[test]
    fn a_full_batch_has_no_room() {
        let mut batch = Batch::default();
        assert!(batch.room(CAPACITY).is_some() && batch.room(CAPACITY + 1).is_none());
        for len in (1..=MAX_RUNS).rev().map(|i| i * 10) {
            assert!(batch.room(5).is_some());
            batch.commit(5, len.to_le_bytes()[0]);
        }
        assert!(batch.content().1.len() <= MAX_RUNS);
        batch.clear();
        assert!(batch.is_empty() && batch.packets() == 0);
    }

    proptest! {
        /// Whatever comes, every run is what UDP GSO takes, and the runs are the packets in their
        /// order.
        #[test]
        fn runs_are_sendable(packets in proptest::collection::vec((1usize..1500, 0u8..3), 1..60)) {
            let mut batch = Batch::default();
            for (len, tos) in &packets {
                prop_assert!(batch.room(*len).is_some());
                batch.commit(*len, *tos);
            }
            let singles = batch.content().1.iter().flat_map(|run| run.singles());
            let singles: Vec<_> = singles.map(|run| (run.len, run.tos)).collect();
            prop_assert_eq!(singles, packets);
            for run in batch.content().1 {
                prop_assert!(run.len <= MAX_RUN && run.count() <= MAX_SEGMENTS);
            }
        }
    }
}
