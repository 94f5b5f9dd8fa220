//! Reserved bytes: ignored in meaning, kept in form.
//!
//! RFC 7296 §2.5 wants reserved fields "sent as zero and ignored on receipt". Signatures are made
//! over bytes as they came (the ID payload, §2.15), and encoding what was decoded must give the
//! same bytes. So a decoded value keeps its reserved bytes, a new value has zeros, and no
//! comparison looks at them.

use std::hash::{Hash, Hasher};

/// `N` reserved bytes, which have no meaning. All values are equal.
#[derive(Clone, Copy, Debug)]
pub struct ReservedBits<const N: usize>([u8; N]);

impl<const N: usize> ReservedBits<N> {
    /// The bytes as they were received; zeros in a value that was not decoded.
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Default for ReservedBits<N> {
    fn default() -> ReservedBits<N> {
        ReservedBits([0; N])
    }
}

impl<const N: usize> From<[u8; N]> for ReservedBits<N> {
    fn from(bytes: [u8; N]) -> ReservedBits<N> {
        ReservedBits(bytes)
    }
}

impl<const N: usize> PartialEq for ReservedBits<N> {
    fn eq(&self, _: &ReservedBits<N>) -> bool {
        true
    }
}

impl<const N: usize> Eq for ReservedBits<N> {}

impl<const N: usize> Hash for ReservedBits<N> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
