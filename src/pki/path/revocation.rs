//! Certificate revocation: revoked thumbprints and CRLs, on a path that is otherwise sound.
//!
//! rustls-webpki takes the first CRL with the right issuer's *name*. An authority that renewed its
//! key keeps its name (Active Directory does) and has a CRL for each key, so the choice is made
//! here: of each issuer's CRLs those that its key signed, newest first. rustls-webpki then decides:
//! scope, signature, dates, cRLSign, serial number.
//!
//! A CRL may be about a part of its authority's certificates (RFC 5280 §5.2.5). rustls-webpki
//! passes over one whose distribution point the certificate does not name, or which is about
//! authorities when this is none. What such a list says about serial numbers is true wherever the
//! file was fetched from, so a listed certificate is refused here. That it does not list one says
//! nothing: then the certificate counts as one without a CRL. It is refused where CRLs are demanded
//! ([`CrlDemand::Always`]) and passes where they are not, as it would without the file.
//!
//! A CRL with the issuer's name that its key did not sign refuses the peer unless another one fits:
//! either the file is not the authority's or the wrong one of its keys, and nobody can tell which
//! certificates it would have listed.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{
    EndEntityCert, ExpirationPolicy, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::ValidPath;
use super::reason::PathReason;
use super::trust::{CrlDemand, IkePurposes, StaleCrls, Trust};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::refusal::TrustRefusal;
use crate::time::UnixTime;

pub(super) fn check(
    trust: &Trust,
    path: &ValidPath,
    anchor: &TrustAnchor<'_>,
    now: UnixTime,
) -> Result<(), TrustRefusal> {
    if let Some(certificate) = path.iter().find(|c| trust.revoked.contains(&c.thumbprint())) {
        return Err(TrustRefusal::of(certificate, PathReason::RevokedThumbprint));
    }
    let mut usable = Vec::new();
    for (child, issuer) in path.links() {
        let crls = crls_of(trust, issuer).map_err(|reason| TrustRefusal::of(child, reason))?;
        if crls.is_empty() && trust.crl_demand == CrlDemand::Always {
            let issuer = issuer.subject().to_string();
            return Err(TrustRefusal::of(child, PathReason::NoCrl { issuer }));
        }
        if let Some(line) = current(&crls).find_map(|crl| crl.entry(child.serial())) {
            let by = issuer.subject().to_string();
            let (at, why) = (line.at, line.why.clone());
            return Err(TrustRefusal::of(child, PathReason::Revoked { by, at, why }));
        }
        usable.extend(crls);
    }
    if usable.is_empty() {
        return Ok(());
    }
    let ask = |depth| ask_webpki(trust, path, anchor, &usable, depth, now);
    ask(RevocationCheckDepth::Chain).map_err(|error| match error {
        webpki::Error::UnknownRevocationStatus => {
            let leaf_is_known = ask(RevocationCheckDepth::EndEntity).is_ok();
            out_of_scope(path, &usable, leaf_is_known)
        }
        error => explain(&error, path, &usable, now),
    })
}

/// The CRLs that `issuer` signed, newest first. An error when there are some of its name and it
/// signed none.
fn crls_of<'a>(trust: &'a Trust, issuer: &Certificate) -> Result<Vec<&'a Crl>, PathReason> {
    let of_name = || trust.crls.iter().filter(|crl| crl.issuer() == issuer.subject());
    let mut signed: Vec<&Crl> = match issuer.public_key() {
        Ok(key) => of_name().filter(|crl| crl.is_signed_by(key)).collect(),
        Err(_) => Vec::new(),
    };
    if signed.is_empty() && of_name().next().is_some() {
        let issuer = issuer.subject().to_string();
        let why = "the issuer's key did not sign it";
        return Err(PathReason::UnusableCrl { issuer, why });
    }
    signed.sort_by_key(|crl| std::cmp::Reverse(crl.this_update()));
    Ok(signed)
}

/// Of CRLs sorted newest first, those that no newer one of the same scope replaces.
fn current<'a>(crls: &[&'a Crl]) -> impl Iterator<Item = &'a Crl> {
    crls.iter().enumerate().filter_map(|(place, crl)| {
        let replaced = crls.iter().take(place).any(|newer| newer.scope() == crl.scope());
        (!replaced).then_some(*crl)
    })
}

/// The same path once more, now with the CRLs that are its own.
fn ask_webpki(
    trust: &Trust,
    path: &ValidPath,
    anchor: &TrustAnchor<'_>,
    crls: &[&Crl],
    depth: RevocationCheckDepth,
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let lists: Vec<_> = crls.iter().map(|crl| crl.as_webpki()).collect();
    let options = RevocationOptionsBuilder::new(&lists)
        .expect("the caller has at least one CRL")
        .with_depth(depth)
        .with_status_policy(match trust.crl_demand {
            CrlDemand::WhereGiven => UnknownStatusPolicy::Allow,
            CrlDemand::Always => UnknownStatusPolicy::Deny,
        })
        .with_expiration_policy(match trust.stale_crls {
            StaleCrls::Refuse => ExpirationPolicy::Enforce,
            StaleCrls::Accept => ExpirationPolicy::Ignore,
        })
        .build();
    let between: Vec<CertificateDer<'_>> =
        path.intermediates.iter().map(|c| CertificateDer::from(c.as_der())).collect();
    let leaf = EndEntityCert::try_from(path.leaf.as_pki_type())?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        std::slice::from_ref(anchor),
        &between,
        rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now.0)),
        IkePurposes,
        Some(options),
        None,
    )?;
    Ok(())
}

/// The certificate that no CRL of its issuer is about, though there are some and one is demanded.
/// rustls-webpki does not say which: the topmost whose issuer has none but CRLs of a scope, and not
/// the leaf if that is known to be well.
fn out_of_scope(path: &ValidPath, crls: &[&Crl], leaf_is_known: bool) -> TrustRefusal {
    let narrow = |issuer: &Certificate| {
        let mut own = crls.iter().filter(|crl| crl.issuer() == issuer.subject());
        own.all(|crl| crl.scope().is_some())
    };
    let suspects = path.links().skip(usize::from(leaf_is_known));
    let found = suspects.filter(|(_, issuer)| narrow(issuer)).last();
    let child = found.map_or(&path.leaf, |(child, _)| child);
    let issuer = child.issuer().to_string();
    TrustRefusal::of(child, PathReason::CrlOutOfScope { issuer })
}

/// Which certificate and which CRL rustls-webpki meant.
fn explain(error: &webpki::Error, path: &ValidPath, crls: &[&Crl], now: UnixTime) -> TrustRefusal {
    // rustls-webpki goes from the root down, so the first link from the top that fits is the one.
    let mut links: Vec<_> = path.links().collect();
    links.reverse();
    let of = |issuer: &Certificate| {
        crls.iter().filter(|crl| crl.issuer() == issuer.subject()).copied().collect::<Vec<_>>()
    };
    match error {
        webpki::Error::CrlExpired { .. } => {
            for (child, issuer) in &links {
                if let Some(crl) = of(issuer).iter().find(|crl| crl.next_update() <= now) {
                    let issuer = issuer.subject().to_string();
                    let next_update = crl.next_update();
                    return TrustRefusal::of(
                        child,
                        PathReason::StaleCrl { issuer, next_update, now },
                    );
                }
            }
        }
        webpki::Error::IssuerNotCrlSigner => {
            for (child, issuer) in &links {
                if issuer.key_usage().is_some_and(|usage| !usage.revoke) && !of(issuer).is_empty() {
                    let issuer = issuer.subject().to_string();
                    let why = "the issuer's key usage lacks cRLSign";
                    return TrustRefusal::of(child, PathReason::UnusableCrl { issuer, why });
                }
            }
        }
        _ => {}
    }
    TrustRefusal::of(&path.leaf, PathReason::Other(format!("CRL check: {error}")))
}
