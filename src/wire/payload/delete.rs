//! Delete payloads (RFC 7296 §3.11): SAs that the sender has closed, by the sender's inbound SPIs.

use crate::wire::codes::ProtocolId;
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::spi::{EspSpi, Spi};
use crate::wire::writer::Writer;

/// The body of a Delete payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Delete {
    /// The kind of the closed SAs. IKE means the IKE SA that carries the payload, without an SPI.
    pub protocol: ProtocolId,
    /// Bytes of each SPI: 0, 4 or 8 when decoded. Needed because the list may be empty.
    pub spi_size: u8,
    /// The SPIs of the closed SAs, each of `spi_size` bytes.
    pub spis: Vec<Spi>,
}

impl Delete {
    /// A payload that closes the IKE SA that carries it.
    pub fn ike_sa() -> Delete {
        Delete { protocol: ProtocolId::Ike, spi_size: 0, spis: Vec::new() }
    }

    /// A payload that closes these ESP SAs.
    pub fn esp(spis: impl IntoIterator<Item = EspSpi>) -> Delete {
        let spis = spis.into_iter().map(Spi::Esp).collect();
        Delete { protocol: ProtocolId::Esp, spi_size: 4, spis }
    }

    /// The ESP SAs that the payload closes.
    pub fn esp_spis(&self) -> impl Iterator<Item = EspSpi> {
        let spis = self.spis.iter().filter_map(Spi::esp);
        spis.filter(|_| self.protocol == ProtocolId::Esp)
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Delete, Malformed> {
        let protocol = ProtocolId::from(reader.u8("protocol ID")?);
        let at = reader.clone();
        let spi_size = reader.u8("SPI size")?;
        // No protocol has other sizes (§3.11), and a list of one-byte SPIs would take many times
        // its own size in memory.
        if !matches!(spi_size, 0 | 4 | 8) {
            let fault = FieldFault::Value { found: spi_size.into(), must: "0, 4 or 8" };
            return Err(at.fault("SPI size", fault));
        }
        let at = reader.clone();
        let count = reader.u16("number of SPIs")?;
        if spi_size == 0 && count != 0 {
            let fault =
                FieldFault::Value { found: count.into(), must: "0 when SPIs have no bytes" };
            return Err(at.fault("number of SPIs", fault));
        }
        let spis = (0..count).map(|_| Spi::decode(reader, spi_size));
        Ok(Delete { protocol, spi_size, spis: spis.collect::<Result<_, _>>()? })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        let size = usize::from(self.spi_size);
        if let Some(odd) = self.spis.iter().find(|spi| spi.len() != size || size == 0) {
            writer.refuse("SPI in a delete", odd.len(), size)
        }
        writer.u8(self.protocol.into());
        writer.u8(self.spi_size);
        writer.length16(self.spis.len(), "number of SPIs");
        self.spis.iter().for_each(|spi| spi.encode(writer));
    }
}
