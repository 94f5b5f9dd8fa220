//! The engine's outside: routing, admission of strangers, one schedule over all peers.

pub mod command;
pub mod config;
pub(crate) mod context;
pub mod event;
pub mod output;
pub mod schedule;
pub(crate) mod spis;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::admission::Admissions;
use super::admission::cookie::Cookies;
use super::ids::{ChildId, PeerId};
use super::path::{Datagram, Path};
use super::peer::Peer;
use super::sa::task::TaskKind;
use crate::crypto::{IkeSuite, Provider};
use crate::rng::Rng;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::header::{Header, IkeVersion};
use crate::wire::spi::{EspSpi, IkeSpi};
use command::{Command, DataEvent};
use config::{EndpointConfig, PeerConfig};
use context::Context;
use event::{Cause, IkeEvent};
use output::{Output, Outputs};
use schedule::{Schedule, Timer};
use spis::Spis;

/// One end of any number of IKE connections.
///
/// After each call of a `handle_` method or of [`Endpoint::command`], take all outputs with
/// [`Endpoint::poll_output`] and carry them out in their order; then ask [`Endpoint::poll_timeout`]
/// when to call [`Endpoint::handle_timeout`].
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) settings: EndpointConfig,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) rng: OpaqueRng,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    /// Where peers are expected from; those of no fixed address under `None`.
    pub(crate) addresses: BTreeMap<Option<IpAddr>, Vec<PeerId>>,
    pub(crate) spis: Spis,
    pub(crate) schedule: Schedule,
    pub(crate) admissions: Admissions,
    pub(crate) out: Outputs,
    pub(crate) next_child: u64,
    revision: u64,
}

/// An IKE SA, as far as people want to know it.
#[derive(Clone, Debug)]
pub struct IkeFacts {
    /// Whose.
    pub peer: PeerId,
    /// Our SPI of it.
    pub ike: IkeSpi,
    /// Its algorithms.
    pub suite: IkeSuite,
    /// Who the peer proved to be.
    pub identity: String,
    /// When the peer's certificate runs out.
    pub proven_until: UnixTime,
    /// When both ends were proven.
    pub since: Instant,
    /// The ends.
    pub path: Path,
}

/// A source of randomness that prints nothing.
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

    /// An IKE message arrived.
    pub fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let Datagram { path, bytes } = datagram;
        let Ok(header) = Header::decode(bytes) else {
            return self.ignore(now, path, "not an IKE message");
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
            None => self.refuse_spi(now, path, &header),
        }
    }

    /// The deadline of [`Endpoint::poll_timeout`] has come; early or late calls do no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, _, peer)) = self.schedule.first() {
            if at > now.mono {
                return;
            }
            let before = self.schedule.first();
            self.with(now, peer, |peer, ctx| peer.wake(ctx));
            if self.schedule.first() == before {
                // A deadline that does not move would spin here; it is looked at again at the next
                // call.
                debug_assert!(false, "a deadline was handled and stayed: {before:?}");
                return;
            }
        }
    }

    /// The data plane saw something.
    pub fn handle_data_event(&mut self, now: Now, event: DataEvent) {
        match event {
            DataEvent::SoftLimit(peer, child) => self.on_child(now, peer, child, |sa, ctx| {
                if sa.child(child).is_some_and(crate::ike::sa::child::ChildSa::is_live) {
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
                let of_spi = |sa: &&mut super::sa::IkeSa| {
                    sa.children.iter().any(|child| child.inbound.spi == spi)
                };
                if let Some(sa) = peer.sas.iter_mut().find(of_spi) {
                    sa.alive(at);
                }
                peer.run_followups(ctx);
            }),
            DataEvent::PeerMoved(spi, path) => self.on_spi(now, spi, |peer, ctx| {
                let of_spi = |sa: &&mut super::sa::IkeSa| {
                    sa.children.iter().any(|child| child.inbound.spi == spi)
                };
                if let Some(sa) = peer.sas.iter_mut().find(of_spi)
                    && !sa.nat.here
                    && sa.path != path
                {
                    sa.move_to(ctx, path);
                }
            }),
        }
    }

    /// The operator wishes something.
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

    /// The next effect to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// When to call [`Endpoint::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.schedule.first().map(|(at, timer, _)| (at, timer))
    }

    /// Moves whenever what a snapshot holds may have changed. What strangers are told without an SA
    /// moves it not: a flood of them is no reason to store anything.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The IKE SAs: after a restart nobody has heard the events that told of them.
    pub fn ike_sas(&self) -> impl Iterator<Item = IkeFacts> + '_ {
        let of = |(peer, sa): (PeerId, &super::sa::IkeSa)| IkeFacts {
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

    /// Gives a peer its turn, then notes its new deadline.
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
            config: std::rc::Rc::clone(&peer.config),
            settings: &self.settings,
            provider: &*self.provider,
            rng: &mut *self.rng.0,
            out: &mut self.out,
            spis: &mut self.spis,
            half_open: &mut self.admissions.half_open,
            next_child: &mut self.next_child,
            reason: None,
        };
        turn(peer, &mut ctx);
        let deadline = peer.deadline();
        self.schedule.change(id, peer.registered, deadline);
        peer.registered = deadline;
    }

    fn on_child(
        &mut self,
        now: Now,
        id: PeerId,
        child: ChildId,
        turn: impl FnOnce(&mut super::sa::IkeSa, &mut Context<'_>),
    ) {
        self.with(now, id, |peer, ctx| {
            if let Some(sa) = peer.sa_of_child(child) {
                turn(sa, ctx);
            }
            peer.run_followups(ctx);
        });
    }

    fn on_spi(&mut self, now: Now, spi: EspSpi, turn: impl FnOnce(&mut Peer, &mut Context<'_>)) {
        if let Some(peer) = self.spis.peer_of_esp(spi) {
            self.with(now, peer, turn);
        }
    }

    fn on_main(&mut self, now: Now, id: PeerId, kind: TaskKind) {
        self.with(now, id, |peer, ctx| {
            let main = peer.main().map(super::sa::IkeSa::spi);
            if let Some(sa) = peer.sas.iter_mut().find(|sa| Some(sa.spi()) == main) {
                let at = ctx.now.mono;
                sa.want(ctx, kind, at);
            }
            peer.run_followups(ctx);
        });
    }

    pub(crate) fn add(&mut self, id: PeerId, config: PeerConfig) {
        if self.peers.contains_key(&id) {
            return;
        }
        self.revision += 1;
        self.list(id, &config);
        self.peers.insert(id, Peer::new(id, config));
    }

    fn list(&mut self, id: PeerId, config: &PeerConfig) {
        if config.remotes.is_empty() {
            self.addresses.entry(None).or_default().push(id);
        }
        for remote in &config.remotes {
            self.addresses.entry(Some(*remote)).or_default().push(id);
        }
    }

    fn unlist(&mut self, id: PeerId) {
        self.addresses.retain(|_, peers| {
            peers.retain(|peer| *peer != id);
            !peers.is_empty()
        });
    }

    /// Drops all of a peer; its farewells are in the outputs already.
    fn remove(&mut self, now: Now, id: PeerId) {
        self.with(now, id, |peer, ctx| {
            let spis: Vec<IkeSpi> = peer.sas.iter().map(super::sa::IkeSa::spi).collect();
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
        if let Some(peer) = self.peers.get_mut(&id) {
            was_local = peer.config.local;
            peer.config = std::rc::Rc::new(config);
        }
        self.with(now, id, |peer, ctx| {
            peer.adapt(ctx, was_local);
            peer.run_followups(ctx);
        });
    }

    /// Tells of a datagram that was dropped, at most so often.
    pub(crate) fn ignore(&mut self, now: Now, path: Path, why: &'static str) {
        if self.admissions.may_tell(now.mono) {
            self.out.event(IkeEvent::Ignored(path, why));
        }
    }
}
