//! The AUTH payload of a peer with a certificate: what to sign with, how to write it down, what to
//! accept (RFC 7296 §2.15 and §3.8, RFC 4754, RFC 7427, RFC 8420).
//!
//! ```text
//!   announced by the peer          our key       method  signature
//!   nothing                        RSA           1       PKCS#1 v1.5 over SHA-1 (configurable)
//!   nothing                        P-256, P-384  9, 10   r and s side by side
//!   SIGNATURE_HASH_ALGORITHMS      RSA           14      PSS over SHA-256 .. 512 (or PKCS#1 v1.5)
//!   SIGNATURE_HASH_ALGORITHMS      P-256, P-384  14      DER
//!   SIGNATURE_HASH_ALGORITHMS      Ed25519       14      Ed25519
//! ```
//!
//! **Method 1** says nothing about its hash. RFC 7296 suggests SHA-1 and every peer that stops at
//! method 1 (Windows and Azure among them) checks for just that, so SHA-1 is what goes out. Coming
//! in, any DigestInfo of SHA-1, 256, 384 or 512 is accepted: ring compares whole paddings, so each
//! is tried in turn, at 30 microseconds a try with RSA 2048.
//!
//! **PKCS#1 or PSS.** Peers announce hashes but not paddings. Who announces hashes has RFC 7427,
//! which has RSASSA-PSS (RFC 8247 §3.2 demands it), so PSS is what goes out; libreswan takes
//! nothing else. PKCS#1 v1.5 is for peers that verify no PSS. Coming in, both are accepted.
//!
//! **Which hash.** The first in the peer's list that goes with our key. What this end announces is
//! what it can verify with *every* kind of key ([`ANNOUNCED`]): a peer that signs with the
//! strongest hash in the list, whatever its key, must not be led to ECDSA over SHA-512.
//!
//! **SHA-1** is a collision target here as in a certificate. The nonce of the verifier does not
//! help: it is signed *behind* the message of IKE_SA_INIT, and two messages that collide go on to
//! collide whatever follows ("Transcript Collision Attacks", SLOTH, 2016). Who sits between the
//! ends can choose parts of both messages, such as a cookie, but has to find the collision while
//! the handshake waits. So SHA-1 is accepted only where there is no choice: under method 1, from a
//! peer that did not announce RFC 7427, while [`Sha1Policy`] allows it. From a peer that announced
//! RFC 7427, and under method 14, it never is (RFC 7427 §4, RFC 8247 §3.2).

use super::algorithm::{self, AlgorithmError};
use super::path::ValidPath;
use super::refusal::TrustRefusal;
use crate::crypto::signature::{KeyKind, PrivateKey, PublicKey, Scheme, SignError, VerifyError};
use crate::wire::codes::{AuthMethod, HashId};

/// Whether a peer may prove itself with a signature over SHA-1 under method 1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sha1Policy {
    /// SHA-1 is accepted of peers without RFC 7427, which have no other hash.
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
    /// The padding RSASSA-PSS, which RFC 8247 §3.2 demands of peers with RFC 7427.
    #[default]
    Pss,
    /// The padding RSASSA-PKCS1-v1_5, for peers that do not verify PSS.
    Pkcs1,
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

/// The hashes that we announce in SIGNATURE_HASH_ALGORITHMS: those that can be verified with every
/// kind of key that hashes. SHA-1 is not among them (RFC 8247 §3.2), and neither is SHA-512, over
/// which ECDSA cannot be verified here: the peer's key is not known when the list is sent.
pub const ANNOUNCED: [HashId; 3] = [HashId::Sha2_256, HashId::Sha2_384, HashId::Identity];

/// The method and scheme of our signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignatureChoice {
    /// The method field of the AUTH payload.
    pub method: AuthMethod,
    /// The scheme of the signature in the payload.
    pub scheme: Scheme,
}

/// Chooses by our key and by the hashes that the peer announced, the peer's first one first; `None`
/// when it sent no SIGNATURE_HASH_ALGORITHMS.
pub fn choose(
    key: KeyKind,
    announced: Option<&[HashId]>,
    policy: &AuthPolicy,
) -> Result<SignatureChoice, TrustRefusal> {
    let announced = match policy.digital_signatures {
        DigitalSignatures::Speak => announced.unwrap_or_default(),
        DigitalSignatures::Refuse => &[],
    };
    let ours = modern(key, policy.padding);
    let modern = announced
        .iter()
        .find_map(|hash| ours.iter().find(|scheme| scheme.hash() == *hash))
        .map(|&scheme| SignatureChoice { method: AuthMethod::DigitalSignature, scheme });
    modern.or_else(|| legacy(key, policy.method1_hash)).ok_or_else(|| {
        TrustRefusal::general(AuthReason::NoCommonHash { key, announced: listed(announced) })
    })
}

/// What we sign with, for the operator whose peer refuses the signature.
pub fn describe(choice: SignatureChoice, announced: &[HashId]) -> String {
    let SignatureChoice { method, scheme } = choice;
    let hashes = match announced {
        [] => "no hashes".to_owned(),
        hashes => listed(hashes),
    };
    let other = match (method, scheme) {
        (_, Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512) => {
            "; a peer that verifies no PSS wants signature_padding = \"PKCS1\""
        }
        (AuthMethod::RsaSignature, _) => {
            "; a peer that checks another hash wants rsa_signature_hash set to that"
        }
        (
            AuthMethod::DigitalSignature,
            Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512,
        ) => "; a peer that takes PSS alone, as libreswan, wants signature_padding = \"PSS\"",
        _ => "",
    };
    format!("we signed with {scheme} ({method}); the peer announced {hashes}{other}")
}

fn listed(hashes: &[HashId]) -> String {
    hashes.iter().map(HashId::to_string).collect::<Vec<_>>().join(", ")
}

/// The schemes of method 14 for a key.
fn modern(key: KeyKind, padding: RsaPadding) -> &'static [Scheme] {
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

/// The peer's AUTH payload, and what else decides whether it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct SignatureClaim<'a> {
    /// The method field of the payload.
    pub method: AuthMethod,
    /// The authentication data of the payload.
    pub data: &'a [u8],
    /// The octets of RFC 7296 §2.15, in pieces.
    pub octets: &'a [&'a [u8]],
    /// Whether the peer announced RFC 7427, and so has better hashes than SHA-1.
    pub announced: bool,
}

/// Checks the peer's AUTH payload with the key of its validated certificate. Answers with the
/// scheme it used.
pub fn verify(
    path: &ValidPath,
    claim: &SignatureClaim<'_>,
    policy: &AuthPolicy,
) -> Result<Scheme, TrustRefusal> {
    let leaf = path.leaf();
    let checked = match leaf.public_key() {
        Ok(key) => verify_with(key, claim, policy),
        Err(_) => Err(AuthReason::Method(claim.method)),
    };
    checked.map_err(|reason| TrustRefusal::of(leaf, reason))
}

/// The same with a bare key.
pub fn verify_with(
    key: &PublicKey,
    claim: &SignatureClaim<'_>,
    policy: &AuthPolicy,
) -> Result<Scheme, AuthReason> {
    let SignatureClaim { method, data, .. } = *claim;
    let octets = claim.octets.concat();
    match method {
        AuthMethod::RsaSignature => {
            let scheme = verify_method_1(key, data, &octets)?;
            if scheme != Scheme::RsaPkcs1Sha1 {
                return Ok(scheme);
            }
            let both = claim.announced && policy.digital_signatures == DigitalSignatures::Speak;
            match policy.sha1 {
                Sha1Policy::Refuse => Err(AuthReason::Sha1Refused),
                Sha1Policy::Accept if both => Err(AuthReason::Sha1Needless),
                Sha1Policy::Accept => Ok(scheme),
            }
        }
        AuthMethod::EcdsaSha256P256 => {
            verify_scheme(key, method, Scheme::EcdsaP256Sha256Fixed, &octets, data)
        }
        AuthMethod::EcdsaSha384P384 => {
            verify_scheme(key, method, Scheme::EcdsaP384Sha384Fixed, &octets, data)
        }
        AuthMethod::DigitalSignature if policy.digital_signatures == DigitalSignatures::Speak => {
            let (identifier, signature) = split(data).ok_or(AuthReason::Truncated)?;
            let scheme = algorithm::scheme(identifier)?;
            // RSA over SHA-512 was not announced either; it is verified and loses nothing.
            if scheme.hash() == HashId::Sha1 {
                return Err(AuthReason::NotAnnounced(HashId::Sha1));
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

fn verify_method_1(key: &PublicKey, signature: &[u8], octets: &[u8]) -> Result<Scheme, AuthReason> {
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
    /// When a signature over SHA-1 is right, by a peer that announced better hashes.
    #[error("the peer announced RFC 7427 and signed over SHA-1 all the same")]
    Sha1Needless,
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
            AuthReason::Algorithm(AlgorithmError::UnsupportedPss(_)) => {
                "have the peer sign with RSA PSS whose salt is as long as its hash, one hash for \
                 both its parts, or with the padding PKCS#1 v1.5"
                    .into()
            }
            AuthReason::Method(_) | AuthReason::Algorithm(_) | AuthReason::NotAnnounced(_) => {
                "have the peer sign with RSA (PSS or PKCS#1 v1.5) over SHA-256, SHA-384 or \
                 SHA-512, or with ECDSA over SHA-256 or SHA-384"
                    .into()
            }
            AuthReason::KeyUnfit { .. } => {
                "have the peer send the certificate of the key that it signs with".into()
            }
            AuthReason::Truncated => "report this to the maker of the peer".into(),
            AuthReason::Sha1Refused => {
                "set allow_sha1_signatures = true: peers without RFC 7427 have nothing else".into()
            }
            AuthReason::Sha1Needless => {
                "have the peer sign as RFC 7427 has it (method 14); if it cannot, set \
                 digital_signatures = false, and SHA-1 is accepted again"
                    .into()
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
