//! The IKEv2 engine (RFC 7296), without I/O: bytes, time and randomness go in as values, an ordered
//! list of effects comes out. [`Endpoint`] says how it is used.
//!
//! ```text
//!              handle_datagram   handle_timeout   handle_data_event   command
//!                     │                │                 │               │
//!                     ▼                ▼                 ▼               ▼
//!   ┌ Endpoint ───────────────────────────────────────────────────────────────────────┐
//!   │  SPI ─> peer      schedule: (deadline, peer)    admission: messages without SA  │
//!   │  ┌ Peer ──────────────────────────────────────────────────────────────────────┐ │
//!   │  │  dialling   handshakes: InitSent ─> AuthSent      InitAnswered ─┐          │ │
//!   │  │                                        │                        │          │ │
//!   │  │  ┌ IkeSa ◄─────────────────────────────┴────────────────────────┘          │ │
//!   │  │  │  queued tasks ─> request in flight (RequestWindow)     ChildSa, ChildSa │ │
//!   │  │  │  peer's request ─> response cached (ReplyWindow)                        │ │
//!   │  └────────────────────────────────────────────────────────────────────────────┘ │
//!   └─────────────────────────────────────────────────────────────────────────────────┘
//!                     │                                                  │
//!                poll_output: one ordered stream              poll_timeout: when, and why
//! ```
//!
//! A handshake is a line, so each of its phases is a struct that a transition consumes. An
//! established IKE SA is not: both ends send requests at once, so it has two windows that know
//! nothing of each other, and simultaneous requests are decided by the pure functions of
//! [`collision`](exchange::collision). Everything of one remote gateway is in one
//! [`Peer`](peer::Peer), so that whatever concerns two of its IKE SAs (rekeys, re-authentication,
//! both ends dialling at once) is decided in one place.
//!
//! | folder or file | what lives there |
//! |---|---|
//! | [`endpoint`] | [`Endpoint`], the interface: inputs, outputs, configuration, the schedule |
//! | [`admission`] | messages without an SA: half-open bounds, cookies, budgets |
//! | [`peer`] | one remote gateway: dialling, handshakes, what it lacks and what is one too many |
//! | [`sa`] | an established IKE SA: windows, retransmission, dead peer detection, child SAs |
//! | [`exchange`] | one file for each exchange, from IKE_SA_INIT to INFORMATIONAL; collisions |
//! | [`negotiation`] | proposals, traffic selector narrowing, NAT detection |
//! | [`authenticator`] | how the ends prove their identity: a trait, certificates behind it |
//! | [`diagnosis`] | why something was refused, which setting differs, what would mend it |
//! | [`error`] | the engine's failures: whose fault, what the peer is told, what follows |
//! | [`snapshot`] | the state as octets, to go on after a restart |
//! | [`testing`] | deliberate faults, and Azure's behaviour, for tests |
//! | [`ids`] | identifiers of peers, child SAs and slots |
//! | [`path`] | addresses and ports, UDP 4500 (NAT-T), who may change the peer's address |

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

pub mod admission;
pub mod authenticator;
pub mod diagnosis;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod ids;
pub mod negotiation;
pub mod path;
pub mod peer;
pub mod sa;
pub mod snapshot;
pub mod testing;

#[cfg(test)]
mod tests;

pub use endpoint::schedule::Timer;
pub use endpoint::{Endpoint, IkeFacts};
pub use ids::{ChildId, PeerId, Slot};
pub use snapshot::Snapshot;
