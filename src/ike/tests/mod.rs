//! Two endpoints and one wire without faults: the success of each exchange. Losses and crossings
//! are tested by the simulator, `tests/sim`.
//!
//! | file | what is tested |
//! |---|---|
//! | `mod` | [`Pair`], the two endpoints that all unit tests of the engine share; each exchange |
//! | [`conformance`] | what an end offers, and how it answers malformed or unexpected messages |
//! | [`received`] | what is ignored, what is answered and where to, what changes nothing |
//! | [`sent`] | the form of everything that is sent in a long life |

mod conformance;
mod received;
mod remnants;
mod sendings;
mod sent;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::authenticator::{Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed};
use super::endpoint::command::{Command, DataEvent};
use super::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use super::endpoint::event::{Cause, IkeEvent};
use super::endpoint::output::Output;
use super::error::AuthFailed;
use super::negotiation::proposal::ProposalPolicy;
use super::path::{Datagram, Path, Port, Sending};
use super::sa::child::{ChildSa, FIRST_PACKET, OutState};
use super::sa::dpd::DpdTimeout;
use super::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use super::testing::emulation::PeerBehaviour;
use super::{ChildId, Endpoint, PeerId};
use crate::crypto::fake::Fake;
use crate::crypto::{EspSuite, Group, IkeSuite};
use crate::rng::Rng;
use crate::rng::SeededRng;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::codes::{AuthMethod, EncrId, EsnId, HashId, PrfId};
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use crate::wire::payload::id::Identity;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::selector::set::SelectorSet;

pub(in crate::ike) const PEER: PeerId = PeerId(7);

/// An authenticator without certificates: AUTH is the signed octets themselves.
#[derive(Debug)]
pub(in crate::ike) struct Toy {
    pub(in crate::ike) name: &'static str,
    pub(in crate::ike) believes: bool,
    /// Whether its own proof is false.
    pub(in crate::ike) lies: bool,
    /// The end of the peer's proof.
    pub(in crate::ike) until: UnixTime,
}

impl Toy {
    pub(in crate::ike) fn new(name: &'static str) -> Toy {
        Toy { name, believes: true, lies: false, until: UnixTime(4_000_000_000) }
    }
}

impl Authenticator for Toy {
    fn identity(&self) -> Identity {
        Identity::fqdn(self.name)
    }

    fn certificates(&self) -> Vec<CertPayload> {
        vec![CertPayload::x509(vec![7; 3000])]
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        vec![[1; AUTHORITY_LEN]]
    }

    fn hashes(&self) -> Vec<HashId> {
        vec![HashId::Sha2_256]
    }

    fn sign(
        &self,
        octets: &[u8],
        _: &[HashId],
        _: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed> {
        let octets = if self.lies { &[0] } else { octets };
        Ok(AuthPayload::new(AuthMethod::RsaSignature, octets))
    }

    fn verify(&self, claim: &PeerProof<'_>, now: Now) -> Result<Proven, Disbelief> {
        if self.believes && now.unix <= self.until && claim.auth.data == claim.octets {
            let name = claim.identity.to_string();
            return Ok(Proven { name, until: self.until });
        }
        let reason = "not the octets".into();
        Err(Disbelief { kind: AuthFailed::Signature, reason, remedy: None })
    }

    fn still_proves(&self, _: &Presented, _: Now) -> Result<UnixTime, Disbelief> {
        let reason = "no longer believed".into();
        let no = Disbelief { kind: AuthFailed::Certificate, reason, remedy: None };
        self.believes.then_some(self.until).ok_or(no)
    }

    fn not_after(&self) -> UnixTime {
        UnixTime(4_000_000_000)
    }
}

pub(in crate::ike) fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn policies(pfs: bool) -> (ProposalPolicy, ProposalPolicy) {
    let ike = IkeSuite::from_transforms(
        EncrId::AesGcm16,
        Some(256),
        PrfId::HmacSha2_384,
        None,
        Group::Ecp384.id(),
    );
    let group = pfs.then(|| Group::Ecp256.id());
    let esp =
        EspSuite::from_transforms(EncrId::AesGcm16, Some(256), None, group, EsnId::Sequence32);
    (ProposalPolicy::new(&[ike.unwrap().into()]).0, ProposalPolicy::new(&[esp.unwrap().into()]).0)
}

pub(in crate::ike) fn config(host: u8, other: u8, role: DialRole) -> PeerConfig {
    let (ike, esp) = policies(true);
    let all: SelectorSet =
        "0.0.0.0-255.255.255.255".parse::<AddressRange>().map(SelectorSet::from).expect("a range");
    PeerConfig {
        name: format!("host {host}").into(),
        role,
        local: address(host),
        remotes: vec![address(other)],
        fixed_remotes: true,
        encapsulation: EspEncapsulation::Udp,
        start_on_4500: false,
        ike,
        children: vec![ChildConfig {
            name: "all".into(),
            esp,
            selectors: ChildSelectors { local: all.clone(), remote: all },
            lifetime_time: CHILD_TIME,
            lifetime_bytes: CHILD_BYTES,
            keep_up: true,
        }],
        credentials: Rc::new(Toy::new(if host == 1 { "one" } else { "two" })),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: DpdTimeout::default(),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

/// Two endpoints and the datagrams on the wire between them.
pub(in crate::ike) struct Pair {
    pub(in crate::ike) ends: [Endpoint; 2],
    pub(in crate::ike) wire: VecDeque<(usize, Path, Vec<u8>)>,
    pub(in crate::ike) events: [Vec<IkeEvent>; 2],
    pub(in crate::ike) log: [Vec<String>; 2],
    pub(in crate::ike) sendings: [Vec<Sending>; 2],
    pub(in crate::ike) now: Now,
    configs: [PeerConfig; 2],
    /// Each endpoint is restored from its snapshot after every input.
    restores: bool,
    /// The wire is cut: no datagram arrives.
    pub(in crate::ike) is_cut: bool,
}

thread_local! {
    /// The value of [`Pair`]'s `restores` for the pairs that this test makes.
    static RESTORES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A pair with one IKE SA and one child SA, dialled by end 0.
pub(in crate::ike) fn established() -> Pair {
    let mut pair = Pair::new([DialRole::Dial, DialRole::Answer]);
    pair.deliver();
    assert_eq!(pair.holds(1), (1, 1, 1));
    pair
}

/// Runs a test twice: as it is, and with each end restored from its snapshot after every input.
pub(in crate::ike) fn in_both_ways(story: impl Fn()) {
    for restores in [false, true] {
        RESTORES.set(restores);
        story();
    }
}

impl Pair {
    pub(in crate::ike) fn new(roles: [DialRole; 2]) -> Pair {
        let mut pair = Pair::idle(roles);
        for end in 0..2 {
            pair.command(end, Command::Up(PEER));
        }
        pair
    }

    pub(in crate::ike) fn idle(roles: [DialRole; 2]) -> Pair {
        Pair::with(config(1, 2, roles[0]), config(2, 1, roles[1]))
    }

    pub(in crate::ike) fn with(one: PeerConfig, two: PeerConfig) -> Pair {
        let end = |seed| {
            Endpoint::new(EndpointConfig::default(), Box::new(Fake), Box::new(SeededRng(seed)))
        };
        let now = Now { mono: Instant(1_000_000_000), unix: UnixTime(1_800_000_000) };
        let mut pair = Pair {
            ends: [end(1), end(2)],
            wire: VecDeque::new(),
            events: Default::default(),
            log: Default::default(),
            sendings: Default::default(),
            now,
            configs: [one.clone(), two.clone()],
            restores: RESTORES.get(),
            is_cut: false,
        };
        pair.command(0, Command::Add(PEER, Box::new(one)));
        pair.command(1, Command::Add(PEER, Box::new(two)));
        pair
    }

    pub(in crate::ike) fn command(&mut self, end: usize, command: Command) {
        if let Command::Reconfigure(_, config) = &command {
            self.configs[end] = (**config).clone();
        }
        self.ends[end].command(self.now, command);
        self.collect(end);
    }

    pub(in crate::ike) fn collect(&mut self, end: usize) {
        while let Some(output) = self.ends[end].poll_output() {
            let line = match output {
                Output::Transmit(transmit) => {
                    self.sendings[end].push(transmit.sending);
                    self.wire.push_back((end, transmit.path, transmit.bytes));
                    "transmit".to_owned()
                }
                Output::Event(event) => {
                    self.events[end].push(event);
                    continue;
                }
                Output::InstallInbound(sa) => format!("+in {}", sa.spi),
                Output::InstallOutbound(sa) => format!("+out {}", sa.spi),
                Output::ActivateOutbound { spi, .. } => format!("use {spi}"),
                Output::DisplaceOutbound { spi, .. } => format!("spare {spi}"),
                Output::RetireOutbound { spi, .. } => format!("-out {spi}"),
                Output::RemoveInbound { spi, .. } => format!("-in {spi}"),
                Output::PeerMoved { .. } => "moved".to_owned(),
                Output::Keepalive(_) => "keepalive".to_owned(),
            };
            self.log[end].push(line);
        }
        if self.restores {
            let snapshot = self.ends[end].snapshot(self.now);
            let snapshot = super::Snapshot::from_bytes(snapshot.expose());
            let peers = vec![(PEER, self.configs[end].clone())];
            let settings = self.ends[end].settings.clone();
            let seed =
                u64::from_be_bytes(std::array::from_fn(|_| 7)) ^ self.now.mono.0 ^ end as u64;
            let rng = Box::new(SeededRng(seed));
            let before = self.ends[end].poll_timeout();
            let restored =
                Endpoint::restore(&snapshot, self.now, settings, Box::new(Fake), rng, peers);
            self.ends[end] = restored.unwrap();
            assert_eq!(self.ends[end].poll_timeout(), before);
            assert_eq!(self.ends[end].snapshot(self.now).expose(), snapshot.expose());
        }
    }

    /// Delivers everything that is on the wire, and the answers.
    pub(in crate::ike) fn deliver(&mut self) {
        for _ in 0..200 {
            if self.wire.is_empty() {
                return;
            }
            self.deliver_one();
        }
        panic!("the two ends do not come to rest");
    }

    /// Delivers the first datagram on the wire, or drops it when the wire is cut.
    pub(in crate::ike) fn deliver_one(&mut self) {
        let (from, path, bytes) = self.wire.pop_front().expect("a datagram");
        let path = Path { local: path.remote, remote: path.local, port: path.port };
        if self.is_cut {
            return;
        }
        let to = 1 - from;
        self.now.mono = self.now.mono + Duration::from_millis(5);
        self.ends[to].handle_datagram(self.now, Datagram { path, bytes: &bytes });
        self.collect(to);
    }

    /// Restarts an end without its snapshot: only the configuration is left.
    pub(in crate::ike) fn forget(&mut self, end: usize) {
        let (settings, rng) = (self.ends[end].settings.clone(), Box::new(SeededRng(77)));
        self.ends[end] = Endpoint::new(settings, Box::new(Fake), rng);
        let config = Box::new(self.configs[end].clone());
        self.command(end, Command::Add(PEER, config));
    }

    /// Lets time pass: delivers datagrams and wakes both ends at their deadlines.
    pub(in crate::ike) fn pass(&mut self, time: Duration) {
        let end_at = self.now.mono + time;
        loop {
            self.deliver();
            let due = (0..2).filter_map(|end| Some((self.ends[end].poll_timeout()?.0, end))).min();
            let Some((at, end)) = due.filter(|(at, _)| *at <= end_at) else { break };
            self.turn_clocks(at);
            self.ends[end].handle_timeout(self.now);
            self.collect(end);
        }
        self.turn_clocks(end_at);
    }

    /// Turns both clocks to a moment, unless they are past it.
    fn turn_clocks(&mut self, at: Instant) {
        self.now.mono = self.now.mono.max(at);
        self.now.unix = UnixTime(1_799_999_999 + self.now.mono.0 / 1_000_000_000);
    }

    pub(in crate::ike) fn child(&self, end: usize) -> ChildId {
        let up = self.events[end].iter().rev().find_map(|event| match event {
            IkeEvent::ChildUp { child, .. } => Some(*child),
            _ => None,
        });
        up.expect("a child is up")
    }

    pub(in crate::ike) fn count(&self, end: usize, which: impl Fn(&IkeEvent) -> bool) -> usize {
        self.events[end].iter().filter(|event| which(event)).count()
    }

    /// How many IKE SAs and child SAs an end has, and how many child SAs carry outbound traffic.
    pub(in crate::ike) fn holds(&self, end: usize) -> (usize, usize, usize) {
        let peer = &self.ends[end].peers[&PEER];
        let children = || peer.sas.iter().flat_map(|sa| &sa.children);
        let active = children().filter(|c| c.out == OutState::Active).count();
        (peer.sas.len(), children().count(), active)
    }

    /// Each end's outbound SPI is an inbound SPI of the other.
    pub(in crate::ike) fn assert_joined(&self) {
        let spis = |end: usize, inbound: bool| {
            let peer = &self.ends[end].peers[&PEER];
            let mut spis: Vec<_> = peer
                .sas
                .iter()
                .flat_map(|sa| &sa.children)
                .map(|c| if inbound { c.inbound.spi } else { c.outbound.spi })
                .collect();
            spis.sort();
            spis
        };
        assert_eq!(spis(0, true), spis(1, false));
        assert_eq!(spis(0, false), spis(1, true));
    }
}

#[test]
fn a_tunnel_comes_up() {
    in_both_ways(|| {
        let pair = established();
        assert_eq!(pair.holds(0), (1, 1, 1), "{:?}", pair.events);
        assert_eq!(pair.holds(1), (1, 1, 1), "{:?}", pair.events);
        pair.assert_joined();
        // The responder's inbound SA is there before its response leaves.
        let installed = pair.log[1].iter().position(|line| line.starts_with("+in")).unwrap();
        let sent = pair.log[1].iter().rposition(|line| line == "transmit").unwrap();
        assert!(installed < sent, "{:?}", pair.log[1]);
    });
}

#[test]
fn ike_auth_moves_to_port_4500_and_is_fragmented() {
    in_both_ways(|| {
        let mut pair = Pair::new([DialRole::Dial, DialRole::Answer]);
        let mut ports = Vec::new();
        while let Some((from, path, bytes)) = pair.wire.pop_front() {
            ports.push(path.port);
            assert!(bytes.len() <= 1280);
            pair.wire.push_front((from, path, bytes));
            let (from, path, bytes) = pair.wire.pop_front().unwrap();
            let path = Path { local: path.remote, remote: path.local, port: path.port };
            pair.ends[1 - from].handle_datagram(pair.now, Datagram { path, bytes: &bytes });
            pair.collect(1 - from);
        }
        assert_eq!(&ports[..3], [Port::Ike, Port::Ike, Port::NatT]);
        assert!(ports.len() >= 8, "3000 octets of certificate take fragments: {ports:?}");
        assert_eq!(pair.holds(0), (1, 1, 1));
    });
}

#[test]
fn children_and_ike_sas_are_rekeyed_by_either_end() {
    in_both_ways(|| {
        for end in [0, 1] {
            let mut pair = established();
            let child = pair.child(end);
            pair.ends[end].handle_data_event(pair.now, DataEvent::SoftLimit(PEER, child));
            pair.collect(end);
            pair.pass(Duration::from_secs(6));
            assert_ne!(pair.child(end), child);
            pair.command(end, Command::RekeyIke(PEER));
            pair.pass(Duration::from_secs(6));
            for end in [0, 1] {
                assert_eq!(pair.count(end, |e| matches!(e, IkeEvent::IkeRekeyed { .. })), 1);
                assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
            }
            pair.assert_joined();
            let child = pair.child(1 - end);
            pair.command(1 - end, Command::RekeyChild(PEER, child));
            pair.pass(Duration::from_secs(6));
            pair.assert_joined();
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
    });
}

#[test]
fn both_rekey_the_child_at_once_and_one_child_stays() {
    in_both_ways(|| {
        let mut pair = established();
        let children = [pair.child(0), pair.child(1)];
        for end in [0, 1] {
            pair.command(end, Command::RekeyChild(PEER, children[end]));
        }
        pair.pass(Duration::from_secs(10));
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
        pair.assert_joined();
    });
}

#[test]
fn both_ask_for_a_child_at_once_and_one_stays() {
    in_both_ways(|| {
        let mut pair = established();
        for end in [0, 1] {
            let now = pair.now;
            pair.ends[end].with(now, PEER, |peer, ctx| {
                let sa = peer.sas.first_mut().unwrap();
                let id = sa.children.first().unwrap().id;
                sa.detach_child(id, Cause::Expired);
                sa.want(
                    ctx,
                    crate::ike::sa::task::TaskKind::NewChild(super::Slot(0), None),
                    now.mono,
                );
                peer.run_followups(ctx);
            });
            pair.collect(end);
        }
        pair.pass(Duration::from_secs(10));
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
        pair.assert_joined();
    });
}

/// RFC 7296 §2.8: the responder may defer sending on a new child "until either it receives one or a
/// timeout has occurred".
#[test]
fn a_new_child_of_the_peer_is_sent_on_after_two_seconds_without_a_packet() {
    in_both_ways(|| {
        let mut pair = established();
        pair.pass(FIRST_PACKET);
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            let sa = peer.sas.first_mut().unwrap();
            let kind = crate::ike::sa::task::TaskKind::NewChild(super::Slot(0), None);
            sa.want(ctx, kind, now.mono);
            peer.run_followups(ctx);
        });
        pair.collect(0);
        pair.deliver();
        let active = |pair: &Pair| {
            let children = &pair.ends[1].peers[&PEER].sas[0].children;
            let is_active = |c: &&ChildSa| c.out == OutState::Active;
            children.iter().filter(is_active).map(|child| child.id).collect::<Vec<_>>()
        };
        let new = pair.child(1);
        assert!(!active(&pair).contains(&new), "the peer has not sent on it");
        pair.pass(FIRST_PACKET);
        assert_eq!(active(&pair), [new]);
    });
}

#[test]
fn both_rekey_the_ike_sa_at_once_and_one_stays() {
    in_both_ways(|| {
        let mut pair = established();
        for end in [0, 1] {
            pair.command(end, Command::RekeyIke(PEER));
        }
        pair.pass(Duration::from_secs(10));
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
        pair.assert_joined();
    });
}

#[test]
fn both_dial_at_once_and_one_ike_sa_stays() {
    in_both_ways(|| {
        let mut pair = Pair::new([DialRole::Both, DialRole::Both]);
        pair.pass(Duration::from_secs(60));
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
        pair.assert_joined();
    });
}

#[test]
fn a_day_passes_with_rekeys_and_nothing_is_refused() {
    in_both_ways(|| {
        let mut pair = Pair::new([DialRole::Both, DialRole::Answer]);
        pair.pass(Duration::from_secs(86_400));
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (1, 1, 1));
            assert!(pair.count(end, |e| matches!(e, IkeEvent::IkeRekeyed { .. })) >= 3);
            assert_eq!(
                pair.count(end, |e| matches!(e, IkeEvent::Refused(..))),
                0,
                "{:#?}",
                pair.events[end]
            );
            assert_eq!(pair.count(end, |e| matches!(e, IkeEvent::IkeUp { .. })), 1);
        }
        pair.assert_joined();
    });
}

#[test]
fn down_deletes_the_ike_sa_and_up_dials_again() {
    in_both_ways(|| {
        let mut pair = established();
        pair.command(0, Command::Down(PEER));
        pair.pass(Duration::from_secs(10));
        assert_eq!(pair.holds(0), (0, 0, 0));
        assert_eq!(pair.holds(1), (0, 0, 0), "{:#?}", pair.events[1]);
        let told =
            |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::DeletedByPeer, .. });
        assert_eq!(pair.count(1, told), 1);
        pair.command(0, Command::Up(PEER));
        pair.deliver();
        assert_eq!(pair.holds(1), (1, 1, 1));
    });
}

#[test]
fn fresh_authentication_makes_a_new_ike_sa_before_the_old_one_goes() {
    in_both_ways(|| {
        let mut pair = established();
        pair.command(0, Command::Reauthenticate(PEER));
        pair.pass(Duration::from_secs(30));
        for end in [0, 1] {
            assert_eq!(pair.count(end, |e| matches!(e, IkeEvent::IkeUp { .. })), 2);
            assert_eq!(pair.holds(end), (1, 1, 1), "{:#?}", pair.events[end]);
        }
        pair.assert_joined();
    });
}

#[test]
fn a_peer_that_fails_authentication_is_told_and_nothing_stays() {
    in_both_ways(|| {
        let mut two = config(2, 1, DialRole::Answer);
        two.credentials = Rc::new(Toy { believes: false, ..Toy::new("two") });
        let mut pair = Pair::with(config(1, 2, DialRole::Dial), two);
        for end in 0..2 {
            pair.command(end, Command::Up(PEER));
        }
        pair.deliver();
        for end in [0, 1] {
            assert_eq!(pair.holds(end), (0, 0, 0));
            assert_eq!(
                pair.count(end, |e| matches!(e, IkeEvent::Refused(..))),
                1,
                "{:?}",
                pair.events
            );
        }
    });
}

#[test]
fn a_dead_peer_is_detected_and_dialled_again() {
    in_both_ways(|| {
        let mut pair = established();
        pair.is_cut = true;
        pair.pass(Duration::from_secs(200));
        let silent = |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::Silence, .. });
        assert_eq!(pair.count(0, silent), 1, "{:#?}", pair.events[0]);
        assert!(pair.count(0, |e| matches!(e, IkeEvent::Dialling { .. })) > 2);
    });
}
