//! The sample, and the copy of the tree with the sample in it.

use crate::find::{Mutant, find};
use crate::{Fallible, Room};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// What is sampled: what meets the network, and the service around it.
const FOLDERS: &[&str] =
    &["src/esp", "src/dataplane", "src/ike", "src/pki", "src/wire", "src/daemon"];

/// Folders and files below these are tests themselves.
const TESTS: &[&str] = &["/tests/", "/tests.rs", "/testing/"];

/// The switch, as it is appended to the copy's `src/lib.rs`. A page that is shared with `S2SD_MUTANT_TRACE`
/// notes which mutants a test binary reaches, also from its children, and after they confined themselves.
const SWITCH: &str = r#"
#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all)]
pub mod mutant_switch {
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
    static CHOSEN: AtomicUsize = AtomicUsize::new(usize::MAX);
    static TRACE: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" {
        fn mmap(at: *mut u8, size: usize, access: i32, flags: i32, file: i32, from: i64) -> *mut u8;
    }
    #[used]
    #[unsafe(link_section = ".init_array")]
    static START: extern "C" fn() = start;
    extern "C" fn start() {
        if let Some(number) = std::env::var("S2SD_MUTANT").ok().and_then(|text| text.parse().ok()) {
            CHOSEN.store(number, Ordering::Relaxed);
        }
        let Ok(path) = std::env::var("S2SD_MUTANT_TRACE") else { return };
        let Ok(file) = std::fs::OpenOptions::new().read(true).write(true).open(path) else { return };
        // SAFETY: a fresh shared mapping of a file that is as long.
        let page = unsafe { mmap(std::ptr::null_mut(), 65536, 3, 1, file.as_raw_fd(), 0) };
        if page as isize != -1 {
            TRACE.store(page as usize, Ordering::Relaxed);
        }
    }
    pub fn on(number: usize) -> bool {
        let trace = TRACE.load(Ordering::Relaxed);
        if trace != 0 {
            // SAFETY: the mapping lives as long as the process and is longer than any sample.
            unsafe { &*((trace + number) as *const AtomicU8) }.store(1, Ordering::Relaxed);
        }
        CHOSEN.load(Ordering::Relaxed) == number
    }
}
"#;

/// A mutant of the sample, with its file.
struct Candidate {
    file: String,
    mutant: Mutant,
}

/// Draws `count` mutants that compile, plants them in the copy, and keeps the list of them.
pub fn plant_sample(room: &Room, seed: u64, count: usize) -> Fallible<()> {
    let files = copy_tree(room)?;
    let mut candidates = Vec::new();
    for file in &files {
        let judged = FOLDERS.iter().any(|folder| file.starts_with(&format!("{folder}/")));
        if judged && file.ends_with(".rs") && !TESTS.iter().any(|part| file.contains(part)) {
            let source = std::fs::read_to_string(room.root.join(file))?;
            let mutants = find(&source).map_err(|why| format!("{file}: {why}"))?;
            candidates
                .extend(mutants.into_iter().map(|mutant| Candidate { file: file.clone(), mutant }));
        }
    }
    println!("{} mutants in {}", candidates.len(), FOLDERS.join(", "));
    shuffle(&mut candidates, seed);
    let mut refused = BTreeSet::new();
    loop {
        let sample = draw(&candidates, &refused, count);
        let broken = plant(room, &candidates, &sample)?;
        if broken.is_empty() {
            return keep(room, seed, &candidates, &sample);
        }
        println!("{} of the sample do not compile: others are drawn", broken.len());
        refused.extend(broken);
    }
}

/// The first `count` candidates, none within another and none that was refused.
fn draw(candidates: &[Candidate], refused: &BTreeSet<usize>, count: usize) -> Vec<usize> {
    let mut sample: Vec<usize> = Vec::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let apart = |other: &usize| {
            let other = &candidates[*other];
            let (one, two) = (&candidate.mutant.place, &other.mutant.place);
            other.file != candidate.file || one.end < two.start || two.end < one.start
        };
        if sample.len() < count && !refused.contains(&number) && sample.iter().all(apart) {
            sample.push(number);
        }
    }
    sample
}

/// Writes the sample into the copy. What comes back does not compile.
fn plant(room: &Room, candidates: &[Candidate], sample: &[usize]) -> Fallible<BTreeSet<usize>> {
    let mut by_file: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, &candidate) in sample.iter().enumerate() {
        by_file.entry(&candidates[candidate].file).or_default().push((number, candidate));
    }
    for candidate in candidates {
        if !by_file.contains_key(candidate.file.as_str()) {
            let source = std::fs::read(room.root.join(&candidate.file))?;
            write_if_other(&room.tree.join(&candidate.file), &source)?;
        }
    }
    let mut planted: BTreeMap<&str, Vec<(usize, Range<usize>)>> = BTreeMap::new();
    for (file, mut mutants) in by_file {
        mutants.sort_by_key(|(_, candidate)| candidates[*candidate].mutant.place.start);
        let source = std::fs::read_to_string(room.root.join(file))?;
        let mut text = String::new();
        let mut from = 0;
        for (number, candidate) in mutants {
            let mutant = &candidates[candidate].mutant;
            text.push_str(&source[from..mutant.place.start]);
            let start = text.len();
            text.push_str(
                &mutant.text.replace("{on}", &format!("crate::mutant_switch::on({number})")),
            );
            planted.entry(file).or_default().push((candidate, start..text.len()));
            from = mutant.place.end;
        }
        text.push_str(&source[from..]);
        write_if_other(&room.tree.join(file), text.as_bytes())?;
    }
    let mut broken = BTreeSet::new();
    for (file, at) in compile_errors(room)? {
        let mutants = planted
            .get(file.as_str())
            .ok_or_else(|| format!("the copy does not compile: {file}"))?;
        let nearest = mutants.iter().min_by_key(|(_, place)| match place.contains(&at) {
            true => 0,
            false => place.start.abs_diff(at).min(place.end.abs_diff(at)) + 1,
        });
        broken.extend(nearest.map(|(candidate, _)| *candidate));
    }
    Ok(broken)
}

/// The first place of each error that the compiler finds in the copy.
fn compile_errors(room: &Room) -> Fallible<Vec<(String, usize)>> {
    let (messages, compiles) = room.cargo(&["check", "--lib"])?;
    let mut places = Vec::new();
    for message in messages {
        let spans = message["message"]["spans"].as_array().cloned().unwrap_or_default();
        if message["message"]["level"] == "error"
            && let Some(span) = spans.iter().find(|span| span["is_primary"] == true)
        {
            let file = span["file_name"].as_str().unwrap_or_default().to_owned();
            places.push((file, usize::try_from(span["byte_start"].as_u64().unwrap_or(0))?));
        }
    }
    if places.is_empty() && !compiles {
        return Err("the copy does not compile, and no place is named".into());
    }
    Ok(places)
}

/// Copies every file that git knows; their names come back.
fn copy_tree(room: &Room) -> Fallible<Vec<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(&room.root).output()?;
    let files: Vec<String> = String::from_utf8(listed.stdout)?
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    for file in &files {
        let mut content = std::fs::read(room.root.join(file))?;
        if file == "src/lib.rs" {
            content.extend_from_slice(SWITCH.as_bytes());
        }
        let target = room.tree.join(file);
        std::fs::create_dir_all(target.parent().unwrap_or(&room.tree))?;
        write_if_other(&target, &content)?;
        std::fs::set_permissions(&target, std::fs::metadata(room.root.join(file))?.permissions())?;
    }
    Ok(files)
}

/// An unchanged file keeps its time, so that cargo does not build it again.
fn write_if_other(path: &Path, content: &[u8]) -> Fallible<()> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    Ok(std::fs::write(path, content)?)
}

fn keep(room: &Room, seed: u64, candidates: &[Candidate], sample: &[usize]) -> Fallible<()> {
    let list: Vec<Value> = sample
        .iter()
        .map(|&number| &candidates[number])
        .map(|Candidate { file, mutant }| json!({ "place": format!("{file}:{}", mutant.line), "fault": mutant.fault }))
        .collect();
    println!("{} mutants are planted, drawn with seed {seed}", list.len());
    std::fs::write(room.kept.join("sample.json"), serde_json::to_string_pretty(&list)?)?;
    // Results are of one sample.
    let _ = std::fs::remove_file(room.kept.join("results.txt"));
    Ok(())
}

/// Fisher and Yates, with SplitMix64: the same seed draws the same sample of the same source.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let range = u64::try_from(last).unwrap_or(0) + 1;
        items.swap(last, usize::try_from(mixed % range).unwrap_or(0));
    }
}
