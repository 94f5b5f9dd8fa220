//! All that outlives the process, together: found at the start, kept up to date, left at the end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use tracing::{info, warn};

use super::fd_store::{Keeper, LEDGER, STORE};
use super::inventory::{Inventory, VERSION};
use super::ledger::Ledger;
use super::store::{Store, Stored};
use crate::ike::Snapshot;
use crate::rng::Rng;

/// Processes that may take a state up and die before it is put aside.
const MOST_ATTEMPTS: u64 = 3;

/// What the parts of the data plane need of it.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Who keeps descriptors.
    pub keeper: Keeper,
    /// Where sequence numbers are written down.
    pub ledger: Ledger,
}

/// All of it.
#[derive(Debug)]
pub struct PersistentState {
    /// What the parts of the data plane need.
    pub keeping: Handles,
    store: Store,
    inherited: Vec<(String, OwnedFd)>,
    /// Why what is stored is not how things are.
    hitch: Option<String>,
}

/// What a former process left.
#[derive(Debug)]
pub struct Recovered {
    /// What the daemon needs. Its positions are there only if they are exact.
    pub inventory: Inventory,
    /// What the engine needs.
    pub snapshot: Snapshot,
    /// Whether it handed over; else it died.
    pub planned: bool,
}

impl PersistentState {
    /// Takes up what was inherited, or begins anew.
    pub fn open(
        keeper: Keeper,
        mut inherited: Vec<(String, OwnedFd)>,
        rng: &mut dyn Rng,
    ) -> io::Result<(PersistentState, Option<Recovered>)> {
        let (store, ledger) = (draw(&mut inherited, STORE), draw(&mut inherited, LEDGER));
        if let (Some(store), Some(ledger)) = (store, ledger) {
            match take_up(File::from(store), File::from(ledger)) {
                Ok((store, ledger, found)) => {
                    let keeping = Handles { keeper, ledger };
                    return Ok((
                        PersistentState { keeping, store, inherited, hitch: None },
                        Some(found),
                    ));
                }
                Err(why) => warn!("what a former process left is put aside: {why}"),
            }
        }
        let made = Store::create().and_then(|store| Ok((store, Ledger::create(rng)?)));
        let (store, ledger) = made.map_err(|error| {
            let what = format!("the memory that outlives the process cannot be had: {error}");
            io::Error::new(error.kind(), what)
        })?;
        for name in [STORE, LEDGER] {
            keeper.forget(name);
        }
        keeper.keep(STORE, store.file());
        keeper.keep(LEDGER, &ledger.fd());
        let keeping = Handles { keeper, ledger };
        Ok((PersistentState { keeping, store, inherited, hitch: None }, None))
    }

    /// A descriptor that was kept under this name.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        draw(&mut self.inherited, name)
    }

    /// The names of what was kept and not taken.
    pub fn left(&self) -> Vec<String> {
        self.inherited.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether anything outlives us.
    pub fn is_kept(&self) -> bool {
        self.keeping.keeper.exists()
    }

    /// Why a successor would find nothing, as long as it is so.
    pub fn hitch(&self) -> Option<&str> {
        self.hitch.as_deref()
    }

    /// Stores how things are; whatever is decided may leave after this. What cannot be stored makes
    /// what was stored before void: a successor that knew less than the peers do would be worse
    /// than one that knows nothing. Tunnels go on meanwhile, and what is stored later counts again.
    pub fn put(&mut self, inventory: &Inventory, snapshot: &Snapshot) -> Option<u64> {
        let stored = serde_json::to_vec(inventory).map_err(io::Error::other).and_then(|text| {
            let length = (text.len() as u64).to_be_bytes();
            self.store.put(&[&length, &text, snapshot.expose()])
        });
        match stored {
            Ok(generation) => {
                if self.hitch.take().is_some() {
                    info!("the state is stored again");
                }
                Some(generation)
            }
            Err(error) => {
                self.keeping.ledger.void();
                if self.hitch.is_none() {
                    warn!(%error, "the state could not be stored: a restart now is a cold start");
                }
                self.hitch = Some(error.to_string());
                None
            }
        }
    }
}

fn take_up(store: File, ledger: File) -> Result<(Store, Ledger, Recovered), String> {
    let (store, stored) = Store::adopt(store).map_err(|error| error.to_string())?;
    let ledger = Ledger::adopt(ledger).map_err(|error| error.to_string())?;
    let Stored { generation, content } = stored.ok_or("nothing whole is in it")?;
    let attempts = ledger.attempt();
    if attempts > MOST_ATTEMPTS {
        return Err(format!(
            "it was taken up {MOST_ATTEMPTS} times, and the process died each time"
        ));
    }
    let planned = ledger.unpark(generation);
    let (length, rest) = content.split_first_chunk().ok_or("it is too short")?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|error| error.to_string())?;
    let (text, snapshot) = rest.split_at_checked(length).ok_or("it is too short")?;
    let mut inventory = read(text)?;
    if inventory.ledger != ledger.identity() {
        return Err("its ledger of sequence numbers is another one".to_owned());
    }
    if !planned {
        inventory.positions.clear();
    }
    info!(generation, planned, attempts, "taking up what a former process left");
    let snapshot = Snapshot::from_bytes(snapshot);
    Ok((store, ledger, Recovered { inventory, snapshot, planned }))
}

fn read(text: &[u8]) -> Result<Inventory, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let Head { version } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("it has version {version}, this s2sd reads {VERSION}"));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
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
        PersistentState::open(Keeper::default(), inherited, &mut SystemRng::default()).unwrap()
    }

    /// What the next process gets.
    fn kept(estate: &PersistentState) -> Inherited {
        let store = estate.store.file().try_clone().unwrap().into();
        let ledger = estate.keeping.ledger.fd().try_clone_to_owned().unwrap();
        vec![(LEDGER.into(), ledger), (STORE.into(), store)]
    }

    fn inventory(estate: &PersistentState) -> Inventory {
        let positions =
            vec![super::super::inventory::Position { child: 3, outbound: None, inbound: None }];
        let ledger = estate.keeping.ledger.identity();
        Inventory { version: VERSION, ledger, next_peer: 5, positions, ..Inventory::default() }
    }

    #[test]
    fn what_is_put_is_found_and_positions_only_after_a_planned_end() {
        let (mut estate, found) = open(Vec::new());
        assert!(found.is_none());
        let inventory = inventory(&estate);
        let generation = estate.put(&inventory, &Snapshot::from_bytes(b"keys")).unwrap();
        estate.keeping.ledger.park(generation);
        for planned in [true, false] {
            let found = open(kept(&estate)).1.unwrap();
            assert_eq!((found.planned, found.snapshot.expose()), (planned, &b"keys"[..]));
            assert_eq!(found.inventory.positions.len(), usize::from(planned));
            assert_eq!(found.inventory.next_peer, 5);
        }
    }

    #[cfg(feature = "faults")]
    #[test]
    fn what_could_not_be_stored_is_not_taken_up_and_what_is_stored_later_is() {
        let (mut estate, _) = open(Vec::new());
        let put = |estate: &mut PersistentState, faults: &str| {
            let inventory = inventory(estate);
            crate::sys::fault::here(faults, |_| {
                estate.put(&inventory, &Snapshot::from_bytes(b"keys")).is_some()
            })
        };
        let full = "store_write:ENOSPC";
        for (faults, is_found) in
            [("", true), (full, false), (full, false), ("", true), (full, false), ("", true)]
        {
            assert_eq!(put(&mut estate, faults), is_found);
            assert_eq!(estate.hitch().is_none(), is_found);
            estate.keeping.ledger.live();
            assert_eq!(open(kept(&estate)).1.is_some(), is_found);
        }
        assert!(put(&mut estate, full) || estate.hitch().unwrap().contains("No space left"));
    }

    #[cfg(feature = "faults")]
    #[test]
    fn without_memory_the_start_says_what_is_missing() {
        let error = crate::sys::fault::here("memfd:ENOMEM", |_| {
            let keeper = Keeper::default();
            PersistentState::open(keeper, Vec::new(), &mut SystemRng::default()).unwrap_err()
        });
        assert!(error.to_string().contains("memory that outlives the process"), "{error}");
    }

    #[test]
    fn a_state_that_kills_who_takes_it_up_is_put_aside() {
        let (mut estate, _) = open(Vec::new());
        estate.put(&inventory(&estate), &Snapshot::from_bytes(b"")).unwrap();
        for _ in 0..MOST_ATTEMPTS {
            assert!(open(kept(&estate)).1.is_some());
        }
        assert!(open(kept(&estate)).1.is_none());
        estate.keeping.ledger.live();
        assert!(open(kept(&estate)).1.is_some());
    }

    #[test]
    fn another_version_another_ledger_and_what_could_not_be_stored_are_put_aside() {
        let (mut estate, _) = open(Vec::new());
        let good = inventory(&estate);
        let mut is_found = |change: fn(&mut Inventory)| {
            let mut inventory = good.clone();
            change(&mut inventory);
            estate.put(&inventory, &Snapshot::from_bytes(b"")).unwrap();
            estate.keeping.ledger.live();
            open(kept(&estate)).1.is_some()
        };
        assert!(is_found(|_| {}));
        assert!(!is_found(|inventory| inventory.version = 2));
        assert!(!is_found(|inventory| inventory.ledger ^= 2));
        assert!(is_found(|_| {}));
        estate.keeping.ledger.void();
        assert!(open(kept(&estate)).1.is_none());
        assert!(open(kept(&estate).drain(1..).collect()).1.is_none(), "a store without its ledger");
    }
}
