//! Randomness as a value. No source here: `sys::random` has the real one, the simulator a seeded
//! one.

/// A source of bytes that nobody can predict (or, in the simulator, that a seed predicts exactly).
pub trait Rng {
    /// Fills `out` whole.
    fn fill(&mut self, out: &mut [u8]);

    /// A uniform 64-bit number.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// A uniform 32-bit number.
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }
}

/// A source for tests: SplitMix64, whose octets look random and differ for each seed.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) struct SeededRng(pub(crate) u64);

#[cfg(test)]
impl Rng for SeededRng {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            [*byte, ..] = (z ^ (z >> 31)).to_be_bytes();
        }
    }
}
