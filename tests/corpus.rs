//! Replays the fuzz corpora in the normal test run: every file as it is, cut short at every byte,
//! with every byte flipped; then random bytes and random edits of the files. The promises
//! themselves are in `fuzz/src`.
//!
//! The files that [`ike`], [`local`] and [`pki`] make are written by
//! `S2SD_WRITE_CORPUS=1 cargo test --test corpus`; findings are added by hand.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and say on what")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[path = "fuzz/src/lib.rs"]
mod fuzz;

#[path = "corpus/ike.rs"]
mod ike;
#[path = "corpus/local.rs"]
mod local;
#[path = "corpus/pki.rs"]
mod pki;

#[test]
fn every_target_is_wired_everywhere() {
    let manifest = fs::read_to_string(root("Cargo.toml")).unwrap();
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|t| t.0.to_owned()).collect();
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}: no [[bin]]");
        let body = fs::read_to_string(root(&format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(body.contains(&format!("::{target}(data)")), "{target}: calls another");
        assert!(!corpus(target).is_empty(), "{target}: no corpus");
    }
    let directories = fs::read_dir(root("corpus")).unwrap();
    // The target whose body is the simulator has its corpus replayed there.
    let directories = directories.map(|d| d.unwrap().file_name().into_string().unwrap());
    let directories = directories.filter(|name| name != "world");
    assert_eq!(directories.collect::<BTreeSet<_>>(), targets);
}

#[test]
fn corpora_are_what_their_values_encode_to() {
    for (target, name, bytes) in [ike::seeds(), local::seeds(), pki::seeds()].concat() {
        let path = root("corpus").join(target).join(name);
        if std::env::var_os("S2SD_WRITE_CORPUS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap_or_default(), bytes, "{}", path.display());
    }
}

#[test]
fn corpora_cut_short_and_flipped_break_no_promise() {
    for (target, body) in fuzz::TARGETS {
        for (name, bytes) in corpus(target) {
            let _case = Case(format!("{target}/{name}"));
            body(&bytes);
            for end in 0..bytes.len() {
                let _case = Case(format!("{target}/{name} cut to {end} bytes"));
                body(&bytes[..end]);
            }
            for place in 0..bytes.len() {
                for flip in [0x01, 0x02, 0x80, 0xff] {
                    let _case = Case(format!("{target}/{name}, byte {place} ^ {flip:#04x}"));
                    let mut bytes = bytes.clone();
                    bytes[place] ^= flip;
                    body(&bytes);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_break_no_promise(bytes in vec(any::<u8>(), 0..300)) {
        for (target, body) in fuzz::TARGETS {
            let _case = Case((*target).to_owned());
            body(&bytes);
        }
    }

    #[test]
    fn random_edits_break_no_promise(
        (target, body) in select(fuzz::TARGETS),
        file in any::<Index>(),
        edits in vec((any::<Index>(), any::<Edit>()), 1..9),
    ) {
        let _case = Case(target.to_owned());
        let corpus = corpus(target);
        let mut bytes = file.get(&corpus).1.clone();
        for (place, edit) in edits {
            edit.apply(&mut bytes, place);
        }
        body(&bytes);
    }
}

/// A change at one place.
#[derive(Clone, Debug)]
enum Edit {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
    Repeat(u8),
}

impl Edit {
    fn apply(self, bytes: &mut Vec<u8>, place: Index) {
        if bytes.is_empty() {
            return;
        }
        let place = place.index(bytes.len());
        match self {
            Edit::Set(value) => bytes[place] = value,
            Edit::Insert(value) => bytes.insert(place, value),
            Edit::Remove => drop(bytes.remove(place)),
            Edit::Cut => bytes.truncate(place),
            Edit::Repeat(count) => {
                let end = bytes.len().min(place + usize::from(count));
                bytes.extend_from_within(place..end);
            }
        }
    }
}

impl Arbitrary for Edit {
    type Parameters = ();
    type Strategy = BoxedStrategy<Edit>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Edit> {
        prop_oneof![
            6 => any::<u8>().prop_map(Edit::Set),
            2 => any::<u8>().prop_map(Edit::Insert),
            2 => Just(Edit::Remove),
            1 => Just(Edit::Cut),
            1 => any::<u8>().prop_map(Edit::Repeat),
        ]
        .boxed()
    }
}

/// Names the input when a promise breaks.
struct Case(String);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("broken by {}", self.0);
        }
    }
}

/// A target's corpus, by file name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(files) = fs::read_dir(root("corpus").join(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), fs::read(file).unwrap())).collect()
}

/// A path in the fuzz crate.
fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(path)
}
