//! IKE_AUTH (RFC 7296 §1.2, §2.15), both roles: both ends authenticate, and the first child SA
//! comes up with the IKE SA.
//!
//! ```text
//! SK {IDi, [CERT ...,] [CERTREQ,] [IDr,] [N(INITIAL_CONTACT),] AUTH, SAi2, TSi, TSr} ──>
//!                                                <── SK {IDr, [CERT ...,] AUTH, SAr2, TSi, TSr}
//! ```
//!
//! | role | state | what it does |
//! |---|---|---|
//! | initiator | [`AuthSent`] | `start` signs and sends, `finish` verifies the response |
//! | responder | [`InitAnswered`] | `finish` verifies, signs, makes the first child SA |
//! | responder, after a failed proof | [`AuthRefused`] | keeps the refusal for a repeated request |
//!
//! The responder verifies the initiator's proof before it signs its own, and both come after a
//! round trip, so that no signature is spent on an address that has not answered. If the first
//! child SA cannot be made, the IKE SA stays up without it (§1.2).

use std::net::IpAddr;
use std::time::Duration;

use super::NoncePair;
use super::acceptance::{self, Meaning};
use super::create_child::{self, ChildOffer};
use super::init::InitDone;
use super::step::{MessageHalf, Party, Step};
use crate::crypto::keymat::{SkP, signed_octets};
use crate::ike::authenticator::{PeerProof, Presented, Proven};
use crate::ike::endpoint::config::EspEncapsulation;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::IkeEvent;
use crate::ike::error::{AuthFailed, Error, Incompatible, Local, PeerMisbehaved};
use crate::ike::ids::Slot;
use crate::ike::path::{Path, Port, Sending};
use crate::ike::sa::channel::{Channel, Envelope};
use crate::ike::sa::child::ChildSa;
use crate::ike::sa::retransmit::{Retransmit, RetransmitSchedule, RetransmitVerdict};
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::window::{Answered, Datagrams, Fingerprint, SealedMessage};
use crate::ike::sa::{IkeSa, NewIkeSa, Origin, datagram_limit};
use crate::rate::{Bucket, Rate};
use crate::time::Instant;
use crate::wire::codes::{ExchangeType, NotifyType, PayloadType};
use crate::wire::header::{Header, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::cert::{CertPayload, CertificateRequest};
use crate::wire::payload::chain::Chain;
use crate::wire::payload::delete::Delete;
use crate::wire::payload::id::Identity;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::vendor::KnownVendor;
use crate::wire::spi::IkeSpi;

/// The message ID of IKE_AUTH: IKE_SA_INIT has 0.
pub(crate) const AUTH_ID: MessageId = MessageId(1);

/// The message ID of the initiator's farewell, the first request after IKE_AUTH.
const FAREWELL_ID: MessageId = MessageId(2);
/// How long an IKE SA may stay half-open: from IKE_SA_INIT to IKE_AUTH.
const HALF_OPEN: Duration = Duration::from_secs(30);

/// The initiator's state while its IKE_AUTH request is unanswered.
#[derive(Debug)]
pub(crate) struct AuthSent {
    pub(crate) keyed: InitDone,
    /// The child SA that the request asks for; `None` when the IKE SA comes up without one.
    pub(crate) wanted: Option<ChildOffer>,
    pub(crate) request: SealedMessage,
    pub(crate) timer: Retransmit,
}

/// The responder's state after IKE_SA_INIT: a half-open IKE SA.
#[derive(Debug)]
pub(crate) struct InitAnswered {
    pub(crate) keyed: InitDone,
    /// The address whose share of half-open IKE SAs this one counts in.
    pub(crate) source: IpAddr,
    pub(crate) forget_at: Instant,
    /// The budget for sending our IKE_SA_INIT reply again.
    again: Bucket,
}

/// The responder's state after a proof that failed: the refusal is kept for as long as the peer may
/// repeat its request.
#[derive(Debug)]
pub(crate) struct AuthRefused {
    pub(crate) channel: Channel,
    /// The address whose share of half-open IKE SAs this one counts in.
    pub(crate) source: IpAddr,
    pub(crate) answered: Answered,
    pub(crate) forget_at: Instant,
}

/// The initiator's farewell to a responder whose proof failed: one INFORMATIONAL request with the
/// reason and a Delete (RFC 7296 §2.21.2), retransmitted a few times.
///
/// The responder is nobody, so this is no IKE SA of the peer: nothing that arrives here moves a
/// tunnel, is a sign of life or is answered.
#[derive(Debug)]
pub(crate) struct AuthRejected {
    pub(crate) channel: Channel,
    pub(crate) path: Path,
    pub(crate) datagrams: Datagrams,
    pub(crate) timer: Retransmit,
}

/// What came of the initiator's attempt.
#[derive(Debug)]
pub(crate) enum AuthOutcome {
    /// Both ends are authenticated: the IKE SA is up.
    Up(Box<IkeSa>),
    /// The peer's proof failed, and the peer is told so.
    Reject(Box<AuthRejected>),
    /// The peer refused, or the response is of no use.
    Failed,
}

impl AuthSent {
    /// Sends the request: our proof of identity, and the request for the first child SA, of `slot`.
    pub(crate) fn start(
        ctx: &mut Context<'_>,
        mut keyed: InitDone,
        slot: Option<Slot>,
        initial_contact: bool,
    ) -> Result<AuthSent, Error> {
        let credentials = std::rc::Rc::clone(&ctx.config.credentials);
        let identity = credentials.identity();
        let mut chain = Chain::new();
        chain.push(Payload::IdInitiator(identity.clone()));
        chain.extend(credentials.certificates().into_iter().map(Payload::Certificate));
        let authorities = credentials.authorities();
        if !authorities.is_empty() {
            chain.push(CertificateRequest::x509(&authorities));
        }
        if let Some(wanted) = &ctx.config.ask_for {
            chain.push(Payload::IdResponder(wanted.clone()));
        }
        if initial_contact {
            chain.push(Notify::new(NotifyType::InitialContact));
        }
        push_proof(ctx, &keyed, &identity, &mut chain)?;
        let slot = slot.filter(|_| !(ctx.config.childless && keyed.childless));
        let wanted = slot.and_then(|slot| create_child::ask_first(ctx, slot, &mut chain));
        let envelope = Envelope { exchange: ExchangeType::IkeAuth, id: AUTH_ID, response: false };
        let limit = datagram_limit(ctx, keyed.path);
        let request = keyed.channel.seal(envelope, &chain, limit, ctx.rng)?;
        for bytes in request.datagrams() {
            ctx.out.transmit(Sending::First, keyed.path, bytes.clone());
        }
        let timer = Retransmit::start(RetransmitSchedule::DIAL, ctx.mono(), ctx.rng);
        Ok(AuthSent { keyed, wanted, request, timer })
    }

    /// Retransmits the request, or says that the attempt is over, when the deadline has come.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) -> RetransmitVerdict {
        let verdict = self.timer.fire(ctx.mono(), ctx.rng);
        if verdict == RetransmitVerdict::Resend {
            if self.timer.wants_smaller() {
                self.request.shrink();
            }
            for bytes in self.request.datagrams() {
                ctx.out.transmit(Sending::Retransmission, self.keyed.path, bytes.clone());
            }
        }
        verdict
    }

    /// Handles the responder's authentic response: verifies the proof, makes the IKE SA and the
    /// first child SA.
    pub(crate) fn finish(self, ctx: &mut Context<'_>, answer: Result<Chain, Error>) -> AuthOutcome {
        let AuthSent { keyed, wanted, .. } = self;
        let verified = answer.and_then(|answer| {
            verify_responder(ctx, &keyed, &answer).map(|proven| (proven, answer))
        });
        let ((proven, presented), answer) = match verified {
            Ok(verified) => verified,
            Err(error) => {
                if let Some(wanted) = &wanted {
                    create_child::abandon(ctx, wanted);
                }
                ctx.refuse(Step::Auth, MessageHalf::Response, error, None);
                let rejected = error
                    .to_notify()
                    .and_then(|notice| AuthRejected::start(ctx, keyed, notice.kind));
                return rejected.map_or(AuthOutcome::Failed, AuthOutcome::Reject);
            }
        };
        let nonces = keyed.nonces.clone();
        let mut sa = establish(ctx, keyed, proven, Party::We);
        sa.keep_proof(ctx, presented);
        for span in answer.notifies().filter_map(Notify::auth_lifetime_span) {
            sa.authenticate_within(ctx, span);
        }
        if let Some(wanted) = wanted {
            first_child(ctx, &mut sa, &wanted, &nonces, &answer);
        }
        AuthOutcome::Up(Box::new(sa))
    }
}

impl AuthRejected {
    /// Sends the farewell.
    fn start(
        ctx: &mut Context<'_>,
        keyed: InitDone,
        reason: NotifyType,
    ) -> Option<Box<AuthRejected>> {
        let InitDone { mut channel, path, .. } = keyed;
        let mut chain = Chain::new();
        chain.push(Notify::new(reason));
        chain.push(Delete::ike_sa());
        let envelope =
            Envelope { exchange: ExchangeType::Informational, id: FAREWELL_ID, response: false };
        let limit = datagram_limit(ctx, path);
        let farewell = channel.seal(envelope, &chain, limit, ctx.rng).ok()?;
        let datagrams = farewell.datagrams().clone();
        for bytes in &datagrams {
            ctx.out.transmit(Sending::First, path, bytes.clone());
        }
        let timer = Retransmit::start(RetransmitSchedule::FAREWELL, ctx.mono(), ctx.rng);
        Some(Box::new(AuthRejected { channel, path, datagrams, timer }))
    }

    /// Retransmits the farewell, or says that it is over, when the deadline has come.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) -> RetransmitVerdict {
        let verdict = self.timer.fire(ctx.mono(), ctx.rng);
        if verdict == RetransmitVerdict::Resend {
            for bytes in &self.datagrams {
                ctx.out.transmit(Sending::Retransmission, self.path, bytes.clone());
            }
        }
        verdict
    }

    /// Whether the datagram is the authentic response to the farewell.
    pub(crate) fn is_answered_by(
        &mut self,
        now: Instant,
        header: &Header,
        bytes: &[u8],
        fingerprint: Fingerprint,
    ) -> bool {
        header.is_response()
            && header.message_id == FAREWELL_ID
            && self.channel.open(now, bytes, fingerprint).is_some()
    }
}

impl InitAnswered {
    pub(crate) fn new(ctx: &Context<'_>, keyed: InitDone, source: IpAddr) -> InitAnswered {
        InitAnswered::until(ctx.now.mono + HALF_OPEN, keyed, source)
    }

    /// The same, with a known end, from a snapshot.
    pub(crate) fn until(forget_at: Instant, keyed: InitDone, source: IpAddr) -> InitAnswered {
        InitAnswered { keyed, source, forget_at, again: Bucket::default() }
    }

    /// Whether these octets are the IKE_SA_INIT request that was answered.
    pub(crate) fn answers(&self, theirs: IkeSpi, bytes: &[u8]) -> bool {
        self.keyed.channel.peer == theirs && self.keyed.peer_message == bytes
    }

    /// The IKE_SA_INIT reply again, unless its budget is exhausted.
    pub(crate) fn again(&mut self, now: Instant) -> Option<&Vec<u8>> {
        self.again.take(Rate::REPEATS, now).then_some(&self.keyed.own_message)
    }

    /// Handles the initiator's authentic request: verifies the proof, signs our own, makes the IKE
    /// SA and the first child SA, and replies. The flag says whether the peer said INITIAL_CONTACT.
    pub(crate) fn finish(
        self,
        ctx: &mut Context<'_>,
        path: Path,
        fingerprint: Fingerprint,
        request: Result<Chain, Error>,
    ) -> Result<(Box<IkeSa>, bool), Box<AuthRefused>> {
        let InitAnswered { mut keyed, source, .. } = self;
        // IKE_AUTH may come from another port than IKE_SA_INIT: behind a NAT it moves to port 4500.
        keyed.path = path;
        let mut answer = Chain::new();
        let verified = request.and_then(|request| {
            let proven = verify_initiator(ctx, &keyed, &request)?;
            let identity = ctx.config.credentials.identity();
            answer.push(Payload::IdResponder(identity.clone()));
            let certificates = ctx.config.credentials.certificates();
            answer.extend(certificates.into_iter().map(Payload::Certificate));
            push_proof(ctx, &keyed, &identity, &mut answer)?;
            Ok((proven, request))
        });
        let ((proven, presented), request) = match verified {
            Ok(verified) => verified,
            Err(error) => {
                let (channel, refusal) = refuse(ctx, keyed, path, error);
                let forget_at = ctx.mono() + HALF_OPEN;
                let answered = Answered::new(fingerprint, refusal);
                let refused = AuthRefused { channel, source, answered, forget_at };
                return Err(Box::new(refused));
            }
        };
        ctx.half_open.leave(source);
        let initial_contact = request.notify(NotifyType::InitialContact).is_some()
            || is_initial_contact(&keyed.peer_message);
        let nonces = keyed.nonces.clone();
        let mut sa = establish(ctx, keyed, proven, Party::Peer);
        sa.keep_proof(ctx, presented);
        if request.sa().is_some() {
            let granted = match ctx.has_bounds_for_child(sa.children.len()) {
                true => create_child::grant_first(ctx, &sa.channel, &request, &nonces, &mut answer),
                false => Err(Incompatible::NoAdditionalSas.into()),
            };
            match granted {
                Ok(child) => sa.install(ctx, child, None),
                Err(error) => {
                    ctx.refuse(Step::Auth, MessageHalf::Request, error, Some(&request));
                    answer.extend(error.to_notify().map(|notice| {
                        Payload::Notify(Notify::with_data(notice.kind, notice.data()))
                    }));
                }
            }
        }
        // Only the initiator can authenticate anew, so it is told by when (RFC 4478).
        let left = sa.reauth_at.map(|at| at.since(ctx.mono()));
        answer.extend(left.map(|left| Payload::Notify(Notify::auth_lifetime(left))));
        sa.reply(ctx, path, ExchangeType::IkeAuth, fingerprint, &answer);
        Ok((Box::new(sa), initial_contact))
    }
}

/// Whether an IKE_SA_INIT request carries Microsoft's vendor ID of an initial contact, which
/// Windows sends in place of the notify. It counts once IKE_AUTH has proved the message.
fn is_initial_contact(init: &[u8]) -> bool {
    Message::decode(init).is_ok_and(|message| {
        message.chain.vendor_ids().any(|id| id.known() == Some(KnownVendor::MsInitialContact))
    })
}

/// Signs and adds our AUTH payload.
fn push_proof(
    ctx: &mut Context<'_>,
    keyed: &InitDone,
    identity: &Identity,
    chain: &mut Chain,
) -> Result<(), Error> {
    let channel = &keyed.channel;
    let (sk_p, peer_nonce) = match channel.made_by {
        Party::We => (SkP::Initiator(&channel.keys.pi), &keyed.nonces.responder),
        Party::Peer => (SkP::Responder(&channel.keys.pr), &keyed.nonces.initiator),
    };
    let (prf, body) = (channel.suite.prf, identity.signed_body());
    let octets =
        signed_octets(ctx.provider, prf, sk_p, &keyed.own_message, peer_nonce.bytes(), &body);
    match ctx.config.credentials.sign(&octets, &keyed.hashes, ctx.rng) {
        Ok(auth) => {
            chain.push(auth);
            Ok(())
        }
        Err(failed) => {
            ctx.explain(failed.reason, None);
            Err(Local::Signing.into())
        }
    }
}

/// Verifies the initiator's request.
fn verify_initiator(
    ctx: &mut Context<'_>,
    keyed: &InitDone,
    request: &Chain,
) -> Result<(Proven, Presented), Error> {
    let form = acceptance::accept_chain(Step::Auth, MessageHalf::Request, request)?;
    if form.meaning == Meaning::Eap {
        return Err(AuthFailed::Method.into());
    }
    let identity = request.id_initiator();
    let identity = identity.ok_or(PeerMisbehaved::Missing(PayloadType::IdInitiator))?;
    verify_auth(ctx, keyed, identity, request)
}

/// Verifies the responder's response.
fn verify_responder(
    ctx: &mut Context<'_>,
    keyed: &InitDone,
    answer: &Chain,
) -> Result<(Proven, Presented), Error> {
    let form = acceptance::accept_chain(Step::Auth, MessageHalf::Response, answer)?;
    match form.meaning {
        Meaning::Whole | Meaning::Childless => {}
        Meaning::Eap => return Err(AuthFailed::Method.into()),
        Meaning::Notifies => {
            let told = answer.notifies().map(|notify| notify.kind).find(|kind| kind.is_error());
            return Err(told.map_or(Incompatible::Unsaid.into(), Error::told));
        }
    }
    let identity = answer.id_responder();
    let identity = identity.ok_or(PeerMisbehaved::Missing(PayloadType::IdResponder))?;
    verify_auth(ctx, keyed, identity, answer)
}

/// Verifies the AUTH payload of a message against the identity that the message claims.
fn verify_auth(
    ctx: &mut Context<'_>,
    keyed: &InitDone,
    identity: &Identity,
    chain: &Chain,
) -> Result<(Proven, Presented), Error> {
    let auth = chain.authentication();
    let auth = auth.ok_or(PeerMisbehaved::Missing(PayloadType::Authentication))?;
    let certificates: Vec<CertPayload> = chain.certificates().cloned().collect();
    let channel = &keyed.channel;
    let (sk_p, own_nonce) = match channel.made_by {
        Party::We => (SkP::Responder(&channel.keys.pr), &keyed.nonces.initiator),
        Party::Peer => (SkP::Initiator(&channel.keys.pi), &keyed.nonces.responder),
    };
    let (prf, body) = (channel.suite.prf, identity.signed_body());
    let octets =
        signed_octets(ctx.provider, prf, sk_p, &keyed.peer_message, own_nonce.bytes(), &body);
    // A peer to which no hashes were announced has only the methods of RFC 7296 (RFC 7427 §4).
    let announced: &[_] = match ctx.config.behaviour.announces_hashes() {
        true => &keyed.hashes,
        false => &[],
    };
    let claim = PeerProof {
        identity,
        certificates: &certificates,
        auth,
        octets: &octets,
        announced,
        remotes: &ctx.config.remotes,
    };
    match ctx.config.credentials.verify(&claim, ctx.now) {
        Ok(proven) => Ok((proven, Presented { identity: identity.clone(), certificates })),
        Err(disbelief) => {
            ctx.explain(disbelief.reason, disbelief.remedy);
            Err(disbelief.kind.into())
        }
    }
}

/// Answers a proof that failed (RFC 7296 §2.21.2).
fn refuse(
    ctx: &mut Context<'_>,
    keyed: InitDone,
    path: Path,
    error: Error,
) -> (Channel, SealedMessage) {
    ctx.refuse(Step::Auth, MessageHalf::Request, error, None);
    let mut channel = keyed.channel;
    let chain: Chain = error
        .to_notify()
        .map(|notice| Payload::Notify(Notify::with_data(notice.kind, notice.data())))
        .into_iter()
        .collect();
    let envelope = Envelope { exchange: ExchangeType::IkeAuth, id: AUTH_ID, response: true };
    let limit = datagram_limit(ctx, path);
    let refusal = channel.seal(envelope, &chain, limit, ctx.rng).unwrap_or_default();
    for bytes in refusal.datagrams() {
        ctx.out.transmit(Sending::First, path, bytes.clone());
    }
    (channel, refusal)
}

/// Makes the first child SA from the peer's response. If that fails, the IKE SA stays up and the
/// child is asked for again.
fn first_child(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    wanted: &ChildOffer,
    nonces: &NoncePair,
    answer: &Chain,
) {
    let refused = answer.notifies().find(|n| n.kind.is_error() && answer.sa().is_none());
    let made: Result<ChildSa, Error> = match refused {
        Some(notify) => Err(Error::told(notify.kind)),
        None if answer.sa().is_none() => Err(Incompatible::Unsaid.into()),
        None => create_child::take_first(ctx, &sa.channel, wanted, nonces, answer),
    };
    match made {
        Ok(child) => {
            create_child::note_others(ctx, &child, answer);
            sa.install(ctx, child, None);
        }
        Err(error) if create_child::wants_pairs_apart(ctx, wanted.slot, error) => {
            create_child::abandon(ctx, wanted);
        }
        Err(error) => {
            ctx.refuse(Step::Auth, MessageHalf::Response, error, None);
            if answer.sa().is_some() {
                sa.want(ctx, TaskKind::Disown(wanted.spi), ctx.mono());
            }
            create_child::abandon(ctx, wanted);
        }
    }
}

/// Makes the IKE SA.
fn establish(ctx: &mut Context<'_>, keyed: InitDone, proven: Proven, dialled_by: Party) -> IkeSa {
    let InitDone { channel, nonces, path, nat, began_at, .. } = keyed;
    let now = ctx.mono();
    // The end that dialled has used the message IDs 0 and 1. A responder answers IKE_AUTH, which
    // has the ID 1, on the new IKE SA.
    let (first_request, first_reply) = match dialled_by {
        Party::We => (2, 0),
        Party::Peer => (0, 1),
    };
    // Where IKE stayed on port 500, there is no port for ESP in UDP: the peer has no NAT traversal,
    // and gets bare ESP whatever is configured.
    let encapsulated = match ctx.config.encapsulation {
        EspEncapsulation::Udp => path.port == Port::NatT,
        EspEncapsulation::Auto => path.port == Port::NatT && nat.is_any(),
        EspEncapsulation::Esp => false,
    };
    let reauth_at = reauthentication(ctx, &proven);
    ctx.out.event(IkeEvent::IkeUp {
        peer: ctx.peer,
        ike: channel.own,
        suite: channel.suite,
        identity: proven.name.clone(),
        proven_until: proven.until,
        path,
    });
    let origin = Origin { dialled_by, nonces, began_at, up_at: now };
    let new = NewIkeSa {
        channel,
        origin,
        proven,
        path,
        nat,
        encapsulated,
        first_request: MessageId(first_request),
        first_reply: MessageId(first_reply),
        sent_at: now,
        reauth_at,
    };
    IkeSa::new(ctx, new)
}

/// When both ends have to authenticate again: at the configured age, and before either certificate
/// expires.
pub(crate) fn reauthentication(ctx: &Context<'_>, proven: &Proven) -> Option<Instant> {
    let ends = proven.until.0.min(ctx.config.credentials.not_after().0);
    let left = Duration::from_secs(ends.saturating_sub(ctx.now.unix.0));
    // Nine tenths of the time that is left, and at least a minute, so that a certificate about to
    // expire does not make us dial in circles.
    let by_date = (left / 10 * 9).max(Duration::from_secs(60));
    let by_age = ctx.config.reauthenticate.unwrap_or(Duration::MAX);
    let after = by_date.min(by_age);
    (after < Duration::from_secs(10 * 365 * 86_400)).then(|| ctx.now.mono + after)
}
