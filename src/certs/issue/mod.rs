//! Certificates, made: a small authority for the certificates of one or a few tunnels.
//!
//! | file | noun |
//! |---|---|
//! | `order.rs` | [`CertificateOrder`]: what is wanted; names, months, the profiles of Azure's article |
//! | `authority.rs` | [`Authority`]: a certificate with its key, that signs |
//! | `signer.rs` | our private key as rcgen takes one |
//!
//! The profiles are those of Azure's article on certificate authentication: a root with a path
//! length of 4 that may sign certificates and CRLs; leaves for server and client authentication, a
//! subject of one common name, no key usage. They carry the issuer's key identifier besides, so
//! that a renewed authority of the same name is told from the old one.
//!
//! rcgen encodes; what it made is read back by [`Certificate`](super::certificate::Certificate) and
//! its signature checked, so a name that it would encode in another way than the issuer's
//! certificate has it cannot leave this module.

mod authority;
mod order;
mod signer;

pub use authority::{Authority, IssueError};
pub use order::{AltNameError, CertificateKind, CertificateOrder, alt_name};
