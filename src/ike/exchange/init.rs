//! IKE_SA_INIT (RFC 7296 §1.2), both roles: suites, keys and abilities, among them NAT detection
//! (NAT traversal). Nothing in the exchange is authenticated, so nothing in it can end an SA.
//!
//! ```text
//! SAi1, KEi, Ni, N(NAT_DETECTION ×2), N(FRAGMENTATION), N(HASHES) ──>
//!                     <── SAr1, KEr, Nr, N(...), [CERTREQ]   go on to IKE_AUTH
//!                     <── N(COOKIE)                      again, with the cookie in front (§2.6)
//!                     <── N(INVALID_KE_PAYLOAD, group)   again, in that group (§1.3)
//!                     <── any other error, or a response
//!                         that is of no use              told, and waited on (§2.21.1)
//! ```

use super::NoncePair;
use super::acceptance::{self, Meaning};
use super::key_exchange::{draw_nonce, finish_exchange, public_value};
use super::step::{MessageHalf, Party, Step};
use crate::crypto::keymat::SkeySeed;
use crate::crypto::{Group, IkeSuite, KeyAgreement, SaKind, SharedSecret};
use crate::ike::endpoint::config::EspEncapsulation;
use crate::ike::endpoint::context::Context;
use crate::ike::error::{Error, Incompatible, Local, MalformedMessage, PeerMisbehaved};
use crate::ike::negotiation::nat_detection::{self, Nat};
use crate::ike::negotiation::proposal::{self, Groups};
use crate::ike::path::{Path, Port, Sending};
use crate::ike::sa::channel::{Channel, Parties};
use crate::ike::sa::retransmit::{Retransmit, RetransmitSchedule, RetransmitVerdict};
use crate::time::Instant;
use crate::wire::codes::{ExchangeType, HashId, NotifyType, PayloadType};
use crate::wire::error::DecodeError;
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::cert::CertificateRequest;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::ke;
use crate::wire::payload::nonce::Nonce;
use crate::wire::payload::notify::Notify;
use crate::wire::spi::IkeSpi;

/// The most cookies that one attempt accepts: a peer whose secret changes asks twice.
const MAX_COOKIES: u8 = 3;

/// The initiator's state while its IKE_SA_INIT request is unanswered.
#[derive(Debug)]
pub(crate) struct InitSent {
    pub(crate) spi: IkeSpi,
    pub(crate) path: Path,
    pub(crate) nonce: Nonce,
    pub(crate) exchange: Box<dyn KeyAgreement>,
    /// Groups that this attempt has sent a public value of.
    pub(crate) tried: Vec<Group>,
    /// The cookie that the request carries; empty when none was asked for.
    pub(crate) cookie: Vec<u8>,
    pub(crate) cookies: u8,
    /// The request's octets: retransmitted as they are, and signed in AUTH.
    pub(crate) request: Vec<u8>,
    pub(crate) timer: Retransmit,
    pub(crate) began_at: Instant,
    /// Unauthenticated errors, which anyone may have sent.
    pub(crate) hearsay: Vec<NotifyType>,
}

/// What IKE_SA_INIT leaves to IKE_AUTH: the keys are made.
#[derive(Debug)]
pub(crate) struct InitDone {
    pub(crate) channel: Channel,
    pub(crate) nonces: NoncePair,
    /// Both IKE_SA_INIT messages, which AUTH signs: ours and the peer's.
    pub(crate) own_message: Vec<u8>,
    pub(crate) peer_message: Vec<u8>,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    /// The hashes that the peer announced (RFC 7427 §4).
    pub(crate) hashes: Vec<HashId>,
    pub(crate) began_at: Instant,
    /// Whether the peer supports an IKE SA without a first child (RFC 6023 §3).
    pub(crate) childless: bool,
}

/// What a datagram made of our attempt to connect.
#[derive(Debug)]
pub(crate) enum InitProgress {
    /// The attempt goes on.
    Wait(Box<InitSent>),
    /// The peer has answered, and the keys are made.
    Keyed(Box<InitDone>),
}

impl InitSent {
    /// Sends the first IKE_SA_INIT request. `None` when the policy has no group that s2sd can run.
    pub(crate) fn start(ctx: &mut Context<'_>, path: Path) -> Option<InitSent> {
        let group = ctx.config.ike.groups().first().copied()?;
        let spi = ctx.spis.reserve_ike(ctx.peer, ctx.rng);
        let nonce = draw_nonce(ctx);
        let exchange = ctx.provider.start_exchange(group, ctx.rng);
        let timer = Retransmit::start(RetransmitSchedule::INIT, ctx.mono(), ctx.rng);
        let began_at = ctx.mono();
        let mut sent = InitSent {
            spi,
            path,
            nonce,
            exchange,
            tried: vec![group],
            cookie: Vec::new(),
            cookies: 0,
            request: Vec::new(),
            timer,
            began_at,
            hearsay: Vec::new(),
        };
        sent.send(ctx);
        Some(sent)
    }

    /// Handles a datagram for our SPI. An answer that is of no use is told, and waited on: it may
    /// be forged.
    pub(crate) fn on_response(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> InitProgress {
        let message = match Message::decode(bytes) {
            Ok(message) if message.sealed.is_none() => message,
            Err(DecodeError::UnsupportedCritical { payload, .. }) => {
                return self.useless(ctx, Incompatible::CriticalPayload(payload).into(), None);
            }
            _ => return self.useless(ctx, MalformedMessage::Outside.into(), None),
        };
        let header = message.header;
        let is_answer = header.is_response()
            && header.exchange == ExchangeType::IkeSaInit
            && header.message_id == MessageId(0)
            && !header.is_from_initiator();
        if !is_answer {
            return InitProgress::Wait(self);
        }
        match self.answered(ctx, &message, bytes) {
            Ok(heard) => heard,
            Err((sent, error)) => sent.useless(ctx, error, Some(&message.chain)),
        }
    }

    /// Tells an answer that is of no use, once for each kind.
    fn useless(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        error: Error,
        chain: Option<&Chain>,
    ) -> InitProgress {
        let kind = error.to_notify().map_or(NotifyType::InvalidSyntax, |notice| notice.kind);
        self.tell(ctx, kind, error, chain);
        InitProgress::Wait(self)
    }

    /// Tells an error that is not authenticated: at once, since it is most likely genuine. The
    /// attempt goes on, since it may be forged.
    fn tell(
        &mut self,
        ctx: &mut Context<'_>,
        kind: NotifyType,
        error: Error,
        chain: Option<&Chain>,
    ) {
        if !self.hearsay.contains(&kind) && self.hearsay.len() < 8 {
            self.hearsay.push(kind);
            ctx.refuse(Step::Init, MessageHalf::Response, error, chain);
        }
        ctx.reason = None;
    }

    /// Retransmits the request, or says that the attempt is over, when the deadline has come.
    pub(crate) fn wake(&mut self, ctx: &mut Context<'_>) -> RetransmitVerdict {
        let verdict = self.timer.fire(ctx.mono(), ctx.rng);
        if verdict == RetransmitVerdict::Resend {
            ctx.out.transmit(Sending::Retransmission, self.path, self.request.clone());
        }
        verdict
    }

    fn answered(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        message: &Message,
        bytes: &[u8],
    ) -> Result<InitProgress, (Box<InitSent>, Error)> {
        match acceptance::accept_chain(Step::Init, MessageHalf::Response, &message.chain) {
            Ok(form) if form.meaning == Meaning::Notifies => {
                self.notified(ctx, &message.chain);
                Ok(InitProgress::Wait(self))
            }
            Ok(_) => self.keyed(ctx, message, bytes),
            Err(error) => Err((self, error)),
        }
    }

    /// Handles notifies: COOKIE and INVALID_KE_PAYLOAD lead to another request, an error is noted.
    fn notified(&mut self, ctx: &mut Context<'_>, chain: &Chain) {
        let again = chain.notifies().find_map(|notify| {
            if let Some(cookie) = notify.cookie_data() {
                return (self.cookies < MAX_COOKIES && self.cookie != cookie)
                    .then(|| (cookie.to_vec(), None));
            }
            let group = Group::from_id(SaKind::Ike, notify.invalid_ke_group()?).ok()?;
            let fresh = ctx.config.ike.groups().contains(&group) && !self.tried.contains(&group);
            fresh.then(|| (self.cookie.clone(), Some(group)))
        });
        match again {
            Some((cookie, None)) => {
                self.cookies += 1;
                self.cookie = cookie;
                self.send(ctx);
            }
            Some((_, Some(group))) => {
                self.tried.push(group);
                self.exchange = ctx.provider.start_exchange(group, ctx.rng);
                self.send(ctx);
            }
            None => self.refused(ctx, chain),
        }
    }

    /// Tells a refusal: the errors that the peer named, or that it named none.
    fn refused(&mut self, ctx: &mut Context<'_>, chain: &Chain) {
        let mut said = false;
        for notify in chain.notifies() {
            if let Some(group) = notify.invalid_ke_group() {
                ctx.explain(format!("the peer wants group {group}"), None);
            } else if notify.cookie_data().is_some() {
                ctx.explain("the peer asks for a cookie again and again".to_owned(), None);
            } else if !notify.kind.is_error() {
                continue;
            }
            said = true;
            self.tell(ctx, notify.kind, Error::told(notify.kind), None);
        }
        if !said {
            self.tell(ctx, NotifyType::NoProposalChosen, Incompatible::Unsaid.into(), None);
        }
    }

    fn keyed(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        message: &Message,
        bytes: &[u8],
    ) -> Result<InitProgress, (Box<InitSent>, Error)> {
        let chain = &message.chain;
        let header = message.header;
        let settled = chain
            .sa()
            .ok_or(Error::from(PeerMisbehaved::Missing(PayloadType::Sa)))
            .and_then(|sa| proposal::read_answer(ctx.config.ike.offered(), sa, Groups::Negotiated))
            .and_then(|choice| choice.ike_suite())
            .and_then(|suite| {
                let same = suite.group == self.exchange.group();
                same.then_some(suite).ok_or(PeerMisbehaved::AnswerNotOffered.into())
            });
        let suite = match settled {
            Ok(suite) if header.responder_spi != IkeSpi::ZERO => suite,
            Ok(_) => return Err((self, PeerMisbehaved::Spi.into())),
            Err(error) => return Err((self, error)),
        };
        let (Ok(public), Some(theirs)) = (public_value(chain, suite.group), chain.nonce()) else {
            return Err((self, PeerMisbehaved::Missing(PayloadType::KeyExchange).into()));
        };
        // The length is checked before our private value is spent: a forged bad value must not end
        // the attempt.
        if public.len() != suite.group.public_len() {
            return Err((self, PeerMisbehaved::PublicValue(suite.group.id()).into()));
        }
        let parties = Parties {
            own: self.spi,
            peer: header.responder_spi,
            made_by: Party::We,
            fragments: chain.notify(NotifyType::FragmentationSupported).is_some(),
        };
        let InitSent { spi, path, nonce, exchange, tried, cookie, cookies, request, timer, .. } =
            *self;
        let (began_at, hearsay) = (self.began_at, self.hearsay);
        let nonces = NoncePair { initiator: nonce.clone(), responder: theirs.clone() };
        let nat = nat_detection::detect(ctx.provider, chain, header, path);
        let made = finish_exchange(exchange, public)
            .and_then(|shared| make_channel(ctx, parties, suite, &nonces, &shared));
        let Ok(channel) = made else {
            // A public value that is no member of its group has spent our private value: the
            // request is sent again with a fresh one.
            let exchange = ctx.provider.start_exchange(suite.group, ctx.rng);
            let mut sent = InitSent {
                spi,
                path,
                nonce,
                exchange,
                tried,
                cookie,
                cookies,
                request,
                timer,
                began_at,
                hearsay,
            };
            sent.send(ctx);
            return Ok(InitProgress::Wait(Box::new(sent)));
        };
        Ok(InitProgress::Keyed(Box::new(InitDone {
            channel,
            nonces,
            own_message: request,
            peer_message: bytes.to_vec(),
            path: next_path(ctx, path, nat),
            nat,
            hashes: announced(chain),
            began_at,
            childless: chain.notify(NotifyType::ChildlessIkev2Supported).is_some(),
        })))
    }

    /// Builds the request anew and sends it.
    fn send(&mut self, ctx: &mut Context<'_>) {
        let mut chain = Chain::new();
        if !self.cookie.is_empty() {
            chain.push(Notify::cookie(&self.cookie));
        }
        let group = self.exchange.group();
        let lines = ctx.config.ike.offered();
        chain.push(proposal::offer(lines, crate::wire::spi::Spi::None, Groups::Negotiated));
        chain.push(ke::KeyExchange::new(group.id(), self.exchange.public_value()));
        chain.push(self.nonce.clone());
        push_abilities(ctx, &mut chain, self.spi, IkeSpi::ZERO, self.path);
        let header = Header {
            initiator_spi: self.spi,
            responder_spi: IkeSpi::ZERO,
            version: IkeVersion::V2,
            exchange: ExchangeType::IkeSaInit,
            flags: Flags::INITIATOR,
            message_id: MessageId(0),
        };
        self.request = encode(header, chain);
        ctx.out.transmit(Sending::First, self.path, self.request.clone());
        self.timer = Retransmit::start(RetransmitSchedule::INIT, ctx.mono(), ctx.rng);
    }
}

/// A first IKE_SA_INIT request, decoded and checked.
#[derive(Debug)]
pub(crate) struct InitRequest<'a> {
    pub(crate) header: Header,
    pub(crate) chain: &'a Chain,
    pub(crate) bytes: &'a [u8],
    pub(crate) path: Path,
}

/// Answers IKE_SA_INIT as the responder. The octets of the reply are in [`InitDone::own_message`].
///
/// A wrong group comes back as `Incompatible::Group` and is answered with INVALID_KE_PAYLOAD,
/// without keeping any state.
pub(crate) fn grant(ctx: &mut Context<'_>, knock: &InitRequest<'_>) -> Result<InitDone, Error> {
    let InitRequest { header, chain, bytes, path } = knock;
    let sa = chain.sa().ok_or(PeerMisbehaved::Missing(PayloadType::Sa))?;
    let choice = proposal::choose(ctx.config.ike.accepted(), sa, Groups::Negotiated)?;
    let suite = choice.ike_suite()?;
    let public = public_value(chain, suite.group)?;
    let theirs = chain.nonce().ok_or(PeerMisbehaved::Missing(PayloadType::Nonce))?;
    let exchange = ctx.provider.start_exchange(suite.group, ctx.rng);
    let own_public = exchange.public_value().to_vec();
    let shared = finish_exchange(exchange, public)?;
    let nonces = NoncePair { initiator: theirs.clone(), responder: draw_nonce(ctx) };
    let own = ctx.spis.reserve_ike(ctx.peer, ctx.rng);
    let can_fragment = chain.notify(NotifyType::FragmentationSupported).is_some();
    let parties =
        Parties { own, peer: header.initiator_spi, made_by: Party::Peer, fragments: can_fragment };
    let channel = make_channel(ctx, parties, suite, &nonces, &shared)?;
    let mut answer = Chain::new();
    answer.push(choice.answer(crate::wire::spi::Spi::None));
    answer.push(ke::KeyExchange::new(suite.group.id(), own_public));
    answer.push(nonces.responder.clone());
    push_abilities(ctx, &mut answer, header.initiator_spi, own, *path);
    let authorities = ctx.config.credentials.authorities();
    if !authorities.is_empty() {
        answer.push(CertificateRequest::x509(&authorities));
    }
    let response =
        Header { responder_spi: own, flags: Flags::RESPONSE, version: IkeVersion::V2, ..*header };
    Ok(InitDone {
        channel,
        nonces,
        own_message: encode(response, answer),
        peer_message: bytes.to_vec(),
        path: *path,
        nat: nat_detection::detect(ctx.provider, chain, *header, *path),
        hashes: announced(chain),
        began_at: ctx.mono(),
        childless: chain.notify(NotifyType::ChildlessIkev2Supported).is_some(),
    })
}

/// Encodes a message in clear.
pub(crate) fn encode(header: Header, chain: Chain) -> Vec<u8> {
    Message::clear(header, chain).encode().expect("our own payloads fit their length fields")
}

/// Derives SKEYSEED and the seven keys, and makes the ciphers of both directions.
fn make_channel(
    ctx: &mut Context<'_>,
    parties: Parties,
    suite: IkeSuite,
    nonces: &NoncePair,
    shared: &SharedSecret,
) -> Result<Channel, Error> {
    let view = nonces.view();
    let seed = SkeySeed::of_new(ctx.provider, suite.prf, view, shared);
    let keys = parties.keys(ctx.provider, &suite, &seed, view);
    Channel::new(ctx.provider, ctx.rng, parties, suite, keys).map_err(|_| Local::Crypto.into())
}

/// Adds the NAT detection notifies and the notifies of our abilities.
fn push_abilities(
    ctx: &Context<'_>,
    chain: &mut Chain,
    initiator: IkeSpi,
    responder: IkeSpi,
    path: Path,
) {
    let feign = ctx.config.encapsulation == EspEncapsulation::Udp;
    if ctx.config.behaviour.has_nat_traversal() {
        for notify in nat_detection::notifies(ctx.provider, (initiator, responder), path, feign) {
            chain.push(notify);
        }
    }
    chain.push(Notify::new(NotifyType::FragmentationSupported));
    let hashes = ctx.config.credentials.hashes();
    if !hashes.is_empty() && ctx.config.behaviour.announces_hashes() {
        chain.push(Notify::signature_hashes(&hashes));
    }
    if ctx.config.childless {
        chain.push(Notify::new(NotifyType::ChildlessIkev2Supported));
    }
}

/// The path of IKE_AUTH: on port 4500 when there is a NAT (NAT traversal), or when ESP is to travel
/// in UDP anyway (RFC 7296 §2.23). A peer that sent no NAT detection has no NAT traversal: nobody
/// listens on its port 4500, and IKE stays on port 500.
fn next_path(ctx: &Context<'_>, path: Path, nat: Nat) -> Path {
    let float = path.port == Port::Ike
        && ctx.config.behaviour.has_nat_traversal()
        && match ctx.config.encapsulation {
            EspEncapsulation::Udp => nat.understood,
            EspEncapsulation::Auto => nat.is_any(),
            EspEncapsulation::Esp => false,
        };
    if float { path.floated() } else { path }
}

fn announced(chain: &Chain) -> Vec<HashId> {
    let hashes = chain.notify(NotifyType::SignatureHashAlgorithms);
    hashes.map(|notify| notify.signature_hash_ids().collect()).unwrap_or_default()
}
