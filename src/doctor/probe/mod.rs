//! The probes: each observes one thing of this host or of the network, with few packets and a
//! bounded wait.
//!
//! | file | what lives there |
//! |---|---|
//! | [`ike_probe`] | the IKE_SA_INIT request of a probe, and the meaning of its response |
//! | [`offer`] | the proposals that a probe offers: ours, ours with any group, everything |
//! | [`port_probe`] | sends probes to UDP port 500 or 4500 of a gateway and waits for answers |
//! | [`sniffer`] | a packet socket that sees IKE messages ahead of this host's firewall |
//! | [`echo`] | ICMP echo through the tunnel |
//! | [`search`] | binary search for the largest packet that passes: path MTU |
//! | [`host`] | this host's addresses, routes and clocks |

pub(crate) mod echo;
pub(crate) mod host;
pub(crate) mod ike_probe;
pub(crate) mod offer;
pub(crate) mod port_probe;
pub(crate) mod search;
pub(crate) mod sniffer;
