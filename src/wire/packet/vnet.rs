//! The virtio-net header in front of every frame at the tunnel device (linux/virtio_net.h), in the
//! machine's byte order.
//!
//! The header says which work (offload) is left to the receiver: a checksum to complete, a
//! super-packet to divide (GSO).

/// The length of the virtio-net header.
pub const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
/// A mark on the type: the first segment carries CWR (RFC 3168).
const GSO_ECN: u8 = 0x80;

/// Whether a frame is one packet or a super-packet of many segments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Gso {
    /// One packet, complete as it is.
    #[default]
    None,
    /// Many TCP segments over IPv4.
    Tcp4,
    /// Many TCP segments over IPv6.
    Tcp6,
    /// Many UDP datagrams ("USO", over either family).
    Udp,
}

/// A checksum that the receiver of the frame completes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checksum {
    /// The byte of the packet at which the sum begins; the sum ends with the packet.
    pub start: u16,
    /// The place of the checksum field, counted from `start`. The field holds the pseudo-header's
    /// sum.
    pub offset: u16,
}

/// The virtio-net header of a frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VnetHeader {
    /// The checksum to be completed, if any.
    pub checksum: Option<Checksum>,
    /// The kind of super-packet to be divided, if any.
    pub gso: Gso,
    /// The payload bytes of each segment of a super-packet.
    pub segment: u16,
    /// The length of the headers in front of a super-packet's payload, as a hint.
    pub header_len: u16,
}

impl VnetHeader {
    /// Reads the header of `frame` and gives the packet behind it; `None` for an unknown kind of
    /// super-packet.
    pub fn parse(frame: &mut [u8]) -> Option<(VnetHeader, &mut [u8])> {
        let (header, packet) = frame.split_first_chunk_mut::<LEN>()?;
        let [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1] = *header;
        let gso = match kind & !GSO_ECN {
            0 => Gso::None,
            1 => Gso::Tcp4,
            4 => Gso::Tcp6,
            5 => Gso::Udp,
            _ => return None,
        };
        let checksum = (flags & NEEDS_CSUM != 0).then(|| Checksum {
            start: u16::from_ne_bytes([s0, s1]),
            offset: u16::from_ne_bytes([o0, o1]),
        });
        let segment = u16::from_ne_bytes([g0, g1]);
        let header_len = u16::from_ne_bytes([h0, h1]);
        Some((VnetHeader { checksum, gso, segment, header_len }, packet))
    }

    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; LEN] {
        let kind = match self.gso {
            Gso::None => 0,
            Gso::Tcp4 => 1,
            Gso::Tcp6 => 4,
            Gso::Udp => 5,
        };
        let (flags, start, offset) = self
            .checksum
            .map_or((0, 0, 0), |checksum| (NEEDS_CSUM, checksum.start, checksum.offset));
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [g0, g1] = self.segment.to_ne_bytes();
        let [s0, s1] = start.to_ne_bytes();
        let [o0, o1] = offset.to_ne_bytes();
        [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        for gso in [Gso::None, Gso::Tcp4, Gso::Tcp6, Gso::Udp] {
            for checksum in [None, Some(Checksum { start: 20, offset: 16 })] {
                let header = VnetHeader { checksum, gso, segment: 1350, header_len: 52 };
                let mut frame = [&header.to_bytes()[..], &[7]].concat();
                assert_eq!(VnetHeader::parse(&mut frame), Some((header, &mut [7][..])));
            }
        }
    }

    #[test]
    fn unknown_kinds_and_stumps_are_refused() {
        let mut frame = VnetHeader::default().to_bytes();
        frame[1] = 3; // UFO, which is never asked for
        assert_eq!(VnetHeader::parse(&mut frame), None);
        frame[1] = 0x81; // TCP over IPv4 with CWR
        assert_eq!(VnetHeader::parse(&mut frame).unwrap().0.gso, Gso::Tcp4);
        assert_eq!(VnetHeader::parse(&mut frame[..9]), None);
    }
}
