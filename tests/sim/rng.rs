//! The simulator's randomness: xoshiro256** from one seed, split into independent streams by label.
//!
//! Streams are split so that taking one event out of a failing world (see `minimise`) does not
//! shift the dice of everything that follows.

use s2sd::rng::Rng;

/// A seeded generator. The same seed and label give the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct SimRng([u64; 4]);

impl SimRng {
    pub fn new(seed: u64) -> SimRng {
        let mut state = seed;
        SimRng([(); 4].map(|()| splitmix(&mut state)))
    }

    /// The stream that belongs to `label`, independent of how much of another was drawn.
    pub fn stream(seed: u64, label: &str) -> SimRng {
        let folded = label.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        SimRng::new(folded)
    }

    pub fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`, which is not zero. The bias of the remainder is far below what a
    /// test can see.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number of `low..=high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `permille` times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(from.len() as u64)).expect("below a length");
        &from[at]
    }
}

impl Rng for SimRng {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let mut state = 1_234_567;
        let first = [(); 3].map(|()| splitmix(&mut state));
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, label| SimRng::stream(seed, label).next();
        assert_eq!(draw(7, "net"), draw(7, "net"));
        assert_ne!(draw(7, "net"), draw(7, "host a"));
        assert_ne!(draw(7, "net"), draw(8, "net"));
    }
}
