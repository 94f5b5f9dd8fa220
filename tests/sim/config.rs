//! From a `Setup` to the engine's configuration.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use s2sd::ike::endpoint::config::{ChildConfig, PeerConfig};
use s2sd::ike::negotiation::combination::{Combination, CombinationCipher};
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::ike::sa::dpd::DpdTimeout;
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::wire::codes::{EncrId, EsnId, KeId, PrfId};
use s2sd::wire::selector::Selector;
use s2sd::wire::selector::address::AddressRange;
use s2sd::wire::selector::narrow::ChildSelectors;
use s2sd::wire::selector::set::SelectorSet;

use crate::packet::HostId;
use crate::plane::PACKET_OCTETS;
use crate::scene::{ADDRESSES, NAMES, NATS, OTHER_ADDRESSES, Setup, other};
use crate::toy::Toy;
use crate::world::inner_address;

/// Each host's own order of groups where the two disagree on the first.
const LIKED: KeId = KeId::Ecp384;
const COMMON: KeId = KeId::Ecp256;

impl Setup {
    /// How `id` is told about the other host; `salt` varies the lifetimes, `signed` counts what its
    /// key signs.
    pub fn peer(&self, id: HostId, salt: u64, signed: &Rc<Cell<u64>>) -> PeerConfig {
        let (us, them) = (id.0, other(id).0);
        let mut toy = Toy::new(NAMES[us], NAMES[them]);
        toy.chain.clone_from(&self.chain);
        toy.signatures = self.signatures[us];
        toy.signed = Rc::clone(signed);
        PeerConfig {
            name: NAMES[them].into(),
            role: self.roles[us],
            local: ADDRESSES[us],
            remotes: self.remotes(id),
            fixed_remotes: true,
            encapsulation: self.encapsulation,
            start_on_4500: self.start_on_4500,
            ike: self.ike(id),
            children: self
                .children(id)
                .into_iter()
                .map(|slot| self.child(id, slot, salt))
                .collect(),
            credentials: Rc::new(toy),
            ask_for: None,
            ike_lifetime: Duration::from_secs(self.ike_seconds[us] + salt),
            reauthenticate: self.reauthenticate[us],
            dpd_timeout: DpdTimeout::from_seconds(self.dpd[us].as_secs())
                .expect("in Azure's range"),
            childless: self.childless,
            behaviour: self.behaviour(id),
        }
    }

    fn behaviour(&self, id: HostId) -> PeerBehaviour {
        match self.minimal {
            _ if self.azure == Some(id) => PeerBehaviour::Azure,
            Some((host, answer)) if host == id => PeerBehaviour::Minimal(answer),
            _ if self.apart.is_some_and(|(host, _)| host == id) => {
                PeerBehaviour::OnePair(self.apart.expect("it was looked at").1)
            }
            _ if self.without_nat_traversal == Some(id) => PeerBehaviour::WithoutNatTraversal,
            _ if self.quiet == Some(id) => PeerBehaviour::Quiet,
            _ => PeerBehaviour::Standard,
        }
    }

    fn remotes(&self, id: HostId) -> Vec<IpAddr> {
        let them = other(id).0;
        if self.anywhere == Some(id) {
            Vec::new()
        } else if self.nat == Some(other(id)) {
            vec![NATS[them]]
        } else {
            vec![ADDRESSES[them], OTHER_ADDRESSES[them]]
        }
    }

    fn ike(&self, id: HostId) -> ProposalPolicy {
        if self.azure.is_some() {
            return self.behaviour(id).ike_policy();
        }
        let line = |ke| Combination::Ike { cipher: gcm(), prf: PrfId::HmacSha2_256, ke };
        ProposalPolicy::new(
            &groups(self.ike_wrong_guess, id).into_iter().map(line).collect::<Vec<_>>(),
        )
        .0
    }

    fn esp(&self, id: HostId) -> ProposalPolicy {
        if self.azure.is_some() {
            return self.behaviour(id).esp_policy();
        }
        let line = |ke| Combination::Esp { cipher: gcm(), ke, esn: EsnId::Sequence32 };
        let pfs = self.pfs_mismatch.map_or(self.pfs, |alone| alone == id);
        let lines: Vec<Combination> = if pfs || self.pfs_wrong_guess.is_some() {
            groups(self.pfs_wrong_guess, id).into_iter().map(|ke| line(Some(ke))).collect()
        } else {
            vec![line(None)]
        };
        ProposalPolicy::new(&lines).0
    }

    fn child(&self, id: HostId, slot: u16, salt: u64) -> ChildConfig {
        let seconds = Duration::from_secs(self.child_seconds[id.0] + salt);
        ChildConfig {
            name: format!("slot{slot}").into(),
            esp: self.esp(id),
            selectors: ChildSelectors {
                local: self.networks(id, id, slot),
                remote: self.networks(id, other(id), slot),
            },
            lifetime_time: seconds,
            // The soft limit is at three quarters of the hard one, or a little later.
            lifetime_bytes: self.soft_packets.map_or(u64::MAX, |n| n * PACKET_OCTETS * 4 / 3),
            keep_up: true,
        }
    }

    /// What lies behind `of` in the eyes of `id`.
    fn networks(&self, id: HostId, of: HostId, slot: u16) -> SelectorSet {
        if let Some((maker, _)) = self.apart {
            // Single hosts: networks side by side would be joined.
            let one = |nth: u16| AddressRange::from(inner_address(of, nth));
            let nth = if of == id { slot / self.slots } else { slot % self.slots };
            return if maker == id { one(nth).into() } else { (0..self.slots).map(one).collect() };
        }
        // Azure's gateways offer everything, which only works out when there is one tunnel.
        if self.any_to_any == Some(id)
            || self.pairs == Some(other(id))
            || (self.azure == Some(id) && self.slots == 1)
        {
            return SelectorSet::from(Selector::ANY_V4);
        }
        let mut octets = inner_address(of, slot).octets();
        octets[3] = 0;
        if self.strangers_behind == Some(id) {
            octets[0] = 172;
        }
        let range = AddressRange::prefix(IpAddr::from(octets), 24).expect("a prefix");
        SelectorSet::from(range)
    }
}

/// The groups that `id` offers and takes, its favourite first: the one who guesses wrong likes one
/// that the other lacks.
fn groups(wrong: Option<HostId>, id: HostId) -> Vec<KeId> {
    if wrong == Some(id) { vec![LIKED, COMMON] } else { vec![COMMON] }
}

fn gcm() -> CombinationCipher {
    CombinationCipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None }
}
