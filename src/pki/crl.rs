//! Certificate revocation lists (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{Certificate, addresses, unix};
use super::name::Name;
use super::signed::Signed;
use crate::crypto::signature::PublicKey;
use crate::time::UnixTime;

/// The largest CRL read, in octets.
pub const MAX_CRL_SIZE: usize = 4 * 1024 * 1024;

/// A CRL. Cloning shares it. The signature is verified when a path is checked, because only then
/// the issuer's key is known.
#[derive(Clone)]
pub struct Crl(Arc<CrlFields>);

struct CrlFields {
    der: Vec<u8>,
    issuer: Name,
    this_update: UnixTime,
    next_update: UnixTime,
    revoked: Vec<Revoked>,
    scope: Option<CrlScope>,
}

/// The part of an authority's certificates that a list is about (RFC 5280 §5.2.5).
#[derive(Debug, Eq, PartialEq)]
pub(super) struct CrlScope {
    /// No authorities.
    only_users: bool,
    /// Authorities alone.
    only_authorities: bool,
    /// Those that name one of these addresses, or none.
    points: Option<Vec<String>>,
    /// The extension as the authority wrote it.
    value: Vec<u8>,
}

/// The extension that limits a list to a part of an authority's certificates (RFC 5280 §5.2.5).
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
/// The extension of a list that only says what changed (RFC 5280 §5.2.4).
const DELTA: &str = "2.5.29.27";
/// The extensions that a list may have: its number, its key, its part.
const KNOWN: [&str; 3] = ["2.5.29.20", "2.5.29.35", ISSUING_DISTRIBUTION_POINT];
/// The extensions that a line may have: why, since when.
const KNOWN_OF_LINE: [&str; 2] = ["2.5.29.21", "2.5.29.24"];

/// One line of a CRL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Revoked {
    pub serial: Vec<u8>,
    pub at: UnixTime,
    pub why: Option<String>,
}

/// Why bytes are no CRL that can be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CrlError {
    /// More octets than [`MAX_CRL_SIZE`].
    #[error("it has {0} octets; at most {MAX_CRL_SIZE} are read")]
    TooBig(usize),
    /// Not a CRL in DER.
    #[error("it is not a CRL in DER ({0})")]
    Malformed(String),
    /// Delta and indirect CRLs, lists by reason, of attribute certificates, and such without the
    /// date of the next one.
    #[error("it is a kind of CRL that is not supported ({0})")]
    Unsupported(String),
}

impl Crl {
    /// Reads a whole CRL, which must be complete. Version 1, without extensions, is what `openssl
    /// ca -gencrl` makes unless told otherwise.
    ///
    /// rustls-webpki reads no list of version 1, and none about users or authorities alone that
    /// names no distribution point. It judges no path by a list here
    /// ([`super::path`]), so what a list may say is decided in this file.
    pub fn from_der(der: &[u8]) -> Result<Crl, CrlError> {
        if der.len() > MAX_CRL_SIZE {
            return Err(CrlError::TooBig(der.len()));
        }
        let malformed = |why: &dyn fmt::Display| CrlError::Malformed(why.to_string());
        Signed::read(der).map_err(|error| malformed(&error))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(der).map_err(|error| malformed(&error))?;
        let next_update = parsed
            .next_update()
            .ok_or_else(|| CrlError::Unsupported("no date of the next update".to_owned()))?;
        let unsupported = |what: &str| Err(CrlError::Unsupported(what.to_owned()));
        if parsed.tbs_cert_list.signature != parsed.signature_algorithm {
            return Err(malformed(&"it names two signature algorithms"));
        }
        for extension in parsed.extensions() {
            let oid = extension.oid.to_id_string();
            if oid == DELTA {
                return unsupported("a delta CRL");
            }
            // RFC 5280 §5.2: a critical extension that is not understood forbids the use.
            if extension.critical && !KNOWN.contains(&oid.as_str()) {
                return unsupported(&format!("the critical extension {oid}"));
            }
        }
        for line in parsed.iter_revoked_certificates() {
            let known = |extension: &&X509Extension<'_>| {
                KNOWN_OF_LINE.contains(&extension.oid.to_id_string().as_str())
            };
            // An indirect CRL names other issuers so (RFC 5280 §5.3.3).
            if let Some(extension) = line.extensions().iter().find(|e| e.critical && !known(e)) {
                return unsupported(&format!("the critical extension {} of a line", extension.oid));
            }
        }
        let revoked = parsed.iter_revoked_certificates().map(|entry| Revoked {
            serial: entry.raw_serial().to_vec(),
            at: unix(entry.revocation_date),
            why: entry.reason_code().map(|(_, reason)| reason.to_string()),
        });
        let mut scope = None;
        for extension in parsed.extensions() {
            if extension.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT {
                scope = Some(CrlScope::read(extension)?);
            }
        }
        Ok(Crl(Arc::new(CrlFields {
            der: der.to_vec(),
            issuer: Name::from_der(parsed.issuer().as_raw()).map_err(|error| malformed(&error))?,
            this_update: unix(parsed.last_update()),
            next_update: unix(next_update),
            revoked: revoked.collect(),
            scope,
        })))
    }

    /// The distinguished name of the issuer.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The time at which the CRL was made.
    pub fn this_update(&self) -> UnixTime {
        self.0.this_update
    }

    /// The time until which the issuer promises the next CRL.
    pub fn next_update(&self) -> UnixTime {
        self.0.next_update
    }

    /// Which part of the authority's certificates it is about; `None` is all of them.
    pub(super) fn scope(&self) -> Option<&CrlScope> {
        self.0.scope.as_ref()
    }

    /// Whether a certificate of its issuer is in its part, so that not to be listed means
    /// something. A certificate without distribution points fits every one.
    pub(super) fn covers(&self, certificate: &Certificate) -> bool {
        let Some(scope) = self.scope() else {
            return true;
        };
        let of_kind = if certificate.is_ca() { !scope.only_users } else { !scope.only_authorities };
        let at_point = match (&scope.points, certificate.crl_points()) {
            (Some(ours), Some(named)) => ours.iter().any(|point| named.contains(point)),
            _ => true,
        };
        of_kind && at_point
    }

    /// The line about a serial number.
    pub(super) fn entry(&self, serial: &[u8]) -> Option<&Revoked> {
        self.0.revoked.iter().find(|entry| entry.serial == serial)
    }

    /// Whether `key` made it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        Signed::read(&self.0.der).is_ok_and(|signed| signed.verify(key).is_ok())
    }
}

impl CrlScope {
    fn read(extension: &X509Extension<'_>) -> Result<CrlScope, CrlError> {
        let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() else {
            let why = "issuing distribution point that cannot be read";
            return Err(CrlError::Malformed(why.to_owned()));
        };
        let unsupported = |what: &str| Err(CrlError::Unsupported(what.to_owned()));
        if point.indirect_crl {
            return unsupported("an indirect CRL");
        }
        if point.only_some_reasons.is_some() {
            return unsupported("a list by reason");
        }
        if point.only_contains_attribute_certs {
            return unsupported("a list of attribute certificates");
        }
        if point.only_contains_user_certs && point.only_contains_ca_certs {
            let why = "it is about users alone and about authorities alone";
            return Err(CrlError::Malformed(why.to_owned()));
        }
        Ok(CrlScope {
            only_users: point.only_contains_user_certs,
            only_authorities: point.only_contains_ca_certs,
            points: point.distribution_point.as_ref().map(addresses),
            value: extension.value.to_vec(),
        })
    }
}

impl fmt::Display for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issuer, made, revoked) = (self.issuer(), self.this_update(), self.0.revoked.len());
        write!(f, "{issuer}, made on {made}, {revoked} revoked")
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Crl({}, {}, {} revoked)",
            self.issuer(),
            self.this_update(),
            self.0.revoked.len()
        )
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Crl) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Crl {}
