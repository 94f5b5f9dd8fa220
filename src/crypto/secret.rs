//! Bytes that must not be seen: wiped when dropped, silent in `Debug`, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret of any length. It cannot be cloned: every copy is one that somebody wrote out.
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes over bytes that are already in place; nothing is copied when the vector is exactly
    /// full.
    pub fn new(mut bytes: Vec<u8>) -> Secret {
        if bytes.len() == bytes.capacity() {
            return Secret(Zeroizing::new(bytes.into_boxed_slice()));
        }
        // Shrinking may move the bytes and free the old place unwiped: copy, then wipe.
        let copy = Secret::copy_of(&bytes);
        zeroize::Zeroize::zeroize(&mut bytes);
        copy
    }

    /// Copies bytes that belong to somebody else, who stays responsible for theirs.
    pub fn copy_of(bytes: &[u8]) -> Secret {
        Secret(Zeroizing::new(Box::from(bytes)))
    }

    /// The bytes themselves: for key schedules, and for a snapshot that has to outlive the process.
    /// Whoever calls this answers for where the bytes go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes the secret has; a length is no secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it, as with the integrity key of an AEAD suite.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Compares in a time that depends on the lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::copy_of(&[0xab; 32]);
        assert_eq!(format!("{secret:?}"), "<secret>");
        assert_eq!(format!("{secret:#?}"), "<secret>");
    }

    #[test]
    fn equality_sees_content_and_length() {
        let mut spare = Vec::with_capacity(64);
        spare.extend_from_slice(b"key");
        assert_eq!(Secret::new(spare), Secret::copy_of(b"key"));
        assert_ne!(Secret::copy_of(b"key"), Secret::copy_of(b"kez"));
        assert_ne!(Secret::copy_of(b"key"), Secret::copy_of(b"key\0"));
        assert!(equal(b"", b""));
    }
}
