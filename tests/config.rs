//! The configuration file, from the operator's side: broken files with what is said of each, and the files of `conf/`.
//!
//! `tests/config/NAME.toml` must give exactly `NAME.expected`. `UPDATE_GOLDEN=1 cargo test --test config` writes the expected
//! files anew: read each of them as the operator would before it is committed.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use s2sd::config::{self, Severity, schema, table::TableDoc};

#[test]
fn broken_files_are_told_all_that_is_wrong() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 50, "only {} broken files", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let said = said(&name, &fs::read_to_string(&case).unwrap());
        let golden = case.with_extension("expected");
        if update {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            wrong.push(format!("== {name}\n-- expected\n{expected}-- said\n{said}"));
        }
        assert!(!said.is_empty(), "{name} is not broken");
    }
    assert!(wrong.is_empty(), "{} of the files:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_expected_file_has_its_broken_file() {
    for entry in fs::read_dir(folder("tests/config")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("toml").exists(), "{} is left over", path.display());
    }
}

#[test]
fn the_files_of_conf_are_clean() {
    for name in ["s2sd.toml", "azure-single.toml", "azure-active-active.toml"] {
        let text = fs::read_to_string(folder("conf").join(name)).unwrap();
        let parsed = config::parse(name, &text);
        assert_eq!(parsed.found, [], "{}", said(name, &text));
        assert!(parsed.config.is_some());
    }
}

#[test]
fn every_key_is_shown_in_conf_with_its_default() {
    let text = fs::read_to_string(folder("conf/s2sd.toml")).unwrap();
    let shown: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
        .map(|(key, _)| key.trim())
        .collect();
    for table in schema::tables() {
        let title = format!("{}\n", table.title());
        assert!(
            table.path.is_empty() || text.contains(title.trim()),
            "{title} is not in conf/s2sd.toml"
        );
        for key in table.keys.iter().filter(|key| key.kind.table().is_none()) {
            assert!(
                shown.contains(key.name),
                "`{}` of {} is not in conf/s2sd.toml",
                key.name,
                table.title()
            );
            assert_default_is_shown(&text, table, key);
        }
    }
}

#[test]
fn the_defaults_shown_in_conf_are_the_defaults() {
    let text = fs::read_to_string(folder("conf/s2sd.toml")).unwrap();
    let defaults: Vec<&str> = schema::tables()
        .iter()
        .flat_map(|table| table.keys)
        .filter(|key| matches!(key.presence, table_key::Presence::Default(_)))
        .map(|key| key.name)
        .filter(|name| *name != "ipsec_policy") // the table shown below it is the other way to write it
        .collect();
    let spelt_out: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if defaults.iter().any(|key| rest.starts_with(&format!("{key} ="))) => rest,
            _ => line,
        })
        .collect();
    assert!(spelt_out.iter().filter(|line| !line.starts_with('#')).count() > 50);
    let (short, long) = (config::parse("a", &text), config::parse("b", &spelt_out.join("\n")));
    assert_eq!(long.found, []);
    assert_eq!(short.config, long.config);
}

/// The default stands in the key's comment or is the value shown.
fn assert_default_is_shown(text: &str, table: &TableDoc, key: &table_key::Key) {
    let table_key::Presence::Default(default) = key.presence else { return };
    let start = text.find(&table.title()).unwrap();
    let line = text[start..]
        .lines()
        .find(|line| {
            line.trim_start_matches(['#', ' ']).split('=').next().unwrap().trim() == key.name
        })
        .unwrap_or_else(|| panic!("`{}` is not below {}", key.name, table.title()));
    assert!(
        line.contains(default),
        "the default of `{}`, {default}, is not in its line: {line}",
        key.name
    );
}

/// Short names for the schema's documentation.
mod table_key {
    pub use s2sd::config::table::{KeyDoc as Key, Presence};
}

fn said(name: &str, text: &str) -> String {
    let parsed = config::parse(name, text);
    let errors = parsed.found.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(
        errors,
        parsed.config.is_none(),
        "{name}: an error and a configuration exclude each other"
    );
    parsed.found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn cases() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder("tests/config"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    found
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
