//! Bytes to types and back. Decoding never panics and never trusts a length it has not checked.
//!
//! # IKE
//!
//! A [`message`] is a [`header`], a [`chain`] of payloads in clear and, in all exchanges but the
//! first, an encrypted payload ([`sk`]) with another chain inside. Each payload has a file of its
//! own.
//!
//! - What was decoded encodes to the same bytes: unknown types, transforms and attributes are kept,
//!   and so are [`reserved`] bits, which no comparison sees.
//! - Whatever cannot be right on its own (a nonce of 3 bytes, a range that ends before it starts)
//!   does not decode; the [`error`] names payload, field and byte. What is only wrong in context is
//!   the engine's to judge.
//! - Every count has a cap, stated where the list is: no input makes us allocate more than a small
//!   multiple of itself.
//!
//! # Packets
//!
//! [`ip`], [`tcp`], [`udp`] and [`icmp`] are what the data plane reads and rewrites, over one
//! [`checksum`]; [`esp`] is the packet that carries them, [`datagram`] tells it from IKE on port
//! 4500, and [`vnet`] is the header of a frame at the tunnel device.
//!
//! # Traffic selectors
//!
//! [`address`] and [`ports`] are ranges; a [`selector`] is a box of them, a [`selector_set`] a
//! union of boxes, and [`narrow`] is what a responder does with an offer.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

pub mod codes;
pub mod error;
pub mod header;
pub mod message;
pub mod packet;
pub mod payload;
pub mod reader;
pub mod reserved;
pub mod selector;
pub mod spi;
#[cfg(test)]
mod tests;
pub mod writer;
