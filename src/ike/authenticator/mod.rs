//! Authentication as the engine sees it: an [`Authenticator`] signs for this end and verifies the
//! peer.
//!
//! The engine knows no certificate. It passes the octets that RFC 7296 §2.15 has signed, and gets
//! AUTH payloads and verdicts back. So the simulator uses an authenticator without certificates,
//! the service uses [`certificates`], and the private key may be held by another process.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod` | the trait [`Authenticator`] and its types |
//! | [`certificates`] | certificates verified by [`crate::pki`] |

pub mod certificates;

use std::fmt::Debug;
use std::net::IpAddr;

use super::diagnosis::refusal::RefusalRemedy;
use super::error::AuthFailed;
use crate::rng::Rng;
use crate::time::{Now, UnixTime};
use crate::wire::codes::HashId;
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use crate::wire::payload::id::Identity;

/// The credentials of this end, together with the rules by which the peer is verified.
pub trait Authenticator: Debug {
    /// The content of this end's ID payload.
    fn identity(&self) -> Identity;

    /// This end's CERT payloads: the leaf, then its issuers, without the root.
    fn certificates(&self) -> Vec<CertPayload>;

    /// The content of this end's CERTREQ payload: SHA-1 hashes of the public keys of the trusted
    /// roots. Empty: no payload is sent.
    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]>;

    /// The hashes that this end announces for RFC 7427. Empty: the notify is not sent, and method
    /// 14 is not accepted.
    fn hashes(&self) -> Vec<HashId>;

    /// Makes this end's AUTH payload for a peer that announced the hashes `theirs`; empty when the
    /// peer did not announce RFC 7427.
    fn sign(
        &self,
        octets: &[u8],
        theirs: &[HashId],
        rng: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed>;

    /// What this end signed with last, for the operator whose peer refuses the signature.
    fn last_signature(&self) -> Option<String> {
        None
    }

    /// Verifies the peer's AUTH payload, certificates and identity.
    fn verify(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, Disbelief>;

    /// Judges anew what a peer presented when it proved itself, by the trust of now. The signature
    /// was verified then. Returns when the proof expires.
    fn still_proves(&self, presented: &Presented, now: Now) -> Result<UnixTime, Disbelief>;

    /// When the certificates of this end expire.
    fn not_after(&self) -> UnixTime;
}

/// The payloads by which the peer proves its identity in IKE_AUTH.
#[derive(Clone, Copy, Debug)]
pub struct PeerProof<'a> {
    /// The ID payload.
    pub identity: &'a Identity,
    /// The CERT payloads, in the order of the message.
    pub certificates: &'a [CertPayload],
    /// The AUTH payload.
    pub auth: &'a AuthPayload,
    /// The octets that the AUTH payload has to sign (RFC 7296 §2.15).
    pub octets: &'a [u8],
    /// The hashes that the peer announced (RFC 7427 §4); empty unless both ends announced theirs.
    pub announced: &'a [HashId],
    /// The addresses that are configured for the peer, or that its DNS name has.
    pub remotes: &'a [IpAddr],
}

/// The payloads by which a peer has proved its identity, kept to be judged anew when what this end
/// trusts has changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presented {
    /// The ID payload.
    pub identity: Identity,
    /// The CERT payloads, in the order of the message.
    pub certificates: Vec<CertPayload>,
}

/// The proven identity of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    /// The name for the log, such as the certificate's subject.
    pub name: String,
    /// When the proof expires: the earliest end of validity in the certificate path.
    pub until: UnixTime,
}

/// Why a peer's proof was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disbelief {
    /// The step of the verification that failed.
    pub kind: AuthFailed,
    /// The sentence for the operator: which certificate, which rule, expected against found.
    pub reason: String,
    /// The remedy, if one is known.
    pub remedy: Option<RefusalRemedy>,
}

/// Why this end could not sign its AUTH payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignFailed {
    /// The sentence for the operator.
    pub reason: String,
}
