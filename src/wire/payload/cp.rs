//! Configuration payloads (RFC 7296 §3.15).

use crate::wire::codes::{CfgAttributeType, CfgType};
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::writer::Writer;

/// The most attributes of a payload.
pub const MAX_CFG_ATTRIBUTES: usize = 1024;

/// The attribute type's first bit, which is reserved.
const RESERVED_BIT: u8 = 0x80;

/// The body of a CP payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Configuration {
    /// Whether the payload asks, answers, sets or acknowledges.
    pub kind: CfgType,
    /// The attributes that are asked for or given.
    pub attributes: Vec<CfgAttribute>,
    /// The three reserved bytes.
    pub reserved: ReservedBits<3>,
}

/// One attribute of a CP payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CfgAttribute {
    /// The attribute's type, 15 bits.
    pub kind: CfgAttributeType,
    /// The value; empty in a request that leaves the choice to the peer.
    pub value: Vec<u8>,
    /// The one reserved bit, in its place in the type's first byte.
    pub reserved: ReservedBits<1>,
}

impl Configuration {
    /// A payload with these attributes.
    pub fn new(kind: CfgType, attributes: impl IntoIterator<Item = CfgAttribute>) -> Configuration {
        let attributes = attributes.into_iter().collect();
        Configuration { kind, attributes, reserved: ReservedBits::default() }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Configuration, Malformed> {
        let kind = CfgType::from(reader.u8("CFG type")?);
        let reserved = reader.reserved()?;
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            if attributes.len() == MAX_CFG_ATTRIBUTES {
                let fault = FieldFault::TooMany { limit: MAX_CFG_ATTRIBUTES };
                return Err(reader.fault("configuration attributes", fault));
            }
            attributes.push(CfgAttribute::decode(reader)?);
        }
        Ok(Configuration { kind, attributes, reserved })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        if self.attributes.len() > MAX_CFG_ATTRIBUTES {
            writer.refuse("configuration attributes", self.attributes.len(), MAX_CFG_ATTRIBUTES)
        }
        writer.u8(self.kind.into());
        writer.reserved(self.reserved);
        self.attributes.iter().for_each(|attribute| attribute.encode(writer));
    }
}

impl CfgAttribute {
    /// An attribute with this value.
    pub fn new(kind: CfgAttributeType, value: impl Into<Vec<u8>>) -> CfgAttribute {
        CfgAttribute { kind, value: value.into(), reserved: ReservedBits::default() }
    }

    fn decode(reader: &mut FieldReader<'_>) -> Result<CfgAttribute, Malformed> {
        let [high, low] = reader.array("attribute type")?;
        let kind = u16::from_be_bytes([high & !RESERVED_BIT, low]).into();
        let length = reader.u16("attribute length")?;
        let value = reader.take(length.into(), "attribute value")?.to_vec();
        Ok(CfgAttribute { kind, value, reserved: [high & RESERVED_BIT].into() })
    }

    fn encode(&self, writer: &mut Writer) {
        let [high, low] = u16::from(self.kind).to_be_bytes();
        let [bit] = self.reserved.bytes();
        writer.u8((high & !RESERVED_BIT) | (bit & RESERVED_BIT));
        writer.u8(low);
        writer.length16(self.value.len(), "attribute length");
        writer.bytes(&self.value);
    }
}
