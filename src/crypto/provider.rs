//! What the protocol asks of cryptography, as traits: the real one and the simulator's fit the same
//! hole.

use std::fmt::Debug;
use std::ops::Range;

use super::error::{KeyLengthError, OpenError, PublicValueError, SealError};
use super::esp::{OpenKey, SealKey};
use super::keys::{EspKeys, MessageKeys, SharedSecret};
use super::secret::Secret;
use super::suite::{EspSuite, Group, IkeSuite, Prf};
use crate::rng::Rng;

/// Everything the engine needs, made from negotiated suites. Long-lived and shared; it holds no
/// keys.
pub trait Provider: Debug + Send + Sync {
    /// A plain hash over the parts in turn: NAT detection, cookies, fingerprints.
    fn hash(&self, hash: Hash, parts: &[&[u8]]) -> Digest;

    /// The negotiated PRF over the parts in turn. A key of any length will do (HMAC).
    fn prf(&self, prf: Prf, key: &[u8], parts: &[&[u8]]) -> Secret;

    /// Draws a private value and computes the public one. Real elliptic-curve groups draw from the
    /// operating system and not from `rng`.
    fn start_exchange(&self, group: Group, rng: &mut dyn Rng) -> Box<dyn KeyAgreement>;

    /// A key exchange from the private value that [`KeyAgreement::export`] gave, perhaps to another
    /// process.
    fn resume_exchange(&self, group: Group, private: &Secret) -> Option<Box<dyn KeyAgreement>>;

    /// Protection for the messages that one side of an IKE SA sends. `rng` sets where its IVs
    /// start.
    fn message_sealer(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Box<dyn MessageSealer>, KeyLengthError>;

    /// The other end of [`Provider::message_sealer`].
    fn message_opener(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
    ) -> Result<Box<dyn MessageOpener>, KeyLengthError>;

    /// The packet cipher of an outbound ESP SA.
    fn esp_seal_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<SealKey, KeyLengthError>;

    /// The packet cipher of an inbound ESP SA.
    fn esp_open_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<OpenKey, KeyLengthError>;
}

/// A private value waiting for the peer's public one. Used once: `agree` consumes it.
pub trait KeyAgreement: Debug + Send {
    /// The group it belongs to.
    fn group(&self) -> Group;

    /// What goes into our KE payload: [`Group::public_len`] octets.
    fn public_value(&self) -> &[u8];

    /// The private value, for a snapshot; `None` where it cannot be had, as from ring.
    fn export(&self) -> Option<Secret>;

    /// The shared secret (g^ir), if the peer's value is one that the group's standard allows.
    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, PublicValueError>;
}

/// Seals what one side of an IKE SA sends. A message is `unprotected | body`, and a body
/// `IV | plaintext | padding | Pad Length | ICV` laid out by
/// [`super::suite::Protection::ike_layout`]. Everything before the body is authenticated, so its
/// length fields have to be final.
pub trait MessageSealer: Debug + Send {
    /// Fills in IV, padding and ICV, and encrypts, in place. The message from `body` on has exactly
    /// `layout.sealed_len(plaintext_len)` octets, with the plaintext already behind the room for
    /// the IV.
    fn seal(
        &mut self,
        message: &mut [u8],
        body: usize,
        plaintext_len: usize,
        rng: &mut dyn Rng,
    ) -> Result<(), SealError>;
}

/// Opens what the other side of an IKE SA sent.
pub trait MessageOpener: Debug + Send {
    /// Checks and decrypts in place; returns where in `message` the plaintext lies, padding
    /// removed. After a failure the body holds nothing of use.
    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, OpenError>;
}

/// A hash function.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Hash {
    /// SHA-1: NAT detection and certificate thumbprints demand it.
    Sha1,
    /// SHA-256.
    Sha2_256,
    /// SHA-384.
    Sha2_384,
    /// SHA-512.
    Sha2_512,
}

impl Hash {
    /// Octets of output.
    pub fn output_len(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha2_256 => 32,
            Hash::Sha2_384 => 48,
            Hash::Sha2_512 => 64,
        }
    }
}

/// The output of a [`enum@Hash`]. It is no secret.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl Digest {
    /// At most 64 octets; more are cut off.
    pub(super) fn new(output: &[u8]) -> Digest {
        let mut bytes = [0; 64];
        let len = output.len().min(bytes.len());
        bytes[..len].copy_from_slice(&output[..len]);
        Digest { bytes, len }
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
