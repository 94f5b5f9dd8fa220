//! Cryptography behind types that say what was checked.
//!
//! | file | noun |
//! |---|---|
//! | [`signature`] | private and public keys, signature schemes |

pub mod signature;
