//! Sealing and opening one packet, beside the bare primitive of the same crate in the same run.
//!
//! "Bare" is the cipher over the same text with a ready nonce and nothing else: no header, padding,
//! window or limits.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and what fails must be seen"
)]

mod meter;

use std::cell::RefCell;

use aes::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes_gcm::AeadInOut;
use ring::{aead, hmac};
use s2sd::crypto::keymat::EspKeys;
use s2sd::crypto::suite::{Aead, AesKey, EspProtection, EspSuite, Integ, Protection};
use s2sd::crypto::{Provider, Secret, Standard};
use s2sd::esp::{Inbound, Lease, Limits, Outbound, Replay};
use s2sd::time::Instant;
use s2sd::wire::packet::ip::IPV4;
use s2sd::wire::spi::EspSpi;

use meter::{contest, time, turns};

const SIZES: [usize; 5] = [64, 256, 576, 1408, 8192];
const PACKETS: usize = 128;
const NOW: Instant = Instant(1);

fn main() {
    let turns = turns(40);
    println!("ns a packet (share of the bare primitive's speed)");
    for (name, protection) in ciphers() {
        for size in SIZES {
            let [seal, open, bare_seal, bare_open] = measure(protection, size, turns);
            println!(
                "{name:<24} {size:>5} bytes: seal {seal:>8.0} ({:>4.0} %)  open {open:>8.0} ({:>4.0} %)",
                100.0 * bare_seal / seal,
                100.0 * bare_open / open
            );
        }
    }
}

fn ciphers() -> Vec<(String, EspProtection)> {
    let sizes = [AesKey::Bits128, AesKey::Bits192, AesKey::Bits256];
    let integs = [
        Integ::HmacSha1_96,
        Integ::HmacSha2_256_128,
        Integ::HmacSha2_384_192,
        Integ::HmacSha2_512_256,
    ];
    let aeads =
        sizes.map(Aead::AesGcm16).into_iter().chain([Aead::ChaCha20Poly1305]).map(Protection::Aead);
    let cbcs = integs.map(|integ| Protection::Cbc(AesKey::Bits256, integ));
    let encrypted = aeads.chain(cbcs).map(EspProtection::Encrypted);
    let all = encrypted.chain(integs.map(EspProtection::Null));
    let name = |protection: &EspProtection| {
        let bits = protection.key_bits().map_or(String::new(), |bits| format!("-{bits}"));
        let integ = protection.integ().map_or(String::new(), |integ| format!(" {}", integ.id()));
        format!("{}{bits}{integ}", protection.encr_id())
    };
    all.map(|protection| (name(&protection), protection)).collect()
}

fn measure(protection: EspProtection, size: usize, turns: usize) -> [f64; 4] {
    let suite = EspSuite { protection, group: None, esn: false };
    let keys = EspKeys {
        encryption: Secret::copy_of(&vec![7; protection.encryption_key_len()]),
        integrity: Secret::copy_of(&vec![9; protection.integrity_key_len()]),
    };
    let provider = Standard::default();
    let (seal, open) = (
        provider.esp_seal_key(&suite, &keys).unwrap(),
        provider.esp_open_key(&suite, &keys).unwrap(),
    );
    let mut outbound = Outbound::new(EspSpi(256), seal, Lease::ephemeral(false), Limits::UNBOUNDED);
    let mut inbound = Inbound::new(EspSpi(256), open, Replay::new(8192), false, Limits::UNBOUNDED);
    let (len, lead) = (outbound.packet_len(size), outbound.lead());
    let packets = RefCell::new(vec![vec![0u8; len]; PACKETS]);
    let bare = Bare::new(protection);
    let text = lead..len - outbound.layout().icv;
    let texts = RefCell::new(vec![vec![0u8; text.len()]; PACKETS]);
    let tags = RefCell::new(vec![[0u8; 64]; PACKETS]);

    let mut seal = || {
        let mut packets = packets.borrow_mut();
        packets.iter_mut().for_each(|packet| write_inner(&mut packet[lead..], size));
        time(|| {
            let numbers = outbound.reserve(PACKETS as u64, (PACKETS * size) as u64, NOW).unwrap();
            for (packet, seq) in packets.iter_mut().zip(numbers) {
                assert!(outbound.seal(seq, packet, size, IPV4));
            }
        })
    };
    let mut open = || {
        let mut packets = packets.borrow_mut();
        time(|| packets.iter_mut().for_each(|packet| assert!(inbound.open(packet, NOW).is_ok())))
    };
    let mut bare_seal = || {
        let (mut texts, mut tags) = (texts.borrow_mut(), tags.borrow_mut());
        time(|| texts.iter_mut().zip(tags.iter_mut()).for_each(|(text, tag)| bare.seal(text, tag)))
    };
    let mut bare_open = || {
        let (mut texts, tags) = (texts.borrow_mut(), tags.borrow());
        time(|| texts.iter_mut().zip(tags.iter()).for_each(|(text, tag)| bare.open(text, tag)))
    };
    let times =
        contest(turns, PACKETS, &mut [&mut seal, &mut open, &mut bare_seal, &mut bare_open]);
    times.try_into().unwrap()
}

/// The least that is an IPv4 packet of this length.
fn write_inner(text: &mut [u8], size: usize) {
    text[..20].fill(0);
    text[0] = 0x45;
    text[2..4].copy_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
}

/// The primitives, as their crates give them.
enum Bare {
    Ring(Box<aead::LessSafeKey>),
    Gcm192(Box<aes_gcm::AesGcm<aes::Aes192, aes::cipher::consts::U12>>),
    Cbc(Box<(aes::Aes256Enc, aes::Aes256Dec, hmac::Key)>),
    Mac(hmac::Key),
}

impl Bare {
    fn new(protection: EspProtection) -> Bare {
        let ring = |algorithm, len| {
            let key = aead::UnboundKey::new(algorithm, &[7; 32][..len]).unwrap();
            Bare::Ring(Box::new(aead::LessSafeKey::new(key)))
        };
        match protection {
            EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits128))) => {
                ring(&aead::AES_128_GCM, 16)
            }
            EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits192))) => {
                Bare::Gcm192(Box::new(aes_gcm::AesGcm::new_from_slice(&[7; 24]).unwrap()))
            }
            EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256))) => {
                ring(&aead::AES_256_GCM, 32)
            }
            EspProtection::Encrypted(Protection::Aead(Aead::ChaCha20Poly1305)) => {
                ring(&aead::CHACHA20_POLY1305, 32)
            }
            EspProtection::Encrypted(Protection::Cbc(_, integ)) => {
                let (seal, open) =
                    (aes::Aes256Enc::new(&[7; 32].into()), aes::Aes256Dec::new(&[7; 32].into()));
                Bare::Cbc(Box::new((seal, open, mac(integ))))
            }
            EspProtection::Null(integ) => Bare::Mac(mac(integ)),
        }
    }

    fn seal(&self, text: &mut [u8], tag: &mut [u8; 64]) {
        match self {
            Bare::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key([3; 12]);
                let sealed =
                    key.seal_in_place_separate_tag(nonce, aead::Aad::from([0; 8]), text).unwrap();
                tag[..16].copy_from_slice(sealed.as_ref());
            }
            Bare::Gcm192(key) => {
                let sealed =
                    key.encrypt_inout_detached(&[3; 12].into(), &[0; 8], text.into()).unwrap();
                tag[..16].copy_from_slice(&sealed);
            }
            Bare::Cbc(keys) => {
                let blocks = Block::<aes::Aes256Enc>::slice_as_chunks_mut(text).0;
                let iv = [3; 16].into();
                cbc::Encryptor::<&aes::Aes256Enc>::inner_iv_init(&keys.0, &iv)
                    .encrypt_blocks(blocks);
                sign(&keys.2, text, tag);
            }
            Bare::Mac(key) => sign(key, text, tag),
        }
    }

    fn open(&self, text: &mut [u8], tag: &[u8; 64]) {
        match self {
            Bare::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key([3; 12]);
                let tag: [u8; 16] = tag[..16].try_into().unwrap();
                key.open_in_place_separate_tag(
                    nonce,
                    aead::Aad::from([0; 8]),
                    tag.into(),
                    text,
                    0..,
                )
                .unwrap();
            }
            Bare::Gcm192(key) => {
                let tag: [u8; 16] = tag[..16].try_into().unwrap();
                key.decrypt_inout_detached(&[3; 12].into(), &[0; 8], text.into(), &tag.into())
                    .unwrap();
            }
            Bare::Cbc(keys) => {
                check(&keys.2, text, tag);
                let blocks = Block::<aes::Aes256Dec>::slice_as_chunks_mut(text).0;
                let iv = [3; 16].into();
                cbc::Decryptor::<&aes::Aes256Dec>::inner_iv_init(&keys.1, &iv)
                    .decrypt_blocks(blocks);
            }
            Bare::Mac(key) => check(key, text, tag),
        }
    }
}

fn mac(integ: Integ) -> hmac::Key {
    let algorithm = match integ {
        Integ::HmacSha1_96 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Integ::HmacSha2_256_128 => hmac::HMAC_SHA256,
        Integ::HmacSha2_384_192 => hmac::HMAC_SHA384,
        Integ::HmacSha2_512_256 => hmac::HMAC_SHA512,
    };
    hmac::Key::new(algorithm, &[9; 64])
}

fn sign(key: &hmac::Key, text: &[u8], tag: &mut [u8; 64]) {
    let signed = hmac::sign(key, text);
    tag[..signed.as_ref().len()].copy_from_slice(signed.as_ref());
}

fn check(key: &hmac::Key, text: &[u8], tag: &[u8; 64]) {
    let signed = hmac::sign(key, text);
    assert_eq!(signed.as_ref(), &tag[..signed.as_ref().len()]);
}
