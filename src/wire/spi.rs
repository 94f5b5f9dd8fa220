//! Security parameter indexes: of an IKE SA (8 bytes), of an ESP or AH SA (4 bytes), or of neither.

use std::fmt;

use super::error::Malformed;
use super::reader::FieldReader;
use super::writer::Writer;

/// One side's SPI of an IKE SA (RFC 7296 §3.1).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IkeSpi(pub u64);

impl IkeSpi {
    /// The responder's SPI before it has chosen one.
    pub const ZERO: IkeSpi = IkeSpi(0);
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IkeSpi({self})")
    }
}

/// The SPI of one direction of an ESP SA, chosen by its receiver (RFC 4303 §2.1).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EspSpi(pub u32);

impl EspSpi {
    /// The smallest that may be chosen: 0 is never sent, 1 to 255 are IANA's (RFC 4303 §2.1).
    pub const MIN: EspSpi = EspSpi(256);
}

impl fmt::Display for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EspSpi({self})")
    }
}

/// The SPI field of a proposal, notify or delete. Its size tells which kind of SPI it holds.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Spi {
    /// No SPI: in a proposal for the initial IKE SA, or in a payload about the IKE SA that carries
    /// the payload.
    #[default]
    None,
    /// The SPI of an ESP SA, four bytes.
    Esp(EspSpi),
    /// The SPI of an IKE SA, eight bytes.
    Ike(IkeSpi),
    /// An SPI of any other size. `Spi::from` makes it, so that the sizes above have one form only.
    Other(Vec<u8>),
}

impl Spi {
    /// The number of bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Spi::None => 0,
            Spi::Esp(_) => 4,
            Spi::Ike(_) => 8,
            Spi::Other(bytes) => bytes.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The SPI of an ESP SA, if it is one.
    pub fn esp(&self) -> Option<EspSpi> {
        match self {
            Spi::Esp(spi) => Some(*spi),
            _ => None,
        }
    }

    /// The SPI of an IKE SA, if it is one.
    pub fn ike(&self) -> Option<IkeSpi> {
        match self {
            Spi::Ike(spi) => Some(*spi),
            _ => None,
        }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>, size: u8) -> Result<Spi, Malformed> {
        reader.take(usize::from(size), "SPI").map(Spi::from)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        match self {
            Spi::None => {}
            Spi::Esp(spi) => writer.u32(spi.0),
            Spi::Ike(spi) => writer.u64(spi.0),
            Spi::Other(bytes) => writer.bytes(bytes),
        }
    }
}

impl From<&[u8]> for Spi {
    fn from(bytes: &[u8]) -> Spi {
        if bytes.is_empty() {
            Spi::None
        } else if let Ok(four) = <[u8; 4]>::try_from(bytes) {
            Spi::Esp(EspSpi(u32::from_be_bytes(four)))
        } else if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
            Spi::Ike(IkeSpi(u64::from_be_bytes(eight)))
        } else {
            Spi::Other(bytes.to_vec())
        }
    }
}

impl From<EspSpi> for Spi {
    fn from(spi: EspSpi) -> Spi {
        Spi::Esp(spi)
    }
}

impl From<IkeSpi> for Spi {
    fn from(spi: IkeSpi) -> Spi {
        Spi::Ike(spi)
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spi::None => f.write_str("no SPI"),
            Spi::Esp(spi) => spi.fmt(f),
            Spi::Ike(spi) => spi.fmt(f),
            Spi::Other(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
