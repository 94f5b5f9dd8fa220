//! TODO

pub mod emulation;
pub mod mutation;
