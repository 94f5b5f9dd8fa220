//! Cryptography for IKE and ESP: algorithms as negotiated, keys as types, ciphers that work in
//! place.
//!
//! The engine sees one object, a [`Provider`], and asks it for key exchanges, PRFs and ciphers.
//! Packets never see the trait: they go through [`esp::SealKey`] and [`esp::OpenKey`], which are
//! plain enums made once an SA.
//!
//! | file | noun |
//! |---|---|
//! | [`algorithm`] | what s2sd can run: ciphers, PRFs, groups, with sizes and numbers |
//! | [`suite`] | what a negotiation settled on: the only combinations that can exist from here on |
//! | [`unsupported`] | the refusal of everything else, naming the Azure setting to change |
//! | [`provider`] | the traits: what the engine asks for |
//! | [`standard`] | the real provider |
//! | [`error`] | why a key, a public value, a message or a packet is refused |
//! | [`keymat`] | the key schedule: SKEYSEED, `SK_*`, child keys, one type for each key |
//! | `keys` | the keys that the key schedule hands to a cipher |
//! | [`secret`] | bytes that are wiped, never printed, compared in constant time |
//! | [`signature`] | private and public keys, signature schemes |
//! | [`esp`] | packet ciphers: no allocation, no dynamic dispatch |
//! | `message` | the body of the SK and SKF payloads, over the same ciphers |
//! | `parts` | a protected message cut at its layout, and its padding |
//! | `aead`, `cbc`, `mac` | the three primitives under both |
//! | `ecdh`, `modp` | key exchange on curves and in prime fields |
//! | `fake` | the simulator's provider: fast, deterministic and worthless as protection |
//!
//! What is not negotiated goes past the trait: [`signature`] and, above it, `pki` call ring and
//! RustCrypto themselves. Which signature proves a peer follows from its certificate, not from a
//! proposal, and the simulator does not exchange these primitives: it replaces the engine's
//! `Authenticator`, certificates and all.
//!
//! Where primitives come from: ring for all it has. AES-192-GCM and AES-CBC come from RustCrypto's
//! `aes`, constant time with AES-NI and without; HMAC-SHA1 as an integrity algorithm from its
//! `sha1`; MODP from `crypto-bigint`. ring does not wipe its expanded keys when they are dropped:
//! the secrets they were made from are wiped, the schedules live as long as their SA and go unwiped
//! to the allocator.

mod aead;
pub mod algorithm;
mod cbc;
mod ecdh;
pub mod error;
pub mod esp;
#[cfg(feature = "fake")]
pub mod fake;
pub mod keymat;
mod keys;
mod mac;
mod message;
mod modp;
mod parts;
pub mod provider;
pub mod secret;
pub mod signature;
pub mod standard;
pub mod suite;
#[cfg(test)]
mod tests;
pub mod unsupported;

pub use error::{KeyLengthError, OpenError, PublicValueError, SealError};
pub use keys::SharedSecret;
pub use provider::{Digest, Hash, KeyAgreement, MessageOpener, MessageSealer, Provider};
pub use secret::Secret;
pub use standard::Standard;
pub use suite::{EspSuite, Group, IkeSuite, Prf};
pub use unsupported::{SaKind, Unsupported};
