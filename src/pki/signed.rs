//! The outer shape that certificates and CRLs share: what is signed, how, and the signature (RFC
//! 5280 §4.1, §5.1).

use super::algorithm::{self, AlgorithmError};
use crate::crypto::signature::{PublicKey, Scheme};
use crate::der::{DerError, DerReader, tag};

/// A certificate or CRL taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// The octets under the signature.
    pub body: &'a [u8],
    /// The AlgorithmIdentifier, whole.
    pub algorithm: &'a [u8],
    /// The octets of the signature.
    pub signature: &'a [u8],
}

/// Why the signature on a certificate or CRL does not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum SignatureFault {
    /// The algorithm is broken.
    Weak(Scheme),
    /// The algorithm is not supported.
    Algorithm(AlgorithmError),
    /// Another key made the signature, or the signed octets were changed.
    Mismatch,
}

impl<'a> Signed<'a> {
    pub fn read(der: &'a [u8]) -> Result<Signed<'a>, DerError> {
        DerReader::sequence_of(der, |reader| {
            let body = reader.element(tag::SEQUENCE)?.whole;
            let algorithm = reader.element(tag::SEQUENCE)?.whole;
            Ok(Signed { body, algorithm, signature: reader.bit_string()? })
        })
    }

    /// Whether `key` made the signature, with an algorithm that still proves something. SHA-1 does
    /// not: a certificate can be prepared for a collision long before it is used.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureFault> {
        let scheme = algorithm::scheme(self.algorithm).map_err(SignatureFault::Algorithm)?;
        if scheme == Scheme::RsaPkcs1Sha1 {
            return Err(SignatureFault::Weak(scheme));
        }
        key.verify(scheme, self.body, self.signature).map_err(|_| SignatureFault::Mismatch)
    }
}
