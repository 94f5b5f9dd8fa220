//! One named test for each class of fault that IKE daemons have had, against a whole engine with
//! real cryptography and real certificates.
//!
//! ```text
//!   Hand: a peer whose every octet       ── datagrams ──>   Target: an Endpoint, as the service
//!   is the test's; genuine keys          <── datagrams ──   has it
//! ```
//!
//! | file | what may come |
//! |---|---|
//! | `before` | before anything is authenticated: from anybody |
//! | `exchange` | in the key exchange: sizes, weak values, points off the curve, both ways |
//! | `fragments` | in pieces |
//! | `proof` | as a proof of identity: certificates, keys, signatures |
//! | `after` | from a peer that is authenticated and means ill |
//! | `lengths` | at the edges of every length field, sealed as if the peer had meant it |
//!
//! After each attack the target must be what it was: no SA that nobody proved, nothing kept beyond
//! its bounds, and a genuine peer still gets in ([`target::Target::expect_unharmed`]).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod after;
mod before;
mod exchange;
mod fragments;
mod hand;
mod lengths;
mod people;
mod proof;
mod target;
