//! Protection of IKE messages: the body of the SK and SKF payloads (RFC 7296 §3.14, RFC 5282, RFC
//! 7383, RFC 7634).
//!
//! ```text
//! | IKE header | clear payloads | SK header [fragment] | IV | text, padding, Pad Length | ICV |
//! |<-- authenticated, by an AEAD as associated data -->|    |<------- encrypted ------->|
//! ```

use std::ops::Range;

use super::aead::AeadKey;
use super::cbc::{BLOCK, CbcDecrypt, CbcEncrypt};
use super::error::{KeyLengthError, OpenError, SealError};
use super::keys::MessageKeys;
use super::mac::Mac;
use super::parts::{Parts, pad, unpad};
use super::provider::{MessageOpener, MessageSealer};
use super::suite::{IkeSuite, Layout, Protection};
use crate::rng::Rng;

/// Made of both keys of a direction, whichever a suite has.
#[derive(Debug)]
pub(super) struct Sealer {
    layout: Layout,
    cipher: SealCipher,
}

#[derive(Debug)]
enum SealCipher {
    /// The IVs count up from a random start: within one sealer no IV comes twice, and a sealer made
    /// again from a snapshot of the same keys starts elsewhere in 2^64. RFC 5282 §3.1 asks for
    /// uniqueness and leaves the way open.
    Aead { key: AeadKey, next_iv: u64 },
    /// The IVs are random (RFC 7296 §3.14).
    Cbc { key: CbcEncrypt, mac: Mac },
}

impl Sealer {
    pub(super) fn new(
        suite: &IkeSuite,
        keys: MessageKeys<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Sealer, KeyLengthError> {
        let cipher = match suite.protection {
            Protection::Aead(aead) => {
                KeyLengthError::check("integrity", keys.integrity, 0)?;
                SealCipher::Aead {
                    key: AeadKey::new(aead, keys.encryption)?,
                    next_iv: rng.next_u64(),
                }
            }
            Protection::Cbc(size, integ) => SealCipher::Cbc {
                key: CbcEncrypt::new(size, keys.encryption)?,
                mac: Mac::new(integ, keys.integrity)?,
            },
        };
        Ok(Sealer { layout: suite.protection.ike_layout(), cipher })
    }
}

impl MessageSealer for Sealer {
    fn seal(
        &mut self,
        message: &mut [u8],
        body: usize,
        plaintext_len: usize,
        rng: &mut dyn Rng,
    ) -> Result<(), SealError> {
        let parts = Parts::split(message, body, self.layout).ok_or(SealError)?;
        let padding = parts.text.len().checked_sub(plaintext_len + self.layout.trailer);
        if padding != Some(self.layout.padding(plaintext_len)) {
            return Err(SealError);
        }
        pad(parts.text, plaintext_len)?;
        match &mut self.cipher {
            SealCipher::Aead { key, next_iv } => {
                let iv = next_iv.to_be_bytes();
                *next_iv = next_iv.wrapping_add(1);
                parts.iv.copy_from_slice(&iv);
                let icv = key.seal(iv, parts.clear, parts.text).ok_or(SealError)?;
                parts.icv.copy_from_slice(&icv);
            }
            SealCipher::Cbc { key, mac } => {
                let mut iv = [0; BLOCK];
                rng.fill(&mut iv);
                parts.iv.copy_from_slice(&iv);
                if !key.encrypt(iv, parts.text) {
                    return Err(SealError);
                }
                let (authenticated, icv) = split_icv(message, self.layout).ok_or(SealError)?;
                mac.sign(authenticated, &[], icv);
            }
        }
        Ok(())
    }
}

/// Made of both keys of a direction, whichever a suite has.
#[derive(Debug)]
pub(super) struct Opener {
    layout: Layout,
    cipher: OpenCipher,
}

#[derive(Debug)]
enum OpenCipher {
    Aead(AeadKey),
    Cbc { key: CbcDecrypt, mac: Mac },
}

impl Opener {
    pub(super) fn new(suite: &IkeSuite, keys: MessageKeys<'_>) -> Result<Opener, KeyLengthError> {
        let cipher = match suite.protection {
            Protection::Aead(aead) => {
                KeyLengthError::check("integrity", keys.integrity, 0)?;
                OpenCipher::Aead(AeadKey::new(aead, keys.encryption)?)
            }
            Protection::Cbc(size, integ) => OpenCipher::Cbc {
                key: CbcDecrypt::new(size, keys.encryption)?,
                mac: Mac::new(integ, keys.integrity)?,
            },
        };
        Ok(Opener { layout: suite.protection.ike_layout(), cipher })
    }
}

impl MessageOpener for Opener {
    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, OpenError> {
        let parts = Parts::split(message, body, self.layout).ok_or(OpenError::Length)?;
        if parts.text.len() % self.layout.align != 0 {
            return Err(OpenError::Length);
        }
        match &self.cipher {
            OpenCipher::Aead(key) => {
                let iv = (&*parts.iv).try_into().map_err(|_| OpenError::Length)?;
                let icv = (&*parts.icv).try_into().map_err(|_| OpenError::Length)?;
                if !key.open(iv, parts.clear, parts.text, icv) {
                    return Err(OpenError::Authentication);
                }
            }
            OpenCipher::Cbc { key, mac } => {
                // The MAC first: nothing about padding is learnt from a message that nobody vouches
                // for.
                let (authenticated, icv) =
                    split_icv(message, self.layout).ok_or(OpenError::Length)?;
                if !mac.verify(authenticated, &[], icv) {
                    return Err(OpenError::Authentication);
                }
                let parts = Parts::split(message, body, self.layout).ok_or(OpenError::Length)?;
                let iv = (&*parts.iv).try_into().map_err(|_| OpenError::Length)?;
                if !key.decrypt(iv, parts.text) {
                    return Err(OpenError::Length);
                }
            }
        }
        unpad(message, body, self.layout)
    }
}

fn split_icv(message: &mut [u8], layout: Layout) -> Option<(&[u8], &mut [u8])> {
    let (authenticated, icv) =
        message.split_at_mut_checked(message.len().checked_sub(layout.icv)?)?;
    Some((authenticated, icv))
}
