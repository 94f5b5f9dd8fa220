//! Peers without credentials. One is a peer that the configuration no longer has: a new process
//! knows just enough of it to delete its SAs. The other is a peer whose certificate files cannot be
//! used now: its SAs live on, and no IKE SA can be authenticated.

use std::net::IpAddr;
use std::rc::Rc;

use crate::ike::authenticator::{
    Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed,
};
use crate::ike::endpoint::config::{DialRole, EspEncapsulation, PeerConfig};
use crate::ike::error::AuthFailed;
use crate::ike::negotiation::proposal::ProposalPolicy;
use crate::ike::sa::dpd::DpdTimeout;
use crate::ike::sa::lifetime::IKE_HARD;
use crate::ike::testing::emulation::PeerBehaviour;
use crate::rng::Rng;
use crate::state::inventory::InventoryTunnel;
use crate::time::{Now, UnixTime};
use crate::wire::codes::{HashId, IdType};
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use crate::wire::payload::id::Identity;

/// The authenticator of a peer without credentials: every IKE_AUTH fails, for this reason.
#[derive(Debug)]
pub(super) struct NoCredentials {
    pub(super) reason: String,
}

/// What the engine has to know of a former process's peer to delete its SAs.
pub(super) fn departed(tunnel: &InventoryTunnel) -> PeerConfig {
    let unspecified = IpAddr::from([0, 0, 0, 0]);
    PeerConfig {
        name: tunnel.interface.clone().into_boxed_str(),
        role: DialRole::Answer,
        local: tunnel.local.unwrap_or(unspecified),
        remotes: vec![tunnel.remote.unwrap_or(unspecified)],
        fixed_remotes: false,
        encapsulation: EspEncapsulation::default(),
        start_on_4500: false,
        ike: ProposalPolicy::azure_ike(),
        children: Vec::new(),
        credentials: Rc::new(NoCredentials {
            reason: "the connection is no longer configured".to_owned(),
        }),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: DpdTimeout::default(),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

impl Authenticator for NoCredentials {
    fn identity(&self) -> Identity {
        Identity::new(IdType::KeyId, Vec::new())
    }

    fn certificates(&self) -> Vec<CertPayload> {
        Vec::new()
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        Vec::new()
    }

    fn hashes(&self) -> Vec<HashId> {
        Vec::new()
    }

    fn sign(
        &self,
        _octets: &[u8],
        _theirs: &[HashId],
        _rng: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed> {
        Err(SignFailed { reason: self.reason.clone() })
    }

    fn verify(&self, _claim: &PeerProof<'_>, _now: Now) -> Result<Proven, Disbelief> {
        Err(Disbelief { kind: AuthFailed::Identity, reason: self.reason.clone(), remedy: None })
    }

    /// Files that cannot be read say nothing about the peer: its SAs live on.
    fn still_proves(&self, _presented: &Presented, _now: Now) -> Result<UnixTime, Disbelief> {
        Ok(UnixTime(u64::MAX))
    }

    fn not_after(&self) -> UnixTime {
        UnixTime(u64::MAX)
    }
}
