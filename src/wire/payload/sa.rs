//! Security Association payloads: proposals, their transforms and attributes (RFC 7296 §3.3).
//!
//! ```text
//! SA ── proposal 1 ── transform ── attribute (key length)
//!    │             └─ transform
//!    └─ proposal 2 ── ...
//! ```
//!
//! Transforms of one type in a proposal are alternatives; types are added together; proposals are
//! alternatives.

use std::fmt;

use crate::wire::codes::{
    AttributeType, EncrId, EsnId, IntegId, KeId, PrfId, ProtocolId, TransformType,
};
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::spi::Spi;
use crate::wire::writer::Writer;

/// The most proposals of a payload: proposals are numbered from 1 in one byte.
pub const MAX_PROPOSALS: usize = 255;
/// The most transforms of a proposal: the count is one byte.
pub const MAX_TRANSFORMS: usize = 255;
/// The most attributes of a transform. The standard has one type of attribute.
pub const MAX_ATTRIBUTES: usize = 16;

/// The body of an SA payload.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct SecurityAssociation {
    /// The proposals in order of preference; at least one when decoded.
    pub proposals: Vec<Proposal>,
}

/// One proposal of an offer, or the one that was accepted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Proposal {
    /// The number: 1 for the first proposal of an offer, one more for each next. A response repeats
    /// the number of the accepted proposal.
    pub number: u8,
    /// The protocol of the SA: IKE, ESP or AH.
    pub protocol: ProtocolId,
    /// The sender's inbound SPI; none for the initial IKE SA.
    pub spi: Spi,
    /// The transforms, in order of preference within a type.
    pub transforms: Vec<Transform>,
    /// The reserved byte.
    pub reserved: ReservedBits<1>,
}

/// One algorithm of a proposal.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Transform {
    /// The transform's type, and its number within the type.
    pub id: TransformId,
    /// The attributes: as a rule one key length, or none.
    pub attributes: Vec<TransformAttribute>,
    /// The reserved bytes before and after the type.
    pub reserved: [ReservedBits<1>; 2],
}

/// A transform's type and its number within the type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransformId {
    /// Type 1: an encryption algorithm.
    Encryption(EncrId),
    /// Type 2: a pseudo-random function.
    Prf(PrfId),
    /// Type 3: an integrity algorithm.
    Integrity(IntegId),
    /// Type 4: a key exchange method.
    KeyExchange(KeId),
    /// Type 5: sequence numbers of 32 or 64 bits.
    SequenceNumbers(EsnId),
    /// A type that s2sd does not negotiate, such as the additional key exchanges of RFC 9370.
    Unknown {
        /// The transform's type.
        kind: TransformType,
        /// The transform's number within the type.
        number: u16,
    },
}

/// A property of a transform.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TransformAttribute {
    /// The attribute's type, 15 bits.
    pub kind: AttributeType,
    /// The attribute's value.
    pub value: AttributeValue,
}

/// The two forms of a value, told apart by the type's first bit.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AttributeValue {
    /// TV: a value of two bytes, in place of the length.
    Short(u16),
    /// TLV: a value of any length, after the length.
    Long(Vec<u8>),
}

/// "Last substructure": no other follows.
const LAST: u8 = 0;
/// "Last substructure": another proposal follows.
const MORE_PROPOSALS: u8 = 2;
/// "Last substructure": another transform follows.
const MORE_TRANSFORMS: u8 = 3;
/// The attribute format bit: TV.
const SHORT: u16 = 0x8000;

impl SecurityAssociation {
    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<SecurityAssociation, Malformed> {
        let mut proposals = Vec::new();
        loop {
            if proposals.len() == MAX_PROPOSALS {
                return Err(reader.fault("proposals", FieldFault::TooMany { limit: MAX_PROPOSALS }));
            }
            let more = decode_last(reader, MORE_PROPOSALS, "0 (last) or 2 (more)")?;
            proposals.push(Proposal::decode(reader)?);
            if !more {
                return Ok(SecurityAssociation { proposals });
            }
        }
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        if self.proposals.len() > MAX_PROPOSALS {
            writer.refuse("proposals", self.proposals.len(), MAX_PROPOSALS)
        }
        let mut rest = self.proposals.iter().peekable();
        while let Some(proposal) = rest.next() {
            writer.u8(if rest.peek().is_some() { MORE_PROPOSALS } else { LAST });
            proposal.encode(writer);
        }
    }
}

impl From<Proposal> for SecurityAssociation {
    fn from(proposal: Proposal) -> SecurityAssociation {
        SecurityAssociation { proposals: vec![proposal] }
    }
}

impl FromIterator<Proposal> for SecurityAssociation {
    fn from_iter<I: IntoIterator<Item = Proposal>>(proposals: I) -> SecurityAssociation {
        SecurityAssociation { proposals: proposals.into_iter().collect() }
    }
}

impl Proposal {
    /// A proposal with these transforms.
    pub fn new(
        number: u8,
        protocol: ProtocolId,
        spi: impl Into<Spi>,
        transforms: impl IntoIterator<Item = Transform>,
    ) -> Proposal {
        let transforms = transforms.into_iter().collect();
        Proposal {
            number,
            protocol,
            spi: spi.into(),
            transforms,
            reserved: ReservedBits::default(),
        }
    }

    /// The transforms of one type, in order.
    pub fn of_type(&self, kind: TransformType) -> impl Iterator<Item = &Transform> {
        self.transforms.iter().filter(move |transform| transform.id.kind() == kind)
    }

    /// Reads what follows the "last substructure" byte.
    fn decode(reader: &mut FieldReader<'_>) -> Result<Proposal, Malformed> {
        let reserved = reader.reserved()?;
        let length = reader.length16(2, "proposal length")?;
        let mut body = reader.sub(length, "proposal")?;
        let number = body.u8("proposal number")?;
        let protocol = ProtocolId::from(body.u8("protocol ID")?);
        let spi_size = body.u8("SPI size")?;
        let count = body.u8("number of transforms")?;
        let spi = Spi::decode(&mut body, spi_size)?;
        let mut transforms = Vec::new();
        for left in (0..count).rev() {
            let at = body.clone();
            let more = decode_last(&mut body, MORE_TRANSFORMS, "0 (last) or 3 (more)")?;
            if more != (left > 0) {
                let must = "what the number of transforms says";
                let fault = FieldFault::Value { found: if more { 3 } else { 0 }, must };
                return Err(at.fault("last transform", fault));
            }
            transforms.push(Transform::decode(&mut body)?);
        }
        body.finish("proposal")?;
        Ok(Proposal { number, protocol, spi, transforms, reserved })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.reserved(self.reserved);
        let open = writer.open(2);
        writer.u8(self.number);
        writer.u8(self.protocol.into());
        writer.length8(self.spi.len(), "SPI size");
        writer.length8(self.transforms.len(), "number of transforms");
        self.spi.encode(writer);
        let mut rest = self.transforms.iter().peekable();
        while let Some(transform) = rest.next() {
            writer.u8(if rest.peek().is_some() { MORE_TRANSFORMS } else { LAST });
            transform.encode(writer);
        }
        writer.close(open, "proposal");
    }
}

impl fmt::Display for Proposal {
    /// `ESP:AES_CBC_256/HMAC_SHA2_256_128/32-bit`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.protocol)?;
        for (nth, transform) in self.transforms.iter().enumerate() {
            let slash = if nth == 0 { "" } else { "/" };
            write!(f, "{slash}{transform}")?;
        }
        Ok(())
    }
}

impl Transform {
    /// A transform without attributes.
    pub fn new(id: impl Into<TransformId>) -> Transform {
        Transform { id: id.into(), attributes: Vec::new(), reserved: Default::default() }
    }

    /// A transform with a key length in bits.
    pub fn with_key_length(id: impl Into<TransformId>, bits: u16) -> Transform {
        let value = AttributeValue::Short(bits);
        let attribute = TransformAttribute { kind: AttributeType::KeyLength, value };
        Transform { attributes: vec![attribute], ..Transform::new(id) }
    }

    /// The key length in bits, if one is stated in its proper form (§3.3.5).
    pub fn key_length(&self) -> Option<u16> {
        self.attributes.iter().find_map(|attribute| match attribute {
            TransformAttribute {
                kind: AttributeType::KeyLength,
                value: AttributeValue::Short(bits),
            } => Some(*bits),
            _ => None,
        })
    }

    /// Whether there is an attribute besides a proper key length. Such a transform must not be
    /// chosen (§3.3.6).
    pub fn has_unknown_attributes(&self) -> bool {
        self.attributes.len() != usize::from(self.key_length().is_some())
    }

    /// Reads what follows the "last substructure" byte.
    fn decode(reader: &mut FieldReader<'_>) -> Result<Transform, Malformed> {
        let before = reader.reserved()?;
        let length = reader.length16(2, "transform length")?;
        let mut body = reader.sub(length, "transform")?;
        let kind = TransformType::from(body.u8("transform type")?);
        let after = body.reserved()?;
        let id = TransformId::new(kind, body.u16("transform ID")?);
        let mut attributes = Vec::new();
        while !body.is_empty() {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(body.fault("attributes", FieldFault::TooMany { limit: MAX_ATTRIBUTES }));
            }
            attributes.push(TransformAttribute::decode(&mut body)?);
        }
        Ok(Transform { id, attributes, reserved: [before, after] })
    }

    fn encode(&self, writer: &mut Writer) {
        if self.attributes.len() > MAX_ATTRIBUTES {
            writer.refuse("attributes", self.attributes.len(), MAX_ATTRIBUTES)
        }
        let [before, after] = self.reserved;
        writer.reserved(before);
        let open = writer.open(2);
        writer.u8(self.id.kind().into());
        writer.reserved(after);
        writer.u16(self.id.number());
        self.attributes.iter().for_each(|attribute| attribute.encode(writer));
        writer.close(open, "transform");
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)?;
        match self.key_length() {
            Some(bits) => write!(f, "_{bits}"),
            None => Ok(()),
        }
    }
}

impl TransformId {
    /// The transform `number` of type `kind`.
    pub fn new(kind: TransformType, number: u16) -> TransformId {
        match kind {
            TransformType::Encryption => TransformId::Encryption(number.into()),
            TransformType::Prf => TransformId::Prf(number.into()),
            TransformType::Integrity => TransformId::Integrity(number.into()),
            TransformType::KeyExchange => TransformId::KeyExchange(number.into()),
            TransformType::SequenceNumbers => TransformId::SequenceNumbers(number.into()),
            _ => TransformId::Unknown { kind, number },
        }
    }

    /// The transform's type.
    pub fn kind(self) -> TransformType {
        match self {
            TransformId::Encryption(_) => TransformType::Encryption,
            TransformId::Prf(_) => TransformType::Prf,
            TransformId::Integrity(_) => TransformType::Integrity,
            TransformId::KeyExchange(_) => TransformType::KeyExchange,
            TransformId::SequenceNumbers(_) => TransformType::SequenceNumbers,
            TransformId::Unknown { kind, .. } => kind,
        }
    }

    /// The transform's number within the type.
    pub fn number(self) -> u16 {
        match self {
            TransformId::Encryption(id) => id.into(),
            TransformId::Prf(id) => id.into(),
            TransformId::Integrity(id) => id.into(),
            TransformId::KeyExchange(id) => id.into(),
            TransformId::SequenceNumbers(id) => id.into(),
            TransformId::Unknown { number, .. } => number,
        }
    }
}

impl fmt::Display for TransformId {
    /// The name within the type; a bare `NONE` or an unnamed number says which type it is of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransformId::Encryption(id) if !matches!(id, EncrId::Unknown(_)) => id.fmt(f),
            TransformId::Prf(id) if !matches!(id, PrfId::Unknown(_)) => write!(f, "PRF_{id}"),
            TransformId::Integrity(id) if !matches!(id, IntegId::None | IntegId::Unknown(_)) => {
                id.fmt(f)
            }
            TransformId::KeyExchange(id) if !matches!(id, KeId::None | KeId::Unknown(_)) => {
                id.fmt(f)
            }
            TransformId::SequenceNumbers(EsnId::Sequence32) => f.write_str("NO_ESN"),
            TransformId::SequenceNumbers(EsnId::Extended64) => f.write_str("ESN"),
            TransformId::Integrity(IntegId::None) => f.write_str("INTEG_NONE"),
            TransformId::KeyExchange(KeId::None) => f.write_str("KE_NONE"),
            other => match other.kind() {
                TransformType::Unknown(kind) => write!(f, "TYPE_{kind}_{}", other.number()),
                kind => write!(f, "{kind}_{}", other.number()),
            },
        }
    }
}

macro_rules! transform_from {
    ($($variant:ident($id:ident)),* $(,)?) => {$(
        impl From<$id> for TransformId {
            fn from(id: $id) -> TransformId {
                TransformId::$variant(id)
            }
        }
    )*};
}

transform_from!(
    Encryption(EncrId),
    Prf(PrfId),
    Integrity(IntegId),
    KeyExchange(KeId),
    SequenceNumbers(EsnId),
);

impl TransformAttribute {
    fn decode(reader: &mut FieldReader<'_>) -> Result<TransformAttribute, Malformed> {
        let field = reader.u16("attribute type")?;
        let kind = AttributeType::from(field & !SHORT);
        let value = if field & SHORT != 0 {
            AttributeValue::Short(reader.u16("attribute value")?)
        } else {
            let length = reader.u16("attribute length")?;
            AttributeValue::Long(reader.take(length.into(), "attribute value")?.to_vec())
        };
        Ok(TransformAttribute { kind, value })
    }

    fn encode(&self, writer: &mut Writer) {
        let kind = u16::from(self.kind);
        match &self.value {
            AttributeValue::Short(value) => {
                writer.u16(kind | SHORT);
                writer.u16(*value);
            }
            AttributeValue::Long(bytes) => {
                writer.u16(kind & !SHORT);
                writer.length16(bytes.len(), "attribute length");
                writer.bytes(bytes);
            }
        }
    }
}

/// Reads "last substructure": whether `more` of the kind follow.
fn decode_last(
    reader: &mut FieldReader<'_>,
    more: u8,
    must: &'static str,
) -> Result<bool, Malformed> {
    let at = reader.clone();
    match reader.u8("last substructure")? {
        LAST => Ok(false),
        found if found == more => Ok(true),
        found => {
            Err(at.fault("last substructure", FieldFault::Value { found: found.into(), must }))
        }
    }
}
