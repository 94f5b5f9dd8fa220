//! TODO

pub mod combination;
pub(crate) mod narrow;
pub(crate) mod nat_detection;
pub mod proposal;
