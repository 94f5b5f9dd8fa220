//! Thumbprints and CRLs against a path that is otherwise sound.
//!
//! rustls-webpki takes the first CRL with the right issuer's *name*. An authority that renewed its key keeps its name
//! (Active Directory does) and has a CRL for each key, so the choice is made here: of each issuer's CRLs those that its
//! key signed, newest first. rustls-webpki then decides: scope, signature, dates, cRLSign, serial number.
//!
//! It also passes over a CRL whose distribution point the certificate does not name. What such a list says about its own
//! authority's serial numbers is true wherever the file was fetched from, so a listed certificate is refused here.
//!
//! A CRL with the issuer's name that its key did not sign refuses the peer unless another one fits: either the file is
//! not the authority's or the wrong one of its keys, and nobody can tell which certificates it would have listed.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{EndEntityCert, ExpirationPolicy, RevocationOptionsBuilder, UnknownStatusPolicy};

use super::ValidPath;
use super::reason::PathReason;
use super::trust::{CrlDemand, IkePurposes, StaleCrls, Trust};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::refusal::Refusal;
use crate::time::UnixTime;

pub(super) fn check(
    trust: &Trust,
    path: &ValidPath,
    anchor: &TrustAnchor<'_>,
    now: UnixTime,
) -> Result<(), Refusal> {
    if let Some(certificate) = path.iter().find(|c| trust.revoked.contains(&c.thumbprint())) {
        return Err(Refusal::of(certificate, PathReason::RevokedThumbprint));
    }
    let mut usable = Vec::new();
    for (child, issuer) in path.links() {
        let crls = crls_of(trust, issuer).map_err(|reason| Refusal::of(child, reason))?;
        if crls.is_empty() && trust.crl_demand == CrlDemand::Always {
            let issuer = issuer.subject().to_string();
            return Err(Refusal::of(child, PathReason::NoCrl { issuer }));
        }
        if let Some(line) = current(&crls).find_map(|crl| crl.entry(child.serial())) {
            let by = issuer.subject().to_string();
            let (at, why) = (line.at, line.why.clone());
            return Err(Refusal::of(child, PathReason::Revoked { by, at, why }));
        }
        usable.extend(crls);
    }
    if usable.is_empty() {
        return Ok(());
    }
    ask_webpki(trust, path, anchor, &usable, now)
        .map_err(|error| explain(&error, path, &usable, now))
}

/// The CRLs that `issuer` signed, newest first. An error when there are some of its name and it signed none.
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
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let lists: Vec<_> = crls.iter().map(|crl| crl.as_webpki()).collect();
    let options = RevocationOptionsBuilder::new(&lists)
        .expect("the caller has at least one CRL")
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

/// Which certificate and which CRL rustls-webpki meant.
fn explain(error: &webpki::Error, path: &ValidPath, crls: &[&Crl], now: UnixTime) -> Refusal {
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
                    return Refusal::of(child, PathReason::StaleCrl { issuer, next_update, now });
                }
            }
        }
        webpki::Error::IssuerNotCrlSigner => {
            for (child, issuer) in &links {
                if issuer.key_usage().is_some_and(|usage| !usage.revoke) && !of(issuer).is_empty() {
                    let issuer = issuer.subject().to_string();
                    let why = "the issuer's key usage lacks cRLSign";
                    return Refusal::of(child, PathReason::UnusableCrl { issuer, why });
                }
            }
        }
        webpki::Error::UnknownRevocationStatus => {
            let issuer = path.leaf.issuer().to_string();
            return Refusal::of(&path.leaf, PathReason::NoCrl { issuer });
        }
        _ => {}
    }
    Refusal::of(&path.leaf, PathReason::Other(format!("CRL check: {error}")))
}
