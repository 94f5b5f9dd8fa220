//! s2sd: an IKEv2 site-to-site peer with certificate authentication and a userspace ESP data plane.
//!
//! The crate is built in floors; a module uses lower floors only, and `tests/architecture.rs`
//! checks it.
//!
//! | floor | module | what lives there |
//! |---|---|---|
//! | - | [`time`], [`rng`] | time and randomness as values; no clock and no source |
//! | 0 | [`wire`] | bytes to types and back: IKE messages, traffic selectors, ESP, IP packets |
//! | 0 | [`sys`] | Linux: clock, randomness, sockets, devices; the only `unsafe` in the tree |
//! | 1 | [`crypto`] | the cryptographic provider, key material, ciphers, signatures |
//! | 2 | [`esp`] | one security association, one packet: sealing, opening, replay, limits |
//! | 2 | [`pki`] | certificates, identities, the AUTH payload: pure functions of bytes and time |
//! | 3 | [`dataplane`] | packets in, packets out: one lane a tunnel |
//! | 3 | [`ike`] | the IKEv2 engine: exchanges, collisions, lifetimes; no socket, no clock |
//! | 4 | [`config`] | the configuration file: from TOML in Azure's words to typed values, every error at once |
//! | 4 | [`state`] | what outlives the process: snapshot store, sequence-number ledger, kept descriptors |
//! | 5 | [`azure`] | from Azure's JSON to a configuration, and from a configuration to Azure's side |
//! | 5 | [`daemon`] | the service: sockets, timers, devices, routes around engine and lanes |
//! | 6 | [`doctor`] | a connection looked at from end to end: probes, and what they mean |
//! | 7 | [`cli`] | the command line |

pub mod azure;
pub mod certs;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod dataplane;
pub mod der;
pub mod doctor;
pub mod esp;
pub mod ike;
pub mod pki;
pub mod rate;
pub mod rng;
pub mod state;
pub mod sys;
pub mod time;
pub mod wire;
