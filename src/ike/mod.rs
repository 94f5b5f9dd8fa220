//! The IKEv2 engine without I/O: bytes, time and randomness go in as values, an ordered list of
//! effects comes out.
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
//! A handshake is a line, so each of its phases is a struct that a transition consumes. An
//! established IKE SA is not: both ends ask at once, so it has two windows that know nothing of
//! each other, and what crosses is decided by the pure functions of [`collision`]. Everything one
//! remote gateway owns sits in one `peer`, so that what concerns two of its IKE SAs (rekeying,
//! re-authentication, both ends dialling at once) is settled in one place.
//!
//! **The outside**
//!
//! | file | noun |
//! |---|---|
//! | `endpoint` | [`Endpoint`]: routing, turns, the schedule |
//! | [`config`], [`command`], [`output`], [`event`], [`path`], [`ids`] | what goes in and what comes out |
//! | [`authenticator`], [`certificates`] | how the ends prove themselves, and the real way of it |
//! | [`snapshot`] | the engine put down and picked up |
//! | `admissions`, [`budget`], [`cookie`] | input without an SA: admission and its bounds |
//! | [`schedule`], `spis` | when to wake up; whose SPI is whose |
//!
//! **One peer**
//!
//! | file | noun |
//! |---|---|
//! | `peer` | its attempts, IKE SAs and drains; what one of them means for another |
//! | `care` | what it lacks, and when to do something about it: dialling, empty slots, one SA too many |
//! | `init`, `auth` | the handshake's phases, both roles |
//! | `sa`, [`child`], `task`, [`window`] | an established IKE SA, its children, its wishes, its message ids |
//! | `channel`, [`fragment`] | sealing and opening, cutting and joining |
//! | `dialogue` | what messages mean: wish to request, request to answer, answer to consequence |
//! | `create_child`, `rekey_child`, `rekey_ike`, `informational` | one exchange each |
//!
//! **Rules and tables**, pure all of them
//!
//! | file | noun |
//! |---|---|
//! | [`acceptance`], [`stage`] | what each message must and may contain |
//! | [`collision`] | what to do when both ends do something at once |
//! | [`proposal`], [`combination`], [`narrow`], [`natd`] | suites, selectors, NATs |
//! | [`lifetime`], [`liveness`], [`retransmit`], [`jitter`] | when |
//! | [`error`] | whose fault, what the peer is told, what becomes of things |
//! | [`refusal`], [`difference`], [`setting`], [`azure`] | why not, and which setting would mend it |
//! | [`profile`] | whose manners: our own, or Azure's for tests |

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
