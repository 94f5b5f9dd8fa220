//! Ingress, from the peer to the device: datagrams in, frames out. No descriptor is named here; an
//! [`IngressPort`] has them.
//!
//! ```text
//! message -> datagrams -> classify -> SA by SPI -> open in place
//!                         |
//!                         +-- IKE, to control; NAT keepalives, to nobody
//!                                -> traffic selectors -> networks -> ECN, MSS -> join -> frame
//! ```
//!
//! A packet is dropped for its **traffic selector** in `CurrentInbound::accept`: a decrypted packet
//! that [`InboundSa::allows`] refuses, since the SA was not negotiated for it, is dropped as
//! [`DropReason::BadSelector`] (RFC 4301 §5.2, step 4). A packet from or to an address that is not
//! configured is dropped there too, whatever was negotiated ([`super::InnerNetworks`]).

use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::MutexGuard;
use std::time::Duration;

use super::coalesce::Coalescer;
use super::counters::{BatchStats, DirectionCounters};
use super::ecn::{OuterMark, arrival, mark};
use super::egress::clamp;
use super::event::LaneEvent;
use super::tables::{InboundSa, Tables};
use crate::esp::{DropReason, Inbound, OpenedPacket, PacketTally, UsageLimit};
use crate::rate::{Bucket, Rate};
use crate::sys::mmsg::Received;
use crate::sys::tun::Offloads;
use crate::time::Instant;
use crate::wire::packet::datagram::Classified;
use crate::wire::packet::esp::EspHeader;
use crate::wire::packet::ip::{ICMP, ICMPV6, IpFragment, TCP};
use crate::wire::spi::EspSpi;

/// Where ingress puts its output.
pub trait IngressPort {
    /// Writes one frame to the device, gathered from its parts. Whether the device took the frame.
    fn deliver(&mut self, frame: &[IoSlice<'_>]) -> bool;
    /// Sends an event to control. Whether there was room for the event.
    fn tell(&mut self, event: LaneEvent) -> bool;
}

/// Packets with an unknown SPI that control is told of.
const UNKNOWN_SPIS: Rate = Rate { burst: 1, interval: Duration::from_secs(1) };

/// What one socket received.
#[derive(Clone, Copy, Debug)]
pub struct SocketBatch<'a> {
    /// The messages in the arena.
    pub received: &'a [Received],
    /// Whether they came in UDP, whatever form of ESP this end sends. Bare ESP is nothing but ESP.
    pub in_udp: bool,
}

/// The ingress of one lane: the receive buffers, and the frames that are joined from them.
#[derive(Debug)]
pub struct Ingress {
    arena: Box<[u8]>,
    coalescer: Coalescer,
    stray: PacketTally,
    unknown_spis: Bucket,
}

impl Ingress {
    /// The number of messages received at a time.
    pub const SLOTS: usize = 4;
    /// Room for the largest UDP payload, which GRO may fill.
    pub const SLOT: usize = 1 << 16;

    /// Makes an ingress for a device with these offloads.
    pub fn new(offloads: Offloads) -> Ingress {
        Ingress {
            arena: vec![0; Ingress::SLOTS * Ingress::SLOT].into(),
            coalescer: Coalescer::new(offloads.tcp, offloads.udp, Ingress::SLOTS * 64),
            stray: PacketTally::default(),
            unknown_spis: Bucket::default(),
        }
    }

    /// The buffer that messages are received into, [`Ingress::SLOT`] bytes each.
    pub fn arena(&mut self) -> &mut [u8] {
        &mut self.arena
    }

    /// Opens the messages that stand in the arena, and delivers their packets to the device. `path`
    /// is the path MTU: what the device's side answers must fit it.
    pub fn process(
        &mut self,
        tables: &Tables,
        batch: SocketBatch<'_>,
        path: usize,
        now: Instant,
        numbers: &DirectionCounters,
        port: &mut impl IngressPort,
    ) {
        let SocketBatch { received, in_udp } = batch;
        let mut stats = BatchStats { messages: received.len(), ..BatchStats::default() };
        let Ingress { arena, coalescer, stray, unknown_spis } = self;
        let whole = tables.least(|rules, layout| rules.whole_mtu(path, layout));
        let mut batch = IngressBatch {
            arena,
            coalescer,
            stray,
            unknown_spis,
            tables,
            in_udp,
            whole,
            now,
            current: None,
        };
        for message in received {
            let datagrams = message.len.div_ceil(message.segment.max(1)).max(1);
            stats.packets += datagrams;
            stats.joined += usize::from(datagrams > 1);
            for index in 0..datagrams {
                let start = message.start + index * message.segment;
                let len = message.segment.min(message.start + message.len - start);
                batch.datagram(start, len, message.tos, port);
            }
        }
        stats.frames = batch.finish(port);
        numbers.stray.flush(stray);
        numbers.add(stats);
    }
}

/// A batch in the making.
struct IngressBatch<'i> {
    arena: &'i mut [u8],
    coalescer: &'i mut Coalescer,
    stray: &'i mut PacketTally,
    unknown_spis: &'i mut Bucket,
    tables: &'i Tables,
    /// The largest inner packet that crosses the path in one piece.
    whole: usize,
    in_udp: bool,
    now: Instant,
    current: Option<CurrentInbound<'i>>,
}

/// The SA of the last packet, held until a packet of another SA comes or the batch ends.
struct CurrentInbound<'i> {
    sa: &'i InboundSa,
    state: MutexGuard<'i, Inbound>,
    tally: PacketTally,
    unused: bool,
    /// The source and destination of the last packet that was allowed.
    allowed: Option<(IpAddr, IpAddr)>,
}

impl IngressBatch<'_> {
    #[inline]
    fn datagram(&mut self, start: usize, len: usize, tos: u8, port: &mut impl IngressPort) {
        let bytes = &self.arena[start..start + len];
        let kind = match self.in_udp {
            true => Classified::classify(bytes),
            false => Classified::Esp(bytes),
        };
        match kind {
            Classified::Esp(_) => self.esp(start, len, tos, port),
            Classified::Keepalive => {}
            Classified::Runt => self.stray.drop(DropReason::Runt, 1),
            Classified::Ike(message) => {
                if !port.tell(LaneEvent::Ike(message.to_vec())) {
                    self.stray.drop(DropReason::ControlFull, 1);
                }
            }
        }
    }

    #[inline]
    fn esp(&mut self, start: usize, len: usize, tos: u8, port: &mut impl IngressPort) {
        let packet = &mut self.arena[start..start + len];
        let Some((header, _)) = EspHeader::parse(packet) else {
            return self.stray.drop(DropReason::Runt, 1);
        };
        let spi = EspSpi(header.spi);
        if self.current.as_ref().is_none_or(|current| current.sa.spi != spi) {
            self.leave(port);
            self.current = self.tables.inbound_for(spi).map(|sa| CurrentInbound::take(sa));
        }
        let Some(current) = self.current.as_mut() else {
            if self.unknown_spis.take(UNKNOWN_SPIS, self.now) {
                port.tell(LaneEvent::UnknownSpi(spi, len));
            }
            return self.stray.drop(DropReason::UnknownSpi, 1);
        };
        let packet = &mut self.arena[start..start + len];
        match current.accept(packet, tos, self.tables, self.whole, self.now) {
            Ok(opened) => self.coalescer.push(self.arena, start + opened.start, &opened.header),
            Err(reason) => current.tally.drop(reason, 1),
        }
    }

    /// Delivers the joined frames; their number.
    fn finish(mut self, port: &mut impl IngressPort) -> usize {
        self.leave(port);
        let (mut frames, mut refused) = (0, 0);
        self.coalescer.drain(self.arena, |frame, packets| {
            frames += 1;
            if !port.deliver(frame) {
                refused += packets;
            }
        });
        if refused > 0 {
            self.stray.drop(DropReason::DeviceFull, u32::try_from(refused).unwrap_or(u32::MAX));
        }
        frames
    }

    /// Ends the use of the current SA: its counters are flushed, the first packet and the
    /// limits that it has reached are reported.
    fn leave(&mut self, port: &mut impl IngressPort) {
        let Some(mut current) = self.current.take() else { return };
        if current.unused && current.state.packets() > 0 {
            port.tell(LaneEvent::FirstPacket(current.sa.spi));
        }
        let spi = current.sa.spi;
        current.state.report(self.now, |limit| {
            port.tell(match limit {
                UsageLimit::Soft => LaneEvent::InboundAging(spi),
                UsageLimit::Hard => LaneEvent::InboundExpired(spi),
            })
        });
        current.sa.counters.flush(&mut current.tally);
    }
}

impl<'i> CurrentInbound<'i> {
    fn take(sa: &'i InboundSa) -> CurrentInbound<'i> {
        let state = sa.hold();
        let (unused, tally) = (state.packets() == 0, PacketTally::default());
        CurrentInbound { sa, unused, state, tally, allowed: None }
    }

    /// Opens a packet, checks traffic selectors and addresses, and carries over what happened on
    /// the path.
    #[inline]
    fn accept(
        &mut self,
        packet: &mut [u8],
        tos: u8,
        tables: &Tables,
        whole: usize,
        now: Instant,
    ) -> Result<OpenedPacket, DropReason> {
        let opened = self.state.open(packet, now)?;
        let (header, inner) = (&opened.header, &mut packet[opened.start..]);
        if !self.sa.allows(header, inner) {
            return Err(DropReason::BadSelector);
        }
        let ends = (header.source, header.destination);
        // A flow's packets follow one another. ICMP is looked at each time, for its type.
        if self.allowed != Some(ends) || matches!(header.protocol, ICMP | ICMPV6) {
            tables.networks.check(header, inner)?;
            self.allowed = Some(ends);
        }
        match arrival(header.tos, tos) {
            OuterMark::Unchanged => {}
            OuterMark::Marked => mark(inner, header, tos),
            OuterMark::Lost => return Err(DropReason::CongestionLost),
        }
        if header.protocol == TCP && header.fragment == IpFragment::Whole {
            clamp(inner, header, whole, tables.rules.mss);
        }
        self.tally.pass(1, u64::try_from(header.total_len).unwrap_or(u64::MAX));
        Ok(opened)
    }
}
