//! Azure's names for algorithms, and the proposals of a connection whose policy is left on
//! "Default".
//!
//! Sources: the Azure documentation's "About VPN devices" (default lists), "Configure custom
//! IPsec/IKE connection policies" (names) and "About cryptographic requirements and Azure VPN
//! gateways" (groups). The lists are in Azure's order, with all their lines. Lines that s2sd
//! cannot run are left out where a policy is made
//! ([`crate::ike::negotiation::proposal::ProposalPolicy::new`]).

use thiserror::Error;

use super::setting::Setting;
use crate::crypto::SaKind;
use crate::ike::negotiation::combination::{Combination, CombinationCipher};
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};
use crate::wire::payload::sa::{Transform, TransformId};

/// The six fields of a custom policy that choose algorithms, as Azure names their values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PolicyNames<'a> {
    /// `ike_encryption`.
    pub ike_encryption: &'a str,
    /// `ike_integrity`.
    pub ike_integrity: &'a str,
    /// `dh_group`.
    pub dh_group: &'a str,
    /// `ipsec_encryption`.
    pub ipsec_encryption: &'a str,
    /// `ipsec_integrity`.
    pub ipsec_integrity: &'a str,
    /// `pfs_group`.
    pub pfs_group: &'a str,
}

/// Why the names of a custom policy make no policy.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// The value is none that Azure has for the setting.
    #[error("{setting} takes one of {}", values(.setting))]
    Unknown {
        /// The setting that has the value.
        setting: Setting,
    },
    /// Only one of the two ESP settings is a GCMAES value, or the two values differ.
    #[error("ipsec_encryption and ipsec_integrity must both be the same GCMAES value, or neither")]
    HalfGcm,
    /// `dh_group` is `None`, which Azure's list has and IKEv2 has not: an IKE SA always has a key
    /// exchange (RFC 7296 §3.3.3).
    #[error("dh_group None is not possible with IKEv2: set ECP384 or DHGroup14, here and at Azure")]
    NoGroup,
}

/// The values of a setting, in Azure's order. `DHGroup2048` is another name for `DHGroup14`,
/// `PFS14` for `PFS2048`.
pub fn names(setting: Setting) -> &'static [&'static str] {
    match setting {
        Setting::IkeEncryption => {
            &["GCMAES256", "GCMAES128", "AES256", "AES192", "AES128", "DES3", "DES"]
        }
        Setting::IkeIntegrity => &["SHA384", "SHA256", "SHA1", "MD5", "GCMAES256", "GCMAES128"],
        Setting::DhGroup => &[
            "DHGroup24",
            "ECP384",
            "ECP256",
            "DHGroup14",
            "DHGroup2048",
            "DHGroup2",
            "DHGroup1",
            "None",
        ],
        Setting::IpsecEncryption => &[
            "GCMAES256",
            "GCMAES192",
            "GCMAES128",
            "AES256",
            "AES192",
            "AES128",
            "DES3",
            "DES",
            "None",
        ],
        Setting::IpsecIntegrity => {
            &["GCMAES256", "GCMAES192", "GCMAES128", "SHA256", "SHA1", "MD5"]
        }
        Setting::PfsGroup => {
            &["PFS24", "ECP384", "ECP256", "PFS2048", "PFS14", "PFS2", "PFS1", "PFSMM", "None"]
        }
        _ => &[],
    }
}

/// The IKE lines of a custom policy: one, or two when the PRF is not named.
///
/// With an AEAD cipher `ike_integrity` names the PRF, which is inferred. Where `ike_integrity`
/// repeats the cipher, Azure's choice of PRF is not published; Azure's point-to-site table has both
/// PRFs, so both are offered.
pub fn ike_lines(names: &PolicyNames<'_>) -> Result<Vec<Combination>, NameError> {
    let (encr, key_bits) = encryption(Setting::IkeEncryption, names.ike_encryption)?;
    let hashes: &[&str] = match known(Setting::IkeIntegrity, names.ike_integrity)? {
        "GCMAES256" | "GCMAES128" if encr == EncrId::AesGcm16 => &["SHA384", "SHA256"],
        named => &[named],
    };
    let ke = group(Setting::DhGroup, names.dh_group)?.ok_or(NameError::NoGroup)?;
    let line = |name: &&str| {
        let (integ, prf) =
            hash(name).ok_or(NameError::Unknown { setting: Setting::IkeIntegrity })?;
        let integ = (encr != EncrId::AesGcm16).then_some(integ);
        Ok(Combination::Ike { cipher: CombinationCipher { encr, key_bits, integ }, prf, ke })
    };
    hashes.iter().map(line).collect()
}

/// The ESP line of a custom policy. Azure was never seen to offer extended sequence numbers.
pub fn esp_line(names: &PolicyNames<'_>) -> Result<Combination, NameError> {
    let (encr, key_bits) = encryption(Setting::IpsecEncryption, names.ipsec_encryption)?;
    let encryption = known(Setting::IpsecEncryption, names.ipsec_encryption)?;
    let integrity = known(Setting::IpsecIntegrity, names.ipsec_integrity)?;
    let integ = hash(integrity).map(|(integ, _)| integ);
    let agrees = match integ {
        None => encryption == integrity,
        Some(_) => encr != EncrId::AesGcm16,
    };
    if !agrees {
        return Err(NameError::HalfGcm);
    }
    let ke = match known(Setting::PfsGroup, names.pfs_group)? {
        // The group of the IKE SA again.
        "PFSMM" => group(Setting::DhGroup, names.dh_group)?,
        name => group(Setting::PfsGroup, name)?,
    };
    Ok(Combination::Esp {
        cipher: CombinationCipher { encr, key_bits, integ },
        ke,
        esn: EsnId::Sequence32,
    })
}

/// Azure's name for one transform.
pub fn name(role: SaKind, transform: &Transform) -> Option<&'static str> {
    let setting = Setting::of_transform(role, transform.id.kind());
    let has = |name: &&&str| match (transform.id, setting) {
        (TransformId::Encryption(id), _) => {
            encryption(setting, name) == Ok((id, transform.key_length()))
        }
        (TransformId::KeyExchange(id), _) => group(setting, name) == Ok(Some(id)),
        (TransformId::Integrity(id), _) => hash(name).is_some_and(|(integ, _)| integ == id),
        (TransformId::Prf(id), _) => hash(name).is_some_and(|(_, prf)| prf == id),
        _ => false,
    };
    names(setting).iter().find(has).copied()
}

/// Azure's spelling of a value, whatever the case it came in.
fn known(setting: Setting, name: &str) -> Result<&'static str, NameError> {
    let found = names(setting).iter().find(|known| known.eq_ignore_ascii_case(name));
    found.copied().ok_or(NameError::Unknown { setting })
}

fn encryption(setting: Setting, name: &str) -> Result<(EncrId, Option<u16>), NameError> {
    Ok(match known(setting, name)? {
        "GCMAES256" => (EncrId::AesGcm16, Some(256)),
        "GCMAES192" => (EncrId::AesGcm16, Some(192)),
        "GCMAES128" => (EncrId::AesGcm16, Some(128)),
        "AES256" => (EncrId::AesCbc, Some(256)),
        "AES192" => (EncrId::AesCbc, Some(192)),
        "AES128" => (EncrId::AesCbc, Some(128)),
        "DES3" => (EncrId::TripleDes, None),
        "DES" => (EncrId::Des, None),
        "None" => (EncrId::Null, None),
        _ => return Err(NameError::Unknown { setting }),
    })
}

/// The HMAC of a hash: as integrity algorithm and as PRF.
fn hash(name: &str) -> Option<(IntegId, PrfId)> {
    match name {
        "SHA384" => Some((IntegId::HmacSha2_384_192, PrfId::HmacSha2_384)),
        "SHA256" => Some((IntegId::HmacSha2_256_128, PrfId::HmacSha2_256)),
        "SHA1" => Some((IntegId::HmacSha1_96, PrfId::HmacSha1)),
        "MD5" => Some((IntegId::HmacMd5_96, PrfId::HmacMd5)),
        _ => None,
    }
}

fn group(setting: Setting, name: &str) -> Result<Option<KeId>, NameError> {
    Ok(match known(setting, name)? {
        "DHGroup1" | "PFS1" => Some(KeId::Modp768),
        "DHGroup2" | "PFS2" => Some(KeId::Modp1024),
        "DHGroup14" | "DHGroup2048" | "PFS2048" | "PFS14" => Some(KeId::Modp2048),
        "DHGroup24" | "PFS24" => Some(KeId::Modp2048S256),
        "ECP256" => Some(KeId::Ecp256),
        "ECP384" => Some(KeId::Ecp384),
        "None" => None,
        _ => return Err(NameError::Unknown { setting }),
    })
}

fn values(setting: &Setting) -> String {
    names(*setting).join(", ")
}

/// The IKE lines of a route-based gateway on Default, both roles ("About VPN devices").
pub const DEFAULT_IKE: [Combination; 6] = [
    ike(AES256_SHA1, PrfId::HmacSha1),
    ike(AES256_SHA256, PrfId::HmacSha2_256),
    ike(AES128_SHA1, PrfId::HmacSha1),
    ike(AES128_SHA256, PrfId::HmacSha2_256),
    ike(DES3_SHA1, PrfId::HmacSha1),
    ike(DES3_SHA256, PrfId::HmacSha2_256),
];

/// The ESP lines that a route-based gateway on Default offers ("About VPN devices"); also seen so
/// on the wire.
pub const DEFAULT_ESP_INITIATOR: [Combination; 6] = [
    esp(GCMAES256, None),
    esp(AES256_SHA1, None),
    esp(DES3_SHA1, None),
    esp(AES256_SHA256, None),
    esp(AES128_SHA1, None),
    esp(DES3_SHA256, None),
];

/// The ESP lines that it accepts ("About VPN devices").
pub const DEFAULT_ESP_RESPONDER: [Combination; 26] = [
    esp(GCMAES256, None),
    esp(AES256_SHA1, None),
    esp(DES3_SHA1, None),
    esp(AES256_SHA256, None),
    esp(AES128_SHA1, None),
    esp(DES3_SHA256, None),
    esp(DES_SHA1, None),
    esp(AES256_SHA1, Some(KeId::Modp768)),
    esp(AES256_SHA1, Some(KeId::Modp1024)),
    esp(AES256_SHA1, Some(KeId::Modp2048)),
    esp(AES128_SHA1, Some(KeId::Modp768)),
    esp(AES128_SHA1, Some(KeId::Modp1024)),
    esp(AES128_SHA1, Some(KeId::Modp2048)),
    esp(DES3_SHA1, Some(KeId::Modp768)),
    esp(DES3_SHA1, Some(KeId::Modp1024)),
    esp(DES3_SHA256, Some(KeId::Modp1024)),
    esp(AES256_SHA256, Some(KeId::Modp768)),
    esp(AES256_SHA256, Some(KeId::Modp1024)),
    esp(AES256_SHA256, Some(KeId::Modp2048)),
    esp(AES256_SHA1, Some(KeId::Modp2048S256)),
    esp(AES256_SHA256, Some(KeId::Modp2048S256)),
    esp(AES128_SHA256, None),
    esp(AES128_SHA256, Some(KeId::Modp768)),
    esp(AES128_SHA256, Some(KeId::Modp1024)),
    esp(AES128_SHA256, Some(KeId::Modp2048)),
    esp(DES3_SHA1, Some(KeId::Modp2048)),
];

const GCMAES256: CombinationCipher =
    CombinationCipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None };
const AES256_SHA1: CombinationCipher = cbc(256, IntegId::HmacSha1_96);
const AES256_SHA256: CombinationCipher = cbc(256, IntegId::HmacSha2_256_128);
const AES128_SHA1: CombinationCipher = cbc(128, IntegId::HmacSha1_96);
const AES128_SHA256: CombinationCipher = cbc(128, IntegId::HmacSha2_256_128);
const DES3_SHA1: CombinationCipher = fixed(EncrId::TripleDes, IntegId::HmacSha1_96);
const DES3_SHA256: CombinationCipher = fixed(EncrId::TripleDes, IntegId::HmacSha2_256_128);
const DES_SHA1: CombinationCipher = fixed(EncrId::Des, IntegId::HmacSha1_96);

const fn cbc(bits: u16, integ: IntegId) -> CombinationCipher {
    CombinationCipher { encr: EncrId::AesCbc, key_bits: Some(bits), integ: Some(integ) }
}

/// A cipher with one key length, which is then not said.
const fn fixed(encr: EncrId, integ: IntegId) -> CombinationCipher {
    CombinationCipher { encr, key_bits: None, integ: Some(integ) }
}

const fn ike(cipher: CombinationCipher, prf: PrfId) -> Combination {
    Combination::Ike { cipher, prf, ke: KeId::Modp1024 }
}

const fn esp(cipher: CombinationCipher, ke: Option<KeId>) -> Combination {
    Combination::Esp { cipher, ke, esn: EsnId::Sequence32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECOMMENDED: PolicyNames<'static> = PolicyNames {
        ike_encryption: "GCMAES256",
        ike_integrity: "SHA384",
        dh_group: "ECP384",
        ipsec_encryption: "GCMAES256",
        ipsec_integrity: "GCMAES256",
        pfs_group: "ECP384",
    };

    fn lines(names: &PolicyNames<'_>) -> (Vec<String>, String) {
        let ike = ike_lines(names).expect("names").iter().map(ToString::to_string).collect();
        (ike, esp_line(names).expect("names").to_string())
    }

    #[test]
    fn names_become_numbers() {
        let (ike, esp) = lines(&RECOMMENDED);
        assert_eq!(ike, ["AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384"]);
        assert_eq!(esp, "AES_GCM_16_256/ECP_384/NO_ESN");
        let (ike, esp) = lines(&PolicyNames {
            ike_encryption: "aes256",
            ike_integrity: "SHA1",
            dh_group: "DHGroup2",
            ipsec_encryption: "AES128",
            ipsec_integrity: "SHA256",
            pfs_group: "PFSMM",
        });
        assert_eq!(ike, ["AES_CBC_256/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024"]);
        assert_eq!(esp, "AES_CBC_128/HMAC_SHA2_256_128/MODP_1024/NO_ESN");
        let (ike, _) = lines(&PolicyNames { ike_integrity: "GCMAES256", ..RECOMMENDED });
        assert_eq!(
            ike,
            [
                "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384",
                "AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_384"
            ]
        );
    }

    /// Every value of every field either gives lines or a refusal that this module means to give.
    #[test]
    fn every_name_has_a_meaning() {
        for setting in [Setting::IkeEncryption, Setting::IkeIntegrity, Setting::DhGroup] {
            for name in names(setting) {
                let mut policy = RECOMMENDED;
                match setting {
                    Setting::IkeEncryption => policy.ike_encryption = name,
                    Setting::IkeIntegrity => policy.ike_integrity = name,
                    _ => policy.dh_group = name,
                }
                match ike_lines(&policy) {
                    Ok(lines) => assert!(!lines.is_empty()),
                    Err(error) => assert_eq!((error, *name), (NameError::NoGroup, "None")),
                }
            }
        }
        for encryption in names(Setting::IpsecEncryption) {
            for integrity in names(Setting::IpsecIntegrity) {
                let half = encryption.starts_with("GCM") || integrity.starts_with("GCM");
                let names = PolicyNames {
                    ipsec_encryption: encryption,
                    ipsec_integrity: integrity,
                    ..RECOMMENDED
                };
                let line = esp_line(&names);
                assert_eq!(
                    line.is_ok(),
                    !half || encryption == integrity,
                    "{encryption} {integrity}"
                );
            }
        }
        for pfs in names(Setting::PfsGroup) {
            let line = esp_line(&PolicyNames { pfs_group: pfs, ..RECOMMENDED }).expect("a group");
            assert_eq!(line.group().is_none(), *pfs == "None");
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        let error = ike_lines(&PolicyNames { dh_group: "DHGroup15", ..RECOMMENDED }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "dh_group takes one of DHGroup24, ECP384, ECP256, DHGroup14, DHGroup2048, DHGroup2, DHGroup1, None"
        );
        // An AEAD name as the integrity of a cipher that needs one.
        let names =
            PolicyNames { ike_encryption: "AES256", ike_integrity: "GCMAES256", ..RECOMMENDED };
        assert_eq!(ike_lines(&names), Err(NameError::Unknown { setting: Setting::IkeIntegrity }));
    }

    /// A name's numbers have that name again, or the other one that Azure has for them.
    #[test]
    fn numbers_become_names() {
        let twins = [("DHGroup2048", "DHGroup14"), ("PFS14", "PFS2048")];
        for setting in [Setting::DhGroup, Setting::PfsGroup] {
            let role = if setting == Setting::DhGroup { SaKind::Ike } else { SaKind::Esp };
            for known in names(setting).iter().filter(|known| group(setting, known).is_ok()) {
                let Ok(Some(id)) = group(setting, known) else { continue };
                let twin = twins.iter().find(|(second, _)| second == known);
                let wanted = twin.map_or(*known, |(_, first)| first);
                assert_eq!(name(role, &Transform::new(id)), Some(wanted));
            }
        }
        for known in names(Setting::IpsecEncryption) {
            let (id, bits) = encryption(Setting::IpsecEncryption, known).expect("known");
            let transform = bits
                .map_or_else(|| Transform::new(id), |bits| Transform::with_key_length(id, bits));
            assert_eq!(name(SaKind::Esp, &transform), Some(*known));
        }
        assert_eq!(name(SaKind::Ike, &Transform::new(PrfId::HmacSha2_384)), Some("SHA384"));
        assert_eq!(name(SaKind::Esp, &Transform::new(IntegId::HmacSha1_96)), Some("SHA1"));
        assert_eq!(name(SaKind::Ike, &Transform::new(KeId::Curve25519)), None);
        assert_eq!(name(SaKind::Esp, &Transform::new(EsnId::Extended64)), None);
    }

    #[test]
    fn the_default_lists_are_azures() {
        let text =
            |lines: &[Combination]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            text(&DEFAULT_IKE),
            [
                "AES_CBC_256/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024",
                "AES_CBC_256/PRF_HMAC_SHA2_256/HMAC_SHA2_256_128/MODP_1024",
                "AES_CBC_128/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024",
                "AES_CBC_128/PRF_HMAC_SHA2_256/HMAC_SHA2_256_128/MODP_1024",
                "3DES/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024",
                "3DES/PRF_HMAC_SHA2_256/HMAC_SHA2_256_128/MODP_1024",
            ]
        );
        assert_eq!(
            text(&DEFAULT_ESP_INITIATOR),
            [
                "AES_GCM_16_256/NO_ESN",
                "AES_CBC_256/HMAC_SHA1_96/NO_ESN",
                "3DES/HMAC_SHA1_96/NO_ESN",
                "AES_CBC_256/HMAC_SHA2_256_128/NO_ESN",
                "AES_CBC_128/HMAC_SHA1_96/NO_ESN",
                "3DES/HMAC_SHA2_256_128/NO_ESN",
            ]
        );
        // The responder accepts what the initiator offers, first and in its order.
        assert_eq!(DEFAULT_ESP_RESPONDER[..6], DEFAULT_ESP_INITIATOR);
        let unique: std::collections::HashSet<_> = DEFAULT_ESP_RESPONDER.iter().collect();
        assert_eq!(unique.len(), 26);
    }
}
