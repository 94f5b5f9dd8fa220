//! Packets and frames as the data plane reads and rewrites them.
//!
//! | file | what |
//! |---|---|
//! | [`ip`] | IPv4 and IPv6 headers, fragments and extension headers included |
//! | [`tcp`], [`udp`], [`icmp`] | the headers behind them; clamping of the TCP segment size (MSS) |
//! | [`checksum`] | the Internet checksum that all of these share |
//! | [`esp`] | the ESP packet (RFC 4303): header, padding, trailer |
//! | [`datagram`] | NAT traversal (RFC 3948): ESP, IKE or keepalive on port 4500 |
//! | [`vnet`] | the virtio-net header of a frame at the tunnel device: offloads |

pub mod checksum;
pub mod datagram;
pub mod esp;
pub mod icmp;
pub mod ip;
pub mod tcp;
pub mod udp;
pub mod vnet;
