//! Keys of Azure's objects and of other programs' files that do not exist here, each with advice.

use super::nearest::folded;

/// The advice for somebody who wrote this key.
pub fn note(name: &str) -> Option<&'static str> {
    let name = folded(name);
    NOTES.iter().find(|(names, _)| names.iter().any(|n| folded(n) == name)).map(|(_, note)| *note)
}

const NOTES: &[(&[&str], &str)] = &[
    (
        &["shared_key", "psk", "pre_shared_key", "secret", "shared_key_keyvault_id"],
        "there are no shared keys here: set the Azure connection's authentication method to \"Key Vault Certificate\" and \
         write [connection.certificate_authentication]",
    ),
    (
        &["authentication_type", "authentication_method"],
        "leave it out: a connection always authenticates with certificates",
    ),
    (
        &["connection_protocol", "vpn_type", "connection_type", "gateway_type", "ike_version"],
        "leave it out: a connection is always IPsec by IKEv2 to a route-based VPN gateway",
    ),
    (
        &[
            "enable_bgp",
            "bgp_settings",
            "asn",
            "bgp_peering_address",
            "bgp_peering_addresses",
            "custom_bgp_addresses",
            "gateway_custom_bgp_ip_addresses",
            "peer_weight",
        ],
        "leave it out: BGP is left to a routing daemon (FRR, BIRD) that speaks over the tunnel's interface; \
         give that interface its BGP address with `addresses` in [connection.tunnel]",
    ),
    (
        &["routing_weight"],
        "leave it out: Azure ignores the routing weight of VPN connections; `route_metric` in [connection.tunnel] orders \
         our routes",
    ),
    (
        &["ingress_nat_rules", "egress_nat_rules", "nat_rules"],
        "leave it out: Azure translates addresses on its side; write in `address_prefixes` what this device sees",
    ),
    (
        &["sku", "active_active", "location", "resource_group", "tags", "id", "provisioning_state"],
        "leave it out: it concerns Azure alone; active-active means two `public_ip_addresses`",
    ),
    (
        &["inbound_auth_certificate_chain", "outbound_auth_certificate"],
        "leave it out: that is Azure's own setting. Here belong our certificate, as `inbound_certificate`, and the root of \
         Azure's, as `outbound_certificate_roots`",
    ),
    (
        &["inbound_auth_certificate_subject_name"],
        "leave it out: it is the CN of our own certificate, which is read from `inbound_certificate`",
    ),
    (
        &["local_address_cidrs", "local_address_prefixes"],
        "it is called `local_address_ranges` here, and means this device's side: Azure's `remoteAddressRanges`",
    ),
    (
        &["remote_address_cidrs", "remote_address_prefixes"],
        "it is called `remote_address_ranges` here, and means Azure's side: Azure's `localAddressRanges`",
    ),
    (
        &["ipsec_policies"],
        "Azure takes one policy a connection: write it as [connection.ipsec_policy]",
    ),
    (
        &["traffic_selector_policies"],
        "write each of them as [[connection.traffic_selector_policy]]",
    ),
    (&["connections"], "write each connection as [[connection]]"),
    (
        &["sa_datasize", "sa_lifetime"],
        "Azure's own names are used: `sa_data_size_kilobytes`, `sa_life_time_seconds`",
    ),
    (
        &["public_ip_address", "gateway_address"],
        "it is a list here: public_ip_addresses = [\"...\"]",
    ),
    (
        &["ip_address", "public_ip"],
        "Azure calls it `gateway_ip_address` of the local network gateway, and `public_ip_addresses` of its own",
    ),
];
