//! The model data plane's packets and SAs: what `esp` and `dataplane` promise, in the smallest
//! form.
//!
//! ```text
//! SPI (4) | sequence (8) | source (4) | destination (4) | packet number (8), masked | tag (8)
//! ```
//!
//! Sequence numbers are leased before they are used, and a lease outlives a crash: a sender that
//! starts again goes on at its lease's ceiling, and a receiver treats every number below its
//! ceiling as seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::rules::hash;

/// How many numbers a lease covers.
const LEASE: u64 = 64;
/// How far behind the highest a number may come and still be looked at.
const WINDOW: u64 = 1024;
const PACKET_LEN: usize = 36;

/// A packet of the network behind a gateway. Its number is its identity in the whole world.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inner {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub number: u64,
}

/// The ceilings that outlive a crash, by key and direction: `[AtomicU64]` in the real thing.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<(u64, bool), u64>);

/// One outbound SA.
#[derive(Clone, Debug)]
pub struct Sender {
    pub spi: u32,
    /// A fingerprint of the key material.
    pub key: u64,
    next: u64,
    ceiling: u64,
}

/// One inbound SA.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub key: u64,
    /// A former life may have seen anything up to here.
    lowest: u64,
    top: u64,
    seen: BTreeSet<u64>,
    ceiling: u64,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    Malformed,
    Forged,
    Replayed,
}

impl Ledger {
    fn ceiling(&self, key: u64, inbound: bool) -> u64 {
        self.0.get(&(key, inbound)).copied().unwrap_or(0)
    }

    fn raise(&mut self, key: u64, inbound: bool, to: u64) {
        self.0.insert((key, inbound), to);
    }

    /// An SA is gone for good.
    pub fn forget(&mut self, key: u64, inbound: bool) {
        self.0.remove(&(key, inbound));
    }
}

impl Sender {
    /// Starts where the ledger says that no number was used.
    pub fn new(ledger: &Ledger, spi: u32, key: u64) -> Sender {
        let ceiling = ledger.ceiling(key, false);
        Sender { spi, key, next: ceiling + 1, ceiling }
    }

    /// Seals one packet; gives its sequence number too.
    pub fn seal(&mut self, ledger: &mut Ledger, inner: Inner) -> (u64, Vec<u8>) {
        let seq = self.next;
        self.next += 1;
        if seq > self.ceiling {
            self.ceiling = seq + LEASE;
            ledger.raise(self.key, false, self.ceiling);
        }
        let mut bytes = Vec::with_capacity(PACKET_LEN);
        bytes.extend(self.spi.to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(inner.src.octets());
        bytes.extend(inner.dst.octets());
        bytes.extend(inner.number.to_be_bytes());
        mask(self.key, seq, &mut bytes[12..]);
        let tag = tag(self.key, &bytes);
        bytes.extend(tag);
        (seq, bytes)
    }
}

impl Receiver {
    pub fn new(ledger: &Ledger, key: u64) -> Receiver {
        let ceiling = ledger.ceiling(key, true);
        Receiver { key, lowest: ceiling, top: ceiling, seen: BTreeSet::new(), ceiling }
    }

    /// Authenticates first, then looks at the number, then takes the packet.
    pub fn open(&mut self, ledger: &mut Ledger, bytes: &[u8]) -> Result<Inner, Refused> {
        if bytes.len() != PACKET_LEN {
            return Err(Refused::Malformed);
        }
        let (sealed, theirs) = bytes.split_at(PACKET_LEN - 8);
        if tag(self.key, sealed) != theirs {
            return Err(Refused::Forged);
        }
        let seq = u64::from_be_bytes(sealed[4..12].try_into().expect("eight bytes"));
        self.commit(ledger, seq)?;
        let mut body = sealed[12..].to_vec();
        mask(self.key, seq, &mut body);
        let address = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
        let number = u64::from_be_bytes(body[8..].try_into().expect("eight bytes"));
        Ok(Inner { src: address(0), dst: address(4), number })
    }

    fn commit(&mut self, ledger: &mut Ledger, seq: u64) -> Result<(), Refused> {
        if seq <= self.lowest || seq + WINDOW <= self.top || !self.seen.insert(seq) {
            return Err(Refused::Replayed);
        }
        self.top = self.top.max(seq);
        if seq > self.ceiling {
            self.ceiling = seq + LEASE;
            ledger.raise(self.key, true, self.ceiling);
        }
        let oldest = self.top.saturating_sub(WINDOW);
        self.seen = self.seen.split_off(&oldest);
        Ok(())
    }
}

fn mask(key: u64, seq: u64, body: &mut [u8]) {
    for (index, byte) in body.iter_mut().enumerate() {
        let stream = hash(&[key.to_be_bytes(), seq.to_be_bytes()].concat())
            .rotate_left(u32::try_from(index % 8 * 8).expect("below 64"));
        *byte ^= stream.to_be_bytes()[0];
    }
}

fn tag(key: u64, sealed: &[u8]) -> [u8; 8] {
    hash(&[&key.to_be_bytes()[..], sealed].concat()).to_be_bytes()
}

mod tests {
    use super::*;

    const INNER: Inner =
        Inner { src: Ipv4Addr::new(10, 1, 0, 1), dst: Ipv4Addr::new(10, 2, 0, 1), number: 7 };

    #[test]
    fn a_packet_opens_once_with_its_key_alone() {
        let mut ledger = Ledger::default();
        let (seq, bytes) = Sender::new(&ledger, 258, 42).seal(&mut ledger, INNER);
        assert_eq!(seq, 1);
        let mut receiver = Receiver::new(&ledger, 42);
        assert_eq!(receiver.open(&mut ledger, &bytes), Ok(INNER));
        assert_eq!(receiver.open(&mut ledger, &bytes), Err(Refused::Replayed));
        assert_eq!(Receiver::new(&ledger, 43).open(&mut ledger, &bytes), Err(Refused::Forged));
        let clear = INNER.number.to_be_bytes();
        assert!(!bytes.windows(8).any(|w| w == clear), "the inner packet is not legible");
    }

    #[test]
    fn a_crash_never_uses_a_number_again_nor_takes_one_again() {
        let (mut ours, mut theirs) = (Ledger::default(), Ledger::default());
        let mut sender = Sender::new(&ours, 258, 42);
        let mut receiver = Receiver::new(&theirs, 42);
        let (last, old) = (0..70).map(|_| sender.seal(&mut ours, INNER)).last().expect("some");
        assert_eq!(receiver.open(&mut theirs, &old), Ok(INNER));

        let mut reborn = Sender::new(&ours, 258, 42);
        assert!(reborn.seal(&mut ours, INNER).0 > last);
        let mut forgetful = Receiver::new(&theirs, 42);
        assert_eq!(forgetful.open(&mut theirs, &old), Err(Refused::Replayed));
    }
}
