//! Tests of the codec as a whole: messages byte by byte, refusals, round trips of values, selector
//! algebra.
//!
//! What must hold for any bytes is in `tests/fuzz/src`, replayed by `tests/corpus.rs`.

mod refusals;
mod roundtrip;
mod sealing;
mod selectors;
mod values;
mod vectors;
