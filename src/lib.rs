//! s2sd: an IKEv2 site-to-site VPN peer with certificate authentication and a userspace ESP data
//! plane.
//!
//! The crate is built in layers: a module uses lower layers only, and `tests/architecture.rs`
//! checks that. `docs/architecture.md` explains the design, `docs/packet-path.md` follows a packet,
//! a message and a configuration line from file to file, and `docs/glossary.md` says which file
//! owns which word.
//!
//! | layer | module | what lives there |
//! |---|---|---|
//! | 0 | [`time`], [`rng`] | time and randomness as values; no clock and no source |
//! | 0 | [`rate`], [`der`] | the token bucket; reading and writing DER |
//! | 1 | [`wire`] | bytes to types and back: IKE messages, traffic selectors, ESP, IP packets |
//! | 1 | [`sys`] | Linux: clock, randomness, sockets, devices; the only `unsafe` in the tree |
//! | 2 | [`crypto`] | the cryptographic provider, key material, ciphers, signatures |
//! | 3 | [`esp`] | one security association, one packet: sealing, opening, anti-replay, limits |
//! | 3 | [`pki`] | trust: certificate paths, identities, the AUTH payload, as pure functions |
//! | 4 | [`certs`] | the small certificate authority of `s2sd pki`, and certificates explained |
//! | 4 | [`dataplane`] | packets in, packets out: one lane (two threads) a tunnel |
//! | 4 | [`ike`] | the IKEv2 engine: exchanges, collisions, lifetimes; no socket, no clock |
//! | 5 | [`config`] | the configuration file: from TOML in Azure's words to typed values |
//! | 5 | [`state`] | what outlives the process: snapshots, sequence-number ledger, descriptors |
//! | 6 | [`azure`] | Azure's JSON to a configuration, and a configuration to Azure's side |
//! | 6 | [`daemon`] | the service: sockets, timers, devices, routes around engine and lanes |
//! | 7 | [`doctor`] | `s2sd azure doctor`: probes of a connection, and what they mean |
//! | 8 | [`cli`] | the command line |
//!
//! # How the pieces fit
//!
//! [`ike::Endpoint`] is the protocol: datagrams, time and commands go in, an ordered list of
//! [`Output`](ike::endpoint::output::Output)s comes out, and no call blocks. [`dataplane::Lane`]
//! moves the packets of one tunnel on two threads of its own and knows nothing of IKE.
//! `daemon::service` is the loop that joins both: it reads sockets and timers, feeds the engine,
//! and carries the outputs out. [`state`] keeps what the next process needs, so that a restart is
//! a hand-over.

// The pages are read with private items (`cargo doc --document-private-items`), where these links
// lead somewhere.
#![allow(rustdoc::private_intra_doc_links)]

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
