//! The engine's interface: [`Endpoint`], with what goes in and what comes out.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod` | [`Endpoint`]: inputs to the peer that they concern, one schedule over all peers |
//! | [`command`] | inputs: commands of the operator, events of the data plane |
//! | [`config`] | inputs: settings of the endpoint and of each peer |
//! | [`output`] | outputs: the ordered effects |
//! | [`event`] | outputs: what happened, for log and status |
//! | [`schedule`] | deadlines, and the reason of each |
//! | [`context`] | what every part of the engine has at hand while it handles one input |
//! | [`spis`] | which SPI belongs to which peer |

pub mod command;
pub mod config;
pub(crate) mod context;
pub mod event;
pub mod output;
pub mod schedule;
pub(crate) mod spis;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::admission::Admissions;
use super::admission::cookie::Cookies;
use super::ids::{ChildId, PeerId};
use super::path::{Datagram, Path};
use super::peer::Peer;
use super::sa::IkeSa;
use super::sa::child::ChildSa;
use super::sa::task::TaskKind;
use crate::crypto::{IkeSuite, Provider};
use crate::rng::Rng;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::header::{Header, IkeVersion};
use crate::wire::spi::{EspSpi, IkeSpi};
use command::{Command, DataEvent};
use config::{EndpointConfig, PeerConfig};
use context::{ChildCount, Context};
use event::{Cause, IkeEvent};
use output::{Output, Outputs};
use schedule::{Schedule, Timer};
use spis::Spis;

/// One end of any number of IKEv2 connections: the engine, without I/O.
///
/// An endpoint holds no socket, no clock, no thread and no source of randomness of its own. Bytes,
/// time and randomness go in as values, and an ordered list of effects comes out. So one seed gives
/// one run: the simulator (`tests/sim`) plays years of losses, crossings and crashes in seconds and
/// repeats any of them exactly, and a snapshot is the whole state. The caller does the I/O: in the
/// service that is `daemon::service`.
///
/// # The four kinds of methods
///
/// | kind | methods | what they do |
/// |---|---|---|
/// | input | [`command`](Self::command) | what the operator wants |
/// | input | [`handle_datagram`](Self::handle_datagram) | an IKE message arrived |
/// | input | [`handle_timeout`](Self::handle_timeout) | a deadline has come |
/// | input | [`handle_data_event`](Self::handle_data_event) | the data plane saw something |
/// | output | [`poll_output`](Self::poll_output) | the next effect to carry out |
/// | output | [`poll_timeout`](Self::poll_timeout) | when to call `handle_timeout`, and why |
/// | query | [`ike_sas`](Self::ike_sas) | the facts about each IKE SA |
/// | query | [`revision`](Self::revision) | whether the state has changed |
/// | snapshot | [`snapshot`](Self::snapshot) | the state as octets |
/// | snapshot | [`restore`](Self::restore) | the endpoint of a snapshot |
/// | snapshot | [`reinstall`](Self::reinstall) | all SAs, for a new data plane |
///
/// # The order of calls
///
/// After each input, or after a batch of inputs: take all outputs, store a snapshot if the revision
/// has changed, carry the outputs out in their order, then ask for the next deadline. As text:
///
/// ```text
/// let mut endpoint = Endpoint::new(settings, provider, rng);     // or Endpoint::restore(...)
/// endpoint.command(now, Command::Add(peer, config));
/// endpoint.command(now, Command::Up(peer));
/// loop {
///     outputs.extend(iter::from_fn(|| endpoint.poll_output()));
///     if endpoint.revision() != stored { store(endpoint.snapshot(now)); stored = ... }
///     for output in outputs.drain(..) { carry_out(output) }      // in this order, never another
///     wait until a datagram, a command, a data event or poll_timeout's deadline;
///     now = both clocks, read once;
///     one of endpoint.handle_datagram / command / handle_data_event / handle_timeout (now, ...);
/// }
/// ```
///
/// Storing before sending makes a crash look like a lost packet: the peer has not seen anything
/// that the restored endpoint does not know.
///
/// # Time
///
/// [`Now`] is a value that each input takes: both clocks, read together by the caller. Deadlines
/// use the monotonic clock, certificate dates the wall clock. The monotonic clock must not go back
/// from one call to the next. `handle_timeout` may be called early, when it does nothing, and late,
/// when it does everything that is due. Each input may change the deadline, so `poll_timeout` is
/// asked after every round. When the [`Timer`] is [`Timer::Liveness`], the caller first reports the
/// data plane's last sign of life by [`DataEvent::Alive`] and then calls `handle_timeout`.
///
/// # The order of outputs
///
/// Outputs are one stream, because their order is a protocol rule (see [`output`]): an inbound SA
/// is installed before the message that lets the peer send on it, and an outbound SA is activated
/// before the Delete of its predecessor leaves (make-before-break). The caller may batch outputs
/// and must not reorder them.
///
/// # Inside
///
/// The endpoint finds the peer that an input concerns (by SPI, by identifier, or by source address
/// for an IKE_SA_INIT), gives it its turn and keeps one deadline of it. All protocol state is in
/// the peers. Messages for no SA are handled in [`crate::ike::admission`].
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) settings: EndpointConfig,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) rng: OpaqueRng,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    /// Which peers may send from which address; peers without a configured address under `None`.
    pub(crate) addresses: BTreeMap<Option<IpAddr>, Vec<PeerId>>,
    pub(crate) spis: Spis,
    pub(crate) schedule: Schedule,
    pub(crate) admissions: Admissions,
    pub(crate) out: Outputs,
    pub(crate) next_child: u64,
    /// See [`Endpoint::revision`].
    revision: u64,
}

/// The facts about one IKE SA that logs and status pages show.
///
/// The same values are in [`IkeEvent::IkeUp`]. They are asked for when the event was reported to
/// an earlier process: after a restart.
#[derive(Clone, Debug)]
pub struct IkeFacts {
    /// The peer that the IKE SA is with.
    pub peer: PeerId,
    /// This end's SPI of the IKE SA.
    pub ike: IkeSpi,
    /// The negotiated algorithms.
    pub suite: IkeSuite,
    /// The name that the peer has proved, such as its certificate's subject.
    pub identity: String,
    /// When the peer's certificate path expires.
    pub proven_until: UnixTime,
    /// When both ends had authenticated.
    pub since: Instant,
    /// The addresses and ports of both ends.
    pub path: Path,
}

/// The source of randomness; its `Debug` shows nothing of it.
pub(crate) struct OpaqueRng(pub(super) Box<dyn Rng>);

impl std::fmt::Debug for OpaqueRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<rng>")
    }
}

impl Endpoint {
    /// An endpoint without peers.
    pub fn new(
        settings: EndpointConfig,
        provider: Box<dyn Provider>,
        mut rng: Box<dyn Rng>,
    ) -> Endpoint {
        let cookies = Cookies::new(Instant::default(), &mut *rng);
        let admissions = Admissions::new(&settings, cookies);
        Endpoint {
            settings,
            provider,
            rng: OpaqueRng(rng),
            peers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            spis: Spis::default(),
            schedule: Schedule::default(),
            admissions,
            out: Outputs::default(),
            next_child: 1,
            revision: 0,
        }
    }

    /// Handles an IKE message that arrived. A datagram of an unknown IKE SA is answered or ignored
    /// as [`crate::ike::admission`] decides.
    pub fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let Datagram { path, bytes } = datagram;
        let Ok(header) = Header::decode(bytes) else {
            return self.ignore(now, path, "the datagram is not an IKE message");
        };
        if header.version.major != IkeVersion::V2.major {
            return self.refuse_version(now, path, &header);
        }
        let own =
            if header.is_from_initiator() { header.responder_spi } else { header.initiator_spi };
        if own == IkeSpi::ZERO && header.is_from_initiator() && !header.is_response() {
            return self.admit(now, path, &header, bytes);
        }
        match self.spis.peer_of_ike(own) {
            Some(peer) => {
                self.with(now, peer, |peer, ctx| peer.receive(ctx, own, &header, path, bytes));
            }
            None => self.refuse_spi(now, path, &header, bytes),
        }
    }

    /// Handles every deadline that has come; see [`Endpoint::poll_timeout`]. An early or late call
    /// does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, _, peer)) = self.schedule.first() {
            if at > now.mono {
                return;
            }
            let before = self.schedule.first();
            self.with(now, peer, |peer, ctx| peer.wake(ctx));
            if self.schedule.first() == before {
                // A deadline that does not move would loop for ever. The next call handles it
                // again.
                debug_assert!(false, "a deadline was handled and stayed: {before:?}");
                return;
            }
        }
    }

    /// Handles an event of the data plane.
    pub fn handle_data_event(&mut self, now: Now, event: DataEvent) {
        match event {
            DataEvent::SoftLimit(peer, child) => self.on_child(now, peer, child, |sa, ctx| {
                if sa.child(child).is_some_and(ChildSa::is_live) {
                    let at = ctx.now.mono;
                    sa.want(ctx, TaskKind::RekeyChild(child, None), at);
                }
            }),
            DataEvent::HardLimit(peer, child) => self.on_child(now, peer, child, |sa, ctx| {
                let spi = sa.child(child).map(|child| child.inbound.spi);
                if let Some(spi) = spi.filter(|_| sa.detach_child(child, Cause::Expired)) {
                    let at = ctx.now.mono;
                    sa.want(ctx, TaskKind::Disown(spi), at);
                }
            }),
            DataEvent::FirstPacket(spi) => {
                self.on_spi(now, spi, |peer, ctx| peer.on_first_packet(ctx, spi));
            }
            DataEvent::Alive(spi, at) => self.on_spi(now, spi, |peer, ctx| {
                if let Some(sa) = peer.sa_of_inbound(spi) {
                    sa.alive(at);
                    let children = sa.children.iter_mut();
                    children.filter(|child| child.inbound.spi == spi).for_each(|c| c.hear(at));
                }
                peer.run_followups(ctx);
            }),
            DataEvent::PeerMoved(spi, path) => self.on_spi(now, spi, |peer, ctx| {
                if peer.sa_of_inbound(spi).is_some() {
                    peer.follow(ctx, path);
                }
            }),
            DataEvent::UnknownSpi { path, spi, len } => self.refuse_esp(now, path, spi, len),
        }
    }

    /// Carries out a command of the operator.
    pub fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Add(id, config) => self.add(id, *config),
            Command::Remove(id) => {
                self.with(now, id, |peer, ctx| peer.close_all(ctx, Cause::Command));
                self.remove(now, id);
            }
            Command::Reconfigure(id, config) => self.reconfigure(now, id, *config),
            Command::Up(id) => self.with(now, id, |peer, ctx| {
                (peer.dial.wanted, peer.dial.barred) = (true, false);
                peer.dial.at = ctx.now.mono;
                peer.retry_now(ctx);
                peer.run_followups(ctx);
            }),
            Command::Down(id) => self.with(now, id, |peer, ctx| {
                (peer.dial.wanted, peer.dial.barred) = (false, true);
                peer.dial.renew = false;
                peer.close_all(ctx, Cause::Command);
            }),
            Command::RekeyIke(id) => self.on_main(now, id, TaskKind::RekeyIke(None)),
            Command::RekeyChild(peer, child) => {
                self.handle_data_event(now, DataEvent::SoftLimit(peer, child));
            }
            Command::Reauthenticate(id) => self.with(now, id, |peer, ctx| {
                peer.dial.renew(ctx.now.mono);
                peer.run_followups(ctx);
            }),
            Command::Probe(id) => self.on_main(now, id, TaskKind::Probe),
        }
    }

    /// The next effect to carry out; none when all are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// When to call [`Endpoint::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.schedule.first().map(|(at, timer, _)| (at, timer))
    }

    /// A number that grows whenever a snapshot may differ from the one before: as long as it is the
    /// same, nothing has to be stored before outputs are carried out. Answers that keep no state,
    /// as to a flood of unauthenticated datagrams, do not change it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The facts about each IKE SA.
    pub fn ike_sas(&self) -> impl Iterator<Item = IkeFacts> + '_ {
        let of = |(peer, sa): (PeerId, &IkeSa)| IkeFacts {
            peer,
            ike: sa.spi(),
            suite: sa.channel.suite,
            identity: sa.proven.name.clone(),
            proven_until: sa.proven.until,
            since: sa.origin.up_at,
            path: sa.path,
        };
        self.peers.iter().flat_map(|(id, peer)| peer.sas.iter().map(|sa| (*id, sa))).map(of)
    }

    /// Gives a peer its turn, then registers its new deadline.
    pub(crate) fn with(
        &mut self,
        now: Now,
        id: PeerId,
        turn: impl FnOnce(&mut Peer, &mut Context<'_>),
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        self.revision += 1;
        let mut ctx = Context {
            now,
            peer: id,
            config: Rc::clone(&peer.config),
            slots: peer.slot_retries.iter().map(|retry| retry.slot).collect(),
            settings: &self.settings,
            provider: &*self.provider,
            rng: &mut *self.rng.0,
            out: &mut self.out,
            spis: &mut self.spis,
            half_open: &mut self.admissions.half_open,
            next_child: &mut self.next_child,
            beside: ChildCount::default(),
            apart: Vec::new(),
            reason: None,
        };
        turn(peer, &mut ctx);
        let deadline = peer.deadline();
        self.schedule.change(id, peer.registered, deadline);
        peer.registered = deadline;
    }

    /// Gives the IKE SA of a child its turn.
    fn on_child(
        &mut self,
        now: Now,
        id: PeerId,
        child: ChildId,
        turn: impl FnOnce(&mut IkeSa, &mut Context<'_>),
    ) {
        self.with(now, id, |peer, ctx| {
            if let Some(sa) = peer.sa_of_child(child) {
                turn(sa, ctx);
            }
            peer.run_followups(ctx);
        });
    }

    /// Gives the peer that receives on an ESP SPI its turn.
    fn on_spi(&mut self, now: Now, spi: EspSpi, turn: impl FnOnce(&mut Peer, &mut Context<'_>)) {
        if let Some(peer) = self.spis.peer_of_esp(spi) {
            self.with(now, peer, turn);
        }
    }

    /// Wants something of the IKE SA that a peer's requests go out on.
    fn on_main(&mut self, now: Now, id: PeerId, kind: TaskKind) {
        self.with(now, id, |peer, ctx| {
            if let Some(sa) = peer.main_mut() {
                let at = ctx.now.mono;
                sa.want(ctx, kind, at);
            }
            peer.run_followups(ctx);
        });
    }

    /// Adds a peer without SAs, unless it is there already.
    pub(crate) fn add(&mut self, id: PeerId, config: PeerConfig) {
        if self.peers.contains_key(&id) {
            return;
        }
        self.revision += 1;
        self.list(id, &config);
        self.peers.insert(id, Peer::new(id, config));
    }

    /// Adds a peer to the index of source addresses.
    fn list(&mut self, id: PeerId, config: &PeerConfig) {
        if config.remotes.is_empty() {
            self.addresses.entry(None).or_default().push(id);
        }
        for remote in &config.remotes {
            self.addresses.entry(Some(*remote)).or_default().push(id);
        }
    }

    /// Removes a peer from the index of source addresses.
    fn unlist(&mut self, id: PeerId) {
        self.addresses.retain(|_, peers| {
            peers.retain(|peer| *peer != id);
            !peers.is_empty()
        });
    }

    /// Drops a peer with all its state; the Deletes of its SAs are in the outputs already.
    fn remove(&mut self, now: Now, id: PeerId) {
        self.with(now, id, |peer, ctx| {
            let spis: Vec<IkeSpi> = peer.sas.iter().map(IkeSa::spi).collect();
            for spi in spis {
                peer.remove_sa(ctx, spi, Cause::Command);
            }
            for drained in std::mem::take(&mut peer.draining) {
                drained.child.remove(ctx);
            }
        });
        self.unlist(id);
        if let Some(peer) = self.peers.remove(&id) {
            self.revision += 1;
            self.schedule.change(id, peer.registered, None);
        }
    }

    fn reconfigure(&mut self, now: Now, id: PeerId, config: PeerConfig) {
        if !self.peers.contains_key(&id) {
            return self.add(id, config);
        }
        self.unlist(id);
        self.list(id, &config);
        let mut was_local = config.local;
        let mut renewed = false;
        if let Some(peer) = self.peers.get_mut(&id) {
            was_local = peer.config.local;
            let credentials = Rc::as_ptr(&config.credentials);
            renewed = !std::ptr::addr_eq(Rc::as_ptr(&peer.config.credentials), credentials);
            peer.config = Rc::new(config);
        }
        self.with(now, id, |peer, ctx| {
            peer.adapt(ctx, was_local);
            if renewed {
                peer.judge_again(ctx);
            }
            peer.run_followups(ctx);
        });
    }

    /// Reports a datagram that was dropped, within the budget for log lines.
    pub(crate) fn ignore(&mut self, now: Now, path: Path, why: &'static str) {
        if self.admissions.may_tell(now.mono) {
            self.out.event(IkeEvent::Ignored(path, why));
        }
    }
}
