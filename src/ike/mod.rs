//! The IKEv2 engine without I/O: bytes, time and randomness go in as values, an ordered list of effects comes out.

pub mod acceptance;
pub mod azure;
pub mod budget;
pub mod collision;
pub mod combination;
pub mod cookie;
pub mod difference;
pub mod error;
pub mod fragment;
pub mod jitter;
pub mod lifetime;
pub mod liveness;
pub mod natd;
pub mod path;
pub mod profile;
pub mod proposal;
pub mod refusal;
pub mod retransmit;
pub mod setting;
pub mod stage;
pub mod window;
