//! What one lane forwards by: SAs with their traffic selectors, and rules. Tables are immutable
//! once published; each batch loads them once.
//!
//! The running state of an SA is behind a mutex that only its lane takes, once for a run of packets
//! of that SA. The mutex is never contended, and lets the compiler check that one thread at a time
//! owns an SA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mtu::{MIN_V6, OuterHeaders};
use super::networks::InnerNetworks;
use crate::crypto::suite::Layout;
use crate::esp::{Counters, Inbound, Outbound};
use crate::wire::packet::esp::EspHeader;
use crate::wire::packet::icmp::IcmpHeader;
use crate::wire::packet::ip::{ICMP, ICMPV6, IpFragment, IpHeader, IpVersion, TCP, UDP};
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::{ChildSelectors, Tuple};
use crate::wire::spi::EspSpi;

/// How far back a sequence number counts as recent: a quarter of a second of full packets at
/// 3 Gbit/s.
const RECENT: u32 = 1 << 16;

/// The SAs and rules of one tunnel.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The SAs to send on, newest first: a packet goes to the first whose selectors cover it.
    pub outbound: Vec<Arc<OutboundSa>>,
    /// The SAs to receive on, newest first; a packet names its SA by the SPI.
    pub inbound: Vec<Arc<InboundSa>>,
    /// What holds for all SAs.
    pub rules: Rules,
    /// The addresses between which the peer may send, on every SA.
    pub networks: Arc<InnerNetworks>,
}

/// The settings of a tunnel that every packet needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// The headers in front of ESP.
    pub encapsulation: OuterHeaders,
    /// The largest outer packet, unless the path MTU is smaller.
    pub outer_mtu: usize,
    /// The largest inner packet, whatever the path MTU (Azure: 1400).
    pub inner_mtu: usize,
    /// The largest TCP segment (MSS), whatever the path MTU (Azure: 1350).
    pub mss: u16,
    /// Whether the DSCP of inner packets is copied to outer ones (RFC 2983).
    pub copy_dscp: bool,
}

impl Rules {
    /// The largest inner packet that crosses a path with this path MTU in one piece.
    pub fn whole_mtu(&self, path: usize, layout: Layout) -> usize {
        let outer = path.min(self.outer_mtu);
        self.encapsulation.inner_mtu(outer, layout).min(self.inner_mtu)
    }

    /// The largest inner packet that is carried over such a path. IPv6 is entitled to 1280 octets
    /// (RFC 8200 §5): a path that is too narrow for that carries them in outer fragments.
    pub fn carried_mtu(&self, path: usize, layout: Layout) -> usize {
        self.whole_mtu(path, layout).max(self.inner_mtu.min(MIN_V6))
    }
}

impl Tables {
    /// Makes tables without SAs, over which the peer may send from and to everywhere.
    pub fn new(rules: Rules) -> Tables {
        let networks = Arc::new(InnerNetworks::everything());
        Tables { outbound: Vec::new(), inbound: Vec::new(), rules, networks }
    }

    /// The newest SA whose traffic selectors cover a packet from the device.
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

    /// The least of what `of` says for the SAs to send on; what the rules allow if there is none.
    pub(super) fn least(&self, of: impl Fn(&Rules, Layout) -> usize) -> usize {
        let each = self.outbound.iter().map(|sa| of(&self.rules, sa.layout()));
        each.min().unwrap_or(self.rules.inner_mtu)
    }

    /// Whether an ESP packet that begins with this quote was sent lately: the proof that whoever
    /// quotes it has seen it.
    pub(super) fn has_sent(&self, quote: &[u8]) -> bool {
        let Some((header, _)) = EspHeader::parse(quote) else { return false };
        self.outbound.iter().any(|sa| sa.spi.0 == header.spi && sa.has_sent(header.sequence))
    }

    /// The SA that a packet from the peer names.
    #[inline]
    pub fn inbound_for(&self, spi: EspSpi) -> Option<&Arc<InboundSa>> {
        self.inbound.iter().find(|sa| sa.spi == spi)
    }
}

/// An SA to send on: its running state under its policy.
#[derive(Debug)]
pub struct OutboundSa {
    /// The SPI, which the peer chose.
    pub spi: EspSpi,
    /// The traffic selectors: the packets that the SA may carry.
    pub selectors: ChildSelectors,
    /// Packets, bytes and drops of the SA.
    pub counters: Counters,
    any: Any,
    layout: Layout,
    /// The last sequence number that was handed out, for whoever does not hold the state.
    sent: AtomicU64,
    state: Mutex<Outbound>,
}

impl OutboundSa {
    /// Puts the sending half of an SA pair under its traffic selectors.
    pub fn new(outbound: Outbound, selectors: ChildSelectors) -> OutboundSa {
        OutboundSa {
            spi: outbound.spi(),
            any: Any::of(&selectors),
            selectors,
            counters: Counters::default(),
            layout: outbound.layout(),
            sent: AtomicU64::new(outbound.spent()),
            state: Mutex::new(outbound),
        }
    }

    /// The layout of a packet around its payload.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Notes the last sequence number that was handed out.
    #[inline]
    pub(super) fn note_sent(&self, last: u64) {
        self.sent.store(last, Ordering::Relaxed);
    }

    /// Whether the low 32 bits of a sequence number are those of a packet that was sent lately.
    fn has_sent(&self, low: u32) -> bool {
        let last = self.sent.load(Ordering::Relaxed);
        let [a, b, c, d, ..] = last.to_le_bytes();
        let behind = u32::from_le_bytes([a, b, c, d]).wrapping_sub(low);
        behind < RECENT && u64::from(behind) < last
    }

    /// Locks the running state: egress does so for a run of packets.
    pub fn hold(&self) -> MutexGuard<'_, Outbound> {
        // A thread that panicked had taken its sequence numbers off the lease before it used them:
        // no number is used twice.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An SA to receive on: its running state under its policy.
#[derive(Debug)]
pub struct InboundSa {
    /// The SPI, which this side chose.
    pub spi: EspSpi,
    /// The traffic selectors: the packets that the SA may carry.
    pub selectors: ChildSelectors,
    /// Packets, bytes and drops of the SA.
    pub counters: Counters,
    any: Any,
    state: Mutex<Inbound>,
}

impl InboundSa {
    /// Puts the receiving half of an SA pair under its traffic selectors.
    pub fn new(inbound: Inbound, selectors: ChildSelectors) -> InboundSa {
        InboundSa {
            spi: inbound.spi(),
            any: Any::of(&selectors),
            selectors,
            counters: Counters::default(),
            state: Mutex::new(inbound),
        }
    }

    /// Locks the running state: ingress does so for a run of packets.
    pub fn hold(&self) -> MutexGuard<'_, Inbound> {
        // The anti-replay window moves only after authentication: a thread that panicked left a
        // sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the traffic selectors allow the peer to send this packet on this SA.
    #[inline]
    pub fn allows(&self, header: &IpHeader, packet: &[u8]) -> bool {
        self.any.covers(header.version) || self.selectors.matches_inbound(&tuple(header, packet))
    }
}

/// The IP versions of which an SA carries every packet. That is the usual case, and looking at
/// ports and addresses is spared.
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

/// The fields that traffic selectors are compared with. A later fragment has no ports (RFC 4301
/// §7).
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
