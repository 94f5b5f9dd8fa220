//! Random worlds: a seed draws two hosts, a net, and a list of things that happen to them. Then the
//! net heals, and both ends must come to hold the same.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use s2sd::ike::endpoint::command::{Command, DataEvent};

use crate::host::Tear;
use crate::invariants::{Rule, Violation};
use crate::minimise;
use crate::net::Link;
use crate::packet::HostId;
use crate::rng::SimRng;
use crate::scene::{A, B, PEER, Setup, other};
use crate::trace::Lines;
use crate::world::{Options, World};

/// A world before it has happened: all that a seed decides, open to being shortened.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub setup: Setup,
    pub link: Link,
    /// Both engines are replaced by `restore(snapshot())` after every step.
    pub restore_each_step: bool,
    /// Pauses and what happens after each.
    pub acts: Vec<(Duration, Act)>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    RekeyChild(HostId),
    RekeyIke(HostId),
    Reauthenticate(HostId),
    Probe(HostId),
    /// The operator disconnects.
    Down(HostId),
    /// And connects again.
    Up(HostId),
    /// A volume limit of the child that carries the first slot.
    SoftLimit(HostId),
    HardLimit(HostId),
    /// Between two steps, or inside the next one.
    Crash(HostId, Option<Tear>),
    /// With what was saved, or anew.
    Restart(HostId, bool),
    Link(Link),
    /// One direction, or both when the hosts are equal.
    Cut(HostId, HostId),
    Heal,
    Rebind(HostId),
    /// The host's address changes: another provider, another lease.
    Move(HostId),
    SetWallClock(i64),
    /// The same configuration again, with other lifetimes.
    Reconfigure(HostId, u64),
    /// Packets of unauthenticated senders to this host.
    Flood(HostId, u32),
    /// So many inner packets each way.
    Burst(u32),
}

/// What a world left behind when it went well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub trace: u64,
    pub delivered: usize,
}

/// Acts of one plan that a fuzzer makes.
const MAX_ACTS: usize = 60;
/// After the last act: longer than any dead-peer timeout, pause between dials and lifetime
/// together.
const HEALING: Duration = Duration::from_secs(1_800);

impl Plan {
    pub fn draw(seed: u64) -> Plan {
        let mut dice = SimRng::stream(seed, "plan");
        // Drawn apart, so that the other dice of a seed fall as they always did.
        let mut apart = SimRng::stream(seed, "old peers");
        let setup = Setup::draw(&mut dice)
            .draw_old_peers(&mut apart)
            .divide(&mut SimRng::stream(seed, "children"));
        let link = draw_link(&mut dice);
        let count = dice.range(3, 30);
        // In dense worlds everything crosses everything; in the others timers have their say in
        // between.
        let longest = *dice.pick(&[100, 1_000, 2_000, 60_000]);
        let restore_each_step = dice.chance(100);
        let acts = (0..count)
            .map(|_| {
                let pause = if dice.chance(300) { 0 } else { dice.below(longest) };
                (Duration::from_millis(pause), draw_act(&mut dice))
            })
            .collect();
        Plan { seed, setup, link, restore_each_step, acts }
    }

    /// What a fuzzer's bytes mean: ten for the hosts and the net, three for each act: pause, kind,
    /// details. Any bytes mean something, and a changed byte changes one thing.
    pub fn from_bytes(bytes: &[u8]) -> Plan {
        let (head, acts) = bytes.split_at(bytes.len().min(10));
        let octet = |at: usize| u64::from(head.get(at).copied().unwrap_or(0));
        let number = |from: usize| (from..from + 4).fold(0, |sum, at| sum << 8 | octet(at));
        let acts = acts.chunks(3).take(MAX_ACTS).map(|act| {
            let octet = |at: usize| u64::from(act.get(at).copied().unwrap_or(0));
            // From crossing each other to minutes apart.
            let pause = Duration::from_millis((octet(0) * octet(0) * octet(0)) >> 8);
            (pause, act_of(octet(1), &mut SimRng::new(octet(2))))
        });
        Plan {
            seed: octet(0),
            setup: Setup::draw(&mut SimRng::new(number(1)))
                .draw_old_peers(&mut SimRng::new(number(1) ^ 1))
                .divide(&mut SimRng::stream(number(1), "children")),
            link: draw_link(&mut SimRng::new(number(5))),
            restore_each_step: octet(9) % 8 == 7,
            acts: acts.collect(),
        }
    }

    /// Lets it happen.
    pub fn run(&self, options: &Options) -> (World, Result<Outcome, Violation>) {
        let restore_each_step = self.restore_each_step || options.restore_each_step;
        let options = Options { seed: self.seed, restore_each_step, ..options.clone() };
        let mut world = self.setup.world(options);
        world.net.set_links(A, B, self.link);
        for id in [A, B] {
            world.boot(id);
            world.command(id, Command::Up(PEER));
        }
        let every = Duration::from_secs(1);
        let forever = Duration::from_secs(1_000_000);
        for (from, to) in [(A, B), (B, A)] {
            world.flow(from, to, 0, every, forever);
        }
        for (pause, act) in &self.acts {
            world.run_for(*pause);
            self.act(&mut world, act);
        }
        if let Err(why) = prove(&mut world) {
            world.judge(Err(Violation::new(Rule::Convergence, why)));
        }
        let outcome = match world.violation.clone() {
            Some(violation) => Err(violation),
            None => Ok(Outcome { trace: world.trace.hash(), delivered: world.watch.delivered() }),
        };
        (world, outcome)
    }

    fn act(&self, world: &mut World, act: &Act) {
        let line = format!("* {act:?}");
        world.note(line.as_bytes(), || line.clone());
        match *act {
            Act::RekeyChild(id) => {
                if let Some(child) = world.child(id, 0) {
                    world.command(id, Command::RekeyChild(PEER, child));
                }
            }
            Act::RekeyIke(id) => world.command(id, Command::RekeyIke(PEER)),
            Act::Reauthenticate(id) => world.command(id, Command::Reauthenticate(PEER)),
            Act::Probe(id) => world.command(id, Command::Probe(PEER)),
            Act::Down(id) => world.command(id, Command::Down(PEER)),
            Act::Up(id) => world.command(id, Command::Up(PEER)),
            Act::SoftLimit(id) => {
                if let Some(child) = world.child(id, 0) {
                    world.inform(id, DataEvent::SoftLimit(PEER, child));
                }
            }
            Act::HardLimit(id) => {
                if let Some(child) = world.child(id, 0) {
                    world.inform(id, DataEvent::HardLimit(PEER, child));
                }
            }
            Act::Crash(id, None) => world.crash(id),
            Act::Crash(id, tear) => world.host_mut(id).tear = tear,
            Act::Restart(id, warm) if warm => world.restart(id),
            Act::Restart(id, _) => {
                world.crash(id);
                world.boot(id);
            }
            Act::Link(link) => world.net.set_links(A, B, link),
            Act::Cut(from, to) if from == to => {
                world.net.link(A, B).up = false;
                world.net.link(B, A).up = false;
            }
            Act::Cut(from, to) => world.net.link(from, to).up = false,
            Act::Heal => world.net.heal(),
            Act::Rebind(id) => world.net.rebind(id),
            // An end behind a NAT does not follow a peer that moves (RFC 7296 §2.23): nothing to
            // agree on until it is told.
            Act::Move(id) if self.setup.nat == Some(other(id)) => {}
            Act::Move(id) => world.renumber(id),
            Act::SetWallClock(seconds) => world.clock.jump_wall(seconds),
            Act::Reconfigure(id, salt) => self.setup.reconfigure(world, id, salt),
            Act::Flood(id, count) => world.flood(id, count),
            Act::Burst(count) => {
                for slot in 0..self.setup.slots {
                    for _ in 0..count {
                        world.send_inner(A, B, slot);
                        world.send_inner(B, A, slot);
                    }
                }
            }
        }
    }
}

/// Everything becomes whole again: the net, the hosts, the operators' commands.
fn heal(world: &mut World) {
    world.net.heal();
    for id in [A, B] {
        world.host_mut(id).tear = None;
        if !world.host(id).is_up() {
            world.restart(id);
        }
        world.command(id, Command::Up(PEER));
    }
}

/// Once everything is whole both hold the same, and every slot passes packets both ways. They may
/// agree on what no longer works, as when both moved; then silence has to be noticed first.
pub fn prove(world: &mut World) -> Result<(), String> {
    heal(world);
    let until = world.now().mono + HEALING;
    world.run_for(Duration::from_secs(5));
    loop {
        let left = until.since(world.now().mono);
        if !world.run_until(left, |w| w.disagreement().is_none()) {
            return Err(world.disagreement().unwrap_or_default());
        }
        match blocked(world) {
            None => return Ok(()),
            Some(why) if world.now().mono >= until => return Err(why),
            Some(_) => {}
        }
    }
}

/// Sends a packet each way in every slot; says which do not arrive.
fn blocked(world: &mut World) -> Option<String> {
    let began = world.now().mono;
    for slot in 0..world.slots {
        for (from, to) in [(A, B), (B, A)] {
            world.send_inner(from, to, slot);
        }
    }
    world.run_for(Duration::from_secs(2));
    // The streams of the world go on meanwhile: what they sent last is still under way.
    let arrived_by = began + Duration::from_millis(1);
    let (_, journey) = world.watch.lost(began, arrived_by).first().copied()?;
    Some(format!("both agree, and yet a packet from {} does not pass", journey.from))
}

/// Why the world of this plan failed, if it did.
pub fn failure(plan: &Plan, options: &Options) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| plan.run(options).1)) {
        Ok(Ok(_)) => None,
        Ok(Err(violation)) => Some(violation.to_string()),
        Err(panic) => Some(panic_text(&*panic)),
    }
}

/// What a panic said.
pub fn panic_text(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or_default())
}

/// The plan with everything left out that is not needed for its failure.
pub fn shortest(plan: &Plan) -> Plan {
    let Some(why) = failure(plan, &Options::default()) else { return plan.clone() };
    let kind = why.split(':').next().unwrap_or_default();
    let fails =
        |plan: &Plan| failure(plan, &Options::default()).is_some_and(|w| w.starts_with(kind));
    let with = |acts: &[(Duration, Act)]| Plan { acts: acts.to_vec(), ..plan.clone() };
    let mut short = with(&minimise::shrink(&plan.acts, |acts| fails(&with(acts))));
    let calm = Plan { link: Link::default(), ..short.clone() };
    if fails(&calm) {
        short = calm;
    }
    short
}

/// The whole story: what was drawn, and all that happened.
pub fn tell(plan: &Plan) -> String {
    let lines = Lines::default();
    let why = failure(plan, &Options { lines: Some(lines.clone()), ..Options::default() });
    format!("{plan:#?}\n{}\n{}", lines.dump(), why.as_deref().unwrap_or("it went well"))
}

fn draw_host(dice: &mut SimRng) -> HostId {
    HostId(usize::from(dice.chance(500)))
}

fn draw_link(dice: &mut SimRng) -> Link {
    if dice.chance(250) {
        return Link::default();
    }
    Link {
        latency: Duration::from_millis(dice.range(1, 150)),
        jitter: Duration::from_millis(if dice.chance(500) { dice.range(1, 60) } else { 0 }),
        loss_permille: if dice.chance(600) { dice.below(300) } else { 0 },
        duplicate_permille: if dice.chance(400) { dice.below(200) } else { 0 },
        reorder_permille: if dice.chance(400) { dice.below(200) } else { 0 },
        reorder_by: Duration::from_millis(dice.range(1, 2_000)),
        mtu: if dice.chance(200) { 1_300 } else { usize::MAX },
        up: true,
    }
}

fn draw_act(dice: &mut SimRng) -> Act {
    let kind = dice.below(30);
    act_of(kind, dice)
}

fn act_of(kind: u64, dice: &mut SimRng) -> Act {
    let (id, far) = (draw_host(dice), draw_host(dice));
    match kind % 30 {
        0..=4 => Act::RekeyChild(id),
        5..=8 => Act::RekeyIke(id),
        9 => Act::Reauthenticate(id),
        10 => Act::Probe(id),
        11 => Act::Down(id),
        12 | 13 => Act::Up(id),
        14 => Act::SoftLimit(id),
        15 => Act::HardLimit(id),
        16 => Act::Crash(id, None),
        17 => Act::Crash(id, Some(Tear::Unsaved)),
        18 => Act::Crash(id, Some(Tear::After(usize::try_from(dice.below(5)).expect("small")))),
        19 | 20 => Act::Restart(id, true),
        21 => Act::Restart(id, dice.chance(500)),
        22 => Act::Link(draw_link(dice)),
        23 => Act::Cut(id, far),
        24 => Act::Heal,
        25 => Act::Rebind(id),
        26 => Act::Move(id),
        27 => {
            Act::SetWallClock(i64::try_from(dice.range(1, 4_000_000)).expect("small") - 2_000_000)
        }
        28 => Act::Reconfigure(id, dice.range(1, 1_000)),
        _ if dice.chance(300) => Act::Flood(id, u32::try_from(dice.range(10, 300)).expect("small")),
        _ => Act::Burst(u32::try_from(dice.range(1, 60)).expect("small")),
    }
}
