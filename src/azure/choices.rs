//! What an operator adds to the resources of an import: paths of certificates, names of
//! connections.

/// The choices of an operator for an import.
#[derive(Clone, Debug)]
pub struct ImportChoices {
    /// The names of the connections to import; empty imports all.
    pub connections: Vec<String>,
    /// The path of our certificate.
    pub inbound_certificate: String,
    /// The path of our private key.
    pub inbound_private_key: String,
    /// The path of the root of Azure's certificate.
    pub outbound_root: String,
    /// The common name of Azure's certificate; the JSON has only its name in Key Vault.
    pub outbound_subject: Option<String>,
}

impl Default for ImportChoices {
    fn default() -> ImportChoices {
        ImportChoices {
            connections: Vec::new(),
            inbound_certificate: "/etc/s2sd/certs/inbound.pem".to_owned(),
            inbound_private_key: "credential:inbound.key".to_owned(),
            outbound_root: "/etc/s2sd/certs/azure-root.pem".to_owned(),
            outbound_subject: None,
        }
    }
}
