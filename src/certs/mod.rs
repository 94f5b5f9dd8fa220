//! TODO

pub mod issue;
pub mod review;
pub mod text;
