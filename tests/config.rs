//! The configuration file, from the operator's side: broken files with what is said of each, and
//! the files of `conf/`.
//!
//! `tests/config/NAME.toml` must give exactly `NAME.expected`.
//! `UPDATE_GOLDEN=1 cargo test --test config` writes the expected files anew: read each of them as
//! the operator would before it is committed.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use proptest::prelude::*;

use s2sd::config::file::{FileContent, Files};
use s2sd::config::value::FileRef;
use s2sd::config::{self, Severity, doc::TableDoc, schema};
use s2sd::pki::load::Bundle;
use s2sd::time::{Now, UnixTime};

#[test]
fn broken_files_are_told_all_that_is_wrong() {
    assert!(cases("tests/config").len() >= 50);
    let wrong = compare("tests/config", |name, text| {
        let said = said(name, text);
        assert!(!said.is_empty(), "{name} is not broken");
        said
    });
    assert!(wrong.is_empty(), "{} of the files:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    /// Whatever a slip of the hand makes of a file, it is read or refused, with every place inside
    /// the file.
    #[test]
    fn no_slip_of_the_hand_is_too_much(
        cut in 0.0..1.0f64,
        length in 0..40usize,
        by in prop_oneof!["[ -~\\n]{0,12}", "[\\[\\]{}\"'=,.#\\n\u{201c}\u{e4}]{0,6}"],
    ) {
        let text: Vec<char> = include_str!("../conf/azure-active-active.toml").chars().collect();
        let start = (cut * text.len() as f64) as usize;
        let end = (start + length).min(text.len());
        let text: String = text[..start].iter().copied().chain(by.chars()).chain(text[end..].iter().copied()).collect();
        let parsed = config::parse("slip", &text);
        let errors = parsed.found.iter().filter(|found| found.severity == Severity::Error);
        prop_assert_eq!(errors.count() > 0, parsed.config.is_none());
        let lines: Vec<&str> = text.split('\n').collect();
        for found in &parsed.found {
            let line = lines.get(found.line - 1);
            prop_assert!(line.is_some_and(|line| found.column <= line.chars().count() + 1), "{}", found);
            prop_assert!(!found.hint.is_empty() && found.to_string().contains('^'));
        }
    }
}

/// What differs between what is said of the files of a folder and what is expected.
fn compare(folder: &str, say: impl Fn(&str, &str) -> String) -> Vec<String> {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in cases(folder) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let said = say(&name, &fs::read_to_string(&case).unwrap());
        let golden = case.with_extension("expected");
        if update {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            wrong.push(format!("== {name}\n-- expected\n{expected}-- said\n{said}"));
        }
    }
    wrong
}

#[test]
fn files_that_a_configuration_names_are_checked() {
    let own = fs::read(folder("tests/vectors/pki/Inbound-certificate.pem")).unwrap();
    let own = Bundle::read(&own, None, "ours").unwrap().certificates.remove(0);
    let wrong = compare("tests/config/files", |name, text| {
        let at = text.lines().next().and_then(|line| line.strip_prefix("# at ")).unwrap();
        let (end, seconds) = at.split_at(at.find(['+', '-']).unwrap());
        let end = if end == "begin" { own.not_before() } else { own.not_after() };
        let at = end.0.checked_add_signed(seconds.parse().unwrap()).unwrap();
        let now = Now { unix: UnixTime(at), ..Now::default() };
        let text = text.replace("OUR_THUMBPRINT", &own.thumbprint().to_string());
        without_chance(&config::check(name, &text, &Vectors, now).to_string())
    });
    assert!(wrong.is_empty(), "{} of the files:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_report_is_json_of_a_known_shape() {
    let name = "with-errors-in-the-file.toml";
    let text = fs::read_to_string(folder("tests/config/files").join(name)).unwrap();
    let report = config::check(name, &text, &Vectors, Now::default());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["file"], name);
    assert_eq!(json["found"][0]["severity"], "error");
    assert_eq!(json["found"][0]["line"], 14);
    assert_eq!(json["found"][0]["column"], 23);
    assert_eq!(json["found"][0].as_object().unwrap().len(), 6);
    let fine = fs::read_to_string(folder("tests/config/files/fine.toml")).unwrap();
    let json = serde_json::to_value(config::check(name, &fine, &Vectors, Now::default())).unwrap();
    assert_eq!(json["connections"][0]["tunnels"][1]["interface"], "azure1");
    let own = &json["connections"][0]["credentials"]["inbound"][0];
    assert_eq!(own["common_name"], "Inbound-certificate");
}

/// What is said, less what differs each time `tests/vectors/pki/make.sh` makes the certificates
/// anew.
fn without_chance(said: &str) -> String {
    let word = |word: &str| {
        let hex = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
        let digits = hex.len() >= 40 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let time = word.trim_end_matches([',', ')', ':']);
        if digits {
            word.replace(hex, "<hex>")
        } else if time.ends_with('Z') && time.contains('T') && time.starts_with("2") {
            word.replace(time, "<time>")
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let days = |at: usize| words.get(at + 1..at + 3) == Some(&["days", "left,"]);
        let kept = words.iter().enumerate();
        let kept = kept.map(|(at, text)| if days(at) { "<n>".to_owned() } else { word(text) });
        kept.collect::<Vec<_>>().join(" ")
    };
    said.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The files of `tests/vectors/pki` under `/pki`: `/pki/a+b` is both, one after the other.
struct Vectors;

impl Files for Vectors {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        let name = match file {
            FileRef::Credential(name) if name == "elsewhere" => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            FileRef::Credential(_) => return Err(io::ErrorKind::NotFound.into()),
            FileRef::Path(path) => path.to_str().unwrap(),
        };
        let exposed = name.starts_with("/exposed/");
        let names = match name.strip_prefix("/pki/").or_else(|| name.strip_prefix("/exposed/")) {
            Some(names) => names,
            None if name == "/password" => {
                let bytes = b"secret\n".to_vec().into();
                return Ok(FileContent { bytes, exposed });
            }
            None if name.starts_with("/denied/") => {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let mut bytes = Vec::new();
        for name in names.split('+') {
            bytes.extend(fs::read(folder("tests/vectors/pki").join(name))?);
        }
        Ok(FileContent { bytes: bytes.into(), exposed })
    }
}

#[test]
fn each_expected_file_has_its_broken_file() {
    for folder in [folder("tests/config"), folder("tests/config/files")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let case = path.is_dir() || path.with_extension("toml").exists();
            assert!(case, "{} is left over", path.display());
        }
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
    pub use s2sd::config::doc::{KeyDoc as Key, Presence};
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

fn cases(of: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder(of))
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
