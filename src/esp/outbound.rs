//! The sending half of an SA pair.

use super::drop_reason::DropReason;
use super::lease::{Lease, Seq, SeqRange};
use super::limits::{Limits, Usage, UsageLimit};
use crate::crypto::esp::SealKey;
use crate::crypto::suite::Layout;
use crate::time::Instant;
use crate::wire::packet::esp::{HEADER_LEN, MAX_PAD, write_trailer};
use crate::wire::spi::EspSpi;

/// Seals packets of one SA. One thread owns the sending half, so that packets leave in the order of
/// their numbers.
#[derive(Debug)]
pub struct Outbound {
    spi: EspSpi,
    key: SealKey,
    layout: Layout,
    lease: Lease,
    usage: Usage,
}

impl Outbound {
    /// Makes a new sending half.
    pub fn new(spi: EspSpi, key: SealKey, lease: Lease, limits: Limits) -> Outbound {
        Outbound { spi, layout: key.layout(), key, lease, usage: Usage::new(limits) }
    }

    /// Counts what a former process sent towards the limits.
    pub fn resumed(self, packets: u64, bytes: u64) -> Outbound {
        Outbound { usage: self.usage.resumed(packets, bytes), ..self }
    }

    /// The packets and bytes that count towards the limits.
    pub fn served(&self) -> (u64, u64) {
        (self.usage.packets(), self.usage.bytes())
    }

    /// The SPI, which the peer chose.
    pub fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The layout of a packet around its payload, from IV to ICV.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The octet of an ESP packet at which the inner packet begins.
    #[inline]
    pub fn lead(&self) -> usize {
        HEADER_LEN + self.layout.iv
    }

    /// The length of the ESP packet around `inner` bytes of inner packet and TFC padding.
    #[inline]
    pub fn packet_len(&self, inner: usize) -> usize {
        HEADER_LEN + self.layout.sealed_len(inner)
    }

    /// Takes sequence numbers for `packets` packets with `bytes` inner bytes in all; the error says
    /// why there are none.
    #[inline]
    pub fn reserve(
        &mut self,
        packets: u64,
        bytes: u64,
        now: Instant,
    ) -> Result<SeqRange, DropReason> {
        if self.usage.is_over(now) {
            return Err(DropReason::Expired);
        }
        let range = self.lease.take(packets).ok_or(DropReason::NumbersSpent)?;
        self.usage.add(packets, bytes);
        Ok(range)
    }

    /// Reports each limit that has been reached, until `tell` has once returned true for it.
    pub fn report(&mut self, now: Instant, tell: impl FnMut(UsageLimit) -> bool) {
        self.usage.report(now, tell);
    }

    /// The last sequence number that was handed out.
    pub fn spent(&self) -> u64 {
        self.lease.spent()
    }

    /// Seals `packet`: [`Outbound::packet_len`] bytes that hold `inner` bytes of inner packet from
    /// [`Outbound::lead`] on. False, and the packet is of no use, when the caller laid the packet
    /// out in another way.
    #[inline]
    pub fn seal(&self, seq: Seq, packet: &mut [u8], inner: usize, next_header: u8) -> bool {
        let Some(pad) = self.pad(packet.len(), inner) else { return false };
        let Some(end) = packet.len().checked_sub(self.layout.icv) else { return false };
        let Some(text) = packet.get_mut(self.lead()..end) else { return false };
        if !write_trailer(text, pad, next_header) {
            return false;
        }
        let Some(spi) = packet.first_chunk_mut::<4>() else { return false };
        *spi = self.spi.0.to_be_bytes();
        self.key.seal(seq.spend(), packet).is_ok()
    }

    /// The padding between `inner` bytes and the end of a packet of `len` bytes.
    #[inline]
    fn pad(&self, len: usize, inner: usize) -> Option<u8> {
        let outside = self.lead() + inner + self.layout.trailer + self.layout.icv;
        let pad = len.checked_sub(outside).filter(|pad| *pad <= MAX_PAD)?;
        u8::try_from(pad).ok()
    }
}
