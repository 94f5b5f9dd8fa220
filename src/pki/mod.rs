//! Certificates, identities and the AUTH payload: pure functions of bytes and time. No file is
//! opened here and no clock read; callers bring bytes, a label for messages, and the time.
//!
//! | where | what |
//! |---|---|
//! | [`load`] | files to certificates, keys and CRLs; `pem` and `pkcs12` are its readers |
//! | [`certificate`], [`crl`], `signed` | a certificate; a revocation list; their common shape |
//! | [`name`], [`common_name`] | distinguished names; the common name that an operator writes |
//! | `algorithm` | the signature schemes behind AlgorithmIdentifiers |
//! | `chain` | certificates in the order in which they issued each other |
//! | [`path`] | from a certificate to a configured root: trust, rules, revocation, diagnosis |
//! | [`identity`] | the ID payload against certificate and configuration |
//! | [`auth`] | the AUTH payload: choose a signature, sign, verify |
//! | [`own_identity`] | our own certificate, its path and its key |
//! | [`refusal`] | why a peer was refused, and how to mend it |
//!
//! Certificates are issued and reviewed in [`crate::certs`].
//!
//! A peer is accepted in three steps, each of which takes the result of the one before:
//!
//! ```text
//!   CERT payloads --Trust::validate--> ValidPath --Expectation::identify--> Binding
//!                                          '-------auth::verify-----------> Scheme
//! ```

pub(crate) mod algorithm;
pub mod auth;
pub mod certificate;
pub(crate) mod chain;
pub mod common_name;
pub mod crl;
pub mod identity;
pub mod load;
pub mod name;
pub mod own_identity;
pub mod path;
mod pem;
mod pkcs12;
pub mod refusal;
mod signed;

pub use pkcs12::{Pkcs12Error, Pkcs12Protection, write_pkcs12};
pub use refusal::{TrustReason, TrustRefusal};
