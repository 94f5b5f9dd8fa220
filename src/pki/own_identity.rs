//! Our own identity: the certificate that we present, what stands between it and its root, and its
//! private key.

use std::fmt;

use super::certificate::{Certificate, KeyPurpose};
use super::chain;
use super::identity::Id;
use super::load::Bundle;
use super::path::PathReason;
use crate::crypto::signature::{KeyKind, PrivateKey, Scheme, SignError};
use crate::time::UnixTime;

/// Our own identity: the leaf certificate, the certificates above it, and the leaf's private key.
#[derive(Debug)]
pub struct OwnIdentity {
    /// Leaf first, then each one's issuer; no root.
    path: Vec<Certificate>,
    /// The root, when the files had it. The root is not sent: a peer that trusts it has a copy.
    root: Option<Certificate>,
    key: PrivateKey,
}

/// Why the files of a connection make no identity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OwnError {
    /// When there is no key.
    #[error("the files for this connection's own identity hold no private key")]
    NoKey,
    /// When it is not clear which key is meant.
    #[error("the files for this connection's own identity hold {0} private keys; one is needed")]
    SeveralKeys(usize),
    /// When there is no certificate.
    #[error("the files for this connection's own identity hold no certificate")]
    NoCertificate,
    /// When no certificate is the key's.
    #[error("the private key ({key}) belongs to none of the certificates: {certificates}")]
    KeyMismatch {
        /// The kind of the private key.
        key: KeyKind,
        /// The certificates at hand.
        certificates: String,
    },
    /// When the key cannot sign.
    #[error("{0}")]
    Sign(SignError),
}

impl OwnError {
    /// How to mend it.
    pub fn remedy(&self) -> &'static str {
        match self {
            OwnError::NoKey => "name the file with the private key, or a PKCS#12 file with both",
            OwnError::SeveralKeys(_) => "put this connection's key into a file of its own",
            OwnError::NoCertificate => "name the file with this connection's own certificate",
            OwnError::KeyMismatch { .. } => {
                "name the certificate that was issued for this key, or the other key"
            }
            OwnError::Sign(_) => "export the private key again from where it was made",
        }
    }
}

impl OwnIdentity {
    /// An identity from the contents of all files together.
    pub fn from_bundle(bundle: Bundle) -> Result<OwnIdentity, OwnError> {
        let mut keys = bundle.keys;
        match (keys.pop(), keys.len()) {
            (None, _) => Err(OwnError::NoKey),
            (Some(key), 0) => OwnIdentity::new(&bundle.certificates, key),
            (Some(_), others) => Err(OwnError::SeveralKeys(others + 1)),
        }
    }

    /// An identity from certificates in any order, of which one must be the key's. Of several,
    /// after a renewal with the same key, the one that ends last is the leaf. Certificates that are
    /// not above the leaf are left out.
    pub fn new(certificates: &[Certificate], key: PrivateKey) -> Result<OwnIdentity, OwnError> {
        if certificates.is_empty() {
            return Err(OwnError::NoCertificate);
        }
        let own = |c: &&Certificate| c.public_key().is_ok_and(|public| public == key.public_key());
        let leaf =
            certificates.iter().filter(own).max_by_key(|c| c.not_after()).ok_or_else(|| {
                let names: Vec<String> = certificates.iter().map(Certificate::to_string).collect();
                OwnError::KeyMismatch { key: key.kind(), certificates: names.join("; ") }
            })?;
        try_out(&key)?;
        let mut path = [vec![leaf.clone()], chain::above(leaf, certificates)].concat();
        let root = path.pop_if(|top| top != leaf && top.is_self_issued());
        Ok(OwnIdentity { path, root, key })
    }

    /// The certificate that we present.
    pub fn leaf(&self) -> &Certificate {
        self.path.first().expect("the leaf was put there first")
    }

    /// The CERT payloads to send: leaf first, then upwards, no root.
    pub fn certificates(&self) -> &[Certificate] {
        &self.path
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The ID payload to send unless configured otherwise: the leaf's subject, byte for byte.
    pub fn id(&self) -> Id {
        Id::Dn(self.leaf().subject().clone())
    }

    /// The leaf's common name as a host name, for peers that want ID_FQDN.
    pub fn host_id(&self) -> Option<Id> {
        self.leaf().subject().common_name().map(|name| Id::Fqdn(name.to_owned()))
    }

    /// The authorities above us whose certificates we hold, the root among them where it was given.
    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        self.path.iter().skip(1).chain(&self.root)
    }

    /// Whether a CERTREQ payload's hashes name an authority above our leaf. The answer is a hint:
    /// peers leave roots out, and only authorities whose certificates we hold can be compared.
    pub fn is_requested(&self, authorities: &[u8]) -> bool {
        let ours: Vec<[u8; 20]> = self.authorities().map(Certificate::authority_hash).collect();
        authorities.chunks_exact(20).any(|hash| ours.iter().any(|own| own == hash))
    }

    /// What an operator should know before the peer refuses the certificate.
    pub fn warnings(&self, now: UnixTime) -> Vec<Warning> {
        let dates = self.path.iter().chain(&self.root).filter_map(|certificate| {
            expiry(certificate.not_before(), certificate.not_after(), now)
                .map(|expiry| Warning::Dates { certificate: certificate.clone(), expiry })
        });
        let leaf = self.leaf();
        let both = [KeyPurpose::ServerAuth, KeyPurpose::ClientAuth];
        let has = |wanted: &KeyPurpose| leaf.purposes().is_some_and(|found| found.contains(wanted));
        dates
            .chain((!both.iter().all(has)).then_some(Warning::Purposes))
            .chain(leaf.subject().common_name().is_none().then_some(Warning::NoCommonName))
            .chain((!matches!(self.key.kind(), KeyKind::Rsa { .. })).then_some(Warning::NotRsa))
            .chain((leaf.version() != 3).then_some(Warning::Version))
            .chain(leaf.is_ca().then_some(Warning::Authority))
            .collect()
    }
}

/// Signs something and verifies it, so that a damaged key shows at start and not at the first
/// handshake.
fn try_out(key: &PrivateKey) -> Result<(), OwnError> {
    let schemes: &[Scheme] = match key.kind() {
        // Each takes another way through the key.
        KeyKind::Rsa { .. } => &[Scheme::RsaPkcs1Sha1, Scheme::RsaPkcs1Sha256],
        KeyKind::EcdsaP256 => &[Scheme::EcdsaSha256],
        KeyKind::EcdsaP384 => &[Scheme::EcdsaSha384],
        KeyKind::Ed25519 => &[Scheme::Ed25519],
    };
    for &scheme in schemes {
        let message = b"s2sd tries its key";
        let signature = key.sign(scheme, message).map_err(OwnError::Sign)?;
        let verified = key.public_key().verify(scheme, message, &signature);
        verified.map_err(|_| OwnError::Sign(SignError::Failed(scheme)))?;
    }
    Ok(())
}

/// Why a certificate's dates are worth a warning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    /// The certificate is valid only from then on.
    NotYet(UnixTime),
    /// The certificate expired then.
    Over(UnixTime),
    /// The certificate expires within this many days (30, 7 or 1), at that time.
    Within(u64, UnixTime),
}

/// Whether a certificate's dates are worth a warning.
pub fn expiry(not_before: UnixTime, not_after: UnixTime, now: UnixTime) -> Option<Expiry> {
    const DAY: u64 = 86_400;
    if now < not_before {
        return Some(Expiry::NotYet(not_before));
    }
    let Some(left) = not_after.0.checked_sub(now.0) else {
        return Some(Expiry::Over(not_after));
    };
    [1, 7, 30]
        .into_iter()
        .find(|days| left < days * DAY)
        .map(|days| Expiry::Within(days, not_after))
}

/// What an operator should know about our own identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Warning {
    /// When a certificate's time is short or wrong.
    Dates {
        /// The certificate with these dates.
        certificate: Certificate,
        /// What is wrong with the dates.
        expiry: Expiry,
    },
    /// When the leaf lacks serverAuth or clientAuth, which Azure's examples have.
    Purposes,
    /// When the leaf has no common name, by which Azure knows a peer.
    NoCommonName,
    /// When the key is not RSA; Azure's documents know no other.
    NotRsa,
    /// When the leaf has no room for extensions.
    Version,
    /// When the leaf is an authority's certificate.
    Authority,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Dates { certificate, expiry } => {
                write!(f, "our certificate {certificate} ")?;
                match expiry {
                    Expiry::NotYet(from) => write!(f, "is valid only from {from} on"),
                    Expiry::Over(at) => write!(f, "expired on {at}"),
                    Expiry::Within(1, at) => write!(f, "expires within a day, on {at}"),
                    Expiry::Within(days, at) => write!(f, "expires within {days} days, on {at}"),
                }
            }
            Warning::Purposes => f.write_str(
                "our certificate lacks extended key usage serverAuth or clientAuth; Azure's \
                 examples have both",
            ),
            Warning::NoCommonName => f.write_str(
                "our certificate's subject has no common name, by which Azure identifies its peer",
            ),
            Warning::NotRsa => {
                f.write_str("our key is not RSA; Azure documents RSA of 2048 bits and more only")
            }
            Warning::Version => f.write_str(
                "our certificate is of an old X.509 version without extensions; peers may refuse it",
            ),
            Warning::Authority => {
                write!(f, "our certificate is an authority's; peers answer: {}", PathReason::CaAsLeaf)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_warn_at_30_7_and_1_days() {
        const DAY: u64 = 86_400;
        let (from, to) = (UnixTime(100 * DAY), UnixTime(200 * DAY));
        let at = |seconds| expiry(from, to, UnixTime(seconds));
        assert_eq!(at(100 * DAY - 1), Some(Expiry::NotYet(from)));
        assert_eq!(at(100 * DAY), None);
        assert_eq!(at(170 * DAY), None);
        assert_eq!(at(170 * DAY + 1), Some(Expiry::Within(30, to)));
        assert_eq!(at(193 * DAY + 1), Some(Expiry::Within(7, to)));
        assert_eq!(at(199 * DAY + 1), Some(Expiry::Within(1, to)));
        assert_eq!(at(200 * DAY), Some(Expiry::Within(1, to)));
        assert_eq!(at(200 * DAY + 1), Some(Expiry::Over(to)));
    }
}
