//! The errors of the engine, sorted by whose fault an error is, and the two functions that decide
//! what follows from one.
//!
//! ```text
//!   handler fails ─────────────────┐              ┌─ Error::to_notify: what the peer is told
//!                                  ├─> Error ─────┤
//!   peer's notify ─> Error::told ──┘              └─ Error::to_fate: what becomes of the exchange,
//!                                                    the child SA or the IKE SA
//! ```
//!
//! Handlers return an [`Error`] and never pick a notify or close anything on their own. What an
//! operator reads about an error is a [`crate::ike::diagnosis::refusal::Refusal`].
//!
//! One rule is under all others: a message that is not authenticated changes nothing (RFC 7296
//! §2.21).

use thiserror::Error as ThisError;

use super::exchange::step::{MessageHalf, Step};
use crate::wire::codes::{ExchangeType, KeId, NotifyType, PayloadType, ProtocolId};
use crate::wire::spi::EspSpi;

/// One failure, sorted by whose fault the failure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Error {
    /// The bytes are no IKE message.
    #[error(transparent)]
    Malformed(#[from] MalformedMessage),
    /// The message can be decoded and breaks the protocol.
    #[error(transparent)]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// Both ends follow the protocol, but their settings or abilities do not match.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// One end could not prove its identity.
    #[error(transparent)]
    AuthFailed(#[from] AuthFailed),
    /// The exchange is impossible for now: another one crosses it, or the peer is silent. A later
    /// try may succeed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// This device failed.
    #[error(transparent)]
    Local(#[from] Local),
}

/// Bytes that are no IKE message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum MalformedMessage {
    /// The message is broken before anything could be authenticated: header, lengths, integrity
    /// checksum. Anyone may have sent it.
    #[error("the message cannot be decoded, or its integrity checksum is wrong")]
    Outside,
    /// The message has a good integrity checksum and a broken content: the peer wrote it so.
    #[error("the peer's message is authentic but cannot be decoded")]
    Inside,
}

/// A message that can be decoded and breaks the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum PeerMisbehaved {
    /// An answer that is not one of the things offered (RFC 7296 §3.3.6).
    #[error("the peer chose a proposal that was not offered")]
    AnswerNotOffered,
    /// A payload that the exchange requires is missing.
    #[error("the peer's message lacks payload {0}")]
    Missing(PayloadType),
    /// A public key exchange value that is no member of its group (RFC 6989 §2).
    #[error("the peer's public value is not valid in {0}")]
    PublicValue(KeId),
    /// A payload that may stand once stands twice.
    #[error("the peer's message has payload {0} more than once")]
    Repeated(PayloadType),
    /// Traffic selectors in an answer that go beyond what was offered (RFC 7296 §2.9).
    #[error("the peer's traffic selectors go beyond what was offered")]
    SelectorsNotOffered,
    /// An SPI that is zero or has a wrong length.
    #[error("the peer's SPI is not valid")]
    Spi,
    /// An exchange that may not happen in this state.
    #[error("the peer's message is of exchange {0}, which is not expected now")]
    UnexpectedExchange(ExchangeType),
    /// A payload that may not stand in this exchange.
    #[error("the peer's message has payload {0}, which does not belong in this exchange")]
    UnexpectedPayload(PayloadType),
}

/// Settings or abilities of two ends, both of which follow the protocol, that do not match.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Incompatible {
    /// A critical payload that we do not know (RFC 7296 §2.5).
    #[error("the peer sent the critical payload type {0}, which s2sd does not know")]
    CriticalPayload(PayloadType),
    /// A request of an exchange that s2sd does not take part in on an established IKE SA, as one of
    /// a later RFC.
    #[error(
        "the peer asks for the exchange {0}, which s2sd does not have on an established IKE SA"
    )]
    Exchange(ExchangeType),
    /// The suites match, but the KE payload is of another group than this one, which has to be used
    /// (RFC 7296 §1.2, §1.3).
    #[error("the key exchange has to use group {0}")]
    Group(KeId),
    /// Another major version than 2 (RFC 7296 §2.5).
    #[error("the peer speaks IKE version {0}")]
    MajorVersion(u8),
    /// The IKE SA has as many child SAs as it may have (RFC 7296 §1.3).
    #[error("this IKE SA has as many child SAs as it may have")]
    NoAdditionalSas,
    /// No proposal of the peer is one of ours.
    #[error("no proposal of the peer is acceptable")]
    Proposal,
    /// The peer refused with this notify.
    #[error("the peer refused: {0}")]
    Refused(NotifyType),
    /// A REKEY_SA about another protocol than ESP, of which this end has no child SA.
    #[error("the peer wants to rekey a child SA of protocol {0}; s2sd has ESP alone")]
    RekeyOf(ProtocolId),
    /// No traffic selector of the peer overlaps ours.
    #[error("no traffic selector of the peer is acceptable")]
    Selectors,
    /// A child SA with several pairs of address ranges, asked of an end that takes one pair in each
    /// (RFC 7296 §2.9).
    #[error("a child SA has one pair of address ranges here")]
    SinglePair,
    /// The peer granted nothing, and sent no error notify.
    #[error("the peer refused, and did not say why")]
    Unsaid,
}

/// A proof of identity that failed. The refusal that goes with the error has the details.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum AuthFailed {
    /// No certificate of the peer leads to a configured root, or one on the way is outside its
    /// validity or revoked.
    #[error("the peer's certificate is not acceptable")]
    Certificate,
    /// The peer's identity is not the configured one, or not in its certificate.
    #[error("the peer's identity is not acceptable")]
    Identity,
    /// The peer used an authentication method or hash that we do not accept.
    #[error("the peer's authentication method is not acceptable")]
    Method,
    /// The peer said AUTHENTICATION_FAILED: our own proof did not convince the peer.
    #[error("the peer did not accept our credentials")]
    Refused,
    /// The signature in the peer's AUTH payload does not verify.
    #[error("the peer's signature does not verify")]
    Signature,
}

/// A failure that a later try may not have: a crossing exchange, or silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Busy {
    /// The peer's request names a child SA that is gone or going here (RFC 7296 §2.25.1).
    #[error("the peer names child SA {0}, which does not exist here")]
    ChildGone(EspSpi),
    /// The peer said CHILD_SA_NOT_FOUND: it does not have the child SA that we wanted to rekey.
    #[error("the peer does not know the child SA that was to be rekeyed")]
    ChildGoneThere,
    /// An exchange of ours crosses this one and makes it impossible for the moment (RFC 7296
    /// §2.25).
    #[error("another exchange with the peer is still in progress")]
    Crossing,
    /// No retransmission was answered.
    #[error("the peer does not answer")]
    NoAnswer,
    /// The peer said TEMPORARY_FAILURE.
    #[error("the peer is busy with another exchange (TEMPORARY_FAILURE)")]
    Refused,
}

/// A failure of this device.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Local {
    /// The peer rejected our message as faulty, with this notify.
    #[error("the peer rejected our message as faulty: {0}")]
    Blamed(NotifyType),
    /// The cryptographic provider failed.
    #[error("a cryptographic operation failed on this device")]
    Crypto,
    /// This device could not sign its own AUTH payload.
    #[error("this device could not make its own signature")]
    Signing,
}

/// An error notify to send, with its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Notice {
    /// The notify message type.
    pub kind: NotifyType,
    /// The data that goes with the notify.
    pub detail: Detail,
}

/// The data of an error notify.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// Nothing.
    None,
    /// UNSUPPORTED_CRITICAL_PAYLOAD: the payload type, one octet of data.
    Payload(PayloadType),
    /// INVALID_KE_PAYLOAD: the group wanted, two octets of data.
    Group(KeId),
    /// CHILD_SA_NOT_FOUND: protocol ESP and the SPI as it stood in the request, no data.
    Child(EspSpi),
}

impl Notice {
    fn plain(kind: NotifyType) -> Option<Notice> {
        Some(Notice { kind, detail: Detail::None })
    }

    /// The notification data octets.
    pub fn data(&self) -> Vec<u8> {
        match self.detail {
            Detail::None | Detail::Child(_) => Vec::new(),
            Detail::Payload(payload) => vec![payload.into()],
            Detail::Group(group) => u16::from(group).to_be_bytes().to_vec(),
        }
    }

    /// The SA that the notify is about, when it is about one.
    pub fn spi(&self) -> Option<(ProtocolId, EspSpi)> {
        match self.detail {
            Detail::Child(spi) => Some((ProtocolId::Esp, spi)),
            _ => None,
        }
    }
}

/// What becomes of things after an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The message is dropped; nothing else changes.
    Ignore,
    /// The exchange ends; every SA that existed before lives on.
    RefuseExchange,
    /// The exchange ends, and one of its child SAs is deleted.
    DeleteChild(WhichChild),
    /// The IKE SA ends with all its children.
    DeleteIke(Farewell),
    /// The exchange ends; its task is tried again after a pause.
    RetryLater,
    /// The IKE SA cannot do what is wanted: a new one is made beside it, then this one is closed.
    Renew,
}

/// Which child SA of a rekey is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhichChild {
    /// The child SA that was to be replaced: the peer has it no longer.
    Old,
    /// The child SA that the peer has just made: the peer has to be told.
    New,
}

/// How an IKE SA ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Farewell {
    /// Without a message: the peer knows already, or does not answer.
    Silent,
    /// With an INFORMATIONAL that carries the notify (if there is one) and a Delete.
    Delete,
}

impl Error {
    /// The error that an error notify of the peer stands for. An unknown number is a refusal too
    /// (RFC 7296 §3.10.1).
    pub fn told(kind: NotifyType) -> Error {
        match kind {
            NotifyType::AuthenticationFailed => AuthFailed::Refused.into(),
            NotifyType::TemporaryFailure => Busy::Refused.into(),
            NotifyType::ChildSaNotFound => Busy::ChildGoneThere.into(),
            NotifyType::InvalidMajorVersion
            | NotifyType::InvalidMessageId
            | NotifyType::InvalidSyntax
            | NotifyType::UnsupportedCriticalPayload => Local::Blamed(kind).into(),
            other => Incompatible::Refused(other).into(),
        }
    }

    /// What the peer is told: in our response when the peer's request failed, in an INFORMATIONAL
    /// of our own when the peer's response did. `None` for a message that is not authentic and for
    /// a refusal, neither of which is answered.
    pub fn to_notify(self) -> Option<Notice> {
        match self {
            Error::Malformed(MalformedMessage::Outside) => None,
            Error::Malformed(MalformedMessage::Inside) => Notice::plain(NotifyType::InvalidSyntax),
            Error::PeerMisbehaved(_) => Notice::plain(NotifyType::InvalidSyntax),
            Error::Incompatible(mismatch) => match mismatch {
                Incompatible::CriticalPayload(payload) => Some(Notice {
                    kind: NotifyType::UnsupportedCriticalPayload,
                    detail: Detail::Payload(payload),
                }),
                Incompatible::Group(group) => Some(Notice {
                    kind: NotifyType::InvalidKePayload,
                    detail: Detail::Group(group),
                }),
                Incompatible::MajorVersion(_) => Notice::plain(NotifyType::InvalidMajorVersion),
                Incompatible::NoAdditionalSas => Notice::plain(NotifyType::NoAdditionalSas),
                // For another exchange or protocol too: INVALID_SYNTAX would end the IKE SA, and an
                // error of any other type says that the request failed (RFC 7296 §3.10.1).
                Incompatible::Exchange(_) | Incompatible::Proposal | Incompatible::RekeyOf(_) => {
                    Notice::plain(NotifyType::NoProposalChosen)
                }
                Incompatible::Selectors => Notice::plain(NotifyType::TsUnacceptable),
                Incompatible::SinglePair => Notice::plain(NotifyType::SinglePairRequired),
                Incompatible::Refused(_) | Incompatible::Unsaid => None,
            },
            Error::AuthFailed(AuthFailed::Refused) => None,
            Error::AuthFailed(_) => Notice::plain(NotifyType::AuthenticationFailed),
            Error::Busy(busy) => match busy {
                Busy::ChildGone(spi) => {
                    Some(Notice { kind: NotifyType::ChildSaNotFound, detail: Detail::Child(spi) })
                }
                Busy::Crossing => Notice::plain(NotifyType::TemporaryFailure),
                Busy::ChildGoneThere | Busy::NoAnswer | Busy::Refused => None,
            },
            Error::Local(Local::Blamed(_)) => None,
            Error::Local(Local::Crypto) => Notice::plain(NotifyType::TemporaryFailure),
            Error::Local(Local::Signing) => Notice::plain(NotifyType::AuthenticationFailed),
        }
    }

    /// What becomes of the exchange and its SAs, when the error arose in this half of this step.
    pub fn to_fate(self, step: Step, half: MessageHalf) -> Fate {
        match (self, half) {
            (Error::Malformed(MalformedMessage::Outside), _) => Fate::Ignore,
            (Error::Busy(Busy::NoAnswer), _) => match step {
                Step::Init => Fate::RetryLater,
                _ => Fate::DeleteIke(Farewell::Silent),
            },
            // Nothing in IKE_SA_INIT is authenticated: a request leaves no trace, and a response
            // may be forged, so the genuine one is still waited for (RFC 7296 §2.21.1).
            _ if step == Step::Init => Fate::Ignore,
            (error, MessageHalf::Request) => error.fate_of_request(step),
            (error, MessageHalf::Response) => error.fate_of_response(step),
        }
    }

    /// The fate when the peer's request failed, which is answered with [`Error::to_notify`].
    fn fate_of_request(self, step: Step) -> Fate {
        match self {
            // "This error notification is considered fatal in both peers, meaning that the IKE SA
            // is deleted without needing an explicit Delete payload" (RFC 7296 §2.21.3);
            // AUTHENTICATION_FAILED likewise (§2.21.2).
            // A peer that blames us in a request has ended its IKE SA too.
            Error::Malformed(_)
            | Error::PeerMisbehaved(_)
            | Error::AuthFailed(_)
            | Error::Local(Local::Blamed(_)) => Fate::DeleteIke(Farewell::Silent),
            Error::Incompatible(Incompatible::CriticalPayload(_)) | Error::Local(_)
                if step == Step::Auth =>
            {
                Fate::DeleteIke(Farewell::Silent)
            }
            // In IKE_AUTH these refuse the first child only; the IKE SA stands (RFC 7296 §1.2).
            Error::Incompatible(_) | Error::Busy(_) | Error::Local(_) => Fate::RefuseExchange,
        }
    }

    /// The fate when the peer's response is a refusal or is itself wrong.
    fn fate_of_response(self, step: Step) -> Fate {
        match self {
            Error::AuthFailed(AuthFailed::Refused) | Error::Local(Local::Blamed(_)) => {
                Fate::DeleteIke(Farewell::Silent)
            }
            Error::AuthFailed(_) => Fate::DeleteIke(Farewell::Delete),
            Error::Malformed(_) => Fate::DeleteIke(Farewell::Delete),
            // The peer has made an SA from a response that we cannot use: a Delete tells the peer
            // to drop it.
            Error::PeerMisbehaved(_)
            | Error::Incompatible(
                Incompatible::CriticalPayload(_) | Incompatible::MajorVersion(_),
            ) => match step {
                Step::NewChild | Step::RekeyChild => Fate::DeleteChild(WhichChild::New),
                _ => Fate::DeleteIke(Farewell::Delete),
            },
            Error::Local(_) => match step {
                Step::NewChild | Step::RekeyChild => Fate::DeleteChild(WhichChild::New),
                Step::Inform => Fate::Ignore,
                _ => Fate::DeleteIke(Farewell::Delete),
            },
            Error::Busy(Busy::ChildGoneThere) if step == Step::RekeyChild => {
                Fate::DeleteChild(WhichChild::Old)
            }
            // The peer does not rekey IKE SAs or takes no further children: a new IKE SA is made
            // beside this one (RFC 7296 §1.3, §2.8).
            Error::Incompatible(Incompatible::Refused(_) | Incompatible::Unsaid)
                if step == Step::RekeyIke =>
            {
                Fate::Renew
            }
            Error::Incompatible(Incompatible::Refused(NotifyType::NoAdditionalSas)) => Fate::Renew,
            // An authentic response to a probe or a Delete ends the exchange, whatever it says.
            Error::Busy(_) | Error::Incompatible(_) if step == Step::Inform => Fate::Ignore,
            // A refused child is asked for again: a tunnel must not stay dead because one rekey was
            // refused (libreswan#765).
            Error::Busy(_) | Error::Incompatible(_) => Fate::RetryLater,
        }
    }
}

#[cfg(test)]
mod tests;
