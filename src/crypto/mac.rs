//! Truncated HMACs as integrity algorithms (RFC 2404, RFC 4868).
//!
//! ring computes them, save HMAC-SHA1: AES-CBC with it is what an Azure connection left on Default
//! falls back to, and ring's SHA-1 is portable code where the `sha1` crate uses the processor's
//! instructions (1.3 against 5.8 microseconds a packet).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use ring::hmac as ring_hmac;
use sha1::Sha1;

use super::error::KeyLengthError;
use super::secret;
use super::suite::Integ;

/// One integrity key, its padded blocks already hashed.
pub(super) struct Mac {
    key: MacKeyKind,
    icv_len: usize,
}

enum MacKeyKind {
    Ring(ring_hmac::Key),
    Sha1(Hmac<Sha1>),
}

impl Mac {
    pub(super) fn new(integ: Integ, key: &[u8]) -> Result<Mac, KeyLengthError> {
        KeyLengthError::check("integrity", key, integ.key_len())?;
        let ring = |algorithm| MacKeyKind::Ring(ring_hmac::Key::new(algorithm, key));
        let key = match integ {
            Integ::HmacSha1_96 => {
                MacKeyKind::Sha1(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
            }
            Integ::HmacSha2_256_128 => ring(ring_hmac::HMAC_SHA256),
            Integ::HmacSha2_384_192 => ring(ring_hmac::HMAC_SHA384),
            Integ::HmacSha2_512_256 => ring(ring_hmac::HMAC_SHA512),
        };
        Ok(Mac { key, icv_len: integ.icv_len() })
    }

    pub(super) fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// Writes the ICV over `message` and then `tail`; `icv` takes as much of the HMAC as it is
    /// long.
    pub(super) fn sign(&self, message: &[u8], tail: &[u8], icv: &mut [u8]) {
        self.with_tag(message, tail, |tag| {
            for (to, from) in icv.iter_mut().zip(tag) {
                *to = *from;
            }
        });
    }

    /// Whether `icv` is the truncated HMAC over `message` and then `tail`.
    pub(super) fn verify(&self, message: &[u8], tail: &[u8], icv: &[u8]) -> bool {
        self.with_tag(message, tail, |tag| {
            tag.get(..self.icv_len).is_some_and(|expected| secret::equal(expected, icv))
        })
    }

    fn with_tag<T>(&self, message: &[u8], tail: &[u8], then: impl FnOnce(&[u8]) -> T) -> T {
        match &self.key {
            MacKeyKind::Ring(key) => {
                let mut context = ring_hmac::Context::with_key(key);
                context.update(message);
                context.update(tail);
                then(context.sign().as_ref())
            }
            MacKeyKind::Sha1(key) => {
                let mut context = key.clone();
                context.update(message);
                context.update(tail);
                then(&context.finalize().into_bytes())
            }
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
