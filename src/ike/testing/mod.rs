//! Engines that differ from s2sd's own, for tests.
//!
//! | file | what lives there |
//! |---|---|
//! | [`emulation`] | [`emulation::PeerBehaviour`]: an end that behaves as Azure's gateway does |
//! | [`mutation`] | [`mutation::Mutation`]: an engine that is wrong in one known way |

pub mod emulation;
pub mod mutation;
