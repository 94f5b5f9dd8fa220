//! The probes: each asks one thing, of this host or of the network, with few packets and a bounded
//! wait.
//!
//! | file | noun |
//! |---|---|
//! | [`knock`], [`offer`] | IKE_SA_INIT as a question, and what is offered in it |
//! | [`caller`] | a gateway's port, asked over a socket |
//! | [`tap`] | what the wire shows ahead of this host's firewall |
//! | [`echo`], [`search`] | pings through a tunnel; the largest that passes |
//! | [`host`] | addresses, ways and clocks of this host |

pub mod echo;
pub mod host;
pub mod ike_probe;
pub mod offer;
pub mod port_probe;
pub mod search;
pub mod sniffer;
