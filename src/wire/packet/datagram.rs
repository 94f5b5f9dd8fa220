//! NAT traversal (NAT-T) on the wire: what a UDP datagram on port 4500 is (RFC 3948 §2). ESP, IKE
//! behind four zero bytes, a NAT keepalive, or none of them.

/// The four zero bytes before an IKE message, where an ESP packet has its SPI, which is never 0
/// (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The one byte of a NAT keepalive (RFC 3948 §2.3).
pub const KEEPALIVE: u8 = 0xff;

/// A datagram of port 4500 by its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Classified<'a> {
    /// An ESP packet, from its SPI on.
    Esp(&'a [u8]),
    /// An IKE message, without the marker.
    Ike(&'a [u8]),
    /// A NAT keepalive, which only the NATs on the way need.
    Keepalive,
    /// A datagram that is too short for any of the others.
    Runt,
}

impl<'a> Classified<'a> {
    /// Sorts a datagram received on port 4500.
    pub fn classify(bytes: &'a [u8]) -> Classified<'a> {
        match bytes.split_first_chunk::<4>() {
            Some((&NON_ESP_MARKER, message)) => Classified::Ike(message),
            // SPI and sequence number are the least that can be called ESP.
            Some(_) if bytes.len() >= super::esp::HEADER_LEN => Classified::Esp(bytes),
            Some(_) => Classified::Runt,
            None if bytes == [KEEPALIVE] => Classified::Keepalive,
            None => Classified::Runt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_first_bytes() {
        assert_eq!(Classified::classify(&[0, 0, 0, 0, 7, 7]), Classified::Ike(&[7, 7]));
        assert_eq!(Classified::classify(&[0, 0, 0, 0]), Classified::Ike(&[]));
        let esp = [0, 0, 1, 0, 0, 0, 0, 1];
        assert_eq!(Classified::classify(&esp), Classified::Esp(&esp));
        assert_eq!(Classified::classify(&esp[..7]), Classified::Runt);
        assert_eq!(Classified::classify(&[0xff]), Classified::Keepalive);
        for runt in [&[][..], &[0xfe], &[0xff, 0xff], &[0, 0, 0]] {
            assert_eq!(Classified::classify(runt), Classified::Runt);
        }
    }
}
