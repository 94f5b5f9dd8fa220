//! The data plane: packets from the tunnel device to the peer and back, without any knowledge of
//! IKE. One [`Lane`] is one tunnel: a device, a socket, two threads, each a straight loop.
//!
//! # A packet's way out (egress)
//!
//! ```text
//! application
//!    |   route into the tunnel device
//!    v
//! Tun::read            a frame: virtio-net header, then a packet or, with    loops.rs
//!    v                 TSO and USO, a super-packet of up to 64 KiB
//! IpHeader::parse      not IP? drop `not_ip`                                 egress.rs
//!    v
//! InnerNetworks::carry of this link or host only? drop `link_only`           networks.rs
//!    v
//! outbound_for         the newest SA whose selectors cover the packet        tables.rs
//!    |                 none? drop `no_sa`, event Wanted
//!    v
//! path MTU, MSS        too large? drop `too_big`, ICMP error to the sender   mtu.rs, icmp.rs
//!    v
//! Segments             a super-packet is divided into the send buffer        segment.rs
//!    v
//! Outbound::reserve    sequence numbers of the lease; none? `numbers_spent`  esp/lease.rs
//! Outbound::seal       encrypted in place                                    esp/outbound.rs
//! Batch::commit        equal packets in a row form a run                     batch.rs
//!    v
//! EspSocket::send      one GSO send a run; errors become drop reasons        port.rs
//! ```
//!
//! # A packet's way in (ingress)
//!
//! ```text
//! EspSocket::receive   several datagrams joined by GRO                       loops.rs
//!    v
//! Classified           IKE goes to control, a NAT keepalive ends here        ingress.rs
//!    v
//! inbound_for          the SA of the SPI; none? drop `unknown_spi`           tables.rs
//!    v
//! Inbound::open        anti-replay window, decryption in place, window moved esp/inbound.rs
//!    v
//! InboundSa::allows    outside the traffic selectors? drop `bad_selector`    tables.rs
//!    v
//! InnerNetworks::check a foreign source or destination? drop `bad_source`    networks.rs
//!    v
//! ECN, MSS             congestion marks copied inward, SYN clamped           ecn.rs, egress.rs
//!    v
//! Coalescer            packets of one flow joined into a super-packet        coalesce.rs
//!    v
//! Tun::write           one gathered write a frame; refused? drop `device_full`port.rs
//! ```
//!
//! Control reaches a lane through [`Change`] values and hears from it through [`LaneEvent`]s. A
//! packet costs no contended lock, no allocation and no channel; what is not needed for each packet
//! is done once a batch.
//!
//! | file | what lives there |
//! |---|---|
//! | `backoff` | pauses between tries of a system call that fails |
//! | `batch` | the send buffer, and runs of equal packets in it |
//! | `change` | what control may change: SAs and rules, make before break |
//! | [`coalesce`] | joining received packets of one flow for the device |
//! | [`counters`] | the counters of one lane |
//! | `ecn` | congestion marks and DSCP between inner and outer headers |
//! | [`egress`] | device to peer, without descriptors |
//! | `event` | what a lane tells control |
//! | [`icmp`] | the ICMP errors "fragmentation needed" and "packet too big", sent inward |
//! | [`ingress`] | peer to device, without descriptors |
//! | `lane` | one tunnel at work: start, stop, what its owner may ask |
//! | `loops` | the loops of the two threads, over the descriptors |
//! | [`mtu`] | path MTU: what fits, and the TCP segment size that follows |
//! | `networks` | the addresses between which the peer may send, and what is of one link only |
//! | `outage` | why packets cannot be sent, as long as that lasts |
//! | `path` | what a lane believes of the path MTU, and on whose word |
//! | `port` | the descriptors as the loops use them, and what follows from an error of sending |
//! | [`segment`] | dividing super-packets |
//! | `shared` | what both threads of a lane and its owner share |
//! | `tables` | what a lane forwards by: SAs with their traffic selectors, and rules |
//!
//! Memory of a lane, besides two stacks and the SAs: 160 KiB send buffer, 256 KiB receive arena,
//! 64 KiB device buffer and 20 KiB of frames, half a megabyte in all. The kernel holds at most
//! 8 MiB more for packets that wait in the socket.

mod backoff;
mod batch;
mod change;
pub mod coalesce;
pub mod counters;
mod ecn;
pub mod egress;
mod event;
pub mod icmp;
pub mod ingress;
mod lane;
mod loops;
pub mod mtu;
mod networks;
mod outage;
mod path;
mod port;
pub mod segment;
mod shared;
mod tables;

pub use change::{Change, Forwarding};
pub use counters::LaneCounters;
pub use event::LaneEvent;
pub use lane::Lane;
pub use networks::InnerNetworks;
pub use shared::LaneParts;
pub use tables::{InboundSa, OutboundSa, Rules, Tables};

#[cfg(test)]
mod tests;
