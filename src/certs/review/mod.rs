//! Certificates against the rules of Azure's article on certificate authentication and against what
//! Azure Resource Manager checks, in words: each rule with what was found, what would mend it, and
//! the error that Azure would give.
//!
//! | file | what |
//! |---|---|
//! | `certificate.rs` | the rules of one certificate by its role |
//! | `chain.rs` | the rules of all of them together |
//! | `azure.rs` | the errors of Azure Resource Manager |
//! | `page.rs` | a review as text |
//!
//! A review explains and decides nothing: whether a peer is trusted is decided in
//! [`crate::pki::path`].

mod azure;
mod certificate;
mod chain;
mod page;

use schemars::JsonSchema;
use serde::Serialize;

use crate::crypto::signature::PublicKey;
use crate::pki::certificate::Certificate;
use crate::pki::chain::{above, heads};
use crate::time::UnixTime;

/// Whose certificate it is, by the direction seen from Azure.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateDirection {
    /// Ours, which comes in to Azure.
    Inbound,
    /// Azure's own, from its Key Vault, which goes out from Azure.
    Outbound,
    /// Not told: the rules for both directions apply.
    #[default]
    Either,
}

/// Whether a rule was kept, in the order of severity.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewVerdict {
    /// The rule was kept.
    Ok,
    /// The rule was not broken, or Azure does not need it, but an operator should know.
    Warn,
    /// The rule was broken: Azure or a gateway would refuse the certificate.
    Fail,
}

/// One rule on one certificate, or on all of them.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ReviewFinding {
    /// The rule, in a word or two.
    pub rule: &'static str,
    /// Whether the rule was kept.
    pub verdict: ReviewVerdict,
    /// What was found.
    pub found: String,
    /// How to mend it; none where nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The error that Azure would give, where it is documented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_error: Option<&'static str>,
}

/// Where in a chain a certificate stands.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainRole {
    /// A leaf proves who a peer is.
    Leaf,
    /// An intermediate issues certificates, and another authority issued its own.
    Intermediate,
    /// A root issues certificates, and issued its own.
    Root,
}

/// One certificate with the rules of its role.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CertificateReview {
    /// The certificate's role in its chain.
    pub role: ChainRole,
    /// The subject as a distinguished name.
    pub subject: String,
    /// The issuer as a distinguished name.
    pub issuer: String,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// The thumbprint (SHA-1), as Azure shows it.
    pub thumbprint: String,
    /// The first second of validity, as in RFC 3339.
    pub not_before: String,
    /// The last second of validity, as in RFC 3339.
    pub not_after: String,
    /// Whole days until the last second; 0 when it has passed.
    pub days_left: u64,
    /// Subject alternative names.
    pub alt_names: Vec<String>,
    /// What was found for each rule of the role.
    pub findings: Vec<ReviewFinding>,
}

/// Certificates that came together.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Review {
    /// Each certificate once: the leaf first, then upwards.
    pub certificates: Vec<CertificateReview>,
    /// The rules that are about all of them.
    pub chain: Vec<ReviewFinding>,
    /// The CN of the only leaf: `inboundAuthCertificateSubjectName` if it is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_name: Option<String>,
}

impl Review {
    /// Reviews certificates in any order. `keys` are the public halves of the private keys in the
    /// same files.
    pub fn of(
        given: &[Certificate],
        keys: &[PublicKey],
        direction: CertificateDirection,
        now: UnixTime,
    ) -> Review {
        let ordered = ordered(given);
        let look =
            |certificate: &&Certificate| certificate::review(certificate, &ordered, direction, now);
        let leaves: Vec<&&Certificate> =
            ordered.iter().filter(|c| certificate::role(c) == ChainRole::Leaf).collect();
        let subject_name = match leaves[..] {
            [leaf] => leaf.subject().common_name().map(str::to_owned),
            _ => None,
        };
        Review {
            certificates: ordered.iter().map(look).collect(),
            chain: chain::review(given, &ordered, keys, direction),
            subject_name,
        }
    }

    /// The findings on every certificate and on all of them together.
    pub fn findings(&self) -> impl Iterator<Item = &ReviewFinding> {
        self.certificates.iter().flat_map(|found| &found.findings).chain(&self.chain)
    }

    /// The gravest verdict among the findings.
    pub fn verdict(&self) -> ReviewVerdict {
        self.findings().map(|finding| finding.verdict).max().unwrap_or(ReviewVerdict::Ok)
    }
}

impl ReviewFinding {
    fn ok(rule: &'static str, found: impl Into<String>) -> ReviewFinding {
        let found = found.into();
        ReviewFinding { rule, verdict: ReviewVerdict::Ok, found, remedy: None, azure_error: None }
    }

    fn warn(
        rule: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ReviewFinding {
        let remedy = Some(remedy.into());
        ReviewFinding { verdict: ReviewVerdict::Warn, remedy, ..ReviewFinding::ok(rule, found) }
    }

    fn fail(
        rule: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
        azure_error: Option<&'static str>,
    ) -> ReviewFinding {
        ReviewFinding {
            verdict: ReviewVerdict::Fail,
            azure_error,
            ..ReviewFinding::warn(rule, found, remedy)
        }
    }
}

/// Each certificate once, in the order from leaves to roots.
fn ordered(given: &[Certificate]) -> Vec<&Certificate> {
    let mut ordered: Vec<&Certificate> = Vec::new();
    let ours = |wanted: &Certificate| given.iter().find(|c| *c == wanted);
    let upwards = heads(given).into_iter().flat_map(|head| {
        std::iter::once(head).chain(above(head, given).iter().filter_map(ours).collect::<Vec<_>>())
    });
    for certificate in upwards.chain(given) {
        if !ordered.contains(&certificate) {
            ordered.push(certificate);
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
