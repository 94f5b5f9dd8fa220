//! The peer's identity: its ID payload (RFC 7296 §3.5) against its certificate and against the
//! configuration.
//!
//! A peer is accepted when both questions are answered with yes:
//!
//! 1. **Is this the certificate we expect?** The connection has one [`IdentityRule`]. For Azure it
//!    is [`IdentityRule::SubjectCommonName`]: Azure's portal, PowerShell and CLI name certificates
//!    by their common name without `CN=`. Certificates can be pinned besides.
//! 2. **Does the ID belong to that certificate or to this connection?** Azure's ID type with
//!    certificates is not published, so every sound one is accepted: the subject itself, a subject
//!    alternative name, the common name as a host name, or an address configured for the peer. A
//!    connection can demand one ID instead, such as the private address that a gateway behind a NAT
//!    calls itself by. The packet's source address is no evidence: there is NAT.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::certificate::{AltName, Certificate, hex};
use super::name::{Name, fold};
use super::path::ValidPath;
use super::refusal::TrustRefusal;
use crate::wire::codes::IdType;

/// What stands before a key ID in text.
const KEY_ID: &str = "keyid:";

/// The content of an ID payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Id {
    /// An IPv4 address, ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// A host name, ID_FQDN.
    Fqdn(String),
    /// A mailbox, ID_RFC822_ADDR.
    Rfc822(String),
    /// An IPv6 address, ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// A distinguished name, ID_DER_ASN1_DN.
    Dn(Name),
    /// Any other type, as it came.
    Other {
        /// The ID's type.
        kind: IdType,
        /// The ID's data.
        data: Vec<u8>,
    },
}

impl Id {
    /// Reads the data of an ID payload.
    pub fn parse(kind: IdType, data: &[u8]) -> Result<Id, TrustRefusal> {
        let malformed = |why: &str| {
            TrustRefusal::general(IdentityReason::Malformed { kind, why: why.to_owned() })
        };
        let text = || match std::str::from_utf8(data) {
            Ok(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(text.to_owned())
            }
            _ => Err(malformed("it is not printable ASCII")),
        };
        Ok(match kind {
            IdType::Ipv4Addr => {
                let octets = <[u8; 4]>::try_from(data).map_err(|_| malformed("not four octets"))?;
                Id::Ipv4(octets.into())
            }
            IdType::Fqdn => Id::Fqdn(text()?),
            IdType::Rfc822Addr => Id::Rfc822(text()?),
            IdType::Ipv6Addr => {
                let octets = <[u8; 16]>::try_from(data).map_err(|_| malformed("not 16 octets"))?;
                Id::Ipv6(octets.into())
            }
            IdType::DerAsn1Dn => {
                Id::Dn(Name::from_der(data).map_err(|error| malformed(&error.to_string()))?)
            }
            kind => Id::Other { kind, data: data.to_vec() },
        })
    }

    /// Reads an ID as an operator writes it: an address, a distinguished name (`CN=gw, O=Example`
    /// has an equals sign), a mailbox (has an @), `keyid:` with hexadecimal digits or with text, or
    /// else a host name.
    pub fn from_text(text: &str) -> Result<Id, String> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Id::from(address));
        }
        if let Some(key) = text.strip_prefix(KEY_ID) {
            let data = match key.strip_prefix("0x") {
                Some(digits) => hex(digits.chars())
                    .ok_or("a key ID in hexadecimal has an even number of digits")?,
                None => key.as_bytes().to_vec(),
            };
            if data.is_empty() {
                return Err("the key ID is empty".to_owned());
            }
            return Ok(Id::Other { kind: IdType::KeyId, data });
        }
        if text.contains('=') {
            return Name::from_text(text).map(Id::Dn);
        }
        let kind = if text.contains('@') { IdType::Rfc822Addr } else { IdType::Fqdn };
        Id::parse(kind, text.as_bytes()).map_err(|_| "it is not printable ASCII".to_owned())
    }

    /// The ID as [`Id::from_text`] reads it.
    pub fn to_text(&self) -> String {
        match self {
            Id::Ipv4(address) => address.to_string(),
            Id::Fqdn(text) | Id::Rfc822(text) => text.escape_debug().to_string(),
            Id::Ipv6(address) => address.to_string(),
            Id::Dn(name) => name.to_string(),
            Id::Other { data, .. } => {
                let digits: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
                format!("{KEY_ID}0x{digits}")
            }
        }
    }

    /// The ID's type as the payload has it.
    pub fn kind(&self) -> IdType {
        match self {
            Id::Ipv4(_) => IdType::Ipv4Addr,
            Id::Fqdn(_) => IdType::Fqdn,
            Id::Rfc822(_) => IdType::Rfc822Addr,
            Id::Ipv6(_) => IdType::Ipv6Addr,
            Id::Dn(_) => IdType::DerAsn1Dn,
            Id::Other { kind, .. } => *kind,
        }
    }

    /// Its data, as an ID payload carries it.
    pub fn data(&self) -> Vec<u8> {
        match self {
            Id::Ipv4(address) => address.octets().to_vec(),
            Id::Fqdn(text) | Id::Rfc822(text) => text.clone().into_bytes(),
            Id::Ipv6(address) => address.octets().to_vec(),
            Id::Dn(name) => name.as_der().to_vec(),
            Id::Other { data, .. } => data.clone(),
        }
    }

    /// The address of an ID that is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Id::Ipv4(address) => Some(IpAddr::V4(*address)),
            Id::Ipv6(address) => Some(IpAddr::V6(*address)),
            _ => None,
        }
    }

    /// Whether both mean the same, each kind by its own rules.
    fn matches(&self, other: &Id) -> bool {
        match (self, other) {
            (Id::Fqdn(ours), Id::Fqdn(theirs)) => same_host(ours, theirs),
            (Id::Rfc822(ours), Id::Rfc822(theirs)) => same_mailbox(ours, theirs),
            (Id::Dn(ours), Id::Dn(theirs)) => !ours.is_empty() && ours.matches(theirs),
            _ => self == other,
        }
    }
}

impl From<IpAddr> for Id {
    fn from(address: IpAddr) -> Id {
        match address {
            IpAddr::V4(v4) => Id::Ipv4(v4),
            IpAddr::V6(v6) => Id::Ipv6(v6),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        match self {
            Id::Ipv4(address) => address.fmt(f),
            Id::Fqdn(text) | Id::Rfc822(text) => write!(f, "{}", text.escape_debug()),
            Id::Ipv6(address) => address.fmt(f),
            Id::Dn(name) => name.fmt(f),
            Id::Other { data, .. } => data.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

/// Which certificate a connection expects of its peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentityRule {
    /// The subject's common name is this, but for letter case and surplus white space. Make it with
    /// [`IdentityRule::common_name`].
    SubjectCommonName(String),
    /// The whole subject is this name.
    Subject(Name),
    /// A subject alternative name is this.
    AltName(AltName),
}

impl IdentityRule {
    /// Azure's rule from a configured value, with or without the `CN=` that some of Azure's samples
    /// have.
    pub fn common_name(configured: &str) -> IdentityRule {
        let value = configured.trim();
        let bare = match value.split_at_checked(3) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("CN=") => rest.trim(),
            _ => value,
        };
        IdentityRule::SubjectCommonName(bare.to_owned())
    }

    /// The rule that an ID means where nothing else is configured: the certificate has the name
    /// itself (RFC 4945 §3.1). A key ID says nothing about a certificate.
    pub fn of_id(id: &Id) -> Option<IdentityRule> {
        Some(match id {
            Id::Dn(name) => IdentityRule::Subject(name.clone()),
            Id::Fqdn(name) => IdentityRule::AltName(AltName::Dns(name.clone())),
            Id::Rfc822(mailbox) => IdentityRule::AltName(AltName::Email(mailbox.clone())),
            _ => IdentityRule::AltName(AltName::Ip(id.address()?)),
        })
    }
}

/// For people: what the certificate must have.
impl fmt::Display for IdentityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityRule::SubjectCommonName(name) => write!(f, "CN={name}"),
            IdentityRule::Subject(name) => write!(f, "subject {name}"),
            IdentityRule::AltName(name) => name.fmt(f),
        }
    }
}

/// What a connection expects of its peer's identity.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The rule that the peer's certificate must fulfil.
    pub rule: IdentityRule,
    /// The addresses configured for the peer, as an ID may name one of them.
    pub addresses: Vec<IpAddr>,
    /// The one ID that the peer must send; `None` accepts each that is the certificate's or the
    /// peer's address.
    pub id: Option<Id>,
    /// The certificates of which the peer must present one; empty for any that fulfils the rule.
    pub pinned: Vec<Certificate>,
    /// Whether the common name of a certificate without subject alternative names counts as a host
    /// name.
    pub host_in_common_name: bool,
}

impl Expectation {
    /// Expects this certificate, with an ID that it bears itself.
    pub fn new(rule: IdentityRule) -> Expectation {
        Expectation {
            rule,
            addresses: Vec::new(),
            id: None,
            pinned: Vec::new(),
            host_in_common_name: true,
        }
    }

    /// Whether the peer with this certificate and this ID is the one expected, and by what the ID
    /// is its own.
    pub fn identify(&self, path: &ValidPath, id: &Id) -> Result<Binding, TrustRefusal> {
        let leaf = path.leaf();
        let of_leaf = |reason: IdentityReason| TrustRefusal::of(leaf, reason);
        self.check_rule(path).map_err(of_leaf)?;
        if !self.pinned.is_empty() && !self.pinned.contains(leaf) {
            return Err(of_leaf(IdentityReason::NotPinned));
        }
        if let Some(expected) = &self.id {
            if !expected.matches(id) {
                let (expected, found) = (expected.to_text(), id.to_text());
                return Err(of_leaf(IdentityReason::OtherId { expected, found }));
            }
            return Ok(self.binding(path, id).unwrap_or(Binding::ConfiguredId));
        }
        self.binding(path, id).ok_or_else(|| {
            let found = names(leaf);
            let text = id.to_text();
            of_leaf(IdentityReason::NotBound { id: id.to_string(), text, found })
        })
    }

    fn check_rule(&self, path: &ValidPath) -> Result<(), IdentityReason> {
        let leaf = path.leaf();
        match &self.rule {
            IdentityRule::SubjectCommonName(expected) => {
                let found = leaf.subject().common_name();
                if found.is_some_and(|found| !expected.is_empty() && fold(found) == fold(expected))
                {
                    return check_constrained(path, expected);
                }
                let found = found.map(|found| found.escape_debug().to_string());
                Err(IdentityReason::CommonName { expected: expected.clone(), found })
            }
            IdentityRule::Subject(expected)
                if !expected.is_empty() && expected.matches(leaf.subject()) =>
            {
                Ok(())
            }
            IdentityRule::Subject(expected) => {
                let (expected, found) = (expected.to_string(), leaf.subject().to_string());
                Err(IdentityReason::Subject { expected, found })
            }
            IdentityRule::AltName(expected) => {
                if leaf.alt_names().iter().any(|found| same_alt_name(expected, found)) {
                    return Ok(());
                }
                let (expected, found) = (expected.to_string(), alt_names(leaf));
                Err(IdentityReason::AltName { expected, found })
            }
        }
    }

    /// By what the ID belongs to the certificate or to the connection.
    fn binding(&self, path: &ValidPath, id: &Id) -> Option<Binding> {
        let leaf = path.leaf();
        if let Id::Dn(name) = id
            && !name.is_empty()
            && name.matches(leaf.subject())
        {
            return Some(if name == leaf.subject() {
                Binding::Subject
            } else {
                Binding::SubjectFolded
            });
        }
        let alt_name = match id {
            Id::Fqdn(name) => Some(AltName::Dns(name.clone())),
            Id::Rfc822(mailbox) => Some(AltName::Email(mailbox.clone())),
            _ => id.address().map(AltName::Ip),
        };
        if let Some(name) = alt_name
            && leaf.alt_names().iter().any(|found| same_alt_name(&name, found))
        {
            return Some(Binding::AltName);
        }
        if let Id::Fqdn(name) = id
            && self.host_in_common_name
            // RFC 5280 name constraints do not reach common names: under an authority that has
            // some, only what they reach may count as a host name.
            && !leaf.has_alt_names()
            && !path.constrains_names()
            && leaf.subject().common_name().is_some_and(|common| same_host(common, name))
        {
            return Some(Binding::CommonName);
        }
        let of_peer = id.address().is_some_and(|address| self.addresses.contains(&address));
        of_peer.then_some(Binding::PeerAddress)
    }
}

/// RFC 5280 §4.2.1.10: name constraints do not reach common names, so an authority that is limited
/// to some names could still issue for every common name. Under such an authority the name must
/// stand among the alternative names too, where the constraints reach it.
fn check_constrained(path: &ValidPath, name: &str) -> Result<(), IdentityReason> {
    let same = |found: &AltName| match found {
        AltName::Dns(found) => same_host(found, name),
        AltName::Email(found) => same_mailbox(found, name),
        AltName::Ip(found) => name.parse() == Ok(*found),
    };
    if !path.constrains_names() || path.leaf().alt_names().iter().any(same) {
        return Ok(());
    }
    let found = alt_names(path.leaf());
    Err(IdentityReason::CommonNameConstrained { expected: name.to_owned(), found })
}

/// By what an ID belongs to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Binding {
    /// It is the certificate's subject, byte for byte.
    Subject,
    /// It is the certificate's subject but for letter case, white space or string types.
    SubjectFolded,
    /// It is a subject alternative name of the certificate.
    AltName,
    /// It is the common name of a certificate without subject alternative names.
    CommonName,
    /// It is an address configured for the peer.
    PeerAddress,
    /// It is configured by itself.
    ConfiguredId,
}

/// The rule of identity that was broken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityReason {
    /// When the ID payload's data does not fit its type.
    #[error("the peer's {kind} payload cannot be read: {why}")]
    Malformed {
        /// The ID's type.
        kind: IdType,
        /// What is wrong with the data.
        why: String,
    },
    /// When the certificate's common name is another one.
    #[error("expected the common name \"{expected}\", found {}", quoted(.found))]
    CommonName {
        /// The name as configured.
        expected: String,
        /// The name in the certificate.
        found: Option<String>,
    },
    /// When the common name is right, an authority above constrains names, and no alternative name
    /// that the constraints reach is the same.
    #[error(
        "an authority above it constrains names, and the common name \"{expected}\" is not among its \
         alternative names ({found}), which the constraints reach"
    )]
    CommonNameConstrained {
        /// The name as configured.
        expected: String,
        /// The alternative names in the certificate.
        found: String,
    },
    /// When the certificate's subject is another one.
    #[error("expected the subject {expected}")]
    Subject {
        /// The name as configured.
        expected: String,
        /// The name in the certificate.
        found: String,
    },
    /// When the certificate lacks the alternative name.
    #[error("expected the alternative name {expected}, found {found}")]
    AltName {
        /// The name as configured.
        expected: String,
        /// The names in the certificate.
        found: String,
    },
    /// When the certificate is none of those that are pinned.
    #[error("it is none of the pinned certificates")]
    NotPinned,
    /// When the ID is another one than the one configured.
    #[error("expected the peer to call itself {expected}, it calls itself {found}")]
    OtherId {
        /// The ID as configured.
        expected: String,
        /// The ID payload.
        found: String,
    },
    /// When the ID is neither the certificate's nor configured.
    #[error(
        "the peer calls itself {id}, which is neither in its certificate ({found}) nor configured"
    )]
    NotBound {
        /// The ID payload.
        id: String,
        /// The ID payload, as the configuration has it.
        text: String,
        /// The names that the certificate has.
        found: String,
    },
}

impl IdentityReason {
    /// How to mend it.
    pub fn remedy(&self) -> String {
        match self {
            IdentityReason::Malformed { .. } => {
                "have the peer send ID_DER_ASN1_DN or ID_IPV4_ADDR".into()
            }
            IdentityReason::CommonName { found: Some(found), .. } => format!(
                "if \"{found}\" is the right peer, set outbound_certificate_subject_name = \"{found}\""
            ),
            IdentityReason::CommonName { found: None, .. } => {
                "set outbound_certificate_subject or outbound_certificate_alternative_name instead of the \
                 common name"
                    .into()
            }
            IdentityReason::CommonNameConstrained { expected, .. } => format!(
                "issue the peer's certificate again with the alternative name DNS:{expected}, or from \
                 an authority without name constraints"
            ),
            IdentityReason::Subject { found, .. } => format!(
                "if \"{found}\" is the right peer, set outbound_certificate_subject = \"{found}\""
            ),
            IdentityReason::AltName { .. } => {
                "set outbound_certificate_alternative_name to one that the certificate has".into()
            }
            IdentityReason::NotPinned => {
                "if the peer's certificate was renewed, put the new one into a file of \
                 outbound_certificate_pinned"
                    .into()
            }
            IdentityReason::OtherId { found: text, .. } | IdentityReason::NotBound { text, .. } => {
                format!("if the peer may call itself so, set remote_identity = \"{text}\"")
            }
        }
    }
}

fn quoted(found: &Option<String>) -> String {
    found.as_ref().map_or_else(|| "none".to_owned(), |found| format!("\"{found}\""))
}

fn alt_names(leaf: &Certificate) -> String {
    let names: Vec<String> = leaf.alt_names().iter().map(AltName::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn names(leaf: &Certificate) -> String {
    format!("subject {}, alternative names: {}", leaf.subject(), alt_names(leaf))
}

/// Host names: ASCII letter case and the final dot do not matter. No wildcards (RFC 4945 §3.1).
fn same_host(ours: &str, theirs: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    !bare(ours).is_empty() && bare(ours) == bare(theirs)
}

/// Mailboxes: letter case matters before the @ and not behind it (RFC 5280 §7.5).
fn same_mailbox(ours: &str, theirs: &str) -> bool {
    match (ours.rsplit_once('@'), theirs.rsplit_once('@')) {
        (Some((our_box, our_host)), Some((their_box, their_host))) => {
            our_box == their_box && same_host(our_host, their_host)
        }
        _ => false,
    }
}

fn same_alt_name(ours: &AltName, theirs: &AltName) -> bool {
    match (ours, theirs) {
        (AltName::Dns(ours), AltName::Dns(theirs)) => same_host(ours, theirs),
        (AltName::Email(ours), AltName::Email(theirs)) => same_mailbox(ours, theirs),
        (AltName::Ip(ours), AltName::Ip(theirs)) => ours == theirs,
        _ => false,
    }
}
