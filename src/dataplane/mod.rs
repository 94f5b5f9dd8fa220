//! Packets in, packets out: one lane a tunnel, two straight loops a lane.
//!
//! ```text
//! egress:   device read (<= 64 KiB super-packet) -> divide into the send buffer -> seal in place -> one GSO send
//! ingress:  GRO receive -> open in place -> check -> join -> one gathered device write
//! ```
//!
//! Nothing here knows IKE: control reaches a lane through [`Change`] values and hears of it through
//! [`LaneEvent`]s. A packet costs no lock, no allocation and no channel; what is not needed for
//! each packet is done once a batch.
//!
//! | file | noun |
//! |---|---|
//! | [`batch`] | the send buffer, and runs of equal packets in it |
//! | [`change`] | how control changes the tables |
//! | [`coalesce`] | joining packets of a flow for the device |
//! | [`counters`] | numbers of one lane |
//! | [`ecn`] | congestion marks and service classes between inner and outer headers |
//! | [`egress`] | device to peer, without descriptors |
//! | [`event`] | what a lane tells control |
//! | [`icmp`] | "too big", said inward |
//! | [`ingress`] | peer to device, without descriptors |
//! | [`lane`] | the two threads of a tunnel, with the descriptors |
//! | [`mtu`] | what fits a path |
//! | [`outage`] | packets that do not leave, and why |
//! | `port` | the descriptors, as the loops see them, and what follows when they refuse |
//! | [`rate`] | a token bucket |
//! | [`segment`] | dividing super-packets |
//! | [`setback`] | calls that fail and should not: pauses between tries |
//! | [`tables`] | what a lane forwards by |
//!
//! Memory of a lane, besides its two stacks and SAs: 160 KiB send buffer, 256 KiB receive arena, 64
//! KiB device buffer and 20 KiB of frames: half a megabyte, and 8 MiB of the kernel's at most for
//! packets that wait in the socket.

mod backoff;
pub mod batch;
pub mod change;
pub mod coalesce;
pub mod counters;
pub mod ecn;
pub mod egress;
pub mod event;
pub mod icmp;
pub mod ingress;
pub mod lane;
mod loops;
pub mod mtu;
mod outage;
mod port;
pub mod segment;
mod shared;
pub mod tables;

pub use change::{Change, Forwarding};
pub use counters::LaneCounters;
pub use event::LaneEvent;
pub use lane::Lane;
pub use shared::LaneParts;
pub use tables::{InboundSa, OutboundSa, Rules, Tables};

#[cfg(test)]
mod tests;
