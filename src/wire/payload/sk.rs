//! Encrypted payloads, SK (RFC 7296 §3.14) and SKF (IKE fragmentation, RFC 7383 §2.5): the lengths
//! of a message with one, and where the encrypted body begins. Sealing and opening the body is up
//! to `crypto`.
//!
//! ```text
//! |<-------------------------- authenticated ------------------------->|
//! |<----------- AAD ------------>|    |<---------- text -------->|     |
//! | header | clear | SK (SKF n/t)| IV | chain | padding | length | ICV |
//!                                |<--------------- body --------------->|
//! ```

use std::num::NonZeroU16;

use super::chain::{Chain, GenericFlags, GenericHeader};
use crate::wire::codes::PayloadType;
use crate::wire::error::{FieldFault, Malformed, Unencodable};
use crate::wire::header::{HEADER_LEN, Header};
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// The length of a payload's generic header.
const GENERIC_LEN: usize = 4;
/// The length of a fragment's number and the total.
const FRAGMENT_LEN: usize = 4;

/// An encrypted payload as received: neither decrypted nor authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The fragment's place in the message; none for SK, which holds the whole message.
    pub fragment: Option<FragmentNumber>,
    /// The type of the first payload inside; in a fragment other than the first, zero (RFC 7383
    /// §2.5).
    pub first: PayloadType,
    /// The generic header's critical and reserved bits, as received.
    pub flags: GenericFlags,
    /// The body, which ends the datagram. All of the datagram before the body is authenticated
    /// too.
    pub content: Vec<u8>,
}

/// A fragment's place in its message: `number` of `total`, counted from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FragmentNumber {
    number: NonZeroU16,
    total: NonZeroU16,
}

impl FragmentNumber {
    /// Fragment `number` of `total`; `None` unless `1 <= number <= total`.
    pub fn new(number: u16, total: u16) -> Option<FragmentNumber> {
        let (number, total) = (NonZeroU16::new(number)?, NonZeroU16::new(total)?);
        (number <= total).then_some(FragmentNumber { number, total })
    }

    /// The fragment's number, counted from 1.
    pub fn number(self) -> u16 {
        self.number.get()
    }

    /// The number of fragments of the message.
    pub fn total(self) -> u16 {
        self.total.get()
    }
}

/// The room a cipher needs around and in the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Bytes of the explicit IV.
    pub iv: usize,
    /// The text's length is a multiple of this; 1 for an AEAD.
    pub block: usize,
    /// Bytes of the tag or check value.
    pub icv: usize,
}

impl Sealed {
    /// The payload's type, SK or SKF.
    pub fn kind(&self) -> PayloadType {
        match self.fragment {
            None => PayloadType::Encrypted,
            Some(_) => PayloadType::EncryptedFragment,
        }
    }

    /// Reads an SK or SKF payload, which must be the last of its message (§3.14).
    pub(crate) fn decode(
        kind: PayloadType,
        reader: &mut FieldReader<'_>,
    ) -> Result<Sealed, Malformed> {
        let generic = GenericHeader::decode(reader)?;
        let mut body = reader.sub(generic.body, "payload")?;
        reader.clone().finish("bytes after the encrypted payload")?;
        let fragment = match kind {
            PayloadType::EncryptedFragment => {
                let at = body.clone();
                let number = body.u16("fragment number")?;
                let total = body.u16("total fragments")?;
                let fault = FieldFault::Value { found: number.into(), must: "from 1 to the total" };
                let fragment = FragmentNumber::new(number, total);
                Some(fragment.ok_or_else(|| at.fault("fragment number", fault))?)
            }
            _ => None,
        };
        let content = body.take_rest().to_vec();
        Ok(Sealed { fragment, first: generic.next, flags: generic.flags, content })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        let open = begin(self.first, self.flags, self.fragment, writer);
        writer.bytes(&self.content);
        writer.close(open, "encrypted payload");
    }
}

/// A message laid out for sealing: all lengths are written, the text is still plain, and what the
/// cipher writes is zero.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealing {
    /// The message as bytes.
    pub bytes: Vec<u8>,
    /// The byte at which the body begins.
    pub body: usize,
    /// The length of the text in the body, after the IV.
    pub text: usize,
}

impl Sealing {
    /// The message with `chain` in an SK payload.
    pub fn whole(header: &Header, chain: &Chain, room: Room) -> Result<Sealing, Unencodable> {
        let (first, text) = chain.encode()?;
        Sealing::lay_out(header, first, None, &text, room)
    }

    /// One fragment: `text` is its share of the encoded chain that starts with a payload of type
    /// `first`.
    fn fragment(
        header: &Header,
        first: PayloadType,
        fragment: FragmentNumber,
        text: &[u8],
        room: Room,
    ) -> Result<Sealing, Unencodable> {
        // "This field MUST be set to zero in fragments other than the first" (RFC 7383 §2.5).
        let first = if fragment.number() == 1 { first } else { PayloadType::None };
        Sealing::lay_out(header, first, Some(fragment), text, room)
    }

    /// The message as the fewest SKF messages of at most `limit` bytes each.
    pub fn fragments(
        header: &Header,
        chain: &Chain,
        room: Room,
        limit: usize,
    ) -> Result<Vec<Sealing>, Unencodable> {
        let (first, text) = chain.encode()?;
        let share = fragment_share(room, limit).ok_or(Unencodable {
            field: "fragment with one byte of text",
            length: HEADER_LEN + GENERIC_LEN + FRAGMENT_LEN + room.iv + 2 + room.icv,
            limit,
        })?;
        let total = text.len().div_ceil(share).max(1);
        let count = u16::try_from(total).map_err(|_| {
            let limit = usize::from(u16::MAX);
            Unencodable { field: "fragments", length: total, limit }
        })?;
        // An empty chain has one empty share.
        let shares = text.chunks(share).chain(text.is_empty().then_some(&[][..]));
        let numbered =
            (1..=count).filter_map(|number| FragmentNumber::new(number, count)).zip(shares);
        numbered
            .map(|(fragment, share)| Sealing::fragment(header, first, fragment, share, room))
            .collect()
    }

    fn lay_out(
        header: &Header,
        first: PayloadType,
        fragment: Option<FragmentNumber>,
        text: &[u8],
        room: Room,
    ) -> Result<Sealing, Unencodable> {
        let kind = match fragment {
            None => PayloadType::Encrypted,
            Some(_) => PayloadType::EncryptedFragment,
        };
        let mut writer = Writer::new();
        header.write(kind, &mut writer);
        let open = begin(first, GenericFlags::default(), fragment, &mut writer);
        let body = writer.len();
        writer.zeros(room.iv);
        writer.bytes(text);
        // At least the padding's length follows the text.
        let filled = (text.len() + 1).next_multiple_of(room.block.max(1));
        writer.zeros(filled - text.len() + room.icv);
        writer.close(open, "encrypted payload");
        Header::close(&mut writer);
        Ok(Sealing { bytes: writer.finish()?, body, text: text.len() })
    }
}

/// The bytes of the encoded chain that one SKF message of at most `limit` bytes can carry; `None`
/// when there is no room for one byte.
pub(crate) fn fragment_share(room: Room, limit: usize) -> Option<usize> {
    let around = HEADER_LEN + GENERIC_LEN + FRAGMENT_LEN + room.iv + room.icv;
    let blocks = limit.checked_sub(around)?.checked_div(room.block)?;
    (blocks * room.block).checked_sub(1).filter(|share| *share > 0)
}

/// Writes an encrypted payload's head: the generic header, and the fragment's place.
fn begin(
    first: PayloadType,
    flags: GenericFlags,
    fragment: Option<FragmentNumber>,
    writer: &mut Writer,
) -> crate::wire::writer::Open {
    writer.u8(first.into());
    writer.u8(flags.0);
    let open = writer.open(2);
    if let Some(fragment) = fragment {
        writer.u16(fragment.number());
        writer.u16(fragment.total());
    }
    open
}
