//! Sequence numbers of an outbound SA: leased from a ledger that outlives the process, then spent
//! one by one. This is where a **GCM nonce is made unique, over a crash too**.
//!
//! The nonce of AES-GCM is the salt and the IV, and the IV is the sequence number (RFC 4106 §3.1;
//! `crypto::esp`). A nonce that is used twice with one key gives away the authentication key, so no
//! number may ever be used twice. Two things make sure of that:
//!
//! - **Over a crash**: the ledger's ceiling is raised *before* a number below the ceiling is used.
//!   The ledger (`state/ledger.rs`) is memory that outlives the process; the successor begins at
//!   the ceiling, above every number that the dead process can have sent.
//! - **Within a process**: a [`Seq`] is neither `Copy` nor `Clone`, and sealing a packet consumes
//!   one.
//!
//! The receiving half uses the same ledger against replay: it notes what it may have seen
//! ([`super::Inbound::noted_in`]).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One entry of the ledger: the ceiling of one half of an SA pair.
pub trait Ceiling: fmt::Debug + Send + Sync {
    /// Makes `ceiling` the first number that was never handed out. The value is durable when the
    /// call returns.
    fn raise(&self, ceiling: u64);
}

/// A ceiling in memory, which outlives the process when the memory is that of a mapped memfd.
impl Ceiling for AtomicU64 {
    fn raise(&self, ceiling: u64) {
        self.store(ceiling, Ordering::Release);
    }
}

/// How far a ceiling is raised at a time: a crash wastes at most as many of 2^32 numbers, and the
/// ledger is written once in a thousand batches.
const BLOCK: u64 = 1 << 16;

/// The right to number the packets of one SA.
#[derive(Debug)]
pub struct Lease {
    next: u64,
    ceiling: u64,
    last: u64,
    ledger: Arc<dyn Ceiling>,
}

impl Lease {
    /// Makes a lease whose first number is `next`: 1 for a new SA (RFC 4303 §2.2), the ledger's
    /// ceiling after a crash. With `esn` numbers have 64 bits; without, an SA ends with 2^32 - 1.
    pub fn new(next: u64, esn: bool, ledger: Arc<dyn Ceiling>) -> Lease {
        let last = if esn { u64::MAX - 1 } else { u64::from(u32::MAX) };
        let next = next.max(1);
        Lease { next, ceiling: next, last, ledger }
    }

    /// Makes a lease for tests and benches, whose ledger ends with the process.
    pub fn ephemeral(esn: bool) -> Lease {
        Lease::new(1, esn, Arc::new(AtomicU64::new(0)))
    }

    /// Takes the next `count` numbers; `None` when fewer are left.
    pub fn take(&mut self, count: u64) -> Option<SeqRange> {
        let end = self.next.checked_add(count).filter(|end| *end - 1 <= self.last)?;
        if end > self.ceiling {
            self.ceiling = end.saturating_add(BLOCK).min(self.last + 1);
            self.ledger.raise(self.ceiling);
        }
        let range = SeqRange { next: self.next, end };
        self.next = end;
        Some(range)
    }

    /// The last number that was handed out: the count of packets, for an SA that began with 1.
    pub fn spent(&self) -> u64 {
        self.next - 1
    }
}

/// A range of sequence numbers that belongs to the holder alone. Each number may be spent once or
/// stay unused; the range is neither `Copy` nor `Clone`.
#[derive(Debug)]
pub struct SeqRange {
    next: u64,
    end: u64,
}

impl Iterator for SeqRange {
    type Item = Seq;

    #[inline]
    fn next(&mut self) -> Option<Seq> {
        if self.next >= self.end {
            return None;
        }
        let seq = Seq(self.next);
        self.next += 1;
        Some(seq)
    }
}

/// One unspent sequence number, neither `Copy` nor `Clone`: the number goes into one packet.
#[derive(Debug, Eq, PartialEq)]
pub struct Seq(u64);

impl Seq {
    /// Spends the number.
    #[inline]
    pub(super) fn spend(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_once_in_order_and_below_the_ceiling() {
        let ledger = Arc::new(AtomicU64::new(0));
        let mut lease = Lease::new(1, false, ledger.clone());
        let mut expected = 1;
        for count in [1, 3, 64, 1 << 17, 2] {
            for seq in lease.take(count).unwrap() {
                let number = seq.spend();
                assert_eq!(number, expected);
                assert!(number < ledger.load(Ordering::Acquire), "raised before use");
                expected += 1;
            }
        }
        assert_eq!(lease.spent(), expected - 1);
        // A crash now: the successor starts at the ceiling, above everything sent.
        let mut successor = Lease::new(ledger.load(Ordering::Acquire), false, ledger);
        assert!(successor.take(1).unwrap().next().unwrap().spend() >= expected);
    }

    #[test]
    fn thirty_two_bits_end_and_sixty_four_go_on() {
        let top = u64::from(u32::MAX);
        let ledger = || Arc::new(AtomicU64::new(0));
        let mut lease = Lease::new(top - 1, false, ledger());
        assert!(lease.take(3).is_none(), "all or nothing");
        let numbers: Vec<u64> = lease.take(2).unwrap().map(Seq::spend).collect();
        assert_eq!(numbers, [top - 1, top]);
        assert!(lease.take(1).is_none(), "2^32 numbers are all there are");
        let mut extended = Lease::new(top, true, ledger());
        assert_eq!(extended.take(2).unwrap().last().unwrap().spend(), top + 1);
        assert!(Lease::new(u64::MAX - 1, true, ledger()).take(2).is_none());
    }
}
