//! The certificate path from a peer's certificate to a root that is configured for *this*
//! connection.
//!
//! | file | what |
//! |---|---|
//! | `trust.rs` | [`Trust`]: roots, intermediates, CRLs, thumbprints; [`Trust::validate`] |
//! | `rules.rs` | what each certificate on a path must be, by its place |
//! | `revocation.rs` | CRLs and thumbprints against a path |
//! | `diagnosis.rs` | why no path was found |
//! | `reason.rs` | [`PathReason`]: the rules, as refusals |
//!
//! **Who decides.** rustls-webpki searches the path and decides on signatures, dates, basic
//! constraints and names. What it leaves to its caller is decided in `rules.rs` on every path that
//! it proposes: the root's own dates and path length (it takes a root as a bare name and key), key
//! usages, the sizes of keys, stricter purposes; and in `revocation.rs`: CRLs and thumbprints. When
//! no path stands, `diagnosis.rs` walks up from the leaf once more and names the first rule that
//! breaks. It explains; it never accepts.
//!
//! **What must pass.** Certificates as Azure's pages make them: no subject alternative name, no key
//! usage on the leaf, no key identifiers, no CRL distribution point, a root with keyCertSign alone.
//! So an absent extension is never an error, but a present one is taken at its word. Version 1
//! certificates pass as roots only.
//!
//! **What a peer may send**: [`MAX_CERTIFICATES`] certificates in any order; the leaf is the first
//! that is no authority. Roots among them are ignored, only configured ones count.

mod diagnosis;
mod reason;
mod revocation;
mod rules;
mod trust;

use super::certificate::Certificate;

pub use reason::PathReason;
pub use trust::{CrlDemand, Purposes, Roots, StaleCrls, Trust};

/// The most certificates of a peer that are looked at.
pub const MAX_CERTIFICATES: usize = 32;

/// A path that passed every rule: only [`Trust::validate`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ValidPath {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    root: Certificate,
}

impl ValidPath {
    /// The peer's own certificate, whose key signs the AUTH payload.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The intermediates, from the leaf's issuer upwards.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The configured root at the end of the path.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// Every certificate from the leaf to the root.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Certificate> {
        std::iter::once(&self.leaf).chain(&self.intermediates).chain(std::iter::once(&self.root))
    }

    /// Whether an authority on the path limits the names below it.
    pub fn constrains_names(&self) -> bool {
        self.iter().skip(1).any(Certificate::constrains_names)
    }

    /// Each certificate below the root with the one that issued it.
    fn links(&self) -> impl Iterator<Item = (&Certificate, &Certificate)> {
        self.iter().zip(self.iter().skip(1))
    }
}
