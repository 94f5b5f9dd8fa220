//! Truncated HMACs as integrity algorithms (RFC 2404, RFC 4868).

use ring::hmac;

use super::provider::KeyError;
use super::secret;
use super::suite::Integ;

/// One integrity key, its padded blocks already hashed.
#[derive(Debug)]
pub(super) struct Mac {
    key: hmac::Key,
    icv_len: usize,
}

impl Mac {
    pub(super) fn new(integ: Integ, key: &[u8]) -> Result<Mac, KeyError> {
        KeyError::check("integrity", key, integ.key_len())?;
        let algorithm = match integ {
            Integ::HmacSha1_96 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Integ::HmacSha2_256_128 => hmac::HMAC_SHA256,
            Integ::HmacSha2_384_192 => hmac::HMAC_SHA384,
            Integ::HmacSha2_512_256 => hmac::HMAC_SHA512,
        };
        Ok(Mac { key: hmac::Key::new(algorithm, key), icv_len: integ.icv_len() })
    }

    pub(super) fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// Writes the ICV over `message` and then `tail`; `icv` takes as much of the HMAC as it is long.
    pub(super) fn sign(&self, message: &[u8], tail: &[u8], icv: &mut [u8]) {
        for (to, from) in icv.iter_mut().zip(self.tag(message, tail).as_ref()) {
            *to = *from;
        }
    }

    /// Whether `icv` is the truncated HMAC over `message` and then `tail`.
    pub(super) fn verify(&self, message: &[u8], tail: &[u8], icv: &[u8]) -> bool {
        let tag = self.tag(message, tail);
        tag.as_ref().get(..self.icv_len).is_some_and(|expected| secret::equal(expected, icv))
    }

    fn tag(&self, message: &[u8], tail: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(message);
        context.update(tail);
        context.sign()
    }
}
