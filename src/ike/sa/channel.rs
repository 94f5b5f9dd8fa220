//! Sealing and opening the messages of one IKE SA, with its keys; cutting them into fragments and
//! joining them (RFC 7296 §3.14, RFC 7383).

use std::fmt;

use super::fragment::{Assembly, Reassembly};
use super::window::{Datagrams, Fingerprint, SealedMessage};
use crate::crypto::keymat::{IkeKeys, IkeSpis, Nonces, SkeySeed};
use crate::crypto::suite::Layout;
use crate::crypto::{IkeSuite, KeyLengthError, MessageOpener, MessageSealer, Provider};
use crate::ike::error::{Error, Incompatible, Local, MalformedMessage};
use crate::ike::exchange::step::Party;
use crate::ike::testing::mutation::{self, Mutation};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::codes::{ExchangeType, PayloadType};
use crate::wire::error::DecodeError;
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::sk::{Room, Sealing};
use crate::wire::spi::IkeSpi;

/// The largest datagram of a message that is cut anew, since nobody answered the larger ones. With
/// IP, UDP and the non-ESP marker it is a packet of 576, which every IPv4 host takes.
const SMALL_DATAGRAM: usize = 544;

/// The SPIs, keys and ciphers of one IKE SA, and the messages that are arriving in fragments.
pub(crate) struct Channel {
    /// Our SPI, by which datagrams to us are routed.
    pub(crate) own: IkeSpi,
    pub(crate) peer: IkeSpi,
    /// The original initiator: decides which SPI stands first and which keys are whose. A rekey by
    /// the other end changes the role (RFC 7296 §2.18).
    pub(crate) made_by: Party,
    pub(crate) suite: IkeSuite,
    pub(crate) keys: IkeKeys,
    /// Whether both ends announced IKEV2_FRAGMENTATION_SUPPORTED (RFC 7383 §2.3).
    pub(crate) fragments: bool,
    sealer: Box<dyn MessageSealer>,
    opener: Box<dyn MessageOpener>,
    /// The request and the response of the peer that are arriving in fragments.
    pub(crate) arriving: [Option<Arriving>; 2],
    /// The size of the fragments in which the peer's last request came: they cross the path, and
    /// the response is cut to no larger ones.
    pub(crate) fragment_size: Option<usize>,
}

/// A message that is arriving in fragments.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) assembly: Assembly,
    /// The fingerprint of fragment 1 once it is here; until then, of the fragment that came first.
    pub(crate) fingerprint: Fingerprint,
}

/// The header fields of a message to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) exchange: ExchangeType,
    pub(crate) id: MessageId,
    pub(crate) response: bool,
}

/// What a datagram brought that authenticated.
#[derive(Debug)]
pub(crate) enum OpenedMessage {
    /// A whole message, with the fingerprint of its datagram or of its first fragment (RFC 7383
    /// §2.6.1). The content may still be refused.
    Whole(Result<Chain, Error>, Fingerprint),
    /// A fragment of a message that is not complete yet.
    Fragment,
}

impl Channel {
    pub(crate) fn new(
        provider: &dyn Provider,
        rng: &mut dyn Rng,
        parties: Parties,
        suite: IkeSuite,
        keys: IkeKeys,
    ) -> Result<Channel, KeyLengthError> {
        let Parties { own, peer, made_by, fragments } = parties;
        let (ours, theirs) = match made_by {
            Party::We => (keys.of_initiator(), keys.of_responder()),
            Party::Peer => (keys.of_responder(), keys.of_initiator()),
        };
        let sealer = provider.message_sealer(&suite, ours, rng)?;
        let opener = provider.message_opener(&suite, theirs)?;
        let arriving = [None, None];
        let fragment_size = None;
        Ok(Channel {
            own,
            peer,
            made_by,
            suite,
            keys,
            fragments,
            sealer,
            opener,
            arriving,
            fragment_size,
        })
    }

    /// Seals one message into datagrams, none larger than `limit` if the peer takes fragments, and
    /// into smaller ones for a path that loses those.
    pub(crate) fn seal(
        &mut self,
        envelope: Envelope,
        chain: &Chain,
        limit: usize,
        rng: &mut dyn Rng,
    ) -> Result<SealedMessage, Error> {
        let answered = self.fragment_size.filter(|_| envelope.response).unwrap_or(limit);
        let datagrams = self.cut(envelope, chain, limit.min(answered), rng)?;
        let is_large = datagrams.iter().any(|datagram| datagram.len() > SMALL_DATAGRAM);
        let smaller = match self.fragments && is_large {
            true => Some(self.cut(envelope, chain, SMALL_DATAGRAM, rng)?),
            false => None,
        };
        // A receiver tells a new cut by its larger number of fragments (RFC 7383 §2.5.1).
        let smaller = smaller.filter(|smaller| smaller.len() > datagrams.len());
        Ok(SealedMessage::new(datagrams, smaller))
    }

    fn cut(
        &mut self,
        envelope: Envelope,
        chain: &Chain,
        limit: usize,
        rng: &mut dyn Rng,
    ) -> Result<Datagrams, Error> {
        let header = self.header(envelope);
        let room = room(self.suite.protection.ike_layout());
        let failed = |_| Error::from(Local::Crypto);
        let whole = Sealing::whole(&header, chain, room).map_err(failed)?;
        let parts = if self.fragments && whole.bytes.len() > limit {
            Sealing::fragments(&header, chain, room, limit).map_err(failed)?
        } else {
            vec![whole]
        };
        parts.into_iter().map(|part| self.seal_one(part, rng)).collect()
    }

    /// Whether a datagram is the authentic first fragment of a message.
    pub(crate) fn is_first_fragment(&self, datagram: &[u8]) -> bool {
        let sealed = Message::decode(datagram).ok().and_then(|message| message.sealed);
        let first = sealed.filter(|sealed| sealed.fragment.is_some_and(|at| at.number() == 1));
        let Some(first) = first.filter(|_| self.fragments) else { return false };
        let mut bytes = datagram.to_vec();
        let body = bytes.len().checked_sub(first.content.len());
        body.is_some_and(|body| self.opener.open(&mut bytes, body).is_ok())
    }

    /// Opens a datagram. `None` when the datagram does not authenticate, which anyone may have
    /// sent, or when it is a fragment that brings nothing.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        datagram: &[u8],
        fingerprint: Fingerprint,
    ) -> Option<OpenedMessage> {
        let message = Message::decode(datagram).ok()?;
        if mutation::is(Mutation::AcceptClearMessages) && message.sealed.is_none() {
            return Some(OpenedMessage::Whole(Ok(message.chain), fingerprint));
        }
        // Payloads in clear in front of the encrypted one say nothing: an unknown one is skipped
        // (RFC 7296 §2.5), and none is looked at. A critical unknown one has not decoded.
        let sealed = message.sealed?;
        let mut bytes = datagram.to_vec();
        let body = bytes.len().checked_sub(sealed.content.len())?;
        let range = self.opener.open(&mut bytes, body).ok()?;
        let text = bytes.get(range)?;
        let Some(fragment) = sealed.fragment else {
            if !message.header.is_response() {
                self.fragment_size = None;
            }
            return Some(OpenedMessage::Whole(decode(sealed.first, text), fingerprint));
        };
        if !self.fragments {
            return None;
        }
        if !message.header.is_response() && fragment.number() < fragment.total() {
            self.fragment_size = Some(datagram.len());
        }
        let [request, response] = &mut self.arriving;
        let slot = if message.header.is_response() { response } else { request };
        let id = message.header.message_id;
        let arriving = slot
            .take()
            .filter(|arriving| arriving.assembly.id() == id)
            .unwrap_or_else(|| Arriving { assembly: Assembly::new(id, now), fingerprint });
        let arriving = slot.insert(arriving);
        if fragment.number() == 1 {
            arriving.fingerprint = fingerprint;
        }
        match arriving.assembly.add(fragment, sealed.first, text, now) {
            Reassembly::More => Some(OpenedMessage::Fragment),
            Reassembly::Whole(kind, text) => {
                let fingerprint = arriving.fingerprint;
                *slot = None;
                Some(OpenedMessage::Whole(decode(kind, &text), fingerprint))
            }
            Reassembly::Dropped => None,
        }
    }

    /// Forgets messages that have stayed incomplete for too long.
    pub(crate) fn expire_fragments(&mut self, now: Instant) {
        for slot in &mut self.arriving {
            slot.take_if(|arriving| arriving.assembly.deadline() <= now);
        }
    }

    /// When the next incomplete message is forgotten.
    pub(crate) fn fragments_until(&self) -> Option<Instant> {
        self.arriving.iter().flatten().map(|arriving| arriving.assembly.deadline()).min()
    }

    /// Both SPIs in the order of the header: the original initiator's first.
    pub(crate) fn spis(&self) -> (IkeSpi, IkeSpi) {
        match self.made_by {
            Party::We => (self.own, self.peer),
            Party::Peer => (self.peer, self.own),
        }
    }

    fn header(&self, envelope: Envelope) -> Header {
        let (initiator_spi, responder_spi) = self.spis();
        let flags = Flags::default()
            .with(Flags::INITIATOR, self.made_by == Party::We)
            .with(Flags::RESPONSE, envelope.response);
        Header {
            initiator_spi,
            responder_spi,
            version: IkeVersion::V2,
            exchange: envelope.exchange,
            flags,
            message_id: envelope.id,
        }
    }

    fn seal_one(&mut self, part: Sealing, rng: &mut dyn Rng) -> Result<Vec<u8>, Error> {
        let Sealing { mut bytes, body, text } = part;
        self.sealer.seal(&mut bytes, body, text, rng).map_err(|_| Error::from(Local::Crypto))?;
        Ok(bytes)
    }
}

/// Prints the SPIs alone: keys stay out of logs.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({} {})", self.own, self.peer)
    }
}

/// The two ends of an IKE SA, before its keys are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    pub(crate) own: IkeSpi,
    pub(crate) peer: IkeSpi,
    pub(crate) made_by: Party,
    pub(crate) fragments: bool,
}

impl Parties {
    /// The SPIs in the order of the key derivation.
    pub(crate) fn ike_spis(&self) -> IkeSpis {
        let (initiator, responder) = match self.made_by {
            Party::We => (self.own, self.peer),
            Party::Peer => (self.peer, self.own),
        };
        IkeSpis { initiator: initiator.0.to_be_bytes(), responder: responder.0.to_be_bytes() }
    }

    /// Expands a seed to the keys of the IKE SA.
    pub(crate) fn keys(
        &self,
        provider: &dyn Provider,
        suite: &IkeSuite,
        seed: &SkeySeed,
        nonces: Nonces<'_>,
    ) -> IkeKeys {
        IkeKeys::derive(provider, suite, seed, nonces, self.ike_spis())
    }
}

/// A cipher's layout in the terms of the wire layer.
fn room(layout: Layout) -> Room {
    Room { iv: layout.iv, block: layout.align, icv: layout.icv }
}

/// Decodes the payloads of an authentic message: a fault in them is the peer's.
fn decode(first: PayloadType, text: &[u8]) -> Result<Chain, Error> {
    Chain::decode(first, text).map_err(|error| match error {
        DecodeError::UnsupportedCritical { payload, .. } => {
            Incompatible::CriticalPayload(payload).into()
        }
        DecodeError::Malformed(_) | DecodeError::MajorVersion(_) => MalformedMessage::Inside.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::tests::{PEER, Pair, established};

    /// The flag that makes a payload critical.
    const CRITICAL: u8 = 0x80;

    /// Gives end 1 an empty request with an unknown payload in clear in front; how many answers
    /// come.
    fn answers_to_payload_in_front(flags: u8) -> usize {
        let mut pair = established();
        let mut request = None;
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            let sa = peer.sas.first_mut().expect("an IKE SA");
            let id = sa.requests.next();
            let header = sa.channel.header(Envelope {
                exchange: ExchangeType::Informational,
                id,
                response: false,
            });
            let room = room(sa.channel.suite.protection.ike_layout());
            let mut part = Sealing::whole(&header, &Chain::new(), room).expect("fits");
            let kind = std::mem::replace(&mut part.bytes[16], 200);
            part.bytes.splice(28..28, [kind, flags, 0, 8, 1, 2, 3, 4]);
            let length = u32::try_from(part.bytes.len()).expect("short");
            part.bytes[24..28].copy_from_slice(&length.to_be_bytes());
            part.body += 8;
            request = Some((sa.path, sa.channel.seal_one(part, ctx.rng).expect("seals")));
        });
        let (path, bytes) = request.expect("sealed");
        pair.wire.push_back((0, path, bytes));
        Pair::deliver_one(&mut pair);
        pair.wire.len()
    }

    #[test]
    fn an_unknown_payload_in_clear_is_skipped_unless_it_is_critical() {
        assert_eq!(answers_to_payload_in_front(0), 1);
        assert_eq!(answers_to_payload_in_front(CRITICAL), 0);
    }
}
