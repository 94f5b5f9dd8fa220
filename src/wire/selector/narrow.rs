//! Traffic selector narrowing (RFC 7296 §2.9): what a responder accepts of the selectors that an
//! initiator offers, and the two sides of a child SA ([`ChildSelectors`]).
//!
//! The responder's rules, in the order of the RFC:
//!
//! | of the offer, the policy allows | answer |
//! |---|---|
//! | nothing | TS_UNACCEPTABLE |
//! | all | the offer |
//! | the first selectors, which describe the packet that triggered the SA | a subset with these |
//! | something else | any acceptable subset |

use std::net::IpAddr;

use super::Selector;
use super::set::SelectorSet;
use crate::wire::payload::ts::MAX_SELECTORS;

/// One side's offer after narrowing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Narrowed {
    /// The selectors of the answer, in the order of the offer; never empty.
    pub selectors: Vec<Selector>,
    /// Whether the answer is the whole offer, unchanged.
    pub whole: bool,
    /// Whether the answer covers all of the first selector of the offer.
    pub first: bool,
}

/// Narrows one side's offer to what `policy` allows; `None` when `policy` allows nothing of it.
pub fn narrow(offer: &[Selector], policy: &SelectorSet) -> Option<Narrowed> {
    let first = policy.covers_selector(offer.first()?);
    if offer.iter().all(|selector| policy.covers_selector(selector)) {
        return Some(Narrowed { selectors: offer.to_vec(), whole: true, first });
    }
    let mut selectors: Vec<Selector> = Vec::new();
    let common = offer
        .iter()
        .flat_map(|offered| policy.selectors().iter().filter_map(|ours| offered.intersect(ours)));
    for selector in common {
        if selectors.iter().any(|kept| kept.covers(&selector)) {
            continue;
        }
        // A wide selector takes the place of the narrow ones it covers: the first of them may have
        // been the triggering packet's, and its place is the front.
        let place = selectors.iter().position(|kept| selector.covers(kept));
        selectors.retain(|kept| !selector.covers(kept));
        match place {
            Some(place) => selectors.insert(place, selector),
            // The payload's count is one byte. Less than allowed is still a correct answer.
            None if selectors.len() == MAX_SELECTORS => break,
            None => selectors.push(selector),
        }
    }
    (!selectors.is_empty()).then_some(Narrowed { selectors, whole: false, first })
}

/// The traffic selectors of a child SA, or of the policy for one: which packets may pass, as two
/// sets. The configuration file has prefixes in an operator's words instead
/// (`PrefixPair` in `config`), of which these sets are made.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ChildSelectors {
    /// The packets' addresses, protocols and ports on this side.
    pub local: SelectorSet,
    /// The same on the peer's side.
    pub remote: SelectorSet,
}

impl ChildSelectors {
    /// Whether this side may send the packet through the SA.
    pub fn matches_outbound(&self, packet: &Tuple) -> bool {
        self.local.matches(packet.source, packet.protocol, packet.source_port)
            && self.remote.matches(packet.destination, packet.protocol, packet.destination_port)
    }

    /// Whether the peer may send the packet through the SA.
    pub fn matches_inbound(&self, packet: &Tuple) -> bool {
        self.remote.matches(packet.source, packet.protocol, packet.source_port)
            && self.local.matches(packet.destination, packet.protocol, packet.destination_port)
    }

    /// Whether these selectors and `other` allow any packet in common.
    pub fn overlaps(&self, other: &ChildSelectors) -> bool {
        let share = |a: &SelectorSet, b: &SelectorSet| !a.intersect(b).is_empty();
        share(&self.local, &other.local) && share(&self.remote, &other.remote)
    }

    /// Whether these selectors allow all packets that `other` allows.
    pub fn covers(&self, other: &ChildSelectors) -> bool {
        self.local.covers(&other.local) && self.remote.covers(&other.remote)
    }
}

/// The fields of a packet that selectors look at.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tuple {
    /// The IP source address.
    pub source: IpAddr,
    /// The IP destination address.
    pub destination: IpAddr,
    /// The IP protocol; for IPv6 that of the upper layer.
    pub protocol: u8,
    /// The source port; `None` when it cannot be seen. ICMP has type and code in both ports.
    pub source_port: Option<u16>,
    /// The destination port; `None` when it cannot be seen.
    pub destination_port: Option<u16>,
}

/// The policy that fits an offer best, and the offer narrowed to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NarrowedPolicy {
    /// The policy's place among those given to [`choose`].
    pub policy: usize,
    /// The offer for this side, narrowed.
    pub local: Narrowed,
    /// The offer for the peer's side, narrowed.
    pub remote: Narrowed,
}

/// Chooses among several policies, one for each child SA. First comes a policy that covers the
/// first selectors of both sides, then one that accepts the whole offer, then the earlier one.
/// `None` means TS_UNACCEPTABLE.
pub fn choose<'p>(
    local: &[Selector],
    remote: &[Selector],
    policies: impl IntoIterator<Item = &'p ChildSelectors>,
) -> Option<NarrowedPolicy> {
    let choices = policies.into_iter().enumerate().filter_map(|(policy, pair)| {
        let local = narrow(local, &pair.local)?;
        let remote = narrow(remote, &pair.remote)?;
        Some(NarrowedPolicy { policy, local, remote })
    });
    choices.min_by_key(|choice| {
        let first = choice.local.first && choice.remote.first;
        let whole = choice.local.whole && choice.remote.whole;
        (!first, !whole)
    })
}
