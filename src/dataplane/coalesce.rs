//! Joining received packets of one flow into super-packets for the device, without moving their
//! bytes.
//!
//! Packets stay where they were decrypted. A frame is the first packet of a flow and a chain of the
//! payloads that follow; the device write gathers them. Packets are joined as the kernel's GRO
//! would join them: next in sequence, with headers equal but for length, identification, sequence
//! and checksum. Each checksum is verified first, because the device is told that verifying is not
//! needed. A segment that is shorter or has PSH ends its frame. Packets of a flow stay in order.

use std::io::IoSlice;

use crate::wire::packet::checksum::Sum;
use crate::wire::packet::ip::{
    IpFragment, IpHeader, IpVersion, Ipv4Fields, TCP, UDP, V4_LEN, V6_LEN, complete_v4_checksum,
    set_v6_payload_len,
};
use crate::wire::packet::tcp::{self, ACK, PSH, TcpFields, TcpHeader};
use crate::wire::packet::udp::{self, UdpFields, UdpHeader};
use crate::wire::packet::vnet::{Checksum, Gso, VnetHeader};

/// The most payloads in one frame: 64 of 1,024 bytes are a full IP packet, and not every kernel
/// takes more UDP segments.
const MAX_SEGMENTS: usize = 64;

/// The number of frames, newest first, that are searched for the one that a packet continues.
const FLOWS: usize = 16;

/// The largest joined packet. With a link header the packet is still below the `gso_max_size` of
/// 65,536 of the next device, which would otherwise segment it in software.
const MAX_LEN: usize = 65_400;

/// The frames and payloads of a batch. Both lists are allocated once, and grow only for a batch
/// that is larger than all before.
#[derive(Debug)]
pub struct Coalescer {
    frames: Vec<Frame>,
    pieces: Vec<Piece>,
    tcp: bool,
    udp: bool,
}

/// One frame in the making, written to the device in one call.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where the first packet begins in the arena.
    start: usize,
    header: IpHeader,
    /// The length of the first packet's headers; 0 when no packet can join.
    headers: usize,
    /// The payload length of the first packet, and of all others but the last.
    segment: usize,
    /// The bytes of all payloads.
    payload: usize,
    count: usize,
    /// The sequence number that comes next, for TCP.
    next: u32,
    /// The pieces after the first packet, as a chain in `pieces`.
    head: Option<usize>,
    tail: Option<usize>,
    /// Whether the first packet's checksums were verified.
    verified: bool,
    /// Whether more packets may join.
    open: bool,
    /// Whether the last segment had PSH, which the super-packet then has.
    pushed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    len: usize,
    next: Option<usize>,
}

/// A packet that may join or be joined.
#[derive(Clone, Copy)]
struct CoalesceCandidate {
    headers: usize,
    payload: usize,
    sequence: u32,
    /// Whether the packet ends the frame that it joins.
    last: bool,
    joinable: bool,
}

impl Coalescer {
    /// Makes a coalescer. `tcp` and `udp` say which super-packets the device takes; `packets` is
    /// the largest batch expected.
    pub fn new(tcp: bool, udp: bool, packets: usize) -> Coalescer {
        let (frames, pieces) = (Vec::with_capacity(packets), Vec::with_capacity(packets));
        Coalescer { frames, pieces, tcp, udp }
    }

    /// Adds the packet at `start` of the arena.
    #[inline]
    pub fn push(&mut self, arena: &[u8], start: usize, header: &IpHeader) {
        let packet = &arena[start..start + header.total_len];
        let candidate = self.candidate(packet, header);
        let recent = self.frames.iter_mut().rev().take(FLOWS);
        let mut same_protocol = recent.filter(|frame| frame.header.protocol == header.protocol);
        if let Some(candidate) = candidate {
            let found = same_protocol.find(|frame| {
                frame.headers > 0 && same_flow(&arena[frame.start..], packet, &frame.header, header)
            });
            if let Some(frame) = found {
                if frame.joins(arena, packet, header, &candidate) {
                    let start = start + candidate.headers;
                    let piece = Piece { start, len: candidate.payload, next: None };
                    frame.append(&mut self.pieces, piece, &candidate);
                    return;
                }
                // Later packets of this flow must not overtake this packet.
                frame.open = false;
            }
        } else if self.tcp {
            // Options or a fragment hide the flow to which the packet belongs: no packet of the
            // same two hosts may overtake it.
            let (source, destination) = (header.source, header.destination);
            same_protocol
                .filter(|frame| {
                    (frame.header.source, frame.header.destination) == (source, destination)
                })
                .for_each(|frame| frame.open = false);
        }
        self.frames.push(Frame::new(start, header, candidate.as_ref()));
    }

    #[inline]
    fn candidate(&self, packet: &[u8], header: &IpHeader) -> Option<CoalesceCandidate> {
        let plain = match header.version {
            IpVersion::V4 => header.header_len == V4_LEN,
            IpVersion::V6 => header.header_len == V6_LEN,
        };
        if !plain || header.fragment != IpFragment::Whole {
            return None;
        }
        let data = header.payload(packet)?;
        match header.protocol {
            TCP if self.tcp => {
                let tcp = TcpHeader::parse(data)?;
                let payload = data.len() - tcp.header_len;
                let joinable = tcp.flags & !PSH == ACK && payload > 0;
                let (headers, last) = (header.header_len + tcp.header_len, tcp.flags & PSH != 0);
                Some(CoalesceCandidate { headers, payload, sequence: tcp.sequence, last, joinable })
            }
            UDP if self.udp => {
                let udp = UdpHeader::parse(data)?;
                let payload = udp.length - udp::LEN;
                // A datagram without checksum must not get one.
                let joinable = udp.checksum != 0 && payload > 0 && udp.length == data.len();
                Some(CoalesceCandidate {
                    headers: header.header_len + udp::LEN,
                    payload,
                    sequence: 0,
                    last: false,
                    joinable,
                })
            }
            _ => None,
        }
    }

    /// Hands every frame to `deliver` in order, a virtio-net header and the parts of its packet,
    /// and empties the batch.
    pub fn drain(&mut self, arena: &mut [u8], mut deliver: impl FnMut(&[IoSlice<'_>], usize)) {
        for frame in &self.frames {
            let head = frame.close(arena).to_bytes();
            let first = frame.start..frame.start + frame.first_len();
            if frame.count == 1 {
                deliver(&[IoSlice::new(&head), IoSlice::new(&arena[first])], 1);
                continue;
            }
            let mut parts = [IoSlice::new(&[]); MAX_SEGMENTS + 1];
            parts[0] = IoSlice::new(&head);
            parts[1] = IoSlice::new(&arena[first]);
            let mut next = frame.head;
            for part in &mut parts[2..] {
                let Some(piece) = next.map(|index| self.pieces[index]) else { break };
                *part = IoSlice::new(&arena[piece.start..piece.start + piece.len]);
                next = piece.next;
            }
            deliver(&parts[..=frame.count], frame.count);
        }
        self.frames.clear();
        self.pieces.clear();
    }
}

impl Frame {
    fn new(start: usize, header: &IpHeader, candidate: Option<&CoalesceCandidate>) -> Frame {
        let (headers, payload) = candidate.map_or((0, 0), |c| (c.headers, c.payload));
        Frame {
            start,
            header: *header,
            headers,
            segment: payload,
            payload,
            count: 1,
            next: candidate.map_or(0, |c| c.sequence.wrapping_add(wrap(c.payload))),
            head: None,
            tail: None,
            verified: false,
            open: candidate.is_some_and(|c| c.joinable && !c.last),
            pushed: false,
        }
    }

    fn first_len(&self) -> usize {
        if self.count == 1 { self.header.total_len } else { self.headers + self.segment }
    }

    /// Whether a packet of the same flow continues this frame.
    #[inline]
    fn joins(
        &mut self,
        arena: &[u8],
        packet: &[u8],
        header: &IpHeader,
        candidate: &CoalesceCandidate,
    ) -> bool {
        let fits = self.open
            && candidate.joinable
            && candidate.payload <= self.segment
            && candidate.headers == self.headers
            && self.count < MAX_SEGMENTS
            && self.headers + self.payload + candidate.payload <= MAX_LEN
            && (header.protocol == UDP || candidate.sequence == self.next);
        let first = &arena[self.start..self.start + self.header.total_len];
        if !fits || !self.same_headers(first, packet) {
            return false;
        }
        if !self.verified {
            self.verified = checksums_are_right(first, &self.header);
        }
        self.verified && checksums_are_right(packet, header)
    }

    /// Whether both packets agree in all header fields that a super-packet has only once.
    #[inline]
    fn same_headers(&self, first: &[u8], packet: &[u8]) -> bool {
        let ip = self.header.header_len;
        let ip_same = match self.header.version {
            // Version, length and TOS; flags, fragment, TTL and protocol. Identifications only have
            // to count up where a router may still fragment (RFC 6864 §4.1): there they matter.
            IpVersion::V4 => {
                same(first, packet, 0..2)
                    && same(first, packet, 6..10)
                    && (self.header.dont_fragment || counts_up(first, packet, self.count))
            }
            // Version, class and flow label; next header and hop limit.
            IpVersion::V6 => same(first, packet, 0..4) && same(first, packet, 6..8),
        };
        // TCP: acknowledgement and data offset, window, urgent pointer and options. Flags were
        // judged before.
        ip_same
            && (self.header.protocol == UDP
                || (same(first, packet, ip + 8..ip + 13)
                    && same(first, packet, ip + 14..ip + tcp::CHECKSUM_AT)
                    && same(first, packet, ip + 18..self.headers)))
    }

    #[inline]
    fn append(&mut self, pieces: &mut Vec<Piece>, piece: Piece, candidate: &CoalesceCandidate) {
        let index = pieces.len();
        match self.tail {
            Some(tail) => pieces[tail].next = Some(index),
            None => self.head = Some(index),
        }
        self.tail = Some(index);
        self.payload += piece.len;
        self.next = self.next.wrapping_add(wrap(piece.len));
        self.count += 1;
        pieces.push(piece);
        self.pushed = candidate.last;
        self.open = !candidate.last && candidate.payload == self.segment;
    }

    /// Rewrites the first packet's headers to those of the super-packet, and gives the virtio-net
    /// header that describes the super-packet to the device.
    fn close(&self, arena: &mut [u8]) -> VnetHeader {
        if self.count == 1 {
            return VnetHeader::default();
        }
        let packet = &mut arena[self.start..self.start + self.headers];
        let total = self.headers + self.payload;
        let (ip_len, len) = (self.header.header_len, u16::try_from(total).unwrap_or(u16::MAX));
        match self.header.version {
            IpVersion::V4 => {
                if let Some(mut fields) = Ipv4Fields::of(packet) {
                    fields.set_total_len(len);
                }
                complete_v4_checksum(packet, ip_len);
            }
            IpVersion::V6 => set_v6_payload_len(packet, len.saturating_sub(40)),
        }
        let transport_len = total - ip_len;
        let pseudo = self.header.pseudo(transport_len).partial();
        let transport = &mut packet[ip_len..];
        let (gso, offset) = if self.header.protocol == TCP {
            if let Some(mut fields) = TcpFields::of(transport) {
                fields.set_checksum(pseudo);
                if self.pushed {
                    fields.set_flags(ACK | PSH);
                }
            }
            (
                if self.header.version == IpVersion::V4 { Gso::Tcp4 } else { Gso::Tcp6 },
                tcp::CHECKSUM_AT,
            )
        } else {
            if let Some(mut fields) = UdpFields::of(transport) {
                fields.set_length(u16::try_from(transport_len).unwrap_or(u16::MAX));
                fields.set_checksum(pseudo);
            }
            (Gso::Udp, udp::CHECKSUM_AT)
        };
        let short = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        VnetHeader {
            checksum: Some(Checksum { start: short(ip_len), offset: short(offset) }),
            gso,
            segment: short(self.segment),
            header_len: short(self.headers),
        }
    }
}

/// Whether addresses and ports are equal; the caller compared the protocol.
#[inline]
fn same_flow(first: &[u8], packet: &[u8], frame: &IpHeader, header: &IpHeader) -> bool {
    frame.version == header.version
        && match header.version {
            IpVersion::V4 => same(first, packet, 12..V4_LEN + 4),
            IpVersion::V6 => same(first, packet, 8..V6_LEN + 4),
        }
}

#[inline]
fn same(a: &[u8], b: &[u8], range: std::ops::Range<usize>) -> bool {
    a.get(range.clone()) == b.get(range)
}

#[inline]
fn counts_up(first: &[u8], packet: &[u8], count: usize) -> bool {
    let id = |packet: &[u8]| packet.get(4..6).map(|id| u16::from_be_bytes([id[0], id[1]]));
    let expected = id(first).map(|id| id.wrapping_add(u16::try_from(count).unwrap_or(0)));
    id(packet) == expected
}

/// Whether both checksums are right: that of the IP header too, since joining rewrites it and would
/// repair a packet that its receiver must drop.
#[inline]
fn checksums_are_right(packet: &[u8], header: &IpHeader) -> bool {
    let (head, data) = packet.split_at(header.header_len);
    let head_is_right = header.version == IpVersion::V6 || Sum::default().with(head).finish() == 0;
    head_is_right && header.pseudo(data.len()).with(data).finish() == 0
}

fn wrap(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(0)
}
