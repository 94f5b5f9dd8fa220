//! The engine under attack.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use s2sd::crypto::{Group, Standard};
use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::negotiation::combination::{Combination, CombinationCipher};
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::ike::path::{Datagram, Path, Port};
use s2sd::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::ike::{Endpoint, PeerId};
use s2sd::sys::random::SystemRng;
use s2sd::time::{Instant, Now, UnixTime};
use s2sd::wire::codes::{EncrId, EsnId, NotifyType, PrfId};
use s2sd::wire::message::Message;
use s2sd::wire::spi::EspSpi;

use crate::hand::Hand;
use crate::people::{self, Authority, PEER};

const ID: PeerId = PeerId(1);

/// An endpoint that knows one peer.
pub struct Target {
    pub root: Rc<Authority>,
    pub events: Vec<IkeEvent>,
    endpoint: Endpoint,
    now: Now,
    sent: Vec<Vec<u8>>,
}

/// The groups that it takes, its favourite first.
pub const GROUPS: [Group; 5] =
    [Group::Ecp256, Group::Ecp384, Group::Modp2048, Group::Modp2048S256, Group::Curve25519];

impl Target {
    /// A responder that accepts `PEER` under a root of its own.
    pub fn answering() -> Target {
        Target::new(DialRole::Answer, &Rc::new(Authority::root("Root")), &GROUPS)
    }

    /// One that dials, in this group; its first message comes with it.
    pub fn dialling(group: Group) -> (Target, Vec<u8>) {
        let mut target = Target::new(DialRole::Dial, &Rc::new(Authority::root("Root")), &[group]);
        target.endpoint.command(target.now, Command::Up(ID));
        let sent = target.collect();
        let request = sent.into_iter().next().expect("who dials sends something");
        (target, request)
    }

    /// One that answers under this root: making certificates takes time.
    pub fn under(root: &Rc<Authority>) -> Target {
        Target::new(DialRole::Answer, root, &GROUPS)
    }

    fn new(role: DialRole, root: &Rc<Authority>, groups: &[Group]) -> Target {
        let rng = Box::new(SystemRng::default());
        let provider = Box::new(Standard::default());
        let mut endpoint = Endpoint::new(EndpointConfig::default(), provider, rng);
        let now = Now { mono: Instant(1_000_000_000), unix: UnixTime(1_900_000_000) };
        let config = config(role, root, groups);
        endpoint.command(now, Command::Add(ID, Box::new(config)));
        Target { root: Rc::clone(root), events: Vec::new(), endpoint, now, sent: Vec::new() }
    }

    /// A datagram from where the peer is; gives what is sent because of it.
    pub fn give(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.endpoint.handle_datagram(self.now, Datagram { path: path(), bytes });
        self.collect()
    }

    /// The one answer to it.
    #[track_caller]
    pub fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = self.give(bytes);
        assert_eq!(answers.len(), 1, "one answer is expected: {:#?}", self.events);
        answers.remove(0)
    }

    /// It may answer with one datagram or not at all, and goes no further.
    #[track_caller]
    pub fn shrug(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let before = (self.ikes(), self.children());
        let answers = self.give(bytes);
        assert!(answers.len() <= 1, "{} datagrams for one", answers.len());
        assert_eq!((self.ikes(), self.children()), before, "{:#?}", self.events);
        answers.into_iter().next()
    }

    /// The same for a first message, after so much time that it is looked into, and not asked for a
    /// cookie.
    #[track_caller]
    pub fn shrug_first(&mut self, bytes: &[u8]) {
        self.pass(Duration::from_secs(4));
        let answer = self.shrug(bytes).map(|answer| Message::decode(&answer).unwrap().chain);
        assert!(answer.is_none_or(|chain| chain.notify(NotifyType::Cookie).is_none()), "a cookie");
    }

    /// Says nothing and changes nothing.
    #[track_caller]
    pub fn ignore(&mut self, bytes: &[u8]) {
        let before = (self.ikes(), self.children());
        assert_eq!(self.give(bytes), Vec::<Vec<u8>>::new(), "{:#?}", self.events);
        assert_eq!((self.ikes(), self.children()), before, "{:#?}", self.events);
    }

    /// Lets time pass, deadline by deadline; gives what was sent.
    pub fn pass(&mut self, span: Duration) -> Vec<Vec<u8>> {
        let until = self.now.mono + span;
        let mut sent = Vec::new();
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now.mono = self.now.mono.max(at);
            self.endpoint.handle_timeout(self.now);
            sent.extend(self.collect());
        }
        self.now.mono = until;
        sent
    }

    /// Moves when there is something to store.
    pub fn revision(&self) -> u64 {
        self.endpoint.revision()
    }

    /// IKE SAs that it holds for proven.
    pub fn ikes(&self) -> usize {
        let mut up = BTreeSet::new();
        for event in &self.events {
            match event {
                IkeEvent::IkeUp { ike, .. } => _ = up.insert(*ike),
                IkeEvent::IkeDown { ike, .. } => _ = up.remove(ike),
                _ => {}
            }
        }
        up.len()
    }

    /// Children that it holds.
    pub fn children(&self) -> usize {
        self.count(|e| matches!(e, IkeEvent::ChildUp { .. }))
            - self.count(|e| matches!(e, IkeEvent::ChildDown { .. }))
    }

    /// The SPI by which the peer receives on the newest child.
    #[track_caller]
    pub fn child_of_peer(&self) -> EspSpi {
        let spi = self.events.iter().rev().find_map(|event| match event {
            IkeEvent::ChildUp { outbound, .. } => Some(*outbound),
            _ => None,
        });
        spi.expect("a child")
    }

    /// Why it refused something, the last time it did.
    #[track_caller]
    pub fn refusal(&self) -> String {
        let refusal = self.events.iter().rev().find_map(|event| match event {
            IkeEvent::Refused(_, refusal) => Some(refusal.to_string()),
            _ => None,
        });
        refusal.unwrap_or_else(|| panic!("nothing was refused: {:#?}", self.events))
    }

    /// A minute later everything that unauthenticated senders left behind is forgotten, and the
    /// genuine peer gets in with a child.
    #[track_caller]
    pub fn expect_unharmed(mut self) {
        self.pass(Duration::from_secs(61));
        let before = (self.ups(), self.count(|e| matches!(e, IkeEvent::ChildUp { .. })));
        let person = self.root.person(PEER);
        let mut hand = Hand::dialling(Group::Ecp256);
        hand.knock(&mut self);
        let chain = hand.proof(&person);
        let request = hand.seal_auth(&chain);
        self.give(&request);
        let after = (self.ups(), self.count(|e| matches!(e, IkeEvent::ChildUp { .. })));
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{:#?}", self.events);
    }

    fn ups(&self) -> usize {
        self.count(|e| matches!(e, IkeEvent::IkeUp { .. }))
    }

    fn count(&self, which: impl Fn(&IkeEvent) -> bool) -> usize {
        self.events.iter().filter(|event| which(event)).count()
    }

    fn collect(&mut self) -> Vec<Vec<u8>> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push(transmit.bytes),
                Output::Event(event) => self.events.push(event),
                _ => {}
            }
        }
        std::mem::take(&mut self.sent)
    }
}

/// A line of each policy.
pub fn ike_line(group: Group) -> Combination {
    Combination::Ike { cipher: gcm(), prf: PrfId::HmacSha2_384, ke: group.id() }
}

/// For children, with a key exchange of their own or without.
pub fn esp_line(group: Option<Group>) -> Combination {
    Combination::Esp { cipher: gcm(), ke: group.map(Group::id), esn: EsnId::Sequence32 }
}

fn gcm() -> CombinationCipher {
    CombinationCipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None }
}

fn config(role: DialRole, root: &Authority, groups: &[Group]) -> PeerConfig {
    let lines: Vec<Combination> = groups.iter().copied().map(ike_line).collect();
    let esp: Vec<Combination> =
        [None].into_iter().chain(groups.iter().copied().map(Some)).map(esp_line).collect();
    PeerConfig {
        name: "peer".into(),
        role,
        local: address(1),
        remotes: vec![address(2)],
        fixed_remotes: true,
        encapsulation: EspEncapsulation::Udp,
        start_on_4500: false,
        ike: ProposalPolicy::new(&lines).0,
        children: vec![ChildConfig {
            name: "all".into(),
            esp: ProposalPolicy::new(&esp).0,
            selectors: PeerBehaviour::Azure.selectors(),
            lifetime_time: CHILD_TIME,
            lifetime_bytes: CHILD_BYTES,
            keep_up: role == DialRole::Dial,
        }],
        credentials: Rc::new(people::credentials(root)),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: Default::default(),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn path() -> Path {
    let end = |host| SocketAddr::new(address(host), 500);
    Path { local: end(1), remote: end(2), port: Port::Ike }
}
