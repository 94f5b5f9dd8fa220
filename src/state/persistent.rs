//! [`PersistentState`]: everything that outlives the process, found at the start, kept up to date
//! while the service runs, and left to the next process at the end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use tracing::{info, warn};

use super::fd_store::{FdStore, LEDGER, STORE};
use super::inventory::{Inventory, VERSION};
use super::ledger::Ledger;
use super::store::{Store, Stored};
use crate::ike::Snapshot;
use crate::rng::Rng;

/// How many processes in a row may recover a state and die at once before nobody recovers it.
const MOST_ATTEMPTS: u64 = 3;

/// The parts of the state that the data plane writes to.
#[derive(Clone, Debug)]
pub struct Handles {
    /// The store that keeps descriptors of devices and sockets.
    pub fd_store: FdStore,
    /// The ledger that bounds the sequence numbers of every child SA.
    pub ledger: Ledger,
}

/// Everything that outlives the process.
#[derive(Debug)]
pub struct PersistentState {
    /// The parts that the data plane writes to; every tunnel has a clone.
    pub handles: Handles,
    store: Store,
    /// Descriptors that came back from the store and that nobody has taken yet.
    inherited: Vec<(String, OwnedFd)>,
    /// Why the last write to the store failed; `None` while the stored state is the present one.
    store_error: Option<String>,
}

/// The state of a former process.
#[derive(Debug)]
pub struct Recovered {
    /// The daemon's part. The inventory has positions only if the positions are exact.
    pub inventory: Inventory,
    /// The engine's part.
    pub snapshot: Snapshot,
    /// Whether the former process handed over; otherwise it died.
    pub planned: bool,
}

/// Why the state of a former process cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the store cannot be read: {0}")]
    Store(io::Error),
    #[error("the ledger of sequence numbers cannot be read: {0}")]
    Ledger(io::Error),
    #[error("the store has no complete snapshot")]
    Empty,
    #[error("the snapshot is cut off")]
    CutOff,
    #[error("the inventory cannot be read: {0}")]
    Inventory(#[from] serde_json::Error),
    #[error("the inventory has version {found}, this s2sd reads {VERSION}")]
    Version { found: u32 },
    #[error("the snapshot belongs to another ledger of sequence numbers")]
    OtherLedger,
    #[error("{MOST_ATTEMPTS} processes recovered it, and each died at once")]
    Deadly,
}

impl PersistentState {
    /// Recovers the state among the inherited descriptors, or begins an empty state.
    pub fn open(
        fd_store: FdStore,
        mut inherited: Vec<(String, OwnedFd)>,
        rng: &mut dyn Rng,
    ) -> io::Result<(PersistentState, Option<Recovered>)> {
        let descriptors = (draw(&mut inherited, STORE), draw(&mut inherited, LEDGER));
        if let (Some(store), Some(ledger)) = descriptors {
            match recover(File::from(store), File::from(ledger)) {
                Ok((store, ledger, recovered)) => {
                    let handles = Handles { fd_store, ledger };
                    let state = PersistentState { handles, store, inherited, store_error: None };
                    return Ok((state, Some(recovered)));
                }
                Err(why) => warn!(
                    "the state of the former process is not used, all tunnels are dialled anew: {why}"
                ),
            }
        }
        let made = Store::create().and_then(|store| Ok((store, Ledger::create(rng)?)));
        let (store, ledger) = made.map_err(|error| {
            let what = format!("no memory for the state that outlives the process: {error}");
            io::Error::new(error.kind(), what)
        })?;
        for name in [STORE, LEDGER] {
            fd_store.forget(name);
        }
        fd_store.keep(STORE, store.file());
        fd_store.keep(LEDGER, &ledger.fd());
        let handles = Handles { fd_store, ledger };
        Ok((PersistentState { handles, store, inherited, store_error: None }, None))
    }

    /// Takes an inherited descriptor of this name.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        draw(&mut self.inherited, name)
    }

    /// The names of the inherited descriptors that nobody has taken.
    pub(crate) fn untaken(&self) -> Vec<String> {
        self.inherited.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether a file descriptor store keeps the state when this process ends.
    pub(crate) fn is_kept(&self) -> bool {
        self.handles.fd_store.exists()
    }

    /// Why the last write to the store failed: a restart now would recover nothing.
    pub fn store_error(&self) -> Option<&str> {
        self.store_error.as_deref()
    }

    /// Stores the present state, and returns the generation of what was stored. The caller does
    /// this before anything leaves that was decided on the way to the present state.
    ///
    /// A failed write invalidates the snapshots stored before: a next process that knew less than
    /// the peers do would be worse than a next process that knows nothing. Tunnels go on meanwhile,
    /// and the next write that succeeds is valid again.
    pub fn put(&mut self, inventory: &Inventory, snapshot: &Snapshot) -> Option<u64> {
        let stored = serde_json::to_vec(inventory).map_err(io::Error::other).and_then(|text| {
            let length = (text.len() as u64).to_be_bytes();
            self.store.put(&[&length, &text, snapshot.expose()])
        });
        match stored {
            Ok(generation) => {
                if self.store_error.take().is_some() {
                    info!("the state is stored again: a restart keeps the tunnels");
                }
                Some(generation)
            }
            Err(error) => {
                self.handles.ledger.void();
                if self.store_error.is_none() {
                    warn!(%error, "the state could not be stored: a restart now would lose all tunnels");
                }
                self.store_error = Some(error.to_string());
                None
            }
        }
    }
}

fn recover(store: File, ledger: File) -> Result<(Store, Ledger, Recovered), Unusable> {
    let (store, stored) = Store::adopt(store).map_err(Unusable::Store)?;
    let ledger = Ledger::adopt(ledger).map_err(Unusable::Ledger)?;
    let Stored { generation, content } = stored.ok_or(Unusable::Empty)?;
    let attempts = ledger.attempt();
    if attempts > MOST_ATTEMPTS {
        return Err(Unusable::Deadly);
    }
    let planned = ledger.unpark(generation);
    let (length, rest) = content.split_first_chunk().ok_or(Unusable::CutOff)?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| Unusable::CutOff)?;
    let (text, snapshot) = rest.split_at_checked(length).ok_or(Unusable::CutOff)?;
    let mut inventory = read(text)?;
    if inventory.ledger != ledger.identity() {
        return Err(Unusable::OtherLedger);
    }
    if !planned {
        inventory.positions.clear();
    }
    info!(generation, planned, attempts, "recovering the state of the former process");
    let snapshot = Snapshot::from_bytes(snapshot);
    Ok((store, ledger, Recovered { inventory, snapshot, planned }))
}

fn read(text: &[u8]) -> Result<Inventory, Unusable> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let Head { version: found } = serde_json::from_slice(text)?;
    if found != VERSION {
        return Err(Unusable::Version { found });
    }
    Ok(serde_json::from_slice(text)?)
}

fn draw(inherited: &mut Vec<(String, OwnedFd)>, name: &str) -> Option<OwnedFd> {
    let at = inherited.iter().position(|(other, _)| other == name)?;
    Some(inherited.remove(at).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::random::SystemRng;

    type Inherited = Vec<(String, OwnedFd)>;

    fn open(inherited: Inherited) -> (PersistentState, Option<Recovered>) {
        PersistentState::open(FdStore::default(), inherited, &mut SystemRng::default()).unwrap()
    }

    /// The descriptors that the next process gets.
    fn kept(state: &PersistentState) -> Inherited {
        let store = state.store.file().try_clone().unwrap().into();
        let ledger = state.handles.ledger.fd().try_clone_to_owned().unwrap();
        vec![(LEDGER.into(), ledger), (STORE.into(), store)]
    }

    fn inventory(state: &PersistentState) -> Inventory {
        let positions =
            vec![super::super::inventory::Position { child: 3, outbound: None, inbound: None }];
        let ledger = state.handles.ledger.identity();
        Inventory { version: VERSION, ledger, next_peer: 5, positions, ..Inventory::default() }
    }

    #[test]
    fn what_is_put_is_found_and_positions_only_after_a_planned_end() {
        let (mut state, found) = open(Vec::new());
        assert!(found.is_none());
        let inventory = inventory(&state);
        let generation = state.put(&inventory, &Snapshot::from_bytes(b"keys")).unwrap();
        state.handles.ledger.park(generation);
        for planned in [true, false] {
            let found = open(kept(&state)).1.unwrap();
            assert_eq!((found.planned, found.snapshot.expose()), (planned, &b"keys"[..]));
            assert_eq!(found.inventory.positions.len(), usize::from(planned));
            assert_eq!(found.inventory.next_peer, 5);
        }
    }

    #[cfg(feature = "faults")]
    #[test]
    fn what_could_not_be_stored_is_not_recovered_and_what_is_stored_later_is() {
        let (mut state, _) = open(Vec::new());
        let put = |state: &mut PersistentState, faults: &str| {
            let inventory = inventory(state);
            crate::sys::fault::here(faults, |_| {
                state.put(&inventory, &Snapshot::from_bytes(b"keys")).is_some()
            })
        };
        let full = "store_write:ENOSPC";
        for (faults, is_found) in
            [("", true), (full, false), (full, false), ("", true), (full, false), ("", true)]
        {
            assert_eq!(put(&mut state, faults), is_found);
            assert_eq!(state.store_error().is_none(), is_found);
            state.handles.ledger.live();
            assert_eq!(open(kept(&state)).1.is_some(), is_found);
        }
        assert!(put(&mut state, full) || state.store_error().unwrap().contains("No space left"));
    }

    #[cfg(feature = "faults")]
    #[test]
    fn without_memory_the_start_says_what_is_missing() {
        let error = crate::sys::fault::here("memfd:ENOMEM", |_| {
            let fd_store = FdStore::default();
            PersistentState::open(fd_store, Vec::new(), &mut SystemRng::default()).unwrap_err()
        });
        assert!(
            error.to_string().contains("memory for the state that outlives the process"),
            "{error}"
        );
    }

    #[test]
    fn a_state_that_kills_three_processes_in_a_row_is_not_used() {
        let (mut state, _) = open(Vec::new());
        state.put(&inventory(&state), &Snapshot::from_bytes(b"")).unwrap();
        for _ in 0..MOST_ATTEMPTS {
            assert!(open(kept(&state)).1.is_some());
        }
        assert!(open(kept(&state)).1.is_none());
        state.handles.ledger.live();
        assert!(open(kept(&state)).1.is_some());
    }

    #[test]
    fn another_version_another_ledger_and_what_could_not_be_stored_are_not_used() {
        let (mut state, _) = open(Vec::new());
        let good = inventory(&state);
        let mut is_found = |change: fn(&mut Inventory)| {
            let mut inventory = good.clone();
            change(&mut inventory);
            state.put(&inventory, &Snapshot::from_bytes(b"")).unwrap();
            state.handles.ledger.live();
            open(kept(&state)).1.is_some()
        };
        assert!(is_found(|_| {}));
        assert!(!is_found(|inventory| inventory.version = 2));
        assert!(!is_found(|inventory| inventory.ledger ^= 2));
        assert!(is_found(|_| {}));
        state.handles.ledger.void();
        assert!(open(kept(&state)).1.is_none());
        assert!(open(kept(&state).drain(1..).collect()).1.is_none(), "a store without its ledger");
    }
}
