//! Congestion marks (ECN, RFC 6040) and service classes (DSCP, RFC 2983) between the inner and the
//! outer header.

use crate::wire::packet::checksum::adjust;
use crate::wire::packet::ip::{IpHeader, IpVersion, Ipv4Fields, set_v6_class};

const ECN: u8 = 0x03;
const NOT_ECT: u8 = 0;
const CE: u8 = 3;

/// The outer TOS byte of an inner packet: ECN is always copied (RFC 6040 §4.1, normal mode), DSCP
/// when the operator wants classes to be seen on the way.
#[inline]
pub(super) fn outer_tos(inner: u8, copy_dscp: bool) -> u8 {
    if copy_dscp { inner } else { inner & ECN }
}

/// What becomes of an inner packet that came within an outer header with ECN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OuterMark {
    /// The packet is delivered as it was sent.
    Unchanged,
    /// The packet is delivered with the mark of the outer header: it met congestion.
    Marked,
    /// The packet is dropped: its sender cannot see a mark, and must notice the congestion by the
    /// loss.
    Lost,
}

/// Decides by both TOS bytes what becomes of a packet (RFC 6040 §4.2, figure 4).
#[inline]
pub(super) fn arrival(inner: u8, outer: u8) -> OuterMark {
    match (inner & ECN, outer & ECN) {
        (NOT_ECT, CE) => OuterMark::Lost,
        (CE, _) => OuterMark::Unchanged,
        (_, CE) => OuterMark::Marked,
        // ECT(1) outside an ECT(0) packet becomes ECT(1): figure 4's only other change.
        (2, 1) => OuterMark::Marked,
        _ => OuterMark::Unchanged,
    }
}

/// Writes the ECN field of `outer` into an inner packet, and corrects the header checksum.
pub(super) fn mark(packet: &mut [u8], header: &IpHeader, outer: u8) {
    let tos = (header.tos & !ECN) | (outer & ECN);
    match header.version {
        IpVersion::V6 => set_v6_class(packet, tos),
        IpVersion::V4 => {
            let Some(mut fields) = Ipv4Fields::of(packet) else { return };
            // The word that changes is version, header length and TOS; the first byte is the same
            // before and after.
            let checksum = adjust(fields.checksum(), u16::from(header.tos), u16::from(tos));
            fields.set_tos(tos);
            fields.set_checksum(checksum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::checksum::Sum;
    use crate::wire::packet::ip::complete_v4_checksum;

    #[test]
    fn figure_4_of_rfc_6040() {
        use OuterMark::{Lost, Marked, Unchanged};
        // Rows: inner Not-ECT, ECT(0), ECT(1), CE. Columns: outer Not-ECT, ECT(0), ECT(1), CE.
        let table = [
            (0, [Unchanged, Unchanged, Unchanged, Lost]),
            (2, [Unchanged, Unchanged, Marked, Marked]),
            (1, [Unchanged, Unchanged, Unchanged, Marked]),
            (3, [Unchanged; 4]),
        ];
        for (inner, row) in table {
            for (outer, expected) in [0, 2, 1, 3].into_iter().zip(row) {
                assert_eq!(arrival(0xb8 | inner, outer), expected, "{inner} in {outer}");
            }
        }
        assert_eq!((outer_tos(0xbb, false), outer_tos(0xbb, true)), (0x03, 0xbb));
    }

    #[test]
    fn a_mark_keeps_class_and_checksum() {
        let mut packet = [0x45, 0xba, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        complete_v4_checksum(&mut packet, 20);
        let header = IpHeader::parse(&packet).unwrap();
        mark(&mut packet, &header, 3);
        assert_eq!(IpHeader::parse(&packet).unwrap().tos, 0xbb);
        assert_eq!(Sum::default().with(&packet).finish(), 0);

        let mut packet = [[0x6b, 0xa0, 0, 0, 0, 0, 59].as_slice(), &[0; 33]].concat();
        let header = IpHeader::parse(&packet).unwrap();
        mark(&mut packet, &header, 3);
        assert_eq!(IpHeader::parse(&packet).unwrap().tos, 0xbb);
    }
}
