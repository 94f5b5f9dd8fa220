//! The rules of certificates together: what Azure checks of `inboundAuthCertificateChain` and of a
//! Key Vault certificate.

use super::certificate::role;
use super::{CertificateDirection, ChainRole, ReviewFinding, azure};
use crate::crypto::signature::PublicKey;
use crate::pki::certificate::Certificate;
use crate::pki::chain::{above, heads};

/// Azure takes this many authorities above an inbound certificate, the root among them.
const AUTHORITIES_MAX: usize = 5;

/// `given` is as it came, `ordered` each once.
pub(crate) fn review(
    given: &[Certificate],
    ordered: &[&Certificate],
    keys: &[PublicKey],
    direction: CertificateDirection,
) -> Vec<ReviewFinding> {
    let authorities: Vec<&Certificate> =
        ordered.iter().filter(|c| role(c) != ChainRole::Leaf).copied().collect();
    let mut findings = vec![root(ordered, direction)];
    if !authorities.is_empty() {
        findings.push(single(given, ordered, &authorities));
        findings.push(size(&authorities));
    }
    findings.extend(duplicates(given, ordered));
    findings.extend(private_keys(ordered, keys, direction));
    findings
}

/// That the root of every leaf is there.
fn root(ordered: &[&Certificate], direction: CertificateDirection) -> ReviewFinding {
    const RULE: &str = "root";
    let pool: Vec<Certificate> = ordered.iter().copied().cloned().collect();
    let rootless = heads(&pool).into_iter().find_map(|head| {
        let path = above(head, &pool);
        let top = path.last().unwrap_or(head);
        (!top.is_self_issued() || role(top) == ChainRole::Leaf).then(|| top.clone())
    });
    let (none, some) = match direction {
        CertificateDirection::Outbound => (azure::OUTBOUND_CHAIN_FAULT, azure::OUTBOUND_NO_ROOT),
        _ => (azure::INBOUND_CHAIN_FAULT, azure::INBOUND_NO_ROOT),
    };
    match rootless {
        Some(top) if top.is_self_issued() => ReviewFinding::fail(
            RULE,
            format!("{} issued itself and is no authority", top.subject()),
            "issue it from a root: `s2sd pki init`, then `s2sd pki issue`",
            Some(none),
        ),
        Some(top) => {
            let same_name = ordered.iter().any(|c| c.subject() == top.issuer());
            let found = match same_name {
                true => format!(
                    "{} was signed by another key than that of the {} that is here",
                    top.subject(),
                    top.issuer()
                ),
                false => {
                    format!("{}, who issued {}, is not among them", top.issuer(), top.subject())
                }
            };
            let remedy = format!("name the file with the certificate of {} too", top.issuer());
            let alone = ordered.iter().all(|c| role(c) == ChainRole::Leaf);
            ReviewFinding::fail(RULE, found, remedy, Some(if alone { none } else { some }))
        }
        None => {
            let roots = ordered.iter().filter(|c| role(c) == ChainRole::Root);
            let names: Vec<String> = roots.map(|root| root.subject().to_string()).collect();
            ReviewFinding::ok(RULE, names.join("; "))
        }
    }
}

/// That all authorities stand on one path.
fn single(
    given: &[Certificate],
    ordered: &[&Certificate],
    authorities: &[&Certificate],
) -> ReviewFinding {
    const RULE: &str = "one chain";
    let on = |head: &&Certificate| {
        let path = above(head, given);
        authorities.iter().filter(|a| *a == head || path.contains(a)).copied().collect::<Vec<_>>()
    };
    let longest = ordered.iter().map(on).max_by_key(Vec::len).unwrap_or_default();
    match authorities.iter().find(|authority| !longest.contains(authority)) {
        None => ReviewFinding::ok(RULE, "every authority is on one path"),
        Some(stray) => ReviewFinding::fail(
            RULE,
            format!("{stray} is not on one path with the others"),
            "give Azure the path of one certificate only: leave this one out",
            Some(azure::INBOUND_NOT_ALL),
        ),
    }
}

fn size(authorities: &[&Certificate]) -> ReviewFinding {
    const RULE: &str = "length";
    let count = authorities.len();
    let found = format!("{}; Azure takes {AUTHORITIES_MAX}", many(count, "authority"));
    if count > AUTHORITIES_MAX {
        let remedy = "have the certificate issued by an authority nearer to the root";
        return ReviewFinding::fail(RULE, found, remedy, Some(azure::TOO_MANY));
    }
    ReviewFinding::ok(RULE, found)
}

fn duplicates(given: &[Certificate], ordered: &[&Certificate]) -> Option<ReviewFinding> {
    let twice = ordered.iter().find(|c| given.iter().filter(|other| other == *c).count() > 1)?;
    Some(ReviewFinding::warn(
        "duplicates",
        format!("{twice} is there more than once"),
        format!(
            "give it to Azure once (its error otherwise: {}); `s2sd pki export` does",
            azure::DUPLICATE
        ),
    ))
}

/// Keys: that they belong to a certificate, and that Azure's public fields do not get them.
fn private_keys(
    ordered: &[&Certificate],
    keys: &[PublicKey],
    direction: CertificateDirection,
) -> Vec<ReviewFinding> {
    const RULE: &str = "private key";
    let owner = |key: &PublicKey| ordered.iter().find(|c| c.public_key() == Ok(key));
    let finding = |key: &PublicKey| match owner(key) {
        None => ReviewFinding::fail(
            RULE,
            format!("a key ({}) is of none of the certificates", key.kind()),
            "name the certificate that was made for it, or its key",
            Some(azure::OUTBOUND_CHAIN_CREATION)
                .filter(|_| direction == CertificateDirection::Outbound),
        ),
        Some(certificate) if role(certificate) == ChainRole::Leaf => {
            ReviewFinding::ok(RULE, format!("of {}", certificate.subject()))
        }
        Some(certificate) => ReviewFinding::warn(
            RULE,
            format!("of the authority {}", certificate.subject()),
            format!(
                "keep it where you issue, out of this file: Azure answers {}",
                azure::PRIVATE_KEY
            ),
        ),
    };
    keys.iter().map(finding).collect()
}

fn many(count: usize, word: &str) -> String {
    match (count, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (count, Some(stem)) => format!("{count} {stem}ies"),
        (count, None) => format!("{count} {word}s"),
    }
}
