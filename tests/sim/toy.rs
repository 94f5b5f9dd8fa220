//! How simulated hosts prove themselves: a keyed hash in place of a signature, a name in place of a
//! certificate.
//!
//! It has the shape of the real thing (several CERT payloads of real size, two methods, dates), so
//! that fragmentation, negotiation of RFC 7427 and re-authentication happen as they would.

use std::cell::Cell;
use std::rc::Rc;

use s2sd::ike::authenticator::{
    Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed,
};
use s2sd::ike::error::AuthFailed;
use s2sd::rng::Rng;
use s2sd::time::{Now, UnixTime};
use s2sd::wire::codes::{AuthMethod, HashId};
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use s2sd::wire::payload::id::Identity;

use crate::clock::EPOCH;
use crate::rules::hash;

/// One host's credentials, and the name it believes in.
#[derive(Clone, Debug)]
pub struct Toy {
    pub name: String,
    pub peer: String,
    /// Sizes of the CERT payloads.
    pub chain: Vec<usize>,
    /// Whether it speaks RFC 7427.
    pub signatures: bool,
    pub not_after: UnixTime,
    /// What this end signed, in all: a signature is expensive, and never made for an
    /// unauthenticated sender.
    pub signed: Rc<Cell<u64>>,
}

impl Toy {
    pub fn new(name: &str, peer: &str) -> Toy {
        Toy {
            name: name.into(),
            peer: peer.into(),
            chain: vec![900],
            signatures: true,
            not_after: UnixTime(EPOCH + 10 * 365 * 86_400),
            signed: Rc::default(),
        }
    }

    /// A signature that only this name's holder can make, as far as the simulator goes.
    fn signature(name: &str, octets: &[u8]) -> Vec<u8> {
        let seed = hash(&[name.as_bytes(), octets].concat());
        (0..32_u64)
            .flat_map(|n| hash(&[seed.to_be_bytes(), n.to_be_bytes()].concat()).to_be_bytes())
            .collect()
    }
}

/// Stands for an AlgorithmIdentifier.
const ALGORITHM: &[u8] = b"toy";

impl Authenticator for Toy {
    fn identity(&self) -> Identity {
        Identity::fqdn(&self.name)
    }

    fn certificates(&self) -> Vec<CertPayload> {
        let certificate = |len: &usize| {
            let mut body = format!("certificate of {}", self.name).into_bytes();
            body.resize(*len, 0x55);
            CertPayload::x509(body)
        };
        self.chain.iter().map(certificate).collect()
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        vec![[0xca; AUTHORITY_LEN]]
    }

    fn hashes(&self) -> Vec<HashId> {
        if self.signatures { vec![HashId::Sha2_256, HashId::Sha2_384] } else { Vec::new() }
    }

    fn sign(
        &self,
        octets: &[u8],
        theirs: &[HashId],
        _: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed> {
        self.signed.set(self.signed.get() + 1);
        let signature = Toy::signature(&self.name, octets);
        if self.signatures && !theirs.is_empty() {
            Ok(AuthPayload::digital(ALGORITHM, &signature).expect("short"))
        } else {
            Ok(AuthPayload::new(AuthMethod::RsaSignature, signature))
        }
    }

    fn verify(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, Disbelief> {
        let no = |kind, reason: &str| Err(Disbelief { kind, reason: reason.into(), remedy: None });
        if *claim.identity != Identity::fqdn(&self.peer) {
            return no(AuthFailed::Identity, "another name than the one configured");
        }
        let named = format!("certificate of {}", self.peer);
        if !claim.certificates.iter().all(|c| c.data.starts_with(named.as_bytes())) {
            return no(AuthFailed::Certificate, "a certificate of somebody else");
        }
        if claim.auth.method == AuthMethod::DigitalSignature && !self.signatures {
            return no(AuthFailed::Method, "RFC 7427 without our announcing it");
        }
        let signature = claim.auth.digital_parts().map_or(&claim.auth.data[..], |parts| parts.1);
        if signature != Toy::signature(&self.peer, claim.octets) {
            return no(AuthFailed::Signature, "the signature is over other octets");
        }
        if now.unix > self.not_after {
            return no(AuthFailed::Certificate, "expired");
        }
        Ok(Proven { name: self.peer.clone(), until: self.not_after })
    }

    fn still_proves(&self, presented: &Presented, now: Now) -> Result<UnixTime, Disbelief> {
        let known = presented.identity == Identity::fqdn(&self.peer);
        if known && now.unix <= self.not_after {
            return Ok(self.not_after);
        }
        let reason = "not believed any more".into();
        Err(Disbelief { kind: AuthFailed::Certificate, reason, remedy: None })
    }

    fn not_after(&self) -> UnixTime {
        self.not_after
    }
}
