//! Signatures: the keys that prove the identity of an IKE peer, and the schemes for AUTH payloads.
//!
//! | file | what lives there |
//! |---|---|
//! | [`key_store`] | [`KeyStore`]: the place for keys: this or the signing process |
//! | `private_key.rs` | [`PrivateKey`]: loaded from PKCS#8, PKCS#1 or SEC1, signs |
//! | `public_key.rs` | [`PublicKey`]: read from a SubjectPublicKeyInfo, verifies |
//! | [`rsa_key`] | generation of RSA keys |
//! | `rsa_sha1.rs` | the one private operation that ring does not offer |
//! | `attacks.rs` | known attacks on signatures as test vectors |
//!
//! ring signs and verifies everything but one thing: it makes no RSA signature over SHA-1, which
//! AUTH method 1 needs towards every peer that does not announce RFC 7427 (Azure's gateways do
//! not). `rsa_sha1.rs` argues how that is done.
//!
//! Sizes: RSA keys below 2048 bits are refused everywhere. ring signs with 2048 to 4096 bits (in
//! steps of 512) and verifies up to 8192.

#[cfg(test)]
mod attacks;
pub mod key_store;
mod private_key;
mod public_key;
pub mod rsa_key;
mod rsa_sha1;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::der::DerError;
use crate::wire::codes::HashId;

pub use key_store::{KeyStore, Signer};
pub use private_key::{PrivateKey, to_pkcs8};
pub use public_key::PublicKey;

/// The smallest RSA modulus accepted, in bits.
pub const RSA_MIN_BITS: u32 = 2048;
/// The largest RSA modulus that can sign, in bits.
pub const RSA_MAX_SIGNING_BITS: u32 = 4096;
/// The largest RSA modulus that can be verified with, in bits.
pub const RSA_MAX_VERIFYING_BITS: u32 = 8192;

/// The kind of a key, with its size.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyKind {
    /// RSA with a modulus of this many bits.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa { bits } => write!(f, "RSA {bits}"),
            KeyKind::EcdsaP256 => f.write_str("ECDSA P-256"),
            KeyKind::EcdsaP384 => f.write_str("ECDSA P-384"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// A signature scheme: hash, padding, and encoding of the signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 over SHA-1: AUTH method 1 (RFC 7296 §3.8), the form that all peers know.
    RsaPkcs1Sha1,
    /// RSASSA-PKCS1-v1_5 over SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 over SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 over SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS over SHA-256, MGF1 with the same hash, a salt of 32 octets.
    RsaPssSha256,
    /// RSASSA-PSS over SHA-384, MGF1 with the same hash, a salt of 48 octets.
    RsaPssSha384,
    /// RSASSA-PSS over SHA-512, MGF1 with the same hash, a salt of 64 octets.
    RsaPssSha512,
    /// ECDSA over SHA-256, the signature as DER (RFC 7427). P-256; P-384 verifies only.
    EcdsaSha256,
    /// ECDSA over SHA-384, the signature as DER (RFC 7427). P-384; P-256 verifies only.
    EcdsaSha384,
    /// ECDSA on P-256 over SHA-256, the signature as r and s side by side (RFC 4754: AUTH method
    /// 9).
    EcdsaP256Sha256Fixed,
    /// ECDSA on P-384 over SHA-384, the signature as r and s side by side (RFC 4754: AUTH method
    /// 10).
    EcdsaP384Sha384Fixed,
    /// Ed25519, which hashes by itself (RFC 8420).
    Ed25519,
}

impl Scheme {
    /// Every scheme, in order.
    pub const ALL: [Scheme; 12] = [
        Scheme::RsaPkcs1Sha1,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
        Scheme::RsaPssSha256,
        Scheme::RsaPssSha384,
        Scheme::RsaPssSha512,
        Scheme::EcdsaSha256,
        Scheme::EcdsaSha384,
        Scheme::EcdsaP256Sha256Fixed,
        Scheme::EcdsaP384Sha384Fixed,
        Scheme::Ed25519,
    ];

    /// The hash of the scheme, in the numbers of RFC 7427 and RFC 8420.
    pub fn hash(self) -> HashId {
        match self {
            Scheme::RsaPkcs1Sha1 => HashId::Sha1,
            Scheme::RsaPkcs1Sha256
            | Scheme::RsaPssSha256
            | Scheme::EcdsaSha256
            | Scheme::EcdsaP256Sha256Fixed => HashId::Sha2_256,
            Scheme::RsaPkcs1Sha384
            | Scheme::RsaPssSha384
            | Scheme::EcdsaSha384
            | Scheme::EcdsaP384Sha384Fixed => HashId::Sha2_384,
            Scheme::RsaPkcs1Sha512 | Scheme::RsaPssSha512 => HashId::Sha2_512,
            Scheme::Ed25519 => HashId::Identity,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::RsaPkcs1Sha1 => "RSA PKCS#1 v1.5 with SHA-1",
            Scheme::RsaPkcs1Sha256 => "RSA PKCS#1 v1.5 with SHA-256",
            Scheme::RsaPkcs1Sha384 => "RSA PKCS#1 v1.5 with SHA-384",
            Scheme::RsaPkcs1Sha512 => "RSA PKCS#1 v1.5 with SHA-512",
            Scheme::RsaPssSha256 => "RSA PSS with SHA-256",
            Scheme::RsaPssSha384 => "RSA PSS with SHA-384",
            Scheme::RsaPssSha512 => "RSA PSS with SHA-512",
            Scheme::EcdsaSha256 => "ECDSA with SHA-256",
            Scheme::EcdsaSha384 => "ECDSA with SHA-384",
            Scheme::EcdsaP256Sha256Fixed => "ECDSA P-256 with SHA-256 (r and s)",
            Scheme::EcdsaP384Sha384Fixed => "ECDSA P-384 with SHA-384 (r and s)",
            Scheme::Ed25519 => "Ed25519",
        })
    }
}

/// Why a key cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Octets that are no key in DER.
    #[error("the key is damaged ({0})")]
    Malformed(#[from] DerError),
    /// A private key that is encrypted, where no password is given.
    #[error("the private key is encrypted")]
    Encrypted,
    /// Neither RSA, ECDSA nor Ed25519.
    #[error(
        "the key's algorithm {oid} is not supported; RSA, ECDSA on P-256 or P-384 and Ed25519 are"
    )]
    Algorithm {
        /// The algorithm's object identifier.
        oid: String,
    },
    /// An elliptic curve other than P-256 and P-384.
    #[error("the key's curve {oid} is not supported; P-256 and P-384 are")]
    Curve {
        /// The curve's object identifier.
        oid: String,
    },
    /// An elliptic curve that is spelt out instead of named (RFC 5480 §2.1.1 forbids that).
    #[error("the key spells its curve out (explicit parameters); only named curves are read")]
    ExplicitCurve,
    /// An RSA modulus outside the bounds.
    #[error("the RSA key has {bits} bits; {min} to {max} are supported")]
    RsaSize {
        /// Bits of this key's modulus.
        bits: u32,
        /// The fewest bits accepted.
        min: u32,
        /// The most bits accepted.
        max: u32,
    },
    /// An RSA modulus whose size ring cannot sign with.
    #[error("the RSA key has {bits} bits; a private key's size must be a multiple of 512")]
    RsaSteps {
        /// Bits of this key's modulus.
        bits: u32,
    },
    /// An RSA public exponent that is even, tiny or huge.
    #[error("the RSA key's public exponent is unsound; 65537 is the usual one")]
    RsaExponent,
    /// An elliptic-curve private key that came without its public half.
    #[error("the key file lacks the public half of the elliptic-curve key")]
    PublicHalfMissing,
    /// A sound key that the signing process did not take over.
    #[error("the process that keeps the private keys did not take the key over")]
    NotKept,
    /// What the signing process found wrong with a key, in its words.
    #[error("{found}")]
    Refused {
        /// The error.
        found: String,
        /// What the operator can do about the error.
        remedy: String,
    },
    /// The parts of a private key contradict each other.
    #[error("the parts of the private key do not belong together ({0})")]
    Inconsistent(String),
}

impl KeyError {
    /// What the operator can do about the error.
    pub fn remedy(&self) -> &str {
        match self {
            KeyError::Refused { remedy, .. } => remedy,
            KeyError::Malformed(_) | KeyError::Inconsistent(_) => {
                "export the key again from where it was made"
            }
            KeyError::Encrypted => {
                "name a file with its password, or decrypt it once with `openssl pkey -in KEY -out \
                 PLAIN` and keep the file private"
            }
            KeyError::Algorithm { .. } | KeyError::Curve { .. } | KeyError::RsaExponent => {
                "make a new key, RSA 2048 for an Azure gateway, and a certificate for it"
            }
            KeyError::ExplicitCurve => {
                "have it named with `openssl ec -in KEY -param_enc named_curve -out NEW`, and a \
                 certificate made for the new file: one that spells the curve out is refused too"
            }
            KeyError::RsaSize { .. } | KeyError::RsaSteps { .. } => {
                "make a new RSA key of 2048, 3072 or 4096 bits and a certificate for it"
            }
            KeyError::PublicHalfMissing => {
                "rewrite it with `openssl pkey -in KEY -out NEW`, which adds the public half"
            }
            KeyError::NotKept => {
                "restart the service, which starts that process anew (systemctl restart s2sd)"
            }
        }
    }
}

/// Why no signature was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// A scheme for another kind of key.
    #[error("{scheme} cannot be made with a key of kind {key}")]
    Unfit {
        /// The scheme that was asked for.
        scheme: Scheme,
        /// The key at hand.
        key: KeyKind,
    },
    /// The signature did not verify with its own public key, or randomness failed. No signature
    /// left the process.
    #[error("making {0} failed its own check: the private key is damaged")]
    Failed(Scheme),
    /// The process that keeps the key does not answer.
    #[error("the process that keeps the private key is gone: restart s2sd")]
    Gone,
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// A scheme for another kind of key.
    #[error("{scheme} cannot be verified with a key of kind {key}")]
    Unfit {
        /// The scheme that was asked for.
        scheme: Scheme,
        /// The key at hand.
        key: KeyKind,
    },
    /// The signature is not by this key over this message.
    #[error("{0} does not verify")]
    Mismatch(Scheme),
}
