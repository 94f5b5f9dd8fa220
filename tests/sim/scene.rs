//! The two hosts that every world has: alpha and beta, each the other's only peer, each with
//! networks behind it.
//!
//! ```text
//!   10.1.s.0/24 -- A alpha 192.0.2.1 ---[NAT]--- net ---[NAT]--- 198.51.100.1 beta B -- 10.2.s.0/24
//!   (s: the slot)
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{DialRole, EspEncapsulation};
use s2sd::ike::ids::PeerId;
use s2sd::ike::testing::emulation::{MinimalAnswer, OnePairAnswer};

use crate::host::Host;
use crate::packet::HostId;
use crate::rng::SimRng;
use crate::world::{Options, World};

pub const A: HostId = HostId(0);
pub const B: HostId = HostId(1);
/// What each host calls the other.
pub const PEER: PeerId = PeerId(7);

pub const NAMES: [&str; 2] = ["alpha.sim.example", "beta.sim.example"];
pub const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))];
/// Where each host may turn up after it moved.
pub const OTHER_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77))];
/// Outside addresses of the hosts' NATs.
pub const NATS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2))];

pub fn other(id: HostId) -> HostId {
    HostId(1 - id.0)
}

/// Everything about the two hosts that a world can choose.
#[derive(Clone, Debug)]
pub struct Setup {
    pub slots: u16,
    pub roles: [DialRole; 2],
    pub nat: Option<HostId>,
    pub encapsulation: EspEncapsulation,
    pub start_on_4500: bool,
    pub childless: bool,
    /// Sizes of the certificates.
    pub chain: Vec<usize>,
    /// Who speaks RFC 7427.
    pub signatures: [bool; 2],
    pub dpd: [Duration; 2],
    pub ike_seconds: [u64; 2],
    pub child_seconds: [u64; 2],
    /// Packets after which a child is due, whatever its octets.
    pub soft_packets: Option<u64>,
    pub reauthenticate: [Option<Duration>; 2],
    pub pfs: bool,
    /// Who alone has it: the other refuses a key exchange for a child.
    pub pfs_mismatch: Option<HostId>,
    /// Whose first group for children the other does not take.
    pub pfs_wrong_guess: Option<HostId>,
    /// Whose first group for the IKE SA the other does not take.
    pub ike_wrong_guess: Option<HostId>,
    /// Who offers all addresses where the other allows its own.
    pub any_to_any: Option<HostId>,
    /// Behind whom are networks that the other knows nothing of.
    pub strangers_behind: Option<HostId>,
    /// Who behaves like a gateway of Azure's.
    pub azure: Option<HostId>,
    /// Who never says INITIAL_CONTACT.
    pub quiet: Option<HostId>,
    /// Who refuses whatever comes after IKE_AUTH, and how.
    pub minimal: Option<(HostId, MinimalAnswer)>,
    /// Who does not know where the other is, and so waits for it.
    pub anywhere: Option<HostId>,
    /// Who has no NAT traversal: no NAT detection, nobody on port 4500, bare ESP.
    pub without_nat_traversal: Option<HostId>,
    /// Who makes a child for each pair of networks, where the other has one slot for everything.
    pub pairs: Option<HostId>,
    /// Who takes one pair of networks in a child, and what it answers to more; the other has one slot
    /// for all pairs.
    pub apart: Option<(HostId, OnePairAnswer)>,
    /// Who makes two equal children for each slot of the other, and keeps both.
    pub twins: Option<HostId>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            slots: 1,
            roles: [DialRole::Both; 2],
            nat: None,
            encapsulation: EspEncapsulation::Udp,
            start_on_4500: false,
            childless: false,
            chain: vec![900],
            signatures: [true; 2],
            dpd: [Duration::from_secs(45); 2],
            ike_seconds: [28_800; 2],
            child_seconds: [27_000; 2],
            soft_packets: None,
            reauthenticate: [None; 2],
            pfs: false,
            pfs_mismatch: None,
            pfs_wrong_guess: None,
            ike_wrong_guess: None,
            any_to_any: None,
            strangers_behind: None,
            azure: None,
            quiet: None,
            minimal: None,
            anywhere: None,
            without_nat_traversal: None,
            pairs: None,
            apart: None,
            twins: None,
        }
    }
}

impl Setup {
    /// A random one.
    pub fn draw(dice: &mut SimRng) -> Setup {
        let host = |dice: &mut SimRng| HostId(usize::from(dice.chance(500)));
        let maybe = |dice: &mut SimRng, permille| dice.chance(permille).then(|| host(dice));
        let roles = match dice.below(6) {
            0 => [DialRole::Dial, DialRole::Answer],
            1 => [DialRole::Both, DialRole::Answer],
            2 => [DialRole::Dial, DialRole::Both],
            _ => [DialRole::Both; 2],
        };
        // Short lives make rekeys happen by themselves; most worlds leave that to commands.
        let lives = |dice: &mut SimRng, low, high, long| {
            if dice.chance(400) { dice.range(low, high) } else { long }
        };
        let setup = Setup {
            slots: u16::try_from(dice.range(1, 3)).expect("small"),
            roles,
            nat: if roles == [DialRole::Dial, DialRole::Answer] {
                dice.chance(300).then_some(A)
            } else {
                None
            },
            encapsulation: *dice.pick(&[
                EspEncapsulation::Udp,
                EspEncapsulation::Udp,
                EspEncapsulation::Auto,
            ]),
            start_on_4500: dice.chance(150),
            childless: dice.chance(100),
            chain: dice.pick(&[vec![900], vec![900], vec![1_800, 1_500], vec![300]]).clone(),
            signatures: [dice.chance(800), dice.chance(800)],
            dpd: [(); 2].map(|()| Duration::from_secs(*dice.pick(&[9, 20, 45, 45, 120]))),
            ike_seconds: [(); 2].map(|()| lives(dice, 120, 1_200, 28_800)),
            child_seconds: [(); 2].map(|()| lives(dice, 60, 600, 27_000)),
            soft_packets: dice.chance(200).then(|| dice.range(20, 400)),
            reauthenticate: [(); 2]
                .map(|()| dice.chance(100).then(|| Duration::from_secs(dice.range(60, 600)))),
            pfs: dice.chance(500),
            pfs_mismatch: None,
            pfs_wrong_guess: maybe(dice, 150),
            ike_wrong_guess: maybe(dice, 150),
            any_to_any: None,
            strangers_behind: None,
            azure: maybe(dice, 150),
            quiet: maybe(dice, 250),
            minimal: None,
            anywhere: None,
            without_nat_traversal: None,
            pairs: None,
            apart: None,
            twins: None,
        };
        setup.with_refusals(dice)
    }

    /// Now and then one of the two refuses what comes after IKE_AUTH, so that one child is all that
    /// there can be.
    fn with_refusals(self, dice: &mut SimRng) -> Setup {
        let host = HostId(usize::from(dice.chance(500)));
        let answer = *dice.pick(&[
            MinimalAnswer::Temporary,
            MinimalAnswer::NoProposal,
            MinimalAnswer::NoAdditionalSas,
        ]);
        let (pfs_mismatch, minimal) = match dice.below(20) {
            0 => (Some(host), None),
            1 => (None, Some((host, answer))),
            _ => return self,
        };
        Setup {
            slots: 1,
            childless: false,
            azure: None,
            pfs_wrong_guess: None,
            pfs_mismatch,
            minimal,
            ..self
        }
    }

    /// The same with a host that has no NAT traversal, in one world of ten: where nothing needs any.
    pub fn draw_old_peers(mut self, dice: &mut SimRng) -> Setup {
        let drawn = dice.chance(100).then(|| HostId(usize::from(dice.chance(500))));
        let is_plain = self.nat.is_none() && self.minimal.is_none();
        if let Some(id) = drawn.filter(|id| is_plain && self.azure != Some(*id)) {
            self.without_nat_traversal = Some(id);
            self.start_on_4500 = false;
        }
        self
    }

    /// How the ends divide their traffic into children, drawn with dice of its own so that a seed
    /// goes on meaning the world that it meant before.
    pub fn divide(self, dice: &mut SimRng) -> Setup {
        let host = HostId(usize::from(dice.chance(500)));
        // Several children cannot be had of a peer that refuses all but the first.
        if self.minimal.is_some() || self.pfs_mismatch.is_some() {
            return self;
        }
        match dice.below(10) {
            0 if self.azure.is_none() => Setup { twins: Some(host), ..self },
            1 | 2 if self.azure.is_none() => Setup { pairs: Some(host), ..self },
            3 if self.azure.is_none() => {
                let answer = *dice.pick(&[OnePairAnswer::Refuse, OnePairAnswer::Narrow]);
                Setup { apart: Some((host, answer)), slots: self.slots.min(2), ..self }
            }
            _ => self,
        }
    }

    /// The networks of each child of a host's configuration.
    pub fn children(&self, id: HostId) -> Vec<u16> {
        if let Some((maker, _)) = self.apart {
            return (0..if maker == id { self.slots * self.slots } else { 1 }).collect();
        }
        let copies = if self.twins == Some(id) { 2 } else { 1 };
        let slots = if self.pairs == Some(other(id)) { 1 } else { self.slots };
        (0..slots).flat_map(|slot| std::iter::repeat_n(slot, copies)).collect()
    }

    /// Both hosts, on a perfect net, switched off.
    pub fn world(&self, options: Options) -> World {
        let mut world = World::new(options);
        world.slots = self.slots;
        if self.apart.is_some() {
            world.pairs = usize::from(self.slots * self.slots);
        }
        for id in [A, B] {
            let address = ADDRESSES[id.0];
            // One engine is broken, the other is right: two that are wrong alike may agree.
            let fault = world.options.mutation.filter(|_| id == A);
            let mut host = Host::new(id, NAMES[id.0], address, world.options.seed, fault);
            host.forget_leases = world.options.forget_leases;
            host.peers.insert(PEER, self.peer(id, 0, &host.signed));
            // One that wants pairs apart has a child for each pair.
            host.children = self.children(A).len().max(self.children(B).len());
            world.net.add_address(id, address);
            world.watch.keep_secret(NAMES[id.0].as_bytes());
            world.hosts.push(host);
        }
        if let Some(id) = self.nat {
            world.net.add_nat(id, NATS[id.0]);
        }
        world
    }

    /// Gives the host the same peer with other lifetimes.
    pub fn reconfigure(&self, world: &mut World, id: HostId, salt: u64) {
        let mut config = self.peer(id, salt, &world.host(id).signed);
        config.local = world.host(id).address;
        world.host_mut(id).peers.insert(PEER, config.clone());
        world.command(id, Command::Reconfigure(PEER, Box::new(config)));
    }
}
