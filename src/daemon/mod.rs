//! The service: sockets, timers, devices and routes around the IKEv2 engine and the lanes.
//!
//! ```text
//!   UDP 500 and 4500 ── sockets ───┐            ┌──────────┐            ┌─> sockets: IKE messages
//!   lanes' threads ──── events ────┤            │ Endpoint │            ├─> tunnels: SAs in lanes
//!   deadlines of the engine ───────┼─> Service ─│ (engine) │─ outputs ──┤
//!   control socket ──── commands ──┤            └──────────┘  in order  ├─> routes (netlink)
//!   signals, netlink, look-ups ────┘                                    └─> status and log
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
//! | the loop | `service.rs` | `Service` and [`run`]: inputs, storing, carrying out outputs |
//! | how a tunnel is brought up | `bring_up.rs` | from settings to peers that can be dialled |
//! | a control command | [`control`] | the socket; one method for each command in `handler.rs` |
//! | the command `reload` | `reload.rs` | what a new configuration changes in a running service |
//! | restarts, crashes, the end | `handover.rs` | recovery, handing over, stop |
//! | a connection | `connection.rs` | `RunningConnection`: settings, peers, routes |
//! | a peer | [`peer`] | `ServicePeer`: one tunnel with its gateway |
//! | what is wrong with a tunnel | `problem.rs` | the problems that the status and the log show |
//! | peers without credentials | `no_credentials.rs` | of removed or unreadable connections |
//! | a tunnel's data plane | [`tunnel`] | `RunningTunnel`: device, lane and child SAs |
//! | a child SA | [`child`], [`traffic`] | one pair of SAs; packets and bytes |
//! | the TUN device | [`device`] | `DevicePlan`: name, addresses and MTU |
//! | routes | [`routes`] | routes into tunnels; rules for outer packets |
//! | unreachable routes | [`mod@unreachable`] | nothing leaves in clear while no tunnel is up |
//! | IKE's sockets | [`sockets`] | UDP 500 and 4500, sending and receiving |
//! | name look-ups | `resolver.rs` | addresses of gateways that are configured by name |
//! | changes of the host | `host_changes.rs` | links, addresses, the wall clock, sleep |
//! | `s2sd status` | [`status`], [`ike_status`] | the document; a tunnel's IKE side |
//! | `s2sd explain` | `explain.rs` | the last refusal of a tunnel with its remedy |
//! | files of the configuration | `files.rs` | reading files and systemd credentials |
//! | the credentials of the unit | `unit_credentials.rs` | where a command finds them |
//! | revocation lists | `crl_watch.rs` | CRL files that are replaced while the service runs |
//! | private keys | [`signer`] | the signing process, and the service's end of it |
//! | systemd | `systemd.rs` | ready, reloading, status line, watchdog |

mod bring_up;
mod child;
mod connection;
pub mod control;
mod crl_watch;
mod device;
pub(crate) mod explain;
pub(crate) mod files;
mod handover;
mod host_changes;
mod ike_status;
mod no_credentials;
mod peer;
mod problem;
mod reload;
mod resolver;
mod routes;
mod service;
pub mod signer;
mod sockets;
pub mod status;
mod systemd;
mod traffic;
mod tunnel;
mod unit_credentials;
mod unreachable;

pub use service::{Options, Signal, run};
