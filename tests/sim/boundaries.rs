//! Every script again with one crash, at every boundary of it: before a step's effect is stored,
//! and after each of the step's outputs once the effect is stored. The host starts again at once,
//! with what was stored (`docs/architecture.md`, "Restart and crash").
//!
//! Every such world must keep the invariants, and in the end both hosts must hold the same SAs and
//! packets must pass, if both are true without the crash. The script's own expectations are not
//! checked: a crash may lose a packet or a command.
//!
//! A step is whatever an engine is told: an IKE message, a deadline, a command, a report of the
//! data plane. Between two of them only ESP packets move, which change nothing that is stored but
//! leases; wherever among them a crash strikes, it finds what one before the next step finds, with
//! fewer packets on the account.
//!
//! The ordinary run takes all boundaries of each script, but of those with more than [`MOST`] only
//! so many, evenly: these tell the same exchanges over and over, for a day or in a storm.
//! `S2SD_SIM_BOUNDARIES=n` takes up to n of each:
//! `S2SD_SIM_BOUNDARIES=100000 cargo test --release --test sim boundary -- --nocapture` takes all
//! there are.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos;
use crate::host::Tear;
use crate::packet::HostId;
use crate::scene::{A, B};
use crate::scripts::{self, Script, Stage};
use crate::seeds;
use crate::world::{Crash, Options, World};

/// Boundaries of one telling of a script that the ordinary run takes.
const MOST: usize = 60;
/// A crash that never comes: the story as it is without one.
const NEVER: Crash = Crash { host: A, step: usize::MAX, tear: Tear::Unsaved };

/// One script, told in one way, and what became of it without a crash.
struct Told {
    script: &'static Script,
    stage: Stage,
    /// The outputs of each step of each host.
    steps: [Vec<usize>; 2],
    /// Both hosts came to hold the same.
    agrees: bool,
}

#[test]
fn a_crash_at_every_boundary_of_every_script_keeps_the_invariants() {
    let most = std::env::var("S2SD_SIM_BOUNDARIES").map_or(MOST, |n| n.parse().expect("a number"));
    let told = tell_all(&Options::default());
    let (count, failures) = crash_all(&told, most);
    println!("{count}, {} failures", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let apart: Vec<&str> = told.iter().filter(|t| !t.agrees).map(|t| t.script.name).collect();
    println!("not asked to agree, as they do not without a crash: {apart:?}");
    assert!(apart.len() * 10 < told.len(), "too many scripts end apart: {apart:?}");
}

#[test]
fn at_some_boundary_it_is_noticed_that_something_left_before_it_was_stored() {
    let told = tell_all(&Options { store_late: true, ..Options::default() });
    let (_, failures) = crash_all(&told, 10);
    let noticed = |rule: &str| failures.iter().any(|why| why.contains(rule));
    assert!(noticed("Window") && noticed("NumberReuse"), "{failures:#?}");
}

/// Has every telling crash at up to so many of its boundaries: how many that were, and what goes
/// wrong.
fn crash_all(told: &[Told], most: usize) -> (String, Vec<String>) {
    let crashes: Vec<(&Told, Crash)> = told
        .iter()
        .flat_map(|told| {
            let all = told.boundaries();
            let stride = all.len().div_ceil(most);
            all.into_iter().step_by(stride).map(move |crash| (told, crash))
        })
        .collect();
    let failures = seeds::run_all(&numbers(crashes.len()), |number| {
        let (told, crash) = crashes[usize::try_from(number).expect("an index")];
        let why = told.fails(crash)?;
        let Stage { x, y, variant, .. } = told.stage;
        Some(format!("{} variant {variant} {x}>{y} {crash:?}: {why}", told.script.name))
    });
    let all: usize = told.iter().map(|told| told.boundaries().len()).sum();
    let failures = failures.into_iter().map(|(_, text)| text).collect();
    (format!("{} of {all} boundaries", crashes.len()), failures)
}

/// Every script without a crash.
fn tell_all(options: &Options) -> Vec<Told> {
    let stages: Vec<(&Script, Stage)> = scripts::all()
        .flat_map(|script| Stage::all(script).into_iter().map(move |stage| (script, stage)))
        .filter(|(_, stage)| !stage.options.restore_each_step)
        .map(|(script, stage)| {
            (
                script,
                Stage { options: Options { seed: stage.options.seed, ..options.clone() }, ..stage },
            )
        })
        .collect();
    let told = seeds::run_all(&numbers(stages.len()), |number| {
        let (script, stage) = &stages[usize::try_from(number).expect("an index")];
        let mut world = run(script, stage, NEVER);
        let (steps, agrees) = (world.turns.clone(), proved(&mut world).is_ok());
        Some(Told { script, stage: stage.clone(), steps, agrees })
    });
    told.into_iter().map(|(_, told)| told).collect()
}

impl Told {
    fn boundaries(&self) -> Vec<Crash> {
        let of_step = |host, (step, outputs): (usize, &usize)| {
            let tears = std::iter::once(Tear::Unsaved).chain((0..*outputs).map(Tear::After));
            tears.map(move |tear| Crash { host, step, tear }).collect::<Vec<_>>()
        };
        let of_host = |host: HostId| {
            let steps = self.steps[host.0].iter().enumerate();
            steps.flat_map(move |step| of_step(host, step))
        };
        [A, B].into_iter().flat_map(of_host).collect()
    }

    /// What goes wrong when this crash strikes.
    fn fails(&self, crash: Crash) -> Option<String> {
        let story = || {
            let mut world = run(self.script, &self.stage, crash);
            let end = proved(&mut world);
            let violation = world.violation.map(|violation| violation.to_string());
            violation.or(end.err().filter(|_| self.agrees))
        };
        catch_unwind(AssertUnwindSafe(story))
            .unwrap_or_else(|panic| Some(chaos::panic_text(&*panic)))
    }
}

fn run(script: &Script, stage: &Stage, crash: Crash) -> World {
    let mut stage = stage.clone();
    stage.options.crash = Some(crash);
    (script.run)(&stage)
}

fn proved(world: &mut World) -> Result<(), String> {
    world.stop_flows();
    chaos::prove(world)
}

fn numbers(count: usize) -> Vec<u64> {
    (0..count as u64).collect()
}
