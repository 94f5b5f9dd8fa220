//! What a certificate must be by its place on the path. An absent extension breaks no rule; a
//! present one binds.

use super::ValidPath;
use super::reason::PathReason;
use super::trust::Purposes;
use crate::pki::certificate::{Certificate, KeyPurpose};
use crate::pki::refusal::TrustRefusal;
use crate::pki::signed::SignatureFault;
use crate::time::UnixTime;

/// Where on the path a certificate stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PathPlace {
    /// The peer's own.
    Leaf,
    /// Between, with so many authorities below it, self-issued ones not counted (RFC 5280
    /// §4.2.1.9).
    Intermediate { below: u32 },
    /// Configured, with so many authorities below it.
    Root { below: u32 },
}

/// Every rule on every certificate of a path that rustls-webpki found sound.
pub(super) fn check_path(
    path: &ValidPath,
    purposes: Purposes,
    now: UnixTime,
) -> Result<(), TrustRefusal> {
    for (certificate, place) in places(path) {
        check(certificate, place, purposes, now)
            .map_err(|reason| TrustRefusal::of(certificate, reason))?;
    }
    path.links().try_for_each(|(child, issuer)| {
        check_link(child, issuer).map_err(|reason| TrustRefusal::of(child, reason))
    })
}

fn places(path: &ValidPath) -> impl Iterator<Item = (&Certificate, PathPlace)> {
    let mut below = 0;
    let between = path.intermediates.iter().map(move |certificate| {
        let place = PathPlace::Intermediate { below };
        below += u32::from(!certificate.is_self_issued());
        (certificate, place)
    });
    let authorities = path.intermediates.iter().filter(|c| !c.is_self_issued()).count();
    let root = PathPlace::Root { below: u32::try_from(authorities).unwrap_or(u32::MAX) };
    std::iter::once((&path.leaf, PathPlace::Leaf)).chain(between).chain([(&path.root, root)])
}

/// The rules that need no other certificate.
pub(super) fn check(
    certificate: &Certificate,
    place: PathPlace,
    purposes: Purposes,
    now: UnixTime,
) -> Result<(), PathReason> {
    if place_needs_version_3(place) && certificate.version() != 3 {
        return Err(PathReason::Version(certificate.version()));
    }
    let key = certificate.public_key().map_err(Clone::clone);
    key.and_then(|key| key.floor()).map_err(PathReason::Key)?;
    match place {
        PathPlace::Leaf => check_leaf(certificate)?,
        PathPlace::Intermediate { below } => check_intermediate(certificate, below)?,
        PathPlace::Root { below } => return check_root(certificate, below, now),
    }
    check_dates(certificate, now)?;
    if let Some(oid) = certificate.unprocessed_critical().first() {
        return Err(PathReason::CriticalExtension(oid.clone()));
    }
    check_purposes(certificate, place, purposes)
}

/// That `issuer` signed `child`.
pub(super) fn check_link(child: &Certificate, issuer: &Certificate) -> Result<(), PathReason> {
    let key = issuer.public_key().map_err(|error| PathReason::Key(error.clone()))?;
    child.signed().verify(key).map_err(|fault| match fault {
        SignatureFault::Weak(scheme) => PathReason::WeakSignature(scheme.to_string()),
        SignatureFault::Algorithm(error) => PathReason::SignatureAlgorithm(error.to_string()),
        SignatureFault::Mismatch => PathReason::WrongIssuerKey { issuer: issuer.to_string() },
    })
}

/// Whether a certificate bears its own signature, be it with a broken algorithm.
pub(super) fn is_self_signed(certificate: &Certificate) -> bool {
    certificate.is_self_issued()
        && certificate.public_key().is_ok_and(|key| {
            !matches!(certificate.signed().verify(key), Err(SignatureFault::Mismatch))
        })
}

fn place_needs_version_3(place: PathPlace) -> bool {
    // Old roots are of version 1; what they are is settled by being configured.
    !matches!(place, PathPlace::Root { .. })
}

fn check_leaf(leaf: &Certificate) -> Result<(), PathReason> {
    if leaf.is_ca() {
        return Err(PathReason::CaAsLeaf);
    }
    if is_self_signed(leaf) {
        return Err(PathReason::SelfSignedLeaf);
    }
    // RFC 4945 §5.1.3.2: if there is a key usage it must allow signing.
    if leaf.key_usage().is_some_and(|usage| !usage.sign) {
        return Err(PathReason::KeyUsageSign);
    }
    Ok(())
}

fn check_intermediate(certificate: &Certificate, below: u32) -> Result<(), PathReason> {
    if !certificate.is_ca() {
        return Err(PathReason::NotAnAuthority);
    }
    check_authority(certificate, below)
}

fn check_root(root: &Certificate, below: u32, now: UnixTime) -> Result<(), PathReason> {
    check_authority(root, below)?;
    let (not_before, not_after) = (root.not_before(), root.not_after());
    if now < not_before {
        return Err(PathReason::RootNotYetValid { not_before, now });
    }
    if now > not_after {
        return Err(PathReason::RootExpired { not_after, now });
    }
    Ok(())
}

/// What roots and intermediates have in common.
fn check_authority(certificate: &Certificate, below: u32) -> Result<(), PathReason> {
    if certificate.key_usage().is_some_and(|usage| !usage.certify) {
        return Err(PathReason::KeyUsageCertify);
    }
    match certificate.basic_constraints().and_then(|constraints| constraints.path_len) {
        Some(allowed) if below > allowed => Err(PathReason::PathTooLong { allowed, found: below }),
        _ => Ok(()),
    }
}

fn check_dates(certificate: &Certificate, now: UnixTime) -> Result<(), PathReason> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if now > not_after {
        return Err(PathReason::Expired { not_after, now });
    }
    if now < not_before {
        return Err(PathReason::NotYetValid { not_before, now });
    }
    Ok(())
}

/// The purposes of a leaf, by policy, and of an intermediate: there a present extension bounds what
/// it may issue for, as rustls-webpki and Windows read it.
fn check_purposes(
    certificate: &Certificate,
    place: PathPlace,
    policy: Purposes,
) -> Result<(), PathReason> {
    const ANY_OF: &[KeyPurpose] = &[
        KeyPurpose::ServerAuth,
        KeyPurpose::ClientAuth,
        KeyPurpose::IpsecIke,
        KeyPurpose::IkeIntermediate,
        KeyPurpose::Any,
    ];
    const BOTH: &[KeyPurpose] = &[KeyPurpose::ServerAuth, KeyPurpose::ClientAuth];
    let found = certificate.purposes();
    let has = |purpose: &KeyPurpose| found.is_some_and(|found| found.contains(purpose));
    let (fits, needed) = match (policy, place) {
        (Purposes::ServerAndClient, PathPlace::Leaf) => {
            (BOTH.iter().all(has), "both serverAuth and clientAuth")
        }
        _ => (
            found.is_none() || ANY_OF.iter().any(has),
            "one of serverAuth, clientAuth, ipsecIKE, iKEIntermediate, anyExtendedKeyUsage",
        ),
    };
    if fits {
        return Ok(());
    }
    Err(PathReason::Purpose { needed, found: found.map(<[KeyPurpose]>::to_vec) })
}
