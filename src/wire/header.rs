//! The IKE header (RFC 7296 §3.1).
//!
//! ```text
//!  0               8               16   17   18   19   20       24       28
//!  | initiator SPI | responder SPI | np | ver| exch| fl | msg id | length |
//! ```

use std::fmt;

use super::codes::{ExchangeType, PayloadType};
use super::error::{FieldFault, Malformed};
use super::reader::FieldReader;
use super::spi::IkeSpi;
use super::writer::Writer;

/// The header's size.
pub const HEADER_LEN: usize = 28;

/// Where the length field starts in the header.
const LENGTH_OFFSET: usize = 24;

/// The header without the two fields that follow from the payloads: the first payload's type and
/// the length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The SPI of the IKE SA's original initiator.
    pub initiator_spi: IkeSpi,
    /// The SPI of the IKE SA's original responder; zero in the first request.
    pub responder_spi: IkeSpi,
    /// The IKE version of the message.
    pub version: IkeVersion,
    /// The exchange that the message belongs to.
    pub exchange: ExchangeType,
    /// Whether the sender is the original initiator, and whether the message is a response.
    pub flags: Flags,
    /// The number that pairs a response with its request.
    pub message_id: MessageId,
}

impl Header {
    /// Reads a datagram's header and checks its length against the datagram's. Payloads may still
    /// be garbage, and the version another: the header is enough to find the SA, or to answer
    /// INVALID_MAJOR_VERSION.
    pub fn decode(datagram: &[u8]) -> Result<Header, Malformed> {
        Header::read(&mut FieldReader::new(datagram)).map(|(header, _)| header)
    }

    /// Whether the sender is the original initiator of the IKE SA.
    pub fn is_from_initiator(&self) -> bool {
        self.flags.contains(Flags::INITIATOR)
    }

    /// Whether the message is a response.
    pub fn is_response(&self) -> bool {
        self.flags.contains(Flags::RESPONSE)
    }

    /// Reads the header off the start of a datagram, and gives it with the first payload's type.
    pub(crate) fn read(reader: &mut FieldReader<'_>) -> Result<(Header, PayloadType), Malformed> {
        let datagram = reader.left();
        let initiator_spi = IkeSpi(reader.u64("initiator's SPI")?);
        let responder_spi = IkeSpi(reader.u64("responder's SPI")?);
        let first = PayloadType::from(reader.u8("next payload")?);
        let version = IkeVersion::from(reader.u8("version")?);
        let exchange = ExchangeType::from(reader.u8("exchange type")?);
        let flags = Flags(reader.u8("flags")?);
        let message_id = MessageId(reader.u32("message ID")?);
        let at = reader.clone();
        let stated = reader.u32("length")?;
        if usize::try_from(stated) != Ok(datagram) {
            let fault = FieldFault::Value { found: stated.into(), must: "the datagram's length" };
            return Err(at.fault("length", fault));
        }
        let header = Header { initiator_spi, responder_spi, version, exchange, flags, message_id };
        Ok((header, first))
    }

    /// Writes the header with a zero length, which [`Header::close`] replaces.
    pub(crate) fn write(&self, first: PayloadType, writer: &mut Writer) {
        writer.u64(self.initiator_spi.0);
        writer.u64(self.responder_spi.0);
        writer.u8(first.into());
        writer.u8(self.version.into());
        writer.u8(self.exchange.into());
        writer.u8(self.flags.0);
        writer.u32(self.message_id.0);
        writer.u32(0);
    }

    /// Writes the length of the message that ends here and began with its header.
    pub(crate) fn close(writer: &mut Writer) {
        let length = writer.len();
        let fits = u32::try_from(length);
        let value: u32 = fits.unwrap_or_else(|_| writer.refuse("message", length, 0xffff_ffff));
        writer.patch(LENGTH_OFFSET, &value.to_be_bytes());
    }
}

/// The protocol version of an IKE message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IkeVersion {
    /// The major version, four bits; 2 is IKEv2.
    pub major: u8,
    /// The minor version, four bits; ignored on receipt (RFC 7296 §2.5).
    pub minor: u8,
}

impl IkeVersion {
    /// IKEv2, the only version that s2sd speaks.
    pub const V2: IkeVersion = IkeVersion { major: 2, minor: 0 };
}

impl From<u8> for IkeVersion {
    fn from(byte: u8) -> IkeVersion {
        IkeVersion { major: byte >> 4, minor: byte & 0x0f }
    }
}

impl From<IkeVersion> for u8 {
    fn from(version: IkeVersion) -> u8 {
        (version.major << 4) | (version.minor & 0x0f)
    }
}

impl fmt::Display for IkeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The header's flags, with the reserved bits as they came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags(pub u8);

impl Flags {
    /// I: sent by the original initiator of the IKE SA.
    pub const INITIATOR: Flags = Flags(0x08);
    /// R: a response.
    pub const RESPONSE: Flags = Flags(0x20);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits and those of `other`, if `set`.
    pub fn with(self, other: Flags, set: bool) -> Flags {
        if set { Flags(self.0 | other.0) } else { self }
    }
}

/// Counts the requests of one side of an IKE SA (RFC 7296 §2.2).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub u32);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
