//! IKE fragmentation (RFC 7383): joining the fragments of one message (§2.6). Messages are cut by
//! [`crate::wire::payload::sk::Sealing::fragments`], to the size that
//! [`super::datagram_limit`] says, since Azure drops IP fragments; a request that nobody answers is
//! sent in smaller ones ([`super::window::SealedMessage`]).
//!
//! A fragment comes here only after it authenticated, so a stranger can neither fill the store nor
//! spoil a set. The bounds are on what an authenticated peer can make us hold: the number of
//! fragments, their octets, and for how long.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::codes::PayloadType;
use crate::wire::header::MessageId;
use crate::wire::payload::sk::FragmentNumber;

/// The most fragments of one message. At the smallest datagrams in use (576 octets) so many hold
/// more than [`MAX_OCTETS`].
pub const MAX_FRAGMENTS: u16 = 64;
/// The most octets of one joined message: several times the longest certificate chain that Azure
/// accepts.
pub const MAX_OCTETS: usize = 32 * 1024;
/// How long a message may stay incomplete, from its first fragment. A sender that is still there
/// retransmits the whole message.
pub const MAX_AGE: Duration = Duration::from_secs(30);

/// A message that is arriving in fragments.
#[derive(Clone)]
pub struct Assembly {
    pub(crate) id: MessageId,
    pub(crate) total: u16,
    /// By number; no map entry is ever larger than a datagram.
    pub(crate) parts: BTreeMap<u16, Vec<u8>>,
    pub(crate) octets: usize,
    /// The type of the message's first payload, from fragment 1.
    pub(crate) first: PayloadType,
    pub(crate) deadline: Instant,
}

/// What a fragment brought.
#[derive(Clone, Eq, PartialEq)]
pub enum Reassembly {
    /// The fragment was new; others are still missing.
    More,
    /// The fragment was the last one missing: the type of the first payload, and the plaintext.
    Whole(PayloadType, Vec<u8>),
    /// The fragment brought nothing: a repetition, one of an older cutting, or beyond a bound.
    Dropped,
}

impl Assembly {
    /// An assembly without fragments.
    pub fn new(id: MessageId, now: Instant) -> Assembly {
        Assembly {
            id,
            total: 0,
            parts: BTreeMap::new(),
            octets: 0,
            first: PayloadType::None,
            deadline: now + MAX_AGE,
        }
    }

    /// The message ID of the message.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// When the incomplete message is forgotten.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes an authenticated fragment's plaintext; `first` is the payload type that its header
    /// names.
    pub fn add(
        &mut self,
        fragment: FragmentNumber,
        first: PayloadType,
        text: &[u8],
        now: Instant,
    ) -> Reassembly {
        if now >= self.deadline {
            *self = Assembly::new(self.id, now);
        }
        if fragment.total() > MAX_FRAGMENTS || fragment.total() < self.total {
            return Reassembly::Dropped;
        }
        // The sender has cut the message anew, into smaller parts: the old parts are of no use (RFC
        // 7383 §2.6).
        if fragment.total() > self.total {
            self.clear();
            self.total = fragment.total();
        }
        if self.parts.contains_key(&fragment.number()) {
            return Reassembly::Dropped;
        }
        if self.octets.saturating_add(text.len()) > MAX_OCTETS {
            self.clear();
            return Reassembly::Dropped;
        }
        if fragment.number() == 1 {
            self.first = first;
        }
        self.octets += text.len();
        self.parts.insert(fragment.number(), text.to_vec());
        if self.parts.len() < usize::from(self.total) {
            return Reassembly::More;
        }
        // There are `total` different numbers from 1 to `total`: the message is complete, and the
        // map has the parts in order.
        let whole = std::mem::take(&mut self.parts).into_values().flatten().collect();
        let outcome = Reassembly::Whole(self.first, whole);
        self.clear();
        outcome
    }

    fn clear(&mut self) {
        *self = Assembly { deadline: self.deadline, ..Assembly::new(self.id, Instant::default()) };
    }
}

/// Plaintext of IKE messages stays out of logs.
impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, have, total) = (self.id, self.parts.len(), self.total);
        write!(f, "Assembly({id}, {have} of {total}, {} octets)", self.octets)
    }
}

impl fmt::Debug for Reassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reassembly::More => f.write_str("More"),
            Reassembly::Whole(first, text) => write!(f, "Whole({first}, {} octets)", text.len()),
            Reassembly::Dropped => f.write_str("Dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant(9_000_000_000);

    fn fragment(number: u16, total: u16) -> FragmentNumber {
        FragmentNumber::new(number, total).expect("in range")
    }

    fn assembly() -> Assembly {
        Assembly::new(MessageId(1), START)
    }

    /// Adds a fragment that says its own number.
    fn add(assembly: &mut Assembly, number: u16, total: u16) -> Reassembly {
        let first = if number == 1 { PayloadType::IdInitiator } else { PayloadType::None };
        let text = format!("{number}/{total} ");
        assembly.add(fragment(number, total), first, text.as_bytes(), START)
    }

    fn whole(text: &str) -> Reassembly {
        Reassembly::Whole(PayloadType::IdInitiator, text.as_bytes().to_vec())
    }

    #[test]
    fn a_single_fragment_is_whole() {
        assert_eq!(add(&mut assembly(), 1, 1), whole("1/1 "));
    }

    #[test]
    fn repetitions_are_dropped_and_the_first_copy_counts() {
        let mut assembly = assembly();
        assert_eq!(add(&mut assembly, 2, 2), Reassembly::More);
        assert_eq!(
            assembly.add(fragment(2, 2), PayloadType::None, b"other", START),
            Reassembly::Dropped
        );
        assert_eq!(add(&mut assembly, 1, 2), whole("1/2 2/2 "));
        assert_eq!(assembly.octets, 0);
    }

    #[test]
    fn a_larger_total_replaces_and_a_smaller_one_is_dropped() {
        let mut assembly = assembly();
        assert_eq!(add(&mut assembly, 1, 2), Reassembly::More);
        assert_eq!(add(&mut assembly, 3, 3), Reassembly::More);
        assert_eq!(add(&mut assembly, 2, 2), Reassembly::Dropped);
        assert_eq!(add(&mut assembly, 1, 3), Reassembly::More);
        assert_eq!(add(&mut assembly, 2, 3), whole("1/3 2/3 3/3 "));
    }

    #[test]
    fn the_store_is_bounded() {
        let mut assembly = assembly();
        assert_eq!(add(&mut assembly, 1, MAX_FRAGMENTS + 1), Reassembly::Dropped);
        assert_eq!(add(&mut assembly, 1, u16::MAX), Reassembly::Dropped);
        assert_eq!(assembly.octets, 0);
        let half = vec![0; MAX_OCTETS / 2];
        for number in 1..=2 {
            let outcome = assembly.add(fragment(number, 4), PayloadType::None, &half, START);
            assert_eq!(outcome, Reassembly::More);
        }
        let outcome = assembly.add(fragment(3, 4), PayloadType::None, &[0], START);
        assert_eq!((outcome, assembly.octets), (Reassembly::Dropped, 0));
    }

    #[test]
    fn an_incomplete_message_is_forgotten_in_time() {
        let mut assembly = assembly();
        assert_eq!(add(&mut assembly, 1, 2), Reassembly::More);
        let late = assembly.deadline();
        assert_eq!(late, START + MAX_AGE);
        let second = assembly.add(fragment(2, 2), PayloadType::None, b"late", late);
        assert_eq!(second, Reassembly::More);
        assert_eq!(assembly.deadline(), late + MAX_AGE);
        // A stream of fragments does not push the end out.
        assembly.add(fragment(2, 3), PayloadType::None, b"again", late + Duration::from_secs(9));
        assert_eq!(assembly.deadline(), late + MAX_AGE);
    }

    #[test]
    fn plaintext_does_not_print() {
        let mut assembly = assembly();
        let outcome = assembly.add(fragment(1, 1), PayloadType::Nonce, b"secret", START);
        assembly.add(fragment(1, 2), PayloadType::Nonce, b"secret", START);
        assert_eq!(format!("{outcome:?}"), "Whole(Nonce, 6 octets)");
        assert_eq!(format!("{assembly:?}"), "Assembly(1, 1 of 2, 6 octets)");
    }

    proptest! {
        /// In any order, with any repetitions, a message joins to what was cut, once, when its last
        /// fragment comes.
        #[test]
        fn what_was_cut_is_joined(
            text in proptest::collection::vec(any::<u8>(), 1..2000),
            share in 64usize..600,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..100),
        ) {
            let shares: Vec<&[u8]> = text.chunks(share).collect();
            let total = u16::try_from(shares.len()).expect("few");
            // Some at random, then each once more.
            let drawn = order.iter().map(|index| index.index(shares.len()));
            let arrivals = drawn.chain(0..shares.len());
            let mut assembly = assembly();
            let mut seen = std::collections::BTreeSet::new();
            for at in arrivals {
                let number = u16::try_from(at + 1).expect("few");
                let first = if number == 1 { PayloadType::Sa } else { PayloadType::None };
                let outcome = assembly.add(fragment(number, total), first, shares[at], START);
                let expected = match (seen.insert(number), seen.len() == shares.len()) {
                    (false, _) => Reassembly::Dropped,
                    (true, false) => Reassembly::More,
                    (true, true) => Reassembly::Whole(PayloadType::Sa, text.clone()),
                };
                prop_assert_eq!(&outcome, &expected);
                if matches!(outcome, Reassembly::Whole(..)) {
                    break;
                }
            }
            prop_assert_eq!(seen.len(), shares.len());
        }
    }
}
