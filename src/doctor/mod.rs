//! `s2sd azure doctor`: checks a connection from end to end, in the order in which a packet can
//! fail.
//!
//! ```text
//!   configuration ─> certificates ─> clock ─> service ─> addresses ─┐   for the connection
//!   ┌───────────────────────────────────────────────────────────────┘
//!   └> route ─> UDP 500, 4500 ─> proposal ─> NAT, fragmentation ─> authentication ─┐   for each
//!   ┌──────────────────────────────────────────────────────────────────────────────┘   tunnel
//!   └> ESP proposal ─> selectors ─> rekeying ─> MTU ─> packets
//!
//!   this host, the service, the network ── probe, run ──> Facts ── checks ──> Diagnosis
//! ```
//!
//! **The checks are pure.** All observations become one value, `facts::Facts`. The functions in
//! `checks` decide what that value means, and tests drive them by tables. Only `probe` and
//! `run` touch sockets, clocks and files.
//!
//! **One fault, one failing line.** A consequence of a fault is not reported as another fault:
//! later checks report "not reached", so that the first failing line names the cause.
//!
//! **The probes put little load on a gateway.** A probe is a few packets, and all but two of them
//! create no half-open IKE SA at the gateway, see `probe::ike_probe`. The service is asked for
//! its status, and to rekey one Child SA: different settings for perfect forward secrecy show only
//! when a Child SA is rekeyed, which would otherwise happen hours later.
//!
//! | file | what lives there |
//! |---|---|
//! | `run` | the order in which facts are collected |
//! | `service` | the questions to the running service, over the control socket |
//! | `probe` | the probes: each observes one thing of this host or of the network |
//! | `facts` | the observations, as one value |
//! | `checks` | what the observations mean: one file for each part of the path |
//! | `finding` | the result: one line for each check, with a remedy |
//! | `az` | the Azure CLI commands that show or change the gateway's side |

pub(crate) mod az;
pub(crate) mod checks;
pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod service;

pub(crate) use checks::diagnose;
pub(crate) use finding::{Diagnosis, DoctorVerdict};
pub(crate) use run::collect_facts;
