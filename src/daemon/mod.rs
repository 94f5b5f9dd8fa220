//! The service: sockets, timers, devices and routes around the IKEv2 engine and the lanes.
//!
//! ```text
//!   UDP 500 and 4500 ─── sockets ────┐             ┌──────────┐             ┌─> sockets: IKE messages
//!   lanes' threads ───── events ─────┤             │ Endpoint │             ├─> tunnels: SAs in lanes, devices
//!   deadlines of the engine ─────────┼─> Service ──│ (engine) │── outputs ──┤
//!   control socket ───── commands ───┤             └──────────┘  in order   ├─> routes (netlink)
//!   signals, netlink, name look-ups ─┘                                      └─> status and log
//! ```
//!
//! **One thread decides.** `Service` (in `service.rs`, which has the whole loop on one page) is one
//! task on a current-thread runtime, and everything that the task waits for is a channel or a
//! socket. Packets do not pass through this task: each tunnel's lane ([`crate::dataplane`]) moves
//! packets in two threads of its own.
//!
//! **The order of work.** After each input the service stores its state, and then carries out all
//! outputs of the engine in their order, with nothing in between: an SA is in the lane's tables
//! before the message leaves that makes the peer use the SA.
//!
//! **One broken connection does not stop the others.** A file, a name or a device that is not in
//! order is a problem of that tunnel alone: the status shows the problem, and the service tries
//! again.
//!
//! | to find | open | what lives there |
//! |---|---|---|
//! | the loop | `service.rs` | `Service`: inputs, storing the state, carrying out outputs; [`run`], [`Options`], [`Signal`] |
//! | how a tunnel is brought up | `bring_up.rs` | a connection from its settings to peers that the engine can dial; name look-ups and retries |
//! | a control command | [`control`] | the control socket; `control/handler.rs` has one method for each command |
//! | the command `reload` | `reload.rs` | what a new configuration changes in a running service |
//! | restarts, crashes, the end | `handover.rs` | going on from a former process, handing over to the next one, DELETEs at a stop |
//! | a connection | `connection.rs` | `RunningConnection`: settings, peers and routes of one connection |
//! | a peer | [`peer`] | [`peer::ServicePeer`]: one tunnel of a connection with its gateway |
//! | what is wrong with a tunnel | `problem.rs` | the problems that the status and the log show |
//! | peers without credentials | `no_credentials.rs` | removed connections, and connections with unreadable certificate files |
//! | a tunnel's data plane | [`tunnel`] | [`tunnel::RunningTunnel`]: device, lane and child SAs of one tunnel |
//! | a child SA | [`child`], [`traffic`] | one pair of SAs with what the status shows; packets and bytes |
//! | the TUN device | [`device`] | [`device::DevicePlan`]: name, addresses and MTU of a tunnel's device |
//! | routes | [`routes`] | routes that come and go with tunnels; rules that keep outer packets out of tunnels |
//! | IKE's sockets | [`sockets`] | UDP 500 and 4500, sending and receiving |
//! | name look-ups | [`resolver`] | addresses of gateways that are configured by name |
//! | changes of the host | `host_changes.rs` | links, addresses, the wall clock, sleep |
//! | `s2sd status` | [`status`], [`ike_status`] | the status document; the state of a tunnel's IKE side |
//! | `s2sd explain` | [`explain`](mod@explain) | the last refusal of a tunnel with its remedy |
//! | files of the configuration | [`files`] | reading files and systemd credentials |
//! | private keys | [`signer`] | the signing process, and the service's end of it |
//! | systemd | `systemd.rs` | ready, reloading, status line, watchdog |

mod bring_up;
pub mod child;
mod connection;
pub mod control;
pub mod device;
pub mod explain;
pub mod files;
mod handover;
mod host_changes;
pub mod ike_status;
mod no_credentials;
pub mod peer;
mod reload;
pub mod resolver;
pub mod routes;
pub mod service;
pub mod signer;
pub mod sockets;
pub mod status;
mod systemd;
pub mod traffic;
pub mod tunnel;

pub use service::{Options, Signal, run};
