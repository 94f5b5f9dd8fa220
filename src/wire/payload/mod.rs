//! One payload of an IKE message, as a value: [`Payload`].
//!
//! | file | payload |
//! |---|---|
//! | [`sa`] | SA: proposals, transforms, attributes |
//! | [`ke`], [`nonce`] | KE and Nonce |
//! | [`id`], [`auth`] | IDi and IDr, AUTH |
//! | [`cert`] | CERT and CERTREQ |
//! | [`notify`], [`delete`] | Notify and Delete |
//! | [`ts`] | TSi and TSr: traffic selectors on the wire |
//! | [`vendor`], [`cp`], [`eap`] | Vendor ID, Configuration, EAP |
//! | [`chain`] | payloads in a row, each announcing the next |
//! | [`sk`] | SK and SKF: the encrypted payload and its fragments |

pub mod auth;
pub mod cert;
pub mod chain;
pub mod cp;
pub mod delete;
pub mod eap;
pub mod id;
pub mod ke;
pub mod nonce;
pub mod notify;
pub mod sa;
pub mod sk;
pub mod ts;
pub mod vendor;

use super::codes::PayloadType;
use super::error::Malformed;
use super::reader::FieldReader;
use super::writer::Writer;
use auth::AuthPayload;
use cert::{CertPayload, CertificateRequest};
use cp::Configuration;
use delete::Delete;
use eap::Eap;
use id::Identity;
use ke::KeyExchange;
use nonce::Nonce;
use notify::Notify;
use sa::SecurityAssociation;
use ts::TrafficSelectors;
use vendor::VendorId;

/// A payload, in the standard's order. Encrypted payloads are not here: an encrypted payload ends a
/// message and holds a chain, see [`sk`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Payload {
    /// SA: what is proposed or accepted (RFC 7296 §3.3).
    Sa(SecurityAssociation),
    /// KE: a public value of the key exchange (§3.4).
    KeyExchange(KeyExchange),
    /// IDi: who the initiator is (§3.5).
    IdInitiator(Identity),
    /// IDr: who the responder is (§3.5).
    IdResponder(Identity),
    /// CERT: a certificate or revocation list (§3.6).
    Certificate(CertPayload),
    /// CERTREQ: the authorities that the sender trusts (§3.7).
    CertificateRequest(CertificateRequest),
    /// AUTH: the proof of the sender's identity (§3.8).
    Authentication(AuthPayload),
    /// Nonce: fresh random bytes (§3.9).
    Nonce(Nonce),
    /// Notify: an error or a status (§3.10).
    Notify(Notify),
    /// Delete: SAs that the sender has closed (§3.11).
    Delete(Delete),
    /// Vendor ID: which implementation the sender is (§3.12).
    VendorId(VendorId),
    /// TSi: traffic selectors of the initiator's side (§3.13).
    TsInitiator(TrafficSelectors),
    /// TSr: traffic selectors of the responder's side (§3.13).
    TsResponder(TrafficSelectors),
    /// CP: configuration asked for or given (§3.15).
    Configuration(Configuration),
    /// EAP: one message of an EAP method (§3.16).
    Eap(Eap),
    /// A payload that s2sd does not understand. A decoded one was not critical and is skipped
    /// (RFC 7296 §2.5).
    Unknown {
        /// The payload's type.
        kind: PayloadType,
        /// The bytes after the generic header.
        body: Vec<u8>,
    },
}

impl Payload {
    /// The payload's type, which the payload before it announces.
    pub fn kind(&self) -> PayloadType {
        match self {
            Payload::Sa(_) => PayloadType::Sa,
            Payload::KeyExchange(_) => PayloadType::KeyExchange,
            Payload::IdInitiator(_) => PayloadType::IdInitiator,
            Payload::IdResponder(_) => PayloadType::IdResponder,
            Payload::Certificate(_) => PayloadType::Certificate,
            Payload::CertificateRequest(_) => PayloadType::CertificateRequest,
            Payload::Authentication(_) => PayloadType::Authentication,
            Payload::Nonce(_) => PayloadType::Nonce,
            Payload::Notify(_) => PayloadType::Notify,
            Payload::Delete(_) => PayloadType::Delete,
            Payload::VendorId(_) => PayloadType::VendorId,
            Payload::TsInitiator(_) => PayloadType::TsInitiator,
            Payload::TsResponder(_) => PayloadType::TsResponder,
            Payload::Configuration(_) => PayloadType::Configuration,
            Payload::Eap(_) => PayloadType::Eap,
            Payload::Unknown { kind, .. } => *kind,
        }
    }

    /// Reads the body of a payload of this type: all of `reader`.
    pub(crate) fn decode(
        kind: PayloadType,
        mut reader: FieldReader<'_>,
    ) -> Result<Payload, Malformed> {
        let r = &mut reader;
        let payload = match kind {
            PayloadType::Sa => Payload::Sa(SecurityAssociation::decode(r)?),
            PayloadType::KeyExchange => Payload::KeyExchange(KeyExchange::decode(r)?),
            PayloadType::IdInitiator => Payload::IdInitiator(Identity::decode(r)?),
            PayloadType::IdResponder => Payload::IdResponder(Identity::decode(r)?),
            PayloadType::Certificate => Payload::Certificate(CertPayload::decode(r)?),
            PayloadType::CertificateRequest => {
                Payload::CertificateRequest(CertificateRequest::decode(r)?)
            }
            PayloadType::Authentication => Payload::Authentication(AuthPayload::decode(r)?),
            PayloadType::Nonce => Payload::Nonce(Nonce::decode(r)?),
            PayloadType::Notify => Payload::Notify(Notify::decode(r)?),
            PayloadType::Delete => Payload::Delete(Delete::decode(r)?),
            PayloadType::VendorId => Payload::VendorId(VendorId::decode(r)?),
            PayloadType::TsInitiator => Payload::TsInitiator(TrafficSelectors::decode(r)?),
            PayloadType::TsResponder => Payload::TsResponder(TrafficSelectors::decode(r)?),
            PayloadType::Configuration => Payload::Configuration(Configuration::decode(r)?),
            PayloadType::Eap => Payload::Eap(Eap::decode(r)?),
            PayloadType::None
            | PayloadType::Encrypted
            | PayloadType::SecurePassword
            | PayloadType::GroupId
            | PayloadType::GroupSecurityAssociation
            | PayloadType::KeyDownload
            | PayloadType::EncryptedFragment
            | PayloadType::PuzzleSolution
            | PayloadType::Unknown(_) => Payload::Unknown { kind, body: r.take_rest().to_vec() },
        };
        reader.finish("payload length")?;
        Ok(payload)
    }

    /// Writes the body.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        match self {
            Payload::Sa(sa) => sa.encode(writer),
            Payload::KeyExchange(ke) => ke.encode(writer),
            Payload::IdInitiator(id) | Payload::IdResponder(id) => id.encode(writer),
            Payload::Certificate(cert) => cert.encode(writer),
            Payload::CertificateRequest(request) => request.encode(writer),
            Payload::Authentication(auth) => auth.encode(writer),
            Payload::Nonce(nonce) => nonce.encode(writer),
            Payload::Notify(notify) => notify.encode(writer),
            Payload::Delete(delete) => delete.encode(writer),
            Payload::VendorId(vendor) => vendor.encode(writer),
            Payload::TsInitiator(ts) | Payload::TsResponder(ts) => ts.encode(writer),
            Payload::Configuration(configuration) => configuration.encode(writer),
            Payload::Eap(eap) => eap.encode(writer),
            Payload::Unknown { body, .. } => writer.bytes(body),
        }
    }
}

/// Conversions of bodies that belong to one payload type only; IDs and traffic selectors each
/// belong to two.
macro_rules! payload_from {
    ($($variant:ident($body:ident)),* $(,)?) => {$(
        impl From<$body> for Payload {
            fn from(body: $body) -> Payload {
                Payload::$variant(body)
            }
        }
    )*};
}

payload_from!(
    Authentication(AuthPayload),
    Certificate(CertPayload),
    CertificateRequest(CertificateRequest),
    Configuration(Configuration),
    Delete(Delete),
    Eap(Eap),
    KeyExchange(KeyExchange),
    Nonce(Nonce),
    Notify(Notify),
    Sa(SecurityAssociation),
    VendorId(VendorId),
);
