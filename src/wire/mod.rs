//! Bytes to types and back. Decoding never panics and never trusts a length that was not checked.
//!
//! | where | what |
//! |---|---|
//! | [`header`], [`message`] | the IKE header; a whole IKE message |
//! | [`payload`] | a file for each IKE payload, the chain of payloads, the encrypted payload |
//! | [`codes`], [`spi`], [`reserved`] | IANA's numbers as names; SPIs; reserved bits |
//! | `reader`, `writer`, [`error`] | the cursors under decoders and encoders; decoding errors |
//! | [`packet`] | what the data plane rewrites: IP, TCP, UDP, ICMP, ESP, virtio-net |
//! | [`selector`] | traffic selectors as sets of packets, and their narrowing |
//!
//! # IKE
//!
//! A [`message`] is a [`header`], a [`chain`](payload::chain) of payloads in clear and, in all
//! exchanges but the first, an encrypted payload ([`sk`](payload::sk)) with another chain inside.
//!
//! - What was decoded encodes to the same bytes: unknown types, transforms and attributes are kept,
//!   and so are [`reserved`] bits, which no comparison sees.
//! - Whatever cannot be right on its own (a nonce of 3 bytes, a range that ends before it starts)
//!   does not decode; the [`error`] names payload, field and byte. What is only wrong in context,
//!   the engine decides.
//! - Every count has a limit, stated where the list is: no input makes a decoder allocate more than
//!   a small multiple of the input's length.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

pub mod codes;
pub mod error;
pub mod header;
pub mod message;
pub mod packet;
pub mod payload;
pub(crate) mod reader;
pub mod reserved;
pub mod selector;
pub mod spi;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
