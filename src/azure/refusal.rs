//! Connections that s2sd cannot serve, and what to change in Azure.

use super::fault::AzureFault;
use super::quote;
use super::resource::{AzureConnection, AzureGateway};

/// The reasons why a connection cannot be imported.
pub fn of_connection(connection: &AzureConnection) -> Vec<AzureFault> {
    let name = &connection.reference.name;
    let mut faults = Vec::new();
    if let Some(kind) = connection.kind.as_ref().filter(|kind| !kind.eq_ignore_ascii_case("IPsec"))
    {
        faults.push(AzureFault::new(
            format_args!("connection {name} is of type {kind}, expected IPsec"),
            "s2sd serves \"Site-to-site (IPsec)\" connections only: choose them with --connection NAME",
        ));
        return faults;
    }
    if connection.protocol.as_ref().is_some_and(|p| p.eq_ignore_ascii_case("IKEv1")) {
        faults.push(AzureFault::new(
            format_args!("connection {name} uses IKEv1, expected IKEv2"),
            "Azure cannot change the protocol of a connection: delete the connection and create it again with IKEv2",
        ));
    }
    faults.extend(psk(connection));
    faults
}

/// The reason why the gateway of a connection cannot be used.
pub fn of_gateway(connection: &AzureConnection, gateway: &AzureGateway) -> Option<AzureFault> {
    let (name, of) = (&gateway.reference.name, &connection.reference.name);
    let is = |field: &Option<String>, word: &str| {
        field.as_ref().is_some_and(|field| field.eq_ignore_ascii_case(word))
    };
    if is(&gateway.kind, "ExpressRoute") {
        return Some(AzureFault::new(
            format_args!(
                "gateway {name} of connection {of} is an ExpressRoute gateway, expected a VPN gateway"
            ),
            "choose connections of a VPN gateway with --connection NAME",
        ));
    }
    if is(&gateway.vpn, "PolicyBased") || is(&gateway.sku, "Basic") {
        return Some(AzureFault::new(
            format_args!("gateway {name} of connection {of} is policy-based or of the Basic SKU"),
            "such gateways support neither IKEv2 nor certificates: use a route-based gateway of SKU VpnGw1AZ or higher",
        ));
    }
    None
}

/// The fault of a connection with a pre-shared key. Such a connection has no
/// `certificateAuthentication`.
fn psk(connection: &AzureConnection) -> Option<AzureFault> {
    let name = &connection.reference.name;
    let reason = match (&connection.authentication, &connection.certificates) {
        (Some(kind), _) if kind.eq_ignore_ascii_case("Certificate") => return None,
        (Some(kind), _) => format!("authenticationType is {kind}"),
        (None, Some(_)) => return None,
        (None, None) => {
            "the JSON has neither authenticationType nor certificateAuthentication".to_owned()
        }
    };
    let example = "{\"outboundAuthCertificate\": \"https://VAULT.vault.azure.net/certificates/NAME/VERSION\", \
                   \"inboundAuthCertificateSubjectName\": \"CN OF OUR CERTIFICATE\", \
                   \"inboundAuthCertificateChain\": [\"OUR ROOT IN BASE64, ONE LINE\"]}";
    let hint = format!(
        "change the connection to certificates, then import the output of `show` again:\n   az network vpn-connection update --resource-group {} \
         --name {} --authentication-type Certificate \\\n     --certificate-authentication {}\n   If Azure answers \
         InvalidPskExist, delete the connection and create it again",
        connection.reference.group_word(),
        quote::sh(name),
        quote::sh(example)
    );
    Some(AzureFault::new(
        format_args!(
            "connection {name} authenticates with a pre-shared key ({reason}); s2sd supports certificates only"
        ),
        hint,
    ))
}
