//! Notify payloads (RFC 7296 §3.10), and the data of the types that s2sd acts on.

use std::time::Duration;

use crate::wire::codes::{HashId, KeId, NotifyType, PayloadType, ProtocolId};
use crate::wire::error::Malformed;
use crate::wire::reader::FieldReader;
use crate::wire::spi::{EspSpi, Spi};
use crate::wire::writer::Writer;

/// Bytes of a NAT_DETECTION_*_IP hash: SHA-1 (§2.23).
pub const NAT_HASH_LEN: usize = 20;

/// The longest cookie, in bytes (§2.6).
pub const MAX_COOKIE: usize = 64;

/// The body of a Notify payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Notify {
    /// The kind of the SA that `spi` names; none when there is no SPI.
    pub protocol: ProtocolId,
    /// The SA that the notify is about; none for the IKE SA that carries the notify.
    pub spi: Spi,
    /// The notify's type: which error or status.
    pub kind: NotifyType,
    /// The notify's data; its form depends on the type.
    pub data: Vec<u8>,
}

impl Notify {
    /// A notify without an SPI and without data.
    pub fn new(kind: NotifyType) -> Notify {
        Notify { protocol: ProtocolId::None, spi: Spi::None, kind, data: Vec::new() }
    }

    /// A notify with data.
    pub fn with_data(kind: NotifyType, data: impl Into<Vec<u8>>) -> Notify {
        Notify { data: data.into(), ..Notify::new(kind) }
    }

    /// A notify about one ESP SA.
    pub fn about_esp(kind: NotifyType, spi: EspSpi) -> Notify {
        Notify { protocol: ProtocolId::Esp, spi: spi.into(), ..Notify::new(kind) }
    }

    /// COOKIE: asks the initiator to prove that responses reach it (§2.6).
    pub fn cookie(cookie: &[u8]) -> Notify {
        Notify::with_data(NotifyType::Cookie, cookie)
    }

    /// INVALID_KE_PAYLOAD: asks for a key exchange of this group (§1.3).
    pub fn invalid_ke(group: KeId) -> Notify {
        Notify::with_data(NotifyType::InvalidKePayload, u16::from(group).to_be_bytes())
    }

    /// UNSUPPORTED_CRITICAL_PAYLOAD: names the critical payload that is not understood (§2.5).
    pub fn unsupported_critical(payload: PayloadType) -> Notify {
        Notify::with_data(NotifyType::UnsupportedCriticalPayload, [payload.into()])
    }

    /// REKEY_SA: names the child SA to be replaced, by the sender's inbound SPI (§1.3.3).
    pub fn rekey(spi: EspSpi) -> Notify {
        Notify::about_esp(NotifyType::RekeySa, spi)
    }

    /// SIGNATURE_HASH_ALGORITHMS: the hashes of signatures that the sender verifies (RFC 7427 §4).
    pub fn signature_hashes(hashes: &[HashId]) -> Notify {
        let data: Vec<u8> = hashes.iter().flat_map(|h| u16::from(*h).to_be_bytes()).collect();
        Notify::with_data(NotifyType::SignatureHashAlgorithms, data)
    }

    /// AUTH_LIFETIME: how long the sender lets this authentication live (RFC 4478 §3).
    pub fn auth_lifetime(span: Duration) -> Notify {
        let seconds = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        Notify::with_data(NotifyType::AuthLifetime, seconds.to_be_bytes())
    }

    /// The time that an AUTH_LIFETIME gives.
    pub fn auth_lifetime_span(&self) -> Option<Duration> {
        let data = self.data_of(NotifyType::AuthLifetime)?;
        let seconds = <[u8; 4]>::try_from(data).ok().map(u32::from_be_bytes)?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// The cookie of a COOKIE: 1 to 64 bytes.
    pub fn cookie_data(&self) -> Option<&[u8]> {
        let data = self.data_of(NotifyType::Cookie)?;
        (1..=MAX_COOKIE).contains(&data.len()).then_some(data)
    }

    /// The group that an INVALID_KE_PAYLOAD asks for.
    pub fn invalid_ke_group(&self) -> Option<KeId> {
        let data = self.data_of(NotifyType::InvalidKePayload)?;
        <[u8; 2]>::try_from(data).ok().map(u16::from_be_bytes).map(KeId::from)
    }

    /// The payload type that an UNSUPPORTED_CRITICAL_PAYLOAD names.
    pub fn unsupported_critical_type(&self) -> Option<PayloadType> {
        match self.data_of(NotifyType::UnsupportedCriticalPayload)? {
            [one] => Some(PayloadType::from(*one)),
            _ => None,
        }
    }

    /// The child SA that a REKEY_SA is to replace.
    pub fn rekey_spi(&self) -> Option<EspSpi> {
        self.data_of(NotifyType::RekeySa)?;
        self.spi.esp().filter(|_| self.protocol == ProtocolId::Esp)
    }

    /// INVALID_SPI: no SA of the sender has the SPI of an ESP packet that came (RFC 7296 §1.5).
    pub fn invalid_spi(spi: EspSpi) -> Notify {
        Notify::with_data(NotifyType::InvalidSpi, spi.0.to_be_bytes())
    }

    /// The SPI of an INVALID_SPI.
    pub fn refused_spi(&self) -> Option<EspSpi> {
        let data = self.data_of(NotifyType::InvalidSpi)?;
        <[u8; 4]>::try_from(data).ok().map(u32::from_be_bytes).map(EspSpi)
    }

    /// The hashes of a SIGNATURE_HASH_ALGORITHMS; an odd last byte is left out.
    pub fn signature_hash_ids(&self) -> impl Iterator<Item = HashId> {
        let data = self.data_of(NotifyType::SignatureHashAlgorithms).unwrap_or_default();
        data.as_chunks().0.iter().copied().map(u16::from_be_bytes).map(HashId::from)
    }

    /// The hash of a NAT_DETECTION_SOURCE_IP or NAT_DETECTION_DESTINATION_IP (NAT traversal,
    /// §2.23).
    pub fn nat_hash(&self) -> Option<[u8; NAT_HASH_LEN]> {
        let source = self.data_of(NotifyType::NatDetectionSourceIp);
        let data = source.or_else(|| self.data_of(NotifyType::NatDetectionDestinationIp))?;
        data.try_into().ok()
    }

    /// The data, if the type is this one.
    fn data_of(&self, kind: NotifyType) -> Option<&[u8]> {
        (self.kind == kind).then_some(&*self.data)
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Notify, Malformed> {
        let protocol = ProtocolId::from(reader.u8("protocol ID")?);
        let size = reader.u8("SPI size")?;
        let kind = NotifyType::from(reader.u16("notify message type")?);
        let spi = Spi::decode(reader, size)?;
        Ok(Notify { protocol, spi, kind, data: reader.take_rest().to_vec() })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.protocol.into());
        writer.length8(self.spi.len(), "SPI size");
        writer.u16(self.kind.into());
        self.spi.encode(writer);
        writer.bytes(&self.data);
    }
}
