//! Cryptography for simulations and benches: the shapes and sizes of the real thing, deterministic,
//! in nanoseconds. It protects nothing. It does what tests need: both ends agree on keys, a wrong
//! key or a changed octet is noticed, and what is sealed does not read as cleartext.

use std::ops::Range;

use super::esp::{HEADER_LEN, OpenKey, SealKey};
use super::keymat::{EspKeys, MessageKeys};
use super::message::{Parts, pad, unpad};
use super::provider::{
    Digest, Hash, KeyAgreement, KeyLengthError, MessageOpener, MessageSealer, OpenError, Provider,
    PublicValueError, SealError, SharedSecret,
};
use super::secret::Secret;
use super::suite::{EspProtection, EspSuite, Group, IkeSuite, Layout, Prf};
use crate::rng::Rng;

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

/// A packet cipher behind [`SealKey`] and [`OpenKey`].
#[derive(Clone, Copy, Debug)]
pub(super) enum EspCipher {
    /// Checked and scrambled.
    Keyed { key: u64, scrambles: bool },
    /// Left as it is.
    Plain,
}

impl EspCipher {
    fn new(suite: &EspSuite, keys: &EspKeys) -> Result<EspCipher, KeyLengthError> {
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
    pub(super) fn seal(
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

    pub(super) fn open(
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

fn octets(seed: u64) -> impl Iterator<Item = u8> {
    (0..).flat_map(move |index| scatter(seed.wrapping_add(index)).to_be_bytes())
}

/// A 64-bit checksum over octets as a stream: how they are cut into updates makes no difference.
struct Mixer {
    state: u64,
    word: [u8; 8],
    filled: usize,
    total: u64,
}

impl Mixer {
    fn new(seed: u64) -> Mixer {
        Mixer { state: scatter(seed), word: [0; 8], filled: 0, total: 0 }
    }

    fn update(&mut self, mut octets: &[u8]) {
        self.total = self.total.wrapping_add(octets.len() as u64);
        if self.filled > 0 {
            let (now, later) = octets.split_at(octets.len().min(8 - self.filled));
            self.word[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            octets = later;
            if self.filled < 8 {
                return;
            }
            self.state = fold(self.state ^ u64::from_le_bytes(self.word));
            self.filled = 0;
        }
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            self.state = fold(self.state ^ u64::from_le_bytes(*word));
        }
        self.word[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    fn finish(mut self) -> u64 {
        self.word[self.filled..].fill(0);
        scatter(fold(self.state ^ u64::from_le_bytes(self.word)) ^ self.total)
    }
}

fn mix(seed: u64, octets: &[u8]) -> u64 {
    let mut mixer = Mixer::new(seed);
    mixer.update(octets);
    mixer.finish()
}

/// A bijection: a difference in one word can never be lost in the next step.
fn fold(word: u64) -> u64 {
    let word = word.wrapping_mul(GENERATOR);
    (word ^ (word >> 32)).wrapping_mul(SPREAD)
}

/// The finaliser of SplitMix64: a bijection in which each input bit flips about half of the output.
fn scatter(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn expand(seed: u64, len: usize) -> Vec<u8> {
    octets(seed).take(len).collect()
}

/// Its own inverse.
fn scramble(seed: u64, text: &mut [u8]) {
    let (words, rest) = text.as_chunks_mut::<8>();
    let mut counter = seed;
    for word in words {
        counter = counter.wrapping_add(SPREAD);
        *word = (u64::from_le_bytes(*word) ^ scatter(counter)).to_le_bytes();
    }
    let last = scatter(counter.wrapping_add(SPREAD)).to_le_bytes();
    rest.iter_mut().zip(last).for_each(|(to, from)| *to ^= from);
}

const GENERATOR: u64 = 0x9e37_79b9_7f4a_7c15;
const SPREAD: u64 = 0xd1b5_4a32_d192_ed03;
