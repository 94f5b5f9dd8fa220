//! The receiving half of an SA pair.

use std::sync::Arc;

use super::drop_reason::DropReason;
use super::lease::Ceiling;
use super::limits::{Limits, Usage, UsageLimit};
use super::replay::Replay;
use crate::crypto::OpenError;
use crate::crypto::esp::OpenKey;
use crate::time::Instant;
use crate::wire::packet::esp::{EspHeader, HEADER_LEN, Trailer};
use crate::wire::packet::ip::{IPV4, IPV6, IpHeader, IpVersion, NO_NEXT};
use crate::wire::spi::EspSpi;

/// How many sequence numbers one entry in the ledger covers, a power of two.
const NOTED: u64 = 64;

/// Opens packets of one SA. One thread owns the receiving half.
#[derive(Debug)]
pub struct Inbound {
    spi: EspSpi,
    key: OpenKey,
    lead: usize,
    replay: Replay,
    /// The first number that the ledger does not say was seen; the maximum when there is no ledger.
    ceiling: u64,
    ledger: Option<Arc<dyn Ceiling>>,
    esn: bool,
    usage: Usage,
    /// The packets that a former process opened.
    before: u64,
}

/// An inner packet, by its place in the ESP packet that carried it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenedPacket {
    /// The octet of the ESP packet at which the inner packet begins.
    pub start: usize,
    /// The header of the inner packet.
    pub header: IpHeader,
}

impl Inbound {
    /// Makes a new receiving half.
    pub fn new(spi: EspSpi, key: OpenKey, replay: Replay, esn: bool, limits: Limits) -> Inbound {
        let lead = HEADER_LEN + key.layout().iv;
        let usage = Usage::new(limits);
        let ceiling = u64::MAX;
        Inbound { spi, key, lead, replay, ceiling, ledger: None, esn, usage, before: 0 }
    }

    /// Has the receiving half note in a ledger which numbers it may have seen, *before* their
    /// packets are delivered: after a crash the successor takes all numbers below the ceiling for
    /// seen, so that no packet passes twice.
    pub fn noted_in(self, ledger: Arc<dyn Ceiling>) -> Inbound {
        Inbound { ceiling: 0, ledger: Some(ledger), ..self }
    }

    /// Counts what a former process received towards the limits.
    pub fn resumed(self, packets: u64, bytes: u64) -> Inbound {
        Inbound { usage: self.usage.resumed(packets, bytes), before: packets, ..self }
    }

    /// The anti-replay window.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The packets and bytes that count towards the limits.
    pub fn served(&self) -> (u64, u64) {
        (self.usage.packets(), self.usage.bytes())
    }

    /// The SPI, which this side chose.
    pub fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The highest sequence number received.
    pub fn top(&self) -> u64 {
        self.replay.top()
    }

    /// The packets that this process opened.
    pub fn packets(&self) -> u64 {
        self.usage.packets() - self.before
    }

    /// Reports each limit that has been reached, until `tell` has once returned true for it.
    pub fn report(&mut self, now: Instant, tell: impl FnMut(UsageLimit) -> bool) {
        self.usage.report(now, tell);
    }

    /// Opens an ESP packet in place. A packet that is not authentic changes nothing; an authentic
    /// one uses up its sequence number, whatever the packet holds.
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

    /// Raises the ledger's ceiling, once for [`NOTED`] numbers: a crash costs at most as many
    /// packets, which the successor drops although they are new.
    #[cold]
    fn raise(&mut self, seq: u64) {
        let Some(ledger) = &self.ledger else { return };
        self.ceiling = (seq | (NOTED - 1)).saturating_add(1);
        ledger.raise(self.ceiling);
    }
}

/// The inner packet in a decrypted text. Bytes between the end of the inner packet and the padding
/// are TFC padding (RFC 4303 §2.7).
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
