//! Why a peer, or our own identity, was not accepted: which certificate, which rule, expected
//! against found, and how to mend it. Each reason is declared beside its rule; [`TrustRefusal`]
//! holds any of them.

use std::fmt;

use super::auth::AuthReason;
use super::certificate::Certificate;
use super::identity::IdentityReason;
use super::path::PathReason;

/// A refusal that tells an operator what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustRefusal {
    /// The certificate that broke the rule, if the rule is about one.
    pub certificate: Option<Certificate>,
    /// The rule that was broken.
    pub reason: TrustReason,
}

/// The rule that was broken, by the step of the check.
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
    /// A refusal of one certificate.
    pub fn of(certificate: &Certificate, reason: impl Into<TrustReason>) -> TrustRefusal {
        TrustRefusal { certificate: Some(certificate.clone()), reason: reason.into() }
    }

    /// A refusal that is about no certificate in particular.
    pub fn general(reason: impl Into<TrustReason>) -> TrustRefusal {
        TrustRefusal { certificate: None, reason: reason.into() }
    }

    /// What is wrong, without the remedy.
    pub fn finding(&self) -> String {
        match &self.certificate {
            Some(certificate) => format!("certificate {certificate}: {}", self.reason),
            None => self.reason.to_string(),
        }
    }

    /// How to mend it, as a sentence without a full stop.
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
