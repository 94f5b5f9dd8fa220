//! The simulator's teeth: one engine is broken in a known way, and a script, an invariant or a
//! drawn world must notice.

use std::collections::BTreeMap;

use s2sd::ike::testing::mutation::Mutation;

use crate::chaos::{self, Plan};
use crate::scripts::{self, Stage};
use crate::world::Options;
use crate::{failure_of_script, seeds};

/// Drawn worlds that are tried when no script notices.
const WORLDS: u64 = 60;

#[test]
fn every_fault_is_noticed() {
    let numbers: Vec<u64> = (0..Mutation::ALL.len() as u64).collect();
    let noticed: BTreeMap<u64, String> = seeds::run_all(&numbers, |number| {
        noticed_by(Mutation::ALL[usize::try_from(number).expect("an index")])
    })
    .into_iter()
    .collect();
    let mut missed = Vec::new();
    for (number, fault) in (0..).zip(Mutation::ALL) {
        match noticed.get(&number) {
            Some(by) => println!("{fault:?}: {by}"),
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "nobody notices {missed:?}");
}

#[test]
fn a_lease_that_a_crash_forgets_is_noticed() {
    let options = Options { forget_leases: true, ..Options::default() };
    let by = first_failure(&options).expect("nobody notices that sequence numbers are used again");
    assert!(by.contains("NumberReuse"), "{by}");
}

/// The first thing that fails with this fault in host A.
fn noticed_by(fault: Mutation) -> Option<String> {
    first_failure(&Options { mutation: Some(fault), ..Options::default() })
}

/// The first script, or else the first drawn world, that does not end well.
fn first_failure(options: &Options) -> Option<String> {
    for script in scripts::all() {
        for mut stage in Stage::all(script) {
            if stage.options.restore_each_step {
                continue;
            }
            stage.options = Options { seed: stage.options.seed, ..options.clone() };
            if let Some(why) = failure_of_script(script, &stage) {
                return Some(why.trim_end().into());
            }
        }
    }
    (0..WORLDS).find_map(|seed| chaos::failure(&Plan::draw(seed), options))
}
