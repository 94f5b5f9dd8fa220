//! What the two ends agree on: algorithms, traffic selectors, and whether a NAT is between them.
//!
//! ```text
//!   policy: [Combination] ── offer ──> SA payload ──> choose ──> SA payload ──> read_answer
//!   policy: ChildSelectors ─ request ─> TSi, TSr ───> grant ───> TSi, TSr ────> take
//!                            initiator                responder                 initiator
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`combination`] | [`combination::Combination`]: one line of a policy |
//! | [`proposal`] | offering proposals, choosing one, checking the peer's choice |
//! | [`narrow`] | traffic selector narrowing |
//! | [`nat_detection`] | NAT detection, the beginning of NAT traversal (NAT-T) |

pub mod combination;
pub(crate) mod narrow;
pub(crate) mod nat_detection;
pub mod proposal;
