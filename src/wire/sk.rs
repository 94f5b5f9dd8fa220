//! Encrypted payloads, SK (RFC 7296 §3.14) and SKF (RFC 7383 §2.5): their layout. What the bytes inside mean is the
//! cipher's business; it works in place on the parts named here.
//!
//! ```text
//! |<-------------------------- authenticated ------------------------->|
//! |<----------- AAD ------------>|    |<---------- text -------->|     |
//! | header | clear | SK (SKF n/t)| IV | chain | padding | length | ICV |
//! ```
//!
//! An AEAD takes the AAD and the text (RFC 5282 §5.1); a separate integrity algorithm takes all up to the ICV, after
//! encryption.

use std::num::NonZeroU16;

use super::chain::{Chain, GenericFlags, GenericHeader};
use super::codes::PayloadType;
use super::error::{Fault, Malformed, Unencodable};
use super::header::{HEADER_LEN, Header};
use super::reader::Reader;
use super::writer::Writer;

/// A payload's generic header.
const GENERIC_LEN: usize = 4;
/// The fragment's number and the total.
const FRAGMENT_LEN: usize = 4;

/// An encrypted payload as it came: not yet opened, not yet believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// Which part of a message this is; None for SK, the whole.
    pub fragment: Option<Fragment>,
    /// The type of the first payload inside; in a fragment other than the first, zero (RFC 7383 §2.5).
    pub first: PayloadType,
    /// The generic header's critical and reserved bits, as they came.
    pub flags: GenericFlags,
    /// IV, ciphertext, ICV. The AAD is all of the datagram before it, see [`Sealed::aad`].
    pub content: Vec<u8>,
}

/// Which part of a message: `number` of `total`, counted from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fragment {
    number: NonZeroU16,
    total: NonZeroU16,
}

impl Fragment {
    /// None unless `1 <= number <= total`.
    pub fn new(number: u16, total: u16) -> Option<Fragment> {
        let (number, total) = (NonZeroU16::new(number)?, NonZeroU16::new(total)?);
        (number <= total).then_some(Fragment { number, total })
    }

    /// From 1.
    pub fn number(self) -> u16 {
        self.number.get()
    }

    /// How many there are.
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
    /// SK or SKF.
    pub fn kind(&self) -> PayloadType {
        match self.fragment {
            None => PayloadType::Encrypted,
            Some(_) => PayloadType::EncryptedFragment,
        }
    }

    /// The part of `datagram` before the content: what an AEAD authenticates besides the text. Only right for the
    /// datagram that this was decoded from.
    pub fn aad<'d>(&self, datagram: &'d [u8]) -> &'d [u8] {
        let end = datagram.len().saturating_sub(self.content.len());
        datagram.split_at_checked(end).map_or(datagram, |(aad, _)| aad)
    }

    /// The content's parts, for opening in place. Their sizes are checked against the cipher's.
    pub fn parts(&mut self, room: Room) -> Result<Parts<'_>, Malformed> {
        let length = self.content.len();
        let fault = |must| Malformed {
            payload: self.kind(),
            field: "content",
            offset: 0,
            fault: Fault::Length { found: length, must },
        };
        let short = fault("room for IV, text and ICV");
        let uneven = fault("whole cipher blocks between IV and ICV");
        let (iv, rest) = self.content.split_at_mut_checked(room.iv).ok_or(short)?;
        let text = rest.len().checked_sub(room.icv).filter(|text| *text > 0).ok_or(short)?;
        if !text.is_multiple_of(room.block) {
            return Err(uneven);
        }
        let (text, icv) = rest.split_at_mut_checked(text).ok_or(short)?;
        Ok(Parts { iv, text, icv })
    }

    /// Reads an SK or SKF payload. It is the last of its message (§3.14).
    pub(super) fn decode(kind: PayloadType, reader: &mut Reader<'_>) -> Result<Sealed, Malformed> {
        let generic = GenericHeader::decode(reader)?;
        let mut body = reader.sub(generic.body, "payload")?;
        reader.clone().finish("bytes after the encrypted payload")?;
        let fragment = match kind {
            PayloadType::EncryptedFragment => {
                let at = body.clone();
                let number = body.u16("fragment number")?;
                let total = body.u16("total fragments")?;
                let fault = Fault::Value { found: number.into(), must: "from 1 to the total" };
                let fragment = Fragment::new(number, total);
                Some(fragment.ok_or_else(|| at.fault("fragment number", fault))?)
            }
            _ => None,
        };
        let content = body.take_rest().to_vec();
        Ok(Sealed { fragment, first: generic.next, flags: generic.flags, content })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let open = begin(self.first, self.flags, self.fragment, writer);
        writer.bytes(&self.content);
        writer.close(open, "encrypted payload");
    }
}

/// An encrypted payload's parts, for a cipher to work on.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The explicit IV.
    pub iv: &'a mut [u8],
    /// Chain, padding and padding length: plain before sealing and after opening.
    pub text: &'a mut [u8],
    /// The tag or check value.
    pub icv: &'a mut [u8],
}

/// The chain's bytes in an opened text: without the padding, whose content is not looked at (§3.14).
pub fn strip_padding(text: &[u8]) -> Result<&[u8], Malformed> {
    let fault = |fault| Malformed {
        payload: PayloadType::Encrypted,
        field: "pad length",
        offset: text.len().saturating_sub(1),
        fault,
    };
    let (length, rest) =
        text.split_last().ok_or_else(|| fault(Fault::Short { needed: 1, left: 0 }))?;
    let padding = usize::from(*length);
    let chain = rest.len().checked_sub(padding).and_then(|end| rest.get(..end));
    chain.ok_or_else(|| fault(Fault::Short { needed: padding, left: rest.len() }))
}

/// A message laid out for sealing: lengths right, IV and ICV zero, the text still plain.
#[derive(Debug)]
pub struct Sealing {
    bytes: Vec<u8>,
    content: usize,
    room: Room,
}

impl Sealing {
    /// The message with `chain` in an SK payload.
    pub fn whole(header: &Header, chain: &Chain, room: Room) -> Result<Sealing, Unencodable> {
        let (first, text) = chain.encode()?;
        Sealing::lay_out(header, first, None, &text, room)
    }

    /// One fragment: `text` is its share of the encoded chain that starts with a payload of type `first`.
    pub fn fragment(
        header: &Header,
        first: PayloadType,
        fragment: Fragment,
        text: &[u8],
        room: Room,
    ) -> Result<Sealing, Unencodable> {
        // "This field MUST be set to zero in fragments other than the first" (RFC 7383 §2.5).
        let first = if fragment.number() == 1 { first } else { PayloadType::None };
        Sealing::lay_out(header, first, Some(fragment), text, room)
    }

    /// The message in as many SKF messages as it takes for none to exceed `limit` bytes.
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
        let numbered = (1..=count).filter_map(|number| Fragment::new(number, count)).zip(shares);
        numbered
            .map(|(fragment, share)| Sealing::fragment(header, first, fragment, share, room))
            .collect()
    }

    /// Bytes of the finished message.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: there is a header at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// For an AEAD: the AAD, and the parts to seal in place.
    pub fn parts(&mut self) -> (&[u8], Parts<'_>) {
        const LAID_OUT: &str = "the message was laid out with this room";
        let (aad, content) = self.bytes.split_at_mut_checked(self.content).expect(LAID_OUT);
        let (iv, rest) = content.split_at_mut_checked(self.room.iv).expect(LAID_OUT);
        let text = rest.len().saturating_sub(self.room.icv);
        let (text, icv) = rest.split_at_mut_checked(text).expect(LAID_OUT);
        (aad, Parts { iv, text, icv })
    }

    /// For a separate integrity algorithm, once the text is encrypted: all before the ICV, and the ICV.
    pub fn authenticated(&mut self) -> (&[u8], &mut [u8]) {
        let end = self.bytes.len().saturating_sub(self.room.icv);
        let split = self.bytes.split_at_mut_checked(end);
        let (message, icv) = split.expect("the message was laid out with room for the ICV");
        (message, icv)
    }

    /// The message, ready to send once it is sealed.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn lay_out(
        header: &Header,
        first: PayloadType,
        fragment: Option<Fragment>,
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
        let content = writer.len();
        writer.zeros(room.iv);
        writer.bytes(text);
        let padding = (text.len() + 1).next_multiple_of(room.block.max(1)) - text.len() - 1;
        writer.zeros(padding);
        writer.length8(padding, "pad length");
        writer.zeros(room.icv);
        writer.close(open, "encrypted payload");
        Header::close(&mut writer);
        Ok(Sealing { bytes: writer.finish()?, content, room })
    }
}

/// Bytes of the encoded chain that one SKF message of at most `limit` bytes can carry; None when not even one.
pub fn fragment_share(room: Room, limit: usize) -> Option<usize> {
    let around = HEADER_LEN + GENERIC_LEN + FRAGMENT_LEN + room.iv + room.icv;
    let blocks = limit.checked_sub(around)?.checked_div(room.block)?;
    (blocks * room.block).checked_sub(1).filter(|share| *share > 0)
}

/// Writes an encrypted payload's head: the generic header, and the fragment's place.
fn begin(
    first: PayloadType,
    flags: GenericFlags,
    fragment: Option<Fragment>,
    writer: &mut Writer,
) -> super::writer::Open {
    writer.u8(first.into());
    writer.u8(flags.0);
    let open = writer.open(2);
    if let Some(fragment) = fragment {
        writer.u16(fragment.number());
        writer.u16(fragment.total());
    }
    open
}
