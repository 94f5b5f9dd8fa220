//! The TCP header (RFC 9293 §3.1).

use super::checksum::adjust;

/// The length of a TCP header without options.
pub const LEN: usize = 20;
/// The byte of the header at which the checksum begins.
pub const CHECKSUM_AT: usize = 16;

/// The flag FIN: no more data from the sender.
pub const FIN: u8 = 0x01;
/// The flag SYN: synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// The flag PSH: hand the data to the application.
pub const PSH: u8 = 0x08;
/// The flag ACK: the acknowledgement field is valid.
pub const ACK: u8 = 0x10;
/// The flag CWR: congestion window reduced (RFC 3168). It stands on one segment of a super-packet
/// only.
pub const CWR: u8 = 0x80;

/// A parsed TCP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpHeader {
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// The sequence number of the first byte of data.
    pub sequence: u32,
    /// The header's length in bytes, options included.
    pub header_len: usize,
    /// The flag byte.
    pub flags: u8,
}

impl TcpHeader {
    /// Reads the header at the start of `segment`; `None` when the segment is too short for it.
    pub fn parse(segment: &[u8]) -> Option<TcpHeader> {
        let header = segment.first_chunk::<LEN>()?;
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < LEN || header_len > segment.len() {
            return None;
        }
        Some(TcpHeader {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            header_len,
            flags: header[13],
        })
    }
}

/// The fields of a TCP header that segmentation rewrites.
#[derive(Debug)]
pub struct TcpFields<'a>(&'a mut [u8; LEN]);

impl<'a> TcpFields<'a> {
    /// The header at the start of `segment`.
    pub fn of(segment: &'a mut [u8]) -> Option<TcpFields<'a>> {
        segment.first_chunk_mut().map(TcpFields)
    }

    /// Sets the sequence number.
    pub fn set_sequence(&mut self, sequence: u32) {
        [self.0[4], self.0[5], self.0[6], self.0[7]] = sequence.to_be_bytes();
    }

    /// Sets the flag byte.
    pub fn set_flags(&mut self, flags: u8) {
        self.0[13] = flags;
    }

    /// The checksum as it stands in the header.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[16], self.0[17]])
    }

    /// Sets the checksum as given.
    pub fn set_checksum(&mut self, checksum: u16) {
        [self.0[16], self.0[17]] = checksum.to_be_bytes();
    }
}

/// Lowers the maximum segment size (MSS) option of a SYN to `limit`, and adjusts the checksum.
/// Gives whether the option was above `limit`.
pub fn clamp_mss(segment: &mut [u8], limit: u16) -> bool {
    let Some(header) = TcpHeader::parse(segment) else { return false };
    if header.flags & SYN == 0 {
        return false;
    }
    let Some(at) = segment.get(LEN..header.header_len).and_then(mss_option) else { return false };
    let Some(field) = segment.get_mut(LEN + at..).and_then(<[u8]>::first_chunk_mut::<2>) else {
        return false;
    };
    let old = u16::from_be_bytes(*field);
    if old <= limit {
        return false;
    }
    *field = limit.to_be_bytes();
    // At an odd offset the checksum sees the bytes of the value swapped (RFC 1071 §2 (B)).
    let (old, new) =
        if at % 2 == 0 { (old, limit) } else { (old.swap_bytes(), limit.swap_bytes()) };
    if let Some(mut fields) = TcpFields::of(segment) {
        let checksum = adjust(fields.checksum(), old, new);
        fields.set_checksum(checksum);
    }
    true
}

/// The offset of the value of the maximum segment size option (kind 2, length 4), among `options`.
fn mss_option(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            0 => return None,
            1 => at += 1,
            2 if options.get(at + 1) == Some(&4) => return Some(at + 2),
            _ => at += usize::from(*options.get(at + 1)?).max(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::packet::checksum::Sum;

    fn syn(options: &[u8]) -> Vec<u8> {
        let mut segment = vec![0, 80, 1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, SYN, 1, 0, 0, 0, 0, 0];
        segment.extend(options);
        segment.resize(segment.len().next_multiple_of(4), 0);
        segment[12] = u8::try_from(segment.len() / 4).unwrap() << 4;
        let checksum = Sum::default().with(&segment).finish();
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        segment
    }

    #[test]
    fn the_clamp_finds_the_option_and_keeps_the_checksum() {
        for before in [&[][..], &[1], &[1, 1], &[3, 3, 7], &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2]] {
            let mut segment = syn(&[before, &[2, 4, 0x05, 0xb4, 1]].concat());
            assert!(clamp_mss(&mut segment, 1350));
            let at = LEN + before.len() + 2;
            assert_eq!(segment[at..at + 2], 1350u16.to_be_bytes());
            assert_eq!(Sum::default().with(&segment).finish(), 0, "options before: {before:?}");
            assert!(!clamp_mss(&mut segment, 1350), "what is small enough stays");
        }
    }

    #[test]
    fn no_option_no_clamp() {
        for options in [&[][..], &[0, 2, 4, 9, 9], &[2, 3, 9, 9], &[3], &[9, 0], &[2, 4, 5]] {
            let mut segment = syn(options);
            let before = segment.clone();
            clamp_mss(&mut segment, 1);
            assert_eq!(segment[..16], before[..16]);
        }
        let mut ack = syn(&[2, 4, 0x05, 0xb4]);
        ack[13] = ACK;
        assert!(!clamp_mss(&mut ack, 1350));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(header) = TcpHeader::parse(&bytes) {
                prop_assert!(header.header_len <= bytes.len());
            }
            if let Some(flags) = bytes.get_mut(13) {
                *flags |= SYN;
            }
            clamp_mss(&mut bytes, 1000);
        }
    }
}
