//! The simulator: two real engines and their data-plane SAs live through loss, crashes and
//! collisions. `docs/architecture.md` explains it.
//!
//! | file | noun |
//! |---|---|
//! | `clock`, `rng` | time and randomness, both from the seed |
//! | `packet`, `rules`, `net` | datagrams, faults of chosen ones, and what links do to all |
//! | `toy`, `esp`, `plane` | credentials and data plane, in their smallest sound form |
//! | `host`, `world` | an engine with its data plane; all of them with one clock |
//! | `invariants`, `trace` | what must always hold, and what to read when it does not |
//! | `scene`, `config`, `verbs` | the two hosts of every world, and the words to tell about them |
//! | `scripts` | told worlds: every crossing by name |
//! | `chaos`, `seeds`, `minimise` | drawn worlds: thousands a run, a failing one made short |
//! | `boundaries` | every script again with a crash, at every place where one can strike |
//! | `mutations` | engines broken on purpose, to see that all this notices |
//!
//! `S2SD_SIM_SEED=x` runs one drawn world and prints its trace; `S2SD_SIM_SEEDS=n` runs so many.
//! `S2SD_SIM_SCRIPT=name` prints a script's trace. `S2SD_SIM_BOUNDARIES=1` crashes at every
//! boundary.

mod boundaries;
mod chaos;
mod clock;
mod config;
mod esp;
mod host;
mod invariants;
mod minimise;
mod mutations;
mod net;
mod packet;
mod plane;
mod rng;
mod rules;
mod scene;
mod scripts;
mod seeds;
mod toy;
mod trace;
mod verbs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos::Plan;
use crate::scripts::{Script, Stage};
use crate::seeds::Wanted;
use crate::trace::Lines;
use crate::world::Options;

#[test]
fn every_script_comes_to_its_end() {
    let wanted = std::env::var("S2SD_SIM_SCRIPT").ok();
    let scripts: Vec<&Script> =
        scripts::all().filter(|s| wanted.as_deref().is_none_or(|w| w == s.name)).collect();
    assert!(!scripts.is_empty(), "no script of this name");
    let runs: Vec<(&Script, Stage)> = scripts
        .iter()
        .flat_map(|script| Stage::all(script).into_iter().map(|stage| (*script, stage)))
        .collect();
    let numbers: Vec<u64> = (0..runs.len() as u64).collect();
    let failures = seeds::run_all(&numbers, |number| {
        let (script, stage) = &runs[usize::try_from(number).expect("an index")];
        failure_of_script(script, stage)
    });
    let texts: Vec<String> = failures.into_iter().map(|(_, text)| text).collect();
    assert!(
        texts.is_empty(),
        "{} of {} runs failed:\n{}",
        texts.len(),
        runs.len(),
        texts.join("\n")
    );
}

#[test]
fn random_worlds_come_to_agree() {
    let seeds = match Wanted::from_environment() {
        Wanted::One(seed) => {
            println!("{}", chaos::tell(&Plan::draw(seed)));
            vec![seed]
        }
        Wanted::Many(seeds) => seeds,
    };
    let failures =
        seeds::run_all(&seeds, |seed| chaos::failure(&Plan::draw(seed), &Options::default()));
    let list: Vec<String> =
        failures.iter().map(|(seed, why)| format!("{seed:>8}  {why}")).collect();
    if let Some((seed, _)) = failures.first() {
        let plan = chaos::shortest(&Plan::draw(*seed));
        println!("{}", chaos::tell(&plan));
    }
    assert!(
        list.is_empty(),
        "{} of {} worlds failed:\n{}",
        list.len(),
        seeds.len(),
        list.join("\n")
    );
}

/// The fuzz target `world` has the simulator for its body, so its corpus is replayed here.
#[test]
fn the_fuzzers_worlds_come_to_agree() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/world");
    let files =
        std::fs::read_dir(corpus).expect("a corpus").map(|file| file.expect("a file").path());
    let mut count = 0;
    for file in files {
        let plan = Plan::from_bytes(&std::fs::read(&file).expect("a readable file"));
        let why = chaos::failure(&plan, &Options::default());
        assert_eq!(why, None, "{}: {}", file.display(), chaos::tell(&plan));
        count += 1;
    }
    assert!(count >= 4, "the corpus has {count} files");
    for length in 0..40_u8 {
        let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ length).collect();
        assert_eq!(
            chaos::failure(&Plan::from_bytes(&bytes), &Options::default()),
            None,
            "{bytes:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let run = || catch_unwind(|| Plan::draw(seed).run(&Options::default()).0.trace.hash()).ok();
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// What went wrong in one run of a script, with its trace when that alone was asked for.
fn failure_of_script(script: &Script, stage: &Stage) -> Option<String> {
    let lines = std::env::var("S2SD_SIM_SCRIPT").is_ok().then(Lines::default);
    let mut stage = stage.clone();
    stage.options.lines.clone_from(&lines);
    let label = format!(
        "{} variant {} {}>{}{}",
        script.name,
        stage.variant,
        stage.x,
        stage.y,
        if stage.options.restore_each_step { " restored at each step" } else { "" }
    );
    let why = match catch_unwind(AssertUnwindSafe(|| (script.run)(&stage).violation)) {
        Ok(violation) => violation?.to_string(),
        Err(panic) => chaos::panic_text(&*panic),
    };
    Some(format!("{label}: {why}\n{}", lines.unwrap_or_default().dump()))
}
