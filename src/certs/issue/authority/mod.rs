//! An authority: a certificate that may issue, with its key.

use rcgen::Issuer;
use rustls_pki_types::CertificateDer;

use super::order::{CertificateKind, CertificateOrder};
use super::signer::{CertificateSigner, Subject};
use crate::crypto::signature::{KeyKind, PrivateKey, PublicKey};
use crate::pki::certificate::{Certificate, CertificateError};
use crate::pki::chain;
use crate::rng::Rng;
use crate::time::UnixTime;

/// A certificate that may issue others, with its private key.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
}

/// Why a certificate is not issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssueError {
    /// When the issuer's certificate is not an authority's.
    #[error("{0} is not an authority's certificate and may not issue others")]
    NotAnAuthority(String),
    /// When the issuer's key usage forbids issuing.
    #[error("the key usage of {0} lacks keyCertSign, so it may not issue others")]
    KeyUsage(String),
    /// When the key belongs to another certificate.
    #[error("the private key ({key}) does not belong to {certificate}")]
    KeyMismatch {
        /// The kind of the key that was given.
        key: KeyKind,
        /// The certificate that was given.
        certificate: String,
    },
    /// When the issuer's last day is over.
    #[error("{certificate} expired on {at}: what it issued now would be refused everywhere")]
    Expired {
        /// The issuer's certificate.
        certificate: String,
        /// The last second of its validity.
        at: UnixTime,
    },
    /// When the issuer's first day is still to come.
    #[error("{certificate} is valid only from {from} on; this machine's clock says {now}")]
    NotYetValid {
        /// The issuer's certificate.
        certificate: String,
        /// The first second of its validity.
        from: UnixTime,
        /// The time by this machine's clock.
        now: UnixTime,
    },
    /// When the issuer may not have authorities of this path length below it.
    #[error(
        "{certificate} has path length {allowed}: an authority below it may have at most {}, not {asked}",
        .allowed.saturating_sub(1)
    )]
    PathLength {
        /// The issuer's certificate.
        certificate: String,
        /// The issuer's path length, not 0.
        allowed: u32,
        /// The path length that was asked for.
        asked: u8,
    },
    /// When the issuer may issue leaves only.
    #[error("{0} has path length 0: it may issue leaves and no authority")]
    LeavesOnly(String),
    /// When a date is beyond the year 9999.
    #[error("a date lies outside of what certificates can say")]
    Date,
    /// When a text has characters that a certificate cannot carry.
    #[error("{0} has characters that a certificate cannot carry there")]
    Encoding(&'static str),
    /// When the encoder or the key fails.
    #[error("the certificate could not be made: {0}")]
    Failed(String),
    /// When the certificate that was made cannot be read back.
    #[error("the certificate that was made cannot be read back: {0}")]
    Unreadable(#[from] CertificateError),
    /// When rcgen would write the issuer's name in another way than the issuer's certificate.
    #[error("the name of {0} would be written in another way than its certificate has it")]
    NameEncoding(String),
}

impl IssueError {
    /// How to mend it.
    pub fn remedy(&self) -> &'static str {
        match self {
            IssueError::NotAnAuthority(_) | IssueError::KeyUsage(_) => {
                "issue by the root that `s2sd pki init` made, or by an intermediate"
            }
            IssueError::KeyMismatch { .. } => {
                "name the key that was made with the certificate, or the other certificate"
            }
            IssueError::Expired { .. } => {
                "make a new root with `s2sd pki init --cn ANOTHER-NAME`, issue from it, and give Azure the new chain"
            }
            IssueError::NotYetValid { .. } => "check this machine's clock and time zone",
            IssueError::PathLength { .. } => {
                "ask for less with --pathlen, or issue by a higher authority"
            }
            IssueError::LeavesOnly(_) => "issue it by a higher authority",
            IssueError::Date => "ask for fewer months, and check this machine's clock",
            IssueError::Encoding(_) => "write it in ASCII",
            IssueError::Failed(_) | IssueError::Unreadable(_) => {
                "report it with the command that you gave: this should not happen"
            }
            IssueError::NameEncoding(_) => {
                "issue with the program that made the authority; `s2sd pki show` and `export` take what it makes"
            }
        }
    }
}

impl CertificateOrder {
    /// Makes a root: the certificate of `key`, signed with `key`.
    pub fn self_signed(
        &self,
        key: &PrivateKey,
        now: UnixTime,
        rng: &mut dyn Rng,
    ) -> Result<Certificate, IssueError> {
        let params = self.params(now, None, rng)?;
        let made = params.self_signed(&CertificateSigner(key)).map_err(failed)?;
        checked(made.der(), None, key.public_key())
    }
}

impl Authority {
    /// An authority of a certificate and its key. Both are checked for what issuing needs.
    pub fn new(
        certificate: Certificate,
        key: PrivateKey,
        now: UnixTime,
    ) -> Result<Authority, IssueError> {
        let name = || certificate.to_string();
        if !chain::is_authority(&certificate) {
            return Err(IssueError::NotAnAuthority(name()));
        }
        if certificate.key_usage().is_some_and(|usage| !usage.certify) {
            return Err(IssueError::KeyUsage(name()));
        }
        if certificate.public_key() != Ok(key.public_key()) {
            return Err(IssueError::KeyMismatch { key: key.kind(), certificate: name() });
        }
        let (from, at) = (certificate.not_before(), certificate.not_after());
        if now < from {
            return Err(IssueError::NotYetValid { certificate: name(), from, now });
        }
        if now > at {
            return Err(IssueError::Expired { certificate: name(), at });
        }
        Ok(Authority { certificate, key })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Issues a certificate for `key`. Its life ends with the authority's at the latest: past that,
    /// every peer would refuse it.
    pub fn issue(
        &self,
        order: &CertificateOrder,
        key: &PublicKey,
        now: UnixTime,
        rng: &mut dyn Rng,
    ) -> Result<Certificate, IssueError> {
        self.check_path_length(&order.kind)?;
        let mut params = order.params(now, Some(self.certificate.not_after()), rng)?;
        params.use_authority_key_identifier_extension = true;
        let der = CertificateDer::from(self.certificate.as_der());
        let issuer =
            Issuer::from_ca_cert_der(&der, CertificateSigner(&self.key)).map_err(failed)?;
        let made = params.signed_by(&Subject(key), &issuer).map_err(failed)?;
        checked(made.der(), Some(&self.certificate), key)
    }

    fn check_path_length(&self, kind: &CertificateKind) -> Result<(), IssueError> {
        let allowed = self.certificate.basic_constraints().and_then(|found| found.path_len);
        let (CertificateKind::Authority { path_len }, Some(allowed)) = (kind, allowed) else {
            return Ok(());
        };
        let certificate = self.certificate.to_string();
        match allowed {
            0 => Err(IssueError::LeavesOnly(certificate)),
            allowed if u32::from(*path_len) >= allowed => {
                Err(IssueError::PathLength { certificate, allowed, asked: *path_len })
            }
            _ => Ok(()),
        }
    }
}

fn failed(error: rcgen::Error) -> IssueError {
    IssueError::Failed(error.to_string())
}

/// Reads back a certificate that was made, and checks that it is for `key`, that its issuer signed
/// it and that the issuer's name is the same byte for byte.
fn checked(
    der: &[u8],
    issuer: Option<&Certificate>,
    key: &PublicKey,
) -> Result<Certificate, IssueError> {
    let made = Certificate::from_der(der)?;
    let issuer = issuer.unwrap_or(&made);
    if made.issuer() != issuer.subject() {
        return Err(IssueError::NameEncoding(issuer.to_string()));
    }
    if !made.is_signed_by(issuer) || made.public_key() != Ok(key) {
        return Err(IssueError::Failed("its signature does not verify".to_owned()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests;
