//! Certificate revocation lists (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::unix;
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
    scope: Option<Vec<u8>>,
    list: CertRevocationList<'static>,
}

/// The extension that limits a list to a part of an authority's certificates (RFC 5280 §5.2.5).
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";

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
    /// Delta and indirect CRLs, lists by reason, and such without the date of the next one.
    #[error("it is a kind of CRL that is not supported ({0})")]
    Unsupported(String),
}

impl Crl {
    /// Reads a whole CRL, which must be complete and of version 2.
    pub fn from_der(der: &[u8]) -> Result<Crl, CrlError> {
        if der.len() > MAX_CRL_SIZE {
            return Err(CrlError::TooBig(der.len()));
        }
        let malformed = |why: &dyn fmt::Display| CrlError::Malformed(why.to_string());
        Signed::read(der).map_err(|error| malformed(&error))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(der).map_err(|error| malformed(&error))?;
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|error| CrlError::Unsupported(error.to_string()))?;
        let next_update = parsed
            .next_update()
            .ok_or_else(|| CrlError::Unsupported("no date of the next update".to_owned()))?;
        let revoked = parsed.iter_revoked_certificates().map(|entry| Revoked {
            serial: entry.raw_serial().to_vec(),
            at: unix(entry.revocation_date),
            why: entry.reason_code().map(|(_, reason)| reason.to_string()),
        });
        let scope = parsed
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT);
        Ok(Crl(Arc::new(CrlFields {
            der: der.to_vec(),
            issuer: Name::from_der(parsed.issuer().as_raw()).map_err(|error| malformed(&error))?,
            this_update: unix(parsed.last_update()),
            next_update: unix(next_update),
            revoked: revoked.collect(),
            scope: scope.map(|extension| extension.value.to_vec()),
            list: list.into(),
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

    pub(super) fn as_webpki(&self) -> &CertRevocationList<'static> {
        &self.0.list
    }

    /// Which part of the authority's certificates it is about, as the authority wrote it; `None` is
    /// all of them.
    pub(super) fn scope(&self) -> Option<&[u8]> {
        self.0.scope.as_deref()
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
