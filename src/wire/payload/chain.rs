//! Payloads in a row, each announcing the type of the next (RFC 7296 §3.2).
//!
//! ```text
//! first type ─> | next type | C, reserved | length | body | ─> | next type | ... ─> 0: the end
//! ```
//!
//! A chain stands in clear after the IKE header, and again inside an encrypted payload.

use super::Payload;
use super::auth::AuthPayload;
use super::cert::{CertPayload, CertificateRequest};
use super::cp::Configuration;
use super::delete::Delete;
use super::eap::Eap;
use super::id::Identity;
use super::ke::KeyExchange;
use super::nonce::Nonce;
use super::notify::Notify;
use super::sa::SecurityAssociation;
use super::ts::TrafficSelectors;
use super::vendor::VendorId;
use crate::wire::codes::{NotifyType, PayloadType};
use crate::wire::error::{DecodeError, FieldFault, Malformed, Unencodable};
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// The most payloads of a chain. The longest legitimate chain, an IKE_AUTH with a long certificate
/// path, has some thirty.
pub const MAX_PAYLOADS: usize = 128;

/// The generic header's critical bit.
const CRITICAL: u8 = 0x80;

/// The payloads of a message in clear, or of an encrypted payload, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chain {
    links: Vec<ChainLink>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct ChainLink {
    /// The generic header's second byte, as received. The critical bit has no meaning on a payload
    /// that s2sd understands; an unknown payload with the bit set does not decode.
    flags: GenericFlags,
    payload: Payload,
}

/// The byte after "next payload", kept so that a decoded chain encodes to the same bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct GenericFlags(pub u8);

impl GenericFlags {
    /// Whether the critical bit is set.
    pub fn is_critical(self) -> bool {
        self.0 & CRITICAL != 0
    }
}

/// What stands before every payload's body.
pub(crate) struct GenericHeader {
    pub(crate) next: PayloadType,
    pub(crate) flags: GenericFlags,
    /// Bytes of the body.
    pub(crate) body: usize,
}

impl GenericHeader {
    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<GenericHeader, Malformed> {
        let next = PayloadType::from(reader.u8("next payload")?);
        let flags = GenericFlags(reader.u8("critical bit")?);
        let body = reader.length16(2, "payload length")?;
        Ok(GenericHeader { next, flags, body })
    }
}

impl Chain {
    /// An empty chain.
    pub fn new() -> Chain {
        Chain::default()
    }

    /// The types of the payloads, in order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = PayloadType> {
        self.iter().map(Payload::kind)
    }

    /// Reads the chain in `text`, the decrypted inside of an encrypted payload, which begins with a
    /// payload of type `first`. Offsets in errors count from the start of `text`.
    pub fn decode(first: PayloadType, text: &[u8]) -> Result<Chain, DecodeError> {
        let mut reader = FieldReader::new(text);
        match Chain::read(first, &mut reader)? {
            (chain, None) => Ok(chain),
            (_, Some(kind)) => {
                let found = u8::from(kind).into();
                let fault =
                    FieldFault::Value { found, must: "one allowed inside an encrypted payload" };
                Err(reader.fault("payload type", fault).into())
            }
        }
    }

    /// The chain as bytes, and the type of its first payload. What does not fit its length field is
    /// refused.
    pub fn encode(&self) -> Result<(PayloadType, Vec<u8>), Unencodable> {
        let mut writer = Writer::new();
        self.write(PayloadType::None, &mut writer);
        Ok((self.first_or(PayloadType::None), writer.finish()?))
    }

    /// Adds a payload at the end.
    pub fn push(&mut self, payload: impl Into<Payload>) {
        self.push_with(payload, GenericFlags::default());
    }

    /// Adds a payload at the end with critical and reserved bits. RFC 7296 §3.2 forbids the
    /// critical bit on a known payload: this is for tests of a peer.
    pub fn push_with(&mut self, payload: impl Into<Payload>, flags: GenericFlags) {
        self.links.push(ChainLink { flags, payload: payload.into() });
    }

    /// The payloads, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Payload> + ExactSizeIterator {
        self.links.iter().map(|link| &link.payload)
    }

    /// How many payloads there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How many payloads of a type there are.
    pub fn count(&self, kind: PayloadType) -> usize {
        self.iter().filter(|payload| payload.kind() == kind).count()
    }

    /// The first notify of a type.
    pub fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    /// The type of the first payload, or of what comes after an empty chain.
    pub(crate) fn first_or(&self, after: PayloadType) -> PayloadType {
        self.links.first().map_or(after, |link| link.payload.kind())
    }

    /// Reads a chain to its end: the end of the bytes, or an encrypted payload (§3.14), whose type
    /// is then given. `reader` stands at the start of that payload.
    pub(crate) fn read(
        first: PayloadType,
        reader: &mut FieldReader<'_>,
    ) -> Result<(Chain, Option<PayloadType>), DecodeError> {
        let mut chain = Chain::new();
        let mut kind = first;
        while kind != PayloadType::None {
            reader.enter(kind);
            if matches!(kind, PayloadType::Encrypted | PayloadType::EncryptedFragment) {
                return Ok((chain, Some(kind)));
            }
            if chain.len() == MAX_PAYLOADS {
                return Err(reader
                    .fault("payloads", FieldFault::TooMany { limit: MAX_PAYLOADS })
                    .into());
            }
            let offset = reader.offset();
            let generic = GenericHeader::decode(reader)?;
            if !kind.is_understood() && generic.flags.is_critical() {
                return Err(DecodeError::UnsupportedCritical { payload: kind, offset });
            }
            let body = reader.sub(generic.body, "payload")?;
            chain.push_with(Payload::decode(kind, body)?, generic.flags);
            kind = generic.next;
        }
        reader.clone().finish("bytes after the last payload")?;
        Ok((chain, None))
    }

    /// Writes the payloads; the last announces `after`.
    pub(crate) fn write(&self, after: PayloadType, writer: &mut Writer) {
        if self.len() > MAX_PAYLOADS {
            writer.refuse("payloads", self.len(), MAX_PAYLOADS)
        }
        let following = self.iter().skip(1).map(Payload::kind).chain([after]);
        for (link, next) in self.links.iter().zip(following) {
            writer.u8(next.into());
            writer.u8(link.flags.0);
            let open = writer.open(2);
            link.payload.encode(writer);
            writer.close(open, "payload");
        }
    }
}

/// Declares a finder: all payloads of one variant.
macro_rules! all {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($body:ident),)*) => {
        impl Chain {$(
            $(#[$doc])*
            pub fn $name(&self) -> impl Iterator<Item = &$body> {
                self.iter().filter_map(|payload| match payload {
                    Payload::$variant(body) => Some(body),
                    _ => None,
                })
            }
        )*}
    };
}

/// Declares a finder: the first payload of one variant.
macro_rules! first {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($body:ident),)*) => {
        impl Chain {$(
            $(#[$doc])*
            pub fn $name(&self) -> Option<&$body> {
                self.iter().find_map(|payload| match payload {
                    Payload::$variant(body) => Some(body),
                    _ => None,
                })
            }
        )*}
    };
}

all! {
    /// Every CERT payload.
    certificates: Certificate(CertPayload),
    /// Every CERTREQ payload.
    certificate_requests: CertificateRequest(CertificateRequest),
    /// Every Notify payload.
    notifies: Notify(Notify),
    /// Every Delete payload.
    deletes: Delete(Delete),
    /// Every Vendor ID payload.
    vendor_ids: VendorId(VendorId),
}

first! {
    /// The first SA payload.
    sa: Sa(SecurityAssociation),
    /// The first KE payload.
    key_exchange: KeyExchange(KeyExchange),
    /// The first IDi payload.
    id_initiator: IdInitiator(Identity),
    /// The first IDr payload.
    id_responder: IdResponder(Identity),
    /// The first AUTH payload.
    authentication: Authentication(AuthPayload),
    /// The first Nonce payload.
    nonce: Nonce(Nonce),
    /// The first TSi payload.
    ts_initiator: TsInitiator(TrafficSelectors),
    /// The first TSr payload.
    ts_responder: TsResponder(TrafficSelectors),
    /// The first CP payload.
    configuration: Configuration(Configuration),
    /// The first EAP payload.
    eap: Eap(Eap),
}

impl From<Vec<Payload>> for Chain {
    fn from(payloads: Vec<Payload>) -> Chain {
        payloads.into_iter().collect()
    }
}

impl FromIterator<Payload> for Chain {
    fn from_iter<I: IntoIterator<Item = Payload>>(payloads: I) -> Chain {
        let mut chain = Chain::new();
        chain.extend(payloads);
        chain
    }
}

impl Extend<Payload> for Chain {
    fn extend<I: IntoIterator<Item = Payload>>(&mut self, payloads: I) {
        payloads.into_iter().for_each(|payload| self.push(payload));
    }
}
