//! Bytes to types and back. Decoding never panics and never trusts a length it has not checked.

pub mod checksum;
pub mod codes;
pub mod datagram;
pub mod esp;
pub mod icmp;
pub mod ip;
pub mod tcp;
pub mod udp;
