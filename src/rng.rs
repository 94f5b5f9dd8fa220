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

/// A source for tests: octets that look random, and other ones from each instance that starts elsewhere.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

#[cfg(test)]
impl Rng for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for octet in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *octet = self.0.to_be_bytes()[0];
        }
    }
}
