//! What can go wrong, sorted by whose fault it is, and the only two places that say what follows
//! from it.
//!
//! [`Error::to_notify`] is what the other end is told; [`Error::to_fate`] is what becomes of the
//! exchange, the child or the IKE SA. Handlers return an [`Error`] and never pick a notify or close
//! anything on their own. A peer's own error notify comes in through [`Error::told`] and takes the
//! same way.
//!
//! The rule under all of it (RFC 7296 §2.21): what is not authenticated changes nothing.

use thiserror::Error as ThisError;

use super::exchange::step::{MessageHalf, Step};
use crate::wire::codes::{ExchangeType, KeId, NotifyType, PayloadType, ProtocolId};
use crate::wire::header::MessageId;
use crate::wire::spi::EspSpi;

/// One failure, by fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Error {
    /// The bytes do not make a message.
    #[error(transparent)]
    Malformed(#[from] MalformedMessage),
    /// The message reads well and breaks the protocol.
    #[error(transparent)]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// Both ends are right; their settings or abilities do not meet.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// One end could not prove who it is.
    #[error(transparent)]
    AuthFailed(#[from] AuthFailed),
    /// Not now: overload, a crossing exchange, or silence. Later may be better.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// This device's own failure.
    #[error(transparent)]
    Local(#[from] Local),
}

/// The bytes do not make a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum MalformedMessage {
    /// Broken before anything could be authenticated: header, lengths, checksum. Anyone may have
    /// sent it.
    #[error("the message does not read, or its checksum is wrong")]
    Outside,
    /// Broken inside a message whose checksum was right: the peer wrote it so.
    #[error("the message is authentic but does not read")]
    Inside,
}

/// The message reads well and breaks the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum PeerMisbehaved {
    /// An answer that is not one of the things offered (RFC 7296 §3.3.6).
    #[error("the peer chose a proposal that was not offered")]
    AnswerNotOffered,
    /// A fragment set that contradicts itself (RFC 7383 §2.6).
    #[error("the peer's message fragments contradict each other")]
    Fragments,
    /// A message id outside the window (RFC 7296 §2.3).
    #[error("message id {0} is outside the window")]
    MessageId(MessageId),
    /// A payload that this exchange needs is not there.
    #[error("payload {0} is missing")]
    Missing(PayloadType),
    /// A nonce shorter than 16 or longer than 256 octets (RFC 7296 §3.9).
    #[error("the peer's nonce has {0} octets")]
    NonceLength(usize),
    /// A public key exchange value that is no member of its group (RFC 6989 §2).
    #[error("the peer's public value is not valid in {0}")]
    PublicValue(KeId),
    /// A payload that may stand once stands twice.
    #[error("payload {0} is repeated")]
    Repeated(PayloadType),
    /// Traffic selectors in an answer that go beyond what was offered (RFC 7296 §2.9).
    #[error("the peer's traffic selectors go beyond what was offered")]
    SelectorsNotOffered,
    /// An SPI of zero or of a wrong length where one must stand.
    #[error("the peer's SPI is not valid")]
    Spi,
    /// An exchange that may not happen in this state.
    #[error("exchange {0} is not expected now")]
    UnexpectedExchange(ExchangeType),
    /// A payload that may not stand in this exchange.
    #[error("payload {0} is not expected here")]
    UnexpectedPayload(PayloadType),
}

/// Both ends are right; their settings or abilities do not meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Incompatible {
    /// A critical payload that we do not know (RFC 7296 §2.5).
    #[error("the peer requires payload type {0}")]
    CriticalPayload(PayloadType),
    /// The suites meet, but the peer guessed another group; this one is wanted (RFC 7296 §1.2,
    /// §1.3).
    #[error("group {0} is wanted")]
    Group(KeId),
    /// Another major version than 2 (RFC 7296 §2.5).
    #[error("the peer speaks IKE version {0}")]
    MajorVersion(u8),
    /// No more children on this IKE SA (RFC 7296 §1.3).
    #[error("no further child SA is taken on this IKE SA")]
    NoAdditionalSas,
    /// No proposal of theirs is one of ours.
    #[error("no proposal is acceptable")]
    Proposal,
    /// The peer refused with this notify.
    #[error("the peer refused: {0}")]
    Refused(NotifyType),
    /// No traffic selector of theirs is one of ours.
    #[error("no traffic selector is acceptable")]
    Selectors,
}

/// One end could not prove who it is. The details are in the refusal that goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum AuthFailed {
    /// No certificate of theirs leads to a configured root, or it is outside its dates, or revoked.
    #[error("the peer's certificate is not acceptable")]
    Certificate,
    /// The identity is not the configured one, or not the certificate's.
    #[error("the peer's identity is not acceptable")]
    Identity,
    /// An authentication method or hash that we do not take.
    #[error("the peer's authentication method is not acceptable")]
    Method,
    /// The peer said AUTHENTICATION_FAILED: it did not believe us.
    #[error("the peer did not accept our credentials")]
    Refused,
    /// The AUTH payload does not verify.
    #[error("the peer's signature does not verify")]
    Signature,
}

/// Not now: overload, a crossing exchange, or silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Busy {
    /// The request names this child of ours, which is gone or going (RFC 7296 §2.25.1).
    #[error("child SA {0} does not exist here")]
    ChildGone(EspSpi),
    /// The peer said CHILD_SA_NOT_FOUND: the child we wanted rekeyed does not exist there.
    #[error("the peer does not know this child SA")]
    ChildGoneThere,
    /// A crossing exchange of ours makes this one impossible for the moment (RFC 7296 §2.25).
    #[error("another exchange is in the way")]
    Crossing,
    /// The peer's silence outlasted every retransmission.
    #[error("the peer does not answer")]
    NoAnswer,
    /// Too much is under way already.
    #[error("too many exchanges are under way")]
    Overload,
    /// The peer said TEMPORARY_FAILURE.
    #[error("the peer is busy with a crossing exchange")]
    Refused,
}

/// This device's own failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum Local {
    /// The peer says that our message is at fault.
    #[error("the peer calls our message faulty: {0}")]
    Blamed(NotifyType),
    /// The cryptographic provider failed.
    #[error("a cryptographic operation failed here")]
    Crypto,
    /// Our own signature could not be made.
    #[error("our own signature could not be made")]
    Signing,
}

/// A notify to send, with the little data that error notifies carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Notice {
    /// The notify message type.
    pub kind: NotifyType,
    /// What goes with it.
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
    /// Nothing happened: drop the message, go on waiting.
    Ignore,
    /// The exchange ends here; all that existed before it lives on.
    RefuseExchange,
    /// The exchange ends, and the child it was about goes.
    DeleteChild(WhichChild),
    /// The IKE SA goes with all its children.
    DeleteIke(Farewell),
    /// The exchange ends; the task stays wanted and is tried again after a pause.
    RetryLater,
    /// This IKE SA cannot give what is wanted: make a new one beside it, then let it go.
    Renew,
}

/// Which child of a rekey goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhichChild {
    /// The one that was to be replaced; the peer does not have it any more.
    Old,
    /// The one just made; the peer has to be told.
    New,
}

/// How an IKE SA ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Farewell {
    /// The peer knows already, or cannot hear.
    Silent,
    /// With an INFORMATIONAL that carries the notify (if there is one) and a Delete.
    Delete,
}

impl Error {
    /// What a peer's error notify means to us. A number nobody named is a refusal too (RFC 7296
    /// §3.10.1).
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

    /// What to tell the peer: in the response when its request failed, in an INFORMATIONAL of our
    /// own when its response did. `None` says nothing; nobody answers a message that was not
    /// authentic, nor a refusal.
    pub fn to_notify(self) -> Option<Notice> {
        match self {
            Error::Malformed(MalformedMessage::Outside) => None,
            Error::Malformed(MalformedMessage::Inside) => Notice::plain(NotifyType::InvalidSyntax),
            Error::PeerMisbehaved(PeerMisbehaved::MessageId(_)) => None,
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
                Incompatible::Proposal => Notice::plain(NotifyType::NoProposalChosen),
                Incompatible::Selectors => Notice::plain(NotifyType::TsUnacceptable),
                Incompatible::Refused(_) => None,
            },
            Error::AuthFailed(AuthFailed::Refused) => None,
            Error::AuthFailed(_) => Notice::plain(NotifyType::AuthenticationFailed),
            Error::Busy(busy) => match busy {
                Busy::ChildGone(spi) => {
                    Some(Notice { kind: NotifyType::ChildSaNotFound, detail: Detail::Child(spi) })
                }
                Busy::Crossing | Busy::Overload => Notice::plain(NotifyType::TemporaryFailure),
                Busy::ChildGoneThere | Busy::NoAnswer | Busy::Refused => None,
            },
            Error::Local(Local::Blamed(_)) => None,
            Error::Local(Local::Crypto) => Notice::plain(NotifyType::TemporaryFailure),
            Error::Local(Local::Signing) => Notice::plain(NotifyType::AuthenticationFailed),
        }
    }

    /// What becomes of things, when the error arose while we read this half of this step.
    pub fn to_fate(self, step: Step, half: MessageHalf) -> Fate {
        match (self, half) {
            (Error::Malformed(MalformedMessage::Outside), _)
            | (Error::PeerMisbehaved(PeerMisbehaved::MessageId(_)), _) => Fate::Ignore,
            (Error::Busy(Busy::NoAnswer), _) => match step {
                Step::Init => Fate::RetryLater,
                _ => Fate::DeleteIke(Farewell::Silent),
            },
            // Nobody proved anything yet: a request leaves no trace, and a response may be a
            // forger's, so the genuine one is still waited for (RFC 7296 §2.21.1).
            _ if step == Step::Init => Fate::Ignore,
            (error, MessageHalf::Request) => error.fate_of_request(step),
            (error, MessageHalf::Response) => error.fate_of_response(step),
        }
    }

    /// The peer asked; we answer with [`Error::to_notify`], then this.
    fn fate_of_request(self, step: Step) -> Fate {
        match self {
            // "This error notification is considered fatal in both peers, meaning that the IKE SA
            // is deleted without needing an explicit Delete payload" (RFC 7296 §2.21.3);
            // AUTHENTICATION_FAILED likewise (§2.21.2).
            Error::Malformed(_) | Error::PeerMisbehaved(_) | Error::AuthFailed(_) => {
                Fate::DeleteIke(Farewell::Silent)
            }
            Error::Incompatible(Incompatible::CriticalPayload(_)) | Error::Local(_)
                if step == Step::Auth =>
            {
                Fate::DeleteIke(Farewell::Silent)
            }
            // In IKE_AUTH these refuse the first child only; the IKE SA stands (RFC 7296 §1.2).
            Error::Incompatible(_) | Error::Busy(_) | Error::Local(_) => Fate::RefuseExchange,
        }
    }

    /// We asked, and the answer is a refusal or is itself wrong.
    fn fate_of_response(self, step: Step) -> Fate {
        match self {
            Error::AuthFailed(AuthFailed::Refused) | Error::Local(Local::Blamed(_)) => {
                Fate::DeleteIke(Farewell::Silent)
            }
            Error::AuthFailed(_) => Fate::DeleteIke(Farewell::Delete),
            Error::Malformed(_) => Fate::DeleteIke(Farewell::Delete),
            // The peer has built something from an answer that we cannot use: it must be told to
            // drop it.
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
            // A peer without IKE rekeying or further children: start over beside it (RFC 7296 §1.3,
            // §2.8).
            Error::Incompatible(Incompatible::Refused(_)) if step == Step::RekeyIke => Fate::Renew,
            Error::Incompatible(Incompatible::Refused(NotifyType::NoAdditionalSas)) => Fate::Renew,
            // An authentic answer to a probe or a delete is an answer, whatever it says.
            Error::Busy(_) | Error::Incompatible(_) if step == Step::Inform => Fate::Ignore,
            // A refused child is asked for again: a tunnel must not stay dead because one rekey was
            // refused (libreswan#765).
            Error::Busy(_) | Error::Incompatible(_) => Fate::RetryLater,
        }
    }
}

#[cfg(test)]
mod tests;
