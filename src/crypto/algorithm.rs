//! The algorithms s2sd can run, with their sizes and their numbers on the wire.

use super::unsupported::{SaKind, Unsupported};
use crate::wire::codes::{IntegId, KeId, PrfId};

/// An AES key size.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AesKey {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl AesKey {
    /// The size on the wire, in the Key Length attribute.
    pub fn bits(self) -> u16 {
        match self {
            AesKey::Bits128 => 128,
            AesKey::Bits192 => 192,
            AesKey::Bits256 => 256,
        }
    }

    /// The size in octets.
    pub fn octets(self) -> usize {
        usize::from(self.bits() / 8)
    }

    pub(super) fn from_bits(bits: Option<u16>) -> Option<AesKey> {
        match bits? {
            128 => Some(AesKey::Bits128),
            192 => Some(AesKey::Bits192),
            256 => Some(AesKey::Bits256),
            _ => None,
        }
    }
}

/// A cipher that authenticates by itself. All have a 4-octet salt, an 8-octet IV and a 16-octet
/// ICV.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Aead {
    /// AES-GCM with a 16-octet ICV (RFC 4106, RFC 5282).
    AesGcm16(AesKey),
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

/// An integrity algorithm: a truncated HMAC (RFC 2404, RFC 4868).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Integ {
    /// HMAC-SHA1-96.
    HmacSha1_96,
    /// HMAC-SHA-256-128.
    HmacSha2_256_128,
    /// HMAC-SHA-384-192.
    HmacSha2_384_192,
    /// HMAC-SHA-512-256.
    HmacSha2_512_256,
}

impl Integ {
    /// Octets of key: the output size of the hash.
    pub fn key_len(self) -> usize {
        match self {
            Integ::HmacSha1_96 => 20,
            Integ::HmacSha2_256_128 => 32,
            Integ::HmacSha2_384_192 => 48,
            Integ::HmacSha2_512_256 => 64,
        }
    }

    /// Octets of ICV.
    pub fn icv_len(self) -> usize {
        match self {
            Integ::HmacSha1_96 => 12,
            Integ::HmacSha2_256_128 => 16,
            Integ::HmacSha2_384_192 => 24,
            Integ::HmacSha2_512_256 => 32,
        }
    }

    /// The number on the wire.
    pub fn id(self) -> IntegId {
        match self {
            Integ::HmacSha1_96 => IntegId::HmacSha1_96,
            Integ::HmacSha2_256_128 => IntegId::HmacSha2_256_128,
            Integ::HmacSha2_384_192 => IntegId::HmacSha2_384_192,
            Integ::HmacSha2_512_256 => IntegId::HmacSha2_512_256,
        }
    }

    /// "No integrity" may be said by silence or by NONE (RFC 7296 §3.3.2).
    pub(super) fn parse(role: SaKind, id: Option<IntegId>) -> Result<Option<Integ>, Unsupported> {
        match id {
            None | Some(IntegId::None) => Ok(None),
            Some(IntegId::HmacSha1_96) => Ok(Some(Integ::HmacSha1_96)),
            Some(IntegId::HmacSha2_256_128) => Ok(Some(Integ::HmacSha2_256_128)),
            Some(IntegId::HmacSha2_384_192) => Ok(Some(Integ::HmacSha2_384_192)),
            Some(IntegId::HmacSha2_512_256) => Ok(Some(Integ::HmacSha2_512_256)),
            Some(other) => Err(Unsupported::Integrity(role, other)),
        }
    }
}

/// A pseudo-random function: HMAC with the whole output (RFC 7296 §2.13, RFC 4868).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Prf {
    /// HMAC-SHA1.
    HmacSha1,
    /// HMAC-SHA-256.
    HmacSha2_256,
    /// HMAC-SHA-384.
    HmacSha2_384,
    /// HMAC-SHA-512.
    HmacSha2_512,
}

impl Prf {
    /// Octets of output, which is also the preferred key size.
    pub fn output_len(self) -> usize {
        match self {
            Prf::HmacSha1 => 20,
            Prf::HmacSha2_256 => 32,
            Prf::HmacSha2_384 => 48,
            Prf::HmacSha2_512 => 64,
        }
    }

    /// The number on the wire.
    pub fn id(self) -> PrfId {
        match self {
            Prf::HmacSha1 => PrfId::HmacSha1,
            Prf::HmacSha2_256 => PrfId::HmacSha2_256,
            Prf::HmacSha2_384 => PrfId::HmacSha2_384,
            Prf::HmacSha2_512 => PrfId::HmacSha2_512,
        }
    }
}

impl TryFrom<PrfId> for Prf {
    type Error = Unsupported;

    fn try_from(id: PrfId) -> Result<Prf, Unsupported> {
        match id {
            PrfId::HmacSha1 => Ok(Prf::HmacSha1),
            PrfId::HmacSha2_256 => Ok(Prf::HmacSha2_256),
            PrfId::HmacSha2_384 => Ok(Prf::HmacSha2_384),
            PrfId::HmacSha2_512 => Ok(Prf::HmacSha2_512),
            other => Err(Unsupported::Prf(other)),
        }
    }
}

/// A key exchange group.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Group {
    /// Group 2 (RFC 7296 App. B.2). Weak; for Azure connections left on Default, behind an opt-in.
    Modp1024,
    /// Group 14 (RFC 3526 §3).
    Modp2048,
    /// Group 19 (RFC 5903).
    Ecp256,
    /// Group 20 (RFC 5903).
    Ecp384,
    /// Group 24 (RFC 5114 §2.3).
    Modp2048S256,
    /// Group 31 (RFC 8031).
    Curve25519,
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id().fmt(f)
    }
}

impl Group {
    /// Every group s2sd can run, in the order of the registry.
    pub const ALL: [Group; 6] = [
        Group::Modp1024,
        Group::Modp2048,
        Group::Ecp256,
        Group::Ecp384,
        Group::Modp2048S256,
        Group::Curve25519,
    ];

    /// The number on the wire.
    pub fn id(self) -> KeId {
        match self {
            Group::Modp1024 => KeId::Modp1024,
            Group::Modp2048 => KeId::Modp2048,
            Group::Ecp256 => KeId::Ecp256,
            Group::Ecp384 => KeId::Ecp384,
            Group::Modp2048S256 => KeId::Modp2048S256,
            Group::Curve25519 => KeId::Curve25519,
        }
    }

    /// The group of a number, or the refusal that names the setting for this role.
    pub fn from_id(role: SaKind, id: KeId) -> Result<Group, Unsupported> {
        Group::ALL
            .into_iter()
            .find(|group| group.id() == id)
            .ok_or(Unsupported::KeyExchange(role, id))
    }

    /// Octets of public value in a KE payload.
    pub fn public_len(self) -> usize {
        match self {
            Group::Modp1024 => 128,
            Group::Modp2048 | Group::Modp2048S256 => 256,
            Group::Ecp256 => 64,
            Group::Ecp384 => 96,
            Group::Curve25519 => 32,
        }
    }

    /// Octets of shared secret: MODP keeps leading zeros (RFC 7296 §2.14), ECP gives x alone (RFC
    /// 5903 §7).
    pub fn shared_len(self) -> usize {
        match self {
            Group::Ecp256 | Group::Ecp384 => self.public_len() / 2,
            Group::Modp1024 | Group::Modp2048 | Group::Modp2048S256 | Group::Curve25519 => {
                self.public_len()
            }
        }
    }
}
