//! Writing a PKCS#12 file: the leaf's key and certificate, and the certificates above it, with one
//! password.
//!
//! ```text
//! PFX
//!   AuthenticatedSafe
//!     EncryptedData      leaf (localKeyId), its issuer, ..., the root
//!     Data               the key, encrypted by itself (localKeyId)
//!   MacData              over the AuthenticatedSafe
//! ```
//!
//! The layout is OpenSSL's, which Windows and Key Vault read as well as their own.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::kdf::{self, KdfPurpose};
use super::{BAGS, PKCS7, Password, Pkcs12Error, X509_CERTIFICATE, cipher};
use crate::crypto::Secret;
use crate::der::{encode, encode_unsigned, tag};
use crate::pki::certificate::Certificate;
use crate::rng::Rng;

/// friendlyName (RFC 2985 §5.5.1).
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20];
/// localKeyId (RFC 2985 §5.5.2): what says which certificate is the key's.
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 21];
/// id-sha1.
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// id-sha256.
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

/// How a file is protected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pkcs12Protection {
    /// PBES2 with AES-256-CBC, a MAC with SHA-256: OpenSSL 3, and Windows' "AES256-SHA256".
    #[default]
    Aes256Sha256,
    /// 3DES, a MAC with SHA-1: Windows' "TripleDES-SHA1", which everything old reads. Good for as
    /// long as its password is.
    TripleDesSha1,
}

impl Pkcs12Protection {
    /// Rounds of key derivation: Windows makes 2,000 and older ones take no great numbers.
    pub(super) fn iterations(self) -> u32 {
        match self {
            Pkcs12Protection::Aes256Sha256 => 10_000,
            Pkcs12Protection::TripleDesSha1 => 2_000,
        }
    }
}

/// A PKCS#12 file with a key (as PKCS#8) and its path: the key's certificate first, then upwards.
/// `password` is the content of a password file.
pub fn write_pkcs12(
    key: &Secret,
    path: &[Certificate],
    password: &[u8],
    protection: Pkcs12Protection,
    rng: &mut dyn Rng,
) -> Result<Vec<u8>, Pkcs12Error> {
    let password = Password::new(password)?;
    let attributes = path.first().map(leaf_attributes).unwrap_or_default();
    let bags = path.iter().enumerate().map(|(place, certificate)| {
        let attributes: &[u8] = if place == 0 { &attributes } else { &[] };
        certificate_bag(certificate, attributes)
    });
    let certificates = sequence(&bags.collect::<Vec<_>>());
    let (algorithm, encrypted) = cipher::encrypt(&certificates, &password, protection, rng)?;
    let encrypted = sequence(&[
        encode(tag::OID, &[PKCS7, &[1]].concat()),
        algorithm,
        encode(tag::primitive(0), &encrypted),
    ]);
    let encrypted = sequence(&[encode_unsigned(&[0]), encrypted]);
    let (algorithm, shrouded) = cipher::encrypt(key.expose(), &password, protection, rng)?;
    let shrouded = sequence(&[algorithm, encode(tag::OCTET_STRING, &shrouded)]);
    let key = sequence(&[bag(2, &shrouded, &attributes)]);
    let safes = sequence(&[content(6, &encrypted), content(1, &encode(tag::OCTET_STRING, &key))]);
    let mac = mac(&safes, &password, protection, rng);
    let safes = content(1, &encode(tag::OCTET_STRING, &safes));
    Ok(sequence(&[encode_unsigned(&[3]), safes, mac]))
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

/// A ContentInfo of the PKCS#7 type with this last number.
fn content(kind: u8, body: &[u8]) -> Vec<u8> {
    let oid = encode(tag::OID, &[PKCS7, &[kind]].concat());
    sequence(&[oid, encode(tag::constructed(0), body)])
}

/// A SafeBag (RFC 7292 §4.2).
fn bag(kind: u8, value: &[u8], attributes: &[u8]) -> Vec<u8> {
    let oid = encode(tag::OID, &[BAGS, &[kind]].concat());
    sequence(&[oid, encode(tag::constructed(0), value), attributes.to_vec()])
}

fn certificate_bag(certificate: &Certificate, attributes: &[u8]) -> Vec<u8> {
    let der = encode(tag::OCTET_STRING, certificate.as_der());
    let value = sequence(&[encode(tag::OID, X509_CERTIFICATE), encode(tag::constructed(0), &der)]);
    bag(3, &value, attributes)
}

/// What the leaf and its key have in common: an id, and the name that Windows shows.
fn leaf_attributes(leaf: &Certificate) -> Vec<u8> {
    let attribute =
        |oid: &[u8], value: Vec<u8>| sequence(&[encode(tag::OID, oid), encode(tag::SET, &value)]);
    let id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf.as_der());
    let id = attribute(LOCAL_KEY_ID, encode(tag::OCTET_STRING, id.as_ref()));
    let name = leaf.subject().common_name().unwrap_or_default();
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let name = attribute(FRIENDLY_NAME, encode(tag::BMP_STRING, &name));
    // X.690 §11.6: the elements of a SET OF stand in the order of their octets.
    let mut both = [id, name];
    both.sort();
    encode(tag::SET, &both.concat())
}

/// MacData (RFC 7292 §4).
fn mac(
    safes: &[u8],
    password: &Password,
    protection: Pkcs12Protection,
    rng: &mut dyn Rng,
) -> Vec<u8> {
    let (oid, hash, algorithm) = match protection {
        Pkcs12Protection::Aes256Sha256 => (SHA256, &digest::SHA256, hmac::HMAC_SHA256),
        Pkcs12Protection::TripleDesSha1 => {
            (SHA1, &digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
        }
    };
    let mut salt = [0; 16];
    rng.fill(&mut salt);
    let (iterations, length) = (protection.iterations(), hash.output_len());
    let key: Zeroizing<Vec<u8>> =
        kdf::derive(hash, KdfPurpose::Mac, &password.utf16, &salt, iterations, length);
    let tag_octets = hmac::sign(&hmac::Key::new(algorithm, &key), safes);
    let algorithm = sequence(&[encode(tag::OID, oid), encode(tag::NULL, &[])]);
    let info = sequence(&[algorithm, encode(tag::OCTET_STRING, tag_octets.as_ref())]);
    let iterations = encode_unsigned(&iterations.to_be_bytes());
    sequence(&[info, encode(tag::OCTET_STRING, &salt), iterations])
}
