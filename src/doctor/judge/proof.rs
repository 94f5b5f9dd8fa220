//! Who the ends are to each other, and what they agree to carry: what only the service has seen.

use super::{Case, not_reached};
use crate::config::algorithm::ConnectionMode;
use crate::daemon::explain::Explanation;
use crate::doctor::facts::RekeyOutcome;
use crate::doctor::finding::{Check, DoctorFinding};
use crate::ike::diagnosis::refusal::RefusalReason;

/// Why a tunnel cannot be judged.
const NOT_ASKED: &str = "the service cannot be asked";

/// The lines from authentication to rekeying.
pub fn judge(case: &Case<'_>) -> Vec<DoctorFinding> {
    let Some(status) = &case.tunnel.status else {
        return vec![DoctorFinding::skip(Check::Authentication, NOT_ASKED)];
    };
    if case.tunnel.is_up() {
        let mut findings = vec![proven(case)];
        findings.extend(children(case));
        findings.push(rekeying(case));
        return findings;
    }
    match case.tunnel.refusal() {
        Some(refusal) => refused(case, refusal),
        None if status.state == "down" => {
            vec![DoctorFinding::skip(Check::Authentication, "an operator took the connection down")]
        }
        None if status.state == "broken" => {
            vec![DoctorFinding::skip(
                Check::Authentication,
                "the service cannot put the tunnel to work",
            )]
        }
        None => vec![waited(case, &status.state)],
    }
}

fn proven(case: &Case<'_>) -> DoctorFinding {
    let status = case.tunnel.status.as_ref();
    let peer = status.and_then(|s| s.peer_identity.as_deref()).unwrap_or("itself");
    let own = status.and_then(|s| s.own_identity.as_deref()).unwrap_or("ourselves");
    DoctorFinding::ok(
        Check::Authentication,
        format!("the gateway proved to be {peer}, and we to be {own}"),
    )
}

fn children(case: &Case<'_>) -> Vec<DoctorFinding> {
    let children = case.tunnel.status.iter().flat_map(|status| &status.children);
    let active: Vec<_> = children.filter(|child| child.active).collect();
    let Some(first) = active.first() else { return Vec::new() };
    let pairs: Vec<String> = active
        .iter()
        .map(|child| {
            let [local, remote] = &child.selectors;
            format!("{local} <-> {remote}")
        })
        .collect();
    vec![
        DoctorFinding::ok(Check::ChildProposal, format!("both take {}", first.suite)),
        DoctorFinding::ok(Check::Selectors, pairs.join("; ")),
    ]
}

fn rekeying(case: &Case<'_>) -> DoctorFinding {
    match &case.tunnel.rekey {
        None => DoctorFinding::skip(Check::ForwardSecrecy, "not tried"),
        Some(RekeyOutcome::Done) => DoctorFinding::ok(
            Check::ForwardSecrecy,
            "new keys were made just now, by both ends' pfs_group",
        ),
        Some(RekeyOutcome::Nothing(time)) => DoctorFinding::warn(
            Check::ForwardSecrecy,
            format!("new keys were asked for, and did not come within {} s", time.as_secs()),
        )
        .mend("ask again in a minute: the gateway may have been busy"),
        Some(RekeyOutcome::Refused(refusal)) => keys_refused(case, refusal),
    }
}

/// The first child has no key exchange of its own, the next one has (RFC 7296 §1.2, §1.3): so a
/// suite that was taken then and is refused now differs in that alone.
fn keys_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    let ours = &case.connection.ipsec_policy;
    match reason(refusal) {
        Some(
            RefusalReason::PfsMismatch
            | RefusalReason::NoCommonEspProposal
            | RefusalReason::GroupRefused,
        ) => {
            let differs =
                refusal.difference.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
            let seen = format!(
                "PFS mismatch: {} refuses new keys, though the same ciphers were agreed at first{differs}; the tunnel ends with \
                 its present keys. Ours: {ours}",
                who(refusal)
            );
            DoctorFinding::fail(Check::ForwardSecrecy, seen)
                .mend("make pfs_group here and pfsGroup on the Azure connection the same")
                .at_azure(case.az().set_policy())
        }
        Some(RefusalReason::TemporaryFailure) => DoctorFinding::warn(
            Check::ForwardSecrecy,
            "the gateway was busy with keys of its own; it will be asked again",
        ),
        _ => mended(DoctorFinding::fail(Check::ForwardSecrecy, sentence(refusal)), refusal),
    }
}

/// The latest attempt ended so.
fn refused(case: &Case<'_>, refusal: &Explanation) -> Vec<DoctorFinding> {
    let az = case.az();
    let detail = refusal.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let finding = match reason(refusal) {
        Some(RefusalReason::CredentialsRefused) => credentials_refused(case),
        Some(RefusalReason::CertificateUnacceptable) => mended(
            DoctorFinding::fail(
                Check::Authentication,
                format!("we refuse the gateway's certificate{detail}"),
            ),
            refusal,
        )
        .at_azure(az.show("certificateAuthentication.outboundAuthCertificate")),
        Some(RefusalReason::IdentityUnacceptable) => mended(
            DoctorFinding::fail(
                Check::Authentication,
                format!("we refuse the gateway's name: it is not the CN that is expected{detail}"),
            ),
            refusal,
        )
        .at_azure(az.show("certificateAuthentication.outboundAuthCertificate")),
        Some(RefusalReason::SelectorsUnacceptable) => {
            return vec![proven_so_far(), selectors_refused(case, refusal)];
        }
        Some(RefusalReason::NoCommonEspProposal | RefusalReason::PfsMismatch) => {
            return vec![proven_so_far(), child_refused(case, refusal)];
        }
        Some(RefusalReason::NoAnswer) => no_answer(case, refusal),
        _ => mended(DoctorFinding::fail(Check::Authentication, sentence(refusal)), refusal)
            .at_azure(az.ike_log()),
    };
    vec![finding, not_reached(Check::Selectors, Check::Authentication)]
}

fn proven_so_far() -> DoctorFinding {
    DoctorFinding::ok(Check::Authentication, "both ends believe each other")
}

/// AUTHENTICATION_FAILED does not say why (RFC 7296 §2.21.2); Azure's log does, and CERTREQ hints
/// at it.
fn credentials_refused(case: &Case<'_>) -> DoctorFinding {
    let (subject, issuer) = match &case.facts.own {
        Some((subject, issuer)) => (subject.as_str(), issuer.as_str()),
        None => ("our certificate", "its issuer"),
    };
    let hint = match case.tunnel.trusts_us {
        Some(false) => {
            ". It names the authorities that it trusts, and ours is not among them: the wrong root is configured there"
        }
        Some(true) => {
            ". It names our authority among those that it trusts, so look at the name first"
        }
        None => "",
    };
    let seen = format!(
        "the gateway refuses us with AUTHENTICATION_FAILED{hint}. Azure logs 13801 when it does not know {subject} or its issuer \
         {issuer}, 13826 when it cannot verify our signature"
    );
    let name = subject.strip_prefix("CN=").unwrap_or(subject);
    let remedy = format!(
        "13801: the Azure connection needs inboundAuthCertificateSubjectName {name}, and the certificate of {issuer} in \
         inboundAuthCertificateChain; 13826: rsa_signature_hash = \"SHA1\" here, and the key that belongs to the certificate"
    );
    DoctorFinding::fail(Check::Authentication, seen).mend(remedy).at_azure(case.az().certificates())
}

fn selectors_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    let theirs = match refusal.theirs.as_slice() {
        [] => String::new(),
        theirs => format!(", theirs {}", theirs.join("; ")),
    };
    let seen = format!(
        "selectors: {} refuses what may pass: ours {}{theirs}; Azure logs 13999",
        who(refusal),
        refusal.ours.join("; ")
    );
    let remedy = "make use_policy_based_traffic_selectors and the address_prefixes of both sides agree with Azure's: the virtual network's \
                  address space, and the local network gateway's";
    DoctorFinding::fail(Check::Selectors, seen).mend(remedy).at_azure(case.az().set_selectors())
}

fn child_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    let rekeyed = refusal.step.as_deref().is_some_and(|step| step.contains("rekey"));
    if rekeyed || reason(refusal) == Some(RefusalReason::PfsMismatch) {
        return keys_refused(case, refusal);
    }
    let differs = refusal.difference.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    let seen = format!(
        "no common ESP proposal: {} refuses {}{differs}; Azure logs 13868",
        who(refusal),
        case.connection.ipsec_policy
    );
    DoctorFinding::fail(Check::ChildProposal, seen)
        .mend("make ipsec_encryption and ipsec_integrity the same on both ends")
        .at_azure(case.az().set_policy())
}

/// Both ports answer probes, so silence is about the message.
fn no_answer(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    if refusal.step.as_deref() != Some("IKE_AUTH") {
        return waited(case, "connecting");
    }
    let seen = "IKE_AUTH is not answered, though short messages are: long ones are lost on the way, or the gateway gave up silently";
    DoctorFinding::fail(Check::Authentication, seen)
        .mend("let IP fragments and long UDP datagrams pass; shorten the certificate path")
        .at_azure(case.az().ike_log())
}

fn waited(case: &Case<'_>, state: &str) -> DoctorFinding {
    let seen = match case.connection.connection_mode {
        ConnectionMode::InitiatorOnly => {
            "the gateway is to dial (connection_mode InitiatorOnly), and has not yet".to_owned()
        }
        _ => format!("not over yet: the connection is {state}, and nothing was refused"),
    };
    DoctorFinding::warn(Check::Authentication, seen)
        .mend("ask again in a minute")
        .at_azure(case.az().ike_log())
}

fn reason(explanation: &Explanation) -> Option<RefusalReason> {
    let code = explanation.reason.as_deref()?;
    RefusalReason::ALL.into_iter().find(|reason| reason.code() == code)
}

fn who(explanation: &Explanation) -> &'static str {
    match explanation.by.as_deref() {
        Some("we") => "this device",
        _ => "the gateway",
    }
}

/// What happened, without the advice that follows in a log line: it has its own place here.
fn sentence(explanation: &Explanation) -> String {
    let text = explanation.text.as_str();
    text.split_once(". To mend it").map_or(text, |(what, _)| what).to_owned()
}

fn mended(finding: DoctorFinding, explanation: &Explanation) -> DoctorFinding {
    match &explanation.remedy {
        Some(remedy) => finding.mend(remedy.clone()),
        None => finding,
    }
}
