//! Linux, and the only `unsafe` in the tree. Everything above sees safe types.
//!
//! | file | noun |
//! |---|---|
//! | [`clock`] | the monotonic and the wall clock, read together |
//! | [`random`] | the operating system's randomness |

pub mod clock;
pub mod random;
