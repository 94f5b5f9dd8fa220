//! The operating system's randomness, for `rng::Rng` and for ring, which takes only its own type.

use ring::rand::{SecureRandom, SystemRandom};

use crate::rng::Rng;

/// getrandom(2). It cannot run dry; it can only fail where the system call is forbidden.
#[derive(Clone, Debug)]
pub struct SystemRng(SystemRandom);

impl Default for SystemRng {
    fn default() -> SystemRng {
        SystemRng(SystemRandom::new())
    }
}

impl SystemRng {
    /// The same source in the type that ring's key generation and signing demand.
    pub fn as_ring(&self) -> &SystemRandom {
        &self.0
    }
}

impl Rng for SystemRng {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out).expect("getrandom(2) is allowed and works since Linux 3.17");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let mut rng = SystemRng::default();
        assert_ne!(rng.next_u64(), rng.next_u64());
    }
}
