//! Keys that the key schedule makes and the ciphers take: types that `keymat` and `provider` share.

use super::secret::Secret;

/// The outcome of a key exchange: g^ir of RFC 7296 §2.14.
#[derive(Debug, Eq, PartialEq)]
pub struct SharedSecret(pub(super) Secret);

impl SharedSecret {
    /// The octets that enter the key schedule.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// The two keys of one direction of an IKE SA; made by
/// [`super::keymat::IkeKeys`] alone, so directions cannot mix.
#[derive(Clone, Copy)]
pub struct MessageKeys<'a> {
    pub(super) encryption: &'a [u8],
    pub(super) integrity: &'a [u8],
}

impl std::fmt::Debug for MessageKeys<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// The two keys of one ESP SA.
#[derive(Debug, Eq, PartialEq)]
pub struct EspKeys {
    /// The encryption key, an AEAD's salt at its end. Empty for NULL.
    pub encryption: Secret,
    /// The integrity key. Empty for an AEAD.
    pub integrity: Secret,
}
