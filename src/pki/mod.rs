//! Certificates, identities and the AUTH payload: pure functions of bytes and time. No file is
//! opened here and no clock read; callers bring bytes, a label for messages, and the time.
//!
//! | file | noun |
//! |---|---|
//! | [`algorithm`] | the signature schemes behind AlgorithmIdentifiers |
//! | [`auth`] | the AUTH payload: choose, sign, verify |
//! | [`certificate`] | one certificate, read once |
//! | [`chain`] | certificates in the order in which they issued each other |
//! | [`crl`] | one revocation list |
//! | [`identity`] | the ID payload against certificate and configuration |
//! | [`issue`] | certificates, made: an authority and what it signs |
//! | [`load`] | files to certificates, keys and CRLs; `pem` and `pkcs12` are its readers |
//! | [`name`] | distinguished names |
//! | [`own`] | our own certificate, its path and its key |
//! | [`path`] | the way to a configured root: trust, rules, revocation, diagnosis |
//! | [`refusal`] | why not, and what would mend it |
//! | [`review`] | certificates against the rules of Azure's article, in words |
//! | [`text`] | certificates and keys as text to be written |
//!
//! A peer is accepted in three steps, each taking what the one before it made:
//!
//! ```text
//!   CERT payloads --Trust::validate--> ValidPath --Expectation::identify--> Binding
//!                                          '-------auth::verify-----------> Scheme
//! ```

pub mod algorithm;
pub mod auth;
pub mod certificate;
pub mod chain;
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
