//! The protected way between two ends of one IKE SA: seals and opens messages, cuts and joins
//! fragments.

use std::fmt;

use super::fragment::{Assembly, Reassembly};
use super::window::Fingerprint;
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

/// What two ends share once their keys are made.
pub(crate) struct Channel {
    /// Ours: what datagrams to us are routed by.
    pub(crate) own: IkeSpi,
    pub(crate) peer: IkeSpi,
    /// Who set this IKE SA up: decides which SPI stands first and which keys are whose. A rekey by
    /// the other end changes it (RFC 7296 §2.18).
    pub(crate) made_by: Party,
    pub(crate) suite: IkeSuite,
    pub(crate) keys: IkeKeys,
    /// Both ends announced IKEV2_FRAGMENTATION_SUPPORTED (RFC 7383 §2.3).
    pub(crate) fragments: bool,
    sealer: Box<dyn MessageSealer>,
    opener: Box<dyn MessageOpener>,
    /// The peer's request and its response that are arriving in fragments.
    pub(crate) arriving: [Option<Arriving>; 2],
}

/// A message that is arriving in fragments.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) assembly: Assembly,
    /// Of the first fragment, once it is here; of whichever came first, until then.
    pub(crate) fingerprint: Fingerprint,
}

/// Which message is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) exchange: ExchangeType,
    pub(crate) id: MessageId,
    pub(crate) response: bool,
}

/// What came of a datagram that authenticated.
#[derive(Debug)]
pub(crate) enum OpenedMessage {
    /// A whole message, and what it will be known by: the fingerprint of its datagram, or of its
    /// first fragment's (RFC 7383 §2.6.1). Its content may still be refused.
    Whole(Result<Chain, Error>, Fingerprint),
    /// A fragment; more are to come.
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
        Ok(Channel { own, peer, made_by, suite, keys, fragments, sealer, opener, arriving })
    }

    /// The datagrams of one message, none larger than `limit` if the peer takes fragments.
    pub(crate) fn seal(
        &mut self,
        envelope: Envelope,
        chain: &Chain,
        limit: usize,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Vec<u8>>, Error> {
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

    /// Opens a datagram. `None` when it does not authenticate, or is not what its header says:
    /// anyone may have sent it.
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
        let sealed = message.sealed.filter(|_| message.chain.is_empty())?;
        let mut bytes = datagram.to_vec();
        let body = bytes.len().checked_sub(sealed.content.len())?;
        let range = self.opener.open(&mut bytes, body).ok()?;
        let text = bytes.get(range)?;
        let Some(fragment) = sealed.fragment else {
            return Some(OpenedMessage::Whole(decode(sealed.first, text), fingerprint));
        };
        if !self.fragments {
            return None;
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

    /// Forgets fragments that have been waiting for too long.
    pub(crate) fn expire_fragments(&mut self, now: Instant) {
        for slot in &mut self.arriving {
            slot.take_if(|arriving| arriving.assembly.deadline() <= now);
        }
    }

    /// When fragments are forgotten.
    pub(crate) fn fragments_until(&self) -> Option<Instant> {
        self.arriving.iter().flatten().map(|arriving| arriving.assembly.deadline()).min()
    }

    /// Both SPIs by their places in the header.
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

/// The keys of a message in [`fmt::Debug`] would be a leak; so nothing but the names of the ends.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({} {})", self.own, self.peer)
    }
}

/// Who speaks to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    pub(crate) own: IkeSpi,
    pub(crate) peer: IkeSpi,
    pub(crate) made_by: Party,
    pub(crate) fragments: bool,
}

impl Parties {
    /// The SPIs in the order that the key schedule wants.
    pub(crate) fn ike_spis(&self) -> IkeSpis {
        let (initiator, responder) = match self.made_by {
            Party::We => (self.own, self.peer),
            Party::Peer => (self.peer, self.own),
        };
        IkeSpis { initiator: initiator.0.to_be_bytes(), responder: responder.0.to_be_bytes() }
    }

    /// Expands a seed to this SA's keys.
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

/// The wire's view of a cipher's layout.
fn room(layout: Layout) -> Room {
    Room { iv: layout.iv, block: layout.align, icv: layout.icv }
}

/// The payloads of an authentic message; what is wrong with them is the peer's doing.
fn decode(first: PayloadType, text: &[u8]) -> Result<Chain, Error> {
    Chain::decode(first, text).map_err(|error| match error {
        DecodeError::UnsupportedCritical { payload, .. } => {
            Incompatible::CriticalPayload(payload).into()
        }
        DecodeError::Malformed(_) | DecodeError::MajorVersion(_) => MalformedMessage::Inside.into(),
    })
}
