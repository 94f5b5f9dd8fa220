//! The configuration file, key by key. The structs, their readers, the completeness test of
//! `conf/s2sd.toml` and the manual page s2sd.toml(5) all come from these declarations. The doc
//! comments of keys are therefore written for operators: first what the key is and which of Azure's
//! properties it mirrors, then what to know when setting it.

use std::net::IpAddr;

use super::algorithm::{
    ConnectionMode, DhGroup, IkeEncryption, IkeIntegrity, InboundIdentity, IpsecEncryption,
    IpsecIntegrity, PfsGroup, Routes,
};
use super::doc::{TableDoc, ValueKind};
use super::prefix::{InterfaceAddress, Prefix};
use super::reader::{ConfigReader, ConfigValue, Entry, List};
use super::table::{ConfigTable, table};
use super::value::{AbsolutePath, FileRef, Fqdn, Host, InterfaceName, Label, OrAuto, Whole};
use super::written::Written;
use crate::ike::endpoint::config::EspEncapsulation;
use crate::pki::auth::{Method1Hash, RsaPadding};
use crate::pki::certificate::{AltName, Thumbprint};
use crate::pki::common_name::CommonName;
use crate::pki::identity::Id;
use crate::pki::name::Name;

table! {
    /// The file: this device, how Azure knows it, and its connections.
    ///
    /// Names are Azure's own property names in snake_case. `local` and `remote` are always this
    /// device's point of view.
    File is "" {
        /// This device.
        default("{}") device: Device,
        /// What Azure knows of this site.
        required local_network_gateway: LocalNetworkGateway,
        /// A connection to a virtual network gateway, one table each.
        required connection: List<Connection>,
    }
}

table! {
    /// This on-premises device.
    Device is "device" {
        /// The name of this device in logs and status.
        default("\"s2sd\"") name: Label,
        /// Addresses of this device on which it waits for gateways, ports 500 and 4500. Empty means
        /// all.
        default("[]") listen_addresses: List<IpAddr>,
        /// The socket over which `s2sd status` and the other commands speak to the service; they
        /// look it up here. A change takes effect with the next restart. The unit's service can
        /// make it below `/run/s2sd` only.
        default("\"/run/s2sd/control.sock\"") control_socket: AbsolutePath,
    }
}

table! {
    /// Azure's local network gateway: this site as it was described to Azure.
    LocalNetworkGateway is "local_network_gateway" {
        /// Name of the local network gateway in Azure.
        required name: Label,
        /// Azure's `gatewayIpAddress`: the public address of this site. Behind a NAT that is the
        /// NAT's public address, not this device's own.
        optional gateway_ip_address: IpAddr,
        /// Azure's `fqdn`, instead of `gateway_ip_address`: the name of this site, for sites whose
        /// address changes. Azure looks it up every five minutes at most.
        optional fqdn: Fqdn,
        /// Azure's `localNetworkAddressSpace.addressPrefixes`: the networks behind this device.
        required address_prefixes: List<Prefix>,
    }
}

table! {
    /// One connection of type "Site-to-site (IPsec)", authenticated by certificates.
    Connection is "connection" repeated {
        /// Name of the connection, in Azure, in logs and on the command line.
        required name: Label,
        /// Azure's `connectionMode`, as set there: with "InitiatorOnly" this device waits, with
        /// "ResponderOnly" it dials and does not answer.
        default("\"Default\"") connection_mode: ConnectionMode,
        /// Azure's `dpdTimeoutSeconds`: seconds without a message after which dead peer detection
        /// takes the gateway for dead.
        default("45") dpd_timeout_seconds: Whole<9, 3600>,
        /// Azure's `usePolicyBasedTrafficSelectors`: one pair of selectors for each pair of
        /// prefixes instead of any-to-any.
        default("false") use_policy_based_traffic_selectors: bool,
        /// Azure's `ipsecPolicies`: "Default", or a table with the one custom policy of the
        /// connection.
        default("\"Default\"") ipsec_policy: PolicyChoice,
        /// Azure's `trafficSelectorPolicies`, one table each: selectors instead of the pairs made
        /// of the prefixes. They need `use_policy_based_traffic_selectors`.
        default("[]") traffic_selector_policy: List<TrafficSelectorPolicy>,
        /// The gateway at the other end.
        required virtual_network_gateway: VirtualNetworkGateway,
        /// How the two ends prove who they are.
        required certificate_authentication: CertificateAuthentication,
        /// This device's side of the tunnels.
        default("{}") tunnel: Tunnel,
    }
}

table! {
    /// Azure's virtual network gateway.
    VirtualNetworkGateway is "connection.virtual_network_gateway" {
        /// Name of the virtual network gateway in Azure.
        required name: Label,
        /// Azure's public IP addresses of the gateway, as addresses or DNS names: one, or two when
        /// it is active-active. Each gets a tunnel.
        required public_ip_addresses: List<Host>,
        /// Azure's `addressSpace.addressPrefixes` of the virtual network, and of peered networks
        /// that use the gateway.
        required address_prefixes: List<Prefix>,
    }
}

table! {
    /// Azure's `certificateAuthentication`. The names are Azure's point of view: *inbound* is the
    /// certificate that comes in to Azure, ours; *outbound* the one that goes out from Azure.
    CertificateAuthentication is "connection.certificate_authentication" {
        /// File with our certificate and its intermediates (PEM, DER, or .pfx with the key). Its CN
        /// is Azure's `inboundAuthCertificateSubjectName`, its root is in Azure's
        /// `inboundAuthCertificateChain`.
        required inbound_certificate: FileRef,
        /// File with the private key of `inbound_certificate`. Only a .pfx that holds the key can
        /// do without.
        optional inbound_private_key: FileRef,
        /// File with the password of an encrypted .pfx or private key, on its first line.
        optional inbound_password_file: FileRef,
        /// How this device names itself to the gateway.
        default("\"subject\"") inbound_identity: InboundIdentity,
        /// Files with the roots of Azure's `outboundAuthCertificate`, the only ones that are
        /// trusted.
        required outbound_certificate_roots: List<FileRef>,
        /// CN of Azure's `outboundAuthCertificate`, without "CN=": other certificates of that root
        /// are refused. Gateways other than Azure's can be known by one of the next two keys
        /// instead, or by `remote_identity` alone.
        optional outbound_certificate_subject_name: CommonName,
        /// Whole subject of the gateway's certificate, instead of its CN, as `openssl x509 -noout
        /// -subject` shows it: "C=CH, O=Example, CN=gateway".
        optional outbound_certificate_subject: Written<Name>,
        /// Subject alternative name that the gateway's certificate must have, instead of the CN:
        /// "DNS:gw.example.com", "email:gw@example.com" or "IP:203.0.113.1".
        optional outbound_certificate_alternative_name: Written<AltName>,
        /// How the gateway names itself (its ID): an address, a DNS name, an e-mail address, a
        /// distinguished name with "CN=", or "keyid:0x...". Without this key each name of its
        /// certificate will do, and each of `public_ip_addresses`; a gateway behind a NAT that
        /// names itself by its private address needs the key.
        optional remote_identity: Written<Id>,
        /// Whether to ask for `remote_identity` (IDr), for gateways that have several identities.
        /// A gateway may refuse one that it does not have.
        default("false") request_identity: bool,
        /// Files with the gateway's own certificate: others are refused, whoever issued them.
        default("[]") outbound_certificate_pinned: List<FileRef>,
        /// Files with certificates between the gateway's and its root, for gateways that do not
        /// send them.
        default("[]") outbound_certificate_intermediates: List<FileRef>,
        /// Thumbprints (SHA-1) of certificates that are refused.
        default("[]") revoked_thumbprints: List<Thumbprint>,
        /// Files with certificate revocation lists (PEM or DER).
        default("[]") crls: List<FileRef>,
        /// Whether each authority between the gateway's certificate and its root must have a list
        /// in `crls` that is about the certificate below it. Without, an authority without a list
        /// revokes nothing.
        default("false") require_crls: bool,
        /// Whether to announce RFC 7427 signatures, which choose their hash. Azure does not
        /// announce them, and `rsa_signature_hash` then applies.
        default("true") digital_signatures: bool,
        /// Padding of our RSA signature for gateways with RFC 7427. They have to verify PSS; some
        /// old ones verify PKCS1 alone.
        default("\"PSS\"") signature_padding: RsaPadding,
        /// Hash of our RSA signature for gateways without RFC 7427. RFC 7296 leaves it open;
        /// Windows, and so Azure, checks SHA-1.
        default("\"SHA1\"") rsa_signature_hash: Method1Hash,
        /// Whether to take a gateway's signature over SHA-1. Gateways without RFC 7427, and so
        /// Azure's, have no other; of a gateway with RFC 7427 it is refused anyway.
        default("true") allow_sha1_signatures: bool,
    }
}

table! {
    /// Azure's custom IPsec/IKE policy. It replaces the default lists on both sides, and must be
    /// equal on both.
    IpsecPolicy is "connection.ipsec_policy" whole {
        /// Azure's `ikeEncryption`: cipher of the IKE SA.
        required ike_encryption: IkeEncryption,
        /// Azure's `ikeIntegrity`: hash of the IKE SA.
        required ike_integrity: IkeIntegrity,
        /// Azure's `dhGroup`: key exchange of the IKE SA.
        required dh_group: DhGroup,
        /// Azure's `ipsecEncryption`: cipher of the packets.
        required ipsec_encryption: IpsecEncryption,
        /// Azure's `ipsecIntegrity`: integrity of the packets; with GCMAES the same as
        /// `ipsec_encryption`.
        required ipsec_integrity: IpsecIntegrity,
        /// Azure's `pfsGroup`: key exchange of each rekeying.
        required pfs_group: PfsGroup,
        /// Azure's `saLifeTimeSeconds`: age at which the packets' keys end. Each side keeps its
        /// own; this device rekeys earlier.
        default("27000") sa_life_time_seconds: Whole<300, 4_294_967_295>,
        /// Azure's `saDataSizeKilobytes`: traffic at which the packets' keys end.
        default("102400000") sa_data_size_kilobytes: Whole<1024, 4_294_967_295>,
    }
}

table! {
    /// One of Azure's `trafficSelectorPolicies`, seen from here: all its ranges go into one pair of
    /// SAs.
    TrafficSelectorPolicy is "connection.traffic_selector_policy" repeated {
        /// What may pass on this device's side; Azure calls it `remoteAddressRanges`.
        required local_address_ranges: List<Prefix>,
        /// What may pass on Azure's side; Azure calls it `localAddressRanges`.
        required remote_address_ranges: List<Prefix>,
    }
}

table! {
    /// This device's side of a connection's tunnels. Azure has nothing of the kind.
    Tunnel is "connection.tunnel" {
        /// Name of the tunnel's network interface. The second tunnel of an active-active gateway
        /// takes the next number; without this key interfaces are called azure0, azure1, ...
        default("\"auto\"") interface: OrAuto<InterfaceName>,
        /// Addresses of the interface, for BGP or as source of this device's own traffic.
        default("[]") addresses: List<InterfaceAddress>,
        /// Networks besides the gateway's `address_prefixes` that packets from the gateway may come
        /// from: what is learned by BGP, or reached through the virtual network. `["0.0.0.0/0",
        /// "::/0"]` is everywhere; link-local and multicast addresses have to be named.
        default("[]") accept_sources: List<Prefix>,
        /// Networks besides the site's `address_prefixes` that packets from the gateway may go to.
        default("[]") accept_destinations: List<Prefix>,
        /// How ESP travels. ESP in UDP (NAT traversal) passes every NAT and firewall that IKE
        /// passes; a gateway without NAT traversal gets bare ESP even so. Both are received.
        default("\"udp\"") encapsulation: EspEncapsulation,
        /// The interface's largest MTU; "auto" is the 1400 that Azure asks for. On a path that
        /// carries less the interface's MTU follows the path, down to 1280.
        default("\"auto\"") mtu: OrAuto<Whole<576, 9000>>,
        /// Largest TCP segment that passes the tunnel, written into passing SYNs. "auto" is 1350,
        /// which Azure asks for, or less with a small MTU.
        default("\"auto\"") tcp_mss: OrAuto<Whole<500, 8960>>,
        /// Routes to the gateway's prefixes: over all tunnels, over the first that is up, or none.
        default("\"ecmp\"") routes: Routes,
        /// Metric of these routes.
        default("100") route_metric: Whole<1, 4_294_967_294>,
        /// Number of the routing table for these routes; 254 is the main table.
        default("254") route_table: Whole<1, 4_294_967_295>,
        /// Whether routes of type `unreachable` to the gateway's prefixes keep packets from leaving
        /// by another route, in clear, while no tunnel is up and while the service is stopped.
        /// Their metric is the worst, so that a fallback of your own is used. `ip route flush table
        /// all proto 83` and `ip -6 route flush table all proto 83` remove them by hand.
        default("true") unreachable_routes: bool,
        /// Age in seconds at about which this device rekeys the IKE SA. "auto" is before Azure
        /// does, after some 23000.
        default("\"auto\"") ike_rekey_seconds: OrAuto<Whole<30, 23_040>>,
        /// Age in seconds at which both ends authenticate anew, over a new IKE SA beside the old
        /// one. "auto" is before a certificate of either end expires, and never before that.
        default("\"auto\"") reauthenticate_seconds: OrAuto<Whole<60, 31_536_000>>,
        /// Age in seconds at about which this device rekeys the packets' keys. "auto" is at three
        /// quarters of their life.
        default("\"auto\"") child_rekey_seconds: OrAuto<Whole<30, 19_700>>,
        /// Size of the anti-replay window: a packet may arrive this many packets late.
        default("8192") replay_window: Whole<32, 65_536>,
        /// Whether to copy DSCP from inner to outer packets, which shows the classes of traffic to
        /// everybody on the path.
        default("false") copy_dscp: bool,
        /// Whether to use segmentation offload of interfaces and sockets where the kernel has it.
        default("true") offload: bool,
    }
}

/// The value of `ipsec_policy`: `"Default"`, or a table.
#[derive(Clone, Debug)]
pub enum PolicyChoice {
    /// `"Default"`: Azure's default lists of proposals.
    Default,
    /// A table: one custom policy.
    Custom(Box<IpsecPolicy>),
}

impl ConfigValue for PolicyChoice {
    const KIND: ValueKind = ValueKind::Or("Default", &IpsecPolicy::KIND);

    fn read(entry: Entry<'_, '_>, reader: &mut ConfigReader<'_>) -> Option<PolicyChoice> {
        match entry.value.get_ref().as_str() {
            Some("Default") => Some(PolicyChoice::Default),
            Some(other) => {
                let what = format!("`ipsec_policy` is {other:?}, expected \"Default\" or a table");
                let hint = "a custom policy is the table [connection.ipsec_policy] with `ike_encryption` and the rest";
                entry.refuse(reader, what, hint);
                None
            }
            None if entry.value.get_ref().is_table() => IpsecPolicy::read(entry, reader)
                .map(|policy| PolicyChoice::Custom(Box::new(policy))),
            None => {
                reader.wrong_type(entry, &Self::KIND);
                None
            }
        }
    }
}

/// Every table of the file, the file itself first.
pub fn tables() -> Vec<&'static TableDoc> {
    const FILE: &TableDoc = &File::DOC;
    FILE.tree()
}
