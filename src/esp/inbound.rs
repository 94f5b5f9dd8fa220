//! The receiving half of an SA pair.

use std::sync::Arc;

use super::drop_reason::DropReason;
use super::lease::Ceiling;
use super::limits::{Limits, Usage};
use super::replay::Replay;
use crate::crypto::OpenError;
use crate::crypto::esp::OpenKey;
use crate::time::Instant;
use crate::wire::packet::esp::{EspHeader, HEADER_LEN, Trailer};
use crate::wire::packet::ip::{IPV4, IPV6, IpHeader, IpVersion, NO_NEXT};
use crate::wire::spi::EspSpi;

/// Numbers noted at a time, a power of two.
const NOTED: u64 = 64;

/// Opens packets of one SA. One thread owns it.
#[derive(Debug)]
pub struct Inbound {
    spi: EspSpi,
    key: OpenKey,
    lead: usize,
    replay: Replay,
    /// What the ledger says was seen at most; nothing is above it when there is no ledger.
    ceiling: u64,
    ledger: Option<Arc<dyn Ceiling>>,
    esn: bool,
    usage: Usage,
    /// Packets that a former process opened.
    before: u64,
}

/// An inner packet, where it lies in the ESP packet that carried it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenedPacket {
    /// Where it begins.
    pub start: usize,
    /// Its header.
    pub header: IpHeader,
}

impl Inbound {
    /// A new receiving half.
    pub fn new(spi: EspSpi, key: OpenKey, replay: Replay, esn: bool, limits: Limits) -> Inbound {
        let lead = HEADER_LEN + key.layout().iv;
        let usage = Usage::new(limits);
        let ceiling = u64::MAX;
        Inbound { spi, key, lead, replay, ceiling, ledger: None, esn, usage, before: 0 }
    }

    /// Notes in a ledger which numbers it may have seen, *before* their packets go on: a successor
    /// takes all below the ceiling for seen.
    pub fn noted_in(self, ledger: Arc<dyn Ceiling>) -> Inbound {
        Inbound { ceiling: 0, ledger: Some(ledger), ..self }
    }

    /// Goes on where a former process stopped, as far as volume counts.
    pub fn resumed(self, packets: u64, bytes: u64) -> Inbound {
        Inbound { usage: self.usage.resumed(packets, bytes), before: packets, ..self }
    }

    /// What it has received.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Packets and bytes that count towards its limits.
    pub fn served(&self) -> (u64, u64) {
        (self.usage.packets(), self.usage.bytes())
    }

    /// Our SPI.
    pub fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The highest number received.
    pub fn top(&self) -> u64 {
        self.replay.top()
    }

    /// Packets that this process opened.
    pub fn packets(&self) -> u64 {
        self.usage.packets() - self.before
    }

    /// True once, when a successor should be asked for.
    pub fn take_soft(&mut self, now: Instant) -> bool {
        self.usage.take_soft(now)
    }

    /// Opens an ESP packet in place. Nothing is remembered of a packet that is not authentic; a
    /// number is spent by any that is, whatever it holds.
    #[inline]
    pub fn open(&mut self, packet: &mut [u8], now: Instant) -> Result<OpenedPacket, DropReason> {
        let (header, _) = EspHeader::parse(packet).ok_or(DropReason::Runt)?;
        if self.usage.is_over(now) {
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
        if seq >= self.ceiling {
            self.raise(seq);
        }
        let opened = inner(text).map(|header| OpenedPacket { start: self.lead, header });
        let bytes = opened.map_or(0, |opened| opened.header.total_len);
        self.usage.add(1, u64::try_from(bytes).unwrap_or(u64::MAX));
        opened
    }

    /// Once in so many packets: what a crash costs is at most as many that came and were not seen.
    #[cold]
    fn raise(&mut self, seq: u64) {
        let Some(ledger) = &self.ledger else { return };
        self.ceiling = (seq | (NOTED - 1)).saturating_add(1);
        ledger.raise(self.ceiling);
    }
}

/// The inner packet in a decrypted text. Bytes between its end and the padding are TFC padding (RFC
/// 4303 §2.7).
#[inline]
fn inner(text: &[u8]) -> Result<IpHeader, DropReason> {
    let trailer = Trailer::parse(text).ok_or(DropReason::BadPadding)?;
    let version = match trailer.next_header {
        IPV4 => IpVersion::V4,
        IPV6 => IpVersion::V6,
        NO_NEXT => return Err(DropReason::Dummy),
        _ => return Err(DropReason::BadNextHeader),
    };
    let payload = text.get(..trailer.payload_len).ok_or(DropReason::BadPadding)?;
    let header = IpHeader::parse(payload).ok_or(DropReason::BadInner)?;
    if header.version == version { Ok(header) } else { Err(DropReason::BadInner) }
}
