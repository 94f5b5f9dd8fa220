//! What must hold for any bytes at all. Each function takes what a fuzzer, a corpus file or a
//! property test made up, and panics when a promise is broken.
//!
//! One file an area, one function a target, one line here for each: `tests/corpus.rs` replays them
//! all. A target is also a file in `fuzz_targets`, a `[[bin]]` in Cargo.toml and a directory in
//! `corpus`. To fuzz one, without growing the committed corpus:
//!
//! ```text
//! mkdir /tmp/found
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none TARGET /tmp/found tests/fuzz/corpus/TARGET
//! ```

pub mod der;
pub mod engine;
pub mod ike;
pub mod packet;
pub mod pki;
pub mod selector;
pub mod signer;
pub mod state;
pub mod text;

/// A fuzz target: its name, which is its corpus's too, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("config_file", text::config_file),
    ("control_line", text::control_line),
    ("der", der::der),
    ("ike_endpoint", engine::ike_endpoint),
    ("ike_message", ike::ike_message),
    ("ike_payload", ike::ike_payload),
    ("ike_sealing", ike::ike_sealing),
    ("ike_snapshot", engine::ike_snapshot),
    ("packet_ingress", packet::packet_ingress),
    ("packet_join", packet::packet_join),
    ("packet_split", packet::packet_split),
    ("packet_views", packet::packet_views),
    ("pki_auth", pki::pki_auth),
    ("pki_certificates", pki::pki_certificates),
    ("pki_file", pki::pki_file),
    ("pki_identity", pki::pki_identity),
    ("selector_algebra", selector::selector_algebra),
    ("selector_text", selector::selector_text),
    ("signer_questions", signer::signer_questions),
    ("state_estate", state::state_estate),
    ("state_ledger", state::state_ledger),
    ("state_store", state::state_store),
];
