//! Which payloads each message must and may contain, as data.
//!
//! A message of one step and half has one or more [`MessageForm`]s: a response either does what was
//! asked, or refuses with notifies only. [`accept`] finds the form of a message; handlers then take
//! its payloads without asking again whether they are there. The order of payloads does not matter
//! (RFC 7296 §2.5). A payload of an unknown type is refused when critical and skipped when not. A
//! payload of a known type in a place where the form does not list it is skipped too on an
//! established IKE SA: other peers send some (MikroTik's RouterOS rekeys child SAs with a CP
//! payload), and INVALID_SYNTAX would end the IKE SA (§2.21.3). A half of something, as a refusal
//! with SA, is the peer's fault; so is every unlisted payload before the peer has proven itself.

use super::step::{MessageHalf, Step};
use crate::ike::error::{Error, Incompatible, PeerMisbehaved};
use crate::wire::codes::PayloadType;
use crate::wire::payload::chain::Chain;
use PayloadType::{
    Authentication as Auth, Certificate as Cert, CertificateRequest as CertReq,
    Configuration as Cp, Delete, Eap, IdInitiator as IdI, IdResponder as IdR, KeyExchange as Ke,
    Nonce, Notify, Sa, TsInitiator as TsI, TsResponder as TsR, VendorId,
};

/// One set of payloads that a message may have.
#[derive(Debug, Eq, PartialEq)]
pub struct MessageForm {
    /// What the message means to its handler.
    pub meaning: Meaning,
    /// The payloads that have to be there.
    pub required: &'static [PayloadType],
    /// The payloads that may be there too; notifies and vendor IDs always may.
    pub optional: &'static [PayloadType],
}

/// What a message of some form means to its handler.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Meaning {
    /// The message has all that the step is for.
    Whole,
    /// IKE_AUTH without a child SA: none was asked for, or the response refuses it by a notify
    /// beside AUTH.
    Childless,
    /// IKE_AUTH without an AUTH payload: the peer wants EAP, which s2sd does not support.
    Eap,
    /// Notifies alone: a refusal, or the demand for another request (COOKIE, INVALID_KE_PAYLOAD).
    Notifies,
}

/// Finds the form of a message from its payload types and their critical bits.
pub fn accept(
    step: Step,
    half: MessageHalf,
    payloads: impl IntoIterator<Item = (PayloadType, bool)>,
) -> Result<&'static MessageForm, Error> {
    let (mut present, mut repeated) = (Vec::new(), Vec::new());
    for (payload, critical) in payloads {
        match payload {
            // RFC 7296 §2.5: the critical bit counts only for a type that the recipient does not
            // understand.
            unknown if !unknown.is_understood() => {
                if critical {
                    return Err(Incompatible::CriticalPayload(unknown).into());
                }
            }
            known if present.contains(&known) && !is_repeatable(known) => repeated.push(known),
            known => present.push(known),
        }
    }
    let forms = forms(step, half);
    let is_missing = |payload: &PayloadType| !present.contains(payload);
    let at = forms.iter().position(|form| !form.required.iter().any(is_missing));
    let Some((at, form)) = at.and_then(|at| Some((at, forms.get(at)?))) else {
        let mut whole = forms.iter().flat_map(|form| form.required).copied();
        let missing = whole.find(is_missing);
        return Err(PeerMisbehaved::Missing(missing.unwrap_or(PayloadType::None)).into());
    };
    let is_listed =
        |payload: &PayloadType| form.required.contains(payload) || form.optional.contains(payload);
    if let Some(payload) = repeated.into_iter().find(is_listed) {
        return Err(PeerMisbehaved::Repeated(payload).into());
    }
    let is_stray =
        |payload: &&PayloadType| !matches!(payload, Notify | VendorId) && !is_listed(payload);
    let mut strays = present.iter().filter(is_stray);
    let stray = match step {
        Step::Init | Step::Auth => strays.next(),
        // One that a fuller form needs: the peer meant that form and left a part out.
        _ => strays.find(|stray| forms.iter().take(at).any(|form| form.required.contains(stray))),
    };
    match stray {
        Some(payload) => Err(PeerMisbehaved::UnexpectedPayload(*payload).into()),
        None => Ok(form),
    }
}

/// Finds the form of a decoded message. No payload of a decoded chain is critical and unknown at
/// once: [`Chain::decode`] refuses such a message.
pub(crate) fn accept_chain(
    step: Step,
    half: MessageHalf,
    chain: &Chain,
) -> Result<&'static MessageForm, Error> {
    accept(step, half, chain.kinds().map(|kind| (kind, false)))
}

/// The step of a CREATE_CHILD_SA request. A request with traffic selectors is about a child SA, and
/// N(REKEY_SA) then names the one to replace (RFC 7296 §1.3.1, §1.3.2, §1.3.3).
pub fn purpose(payloads: impl IntoIterator<Item = PayloadType>, has_rekey_notify: bool) -> Step {
    let is_child = payloads.into_iter().any(|payload| matches!(payload, TsI | TsR));
    match (is_child || has_rekey_notify, has_rekey_notify) {
        (true, true) => Step::RekeyChild,
        (true, false) => Step::NewChild,
        (false, _) => Step::RekeyIke,
    }
}

/// The forms of a message, the fullest first: the first form whose required payloads are all there
/// is the form of the message.
pub fn forms(step: Step, half: MessageHalf) -> &'static [MessageForm] {
    match (step, half) {
        (Step::Init, MessageHalf::Request) => INIT_REQUEST,
        (Step::Init, MessageHalf::Response) => INIT_RESPONSE,
        (Step::Auth, MessageHalf::Request) => AUTH_REQUEST,
        (Step::Auth, MessageHalf::Response) => AUTH_RESPONSE,
        (Step::NewChild, MessageHalf::Request) => NEW_CHILD_REQUEST,
        (Step::RekeyChild, MessageHalf::Request) => REKEY_CHILD_REQUEST,
        (Step::NewChild | Step::RekeyChild, MessageHalf::Response) => CHILD_RESPONSE,
        (Step::RekeyIke, MessageHalf::Request) => REKEY_IKE_REQUEST,
        (Step::RekeyIke, MessageHalf::Response) => REKEY_IKE_RESPONSE,
        (Step::Inform, _) => INFORM,
    }
}

/// Whether a message may have several payloads of this type.
fn is_repeatable(payload: PayloadType) -> bool {
    matches!(payload, Cert | CertReq | Delete | Notify | VendorId)
}

/// RFC 7296 §1.2: `HDR, SAi1, KEi, Ni`.
const INIT_REQUEST: &[MessageForm] = &[MessageForm {
    // Asks for an IKE SA.
    meaning: Meaning::Whole,
    required: &[Sa, Ke, Nonce],
    optional: &[],
}];

/// RFC 7296 §1.2: `HDR, SAr1, KEr, Nr, [CERTREQ]`; §2.6 COOKIE and §1.2 INVALID_KE_PAYLOAD stand
/// alone.
const INIT_RESPONSE: &[MessageForm] = &[
    MessageForm {
        // Takes the IKE SA.
        meaning: Meaning::Whole,
        required: &[Sa, Ke, Nonce],
        optional: &[CertReq],
    },
    MessageForm {
        // Asks again, or refuses.
        meaning: Meaning::Notifies,
        required: &[Notify],
        optional: &[],
    },
];

/// RFC 7296 §1.2: `HDR, SK {IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, SAi2, TSi, TSr}`; without a child,
/// RFC 6023.
const AUTH_REQUEST: &[MessageForm] = &[
    MessageForm {
        // Proves itself and asks for the first child.
        meaning: Meaning::Whole,
        required: &[IdI, Auth, Sa, TsI, TsR],
        optional: &[Cert, CertReq, IdR, Cp],
    },
    MessageForm {
        // Proves itself and asks for no child.
        meaning: Meaning::Childless,
        required: &[IdI, Auth],
        optional: &[Cert, CertReq, IdR, Cp],
    },
    MessageForm {
        // Names itself and waits for EAP.
        meaning: Meaning::Eap,
        required: &[IdI],
        optional: &[Cert, CertReq, IdR, Cp, Sa, TsI, TsR],
    },
];

/// RFC 7296 §1.2: `HDR, SK {IDr, [CERT,] AUTH, SAr2, TSi, TSr}`; without the child when that was
/// refused.
const AUTH_RESPONSE: &[MessageForm] = &[
    MessageForm {
        // Proves itself and takes the first child.
        meaning: Meaning::Whole,
        required: &[IdR, Auth, Sa, TsI, TsR],
        optional: &[Cert, Cp],
    },
    MessageForm {
        // Wants EAP.
        meaning: Meaning::Eap,
        required: &[Eap],
        optional: &[IdR, Cert, Auth],
    },
    MessageForm {
        // Proves itself and makes no child.
        meaning: Meaning::Childless,
        required: &[IdR, Auth],
        optional: &[Cert, Cp],
    },
    MessageForm {
        // Refuses to authenticate.
        meaning: Meaning::Notifies,
        required: &[Notify],
        optional: &[],
    },
];

/// RFC 7296 §1.3.1: `HDR, SK {SA, Ni, [KEi,] TSi, TSr}`.
const NEW_CHILD_REQUEST: &[MessageForm] = &[MessageForm {
    // Asks for a child.
    meaning: Meaning::Whole,
    required: &[Sa, Nonce, TsI, TsR],
    optional: &[Ke, Cp],
}];

/// RFC 7296 §1.3.3: `HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr}`.
const REKEY_CHILD_REQUEST: &[MessageForm] = &[MessageForm {
    // Asks for a child's successor.
    meaning: Meaning::Whole,
    required: &[Notify, Sa, Nonce, TsI, TsR],
    optional: &[Ke],
}];

/// RFC 7296 §1.3.1, §1.3.3: `HDR, SK {SA, Nr, [KEr,] TSi, TSr}`.
const CHILD_RESPONSE: &[MessageForm] = &[
    MessageForm {
        // Takes the child.
        meaning: Meaning::Whole,
        required: &[Sa, Nonce, TsI, TsR],
        optional: &[Ke, Cp],
    },
    MessageForm {
        // Refuses the child.
        meaning: Meaning::Notifies,
        required: &[Notify],
        optional: &[],
    },
];

/// RFC 7296 §1.3.2: `HDR, SK {SA, Ni, KEi}`.
const REKEY_IKE_REQUEST: &[MessageForm] = &[MessageForm {
    // Asks for the IKE SA's successor.
    meaning: Meaning::Whole,
    required: &[Sa, Nonce, Ke],
    optional: &[],
}];

/// RFC 7296 §1.3.2: `HDR, SK {SA, Nr, KEr}`.
const REKEY_IKE_RESPONSE: &[MessageForm] = &[
    MessageForm {
        // Takes the IKE SA's successor.
        meaning: Meaning::Whole,
        required: &[Sa, Nonce, Ke],
        optional: &[],
    },
    MessageForm {
        // Refuses the IKE SA's successor.
        meaning: Meaning::Notifies,
        required: &[Notify],
        optional: &[],
    },
];

/// RFC 7296 §1.4: `HDR, SK {[N,] [D,] [CP,] ...}`; an empty request asks for a sign of life, and
/// the empty response is one.
const INFORM: &[MessageForm] = &[MessageForm {
    // Informs.
    meaning: Meaning::Whole,
    required: &[],
    optional: &[Delete, Cp],
}];

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(step: Step, half: MessageHalf, payloads: &[PayloadType]) -> Result<Meaning, Error> {
        accept(step, half, payloads.iter().map(|&payload| (payload, false)))
            .map(|form| form.meaning)
    }

    #[test]
    fn each_form_accepts_itself_in_any_order_and_misses_each_of_its_parts() {
        for step in Step::ALL {
            for half in [MessageHalf::Request, MessageHalf::Response] {
                for form in forms(step, half) {
                    let mut payloads: Vec<_> =
                        form.required.iter().chain(form.optional).copied().collect();
                    assert!(judge(step, half, &payloads).is_ok(), "{step}: {:?}", form.required);
                    payloads.reverse();
                    payloads.extend([Notify, VendorId, PayloadType::Unknown(77), Notify]);
                    assert!(judge(step, half, &payloads).is_ok(), "{step}: {:?}", form.required);
                    for missing in form.required {
                        let rest: Vec<_> =
                            form.required.iter().copied().filter(|p| p != missing).collect();
                        let verdict = accept(step, half, rest.iter().map(|&p| (p, false)));
                        assert_ne!(
                            verdict,
                            Ok(form),
                            "{step}: {:?} without {missing}",
                            form.required
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_fuller_form_comes_first() {
        for step in Step::ALL {
            for half in [MessageHalf::Request, MessageHalf::Response] {
                let forms = forms(step, half);
                for (at, form) in forms.iter().enumerate() {
                    let hidden = forms.iter().take(at).any(|earlier| {
                        earlier.required.iter().all(|payload| form.required.contains(payload))
                    });
                    assert!(!hidden, "{step}: {:?} can never be found", form.required);
                }
            }
        }
    }

    #[test]
    fn responses_say_what_they_do() {
        use Meaning::{Childless, Eap as WantsEap, Notifies, Whole};
        let table: &[(Step, &[PayloadType], Meaning)] = &[
            (Step::Init, &[Sa, Ke, Nonce, CertReq, Notify, VendorId], Whole),
            (Step::Init, &[Notify], Notifies),
            (Step::Auth, &[IdR, Cert, Cert, Auth, Sa, TsI, TsR], Whole),
            (Step::Auth, &[IdR, Cert, Auth, Notify], Childless),
            (Step::Auth, &[IdR, Eap], WantsEap),
            (Step::Auth, &[Notify], Notifies),
            (Step::NewChild, &[Sa, Nonce, Ke, TsI, TsR], Whole),
            (Step::RekeyChild, &[Notify], Notifies),
            (Step::RekeyIke, &[Sa, Nonce, Ke], Whole),
            (Step::Inform, &[], Whole),
            (Step::Inform, &[Delete, Delete], Whole),
        ];
        for (step, payloads, meaning) in table {
            assert_eq!(
                judge(*step, MessageHalf::Response, payloads),
                Ok(*meaning),
                "{step} {payloads:?}"
            );
        }
    }

    #[test]
    fn the_peers_faults_are_named() {
        let table: &[(Step, MessageHalf, &[PayloadType], PeerMisbehaved)] = &[
            (Step::Init, MessageHalf::Request, &[Sa, Ke], PeerMisbehaved::Missing(Nonce)),
            (
                Step::Init,
                MessageHalf::Request,
                &[Sa, Ke, Nonce, Nonce],
                PeerMisbehaved::Repeated(Nonce),
            ),
            (
                Step::Init,
                MessageHalf::Request,
                &[Sa, Ke, Nonce, TsI],
                PeerMisbehaved::UnexpectedPayload(TsI),
            ),
            (Step::Init, MessageHalf::Request, &[TsI, Sa, Nonce], PeerMisbehaved::Missing(Ke)),
            (Step::Auth, MessageHalf::Request, &[Auth], PeerMisbehaved::Missing(IdI)),
            (
                Step::Auth,
                MessageHalf::Response,
                &[IdR, Auth, Sa, TsI],
                // Half a child is no childless answer.
                PeerMisbehaved::UnexpectedPayload(Sa),
            ),
            (Step::NewChild, MessageHalf::Response, &[], PeerMisbehaved::Missing(Sa)),
            (
                Step::NewChild,
                MessageHalf::Response,
                &[Notify, Sa],
                PeerMisbehaved::UnexpectedPayload(Sa),
            ),
        ];
        for (step, half, payloads, fault) in table {
            assert_eq!(judge(*step, *half, payloads), Err((*fault).into()), "{step} {payloads:?}");
        }
    }

    #[test]
    fn a_known_payload_in_an_unlisted_place_is_skipped_on_an_established_ike_sa() {
        let table: &[(Step, MessageHalf, &[PayloadType])] = &[
            // MikroTik's RouterOS.
            (Step::RekeyChild, MessageHalf::Request, &[Notify, Sa, Nonce, TsI, TsR, Cp]),
            (Step::RekeyChild, MessageHalf::Request, &[Notify, Sa, Nonce, TsI, TsR, Cp, Cp]),
            (Step::RekeyIke, MessageHalf::Request, &[Sa, Nonce, Ke, IdI, Cp]),
            (Step::RekeyIke, MessageHalf::Response, &[Sa, Nonce, Ke, CertReq]),
            (Step::Inform, MessageHalf::Request, &[Sa, Nonce]),
        ];
        for (step, half, payloads) in table {
            assert_eq!(judge(*step, *half, payloads), Ok(Meaning::Whole), "{step} {payloads:?}");
        }
        let refused = [Notify, Cp, IdR];
        let verdict = judge(Step::NewChild, MessageHalf::Response, &refused);
        assert_eq!(verdict, Ok(Meaning::Notifies));
    }

    #[test]
    fn an_unknown_type_matters_only_when_critical() {
        for unknown in [PayloadType::Unknown(200), PayloadType::PuzzleSolution] {
            let twice = [(unknown, false), (unknown, false)];
            assert!(accept(Step::Inform, MessageHalf::Request, twice).is_ok());
            assert_eq!(
                accept(Step::Inform, MessageHalf::Request, [(unknown, true)])
                    .map(|form| form.meaning),
                Err(Incompatible::CriticalPayload(unknown).into())
            );
        }
        // On a known type the bit says nothing.
        assert!(accept(Step::Inform, MessageHalf::Request, [(Delete, true)]).is_ok());
    }

    #[test]
    fn a_create_child_sa_says_what_it_is_for() {
        assert_eq!(purpose([Sa, Nonce, Ke], false), Step::RekeyIke);
        assert_eq!(purpose([Sa, Nonce, TsI, TsR], false), Step::NewChild);
        assert_eq!(purpose([Notify, Sa, Nonce, Ke, TsI, TsR], true), Step::RekeyChild);
        // Broken either way; the rekey's own form then says what is missing.
        assert_eq!(purpose([Notify, Sa, Nonce], true), Step::RekeyChild);
    }
}
