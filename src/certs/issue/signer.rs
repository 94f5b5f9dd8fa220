//! Our private key as rcgen takes one: whatever form it was read from, and without another copy of
//! it.

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::crypto::signature::{KeyKind, PrivateKey, PublicKey, Scheme};

/// A key that signs certificates.
pub(crate) struct CertificateSigner<'a>(pub &'a PrivateKey);

/// A key that a certificate is about.
pub(crate) struct Subject<'a>(pub &'a PublicKey);

impl SigningKey for CertificateSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let (scheme, _) = algorithm(self.0.kind());
        // Every kind of key here has its scheme, and ring's only failure left is one of the
        // machine.
        self.0.sign(scheme, message).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

impl PublicKeyData for CertificateSigner<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_octets()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm(self.0.kind()).1
    }
}

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_octets()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        algorithm(self.0.kind()).1
    }
}

fn algorithm(kind: KeyKind) -> (Scheme, &'static SignatureAlgorithm) {
    match kind {
        KeyKind::Rsa { .. } => (Scheme::RsaPkcs1Sha256, &rcgen::PKCS_RSA_SHA256),
        KeyKind::EcdsaP256 => (Scheme::EcdsaSha256, &rcgen::PKCS_ECDSA_P256_SHA256),
        KeyKind::EcdsaP384 => (Scheme::EcdsaSha384, &rcgen::PKCS_ECDSA_P384_SHA384),
        KeyKind::Ed25519 => (Scheme::Ed25519, &rcgen::PKCS_ED25519),
    }
}
