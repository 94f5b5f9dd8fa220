//! Certificates made and reviewed: the small certification authority behind `s2sd pki`, and the
//! page that tells whether certificates suit Azure. The trust path of a running connection is in
//! [`crate::pki`] and needs none of it.
//!
//! | where | what |
//! |---|---|
//! | `issue` | an authority, and the certificates that it signs |
//! | `review` | certificates against the rules of Azure's article, in words |
//! | `text` | certificates and keys as PEM, and as the one line that Azure takes |

pub(crate) mod issue;
pub(crate) mod review;
pub(crate) mod text;
