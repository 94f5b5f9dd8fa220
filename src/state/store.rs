//! The store of snapshots: two slots in memory that outlives the process, written in turn. A crash
//! in the middle of a write leaves the other slot with the snapshot before.
//!
//! ```text
//! slot:  magic (8) | generation (8) | length (8) | digest (32) | content
//!        the digest is SHA-256 of generation, length and content
//! ```
//!
//! **Out of the swap.** The content has session keys. A process that has a store keeps what was
//! written to it in memory, under RLIMIT_MEMLOCK; where that is too little, the log says so once
//! and the store is used all the same. Between two processes nobody can.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ring::digest::{Context, SHA256};
use tracing::warn;
use zeroize::Zeroizing;

use crate::sys::memfd::{self, LockablePages};

/// The size of a slot in octets. Pages that were never written take no memory.
const SLOT: u64 = 64 << 20;
const MAGIC: [u8; 8] = *b"s2sd-st1";
const HEADER: usize = 56;

/// The two slots.
#[derive(Debug)]
pub struct Store {
    file: File,
    /// The generation of the newest content.
    generation: u64,
    /// How many octets each slot holds with its header: what the next content does not cover is
    /// wiped, because it holds keys.
    lengths: [usize; 2],
    /// The mapping that keeps the content out of the swap; `None` once that failed.
    pages: Option<LockablePages>,
    /// How many octets of each slot are kept out of the swap.
    locked: [usize; 2],
}

/// The content of a slot.
#[derive(Debug)]
pub struct Stored {
    /// The number of the content: each `put` counts one up.
    pub generation: u64,
    /// The stored octets, keys among them.
    pub content: Zeroizing<Vec<u8>>,
}

impl Store {
    /// Creates an empty store.
    pub fn create() -> io::Result<Store> {
        let file = memfd::create("s2sd-store", 2 * SLOT)?;
        Ok(Store::over(file, 0, [0; 2]))
    }

    /// Opens the store of a former process, and reads the newest complete content.
    pub fn adopt(file: File) -> io::Result<(Store, Option<Stored>)> {
        if !memfd::is_ours(&file, 2 * SLOT) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory is not a store of s2sd",
            ));
        }
        let [first, second] = [read(&file, 0)?, read(&file, 1)?];
        let length = |slot: &Option<Stored>| slot.as_ref().map_or(0, |s| HEADER + s.content.len());
        let lengths = [length(&first), length(&second)];
        let newest = [first, second].into_iter().flatten().max_by_key(|slot| slot.generation);
        let generation = newest.as_ref().map_or(0, |newest| newest.generation);
        let mut store = Store::over(file, generation, lengths);
        lengths.into_iter().enumerate().for_each(|(slot, length)| store.lock(slot, length));
        Ok((store, newest))
    }

    fn over(file: File, generation: u64, lengths: [usize; 2]) -> Store {
        let pages = LockablePages::map(&file, 2 * SLOT);
        let pages = pages.inspect_err(warn_of_swap).ok();
        Store { file, generation, lengths, pages, locked: [0; 2] }
    }

    /// Keeps the first octets of a slot out of the swap, from now on.
    fn lock(&mut self, slot: usize, length: usize) {
        let Some(pages) = self.pages.as_ref().filter(|_| length > self.locked[slot]) else {
            return;
        };
        let at = usize::try_from(offset(slot)).map_err(io::Error::other);
        match at.and_then(|at| pages.lock(at, length)) {
            Ok(()) => self.locked[slot] = length,
            Err(error) => {
                warn_of_swap(&error);
                self.pages = None;
            }
        }
    }

    /// The descriptor, for the file descriptor store.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Stores content in the slot with the older content, and returns the new generation.
    pub fn put(&mut self, parts: &[&[u8]]) -> io::Result<u64> {
        // The last number is never given: a slot with that number was not written by this code.
        let next = self.generation.checked_add(1).filter(|next| *next < u64::MAX);
        let generation =
            next.ok_or_else(|| io::Error::other("the store has no generation number left"))?;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER + length));
        bytes.extend(MAGIC);
        bytes.extend(generation.to_be_bytes());
        bytes.extend(u64::try_from(length).map_err(io::Error::other)?.to_be_bytes());
        let digest = digest(&bytes[8..24], parts);
        bytes.extend(digest);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let (slot, end) = (index(generation), bytes.len());
        if u64::try_from(end).map_err(io::Error::other)? > SLOT {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the state is larger than a slot of the store",
            ));
        }
        self.lock(slot, end);
        memfd::write_at(&self.file, &bytes, offset(slot))?;
        let stale = self.lengths[slot].saturating_sub(end);
        memfd::write_at(&self.file, &vec![0; stale], offset(slot) + end as u64)?;
        (self.generation, self.lengths[slot]) = (generation, end);
        Ok(generation)
    }
}

fn warn_of_swap(error: &io::Error) {
    warn!(
        "the session keys that a restart takes over may be written to the swap: {error}; the service needs LimitMEMLOCK=infinity (docker: --ulimit memlock=-1)"
    );
}

fn index(generation: u64) -> usize {
    usize::from(generation % 2 == 1)
}

fn offset(slot: usize) -> u64 {
    SLOT * slot as u64
}

/// The content of a slot; `None` when the slot is empty or torn.
fn read(file: &File, slot: usize) -> io::Result<Option<Stored>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, offset(slot))?;
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
    let (generation, length) = (word(8), word(16));
    let fits = length <= SLOT - HEADER as u64;
    // No generation follows the last number, so that content could not be replaced.
    if header[..8] != MAGIC || !fits || index(generation) != slot || generation == u64::MAX {
        return Ok(None);
    }
    let mut content = Zeroizing::new(vec![0; usize::try_from(length).map_err(io::Error::other)?]);
    file.read_exact_at(&mut content, offset(slot) + HEADER as u64)?;
    let whole = digest(&header[8..24], &[&content]) == header[24..];
    Ok(whole.then_some(Stored { generation, content }))
}

fn digest(numbers: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(numbers);
    parts.iter().for_each(|part| context.update(part));
    let digest = context.finish();
    std::array::from_fn(|i| digest.as_ref()[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(store: &Store) -> Option<(u64, Vec<u8>)> {
        let (_, stored) = Store::adopt(store.file.try_clone().unwrap()).unwrap();
        stored.map(|stored| (stored.generation, stored.content.to_vec()))
    }

    #[test]
    fn the_last_content_is_found_whatever_came_before() {
        let mut store = Store::create().unwrap();
        assert_eq!(held(&store), None);
        for (generation, content) in (1..).zip(["one", "", "a longer third", "4"]) {
            let (head, tail) = content.split_at(content.len() / 2);
            assert_eq!(store.put(&[head.as_bytes(), tail.as_bytes()]).unwrap(), generation);
            assert_eq!(held(&store), Some((generation, content.as_bytes().to_vec())));
        }
        let (mut next, _) = Store::adopt(store.file.try_clone().unwrap()).unwrap();
        assert_eq!(next.put(&[b"five"]).unwrap(), 5);
    }

    #[test]
    fn a_torn_write_leaves_the_slot_before_it() {
        let mut store = Store::create().unwrap();
        store.put(&[b"whole"]).unwrap();
        store.put(&[&[7; 300]]).unwrap();
        let mut written = vec![0; HEADER + 300];
        store.file.read_exact_at(&mut written, offset(0)).unwrap();
        for torn in 0..written.len() {
            // So much of the third content had arrived over the first.
            let mut third = written.clone();
            third[15] = 4;
            let mut slot = vec![0; written.len()];
            slot[..torn].copy_from_slice(&third[..torn]);
            store.file.write_all_at(&slot, offset(0)).unwrap();
            assert_eq!(held(&store), Some((1, b"whole".to_vec())), "torn at {torn}");
        }
    }

    #[test]
    fn a_shorter_content_wipes_what_it_does_not_cover() {
        let mut store = Store::create().unwrap();
        store.put(&[&[0x5a; 1000]]).unwrap();
        let (mut store, _) = Store::adopt(store.file.try_clone().unwrap()).unwrap();
        store.put(&[b"b"]).unwrap();
        store.put(&[b"c"]).unwrap();
        let mut all = vec![0; 2000];
        store.file.read_exact_at(&mut all, offset(1)).unwrap();
        assert!(!all.contains(&0x5a));
    }

    /// KiB of the mappings of memfds with this inode that are locked (proc_pid_smaps(5)).
    fn locked(store: &Store) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let inode = store.file().metadata().unwrap().ino().to_string();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut is_it, mut sum) = (false, 0);
        for line in maps.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [range, _, _, _, found, ..] if range.contains('-') => is_it = found == inode,
                ["Locked:", count, _] if is_it => sum += count.parse::<u64>().unwrap(),
                _ => {}
            }
        }
        sum
    }

    #[test]
    fn what_is_stored_is_kept_out_of_the_swap_by_every_process_that_has_it() {
        let mut store = Store::create().unwrap();
        assert_eq!(locked(&store), 0, "and what is empty takes no memory");
        for (content, pages) in [(100, 4), (10_000, 16), (20, 16), (50_000, 56)] {
            store.put(&[&vec![7; content]]).unwrap();
            assert!(locked(&store) >= pages, "{content}: {} KiB", locked(&store));
        }
        let (next, _) = Store::adopt(store.file.try_clone().unwrap()).unwrap();
        drop(store);
        assert!(locked(&next) >= 56, "{} KiB", locked(&next));
    }

    #[cfg(feature = "faults")]
    #[test]
    fn a_store_that_cannot_be_locked_is_used_all_the_same() {
        crate::sys::fault::here("mlock:ENOMEM", |_| {
            let mut store = Store::create().unwrap();
            for generation in 1..4 {
                assert_eq!(store.put(&[b"keys"]).unwrap(), generation);
                assert_eq!(
                    (locked(&store), held(&store)),
                    (0, Some((generation, b"keys".to_vec())))
                );
            }
        });
    }

    #[test]
    fn other_memory_is_no_store() {
        assert!(Store::adopt(memfd::create("test", 64).unwrap()).is_err());
    }
}
