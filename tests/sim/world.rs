//! The world: hosts, the net between them, one clock. It moves in steps; after each, the invariants
//! must hold.
//!
//! A step is one datagram delivered, one deadline met or one packet of the inner networks sent.
//! Each ends with the outputs of the engine carried out in order, which is where a planned crash
//! strikes.

use std::net::Ipv4Addr;
use std::time::Duration;

use s2sd::ike::endpoint::command::{Command, DataEvent};
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::path::{Path, Port};
use s2sd::ike::testing::mutation::Mutation;
use s2sd::time::{Instant, Now};

use crate::clock::Clock;
use crate::esp::Inner;
use crate::host::{Host, Tear};
use crate::invariants::{Journey, Rule, Violation, Watch};
use crate::net::{Arrival, Net};
use crate::packet::{Datagram, HostId, Kind};
use crate::trace::{Lines, Trace};

/// How a world is run, apart from what happens in it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub seed: u64,
    /// Where the trace is to be written.
    pub lines: Option<Lines>,
    /// Replace every engine by `restore(snapshot())` after every step.
    pub restore_each_step: bool,
    /// What is broken on purpose in host A's engine.
    pub mutation: Option<Mutation>,
    /// One crash inside a step of an engine, with a restart at once. What a script expects of its
    /// own is then not asked.
    pub crash: Option<Crash>,
    /// Broken on purpose too: the leases of sequence numbers do not outlive a crash.
    pub forget_leases: bool,
    /// And so is this: what a step did is carried out before it is stored.
    pub store_late: bool,
}

/// Where a host is crashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crash {
    pub host: HostId,
    /// In its so-manieth step, from 0.
    pub step: usize,
    pub tear: Tear,
}

pub struct World {
    pub clock: Clock,
    pub net: Net,
    pub hosts: Vec<Host>,
    /// Pairs of networks whose traffic is to pass.
    pub slots: u16,
    /// How many children send where each pair of networks has one of its own.
    pub pairs: usize,
    pub trace: Trace,
    pub watch: Watch,
    /// The first thing that went wrong; the world stands still from then on.
    pub violation: Option<Violation>,
    pub options: Options,
    flows: Vec<Flow>,
    packets: u64,
    /// Made-up senders so far.
    pub strangers: u64,
    steps: u64,
    /// The steps of each host's engine: how many outputs each had.
    pub turns: [Vec<usize>; 2],
    /// Deadlines met at this very instant, by the host that met the last.
    spin: (Instant, HostId, u32),
}

/// A stream of inner packets at a steady pace.
#[derive(Clone, Debug)]
struct Flow {
    from: HostId,
    to: HostId,
    slot: u16,
    every: Duration,
    next: Instant,
    until: Instant,
}

/// Deadlines that one host may meet without the clock moving: one for each of its timers,
/// generously.
const SPIN_LIMIT: u32 = 64;
/// Steps after which a world is taken for a storm.
const STEP_LIMIT: u64 = 3_000_000;

enum Next {
    Arrival,
    Flow(usize),
    Deadline(HostId),
}

impl World {
    pub fn new(options: Options) -> World {
        let clock = Clock::default();
        World {
            net: Net::new(options.seed),
            hosts: Vec::new(),
            pairs: 0,
            slots: 0,
            trace: Trace::new(clock.now().mono, options.lines.clone()),
            watch: Watch::default(),
            violation: None,
            flows: Vec::new(),
            packets: 0,
            strangers: 0,
            steps: 0,
            turns: Default::default(),
            spin: (Instant(0), HostId(0), 0),
            clock,
            options,
        }
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }

    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    pub fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0]
    }

    pub fn is_dead(&self) -> bool {
        self.violation.is_some()
    }

    /// Stops the world at the first violation.
    pub fn judge(&mut self, verdict: Result<(), Violation>) {
        let asked = |violation: &Violation| {
            let expected = [Rule::Script, Rule::Loss, Rule::Convergence];
            self.options.crash.is_none() || !expected.contains(&violation.rule)
        };
        if let (Err(violation), None) = (verdict, &self.violation)
            && asked(&violation)
        {
            let line = violation.to_string();
            self.note(line.as_bytes(), || format!("!!! {line}"));
            self.violation = Some(violation);
        }
    }

    /// What a script expects.
    #[track_caller]
    pub fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            let place = std::panic::Location::caller();
            let text = format!("{} ({}:{})", text(), place.file(), place.line());
            self.judge(Err(Violation::new(Rule::Script, text)));
        }
    }

    /// Runs until `span` from now.
    pub fn run_for(&mut self, span: Duration) {
        self.run_to(self.now().mono + span);
    }

    pub fn run_to(&mut self, until: Instant) {
        while self.step(until) {}
    }

    /// Runs until this holds; false when it did not within `span`.
    pub fn run_until(&mut self, span: Duration, holds: impl Fn(&World) -> bool) -> bool {
        let until = self.now().mono + span;
        while !holds(self) {
            if !self.step(until) {
                return !self.is_dead() && holds(self);
            }
        }
        !self.is_dead()
    }

    /// The next thing that happens by `until`; false when nothing does, or the world stands still.
    pub fn step(&mut self, until: Instant) -> bool {
        if self.is_dead() {
            return false;
        }
        let Some((at, next)) = self.next().filter(|(at, _)| *at <= until) else {
            self.clock.advance_to(until);
            return false;
        };
        self.clock.advance_to(at);
        self.steps += 1;
        if self.steps > STEP_LIMIT {
            self.judge(Err(Violation::new(Rule::Spin, "a storm: the world does not come to rest")));
            return false;
        }
        match next {
            Next::Arrival => {
                if let Some(arrival) = self.net.poll(self.now().mono) {
                    self.deliver(&arrival);
                }
            }
            Next::Flow(index) => self.tick(index),
            Next::Deadline(id) => self.meet_deadline(id),
        }
        !self.is_dead()
    }

    /// A command of the operator of `id`.
    pub fn command(&mut self, id: HostId, command: Command) {
        let now = self.now();
        self.note(&[0xc5], || format!("{id} command {command:?}").chars().take(120).collect());
        self.torn(id, |host| host.command(now, command));
    }

    /// The data plane of `id` reports.
    pub fn inform(&mut self, id: HostId, event: DataEvent) {
        let now = self.now();
        self.note(&[0xc6], || format!("{id} data plane: {event:?}"));
        self.torn(id, |host| host.data_event(now, event));
    }

    /// Sends one packet from the network behind `from` to the one behind `to`; gives its number.
    pub fn send_inner(&mut self, from: HostId, to: HostId, slot: u16) -> u64 {
        self.send_from(from, to, inner_address(from, slot), inner_address(to, slot))
    }

    /// Sends one packet to the first network behind `to`, from an address that nobody agreed on.
    pub fn send_stray(&mut self, from: HostId, to: HostId) -> u64 {
        self.send_from(from, to, Ipv4Addr::new(10, 99, 0, 1), inner_address(to, 0))
    }

    fn send_from(&mut self, from: HostId, to: HostId, src: Ipv4Addr, dst: Ipv4Addr) -> u64 {
        self.packets += 1;
        let number = self.packets;
        let inner = Inner { src, dst, number };
        let now = self.now().mono;
        let host = &mut self.hosts[from.0];
        let sealed =
            host.engine.is_some().then(|| host.plane.seal(&mut host.ledger, inner)).flatten();
        let journey = Journey { from, to, sent: now, sealed: sealed.is_some(), delivered: false };
        self.watch.inner_sent(number, journey);
        match sealed {
            None => {
                self.note(&number.to_be_bytes(), || format!("{from} has no SA for packet {number}"))
            }
            Some(sealed) => {
                let verdict = self.watch.sealed(sealed.key, sealed.seq);
                self.judge(verdict);
                self.transmit(from, sealed.datagram);
            }
        }
        self.report_limits(from);
        number
    }

    /// A packet every `every` from now on, for `span`.
    pub fn flow(&mut self, from: HostId, to: HostId, slot: u16, every: Duration, span: Duration) {
        let now = self.now().mono;
        self.flows.push(Flow { from, to, slot, every, next: now, until: now + span });
    }

    pub fn stop_flows(&mut self) {
        self.flows.clear();
    }

    /// Powers a host off. What it had saved is what the state store holds.
    pub fn crash(&mut self, id: HostId) {
        self.note(&[0xc0], || format!("{id} crashes"));
        let now = self.now();
        self.hosts[id.0].crash(now);
    }

    /// Starts a host that is down, with what it had saved; with nothing saved it starts anew.
    pub fn restart(&mut self, id: HostId) {
        self.note(&[0xc1], || format!("{id} restarts"));
        let now = self.now();
        self.hosts[id.0].restart(now);
        self.carry_out(id, false);
        self.torn(id, |host| host.rekey_all(now));
    }

    /// Starts a host that is down without a past.
    pub fn boot(&mut self, id: HostId) {
        self.note(&[0xc2], || format!("{id} boots"));
        let now = self.now();
        self.hosts[id.0].boot(now);
        self.carry_out(id, false);
    }

    pub fn note(&mut self, fact: &[u8], line: impl FnOnce() -> String) {
        self.trace.note(self.clock.now().mono, fact, line);
    }

    fn next(&self) -> Option<(Instant, Next)> {
        let arrival = self.net.next().map(|at| (at, Next::Arrival));
        let flows = self.flows.iter().enumerate();
        let flow = flows.filter(|(_, f)| f.next < f.until).min_by_key(|(_, f)| f.next);
        let flow = flow.map(|(index, f)| (f.next, Next::Flow(index)));
        let deadlines =
            self.hosts.iter().filter_map(|h| Some((h.deadline()?.0, Next::Deadline(h.id))));
        arrival.into_iter().chain(flow).chain(deadlines).min_by_key(|(at, _)| *at)
    }

    fn deliver(&mut self, arrival: &Arrival) {
        let (now, id) = (self.now(), arrival.to);
        if !self.hosts[id.0].is_up() {
            return;
        }
        let old = self.hosts[id.0].without_nat_traversal();
        if old && arrival.datagram.dst.port() == Port::NatT.number() {
            // Nobody listens there.
            return;
        }
        self.trace.arrived(now.mono, id, &arrival.datagram);
        match arrival.datagram.kind() {
            Kind::Ike(_) => {
                self.watch.arrives(&arrival.datagram);
                self.torn(id, |host| host.ike(now, &arrival.datagram));
            }
            Kind::Esp { .. } => self.deliver_esp(id, &arrival.datagram),
            Kind::Runt => self.torn(id, |host| host.ike(now, &arrival.datagram)),
            Kind::Keepalive => {}
        }
    }

    fn deliver_esp(&mut self, id: HostId, datagram: &Datagram) {
        let now = self.now().mono;
        let (inner, events) = self.hosts[id.0].esp(now, datagram);
        if let Some(inner) = inner {
            let verdict = self.watch.inner_delivered(id, inner);
            self.judge(verdict);
            if !self.hosts[id.0].allows(inner) {
                let text = format!("{id} took {inner:?}, which its policy forbids");
                self.judge(Err(Violation::new(Rule::Leak, text)));
            }
        }
        for event in events {
            self.inform(id, event);
        }
        self.report_limits(id);
    }

    fn report_limits(&mut self, id: HostId) {
        for event in self.hosts[id.0].plane.limits_reached() {
            self.inform(id, event);
        }
    }

    fn tick(&mut self, index: usize) {
        let flow = &mut self.flows[index];
        flow.next = flow.next + flow.every;
        let (from, to, slot) = (flow.from, flow.to, flow.slot);
        self.send_inner(from, to, slot);
    }

    fn meet_deadline(&mut self, id: HostId) {
        let now = self.now();
        let Some((at, timer)) = self.hosts[id.0].deadline() else { return };
        let again = if self.spin.0 == now.mono && self.spin.1 == id { self.spin.2 + 1 } else { 0 };
        self.spin = (now.mono, id, again);
        if again > SPIN_LIMIT {
            let text = format!("{id}: {timer:?} of {at:?} fires again and again");
            self.judge(Err(Violation::new(Rule::Spin, text)));
            return;
        }
        self.note(&[0xdd], || format!("{id} timer {timer:?}"));
        self.torn(id, |host| host.timeout(now, timer));
    }

    /// Lets a host do one thing and carries its outputs out, unless a planned crash tears the step.
    fn torn(&mut self, id: HostId, act: impl FnOnce(&mut Host)) {
        let host = &mut self.hosts[id.0];
        if !host.is_up() {
            return;
        }
        let turn = self.turns[id.0].len();
        self.turns[id.0].push(0);
        if let Some(crash) = self.options.crash.filter(|c| c.host == id && c.step == turn) {
            host.tear = Some(crash.tear);
        }
        self.turn(id, act);
        if self.options.crash.is_some() && !self.hosts[id.0].is_up() {
            self.restart(id);
        }
    }

    fn turn(&mut self, id: HostId, act: impl FnOnce(&mut Host)) {
        let now = self.now();
        let host = &mut self.hosts[id.0];
        if host.tear == Some(Tear::Unsaved) {
            host.save(now, &[]);
            act(host);
            host.lose_power();
            self.note(&[0xc3], || format!("{id} crashes before it saved"));
            return;
        }
        if host.tear.is_some() && self.options.store_late {
            host.save(now, &[]);
        }
        act(host);
        self.carry_out(id, true);
    }

    /// Carries the engine's outputs out in order. `ordered` holds them to install-before-send.
    fn carry_out(&mut self, id: HostId, ordered: bool) {
        let now = self.now();
        let tear = self.hosts[id.0].tear;
        let outputs = self.hosts[id.0].outputs();
        if let Some(turn) = self.turns[id.0].last_mut() {
            *turn += outputs.len();
        }
        if tear.is_some() && !self.options.store_late {
            self.hosts[id.0].save(now, &outputs);
        }
        let mut sent = false;
        for (done, output) in outputs.into_iter().enumerate() {
            if tear == Some(Tear::After(done)) {
                self.hosts[id.0].lose_power();
                self.note(&[0xc4], || format!("{id} crashes after {done} outputs"));
                return;
            }
            let installs = matches!(output, Output::InstallInbound(_) | Output::InstallOutbound(_));
            if ordered && sent && installs {
                let text = format!("{id} sent before it did {output:?}");
                self.judge(Err(Violation::new(Rule::Order, text)));
            }
            sent |= matches!(output, Output::Transmit(_));
            self.carry_one(id, output);
        }
        if self.options.restore_each_step {
            self.hosts[id.0].replace_by_snapshot(now);
        }
        let verdict = self.hosts[id.0].check_bounds();
        self.judge(verdict);
    }

    fn carry_one(&mut self, id: HostId, output: Output) {
        let now = self.now().mono;
        match output {
            Output::Transmit(transmit) => {
                let marker: &[u8] = if transmit.path.port == Port::NatT { &[0; 4] } else { &[] };
                self.transmit_on(id, transmit.path, [marker, &transmit.bytes].concat());
            }
            Output::Keepalive(path) => self.transmit_on(id, path, vec![0xff]),
            Output::Event(event) => {
                self.note(&[0xe0], || format!("{id}     {event:?}"));
                self.hosts[id.0].witness(now, event);
            }
            other => {
                self.note(&[0xe1], || format!("{id}     {}", plane_line(&other)));
                let host = &mut self.hosts[id.0];
                let verdict = host.plane.apply(&mut host.ledger, other);
                self.judge(verdict);
            }
        }
    }

    fn transmit_on(&mut self, id: HostId, path: Path, bytes: Vec<u8>) {
        self.transmit(id, Datagram { src: path.local, dst: path.remote, bytes });
    }

    fn transmit(&mut self, id: HostId, datagram: Datagram) {
        let now = self.now().mono;
        let verdict = self.watch.leaves(id, &datagram);
        let fate = self.net.send(now, id, datagram.clone());
        self.trace.sent(now, id, &datagram, fate);
        self.judge(verdict);
    }
}

/// The address of the machine that speaks for slot `slot` behind `host`.
pub fn inner_address(host: HostId, slot: u16) -> Ipv4Addr {
    let byte = |n: usize| u8::try_from(n).expect("few hosts and slots");
    Ipv4Addr::new(10, 1 + byte(host.0), byte(usize::from(slot)), 1)
}

fn plane_line(output: &Output) -> String {
    match output {
        Output::InstallInbound(sa) => format!("install inbound {} of {}", sa.spi, sa.child),
        Output::InstallOutbound(sa) => format!("install outbound {} of {}", sa.spi, sa.child),
        other => format!("{other:?}"),
    }
}
