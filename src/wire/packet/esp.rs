//! The ESP packet (RFC 4303 §2): header in front, trailer behind, and the arithmetic of padding.
//!
//! ```text
//! | SPI | sequence | IV | inner packet .. TFC padding | pad 1 2 3 .. | pad length | next | ICV |
//!   4        4          |<----------------------- encrypted --------------------------->|
//! ```

/// The length of SPI and sequence number.
pub const HEADER_LEN: usize = 8;
/// The length of the two fields pad length and next header.
pub const TRAILER_LEN: usize = 2;
/// The most padding before the trailer: its length is one byte.
pub const MAX_PAD: usize = 255;

/// The header of an ESP packet, which is not encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EspHeader {
    /// Security parameters index, as on the wire; 0 and the reserved values 1..=255 are not refused
    /// here.
    pub spi: u32,
    /// The lower 32 bits of the sequence number.
    pub sequence: u32,
}

impl EspHeader {
    /// Reads the header and gives what follows it.
    pub fn parse(packet: &[u8]) -> Option<(EspHeader, &[u8])> {
        let ([a, b, c, d, e, f, g, h], rest) = packet.split_first_chunk()?;
        let spi = u32::from_be_bytes([*a, *b, *c, *d]);
        Some((EspHeader { spi, sequence: u32::from_be_bytes([*e, *f, *g, *h]) }, rest))
    }

    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.spi.to_be_bytes();
        let [e, f, g, h] = self.sequence.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// The bytes of padding that bring `length` and the trailer to a multiple of `align` (RFC 4303
/// §2.4). `align` is a cipher's block, at least 4.
pub fn pad_len(length: usize, align: usize) -> usize {
    let end = length + TRAILER_LEN;
    end.next_multiple_of(align) - end
}

/// Writes padding 1, 2, 3, .. and the trailer into the end of `plaintext`, whose last `pad` + 2
/// bytes they fill. `false`, and nothing written, when they do not fit.
pub fn write_trailer(plaintext: &mut [u8], pad: u8, next_header: u8) -> bool {
    let room = usize::from(pad) + TRAILER_LEN;
    let Some(start) = plaintext.len().checked_sub(room) else { return false };
    let Some(tail) = plaintext.get_mut(start..) else { return false };
    for (byte, value) in tail.iter_mut().zip(1..=pad) {
        *byte = value;
    }
    if let Some(end) = tail.last_chunk_mut() {
        *end = [pad, next_header];
    }
    true
}

/// The trailer of a decrypted packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trailer {
    /// The protocol of the payload: an IPv4 or IPv6 packet, or a dummy.
    pub next_header: u8,
    /// The length of the payload, which ends where the padding begins.
    pub payload_len: usize,
}

impl Trailer {
    /// Reads the end of `plaintext`; `None` when the pad length or the padding's bytes are not as
    /// RFC 4303 §2.4 says.
    pub fn parse(plaintext: &[u8]) -> Option<Trailer> {
        let (rest, [pad, next_header]) = plaintext.split_last_chunk()?;
        let payload_len = rest.len().checked_sub(usize::from(*pad))?;
        let padding = rest.get(payload_len..)?;
        // Self-describing padding is checked as the RFC advises ("SHOULD inspect"): with a wrong
        // key and no ICV, the padding comes out wrong.
        let sound = padding.iter().zip(1..=u8::MAX).all(|(byte, value)| *byte == value);
        sound.then_some(Trailer { next_header: *next_header, payload_len })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_reaches_the_block() {
        assert_eq!(pad_len(1390, 4), 0);
        assert_eq!(pad_len(1391, 4), 3);
        assert_eq!(pad_len(14, 16), 0);
        assert_eq!(pad_len(15, 16), 15);
    }

    #[test]
    fn wrong_padding_is_seen() {
        assert_eq!(
            Trailer::parse(&[9, 1, 2, 2, 4]),
            Some(Trailer { next_header: 4, payload_len: 1 })
        );
        assert_eq!(Trailer::parse(&[9, 1, 3, 2, 4]), None);
        assert_eq!(Trailer::parse(&[9, 1, 2, 4, 4]), None);
        assert_eq!(Trailer::parse(&[0]), None);
        assert_eq!(Trailer::parse(&[0, 59]), Some(Trailer { next_header: 59, payload_len: 0 }));
        assert!(!write_trailer(&mut [0; 4], 3, 4));
    }

    proptest! {
        #[test]
        fn trailers_read_back(payload in 0usize..70, pad: u8, next_header: u8) {
            let mut plaintext = vec![0xaa; payload + usize::from(pad) + TRAILER_LEN];
            prop_assert!(write_trailer(&mut plaintext, pad, next_header));
            let trailer = Trailer { next_header, payload_len: payload };
            prop_assert_eq!(Trailer::parse(&plaintext), Some(trailer));
            prop_assert!(plaintext.iter().take(payload).all(|byte| *byte == 0xaa));
        }

        #[test]
        fn headers_read_back(spi: u32, sequence: u32, rest in vec(any::<u8>(), 0..9)) {
            let header = EspHeader { spi, sequence };
            let bytes = [&header.to_bytes()[..], &rest].concat();
            prop_assert_eq!(EspHeader::parse(&bytes), Some((header, &rest[..])));
            prop_assert_eq!(EspHeader::parse(&bytes[..7]), None);
        }

        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
            if let Some(trailer) = Trailer::parse(&bytes) {
                prop_assert!(trailer.payload_len + TRAILER_LEN <= bytes.len());
            }
        }
    }
}
