//! What a UDP datagram on port 4500 is (RFC 3948 §2): ESP, IKE behind four zero bytes, a keepalive, or nothing.

/// Stands where an ESP packet has its SPI, which is never 0 (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The one byte of a NAT keepalive (RFC 3948 §2.3).
pub const KEEPALIVE: u8 = 0xff;

/// A classified datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Datagram<'a> {
    /// An ESP packet, from its SPI on.
    Esp(&'a [u8]),
    /// An IKE message, the marker taken off.
    Ike(&'a [u8]),
    /// A NAT keepalive: it did its work on the way.
    Keepalive,
    /// Too short for anything.
    Runt,
}

impl<'a> Datagram<'a> {
    /// Sorts a datagram received on port 4500.
    pub fn classify(bytes: &'a [u8]) -> Datagram<'a> {
        match bytes.split_first_chunk::<4>() {
            Some((&NON_ESP_MARKER, message)) => Datagram::Ike(message),
            // SPI and sequence number are the least that can be called ESP.
            Some(_) if bytes.len() >= super::esp::HEADER_LEN => Datagram::Esp(bytes),
            Some(_) => Datagram::Runt,
            None if bytes == [KEEPALIVE] => Datagram::Keepalive,
            None => Datagram::Runt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_first_bytes() {
        assert_eq!(Datagram::classify(&[0, 0, 0, 0, 7, 7]), Datagram::Ike(&[7, 7]));
        assert_eq!(Datagram::classify(&[0, 0, 0, 0]), Datagram::Ike(&[]));
        let esp = [0, 0, 1, 0, 0, 0, 0, 1];
        assert_eq!(Datagram::classify(&esp), Datagram::Esp(&esp));
        assert_eq!(Datagram::classify(&esp[..7]), Datagram::Runt);
        assert_eq!(Datagram::classify(&[0xff]), Datagram::Keepalive);
        for runt in [&[][..], &[0xfe], &[0xff, 0xff], &[0, 0, 0]] {
            assert_eq!(Datagram::classify(runt), Datagram::Runt);
        }
    }
}
