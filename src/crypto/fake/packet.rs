//! The packet cipher of the simulator.

use super::mixer::{mix, octets, scramble};
use crate::crypto::error::{KeyLengthError, OpenError, SealError};
use crate::crypto::keys::EspKeys;
use crate::crypto::parts::Parts;
use crate::crypto::suite::{EspProtection, EspSuite, Layout};
use crate::wire::packet::esp::HEADER_LEN;

/// A packet cipher behind `SealKey` and `OpenKey`.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto) enum EspCipher {
    /// Checked and scrambled.
    Keyed { key: u64, scrambles: bool },
    /// Left as it is.
    Plain,
}

impl EspCipher {
    pub(super) fn new(suite: &EspSuite, keys: &EspKeys) -> Result<EspCipher, KeyLengthError> {
        let protection = suite.protection;
        KeyLengthError::check(
            "encryption",
            keys.encryption.expose(),
            protection.encryption_key_len(),
        )?;
        KeyLengthError::check(
            "integrity",
            keys.integrity.expose(),
            protection.integrity_key_len(),
        )?;
        let key = mix(mix(0, keys.encryption.expose()), keys.integrity.expose());
        Ok(EspCipher::Keyed { key, scrambles: matches!(protection, EspProtection::Encrypted(_)) })
    }

    /// The header is written already.
    pub(in crate::crypto) fn seal(
        self,
        sequence: u64,
        esn: bool,
        layout: Layout,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let Parts { clear, iv, text, icv } =
            Parts::split(packet, HEADER_LEN, layout).ok_or(SealError)?;
        if let EspCipher::Keyed { key, scrambles } = self {
            let number = sequence.to_be_bytes();
            for (to, from) in iv.iter_mut().zip(number.iter().cycle()) {
                *to = *from;
            }
            if scrambles {
                scramble(mix(key, iv), text);
            }
            write_icv(icv, esp_sum(key, number, esn, clear, iv, text));
        }
        Ok(())
    }

    pub(in crate::crypto) fn open(
        self,
        sequence: u64,
        esn: bool,
        layout: Layout,
        packet: &mut [u8],
    ) -> Result<&mut [u8], OpenError> {
        let Parts { clear, iv, text, icv } =
            Parts::split(packet, HEADER_LEN, layout).ok_or(OpenError::Length)?;
        if let EspCipher::Keyed { key, scrambles } = self {
            let sum = esp_sum(key, sequence.to_be_bytes(), esn, clear, iv, text);
            if !octets(sum).zip(&*icv).all(|(expected, found)| expected == *found) {
                return Err(OpenError::Authentication);
            }
            if scrambles {
                scramble(mix(key, iv), text);
            }
        }
        Ok(text)
    }
}

fn esp_sum(key: u64, number: [u8; 8], esn: bool, clear: &[u8], iv: &[u8], text: &[u8]) -> u64 {
    let upper = if esn { number.split_at(4).0 } else { &[] };
    mix(mix(mix(mix(key, clear), iv), text), upper)
}

fn write_icv(icv: &mut [u8], sum: u64) {
    for (to, from) in icv.iter_mut().zip(octets(sum)) {
        *to = from;
    }
}
