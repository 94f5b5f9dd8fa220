//! The IKEv2 engine without I/O: bytes, time and randomness go in as values, an ordered list of effects comes out.
//!
//! ```text
//!              handle_datagram   handle_timeout   handle_data_event   command
//!                     │                │                 │               │
//!                     ▼                ▼                 ▼               ▼
//!   ┌ Endpoint ───────────────────────────────────────────────────────────────────────┐
//!   │  routes: SPI ─> peer      schedule: (deadline, peer)      admission of strangers │
//!   │  ┌ Peer ──────────────────────────────────────────────────────────────────────┐ │
//!   │  │  dialling   handshakes: InitSent ─> AuthSent      InitAnswered ─┐           │ │
//!   │  │                                        │                        │           │ │
//!   │  │  ┌ IkeSa ◄─────────────────────────────┴────────────────────────┘           │ │
//!   │  │  │  tasks wanted ─> exchange in flight (RequestWindow)     ChildSa, ChildSa │ │
//!   │  │  │  peer's request ─> reply cached     (ReplyWindow)                        │ │
//!   │  └────────────────────────────────────────────────────────────────────────────┘ │
//!   └─────────────────────────────────────────────────────────────────────────────────┘
//!                     │                                                  │
//!                poll_output: one ordered stream              poll_timeout: when, and why
//! ```
//!
//! A handshake is a line, so each of its phases is a struct that a transition consumes. An established IKE SA is not:
//! both ends ask at once, so it has two windows that know nothing of each other, and what crosses is decided by the
//! pure functions of [`collision`]. Everything one remote gateway owns sits in one [`peer`], so that what concerns two of
//! its IKE SAs (rekeying, re-authentication, both ends dialling at once) is settled in one place.
//!
//! | file | noun |
//! |---|---|
//! | [`config`], [`command`], [`output`], [`event`] | what goes in and what comes out |
//! | [`authenticator`] | how the ends prove themselves: certificates, or the simulator's toy |
//! | [`error`], [`stage`] | whose fault, what the peer is told, what becomes of things |

pub mod acceptance;
mod auth;
pub mod authenticator;
pub mod azure;
pub mod budget;
mod care;
pub mod certificates;
mod channel;
pub mod child;
pub mod collision;
pub mod combination;
pub mod command;
pub mod config;
pub mod cookie;
mod create_child;
mod ctx;
mod dialogue;
pub mod difference;
mod endpoint;
pub mod error;
pub mod event;
mod exchange;
pub mod fragment;
pub mod ids;
mod informational;
mod init;
pub mod jitter;
pub mod lifetime;
pub mod liveness;
pub mod narrow;
pub mod natd;
pub mod output;
pub mod path;
mod peer;
pub mod profile;
pub mod proposal;
pub mod refusal;
mod rekey_child;
mod rekey_ike;
pub mod retransmit;
mod sa;
pub mod schedule;
pub mod setting;
pub mod snapshot;
mod spis;
pub mod stage;
mod strangers;
mod task;
pub mod window;

#[cfg(test)]
mod tests;

pub use endpoint::Endpoint;
pub use ids::{ChildId, PeerId, Slot};
pub use schedule::Timer;
pub use snapshot::Snapshot;
