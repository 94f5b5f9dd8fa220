//! What `s2sd check` tells of each connection: text that people compare with Azure, and JSON for
//! programs.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::settings::{Connection, ConnectionPolicy};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::identity::IdentityRule;
use crate::time::UnixTime;

/// What is known of one connection.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ConnectionFacts {
    /// The connection's name.
    pub name: String,
    /// The connection's interfaces, each with the gateway's address.
    pub tunnels: Vec<TunnelFacts>,
    /// The policy, in Azure's words.
    pub policy: String,
    /// The number of child SAs that each tunnel has.
    pub selector_pairs: usize,
    /// The common name that the gateway's certificate must have, or what else it must have.
    pub gateway_name: String,
    /// What the gateway's certificate must have, with its kind: `CN=gateway`, say.
    pub gateway_rule: String,
    /// The certificates that the connection uses.
    pub credentials: CredentialFacts,
}

/// One tunnel: the interface and the gateway at the other end.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TunnelFacts {
    /// The interface's name.
    pub interface: String,
    /// The gateway's address or DNS name.
    pub remote: String,
}

/// The certificates of a connection.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CredentialFacts {
    /// Our certificate, then its issuers, without the root.
    pub inbound: Vec<CertificateFacts>,
    /// The roots that gateways are checked against.
    pub roots: Vec<CertificateFacts>,
    /// The certificates of the gateway that are pinned, by which a reload finds new ones.
    #[serde(skip)]
    #[schemars(skip)]
    pub pinned: Vec<CertificateFacts>,
    /// The certificates between the gateway's and its root, for the same.
    #[serde(skip)]
    #[schemars(skip)]
    pub intermediates: Vec<CertificateFacts>,
    /// How many revocation lists there are.
    pub crls: usize,
    /// The revocation lists themselves, by which a reload finds that one was replaced.
    #[serde(skip)]
    #[schemars(skip)]
    pub lists: Vec<Crl>,
}

/// What is known of one certificate.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CertificateFacts {
    /// The subject as a distinguished name.
    pub subject: String,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The issuer as a distinguished name.
    pub issuer: String,
    /// The thumbprint (SHA-1), as Azure shows it.
    pub thumbprint: String,
    /// The kind and size of the key.
    pub key: Option<String>,
    /// The first second of validity, as in RFC 3339.
    pub not_before: String,
    /// The last second of validity, as in RFC 3339.
    pub not_after: String,
    /// Whole days until the last second; 0 when it has passed.
    pub days_left: u64,
}

impl ConnectionFacts {
    /// What is known of a connection.
    pub fn of(connection: &Connection, credentials: CredentialFacts) -> ConnectionFacts {
        let rule = connection.certificate_authentication.rule();
        ConnectionFacts {
            name: connection.name.to_string(),
            tunnels: connection
                .tunnels
                .iter()
                .map(|tunnel| TunnelFacts {
                    interface: tunnel.interface.to_string(),
                    remote: tunnel.remote.to_string(),
                })
                .collect(),
            policy: connection.ipsec_policy.to_string(),
            selector_pairs: connection.selectors.pairs().map_or(1, <[_]>::len),
            gateway_name: match &rule {
                Some(IdentityRule::SubjectCommonName(name)) => name.clone(),
                Some(rule) => rule.to_string(),
                None => String::new(),
            },
            gateway_rule: rule.map(|rule| rule.to_string()).unwrap_or_default(),
            credentials,
        }
    }
}

impl CertificateFacts {
    /// What is known of a certificate.
    pub fn of(certificate: &Certificate, now: UnixTime) -> CertificateFacts {
        let seconds = certificate.not_after().0.saturating_sub(now.0);
        CertificateFacts {
            subject: certificate.subject().to_string(),
            common_name: certificate.subject().common_name().map(str::to_owned),
            issuer: certificate.issuer().to_string(),
            thumbprint: certificate.thumbprint().to_string(),
            key: certificate.public_key().ok().map(|key| key.kind().to_string()),
            not_before: certificate.not_before().to_string(),
            not_after: certificate.not_after().to_string(),
            days_left: seconds / 86_400,
        }
    }
}

impl fmt::Display for ConnectionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionPolicy::Default => f.write_str("Azure's default"),
            ConnectionPolicy::Custom(policy) => write!(
                f,
                "IKE {} {} {}, IPsec {} {} {}",
                policy.ike_encryption,
                policy.ike_integrity,
                policy.dh_group,
                policy.ipsec_encryption,
                policy.ipsec_integrity,
                policy.pfs_group
            ),
        }
    }
}

impl fmt::Display for ConnectionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for tunnel in &self.tunnels {
            writeln!(f, "  tunnel      {} to {}", tunnel.interface, tunnel.remote)?;
        }
        let pairs = self.selector_pairs;
        writeln!(f, "  policy      {}", self.policy)?;
        writeln!(f, "  selectors   {pairs} {} of SAs", if pairs == 1 { "pair" } else { "pairs" })?;
        if let Some(own) = self.credentials.inbound.first() {
            writeln!(f, "  we are      {own}")?;
        }
        let top = self.credentials.inbound.last();
        if let (Some(own), Some(top)) = (self.credentials.inbound.first(), top) {
            let name = own.common_name.as_deref().unwrap_or("(none)");
            writeln!(f, "  in Azure    inboundAuthCertificateSubjectName {name}")?;
            writeln!(f, "              inboundAuthCertificateChain with {}", top.issuer)?;
        }
        writeln!(f, "  gateway is  {}", self.gateway_rule)?;
        for root in &self.credentials.roots {
            writeln!(f, "       below  {root}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CertificateFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("unknown key");
        write!(
            f,
            "{} ({key}, {} days left, thumbprint {})",
            self.subject, self.days_left, self.thumbprint
        )
    }
}
