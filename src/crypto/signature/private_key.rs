//! Private keys as files carry them: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 appendix A.1.2), SEC1 (RFC
//! 5915).
//!
//! What this tree holds of a key (file bytes, the exponent of `rsa_sha1.rs`) is cleared when
//! dropped. ring keeps its own copy for as long as the [`PrivateKey`] lives and has no way to clear
//! it: a core dump of the process may hold it.

use std::fmt;

use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    self as ring_signature, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::key_store::RemoteKey;
use super::public_key::{
    OID_EC, OID_ED25519, OID_RSA, PublicKey, algorithm_identifier, bits, named_curve, rsa_exponent,
};
use super::rsa_sha1::Exponent;
use super::{KeyError, KeyKind, RSA_MAX_SIGNING_BITS, RSA_MIN_BITS, Scheme, SignError};
use crate::crypto::secret;
use crate::der::{self, DerError, DerFault, DerReader, tag};
use crate::sys::random::SystemRng;

/// A private key that can sign.
///
/// Signing draws salts and nonces from the operating system: ring takes no other source than its
/// own, so this is one of the few places where randomness does not come in as a value.
pub struct PrivateKey {
    secret: PrivateKeyKind,
    public: PublicKey,
    rng: SystemRng,
}

enum PrivateKeyKind {
    Rsa {
        pair: Box<RsaKeyPair>,
        exponent: Exponent,
    },
    /// Signs as r and s side by side; the DER form is made from that.
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// Held by a signer in another process.
    Remote(RemoteKey),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.kind())
    }
}

impl PrivateKey {
    /// Reads a key in DER to sign with the key in this process: PKCS#8, PKCS#1 or SEC1, told apart
    /// by their second element and not by a file's name. Where a file may hold a key of the
    /// service, read the key with [`super::KeyStore::read`].
    pub fn from_der(der: &[u8]) -> Result<PrivateKey, KeyError> {
        let mut outer = DerReader::new(der);
        let mut reader = DerReader::new(outer.read(tag::SEQUENCE)?);
        outer.finish()?;
        if reader.peek() == Some(tag::SEQUENCE) {
            // EncryptedPrivateKeyInfo starts with its algorithm, everything else with a version.
            return Err(KeyError::Encrypted);
        }
        let version = reader.small_unsigned()?;
        match reader.peek() {
            Some(tag::SEQUENCE) => from_pkcs8(version, reader),
            Some(tag::OCTET_STRING) => from_sec1(reader, None),
            _ => from_pkcs1(version, reader),
        }
    }

    /// A key that a signer holds, with its public half here.
    pub(super) fn remote(key: RemoteKey, public: PublicKey) -> PrivateKey {
        PrivateKey { secret: PrivateKeyKind::Remote(key), public, rng: SystemRng::default() }
    }

    /// The kind and the size of the key.
    pub fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    /// The public half of the key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` with this key. A signature by RSA or by a signer is verified with the public
    /// half before the signature is returned.
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unfit = SignError::Unfit { scheme, key: self.kind() };
        let failed = SignError::Failed(scheme);
        match (&self.secret, scheme) {
            (PrivateKeyKind::Rsa { exponent, .. }, Scheme::RsaPkcs1Sha1) => {
                let signature = exponent.sign(message).ok_or(failed)?;
                self.public.verify(scheme, message, &signature).map_err(|_| failed)?;
                Ok(signature)
            }
            (PrivateKeyKind::Rsa { pair, .. }, _) => {
                let encoding = rsa_encoding(scheme).ok_or(unfit)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                // ring checks the result with the public exponent before it gives it out.
                pair.sign(encoding, self.rng.as_ring(), message, &mut signature)
                    .map_err(|_| failed)?;
                Ok(signature)
            }
            (PrivateKeyKind::Ecdsa(pair), _) => {
                let der = match (self.kind(), scheme) {
                    (KeyKind::EcdsaP256, Scheme::EcdsaSha256)
                    | (KeyKind::EcdsaP384, Scheme::EcdsaSha384) => true,
                    (KeyKind::EcdsaP256, Scheme::EcdsaP256Sha256Fixed)
                    | (KeyKind::EcdsaP384, Scheme::EcdsaP384Sha384Fixed) => false,
                    _ => return Err(unfit),
                };
                let fixed = pair.sign(self.rng.as_ring(), message).map_err(|_| failed)?;
                Ok(if der { ecdsa_der(fixed.as_ref()) } else { fixed.as_ref().to_vec() })
            }
            (PrivateKeyKind::Ed25519(pair), Scheme::Ed25519) => {
                Ok(pair.sign(message).as_ref().to_vec())
            }
            (PrivateKeyKind::Ed25519(_), _) => Err(unfit),
            (PrivateKeyKind::Remote(key), _) => {
                let signature = key.sign(scheme, message)?;
                // A signature over another message, or with another key, must not leave.
                self.public.verify(scheme, message, &signature).map_err(|_| failed)?;
                Ok(signature)
            }
        }
    }
}

/// A key in DER as PKCS#8, the one form that Key Vault takes: what is PKCS#1 or SEC1 gets the
/// envelope (RFC 5958 §2).
pub fn to_pkcs8(der: &[u8]) -> Result<secret::Secret, KeyError> {
    let mut outer = DerReader::new(der);
    let mut reader = DerReader::new(outer.read(tag::SEQUENCE)?);
    outer.finish()?;
    reader.small_unsigned()?;
    let algorithm = match reader.peek() {
        Some(tag::SEQUENCE) => return Ok(secret::Secret::copy_of(der)),
        Some(tag::OCTET_STRING) => {
            reader.any()?;
            // Without its curve inside, a key in SEC1 form is not known to be on any.
            let curve = reader.read(tag::constructed(0))?;
            [der::encode(tag::OID, OID_EC), curve.to_vec()].concat()
        }
        _ => [der::encode(tag::OID, OID_RSA), der::encode(tag::NULL, &[])].concat(),
    };
    let key = Zeroizing::new(der::encode(tag::OCTET_STRING, der));
    let version = der::encode_unsigned(&[0]);
    let algorithm = der::encode(tag::SEQUENCE, &algorithm);
    let body = Zeroizing::new([&version[..], &algorithm, &key].concat());
    Ok(secret::Secret::new(der::encode(tag::SEQUENCE, &body)))
}

/// PrivateKeyInfo or OneAsymmetricKey (RFC 5958 §2), after its version.
fn from_pkcs8(version: u32, mut reader: DerReader<'_>) -> Result<PrivateKey, KeyError> {
    if version > 1 {
        return Err(reader.fault(DerFault::Value).into());
    }
    let (algorithm, parameters) = algorithm_identifier(&mut reader)?;
    let key = reader.read(tag::OCTET_STRING)?;
    // Attributes and the public key that may follow add nothing that is not in the key itself.
    match algorithm {
        OID_RSA => {
            let mut inner = DerReader::new(key);
            let mut body = DerReader::new(inner.read(tag::SEQUENCE)?);
            inner.finish()?;
            let version = body.small_unsigned()?;
            from_pkcs1(version, body)
        }
        OID_EC => {
            let kind = named_curve(parameters)?;
            let mut inner = DerReader::new(key);
            let mut body = DerReader::new(inner.read(tag::SEQUENCE)?);
            inner.finish()?;
            body.small_unsigned()?;
            from_sec1(body, Some(kind))
        }
        OID_ED25519 => {
            let seed = DerReader::new(key).read(tag::OCTET_STRING)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed)
                .map_err(|error| KeyError::Inconsistent(error.to_string()))?;
            let public = PublicKey::new(KeyKind::Ed25519, pair.public_key().as_ref().to_vec());
            Ok(PrivateKey {
                secret: PrivateKeyKind::Ed25519(pair),
                public,
                rng: SystemRng::default(),
            })
        }
        other => Err(KeyError::Algorithm { oid: der::dotted(other) }),
    }
}

/// RSAPrivateKey, after its version.
fn from_pkcs1(version: u32, mut reader: DerReader<'_>) -> Result<PrivateKey, KeyError> {
    if version != 0 {
        return Err(KeyError::Inconsistent("more than two primes".to_owned()));
    }
    let [n, e, d, p, q, dp, dq, qinv] = unsigned_integers(&mut reader)?;
    reader.finish()?;
    let bits = bits(n)?;
    if !(RSA_MIN_BITS..=RSA_MAX_SIGNING_BITS).contains(&bits) {
        return Err(KeyError::RsaSize { bits, min: RSA_MIN_BITS, max: RSA_MAX_SIGNING_BITS });
    }
    if bits % 512 != 0 {
        return Err(KeyError::RsaSteps { bits });
    }
    // ring verifies with smaller exponents but does not sign under them (FIPS 186-5 §5.1).
    rsa_exponent(e, 65_537)?;
    let public = [der::encode_unsigned(n), der::encode_unsigned(e)].concat();
    // Reading it back applies the rules for public keys, the exponent's among them.
    let public = PublicKey::rsa(der::encode(tag::SEQUENCE, &public))?;
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: dp,
        dQ: dq,
        qInv: qinv,
    };
    let pair = RsaKeyPair::from_components(&components)
        .map_err(|error| KeyError::Inconsistent(error.to_string()))?;
    let exponent =
        Exponent::new(n, d).ok_or_else(|| KeyError::Inconsistent("private exponent".to_owned()))?;
    let secret = PrivateKeyKind::Rsa { pair: Box::new(pair), exponent };
    Ok(PrivateKey { secret, public, rng: SystemRng::default() })
}

/// ECPrivateKey (RFC 5915 §3), after its version. The curve comes from PKCS#8 around it, or from
/// inside.
fn from_sec1(mut reader: DerReader<'_>, outer: Option<KeyKind>) -> Result<PrivateKey, KeyError> {
    let scalar = reader.read(tag::OCTET_STRING)?;
    let inner = match reader.optional(tag::constructed(0))? {
        Some(parameters) => Some(named_curve(parameters)?),
        None => None,
    };
    let kind = outer.or(inner).ok_or_else(|| reader.fault(DerFault::Value))?;
    let public = reader.optional(tag::constructed(1))?.ok_or(KeyError::PublicHalfMissing)?;
    let point = DerReader::new(public).bit_string()?;
    let algorithm = match kind {
        KeyKind::EcdsaP256 => &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        _ => &ring_signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    };
    let rng = SystemRng::default();
    // ring derives the point from the scalar and compares, so the halves belong together.
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point, rng.as_ring())
            .map_err(|error| KeyError::Inconsistent(error.to_string()))?;
    let public = PublicKey::new(kind, point.to_vec());
    Ok(PrivateKey { secret: PrivateKeyKind::Ecdsa(pair), public, rng })
}

fn unsigned_integers<'a, const N: usize>(
    reader: &mut DerReader<'a>,
) -> Result<[&'a [u8]; N], DerError> {
    let mut out: [&[u8]; N] = [&[]; N];
    for slot in &mut out {
        *slot = reader.unsigned()?;
    }
    Ok(out)
}

/// ring's name for the padding of an RSA scheme; none for SHA-1.
fn rsa_encoding(scheme: Scheme) -> Option<&'static dyn RsaEncoding> {
    Some(match scheme {
        Scheme::RsaPkcs1Sha256 => &ring_signature::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1Sha384 => &ring_signature::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1Sha512 => &ring_signature::RSA_PKCS1_SHA512,
        Scheme::RsaPssSha256 => &ring_signature::RSA_PSS_SHA256,
        Scheme::RsaPssSha384 => &ring_signature::RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => &ring_signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

/// ECDSA-Sig-Value (RFC 3279 §2.2.3) from r and s side by side.
fn ecdsa_der(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    der::encode(tag::SEQUENCE, &[der::encode_unsigned(r), der::encode_unsigned(s)].concat())
}
