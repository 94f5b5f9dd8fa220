//! Why a peer, or our own identity, was not accepted: which certificate, which rule, expected against found, and what
//! would mend it. Each reason lives beside its rule; this is what they have in common.

use std::fmt;

use super::auth::AuthReason;
use super::certificate::Certificate;
use super::identity::IdentityReason;
use super::path::PathReason;

/// A refusal that a person can act on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The certificate it is about, when it is about one.
    pub certificate: Option<Certificate>,
    /// The rule that was broken.
    pub reason: Reason,
}

/// The rule that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// On the way from the certificate to a configured root.
    Path(PathReason),
    /// Between the ID payload, the certificate and what is configured for the peer.
    Identity(IdentityReason),
    /// In the AUTH payload.
    Auth(AuthReason),
}

impl Refusal {
    /// About one certificate.
    pub fn of(certificate: &Certificate, reason: impl Into<Reason>) -> Refusal {
        Refusal { certificate: Some(certificate.clone()), reason: reason.into() }
    }

    /// About no certificate in particular.
    pub fn general(reason: impl Into<Reason>) -> Refusal {
        Refusal { certificate: None, reason: reason.into() }
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
            Reason::Path(reason) => reason.remedy(),
            Reason::Identity(reason) => reason.remedy(),
            Reason::Auth(reason) => reason.remedy(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.finding(), self.remedy())
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Path(reason) => reason.fmt(f),
            Reason::Identity(reason) => reason.fmt(f),
            Reason::Auth(reason) => reason.fmt(f),
        }
    }
}

impl From<PathReason> for Reason {
    fn from(reason: PathReason) -> Reason {
        Reason::Path(reason)
    }
}

impl From<IdentityReason> for Reason {
    fn from(reason: IdentityReason) -> Reason {
        Reason::Identity(reason)
    }
}

impl From<AuthReason> for Reason {
    fn from(reason: AuthReason) -> Reason {
        Reason::Auth(reason)
    }
}
