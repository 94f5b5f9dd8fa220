//! Certificates, made: a small authority for the certificates of one or a few tunnels.
//!
//! | file | what |
//! |---|---|
//! | `order.rs` | [`CertificateOrder`]: the wanted certificate, by Azure's profiles |
//! | `authority.rs` | [`Authority`]: a certificate that may issue, with its key |
//! | `request.rs` | [`IssuanceRequest`]: a request to an authority that others run |
//! | `signer.rs` | our private key in the form that rcgen takes |
//!
//! The profiles are those of Azure's article on certificate authentication: a root with a path
//! length of 4 that may sign certificates and CRLs; leaves for server and client authentication, a
//! subject of one common name, no key usage. They carry the issuer's key identifier besides, so
//! that a renewed authority is distinguished from the old one of the same name.
//!
//! rcgen encodes. Every certificate that it made is read back by
//! [`Certificate`](crate::pki::certificate::Certificate) and its signature is checked, so that
//! rcgen cannot encode the issuer's name in another way than the issuer's own certificate does.

mod authority;
mod order;
mod request;
mod signer;

pub use authority::Authority;
pub use order::{AltNameError, CertificateKind, CertificateOrder, alt_name};
pub use request::IssuanceRequest;
