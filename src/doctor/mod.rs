//! `s2sd azure doctor`: a connection looked at from end to end, in the order in which a packet
//! meets trouble.
//!
//! ```text
//!   configuration ─> certificates ─> clock ─> service ─> addresses ─┐                        for the connection
//!   ┌───────────────────────────────────────────────────────────────┘
//!   └> route ─> UDP 500, 4500 ─> proposal ─> NAT, fragmentation ─> authentication ─┐         for each tunnel
//!   ┌──────────────────────────────────────────────────────────────────────────────┘
//!   └> ESP proposal ─> selectors ─> rekeying ─> MTU ─> packets
//!
//!   this host, the service, the network ── probe, examination ──> Facts ── judge ──> Diagnosis
//! ```
//!
//! **Judging is pure.** What was seen becomes [`facts::Facts`], a value; what it means is decided
//! by functions of that value, which tests drive by tables. Only [`probe`] and [`examination`]
//! touch sockets, clocks and files.
//!
//! **One fault, one line.** What follows from a fault is not a fault of its own: later checks say
//! that they could not be looked at, so that the first line that fails is the one to mend.
//!
//! **A gateway is asked gently.** A question is a few packets, and all but two leave nothing behind
//! at the gateway, see [`probe::knock`]. The service is asked for its status, and for one child's
//! new keys: a difference in perfect forward secrecy shows in no other way before the keys run out,
//! hours later.
//!
//! | file | noun |
//! |---|---|
//! | [`examination`] | the order of looking |
//! | [`probe`] | looking |
//! | [`facts`] | what was seen |
//! | [`judge`](mod@judge) | what it means |
//! | [`finding`] | what is said |
//! | [`az`] | the commands for Azure's side |

pub mod az;
pub mod facts;
pub mod finding;
pub mod judge;
pub mod probe;
pub mod run;

pub use finding::{Diagnosis, DoctorFinding, FindingVerdict};
pub use judge::judge;
pub use run::examine;
