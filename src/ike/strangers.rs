//! Who knocks without an SA: the one place where unauthenticated input is answered, and where it is bounded.
//!
//! ```text
//! IKE_SA_INIT ──> whose address? ──> seen before? ──> room? ──> cookie? ──> policy ──> half-open SA
//!                     │ none              │ yes         │ no      │ wrong      │ no
//!                  dropped         the same answer   dropped   COOKIE     one clear notify
//! ```
//!
//! Answers that keep nothing (COOKIE, INVALID_KE_PAYLOAD, INVALID_MAJOR_VERSION, INVALID_IKE_SPI, NO_PROPOSAL_CHOSEN) are limited in
//! number, so that nobody can use us against a third party.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::acceptance;
use super::auth::InitAnswered;
use super::config::EndpointConfig;
use super::endpoint::Endpoint;
use super::error::{Error, Malformed};
use super::event::{Event, Limit};
use super::ids::PeerId;
use super::init::{self, Knock};
use super::path::Path;
use super::peer::{Handshake, Peer};
use super::rekey_child::kinds;
use super::stage::{Half, Step};
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::wire::chain::Chain;
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::header::{Flags, Header, MessageId, Version};
use crate::wire::message::Message;
use crate::wire::notify::Notify;
use crate::wire::spi::IkeSpi;

/// Stateless answers in a second.
const ANSWERS: u32 = 100;
/// Lines about strangers in a second.
const LINES: u32 = 1;

/// Counters over everybody whom we do not know.
#[derive(Debug)]
pub(super) struct Strangers {
    half_open: BTreeMap<PeerId, usize>,
    total: usize,
    answers: Rate,
    lines: Rate,
}

/// So many in a second.
#[derive(Debug)]
struct Rate {
    per_second: u32,
    since: Instant,
    used: u32,
}

impl Rate {
    fn new(per_second: u32) -> Rate {
        Rate { per_second, since: Instant::default(), used: 0 }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.used = 0;
        }
        self.used = self.used.saturating_add(1);
        self.used <= self.per_second
    }
}

impl Strangers {
    pub(super) fn new(_: &EndpointConfig, _: &mut dyn Rng) -> Strangers {
        Strangers {
            half_open: BTreeMap::new(),
            total: 0,
            answers: Rate::new(ANSWERS),
            lines: Rate::new(LINES),
        }
    }

    /// Notes how many attempts of strangers a peer holds.
    pub(super) fn count(&mut self, id: PeerId, peer: &Peer) {
        let now = peer.handshakes.iter().filter(|handshake| !handshake.is_ours()).count();
        let before = match now {
            0 => self.half_open.remove(&id),
            _ => self.half_open.insert(id, now),
        };
        self.total = self.total + now - before.unwrap_or(0);
    }

    pub(super) fn forget(&mut self, id: PeerId) {
        self.total -= self.half_open.remove(&id).unwrap_or(0);
    }

    /// Whether a line about a stranger may be written.
    pub(super) fn may_tell(&mut self, now: Instant) -> bool {
        self.lines.take(now)
    }
}

impl Endpoint {
    /// IKE_SA_INIT from somebody.
    pub(super) fn admit(&mut self, now: Now, path: Path, header: &Header, bytes: &[u8]) {
        if header.exchange != ExchangeType::IkeSaInit || header.message_id != MessageId(0) {
            return self.ignore(now, path, "no IKE SA, and not the start of one");
        }
        let Some(id) = self.peer_at(path.remote.ip()) else {
            return self.ignore(now, path, "no peer is expected from there");
        };
        let chain = match Message::decode(bytes) {
            Ok(message) if message.sealed.is_none() => message.chain,
            _ => return self.ignore(now, path, "an IKE_SA_INIT that does not read"),
        };
        if acceptance::accept(Step::Init, Half::Request, kinds(&chain)).is_err() {
            return self.ignore(now, path, "an IKE_SA_INIT with payloads missing");
        }
        if self.repeats(now, id, path, header, bytes) {
            return;
        }
        if self.strangers.total >= 1000 {
            if self.strangers.may_tell(now.mono) {
                self.out.event(Event::Limited(Limit::HalfOpen));
            }
            return;
        }
        let knock = Knock { header: *header, chain: &chain, bytes, path };
        let mut refused: Option<Error> = None;
        self.with(now, id, |peer, ctx| match init::grant(ctx, &knock) {
            Ok(keyed) => {
                ctx.out.transmit(path, keyed.own_message.clone());
                let phase = InitAnswered::new(ctx, keyed);
                peer.handshakes.push(Handshake::InitAnswered(Box::new(phase)));
            }
            Err(error) => {
                ctx.refuse(Step::Init, Half::Request, error, Some(&chain));
                refused = Some(error);
            }
        });
        if let Some(error) = refused.and_then(Error::to_notify) {
            let notify = Notify::with_data(error.kind, error.data());
            self.answer_clear(now, path, header, notify);
        }
    }

    /// Which peer may call from this address.
    fn peer_at(&self, address: IpAddr) -> Option<PeerId> {
        let of = |key| self.addresses.get(&key).into_iter().flatten();
        of(Some(address)).chain(of(None)).copied().find(|id| {
            self.peers.get(id).is_some_and(|peer| peer.dial.wanted && peer.config.role.answers())
        })
    }

    /// Whether this request is one that we know: then it gets the same answer, or none.
    fn repeats(&mut self, now: Now, id: PeerId, path: Path, header: &Header, bytes: &[u8]) -> bool {
        let mut known = false;
        self.with(now, id, |peer, ctx| {
            let theirs = header.initiator_spi;
            for handshake in &peer.handshakes {
                let Handshake::InitAnswered(phase) = handshake else { continue };
                if phase.keyed.channel.peer == theirs && phase.keyed.peer_message == bytes {
                    ctx.out.transmit(path, phase.keyed.own_message.clone());
                    known = true;
                }
            }
            known = known || peer.sas.iter().any(|sa| sa.channel.peer == theirs);
        });
        known
    }

    /// Another major version (RFC 7296 §2.5).
    pub(super) fn refuse_version(&mut self, now: Now, path: Path, header: &Header) {
        if !header.is_response() {
            let notify = Notify::new(NotifyType::InvalidMajorVersion);
            self.answer_clear(now, path, header, notify);
        }
    }

    /// An SPI that is not ours (RFC 7296 §2.21.4). A hint at best: the peer must not believe it.
    pub(super) fn refuse_spi(&mut self, now: Now, path: Path, header: &Header) {
        if !header.is_response() && self.peer_at(path.remote.ip()).is_some() {
            let notify = Notify::new(NotifyType::InvalidIkeSpi);
            self.answer_clear(now, path, header, notify);
        }
        self.ignore(now, path, "no such IKE SA");
    }

    /// An answer in clear that keeps nothing.
    fn answer_clear(&mut self, now: Now, path: Path, header: &Header, notify: Notify) {
        if !self.strangers.answers.take(now.mono) {
            return;
        }
        let flags = Flags::RESPONSE.with(Flags::INITIATOR, !header.is_from_initiator());
        let answer = Header { flags, version: Version::V2, ..*header };
        let chain: Chain = std::iter::once(notify.into()).collect();
        self.out.transmit(path, init::encode(answer, chain));
    }
}

const _: Option<(IkeSpi, Malformed)> = None;
