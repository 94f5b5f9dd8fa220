//! The anti-replay window (RFC 4303 §3.4.3) in the form of RFC 6479: a ring of 64-bit blocks that
//! is never shifted. The ring has at least one block more than the window, so that entering a block
//! clears no number that is still in the window.
//!
//! A packet is checked twice: [`Replay::precheck`] before decryption, which changes nothing, and
//! [`Replay::commit`] after authentication, which moves the window. With extended sequence numbers
//! [`Replay::infer`] finds the upper half that the packet does not carry.

use super::drop_reason::DropReason;

const BLOCK_BITS: u64 = u64::BITS as u64;

/// The sequence numbers that one SA has received.
#[derive(Debug)]
pub struct Replay {
    blocks: Box<[u64]>,
    /// The size of the window: how far behind the highest number a packet may be.
    window: u64,
    /// The highest number received; 0 before the first.
    top: u64,
}

impl Replay {
    /// The default size, for several gigabits a second over a path with many queues.
    pub const DEFAULT_WINDOW: u32 = 8192;
    /// The least size: RFC 4303 §3.4.3 asks for at least 32, and 64 cost no more.
    pub const MIN_WINDOW: u32 = 64;
    /// The greatest size, 256 KiB of bitmap.
    pub const MAX_WINDOW: u32 = 1 << 21;

    /// Makes an empty window of `window` numbers, clamped to the least and the greatest size.
    pub fn new(window: u32) -> Replay {
        let window = window.clamp(Replay::MIN_WINDOW, Replay::MAX_WINDOW);
        let blocks = (window.div_ceil(u64::BITS) + 1).next_power_of_two();
        let blocks = usize::try_from(blocks).expect("at most 2^16");
        Replay { blocks: vec![0; blocks].into(), window: u64::from(window), top: 0 }
    }

    /// Makes a window in which everything up to `top` is received. After a crash it is not known
    /// which of those numbers were.
    pub fn resumed(window: u32, top: u64) -> Replay {
        let mut replay = Replay::new(window);
        replay.blocks.fill(u64::MAX);
        replay.top = top;
        // The part of the top block that lies ahead is not received yet.
        if let Some(block) = replay.block(top) {
            *block = u64::MAX >> (BLOCK_BITS - 1 - top % BLOCK_BITS);
        }
        replay
    }

    /// Restores the window that [`Replay::blocks`] gave; `None` when that had another size.
    pub fn restored(window: u32, top: u64, blocks: &[u64]) -> Option<Replay> {
        let mut replay = Replay::new(window);
        if replay.blocks.len() != blocks.len() {
            return None;
        }
        replay.blocks.copy_from_slice(blocks);
        replay.top = top;
        Some(replay)
    }

    /// The bitmap, as [`Replay::restored`] takes it.
    pub fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// The highest number received.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Infers the extended sequence number of a packet that carries the lower half (RFC 4304
    /// appendix A): the smallest number with this lower half that is not below the window.
    #[inline]
    pub fn infer(&self, low: u32) -> u64 {
        let bottom = self.top.saturating_sub(self.window - 1);
        let candidate = (bottom & !u64::from(u32::MAX)) | u64::from(low);
        if candidate >= bottom { candidate } else { candidate.saturating_add(1 << 32) }
    }

    /// Whether a packet of this number may be new. The window does not change, since the packet is
    /// not authenticated yet.
    #[inline]
    pub fn precheck(&self, seq: u64) -> Result<(), DropReason> {
        if seq > self.top {
            return Ok(());
        }
        // Number 0 is never sent (RFC 4303 §3.3.3).
        if self.top - seq >= self.window || seq == 0 {
            return Err(DropReason::TooOld);
        }
        match self.blocks.get(self.index(seq)) {
            Some(block) if block >> (seq % BLOCK_BITS) & 1 == 0 => Ok(()),
            _ => Err(DropReason::Replayed),
        }
    }

    /// Marks a number as received, after its packet was authenticated and [`Replay::precheck`]
    /// passed it.
    #[inline]
    pub fn commit(&mut self, seq: u64) {
        if seq > self.top {
            self.advance(seq);
        }
        if let Some(block) = self.block(seq) {
            *block |= 1 << (seq % BLOCK_BITS);
        }
    }

    /// Clears the blocks between the old top and the new one.
    #[inline]
    fn advance(&mut self, seq: u64) {
        let (from, to) = (self.top / BLOCK_BITS, seq / BLOCK_BITS);
        let all = u64::try_from(self.blocks.len()).expect("a few thousand");
        for block in (from + 1..=to).take(usize::try_from(all.min(to - from)).unwrap_or(0)) {
            if let Some(block) = self.block(block * BLOCK_BITS) {
                *block = 0;
            }
        }
        if to - from > all {
            self.blocks.fill(0);
        }
        self.top = seq;
    }

    #[inline]
    fn block(&mut self, seq: u64) -> Option<&mut u64> {
        let index = self.index(seq);
        self.blocks.get_mut(index)
    }

    #[inline]
    fn index(&self, seq: u64) -> usize {
        let mask = self.blocks.len() - 1;
        usize::try_from(seq / BLOCK_BITS).unwrap_or(0) & mask
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The window as RFC 4303 §3.4.3 describes it, with a set of numbers in place of cleverness.
    struct Model {
        seen: BTreeSet<u64>,
        window: u64,
    }

    impl Model {
        fn verdict(&self, seq: u64) -> Result<(), DropReason> {
            let top = self.seen.last().copied().unwrap_or(0);
            match seq {
                0 => Err(DropReason::TooOld),
                seq if seq + self.window <= top => Err(DropReason::TooOld),
                seq if self.seen.contains(&seq) => Err(DropReason::Replayed),
                _ => Ok(()),
            }
        }

        fn commit(&mut self, seq: u64) {
            self.seen.insert(seq);
            let bottom = self.seen.last().unwrap().saturating_sub(2 * self.window);
            self.seen = self.seen.split_off(&bottom);
        }
    }

    /// A linear congruential generator: a million draws with no dependency.
    fn draws(mut state: u64) -> impl FnMut(u64) -> u64 {
        move |bound| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % bound
        }
    }

    #[test]
    fn a_million_steps_agree_with_a_naive_model() {
        for (seed, window) in [(1, 64), (2, 100), (3, 128), (4, 1000), (5, 8192)] {
            let mut draw = draws(seed);
            let mut replay = Replay::new(window);
            let mut model = Model { seen: BTreeSet::new(), window: u64::from(window) };
            for _ in 0..200_000 {
                let top = replay.top();
                let seq = match draw(10) {
                    0..5 => top + 1,
                    5..8 => (top + 3).saturating_sub(draw(u64::from(window) + 80)),
                    8 => top + draw(u64::from(window) * 3),
                    _ => draw(top + 2),
                };
                assert_eq!(replay.precheck(seq), model.verdict(seq), "{seq} of {top} in {window}");
                if replay.precheck(seq).is_ok() {
                    replay.commit(seq);
                    model.commit(seq);
                }
            }
        }
    }

    #[test]
    fn a_number_far_ahead_clears_the_whole_window() {
        let mut replay = Replay::new(64);
        for seq in [1, 2, 60, 1 << 40, (1 << 40) - 63] {
            assert_eq!(replay.precheck(seq), Ok(()));
            replay.commit(seq);
            assert_eq!(replay.precheck(seq), Err(DropReason::Replayed));
        }
        assert_eq!(replay.precheck((1 << 40) - 64), Err(DropReason::TooOld));
        for ahead in 1..=(64 * 5) {
            let mut replay = Replay::new(64);
            (1..=64).for_each(|seq| replay.commit(seq));
            replay.commit(64 + ahead);
            for seq in 1..64 + ahead {
                let fresh = seq > 64;
                assert_eq!(replay.precheck(seq).is_ok(), fresh && seq > ahead, "{seq}, {ahead}");
            }
        }
    }

    #[test]
    fn a_resumed_window_has_seen_everything_up_to_its_top() {
        for top in [1, 63, 64, 65, 1000, 1 << 33] {
            let mut replay = Replay::resumed(128, top);
            for back in 0..140.min(top) {
                assert!(replay.precheck(top - back).is_err(), "{back} behind {top}");
            }
            for ahead in 1..200 {
                assert_eq!(replay.precheck(top + ahead), Ok(()));
                replay.commit(top + ahead);
                assert_eq!(replay.precheck(top + ahead), Err(DropReason::Replayed));
            }
        }
    }

    #[test]
    fn the_upper_half_is_inferred_at_every_boundary() {
        let window = 64u64;
        let at = |top| Replay::resumed(64, top);
        let low = |seq: u64| u32::try_from(seq & 0xffff_ffff).unwrap();
        for epoch in [0u64, 1, 2, 0xffff_fffe] {
            let start = epoch << 32;
            let tops = (0..window * 2).flat_map(|near| [start + near, start + 0xffff_ffff - near]);
            for top in tops {
                // What is in the window, and all that is less than 2^32 - window ahead of it, is
                // found.
                let bottom = top.saturating_sub(window - 1);
                let ahead = [1, 2, 63, 64, 65, 1000, 0x7fff_ffff, (1 << 32) - window];
                let numbers = (bottom..=top).chain(ahead.map(|ahead| top + ahead));
                for seq in numbers {
                    assert_eq!(at(top).infer(low(seq)), seq, "top {top:#x}");
                }
                // One further ends like the window's last number, and is taken for it.
                if top >= window - 1 {
                    assert_eq!(at(top).infer(low(bottom)), bottom);
                }
            }
        }
        assert_eq!(at(u64::MAX).infer(5), u64::MAX, "beyond the last number there is none");
    }
}
