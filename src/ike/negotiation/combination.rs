//! A combination: one algorithm of each kind, as the numbers of the protocol. A policy is a list of
//! such lines, some of which s2sd may not be able to run.
//!
//! A [`crate::crypto::IkeSuite`] or [`crate::crypto::EspSuite`] is the runnable form. Numbers stay
//! numbers here because Azure's default lists have lines that s2sd refuses to run (3DES, DES), and
//! a peer played in a test must be able to say them.

use std::fmt;

use crate::crypto::{EspSuite, IkeSuite, SaKind, Unsupported};
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId, TransformType};
use crate::wire::payload::sa::{Transform, TransformId};

/// One line of a policy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Combination {
    /// A line for an IKE SA.
    Ike {
        /// The encryption of its messages.
        cipher: CombinationCipher,
        /// The pseudo-random function.
        prf: PrfId,
        /// The group of the key exchange.
        ke: KeId,
    },
    /// A line for a child SA.
    Esp {
        /// The encryption of its packets.
        cipher: CombinationCipher,
        /// The group of a key exchange of its own, for perfect forward secrecy.
        ke: Option<KeId>,
        /// The width of the sequence numbers.
        esn: EsnId,
    },
}

/// An encryption algorithm with its key length and integrity algorithm.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CombinationCipher {
    /// The encryption algorithm.
    pub encr: EncrId,
    /// The Key Length attribute, for algorithms that have one.
    pub key_bits: Option<u16>,
    /// The integrity algorithm, for ciphers that do not authenticate by themselves.
    pub integ: Option<IntegId>,
}

impl Combination {
    /// The kind of SA that the line is for.
    pub fn role(&self) -> SaKind {
        match self {
            Combination::Ike { .. } => SaKind::Ike,
            Combination::Esp { .. } => SaKind::Esp,
        }
    }

    /// The encryption of the line.
    pub fn cipher(&self) -> CombinationCipher {
        match *self {
            Combination::Ike { cipher, .. } | Combination::Esp { cipher, .. } => cipher,
        }
    }

    /// The group of the key exchange, if the line has one.
    pub fn group(&self) -> Option<KeId> {
        match *self {
            Combination::Ike { ke, .. } => Some(ke),
            Combination::Esp { ke, .. } => ke,
        }
    }

    /// The same line without a key exchange of its own, as for the child SA of IKE_AUTH (RFC 7296
    /// §1.2).
    pub fn without_pfs(self) -> Combination {
        match self {
            Combination::Esp { cipher, esn, .. } => Combination::Esp { cipher, ke: None, esn },
            ike => ike,
        }
    }

    /// The transforms of the line, one of each type, in the order of the types.
    pub fn transforms(&self) -> Vec<Transform> {
        let cipher = self.cipher();
        let encr = match cipher.key_bits {
            Some(bits) => Transform::with_key_length(cipher.encr, bits),
            None => Transform::new(cipher.encr),
        };
        let (prf, esn) = match *self {
            Combination::Ike { prf, .. } => (Some(prf), None),
            Combination::Esp { esn, .. } => (None, Some(esn)),
        };
        [
            Some(encr),
            prf.map(Transform::new),
            cipher.integ.map(Transform::new),
            self.group().map(Transform::new),
            esn.map(Transform::new),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether the line has this transform.
    pub fn has(&self, transform: &Transform) -> bool {
        !transform.has_unknown_attributes()
            && self
                .transforms()
                .iter()
                .any(|own| own.id == transform.id && own.key_length() == transform.key_length())
    }

    /// Whether a proposal without this type, or with its NONE, means the same as the line (RFC 7296
    /// §3.3.2, §3.3.3).
    pub fn lacks(&self, kind: TransformType) -> bool {
        match (self, kind) {
            (_, TransformType::Integrity) => self.cipher().integ.is_none(),
            (Combination::Esp { ke, .. }, TransformType::KeyExchange) => ke.is_none(),
            (Combination::Esp { .. }, TransformType::Prf) => true,
            // A proposal without ESN means 32-bit numbers.
            (Combination::Esp { esn, .. }, TransformType::SequenceNumbers) => {
                *esn == EsnId::Sequence32
            }
            (Combination::Ike { .. }, TransformType::SequenceNumbers) => true,
            _ => false,
        }
    }

    /// Checks that s2sd can run the line; the refusal names the Azure setting to change.
    pub fn check(&self) -> Result<(), Unsupported> {
        match self {
            Combination::Ike { .. } => IkeSuite::try_from(*self).map(|_| ()),
            Combination::Esp { .. } => EspSuite::try_from(*self).map(|_| ()),
        }
    }
}

/// Whether a transform says "nothing of this type".
pub fn is_none(transform: &Transform) -> bool {
    matches!(
        transform.id,
        TransformId::Integrity(IntegId::None) | TransformId::KeyExchange(KeId::None)
    )
}

impl TryFrom<Combination> for IkeSuite {
    type Error = Unsupported;

    fn try_from(line: Combination) -> Result<IkeSuite, Unsupported> {
        let CombinationCipher { encr, key_bits, integ } = line.cipher();
        match line {
            Combination::Ike { prf, ke, .. } => {
                IkeSuite::from_transforms(encr, key_bits, prf, integ, ke)
            }
            Combination::Esp { .. } => Err(Unsupported::Encryption(SaKind::Ike, encr)),
        }
    }
}

impl TryFrom<Combination> for EspSuite {
    type Error = Unsupported;

    fn try_from(line: Combination) -> Result<EspSuite, Unsupported> {
        let CombinationCipher { encr, key_bits, integ } = line.cipher();
        match line {
            Combination::Esp { ke, esn, .. } => {
                EspSuite::from_transforms(encr, key_bits, integ, ke, esn)
            }
            Combination::Ike { .. } => Err(Unsupported::Encryption(SaKind::Esp, encr)),
        }
    }
}

impl From<IkeSuite> for Combination {
    fn from(suite: IkeSuite) -> Combination {
        let protection = suite.protection;
        Combination::Ike {
            cipher: CombinationCipher {
                encr: protection.encr_id(),
                key_bits: protection.key_bits(),
                integ: protection.integ().map(|integ| integ.id()),
            },
            prf: suite.prf.id(),
            ke: suite.group.id(),
        }
    }
}

impl From<EspSuite> for Combination {
    fn from(suite: EspSuite) -> Combination {
        let protection = suite.protection;
        Combination::Esp {
            cipher: CombinationCipher {
                encr: protection.encr_id(),
                key_bits: protection.key_bits(),
                integ: protection.integ().map(|integ| integ.id()),
            },
            ke: suite.group.map(|group| group.id()),
            esn: if suite.esn { EsnId::Extended64 } else { EsnId::Sequence32 },
        }
    }
}

/// `AES_CBC_256/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024`, as proposals print.
impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, transform) in self.transforms().iter().enumerate() {
            let slash = if nth == 0 { "" } else { "/" };
            write!(f, "{slash}{transform}")?;
        }
        Ok(())
    }
}
