//! Dividing a super-packet (TSO, USO) into the packets that its sender would have sent, straight
//! into the send buffer.
//!
//! Each packet gets the headers of the super-packet with these fields rewritten: IP length,
//! identification and checksum; TCP sequence, FIN and PSH on the last packet only, CWR on the first
//! only; UDP length; the transport checksum, computed in full.

use crate::wire::packet::checksum::Sum;
use crate::wire::packet::ip::{
    IpFragment, IpHeader, IpVersion, Ipv4Fields, TCP, UDP, V6_LEN, complete_v4_checksum,
    set_v6_payload_len,
};
use crate::wire::packet::tcp::{CWR, FIN, PSH, TcpFields, TcpHeader};
use crate::wire::packet::udp::{self, UdpFields, UdpHeader};
use crate::wire::packet::vnet::{Checksum, Gso, VnetHeader};

/// The packets that a frame is divided into.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    ip: IpHeader,
    transport: Transport,
    /// The bytes in front of the payload.
    headers: usize,
    /// The payload bytes of every packet but the last.
    segment: usize,
    payload: usize,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    /// The frame is one packet, complete as it is.
    Whole,
    Tcp {
        sequence: u32,
        flags: u8,
    },
    Udp,
}

impl Segments {
    /// Reads a frame's headers, and completes the checksum of a frame that is one packet. `None`
    /// when the frame contradicts itself.
    #[inline]
    pub fn of(frame: &VnetHeader, ip: &IpHeader, packet: &mut [u8]) -> Option<Segments> {
        if frame.gso == Gso::None {
            if let Some(checksum) = frame.checksum {
                complete(packet.get_mut(..ip.total_len)?, ip, checksum)?;
            }
            return Some(Segments::whole(ip));
        }
        Segments::of_super_packet(frame, ip, packet)
    }

    fn whole(ip: &IpHeader) -> Segments {
        let payload = ip.total_len - ip.header_len;
        let (transport, headers) = (Transport::Whole, ip.header_len);
        Segments { ip: *ip, transport, headers, segment: payload, payload, count: 1 }
    }

    fn of_super_packet(frame: &VnetHeader, ip: &IpHeader, packet: &[u8]) -> Option<Segments> {
        let data = ip.payload(packet).filter(|_| ip.fragment == IpFragment::Whole)?;
        let (transport, transport_len) = match (frame.gso, ip.version, ip.protocol) {
            (Gso::Tcp4, IpVersion::V4, TCP) | (Gso::Tcp6, IpVersion::V6, TCP) => {
                let tcp = TcpHeader::parse(data)?;
                (Transport::Tcp { sequence: tcp.sequence, flags: tcp.flags }, tcp.header_len)
            }
            (Gso::Udp, _, UDP) => (Transport::Udp, UdpHeader::parse(data).map(|_| udp::LEN)?),
            _ => return None,
        };
        let segment = usize::from(frame.segment);
        let payload =
            data.len().checked_sub(transport_len).filter(|len| *len > 0 && segment > 0)?;
        let (headers, count) = (ip.header_len + transport_len, payload.div_ceil(segment));
        Some(Segments { ip: *ip, transport, headers, segment, payload, count })
    }

    /// The number of packets.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes of all packets together.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.count * self.headers + self.payload
    }

    /// The length of the longest packet.
    #[inline]
    pub fn max_len(&self) -> usize {
        self.headers + self.segment.min(self.payload)
    }

    /// The length of packet `index`.
    #[inline]
    pub fn len(&self, index: usize) -> usize {
        self.headers + self.segment.min(self.payload - index * self.segment)
    }

    /// Whether there are no packets; never true.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes packet `index` of the super-packet `packet` into `out`, which has [`Segments::len`]
    /// bytes.
    #[inline]
    pub fn write(&self, packet: &[u8], index: usize, out: &mut [u8]) {
        let len = out.len();
        if matches!(self.transport, Transport::Whole) {
            out.copy_from_slice(&packet[..len]);
            return;
        }
        let from = self.headers + index * self.segment;
        let (headers, payload) = out.split_at_mut(self.headers);
        headers.copy_from_slice(&packet[..self.headers]);
        payload.copy_from_slice(&packet[from..from + payload.len()]);
        self.rewrite_ip(index, out);
        let transport = &mut out[self.ip.header_len..];
        match self.transport {
            Transport::Whole => {}
            Transport::Tcp { sequence, flags } => {
                self.rewrite_tcp(index, sequence, flags, transport)
            }
            Transport::Udp => self.rewrite_udp(transport),
        }
    }

    fn rewrite_ip(&self, index: usize, out: &mut [u8]) {
        match self.ip.version {
            IpVersion::V4 => {
                let len = u16::try_from(out.len()).unwrap_or(u16::MAX);
                if let Some(mut fields) = Ipv4Fields::of(out) {
                    // Successive, as those of the sender's own segments would be; the field wraps.
                    fields.set_id(fields.id().wrapping_add(u16::try_from(index).unwrap_or(0)));
                    fields.set_total_len(len);
                }
                complete_v4_checksum(out, self.ip.header_len);
            }
            IpVersion::V6 => {
                set_v6_payload_len(out, u16::try_from(out.len() - V6_LEN).unwrap_or(u16::MAX));
            }
        }
    }

    fn rewrite_tcp(&self, index: usize, sequence: u32, mut flags: u8, transport: &mut [u8]) {
        let offset = u32::try_from(index * self.segment).unwrap_or(0);
        if index + 1 < self.count {
            flags &= !(FIN | PSH);
        }
        if index > 0 {
            flags &= !CWR;
        }
        if let Some(mut fields) = TcpFields::of(transport) {
            fields.set_sequence(sequence.wrapping_add(offset));
            fields.set_flags(flags);
            fields.set_checksum(0);
        }
        let checksum = self.ip.pseudo(transport.len()).with(transport).finish();
        if let Some(mut fields) = TcpFields::of(transport) {
            fields.set_checksum(checksum);
        }
    }

    fn rewrite_udp(&self, transport: &mut [u8]) {
        let len = u16::try_from(transport.len()).unwrap_or(u16::MAX);
        if let Some(mut fields) = UdpFields::of(transport) {
            fields.set_length(len);
            fields.set_checksum(0);
        }
        let checksum = self.ip.pseudo(transport.len()).with(transport).finish_udp();
        if let Some(mut fields) = UdpFields::of(transport) {
            fields.set_checksum(checksum);
        }
    }
}

/// Completes a checksum whose field holds the pseudo-header's sum. `None` when the field is not in
/// the packet.
fn complete(packet: &mut [u8], ip: &IpHeader, checksum: Checksum) -> Option<()> {
    let bytes = packet.get_mut(usize::from(checksum.start)..)?;
    let at = usize::from(checksum.offset);
    bytes.get(at..at + 2)?;
    let sum = Sum::default().with(bytes);
    let value = if ip.protocol == UDP { sum.finish_udp() } else { sum.finish() };
    bytes.get_mut(at..at + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}
