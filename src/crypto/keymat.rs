//! From a shared secret to keys (RFC 7296 §2.13 to §2.18): each key is a type of its own, so none
//! stands in for another.
//!
//! ```text
//! SKEYSEED           = prf(Ni | Nr, g^ir)                      a new IKE SA
//! SKEYSEED           = prf(SK_d (old), g^ir | Ni | Nr)         a rekeyed one, by the OLD SA's PRF
//! {SK_d .. SK_pr}    = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
//! KEYMAT             = prf+(SK_d, [g^ir |] Ni | Nr)            a child SA
//! ```

use super::keys::SharedSecret;
pub use super::keys::{EspKeys, MessageKeys};
use super::provider::Provider;
use super::secret::Secret;
use super::suite::{EspProtection, EspSuite, IkeSuite, Prf};

/// Both nonces of an exchange, by role in that exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

/// Both SPIs of the IKE SA whose keys are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IkeSpis {
    /// SPIi.
    pub initiator: [u8; 8],
    /// SPIr.
    pub responder: [u8; 8],
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Eq, PartialEq)]
        pub struct $name(Secret);

        impl $name {
            /// A key that was exported before, as from a snapshot.
            pub fn restore(secret: Secret) -> $name {
                $name(secret)
            }

            /// The key's octets, for a snapshot.
            pub fn expose(&self) -> &[u8] {
                self.0.expose()
            }
        }
    )*};
}

keys! {
    /// SKEYSEED: what the keys of an IKE SA are expanded from.
    SkeySeed,
    /// SK_d: what child keys and the next IKE SA's SKEYSEED are derived from.
    SkD,
    /// SK_ai: integrity of what the original initiator sends. Empty for an AEAD.
    SkAi,
    /// SK_ar: integrity of what the original responder sends. Empty for an AEAD.
    SkAr,
    /// SK_ei: encryption of what the original initiator sends, an AEAD's salt at its end.
    SkEi,
    /// SK_er: encryption of what the original responder sends, an AEAD's salt at its end.
    SkEr,
    /// SK_pi: binds the initiator's identity into its AUTH payload.
    SkPi,
    /// SK_pr: binds the responder's identity into its AUTH payload.
    SkPr,
}

impl SkeySeed {
    /// The seed of a first IKE SA (RFC 7296 §2.14).
    pub fn of_new(
        provider: &dyn Provider,
        prf: Prf,
        nonces: Nonces<'_>,
        shared: &SharedSecret,
    ) -> SkeySeed {
        let key = Secret::new([nonces.initiator, nonces.responder].concat());
        SkeySeed(provider.prf(prf, key.expose(), &[shared.expose()]))
    }

    /// The seed of an IKE SA that replaces another. `old_prf` is the PRF of the SA being replaced:
    /// it computes SKEYSEED even when the new SA negotiated another PRF (RFC 7296 §2.18).
    pub fn of_rekeyed(
        provider: &dyn Provider,
        old_prf: Prf,
        old: &SkD,
        nonces: Nonces<'_>,
        shared: &SharedSecret,
    ) -> SkeySeed {
        let parts = [shared.expose(), nonces.initiator, nonces.responder];
        SkeySeed(provider.prf(old_prf, old.expose(), &parts))
    }
}

/// The seven keys of an IKE SA.
#[derive(Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each field's type says it")]
pub struct IkeKeys {
    pub d: SkD,
    pub ai: SkAi,
    pub ar: SkAr,
    pub ei: SkEi,
    pub er: SkEr,
    pub pi: SkPi,
    pub pr: SkPr,
}

impl IkeKeys {
    /// Expands the seed into the keys of an IKE SA, in the order of RFC 7296 §2.14. The PRF is the
    /// new SA's.
    pub fn derive(
        provider: &dyn Provider,
        suite: &IkeSuite,
        seed: &SkeySeed,
        nonces: Nonces<'_>,
        spis: IkeSpis,
    ) -> IkeKeys {
        let protection = suite.protection;
        let (encr, integ) = (protection.encryption_key_len(), protection.integrity_key_len());
        let prf = suite.prf.output_len();
        let parts = [nonces.initiator, nonces.responder, &spis.initiator, &spis.responder];
        let keymat =
            prf_plus(provider, suite.prf, seed.expose(), &parts, 3 * prf + 2 * (encr + integ));
        let mut rest = keymat.expose();
        IkeKeys {
            d: SkD(take(&mut rest, prf)),
            ai: SkAi(take(&mut rest, integ)),
            ar: SkAr(take(&mut rest, integ)),
            ei: SkEi(take(&mut rest, encr)),
            er: SkEr(take(&mut rest, encr)),
            pi: SkPi(take(&mut rest, prf)),
            pr: SkPr(take(&mut rest, prf)),
        }
    }

    /// What protects the messages of the SA's original initiator.
    pub fn of_initiator(&self) -> MessageKeys<'_> {
        MessageKeys { encryption: self.ei.expose(), integrity: self.ai.expose() }
    }

    /// What protects the messages of the SA's original responder.
    pub fn of_responder(&self) -> MessageKeys<'_> {
        MessageKeys { encryption: self.er.expose(), integrity: self.ar.expose() }
    }
}

/// The keys of a child SA pair, by role in the exchange that made it (not in the IKE SA).
#[derive(Debug, Eq, PartialEq)]
pub struct ChildKeys {
    /// For packets from that exchange's initiator to its responder: these come first in KEYMAT.
    pub initiator: EspKeys,
    /// For packets from responder to initiator.
    pub responder: EspKeys,
}

impl ChildKeys {
    /// With a `shared` secret of its own the child has perfect forward secrecy. `prf` is the IKE
    /// SA's.
    pub fn derive(
        provider: &dyn Provider,
        prf: Prf,
        sk_d: &SkD,
        suite: &EspSuite,
        nonces: Nonces<'_>,
        shared: Option<&SharedSecret>,
    ) -> ChildKeys {
        let protection = suite.protection;
        let len = 2 * (protection.encryption_key_len() + protection.integrity_key_len());
        let fresh = shared.map_or(&[][..], SharedSecret::expose);
        let parts = [fresh, nonces.initiator, nonces.responder];
        let keymat = prf_plus(provider, prf, sk_d.expose(), &parts, len);
        let mut rest = keymat.expose();
        ChildKeys {
            initiator: take_esp(&mut rest, protection),
            responder: take_esp(&mut rest, protection),
        }
    }
}

/// Whose identity is being signed: the initiator's under SK_pi, the responder's under SK_pr.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the key's type says it")]
pub enum SkP<'a> {
    Initiator(&'a SkPi),
    Responder(&'a SkPr),
}

/// What an AUTH payload signs (RFC 7296 §2.15): the signer's first message, the other side's nonce,
/// and the signer's identity bound to this SA. `id_body` is the ID payload without its generic
/// header.
pub fn signed_octets(
    provider: &dyn Provider,
    prf: Prf,
    sk_p: SkP<'_>,
    message: &[u8],
    peer_nonce: &[u8],
    id_body: &[u8],
) -> Vec<u8> {
    let key = match sk_p {
        SkP::Initiator(key) => key.expose(),
        SkP::Responder(key) => key.expose(),
    };
    [message, peer_nonce, provider.prf(prf, key, &[id_body]).expose()].concat()
}

/// `prf+(key, seed)` of RFC 7296 §2.13: T1 = prf(K, S | 1), Tn = prf(K, Tn-1 | S | n). The block
/// number is one octet, so the most it can give is 255 blocks; the longest key material of any
/// suite here takes 13.
pub fn prf_plus(
    provider: &dyn Provider,
    prf: Prf,
    key: &[u8],
    seed: &[&[u8]],
    len: usize,
) -> Secret {
    assert!(len <= 255 * prf.output_len(), "prf+ ends after 255 blocks");
    let mut keymat = Vec::with_capacity(len);
    let mut last = Secret::copy_of(&[]);
    for number in 1..=u8::MAX {
        if keymat.len() == len {
            break;
        }
        let mut parts = Vec::with_capacity(seed.len() + 2);
        parts.push(last.expose());
        parts.extend_from_slice(seed);
        let number = [number];
        parts.push(&number);
        let block = provider.prf(prf, key, &parts);
        let want = block.len().min(len - keymat.len());
        keymat.extend_from_slice(&block.expose()[..want]);
        last = block;
    }
    Secret::new(keymat)
}

/// The encryption key comes before the integrity key (RFC 7296 §2.17).
fn take_esp(rest: &mut &[u8], protection: EspProtection) -> EspKeys {
    EspKeys {
        encryption: take(rest, protection.encryption_key_len()),
        integrity: take(rest, protection.integrity_key_len()),
    }
}

fn take(rest: &mut &[u8], len: usize) -> Secret {
    let (key, after) = rest.split_at(len);
    *rest = after;
    Secret::copy_of(key)
}
