//! What the running service does without: crates and modules of the operator's tools (`s2sd pki`,
//! `s2sd azure doctor`, `s2sd demo`, the manual pages) are named by those alone, so that nothing
//! which a stranger sends can reach them.

use std::fs;

use proc_macro2::{TokenStream, TokenTree};

use super::tree::without_tests;

/// The crates of the tools, and below which paths of `src/` they may be named.
///
/// `des` and `rc2` read what a PKCS#12 file of an older Windows or OpenSSL is encrypted with: only
/// files that the administrator names reach them.
const CRATES: &[(&str, &[&str])] = &[
    ("clap_complete", &["cli/generate.rs"]),
    ("clap_mangen", &["cli/manual/"]),
    ("des", &["pki/pkcs12/"]),
    ("pnet_datalink", &["doctor/"]),
    ("pnet_packet", &["doctor/"]),
    ("rc2", &["pki/pkcs12/"]),
    ("rcgen", &["certs/", "cli/demo/"]),
    ("rpassword", &["cli/pki/"]),
    ("rsa", &["crypto/signature/rsa_key.rs"]),
];

/// The commands that talk to a running service, and share words with the doctor.
const CLIENTS: [&str; 3] = ["cli/client.rs", "cli/control.rs", "cli/status.rs"];

/// The modules of the tools, and below which paths of `src/` they may be named.
const MODULES: &[(&str, &[&str])] = &[
    ("certs", &["lib.rs", "certs/", "cli/pki/", "cli/manual/"]),
    (
        "doctor",
        &[
            "lib.rs",
            "doctor/",
            "cli/azure/",
            "cli/manual/",
            "cli/demo/",
            CLIENTS[0],
            CLIENTS[1],
            CLIENTS[2],
        ],
    ),
    ("demo", &["cli/mod.rs", "cli/demo/", "cli/manual/"]),
    ("rsa_key", &["crypto/signature/", "cli/pki/"]),
];

#[test]
fn the_service_names_no_crate_and_no_module_of_a_tool() {
    let mut found = Vec::new();
    for (name, text) in super::tree() {
        found.extend(strays(&name, &text).into_iter().map(|what| format!("src/{name}: {what}")));
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

/// What only tests may have is refused by a release build, unless tests or benches ask for that.
#[test]
fn features_of_tests_refuse_a_release_build() {
    let manifest = super::read("Cargo.toml");
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names = features.expect("features").lines().filter_map(|line| line.split_once(" = "));
    for (name, _) in names.filter(|(name, _)| *name != "measured") {
        let refusal = format!("compile_error!(\"the feature `{name}` is for tests;");
        let refused = super::tree().iter().any(|(_, text)| text.contains(&refusal));
        assert!(refused, "nothing refuses a release build with the feature `{name}`");
    }
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/package"));
    assert!(
        !shipped.expect("systemd/package").contains("--features"),
        "the package has no features"
    );
}

#[test]
fn a_crate_of_a_tool_is_seen_where_it_does_not_belong() {
    for (name, text, count) in [
        ("daemon/service.rs", "use rcgen::KeyPair;", 1),
        ("daemon/service.rs", "fn f() { let _ = rsa::PrivateKey::new(); }", 1),
        ("crypto/signature/private_key.rs", "use ring::rsa::KeyPairComponents;", 0),
        ("certs/issue/order.rs", "use rcgen::KeyPair;", 0),
        ("config/credentials.rs", "use crate::certs::review::Review;", 1),
        ("cli/run.rs", "use crate::{certs, config};", 1),
        ("cli/run.rs", "use super::demo::network;", 1),
        ("cli/pki/show.rs", "use crate::certs::review::Review;", 0),
        ("pki/load/tests.rs", "use rcgen::KeyPair;", 0),
        ("pki/load/mod.rs", "#[cfg(test)] mod tests { use rcgen::KeyPair; }", 0),
    ] {
        assert_eq!(strays(name, text).len(), count, "{name}: {text}");
    }
}

/// Names of tools in a file that is no part of them. Tests may use everything.
fn strays(name: &str, text: &str) -> Vec<String> {
    if name.ends_with("tests.rs") || name.contains("/tests/") {
        return Vec::new();
    }
    let mut tokens = Vec::new();
    flatten(without_tests(text.parse().expect("lexes")).into_iter().collect(), &mut tokens);
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at > 0 && is(at - 1, ":");
        let after = is(at + 1, ":") && is(at + 2, ":");
        let named = |(known, homes): &&(&str, &[&str])| {
            token == known && !homes.iter().any(|home| name.starts_with(home))
        };
        if after && !before && CRATES.iter().any(|entry| named(&entry)) {
            found.push(format!("names the crate `{token}`"));
        }
        let of_path = before || after || is(at + 1, ",") || is(at + 1, ";");
        if of_path && MODULES.iter().any(|entry| named(&entry)) {
            found.push(format!("names the module `{token}`"));
        }
    }
    found
}

/// The tokens of a file without brackets.
fn flatten(stream: TokenStream, out: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => flatten(group.stream(), out),
            other => out.push(other.to_string()),
        }
    }
}
