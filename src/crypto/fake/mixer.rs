//! Checksums and streams of octets for the simulator: fast, deterministic, no cryptography.

pub(super) fn octets(seed: u64) -> impl Iterator<Item = u8> {
    (0..).flat_map(move |index| scatter(seed.wrapping_add(index)).to_be_bytes())
}

/// A 64-bit checksum over octets as a stream: how they are cut into updates makes no difference.
pub(super) struct Mixer {
    state: u64,
    word: [u8; 8],
    filled: usize,
    total: u64,
}

impl Mixer {
    pub(super) fn new(seed: u64) -> Mixer {
        Mixer { state: scatter(seed), word: [0; 8], filled: 0, total: 0 }
    }

    pub(super) fn update(&mut self, mut octets: &[u8]) {
        self.total = self.total.wrapping_add(octets.len() as u64);
        if self.filled > 0 {
            let (now, later) = octets.split_at(octets.len().min(8 - self.filled));
            self.word[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            octets = later;
            if self.filled < 8 {
                return;
            }
            self.state = fold(self.state ^ u64::from_le_bytes(self.word));
            self.filled = 0;
        }
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            self.state = fold(self.state ^ u64::from_le_bytes(*word));
        }
        self.word[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    pub(super) fn finish(mut self) -> u64 {
        self.word[self.filled..].fill(0);
        scatter(fold(self.state ^ u64::from_le_bytes(self.word)) ^ self.total)
    }
}

pub(super) fn mix(seed: u64, octets: &[u8]) -> u64 {
    let mut mixer = Mixer::new(seed);
    mixer.update(octets);
    mixer.finish()
}

/// A bijection: a difference in one word can never be lost in the next step.
fn fold(word: u64) -> u64 {
    let word = word.wrapping_mul(GENERATOR);
    (word ^ (word >> 32)).wrapping_mul(SPREAD)
}

/// The finaliser of SplitMix64: a bijection in which each input bit flips about half of the output.
fn scatter(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

pub(super) fn expand(seed: u64, len: usize) -> Vec<u8> {
    octets(seed).take(len).collect()
}

/// Its own inverse.
pub(super) fn scramble(seed: u64, text: &mut [u8]) {
    let (words, rest) = text.as_chunks_mut::<8>();
    let mut counter = seed;
    for word in words {
        counter = counter.wrapping_add(SPREAD);
        *word = (u64::from_le_bytes(*word) ^ scatter(counter)).to_le_bytes();
    }
    let last = scatter(counter.wrapping_add(SPREAD)).to_le_bytes();
    rest.iter_mut().zip(last).for_each(|(to, from)| *to ^= from);
}

pub(super) const GENERATOR: u64 = 0x9e37_79b9_7f4a_7c15;
const SPREAD: u64 = 0xd1b5_4a32_d192_ed03;
