//! The UDP header (RFC 768).

/// The length of a UDP header.
pub const LEN: usize = 8;
/// The byte of the header at which the checksum begins.
pub const CHECKSUM_AT: usize = 6;

/// A parsed UDP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UdpHeader {
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// The length of header and data by the length field; at most the bytes given.
    pub length: usize,
    /// The checksum; 0 over IPv4 means that there is none.
    pub checksum: u16,
}

impl UdpHeader {
    /// Reads the header at the start of `datagram`; `None` when the datagram is too short for it.
    pub fn parse(datagram: &[u8]) -> Option<UdpHeader> {
        let header = datagram.first_chunk::<LEN>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if length < LEN || length > datagram.len() {
            return None;
        }
        Some(UdpHeader {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            length,
            checksum: u16::from_be_bytes([header[6], header[7]]),
        })
    }
}

/// The fields of a UDP header that segmentation rewrites.
#[derive(Debug)]
pub struct UdpFields<'a>(&'a mut [u8; LEN]);

impl<'a> UdpFields<'a> {
    /// The header at the start of `datagram`.
    pub fn of(datagram: &'a mut [u8]) -> Option<UdpFields<'a>> {
        datagram.first_chunk_mut().map(UdpFields)
    }

    /// Sets the length of header and data.
    pub fn set_length(&mut self, length: u16) {
        [self.0[4], self.0[5]] = length.to_be_bytes();
    }

    /// Sets the checksum as given.
    pub fn set_checksum(&mut self, checksum: u16) {
        [self.0[6], self.0[7]] = checksum.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_its_length_checked() {
        let mut datagram = [0x11, 0x94, 0x01, 0xf4, 0, 10, 0xab, 0xcd, 1, 2];
        let header = UdpHeader::parse(&datagram).unwrap();
        assert_eq!((header.source_port, header.destination_port), (4500, 500));
        assert_eq!((header.length, header.checksum), (10, 0xabcd));
        for length in [0, 7, 11] {
            UdpFields::of(&mut datagram).unwrap().set_length(length);
            assert_eq!(UdpHeader::parse(&datagram), None);
        }
        assert_eq!(UdpHeader::parse(&datagram[..7]), None);
        UdpFields::of(&mut datagram).unwrap().set_length(8);
        UdpFields::of(&mut datagram).unwrap().set_checksum(1);
        assert_eq!(UdpHeader::parse(&datagram).unwrap().checksum, 1);
    }
}
