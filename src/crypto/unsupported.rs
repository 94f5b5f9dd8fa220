//! Why a negotiated algorithm cannot be used, and which Azure setting mends it.

use std::fmt;

use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};

/// Which of the two security associations an algorithm was meant for; Azure has a setting for each.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SaKind {
    /// The IKE SA ("main mode" in Azure's words).
    Ike,
    /// A child SA ("quick mode").
    Esp,
}

/// An algorithm, or a combination of them, that s2sd does not speak. `Display` names the setting to
/// change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unsupported {
    /// An encryption algorithm that is broken, rare or unknown.
    Encryption(SaKind, EncrId),
    /// A known cipher with a key length it does not have, or without one where the standard demands
    /// one.
    KeyLength(SaKind, EncrId, Option<u16>),
    /// A pseudo-random function.
    Prf(PrfId),
    /// An integrity algorithm.
    Integrity(SaKind, IntegId),
    /// A cipher that authenticates by itself, together with an integrity algorithm (RFC 5282 §8,
    /// RFC 4106 §8.3).
    AeadWithIntegrity(SaKind, EncrId, IntegId),
    /// A cipher that does not authenticate, and no integrity algorithm beside it.
    NoIntegrity(SaKind, EncrId),
    /// A key exchange method.
    KeyExchange(SaKind, KeId),
    /// A kind of sequence numbers.
    SequenceNumbers(EsnId),
}

impl std::error::Error for Unsupported {}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unsupported::Encryption(role, id) => {
                write!(f, "{id} is not supported: {}", encryption(role))
            }
            Unsupported::KeyLength(role, id, Some(bits)) => {
                write!(
                    f,
                    "{id} with a {bits}-bit key length is not supported: {}",
                    encryption(role)
                )
            }
            Unsupported::KeyLength(role, id, None) => {
                write!(f, "{id} without a key length is not supported: {}", encryption(role))
            }
            Unsupported::Prf(id) => {
                write!(f, "PRF {id} is not supported: {}", integrity(SaKind::Ike))
            }
            Unsupported::Integrity(role, id) => {
                write!(f, "{id} is not supported: {}", integrity(role))
            }
            Unsupported::AeadWithIntegrity(role, id, integ) => {
                write!(f, "{id} authenticates by itself and excludes {integ}: {}", encryption(role))
            }
            Unsupported::NoIntegrity(role, id) => {
                write!(
                    f,
                    "{id} without an integrity algorithm is not supported: {}",
                    integrity(role)
                )
            }
            Unsupported::KeyExchange(role, id) => {
                write!(f, "key exchange {id} is not supported: {}", key_exchange(role))
            }
            Unsupported::SequenceNumbers(id) => {
                write!(
                    f,
                    "{id} sequence numbers are not supported: the peer has to offer 32-bit or ESN"
                )
            }
        }
    }
}

fn encryption(role: SaKind) -> &'static str {
    match role {
        SaKind::Ike => {
            "set ikeEncryption to GCMAES256 (or AES256) in the connection's IPsec policy"
        }
        SaKind::Esp => {
            "set ipsecEncryption to GCMAES256 (or AES256) in the connection's IPsec policy"
        }
    }
}

/// Azure derives the PRF from `ikeIntegrity`, with AEAD ciphers too.
fn integrity(role: SaKind) -> &'static str {
    match role {
        SaKind::Ike => "set ikeIntegrity to SHA384 (or SHA256) in the connection's IPsec policy",
        SaKind::Esp => {
            "set ipsecIntegrity to SHA256 (or both ipsecEncryption and ipsecIntegrity to GCMAES256) \
             in the connection's IPsec policy"
        }
    }
}

fn key_exchange(role: SaKind) -> &'static str {
    match role {
        SaKind::Ike => "set dhGroup to ECP384 (or DHGroup14) in the connection's IPsec policy",
        SaKind::Esp => "set pfsGroup to ECP384 (or PFS2048) in the connection's IPsec policy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_to_change() {
        let cases = [
            (
                Unsupported::Encryption(SaKind::Esp, EncrId::TripleDes),
                "3DES is not supported: set ipsecEncryption to GCMAES256 (or AES256) in the connection's IPsec policy",
            ),
            (
                Unsupported::Encryption(SaKind::Ike, EncrId::Des),
                "DES is not supported: set ikeEncryption to GCMAES256 (or AES256) in the connection's IPsec policy",
            ),
            (
                Unsupported::Prf(PrfId::HmacMd5),
                "PRF HMAC_MD5 is not supported: set ikeIntegrity to SHA384 (or SHA256) in the connection's IPsec policy",
            ),
            (
                Unsupported::KeyExchange(SaKind::Ike, KeId::Modp768),
                "key exchange MODP_768 is not supported: set dhGroup to ECP384 (or DHGroup14) in the connection's IPsec policy",
            ),
            (
                Unsupported::KeyExchange(SaKind::Esp, KeId::Modp768),
                "key exchange MODP_768 is not supported: set pfsGroup to ECP384 (or PFS2048) in the connection's IPsec policy",
            ),
        ];
        for (refusal, sentence) in cases {
            assert_eq!(refusal.to_string(), sentence);
        }
    }
}
