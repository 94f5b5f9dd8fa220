//! The encryptions inside PKCS#12 files.
//!
//! | made by | keys | certificates |
//! |---|---|---|
//! | OpenSSL 3, Windows (AES256-SHA256) | PBES2: PBKDF2, AES-256-CBC | the same |
//! | Windows (TripleDES-SHA1) | 3DES | 3DES |
//! | OpenSSL 1, `-legacy` | 3DES | RC2 with 40 bits |

use std::num::NonZeroU32;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use cbc::{Decryptor, Encryptor};
use ring::{digest, pbkdf2};
use zeroize::Zeroizing;

use super::kdf::{self, KdfPurpose};
use super::{Password, Pkcs12Error, Pkcs12Protection, bounded};
use crate::der::{self, DerError, DerReader, encode, encode_unsigned, tag};
use crate::rng::Rng;

/// PBES2 (RFC 8018 appendix A.4).
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
/// PBKDF2 (RFC 8018 appendix A.2).
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
/// The arc of PKCS#12's own encryptions (RFC 7292 appendix C), less its last number.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];
/// The arc of NIST's AES modes, less its last number.
const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
/// The arc of RSA's HMACs, less its last number.
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
/// des-ede3-cbc.
const TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];

/// Decrypts with the algorithm that an AlgorithmIdentifier, whole, describes.
pub(super) fn decrypt(
    algorithm: &[u8],
    data: &[u8],
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (oid, parameters) = DerReader::sequence_of(algorithm, oid_and_parameters)?;
    match oid.split_last() {
        _ if oid == PBES2 => pbes2(parameters, data, password),
        Some((3, PKCS12_PBE)) => pbes1::<des::TdesEde3>(parameters, 24, data, password),
        Some((5, PKCS12_PBE)) => pbes1::<rc2::Rc2>(parameters, 16, data, password),
        Some((6, PKCS12_PBE)) => pbes1::<rc2::Rc2>(parameters, 5, data, password),
        _ => Err(unsupported("encryption", oid)),
    }
}

/// Encrypts: the AlgorithmIdentifier, whole, that [`decrypt`] takes, and the octets.
pub(super) fn encrypt(
    data: &[u8],
    password: &Password,
    protection: Pkcs12Protection,
    rng: &mut dyn Rng,
) -> Result<(Vec<u8>, Vec<u8>), Pkcs12Error> {
    let mut salt = [0; 16];
    rng.fill(&mut salt);
    let rounds = protection.iterations();
    let iterations = encode_unsigned(&rounds.to_be_bytes());
    let sequence = |parts: &[&[u8]]| encode(tag::SEQUENCE, &parts.concat());
    match protection {
        Pkcs12Protection::Aes256Sha256 => {
            let mut iv = [0; 16];
            rng.fill(&mut iv);
            let salt = encode(tag::OCTET_STRING, &salt);
            let hmac = encode(tag::OID, &[HMAC, &[9]].concat());
            let prf = sequence(&[&hmac, &encode(tag::NULL, &[])]);
            let derivation = sequence(&[&salt, &iterations, &prf]);
            let key = pbkdf2_key(&derivation, &password.utf8, 32)?;
            let aes = encode(tag::OID, &[AES, &[42]].concat());
            let scheme = sequence(&[&aes, &encode(tag::OCTET_STRING, &iv)]);
            let derivation = sequence(&[&encode(tag::OID, PBKDF2), &derivation]);
            let algorithm =
                sequence(&[&encode(tag::OID, PBES2), &sequence(&[&derivation, &scheme])]);
            Ok((algorithm, chain::<aes::Aes256>(&key, &iv, data)?))
        }
        Pkcs12Protection::TripleDesSha1 => {
            let derive = |purpose, length| {
                let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
                kdf::derive(sha1, purpose, &password.utf16, &salt, rounds, length)
            };
            let (key, iv) = (derive(KdfPurpose::Key, 24), derive(KdfPurpose::Iv, 8));
            let oid = encode(tag::OID, &[PKCS12_PBE, &[3]].concat());
            let parameters = sequence(&[&encode(tag::OCTET_STRING, &salt), &iterations]);
            Ok((sequence(&[&oid, &parameters]), chain::<des::TdesEde3>(&key, &iv, data)?))
        }
    }
}

fn unsupported(what: &str, oid: &[u8]) -> Pkcs12Error {
    Pkcs12Error::Unsupported(format!("{what} {}", der::dotted(oid)))
}

fn oid_and_parameters<'a>(reader: &mut DerReader<'a>) -> Result<(&'a [u8], &'a [u8]), DerError> {
    Ok((reader.read(tag::OID)?, reader.any()?.whole))
}

/// PKCS#12's own way (RFC 7292 appendix C): key and vector from the password with SHA-1.
fn pbes1<C: BlockCipherDecrypt + KeyInit>(
    parameters: &[u8],
    key_len: usize,
    data: &[u8],
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (salt, iterations) = DerReader::sequence_of(parameters, |reader| {
        Ok((reader.read(tag::OCTET_STRING)?, reader.small_unsigned()?))
    })?;
    let iterations = bounded(iterations)?;
    let derive = |purpose, length| {
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        kdf::derive(sha1, purpose, &password.utf16, salt, iterations, length)
    };
    unchain::<C>(&derive(KdfPurpose::Key, key_len), &derive(KdfPurpose::Iv, 8), data)
}

/// PBES2 (RFC 8018 §6.2) with PBKDF2.
fn pbes2(
    parameters: &[u8],
    data: &[u8],
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let ((kdf, kdf_parameters), (cipher, iv)) = DerReader::sequence_of(parameters, |reader| {
        let kdf = reader.nested(tag::SEQUENCE, oid_and_parameters)?;
        let cipher = reader.nested(tag::SEQUENCE, |inner| {
            Ok((inner.read(tag::OID)?, inner.read(tag::OCTET_STRING)?))
        })?;
        Ok((kdf, cipher))
    })?;
    if kdf != PBKDF2 {
        return Err(unsupported("key derivation", kdf));
    }
    let derive = |length| pbkdf2_key(kdf_parameters, &password.utf8, length);
    match cipher.split_last() {
        Some((2, AES)) => unchain::<aes::Aes128>(&derive(16)?, iv, data),
        Some((22, AES)) => unchain::<aes::Aes192>(&derive(24)?, iv, data),
        Some((42, AES)) => unchain::<aes::Aes256>(&derive(32)?, iv, data),
        _ if cipher == TRIPLE_DES => unchain::<des::TdesEde3>(&derive(24)?, iv, data),
        _ => Err(unsupported("cipher", cipher)),
    }
}

/// PBKDF2-params (RFC 8018 appendix A.2).
fn pbkdf2_key(
    parameters: &[u8],
    password: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (salt, iterations, prf) = DerReader::sequence_of(parameters, |reader| {
        let salt = reader.read(tag::OCTET_STRING)?;
        let iterations = reader.small_unsigned()?;
        // The key's length follows from the cipher.
        reader.optional(tag::INTEGER)?;
        let prf = match reader.optional(tag::SEQUENCE)? {
            Some(body) => Some(DerReader::new(body).read(tag::OID)?),
            None => None,
        };
        Ok((salt, iterations, prf))
    })?;
    let algorithm = match prf.map(|oid| (oid, oid.split_last())) {
        None | Some((_, Some((7, HMAC)))) => pbkdf2::PBKDF2_HMAC_SHA1,
        Some((_, Some((9, HMAC)))) => pbkdf2::PBKDF2_HMAC_SHA256,
        Some((_, Some((10, HMAC)))) => pbkdf2::PBKDF2_HMAC_SHA384,
        Some((_, Some((11, HMAC)))) => pbkdf2::PBKDF2_HMAC_SHA512,
        Some((oid, _)) => return Err(unsupported("key derivation hash", oid)),
    };
    let iterations = bounded(iterations)?;
    let iterations = NonZeroU32::new(iterations).ok_or(Pkcs12Error::Iterations(iterations))?;
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
    Ok(key)
}

/// CBC with the padding of PKCS#7. Wrong padding means a wrong key, so a wrong password.
fn unchain<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let decryptor = Decryptor::<C>::new_from_slices(key, iv)
        .map_err(|_| Pkcs12Error::Unsupported("an initialisation vector of odd length".into()))?;
    let mut buffer = Zeroizing::new(data.to_vec());
    let length =
        decryptor.decrypt_padded::<Pkcs7>(&mut buffer).map_err(|_| Pkcs12Error::Password)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// CBC with the padding of PKCS#7.
fn chain<C: BlockCipherEncrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, Pkcs12Error> {
    let encryptor = Encryptor::<C>::new_from_slices(key, iv)
        .map_err(|_| Pkcs12Error::Unsupported("an initialisation vector of odd length".into()))?;
    Ok(encryptor.encrypt_padded_vec::<Pkcs7>(data))
}
