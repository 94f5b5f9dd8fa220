//! The rules that look at several keys at once: Azure's own rules, and combinations that would not
//! work or would surprise an operator.
//!
//! A rule skips keys that are missing or wrong: those were reported before.

use std::net::IpAddr;

use toml::Spanned;

use super::algorithm::{
    DhGroup, IkeEncryption, IkeIntegrity, InboundIdentity, IpsecEncryption, IpsecIntegrity,
    PfsGroup, Routes,
};
use super::overlap;
use super::reader::ConfigReader;
use super::schema::{
    CertificateAuthentication, Connection, File, IpsecPolicy, LocalNetworkGateway, PolicyChoice,
    Tunnel, VirtualNetworkGateway,
};
use super::settings::DEFAULT_LIFE_TIME;
use super::value::{FileRef, Host};
use crate::pki::identity::IdentityRule;

/// The most instances of a gateway: one, or two when active-active.
const INSTANCES_MAX: usize = 2;
/// The most pairs of traffic selectors that a gateway supports (Azure docs, "About VPN devices":
/// quick mode SAs).
const PAIRS_MAX: usize = 100;
/// The largest packet that Azure's network does not fragment (Azure docs, "TCP/IP performance
/// tuning for Azure VMs").
const AZURE_MTU: u64 = 1400;
/// The length of IPv4 and TCP headers.
const TCP_HEADERS: u64 = 40;

/// Reports every broken rule of the file.
pub fn check(file: &File, reader: &mut ConfigReader<'_>) {
    if let Some(site) = file.local_network_gateway.value() {
        check_site(site, reader);
    }
    if let Some(connections) = file.connection.spanned()
        && connections.get_ref().is_empty()
        && !reader.failed()
    {
        reader.warning(
            &connections.span(),
            "there is no connection",
            "without a [[connection]] the service has nothing to do",
        );
    }
    for connection in file.connection.items() {
        check_connection(file, connection.get_ref(), reader);
    }
    check_names(file, reader);
    check_gateways(file, reader);
    overlap::check(file, reader);
}

fn check_site(site: &LocalNetworkGateway, reader: &mut ConfigReader<'_>) {
    match (&site.gateway_ip_address, &site.fqdn) {
        (address, name) if address.present() && name.present() => {
            let span = name.spanned().map_or_else(|| site.span.clone(), Spanned::span);
            let hint = "a local network gateway in Azure has one of the two: take the other out";
            reader.error(&span, "both `gateway_ip_address` and `fqdn` are given", hint);
        }
        (address, name) if !address.present() && !name.present() => {
            let what = "[local_network_gateway] has neither `gateway_ip_address` nor `fqdn`";
            let hint = "write the one that the local network gateway in Azure has: gateway_ip_address = \"203.0.113.1\", say";
            reader.error(&site.span, what, hint);
        }
        _ => {}
    }
    if let Some(address) = site.gateway_ip_address.spanned() {
        check_public(address, reader);
    }
    if let Some(prefixes) = site.address_prefixes.spanned()
        && prefixes.get_ref().is_empty()
    {
        let hint = "write the networks behind this device, as in Azure's local network gateway";
        reader.error(&prefixes.span(), "`address_prefixes` is empty", hint);
    }
}

/// Warns of an address of this site that Azure cannot reach over the Internet by IPv4 (Azure docs,
/// "VPN Gateway FAQ").
fn check_public(address: &Spanned<IpAddr>, reader: &mut ConfigReader<'_>) {
    let (span, address) = (address.span(), address.get_ref());
    match address {
        IpAddr::V6(_) => reader.warning(
            &span,
            format!("`gateway_ip_address` is the IPv6 address {address}"),
            "Azure's VPN gateways speak IPv4 on the outside: write this site's public IPv4 address",
        ),
        IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() || v4.is_loopback() => {
            reader.warning(
                &span,
                format!("`gateway_ip_address` is the private address {address}"),
                "behind a NAT, this key and Azure's local network gateway hold the NAT's public \
                 address; a private one is right over ExpressRoute alone",
            );
        }
        IpAddr::V4(_) => {}
    }
}

fn check_connection(file: &File, connection: &Connection, reader: &mut ConfigReader<'_>) {
    check_policy(connection, reader);
    check_selectors(file, connection, reader);
    if let Some(gateway) = connection.virtual_network_gateway.value() {
        check_instances(file, gateway, reader);
    }
    if let Some(authentication) = connection.certificate_authentication.value() {
        check_authentication(file, authentication, reader);
    }
    if let Some(tunnel) = connection.tunnel.value() {
        check_tunnel(connection, tunnel, reader);
    }
}

fn check_policy(connection: &Connection, reader: &mut ConfigReader<'_>) {
    let Some(choice) = connection.ipsec_policy.spanned() else { return };
    let PolicyChoice::Custom(policy) = choice.get_ref() else {
        let name = connection.name.value().map_or("this connection", |name| name.as_str());
        reader.warning(
            &choice.span(),
            format!("{name} uses Azure's default policy, whose key exchange is DHGroup2: 1024 bits, which well-funded attackers can break"),
            "set a custom policy on the Azure connection and here as [connection.ipsec_policy]: GCMAES256, SHA384, ECP384, \
             GCMAES256, GCMAES256, ECP384",
        );
        return;
    };
    check_esp(policy, reader);
    check_ike(policy, reader);
    check_groups(policy, reader);
}

/// Warns of groups that are weak (RFC 8247 §2.4), and of none.
fn check_groups(policy: &IpsecPolicy, reader: &mut ConfigReader<'_>) {
    const SHORT: &str = "has 1024 bits, which well-funded attackers can break";
    const SUBGROUP: &str =
        "is of unknown origin, and its small subgroup invites attacks (RFC 8247 §2.4)";
    if let Some(group) = policy.dh_group.spanned() {
        let what = match group.get_ref() {
            DhGroup::Group2 => Some(SHORT),
            DhGroup::Group24 => Some(SUBGROUP),
            DhGroup::Ecp384 | DhGroup::Ecp256 | DhGroup::Group14 => None,
        };
        if let Some(what) = what {
            let what = format!("{} {what}", group.get_ref());
            reader.warning(&group.span(), what, "set the DH group to ECP384 in Azure and here");
        }
    }
    if let Some(group) = policy.pfs_group.spanned() {
        let what = match group.get_ref() {
            PfsGroup::Pfs2 => format!("PFS2 {SHORT}"),
            PfsGroup::Pfs24 => format!("PFS24 {SUBGROUP}"),
            PfsGroup::None => "without perfect forward secrecy who learns the keys of the IKE SA \
                               can read every packet"
                .to_owned(),
            PfsGroup::Ecp384 | PfsGroup::Ecp256 | PfsGroup::Pfs2048 | PfsGroup::SameAsIke => return,
        };
        reader.warning(&group.span(), what, "set the PFS group to ECP384 in Azure and here");
    }
}

/// Checks the IKE algorithms. With a GCM cipher `ike_integrity` chooses the pseudo-random function;
/// the GCM values of `ike_integrity` choose none.
fn check_ike(policy: &IpsecPolicy, reader: &mut ConfigReader<'_>) {
    let (Some(cipher), Some(field)) =
        (policy.ike_encryption.value(), policy.ike_integrity.spanned())
    else {
        return;
    };
    let (span, integrity) = (field.span(), *field.get_ref());
    let same = match integrity {
        IkeIntegrity::Gcmaes256 => Some(*cipher == IkeEncryption::Gcmaes256),
        IkeIntegrity::Gcmaes128 => Some(*cipher == IkeEncryption::Gcmaes128),
        IkeIntegrity::Sha384 | IkeIntegrity::Sha256 | IkeIntegrity::Sha1 => None,
    };
    match same {
        Some(false) => reader.error(
            &span,
            format!("`ike_integrity` is {integrity} with `ike_encryption` {cipher}"),
            "set IKE integrity to SHA384 in Azure and here",
        ),
        Some(true) => reader.warning(
            &span,
            format!("`ike_integrity` {integrity} does not say which pseudo-random function Azure uses"),
            "SHA384 and SHA256 are both offered; to be sure, set IKE integrity to SHA384 in Azure and here",
        ),
        None => {}
    }
    if integrity == IkeIntegrity::Sha1
        && matches!(cipher, IkeEncryption::Gcmaes256 | IkeEncryption::Aes256)
    {
        reader.warning(
            &span,
            "SHA1 derives all keys of a 256-bit cipher",
            "set IKE integrity to SHA384 in Azure and here",
        );
    }
}

/// Checks the ESP algorithms. GCM is cipher and integrity in one, and Azure wants the name of GCM
/// in both places (Azure docs, "About cryptographic requirements and Azure VPN gateways").
fn check_esp(policy: &IpsecPolicy, reader: &mut ConfigReader<'_>) {
    let (Some(cipher), Some(integrity)) =
        (policy.ipsec_encryption.value(), policy.ipsec_integrity.spanned())
    else {
        return;
    };
    let gcm = match cipher {
        IpsecEncryption::Gcmaes256 => Some(IpsecIntegrity::Gcmaes256),
        IpsecEncryption::Gcmaes192 => Some(IpsecIntegrity::Gcmaes192),
        IpsecEncryption::Gcmaes128 => Some(IpsecIntegrity::Gcmaes128),
        IpsecEncryption::Aes256 | IpsecEncryption::Aes192 | IpsecEncryption::Aes128 => None,
    };
    let (span, integrity) = (integrity.span(), *integrity.get_ref());
    let hashes = matches!(integrity, IpsecIntegrity::Sha256 | IpsecIntegrity::Sha1);
    match gcm {
        Some(wanted) if wanted != integrity => reader.error(
            &span,
            format!("`ipsec_integrity` is {integrity} with `ipsec_encryption` {cipher}"),
            format!("Azure takes GCM only with the same value in both: ipsec_integrity = \"{wanted}\""),
        ),
        None if !hashes => reader.error(
            &span,
            format!("`ipsec_integrity` is {integrity} with `ipsec_encryption` {cipher}"),
            format!("Azure takes GCM only with the same value in both: ipsec_encryption = \"{integrity}\", or ipsec_integrity = \"SHA256\""),
        ),
        _ => {}
    }
}

fn check_selectors(file: &File, connection: &Connection, reader: &mut ConfigReader<'_>) {
    let narrow = connection.use_policy_based_traffic_selectors.value().copied();
    let policies = connection.traffic_selector_policy.items();
    if let (Some(false), Some(first)) = (narrow, policies.first()) {
        let hint = "Azure takes them only with policy-based traffic selectors: add use_policy_based_traffic_selectors = true, if that is \
                    how the connection is set in Azure, or take them out";
        let what = "there are traffic selector policies, but `use_policy_based_traffic_selectors` is false";
        reader.error(&first.span(), what, hint);
    }
    for policy in policies {
        for (key, ranges) in [
            ("local_address_ranges", &policy.get_ref().local_address_ranges),
            ("remote_address_ranges", &policy.get_ref().remote_address_ranges),
        ] {
            if let Some(ranges) = ranges.spanned()
                && ranges.get_ref().is_empty()
            {
                let hint = "write the address prefixes that may pass: 0.0.0.0/0 for all";
                reader.error(&ranges.span(), format!("`{key}` is empty"), hint);
            }
        }
    }
    let local =
        file.local_network_gateway.value().map_or(0, |site| site.address_prefixes.items().len());
    let gateway = connection.virtual_network_gateway.value();
    let remote = gateway.map_or(0, |gateway| gateway.address_prefixes.items().len());
    let pairs = if policies.is_empty() { local * remote } else { policies.len() };
    if narrow == Some(true) && pairs > PAIRS_MAX {
        let span = connection.use_policy_based_traffic_selectors.spanned();
        let span = span.map_or_else(|| connection.span.clone(), Spanned::span);
        reader.warning(
            &span,
            format!("{pairs} pairs of traffic selectors are more than the {PAIRS_MAX} that Azure supports"),
            "Azure then drops subnets now and then: join prefixes, or set use_policy_based_traffic_selectors = false in Azure and here",
        );
    }
}

fn check_instances(file: &File, gateway: &VirtualNetworkGateway, reader: &mut ConfigReader<'_>) {
    let Some(list) = gateway.public_ip_addresses.spanned() else { return };
    let hosts = gateway.public_ip_addresses.items();
    if list.get_ref().is_empty() {
        let hint = "write the gateway's public IP address, two when it is active-active: the Azure portal shows them on its overview page";
        reader.error(&list.span(), "`public_ip_addresses` is empty", hint);
    }
    if let Some(surplus) = hosts.get(INSTANCES_MAX) {
        let what = format!(
            "`public_ip_addresses` has {} addresses, a gateway has one or two",
            hosts.len()
        );
        let hint = "a third address in Azure is for point-to-site clients alone; another gateway is another [[connection]]";
        reader.error(&surplus.span(), what, hint);
    }
    let listening: Vec<IpAddr> = file
        .device
        .value()
        .map_or(Vec::new(), |d| d.listen_addresses.items().iter().map(|a| *a.get_ref()).collect());
    let site = file.local_network_gateway.value();
    let own = site.and_then(|site| site.gateway_ip_address.value());
    for host in hosts {
        let Some(address) = host.get_ref().address() else {
            check_host_name(host, reader);
            continue;
        };
        if own == Some(&address) || listening.contains(&address) {
            reader.error(
                &host.span(),
                format!("{address} is this site's own address"),
                "write the address of Azure's gateway: the portal shows it on the virtual network gateway's overview page, the site's \
                 own on the local network gateway's",
            );
        }
        if address.is_ipv6() {
            reader.warning(
                &host.span(),
                format!("the gateway's address {address} is IPv6"),
                "Azure's VPN gateways speak IPv4 on the outside: write the gateway's public IPv4 address",
            );
        }
        if !listening.is_empty() && !listening.iter().any(|own| own.is_ipv4() == address.is_ipv4())
        {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            reader.error(
                &host.span(),
                format!("{address} cannot be reached: `listen_addresses` has no {family} address"),
                format!("add an {family} address of this device to `listen_addresses` in [device], or take the key out to use all"),
            );
        }
    }
    if let Some(prefixes) = gateway.address_prefixes.spanned()
        && prefixes.get_ref().is_empty()
    {
        let hint = "write the address space of the virtual network, as in Azure; 0.0.0.0/0 sends all traffic to Azure";
        reader.error(&prefixes.span(), "`address_prefixes` is empty", hint);
    }
}

/// Warns of a host that looks like the name of a resource: Azure's objects have names that no DNS
/// server knows.
fn check_host_name(host: &Spanned<Host>, reader: &mut ConfigReader<'_>) {
    let name = host.get_ref().to_string();
    if !name.contains('.') {
        reader.warning(
            &host.span(),
            format!("{name} is looked up as a DNS name, and has no dot"),
            "the name of a resource in Azure is no DNS name: write the public IP address that the portal shows for it",
        );
    }
}

fn check_authentication(
    file: &File,
    authentication: &CertificateAuthentication,
    reader: &mut ConfigReader<'_>,
) {
    if let (Some(certificate), false) =
        (authentication.inbound_certificate.spanned(), authentication.inbound_private_key.present())
        && !holds_key(certificate.get_ref())
    {
        reader.error(
            &certificate.span(),
            "there is no `inbound_private_key`",
            "write the file with the certificate's private key, or \"credential:NAME\"; only a .pfx or .p12 holds the key itself",
        );
    }
    if let Some(roots) = authentication.outbound_certificate_roots.spanned()
        && roots.get_ref().is_empty()
    {
        let hint = "write the file with the root of the certificate that Azure presents: without a root every gateway is refused";
        reader.error(&roots.span(), "`outbound_certificate_roots` is empty", hint);
    }
    check_gateway_name(authentication, reader);
    let by_name = file.local_network_gateway.value().is_some_and(|site| site.fqdn.present());
    if let Some(identity) = authentication.inbound_identity.spanned()
        && *identity.get_ref() == InboundIdentity::Address
        && by_name
    {
        let hint = "Azure compares the certificate's subject: take `inbound_identity` out, or write `gateway_ip_address`";
        reader.error(
            &identity.span(),
            "`inbound_identity` is \"address\", but the site has an `fqdn` and no address",
            hint,
        );
    }
}

/// The gateway's certificate must be known by something, and by one thing.
fn check_gateway_name(authentication: &CertificateAuthentication, reader: &mut ConfigReader<'_>) {
    let rules = [
        authentication.outbound_certificate_subject_name.present(),
        authentication.outbound_certificate_subject.present(),
        authentication.outbound_certificate_alternative_name.present(),
    ];
    let given = rules.iter().filter(|given| **given).count();
    let identity = &authentication.remote_identity;
    let says_much = identity.value().is_none_or(|id| IdentityRule::of_id(id.value()).is_some());
    if given == 0 && !(identity.present() && says_much) {
        let what =
            "[connection.certificate_authentication] has no `outbound_certificate_subject_name`";
        let hint = "write the CN of Azure's outboundAuthCertificate: anyone with a certificate of the same root could pose as the \
                    gateway otherwise. For other gateways `outbound_certificate_subject`, `outbound_certificate_alternative_name` or \
                    `remote_identity` will do";
        reader.error(&authentication.span, what, hint);
    }
    if given > 1 {
        let what = "the gateway's certificate is described more than once";
        let hint = "keep one of `outbound_certificate_subject_name`, `outbound_certificate_subject` and \
                    `outbound_certificate_alternative_name`";
        reader.error(&authentication.span, what, hint);
    }
    if let Some(required) = authentication.require_crls.spanned()
        && *required.get_ref()
        && authentication.crls.items().is_empty()
    {
        let hint =
            "name the revocation list of each authority as `crls`, or take `require_crls` out";
        reader.error(&required.span(), "`require_crls` is set, and there are no `crls`", hint);
    }
    if let Some(request) = authentication.request_identity.spanned()
        && *request.get_ref()
        && !identity.present()
    {
        let hint =
            "write the identity to ask for as `remote_identity`, or take `request_identity` out";
        reader.error(&request.span(), "`request_identity` is set without `remote_identity`", hint);
    }
}

/// Whether a certificate's file may hold the private key as well.
pub(super) fn holds_key(file: &FileRef) -> bool {
    let name = file.to_string().to_ascii_lowercase();
    name.ends_with(".pfx") || name.ends_with(".p12")
}

fn check_tunnel(connection: &Connection, tunnel: &Tunnel, reader: &mut ConfigReader<'_>) {
    let mtu = tunnel.mtu.value().and_then(|mtu| mtu.set()).map(super::value::Whole::number);
    if let (Some(mtu), Some(field)) = (mtu.filter(|mtu| *mtu > AZURE_MTU), tunnel.mtu.spanned()) {
        let hint = "write mtu = \"auto\": Azure's network fragments above 1400 bytes and drops fragments that come out of order";
        reader.warning(
            &field.span(),
            format!("an MTU of {mtu} is more than Azure carries without fragmenting, {AZURE_MTU}"),
            hint,
        );
    }
    let mss = tunnel.tcp_mss.value().and_then(|mss| mss.set()).map(super::value::Whole::number);
    if let (Some(mtu), Some(mss), Some(field)) = (mtu, mss, tunnel.tcp_mss.spanned())
        && mss + TCP_HEADERS > mtu
    {
        let most = mtu.saturating_sub(TCP_HEADERS);
        let what = format!("a `tcp_mss` of {mss} does not fit into an MTU of {mtu}");
        reader.error(&field.span(), what, format!("write at most {most}, or \"auto\""));
    }
    if let (Some(Routes::None), Some(field)) = (tunnel.routes.value(), tunnel.routes.spanned())
        && tunnel.accept_sources.items().is_empty()
    {
        let what = "what comes from networks that only the routing daemon knows is dropped";
        let hint = "name in `accept_sources` what the daemon may learn, or [\"0.0.0.0/0\", \"::/0\"]; the gateway's 169.254 address for \
                    BGP too";
        reader.warning(&field.span(), what, hint);
    }
    let life_time = match connection.ipsec_policy.value() {
        Some(PolicyChoice::Custom(policy)) => {
            policy.sa_life_time_seconds.value().map(|s| s.number())
        }
        Some(PolicyChoice::Default) => Some(DEFAULT_LIFE_TIME.as_secs()),
        None => None,
    };
    let rekey =
        tunnel.child_rekey_seconds.value().and_then(|s| s.set()).map(super::value::Whole::number);
    if let (Some(life), Some(rekey), Some(field)) =
        (life_time, rekey, tunnel.child_rekey_seconds.spanned())
        && rekey > life / 4 * 3
    {
        let what = format!(
            "`child_rekey_seconds` is {rekey}, too close to the end of the keys after {life} seconds (`sa_life_time_seconds`)"
        );
        let hint = format!(
            "write \"auto\", or at most {}, so that new keys are there in time",
            life / 4 * 3
        );
        reader.error(&field.span(), what, hint);
    }
}

/// Reports connections of the same name.
fn check_names(file: &File, reader: &mut ConfigReader<'_>) {
    let connections = file.connection.items();
    let names: Vec<_> = connections.iter().filter_map(|c| c.get_ref().name.spanned()).collect();
    for (at, name) in names.iter().enumerate() {
        if let Some(first) = names.iter().take(at).find(|other| other.get_ref() == name.get_ref()) {
            let line = reader.source().line(&first.span());
            let what = format!("the connection on line {line} is called {} too", name.get_ref());
            reader.error(&name.span(), what, "give each connection the name that it has in Azure");
        }
    }
}

/// Reports gateway addresses that are given twice: an instance of a gateway belongs to one tunnel.
fn check_gateways(file: &File, reader: &mut ConfigReader<'_>) {
    let gateways =
        file.connection.items().iter().filter_map(|c| c.get_ref().virtual_network_gateway.value());
    let hosts: Vec<&Spanned<Host>> = gateways.flat_map(|g| g.public_ip_addresses.items()).collect();
    for (at, host) in hosts.iter().enumerate() {
        if let Some(first) = hosts.iter().take(at).find(|other| other.get_ref() == host.get_ref()) {
            let line = reader.source().line(&first.span());
            let what = format!("{} is given on line {line} already", host.get_ref());
            let hint = "a site has one connection to a gateway, and an active-active gateway has two different addresses";
            reader.error(&host.span(), what, hint);
        }
    }
}
