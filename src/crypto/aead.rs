//! AEAD ciphers in the frame that IKE and ESP share: 4-octet salt, 8-octet IV, 16-octet ICV (RFC
//! 4106, 5282, 7634).
//!
//! The one place that knows which library does AEAD. ring does, except for AES-192-GCM, which
//! BoringSSL's ancestry never gave it: there RustCrypto's `aes-gcm` (audited, constant time, AES-NI
//! and CLMUL) stands in, over the `aes` crate that CBC needs anyway; aws-lc-rs has it too, for a C
//! library and its build tools more.

use std::fmt;

use aes_gcm::aead::KeyInit;
use aes_gcm::aes::Aes192;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, AesGcm};
use ring::aead::{self, LessSafeKey, UnboundKey};

use super::error::KeyLengthError;
use super::suite::{Aead, AesKey, Protection, SALT_LEN};

pub(super) const ICV_LEN: usize = 16;
pub(super) const IV_LEN: usize = 8;

/// An expanded key with its salt.
pub(super) struct AeadKey {
    cipher: AeadCipher,
    salt: [u8; SALT_LEN],
}

/// One indirection for the rare cipher keeps the common one in place.
#[expect(clippy::large_enum_variant, reason = "the common cipher is reached without a pointer")]
enum AeadCipher {
    Ring(LessSafeKey),
    Gcm192(Box<AesGcm<Aes192, U12>>),
}

impl AeadKey {
    /// From key material: the key, then the salt (RFC 4106 §8.1).
    pub(super) fn new(aead: Aead, keymat: &[u8]) -> Result<AeadKey, KeyLengthError> {
        let expected = Protection::Aead(aead).encryption_key_len();
        let wrong = KeyLengthError { what: "encryption", expected, found: keymat.len() };
        let (key, &salt) = keymat.split_last_chunk::<SALT_LEN>().ok_or(wrong)?;
        let ring =
            |algorithm| UnboundKey::new(algorithm, key).map(LessSafeKey::new).map(AeadCipher::Ring);
        let cipher = match aead {
            Aead::AesGcm16(AesKey::Bits128) => ring(&aead::AES_128_GCM).ok(),
            Aead::AesGcm16(AesKey::Bits192) => {
                AesGcm::new_from_slice(key).ok().map(|cipher| AeadCipher::Gcm192(Box::new(cipher)))
            }
            Aead::AesGcm16(AesKey::Bits256) => ring(&aead::AES_256_GCM).ok(),
            Aead::ChaCha20Poly1305 => ring(&aead::CHACHA20_POLY1305).ok(),
        };
        Ok(AeadKey { cipher: cipher.ok_or(wrong)?, salt })
    }

    /// Encrypts `text` in place and returns the ICV. An IV must never be used twice with one key.
    /// `None` only beyond the cipher's own limit of 2^36 octets.
    #[inline]
    pub(super) fn seal(
        &self,
        iv: [u8; IV_LEN],
        aad: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; ICV_LEN]> {
        let nonce = self.nonce(iv);
        match &self.cipher {
            AeadCipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), text).ok()?;
                tag.as_ref().try_into().ok()
            }
            AeadCipher::Gcm192(key) => {
                key.encrypt_inout_detached(&nonce.into(), aad, text.into()).ok().map(Into::into)
            }
        }
    }

    /// Checks the ICV and decrypts `text` in place; false, and nothing of use in `text`, when they
    /// do not belong together.
    #[inline]
    pub(super) fn open(
        &self,
        iv: [u8; IV_LEN],
        aad: &[u8],
        text: &mut [u8],
        icv: [u8; ICV_LEN],
    ) -> bool {
        let nonce = self.nonce(iv);
        match &self.cipher {
            AeadCipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, aead::Aad::from(aad), icv.into(), text, 0..)
                    .is_ok()
            }
            AeadCipher::Gcm192(key) => {
                key.decrypt_inout_detached(&nonce.into(), aad, text.into(), &icv.into()).is_ok()
            }
        }
    }

    #[inline]
    fn nonce(&self, iv: [u8; IV_LEN]) -> [u8; SALT_LEN + IV_LEN] {
        let mut nonce = [0; SALT_LEN + IV_LEN];
        let (salt, rest) = nonce.split_at_mut(SALT_LEN);
        salt.copy_from_slice(&self.salt);
        rest.copy_from_slice(&iv);
        nonce
    }
}

impl Drop for AeadKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.salt);
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
