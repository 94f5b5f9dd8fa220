//! TODO

pub mod azure_names;
pub mod difference;
pub mod refusal;
pub mod setting;
