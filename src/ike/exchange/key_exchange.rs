//! The Diffie-Hellman exchange of any exchange that makes keys: our nonce, the peer's public value
//! and the shared secret (RFC 7296 §1.2, §1.3, §2.10, §2.14).
//!
//! IKE_SA_INIT, a further child and the rekeying of a child or of an IKE SA all use it. A child
//! that is made with a key exchange of its own has perfect forward secrecy (PFS, RFC 7296 §1.3.1).
//! The keys themselves are derived in [`crate::crypto::keymat`].

use crate::crypto::{Group, KeyAgreement, SharedSecret};
use crate::ike::endpoint::context::Context;
use crate::ike::error::{Error, Incompatible, PeerMisbehaved};
use crate::wire::codes::PayloadType;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::nonce::Nonce;

/// Octets in our nonces: at least half the longest PRF key (RFC 7296 §2.10).
const NONCE_LEN: usize = 32;

/// Draws a fresh nonce.
pub(crate) fn draw_nonce(ctx: &mut Context<'_>) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    ctx.rng.fill(&mut bytes);
    Nonce::new(bytes).expect("32 octets are a nonce")
}

/// Reads the peer's public value from its KE payload, which must be of the negotiated group.
/// Another group is answered with INVALID_KE_PAYLOAD (RFC 7296 §1.3).
pub(crate) fn public_value(chain: &Chain, group: Group) -> Result<&[u8], Error> {
    let ke = chain.key_exchange().ok_or(PeerMisbehaved::Missing(PayloadType::KeyExchange))?;
    if ke.group != group.id() {
        return Err(Incompatible::Group(group.id()).into());
    }
    Ok(&ke.public)
}

/// Computes the shared secret from our private value, which is spent, and the peer's public value.
pub(crate) fn finish_exchange(
    exchange: Box<dyn KeyAgreement>,
    public: &[u8],
) -> Result<SharedSecret, Error> {
    let group = exchange.group().id();
    exchange.agree(public).map_err(|_| PeerMisbehaved::PublicValue(group).into())
}
