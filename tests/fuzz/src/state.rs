//! The state that the next process reads: memory that only this user could write, and that may
//! still be torn, of another version, or hostile. The state is recovered or not used; what is
//! recovered is what was stored.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use ring::digest::{SHA256, digest};
use s2sd::esp::{Lease, Replay};
use s2sd::ike::ChildId;
use s2sd::state::fd_store::{FdStore, LEDGER, STORE};
use s2sd::state::inventory::Inventory;
use s2sd::state::ledger::{Ledger, SaDirection};
use s2sd::state::persistent::PersistentState;
use s2sd::state::store::Store;
use s2sd::sys::memfd;
use s2sd::sys::random::SystemRng;

/// Room of a slot of a store, and of a ledger, in octets.
const SLOT: u64 = 64 << 20;
const LEDGER_LEN: u64 = 8 * (4 + 2 * 16_384);

/// The octets of a store: each slot begins with its half. With an odd first octet the digests are
/// made to fit, so that what is behind them is reached.
pub fn state_store(data: &[u8]) {
    let [whole, content @ ..] = data else { return };
    let file = memfd::create("fuzz-store", 2 * SLOT).expect("memory");
    let (first, second) = content.split_at(content.len() / 2);
    for (slot, start) in [first, second].into_iter().zip([0, SLOT]) {
        let slot = if whole % 2 == 1 { sealed(slot) } else { slot.to_vec() };
        file.write_all_at(&slot, start).expect("room");
    }
    let again = || file.try_clone().expect("a descriptor");
    let (mut store, stored) = Store::adopt(again()).expect("memory of the right kind");
    let generation = stored.as_ref().map_or(0, |stored| stored.generation);
    let content = stored.map_or_else(|| data.to_vec(), |stored| stored.content.to_vec());
    // No store counts that far by itself; one that was made to stores no more.
    let Ok(next) = store.put(&[&content]) else { return assert_eq!(generation, u64::MAX - 1) };
    let (_, stored) = Store::adopt(again()).expect("memory of the right kind");
    let stored = stored.expect("what was stored");
    assert_eq!((stored.generation, &*stored.content), (next, &content));
    assert_eq!(next, generation + 1);
}

/// A slot whose length and digest are those of its content, and whose number and content are as
/// they came.
fn sealed(slot: &[u8]) -> Vec<u8> {
    let (number, content) = slot.split_at(slot.len().min(8));
    let number: Vec<u8> = number.iter().copied().chain([0; 8]).take(8).collect();
    let signed = [&number[..], &(content.len() as u64).to_be_bytes(), content].concat();
    let digest = digest(&SHA256, &signed);
    [b"s2sd-st1", &signed[..16], digest.as_ref(), content].concat()
}

/// The words of a ledger, of this version: a half of a child is found or gets a place, and its
/// number goes on above.
pub fn state_ledger(data: &[u8]) {
    let file = ledger(data);
    let ledger = Ledger::adopt(file.try_clone().expect("a descriptor")).expect("our version");
    let (first, _) = data.split_at(data.len().min(64));
    for (at, way) in [SaDirection::In, SaDirection::Out].into_iter().enumerate() {
        let child = ChildId(word(first, 3 + 2 * at) >> 1);
        let Some((place, ceiling)) = ledger.claim(child, way) else { continue };
        place.raise(ceiling.saturating_add(1));
        let raised = ledger.claim(child, way).expect("it has its place").1;
        assert_eq!(raised, ceiling.saturating_add(1));
        let mut lease = Lease::new(raised, true, place);
        if let Some(range) = lease.take(64) {
            assert!(lease.spent() >= raised, "{range:?}");
            assert!(ledger.claim(child, way).expect("its place").1 > lease.spent());
        }
        let next = Replay::resumed(Replay::DEFAULT_WINDOW, raised);
        assert!(next.precheck(raised).is_err(), "seen before the crash");
        ledger.release(child, way);
    }
    ledger.retain(|child| child.0 % 2 == 0);
    let generation = word(first, 2);
    ledger.unpark(generation);
    assert!(generation == 0 || !ledger.unpark(generation), "believed once");
    ledger.attempt();
    ledger.live();
    assert_eq!(ledger.attempt(), 1);
}

/// The content of a whole store, beside a ledger of the identity that it names.
pub fn state_estate(data: &[u8]) {
    let mut store = Store::create().expect("memory");
    store.put(&[data]).expect("room");
    let text = data.split_first_chunk::<8>().map_or(&[][..], |(_, rest)| rest);
    // The inventory is followed by the engine's snapshot.
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Inventory>();
    let identity = values.next().and_then(Result::ok).map_or(1, |inventory| inventory.ledger);
    let ledger = ledger(&[identity.to_ne_bytes(), [0; 8], 1_u64.to_ne_bytes()].concat());
    let kept = || {
        let copy = |file: &File| OwnedFd::from(file.try_clone().expect("a descriptor"));
        vec![(STORE.to_owned(), copy(store.file())), (LEDGER.to_owned(), copy(&ledger))]
    };
    let Some((mut state, former)) = open(kept()) else { return };
    assert!(former.planned, "the ledger says so");
    let Some(generation) = state.put(&former.inventory, &former.snapshot) else { return };
    state.handles.ledger.park(generation);
    let (_, again) = open(kept()).expect("what was just put down");
    assert_eq!(again.inventory, former.inventory);
    assert_eq!(again.snapshot.expose(), former.snapshot.expose());
    state.handles.ledger.void();
    // No ledger, no state; but an identity of zero is that of a ledger that is void.
    assert!(former.inventory.ledger == 0 || open(kept()).is_none());
}

fn open(kept: Vec<(String, OwnedFd)>) -> Option<(PersistentState, s2sd::state::Recovered)> {
    let opened = PersistentState::open(FdStore::default(), kept, &mut SystemRng::default());
    let (state, recovered) = opened.expect("a state that does not read is a cold start");
    Some((state, recovered?))
}

/// A ledger of this version; its other words are these octets.
fn ledger(words: &[u8]) -> File {
    let file = memfd::create("fuzz-ledger", LEDGER_LEN).expect("memory");
    file.write_all_at(&u64::from_be_bytes(*b"s2sd-lg1").to_ne_bytes(), 0).expect("room");
    let room = usize::try_from(LEDGER_LEN - 8).expect("it is small");
    file.write_all_at(&words[..words.len().min(room)], 8).expect("room");
    file
}

/// One of these words; zero where there is none.
fn word(words: &[u8], at: usize) -> u64 {
    words.as_chunks().0.get(at).map_or(0, |word| u64::from_ne_bytes(*word))
}
