//! The settings of a connection that a refusal can tell the operator to change.
//!
//! The names are Azure's own property names: in snake_case in s2sd's configuration file, in
//! camelCase in Azure's resources.

use std::fmt;

use crate::crypto::SaKind;
use crate::wire::codes::TransformType;

/// One setting of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Setting {
    /// `ike_encryption`.
    IkeEncryption,
    /// `ike_integrity`, which also chooses the PRF.
    IkeIntegrity,
    /// `dh_group`.
    DhGroup,
    /// `ipsec_encryption`.
    IpsecEncryption,
    /// `ipsec_integrity`.
    IpsecIntegrity,
    /// `pfs_group`.
    PfsGroup,
    /// `ipsec_policy`, as a whole.
    IpsecPolicy,
    /// `use_policy_based_traffic_selectors` with the prefixes on both sides.
    TrafficSelectors,
    /// `connection_mode`.
    ConnectionMode,
    /// `dpd_timeout_seconds`.
    DpdTimeout,
    /// `public_ip_addresses` of the gateway.
    PublicIpAddresses,
    /// `inbound_certificate`: our own certificate, whose chain and subject name Azure is told.
    InboundCertificate,
    /// `outbound_certificate_roots`: the roots that we trust to certify the gateway.
    OutboundCertificateRoots,
    /// `outbound_certificate_subject_name`.
    OutboundCertificateSubjectName,
    /// `remote_identity`.
    RemoteIdentity,
}

impl Setting {
    /// The key in s2sd's configuration file.
    pub fn key(self) -> &'static str {
        match self {
            Setting::IkeEncryption => "ike_encryption",
            Setting::IkeIntegrity => "ike_integrity",
            Setting::DhGroup => "dh_group",
            Setting::IpsecEncryption => "ipsec_encryption",
            Setting::IpsecIntegrity => "ipsec_integrity",
            Setting::PfsGroup => "pfs_group",
            Setting::IpsecPolicy => "ipsec_policy",
            Setting::TrafficSelectors => "use_policy_based_traffic_selectors",
            Setting::ConnectionMode => "connection_mode",
            Setting::DpdTimeout => "dpd_timeout_seconds",
            Setting::PublicIpAddresses => "public_ip_addresses",
            Setting::InboundCertificate => "inbound_certificate",
            Setting::OutboundCertificateRoots => "outbound_certificate_roots",
            Setting::OutboundCertificateSubjectName => "outbound_certificate_subject_name",
            Setting::RemoteIdentity => "remote_identity",
        }
    }

    /// The setting that decides a transform type.
    pub fn of_transform(role: SaKind, kind: TransformType) -> Setting {
        match (role, kind) {
            (SaKind::Ike, TransformType::Encryption) => Setting::IkeEncryption,
            (SaKind::Ike, TransformType::Prf | TransformType::Integrity) => Setting::IkeIntegrity,
            (SaKind::Ike, TransformType::KeyExchange) => Setting::DhGroup,
            (SaKind::Esp, TransformType::Encryption) => Setting::IpsecEncryption,
            (SaKind::Esp, TransformType::Integrity) => Setting::IpsecIntegrity,
            (SaKind::Esp, TransformType::KeyExchange) => Setting::PfsGroup,
            _ => Setting::IpsecPolicy,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
