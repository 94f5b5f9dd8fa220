//! Why a peer, or our own identity, was not accepted: which certificate, which rule, expected
//! against found, and what would mend it. Each reason lives beside its rule; this is what they have
//! in common.

use std::fmt;

use super::auth::AuthReason;
use super::certificate::Certificate;
use super::identity::IdentityReason;
use super::path::PathReason;

/// A refusal that a person can act on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustRefusal {
    /// The certificate it is about, when it is about one.
    pub certificate: Option<Certificate>,
    /// The rule that was broken.
    pub reason: TrustReason,
}

/// The rule that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TrustReason {
    /// On the way from the certificate to a configured root.
    Path(PathReason),
    /// Between the ID payload, the certificate and what is configured for the peer.
    Identity(IdentityReason),
    /// In the AUTH payload.
    Auth(AuthReason),
}

impl TrustRefusal {
    /// About one certificate.
    pub fn of(certificate: &Certificate, reason: impl Into<TrustReason>) -> TrustRefusal {
        TrustRefusal { certificate: Some(certificate.clone()), reason: reason.into() }
    }

    /// About no certificate in particular.
    pub fn general(reason: impl Into<TrustReason>) -> TrustRefusal {
        TrustRefusal { certificate: None, reason: reason.into() }
    }

    /// What is wrong, without what would mend it.
    pub fn finding(&self) -> String {
        match &self.certificate {
            Some(certificate) => format!("certificate {certificate}: {}", self.reason),
            None => self.reason.to_string(),
        }
    }

    /// What would mend it, as a sentence without its full stop.
    pub fn remedy(&self) -> String {
        match &self.reason {
            TrustReason::Path(reason) => reason.remedy(),
            TrustReason::Identity(reason) => reason.remedy(),
            TrustReason::Auth(reason) => reason.remedy(),
        }
    }
}

impl fmt::Display for TrustRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.finding(), self.remedy())
    }
}

impl std::error::Error for TrustRefusal {}

impl fmt::Display for TrustReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustReason::Path(reason) => reason.fmt(f),
            TrustReason::Identity(reason) => reason.fmt(f),
            TrustReason::Auth(reason) => reason.fmt(f),
        }
    }
}

impl From<PathReason> for TrustReason {
    fn from(reason: PathReason) -> TrustReason {
        TrustReason::Path(reason)
    }
}

impl From<IdentityReason> for TrustReason {
    fn from(reason: IdentityReason) -> TrustReason {
        TrustReason::Identity(reason)
    }
}

impl From<AuthReason> for TrustReason {
    fn from(reason: AuthReason) -> TrustReason {
        TrustReason::Auth(reason)
    }
}
