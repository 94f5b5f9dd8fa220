//! Certificates as the engine's way to prove who is who: [`Credentials`] behind [`Authenticator`].

use std::net::IpAddr;

use super::algorithm::InboundIdentity;
use super::credentials::Credentials;
use crate::ike::authenticator::{Authenticator, Claim, Disbelief, Proven, SignFailed};
use crate::ike::error::AuthFailed;
use crate::pki::auth::{self, AuthReason};
use crate::pki::identity::Id;
use crate::pki::{Reason, Refusal};
use crate::rng::Rng;
use crate::time::{Now, UnixTime};
use crate::wire::auth::Authentication;
use crate::wire::cert::{AUTHORITY_LEN, Certificate};
use crate::wire::codes::{CertEncoding, HashId};
use crate::wire::id::Identity;

/// The credentials of a connection, ready for the engine.
#[derive(Debug)]
pub struct CertificateAuthenticator {
    credentials: Credentials,
    id: Id,
}

impl CertificateAuthenticator {
    /// With the site's public address, if it is known, for those who name themselves by it. A name that the certificate
    /// cannot give falls back to its subject, which Azure asks for anyway.
    pub fn new(credentials: Credentials, address: Option<IpAddr>) -> CertificateAuthenticator {
        let own = &credentials.own;
        let by_choice = match credentials.identity {
            InboundIdentity::Subject => None,
            InboundIdentity::Address => address.map(|address| match address {
                IpAddr::V4(v4) => Id::Ipv4(v4),
                IpAddr::V6(v6) => Id::Ipv6(v6),
            }),
            InboundIdentity::Fqdn => own.host_id(),
        };
        let id = by_choice.unwrap_or_else(|| own.id());
        CertificateAuthenticator { credentials, id }
    }

    /// What it was made of.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

impl Authenticator for CertificateAuthenticator {
    fn identity(&self) -> Identity {
        Identity::new(self.id.kind(), self.id.data())
    }

    fn certificates(&self) -> Vec<Certificate> {
        self.credentials.own.certificates().iter().map(|c| Certificate::x509(c.as_der())).collect()
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        let roots = self.credentials.trust.roots.certificates();
        roots.iter().map(crate::pki::certificate::Certificate::authority_hash).collect()
    }

    fn hashes(&self) -> Vec<HashId> {
        if self.credentials.digital_signatures { auth::ANNOUNCED.to_vec() } else { Vec::new() }
    }

    fn sign(
        &self,
        octets: &[u8],
        theirs: &[HashId],
        _: &mut dyn Rng,
    ) -> Result<Authentication, SignFailed> {
        let key = self.credentials.own.key();
        // Who does not announce RFC 7427 does not speak it, whatever the peer announces.
        let announced =
            (self.credentials.digital_signatures && !theirs.is_empty()).then_some(theirs);
        let failed = |refusal: Refusal| SignFailed { reason: refusal.to_string() };
        let choice = auth::choose(key.kind(), announced, &self.credentials.auth).map_err(failed)?;
        let data = auth::sign(key, choice, &[octets]).map_err(failed)?;
        Ok(Authentication::new(choice.method, data))
    }

    fn verify(&self, claim: &Claim<'_>, now: Now) -> Result<Proven, Disbelief> {
        let Credentials { trust, expectation, auth: policy, .. } = &self.credentials;
        let presented: Vec<&[u8]> = claim
            .certificates
            .iter()
            .filter(|certificate| certificate.encoding == CertEncoding::X509Signature)
            .map(|certificate| certificate.data.as_slice())
            .collect();
        let path = trust.validate(&presented, now.unix).map_err(disbelief)?;
        let id = Id::parse(claim.identity.kind, &claim.identity.data).map_err(disbelief)?;
        expectation.identify(&path, &id).map_err(disbelief)?;
        auth::verify(&path, claim.auth.method, &claim.auth.data, &[claim.octets], policy)
            .map_err(disbelief)?;
        let ends = path.iter().map(crate::pki::certificate::Certificate::not_after);
        Ok(Proven {
            name: path.leaf().subject().to_string(),
            until: ends.min().unwrap_or_else(|| path.leaf().not_after()),
        })
    }

    fn not_after(&self) -> UnixTime {
        let own = &self.credentials.own;
        let ends = own.certificates().iter().map(crate::pki::certificate::Certificate::not_after);
        ends.min().unwrap_or_else(|| own.leaf().not_after())
    }
}

/// A refusal as the engine sorts it.
fn disbelief(refusal: Refusal) -> Disbelief {
    let kind = match &refusal.reason {
        Reason::Path(_) => AuthFailed::Certificate,
        Reason::Identity(_) => AuthFailed::Identity,
        Reason::Auth(AuthReason::NotVerified { .. }) => AuthFailed::Signature,
        Reason::Auth(_) => AuthFailed::Method,
    };
    Disbelief { kind, reason: refusal.to_string() }
}
