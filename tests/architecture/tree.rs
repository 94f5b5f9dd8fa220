//! Rules of the whole tree: every folder has a table of what lives in it, and no two types have one
//! name.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The folders that a reader has to take in at one look, and the most entries that they may have.
const SMALL: &[(&str, usize)] = &[("ike", 15), ("wire", 15)];

#[test]
fn every_folder_has_a_table_of_its_files() {
    let tree = super::tree();
    let found = folders(&tree);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_two_types_have_one_name() {
    let found = same_names(&super::tree());
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// What is wrong with the folders of these files: paths below `src/` and texts.
fn folders(tree: &[(String, String)]) -> Vec<String> {
    let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, _) in tree {
        let mut path = name.as_str();
        while let Some((folder, entry)) = path.rsplit_once('/') {
            entries.entry(folder).or_default().insert(entry);
            path = folder;
        }
        entries.entry("").or_default().insert(path);
    }
    let mut found = Vec::new();
    for (folder, entries) in &entries {
        if *folder == "tests" || folder.ends_with("/tests") {
            continue;
        }
        let root = if folder.is_empty() { "lib.rs" } else { "mod.rs" };
        let path = if folder.is_empty() { root.to_owned() } else { format!("{folder}/{root}") };
        let Some((_, text)) = tree.iter().find(|(name, _)| *name == path) else {
            found.push(format!("src/{folder}: no {root}"));
            continue;
        };
        found.extend(entry_findings(entries, text).into_iter().map(|f| format!("src/{path}: {f}")));
        if let Some((_, most)) = SMALL.iter().find(|(small, _)| small == folder)
            && entries.len() > *most
        {
            found.push(format!("src/{folder}: {} entries, the cap is {most}", entries.len()));
        }
    }
    found
}

/// What is wrong with one folder: `text` is its `mod.rs`.
fn entry_findings(entries: &BTreeSet<&str>, text: &str) -> Vec<String> {
    let doc: String = text.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let words: BTreeSet<&str> = doc.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut found = Vec::new();
    if doc.trim().is_empty() {
        return vec!["no module doc".to_owned()];
    }
    for entry in entries {
        let name = entry.strip_suffix(".rs").unwrap_or(entry);
        if name != *entry && entries.contains(name) {
            found.push(format!("`{entry}` beside the folder `{name}`"));
        }
        if !["mod", "lib", "main", "tests"].contains(&name) && !words.contains(name) {
            found.push(format!("the module doc does not name `{name}`"));
        }
    }
    found
}

/// The names that types of two files have. Twins in one file are one type under two features.
fn same_names(tree: &[(String, String)]) -> Vec<String> {
    let mut homes: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, text) in tree {
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let tokens: TokenStream = text.parse().expect("a source file lexes");
        let mut types = Vec::new();
        collect_types(without_tests(tokens), false, &mut types);
        for each in types {
            homes.entry(each).or_default().insert(name);
        }
    }
    let twice = homes.into_iter().filter(|(_, files)| files.len() > 1);
    let line = |(name, files): (String, BTreeSet<&str>)| {
        format!("`{name}` is a type of {}", files.into_iter().collect::<Vec<_>>().join(" and "))
    };
    twice.map(line).collect()
}

/// The types that these tokens declare. Associated types (`type` inside of `impl` or `trait`) and
/// what a macro's pattern says are none.
fn collect_types(tokens: Vec<TokenTree>, associated: bool, out: &mut Vec<String>) {
    let (mut owner, mut at) = (false, 0);
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Ident(word) if *word == "macro_rules" => at += 3,
            TokenTree::Ident(word) => {
                let word = word.to_string();
                owner |= word == "impl" || word == "trait";
                let declares = ["struct", "enum", "union", "trait"].contains(&word.as_str())
                    || word == "type" && !associated;
                if let (true, Some(TokenTree::Ident(name))) = (declares, tokens.get(at)) {
                    out.push(name.to_string());
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => owner = false,
            TokenTree::Group(group) => {
                let brace = group.delimiter() == Delimiter::Brace;
                collect_types(without_tests(group.stream()), brace && owner, out);
                owner &= !brace;
            }
            _ => {}
        }
    }
}

/// These tokens without the items behind `#[cfg(test)]`.
pub fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let gate = matches!(&token, TokenTree::Group(group) if is_test_gate(group));
        kept.push(token);
        if gate {
            let ends = |token: &TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(mark) => mark.as_char() == ';',
                _ => false,
            };
            tokens.by_ref().find(ends);
        }
    }
    kept
}

fn is_test_gate(group: &Group) -> bool {
    let text = group.to_string().replace(' ', "");
    group.delimiter() == Delimiter::Bracket && (text == "[cfg(test)]" || text.contains("all(test,"))
}

/// Each rule, shown to fail on a bad example and to pass on the good one beside it.
mod teeth {
    use super::{folders, same_names};

    fn tree(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_folder_without_a_table() {
        let lib = ("lib.rs", "//! | [`esp`] |\n");
        let good = tree(&[lib, ("esp/mod.rs", "//! `replay`: a window.\n"), ("esp/replay.rs", "")]);
        assert_eq!(folders(&good), Vec::<String>::new());
        let bad = tree(&[lib, ("esp/replay.rs", "")]);
        assert_eq!(folders(&bad), ["src/esp: no mod.rs"]);
        let bad = tree(&[lib, ("esp/mod.rs", "// replay\n"), ("esp/replay.rs", "")]);
        assert_eq!(folders(&bad), ["src/esp/mod.rs: no module doc"]);
        let bad = tree(&[lib, ("esp/mod.rs", "//! Replays.\n"), ("esp/replay.rs", "")]);
        assert_eq!(folders(&bad), ["src/esp/mod.rs: the module doc does not name `replay`"]);
    }

    #[test]
    fn a_file_beside_its_folder() {
        let lib = ("lib.rs", "//! `esp`\n");
        let good = tree(&[lib, ("esp/mod.rs", "//! Packets.\n"), ("esp/tests.rs", "")]);
        assert_eq!(folders(&good), Vec::<String>::new());
        let bad = tree(&[lib, ("esp.rs", ""), ("esp/mod.rs", "//! Packets.\n")]);
        assert_eq!(folders(&bad), ["src/lib.rs: `esp.rs` beside the folder `esp`"]);
    }

    #[test]
    fn a_folder_with_too_many_entries() {
        let names: Vec<String> = (0..14).map(|n| format!("ike/f{n}.rs")).collect();
        let doc: String = (0..15).map(|n| format!("//! f{n}\n")).collect();
        let mut files = vec![("lib.rs", "//! ike\n"), ("ike/mod.rs", doc.as_str())];
        files.extend(names.iter().map(|name| (name.as_str(), "")));
        assert_eq!(folders(&tree(&files)), Vec::<String>::new());
        files.push(("ike/f14.rs", ""));
        assert_eq!(folders(&tree(&files)), ["src/ike: 16 entries, the cap is 15"]);
    }

    #[test]
    fn a_type_name_that_occurs_twice() {
        let shared = "pub struct Shared;";
        let apart = "mod m { enum Apart { A } } // struct Shared";
        let associated = "impl Iterator for X { type Shared = u8; } fn f() -> impl X { g() }";
        let tested = "#[cfg(test)] mod tests { struct Shared; }";
        let macros = "macro_rules! m { () => { struct Shared; } }";
        for good in [apart, associated, tested, macros] {
            let files = tree(&[("esp/a.rs", shared), ("ike/b.rs", good)]);
            assert_eq!(same_names(&files), Vec::<String>::new(), "{good}");
        }
        for bad in ["enum Shared {}", "type Shared = u8;", "m! { trait Shared { type X; } }"] {
            let files = tree(&[("esp/a.rs", shared), ("ike/b.rs", bad)]);
            assert_eq!(
                same_names(&files),
                ["`Shared` is a type of esp/a.rs and ike/b.rs"],
                "{bad}"
            );
        }
    }
}
