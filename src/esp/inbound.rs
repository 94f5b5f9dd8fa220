//! The receiving half of an SA pair.

use super::drop_reason::DropReason;
use super::limits::{Limits, Wear};
use super::replay::Replay;
use crate::crypto::OpenError;
use crate::crypto::esp::OpenKey;
use crate::time::Instant;
use crate::wire::esp::{EspHeader, HEADER_LEN, Trailer};
use crate::wire::ip::{IPV4, IPV6, IpHeader, NO_NEXT, Version};
use crate::wire::spi::EspSpi;

/// Opens packets of one SA. One thread owns it.
#[derive(Debug)]
pub struct Inbound {
    spi: EspSpi,
    key: OpenKey,
    lead: usize,
    replay: Replay,
    esn: bool,
    wear: Wear,
}

/// An inner packet, where it lies in the ESP packet that carried it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Where it begins.
    pub start: usize,
    /// Its header.
    pub header: IpHeader,
}

impl Inbound {
    /// A new receiving half.
    pub fn new(spi: EspSpi, key: OpenKey, replay: Replay, esn: bool, limits: Limits) -> Inbound {
        let lead = HEADER_LEN + key.layout().iv;
        Inbound { spi, key, lead, replay, esn, wear: Wear::new(limits) }
    }

    /// Our SPI.
    pub fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The highest number received.
    pub fn top(&self) -> u64 {
        self.replay.top()
    }

    /// Packets opened.
    pub fn packets(&self) -> u64 {
        self.wear.packets()
    }

    /// True once, when a successor should be asked for.
    pub fn take_soft(&mut self, now: Instant) -> bool {
        self.wear.take_soft(now)
    }

    /// Opens an ESP packet in place. Nothing is remembered of a packet that is not authentic; a number is spent by
    /// any that is, whatever it holds.
    #[inline]
    pub fn open(&mut self, packet: &mut [u8], now: Instant) -> Result<Opened, DropReason> {
        let (header, _) = EspHeader::parse(packet).ok_or(DropReason::Runt)?;
        if self.wear.is_over(now) {
            return Err(DropReason::Expired);
        }
        let seq = match self.esn {
            true => self.replay.infer(header.sequence),
            false => u64::from(header.sequence),
        };
        self.replay.precheck(seq)?;
        let text = match self.key.open(seq, packet) {
            Ok(text) => text,
            Err(OpenError::Length) => return Err(DropReason::BadLength),
            Err(OpenError::Authentication) => return Err(DropReason::AuthFailed),
            Err(OpenError::Padding) => return Err(DropReason::BadPadding),
        };
        self.replay.commit(seq);
        let opened = inner(text).map(|header| Opened { start: self.lead, header });
        let bytes = opened.map_or(0, |opened| opened.header.total_len);
        self.wear.add(1, u64::try_from(bytes).unwrap_or(u64::MAX));
        opened
    }
}

/// The inner packet in a decrypted text. Bytes between its end and the padding are TFC padding (RFC 4303 §2.7).
#[inline]
fn inner(text: &[u8]) -> Result<IpHeader, DropReason> {
    let trailer = Trailer::parse(text).ok_or(DropReason::BadPadding)?;
    let version = match trailer.next_header {
        IPV4 => Version::V4,
        IPV6 => Version::V6,
        NO_NEXT => return Err(DropReason::Dummy),
        _ => return Err(DropReason::BadNextHeader),
    };
    let payload = text.get(..trailer.payload_len).ok_or(DropReason::BadPadding)?;
    let header = IpHeader::parse(payload).ok_or(DropReason::BadInner)?;
    if header.version == version { Ok(header) } else { Err(DropReason::BadInner) }
}
