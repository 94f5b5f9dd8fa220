//! Who knocks without an SA: the one place where unauthenticated input is answered, and where it is
//! bounded.
//!
//! ```text
//! IKE_SA_INIT ──> whose address? ──> seen before? ──> room? ──> cookie? ──> policy ──> half-open SA
//!                     │ none              │ yes         │ no      │ wrong      │ no
//!                  dropped         the same answer   dropped   COOKIE     one clear notify
//! ```
//!
//! Answers that keep nothing (COOKIE, INVALID_KE_PAYLOAD, INVALID_MAJOR_VERSION, INVALID_IKE_SPI,
//! NO_PROPOSAL_CHOSEN) are limited in number, so that nobody can use us against a third party.

pub mod budget;
pub mod cookie;

use std::net::IpAddr;

use super::endpoint::Endpoint;
use super::endpoint::config::EndpointConfig;
use super::endpoint::event::{IkeEvent, LimitKind};
use super::error::Error;
use super::exchange::acceptance;
use super::exchange::auth::InitAnswered;
use super::exchange::init::{self, InitRequest};
use super::exchange::rekey_child::kinds;
use super::exchange::step::{MessageHalf, Step};
use super::ids::PeerId;
use super::path::Path;
use super::peer::handshake::Handshake;
use crate::time::{Instant, Now};
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;
use budget::{Admission, Bucket, Buckets, HalfOpen, Rate};
use cookie::{CookieBinding, Cookies};

/// Sources whose stateless answers are counted one by one.
const SOURCES: usize = 1024;
/// The longest first message: it is kept until its sender has proven who it is. Honest ones fit a
/// datagram or two.
const LONGEST: usize = 8 << 10;

/// What is kept over everybody whom we do not know.
#[derive(Debug)]
pub(crate) struct Admissions {
    pub(crate) half_open: HalfOpen,
    pub(crate) cookies: Cookies,
    errors: Bucket,
    errors_to: Buckets,
    /// First messages that came to nothing, without a cookie and with one.
    failed: Buckets,
    failed_proven: Buckets,
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
            lines: Bucket::default(),
        }
    }

    /// Whether a line about a stranger may be written.
    pub(crate) fn may_tell(&mut self, now: Instant) -> bool {
        self.lines.take(Rate::LINES, now)
    }

    /// Whether this source may begin an IKE SA, and where not, what else.
    fn admit(&self, source: IpAddr, proven: bool, now: Instant) -> Admission {
        match self.half_open.admit(source, proven) {
            Admission::Admit if proven && !self.failed_proven.has_one(source, now) => {
                Admission::Refuse
            }
            Admission::Admit if !proven && !self.failed.has_one(source, now) => Admission::Cookie,
            admission => admission,
        }
    }

    /// A first message came to nothing. It may have cost a key exchange, and left nothing half open
    /// that would be counted.
    fn charge(&mut self, source: IpAddr, proven: bool, now: Instant) {
        let failed = if proven { &mut self.failed_proven } else { &mut self.failed };
        failed.take(source, now);
    }

    /// Whether this source may have another stateless error.
    fn may_answer(&mut self, source: IpAddr, now: Instant) -> bool {
        self.errors_to.take(source, now) && self.errors.take(Rate::ERRORS, now)
    }
}

impl Endpoint {
    /// IKE_SA_INIT from somebody.
    pub(crate) fn admit(&mut self, now: Now, path: Path, header: &Header, bytes: &[u8]) {
        if header.exchange != ExchangeType::IkeSaInit || header.message_id != MessageId(0) {
            return self.ignore(now, path, "no IKE SA, and not the start of one");
        }
        let Some(id) = self.peer_at(path.remote.ip()) else {
            return self.ignore(now, path, "no peer is expected from there");
        };
        if bytes.len() > LONGEST {
            return self.ignore(now, path, "an IKE_SA_INIT that is too long");
        }
        let chain = match Message::decode(bytes) {
            Ok(message) if message.sealed.is_none() => message.chain,
            _ => return self.ignore(now, path, "an IKE_SA_INIT that does not read"),
        };
        if acceptance::accept(Step::Init, MessageHalf::Request, kinds(&chain)).is_err() {
            return self.ignore(now, path, "an IKE_SA_INIT with payloads missing");
        }
        if self.repeats(now, id, path, header, bytes) {
            return;
        }
        let Some(proven) = self.has_room(now, path, header, &chain) else { return };
        let knock = InitRequest { header: *header, chain: &chain, bytes, path };
        let mut refused: Option<Error> = None;
        self.with(now, id, |peer, ctx| match init::grant(ctx, &knock) {
            Ok(keyed) => {
                ctx.out.transmit(path, keyed.own_message.clone());
                ctx.half_open.enter(path.remote.ip());
                let phase = InitAnswered::new(ctx, keyed, path.remote.ip());
                peer.handshakes.push(Handshake::InitAnswered(Box::new(phase)));
            }
            Err(error) => refused = Some(error),
        });
        let Some(error) = refused else { return };
        self.admissions.charge(path.remote.ip(), proven, now.mono);
        if self.admissions.may_tell(now.mono) {
            let story = Some(&chain);
            self.with(now, id, |_, ctx| ctx.refuse(Step::Init, MessageHalf::Request, error, story));
        }
        if let Some(notice) = error.to_notify() {
            let notify = Notify::with_data(notice.kind, notice.data());
            self.answer_clear(now, path, header, notify);
        }
    }

    /// Whether one more half-open IKE SA may be begun for this request, whose source has shown a
    /// cookie or not; if not now, a cookie is asked for.
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
                // Never limited: it is smaller than what it answers, and keeps nothing.
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

    /// Which peer may call from this address.
    fn peer_at(&self, address: IpAddr) -> Option<PeerId> {
        let of = |key| self.addresses.get(&key).into_iter().flatten();
        of(Some(address)).chain(of(None)).copied().find(|id| {
            self.peers.get(id).is_some_and(|peer| !peer.dial.barred && peer.config.role.answers())
        })
    }

    /// Whether this request is one that we know: then it gets the same answer, or none.
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
        // Nothing is to be stored for it: it was before it was sent first.
        if let Some(answer) = answered.again(now.mono) {
            self.out.transmit(path, answer.clone());
        }
        true
    }

    /// Another major version (RFC 7296 §2.5).
    pub(crate) fn refuse_version(&mut self, now: Now, path: Path, header: &Header) {
        if !header.is_response() {
            let notify = Notify::new(NotifyType::InvalidMajorVersion);
            self.answer_clear(now, path, header, notify);
        }
    }

    /// An SPI that is not ours (RFC 7296 §2.21.4). A hint at best: the peer must not believe it.
    pub(crate) fn refuse_spi(&mut self, now: Now, path: Path, header: &Header) {
        if !header.is_response() && self.peer_at(path.remote.ip()).is_some() {
            let notify = Notify::new(NotifyType::InvalidIkeSpi);
            self.answer_clear(now, path, header, notify);
        }
        self.ignore(now, path, "no such IKE SA");
    }

    /// An error in clear that keeps nothing, unless there were too many.
    fn answer_clear(&mut self, now: Now, path: Path, header: &Header, notify: Notify) {
        if self.admissions.may_answer(path.remote.ip(), now.mono) {
            self.send_clear(path, header, notify);
        }
    }

    fn send_clear(&mut self, path: Path, header: &Header, notify: Notify) {
        let flags = Flags::RESPONSE.with(Flags::INITIATOR, !header.is_from_initiator());
        let answer = Header { flags, version: IkeVersion::V2, ..*header };
        let chain: Chain = std::iter::once(notify.into()).collect();
        self.out.transmit(path, init::encode(answer, chain));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::rng::SeededRng;

    /// A forger of sources gets cookies, an attacker with a real one silence, and neither has an
    /// effect on anybody else.
    #[test]
    fn failures_without_end_are_asked_for_cookies_and_then_not_heard() {
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
