//! PKCS#12 files, `.pfx` or `.p12` (RFC 7292), as Windows, OpenSSL 1 and OpenSSL 3 make them.
//!
//! | file | noun |
//! |---|---|
//! | `cipher.rs` | the encryptions inside: PBES2 with AES, and the old ones with 3DES and RC2 |
//! | `kdf.rs` | the key derivation of RFC 7292 appendix B |
//! | `write.rs` | the same file, written |
//!
//! A file of nested envelopes: certificates mostly in an encrypted one, keys each encrypted by
//! themselves, a MAC around all. Read and written here and not by a crate because the one at hand
//! (p12-keystore) brings two pre-release libraries and some thirty others, knows only one of the
//! two forms of the empty password, and keeps keys in memory that nobody clears.

mod cipher;
mod kdf;
mod write;

use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::der::{self, DerError, DerReader, tag};

pub use write::{Pkcs12Protection, write_pkcs12};

/// The most rounds of key derivation: some seconds of work. OpenSSL and Windows use 2,000 to
/// 600,000.
const MAX_ITERATIONS: u32 = 2_000_000;
/// The most envelopes and bags in one file.
const MAX_BAGS: usize = 64;

/// The arc of PKCS#7 content types (1.2.840.113549.1.7), less its last number.
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];
/// The arc of bags (1.2.840.113549.1.12.10.1), less its last number.
const BAGS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];
/// x509Certificate inside a certificate bag.
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];

/// What was inside, in the file's order.
#[derive(Default)]
pub(super) struct Contents {
    /// Certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Private keys as PKCS#8 in DER.
    pub keys: Vec<Zeroizing<Vec<u8>>>,
}

/// Why a PKCS#12 file cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Pkcs12Error {
    /// Not the encoding that it should be.
    #[error("the PKCS#12 file is damaged ({0})")]
    Malformed(#[from] DerError),
    /// The password does not open it, or it was changed since.
    #[error("the password does not open the PKCS#12 file")]
    Password,
    /// The password is not text.
    #[error("the password is not UTF-8")]
    PasswordEncoding,
    /// An encryption or MAC that is not spoken here.
    #[error("the PKCS#12 file uses {0}, which is not supported")]
    Unsupported(String),
    /// More rounds of key derivation than anybody needs.
    #[error(
        "the PKCS#12 file asks for {0} rounds of key derivation; at most {MAX_ITERATIONS} are done"
    )]
    Iterations(u32),
    /// More bags than anybody has.
    #[error("the PKCS#12 file has more than {MAX_BAGS} parts")]
    TooManyBags,
}

/// A password in the two encodings that the file's parts use.
pub(super) struct Password {
    /// As PBES2 takes it: UTF-8.
    utf8: Zeroizing<Vec<u8>>,
    /// As RFC 7292 appendix B.1 takes it: UTF-16 with a final zero.
    utf16: Zeroizing<Vec<u8>>,
}

impl Password {
    /// From the bytes of a password file; one line end at the end is not part of it.
    pub fn new(bytes: &[u8]) -> Result<Password, Pkcs12Error> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| Pkcs12Error::PasswordEncoding)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        utf16.extend(text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        Ok(Password { utf8: Zeroizing::new(text.as_bytes().to_vec()), utf16 })
    }

    /// "No password" as some programs write it: without even the final zero.
    fn none() -> Password {
        Password { utf8: Zeroizing::default(), utf16: Zeroizing::default() }
    }
}

/// Whether bytes look like PKCS#12: version 3, then contents.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let mut outer = DerReader::new(bytes);
    outer.read(tag::SEQUENCE).is_ok_and(|body| {
        let mut body = DerReader::new(body);
        body.small_unsigned() == Ok(3) && body.peek() == Some(tag::SEQUENCE)
    })
}

/// Opens a file. An empty password is tried in both of its forms.
pub(super) fn open(bytes: &[u8], password: &Password) -> Result<Contents, Pkcs12Error> {
    match open_with(bytes, password) {
        Err(Pkcs12Error::Password) if password.utf8.is_empty() => {
            open_with(bytes, &Password::none())
        }
        opened => opened,
    }
}

/// Decrypts a private key by itself: EncryptedPrivateKeyInfo (RFC 5958 §3), which PKCS#12 has in
/// its bags. The form of `openssl pkcs8 -topk8` and `openssl genpkey -aes256`.
pub(super) fn decrypt_key(
    der: &[u8],
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (algorithm, encrypted) = DerReader::sequence_of(der, |reader| {
        Ok((reader.element(tag::SEQUENCE)?.whole, reader.read(tag::OCTET_STRING)?))
    })?;
    cipher::decrypt(algorithm, encrypted, password)
}

/// Whether bytes look like a private key that is encrypted by itself.
pub(super) fn is_encrypted_key(der: &[u8]) -> bool {
    let mut outer = DerReader::new(der);
    outer.read(tag::SEQUENCE).is_ok_and(|body| {
        let mut body = DerReader::new(body);
        body.read(tag::SEQUENCE).is_ok() && body.read(tag::OCTET_STRING).is_ok() && body.is_empty()
    })
}

fn open_with(bytes: &[u8], password: &Password) -> Result<Contents, Pkcs12Error> {
    let (safe, mac) = DerReader::sequence_of(bytes, |pfx| {
        pfx.small_unsigned()?;
        let safe = pfx.nested(tag::SEQUENCE, content_info)?;
        let mac = pfx.optional(tag::SEQUENCE)?;
        Ok((safe, mac))
    })?;
    let authenticated = plain_data(safe)?;
    if let Some(mac) = mac {
        check_mac(mac, authenticated, password)?;
    }
    let mut opened = OpenedPkcs12 { contents: Contents::default(), parts: 0, password };
    let mut safes = DerReader::new(DerReader::new(authenticated).read(tag::SEQUENCE)?);
    while !safes.is_empty() {
        opened.count()?;
        let info = safes.nested(tag::SEQUENCE, content_info)?;
        match info {
            Content { kind: 1, .. } => opened.bags(plain_data(info)?)?,
            Content { kind: 6, body } => opened.bags(&decrypt_data(body, password)?)?,
            Content { kind, .. } => {
                let what =
                    format!("contents of PKCS#7 type {kind} (for a certificate, not a password)");
                return Err(Pkcs12Error::Unsupported(what));
            }
        }
    }
    Ok(opened.contents)
}

/// A ContentInfo: the last number of its type, and what its explicit tag holds.
#[derive(Clone, Copy)]
struct Content<'a> {
    kind: u8,
    body: &'a [u8],
}

fn content_info<'a>(reader: &mut DerReader<'a>) -> Result<Content<'a>, DerError> {
    let kind = match reader.read(tag::OID)?.split_last() {
        Some((kind, PKCS7)) => *kind,
        _ => 0,
    };
    Ok(Content { kind, body: reader.read(tag::constructed(0))? })
}

/// The octets of contents of type data.
fn plain_data(content: Content<'_>) -> Result<&[u8], Pkcs12Error> {
    if content.kind != 1 {
        return Err(Pkcs12Error::Unsupported(format!("contents of PKCS#7 type {}", content.kind)));
    }
    let mut reader = DerReader::new(content.body);
    let octets = reader.read(tag::OCTET_STRING)?;
    reader.finish()?;
    Ok(octets)
}

/// The octets of contents of type encryptedData (RFC 5652 §8).
fn decrypt_data(body: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (algorithm, encrypted) = DerReader::sequence_of(body, |data| {
        data.small_unsigned()?;
        data.nested(tag::SEQUENCE, |info| {
            info.read(tag::OID)?;
            let algorithm = info.element(tag::SEQUENCE)?.whole;
            Ok((algorithm, info.read(tag::primitive(0))?))
        })
    })?;
    cipher::decrypt(algorithm, encrypted, password)
}

/// MacData (RFC 7292 §4).
fn check_mac(mac: &[u8], data: &[u8], password: &Password) -> Result<(), Pkcs12Error> {
    let mut reader = DerReader::new(mac);
    let (oid, expected) = reader.nested(tag::SEQUENCE, |info| {
        let oid = info.nested(tag::SEQUENCE, |algorithm| {
            let oid = algorithm.read(tag::OID)?;
            // NULL, or the parameters of PBMAC1, which is refused below by its name.
            if !algorithm.is_empty() {
                algorithm.any()?;
            }
            Ok(oid)
        })?;
        Ok((oid, info.read(tag::OCTET_STRING)?))
    })?;
    let salt = reader.read(tag::OCTET_STRING)?;
    let iterations = if reader.is_empty() { 1 } else { reader.small_unsigned()? };
    let (hash, mac) = match oid {
        [0x2b, 0x0e, 3, 2, 0x1a] => {
            (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
        }
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => (&digest::SHA256, hmac::HMAC_SHA256),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => (&digest::SHA384, hmac::HMAC_SHA384),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => (&digest::SHA512, hmac::HMAC_SHA512),
        other => {
            let what = format!("a MAC of algorithm {}", der::dotted(other));
            return Err(Pkcs12Error::Unsupported(what));
        }
    };
    let purpose = kdf::KdfPurpose::Mac;
    let iterations = bounded(iterations)?;
    let key = kdf::derive(hash, purpose, &password.utf16, salt, iterations, hash.output_len());
    let key = hmac::Key::new(mac, &key);
    hmac::verify(&key, data, expected).map_err(|_| Pkcs12Error::Password)
}

/// Refuses to work forever for a file.
fn bounded(iterations: u32) -> Result<u32, Pkcs12Error> {
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(Pkcs12Error::Iterations(iterations));
    }
    Ok(iterations)
}

/// What has been taken out so far.
struct OpenedPkcs12<'a> {
    contents: Contents,
    parts: usize,
    password: &'a Password,
}

impl OpenedPkcs12<'_> {
    fn count(&mut self) -> Result<(), Pkcs12Error> {
        self.parts += 1;
        if self.parts > MAX_BAGS { Err(Pkcs12Error::TooManyBags) } else { Ok(()) }
    }

    /// SafeContents (RFC 7292 §4.2).
    fn bags(&mut self, safe: &[u8]) -> Result<(), Pkcs12Error> {
        let mut bags = DerReader::new(DerReader::new(safe).read(tag::SEQUENCE)?);
        while !bags.is_empty() {
            self.count()?;
            let (oid, value) = bags.nested(tag::SEQUENCE, |bag| {
                let oid = bag.read(tag::OID)?;
                let value = bag.read(tag::constructed(0))?;
                bag.optional(tag::SET)?;
                Ok((oid, value))
            })?;
            match oid.split_last() {
                Some((1, BAGS)) => self.contents.keys.push(Zeroizing::new(value.to_vec())),
                Some((2, BAGS)) => self.shrouded_key(value)?,
                Some((3, BAGS)) => self.certificate(value)?,
                // CRLs, secrets and nested bags: nothing that a tunnel needs.
                _ => {}
            }
        }
        Ok(())
    }

    /// EncryptedPrivateKeyInfo (RFC 5958 §3).
    fn shrouded_key(&mut self, value: &[u8]) -> Result<(), Pkcs12Error> {
        let (algorithm, encrypted) = DerReader::sequence_of(value, |info| {
            Ok((info.element(tag::SEQUENCE)?.whole, info.read(tag::OCTET_STRING)?))
        })?;
        self.contents.keys.push(cipher::decrypt(algorithm, encrypted, self.password)?);
        Ok(())
    }

    /// CertBag (RFC 7292 §4.2.3).
    fn certificate(&mut self, value: &[u8]) -> Result<(), Pkcs12Error> {
        let (oid, octets) = DerReader::sequence_of(value, |bag| {
            let oid = bag.read(tag::OID)?;
            let octets = bag.nested(tag::constructed(0), |inner| inner.read(tag::OCTET_STRING))?;
            Ok((oid, octets))
        })?;
        if oid == X509_CERTIFICATE {
            self.contents.certificates.push(octets.to_vec());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
