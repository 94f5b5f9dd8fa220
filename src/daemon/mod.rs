//! The service: sockets, timers and devices around the engine and the lanes.
//!
//! ```text
//!   UDP 500, 4500 ── sockets ──┐                                        ┌──> sockets (IKE messages)
//!   lanes' threads ── events ──┤            ┌ Endpoint ┐                ├──> tunnels: tables of lanes, devices
//!   deadline of the engine ────┼── Shell ──>│  outputs │── in order ────┤
//!   control socket ── tasks ───┤            └──────────┘                ├──> routes (netlink)
//!   signals, names, files ─────┘                                        └──> records (status, log)
//! ```
//!
//! **One thread decides.** The shell is one task on a current-thread runtime; everything that can
//! be waited for is a channel into it. Packets do not come by here: each tunnel's lane moves them
//! in two threads of its own.
//!
//! **The order of work.** After each input all outputs of the engine are carried out in their
//! order, and nothing else happens in between: an SA is in the lane's tables before the message
//! leaves that makes the peer use it.
//!
//! **One broken connection does not stop the others.** What can go wrong with one (a file, a name,
//! a device) is an obstacle of that tunnel alone: the status shows it, and it is looked at again.
//!
//! | file | noun |
//! |---|---|
//! | [`child`], [`plan`], [`traffic`], [`tunnel`] | a tunnel's packets: device, lane, SAs |
//! | [`control`], `wishes` | the control socket, and what is wished over it |
//! | `departed` | peers without credentials: gone, or with files that do not read |
//! | [`explain`], [`status`] | what is shown to people and programs |
//! | `link` | a connection with its tunnels and routes |
//! | [`manager`] | what the service manager is told |
//! | [`member`] | a tunnel with its peer: what is wanted, what is in the way |
//! | [`names`] | addresses of gateways that are known by name |
//! | [`files`] | the files that a configuration names |
//! | `handover` | restarts that nobody notices, and the end that everybody is told of |
//! | [`record`] | what is known of a tunnel's IKE side |
//! | `reload` | a new configuration for a running service |
//! | [`routes`] | routes that come and go with tunnels |
//! | [`shell`] | the loop |
//! | [`signer`] | the process with the private keys |
//! | [`sockets`] | IKE's sockets |
//! | `surroundings` | links, addresses and clocks that change |

mod child;
mod connection;
pub mod control;
mod device;
pub mod explain;
pub mod files;
mod handover;
mod host_changes;
mod ike_status;
pub mod manager;
mod no_credentials;
mod peer;
mod problem;
mod reload;
pub mod resolver;
mod routes;
pub mod service;
pub mod signer;
mod sockets;
pub mod status;
mod traffic;
mod tunnel;

pub use service::{Options, Signal, run};
