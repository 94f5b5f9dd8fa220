//! The real provider.

use ring::{digest, hmac};

use super::ecdh::{Curve, Ecdh};
use super::error::KeyLengthError;
use super::esp::{OpenKey, SealKey};
use super::keys::{EspKeys, MessageKeys};
use super::message::{Opener, Sealer};
use super::modp::{Modp, ModpField};
use super::provider::{Digest, Hash, KeyAgreement, MessageOpener, MessageSealer, Provider};
use super::secret::Secret;
use super::suite::{EspSuite, Group, IkeSuite, Prf};
use crate::rng::Rng;
use crate::sys::random::SystemRng;

/// Real cryptography, over ring and RustCrypto.
#[derive(Clone, Debug, Default)]
pub struct Standard {
    /// For ring, which draws the private keys of curves from nothing else.
    random: SystemRng,
}

impl Provider for Standard {
    fn hash(&self, hash: Hash, parts: &[&[u8]]) -> Digest {
        let mut context = digest::Context::new(match hash {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha2_256 => &digest::SHA256,
            Hash::Sha2_384 => &digest::SHA384,
            Hash::Sha2_512 => &digest::SHA512,
        });
        for part in parts {
            context.update(part);
        }
        Digest::new(context.finish().as_ref())
    }

    fn prf(&self, prf: Prf, key: &[u8], parts: &[&[u8]]) -> Secret {
        let algorithm = match prf {
            Prf::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Prf::HmacSha2_256 => hmac::HMAC_SHA256,
            Prf::HmacSha2_384 => hmac::HMAC_SHA384,
            Prf::HmacSha2_512 => hmac::HMAC_SHA512,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        for part in parts {
            context.update(part);
        }
        Secret::copy_of(context.sign().as_ref())
    }

    fn start_exchange(&self, group: Group, rng: &mut dyn Rng) -> Box<dyn KeyAgreement> {
        let curve =
            |curve| Box::new(Ecdh::generate(curve, self.random.as_ring())) as Box<dyn KeyAgreement>;
        match group {
            Group::Modp1024 => Box::new(Modp::generate(ModpField::Modp1024, rng)),
            Group::Modp2048 => Box::new(Modp::generate(ModpField::Modp2048, rng)),
            Group::Ecp256 => curve(Curve::P256),
            Group::Ecp384 => curve(Curve::P384),
            Group::Modp2048S256 => Box::new(Modp::generate(ModpField::Modp2048S256, rng)),
            Group::Curve25519 => curve(Curve::X25519),
        }
    }

    fn resume_exchange(&self, group: Group, private: &Secret) -> Option<Box<dyn KeyAgreement>> {
        let field = match group {
            Group::Modp1024 => ModpField::Modp1024,
            Group::Modp2048 => ModpField::Modp2048,
            Group::Modp2048S256 => ModpField::Modp2048S256,
            Group::Ecp256 | Group::Ecp384 | Group::Curve25519 => return None,
        };
        Some(Box::new(Modp::resume(field, private)?))
    }

    fn message_sealer(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Box<dyn MessageSealer>, KeyLengthError> {
        Ok(Box::new(Sealer::new(suite, keys, rng)?))
    }

    fn message_opener(
        &self,
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
    ) -> Result<Box<dyn MessageOpener>, KeyLengthError> {
        Ok(Box::new(Opener::new(suite, keys)?))
    }

    fn esp_seal_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<SealKey, KeyLengthError> {
        SealKey::new(suite, keys)
    }

    fn esp_open_key(&self, suite: &EspSuite, keys: &EspKeys) -> Result<OpenKey, KeyLengthError> {
        OpenKey::new(suite, keys)
    }
}
