//! A simulated host: an engine, its data plane, and what of both outlives a crash.
//!
//! ```text
//!   net ──> receive ─┬─ IKE ──> Endpoint ──> outputs, in order ─┬─ SAs ────> Plane
//!                    └─ ESP ──> Plane ──> DataEvent ──> Endpoint └─ datagrams ──> net
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use s2sd::crypto::fake::Fake;
use s2sd::ike::endpoint::command::{Command, DataEvent};
use s2sd::ike::endpoint::config::{EndpointConfig, PeerConfig};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::ids::{ChildId, PeerId};
use s2sd::ike::path::{Path, Port};
use s2sd::ike::testing::mutation::{self, Mutation};
use s2sd::ike::{self, Endpoint, Snapshot, Timer};
use s2sd::rng::Rng;
use s2sd::time::{Instant, Now};
use s2sd::wire::spi::{EspSpi, IkeSpi};

use crate::esp::{Inner, Ledger};
use crate::invariants::{Rule, Violation};
use crate::packet::{Datagram, HostId};
use crate::plane::Plane;
use crate::rng::SimRng;

pub struct Host {
    pub id: HostId,
    pub name: String,
    pub address: IpAddr,
    /// Absent while the host is down.
    pub engine: Option<Endpoint>,
    pub plane: Plane,
    /// Outlives crashes.
    pub ledger: Ledger,
    pub dice: Dice,
    pub config: EndpointConfig,
    pub peers: BTreeMap<PeerId, PeerConfig>,
    /// The children that both hosts' policies make together, once they agree.
    pub children: usize,
    /// How often its key signed.
    pub signed: Rc<Cell<u64>>,
    pub census: Census,
    pub events: Vec<(Instant, IkeEvent)>,
    /// What a restart finds: the state at the moment of the crash, or before the step that the
    /// crash tore.
    pub saved: Option<Saved>,
    /// The planned crash, if one is.
    pub tear: Option<Tear>,
    mutation: Option<Mutation>,
    /// The ledger does not outlive a crash.
    pub forget_leases: bool,
    /// When the last authentic packet came on each inbound SA.
    heard: BTreeMap<EspSpi, Instant>,
}

/// Where in the next step the power goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tear {
    /// Before the step's effect was saved: the input is as good as lost.
    Unsaved,
    /// After saving, and after so many outputs were carried out.
    After(usize),
}

/// Inbound SAs that one wanted child may have at a time: six IKE SAs, each with a child and its successor,
/// and four that drain.
const MAX_PER_CHILD: usize = 16;
/// IKE SAs that one peer may have at a time: rekeyed, re-authenticated and dialled at once, from
/// both ends.
const MAX_PER_PEER: usize = 8;

/// What the state store holds.
pub struct Saved {
    pub snapshot: Snapshot,
    pub census: Census,
}

/// The IKE SAs and children that the engine's events say are up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Census {
    pub ikes: BTreeMap<IkeSpi, PeerId>,
    pub children: BTreeSet<ChildId>,
}

/// The host's randomness: seeded, and steered where a script must decide who wins a collision.
#[derive(Clone, Debug)]
pub struct Dice(Rc<RefCell<Steered>>);

#[derive(Debug)]
struct Steered {
    dice: SimRng,
    /// First bytes of the next nonces (RFC 7296 §2.8.1: the lowest of four nonces loses).
    nonces: VecDeque<u8>,
}

/// Nonces are the only draws of this length in the engine.
const NONCE_LEN: usize = 32;

impl Dice {
    pub fn new(dice: SimRng) -> Dice {
        Dice(Rc::new(RefCell::new(Steered { dice, nonces: VecDeque::new() })))
    }

    /// The next nonce begins with this byte; more calls speak of the ones after it.
    pub fn steer(&self, first: u8) {
        self.0.borrow_mut().nonces.push_back(first);
    }
}

impl Rng for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        let mut steered = self.0.borrow_mut();
        steered.dice.fill(out);
        if out.len() == NONCE_LEN
            && let Some(first) = steered.nonces.pop_front()
        {
            out[0] = first;
        }
    }
}

impl Census {
    fn count(&mut self, event: &IkeEvent) {
        match event {
            IkeEvent::IkeUp { peer, ike, .. } | IkeEvent::IkeRekeyed { peer, new: ike, .. } => {
                self.ikes.insert(*ike, *peer);
            }
            IkeEvent::IkeDown { ike, .. } => {
                self.ikes.remove(ike);
            }
            IkeEvent::ChildUp { child, .. } => {
                self.children.insert(*child);
            }
            IkeEvent::ChildDown { child, .. } => {
                self.children.remove(child);
            }
            IkeEvent::Dialling { .. }
            | IkeEvent::DialPaused { .. }
            | IkeEvent::Refused(..)
            | IkeEvent::Moved(..)
            | IkeEvent::Elsewhere(..)
            | IkeEvent::Limited(_)
            | IkeEvent::Ignored(..) => {}
        }
    }
}

impl Host {
    pub fn new(
        id: HostId,
        name: &str,
        address: IpAddr,
        seed: u64,
        mutation: Option<Mutation>,
    ) -> Host {
        Host {
            id,
            name: name.into(),
            address,
            engine: None,
            plane: Plane::default(),
            ledger: Ledger::default(),
            dice: Dice::new(SimRng::stream(seed, name)),
            config: EndpointConfig::default(),
            peers: BTreeMap::new(),
            children: 0,
            signed: Rc::default(),
            census: Census::default(),
            events: Vec::new(),
            saved: None,
            tear: None,
            mutation,
            forget_leases: false,
            heard: BTreeMap::new(),
        }
    }

    /// Whether the host behaves as one without NAT traversal.
    pub fn without_nat_traversal(&self) -> bool {
        self.peers.values().any(|peer| !peer.behaviour.has_nat_traversal())
    }

    pub fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// Starts without a past.
    pub fn boot(&mut self, now: Now) {
        self.lose_power();
        (self.census, self.saved) = (Census::default(), None);
        let dice = Box::new(self.dice.clone());
        self.engine = Some(Endpoint::new(self.settings(), Box::new(Fake), dice));
        for (id, config) in self.peers.clone() {
            self.command(now, Command::Add(id, Box::new(config)));
        }
    }

    /// Starts with what was saved; without that, anew.
    pub fn restart(&mut self, now: Now) {
        let Some(saved) = self.saved.take() else { return self.boot(now) };
        self.lose_power();
        self.census = saved.census;
        self.restore(now, &saved.snapshot);
        self.with(|engine| engine.reinstall(now));
    }

    /// After a crash nobody knows how far the peer's window is: every child that came back is to be
    /// replaced (`docs/architecture.md`, "Restart and crash").
    pub fn rekey_all(&mut self, now: Now) {
        let children: Vec<(PeerId, ChildId)> = self.plane.outbound.keys().copied().collect();
        for (peer, child) in children {
            self.data_event(now, DataEvent::SoftLimit(peer, child));
        }
    }

    /// Saves what a restart needs, as the service does before it carries these outputs out.
    pub fn save(&mut self, now: Now, outputs: &[Output]) {
        if let Some(engine) = &self.engine {
            let snapshot = engine.snapshot(now);
            let mut census = self.census.clone();
            for output in outputs {
                if let Output::Event(event) = output {
                    census.count(event);
                }
            }
            self.saved = Some(Saved { snapshot, census });
        }
    }

    /// A crash between two steps.
    pub fn crash(&mut self, now: Now) {
        self.save(now, &[]);
        self.lose_power();
    }

    /// Everything goes but the state store and the ledger.
    pub fn lose_power(&mut self) {
        (self.engine, self.tear) = (None, None);
        self.plane = Plane::default();
        if self.forget_leases {
            self.ledger = Ledger::default();
        }
        self.heard.clear();
    }

    /// A planned hand-over in which nobody may notice anything: the data plane goes on.
    pub fn replace_by_snapshot(&mut self, now: Now) {
        if let Some(engine) = self.engine.take() {
            self.restore(now, &engine.snapshot(now));
        }
    }

    pub fn command(&mut self, now: Now, command: Command) {
        let command = match command {
            Command::Add(id, config) => Command::Add(id, Box::new(self.policy(*config))),
            Command::Reconfigure(id, config) => {
                Command::Reconfigure(id, Box::new(self.policy(*config)))
            }
            other => other,
        };
        self.with(|engine| engine.command(now, command));
    }

    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        self.engine.as_ref()?.poll_timeout()
    }

    /// What the engine wants done, in order.
    pub fn outputs(&mut self) -> Vec<Output> {
        let engine = self.engine.as_mut();
        let outputs =
            engine.map(|e| std::iter::from_fn(|| e.poll_output()).collect()).unwrap_or_default();
        match self.mutation {
            Some(mutation) => mutation.outputs(outputs),
            None => outputs,
        }
    }

    /// A deadline is due. The data plane is asked for signs of life first, as `DataEvent::Alive`
    /// demands.
    pub fn timeout(&mut self, now: Now, timer: Timer) {
        if timer == Timer::Liveness {
            for (spi, at) in std::mem::take(&mut self.heard) {
                self.data_event(now, DataEvent::Alive(spi, at));
            }
        }
        self.with(|engine| engine.handle_timeout(now));
    }

    pub fn data_event(&mut self, now: Now, event: DataEvent) {
        self.with(|engine| engine.handle_data_event(now, event));
    }

    /// Hands an IKE message in, the way the service would.
    pub fn ike(&mut self, now: Now, datagram: &Datagram) {
        let port = if datagram.dst.port() == 500 { Port::Ike } else { Port::NatT };
        let path = Path { local: datagram.dst, remote: datagram.src, port };
        let bytes = match port {
            Port::Ike => &datagram.bytes[..],
            Port::NatT => datagram.bytes.strip_prefix(&[0; 4]).unwrap_or(&datagram.bytes),
        };
        self.with(|engine| engine.handle_datagram(now, ike::path::Datagram { path, bytes }));
    }

    /// Hands an ESP packet in.
    pub fn esp(&mut self, now: Instant, datagram: &Datagram) -> (Option<Inner>, Vec<DataEvent>) {
        let opened = self.plane.open(&mut self.ledger, datagram);
        if let Some(spi) = opened.on {
            self.heard.insert(spi, now);
        }
        (opened.inner, opened.events)
    }

    /// Whether any policy lets this packet in.
    pub fn allows(&self, inner: Inner) -> bool {
        let policies = self.peers.values().flat_map(|peer| &peer.children).map(|c| &c.selectors);
        policies.into_iter().any(|pair| {
            pair.local.matches(inner.dst.into(), 0, None)
                && pair.remote.matches(inner.src.into(), 0, None)
        })
    }

    /// Keeps account of what the engine tells.
    pub fn witness(&mut self, now: Instant, event: IkeEvent) {
        self.census.count(&event);
        self.events.push((now, event));
    }

    /// What the engine holds, as octets of its snapshot.
    pub fn octets(&self, now: Now) -> usize {
        self.engine.as_ref().map_or(0, |engine| engine.snapshot(now).expose().len())
    }

    /// Invariant 5, as far as it can be seen from outside.
    pub fn check_bounds(&self) -> Result<(), Violation> {
        let wanted: usize = self.peers.values().map(|p| p.children.len()).sum();
        let wanted = wanted.max(self.children);
        let (inbound, ikes) = (self.plane.inbound.len(), self.census.ikes.len());
        if inbound > wanted * MAX_PER_CHILD {
            let text = format!("{} holds {inbound} inbound SAs for {wanted} children", self.name);
            return Err(Violation::new(Rule::Bounds, text));
        }
        if ikes > self.peers.len() * MAX_PER_PEER {
            return Err(Violation::new(
                Rule::Bounds,
                format!("{} holds {ikes} IKE SAs", self.name),
            ));
        }
        Ok(())
    }

    fn restore(&mut self, now: Now, snapshot: &Snapshot) {
        let peers =
            self.peers.iter().map(|(id, config)| (*id, self.policy(config.clone()))).collect();
        let (settings, dice) = (self.settings(), Box::new(self.dice.clone()));
        let restored = Endpoint::restore(snapshot, now, settings, Box::new(Fake), dice, peers);
        self.engine = Some(restored.expect("a snapshot of our own reads"));
    }

    /// The settings that the engine is given.
    fn settings(&self) -> EndpointConfig {
        match self.mutation {
            Some(mutation) => mutation.settings(self.config.clone()),
            None => self.config.clone(),
        }
    }

    /// The policy of a peer that the engine is given.
    fn policy(&self, config: PeerConfig) -> PeerConfig {
        match self.mutation {
            Some(mutation) => mutation.policy(config),
            None => config,
        }
    }

    /// Calls into the engine, with this host's mutation in force.
    fn with(&mut self, call: impl FnOnce(&mut Endpoint)) {
        if let Some(engine) = &mut self.engine {
            mutation::set(self.mutation);
            call(engine);
            mutation::set(None);
        }
    }
}
