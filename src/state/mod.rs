//! What outlives the process: the engine's snapshot, the ledger of sequence numbers, and the list
//! of descriptors that somebody else keeps for us.
//!
//! ```text
//!                     process 1                        keeper                        process 2
//!   FDSTORE=1: store, ledger, ike, tun-*, lane-* ──>  (holds them)  ──> LISTEN_FDS ──> inheritance
//!   store   <── inventory + snapshot, before anything is sent                              ──> read once
//!   ledger  <── ceilings, before a number is used                                       ──> where each SA goes on
//! ```
//!
//! The keeper is systemd's file descriptor store, or any small supervisor that speaks its protocol.
//! Devices and sockets go on existing in between: the kernel queues for them, addresses and routes
//! stay, and packets are late, not lost.
//!
//! **A crash is a lost packet.** What the engine decided is stored before any of it leaves, so a
//! successor knows all that a peer can know. A store that is torn is the one before it.
//!
//! **No number twice.** Sending halves go on at the ledger's ceiling, receiving halves take all
//! below theirs for seen. After a planned hand-over both are exact, because the last process
//! stopped its lanes first and said so ([`Ledger::park`]); whoever reads that takes the word away
//! in the same instruction, so it can be believed once.
//!
//! **Whom a state may not bring down.** A store that does not read, is of another version or
//! another boot, or that killed those who took it up three times in a row, is put aside: a cold
//! start with INITIAL_CONTACT.
//!
//! **Keys** are in the store, so it is memory without a name that only this user's processes (and
//! root) could open anew, sealed in length, and wiped where a shorter record takes the place of a
//! longer one. It does not reach a disk unless memory is swapped out; it ends with the keeper's
//! copy. Whoever has the store can read all traffic of the SAs in it, and pretend to be either end
//! of them until they are replaced; the private key of the certificate is not in it.
//!
//! | file | noun |
//! |---|---|
//! | [`estate`] | all of it together, as the daemon has it |
//! | [`inventory`] | what the daemon needs beside the engine's snapshot |
//! | [`keeper`] | who keeps descriptors, and the way to it |
//! | [`ledger`] | ceilings of sequence numbers |
//! | [`store`] | two slots, of which one is always whole |

pub mod fd_store;
pub mod inventory;
pub mod ledger;
pub mod persistent;
pub mod store;

pub use fd_store::Keeper;
pub use inventory::Inventory;
pub use ledger::{Ledger, SaDirection};
pub use persistent::{Handles, PersistentState, Recovered};
