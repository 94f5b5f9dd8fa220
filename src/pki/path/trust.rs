//! What a connection trusts ([`Trust`]), and the search for a path from a peer's certificate to one
//! of its roots ([`Trust::validate`]).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, VerifiedPath,
};

use super::reason::PathReason;
use super::{MAX_CERTIFICATES, ValidPath, diagnosis, revocation, rules};
use crate::pki::certificate::{Certificate, Thumbprint};
use crate::pki::crl::Crl;
use crate::pki::refusal::TrustRefusal;
use crate::time::UnixTime;

/// The roots of one connection.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    certificates: Vec<Certificate>,
    /// The same roots in the same order, in the form that rustls-webpki takes.
    anchors: Vec<TrustAnchor<'static>>,
}

impl Roots {
    /// Takes the certificates as roots. A root need not be self-signed, but it must not deny being
    /// an authority; one that is expired is taken and refused when it is used.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Result<Roots, TrustRefusal> {
        let mut roots = Roots::default();
        for certificate in certificates {
            if roots.certificates.contains(&certificate) {
                continue;
            }
            let refused = |reason| TrustRefusal::of(&certificate, reason);
            let key = certificate.public_key().map_err(Clone::clone);
            key.and_then(|key| key.floor()).map_err(|error| refused(PathReason::Key(error)))?;
            if denies_authority(&certificate) {
                return Err(refused(PathReason::RootNotAuthority));
            }
            let anchor = webpki::anchor_from_trusted_cert(certificate.as_pki_type())
                .map_err(|error| refused(PathReason::Other(error.to_string())))?
                .to_owned();
            roots.anchors.push(anchor);
            roots.certificates.push(certificate);
        }
        Ok(roots)
    }

    /// The root certificates.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The content of our CERTREQ payload: SHA-1 of each root's public key, one after another (RFC
    /// 7296 §3.7).
    pub fn authority_hashes(&self) -> Vec<u8> {
        self.certificates.iter().flat_map(Certificate::authority_hash).collect()
    }

    /// The roots' subjects, for messages.
    pub(super) fn subjects(&self) -> String {
        const SHOWN: usize = 3;
        let mut names: Vec<String> =
            self.certificates.iter().take(SHOWN).map(|root| root.subject().to_string()).collect();
        if self.certificates.len() > SHOWN {
            names.push(format!("{} more", self.certificates.len() - SHOWN));
        }
        names.join("; ")
    }
}

/// Whether a certificate says that it is no authority. PowerShell makes roots with keyCertSign and
/// no basic constraints; version 1 has room for neither; both become authorities by being
/// configured.
fn denies_authority(certificate: &Certificate) -> bool {
    let constraints = certificate.basic_constraints().map(|constraints| constraints.ca);
    let usage = certificate.key_usage().map(|usage| usage.certify);
    match (constraints, usage) {
        (Some(false), _) | (_, Some(false)) => true,
        (Some(true), _) | (None, Some(true)) => false,
        (None, None) => !certificate.is_self_issued(),
    }
}

/// Which extended key usages a peer's certificate must have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purposes {
    /// If it has any: one of serverAuth, clientAuth, ipsecIKE, iKEIntermediate or
    /// anyExtendedKeyUsage.
    #[default]
    AnyOfIke,
    /// Both serverAuth and clientAuth, as Azure demands of its own certificate.
    ServerAndClient,
}

/// For which issuers a CRL must be at hand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CrlDemand {
    /// For none: CRLs count for the issuers that have one, and among their certificates for those
    /// that it is about. Azure's pages make certificates without CRLs.
    #[default]
    WhereGiven,
    /// For every issuer on the path, about the certificate below it.
    Always,
}

/// What a CRL after its promised renewal counts for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StaleCrls {
    /// Nothing: the peer is refused.
    #[default]
    Refuse,
    /// What it lists is revoked, the rest is not.
    Accept,
}

/// What a connection trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The roots that a path must end at.
    pub roots: Roots,
    /// Intermediates known from configuration, for peers that do not send them.
    pub intermediates: Vec<Certificate>,
    /// Revocation lists; each counts for the authority that signed it, with whichever of its keys.
    pub crls: Vec<Crl>,
    /// Which issuers need a CRL.
    pub crl_demand: CrlDemand,
    /// Whether a CRL after its promised renewal is accepted.
    pub stale_crls: StaleCrls,
    /// Certificates that are refused wherever on the path they stand.
    pub revoked: BTreeSet<Thumbprint>,
    /// Which extended key usages a leaf must have.
    pub purposes: Purposes,
}

impl Trust {
    /// Trust in these roots, with the defaults for the rest.
    pub fn new(roots: Roots) -> Trust {
        Trust { roots, ..Trust::default() }
    }

    /// Finds a path from the peer's certificate to a root, with the CERT payloads' contents in the
    /// order they came.
    pub fn validate(&self, presented: &[&[u8]], now: UnixTime) -> Result<ValidPath, TrustRefusal> {
        let first =
            presented.first().ok_or_else(|| TrustRefusal::general(PathReason::NoCertificate))?;
        if presented.len() > MAX_CERTIFICATES {
            return Err(TrustRefusal::general(PathReason::TooMany(presented.len())));
        }
        if self.roots.certificates.is_empty() {
            return Err(TrustRefusal::general(PathReason::NoRoots));
        }
        // RFC 7296 §3.6: the first one holds the key of the AUTH payload, so it must be readable;
        // others may be skipped.
        let thumbprint = Thumbprint::of(first);
        let mut readable = vec![Certificate::from_der(first).map_err(|error| {
            TrustRefusal::general(PathReason::Unreadable { thumbprint, error })
        })?];
        readable.extend(presented.iter().skip(1).flat_map(|der| Certificate::from_der(der)));
        let leaf = pick_leaf(&readable);
        let mut pool: Vec<&Certificate> = Vec::new();
        for certificate in readable.iter().chain(&self.intermediates) {
            if certificate != leaf && !pool.contains(&certificate) {
                pool.push(certificate);
            }
        }
        let search =
            Search { trust: self, leaf, pool, unreadable: presented.len() - readable.len(), now };
        search.run()
    }
}

/// The peer's own certificate: the first that is no authority and not issued by itself, wherever it
/// stands. The fallbacks exist to be refused by name.
fn pick_leaf(readable: &[Certificate]) -> &Certificate {
    let ordinary = readable.iter().find(|c| !c.is_ca() && !c.is_self_issued());
    let leaf = ordinary.or_else(|| readable.iter().find(|c| !c.is_ca()));
    leaf.or(readable.first()).expect("the first certificate was readable")
}

/// One search for a path.
pub(super) struct Search<'a> {
    pub trust: &'a Trust,
    pub leaf: &'a Certificate,
    /// Every other certificate that may stand between, each once.
    pub pool: Vec<&'a Certificate>,
    /// How many of the peer's certificates could not be read.
    pub unreadable: usize,
    pub now: UnixTime,
}

impl Search<'_> {
    fn run(&self) -> Result<ValidPath, TrustRefusal> {
        let pool: Vec<CertificateDer<'_>> = self
            .pool
            .iter()
            .map(|certificate| CertificateDer::from(certificate.as_der()))
            .collect();
        let leaf = match EndEntityCert::try_from(self.leaf.as_pki_type()) {
            Ok(leaf) => leaf,
            Err(error) => return Err(diagnosis::explain(self, &error)),
        };
        // The rules' own refusal of a path that rustls-webpki found sound says more than its "no
        // path".
        let refused = RefCell::new(None);
        let judge = |candidate: &VerifiedPath<'_>| {
            self.judge(candidate).map_err(|refusal| {
                refused.borrow_mut().get_or_insert(refusal);
                webpki::Error::UnknownIssuer
            })
        };
        let found = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.trust.roots.anchors,
            &pool,
            rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.now.0)),
            IkePurposes,
            None,
            Some(&judge),
        );
        match found {
            Ok(path) => Ok(self.path(&path)),
            Err(error) => Err(refused.take().unwrap_or_else(|| diagnosis::explain(self, &error))),
        }
    }

    /// What rustls-webpki leaves to us, on a path that it found sound.
    fn judge(&self, candidate: &VerifiedPath<'_>) -> Result<(), TrustRefusal> {
        let path = self.path(candidate);
        rules::check_path(&path, self.trust.purposes, self.now)?;
        revocation::check(self.trust, &path, self.now)
    }

    /// rustls-webpki's path in our certificates.
    fn path(&self, verified: &VerifiedPath<'_>) -> ValidPath {
        let between = verified.intermediate_certificates().map(|intermediate| {
            let der = intermediate.der();
            let ours = self.pool.iter().find(|certificate| certificate.as_der() == &*der);
            Certificate::clone(ours.expect("rustls-webpki takes intermediates from the pool"))
        });
        let roots = &self.trust.roots;
        let root = roots
            .anchors
            .iter()
            .position(|anchor| std::ptr::eq(anchor, verified.anchor()))
            .and_then(|place| roots.certificates.get(place))
            .expect("rustls-webpki takes the anchor from the roots");
        ValidPath { leaf: self.leaf.clone(), intermediates: between.collect(), root: root.clone() }
    }
}

/// What rustls-webpki asks of every certificate below the root. Stricter demands on the leaf are in
/// `rules.rs`.
#[derive(Clone, Copy, Debug)]
struct IkePurposes;

impl ExtendedKeyUsageValidator for IkePurposes {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ACCEPTED: [KeyPurposeId<'_>; 5] = [
            KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]),
            KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
            KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 17]),
            KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 8, 2, 2]),
            KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]),
        ];
        let mut absent = true;
        for purpose in purposes {
            absent = false;
            if ACCEPTED.contains(&purpose?) {
                return Ok(());
            }
        }
        // The message never shows: `diagnosis.rs` finds the certificate and lists what it has.
        if absent { Ok(()) } else { Err(webpki::Error::ExtensionValueInvalid) }
    }
}
