//! The configuration as the daemon uses it: every value is parsed and every rule is kept. `resolve`
//! makes it from the file.
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
use super::written::Written;
use crate::ike::endpoint::config::EspEncapsulation;
use crate::pki::auth::{Method1Hash, RsaPadding};
use crate::pki::certificate::{AltName, Thumbprint};
use crate::pki::common_name::CommonName;
use crate::pki::identity::{Id, IdentityRule};
use crate::pki::name::Name;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// This device.
    pub device: Device,
    /// This site as Azure knows it.
    pub local_network_gateway: Site,
    /// The connections, in the file's order.
    #[serde(rename = "connection")]
    pub connections: Vec<Connection>,
}

/// This device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Device {
    /// The device's name in logs.
    pub name: Label,
    /// The addresses to listen on; empty for all.
    pub listen_addresses: Vec<IpAddr>,
    /// The socket over which `s2sd status` and other commands reach the service.
    pub control_socket: PathBuf,
}

/// This site, as Azure knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Site {
    /// The local network gateway's name.
    pub name: Label,
    /// The site's public address, or a DNS name for it.
    #[serde(rename = "gateway_ip_address")]
    pub address: Host,
    /// The networks behind this device.
    pub address_prefixes: Vec<Prefix>,
}

/// One connection to a gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connection {
    /// The connection's name.
    pub name: Label,
    /// Which side dials, as set in Azure and from Azure's point of view.
    pub connection_mode: ConnectionMode,
    /// The time without a message after which dead peer detection takes the gateway for dead.
    #[serde(rename = "dpd_timeout_seconds", serialize_with = "seconds")]
    pub dpd_timeout: Duration,
    /// The algorithms and lifetimes.
    pub ipsec_policy: ConnectionPolicy,
    /// The traffic selectors.
    #[serde(rename = "traffic_selectors")]
    pub selectors: TrafficSelection,
    /// The gateway at the other end.
    pub virtual_network_gateway: Gateway,
    /// How both ends authenticate.
    pub certificate_authentication: CertificateAuthentication,
    /// This device's side of the tunnels.
    pub tunnel: TunnelSettings,
    /// One tunnel for each address of the gateway.
    pub tunnels: Vec<GatewayTunnel>,
}

/// The gateway as Azure describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gateway {
    /// The gateway's name.
    pub name: Label,
    /// The networks behind the gateway.
    pub address_prefixes: Vec<Prefix>,
}

/// One tunnel: one instance of the gateway, one interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatewayTunnel {
    /// The address or DNS name of the gateway's instance.
    pub remote: Host,
    /// The tunnel's interface on this device.
    pub interface: InterfaceName,
}

/// The algorithms and lifetimes of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ConnectionPolicy {
    /// Azure's default lists.
    Default,
    /// One custom policy.
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
    /// Traffic at which the packets' keys end.
    #[serde(rename = "sa_data_size_kilobytes")]
    pub kilobytes: u64,
}

/// Azure's default life of the packets' keys (Azure docs, "About VPN devices"): 27,000 s or
/// 102,400,000 KB.
pub const DEFAULT_LIFE_TIME: Duration = Duration::from_secs(27_000);
/// Azure's default traffic at which the packets' keys end, see [`DEFAULT_LIFE_TIME`].
pub const DEFAULT_KILOBYTES: u64 = 102_400_000;

impl ConnectionPolicy {
    /// Age at which the packets' keys end.
    pub fn life_time(&self) -> Duration {
        match self {
            ConnectionPolicy::Default => DEFAULT_LIFE_TIME,
            ConnectionPolicy::Custom(policy) => policy.life_time,
        }
    }

    /// Traffic at which the packets' keys end, in units of 1,024 bytes.
    pub fn kilobytes(&self) -> u64 {
        match self {
            ConnectionPolicy::Default => DEFAULT_KILOBYTES,
            ConnectionPolicy::Custom(policy) => policy.kilobytes,
        }
    }
}

/// The traffic selectors of a connection: one pair, or one for each child SA.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum TrafficSelection {
    /// All addresses on both sides: routing decides what enters the tunnel.
    AnyToAny,
    /// One child SA for each pair; both ends make the pairs of the prefixes.
    #[serde(untagged)]
    Prefixes(Vec<PrefixPair>),
    /// One child SA for each pair; the pairs are spelt out at both ends.
    #[serde(untagged)]
    Written(Vec<PrefixPair>),
}

impl TrafficSelection {
    /// The pairs; `None` for any to any.
    pub fn pairs(&self) -> Option<&[PrefixPair]> {
        match self {
            TrafficSelection::AnyToAny => None,
            TrafficSelection::Prefixes(pairs) | TrafficSelection::Written(pairs) => Some(pairs),
        }
    }
}

/// The prefixes on the two sides of a child SA, in the words and the order of the file, as `reload`
/// compares them. The engine's form is a pair of sets, `wire::selector::narrow::ChildSelectors`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrefixPair {
    /// The prefixes on this side.
    pub local: Vec<Prefix>,
    /// The prefixes on Azure's side.
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

/// How both ends of a connection authenticate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateAuthentication {
    /// The file with our certificate and its intermediates.
    pub inbound_certificate: FileRef,
    /// The file with our private key; `None` when a .pfx holds certificate and key.
    pub inbound_private_key: Option<FileRef>,
    /// The file with the password of a .pfx.
    pub inbound_password_file: Option<FileRef>,
    /// The kind of ID that we send.
    pub inbound_identity: InboundIdentity,
    /// The files with the roots that we trust.
    pub outbound_certificate_roots: Vec<FileRef>,
    /// The common name that the gateway's certificate must have.
    pub outbound_certificate_subject_name: Option<CommonName>,
    /// The subject that the gateway's certificate must have.
    pub outbound_certificate_subject: Option<Written<Name>>,
    /// The alternative name that the gateway's certificate must have.
    pub outbound_certificate_alternative_name: Option<Written<AltName>>,
    /// The ID that the gateway must send.
    pub remote_identity: Option<Written<Id>>,
    /// Whether we ask for that ID.
    pub request_identity: bool,
    /// The files with the gateway's own certificate.
    pub outbound_certificate_pinned: Vec<FileRef>,
    /// The files with certificates between the gateway's and its root.
    pub outbound_certificate_intermediates: Vec<FileRef>,
    /// The thumbprints of certificates that we refuse.
    pub revoked_thumbprints: Vec<Thumbprint>,
    /// The files with revocation lists.
    pub crls: Vec<FileRef>,
    /// Whether each authority must have a revocation list.
    pub require_crls: bool,
    /// Whether to announce RFC 7427 signatures.
    pub digital_signatures: bool,
    /// The padding of our RSA signature for gateways with RFC 7427.
    pub signature_padding: RsaPadding,
    /// The hash of our RSA signature for gateways without RFC 7427.
    pub rsa_signature_hash: Method1Hash,
    /// Whether the gateway may sign over SHA-1.
    pub allow_sha1_signatures: bool,
}

impl CertificateAuthentication {
    /// What the gateway's certificate must have; `None` when no key says so, which is an error of
    /// the file.
    pub fn rule(&self) -> Option<IdentityRule> {
        let name = self.outbound_certificate_subject_name.as_ref();
        let by_name = || name.map(|name| IdentityRule::common_name(name.as_str()));
        let subject = self.outbound_certificate_subject.as_ref();
        let by_subject = || subject.map(|name| IdentityRule::Subject(name.value().clone()));
        let alternative = self.outbound_certificate_alternative_name.as_ref();
        let by_alternative = || alternative.map(|name| IdentityRule::AltName(name.value().clone()));
        let by_id = || IdentityRule::of_id(self.remote_identity.as_ref()?.value());
        by_name().or_else(by_subject).or_else(by_alternative).or_else(by_id)
    }
}

/// What the tunnels of a connection have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TunnelSettings {
    /// Addresses of the interfaces.
    pub addresses: Vec<InterfaceAddress>,
    /// Networks that the peer may send from, besides the gateway's.
    pub accept_sources: Vec<Prefix>,
    /// Networks that the peer may send to, besides the site's.
    pub accept_destinations: Vec<Prefix>,
    /// How ESP travels.
    pub encapsulation: EspEncapsulation,
    /// The interfaces' MTU; `None` to compute it from path and cipher.
    pub mtu: Option<u16>,
    /// The largest TCP segment; `None` for 1350, or less with a small MTU.
    pub tcp_mss: Option<u16>,
    /// Which routes to set.
    pub routes: Routes,
    /// Whether unreachable routes keep packets in while no tunnel is up.
    pub unreachable_routes: bool,
    /// The metric of these routes.
    pub route_metric: u32,
    /// The routing table of these routes.
    pub route_table: u32,
    /// The age at which we rekey the IKE SA; `None` for before Azure does.
    #[serde(rename = "ike_rekey_seconds", serialize_with = "maybe_seconds")]
    pub ike_rekey: Option<Duration>,
    /// The age at which both ends authenticate anew; `None` for before a certificate expires.
    #[serde(rename = "reauthenticate_seconds", serialize_with = "maybe_seconds")]
    pub reauthenticate: Option<Duration>,
    /// The age at which we rekey the packets' keys; `None` for before they end.
    #[serde(rename = "child_rekey_seconds", serialize_with = "maybe_seconds")]
    pub child_rekey: Option<Duration>,
    /// The size of the anti-replay window in packets.
    pub replay_window: u32,
    /// Whether to copy DSCP from inner to outer packets.
    pub copy_dscp: bool,
    /// Whether to use segmentation offload.
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
