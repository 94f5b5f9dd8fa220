use super::*;

/// Every error there is, with one value for each that carries data.
fn every_error() -> Vec<Error> {
    let mut all: Vec<Error> =
        vec![MalformedMessage::Outside.into(), MalformedMessage::Inside.into()];
    all.extend(
        [
            PeerMisbehaved::AnswerNotOffered,
            PeerMisbehaved::Missing(PayloadType::Nonce),
            PeerMisbehaved::PublicValue(KeId::Ecp256),
            PeerMisbehaved::Repeated(PayloadType::Sa),
            PeerMisbehaved::SelectorsNotOffered,
            PeerMisbehaved::Spi,
            PeerMisbehaved::UnexpectedExchange(ExchangeType::IkeAuth),
            PeerMisbehaved::UnexpectedPayload(PayloadType::Eap),
        ]
        .map(Error::from),
    );
    all.extend(
        [
            Incompatible::CriticalPayload(PayloadType::Unknown(200)),
            Incompatible::Exchange(ExchangeType::IkeFollowupKe),
            Incompatible::Group(KeId::Ecp384),
            Incompatible::MajorVersion(1),
            Incompatible::NoAdditionalSas,
            Incompatible::Proposal,
            Incompatible::Refused(NotifyType::NoProposalChosen),
            Incompatible::RekeyOf(ProtocolId::Ah),
            Incompatible::Selectors,
            Incompatible::SinglePair,
        ]
        .map(Error::from),
    );
    all.extend(
        [
            AuthFailed::Certificate,
            AuthFailed::Identity,
            AuthFailed::Method,
            AuthFailed::Refused,
            AuthFailed::Signature,
        ]
        .map(Error::from),
    );
    all.extend(
        [
            Busy::ChildGone(EspSpi(0x1234)),
            Busy::ChildGoneThere,
            Busy::Crossing,
            Busy::NoAnswer,
            Busy::Refused,
        ]
        .map(Error::from),
    );
    all.extend(
        [Local::Blamed(NotifyType::InvalidSyntax), Local::Crypto, Local::Signing].map(Error::from),
    );
    all
}

#[test]
fn only_errors_are_told_and_what_we_were_told_is_not_told_back() {
    for error in every_error() {
        if let Some(notice) = error.to_notify() {
            assert!(notice.kind.is_error(), "{error}");
        }
    }
    for kind in NotifyType::KNOWN.iter().copied().filter(|kind| kind.is_error()) {
        assert_eq!(Error::told(kind).to_notify(), None, "{kind}");
    }
}

#[test]
fn error_notifies_carry_what_the_rfc_says() {
    let notice = |error: Error| error.to_notify().expect("is told");
    let critical = notice(Incompatible::CriticalPayload(PayloadType::Unknown(200)).into());
    assert_eq!((critical.data(), critical.spi()), (vec![200], None));
    let group = notice(Incompatible::Group(KeId::Ecp384).into());
    assert_eq!((group.kind, group.data()), (NotifyType::InvalidKePayload, vec![0, 20]));
    let gone = notice(Busy::ChildGone(EspSpi(0xc0ff_ee00)).into());
    assert_eq!((gone.data(), gone.spi()), (vec![], Some((ProtocolId::Esp, EspSpi(0xc0ff_ee00)))));
}

#[test]
fn nothing_unauthenticated_changes_state() {
    for error in every_error() {
        for half in [MessageHalf::Request, MessageHalf::Response] {
            let fate = error.to_fate(Step::Init, half);
            // Silence is no message; it ends the attempt, not more.
            let allowed =
                if error == Busy::NoAnswer.into() { Fate::RetryLater } else { Fate::Ignore };
            assert_eq!(fate, allowed, "{error}");
        }
    }
    for step in Step::ALL {
        for half in [MessageHalf::Request, MessageHalf::Response] {
            assert_eq!(Error::from(MalformedMessage::Outside).to_fate(step, half), Fate::Ignore);
        }
    }
}

#[test]
fn a_response_never_ends_in_a_refusal_and_a_request_never_in_a_retry() {
    for error in every_error() {
        for step in Step::ALL {
            assert_ne!(
                error.to_fate(step, MessageHalf::Response),
                Fate::RefuseExchange,
                "{error}, {step}"
            );
            let fate = error.to_fate(step, MessageHalf::Request);
            let silence = error == Busy::NoAnswer.into();
            assert!(silence || !matches!(fate, Fate::RetryLater | Fate::Renew), "{error}, {step}");
            // Their request failed: our response is the farewell.
            assert_ne!(fate, Fate::DeleteIke(Farewell::Delete), "{error}, {step}");
        }
    }
}

#[test]
fn the_fates_that_matter() {
    use MessageHalf::{Request, Response};
    let silent = Fate::DeleteIke(Farewell::Silent);
    let delete = Fate::DeleteIke(Farewell::Delete);
    let told = Error::told;
    let table: &[(Error, Step, MessageHalf, Fate)] = &[
        // RFC 7296 §1.2: no child, but the IKE SA stands.
        (Incompatible::Proposal.into(), Step::Auth, Request, Fate::RefuseExchange),
        (Incompatible::Selectors.into(), Step::Auth, Request, Fate::RefuseExchange),
        (told(NotifyType::TsUnacceptable), Step::Auth, Response, Fate::RetryLater),
        // §2.21.2
        (AuthFailed::Signature.into(), Step::Auth, Request, silent),
        (AuthFailed::Signature.into(), Step::Auth, Response, delete),
        (told(NotifyType::AuthenticationFailed), Step::Auth, Response, silent),
        (told(NotifyType::AuthenticationFailed), Step::Inform, Request, silent),
        (Local::Signing.into(), Step::Auth, Request, silent),
        // §2.21.3
        (MalformedMessage::Inside.into(), Step::NewChild, Request, silent),
        (told(NotifyType::InvalidSyntax), Step::Inform, Request, silent),
        (
            Incompatible::Exchange(ExchangeType::IkeFollowupKe).into(),
            Step::Inform,
            Request,
            Fate::RefuseExchange,
        ),
        (
            Incompatible::RekeyOf(ProtocolId::Ah).into(),
            Step::RekeyChild,
            Request,
            Fate::RefuseExchange,
        ),
        (told(NotifyType::InvalidSyntax), Step::RekeyChild, Response, silent),
        (MalformedMessage::Inside.into(), Step::Inform, Response, delete),
        // §2.25
        (Busy::Crossing.into(), Step::RekeyChild, Request, Fate::RefuseExchange),
        (told(NotifyType::TemporaryFailure), Step::RekeyChild, Response, Fate::RetryLater),
        (told(NotifyType::TemporaryFailure), Step::RekeyIke, Response, Fate::RetryLater),
        (
            told(NotifyType::ChildSaNotFound),
            Step::RekeyChild,
            Response,
            Fate::DeleteChild(WhichChild::Old),
        ),
        (told(NotifyType::ChildSaNotFound), Step::Inform, Response, Fate::Ignore),
        // §1.3, §2.8
        (told(NotifyType::NoAdditionalSas), Step::NewChild, Response, Fate::Renew),
        (told(NotifyType::NoProposalChosen), Step::RekeyIke, Response, Fate::Renew),
        (told(NotifyType::NoProposalChosen), Step::RekeyChild, Response, Fate::RetryLater),
        (told(NotifyType::Unknown(9999)), Step::NewChild, Response, Fate::RetryLater),
        (
            PeerMisbehaved::AnswerNotOffered.into(),
            Step::RekeyChild,
            Response,
            Fate::DeleteChild(WhichChild::New),
        ),
        (PeerMisbehaved::AnswerNotOffered.into(), Step::RekeyIke, Response, delete),
        (Busy::NoAnswer.into(), Step::Init, Response, Fate::RetryLater),
        (Busy::NoAnswer.into(), Step::Inform, Response, silent),
    ];
    for (error, step, half, fate) in table {
        assert_eq!(error.to_fate(*step, *half), *fate, "{error} in {step}, {half:?}");
    }
}
