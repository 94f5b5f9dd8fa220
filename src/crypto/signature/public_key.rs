//! Public keys as certificates carry them (RFC 5280 §4.1.2.7).

use ring::signature as ring_signature;

use super::{KeyError, KeyKind, RSA_MAX_VERIFYING_BITS, RSA_MIN_BITS, Scheme, VerifyError};
use crate::der::{self, DerError, DerFault, DerReader, tag};

/// rsaEncryption (RFC 8017 appendix C).
pub(super) const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// id-ecPublicKey (RFC 5480 §2.1.1).
pub(super) const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// id-Ed25519 (RFC 8410 §3).
pub(super) const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// secp256r1 (RFC 5480 §2.1.1.1).
pub(super) const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// secp384r1 (RFC 5480 §2.1.1.1).
pub(super) const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0, 0x22];

/// A public key of a kind that can verify. Its size may be below what verifying accepts: then
/// [`PublicKey::floor`] says so, and [`PublicKey::verify`] accepts nothing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PublicKey {
    kind: KeyKind,
    /// The octets of subjectPublicKey: RSAPublicKey, an uncompressed point, or 32 octets of
    /// Ed25519.
    octets: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo, whole.
    pub fn from_spki(spki: &[u8]) -> Result<PublicKey, KeyError> {
        let (algorithm, parameters, octets) = DerReader::sequence_of(spki, |reader| {
            let (algorithm, parameters) = algorithm_identifier(reader)?;
            Ok((algorithm, parameters, reader.bit_string()?))
        })?;
        let kind = match (algorithm, parameters) {
            // RFC 3279 §2.3.1 wants NULL; old software leaves it out.
            (OID_RSA, [] | [tag::NULL, 0]) => KeyKind::Rsa { bits: rsa_bits(octets)? },
            (OID_EC, parameters) => named_curve(parameters)?,
            (OID_ED25519, []) => KeyKind::Ed25519,
            (OID_RSA | OID_ED25519, odd) => {
                return Err(DerError { what: DerFault::Value, left: odd.len() }.into());
            }
            (other, _) => return Err(KeyError::Algorithm { oid: der::dotted(other) }),
        };
        Ok(PublicKey { kind, octets: octets.to_vec() })
    }

    /// A key from its kind and its octets, as [`PublicKey::octets`] gives them.
    pub fn from_octets(kind: KeyKind, octets: &[u8]) -> Result<PublicKey, KeyError> {
        match kind {
            KeyKind::Rsa { .. } => PublicKey::rsa(octets.to_vec()),
            other => Ok(PublicKey::new(other, octets.to_vec())),
        }
    }

    /// The octets of subjectPublicKey.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// An RSAPublicKey by itself.
    pub(super) fn rsa(octets: Vec<u8>) -> Result<PublicKey, KeyError> {
        Ok(PublicKey { kind: KeyKind::Rsa { bits: rsa_bits(&octets)? }, octets })
    }

    pub(super) fn new(kind: KeyKind, octets: Vec<u8>) -> PublicKey {
        PublicKey { kind, octets }
    }

    /// What kind of key it is, and how big.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The octets of subjectPublicKey, as a certificate carries them.
    pub fn as_octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether the key is of a size that may prove anything.
    pub fn floor(&self) -> Result<(), KeyError> {
        match self.kind {
            KeyKind::Rsa { bits } if !(RSA_MIN_BITS..=RSA_MAX_VERIFYING_BITS).contains(&bits) => {
                Err(KeyError::RsaSize { bits, min: RSA_MIN_BITS, max: RSA_MAX_VERIFYING_BITS })
            }
            _ => Ok(()),
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let algorithm =
            self.algorithm(scheme).ok_or(VerifyError::Unfit { scheme, key: self.kind })?;
        ring_signature::UnparsedPublicKey::new(algorithm, &self.octets)
            .verify(message, signature)
            .map_err(|_| VerifyError::Mismatch(scheme))
    }

    /// ring's name for a scheme with this kind of key. Its RSA names state the accepted sizes, so a
    /// small key fails.
    fn algorithm(
        &self,
        scheme: Scheme,
    ) -> Option<&'static dyn ring_signature::VerificationAlgorithm> {
        use KeyKind::{EcdsaP256, EcdsaP384, Ed25519, Rsa};
        Some(match (self.kind, scheme) {
            (Rsa { .. }, Scheme::RsaPkcs1Sha1) => {
                &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY
            }
            (Rsa { .. }, Scheme::RsaPkcs1Sha256) => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
            (Rsa { .. }, Scheme::RsaPkcs1Sha384) => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
            (Rsa { .. }, Scheme::RsaPkcs1Sha512) => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
            (Rsa { .. }, Scheme::RsaPssSha256) => &ring_signature::RSA_PSS_2048_8192_SHA256,
            (Rsa { .. }, Scheme::RsaPssSha384) => &ring_signature::RSA_PSS_2048_8192_SHA384,
            (Rsa { .. }, Scheme::RsaPssSha512) => &ring_signature::RSA_PSS_2048_8192_SHA512,
            (EcdsaP256, Scheme::EcdsaSha256) => &ring_signature::ECDSA_P256_SHA256_ASN1,
            (EcdsaP256, Scheme::EcdsaSha384) => &ring_signature::ECDSA_P256_SHA384_ASN1,
            (EcdsaP384, Scheme::EcdsaSha256) => &ring_signature::ECDSA_P384_SHA256_ASN1,
            (EcdsaP384, Scheme::EcdsaSha384) => &ring_signature::ECDSA_P384_SHA384_ASN1,
            (EcdsaP256, Scheme::EcdsaP256Sha256Fixed) => &ring_signature::ECDSA_P256_SHA256_FIXED,
            (EcdsaP384, Scheme::EcdsaP384Sha384Fixed) => &ring_signature::ECDSA_P384_SHA384_FIXED,
            (Ed25519, Scheme::Ed25519) => &ring_signature::ED25519,
            _ => return None,
        })
    }
}

/// An AlgorithmIdentifier's object identifier, and its parameters as they came (empty when absent).
pub(super) fn algorithm_identifier<'a>(
    reader: &mut DerReader<'a>,
) -> Result<(&'a [u8], &'a [u8]), DerError> {
    let mut inner = DerReader::new(reader.read(tag::SEQUENCE)?);
    let oid = inner.read(tag::OID)?;
    let parameters = inner.rest();
    if !inner.is_empty() {
        inner.any()?;
    }
    inner.finish()?;
    Ok((oid, parameters))
}

/// The kind of key by the parameters of its algorithm.
pub(super) fn named_curve(parameters: &[u8]) -> Result<KeyKind, KeyError> {
    let mut reader = DerReader::new(parameters);
    match reader.peek() {
        Some(tag::SEQUENCE) => Err(KeyError::ExplicitCurve),
        _ => curve(reader.read(tag::OID)?),
    }
}

/// The kind of key on a named curve.
fn curve(oid: &[u8]) -> Result<KeyKind, KeyError> {
    match oid {
        OID_P256 => Ok(KeyKind::EcdsaP256),
        OID_P384 => Ok(KeyKind::EcdsaP384),
        other => Err(KeyError::Curve { oid: der::dotted(other) }),
    }
}

/// Checks an RSAPublicKey (RFC 8017 appendix A.1.1) and counts the bits of its modulus.
fn rsa_bits(octets: &[u8]) -> Result<u32, KeyError> {
    let (modulus, exponent) =
        DerReader::sequence_of(octets, |reader| Ok((reader.unsigned()?, reader.unsigned()?)))?;
    rsa_exponent(exponent, 3)?;
    bits(modulus)
}

/// Bits of an odd modulus.
pub(super) fn bits(modulus: &[u8]) -> Result<u32, KeyError> {
    let odd = modulus.last().is_some_and(|last| last & 1 == 1);
    u32::try_from(modulus.len())
        .ok()
        .filter(|_| odd)
        .and_then(|octets| octets.checked_mul(8))
        .and_then(|bits| Some(bits - modulus.first()?.leading_zeros()))
        .ok_or(KeyError::Malformed(DerError { what: DerFault::Value, left: modulus.len() }))
}

/// Refuses public exponents that are even, below `least` or beyond the 33 bits that ring works
/// with.
pub(super) fn rsa_exponent(exponent: &[u8], least: u64) -> Result<(), KeyError> {
    let value = exponent.iter().try_fold(0_u64, |value, &octet| {
        value.checked_mul(256).map(|value| value | u64::from(octet))
    });
    match value {
        Some(value) if value >= least && value % 2 == 1 && value < 1 << 33 => Ok(()),
        _ => Err(KeyError::RsaExponent),
    }
}
