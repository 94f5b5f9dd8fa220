//! Why an exchange was refused, as structured data for the log, `s2sd explain` and `s2sd azure
//! doctor`.
//!
//! An [`Error`] decides what happens; a [`Refusal`] tells a person. A refusal says who refused
//! which step, what each end offered, the first difference, the setting that would mend the
//! refusal, and under which number Azure logs the same event (Azure docs, "Site-to-site error
//! codes").

use std::fmt;

use super::difference::Difference;
use super::setting::Setting;
use crate::crypto::SaKind;
use crate::ike::error::{AuthFailed, Busy, Error, Incompatible, Local};
use crate::ike::exchange::step::{Party, Step};
use crate::ike::negotiation::combination::Combination;
use crate::wire::codes::{NotifyType, TransformType};
use crate::wire::payload::sa::SecurityAssociation;
use crate::wire::payload::ts::TrafficSelectors;

/// One refused or failed exchange, told to the operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The reason, as a code that does not change between versions.
    pub reason: RefusalReason,
    /// The step that was refused.
    pub step: Step,
    /// The end that refused.
    pub by: Party,
    /// The error that decided what followed.
    pub error: Error,
    /// What we offered or allow.
    pub ours: Vec<String>,
    /// What the peer offered; empty when the peer did not say, as when the peer refuses.
    pub theirs: Vec<String>,
    /// The first transform type in which the two offers differ.
    pub difference: Option<Difference>,
    /// What a lower layer reported: which certificate, which rule.
    pub detail: Option<String>,
    /// What would mend the refusal, where more is known than the reason tells.
    pub remedy: Option<RefusalRemedy>,
}

/// What would mend a refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusalRemedy {
    /// What to do, as a sentence without its full stop.
    pub what: String,
    /// The setting to look at, if a setting can mend the refusal.
    pub setting: Option<Setting>,
}

/// The reason of a refusal, as a code that does not change between versions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RefusalReason {
    /// We do not accept the peer's certificate.
    CertificateUnacceptable,
    /// One end named a child SA that the other end does not have.
    ChildUnknown,
    /// The peer does not accept our proof of identity: AUTHENTICATION_FAILED.
    CredentialsRefused,
    /// The peer sent a critical payload that we do not know.
    CriticalPayload,
    /// The peer asks for a group that we do not allow.
    GroupRefused,
    /// We do not accept the peer's identity.
    IdentityUnacceptable,
    /// Something failed on this device.
    LocalFailure,
    /// A message of the peer cannot be decoded.
    MessageMalformed,
    /// The peer says that our message cannot be decoded.
    MessageRefused,
    /// We do not accept how the peer authenticates.
    MethodUnacceptable,
    /// One end takes no more child SAs on this IKE SA.
    NoAdditionalSas,
    /// The peer does not answer.
    NoAnswer,
    /// The two ends have no ESP proposal in common.
    NoCommonEspProposal,
    /// The two ends have no IKE proposal in common.
    NoCommonIkeProposal,
    /// The ESP proposals differ in perfect forward secrecy alone.
    PfsMismatch,
    /// A message of the peer breaks the protocol, or asks for a part of it that s2sd does not have.
    ProtocolViolated,
    /// The peer refused with a notify that has no reason of its own.
    RefusedOtherwise,
    /// The traffic selectors of the two ends do not overlap.
    SelectorsUnacceptable,
    /// The peer's signature does not verify.
    SignatureInvalid,
    /// Another exchange crosses this one, which is tried again later.
    TemporaryFailure,
    /// The peer speaks another IKE version.
    VersionUnsupported,
}

/// An error number in Azure's IKE diagnostic log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AzureError {
    /// The number, as Azure prints it.
    pub number: u16,
    /// What the number means at Azure.
    pub meaning: &'static str,
}

impl Refusal {
    /// The refusal of an error that arose in a step. An error that a notify of the peer told us is
    /// the peer's refusal; every other error is ours.
    pub fn new(error: Error, step: Step) -> Refusal {
        let by = match error {
            Error::Incompatible(Incompatible::Refused(_) | Incompatible::Unsaid)
            | Error::AuthFailed(AuthFailed::Refused)
            | Error::Busy(Busy::Refused | Busy::ChildGoneThere | Busy::NoAnswer)
            | Error::Local(Local::Blamed(_)) => Party::Peer,
            _ => Party::We,
        };
        Refusal {
            reason: reason(error, step),
            step,
            by,
            error,
            ours: Vec::new(),
            theirs: Vec::new(),
            difference: None,
            detail: None,
            remedy: None,
        }
    }

    /// Adds the lines that we offered, to a peer that did not say what it would accept.
    #[must_use]
    pub fn with_our_lines(mut self, ours: &[Combination]) -> Refusal {
        self.ours = ours.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds the proposals of both ends and their first difference.
    #[must_use]
    pub fn with_proposals(self, ours: &[Combination], theirs: &SecurityAssociation) -> Refusal {
        let mut refusal = self.with_our_lines(ours);
        refusal.theirs = theirs.proposals.iter().map(ToString::to_string).collect();
        refusal.difference = Difference::between(ours, theirs);
        if let (
            RefusalReason::NoCommonEspProposal,
            Some(Difference { kind: TransformType::KeyExchange, .. }),
        ) = (refusal.reason, &refusal.difference)
        {
            refusal.reason = RefusalReason::PfsMismatch;
        }
        refusal
    }

    /// Adds the traffic selectors of both ends, for each end its own side first: those that we
    /// allow, and those that the peer sent.
    #[must_use]
    pub fn with_selectors(
        mut self,
        ours: (&TrafficSelectors, &TrafficSelectors),
        theirs: Option<(&TrafficSelectors, &TrafficSelectors)>,
    ) -> Refusal {
        let text = |(near, far): (&TrafficSelectors, &TrafficSelectors)| {
            format!("{} <-> {}", selectors(near), selectors(far))
        };
        self.ours = vec![text(ours)];
        self.theirs = theirs.map(text).into_iter().collect();
        self
    }

    /// Adds what a lower layer reported.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Refusal {
        self.detail = Some(detail.to_string());
        self
    }

    /// What happened, without a remedy, as
    /// `CREATE_CHILD_SA (child rekey): the peer refused: NO_PROPOSAL_CHOSEN; we offered ...`.
    pub fn sentence(&self) -> String {
        let by = match self.by {
            Party::We => " refused by us",
            // The error itself says that the peer refused.
            Party::Peer => "",
        };
        let mut sentence = format!("{}{by}: {}", self.step, self.error);
        if let Some(difference) = &self.difference {
            sentence += &format!(": {difference}");
        } else if let (RefusalReason::SelectorsUnacceptable, [ours], [theirs]) =
            (self.reason, self.ours.as_slice(), self.theirs.as_slice())
        {
            sentence += &format!(": the peer offers {theirs}, we allow {ours}");
        } else if self.by == Party::Peer && !self.ours.is_empty() {
            sentence += &format!("; we offered {}", self.ours.join(", "));
        }
        if let Some(detail) = &self.detail {
            sentence += &format!(": {detail}");
        }
        sentence
    }

    /// The setting to look at first, if a setting can mend the refusal.
    pub fn setting(&self) -> Option<Setting> {
        if let Some(remedy) = &self.remedy {
            return remedy.setting;
        }
        match (&self.difference, self.reason) {
            (Some(difference), _) => Some(difference.setting()),
            (None, reason) => reason.setting(),
        }
    }

    /// What the operator can do, as a sentence without its full stop.
    pub fn remedy(&self) -> Option<String> {
        if let Some(remedy) = &self.remedy {
            return Some(remedy.what.clone());
        }
        if let Some(difference) = &self.difference {
            let setting = difference.setting();
            let azure = camel_case(setting.key());
            let safer = match (difference.role, difference.kind) {
                (SaKind::Ike, TransformType::KeyExchange) => "ECP384 or DHGroup14",
                (SaKind::Esp, TransformType::KeyExchange) => "the same value as here",
                _ => "a value that both allow",
            };
            return Some(match difference.their_name() {
                Some(name) => {
                    format!(
                        "set {setting} = \"{name}\" here, or {azure} to {safer} on the Azure connection"
                    )
                }
                None => format!("make {setting} here and {azure} on the Azure connection agree"),
            });
        }
        self.reason.remedy().map(str::to_owned)
    }
}

fn reason(error: Error, step: Step) -> RefusalReason {
    let is_ike = matches!(step, Step::Init | Step::RekeyIke);
    let no_proposal = if is_ike {
        RefusalReason::NoCommonIkeProposal
    } else {
        RefusalReason::NoCommonEspProposal
    };
    match error {
        Error::Malformed(_) => RefusalReason::MessageMalformed,
        Error::PeerMisbehaved(_) => RefusalReason::ProtocolViolated,
        Error::Incompatible(mismatch) => match mismatch {
            Incompatible::CriticalPayload(_) => RefusalReason::CriticalPayload,
            Incompatible::Exchange(_) | Incompatible::RekeyOf(_) => RefusalReason::ProtocolViolated,
            Incompatible::Group(_) => RefusalReason::GroupRefused,
            Incompatible::MajorVersion(_) => RefusalReason::VersionUnsupported,
            Incompatible::NoAdditionalSas => RefusalReason::NoAdditionalSas,
            Incompatible::Proposal => no_proposal,
            Incompatible::Selectors | Incompatible::SinglePair => {
                RefusalReason::SelectorsUnacceptable
            }
            Incompatible::Unsaid => RefusalReason::RefusedOtherwise,
            Incompatible::Refused(kind) => match kind {
                NotifyType::NoProposalChosen => no_proposal,
                NotifyType::InvalidKePayload => RefusalReason::GroupRefused,
                NotifyType::NoAdditionalSas => RefusalReason::NoAdditionalSas,
                NotifyType::TsUnacceptable | NotifyType::SinglePairRequired => {
                    RefusalReason::SelectorsUnacceptable
                }
                _ => RefusalReason::RefusedOtherwise,
            },
        },
        Error::AuthFailed(failure) => match failure {
            AuthFailed::Certificate => RefusalReason::CertificateUnacceptable,
            AuthFailed::Identity => RefusalReason::IdentityUnacceptable,
            AuthFailed::Method => RefusalReason::MethodUnacceptable,
            AuthFailed::Refused => RefusalReason::CredentialsRefused,
            AuthFailed::Signature => RefusalReason::SignatureInvalid,
        },
        Error::Busy(busy) => match busy {
            Busy::ChildGone(_) | Busy::ChildGoneThere => RefusalReason::ChildUnknown,
            Busy::Crossing | Busy::Refused => RefusalReason::TemporaryFailure,
            Busy::NoAnswer => RefusalReason::NoAnswer,
        },
        Error::Local(Local::Blamed(NotifyType::InvalidMajorVersion)) => {
            RefusalReason::VersionUnsupported
        }
        Error::Local(Local::Blamed(_)) => RefusalReason::MessageRefused,
        Error::Local(Local::Crypto | Local::Signing) => RefusalReason::LocalFailure,
    }
}

fn selectors(ts: &TrafficSelectors) -> String {
    let all: Vec<String> = ts.selectors().map(ToString::to_string).collect();
    all.join(", ")
}

/// `dh_group` as Azure's resources write it: `dhGroup`.
fn camel_case(key: &str) -> String {
    let mut upper = false;
    let mut camel = String::new();
    for c in key.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.extend(c.to_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [RefusalReason; 21] = [
        RefusalReason::CertificateUnacceptable,
        RefusalReason::ChildUnknown,
        RefusalReason::CredentialsRefused,
        RefusalReason::CriticalPayload,
        RefusalReason::GroupRefused,
        RefusalReason::IdentityUnacceptable,
        RefusalReason::LocalFailure,
        RefusalReason::MessageMalformed,
        RefusalReason::MessageRefused,
        RefusalReason::MethodUnacceptable,
        RefusalReason::NoAdditionalSas,
        RefusalReason::NoAnswer,
        RefusalReason::NoCommonEspProposal,
        RefusalReason::NoCommonIkeProposal,
        RefusalReason::PfsMismatch,
        RefusalReason::ProtocolViolated,
        RefusalReason::RefusedOtherwise,
        RefusalReason::SelectorsUnacceptable,
        RefusalReason::SignatureInvalid,
        RefusalReason::TemporaryFailure,
        RefusalReason::VersionUnsupported,
    ];

    /// The code, which does not change between versions.
    pub fn code(self) -> &'static str {
        match self {
            RefusalReason::CertificateUnacceptable => "certificate-unacceptable",
            RefusalReason::ChildUnknown => "child-unknown",
            RefusalReason::CredentialsRefused => "credentials-refused",
            RefusalReason::CriticalPayload => "critical-payload",
            RefusalReason::GroupRefused => "group-refused",
            RefusalReason::IdentityUnacceptable => "identity-unacceptable",
            RefusalReason::LocalFailure => "local-failure",
            RefusalReason::MessageMalformed => "message-malformed",
            RefusalReason::MessageRefused => "message-refused",
            RefusalReason::MethodUnacceptable => "method-unacceptable",
            RefusalReason::NoAdditionalSas => "no-additional-sas",
            RefusalReason::NoAnswer => "no-answer",
            RefusalReason::NoCommonEspProposal => "no-common-esp-proposal",
            RefusalReason::NoCommonIkeProposal => "no-common-ike-proposal",
            RefusalReason::PfsMismatch => "pfs-mismatch",
            RefusalReason::ProtocolViolated => "protocol-violated",
            RefusalReason::RefusedOtherwise => "refused-otherwise",
            RefusalReason::SelectorsUnacceptable => "selectors-unacceptable",
            RefusalReason::SignatureInvalid => "signature-invalid",
            RefusalReason::TemporaryFailure => "temporary-failure",
            RefusalReason::VersionUnsupported => "version-unsupported",
        }
    }

    /// The numbers under which Azure logs the same event: several where this end cannot tell which.
    pub fn azure(self) -> &'static [AzureError] {
        match self {
            RefusalReason::CredentialsRefused => &[CREDENTIALS, SIGNATURE],
            RefusalReason::CertificateUnacceptable
            | RefusalReason::IdentityUnacceptable
            | RefusalReason::MethodUnacceptable
            | RefusalReason::SignatureInvalid => &[CREDENTIALS],
            RefusalReason::GroupRefused => &[DIFFIE_HELLMAN, POLICY],
            RefusalReason::MessageMalformed | RefusalReason::MessageRefused => {
                &[HEADER, PAYLOAD, COOKIE]
            }
            RefusalReason::CriticalPayload => &[PAYLOAD],
            RefusalReason::NoAnswer => &[TIMED_OUT, INITIATOR_ONLY],
            RefusalReason::NoCommonEspProposal | RefusalReason::PfsMismatch => &[POLICY],
            RefusalReason::NoCommonIkeProposal => &[POLICY, NO_POLICY],
            RefusalReason::SelectorsUnacceptable => &[SELECTORS, TIMED_OUT],
            RefusalReason::VersionUnsupported => &[VERSION],
            RefusalReason::ChildUnknown
            | RefusalReason::LocalFailure
            | RefusalReason::NoAdditionalSas
            | RefusalReason::ProtocolViolated
            | RefusalReason::RefusedOtherwise
            | RefusalReason::TemporaryFailure => &[],
        }
    }

    fn setting(self) -> Option<Setting> {
        match self {
            RefusalReason::CertificateUnacceptable | RefusalReason::SignatureInvalid => {
                Some(Setting::OutboundCertificateRoots)
            }
            RefusalReason::CredentialsRefused => Some(Setting::InboundCertificate),
            RefusalReason::GroupRefused => Some(Setting::DhGroup),
            RefusalReason::IdentityUnacceptable => Some(Setting::OutboundCertificateSubjectName),
            RefusalReason::NoAnswer => Some(Setting::PublicIpAddresses),
            RefusalReason::NoCommonEspProposal | RefusalReason::NoCommonIkeProposal => {
                Some(Setting::IpsecPolicy)
            }
            RefusalReason::PfsMismatch => Some(Setting::PfsGroup),
            RefusalReason::SelectorsUnacceptable => Some(Setting::TrafficSelectors),
            _ => None,
        }
    }

    fn remedy(self) -> Option<&'static str> {
        Some(match self {
            RefusalReason::CertificateUnacceptable => {
                "set outbound_certificate_roots to the root that issued the certificate in the gateway's key vault"
            }
            RefusalReason::CredentialsRefused => {
                "either the peer does not trust our certificate (compare inboundAuthCertificateChain and \
                 inboundAuthCertificateSubjectName with the issuer and CN of inbound_certificate), or the peer \
                 cannot verify our signature (inbound_private_key of another certificate, or a hash or padding that the peer \
                 does not take: see rsa_signature_hash and signature_padding)"
            }
            RefusalReason::GroupRefused => {
                "make dh_group here and dhGroup on the Azure connection agree"
            }
            RefusalReason::IdentityUnacceptable => {
                "set outbound_certificate_subject_name to the CN of the certificate in the gateway's key vault"
            }
            RefusalReason::NoAnswer => {
                "check public_ip_addresses, that UDP 500 and 4500 pass, that gatewayIpAddress of the local network gateway \
                 is our public address, and that connectionMode is not InitiatorOnly"
            }
            RefusalReason::NoCommonEspProposal => {
                "compare ipsec_encryption, ipsec_integrity and pfs_group with the connection's IPsec policy at Azure"
            }
            RefusalReason::NoCommonIkeProposal => {
                "compare ike_encryption, ike_integrity and dh_group with the connection's IPsec policy at Azure; if the \
                 two agree, gatewayIpAddress of the local network gateway may not be our public address"
            }
            RefusalReason::PfsMismatch => {
                "make pfs_group here and pfsGroup on the Azure connection agree"
            }
            RefusalReason::SelectorsUnacceptable => {
                "make use_policy_based_traffic_selectors and the address_prefixes of both sides agree with Azure's"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The sentence, the remedy, and what Azure's log calls it, for the log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        if let Some(remedy) = self.remedy() {
            write!(f, ". To mend it: {remedy}")?;
        }
        for (nth, error) in self.reason.azure().iter().enumerate() {
            let start = if nth == 0 { ". Azure's IKE diagnostic log reports it as" } else { " or" };
            write!(f, "{start} {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#06X}, {})", self.number, self.number, self.meaning)
    }
}

const INITIATOR_ONLY: AzureError =
    AzureError { number: 1225, meaning: "connection refused: connectionMode is InitiatorOnly" };
const CREDENTIALS: AzureError =
    AzureError { number: 13801, meaning: "IKE credentials are unacceptable" };
const TIMED_OUT: AzureError = AzureError { number: 13805, meaning: "negotiation timed out" };
const DIFFIE_HELLMAN: AzureError =
    AzureError { number: 13822, meaning: "Diffie-Hellman computation failed" };
const HEADER: AzureError = AzureError { number: 13824, meaning: "invalid header" };
const NO_POLICY: AzureError = AzureError { number: 13825, meaning: "no policy configured" };
const SIGNATURE: AzureError = AzureError { number: 13826, meaning: "failed to verify signature" };
const PAYLOAD: AzureError = AzureError { number: 13843, meaning: "invalid payload" };
const COOKIE: AzureError = AzureError { number: 13846, meaning: "invalid cookie" };
const POLICY: AzureError = AzureError { number: 13868, meaning: "policy match error" };
const VERSION: AzureError = AzureError { number: 13880, meaning: "IKE version is not supported" };
const SELECTORS: AzureError =
    AzureError { number: 13999, meaning: "traffic selectors are unacceptable" };

#[cfg(test)]
mod tests;
