//! The house rules that a machine can check, over every file of `src/`. Each rule is shown to catch
//! a bad example and to pass the good one beside it.
//!
//! The sources are read as tokens, so neither comments, strings nor formatting can hide or fake a
//! finding.
//!
//! | file | rules |
//! |---|---|
//! | `tests/architecture.rs` | one file by itself: layers, lengths, columns, `unsafe`, clocks |
//! | `tests/architecture/tree.rs` | folders and their tables, type names that occur twice |
//! | `tests/architecture/circles.rs` | files that import each other |
//! | `tests/architecture/tools.rs` | crates and modules that the running service does without |

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/tools.rs"]
mod tools;
#[path = "architecture/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The layer of each module; a module may name modules of lower layers only (CONTRIBUTING, rule 1).
/// The tables in `src/lib.rs` and `docs/architecture.md` have the same numbers.
const LAYERS: &[(&str, u8)] = &[
    ("time", 0),
    ("rng", 0),
    ("rate", 0),
    ("der", 0),
    ("wire", 1),
    ("sys", 1),
    ("crypto", 2),
    ("pki", 3),
    ("esp", 3),
    ("certs", 4),
    ("ike", 4),
    ("dataplane", 4),
    ("state", 5),
    ("config", 5),
    ("azure", 6),
    ("daemon", 6),
    ("doctor", 7),
    ("cli", 8),
];

/// The layer whose modules may name each other: each is one small file without I/O.
const GROUND: u8 = 0;

/// A file's cap in lines, its tests not counted.
const FILE_CAP: usize = 700;
/// A function's cap in lines.
const FUNCTION_CAP: usize = 80;
/// The columns of a comment line, and of a code line without a string.
const COLUMNS: usize = 100;

/// Clocks and random sources that only `sys` may touch.
const SOURCES: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "SystemRandom",
    "OsRng",
    "ThreadRng",
    "thread_rng",
    "getrandom",
    "clock_gettime",
    "thread::sleep",
    "thread::park_timeout",
];

/// Modules that are functions of bytes and time alone: `sys` lies below them and is out of bounds
/// all the same.
const PURE: &[&str] = &["pki", "esp", "ike"];

/// What the engine must not know: it is handed bytes and time, and hands back effects.
const FOREIGN_TO_IKE: &[&str] = &[
    "std::net::UdpSocket",
    "std::thread",
    "std::sync",
    "std::fs",
    "std::io",
    "std::process",
    "tokio",
];

#[test]
fn every_source_file_keeps_the_house_rules() {
    let mut found = Vec::new();
    for (name, text) in tree() {
        found.extend(violations(&name, &text).into_iter().map(|v| format!("src/{name}: {v}")));
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_layer() {
    let lib = read("src/lib.rs");
    assert_eq!(without_layer(&lib), Vec::<&str>::new(), "no layer in tests/architecture.rs");
}

#[test]
fn the_tables_of_layers_say_the_same() {
    for page in ["src/lib.rs", "docs/architecture.md"] {
        assert_eq!(table_differences(&read(page)), Vec::<String>::new(), "{page}");
    }
}

/// The modules that this `lib.rs` declares and [`LAYERS`] does not know.
fn without_layer(lib: &str) -> Vec<&str> {
    let declared = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.filter(|module| layer(module).is_none()).collect()
}

/// Where the table of layers on this page (rows `| 4 | `ike`, `certs` | .. |`) and [`LAYERS`]
/// disagree.
fn table_differences(page: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in page.lines() {
        let mut cells = line.trim_start_matches("//!").trim().split('|').skip(1);
        let (Some(number), Some(names)) = (cells.next(), cells.next()) else { continue };
        let Ok(number) = number.trim().parse::<u8>() else { continue };
        said.extend(names.split('`').skip(1).step_by(2).map(|name| (name, number)));
    }
    let missing = LAYERS.iter().filter(|entry| !said.contains(entry));
    let wrong = said.iter().filter(|entry| !LAYERS.contains(entry));
    let missing = missing.map(|(name, number)| format!("no row has `{name}` at layer {number}"));
    missing
        .chain(wrong.map(|(name, number)| format!("`{name}` is not at layer {number}")))
        .collect()
}

/// Every source file: its path below `src/` and its text.
fn tree() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        (name, text)
    };
    sources(&root).into_iter().map(named).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// All that is wrong with one file; `name` is its path below `src/`.
fn violations(name: &str, text: &str) -> Vec<String> {
    let tokens: TokenStream = match text.parse() {
        Ok(tokens) => tokens,
        Err(error) => return vec![format!("does not lex: {error}")],
    };
    let file = SourceFile { name, text };
    let mut out = Vec::new();
    file.check_length(&tokens, &mut out);
    file.check_columns(&tokens, &mut out);
    file.check_doc(&mut out);
    file.walk(tokens, file.depth(), &mut out);
    out
}

struct SourceFile<'a> {
    name: &'a str,
    text: &'a str,
}

impl SourceFile<'_> {
    /// The top-level module this file belongs to: `wire` for `wire/sa.rs`, `time` for `time.rs`.
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super::` lead from this file's module to the crate root.
    fn depth(&self) -> usize {
        let parts = self.name.split('/').count();
        match self.name.rsplit('/').next() {
            Some("mod.rs") => parts - 1,
            Some("lib.rs" | "main.rs") => 0,
            _ => parts,
        }
    }

    fn in_sys(&self) -> bool {
        self.module() == "sys"
    }

    fn is_tests(&self) -> bool {
        self.name.ends_with("tests.rs") || self.name.contains("/tests/")
    }

    fn check_length(&self, tokens: &TokenStream, out: &mut Vec<String>) {
        let lines = self.text.lines().count() - test_lines(tokens.clone());
        if lines > FILE_CAP && !self.is_tests() {
            out.push(format!("{lines} lines without tests, the cap is {FILE_CAP}"));
        }
    }

    /// Comments keep to the columns; so does code, except on lines that hold a string.
    fn check_columns(&self, tokens: &TokenStream, out: &mut Vec<String>) {
        let (mut with_string, mut inside) = (BTreeSet::new(), BTreeSet::new());
        string_lines(tokens.clone(), &mut with_string, &mut inside);
        for (line, text) in (1..).zip(self.text.lines()) {
            let comment = text.trim_start().starts_with("//") && !inside.contains(&line);
            let columns = text.chars().count();
            if columns > COLUMNS && (comment || !with_string.contains(&line)) {
                out.push(format!("line {line}: {columns} columns, the cap is {COLUMNS}"));
            }
        }
    }

    /// A module doc says what is there, not that somebody still has to write it.
    fn check_doc(&self, out: &mut Vec<String>) {
        for (line, text) in (1..).zip(self.text.lines()) {
            if text.starts_with("//!") && text.contains("TODO") {
                out.push(format!("line {line}: a module doc that is still to be written"));
            }
        }
    }

    /// Checks one run of tokens at module depth `depth`, then every group inside it.
    fn walk(&self, tokens: TokenStream, depth: usize, out: &mut Vec<String>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(_) => self.check_ident(
                    &tokens[at..],
                    at > 0 && is_path_step(&tokens[..at]),
                    depth,
                    out,
                ),
                TokenTree::Group(group) => {
                    let inner = depth + usize::from(opens_module(&tokens[..at], group));
                    self.walk(group.stream(), inner, out);
                }
                _ => {}
            }
        }
    }

    fn check_ident(
        &self,
        rest: &[TokenTree],
        continues: bool,
        depth: usize,
        out: &mut Vec<String>,
    ) {
        let path = path_at(rest);
        let line = rest[0].span().start().line;
        if path[0] == "unsafe" {
            self.check_unsafe(line, out);
        }
        if path[0] == "fn" {
            self.check_function(rest, line, out);
        }
        if !continues {
            for target in self.targets(rest, &path, depth) {
                self.check_layer(&target, line, out);
            }
            self.check_foreign(rest, &path, line, out);
        }
        self.check_source(&path, line, out);
    }

    /// `unsafe` lives in `sys`, and every use has its SAFETY line in the comment above or on its
    /// own line.
    fn check_unsafe(&self, line: usize, out: &mut Vec<String>) {
        if !self.in_sys() {
            out.push(format!("line {line}: `unsafe` outside src/sys"));
            return;
        }
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        let reasoned = lines.last().is_some_and(|l| l.contains("SAFETY:"))
            || lines
                .iter()
                .rev()
                .skip(1)
                .map(|l| l.trim())
                .take_while(|l| l.starts_with("//") || l.starts_with('#'))
                .any(|l| l.contains("SAFETY:") || l.contains("# Safety"));
        if !reasoned {
            out.push(format!("line {line}: `unsafe` without a SAFETY line"));
        }
    }

    fn check_function(&self, rest: &[TokenTree], line: usize, out: &mut Vec<String>) {
        let Some(TokenTree::Ident(name)) = rest.get(1) else { return };
        for token in &rest[2..] {
            match token {
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                    let lines = body.span_close().end().line - line + 1;
                    if lines > FUNCTION_CAP && !self.is_tests() {
                        out.push(format!(
                            "line {line}: fn {name} has {lines} lines, the cap is {FUNCTION_CAP}"
                        ));
                    }
                    return;
                }
                TokenTree::Punct(p) if p.as_char() == ';' => return,
                _ => {}
            }
        }
    }

    /// The top-level modules that a path starting here names: through `crate`, `s2sd`, or `super`
    /// up to the root.
    fn targets(&self, rest: &[TokenTree], path: &[String], depth: usize) -> Vec<String> {
        let steps = match path[0].as_str() {
            "crate" | "s2sd" => 1,
            "super" => {
                let supers = path.iter().take_while(|s| *s == "super").count();
                if supers < depth {
                    return Vec::new();
                }
                supers
            }
            _ => return Vec::new(),
        };
        names_after(rest, path, steps)
    }

    fn check_layer(&self, target: &str, line: usize, out: &mut Vec<String>) {
        if PURE.contains(&self.module()) && target == "sys" {
            out.push(format!("line {line}: `{}` may not name `sys`", self.module()));
            return;
        }
        let (own, Some(other)) = (layer(self.module()), layer(target)) else { return };
        let ground = own == Some(GROUND) && other == GROUND;
        if target != self.module() && !ground && own.is_some_and(|own| other >= own) {
            out.push(format!(
                "line {line}: `{}` may not use `{target}`, which is not in a lower layer",
                self.module()
            ));
        }
    }

    fn check_foreign(
        &self,
        rest: &[TokenTree],
        path: &[String],
        line: usize,
        out: &mut Vec<String>,
    ) {
        if self.module() != "ike" {
            return;
        }
        let mut paths = vec![path.join("::")];
        paths.extend(
            names_after(rest, path, path.len()).iter().map(|n| format!("{}::{n}", path.join("::"))),
        );
        for foreign in FOREIGN_TO_IKE {
            if paths.iter().any(|p| p == foreign || p.starts_with(&format!("{foreign}::"))) {
                out.push(format!("line {line}: the engine may not name `{foreign}`"));
            }
        }
    }

    fn check_source(&self, path: &[String], line: usize, out: &mut Vec<String>) {
        if self.in_sys() {
            return;
        }
        for source in SOURCES {
            let wanted: Vec<&str> = source.split("::").collect();
            if path.len() >= wanted.len() && path.iter().zip(&wanted).all(|(a, b)| a == b) {
                out.push(format!("line {line}: `{source}` outside src/sys"));
            }
        }
    }
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The lines that hold (part of) a string, and those that begin inside of one.
fn string_lines(
    tokens: TokenStream,
    with_string: &mut BTreeSet<usize>,
    inside: &mut BTreeSet<usize>,
) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => string_lines(group.stream(), with_string, inside),
            TokenTree::Literal(literal) if literal.to_string().contains('"') => {
                let (first, last) = (literal.span().start().line, literal.span().end().line);
                with_string.extend(first..=last);
                inside.extend(first + 1..=last);
            }
            _ => {}
        }
    }
}

/// The path `a::b::c` at the start of `rest`, as its names.
fn path_at(rest: &[TokenTree]) -> Vec<String> {
    let mut names = vec![rest[0].to_string()];
    let mut at = 1;
    while let (true, Some(TokenTree::Ident(name))) =
        (is_path_step(&rest[..(at + 2).min(rest.len())]), rest.get(at + 2))
    {
        names.push(name.to_string());
        at += 3;
    }
    names
}

/// Whether these tokens end in `::`.
fn is_path_step(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Punct(a), TokenTree::Punct(b)] if a.as_char() == ':' && b.as_char() == ':')
}

/// The names that follow step `steps` of the path: one, or all of `{a, b::c}`.
fn names_after(rest: &[TokenTree], path: &[String], steps: usize) -> Vec<String> {
    if let Some(name) = path.get(steps) {
        return vec![name.clone()];
    }
    let end = 3 * path.len();
    match rest.get(end) {
        Some(TokenTree::Group(group)) if is_path_step(&rest[..end]) => list_heads(group),
        _ => Vec::new(),
    }
}

/// The first name of each item of a use list.
fn list_heads(group: &Group) -> Vec<String> {
    let mut heads = Vec::new();
    let mut fresh = true;
    for token in group.stream() {
        match token {
            TokenTree::Ident(name) if fresh => heads.push(name.to_string()),
            TokenTree::Punct(p) if p.as_char() == ',' => {
                fresh = true;
                continue;
            }
            _ => {}
        }
        fresh = false;
    }
    heads
}

/// Whether `group` is the body of `mod name { .. }`.
fn opens_module(before: &[TokenTree], group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
        && matches!(before, [.., TokenTree::Ident(keyword), TokenTree::Ident(_)] if keyword == "mod")
}

/// The lines of `#[cfg(test)] mod tests { .. }`.
fn test_lines(tokens: TokenStream) -> usize {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut lines = 0;
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token
            && opens_module(&tokens[..at], group)
            && at >= 4
            && tokens[at - 3].to_string().replace(' ', "") == "[cfg(test)]"
        {
            lines += group.span_close().end().line - tokens[at - 3].span().start().line + 1;
        }
    }
    lines
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Each rule, shown to fail on a bad example and to pass on the good one beside it.
mod teeth {
    use super::{LAYERS, table_differences, violations, without_layer};

    /// The bad source yields exactly one finding that says `says`; the good one yields none.
    #[track_caller]
    fn bites(name: &str, bad: &str, says: &str, good: &str) {
        let found = violations(name, bad);
        assert!(
            found.len() == 1 && found[0].contains(says),
            "wanted one finding `{says}`, got {found:?}"
        );
        assert_eq!(violations(name, good), Vec::<String>::new());
    }

    #[test]
    fn an_import_up_the_layers() {
        bites(
            "wire/sa.rs",
            "use crate::crypto::Provider;",
            "may not use `crypto`",
            "use crate::wire::codes;",
        );
        bites(
            "ike/child.rs",
            "use crate::wire::codes;\nuse crate::daemon::Service;",
            "`daemon`",
            "use crate::pki::Chain;",
        );
    }

    #[test]
    fn an_import_from_the_same_layer() {
        bites(
            "dataplane/egress.rs",
            "use crate::ike::Endpoint;",
            "`ike`",
            "use crate::esp::Outbound;",
        );
        bites("wire/ip.rs", "use crate::sys::clock;", "`sys`", "use crate::time::Now;");
    }

    #[test]
    fn the_operating_system_in_a_pure_module() {
        let good = "use crate::{time::Now, rng::Rng};";
        bites("ike/child.rs", "use crate::sys::clock;", "may not name `sys`", good);
        bites("pki/load.rs", "use crate::{wire, sys};", "may not name `sys`", good);
        bites("esp/mod.rs", "fn f() { crate::sys::clock::now() }", "may not name `sys`", good);
        assert_eq!(violations("crypto/mod.rs", "use crate::sys::random;"), Vec::<String>::new());
    }

    #[test]
    fn an_import_in_a_list_a_path_or_a_macro() {
        bites(
            "esp/mod.rs",
            "use crate::{wire::codes, state::{self, Ledger}};",
            "`state`",
            "use crate::{wire, crypto};",
        );
        bites(
            "esp/mod.rs",
            "fn f() { crate::daemon::run() }",
            "`daemon`",
            "fn f() { crate::wire::decode() }",
        );
        bites("esp/mod.rs", "say!(x, crate::cli::main());", "`cli`", "say!(\"crate::cli::main\");");
        bites(
            "main.rs",
            "const X: u8 = 1; unsafe fn f();",
            "outside src/sys",
            "fn main() { s2sd::cli::main() }",
        );
    }

    #[test]
    fn a_module_without_a_layer() {
        let lib = "pub mod wire;\npub mod cellar;\nmod attic;\n// pub mod said;\n";
        assert_eq!(without_layer(lib), ["cellar", "attic"]);
    }

    #[test]
    fn a_table_with_another_numbering() {
        let row = |(name, number): &(&str, u8)| format!("//! | {number} | [`{name}`] | rooms |\n");
        let good: String = LAYERS.iter().map(row).collect();
        assert_eq!(table_differences(&good), Vec::<String>::new());
        let found = table_differences(&good.replace("| 8 | [`cli`]", "| 7 | [`cli`]"));
        assert_eq!(found, ["no row has `cli` at layer 8", "`cli` is not at layer 7"]);
    }

    #[test]
    fn a_comment_over_its_columns() {
        let long = "x".repeat(97);
        let good = format!("/// {}\nfn f() {{ g(\"{long} {long}\") }}", &long[1..]);
        bites("wire/sa.rs", &format!("/// {long}\nfn f() {{}}"), "101 columns", &good);
        bites("wire/sa.rs", &format!("    // {long}"), "104 columns", &format!("// {long}"));
        let raw = format!("const X: &str = r#\"a\n// {long}{long}\n\"#;");
        bites("wire/sa.rs", &format!("const X: u8 = {long}{long};"), "columns", &raw);
    }

    #[test]
    fn a_module_doc_still_to_be_written() {
        bites("ike/mod.rs", "//! TODO\n", "still to be written", "//! Exchanges.\n// TODO\n");
    }

    #[test]
    fn an_import_through_super() {
        bites(
            "wire/sa.rs",
            "use super::super::crypto::Provider;",
            "`crypto`",
            "use super::codes::EncrId;",
        );
        bites("wire/mod.rs", "use super::pki::Chain;", "`pki`", "use super::time::Now;");
        bites(
            "time.rs",
            "mod tests { use super::super::wire; }",
            "`wire`",
            "mod tests { use super::Now; }",
        );
    }

    #[test]
    fn unsafe_outside_sys() {
        let good = "fn f() { let unsafe_count = 1; } // unsafe is only a word here";
        bites("esp/mod.rs", "fn f() { unsafe { g() } }", "outside src/sys", good);
        bites("esp/mod.rs", "m!(unsafe { g() });", "outside src/sys", "m!(\"unsafe\");");
    }

    #[test]
    fn unsafe_without_its_reason() {
        let good = "fn f() {\n    // SAFETY: fd is ours.\n    unsafe { g() }\n}";
        bites(
            "sys/udp.rs",
            "fn f() {\n    // fine\n    unsafe { g() }\n}",
            "without a SAFETY line",
            good,
        );
    }

    #[test]
    fn a_file_over_its_cap() {
        let long = "// a line\n".repeat(701);
        let tested =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(690), "\n".repeat(500));
        bites("wire/sa.rs", &long, "701 lines", &tested);
        assert_eq!(violations("wire/tests.rs", &long), Vec::<String>::new());
    }

    #[test]
    fn a_function_over_its_cap() {
        let bad = format!("impl X {{ fn long() {{{}}} }}", "\n".repeat(80));
        let good = format!("fn long() {{{}}}", "\n".repeat(79));
        bites("wire/sa.rs", &bad, "fn long has 81 lines", &good);
    }

    #[test]
    fn a_clock_outside_sys() {
        let good = "use crate::time::Instant; fn f(now: Instant) {}";
        bites("ike/timer.rs", "fn f() { Instant::now(); }", "`Instant::now`", good);
        bites(
            "daemon/mod.rs",
            "fn f() { std::time::SystemTime::now(); }",
            "`SystemTime::now`",
            good,
        );
        bites("daemon/mod.rs", "fn f() { std::thread::sleep(d); }", "`thread::sleep`", good);
        assert_eq!(violations("sys/clock.rs", "fn f() { Instant::now(); }"), Vec::<String>::new());
    }

    #[test]
    fn a_random_source_outside_sys() {
        let good = "fn f(rng: &mut dyn Rng) { rng.next_u64(); }";
        bites("crypto/ring.rs", "use ring::rand::SystemRandom;", "`SystemRandom`", good);
        bites("crypto/ring.rs", "fn f() { rand::thread_rng(); }", "`thread_rng`", good);
        bites("crypto/ring.rs", "use x::{a, OsRng};", "`OsRng`", good);
    }

    #[test]
    fn the_engine_naming_the_outside() {
        let good = "use std::net::SocketAddr;\nuse std::collections::{BTreeMap, VecDeque};";
        bites("ike/mod.rs", "use std::sync::Mutex;", "`std::sync`", good);
        bites("ike/mod.rs", "use std::{fmt, thread};", "`std::thread`", good);
        bites("ike/mod.rs", "async fn f() { tokio::time::interval(d); }", "`tokio`", good);
        assert_eq!(violations("daemon/mod.rs", "use std::sync::Mutex;"), Vec::<String>::new());
    }
}
