//! The rules of one certificate.

use super::{CertificateDirection, CertificateReview, ChainRole, ReviewFinding, azure};
use crate::crypto::signature::{KeyKind, RSA_MAX_SIGNING_BITS, RSA_MIN_BITS, Scheme};
use crate::pki::certificate::{Certificate, KeyPurpose};
use crate::pki::chain::{above, is_authority};
use crate::pki::own_identity::{Expiry, expiry};
use crate::time::UnixTime;

const DAY: u64 = 86_400;
const REISSUE: &str = "have it issued again, as `s2sd pki issue` does";

/// The role of a certificate by its own extensions.
pub(crate) fn role(certificate: &Certificate) -> ChainRole {
    match (is_authority(certificate), certificate.is_self_issued()) {
        (false, _) => ChainRole::Leaf,
        (true, false) => ChainRole::Intermediate,
        (true, true) => ChainRole::Root,
    }
}

/// Reviews one certificate among others.
pub(crate) fn review(
    certificate: &Certificate,
    others: &[&Certificate],
    direction: CertificateDirection,
    now: UnixTime,
) -> CertificateReview {
    let role = role(certificate);
    let common = [dates(certificate, role, direction, now), key(certificate, role, direction)];
    let mut findings = Vec::from(common);
    findings.push(signature(certificate, role));
    match role {
        ChainRole::Leaf => findings.extend(leaf(certificate, direction)),
        ChainRole::Intermediate | ChainRole::Root => {
            findings.extend(authority(certificate, others))
        }
    }
    findings.extend(certificate.unprocessed_critical().iter().map(|oid| {
        let found = format!("extension {oid} is critical and peers do not understand it");
        ReviewFinding::fail("extensions", found, "have it issued without, or not critical", None)
    }));
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    CertificateReview {
        role,
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: hex(certificate.serial()),
        thumbprint: certificate.thumbprint().to_string(),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
        days_left: certificate.not_after().0.saturating_sub(now.0) / DAY,
        alt_names: certificate.alt_names().iter().map(ToString::to_string).collect(),
        findings,
    }
}

fn dates(
    certificate: &Certificate,
    role: ChainRole,
    direction: CertificateDirection,
    now: UnixTime,
) -> ReviewFinding {
    const RULE: &str = "dates";
    let error = match (role, direction) {
        (ChainRole::Leaf, CertificateDirection::Inbound) => None,
        (ChainRole::Leaf, _) => Some(azure::OUTBOUND_EXPIRED),
        _ => Some(azure::ROOT_EXPIRED),
    };
    let renew = match role {
        ChainRole::Leaf => "renew it under the same subject: `s2sd pki issue ... --renew`",
        _ => {
            "make a new authority, issue from it, and give Azure the new chain beside the old one's end"
        }
    };
    match expiry(certificate.not_before(), certificate.not_after(), now) {
        Some(Expiry::NotYet(from)) => {
            let found = format!("valid only from {from} on; now is {now}");
            ReviewFinding::fail(RULE, found, "check this machine's clock, else wait", None)
        }
        Some(Expiry::Over(at)) => {
            ReviewFinding::fail(RULE, format!("expired on {at}"), renew, error)
        }
        Some(Expiry::Within(days, at)) => {
            let days = if days == 1 { "a day".to_owned() } else { format!("{days} days") };
            ReviewFinding::warn(RULE, format!("ends within {days}, on {at}"), renew)
        }
        None => ReviewFinding::ok(RULE, format!("until {}", certificate.not_after())),
    }
}

fn key(
    certificate: &Certificate,
    role: ChainRole,
    direction: CertificateDirection,
) -> ReviewFinding {
    const RULE: &str = "key";
    const REMEDY: &str = "have it issued for an RSA key of 2048, 3072 or 4096 bits";
    let outbound = role == ChainRole::Leaf && direction != CertificateDirection::Inbound;
    let error = |error| outbound.then_some(error);
    match certificate.public_key().map(|key| key.kind()) {
        Ok(KeyKind::Rsa { bits }) if bits < RSA_MIN_BITS => {
            let found = format!("RSA {bits}: too short to prove anything");
            ReviewFinding::fail(RULE, found, REMEDY, error(azure::OUTBOUND_KEY_LENGTH))
        }
        Ok(KeyKind::Rsa { bits }) if role == ChainRole::Leaf && bits > RSA_MAX_SIGNING_BITS => {
            let found = format!("RSA {bits}: s2sd signs with {RSA_MAX_SIGNING_BITS} bits at most");
            ReviewFinding::warn(RULE, found, REMEDY)
        }
        Ok(kind @ KeyKind::Rsa { .. }) => ReviewFinding::ok(RULE, kind.to_string()),
        Ok(kind) if outbound => {
            let found = format!("{kind}: Azure's own certificate must have an RSA key");
            ReviewFinding::fail(RULE, found, REMEDY, error(azure::OUTBOUND_NOT_RSA))
        }
        Ok(kind) => {
            let found = format!("{kind}: Azure documents RSA of 2048 bits and more only");
            ReviewFinding::warn(RULE, found, REMEDY)
        }
        Err(fault) => {
            ReviewFinding::fail(RULE, fault.to_string(), REMEDY, error(azure::OUTBOUND_NOT_RSA))
        }
    }
}

fn signature(certificate: &Certificate, role: ChainRole) -> ReviewFinding {
    const RULE: &str = "signature";
    match certificate.signature_scheme() {
        // A root is trusted because it is configured, not for its signature.
        Ok(Scheme::RsaPkcs1Sha1) if role != ChainRole::Root => {
            ReviewFinding::fail(RULE, "made with SHA-1, which is broken", REISSUE, None)
        }
        Ok(scheme) => ReviewFinding::ok(RULE, scheme.to_string()),
        Err(error) if role == ChainRole::Root => {
            ReviewFinding::warn(RULE, error.to_string(), "have it issued with SHA-256")
        }
        Err(error) => {
            ReviewFinding::fail(RULE, error.to_string(), "have it issued with SHA-256", None)
        }
    }
}

fn leaf(certificate: &Certificate, direction: CertificateDirection) -> Vec<ReviewFinding> {
    let mut findings = vec![subject(certificate, direction), purposes(certificate, direction)];
    if certificate.key_usage().is_some_and(|usage| !usage.sign) {
        let found = "lacks digitalSignature, so it may not sign";
        findings.push(ReviewFinding::fail("key usage", found, REISSUE, None));
    }
    if certificate.version() != 3 {
        let found = format!("X.509 version {} has no room for extensions", certificate.version());
        findings.push(ReviewFinding::fail("version", found, REISSUE, None));
    }
    findings
}

fn subject(certificate: &Certificate, direction: CertificateDirection) -> ReviewFinding {
    const RULE: &str = "subject";
    let subject = certificate.subject();
    let error = (direction != CertificateDirection::Outbound).then_some(azure::NO_SUBJECT_NAME);
    match subject.common_name().filter(|name| !name.is_empty()) {
        None => {
            let found = format!(
                "{subject} has no common name, and Azure identifies a peer by the common name"
            );
            ReviewFinding::fail(RULE, found, "have it issued with a subject CN=NAME", error)
        }
        Some(name) if subject.to_string() != format!("CN={name}") => ReviewFinding::warn(
            RULE,
            format!("{subject} is more than a common name"),
            format!(
                "Azure's documents differ on whether the common name or the whole subject is compared: a subject of CN={name} \
                 alone serves both"
            ),
        ),
        Some(name) => ReviewFinding::ok(RULE, format!("the common name {name} alone")),
    }
}

fn purposes(certificate: &Certificate, direction: CertificateDirection) -> ReviewFinding {
    const RULE: &str = "extended key usage";
    let found = certificate.purposes().unwrap_or_default();
    let has = |wanted: &KeyPurpose| found.contains(wanted);
    if [KeyPurpose::ServerAuth, KeyPurpose::ClientAuth].iter().all(has) {
        return ReviewFinding::ok(RULE, "serverAuth and clientAuth");
    }
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match direction {
        CertificateDirection::Inbound => {
            let found = format!(
                "{names}; the certificates of Azure's article have serverAuth and clientAuth"
            );
            ReviewFinding::warn(RULE, found, REISSUE)
        }
        CertificateDirection::Outbound | CertificateDirection::Either => {
            let found =
                format!("{names}; Azure demands serverAuth and clientAuth of its own certificate");
            ReviewFinding::fail(RULE, found, REISSUE, Some(azure::OUTBOUND_PURPOSES))
        }
    }
}

fn authority(certificate: &Certificate, others: &[&Certificate]) -> Vec<ReviewFinding> {
    let constraints = match certificate.basic_constraints() {
        Some(_) => ReviewFinding::ok("authority", "basic constraints CA:TRUE"),
        None => ReviewFinding::warn(
            "authority",
            "no basic constraints: an authority only by being configured as one",
            "have the root made with CA:TRUE, as `s2sd pki init` does",
        ),
    };
    let usage = match certificate.key_usage() {
        Some(usage) if !usage.certify => ReviewFinding::fail(
            "key usage",
            "lacks keyCertSign, so it may not issue",
            "make the authority again with keyCertSign, as `s2sd pki init` does",
            Some(azure::ROOT_INVALID),
        ),
        Some(_) => ReviewFinding::ok("key usage", "keyCertSign"),
        None => ReviewFinding::ok("key usage", "not limited"),
    };
    vec![constraints, usage, path_length(certificate, others)]
}

/// How many authorities stand below, against how many may (RFC 5280 §4.2.1.9).
fn path_length(certificate: &Certificate, others: &[&Certificate]) -> ReviewFinding {
    const RULE: &str = "path length";
    let pool: Vec<Certificate> = others.iter().copied().cloned().collect();
    let below = |head: &&Certificate| {
        let path = above(head, &pool);
        let place = path.iter().position(|c| c == certificate)?;
        let between = path.iter().take(place).filter(|c| !c.is_self_issued()).count();
        u32::try_from(between + usize::from(is_authority(head))).ok()
    };
    let deepest = others.iter().filter_map(below).max().unwrap_or(0);
    match certificate.basic_constraints().and_then(|found| found.path_len) {
        Some(allowed) if deepest > allowed => ReviewFinding::fail(
            RULE,
            format!("allows {allowed} authorities below it; there are {deepest}"),
            "issue from a higher authority, or make this one with a greater path length",
            Some(azure::CHAIN_CREATION),
        ),
        Some(allowed) => ReviewFinding::ok(RULE, format!("{allowed}; {deepest} used")),
        None => ReviewFinding::ok(RULE, "not limited"),
    }
}
