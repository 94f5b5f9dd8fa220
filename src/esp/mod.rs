//! One security association, one packet: ESP in tunnel mode (RFC 4303) without sockets, devices or
//! threads.
//!
//! ```text
//! out:  reserve(n) ──> SeqRange ──> Seq ──> seal: SPI, trailer, cipher
//!                                           (a number is moved into the packet)
//! in:   precheck ──> open: cipher ──> commit ──> trailer ──> inner packet
//!                                     (the window moves only after authentication)
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`counters`] | counters of one SA: gathered in a local, flushed once a batch |
//! | [`drop_reason`] | why a packet was dropped, and the index of its counter: one table |
//! | [`inbound`] | the receiving half of an SA pair |
//! | [`lease`] | sequence numbers, unique over a crash: leased from a ledger, spent once |
//! | [`limits`] | the packets, bytes and time that an SA may serve, and its usage |
//! | [`outbound`] | the sending half of an SA pair |
//! | [`replay`] | the anti-replay window, and the upper half of extended sequence numbers |

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

pub mod counters;
pub mod drop_reason;
pub mod inbound;
pub mod lease;
pub mod limits;
pub mod outbound;
pub mod replay;

pub use counters::{Counters, PacketTally};
pub use drop_reason::DropReason;
pub use inbound::{Inbound, OpenedPacket};
pub use lease::{Ceiling, Lease, Seq, SeqRange};
pub use limits::{Limits, Quota, Usage, UsageLimit};
pub use outbound::Outbound;
pub use replay::Replay;

#[cfg(test)]
mod tests;
