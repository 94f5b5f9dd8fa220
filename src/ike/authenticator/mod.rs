//! How the two ends prove who they are, as the engine sees it: one object that signs and one
//! judgement.
//!
//! The engine knows no certificate. It hands over the octets that RFC 7296 §2.15 has signed and
//! gets AUTH payloads and verdicts back. So the simulator brings a toy, the daemon brings `pki`,
//! and a private key may one day live in another process without this changing.

pub mod certificates;

use std::fmt::Debug;

use super::diagnosis::refusal::RefusalRemedy;
use super::error::AuthFailed;
use crate::rng::Rng;
use crate::time::{Now, UnixTime};
use crate::wire::codes::HashId;
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use crate::wire::payload::id::Identity;

/// One end's credentials together with what it believes of the other end.
pub trait Authenticator: Debug {
    /// Who we are: goes into our ID payload.
    fn identity(&self) -> Identity;

    /// Our CERT payloads, leaf first, then upwards, without the root.
    fn certificates(&self) -> Vec<CertPayload>;

    /// What goes into our CERTREQ payload: SHA-1 hashes of the public keys we trust. Empty: no
    /// payload.
    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]>;

    /// The hashes we announce for RFC 7427. Empty: the notify is not sent, and method 14 is not
    /// accepted.
    fn hashes(&self) -> Vec<HashId>;

    /// Signs for a peer that announced `theirs`; empty when it did not speak of RFC 7427.
    fn sign(
        &self,
        octets: &[u8],
        theirs: &[HashId],
        rng: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed>;

    /// Judges the peer's proof.
    fn verify(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, Disbelief>;

    /// When our own credentials run out.
    fn not_after(&self) -> UnixTime;
}

/// What the peer says about itself in IKE_AUTH.
#[derive(Clone, Copy, Debug)]
pub struct PeerProof<'a> {
    /// Its ID payload.
    pub identity: &'a Identity,
    /// Its CERT payloads, as they came.
    pub certificates: &'a [CertPayload],
    /// Its AUTH payload.
    pub auth: &'a AuthPayload,
    /// What that has to sign.
    pub octets: &'a [u8],
}

/// A peer that was believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    /// Whom the log names.
    pub name: String,
    /// When the proof runs out: the first end of a certificate's dates in the path.
    pub until: UnixTime,
}

/// Why a peer was not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disbelief {
    /// Which of the steps failed.
    pub kind: AuthFailed,
    /// The sentence for the operator: which certificate, which rule, expected against found.
    pub reason: String,
    /// What would mend it, if that is known.
    pub remedy: Option<RefusalRemedy>,
}

/// Our own key did not sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignFailed {
    /// The sentence for the operator.
    pub reason: String,
}
