//! The configuration as the daemon uses it: every value parsed, every rule kept. `resolve` makes it
//! from the file.
//!
//! As JSON the fields have the file's names, so that a reload can say what changed in the
//! operator's words.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::algorithm::{
    ConnectionMode, DhGroup, IkeEncryption, IkeIntegrity, InboundIdentity, IpsecEncryption,
    IpsecIntegrity, PfsGroup, Routes,
};
use super::prefix::{InterfaceAddress, Prefix};
use super::value::{FileRef, Host, InterfaceName, Label};
use crate::ike::endpoint::config::EspEncapsulation;
use crate::pki::auth::Method1Hash;
use crate::pki::certificate::Thumbprint;
use crate::pki::common_name::CommonName;

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// This device.
    pub device: Device,
    /// What Azure knows of this site.
    pub local_network_gateway: Site,
    /// The connections, in the file's order.
    #[serde(rename = "connection")]
    pub connections: Vec<Connection>,
}

/// This device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Device {
    /// Its name in logs.
    pub name: Label,
    /// Where it listens; empty: everywhere.
    pub listen_addresses: Vec<IpAddr>,
    /// Where its commands reach it.
    pub control_socket: PathBuf,
}

/// This site, as Azure knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Site {
    /// The local network gateway's name.
    pub name: Label,
    /// Its public address, or the name that has it.
    #[serde(rename = "gateway_ip_address")]
    pub address: Host,
    /// What lies behind this device.
    pub address_prefixes: Vec<Prefix>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connection {
    /// Its name.
    pub name: Label,
    /// As set in Azure: from Azure's point of view.
    pub connection_mode: ConnectionMode,
    /// Silence after which the gateway counts as dead.
    #[serde(rename = "dpd_timeout_seconds", serialize_with = "seconds")]
    pub dpd_timeout: Duration,
    /// The suites.
    pub ipsec_policy: ConnectionPolicy,
    /// What may pass.
    #[serde(rename = "traffic_selectors")]
    pub selectors: TrafficSelection,
    /// The other end.
    pub virtual_network_gateway: Gateway,
    /// Who proves what to whom.
    pub certificate_authentication: CertificateAuthentication,
    /// This device's side of the tunnels.
    pub tunnel: TunnelSettings,
    /// One tunnel for each address of the gateway.
    pub tunnels: Vec<GatewayTunnel>,
}

/// The gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gateway {
    /// Its name.
    pub name: Label,
    /// What lies behind it.
    pub address_prefixes: Vec<Prefix>,
}

/// One tunnel: one instance of the gateway, one interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatewayTunnel {
    /// Where the gateway's instance is.
    pub remote: Host,
    /// The interface.
    pub interface: InterfaceName,
}

/// The suites of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ConnectionPolicy {
    /// Azure's default lists.
    Default,
    /// One suite.
    #[serde(untagged)]
    Custom(CustomPolicy),
}

/// A custom policy whose parts fit together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CustomPolicy {
    /// Cipher of the IKE SA.
    pub ike_encryption: IkeEncryption,
    /// Hash of the IKE SA.
    pub ike_integrity: IkeIntegrity,
    /// Key exchange of the IKE SA.
    pub dh_group: DhGroup,
    /// Cipher of the packets.
    pub ipsec_encryption: IpsecEncryption,
    /// Integrity of the packets.
    pub ipsec_integrity: IpsecIntegrity,
    /// Key exchange of each rekeying.
    pub pfs_group: PfsGroup,
    /// Age at which the packets' keys end.
    #[serde(rename = "sa_life_time_seconds", serialize_with = "seconds")]
    pub life_time: Duration,
    /// Traffic at which they end.
    #[serde(rename = "sa_data_size_kilobytes")]
    pub kilobytes: u64,
}

/// Azure's default life of the packets' keys (Azure docs, "About VPN devices"): 27,000 s or
/// 102,400,000 KB.
pub const DEFAULT_LIFE_TIME: Duration = Duration::from_secs(27_000);
/// See [`DEFAULT_LIFE_TIME`].
pub const DEFAULT_KILOBYTES: u64 = 102_400_000;

impl ConnectionPolicy {
    /// Age at which the packets' keys end.
    pub fn life_time(&self) -> Duration {
        match self {
            ConnectionPolicy::Default => DEFAULT_LIFE_TIME,
            ConnectionPolicy::Custom(policy) => policy.life_time,
        }
    }

    /// Traffic at which they end, in units of 1,024 bytes.
    pub fn kilobytes(&self) -> u64 {
        match self {
            ConnectionPolicy::Default => DEFAULT_KILOBYTES,
            ConnectionPolicy::Custom(policy) => policy.kilobytes,
        }
    }
}

/// What may pass the tunnels of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum TrafficSelection {
    /// Everything; routing decides.
    AnyToAny,
    /// One pair of SAs for each of these, which both ends make of the prefixes.
    #[serde(untagged)]
    Prefixes(Vec<PrefixPair>),
    /// One pair of SAs for each of these, which are spelt out at both ends.
    #[serde(untagged)]
    Written(Vec<PrefixPair>),
}

impl TrafficSelection {
    /// The pairs, where the selectors are narrow.
    pub fn pairs(&self) -> Option<&[PrefixPair]> {
        match self {
            TrafficSelection::AnyToAny => None,
            TrafficSelection::Prefixes(pairs) | TrafficSelection::Written(pairs) => Some(pairs),
        }
    }
}

/// The two ends of a pair of SAs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrefixPair {
    /// This side.
    pub local: Vec<Prefix>,
    /// Azure's side.
    pub remote: Vec<Prefix>,
}

impl PrefixPair {
    /// The pairs that Azure makes by itself: each prefix here with each prefix there (Azure docs,
    /// "Connect a VPN gateway to multiple on-premises policy-based VPN devices").
    pub fn of_prefixes(local: &[Prefix], remote: &[Prefix]) -> Vec<PrefixPair> {
        let pairs = local.iter().flat_map(|local| {
            let family = |remote: &&Prefix| remote.network().is_ipv4() == local.network().is_ipv4();
            let pair = |remote: &Prefix| PrefixPair { local: vec![*local], remote: vec![*remote] };
            remote.iter().filter(family).map(pair)
        });
        pairs.collect()
    }
}

/// Who proves what to whom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateAuthentication {
    /// Our certificate and intermediates.
    pub inbound_certificate: FileRef,
    /// Its key; `None` when a .pfx holds both.
    pub inbound_private_key: Option<FileRef>,
    /// The password of a .pfx.
    pub inbound_password_file: Option<FileRef>,
    /// How we name ourselves.
    pub inbound_identity: InboundIdentity,
    /// The roots we trust.
    pub outbound_certificate_roots: Vec<FileRef>,
    /// The common name the gateway must have.
    pub outbound_certificate_subject_name: CommonName,
    /// Certificates we refuse.
    pub revoked_thumbprints: Vec<Thumbprint>,
    /// Revocation lists.
    pub crls: Vec<FileRef>,
    /// Whether to announce RFC 7427.
    pub digital_signatures: bool,
    /// The hash of our signature without RFC 7427.
    pub rsa_signature_hash: Method1Hash,
    /// Whether the gateway may sign over SHA-1.
    pub allow_sha1_signatures: bool,
}

/// What the tunnels of a connection have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TunnelSettings {
    /// Addresses of the interfaces.
    pub addresses: Vec<InterfaceAddress>,
    /// How ESP travels.
    pub encapsulation: EspEncapsulation,
    /// The interfaces' MTU; `None`: from path and cipher.
    pub mtu: Option<u16>,
    /// The largest TCP segment; `None`: 1350, or less with a small MTU.
    pub tcp_mss: Option<u16>,
    /// Which routes to make.
    pub routes: Routes,
    /// Their metric.
    pub route_metric: u32,
    /// Their table.
    pub route_table: u32,
    /// Age at which we rekey the IKE SA; `None`: before Azure does.
    #[serde(rename = "ike_rekey_seconds", serialize_with = "maybe_seconds")]
    pub ike_rekey: Option<Duration>,
    /// Age at which we rekey the packets' keys; `None`: before they end.
    #[serde(rename = "child_rekey_seconds", serialize_with = "maybe_seconds")]
    pub child_rekey: Option<Duration>,
    /// Packets that may be late by this many.
    pub replay_window: u32,
    /// Copy DSCP outwards.
    pub copy_dscp: bool,
    /// Use segmentation offload.
    pub offload: bool,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs()).serialize(serializer)
}
