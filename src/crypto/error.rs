//! Errors of the ciphers and of key exchange.

use super::suite::Group;

/// Keys of the wrong size for the suite: key material came from somewhere else than the key
/// schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} key has {found} octets where the suite takes {expected}")]
pub struct KeyLengthError {
    /// "encryption" or "integrity".
    pub what: &'static str,
    /// What the suite takes.
    pub expected: usize,
    /// What was given.
    pub found: usize,
}

impl KeyLengthError {
    pub(super) fn check(
        what: &'static str,
        key: &[u8],
        expected: usize,
    ) -> Result<(), KeyLengthError> {
        let found = key.len();
        if found == expected { Ok(()) } else { Err(KeyLengthError { what, expected, found }) }
    }
}

/// A peer's public value that must not be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublicValueError {
    /// Padding to the group's size is mandatory (RFC 7296 §3.4).
    #[error("a public value of {group} has {expected} octets, the peer sent {found}")]
    Length {
        /// The group.
        group: Group,
        /// Its size.
        expected: usize,
        /// The peer's size.
        found: usize,
    },
    /// 0, 1, p-1 or beyond: the shared secret would be known to everybody (RFC 6989 §2.1).
    #[error("the peer's public value of {0} is not between 2 and p-2")]
    Range(Group),
    /// Not in the subgroup of order q: it would leak bits of our private value (RFC 6989 §2.2).
    #[error("the peer's public value of {0} is not in the group's prime-order subgroup")]
    Subgroup(Group),
    /// Not a point of the curve (RFC 6989 §2.3).
    #[error("the peer's public value of {0} is not a point of the curve")]
    Curve(Group),
    /// A point of small order: the shared secret is all zeros (RFC 7748 §6.1, RFC 8031 §2.3).
    #[error("the peer's public value of {0} is of small order and gives an all-zero secret")]
    SmallOrder(Group),
}

impl PublicValueError {
    pub(super) fn check_len(group: Group, peer: &[u8]) -> Result<(), PublicValueError> {
        let (expected, found) = (group.public_len(), peer.len());
        if found == expected {
            Ok(())
        } else {
            Err(PublicValueError::Length { group, expected, found })
        }
    }
}

/// A message or packet whose octets are not laid out as its suite's layout says: a fault of the
/// caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message is not laid out for this suite")]
pub struct SealError;

/// Why a protected message or packet did not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Too short for IV, trailer and ICV, or not a multiple of the cipher's block.
    #[error("the encrypted part has a length that the suite cannot produce")]
    Length,
    /// Not sealed with this key, or changed on the way.
    #[error("the integrity check failed")]
    Authentication,
    /// Authentic, and yet the padding is longer than the text: the sender is broken.
    #[error("the pad length exceeds the decrypted text")]
    Padding,
}
