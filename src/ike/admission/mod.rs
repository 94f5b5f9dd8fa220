//! Admission: how messages without an SA are answered, and how the cost of answering them is
//! bounded. No other part of the engine answers unauthenticated input.
//!
//! ```text
//! IKE_SA_INIT ─> a peer's    ─> retransmission? ─> room, and      ─> policy ─> half-open SA,
//!                address?                          cookie valid?                and a response
//!                   │ no              │ yes           │ no            │ no
//!                dropped       the same answer     COOKIE or       one notify
//!                                                  dropped         in the clear
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | `mod` | [`Admissions`], and the decision for each message without an SA |
//! | `dead_sa` | what this end and its peers say of SAs that only one of them has |
//! | [`budget`] | bounds on half-open SAs, budgets for each source |
//! | [`cookie`] | stateless cookies |

pub mod budget;
pub mod cookie;
mod dead_sa;

use std::net::IpAddr;

use super::endpoint::Endpoint;
use super::endpoint::config::EndpointConfig;
use super::endpoint::event::{IkeEvent, LimitKind};
use super::error::Error;
use super::exchange::acceptance;
use super::exchange::auth::InitAnswered;
use super::exchange::init::{self, InitRequest};
use super::exchange::step::{MessageHalf, Step};
use super::ids::PeerId;
use super::path::{Path, Sending};
use super::peer::handshake::Handshake;
use crate::rate::{Bucket, Rate};
use crate::time::{Instant, Now};
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::error::DecodeError;
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;
use crate::wire::spi::IkeSpi;
use budget::{Admission, Buckets, HalfOpen};
use cookie::{CookieBinding, Cookies};

/// How many sources have budgets of their own.
const SOURCES: usize = 1024;
/// The longest IKE_SA_INIT request: it is kept until its sender has authenticated. Genuine ones fit
/// a datagram or two.
const LONGEST: usize = 8 << 10;

/// Everything that is kept about sources that have not authenticated.
///
/// An IKE SA is *half-open* from the IKE_SA_INIT response until IKE_AUTH: it costs a key exchange
/// and memory, and its initiator has proved nothing. A flood of IKE_SA_INIT requests is answered in
/// three steps: first with half-open SAs, then with cookies (RFC 7296 §2.6), which only a source
/// that receives our answers can return, then not at all.
///
/// | what is bounded | by what | where |
/// |---|---|---|
/// | half-open SAs in all | `cookies_from`, `total` with a cookie | [`HalfOpenLimits`] |
/// | half-open SAs of a source | `per_source`, twice that with a cookie | [`HalfOpenLimits`] |
/// | the life of a half-open SA | 30 s | `exchange::auth` |
/// | failed IKE_SA_INIT requests of a source | a token bucket | `Rate::FAILURES_OF_SOURCE` |
/// | stateless errors to a source | a token bucket | `Rate::ERRORS_TO_SOURCE` |
/// | stateless errors in all | a token bucket | `Rate::ERRORS` |
/// | the same answer sent again | a token bucket | `Rate::REPEATS` |
/// | sources with buckets of their own | 1024; all others share one bucket | [`Buckets`] |
/// | the length of an IKE_SA_INIT request | 8 KiB | `LONGEST` |
/// | answers to ESP packets of no SA | a token bucket | `Rate::UNKNOWN_SPIS` |
/// | probes after an INVALID_SPI in the clear | a token bucket | `Rate::HINTS` |
/// | log lines about unauthenticated datagrams | a token bucket | `Rate::LINES` |
/// | COOKIE answers | not limited: small, and without state | [`cookie`] |
///
/// The stateless errors are INVALID_KE_PAYLOAD, NO_PROPOSAL_CHOSEN, INVALID_MAJOR_VERSION,
/// INVALID_IKE_SPI and INVALID_SPI. They are limited so that a forger of source addresses cannot
/// use this end to flood a third party.
///
/// [`HalfOpenLimits`]: budget::HalfOpenLimits
#[derive(Debug)]
pub(crate) struct Admissions {
    pub(crate) half_open: HalfOpen,
    pub(crate) cookies: Cookies,
    errors: Bucket,
    errors_to: Buckets,
    /// IKE_SA_INIT requests without a cookie that failed.
    failed: Buckets,
    /// IKE_SA_INIT requests with a valid cookie that failed.
    failed_proven: Buckets,
    /// ESP packets of no SA.
    unknown_spis: Buckets,
    /// INVALID_SPI in the clear.
    hints: Buckets,
    lines: Bucket,
}

impl Admissions {
    pub(crate) fn new(settings: &EndpointConfig, cookies: Cookies) -> Admissions {
        Admissions {
            half_open: HalfOpen::new(settings.half_open),
            cookies,
            errors: Bucket::default(),
            errors_to: Buckets::new(Rate::ERRORS_TO_SOURCE, SOURCES),
            failed: Buckets::new(Rate::FAILURES_OF_SOURCE, SOURCES),
            failed_proven: Buckets::new(Rate::FAILURES_OF_SOURCE, SOURCES),
            unknown_spis: Buckets::new(Rate::UNKNOWN_SPIS, SOURCES),
            hints: Buckets::new(Rate::HINTS, SOURCES),
            lines: Bucket::default(),
        }
    }

    /// Takes one from the budget of log lines about unauthenticated datagrams.
    pub(crate) fn may_tell(&mut self, now: Instant) -> bool {
        self.lines.take(Rate::LINES, now)
    }

    /// Whether this source may start a half-open IKE SA; if not, what is done instead. `proven`:
    /// the request carried a valid cookie.
    fn admit(&self, source: IpAddr, proven: bool, now: Instant) -> Admission {
        match self.half_open.admit(source, proven) {
            Admission::Admit if proven && !self.failed_proven.has_one(source, now) => {
                Admission::Refuse
            }
            Admission::Admit if !proven && !self.failed.has_one(source, now) => Admission::Cookie,
            admission => admission,
        }
    }

    /// Charges a source for an IKE_SA_INIT request that failed: it may have cost a key exchange,
    /// and left no half-open SA that would be counted.
    fn charge(&mut self, source: IpAddr, proven: bool, now: Instant) {
        let failed = if proven { &mut self.failed_proven } else { &mut self.failed };
        failed.take(source, now);
    }

    /// Takes one from the budgets of stateless errors.
    fn may_answer(&mut self, source: IpAddr, now: Instant) -> bool {
        self.errors_to.take(source, now) && self.errors.take(Rate::ERRORS, now)
    }
}

impl Endpoint {
    /// Handles a message without a responder SPI: the responder's side of IKE_SA_INIT.
    pub(crate) fn admit(&mut self, now: Now, path: Path, header: &Header, bytes: &[u8]) {
        if header.exchange == ExchangeType::Informational {
            return self.take_hint(now, path, Message::decode(bytes).ok().as_ref());
        }
        if header.exchange != ExchangeType::IkeSaInit || header.message_id != MessageId(0) {
            return self.ignore(
                now,
                path,
                "the message belongs to no IKE SA and is no IKE_SA_INIT request",
            );
        }
        if header.initiator_spi == IkeSpi::ZERO {
            return self.ignore(now, path, "the IKE_SA_INIT request has no initiator SPI");
        }
        let Some(id) = self.peer_at(path.remote.ip()) else {
            return self.ignore(
                now,
                path,
                "no peer with this address is configured to dial this end",
            );
        };
        if bytes.len() > LONGEST {
            return self.ignore(now, path, "the IKE_SA_INIT request is longer than 8192 octets");
        }
        let chain = match Message::decode(bytes) {
            Ok(message) if message.sealed.is_none() => message.chain,
            // Rejected, and told so (RFC 7296 §2.5).
            Err(DecodeError::UnsupportedCritical { payload, .. }) => {
                let notify = Notify::unsupported_critical(payload);
                return self.answer_clear(now, path, header, notify);
            }
            _ => return self.ignore(now, path, "the IKE_SA_INIT request is malformed"),
        };
        if acceptance::accept_chain(Step::Init, MessageHalf::Request, &chain).is_err() {
            return self.ignore(
                now,
                path,
                "the IKE_SA_INIT request lacks a payload, or has one too many",
            );
        }
        if self.repeats(now, id, path, header, bytes) {
            return;
        }
        let Some(proven) = self.has_room(now, path, header, &chain) else { return };
        let request = InitRequest { header: *header, chain: &chain, bytes, path };
        let mut refused: Option<Error> = None;
        self.with(now, id, |peer, ctx| match init::grant(ctx, &request) {
            Ok(keyed) => {
                ctx.out.transmit(Sending::First, path, keyed.own_message.clone());
                ctx.half_open.enter(path.remote.ip());
                let phase = InitAnswered::new(ctx, keyed, path.remote.ip());
                peer.handshakes.push(Handshake::InitAnswered(Box::new(phase)));
            }
            Err(error) => refused = Some(error),
        });
        let Some(error) = refused else { return };
        self.admissions.charge(path.remote.ip(), proven, now.mono);
        if self.admissions.may_tell(now.mono) {
            let theirs = Some(&chain);
            self.with(now, id, |_, ctx| {
                ctx.refuse(Step::Init, MessageHalf::Request, error, theirs);
            });
        }
        if let Some(notice) = error.to_notify() {
            let notify = Notify::with_data(notice.kind, notice.data());
            self.answer_clear(now, path, header, notify);
        }
    }

    /// Whether this request may start one more half-open IKE SA: then, whether it carried a valid
    /// cookie. Otherwise a cookie is demanded, or the request is dropped.
    fn has_room(&mut self, now: Now, path: Path, header: &Header, chain: &Chain) -> Option<bool> {
        let nonce = chain.nonce()?;
        let source = path.remote.ip();
        let claim = CookieBinding { source, spi: header.initiator_spi, nonce: nonce.bytes() };
        self.admissions.cookies.rotate(now.mono, &mut *self.rng.0);
        let cookies = &self.admissions.cookies;
        let shown = chain.notify(NotifyType::Cookie).and_then(Notify::cookie_data);
        let proven = shown.is_some_and(|cookie| cookies.verify(&*self.provider, cookie, claim));
        match self.admissions.admit(source, proven, now.mono) {
            Admission::Admit => Some(proven),
            Admission::Cookie => {
                // Not limited: a COOKIE answer is smaller than the request and keeps no state.
                let cookie = cookies.issue(&*self.provider, claim);
                self.send_clear(path, header, Notify::cookie(&cookie));
                None
            }
            Admission::Refuse => {
                if self.admissions.may_tell(now.mono) {
                    self.out.event(IkeEvent::Limited(LimitKind::HalfOpen));
                }
                None
            }
        }
    }

    /// The peer that may dial this end from an address.
    pub(super) fn peer_at(&self, address: IpAddr) -> Option<PeerId> {
        let of = |key| self.addresses.get(&key).into_iter().flatten();
        of(Some(address)).chain(of(None)).copied().find(|id| {
            self.peers.get(id).is_some_and(|peer| !peer.dial.barred && peer.config.role.answers())
        })
    }

    /// Whether this request is a retransmission: then it is answered with the same octets, within a
    /// budget, or not at all when IKE_AUTH has followed.
    fn repeats(&mut self, now: Now, id: PeerId, path: Path, header: &Header, bytes: &[u8]) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let theirs = header.initiator_spi;
        let answered = peer.handshakes.iter_mut().find_map(|handshake| match handshake {
            Handshake::InitAnswered(phase) if phase.answers(theirs, bytes) => Some(phase),
            _ => None,
        });
        let Some(answered) = answered else {
            return peer.sas.iter().any(|sa| sa.channel.peer == theirs);
        };
        // The state was stored before the answer was first sent, so the revision stays.
        if let Some(answer) = answered.again(now.mono) {
            self.out.transmit(Sending::RepeatedReply, path, answer.clone());
        }
        true
    }

    /// Refuses a request of a higher major version (RFC 7296 §2.5). A lower one is IKEv1, which has
    /// no responses: its speaker would answer the refusal with one of its own, and so on.
    pub(crate) fn refuse_version(&mut self, now: Now, path: Path, header: &Header) {
        if header.version.major < IkeVersion::V2.major {
            return self.ignore(now, path, "the datagram is of IKE version 1; s2sd speaks 2");
        }
        if !header.is_response() {
            let notify = Notify::new(NotifyType::InvalidMajorVersion);
            self.answer_clear(now, path, header, notify);
        }
    }

    /// Refuses a request for an SPI that is not this end's (RFC 7296 §2.21.4). The answer is not
    /// authenticated, so it is no more than a hint to the peer. A message in clear is no request
    /// of an IKE SA, and a complaint about ESP is never answered (§1.5).
    pub(crate) fn refuse_spi(&mut self, now: Now, path: Path, header: &Header, bytes: &[u8]) {
        let message = Message::decode(bytes).ok();
        let is_protected = message.as_ref().is_some_and(|message| message.sealed.is_some());
        if header.exchange == ExchangeType::Informational && message.is_some() && !is_protected {
            return self.take_hint(now, path, message.as_ref());
        }
        let is_request = is_protected && !header.is_response();
        if is_request && self.peer_at(path.remote.ip()).is_some() {
            let notify = Notify::new(NotifyType::InvalidIkeSpi);
            self.answer_clear(now, path, header, notify);
        }
        self.ignore(now, path, "the IKE SA is unknown");
    }

    /// Sends an error in the clear, without keeping state, within the budget.
    fn answer_clear(&mut self, now: Now, path: Path, header: &Header, notify: Notify) {
        if self.admissions.may_answer(path.remote.ip(), now.mono) {
            self.send_clear(path, header, notify);
        }
    }

    /// Sends one notify in the clear, as the response to the request with this header.
    fn send_clear(&mut self, path: Path, header: &Header, notify: Notify) {
        let flags = Flags::RESPONSE.with(Flags::INITIATOR, !header.is_from_initiator());
        let answer = Header { flags, version: IkeVersion::V2, ..*header };
        let chain: Chain = std::iter::once(notify.into()).collect();
        self.out.transmit(Sending::First, path, init::encode(answer, chain));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::rng::SeededRng;

    /// An attacker that forges its source gets cookies, one that does not gets silence, and neither
    /// has an effect on another source.
    #[test]
    fn endless_failures_of_a_source_get_cookies_and_then_no_answer() {
        let start = Instant(1_000_000_000);
        let cookies = Cookies::new(start, &mut SeededRng(1));
        let mut admissions = Admissions::new(&EndpointConfig::default(), cookies);
        let [bad, good] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(192, 0, 2, host)));
        for (proven, then) in [(false, Admission::Cookie), (true, Admission::Refuse)] {
            for _ in 0..8 {
                assert_eq!(admissions.admit(bad, proven, start), Admission::Admit);
                admissions.charge(bad, proven, start);
            }
            assert_eq!(admissions.admit(bad, proven, start), then);
            assert_eq!(admissions.admit(good, proven, start), Admission::Admit);
            let later = start + Duration::from_millis(250);
            assert_eq!(admissions.admit(bad, proven, later), Admission::Admit);
        }
    }
}
