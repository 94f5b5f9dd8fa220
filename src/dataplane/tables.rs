//! What one lane forwards by: immutable once published, loaded once a batch.
//!
//! The running state of an SA is behind a mutex that only its lane takes, once a run of packets of
//! that SA: it is never contended, and it makes "one thread owns an SA" a thing the compiler knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mtu::OuterHeaders;
use crate::crypto::suite::Layout;
use crate::esp::{Counters, Inbound, Outbound};
use crate::wire::packet::icmp::IcmpHeader;
use crate::wire::packet::ip::{ICMP, ICMPV6, IpFragment, IpHeader, IpVersion, TCP, UDP};
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::{ChildSelectors, Tuple};
use crate::wire::spi::EspSpi;

/// Forwarding state of one tunnel.
#[derive(Clone, Debug)]
pub struct Tables {
    /// SAs to send on, newest first: the first that covers a packet takes it.
    pub outbound: Vec<Arc<OutboundSa>>,
    /// SAs to receive on, by SPI.
    pub inbound: Vec<Arc<InboundSa>>,
    /// What holds for all of them.
    pub rules: Rules,
}

/// What an operator set for a tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// What stands in front of ESP.
    pub encapsulation: OuterHeaders,
    /// The outer packet that the path is taken to carry until it says otherwise.
    pub outer_mtu: usize,
    /// The largest inner packet, whatever the path carries (Azure: 1400).
    pub inner_mtu: usize,
    /// The largest TCP segment, whatever the path carries (Azure: 1350).
    pub mss: u16,
    /// Whether the service class of inner packets shows on outer ones.
    pub copy_dscp: bool,
}

impl Tables {
    /// No SA yet.
    pub fn new(rules: Rules) -> Tables {
        Tables { outbound: Vec::new(), inbound: Vec::new(), rules }
    }

    /// The SA for a packet from the device.
    #[inline]
    pub fn outbound_for(&self, header: &IpHeader, packet: &[u8]) -> Option<&Arc<OutboundSa>> {
        let mut tuple = None;
        self.outbound.iter().find(|sa| {
            sa.any.covers(header.version)
                || sa
                    .selectors
                    .matches_outbound(tuple.get_or_insert_with(|| self::tuple(header, packet)))
        })
    }

    /// The SA for a packet from the peer.
    #[inline]
    pub fn inbound_for(&self, spi: EspSpi) -> Option<&Arc<InboundSa>> {
        self.inbound.iter().find(|sa| sa.spi == spi)
    }
}

/// An SA to send on.
#[derive(Debug)]
pub struct OutboundSa {
    /// The peer's SPI.
    pub spi: EspSpi,
    /// What it may carry.
    pub selectors: ChildSelectors,
    /// Its numbers.
    pub counters: Counters,
    any: Any,
    layout: Layout,
    state: Mutex<Outbound>,
}

impl OutboundSa {
    /// Puts a sending half under its policy.
    pub fn new(outbound: Outbound, selectors: ChildSelectors) -> OutboundSa {
        OutboundSa {
            spi: outbound.spi(),
            any: Any::of(&selectors),
            selectors,
            counters: Counters::default(),
            layout: outbound.layout(),
            state: Mutex::new(outbound),
        }
    }

    /// What surrounds a payload.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Takes the running state: the lane's egress, for a run of packets.
    pub fn hold(&self) -> MutexGuard<'_, Outbound> {
        // A thread that panicked spent its numbers before it used them: going on is safe.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An SA to receive on.
#[derive(Debug)]
pub struct InboundSa {
    /// Our SPI.
    pub spi: EspSpi,
    /// What it may carry.
    pub selectors: ChildSelectors,
    /// Its numbers.
    pub counters: Counters,
    any: Any,
    state: Mutex<Inbound>,
}

impl InboundSa {
    /// Puts a receiving half under its policy.
    pub fn new(inbound: Inbound, selectors: ChildSelectors) -> InboundSa {
        InboundSa {
            spi: inbound.spi(),
            any: Any::of(&selectors),
            selectors,
            counters: Counters::default(),
            state: Mutex::new(inbound),
        }
    }

    /// Takes the running state: the lane's ingress, for a run of packets.
    pub fn hold(&self) -> MutexGuard<'_, Inbound> {
        // The window moves only after authentication: what a panicking thread left is sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer may send this packet here.
    #[inline]
    pub fn allows(&self, header: &IpHeader, packet: &[u8]) -> bool {
        self.any.covers(header.version) || self.selectors.matches_inbound(&tuple(header, packet))
    }
}

/// The families of which an SA carries everything: the usual case, found out once.
#[derive(Clone, Copy, Debug)]
struct Any {
    v4: bool,
    v6: bool,
}

impl Any {
    fn of(selectors: &ChildSelectors) -> Any {
        let all = |address: IpAddr| {
            let range = AddressRange::prefix(address, 0).expect("length 0 fits every address");
            let selector = Selector::addresses(range);
            selectors.local.covers_selector(&selector)
                && selectors.remote.covers_selector(&selector)
        };
        Any { v4: all(Ipv4Addr::UNSPECIFIED.into()), v6: all(Ipv6Addr::UNSPECIFIED.into()) }
    }

    #[inline]
    fn covers(self, version: IpVersion) -> bool {
        match version {
            IpVersion::V4 => self.v4,
            IpVersion::V6 => self.v6,
        }
    }
}

/// What selectors look at. Of a later fragment the ports cannot be seen (RFC 4301 §7).
pub fn tuple(header: &IpHeader, packet: &[u8]) -> Tuple {
    let (source_port, destination_port) = ports(header, packet).unzip();
    let IpHeader { source, destination, protocol, .. } = *header;
    Tuple { source, destination, protocol, source_port, destination_port }
}

fn ports(header: &IpHeader, packet: &[u8]) -> Option<(u16, u16)> {
    let data = header.payload(packet).filter(|_| header.fragment != IpFragment::Later)?;
    match header.protocol {
        // The ports of SCTP (132), DCCP (33) and UDP-Lite (136) are where those of TCP and UDP are.
        TCP | UDP | 33 | 132 | 136 => {
            let [a, b, c, d] = *data.first_chunk()?;
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        ICMP | ICMPV6 => IcmpHeader::parse(data).map(|icmp| (icmp.as_port(), icmp.as_port())),
        _ => None,
    }
}
