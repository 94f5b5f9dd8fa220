//! Peers' certificates, good and bad: each bad one is refused for its own reason, at the right
//! certificate.

#![allow(clippy::unwrap_used, reason = "a panic is how a test tells")]

mod identities;
mod maker;
mod own;
mod paths;
