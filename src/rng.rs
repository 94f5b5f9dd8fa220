//! Randomness as a value. No source here: `sys::random` has the real one, the simulator a seeded one.

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
