//! What a negotiation settled on, as types: only combinations that exist and that s2sd can run.
//!
//! A proposal is a bag of numbers; a suite is the answer to "can we do this?". Everything after
//! negotiation (key lengths, layouts, ciphers) reads the suite and cannot fail on an unknown number
//! again.

use std::fmt;

pub use super::algorithm::{Aead, AesKey, Group, Integ, Prf};
use super::unsupported::{SaKind, Unsupported};
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};

/// How a packet is kept secret and whole. There is no way to have secrecy without integrity.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protection {
    /// One algorithm for both.
    Aead(Aead),
    /// AES-CBC, then HMAC over the result (RFC 3602).
    Cbc(AesKey, Integ),
}

impl Protection {
    /// Octets of encryption key from the key material, the salt included (RFC 4106 §8.1, RFC 7634
    /// §2).
    pub fn encryption_key_len(self) -> usize {
        match self {
            Protection::Aead(Aead::AesGcm16(key)) => key.octets() + SALT_LEN,
            Protection::Aead(Aead::ChaCha20Poly1305) => 32 + SALT_LEN,
            Protection::Cbc(key, _) => key.octets(),
        }
    }

    /// Octets of integrity key from the key material; none for an AEAD.
    pub fn integrity_key_len(self) -> usize {
        self.integ().map_or(0, Integ::key_len)
    }

    /// The encryption transform's number.
    pub fn encr_id(self) -> EncrId {
        match self {
            Protection::Aead(Aead::AesGcm16(_)) => EncrId::AesGcm16,
            Protection::Aead(Aead::ChaCha20Poly1305) => EncrId::ChaCha20Poly1305,
            Protection::Cbc(..) => EncrId::AesCbc,
        }
    }

    /// The Key Length attribute, for the ciphers that carry one.
    pub fn key_bits(self) -> Option<u16> {
        match self {
            Protection::Aead(Aead::AesGcm16(key)) | Protection::Cbc(key, _) => Some(key.bits()),
            Protection::Aead(Aead::ChaCha20Poly1305) => None,
        }
    }

    /// The integrity transform, where there is one.
    pub fn integ(self) -> Option<Integ> {
        match self {
            Protection::Aead(_) => None,
            Protection::Cbc(_, integ) => Some(integ),
        }
    }

    /// What surrounds the plaintext of an IKE message's SK payload (RFC 7296 §3.14). An AEAD needs
    /// no padding there (RFC 5282 §3), only the octet that says so.
    pub fn ike_layout(self) -> Layout {
        self.layout(1, 1)
    }

    fn layout(self, trailer: usize, least_align: usize) -> Layout {
        match self {
            Protection::Aead(_) => Layout { iv: 8, align: least_align, trailer, icv: 16 },
            Protection::Cbc(_, integ) => {
                Layout { iv: AES_BLOCK, align: AES_BLOCK, trailer, icv: integ.icv_len() }
            }
        }
    }

    fn parse(
        role: SaKind,
        encr: EncrId,
        key_bits: Option<u16>,
        integ: Option<Integ>,
    ) -> Result<Protection, Unsupported> {
        let aes =
            || AesKey::from_bits(key_bits).ok_or(Unsupported::KeyLength(role, encr, key_bits));
        let aead = match encr {
            EncrId::AesCbc => {
                return Ok(Protection::Cbc(
                    aes()?,
                    integ.ok_or(Unsupported::NoIntegrity(role, encr))?,
                ));
            }
            EncrId::AesGcm16 => Aead::AesGcm16(aes()?),
            EncrId::ChaCha20Poly1305 if key_bits.is_none() => Aead::ChaCha20Poly1305,
            EncrId::ChaCha20Poly1305 => return Err(Unsupported::KeyLength(role, encr, key_bits)),
            other => return Err(Unsupported::Encryption(role, other)),
        };
        match integ {
            None => Ok(Protection::Aead(aead)),
            Some(integ) => Err(Unsupported::AeadWithIntegrity(role, encr, integ.id())),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EspProtection::Encrypted(*self).fmt(f)
    }
}

/// How an ESP packet is protected: ESP may do without secrecy, IKE may not (RFC 7296 §5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EspProtection {
    /// Secret and authentic.
    Encrypted(Protection),
    /// Authentic alone (RFC 2410).
    Null(Integ),
}

impl EspProtection {
    /// Octets of encryption key from the key material, the salt included.
    pub fn encryption_key_len(self) -> usize {
        self.encryption().map_or(0, Protection::encryption_key_len)
    }

    /// Octets of integrity key from the key material; none for an AEAD.
    pub fn integrity_key_len(self) -> usize {
        self.integ().map_or(0, Integ::key_len)
    }

    /// The encryption transform's number.
    pub fn encr_id(self) -> EncrId {
        self.encryption().map_or(EncrId::Null, Protection::encr_id)
    }

    /// The Key Length attribute, for the ciphers that carry one.
    pub fn key_bits(self) -> Option<u16> {
        self.encryption().and_then(Protection::key_bits)
    }

    /// The integrity transform, where there is one.
    pub fn integ(self) -> Option<Integ> {
        match self {
            EspProtection::Encrypted(protection) => protection.integ(),
            EspProtection::Null(integ) => Some(integ),
        }
    }

    /// What surrounds the payload of a packet: the trailer is Pad Length and Next Header, and ends
    /// on a 4-octet boundary at least (RFC 4303 §2.4).
    pub fn layout(self) -> Layout {
        match self {
            EspProtection::Encrypted(protection) => protection.layout(2, 4),
            EspProtection::Null(integ) => {
                Layout { iv: 0, align: 4, trailer: 2, icv: integ.icv_len() }
            }
        }
    }

    fn encryption(self) -> Option<Protection> {
        match self {
            EspProtection::Encrypted(protection) => Some(protection),
            EspProtection::Null(_) => None,
        }
    }

    fn parse(
        encr: EncrId,
        key_bits: Option<u16>,
        integ: Option<Integ>,
    ) -> Result<EspProtection, Unsupported> {
        match (encr, key_bits) {
            (EncrId::Null, None) => {
                integ.map(EspProtection::Null).ok_or(Unsupported::NoIntegrity(SaKind::Esp, encr))
            }
            (EncrId::Null, Some(_)) => Err(Unsupported::KeyLength(SaKind::Esp, encr, key_bits)),
            _ => {
                Protection::parse(SaKind::Esp, encr, key_bits, integ).map(EspProtection::Encrypted)
            }
        }
    }
}

impl fmt::Display for EspProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.encr_id())?;
        if let Some(bits) = self.key_bits() {
            write!(f, "-{bits}")?;
        }
        match self.integ() {
            Some(integ) => write!(f, "/{}", integ.id()),
            None => Ok(()),
        }
    }
}

/// The octets that go around a plaintext: `IV | plaintext | padding | trailer | ICV`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Layout {
    /// Octets of initialization vector in front.
    pub iv: usize,
    /// What the length of plaintext, padding and trailer together is a multiple of.
    pub align: usize,
    /// Octets of trailer: IKE has Pad Length, ESP also Next Header.
    pub trailer: usize,
    /// Octets of integrity check value at the end.
    pub icv: usize,
}

impl Layout {
    /// The least padding after a plaintext of `len` octets; below 16.
    pub fn padding(self, len: usize) -> usize {
        (self.align - (len + self.trailer) % self.align) % self.align
    }

    /// The length of everything from the IV to the ICV around a plaintext of `len` octets.
    pub fn sealed_len(self, len: usize) -> usize {
        self.iv + len + self.padding(len) + self.trailer + self.icv
    }

    /// The longest plaintext that fits when everything from the IV to the ICV may have `room`
    /// octets.
    pub fn plaintext_room(self, room: usize) -> Option<usize> {
        let inside = room.checked_sub(self.iv + self.icv)?;
        (inside - inside % self.align).checked_sub(self.trailer)
    }
}

/// The algorithms of an IKE SA.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IkeSuite {
    /// How its messages are protected.
    pub protection: Protection,
    /// The PRF, for key derivation and for AUTH.
    pub prf: Prf,
    /// The key exchange that the SA's own keys come from.
    pub group: Group,
}

impl IkeSuite {
    /// From the transforms of one chosen proposal.
    pub fn from_transforms(
        encr: EncrId,
        key_bits: Option<u16>,
        prf: PrfId,
        integ: Option<IntegId>,
        ke: KeId,
    ) -> Result<IkeSuite, Unsupported> {
        Ok(IkeSuite {
            protection: Protection::parse(
                SaKind::Ike,
                encr,
                key_bits,
                Integ::parse(SaKind::Ike, integ)?,
            )?,
            prf: Prf::try_from(prf)?,
            group: Group::from_id(SaKind::Ike, ke)?,
        })
    }
}

/// `AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384`, or with the integrity algorithm second.
impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/PRF_{}/{}", self.protection, self.prf.id(), self.group.id())
    }
}

/// The algorithms of a child SA.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EspSuite {
    /// How its packets are protected.
    pub protection: EspProtection,
    /// A key exchange of its own (perfect forward secrecy), where one was agreed.
    pub group: Option<Group>,
    /// Sequence numbers of 64 bits (RFC 4304).
    pub esn: bool,
}

impl EspSuite {
    /// From the transforms of one chosen proposal. A proposal without type 5 means 32-bit numbers.
    pub fn from_transforms(
        encr: EncrId,
        key_bits: Option<u16>,
        integ: Option<IntegId>,
        ke: Option<KeId>,
        esn: EsnId,
    ) -> Result<EspSuite, Unsupported> {
        let group = ke.filter(|&id| id != KeId::None);
        let esn = match esn {
            EsnId::Sequence32 => false,
            EsnId::Extended64 => true,
            other => return Err(Unsupported::SequenceNumbers(other)),
        };
        Ok(EspSuite {
            protection: EspProtection::parse(encr, key_bits, Integ::parse(SaKind::Esp, integ)?)?,
            group: group.map(|id| Group::from_id(SaKind::Esp, id)).transpose()?,
            esn,
        })
    }
}

/// `AES_CBC-256/HMAC_SHA2_256_128/MODP_2048/ESN`, without what is absent.
impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protection)?;
        if let Some(group) = self.group {
            write!(f, "/{}", group.id())?;
        }
        if self.esn { f.write_str("/ESN") } else { Ok(()) }
    }
}

pub(super) const SALT_LEN: usize = 4;
const AES_BLOCK: usize = 16;
