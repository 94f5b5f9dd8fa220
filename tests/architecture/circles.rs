//! Files that import each other. A circle of two files is one file in two places: a reader has to
//! understand both at once. A type that both may know breaks it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Group, TokenStream, TokenTree};

use super::tree::without_tests;
use super::{is_path_step, path_at};

/// Pairs that import each other for a reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("certs/issue/authority/mod.rs", "certs/issue/order.rs", "an order is refused with the reason"),
    ("ike/admission/mod.rs", "ike/endpoint/mod.rs", "admission answers through the endpoint"),
    ("pki/auth/mod.rs", "pki/refusal.rs", "a refusal has one variant for each rule's reasons"),
    ("pki/identity.rs", "pki/refusal.rs", "a refusal has one variant for each rule's reasons"),
    ("pki/path/diagnosis.rs", "pki/path/trust.rs", "a step of the search reads its policy"),
    ("pki/path/revocation.rs", "pki/path/trust.rs", "a step of the search reads its policy"),
    ("pki/path/rules.rs", "pki/path/trust.rs", "a step of the search reads its policy"),
    ("wire/error.rs", "wire/header.rs", "an error names the version that the header has"),
];

#[test]
fn no_two_files_import_each_other() {
    let found = circles(&super::tree());
    let excepted = |pair: &(String, String)| {
        EXCEPTIONS.iter().any(|(a, b, _)| (*a, *b) == (pair.0.as_str(), pair.1.as_str()))
    };
    let lines = found.iter().filter(|pair| !excepted(pair));
    let lines: Vec<String> = lines.map(|(a, b)| format!("src/{a} and src/{b}")).collect();
    assert!(lines.is_empty(), "{} circles:\n{}", lines.len(), lines.join("\n"));
    for (a, b, reason) in EXCEPTIONS {
        let pair = ((*a).to_owned(), (*b).to_owned());
        assert!(found.contains(&pair), "{a} and {b} ({reason}): an exception without a circle");
    }
}

/// The pairs of files that name each other's module. A module and what is inside of it are no
/// pair; tests are left out.
fn circles(tree: &[(String, String)]) -> Vec<(String, String)> {
    let files = tree.iter().filter(|(name, _)| {
        !name.ends_with("tests.rs") && !name.contains("/tests/") && name != "main.rs"
    });
    let files: BTreeMap<Vec<String>, &(String, String)> =
        files.map(|file| (module_of(&file.0), file)).collect();
    let mut imports = BTreeSet::new();
    for (module, (name, text)) in &files {
        let tokens: TokenStream = text.parse().expect("a source file lexes");
        let mut paths = Vec::new();
        collect_paths(without_tests(tokens), module, &mut paths);
        for path in paths {
            let home = (0..=path.len()).rev().find_map(|end| files.get_key_value(&path[..end]));
            let Some((target, (other, _))) = home else { continue };
            if !target.starts_with(module) && !module.starts_with(target) {
                imports.insert((name.clone(), other.clone()));
            }
        }
    }
    let both = |(a, b): &&(String, String)| a < b && imports.contains(&(b.clone(), a.clone()));
    imports.iter().filter(both).cloned().collect()
}

/// `ike/sa/child.rs` is the module `ike::sa::child`, `ike/sa/mod.rs` is `ike::sa`.
fn module_of(name: &str) -> Vec<String> {
    let mut parts: Vec<String> =
        name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// Every path that begins with `crate`, `self` or `super`, from the crate's root.
fn collect_paths(tokens: Vec<TokenTree>, module: &[String], out: &mut Vec<Vec<String>>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(_) if !is_path_step(&tokens[..at]) => {
                let steps = path_at(&tokens[at..]);
                let Some(base) = base_of(&steps, module) else { continue };
                let supers = steps.iter().take_while(|step| *step == "super").count().max(1);
                let path: Vec<String> = base.iter().chain(&steps[supers..]).cloned().collect();
                match tokens.get(at + 3 * steps.len()) {
                    Some(TokenTree::Group(list))
                        if is_path_step(&tokens[..at + 3 * steps.len()]) =>
                    {
                        expand(list, &path, out);
                    }
                    _ => out.push(path),
                }
            }
            TokenTree::Group(group) => collect_paths(without_tests(group.stream()), module, out),
            _ => {}
        }
    }
}

/// The module that the first steps of a path stand for.
fn base_of<'m>(steps: &[String], module: &'m [String]) -> Option<&'m [String]> {
    match steps[0].as_str() {
        "crate" => Some(&[]),
        "self" if steps.len() > 1 => Some(module),
        "super" => {
            let supers = steps.iter().take_while(|step| *step == "super").count();
            module.get(..module.len().checked_sub(supers)?)
        }
        _ => None,
    }
}

/// The paths of `base::{a, b::c, d::{e, f}}`.
fn expand(list: &Group, base: &[String], out: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = list.stream().into_iter().collect();
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    for item in tokens.split(comma) {
        let Some(TokenTree::Ident(_)) = item.first() else { continue };
        let steps = path_at(item);
        let own = steps.iter().filter(|step| *step != "self").cloned();
        let path: Vec<String> = base.iter().cloned().chain(own).collect();
        match item.get(3 * steps.len()) {
            Some(TokenTree::Group(inner)) => expand(inner, &path, out),
            _ => out.push(path),
        }
    }
}

/// The rule, shown to fail on bad examples and to pass on the good ones beside them.
mod teeth {
    use super::circles;

    fn pair(a: &str, b: &str) -> Vec<(String, String)> {
        let tree = [("lane/port.rs", a), ("lane/tun.rs", b), ("lane/mod.rs", "mod port; mod tun;")];
        let tree = tree.map(|(name, text)| (name.to_owned(), text.to_owned()));
        circles(&tree)
    }

    #[test]
    fn two_files_that_import_each_other() {
        let there = "use super::tun::Tun;";
        let circle = [("lane/port.rs".to_owned(), "lane/tun.rs".to_owned())];
        for back in [
            "use crate::lane::port::Port;",
            "use crate::{wire::Spi, lane::{self, port::{Port, Ear}}};",
            "fn f() { super::port::g() }",
            "mod m { use crate::lane::port; }",
        ] {
            assert_eq!(pair(there, back), circle, "{back}");
        }
        for good in [
            "use super::Lane;",
            "#[cfg(test)] mod tests { use crate::lane::port::Port; }",
            "/// See [`super::port`].\nfn f(port: u16) {}",
            "use crate::lane::{self, Lane};",
        ] {
            assert_eq!(pair(there, good), [], "{good}");
        }
    }
}
