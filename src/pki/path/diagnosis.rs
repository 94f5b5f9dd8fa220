//! Why no path was found: walks up from the leaf, always to the most promising issuer, and names
//! the first broken rule.

use super::reason::PathReason;
use super::rules::{self, PathPlace};
use super::trust::Search;
use crate::pki::certificate::Certificate;
use crate::pki::refusal::TrustRefusal;

/// How many authorities are walked up: as many as rustls-webpki allows on a path.
const MAX_DEPTH: usize = 6;
/// How many issuers of the same name are tried at each step.
const MAX_CANDIDATES: usize = 8;

/// The refusal that says most. `error` is what rustls-webpki said, for the rules that only it
/// checks.
pub(super) fn explain(search: &Search<'_>, error: &webpki::Error) -> TrustRefusal {
    let check = |certificate: &Certificate, place| {
        rules::check(certificate, place, search.trust.purposes, search.now)
            .map_err(|reason| TrustRefusal::of(certificate, reason))
    };
    let mut path = vec![search.leaf];
    let mut below = 0;
    if let Err(refusal) = check(search.leaf, PathPlace::Leaf) {
        return refusal;
    }
    // A peer that made up a whole family of certificates must not buy much of our time with it.
    while let Some(head) = path.last().copied()
        && path.len() <= MAX_DEPTH + 1
    {
        let (issuer, place) = match next(search, &path, head, below) {
            Ok(next) => next,
            Err(refusal) => return refusal,
        };
        if let Err(refusal) = check(issuer, place) {
            return refusal;
        }
        if let Err(reason) = rules::check_link(head, issuer) {
            return TrustRefusal::of(head, reason);
        }
        path.push(issuer);
        if matches!(place, PathPlace::Root { .. }) {
            break;
        }
        below += u32::from(!issuer.is_self_issued());
    }
    only_webpki_knows(&path, error)
}

/// The most promising issuer of `head`: one that signed it and breaks no rule, else one that signed
/// it, else one that has the right name. Roots come before intermediates.
fn next<'a>(
    search: &'a Search<'_>,
    path: &[&Certificate],
    head: &Certificate,
    below: u32,
) -> Result<(&'a Certificate, PathPlace), TrustRefusal> {
    let roots = search.trust.roots.certificates().iter();
    let roots = roots.map(|root| (root, PathPlace::Root { below }));
    let pool = search.pool.iter().map(|other| (*other, PathPlace::Intermediate { below }));
    let named = roots
        .chain(pool)
        .filter(|(issuer, _)| issuer.subject() == head.issuer() && !path.contains(issuer));
    let best = named.take(MAX_CANDIDATES).min_by_key(|(issuer, place)| {
        let signed = rules::check_link(head, issuer).is_ok();
        let sound = rules::check(issuer, *place, search.trust.purposes, search.now).is_ok();
        // The first of the least: signed and sound before signed before named.
        (!signed, signed && !sound)
    });
    match best {
        Some((issuer, PathPlace::Intermediate { .. })) if rules::is_self_signed(issuer) => {
            let found = issuer.to_string();
            let configured = search.trust.roots.subjects();
            Err(TrustRefusal::of(search.leaf, PathReason::UnknownRoot { found, configured }))
        }
        Some(best) => Ok(best),
        None => Err(TrustRefusal::of(
            head,
            PathReason::MissingIssuer {
                issuer: head.issuer().to_string(),
                configured: search.trust.roots.subjects(),
                unreadable: search.unreadable,
            },
        )),
    }
}

/// The path is whole and breaks none of our rules, so the reason is one that rustls-webpki alone
/// checks.
fn only_webpki_knows(path: &[&Certificate], error: &webpki::Error) -> TrustRefusal {
    let leaf = path.first().copied();
    let reason = match error {
        webpki::Error::NameConstraintViolation => {
            let by = path.iter().skip(1).rev().find(|authority| authority.constrains_names());
            let by =
                by.map_or_else(|| "an authority above".to_owned(), |by| by.subject().to_string());
            PathReason::NameConstraint { by }
        }
        webpki::Error::MaximumNameConstraintComparisonsExceeded
        | webpki::Error::MaximumPathBuildCallsExceeded
        | webpki::Error::MaximumPathDepthExceeded
        | webpki::Error::MaximumSignatureChecksExceeded => {
            PathReason::TooComplex(error.to_string())
        }
        other => PathReason::Other(other.to_string()),
    };
    match leaf {
        Some(leaf) => TrustRefusal::of(leaf, reason),
        None => TrustRefusal::general(reason),
    }
}
