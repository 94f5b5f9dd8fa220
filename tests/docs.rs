//! The pages hold: what they name exists, their links resolve, the README's commands are run, and
//! the words that a VPN engineer searches for are found in the file that owns them.
//!
//! What counts as a name on `docs/*.md`, README, CONTRIBUTING and SECURITY (the last for paths
//! only):
//!
//! | written | is | and has to be |
//! |---|---|---|
//! | `src/..`, `tests/..` and so on in backticks (see [`FOLDERS`]) | a path | in the tree |
//! | `tests/...rs::name` and `src/...rs::name` in backticks | a test | in that file |
//! | a relative link | a path | in the tree, seen from the page |
//! | `s2sd word ..` in backticks or in a block | a command | known to the program |
//! | `Type`, with a small letter in it | a type | declared in `src/` |
//! | `Type::method`, `function()` | a function | in a file that the line names, else in `src/` |
//! | `Type::Variant` | a variant | in the file that declares the type |
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The folders whose paths are names.
const FOLDERS: &[&str] = &["src/", "tests/", "docs/", "conf/", "systemd/", "benches/", ".ci/"];

/// Types of the standard library that a page may name.
const STANDARD: &[&str] = &["Option", "Display", "Debug"];

/// The commands of the README that are no lines of `docs/azure.md`: other tests and CI run those.
const RUN_ELSEWHERE: &[&str] = &["cargo run --release -- demo", "tests/run"];

/// What a VPN engineer searches for, and the file below `src/` whose module doc has it.
const SEARCHED: &[(&str, &str)] = &[
    ("NAT traversal", "ike/negotiation/nat_detection.rs"),
    ("NAT-T", "ike/negotiation/nat_detection.rs"),
    ("NAT traversal", "ike/sa/nat_traversal.rs"),
    ("dead peer detection", "ike/sa/dpd.rs"),
    ("anti-replay", "esp/replay.rs"),
    ("extended sequence numbers", "esp/replay.rs"),
    ("simultaneous rekey", "ike/exchange/collision/mod.rs"),
    ("make-before-break", "ike/exchange/rekey_child.rs"),
    ("path MTU", "dataplane/mtu.rs"),
    ("traffic selector narrowing", "ike/negotiation/narrow.rs"),
    ("proposal", "ike/negotiation/proposal/mod.rs"),
    ("half-open", "ike/admission/budget.rs"),
    ("cookie", "ike/admission/cookie.rs"),
    ("retransmission", "ike/sa/retransmit.rs"),
    ("fragmentation", "ike/sa/fragment.rs"),
    ("message ID", "ike/sa/window.rs"),
    ("lifetime", "ike/sa/lifetime.rs"),
    ("INITIAL_CONTACT", "ike/exchange/auth.rs"),
    ("IKE_SA_INIT", "ike/exchange/init.rs"),
    ("IKE_AUTH", "ike/exchange/auth.rs"),
    ("CREATE_CHILD_SA", "ike/exchange/create_child.rs"),
    ("INFORMATIONAL", "ike/exchange/informational.rs"),
    ("perfect forward secrecy", "ike/exchange/key_exchange.rs"),
    ("SKEYSEED", "crypto/keymat.rs"),
    ("certificate path", "pki/path/mod.rs"),
    ("certificate revocation", "pki/path/revocation.rs"),
    ("PKCS#12", "pki/pkcs12/mod.rs"),
    ("tunnel mode", "esp/mod.rs"),
    ("ECN", "dataplane/ecn.rs"),
    ("MSS", "dataplane/mtu.rs"),
    ("TSO", "dataplane/segment.rs"),
    ("GRO", "sys/mmsg.rs"),
    ("virtio-net", "wire/packet/vnet.rs"),
    ("keepalive", "wire/packet/datagram.rs"),
    ("sequence numbers", "state/ledger.rs"),
    ("GCM nonce", "state/ledger.rs"),
    ("seccomp", "sys/confine/syscalls.rs"),
    ("Landlock", "sys/confine/paths.rs"),
    ("file descriptor store", "state/fd_store.rs"),
    ("sd_notify", "sys/sd_notify.rs"),
    ("netlink", "sys/netlink/mod.rs"),
    ("token bucket", "rate.rs"),
];

#[test]
fn what_the_pages_name_exists() {
    let tree = Tree::read();
    let mut found = Vec::new();
    for (page, text) in pages() {
        found.extend(findings(&page, &text, &tree).into_iter().map(|f| format!("{page}: {f}")));
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn commands_that_the_pages_name_exist() {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let commands = spans(&text).into_iter().chain(block_lines(&text));
        for command in commands.filter_map(words_of_s2sd) {
            let mut program = Command::new(env!("CARGO_BIN_EXE_s2sd"));
            let help = program.args(&command).arg("--help").output().unwrap();
            if !help.status.success() {
                found.push(format!("{page}: s2sd {}", command.join(" ")));
            }
        }
    }
    assert!(found.is_empty(), "commands that s2sd does not have:\n{}", found.join("\n"));
}

/// A promise that nobody tests is a hope: each row of SECURITY.md's table of promises ends with the
/// tests that fail when the promise is broken.
#[test]
fn each_promise_of_the_security_page_names_its_test() {
    let page = read("SECURITY.md");
    let section = page.split("\n## What is promised").nth(1).expect("the section of promises");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() > 20, "{} promises", rows.len());
    let bare = rows.iter().filter(|row| {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        !spans(tests).iter().any(|span| span.contains(".rs::"))
    });
    let bare: Vec<&&str> = bare.collect();
    assert!(bare.is_empty(), "promises without a test: {bare:#?}");
}

#[test]
fn the_commands_of_the_readme_are_run() {
    let azure: Vec<String> = block_lines(&read("docs/azure.md")).iter().map(bare).collect();
    let mut rest = azure.as_slice();
    for line in block_lines(&read("README.md")).iter().map(bare).filter(|line| !line.is_empty()) {
        if RUN_ELSEWHERE.contains(&line.as_str()) {
            continue;
        }
        let at = rest.iter().position(|other| *other == line);
        let at =
            at.unwrap_or_else(|| panic!("docs/azure.md has no such line, or not there: {line}"));
        rest = &rest[at + 1..];
    }
}

#[test]
fn words_of_the_field_are_found_where_they_belong() {
    let mut missing = Vec::new();
    for (word, file) in SEARCHED {
        let text = fs::read_to_string(Path::new(ROOT).join("src").join(file)).unwrap_or_default();
        if !module_doc(&text).contains(&word.to_lowercase()) {
            missing.push(format!("`{word}` is not in the module doc of src/{file}"));
        }
    }
    assert!(missing.is_empty(), "{} words:\n{}", missing.len(), missing.join("\n"));
}

/// The `//!` doc of a file as one line in small letters.
fn module_doc(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").to_lowercase()
}

/// The pages and their texts.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned);
    let mut names: Vec<String> = docs.filter(|name| name.ends_with(".md")).chain(top).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect(path)
}

/// The sources, by their path from the root.
struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    fn read() -> Tree {
        let mut files = BTreeMap::new();
        collect(Path::new(ROOT), "src", &mut files);
        Tree { files }
    }

    fn has_path(&self, path: &str) -> bool {
        self.files.contains_key(path) || Path::new(ROOT).join(path).exists()
    }

    /// The files that declare this type.
    fn homes(&self, name: &str) -> Vec<&str> {
        let kinds = ["struct", "enum", "trait", "type", "union"];
        let declares = |text: &&String| {
            kinds.iter().any(|kind| has_word(text, &format!("{kind} {name}"))) || {
                // Macros that declare: `Name is "key" {` and `Name: u16 {`.
                text.contains(&format!(" {name} is \""))
                    || text.contains(&format!(" {name}: u8 {{"))
                    || text.contains(&format!(" {name}: u16 {{"))
            }
        };
        self.files.iter().filter(|(_, text)| declares(text)).map(|(path, _)| &**path).collect()
    }

    /// Whether one of these files (of all files, if there are none) has the function.
    fn has_function(&self, name: &str, files: &[String]) -> bool {
        let has = |text: &String| has_word(text, &format!("fn {name}"));
        match files {
            [] => self.files.values().any(has),
            named => named.iter().any(|file| self.files.get(file).is_some_and(has)),
        }
    }
}

fn collect(root: &Path, folder: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().display());
        if entry.path().is_dir() {
            collect(root, &name, files);
        } else if name.ends_with(".rs") {
            files.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// Whether the text has these words, and not as the beginning of a longer one.
fn has_word(text: &str, words: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_none_or(|c| !inside(c));
        before && text[at + words.len()..].chars().next().is_none_or(|c| !inside(c))
    })
}

/// What a page names that does not exist.
fn findings(page: &str, text: &str, tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let names_code = !["SECURITY.md", "docs/azure.md"].contains(&page);
    let mut block = false;
    for line in text.lines() {
        block ^= line.starts_with("```");
        if block {
            continue;
        }
        let mut files = Vec::new();
        for link in links(line) {
            let path = resolve(page, link);
            if !tree.has_path(&path) {
                found.push(format!("the link to {link} leads nowhere"));
            }
            files.push(path);
        }
        let names = spans(line);
        for name in &names {
            let path = name.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
            if let Some((path, test)) = path.split_once(".rs::") {
                found.extend(test_finding(&format!("{path}.rs"), test));
            } else if FOLDERS.iter().any(|folder| format!("{path}/").starts_with(folder)) {
                if !tree.has_path(path) {
                    found.push(format!("there is no {path}"));
                }
                files.push(path.to_owned());
            }
        }
        files.retain(|file| file.ends_with(".rs"));
        if names_code {
            found.extend(names.iter().filter_map(|name| code_finding(name, &files, tree)));
        }
    }
    found
}

/// What is wrong with the name of a test in this file.
fn test_finding(path: &str, test: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default();
    let there = has_word(&text, &format!("fn {test}"));
    (!there).then(|| format!("there is no test {test} in {path}"))
}

/// What is wrong with a name of code; nothing if it is none.
fn code_finding(name: &str, files: &[String], tree: &Tree) -> Option<String> {
    let within = if files.is_empty() { "src".to_owned() } else { files.join(", ") };
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c == '_' || c.is_alphanumeric());
    let is_type = |text: &str| {
        word(text)
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.contains(|c: char| c.is_ascii_lowercase())
            && !STANDARD.contains(&text)
    };
    if let Some((owner, member)) = name.trim_end_matches("()").split_once("::") {
        if !is_type(owner) || !word(member) {
            return None;
        }
        let homes = tree.homes(owner);
        if homes.is_empty() {
            return Some(format!("there is no type {owner}"));
        }
        let there = match member.starts_with(|c: char| c.is_ascii_uppercase()) {
            true => homes.iter().any(|home| has_word(&tree.files[*home], member)),
            false => tree.has_function(member, files),
        };
        return (!there).then(|| format!("there is no {name} in {within}"));
    }
    if let Some(function) = name.strip_suffix("()").filter(|function| word(function)) {
        let there = tree.has_function(function, files);
        return (!there).then(|| format!("there is no function {name} in {within}"));
    }
    (is_type(name) && tree.homes(name).is_empty()).then(|| format!("there is no type {name}"))
}

/// What stands in backticks, outside of blocks.
fn spans(text: &str) -> Vec<String> {
    let mut block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        block ^= line.starts_with("```");
        if !block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The lines of the blocks of commands.
fn block_lines(text: &str) -> Vec<String> {
    let mut shell = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(kind) => shell = kind == "sh",
            None if shell => found.push(line.to_owned()),
            None => {}
        }
    }
    found
}

/// A command without its comment.
fn bare(line: &String) -> String {
    let line = if line.starts_with('#') { "" } else { line };
    line.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

/// The subcommands of a call of s2sd.
fn words_of_s2sd(call: String) -> Option<Vec<String>> {
    let mut words = call.split_whitespace().skip_while(|word| word.contains('='));
    if words.next() != Some("s2sd") {
        return None;
    }
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let words = words.take_while(|word| is_word(word) && !word.starts_with('-'));
    Some(words.map(str::to_owned).collect())
}

/// The relative targets of a line's links.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.map(|target| target.split('#').next().unwrap_or(target)).collect()
}

/// A link of a page as a path from the root.
fn resolve(page: &str, link: &str) -> String {
    let mut path = PathBuf::new();
    for part in Path::new(page).parent().unwrap_or(Path::new("")).join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
    }
    path.display().to_string()
}

/// The rules, shown to fail on bad examples and to pass on the good ones beside them.
mod teeth {
    use super::*;

    fn tree() -> Tree {
        let files = [
            ("src/esp/replay.rs", "pub struct Window; impl Window { pub fn commit(self) {} }"),
            ("src/esp/lease.rs", "enum Lease { Taken } fn take() {}"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        Tree { files: files.into_iter().collect() }
    }

    #[test]
    fn names_that_exist_and_names_that_do_not() {
        let good = "`Window` and `Window::commit` of [it](../src/esp/replay.rs), `take()`? No.";
        assert_eq!(findings("docs/x.md", good, &tree()).len(), 1, "take() is in another file");
        for good in [
            "`Window::commit` in `src/esp/replay.rs`",
            "`take()`, `Lease::Taken`, `RFC 7296`, `INITIAL_CONTACT`, `dpd_timeout_seconds`, `esp`",
            "[that](../src/esp/lease.rs#take) has `take()`; [a page](https://example.net/src/x.rs)",
            "```text\n`Nothing::here` src/gone.rs\n```",
            "`tests/docs.rs::names_that_exist_and_names_that_do_not`",
        ] {
            assert_eq!(findings("docs/x.md", good, &tree()), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "`Windows`",
            "`Window::gone`",
            "`Lease::Given`",
            "`gone()`",
            "`src/esp/gone.rs`",
            "[gone](src/esp/replay.rs)",
            "`tests/docs.rs::gone`",
            "`tests/gone.rs::names_that_exist_and_names_that_do_not`",
        ] {
            assert_eq!(findings("docs/x.md", bad, &tree()).len(), 1, "{bad}");
        }
    }

    #[test]
    fn commands_are_seen() {
        let words = |call: &str| words_of_s2sd(call.to_owned()).map(|words| words.join(" "));
        assert_eq!(words("s2sd pki issue inbound --cn x").as_deref(), Some("pki issue inbound"));
        assert_eq!(words("A=b s2sd check x.toml").as_deref(), Some("check"));
        assert_eq!(words("s2sd.toml"), None);
        assert_eq!(bare(&"s2sd status   # now".to_owned()), "s2sd status");
    }

    #[test]
    fn a_module_doc_is_read_over_its_line_breaks() {
        assert!(module_doc("//! Dead peer\n//! detection.\n").contains("dead peer detection"));
        assert!(!module_doc("//! Peers.\n\n/// Dead peer detection.\n").contains("dead peer"));
    }
}
