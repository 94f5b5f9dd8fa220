//! Sets of packets as unions of selectors, with exact algebra.
//!
//! A union of boxes has many spellings. [`SelectorSet`] drops what is covered and joins what
//! touches, so sets stay small and print well; two sets of equal meaning may still be spelled
//! differently, so compare with [`SelectorSet::covers`], not `==`.

use std::fmt;
use std::net::IpAddr;

use super::Selector;
use super::address::AddressRange;
use super::span::Span;

/// The most pieces that [`SelectorSet::covers_selector`] cuts, besides [`PIECES_EACH`] for every
/// selector of the set.
const PIECES: usize = 1024;
/// Four times what prefixes in a row need.
const PIECES_EACH: usize = 8;

/// A set of packets, seen from one side.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct SelectorSet {
    selectors: Vec<Selector>,
}

impl SelectorSet {
    /// No packet at all.
    pub const EMPTY: SelectorSet = SelectorSet { selectors: Vec::new() };

    /// The selectors, sorted; what touches was joined.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether the set has no packet.
    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Whether a packet is in the set; see [`Selector::matches`].
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.selectors.iter().any(|s| s.matches(address, protocol, port))
    }

    /// Whether all packets of `selector` are in the set, even if only several of its selectors
    /// together cover them.
    ///
    /// A peer may send 255 boxes that have to be cut into as many pieces as their number cubed.
    /// Past a limit of pieces the answer is no, which is the safe side: the offer is then narrowed
    /// instead of accepted whole.
    pub fn covers_selector(&self, selector: &Selector) -> bool {
        if self.selectors.iter().any(|own| own.covers(selector)) {
            return true;
        }
        let mut pieces = PIECES + PIECES_EACH * self.selectors.len();
        // Depth first, so that a packet outside the set is found before the rest is cut to pieces.
        let mut left = vec![(Region::from(selector), 0)];
        while let Some((region, from)) = left.pop() {
            let Some(fewer) = pieces.checked_sub(1) else {
                return false;
            };
            pieces = fewer;
            let mut parts = self.selectors.iter().map(Region::from).enumerate().skip(from);
            let core = parts.find_map(|(nth, part)| Some((nth, region.intersect(&part)?)));
            let Some((nth, core)) = core else {
                return false;
            };
            left.extend(region.around(core).map(|region| (region, nth + 1)));
        }
        true
    }

    /// Whether all packets of `other` are in the set.
    pub fn covers(&self, other: &SelectorSet) -> bool {
        other.selectors.iter().all(|selector| self.covers_selector(selector))
    }

    /// The packets in both sets.
    pub fn intersect(&self, other: &SelectorSet) -> SelectorSet {
        let pairs = self.selectors.iter().flat_map(|a| other.selectors.iter().map(move |b| (a, b)));
        pairs.filter_map(|(a, b)| a.intersect(b)).collect()
    }

    /// The packets in either set.
    pub fn union(&self, other: &SelectorSet) -> SelectorSet {
        self.selectors.iter().chain(&other.selectors).copied().collect()
    }

    /// The fewest prefixes that make up the set's addresses, lowest first: the routes. Protocols
    /// and ports do not matter.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let addresses: SelectorSet =
            self.selectors.iter().map(|s| Selector::addresses(s.addresses)).collect();
        addresses.selectors.into_iter().flat_map(|s| s.addresses.prefixes())
    }
}

impl From<Selector> for SelectorSet {
    fn from(selector: Selector) -> SelectorSet {
        SelectorSet { selectors: vec![selector] }
    }
}

impl From<AddressRange> for SelectorSet {
    fn from(addresses: AddressRange) -> SelectorSet {
        SelectorSet::from(Selector::addresses(addresses))
    }
}

impl FromIterator<Selector> for SelectorSet {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> SelectorSet {
        SelectorSet { selectors: normalise(selectors.into_iter().collect()) }
    }
}

impl FromIterator<AddressRange> for SelectorSet {
    fn from_iter<I: IntoIterator<Item = AddressRange>>(ranges: I) -> SelectorSet {
        ranges.into_iter().map(Selector::addresses).collect()
    }
}

impl Extend<Selector> for SelectorSet {
    fn extend<I: IntoIterator<Item = Selector>>(&mut self, selectors: I) {
        self.selectors.extend(selectors);
        self.selectors = normalise(std::mem::take(&mut self.selectors));
    }
}

impl fmt::Display for SelectorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (nth, selector) in self.selectors.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{selector}")?;
        }
        Ok(())
    }
}

/// Joins selectors that touch, along addresses and along ports, until none do; drops covered ones;
/// sorts.
fn normalise(mut selectors: Vec<Selector>) -> Vec<Selector> {
    loop {
        let before = selectors.len();
        selectors.sort_unstable_by_key(|s| (s.protocol, s.ports, s.addresses));
        join_neighbours(&mut selectors);
        selectors.sort_unstable_by_key(|s| (s.protocol, s.addresses, s.ports));
        join_neighbours(&mut selectors);
        drop_covered(&mut selectors);
        if selectors.len() == before {
            selectors.sort_unstable();
            return selectors;
        }
    }
}

fn join_neighbours(selectors: &mut Vec<Selector>) {
    selectors.dedup_by(|next, kept| match kept.join(next) {
        Some(joined) => {
            *kept = joined;
            true
        }
        None => false,
    });
}

fn drop_covered(selectors: &mut Vec<Selector>) {
    let mut kept: Vec<Selector> = Vec::with_capacity(selectors.len());
    for selector in selectors.drain(..) {
        if !kept.iter().any(|other| other.covers(&selector)) {
            kept.retain(|other| !selector.covers(other));
            kept.push(selector);
        }
    }
    *selectors = kept;
}

/// A box of packets that need not have a form on the wire, such as all protocols but one.
#[derive(Clone, Copy, Debug)]
struct Region {
    addresses: AddressRange,
    protocols: Span<u8>,
    ports: Span<u32>,
}

impl Region {
    fn intersect(&self, other: &Region) -> Option<Region> {
        let addresses = self.addresses.intersect(&other.addresses)?;
        let protocols = self.protocols.intersect(&other.protocols)?;
        let ports = self.ports.intersect(&other.ports)?;
        Some(Region { addresses, protocols, ports })
    }

    /// What is left without `core`, which lies within: up to two parts along each axis, cut off in
    /// turn.
    fn around(self, core: Region) -> impl Iterator<Item = Region> {
        let Region { addresses, protocols, .. } = core;
        let beside = self.addresses.without(&addresses);
        let others = self.protocols.without(&protocols);
        let rest = self.ports.without(&core.ports);
        let beside = beside.map(|part| part.map(|addresses| Region { addresses, ..self }));
        let others =
            others.map(|part| part.map(|protocols| Region { addresses, protocols, ..self }));
        let rest = rest.map(|part| part.map(|ports| Region { ports, ..core }));
        [beside, others, rest].into_iter().flatten().flatten()
    }
}

impl From<&Selector> for Region {
    fn from(selector: &Selector) -> Region {
        let protocols = match selector.protocol {
            Selector::ANY_PROTOCOL => Span::new(0, u8::MAX).expect("zero is the smallest"),
            one => Span::one(one),
        };
        Region { addresses: selector.addresses, protocols, ports: selector.ports.span() }
    }
}
