//! SAs that only one end has: the other restarted, or lost them. ESP packets of no SA, INVALID_SPI
//! said and heard (RFC 7296 §1.5, §2.21.4).
//!
//! | what comes | what is done |
//! |---|---|
//! | ESP of no SA from a peer with an IKE SA | INVALID_SPI in that IKE SA, to be believed |
//! | ESP of no SA from a peer without one | INVALID_SPI in the clear: a hint to the peer |
//! | INVALID_SPI in the clear about a child of ours | the peer is asked for a sign of life |
//! | INVALID_SPI in an IKE SA | the child is made anew (`exchange::informational`) |
//!
//! What is not protected changes no SA and is not answered. All of it is limited by source, and no
//! answer is larger than what it answers.

use std::time::Duration;

use crate::ike::endpoint::Endpoint;
use crate::ike::exchange::informational;
use crate::ike::exchange::init;
use crate::ike::ids::PeerId;
use crate::ike::path::{Path, Port, Sending};
use crate::ike::peer::Peer;
use crate::ike::sa::task::TaskKind;
use crate::time::Now;
use crate::wire::codes::ExchangeType;
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;
use crate::wire::spi::{EspSpi, IkeSpi};

/// The age from which on an IKE SA's children stand at both ends.
const SETTLED: Duration = Duration::from_secs(2);

impl Endpoint {
    /// Tells the sender of an ESP packet of `len` octets that no SA has this SPI.
    pub(in crate::ike) fn refuse_esp(&mut self, now: Now, path: Path, spi: EspSpi, len: usize) {
        let source = path.remote.ip();
        if self.spis.peer_of_esp(spi).is_some() {
            return;
        }
        if let Some(id) = self.peer_on(path) {
            let settled = self
                .peers
                .get(&id)
                .and_then(Peer::main)
                .is_some_and(|sa| sa.origin.up_at + SETTLED <= now.mono && sa.flight.is_none());
            if settled && self.admissions.unknown_spis.take(source, now.mono) {
                self.with(now, id, |peer, ctx| {
                    if let Some(sa) = peer.main_mut() {
                        informational::tell_invalid_spi(ctx, sa, spi);
                    }
                });
            }
            return;
        }
        let answer = invalid_spi(spi);
        let marker = if path.port == Port::NatT { 4 } else { 0 };
        if answer.len() + marker <= len
            && self.peer_at(source).is_some()
            && self.admissions.unknown_spis.take(source, now.mono)
            && self.admissions.may_answer(source, now.mono)
        {
            self.out.transmit(Sending::First, path, answer);
        }
    }

    /// Hears INVALID_SPI in the clear. Anybody may have sent it, so a peer whose child it names is
    /// asked for a sign of life, and nothing else changes.
    pub(in crate::ike) fn take_hint(&mut self, now: Now, path: Path, message: Option<&Message>) {
        let clear = message.filter(|message| message.sealed.is_none());
        let named = clear.and_then(|clear| clear.chain.notifies().find_map(Notify::refused_spi));
        let has = |peer: &Peer, spi| {
            peer.sas.iter().flat_map(|sa| &sa.children).any(|child| child.outbound.spi == spi)
        };
        let peer = self.peer_on(path).and_then(|id| self.peers.get(&id));
        let Some(peer) = peer.filter(|peer| named.is_some_and(|spi| has(peer, spi))) else {
            return self.ignore(now, path, "the message in the clear is about no SA of this end");
        };
        let id = peer.id;
        if self.admissions.hints.take(path.remote.ip(), now.mono) {
            self.with(now, id, |peer, ctx| {
                if let Some(sa) = peer.main_mut()
                    && sa.flight.is_none()
                {
                    sa.want(ctx, TaskKind::Probe, now.mono);
                }
                peer.run_followups(ctx);
            });
        }
    }

    /// The peer whose main IKE SA is with this address.
    fn peer_on(&self, path: Path) -> Option<PeerId> {
        let address = path.remote.ip();
        let mut peers = self.peers.iter();
        peers.find_map(|(id, peer)| (peer.main()?.path.remote.ip() == address).then_some(*id))
    }
}

/// INVALID_SPI in the clear: a request of one way, with no SPIs of an IKE SA (RFC 7296 §1.5).
fn invalid_spi(spi: EspSpi) -> Vec<u8> {
    let header = Header {
        initiator_spi: IkeSpi::ZERO,
        responder_spi: IkeSpi::ZERO,
        version: IkeVersion::V2,
        exchange: ExchangeType::Informational,
        flags: Flags::INITIATOR,
        message_id: MessageId(0),
    };
    let notify = Notify::invalid_spi(spi);
    let chain: Chain = std::iter::once(notify.into()).collect();
    init::encode(header, chain)
}
