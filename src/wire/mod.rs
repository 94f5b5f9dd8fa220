//! Bytes to types and back. Decoding never panics and never trusts a length it has not checked.
//!
//! # IKE
//!
//! A [`message`] is a [`header`], a [`chain`] of payloads in clear and, in all exchanges but the first, an encrypted
//! payload ([`sk`]) with another chain inside. Each payload has a file of its own.
//!
//! - What was decoded encodes to the same bytes: unknown types, transforms and attributes are kept, and so are
//!   [`reserved`] bits, which no comparison sees.
//! - Whatever cannot be right on its own (a nonce of 3 bytes, a range that ends before it starts) does not decode; the
//!   [`error`] names payload, field and byte. What is only wrong in context is the engine's to judge.
//! - Every count has a cap, stated where the list is: no input makes us allocate more than a small multiple of itself.
//!
//! # Traffic selectors
//!
//! [`address`] and [`ports`] are ranges; a [`selector`] is a box of them, a [`selector_set`] a union of boxes, and
//! [`narrow`] is what a responder does with an offer.
//!
//! # DER
//!
//! [`der`] reads what keys, names and algorithm identifiers are made of; `crypto` and `pki` know what they mean.

pub mod address;
pub mod auth;
pub mod cert;
pub mod chain;
pub mod codes;
pub mod cp;
pub mod delete;
pub mod der;
pub mod eap;
pub mod error;
pub mod header;
pub mod id;
pub mod ke;
pub mod message;
pub mod narrow;
pub mod nonce;
pub mod notify;
pub mod payload;
pub mod ports;
pub mod reader;
pub mod reserved;
pub mod sa;
pub mod selector;
pub mod selector_set;
pub mod sk;
mod span;
pub mod spi;
pub mod ts;
pub mod vendor;
pub mod writer;

#[cfg(test)]
mod tests;
