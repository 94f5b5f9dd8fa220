//! Bytes to types and back. Decoding never panics and never trusts a length it has not checked.

pub mod codes;
pub mod error;
pub mod header;
pub mod reader;
pub mod reserved;
pub mod spi;
pub mod writer;
