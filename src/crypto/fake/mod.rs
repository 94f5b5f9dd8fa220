//! Cryptography for simulations and benches: the shapes and sizes of the real thing, deterministic,
//! in nanoseconds. It protects nothing. It does what tests need: both ends agree on keys, a wrong
//! key or a changed octet is noticed, and what is sealed does not read as cleartext. The file
//! `mixer` has the arithmetic, `packet` the ESP cipher.

mod mixer;
pub(super) mod packet;

use std::ops::Range;

use mixer::{GENERATOR, Mixer, expand, mix, scramble};
use packet::EspCipher;

use super::error::{KeyLengthError, OpenError, PublicValueError, SealError};
use super::esp::{OpenKey, SealKey};
use super::keys::{EspKeys, MessageKeys, SharedSecret};
use super::parts::{Parts, pad, unpad};
use super::provider::{Digest, Hash, KeyAgreement, MessageOpener, MessageSealer, Provider};
use super::secret::Secret;
use super::suite::{EspSuite, Group, IkeSuite, Layout, Prf};
use crate::rng::Rng;

// `cargo bench` and `cargo test --release` are release builds as well: the dev-dependency on this
// crate has both features.
#[cfg(not(any(debug_assertions, feature = "measured")))]
compile_error!("the feature `fake` is for tests; a release build must not have it");

/// The provider of the simulator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fake;

/// Both ends of an ESP SA that leaves text as it is: what a data plane costs without its cipher.
/// Layouts are the suite's.
pub fn null_cipher(suite: &EspSuite) -> (SealKey, OpenKey) {
    (SealKey::fake(suite, EspCipher::Plain), OpenKey::fake(suite, EspCipher::Plain))
}

impl Provider for Fake {
    fn hash(&self, hash: Hash, parts: &[&[u8]]) -> Digest {
        let mut mixer = Mixer::new(hash as u64);
        parts.iter().for_each(|part| mixer.update(part));
        Digest::new(&expand(mixer.finish(), hash.output_len()))
    }

    fn prf(&self, prf: Prf, key: &[u8], parts: &[&[u8]]) -> Secret {
        let mut mixer = Mixer::new(mix(prf as u64, key));
        parts.iter().for_each(|part| mixer.update(part));
        Secret::new(expand(mixer.finish(), prf.output_len()))
    }

    fn start_exchange(&self, group: Group, rng: &mut dyn Rng) -> Box<dyn KeyAgreement> {
        let private = rng.next_u64() | 1;
        let public = public_value(group, private.wrapping_mul(GENERATOR));
        Box::new(FakeKeyExchange { group, private, public })
    }

    fn resume_exchange(&self, group: Group, private: &Secret) -> Option<Box<dyn KeyAgreement>> {
        let private = u64::from_be_bytes(private.expose().try_into().ok()?);
        let public = public_value(group, private.wrapping_mul(GENERATOR));
        Some(Box::new(FakeKeyExchange { group, private, public }))
    }

    fn message_sealer(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
        _: &mut dyn Rng,
    ) -> Result<Box<dyn MessageSealer>, KeyLengthError> {
        Ok(Box::new(FakeMessageKey::new(suite, keys)?))
    }

    fn message_opener(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
    ) -> Result<Box<dyn MessageOpener>, KeyLengthError> {
        Ok(Box::new(FakeMessageKey::new(suite, keys)?))
    }

    fn esp_seal_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<SealKey, KeyLengthError> {
        Ok(SealKey::fake(suite, EspCipher::new(suite, keys)?))
    }

    fn esp_open_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<OpenKey, KeyLengthError> {
        Ok(OpenKey::fake(suite, EspCipher::new(suite, keys)?))
    }
}

/// Multiplication modulo 2^64 by odd numbers: it commutes, never gives zero, and anybody can undo
/// it.
#[derive(Debug)]
struct FakeKeyExchange {
    group: Group,
    private: u64,
    public: Vec<u8>,
}

impl KeyAgreement for FakeKeyExchange {
    fn group(&self) -> Group {
        self.group
    }

    fn public_value(&self) -> &[u8] {
        &self.public
    }

    fn export(&self) -> Option<Secret> {
        Some(Secret::copy_of(&self.private.to_be_bytes()))
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, PublicValueError> {
        let group = self.group;
        PublicValueError::check_len(group, peer)?;
        let wrong = match group {
            Group::Modp1024 | Group::Modp2048 => PublicValueError::Range(group),
            Group::Modp2048S256 => PublicValueError::Subgroup(group),
            Group::Ecp256 | Group::Ecp384 => PublicValueError::Curve(group),
            Group::Curve25519 => PublicValueError::SmallOrder(group),
        };
        let number = peer.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(wrong)?;
        if number & 1 == 0 || peer != public_value(group, number) {
            return Err(wrong);
        }
        let shared = self.private.wrapping_mul(number);
        Ok(SharedSecret(Secret::new(expand(shared, group.shared_len()))))
    }
}

/// The number, then what follows from it, up to the size of the group's public values.
fn public_value(group: Group, number: u64) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.extend(expand(number ^ group as u64, group.public_len() - 8));
    value
}

#[derive(Debug)]
struct FakeMessageKey {
    key: u64,
    layout: Layout,
}

impl FakeMessageKey {
    fn new(suite: &IkeSuite, keys: MessageKeys<'_>) -> Result<FakeMessageKey, KeyLengthError> {
        let protection = suite.protection;
        KeyLengthError::check("encryption", keys.encryption, protection.encryption_key_len())?;
        KeyLengthError::check("integrity", keys.integrity, protection.integrity_key_len())?;
        let key = mix(mix(0, keys.encryption), keys.integrity);
        Ok(FakeMessageKey { key, layout: protection.ike_layout() })
    }
}

impl MessageSealer for FakeMessageKey {
    fn seal(
        &mut self,
        message: &mut [u8],
        body: usize,
        plaintext_len: usize,
        rng: &mut dyn Rng,
    ) -> Result<(), SealError> {
        let Parts { clear, iv, text, icv } =
            Parts::split(message, body, self.layout).ok_or(SealError)?;
        let padding = text.len().checked_sub(plaintext_len + self.layout.trailer);
        if padding != Some(self.layout.padding(plaintext_len)) {
            return Err(SealError);
        }
        pad(text, plaintext_len)?;
        rng.fill(iv);
        scramble(mix(self.key, iv), text);
        icv.copy_from_slice(&expand(mix(mix(mix(self.key, clear), iv), text), icv.len()));
        Ok(())
    }
}

impl MessageOpener for FakeMessageKey {
    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, OpenError> {
        let Parts { clear, iv, text, icv } =
            Parts::split(message, body, self.layout).ok_or(OpenError::Length)?;
        if text.len() % self.layout.align != 0 {
            return Err(OpenError::Length);
        }
        if *icv != *expand(mix(mix(mix(self.key, clear), iv), text), icv.len()) {
            return Err(OpenError::Authentication);
        }
        scramble(mix(self.key, iv), text);
        unpad(message, body, self.layout)
    }
}
