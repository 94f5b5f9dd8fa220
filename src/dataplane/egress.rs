//! Egress, from the device to the peer: frames in, runs of sealed packets out. No descriptor is
//! named here; an [`EgressPort`] has them.
//!
//! ```text
//! frame -> of this link only? -> SA -> fits? -> divide -> reserve numbers -> for each packet:
//!          |                     |     |                                     write, seal -> run
//!          |                     |     +-- drop `too_big`, ICMP error inward
//!          |                     +-------- drop `no_sa`, event Wanted to control
//!          +-- drop `link_only`
//! ```
//!
//! A packet is dropped for its **traffic selector** in `EgressBatch::push`: `EgressBatch::select`
//! asks [`Tables::outbound_for`] for the newest SA whose selectors cover the packet, and without
//! one the packet is dropped as [`DropReason::NoSa`]. A packet never leaves in the clear, nor on an
//! SA that was not negotiated for it (RFC 4301 §5.1).

use std::sync::MutexGuard;
use std::time::Duration;

use super::batch::Batch;
use super::counters::{BatchStats, DirectionCounters};
use super::ecn::outer_tos;
use super::event::LaneEvent;
use super::icmp::{MAX_REPLY, too_big};
use super::mtu::mss;
use super::segment::Segments;
use super::tables::{OutboundSa, Tables, tuple};
use crate::esp::{DropReason, Outbound, PacketTally, UsageLimit};
use crate::rate::{Bucket, Rate};
use crate::sys::mmsg::Run;
use crate::time::Instant;
use crate::wire::packet::ip::{IpFragment, IpHeader, TCP};
use crate::wire::packet::tcp::clamp_mss;
use crate::wire::packet::vnet::VnetHeader;

/// The limit of ICMP errors that are handed back to the device. Linux limits them to one a second
/// for each host; here many hosts share the bucket.
const REPLIES: Rate = Rate { burst: 50, interval: Duration::from_millis(10) };
/// The limit of requests to control for an outbound SA that is missing.
const SA_REQUESTS: Rate = Rate { burst: 10, interval: Duration::from_millis(100) };

/// Where egress puts its output.
pub trait EgressPort {
    /// Sends the runs of a batch to the peer, and counts in `lost` the packets that could not be
    /// sent, by their reason.
    fn send(&mut self, buffer: &[u8], runs: &[Run], lost: &mut PacketTally);
    /// Writes a packet to the device: an ICMP error about one that came from there.
    fn reply(&mut self, packet: &[u8]);
    /// Sends an event to control. Whether there was room for the event.
    fn tell(&mut self, event: LaneEvent) -> bool;
}

/// The egress of one lane: the send buffer, and the state that lasts from batch to batch.
#[derive(Debug)]
pub struct Egress {
    batch: Batch,
    replies: Bucket,
    wanted: Bucket,
    stray: PacketTally,
    stats: BatchStats,
    reply: Box<[u8; MAX_REPLY]>,
}

impl Default for Egress {
    fn default() -> Egress {
        Egress {
            batch: Batch::default(),
            replies: Bucket::default(),
            wanted: Bucket::default(),
            stray: PacketTally::default(),
            stats: BatchStats::default(),
            reply: Box::new([0; MAX_REPLY]),
        }
    }
}

impl Egress {
    /// Begins a batch. `path` is the path MTU: the largest outer packet that is believed to arrive.
    pub fn begin<'e>(
        &'e mut self,
        tables: &'e Tables,
        path: usize,
        gso: bool,
        now: Instant,
    ) -> EgressBatch<'e> {
        let outer = path.min(tables.rules.outer_mtu);
        let whole = outer.saturating_sub(tables.rules.encapsulation.overhead());
        self.batch.set_gso(gso, whole);
        EgressBatch { egress: self, tables, path, now, current: None }
    }
}

/// A batch in the making.
#[derive(Debug)]
pub struct EgressBatch<'e> {
    egress: &'e mut Egress,
    tables: &'e Tables,
    path: usize,
    now: Instant,
    current: Option<CurrentOutbound<'e>>,
}

/// The SA of the last packet, held until a packet of another SA comes or the batch ends.
#[derive(Debug)]
struct CurrentOutbound<'e> {
    sa: &'e OutboundSa,
    state: MutexGuard<'e, Outbound>,
    tally: PacketTally,
    /// The largest packet that is carried.
    carried: usize,
    /// The largest packet that crosses the path in one piece: TCP is to send no larger ones.
    whole: usize,
}

impl<'e> EgressBatch<'e> {
    /// Bytes waiting to be sent.
    pub fn len(&self) -> usize {
        self.egress.batch.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.egress.batch.is_empty()
    }

    /// Takes a frame from the device. The bytes of the frame are changed.
    #[inline]
    pub fn push(&mut self, frame: &mut [u8], port: &mut impl EgressPort) {
        self.egress.stats.frames += 1;
        let Some((frame, packet)) = VnetHeader::parse(frame) else {
            return self.egress.stray.drop(DropReason::BadFrame, 1);
        };
        let Some(header) = IpHeader::parse(packet) else {
            return self.egress.stray.drop(DropReason::NotIp, 1);
        };
        let Some(segments) = Segments::of(&frame, &header, packet) else {
            return self.egress.stray.drop(DropReason::BadFrame, 1);
        };
        let refused = if !self.tables.networks.carry(&header, packet) {
            Some(DropReason::LinkOnly)
        } else if !self.select(&header, packet, port) {
            Some(DropReason::NoSa)
        } else {
            None
        };
        if let Some(reason) = refused {
            let count = u32::try_from(segments.count()).unwrap_or(u32::MAX);
            return self.egress.stray.drop(reason, count);
        }
        self.forward(&header, &segments, packet, port);
    }

    /// Makes the SA whose traffic selectors cover the packet the current one; false, and an event
    /// to control, when there is none.
    #[inline]
    fn select(&mut self, header: &IpHeader, packet: &[u8], port: &mut impl EgressPort) -> bool {
        let Some(sa) = self.tables.outbound_for(header, packet) else {
            if self.egress.wanted.take(SA_REQUESTS, self.now) {
                port.tell(LaneEvent::Wanted(tuple(header, packet)));
            }
            return false;
        };
        if self.current.as_ref().is_none_or(|current| current.sa.spi != sa.spi) {
            self.leave(port);
            let rules = &self.tables.rules;
            let carried = rules.carried_mtu(self.path, sa.layout());
            let whole = rules.whole_mtu(self.path, sa.layout());
            let (state, tally) = (sa.hold(), PacketTally::default());
            self.current = Some(CurrentOutbound { sa, state, tally, carried, whole });
        }
        true
    }

    /// Ends the use of the current SA: its counters are flushed, the limits that it
    /// has reached are reported.
    fn leave(&mut self, port: &mut impl EgressPort) {
        if let Some(mut current) = self.current.take() {
            current.sa.counters.flush(&mut current.tally);
            let spi = current.sa.spi;
            current.state.report(self.now, |limit| {
                port.tell(match limit {
                    UsageLimit::Soft => LaneEvent::OutboundAging(spi),
                    UsageLimit::Hard => LaneEvent::OutboundExpired(spi),
                })
            });
        }
    }

    #[inline]
    fn forward(
        &mut self,
        header: &IpHeader,
        segments: &Segments,
        packet: &mut [u8],
        port: &mut impl EgressPort,
    ) {
        let Some(current) = self.current.as_mut() else { return };
        let count = u32::try_from(segments.count()).unwrap_or(u32::MAX);
        if header.protocol == TCP && header.fragment == IpFragment::Whole && segments.count() == 1 {
            clamp(packet, header, current.whole, self.tables.rules.mss);
        }
        if segments.max_len() > current.carried {
            current.tally.drop(DropReason::TooBig, count);
            let mtu = current.carried;
            if self.egress.replies.take(REPLIES, self.now)
                && let Some(len) = too_big(header, packet, mtu, &mut self.egress.reply)
            {
                port.reply(&self.egress.reply[..len]);
            }
            return;
        }
        let bytes = u64::try_from(segments.total_len()).unwrap_or(u64::MAX);
        let mut numbers = match current.state.reserve(u64::from(count), bytes, self.now) {
            Ok(numbers) => numbers,
            Err(reason) => return current.tally.drop(reason, count),
        };
        current.sa.note_sent(current.state.spent());
        current.tally.pass(u64::from(count), bytes);
        let tos = outer_tos(header.tos, self.tables.rules.copy_dscp);
        let next_header = header.version.next_header();
        let (outbound, batch) = (&*current.state, &mut self.egress.batch);
        let lead = outbound.lead();
        for index in 0..segments.count() {
            let inner = segments.len(index);
            let len = outbound.packet_len(inner);
            if batch.room(len).is_none() {
                flush(batch, &mut self.egress.stats, &mut self.egress.stray, port);
            }
            let Some(seq) = numbers.next() else { break };
            let Some(room) = batch.room(len) else {
                self.egress.stray.drop(DropReason::BadFrame, 1);
                continue;
            };
            segments.write(packet, index, &mut room[lead..lead + inner]);
            let sealed = outbound.seal(seq, room, inner, next_header);
            debug_assert!(sealed, "packet_len and lead lay the packet out");
            batch.commit(len, tos);
        }
    }

    /// Sends what is left, and adds the batch to the counters.
    pub fn finish(mut self, numbers: &DirectionCounters, port: &mut impl EgressPort) {
        self.leave(port);
        let egress = self.egress;
        flush(&mut egress.batch, &mut egress.stats, &mut egress.stray, port);
        numbers.stray.flush(&mut egress.stray);
        numbers.add(std::mem::take(&mut egress.stats));
    }
}

fn flush(
    batch: &mut Batch,
    stats: &mut BatchStats,
    stray: &mut PacketTally,
    port: &mut impl EgressPort,
) {
    if batch.is_empty() {
        return;
    }
    let (buffer, runs) = batch.content();
    stats.packets += batch.packets();
    stats.messages += runs.len();
    stats.joined += runs.iter().filter(|run| run.len > run.segment).count();
    port.send(buffer, runs, stray);
    batch.clear();
}

/// Lowers the segment size that a SYN announces to the size that fits the tunnel (MSS clamping).
#[inline]
pub(super) fn clamp(packet: &mut [u8], header: &IpHeader, inner_mtu: usize, limit: u16) {
    let limit = mss(inner_mtu, header.version).min(limit);
    if let Some(segment) = packet.get_mut(header.header_len..header.total_len) {
        clamp_mss(segment, limit);
    }
}
