//! Checks of what only the service has seen: authentication in IKE_AUTH, the ESP proposal, the
//! traffic selectors, and rekeying with perfect forward secrecy.

use super::{Case, not_reached};
use crate::config::algorithm::ConnectionMode;
use crate::daemon::explain::Explanation;
use crate::doctor::facts::RekeyOutcome;
use crate::doctor::finding::{Check, DoctorFinding};
use crate::ike::diagnosis::refusal::RefusalReason;

/// The reason for skipping these checks without a service.
const NOT_ASKED: &str = "the service cannot be asked";

/// The findings from authentication to rekeying.
pub fn findings(case: &Case<'_>) -> Vec<DoctorFinding> {
    let Some(status) = &case.tunnel.status else {
        return vec![DoctorFinding::skip(Check::Authentication, NOT_ASKED)];
    };
    if case.tunnel.is_up() {
        let mut findings = vec![authenticated(case)];
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
                "the service cannot set the tunnel up, see the line `service`",
            )]
        }
        None => vec![pending(case, &status.state)],
    }
}

fn authenticated(case: &Case<'_>) -> DoctorFinding {
    let status = case.tunnel.status.as_ref();
    let peer = status.and_then(|s| s.peer_identity.as_deref()).unwrap_or("an unnamed identity");
    let own = status.and_then(|s| s.own_identity.as_deref()).unwrap_or("an unnamed identity");
    DoctorFinding::ok(
        Check::Authentication,
        format!("the gateway authenticated as {peer}, and this device as {own}"),
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
        DoctorFinding::ok(Check::ChildProposal, format!("both ends chose {}", first.suite)),
        DoctorFinding::ok(Check::Selectors, pairs.join("; ")),
    ]
}

fn rekeying(case: &Case<'_>) -> DoctorFinding {
    match &case.tunnel.rekey {
        None => DoctorFinding::skip(Check::ForwardSecrecy, "not tried (--no-rekey)"),
        Some(RekeyOutcome::Done) => DoctorFinding::ok(
            Check::ForwardSecrecy,
            "a Child SA was rekeyed just now, with both ends' pfs_group",
        ),
        Some(RekeyOutcome::TimedOut(time)) => DoctorFinding::warn(
            Check::ForwardSecrecy,
            format!(
                "the service was asked to rekey a Child SA, which did not happen within {} s",
                time.as_secs()
            ),
        )
        .remedy("run the doctor again in a minute: the gateway may have been busy"),
        Some(RekeyOutcome::Refused(refusal)) => rekey_refused(case, refusal),
    }
}

/// The finding for a refused rekey. The Child SA of IKE_AUTH has no key exchange of its own, a
/// rekeyed one has (RFC 7296 §1.2, §1.3): a suite that was accepted in IKE_AUTH and is refused now
/// differs in the PFS group only.
fn rekey_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
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
                "PFS mismatch: {} refuses to rekey the Child SA, although the ciphers were accepted in IKE_AUTH{differs}; the \
                 tunnel goes down when the present keys expire. Ours: {ours}",
                who(refusal)
            );
            DoctorFinding::fail(Check::ForwardSecrecy, seen)
                .remedy("make pfs_group here and pfsGroup on the Azure connection the same")
                .at_azure(case.az().set_policy())
        }
        Some(RefusalReason::TemporaryFailure) => DoctorFinding::warn(
            Check::ForwardSecrecy,
            "the gateway answered TEMPORARY_FAILURE, because it was rekeying itself; the service tries again",
        ),
        _ => with_remedy(DoctorFinding::fail(Check::ForwardSecrecy, sentence(refusal)), refusal),
    }
}

/// The findings for a tunnel whose latest attempt was refused.
fn refused(case: &Case<'_>, refusal: &Explanation) -> Vec<DoctorFinding> {
    let az = case.az();
    let detail = refusal.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let finding = match reason(refusal) {
        Some(RefusalReason::CredentialsRefused) => credentials_refused(case),
        Some(RefusalReason::CertificateUnacceptable) => with_remedy(
            DoctorFinding::fail(
                Check::Authentication,
                format!("this device refuses the gateway's certificate{detail}"),
            ),
            refusal,
        )
        .at_azure(az.show("certificateAuthentication.outboundAuthCertificate")),
        Some(RefusalReason::IdentityUnacceptable) => with_remedy(
            DoctorFinding::fail(
                Check::Authentication,
                format!("this device refuses the gateway's identity, which is not the expected common name (CN){detail}"),
            ),
            refusal,
        )
        .at_azure(az.show("certificateAuthentication.outboundAuthCertificate")),
        Some(RefusalReason::SelectorsUnacceptable) => {
            return vec![both_authenticated(), selectors_refused(case, refusal)];
        }
        Some(RefusalReason::NoCommonEspProposal | RefusalReason::PfsMismatch) => {
            return vec![both_authenticated(), child_refused(case, refusal)];
        }
        Some(RefusalReason::NoAnswer) => no_answer(case, refusal),
        _ => with_remedy(DoctorFinding::fail(Check::Authentication, sentence(refusal)), refusal)
            .at_azure(az.ike_log()),
    };
    vec![finding, not_reached(Check::Selectors, Check::Authentication)]
}

fn both_authenticated() -> DoctorFinding {
    DoctorFinding::ok(Check::Authentication, "both ends accepted each other's certificate")
}

/// The finding for AUTHENTICATION_FAILED from the gateway. The notify carries no reason (RFC 7296
/// §2.21.2); Azure's log has the reason, and the gateway's CERTREQ is a hint at it.
fn credentials_refused(case: &Case<'_>) -> DoctorFinding {
    let (subject, issuer) = match &case.facts.own {
        Some((subject, issuer)) => (subject.as_str(), issuer.as_str()),
        None => ("our certificate", "its issuer"),
    };
    let hint = match case.tunnel.trusts_us {
        Some(false) => {
            ". The gateway's CERTREQ does not name the authority of our certificate: the wrong root is configured there"
        }
        Some(true) => {
            ". The gateway's CERTREQ names the authority of our certificate, so check the subject name first"
        }
        None => "",
    };
    let seen = format!(
        "the gateway refuses this device with AUTHENTICATION_FAILED{hint}. Azure logs 13801 when the gateway does not know \
         {subject} or its issuer {issuer}, and 13826 when the gateway cannot verify our signature"
    );
    let name = subject.strip_prefix("CN=").unwrap_or(subject);
    let remedy = format!(
        "13801: the Azure connection needs inboundAuthCertificateSubjectName {name}, and the certificate of {issuer} in \
         inboundAuthCertificateChain; 13826: rsa_signature_hash = \"SHA1\" here, and the key that belongs to the certificate"
    );
    DoctorFinding::fail(Check::Authentication, seen)
        .remedy(remedy)
        .at_azure(case.az().certificates())
}

fn selectors_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    let theirs = match refusal.theirs.as_slice() {
        [] => String::new(),
        theirs => format!(", theirs {}", theirs.join("; ")),
    };
    let seen = format!(
        "{} refuses the traffic selectors: ours {}{theirs}; Azure logs 13999",
        who(refusal),
        refusal.ours.join("; ")
    );
    let remedy = "make use_policy_based_traffic_selectors and the address_prefixes of both sides agree with Azure: the address space of \
                  the virtual network, and that of the local network gateway";
    DoctorFinding::fail(Check::Selectors, seen).remedy(remedy).at_azure(case.az().set_selectors())
}

fn child_refused(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    let rekeyed = refusal.step.as_deref().is_some_and(|step| step.contains("rekey"));
    if rekeyed || reason(refusal) == Some(RefusalReason::PfsMismatch) {
        return rekey_refused(case, refusal);
    }
    let differs = refusal.difference.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    let seen = format!(
        "no common ESP proposal: {} refuses {}{differs}; Azure logs 13868",
        who(refusal),
        case.connection.ipsec_policy
    );
    DoctorFinding::fail(Check::ChildProposal, seen)
        .remedy("make ipsec_encryption and ipsec_integrity the same on both ends")
        .at_azure(case.az().set_policy())
}

/// The finding for an IKE message without an answer. Both ports answer probes, so the cause is that
/// message.
fn no_answer(case: &Case<'_>, refusal: &Explanation) -> DoctorFinding {
    if refusal.step.as_deref() != Some("IKE_AUTH") {
        return pending(case, "connecting");
    }
    let seen = "IKE_AUTH is not answered, although IKE_SA_INIT is: large messages are lost on the path, or the gateway drops the request";
    DoctorFinding::fail(Check::Authentication, seen)
        .remedy("let IP fragments and large UDP datagrams pass; shorten the certificate path")
        .at_azure(case.az().ike_log())
}

fn pending(case: &Case<'_>, state: &str) -> DoctorFinding {
    let seen = match case.connection.connection_mode {
        ConnectionMode::InitiatorOnly => {
            "the gateway is to dial (connection_mode InitiatorOnly), and has not dialled yet"
                .to_owned()
        }
        _ => format!("not authenticated yet: the connection is {state}, and nothing was refused"),
    };
    DoctorFinding::warn(Check::Authentication, seen)
        .remedy("run the doctor again in a minute")
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

/// The explanation's text up to its remedy, which the finding has in a field of its own.
fn sentence(explanation: &Explanation) -> String {
    let text = explanation.text.as_str();
    let before_remedy =
        |remedy: &String| text.split_once(remedy.as_str()).map(|(before, _)| before);
    let before = explanation.remedy.as_ref().and_then(before_remedy);
    // The words that introduce the remedy are a sentence of their own.
    before.and_then(|before| before.rsplit_once(". ")).map_or(text, |(what, _)| what).to_owned()
}

fn with_remedy(finding: DoctorFinding, explanation: &Explanation) -> DoctorFinding {
    match &explanation.remedy {
        Some(remedy) => finding.remedy(remedy.clone()),
        None => finding,
    }
}
