//! What a responder makes of offered traffic selectors (RFC 7296 §2.9), and the pairs a child SA is
//! about.
//!
//! The rules, in the order of the RFC's bullets: nothing in common: TS_UNACCEPTABLE. All allowed:
//! answer the same. The first selectors allowed (they describe the packet that triggered the SA,
//! when there was one): answer a subset that has them. Else: answer any acceptable subset.

use std::net::IpAddr;

use super::Selector;
use super::set::SelectorSet;
use crate::wire::payload::ts::MAX_SELECTORS;

/// What one side's offer was narrowed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Narrowed {
    /// To be answered, in the order of the offer; never empty.
    pub selectors: Vec<Selector>,
    /// Whether that is the whole offer, unchanged.
    pub whole: bool,
    /// Whether all of the first selector offered is in.
    pub first: bool,
}

/// Narrows one side's offer to what `policy` allows. None when that is nothing.
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

/// The two sides of a child SA's policy.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ChildSelectors {
    /// Our side.
    pub local: SelectorSet,
    /// The peer's side.
    pub remote: SelectorSet,
}

impl ChildSelectors {
    /// Whether we may send this packet through the SA.
    pub fn matches_outbound(&self, packet: &Tuple) -> bool {
        self.local.matches(packet.source, packet.protocol, packet.source_port)
            && self.remote.matches(packet.destination, packet.protocol, packet.destination_port)
    }

    /// Whether the peer may send us this packet through the SA.
    pub fn matches_inbound(&self, packet: &Tuple) -> bool {
        self.remote.matches(packet.source, packet.protocol, packet.source_port)
            && self.local.matches(packet.destination, packet.protocol, packet.destination_port)
    }

    /// Whether all that `other` carries may be carried by this too.
    pub fn covers(&self, other: &ChildSelectors) -> bool {
        self.local.covers(&other.local) && self.remote.covers(&other.remote)
    }
}

/// What selectors look at in a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tuple {
    /// IP source address.
    pub source: IpAddr,
    /// IP destination address.
    pub destination: IpAddr,
    /// IP protocol; for IPv6 that of the upper layer.
    pub protocol: u8,
    /// None when it cannot be seen. ICMP: type and code, in both ports.
    pub source_port: Option<u16>,
    /// None when it cannot be seen.
    pub destination_port: Option<u16>,
}

/// The policy that fits an offer best, and what it makes of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NarrowedPolicy {
    /// Which of the policies.
    pub policy: usize,
    /// Our side.
    pub local: Narrowed,
    /// The peer's side.
    pub remote: Narrowed,
}

/// Chooses among several policies (one a child SA): one that has both first selectors before one
/// that has not, then one that takes the whole offer before one that narrows, then the earlier.
/// None: TS_UNACCEPTABLE.
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
