//! From the file to the [`Config`], after the rules that look at several keys ([`super::rules`]).
//! Missing and wrong keys were reported before, so a `None` here needs no report.

use std::net::IpAddr;
use std::time::Duration;

use toml::Spanned;

use super::reader::{ConfigReader, List, ReadKey};
use super::schema::{self, PolicyChoice};
use super::settings::{
    CertificateAuthentication, Config, Connection, ConnectionPolicy, CustomPolicy, Device, Gateway,
    GatewayTunnel, PrefixPair, Site, TrafficSelection, TunnelSettings,
};
use super::value::{Host, InterfaceName, OrAuto, Whole};
use super::{interface, rules};

/// The configuration, unless an error was reported.
pub fn resolve(file: &schema::File, reader: &mut ConfigReader<'_>) -> Option<Config> {
    if !reader.misplaced {
        rules::check(file, reader);
    }
    let interfaces = interface::assign(file, reader);
    if reader.failed() {
        return None;
    }
    let site = site(file.local_network_gateway.value()?)?;
    let connections = file
        .connection
        .items()
        .iter()
        .zip(interfaces)
        .map(|(connection, names)| self::connection(connection.get_ref(), &site, names))
        .collect::<Option<Vec<Connection>>>()?;
    Some(Config { device: device(file.device.value()?)?, local_network_gateway: site, connections })
}

fn device(device: &schema::Device) -> Option<Device> {
    Some(Device {
        name: device.name.value()?.clone(),
        listen_addresses: values(&device.listen_addresses),
        control_socket: device.control_socket.value()?.path().to_owned(),
    })
}

fn site(site: &schema::LocalNetworkGateway) -> Option<Site> {
    let by_address = |address: &IpAddr| Host::Address(*address);
    let address = site.gateway_ip_address.value().map(by_address);
    Some(Site {
        name: site.name.value()?.clone(),
        address: address.or_else(|| site.fqdn.value().cloned().map(Host::Name))?,
        address_prefixes: values(&site.address_prefixes),
    })
}

fn connection(
    file: &schema::Connection,
    site: &Site,
    interfaces: Vec<InterfaceName>,
) -> Option<Connection> {
    let gateway = file.virtual_network_gateway.value()?;
    let hosts: Vec<Host> = values(&gateway.public_ip_addresses);
    let gateway = Gateway {
        name: gateway.name.value()?.clone(),
        address_prefixes: values(&gateway.address_prefixes),
    };
    Some(Connection {
        name: file.name.value()?.clone(),
        connection_mode: *file.connection_mode.value()?,
        dpd_timeout: Duration::from_secs(file.dpd_timeout_seconds.value()?.number()),
        ipsec_policy: policy(file.ipsec_policy.value()?)?,
        selectors: selectors(file, site, &gateway)?,
        virtual_network_gateway: gateway,
        certificate_authentication: authentication(file.certificate_authentication.value()?)?,
        tunnel: tunnel(file.tunnel.value()?)?,
        tunnels: hosts
            .into_iter()
            .zip(interfaces)
            .map(|(remote, interface)| GatewayTunnel { remote, interface })
            .collect(),
    })
}

fn policy(choice: &PolicyChoice) -> Option<ConnectionPolicy> {
    let PolicyChoice::Custom(policy) = choice else { return Some(ConnectionPolicy::Default) };
    Some(ConnectionPolicy::Custom(CustomPolicy {
        ike_encryption: *policy.ike_encryption.value()?,
        ike_integrity: *policy.ike_integrity.value()?,
        dh_group: *policy.dh_group.value()?,
        ipsec_encryption: *policy.ipsec_encryption.value()?,
        ipsec_integrity: *policy.ipsec_integrity.value()?,
        pfs_group: *policy.pfs_group.value()?,
        life_time: Duration::from_secs(policy.sa_life_time_seconds.value()?.number()),
        kilobytes: policy.sa_data_size_kilobytes.value()?.number(),
    }))
}

/// The traffic selectors: pairs that the file spells out, else pairs made of the prefixes.
fn selectors(
    file: &schema::Connection,
    site: &Site,
    gateway: &Gateway,
) -> Option<TrafficSelection> {
    if !*file.use_policy_based_traffic_selectors.value()? {
        return Some(TrafficSelection::AnyToAny);
    }
    let written = file.traffic_selector_policy.items();
    if !written.is_empty() {
        let pair = |policy: &Spanned<schema::TrafficSelectorPolicy>| PrefixPair {
            local: values(&policy.get_ref().local_address_ranges),
            remote: values(&policy.get_ref().remote_address_ranges),
        };
        return Some(TrafficSelection::Written(written.iter().map(pair).collect()));
    }
    let pairs = PrefixPair::of_prefixes(&site.address_prefixes, &gateway.address_prefixes);
    Some(TrafficSelection::Prefixes(pairs))
}

/// How both ends authenticate.
pub(super) fn authentication(
    file: &schema::CertificateAuthentication,
) -> Option<CertificateAuthentication> {
    Some(CertificateAuthentication {
        inbound_certificate: file.inbound_certificate.value()?.clone(),
        inbound_private_key: file.inbound_private_key.value().cloned(),
        inbound_password_file: file.inbound_password_file.value().cloned(),
        inbound_identity: *file.inbound_identity.value()?,
        outbound_certificate_roots: values(&file.outbound_certificate_roots),
        outbound_certificate_subject_name: file.outbound_certificate_subject_name.value().cloned(),
        outbound_certificate_subject: file.outbound_certificate_subject.value().cloned(),
        outbound_certificate_alternative_name: file
            .outbound_certificate_alternative_name
            .value()
            .cloned(),
        remote_identity: file.remote_identity.value().cloned(),
        request_identity: *file.request_identity.value()?,
        outbound_certificate_pinned: values(&file.outbound_certificate_pinned),
        outbound_certificate_intermediates: values(&file.outbound_certificate_intermediates),
        revoked_thumbprints: values(&file.revoked_thumbprints),
        crls: values(&file.crls),
        require_crls: *file.require_crls.value()?,
        digital_signatures: *file.digital_signatures.value()?,
        signature_padding: *file.signature_padding.value()?,
        rsa_signature_hash: *file.rsa_signature_hash.value()?,
        allow_sha1_signatures: *file.allow_sha1_signatures.value()?,
    })
}

fn tunnel(file: &schema::Tunnel) -> Option<TunnelSettings> {
    Some(TunnelSettings {
        addresses: values(&file.addresses),
        accept_sources: values(&file.accept_sources),
        accept_destinations: values(&file.accept_destinations),
        encapsulation: *file.encapsulation.value()?,
        mtu: set(&file.mtu)?.map(u16::try_from).transpose().ok()?,
        tcp_mss: set(&file.tcp_mss)?.map(u16::try_from).transpose().ok()?,
        routes: *file.routes.value()?,
        unreachable_routes: *file.unreachable_routes.value()?,
        route_metric: u32::try_from(file.route_metric.value()?.number()).ok()?,
        route_table: u32::try_from(file.route_table.value()?.number()).ok()?,
        ike_rekey: set(&file.ike_rekey_seconds)?.map(Duration::from_secs),
        reauthenticate: set(&file.reauthenticate_seconds)?.map(Duration::from_secs),
        child_rekey: set(&file.child_rekey_seconds)?.map(Duration::from_secs),
        replay_window: u32::try_from(file.replay_window.value()?.number()).ok()?,
        copy_dscp: *file.copy_dscp.value()?,
        offload: *file.offload.value()?,
    })
}

/// The number of a key; the inner `None` is `"auto"`.
fn set<const LEAST: u64, const MOST: u64>(
    field: &ReadKey<OrAuto<Whole<LEAST, MOST>>>,
) -> Option<Option<u64>> {
    Some(field.value()?.set().map(Whole::number))
}

fn values<T: Clone>(field: &ReadKey<List<T>>) -> Vec<T> {
    field.items().iter().map(|item| item.get_ref().clone()).collect()
}
