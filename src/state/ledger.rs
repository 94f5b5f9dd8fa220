//! The ledger: what makes every GCM nonce unique even if the process crashes.
//!
//! The nonce (IV) of an ESP packet is its sequence number (RFC 4106 §3.1), so a sequence number
//! that is used twice with one key gives the key stream away. The ledger therefore holds one
//! ceiling ([`Ceiling`]) for each half of each child SA, in memory that outlives the process:
//!
//! | half | invariant | after a crash |
//! |---|---|---|
//! | sending | all numbers ever used are below the ceiling | the next number is the ceiling |
//! | receiving | all numbers ever accepted are below the ceiling | all below it count as replayed |
//!
//! **The order is what makes this hold.** A sending half leases sequence numbers in blocks
//! ([`crate::esp::Lease`]): the lease raises the ceiling, which is a store to shared memory and
//! therefore persisted at once, *before* the first number of the block is used. A crash wastes the
//! rest of a block, and never repeats a number.
//!
//! ```text
//! words:  magic | identity | attempts | parked | (half of a child SA, ceiling) (half, ceiling) ...
//! ```
//!
//! A ceiling only ever rises while its half lives. A lane that was told to stop may still be
//! running and raise the ceiling of a half that is gone. [`Ceiling::raise`] then leaves the slot
//! alone if another half has the slot by now: that half would otherwise treat numbers as used or
//! received that never were.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::esp::Ceiling;
use crate::ike::ChildId;
use crate::rng::Rng;
use crate::sys::memfd::{self, Words};

const MAGIC: u64 = u64::from_be_bytes(*b"s2sd-lg1");
const IDENTITY: usize = 1;
const ATTEMPTS: usize = 2;
const PARKED: usize = 3;
const FIRST: usize = 4;
/// How many halves of child SAs can live at a time.
const SLOTS: usize = 16_384;
const WORDS: usize = FIRST + 2 * SLOTS;

/// A half of a child SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaDirection {
    /// The receiving half.
    In,
    /// The sending half.
    Out,
}

/// The ceilings of all child SAs, in shared memory.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Words>);

/// The ceiling of one half: two words of the ledger.
#[derive(Debug)]
struct LedgerSlot {
    words: Arc<Words>,
    at: usize,
    half: u64,
}

impl Ceiling for LedgerSlot {
    fn raise(&self, ceiling: u64) {
        let word = |at| self.words.get(at);
        let holds = |held: &AtomicU64| held.load(Ordering::Acquire) == self.half;
        if word(self.at).is_some_and(holds)
            && let Some(own) = word(self.at + 1)
        {
            own.fetch_max(ceiling, Ordering::Release);
        }
    }
}

impl Ledger {
    /// Creates an empty ledger with a random identity.
    pub fn create(rng: &mut dyn Rng) -> io::Result<Ledger> {
        let ledger = Ledger::map(memfd::create("s2sd-ledger", size())?)?;
        let mut identity = [0; 8];
        rng.fill(&mut identity);
        ledger.word(0).store(MAGIC, Ordering::Relaxed);
        ledger.word(IDENTITY).store(u64::from_be_bytes(identity), Ordering::Release);
        Ok(ledger)
    }

    /// Maps the ledger of a former process.
    pub fn adopt(file: File) -> io::Result<Ledger> {
        let ledger = Ledger::map(file)?;
        match ledger.word(0).load(Ordering::Acquire) {
            MAGIC => Ok(ledger),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory is not a ledger of this version",
            )),
        }
    }

    fn map(file: File) -> io::Result<Ledger> {
        Ok(Ledger(Arc::new(Words::map(file, WORDS)?)))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.0[at]
    }

    /// The descriptor, for the file descriptor store.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The identity of the ledger, which every snapshot names: a snapshot is used only together
    /// with the ledger that it belongs to.
    pub fn identity(&self) -> u64 {
        self.word(IDENTITY).load(Ordering::Acquire)
    }

    /// Invalidates every stored snapshot: the ledger gets a new identity, which only the next
    /// snapshot will carry.
    pub fn void(&self) {
        self.word(IDENTITY).fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one more process that recovers the ledger. Returns how many did since the last
    /// process that called [`Ledger::live`].
    pub fn attempt(&self) -> u64 {
        self.word(ATTEMPTS).fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// Says that this process survived its start: the count of [`Ledger::attempt`] begins anew.
    pub fn live(&self) {
        self.word(ATTEMPTS).store(0, Ordering::Release);
    }

    /// Says that all lanes have stopped, and that the snapshot of this generation has the exact
    /// position of every child SA.
    pub fn park(&self, generation: u64) {
        self.word(PARKED).store(generation, Ordering::Release);
    }

    /// Whether the snapshot of this generation has exact positions. The first call clears the mark
    /// in the same instruction, so exact positions are used by one process only: if that process
    /// dies, the next one goes on at the ceilings.
    pub fn unpark(&self, generation: u64) -> bool {
        self.word(PARKED).swap(0, Ordering::AcqRel) == generation
    }

    /// The slot of a half, and the ceiling that the half has already: 0 for a half that never moved
    /// a packet. `None` when all slots are taken.
    pub fn claim(&self, child: ChildId, way: SaDirection) -> Option<(Arc<dyn Ceiling>, u64)> {
        let half = half(child, way);
        let at = self.find(half).or_else(|| {
            let free = self.find(0)?;
            self.word(free + 1).store(0, Ordering::Relaxed);
            self.word(free).store(half, Ordering::Release);
            Some(free)
        })?;
        let ceiling = self.word(at + 1).load(Ordering::Acquire);
        Some((Arc::new(LedgerSlot { words: Arc::clone(&self.0), at, half }), ceiling))
    }

    /// Frees the slot of a half whose key is never used again.
    pub fn release(&self, child: ChildId, way: SaDirection) {
        if let Some(at) = self.find(half(child, way)) {
            self.word(at).store(0, Ordering::Release);
        }
    }

    /// Frees the slots of all child SAs for which `lives` is false.
    pub fn retain(&self, lives: impl Fn(ChildId) -> bool) {
        for at in (FIRST..WORDS).step_by(2) {
            let half = self.word(at).load(Ordering::Acquire);
            if half != 0 && !lives(ChildId(half >> 1)) {
                self.word(at).store(0, Ordering::Release);
            }
        }
    }

    fn find(&self, half: u64) -> Option<usize> {
        (FIRST..WORDS).step_by(2).find(|at| self.word(*at).load(Ordering::Acquire) == half)
    }
}

fn size() -> u64 {
    (WORDS * size_of::<AtomicU64>()) as u64
}

/// The word that names a half. Child SAs count from 1, so the word is never 0, which marks a free
/// slot.
fn half(child: ChildId, way: SaDirection) -> u64 {
    child.0 << 1 | u64::from(way == SaDirection::Out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::Lease;
    use crate::sys::random::SystemRng;

    fn ledger() -> Ledger {
        Ledger::create(&mut SystemRng::default()).unwrap()
    }

    fn successor(ledger: &Ledger) -> Ledger {
        Ledger::adopt(File::from(ledger.fd().try_clone_to_owned().unwrap())).unwrap()
    }

    #[test]
    fn a_successor_goes_on_above_all_that_was_used() {
        let ledger = ledger();
        let (place, ceiling) = ledger.claim(ChildId(7), SaDirection::Out).unwrap();
        assert_eq!(ceiling, 0);
        let mut lease = Lease::new(ceiling, false, place);
        lease.take(100).unwrap();
        let next = successor(&ledger);
        assert_eq!(next.identity(), ledger.identity());
        let (_, ceiling) = next.claim(ChildId(7), SaDirection::Out).unwrap();
        assert!(ceiling > lease.spent());
        assert_eq!(next.claim(ChildId(7), SaDirection::In).unwrap().1, 0, "the halves are apart");
    }

    #[test]
    fn a_slot_is_given_anew_and_the_former_holder_leaves_it_alone() {
        let ledger = ledger();
        let (old, _) = ledger.claim(ChildId(1), SaDirection::In).unwrap();
        old.raise(500);
        ledger.release(ChildId(1), SaDirection::In);
        let (new, ceiling) = ledger.claim(ChildId(2), SaDirection::In).unwrap();
        assert_eq!(ceiling, 0);
        new.raise(1000);
        for stale in [600, 5000] {
            old.raise(stale);
            assert_eq!(ledger.claim(ChildId(2), SaDirection::In).unwrap().1, 1000);
        }
    }

    #[test]
    fn what_belongs_to_no_child_is_released_and_a_full_ledger_says_so() {
        let ledger = ledger();
        for child in 1..=SLOTS as u64 {
            ledger.claim(ChildId(child), SaDirection::Out).unwrap().0.raise(9);
        }
        assert!(ledger.claim(ChildId(99_999), SaDirection::Out).is_none());
        ledger.retain(|child| child.0 % 2 == 0);
        assert_eq!(ledger.claim(ChildId(2), SaDirection::Out).unwrap().1, 9);
        assert_eq!(ledger.claim(ChildId(3), SaDirection::Out).unwrap().1, 0);
    }

    #[test]
    fn exact_positions_are_believed_once() {
        let ledger = ledger();
        ledger.park(12);
        assert!(!successor(&ledger).unpark(11));
        ledger.park(12);
        assert!(successor(&ledger).unpark(12));
        assert!(!successor(&ledger).unpark(12));
    }

    #[test]
    fn attempts_count_until_one_lives() {
        let ledger = ledger();
        assert_eq!((ledger.attempt(), successor(&ledger).attempt()), (1, 2));
        ledger.live();
        assert_eq!(ledger.attempt(), 1);
    }

    #[test]
    fn a_ledger_that_was_voided_is_another_one_each_time() {
        let ledger = ledger();
        let identities = [(); 3].map(|()| {
            ledger.void();
            ledger.identity()
        });
        assert!(identities[0] != identities[1] && identities[1] != identities[2]);
    }
}
