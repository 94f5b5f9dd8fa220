//! TODO

pub mod checksum;
pub mod datagram;
pub mod esp;
pub mod icmp;
pub mod ip;
pub mod tcp;
pub mod udp;
pub mod vnet;
