//! What an operator adds to the resources of an import: where certificates are, which connections.

/// What an operator adds to what Azure knows.
#[derive(Clone, Debug)]
pub struct ImportChoices {
    /// The connections to take; empty takes all.
    pub connections: Vec<String>,
    /// Where our certificate is.
    pub inbound_certificate: String,
    /// Where its key is.
    pub inbound_private_key: String,
    /// Where the root of Azure's certificate is.
    pub outbound_root: String,
    /// The CN of Azure's certificate; the JSON has only its name in the key vault.
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
