//! What outlives the process: the engine's snapshot, the ledger of sequence numbers, and the
//! descriptors that a file descriptor store keeps.
//!
//! ```text
//!                     process 1                   file descriptor store                process 2
//!   FDSTORE=1: store, ledger, ike, tun-*, lane-* ──>  (keeps them) ──> LISTEN_FDS ──> inherited
//!   store   <── inventory + snapshot, before anything is sent                    ──> read once
//!   ledger  <── ceilings, before a number is used                                ──> next numbers
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`persistent`] | [`PersistentState`]: all of it; [`Recovered`]: what the next process gets |
//! | [`store`] | [`store::Store`]: two slots for snapshots, of which one is always complete |
//! | [`inventory`] | [`Inventory`]: the daemon's part of a snapshot |
//! | [`ledger`] | [`Ledger`]: sequence-number ceilings: no GCM nonce twice, even over a crash |
//! | [`fd_store`] | [`FdStore`]: the file descriptor store of systemd, and the names in it |
//!
//! The file descriptor store is systemd's, or that of any small supervisor that speaks the same
//! protocol. Devices and sockets exist on between two processes: the kernel queues for them,
//! addresses and routes stay, and packets come late instead of being lost.
//!
//! **A crash is a lost packet.** What the engine decided is stored before any of it leaves, so the
//! next process knows all that a peer can know. A write that a crash interrupted leaves the
//! snapshot before it.
//!
//! **No sequence number twice.** After a crash a sending half goes on at the ledger's ceiling, and
//! a receiving half treats all numbers below its ceiling as received. After a planned hand-over
//! both are exact, because the last process stopped its lanes first and marked the snapshot
//! ([`Ledger::park`]). The process that reads the mark clears the mark in the same instruction, so
//! exact positions are used once.
//!
//! **A bad state must not keep the service down.** A stored state is not used, and every tunnel is
//! dialled anew with INITIAL_CONTACT (RFC 7296 §2.4), if the state cannot be read, is of another
//! version or another boot, or killed the processes that recovered it three times in a row.
//!
//! **Keys** are in the store. The store is therefore memory without a name, which only processes of
//! this user (and root) could open, sealed in length; a shorter snapshot that replaces a longer one
//! wipes the rest. The store reaches no disk unless memory is swapped out, and ends with the copy
//! in the file descriptor store. Whoever has the store can read all traffic of the SAs in it, and
//! can impersonate either end of those SAs until the SAs are replaced. The private key of the
//! certificate is not in the store.

pub mod fd_store;
pub mod inventory;
pub mod ledger;
pub mod persistent;
pub mod store;

pub use fd_store::FdStore;
pub use inventory::Inventory;
pub use ledger::{Ledger, SaDirection};
pub use persistent::{Handles, PersistentState, Recovered};
