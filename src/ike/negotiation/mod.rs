//! TODO

pub mod combination;
pub mod narrow;
pub mod nat_detection;
pub mod proposal;
