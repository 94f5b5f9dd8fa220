//! Certificate revocation: revoked thumbprints and CRLs, on a path that is otherwise sound.
//!
//! rustls-webpki knows one key for each issuer's *name*. An authority that renewed its key keeps
//! its name (Active Directory does), has a CRL for each key, and may stand on a path with both. So
//! the CRLs are judged here, link by link: all those of the issuer's name that verify under a key
//! of that authority, and each key's newest of a scope. A certificate that one of them lists is
//! refused.
//!
//! The keys of an authority are those of its certificates on the path, among the roots and among
//! the configured intermediates, as far as a key usage allows them to sign CRLs (cRLSign, RFC 5280
//! §4.2.1.3). What the peer sent beside its path is not asked: the verdict would be the peer's.
//!
//! A CRL may be about a part of its authority's certificates (RFC 5280 §5.2.5). What such a list
//! says about serial numbers is true wherever the file was fetched from, so a listed certificate is
//! refused. That it does not list one outside of its part says nothing: then the certificate counts
//! as one without a CRL. It is refused where CRLs are demanded ([`CrlDemand::Always`]) and passes
//! where they are not, as it would without the file.
//!
//! A CRL with the issuer's name that none of these keys signed refuses the peer unless another one
//! fits: either the file is not the authority's or the wrong one of its keys, and nobody can tell
//! which certificates it would have listed.

use super::ValidPath;
use super::reason::PathReason;
use super::trust::{CrlDemand, StaleCrls, Trust};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::refusal::TrustRefusal;
use crate::time::UnixTime;

pub(super) fn check(trust: &Trust, path: &ValidPath, now: UnixTime) -> Result<(), TrustRefusal> {
    if let Some(certificate) = path.iter().find(|c| trust.revoked.contains(&c.thumbprint())) {
        return Err(TrustRefusal::of(certificate, PathReason::RevokedThumbprint));
    }
    path.links().try_for_each(|(child, issuer)| {
        let judged = current_crls(trust, path, issuer)
            .and_then(|crls| check_link(trust, child, issuer, &crls, now));
        judged.map_err(|reason| TrustRefusal::of(child, reason))
    })
}

/// A CRL and the certificate whose key signed it.
struct SignedCrl<'a> {
    crl: &'a Crl,
    signer: &'a Certificate,
}

/// What the authority's CRLs say about one certificate.
fn check_link(
    trust: &Trust,
    child: &Certificate,
    issuer: &Certificate,
    crls: &[SignedCrl<'_>],
    now: UnixTime,
) -> Result<(), PathReason> {
    let name = || issuer.subject().to_string();
    if let Some(line) = crls.iter().find_map(|signed| signed.crl.entry(child.serial())) {
        let (at, why) = (line.at, line.why.clone());
        return Err(PathReason::Revoked { by: name(), at, why });
    }
    // The list of the key that signed the certificate says most: the lists of other keys may leave
    // such certificates out.
    let mut covering = crls.iter().filter(|signed| signed.crl.covers(child));
    let own = covering.clone().find(|signed| signed.signer.spki() == issuer.spki());
    let Some(SignedCrl { crl, .. }) = own.or_else(|| covering.next()) else {
        return match trust.crl_demand {
            CrlDemand::WhereGiven => Ok(()),
            CrlDemand::Always if crls.is_empty() => Err(PathReason::NoCrl { issuer: name() }),
            CrlDemand::Always => Err(PathReason::CrlOutOfScope { issuer: name() }),
        };
    };
    if crl.next_update() <= now && trust.stale_crls == StaleCrls::Refuse {
        let next_update = crl.next_update();
        return Err(PathReason::StaleCrl { issuer: name(), next_update, now });
    }
    Ok(())
}

/// The CRLs that keys of the authority signed, newest first, without those that a newer one of the
/// same key and scope replaces. An error when there are some of its name and none of them counts.
fn current_crls<'a>(
    trust: &'a Trust,
    path: &'a ValidPath,
    issuer: &'a Certificate,
) -> Result<Vec<SignedCrl<'a>>, PathReason> {
    let mut of_name: Vec<&Crl> =
        trust.crls.iter().filter(|crl| crl.issuer() == issuer.subject()).collect();
    if of_name.is_empty() {
        return Ok(Vec::new());
    }
    of_name.sort_by_key(|crl| std::cmp::Reverse(crl.this_update()));
    let signers: Vec<&Certificate> = signers(trust, path, issuer).collect();
    let mut current: Vec<SignedCrl<'a>> = Vec::new();
    for crl in &of_name {
        let Some(signer) = signers.iter().copied().find(|signer| is_signed_by(crl, signer)) else {
            continue;
        };
        let replaced = current
            .iter()
            .any(|newer| newer.signer.spki() == signer.spki() && newer.crl.scope() == crl.scope());
        if !replaced {
            current.push(SignedCrl { crl, signer });
        }
    }
    if !current.is_empty() {
        return Ok(current);
    }
    let why = if of_name.iter().any(|crl| is_signed_by(crl, issuer)) {
        "the issuer's key usage lacks cRLSign"
    } else {
        "no known key of the issuer signed it"
    };
    Err(PathReason::UnusableCrl { issuer: issuer.subject().to_string(), why })
}

/// The certificates of the authority whose keys may sign CRLs.
fn signers<'a>(
    trust: &'a Trust,
    path: &'a ValidPath,
    issuer: &'a Certificate,
) -> impl Iterator<Item = &'a Certificate> {
    let configured = trust.intermediates.iter().filter(|certificate| certificate.is_ca());
    std::iter::once(issuer)
        .chain(path.iter().skip(1))
        .chain(trust.roots.certificates())
        .chain(configured)
        .filter(|authority| authority.subject() == issuer.subject())
        .filter(|authority| authority.key_usage().is_none_or(|usage| usage.revoke))
}

fn is_signed_by(crl: &Crl, signer: &Certificate) -> bool {
    signer.public_key().is_ok_and(|key| crl.is_signed_by(key))
}
