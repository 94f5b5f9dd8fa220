//! Bytes to types and back. Decoding never panics and never trusts a length it has not checked.

pub mod codes;
pub mod der;
