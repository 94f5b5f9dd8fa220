//! Authentication with certificates: [`crate::pki`] verifies the peer's and signs with this end's
//! key.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::{Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed};
use crate::ike::diagnosis::refusal::RefusalRemedy;
use crate::ike::diagnosis::setting::Setting;
use crate::ike::error::AuthFailed;
use crate::pki::auth::{self, ANNOUNCED, AuthPolicy, DigitalSignatures, SignatureClaim};
use crate::pki::crl::Crl;
use crate::pki::identity::{Expectation, Id, IdentityReason};
use crate::pki::own_identity::OwnIdentity;
use crate::pki::path::{PathReason, Trust, ValidPath};
use crate::pki::{TrustReason, TrustRefusal};
use crate::rng::Rng;
use crate::time::{Now, UnixTime};
use crate::wire::codes::{CertEncoding, HashId};
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use crate::wire::payload::id::Identity;

/// The certificate credentials of one connection, and the rules for the peer's certificate.
#[derive(Debug)]
pub struct CertificateAuthenticator {
    /// This end's certificate, its path and its key.
    pub own: Rc<OwnIdentity>,
    /// The ID payload to send: the leaf's subject unless configured otherwise. Which one Azure
    /// expects is not published.
    pub id: Id,
    /// The roots to which the peer's certificate must have a path.
    pub trust: Trust,
    /// The identity that the peer must have.
    pub expected: Expectation,
    /// Which signatures are made and accepted.
    pub policy: AuthPolicy,
    /// What this end signed with last.
    pub signed: RefCell<Option<String>>,
}

impl CertificateAuthenticator {
    /// An authenticator with the leaf's subject as ID and the default signatures.
    pub fn new(own: OwnIdentity, trust: Trust, expected: Expectation) -> CertificateAuthenticator {
        CertificateAuthenticator {
            id: own.id(),
            own: Rc::new(own),
            trust,
            expected,
            policy: AuthPolicy::default(),
            signed: RefCell::default(),
        }
    }

    /// The same with other revocation lists.
    pub fn with_crls(&self, crls: Vec<Crl>) -> CertificateAuthenticator {
        CertificateAuthenticator {
            own: Rc::clone(&self.own),
            id: self.id.clone(),
            trust: Trust { crls, ..self.trust.clone() },
            expected: self.expected.clone(),
            policy: self.policy,
            signed: self.signed.clone(),
        }
    }

    /// Verifies the path, the identity and the signature, in this order.
    fn check(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, TrustRefusal> {
        let id = Id::parse(claim.identity.kind, &claim.identity.data)?;
        let path = self.path(&id, claim.certificates, claim.remotes, now)?;
        let signature = SignatureClaim {
            method: claim.auth.method,
            data: &claim.auth.data,
            octets: &[claim.octets],
            announced: !claim.announced.is_empty(),
        };
        auth::verify(&path, &signature, &self.policy)?;
        Ok(Proven { name: path.leaf().subject().to_string(), until: end(&path) })
    }

    /// The path of a peer that has the expected identity. An ID that is an address may be among
    /// `addresses`.
    fn path(
        &self,
        id: &Id,
        certificates: &[CertPayload],
        addresses: &[IpAddr],
        now: Now,
    ) -> Result<ValidPath, TrustRefusal> {
        let of_x509 =
            |certificate: &&CertPayload| certificate.encoding == CertEncoding::X509Signature;
        let mut presented: Vec<&[u8]> =
            certificates.iter().filter(of_x509).map(|c| c.data.as_slice()).collect();
        if presented.is_empty()
            && let [pinned] = self.expected.pinned.as_slice()
        {
            // RFC 7296 §1.2: CERT is optional, for peers whose certificate is known already.
            presented.push(pinned.as_der());
        }
        let path = self.trust.validate(&presented, now.unix)?;
        let mut expected = self.expected.clone();
        expected.addresses.extend(addresses);
        expected.identify(&path, id)?;
        Ok(path)
    }
}

/// When the first certificate of a path expires.
fn end(path: &ValidPath) -> UnixTime {
    let ends = path.iter().map(crate::pki::certificate::Certificate::not_after);
    ends.min().unwrap_or(path.leaf().not_after())
}

/// A refusal in the engine's form.
fn disbelief(refusal: &TrustRefusal) -> Disbelief {
    let kind = match refusal.reason {
        TrustReason::Path(_) => AuthFailed::Certificate,
        TrustReason::Identity(_) => AuthFailed::Identity,
        TrustReason::Auth(auth::AuthReason::Method(_)) => AuthFailed::Method,
        TrustReason::Auth(_) => AuthFailed::Signature,
    };
    let remedy = RefusalRemedy { what: refusal.remedy(), setting: setting(&refusal.reason) };
    Disbelief { kind, reason: refusal.finding(), remedy: Some(remedy) }
}

impl Authenticator for CertificateAuthenticator {
    fn identity(&self) -> Identity {
        Identity::new(self.id.kind(), self.id.data())
    }

    fn certificates(&self) -> Vec<CertPayload> {
        self.own.certificates().iter().map(|c| CertPayload::x509(c.as_der())).collect()
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        let roots = self.trust.roots.certificates().iter();
        roots.map(crate::pki::certificate::Certificate::authority_hash).collect()
    }

    fn hashes(&self) -> Vec<HashId> {
        match self.policy.digital_signatures {
            DigitalSignatures::Speak => ANNOUNCED.to_vec(),
            DigitalSignatures::Refuse => Vec::new(),
        }
    }

    fn sign(
        &self,
        octets: &[u8],
        theirs: &[HashId],
        _: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed> {
        let announced = (!theirs.is_empty()).then_some(theirs);
        let made =
            auth::choose(self.own.key().kind(), announced, &self.policy).and_then(|choice| {
                let data = auth::sign(self.own.key(), choice, &[octets])?;
                *self.signed.borrow_mut() = Some(auth::describe(choice, theirs));
                Ok(AuthPayload::new(choice.method, data))
            });
        made.map_err(|refusal| SignFailed { reason: refusal.to_string() })
    }

    fn last_signature(&self) -> Option<String> {
        self.signed.borrow().clone()
    }

    fn verify(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, Disbelief> {
        self.check(claim, now).map_err(|refusal| disbelief(&refusal))
    }

    fn still_proves(&self, presented: &Presented, now: Now) -> Result<UnixTime, Disbelief> {
        let path = Id::parse(presented.identity.kind, &presented.identity.data).and_then(|id| {
            // An address was the peer's when the peer proved itself; DNS may say another by now.
            let addresses: Vec<IpAddr> = id.address().into_iter().collect();
            self.path(&id, &presented.certificates, &addresses, now)
        });
        path.map(|path| end(&path)).map_err(|refusal| disbelief(&refusal))
    }

    fn not_after(&self) -> UnixTime {
        let ends = self.own.certificates().iter().map(|certificate| certificate.not_after());
        ends.min().unwrap_or(self.own.leaf().not_after())
    }
}

/// The setting to correct, if the fault is not in the certificate itself.
fn setting(reason: &TrustReason) -> Option<Setting> {
    match reason {
        TrustReason::Path(
            PathReason::NoRoots
            | PathReason::UnknownRoot { .. }
            | PathReason::MissingIssuer { .. }
            | PathReason::WrongIssuerKey { .. },
        ) => Some(Setting::OutboundCertificateRoots),
        TrustReason::Identity(IdentityReason::OtherId { .. } | IdentityReason::NotBound { .. }) => {
            Some(Setting::RemoteIdentity)
        }
        TrustReason::Identity(_) => Some(Setting::OutboundCertificateSubjectName),
        TrustReason::Path(_) | TrustReason::Auth(_) => None,
    }
}
