//! The pages of `docs/conformance/` hold: each test that a row names exists, the rows stand in the
//! RFC's order, no section that has a requirement is missing, and the summary counts right.
//!
//! A test is named as its binary's filter has it: `lib ike::sa::window::tests::ids_do_not_wrap` is
//! run by `cargo test --lib ike::sa::window::tests::ids_do_not_wrap`, and `oldbugs after::...` by
//! `cargo test --test oldbugs after::...`. `sim script NAME` is a script of the simulator
//! (`S2SD_SIM_SCRIPT=NAME cargo test --test sim every_script`), `interop NAME` a case of
//! `cargo test --test interop NAME`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The sections of each RFC that have a MUST, SHALL, REQUIRED, SHOULD or RECOMMENDED, but for those
/// that define these words, tell of earlier RFCs, or speak to the authors of later ones.
const RFCS: &[(&str, &[&str])] = &[
    (
        "7296",
        &[
            "1", "1.2", "1.3", "1.3.1", "1.3.2", "1.3.3", "1.4", "1.4.1", "1.5", "2", "2.1", "2.2",
            "2.3", "2.4", "2.5", "2.6", "2.6.1", "2.7", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.2",
            "2.10", "2.11", "2.12", "2.13", "2.14", "2.15", "2.16", "2.17", "2.18", "2.19", "2.20",
            "2.21.2", "2.21.3", "2.21.4", "2.22", "2.23", "2.23.1", "2.24", "2.25", "2.25.1",
            "2.25.2", "3", "3.1", "3.2", "3.3", "3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5",
            "3.3.6", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.10.1", "3.11", "3.12",
            "3.13", "3.13.1", "3.14", "3.15", "3.15.1", "3.16", "4", "5",
        ],
    ),
    ("7383", &["2.3", "2.4", "2.5", "2.5.1", "2.5.2", "2.5.3", "2.6", "2.6.1", "3", "5"]),
    (
        "4303",
        &[
            "1", "2", "2.1", "2.2", "2.2.1", "2.3", "2.4", "2.6", "2.7", "2.8", "3.2", "3.3.2.1",
            "3.3.2.2", "3.3.3", "3.3.4", "3.4.1", "3.4.2", "3.4.3", "3.4.4.1", "3.4.4.2", "4", "5",
            "A3",
        ],
    ),
    ("3948", &["1", "2.1", "2.3", "3.1.1", "3.1.2", "4", "5.1", "5.2"]),
    (
        "4301",
        &[
            "5", "5.1", "5.1.1", "5.1.2.1", "5.2", "6", "6.1.1", "6.1.2", "6.2", "7.1", "7.2",
            "7.3", "7.4", "8.1", "8.2.1", "8.2.2",
        ],
    ),
    ("6040", &["4", "4.1", "4.2", "4.3", "4.4", "5.1"]),
    ("7427", &["3", "4"]),
    ("8247", &["1", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.1.1", "3.2"]),
];

/// What is said of a requirement, as the third column begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Kept,
    NotKept,
    DoesNotApply,
}

/// One row of a page.
#[derive(Debug)]
struct Row {
    section: String,
    verdict: Verdict,
    /// The tests that the row names.
    names: Vec<String>,
}

#[test]
fn the_pages_hold() {
    let known = Known::read();
    let mut found = Vec::new();
    let mut summary = Vec::new();
    let mut total = [0; 4];
    for (rfc, sections) in RFCS {
        let page = format!("docs/conformance/rfc{rfc}.md");
        let (rows, faults) = rows(&read(&page));
        found.extend(faults.into_iter().map(|fault| format!("{page}: {fault}")));
        let faults = findings(&rows, sections, &known);
        found.extend(faults.into_iter().map(|fault| format!("{page}: {fault}")));
        let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
        let counts = [Verdict::Kept, Verdict::NotKept, Verdict::DoesNotApply].map(count);
        let counts = [rows.len(), counts[0], counts[1], counts[2]];
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        summary.push((format!("| [{rfc}](conformance/rfc{rfc}.md) |"), cells(&counts)));
    }
    summary.push(("| all |".to_owned(), cells(&total)));
    let overview = read("docs/conformance.md");
    for (begin, end) in summary {
        if !overview.lines().any(|line| line.starts_with(&begin) && line.ends_with(&end)) {
            found.push(format!("docs/conformance.md lacks the line {begin} ... {end}"));
        }
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

fn cells(counts: &[usize; 4]) -> String {
    let [all, kept, not_kept, does_not_apply] = counts;
    format!("| {all} | {kept} | {not_kept} | {does_not_apply} |")
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect(path)
}

/// The rows of a page's table, and what is wrong with their form.
fn rows(page: &str) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let inside = line.trim_start_matches("| ").trim_end_matches(" |");
        let cells: Vec<&str> = inside.split(" | ").collect();
        if cells == ["§", "requirement", "here"] {
            continue;
        }
        match row(&cells) {
            Ok(row) => rows.push(row),
            Err(fault) => faults.push(format!("{fault}: {line}")),
        }
    }
    (rows, faults)
}

fn row(cells: &[&str]) -> Result<Row, &'static str> {
    let [section, requirement, here] = cells else { return Err("not three columns") };
    if requirement.is_empty() {
        return Err("no requirement");
    }
    let names: Vec<String> = here
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.split_once(' ').is_some_and(|(first, _)| is_binary(first)))
        .map(str::to_owned)
        .collect();
    let rest = |prefix: &str| here.strip_prefix(prefix).map(str::trim).filter(|s| !s.is_empty());
    let verdict = if let Some(rest) = rest("kept:") {
        // Names and nothing else.
        if names.is_empty() || rest.split('`').step_by(2).any(|gap| !matches!(gap, "" | ", ")) {
            return Err("kept by what tests?");
        }
        Verdict::Kept
    } else if let Some(rest) = rest("kept by construction:") {
        let path = rest.split('`').nth(1).unwrap_or_default();
        if path.is_empty() || !Path::new(ROOT).join(path).exists() {
            return Err("kept by the construction of what file?");
        }
        Verdict::Kept
    } else if rest("not kept:").is_some() {
        Verdict::NotKept
    } else if rest("does not apply:").is_some() {
        Verdict::DoesNotApply
    } else {
        return Err("neither kept, nor not kept, nor does it not apply");
    };
    Ok(Row { section: (*section).to_owned(), verdict, names })
}

/// Whether a name in backticks that begins with this word is a test's.
fn is_binary(word: &str) -> bool {
    word == "lib"
        || word == "interop"
        || Path::new(ROOT).join(format!("tests/{word}.rs")).exists()
        || Path::new(ROOT).join(format!("tests/{word}/main.rs")).exists()
}

/// What is wrong with the rows of one RFC.
fn findings(rows: &[Row], sections: &[&str], known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let unknown = row.names.iter().filter(|name| !known.0.contains(*name));
        found.extend(unknown.map(|name| format!("§{}: there is no test `{name}`", row.section)));
        if !sections.contains(&&*row.section) {
            found.push(format!("§{} is not in the list of this file", row.section));
        }
    }
    let place = |row: &Row| sections.iter().position(|section| *section == row.section);
    let places: Vec<usize> = rows.iter().filter_map(place).collect();
    let late = places.windows(2).find(|pair| pair[0] > pair[1]).and_then(|p| sections.get(p[1]));
    found.extend(late.map(|section| format!("§{section} comes too late")));
    let missing =
        sections.iter().filter(|section| !rows.iter().any(|row| row.section == **section));
    found.extend(missing.map(|section| format!("§{section} has a requirement and no row")));
    found
}

/// Every test of the tree, as its binary's filter has it.
struct Known(BTreeSet<String>);

impl Known {
    fn read() -> Known {
        let mut known = Known(BTreeSet::new());
        known.folder("src", "lib", "");
        for entry in fs::read_dir(Path::new(ROOT).join("tests")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|end| end == "rs") {
                known.file(&format!("tests/{name}.rs"), &name, "");
            } else if path.is_dir() && is_binary(&name) {
                known.folder(&format!("tests/{name}"), &name, "");
            }
        }
        known.quoted("tests/sim/scripts", "script(\"", "sim script ");
        known.quoted("tests/interop/cases", "name: \"", "interop ");
        known
    }

    /// The tests below a folder, each under its module.
    fn folder(&mut self, folder: &str, binary: &str, module: &str) {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let inner = match name {
                "mod" | "main" | "lib" => module.to_owned(),
                _ if module.is_empty() => name.to_owned(),
                _ => format!("{module}::{name}"),
            };
            if path.is_dir() {
                self.folder(&format!("{folder}/{name}"), binary, &inner);
            } else if path.extension().is_some_and(|end| end == "rs") {
                self.file(&format!("{folder}/{name}.rs"), binary, &inner);
            }
        }
    }

    fn file(&mut self, path: &str, binary: &str, module: &str) {
        for name in tests_of(&read(path)) {
            let colons = if module.is_empty() { "" } else { "::" };
            self.0.insert(format!("{binary} {module}{colons}{name}"));
        }
    }

    /// What stands in quotation marks after `before`, in all files of a folder.
    fn quoted(&mut self, folder: &str, before: &str, prefix: &str) {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let names = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
            self.0.extend(names.map(|name| format!("{prefix}{name}")));
        }
    }
}

/// The tests of a source, with the module inside of the file that they stand in.
fn tests_of(text: &str) -> Vec<String> {
    let (mut inside, mut is_test, mut found) = ("", false, Vec::new());
    for line in text.lines() {
        if let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inside = module;
        } else if line == "}" {
            inside = "";
        }
        let word = line.trim();
        is_test |= word == "#[test]";
        if let Some(rest) = word.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut is_test) {
                let colons = if inside.is_empty() { "" } else { "::" };
                found.push(format!("{inside}{colons}{name}"));
            }
        }
    }
    found
}

/// The rules, shown to fail on bad examples and to pass on the good ones beside them.
mod teeth {
    use super::*;

    #[test]
    fn tests_are_found_under_their_modules() {
        let text = "#[test]\nfn one() {\n}\nfn no() {\n}\nmod tests {\n    #[test]\n    #[ignore]\n    \
                    fn two() {\n    }\n}\n#[test]\nfn three() {}\n";
        assert_eq!(tests_of(text), ["one", "tests::two", "three"]);
        let known = Known::read();
        for name in [
            "conformance teeth::tests_are_found_under_their_modules",
            "lib ike::sa::window::tests::ids_do_not_wrap",
            "oldbugs after::delete_with_absurd_counts",
            "sim script rekey-plain",
            "interop rekey: child, by us",
        ] {
            assert!(known.0.contains(name), "{name}");
        }
    }

    #[test]
    fn rows_have_a_verdict_that_can_be_checked() {
        let good = "| 1.2 | a (MUST) | kept: `lib a::b`, `sim script c-d` |\n\
                    | 2 | b | not kept: because `s2sd check` says so |\n\
                    | 2 | c | does not apply: no c ({`lib a::c`}) |\n\
                    | 3 | d | kept by construction: `tests/conformance.rs`: so |\n";
        let (good, faults) = rows(good);
        assert_eq!(faults, Vec::<String>::new());
        let named: Vec<&str> = good.iter().flat_map(|row| &row.names).map(|n| &**n).collect();
        assert_eq!(named, ["lib a::b", "sim script c-d", "lib a::c"]);
        for bad in [
            "| 1 | a | kept |",
            "| 1 | a | kept: |",
            "| 1 | a | kept: by hope |",
            "| 1 | a | kept: `lib a` and hope |",
            "| 1 | a | kept by construction: `src/gone.rs`: so |",
            "| 1 | a | not kept: |",
            "| 1 | a | perhaps |",
            "| 1 | not kept: because |",
        ] {
            assert_eq!(rows(bad).1.len(), 1, "{bad}");
        }
    }

    #[test]
    fn sections_are_all_there_and_in_order() {
        let known = Known(BTreeSet::from(["lib a".to_owned()]));
        let count = |page: &str| findings(&rows(page).0, &["1", "2"], &known).len();
        assert_eq!(count("| 1 | a | kept: `lib a` |\n| 2 | b | not kept: so |"), 0);
        assert_eq!(count("| 2 | b | not kept: so |\n| 1 | a | kept: `lib a` |"), 1, "order");
        assert_eq!(count("| 1 | a | kept: `lib a` |"), 1, "§2 is missing");
        assert_eq!(count("| 1 | a | kept: `lib b` |\n| 2 | b | not kept: so |"), 1, "no test");
        assert_eq!(
            count("| 1 | a | kept: `lib a` |\n| 2 | b | not kept: so |\n| 3 | c | not kept: so |"),
            1,
            "no section"
        );
    }
}
