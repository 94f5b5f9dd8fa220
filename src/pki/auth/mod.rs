//! The AUTH payload of a peer with a certificate: what to sign with, how to write it down, what to
//! accept (RFC 7296 §2.15 and §3.8, RFC 4754, RFC 7427, RFC 8420).
//!
//! ```text
//!   announced by the peer          our key       method  signature
//!   nothing                        RSA           1       PKCS#1 v1.5 over SHA-1 (configurable)
//!   nothing                        P-256, P-384  9, 10   r and s side by side
//!   SIGNATURE_HASH_ALGORITHMS      RSA           14      PKCS#1 v1.5 over SHA-256 .. 512 (or PSS)
//!   SIGNATURE_HASH_ALGORITHMS      P-256, P-384  14      DER
//!   SIGNATURE_HASH_ALGORITHMS      Ed25519       14      Ed25519
//! ```
//!
//! **Method 1** says nothing about its hash. RFC 7296 suggests SHA-1 and every peer that stops at
//! method 1 (Windows and Azure among them) checks for just that, so SHA-1 is what goes out. Coming
//! in, any DigestInfo of SHA-1, 256, 384 or 512 is accepted: ring compares whole paddings, so each
//! is tried in turn, at 30 microseconds a try with RSA 2048.
//!
//! **PKCS#1 or PSS.** Peers announce hashes but not paddings. PKCS#1 v1.5 is what everybody
//! verifies; PSS is for those who must have it.
//!
//! **SHA-1** here is no collision target as in a certificate: the signed octets hold a nonce of the
//! verifier. Whether it is accepted under method 1 is [`Sha1Policy`]. Under method 14 it never is:
//! a peer signs with a hash that was announced to it (RFC 7427 §4), and SHA-1 is not in
//! [`ANNOUNCED`].

use super::algorithm::{self, AlgorithmError};
use super::path::ValidPath;
use super::refusal::TrustRefusal;
use crate::crypto::signature::{KeyKind, PrivateKey, PublicKey, Scheme, SignError, VerifyError};
use crate::wire::codes::{AuthMethod, HashId};

/// Whether a peer may prove itself with a signature over SHA-1 under method 1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sha1Policy {
    /// SHA-1 is accepted: peers without RFC 7427 have no other hash.
    #[default]
    Accept,
    /// SHA-1 is refused.
    Refuse,
}

/// The hash of our own RSA signatures under method 1, which does not name the hash.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Method1Hash {
    /// SHA-1, which peers without RFC 7427 check for.
    #[default]
    Sha1,
    /// SHA-256, for a peer that is known to check for it.
    Sha256,
    /// SHA-384, for a peer that is known to check for it.
    Sha384,
    /// SHA-512, for a peer that is known to check for it.
    Sha512,
}

/// The padding of our own RSA signatures under method 14.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RsaPadding {
    /// The padding RSASSA-PKCS1-v1_5, which every peer verifies.
    #[default]
    Pkcs1,
    /// The padding RSASSA-PSS, for peers that demand it.
    Pss,
}

/// Whether RFC 7427 signatures are announced, sent and accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DigitalSignatures {
    /// RFC 7427 is used with peers that announce it too.
    #[default]
    Speak,
    /// RFC 7427 is not used, for a peer that implements it wrongly.
    Refuse,
}

/// What a connection sends and accepts as AUTH.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AuthPolicy {
    /// Whether method 14 is used.
    pub digital_signatures: DigitalSignatures,
    /// Whether the peer may sign over SHA-1.
    pub sha1: Sha1Policy,
    /// The hash of our signatures under method 1.
    pub method1_hash: Method1Hash,
    /// The padding of our RSA signatures under method 14.
    pub padding: RsaPadding,
}

/// The hashes that we announce in SIGNATURE_HASH_ALGORITHMS. SHA-1 is not among them (RFC 8247
/// §3.2).
pub const ANNOUNCED: [HashId; 4] =
    [HashId::Sha2_256, HashId::Sha2_384, HashId::Sha2_512, HashId::Identity];

/// The method and scheme of our signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignatureChoice {
    /// The method field of the AUTH payload.
    pub method: AuthMethod,
    /// The scheme of the signature in the payload.
    pub scheme: Scheme,
}

/// Chooses by our key and by the hashes that the peer announced; `None` when it sent no
/// SIGNATURE_HASH_ALGORITHMS.
pub fn choose(
    key: KeyKind,
    announced: Option<&[HashId]>,
    policy: &AuthPolicy,
) -> Result<SignatureChoice, TrustRefusal> {
    let announced = match policy.digital_signatures {
        DigitalSignatures::Speak => announced.unwrap_or_default(),
        DigitalSignatures::Refuse => &[],
    };
    let modern = preferred(key, policy.padding)
        .iter()
        .find(|scheme| announced.contains(&scheme.hash()))
        .map(|&scheme| SignatureChoice { method: AuthMethod::DigitalSignature, scheme });
    modern.or_else(|| legacy(key, policy.method1_hash)).ok_or_else(|| {
        let announced = announced.iter().map(HashId::to_string).collect::<Vec<_>>().join(", ");
        TrustRefusal::general(AuthReason::NoCommonHash { key, announced })
    })
}

/// The schemes of method 14 for a key, the best first.
fn preferred(key: KeyKind, padding: RsaPadding) -> &'static [Scheme] {
    match (key, padding) {
        (KeyKind::Rsa { .. }, RsaPadding::Pkcs1) => {
            &[Scheme::RsaPkcs1Sha256, Scheme::RsaPkcs1Sha384, Scheme::RsaPkcs1Sha512]
        }
        (KeyKind::Rsa { .. }, RsaPadding::Pss) => {
            &[Scheme::RsaPssSha256, Scheme::RsaPssSha384, Scheme::RsaPssSha512]
        }
        (KeyKind::EcdsaP256, _) => &[Scheme::EcdsaSha256],
        (KeyKind::EcdsaP384, _) => &[Scheme::EcdsaSha384],
        (KeyKind::Ed25519, _) => &[Scheme::Ed25519],
    }
}

/// What serves when method 14 does not; Ed25519 has nothing older.
fn legacy(key: KeyKind, hash: Method1Hash) -> Option<SignatureChoice> {
    let (method, scheme) = match (key, hash) {
        (KeyKind::Rsa { .. }, Method1Hash::Sha1) => {
            (AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha1)
        }
        (KeyKind::Rsa { .. }, Method1Hash::Sha256) => {
            (AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha256)
        }
        (KeyKind::Rsa { .. }, Method1Hash::Sha384) => {
            (AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha384)
        }
        (KeyKind::Rsa { .. }, Method1Hash::Sha512) => {
            (AuthMethod::RsaSignature, Scheme::RsaPkcs1Sha512)
        }
        (KeyKind::EcdsaP256, _) => (AuthMethod::EcdsaSha256P256, Scheme::EcdsaP256Sha256Fixed),
        (KeyKind::EcdsaP384, _) => (AuthMethod::EcdsaSha384P384, Scheme::EcdsaP384Sha384Fixed),
        (KeyKind::Ed25519, _) => return None,
    };
    Some(SignatureChoice { method, scheme })
}

/// The authentication data of our AUTH payload over the octets of RFC 7296 §2.15, given in pieces.
pub fn sign(
    key: &PrivateKey,
    choice: SignatureChoice,
    octets: &[&[u8]],
) -> Result<Vec<u8>, TrustRefusal> {
    let signature = key
        .sign(choice.scheme, &octets.concat())
        .map_err(|error| TrustRefusal::general(AuthReason::Sign(error)))?;
    if choice.method != AuthMethod::DigitalSignature {
        return Ok(signature);
    }
    // RFC 7427 §3: one octet of length, the AlgorithmIdentifier, the signature.
    let unfit = SignError::Unfit { scheme: choice.scheme, key: key.kind() };
    let identifier = algorithm::identifier(choice.scheme)
        .ok_or_else(|| TrustRefusal::general(AuthReason::Sign(unfit)))?;
    let length = u8::try_from(identifier.len()).expect("the longest identifier has 67 octets");
    Ok([&[length][..], &identifier, &signature].concat())
}

/// Checks the peer's AUTH payload with the key of its validated certificate. Answers with the
/// scheme it used.
pub fn verify(
    path: &ValidPath,
    method: AuthMethod,
    data: &[u8],
    octets: &[&[u8]],
    policy: &AuthPolicy,
) -> Result<Scheme, TrustRefusal> {
    let leaf = path.leaf();
    let checked = match leaf.public_key() {
        Ok(key) => verify_with(key, method, data, octets, policy),
        Err(_) => Err(AuthReason::Method(method)),
    };
    checked.map_err(|reason| TrustRefusal::of(leaf, reason))
}

/// The same with a bare key.
pub fn verify_with(
    key: &PublicKey,
    method: AuthMethod,
    data: &[u8],
    octets: &[&[u8]],
    policy: &AuthPolicy,
) -> Result<Scheme, AuthReason> {
    let octets = octets.concat();
    match method {
        AuthMethod::RsaSignature => verify_method_1(key, data, &octets, policy.sha1),
        AuthMethod::EcdsaSha256P256 => {
            verify_scheme(key, method, Scheme::EcdsaP256Sha256Fixed, &octets, data)
        }
        AuthMethod::EcdsaSha384P384 => {
            verify_scheme(key, method, Scheme::EcdsaP384Sha384Fixed, &octets, data)
        }
        AuthMethod::DigitalSignature if policy.digital_signatures == DigitalSignatures::Speak => {
            let (identifier, signature) = split(data).ok_or(AuthReason::Truncated)?;
            let scheme = algorithm::scheme(identifier)?;
            if !ANNOUNCED.contains(&scheme.hash()) {
                return Err(AuthReason::NotAnnounced(scheme.hash()));
            }
            verify_scheme(key, method, scheme, &octets, signature)
        }
        other => Err(AuthReason::Method(other)),
    }
}

/// The identifier and the signature of a method 14 payload (RFC 7427 §3).
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(length))
}

fn verify_method_1(
    key: &PublicKey,
    signature: &[u8],
    octets: &[u8],
    sha1: Sha1Policy,
) -> Result<Scheme, AuthReason> {
    let method = AuthMethod::RsaSignature;
    // The likely one first.
    let schemes = [
        Scheme::RsaPkcs1Sha1,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
    ];
    for scheme in schemes {
        match verify_scheme(key, method, scheme, octets, signature) {
            Ok(Scheme::RsaPkcs1Sha1) if sha1 == Sha1Policy::Refuse => {
                return Err(AuthReason::Sha1Refused);
            }
            Err(AuthReason::NotVerified { .. }) => {}
            settled => return settled,
        }
    }
    Err(AuthReason::NotVerified { method })
}

fn verify_scheme(
    key: &PublicKey,
    method: AuthMethod,
    scheme: Scheme,
    octets: &[u8],
    signature: &[u8],
) -> Result<Scheme, AuthReason> {
    match key.verify(scheme, octets, signature) {
        Ok(()) => Ok(scheme),
        Err(VerifyError::Unfit { key, .. }) => Err(AuthReason::KeyUnfit { method, scheme, key }),
        Err(VerifyError::Mismatch(_)) => Err(AuthReason::NotVerified { method }),
    }
}

/// The rule of the AUTH payload that was broken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthReason {
    /// When the peer proves itself in a way that is not spoken here.
    #[error("the peer authenticates by {0}, which s2sd does not accept")]
    Method(AuthMethod),
    /// When the method does not go with the certificate's key.
    #[error("the peer authenticates by {method} ({scheme}), but its certificate's key is {key}")]
    KeyUnfit {
        /// The method field.
        method: AuthMethod,
        /// The scheme that the payload means.
        scheme: Scheme,
        /// The key in the certificate.
        key: KeyKind,
    },
    /// When a method 14 payload ends before its algorithm does.
    #[error("the peer's AUTH payload is too short for its algorithm identifier")]
    Truncated,
    /// When a method 14 payload names an algorithm that is not spoken here.
    #[error("in the peer's AUTH payload, {0}")]
    Algorithm(#[from] AlgorithmError),
    /// When a method 14 payload is signed over a hash that we did not announce.
    #[error("the peer signed over {0}, which was not announced to it")]
    NotAnnounced(HashId),
    /// When a signature over SHA-1 is right but not allowed.
    #[error("the peer signed over SHA-1, which this connection refuses")]
    Sha1Refused,
    /// When the signature is not by the certificate's key over what was exchanged.
    #[error("the peer's signature ({method}) does not verify with the key of its certificate")]
    NotVerified {
        /// The method field.
        method: AuthMethod,
    },
    /// When our key serves none of what the peer announced.
    #[error("no signature of our {key} key is known to the peer (it announced: {announced})")]
    NoCommonHash {
        /// The kind of our key.
        key: KeyKind,
        /// The hashes that the peer announced.
        announced: String,
    },
    /// When our own signature could not be made.
    #[error("{0}")]
    Sign(SignError),
}

impl AuthReason {
    /// How to mend it.
    pub fn remedy(&self) -> String {
        match self {
            AuthReason::Method(AuthMethod::SharedKeyMic) => {
                "the peer is set to a pre-shared key: set it to certificate authentication".into()
            }
            AuthReason::Method(_) | AuthReason::Algorithm(_) | AuthReason::NotAnnounced(_) => {
                "have the peer sign with RSA or ECDSA over SHA-2".into()
            }
            AuthReason::KeyUnfit { .. } => {
                "have the peer send the certificate of the key that it signs with".into()
            }
            AuthReason::Truncated => "report this to the maker of the peer".into(),
            AuthReason::Sha1Refused => {
                "accept SHA-1 in this connection: peers without RFC 7427 have nothing else".into()
            }
            AuthReason::NotVerified { .. } => {
                "check that the peer's private key belongs to its certificate, and that nothing \
                 between rewrites IKE messages (a Windows peer calls this error 13826, 0x3602)"
                    .into()
            }
            AuthReason::NoCommonHash { .. } => {
                "use an RSA key for this connection's own certificate".into()
            }
            AuthReason::Sign(_) => "check this connection's own key and certificate files".into(),
        }
    }
}

#[cfg(test)]
mod tests;
