//! Packet ciphers for ESP (RFC 4303): the hot path. Keys are expanded once an SA; a packet costs
//! one `match`, no allocation, no dynamic dispatch.
//!
//! A packet lies in one buffer and is sealed and opened where it lies:
//!
//! ```text
//! | SPI (4) | sequence (4) | IV | payload, padding, Pad Length, Next Header | ICV |
//!                               |<--- text, a multiple of layout.align --->|
//! ```
//!
//! The caller writes SPI and text; the cipher writes sequence number, IV and ICV. The IV follows
//! from the 64-bit sequence number, which never comes twice in an SA, over a crash neither:
//! `esp/lease.rs` leases numbers from the ledger in `state/ledger.rs` and says why. So a GCM nonce
//! (salt and IV) is unique for its key. The IV of an AEAD is the number itself (RFC 4106 §3.1, RFC
//! 7634 §2); the IV of CBC is the number encrypted, since it must be unpredictable too (RFC 3602
//! §3).
//!
//! The upper half of an extended sequence number is never sent, and authenticated all the same:
//! within the AEAD's associated data (RFC 4106 §5), or appended to what the HMAC covers (RFC 4303
//! §2.2.1).

use super::aead::{self, AeadKey};
use super::cbc::{self, CbcDecrypt, CbcEncrypt};
use super::error::{KeyLengthError, OpenError, SealError};
use super::keys::EspKeys;
use super::mac::Mac;
use super::suite::{AesKey, EspProtection, EspSuite, Layout, Protection};
use crate::wire::packet::esp::HEADER_LEN;

/// The cipher of one direction: `Cbc` encrypts or decrypts, all others are the same both ways.
#[derive(Debug)]
struct EspDirectionKey<Cbc> {
    cipher: DirectionCipher<Cbc>,
    esn: bool,
    layout: Layout,
}

/// The AEAD stays in place, the others cost a pointer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the common cipher is reached without a pointer")]
enum DirectionCipher<Cbc> {
    Aead(AeadKey),
    Cbc(Box<(Cbc, Mac)>),
    Null(Box<Mac>),
    #[cfg(feature = "fake")]
    Fake(super::fake::packet::EspCipher),
}

impl<Cbc> EspDirectionKey<Cbc> {
    fn new(
        suite: &EspSuite,
        keys: &EspKeys,
        cbc: impl FnOnce(AesKey, &[u8]) -> Result<Cbc, KeyLengthError>,
    ) -> Result<EspDirectionKey<Cbc>, KeyLengthError> {
        let protection = suite.protection;
        let (encryption, integrity) = (keys.encryption.expose(), keys.integrity.expose());
        KeyLengthError::check("encryption", encryption, protection.encryption_key_len())?;
        KeyLengthError::check("integrity", integrity, protection.integrity_key_len())?;
        let cipher = match protection {
            EspProtection::Encrypted(Protection::Aead(aead)) => {
                DirectionCipher::Aead(AeadKey::new(aead, encryption)?)
            }
            EspProtection::Encrypted(Protection::Cbc(size, integ)) => DirectionCipher::Cbc(
                Box::new((cbc(size, encryption)?, Mac::new(integ, integrity)?)),
            ),
            EspProtection::Null(integ) => {
                DirectionCipher::Null(Box::new(Mac::new(integ, integrity)?))
            }
        };
        Ok(EspDirectionKey { cipher, esn: suite.esn, layout: protection.layout() })
    }

    #[cfg(feature = "fake")]
    fn fake(suite: &EspSuite, cipher: super::fake::packet::EspCipher) -> EspDirectionKey<Cbc> {
        let layout = suite.protection.layout();
        EspDirectionKey { cipher: DirectionCipher::Fake(cipher), esn: suite.esn, layout }
    }
}

/// The cipher of an outbound SA.
#[derive(Debug)]
pub struct SealKey(EspDirectionKey<CbcEncrypt>);

impl SealKey {
    pub(super) fn new(suite: &EspSuite, keys: &EspKeys) -> Result<SealKey, KeyLengthError> {
        EspDirectionKey::new(suite, keys, CbcEncrypt::new).map(SealKey)
    }

    #[cfg(feature = "fake")]
    pub(super) fn fake(suite: &EspSuite, cipher: super::fake::packet::EspCipher) -> SealKey {
        SealKey(EspDirectionKey::fake(suite, cipher))
    }

    /// What surrounds a payload.
    #[inline]
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// Seals a whole packet in place under a sequence number that was never used before in this SA.
    /// Fails only when the packet is not laid out as [`SealKey::layout`] says.
    #[inline]
    pub fn seal(&self, sequence: u64, packet: &mut [u8]) -> Result<(), SealError> {
        let (head, rest) = packet.split_first_chunk_mut::<HEADER_LEN>().ok_or(SealError)?;
        let number = sequence.to_be_bytes();
        // Made whole and written once: reading back what was written octet by octet would stall the
        // processor.
        let [s0, s1, s2, s3, ..] = *head;
        let [.., n4, n5, n6, n7] = number;
        let header = [s0, s1, s2, s3, n4, n5, n6, n7];
        *head = header;
        match &self.0.cipher {
            DirectionCipher::Aead(key) => {
                let (iv, rest) =
                    rest.split_first_chunk_mut::<{ aead::IV_LEN }>().ok_or(SealError)?;
                let (text, icv) =
                    rest.split_last_chunk_mut::<{ aead::ICV_LEN }>().ok_or(SealError)?;
                *iv = number;
                let (aad, len) = associated_data(header, number, self.0.esn);
                *icv = key.seal(number, aad.get(..len).ok_or(SealError)?, text).ok_or(SealError)?;
                Ok(())
            }
            DirectionCipher::Cbc(keys) => {
                let (key, mac) = &**keys;
                let (iv, rest) = rest.split_first_chunk_mut::<{ cbc::BLOCK }>().ok_or(SealError)?;
                let end = rest.len().checked_sub(mac.icv_len()).ok_or(SealError)?;
                *iv = key.unpredictable_iv(sequence);
                let text = rest.get_mut(..end).ok_or(SealError)?;
                if key.encrypt(*iv, text) { self.sign(mac, number, packet) } else { Err(SealError) }
            }
            DirectionCipher::Null(mac) => self.sign(mac, number, packet),
            #[cfg(feature = "fake")]
            DirectionCipher::Fake(cipher) => {
                cipher.seal(sequence, self.0.esn, self.0.layout, packet)
            }
        }
    }

    fn sign(&self, mac: &Mac, number: [u8; 8], packet: &mut [u8]) -> Result<(), SealError> {
        let end = packet.len().checked_sub(mac.icv_len()).ok_or(SealError)?;
        let (message, icv) = packet.split_at_mut_checked(end).ok_or(SealError)?;
        mac.sign(message, upper_half(&number, self.0.esn), icv);
        Ok(())
    }
}

/// The cipher of an inbound SA.
#[derive(Debug)]
pub struct OpenKey(EspDirectionKey<CbcDecrypt>);

impl OpenKey {
    pub(super) fn new(suite: &EspSuite, keys: &EspKeys) -> Result<OpenKey, KeyLengthError> {
        EspDirectionKey::new(suite, keys, CbcDecrypt::new).map(OpenKey)
    }

    #[cfg(feature = "fake")]
    pub(super) fn fake(suite: &EspSuite, cipher: super::fake::packet::EspCipher) -> OpenKey {
        OpenKey(EspDirectionKey::fake(suite, cipher))
    }

    /// What surrounds a payload.
    #[inline]
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// Opens a whole packet in place and returns its text: payload, padding, Pad Length, Next
    /// Header. `sequence` is the packet's number with its upper half inferred (RFC 4304); without
    /// ESN the upper half does not matter. After a failure the text holds nothing of use.
    #[inline]
    pub fn open<'p>(&self, sequence: u64, packet: &'p mut [u8]) -> Result<&'p mut [u8], OpenError> {
        let number = sequence.to_be_bytes();
        match &self.0.cipher {
            DirectionCipher::Aead(key) => {
                let (head, rest) =
                    packet.split_first_chunk_mut::<HEADER_LEN>().ok_or(OpenError::Length)?;
                let (iv, rest) =
                    rest.split_first_chunk_mut::<{ aead::IV_LEN }>().ok_or(OpenError::Length)?;
                let (text, icv) =
                    rest.split_last_chunk_mut::<{ aead::ICV_LEN }>().ok_or(OpenError::Length)?;
                let (aad, len) = associated_data(*head, number, self.0.esn);
                let aad = aad.get(..len).ok_or(OpenError::Length)?;
                if key.open(*iv, aad, text, *icv) {
                    Ok(text)
                } else {
                    Err(OpenError::Authentication)
                }
            }
            DirectionCipher::Cbc(keys) => {
                let (key, mac) = &**keys;
                let message = self.verify(mac, number, packet)?;
                let (_, rest) =
                    message.split_first_chunk_mut::<HEADER_LEN>().ok_or(OpenError::Length)?;
                let (iv, text) =
                    rest.split_first_chunk_mut::<{ cbc::BLOCK }>().ok_or(OpenError::Length)?;
                if key.decrypt(*iv, text) { Ok(text) } else { Err(OpenError::Length) }
            }
            DirectionCipher::Null(mac) => {
                let message = self.verify(mac, number, packet)?;
                message.get_mut(HEADER_LEN..).ok_or(OpenError::Length)
            }
            #[cfg(feature = "fake")]
            DirectionCipher::Fake(cipher) => {
                cipher.open(sequence, self.0.esn, self.0.layout, packet)
            }
        }
    }

    /// The packet without its ICV, which was right.
    fn verify<'p>(
        &self,
        mac: &Mac,
        number: [u8; 8],
        packet: &'p mut [u8],
    ) -> Result<&'p mut [u8], OpenError> {
        let end = packet.len().checked_sub(mac.icv_len()).ok_or(OpenError::Length)?;
        let (message, icv) = packet.split_at_mut_checked(end).ok_or(OpenError::Length)?;
        if mac.verify(message, upper_half(&number, self.0.esn), icv) {
            Ok(message)
        } else {
            Err(OpenError::Authentication)
        }
    }
}

/// SPI and the sequence number as the packet carries it, or in full with ESN (RFC 4106 §5): 8 or 12
/// octets of the array.
#[inline]
fn associated_data(head: [u8; HEADER_LEN], number: [u8; 8], esn: bool) -> ([u8; 12], usize) {
    let [s0, s1, s2, s3, l0, l1, l2, l3] = head;
    let [h0, h1, h2, h3, ..] = number;
    if esn {
        ([s0, s1, s2, s3, h0, h1, h2, h3, l0, l1, l2, l3], 12)
    } else {
        ([s0, s1, s2, s3, l0, l1, l2, l3, 0, 0, 0, 0], 8)
    }
}

#[inline]
fn upper_half(number: &[u8; 8], esn: bool) -> &[u8] {
    if esn { number.split_at(4).0 } else { &[] }
}
