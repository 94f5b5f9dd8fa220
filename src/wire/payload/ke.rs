//! Key Exchange payloads (RFC 7296 §3.4).

use crate::wire::codes::KeId;
use crate::wire::error::Malformed;
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::writer::Writer;

/// The body of a KE payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct KeyExchange {
    /// The key exchange method ("Diffie-Hellman group" in RFC 7296).
    pub group: KeId,
    /// The public value. The key exchange method checks its length and validity.
    pub public: Vec<u8>,
    /// The two reserved bytes.
    pub reserved: ReservedBits<2>,
}

impl KeyExchange {
    /// A payload with a public value of `group`.
    pub fn new(group: KeId, public: impl Into<Vec<u8>>) -> KeyExchange {
        KeyExchange { group, public: public.into(), reserved: ReservedBits::default() }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<KeyExchange, Malformed> {
        let group = KeId::from(reader.u16("key exchange method")?);
        let reserved = reader.reserved()?;
        Ok(KeyExchange { group, public: reader.take_rest().to_vec(), reserved })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u16(self.group.into());
        writer.reserved(self.reserved);
        writer.bytes(&self.public);
    }
}
