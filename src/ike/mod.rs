//! The IKEv2 engine without I/O: bytes, time and randomness go in as values, an ordered list of effects comes out.

pub mod acceptance;
pub mod collision;
pub mod error;
pub mod stage;
