//! The fields of a snapshot, listed by hand for every type of the engine: what is listed here
//! survives a restart.

use super::codec::{
    Corrupt, Decoder, Encoder, SnapshotField, lists, newtypes, numbers, records, variants,
};
use crate::crypto::keymat::{EspKeys, IkeKeys, SkAi, SkAr, SkD, SkEi, SkEr, SkPi, SkPr};
use crate::crypto::{EspSuite, Group, IkeSuite, KeyAgreement, Secret};
use crate::ike::admission::cookie::Cookies;
use crate::ike::authenticator::{Presented, Proven};
use crate::ike::endpoint::event::Cause;
use crate::ike::exchange::auth::{AuthRefused, AuthRejected, AuthSent, InitAnswered};
use crate::ike::exchange::create_child::{ChildOffer, NewChildRequest as NewChild};
use crate::ike::exchange::init::{InitDone, InitSent};
use crate::ike::exchange::rekey_child::RekeyChildRequest as RekeyChild;
use crate::ike::exchange::rekey_ike::RekeyIkeRequest as RekeyIke;
use crate::ike::exchange::step::Party;
use crate::ike::exchange::{Crossing, Exchange, NoncePair};
use crate::ike::ids::{ChildId, PeerId, Slot};
use crate::ike::negotiation::combination::{Combination, CombinationCipher};
use crate::ike::negotiation::nat_detection::Nat;
use crate::ike::path::{Path, Port};
use crate::ike::peer::Draining;
use crate::ike::peer::dial::Dial;
use crate::ike::peer::handshake::Handshake;
use crate::ike::peer::reconcile::SlotRetry;
use crate::ike::sa::channel::{Arriving, Channel, Parties};
use crate::ike::sa::child::{ChildHalf, ChildLifecycle, ChildSa, OutState};
use crate::ike::sa::fragment::Assembly;
use crate::ike::sa::lifetime::{Deadlines, LimitPair};
use crate::ike::sa::retransmit::{Retransmit, RetransmitSchedule};
use crate::ike::sa::task::{Task, TaskKind, Tasks};
use crate::ike::sa::window::{
    Answered, Fingerprint, Outstanding, ReplyWindow, RequestWindow, SealedMessage,
};
use crate::ike::sa::{Flight, IkeLifecycle, IkeSa, Origin, Surplus};
use crate::time::Instant;
use crate::wire::codes::{
    CertEncoding, EncrId, EsnId, HashId, IdType, IntegId, KeId, NotifyType, PayloadType, PrfId,
};
use crate::wire::header::MessageId;
use crate::wire::payload::cert::CertPayload;
use crate::wire::payload::id::Identity;
use crate::wire::payload::nonce::Nonce;
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::selector::ports::Ports;
use crate::wire::selector::set::SelectorSet;
use crate::wire::spi::{EspSpi, IkeSpi};

records! {
    Cookies { current, previous, version, since }
    Retransmit { schedule, since, due, sent }
    RetransmitSchedule { first, longest, budget }
}

newtypes!(ChildId, EspSpi, Fingerprint, IkeSpi, MessageId, PeerId, Slot);

numbers!(
    CertEncoding: u8, EncrId: u16, EsnId: u16, HashId: u16, IntegId: u16, KeId: u16,
    NotifyType: u16, PayloadType: u8,
    PrfId: u16,
);

lists!(
    CertPayload,
    SlotRetry,
    ChildId,
    ChildSa,
    Combination,
    Draining,
    EspSpi,
    Group,
    HashId,
    IkeSa,
    NotifyType,
    Selector,
    Vec<u8>,
);

records! {
    SlotRetry { slot, policy, is_piece, failures, at, refusals, renewals }
    ChildSa {
        id, slot, suite, selectors, inbound, outbound, made_by, made_at, heard_at, may_send,
        send_at, out, lifecycle, limits,
        rekey_at, expire_at,
    }
    CombinationCipher { encr, key_bits, integ }
    Deadlines { time, bytes, packets }
    Dial { wanted, barred, failures, at, next_remote, renew }
    Draining { child, until }
    EspKeys { encryption, integrity }
    Flight { kind, exchange, timer }
    ChildHalf { spi, keys }
    IkeKeys { d, ai, ar, ei, er, pi, pr }
    IkeSa {
        channel, origin, proven, presented, proof_ends_at, lifecycle, path, nat, encapsulated,
        requests, flight, replies, tasks, refusals,
        children, departed, heard_at, sent_at, rekey_at, expire_at, reauth_at, surplus,
    }
    AuthRefused { channel, source, answered, forget_at }
    AuthRejected { channel, path, datagrams, timer }
    AuthSent { keyed, wanted, request, timer }
    InitDone {
        channel, nonces, own_message, peer_message, path, nat, hashes, began_at, childless,
    }
    Nat { here, there, understood }
    NoncePair { initiator, responder }
    Origin { dialled_by, nonces, began_at, up_at }
    Outstanding { id, message }
    Path { local, remote, port }
    SealedMessage { datagrams, smaller }
    CertPayload { encoding, data }
    Presented { identity, certificates }
    Proven { name, until }
    RekeyChild { new, old, rival }
    ChildSelectors { local, remote }
    Surplus { at, proof_since }
    Task { kind, not_before }
    ChildOffer { slot, spi, lines, selectors }
}

variants! {
    Cause {
        1 => Command {}, 2 => DeletedByPeer {}, 3 => Duplicate {}, 4 => InitialContact {},
        5 => Expired {},
        6 => Failed {}, 7 => Rekeyed {}, 8 => Silence {}, 9 => WithIke {}, 10 => ProofEnded {},
        11 => NotTrusted {}, 12 => NotInPolicy {},
    }
    ChildLifecycle { 1 => Live {}, 2 => Replaced { overdue: a }, 3 => Leaving {}, 4 => Surplus {} }
    Combination {
        1 => Ike { cipher: a, prf: b, ke: c }, 2 => Esp { cipher: a, ke: b, esn: c },
    }
    Exchange {
        1 => Probe {}, 2 => CloseChildren { 0: a }, 3 => CloseIke {}, 4 => NewChild { 0: a },
        5 => RekeyChild { 0: a }, 6 => RekeyIke { 0: a },
    }
    OutState { 1 => Registered {}, 2 => Active {}, 3 => Retired {} }
    Party { 1 => We {}, 2 => Peer {} }
    Port { 1 => Ike {}, 2 => NatT {} }
    IkeLifecycle {
        1 => Live {}, 2 => Rival { overdue: a }, 3 => Replaced { overdue: a },
        4 => Leaving { 0: a },
    }
    TaskKind {
        1 => CloseIke { 0: a, 1: b }, 2 => CloseChild { 0: a }, 3 => Disown { 0: a },
        4 => RekeyIke { 0: a },
        5 => RekeyChild { 0: a, 1: b }, 6 => NewChild { 0: a, 1: b }, 7 => Probe {},
    }
}

macro_rules! keys {
    ($($name:ident),*) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                self.expose().len().save(encoder);
                encoder.put(self.expose());
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                Secret::load(decoder).map($name::restore)
            }
        }
    )*};
}

keys!(SkAi, SkAr, SkD, SkEi, SkEr, SkPi, SkPr);

/// Suites, by the numbers of their transforms. A suite that is not implemented any more does not
/// decode.
macro_rules! suites {
    ($($name:ident),*) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                Combination::from(*self).save(encoder);
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                let line = Combination::load(decoder)?;
                $name::try_from(line).map_err(|_| Corrupt::Field("a suite"))
            }
        }
    )*};
}

suites!(EspSuite, IkeSuite);

impl SnapshotField for Group {
    fn save(&self, encoder: &mut Encoder) {
        self.id().save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Group, Corrupt> {
        let id = KeId::load(decoder)?;
        let group = Group::ALL.into_iter().find(|group| group.id() == id);
        group.ok_or(Corrupt::Field("a group"))
    }
}

/// The reserved octets count in the AUTH payload only, which was verified.
impl SnapshotField for Identity {
    fn save(&self, encoder: &mut Encoder) {
        u8::from(self.kind).save(encoder);
        self.data.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Identity, Corrupt> {
        let kind = IdType::from(u8::load(decoder)?);
        Ok(Identity::new(kind, Vec::load(decoder)?))
    }
}

impl SnapshotField for Nonce {
    fn save(&self, encoder: &mut Encoder) {
        self.bytes().len().save(encoder);
        encoder.put(self.bytes());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Nonce, Corrupt> {
        Nonce::new(Vec::load(decoder)?).ok_or(Corrupt::Field("a nonce"))
    }
}

impl<T: SnapshotField> SnapshotField for LimitPair<T> {
    fn save(&self, encoder: &mut Encoder) {
        let LimitPair { soft, hard } = self;
        soft.save(encoder);
        hard.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<LimitPair<T>, Corrupt> {
        Ok(LimitPair { soft: T::load(decoder)?, hard: T::load(decoder)? })
    }
}

impl<T: SnapshotField> SnapshotField for Crossing<T> {
    fn save(&self, encoder: &mut Encoder) {
        match self {
            Crossing::None => 1u8.save(encoder),
            Crossing::Standing(rival, nonces) => {
                2u8.save(encoder);
                rival.save(encoder);
                nonces.save(encoder);
            }
            Crossing::Withdrawn => 3u8.save(encoder),
        }
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Crossing<T>, Corrupt> {
        match u8::load(decoder)? {
            1 => Ok(Crossing::None),
            2 => Ok(Crossing::Standing(T::load(decoder)?, NoncePair::load(decoder)?)),
            3 => Ok(Crossing::Withdrawn),
            _ => Err(Corrupt::Field("a crossing")),
        }
    }
}

impl SnapshotField for Selector {
    fn save(&self, encoder: &mut Encoder) {
        let Selector { addresses, protocol, ports } = self;
        addresses.first().save(encoder);
        addresses.last().save(encoder);
        protocol.save(encoder);
        ports.first().save(encoder);
        ports.last().save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Selector, Corrupt> {
        let addresses =
            AddressRange::new(SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        let addresses = addresses.map_err(|_| Corrupt::Field("an address range"))?;
        let protocol = u8::load(decoder)?;
        let ports = Ports::new(u16::load(decoder)?, u16::load(decoder)?);
        Ok(Selector { addresses, protocol, ports: ports.ok_or(Corrupt::Field("ports"))? })
    }
}

impl SnapshotField for SelectorSet {
    fn save(&self, encoder: &mut Encoder) {
        encoder.list(self.selectors().iter());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<SelectorSet, Corrupt> {
        Ok(Vec::<Selector>::load(decoder)?.into_iter().collect())
    }
}

impl SnapshotField for Tasks {
    fn save(&self, encoder: &mut Encoder) {
        encoder.list(self.0.iter());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Tasks, Corrupt> {
        let count = usize::load(decoder)?;
        (0..count).map(|_| Task::load(decoder)).collect::<Result<_, _>>().map(Tasks)
    }
}

/// Detached children, which are retired before an input is finished: between inputs the list is
/// empty.
impl SnapshotField for Vec<(ChildSa, Cause)> {
    fn save(&self, encoder: &mut Encoder) {
        encoder.list(self.iter());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Vec<(ChildSa, Cause)>, Corrupt> {
        (0..usize::load(decoder)?).map(|_| SnapshotField::load(decoder)).collect()
    }
}

impl SnapshotField for RequestWindow {
    fn save(&self, encoder: &mut Encoder) {
        self.next().save(encoder);
        self.outstanding().is_some().save(encoder);
        if let Some(outstanding) = self.outstanding() {
            outstanding.save(encoder);
        }
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<RequestWindow, Corrupt> {
        Ok(RequestWindow::restore(SnapshotField::load(decoder)?, SnapshotField::load(decoder)?))
    }
}

impl SnapshotField for ReplyWindow {
    fn save(&self, encoder: &mut Encoder) {
        self.expected().save(encoder);
        self.answered().is_some().save(encoder);
        if let Some(answered) = self.answered() {
            answered.save(encoder);
        }
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<ReplyWindow, Corrupt> {
        Ok(ReplyWindow::restore(SnapshotField::load(decoder)?, SnapshotField::load(decoder)?))
    }
}

/// The token bucket for repeated answers is not stored: a restored one is full.
impl SnapshotField for InitAnswered {
    fn save(&self, encoder: &mut Encoder) {
        self.keyed.save(encoder);
        self.source.save(encoder);
        self.forget_at.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<InitAnswered, Corrupt> {
        let (keyed, source) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        Ok(InitAnswered::until(SnapshotField::load(decoder)?, keyed, source))
    }
}

/// The token buckets for repeated answers are not stored: restored ones are full.
impl SnapshotField for Answered {
    fn save(&self, encoder: &mut Encoder) {
        self.fingerprint.save(encoder);
        self.message.save(encoder);
        self.repeats.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Answered, Corrupt> {
        let (fingerprint, message) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        let mut answered = Answered::new(fingerprint, message);
        answered.repeats = SnapshotField::load(decoder)?;
        Ok(answered)
    }
}

/// The ciphers are not stored: they are made again from the keys.
impl SnapshotField for Channel {
    fn save(&self, encoder: &mut Encoder) {
        self.own.save(encoder);
        self.peer.save(encoder);
        self.made_by.save(encoder);
        self.suite.save(encoder);
        self.keys.save(encoder);
        self.fragments.save(encoder);
        let [request, response] = &self.arriving;
        request.save(encoder);
        response.save(encoder);
        self.fragment_size.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Channel, Corrupt> {
        let (own, peer) = (IkeSpi::load(decoder)?, IkeSpi::load(decoder)?);
        let made_by = Party::load(decoder)?;
        let (suite, keys) = (IkeSuite::load(decoder)?, IkeKeys::load(decoder)?);
        let parties = Parties { own, peer, made_by, fragments: bool::load(decoder)? };
        let arriving = [SnapshotField::load(decoder)?, SnapshotField::load(decoder)?];
        let mut channel = Channel::new(decoder.provider, decoder.rng, parties, suite, keys)
            .map_err(|_| Corrupt::Field("the keys of an IKE SA"))?;
        channel.arriving = arriving;
        channel.fragment_size = SnapshotField::load(decoder)?;
        Ok(channel)
    }
}

impl SnapshotField for Assembly {
    fn save(&self, encoder: &mut Encoder) {
        let Assembly { id, total, parts, octets, first, deadline } = self;
        id.save(encoder);
        total.save(encoder);
        parts.len().save(encoder);
        for (number, text) in parts {
            number.save(encoder);
            text.save(encoder);
        }
        octets.save(encoder);
        first.save(encoder);
        deadline.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Assembly, Corrupt> {
        let (id, total) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        let parts = (0..usize::load(decoder)?)
            .map(|_| SnapshotField::load(decoder))
            .collect::<Result<_, _>>()?;
        let (octets, first) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        Ok(Assembly { id, total, parts, octets, first, deadline: SnapshotField::load(decoder)? })
    }
}

impl SnapshotField for Arriving {
    fn save(&self, encoder: &mut Encoder) {
        let Arriving { assembly, fingerprint } = self;
        assembly.save(encoder);
        fingerprint.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Arriving, Corrupt> {
        Ok(Arriving {
            assembly: SnapshotField::load(decoder)?,
            fingerprint: SnapshotField::load(decoder)?,
        })
    }
}

/// A private key exchange value, if the provider exports it. One that is not exported is lost with
/// the process and restored as `None`.
impl SnapshotField for Option<Box<dyn KeyAgreement>> {
    fn save(&self, encoder: &mut Encoder) {
        let exported =
            self.as_ref().and_then(|exchange| Some((exchange.group(), exchange.export()?)));
        exported.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Option<Box<dyn KeyAgreement>>, Corrupt> {
        let exported = Option::<(Group, Secret)>::load(decoder)?;
        Ok(exported.and_then(|(group, private)| decoder.provider.resume_exchange(group, &private)))
    }
}

impl SnapshotField for NewChild {
    fn save(&self, encoder: &mut Encoder) {
        let NewChild { wanted, nonce, exchange, withdrawn } = self;
        wanted.save(encoder);
        nonce.save(encoder);
        exchange.save(encoder);
        withdrawn.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<NewChild, Corrupt> {
        let (wanted, nonce, exchange) = (
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
        );
        Ok(NewChild { wanted, nonce, exchange, withdrawn: SnapshotField::load(decoder)? })
    }
}

impl SnapshotField for RekeyIke {
    fn save(&self, encoder: &mut Encoder) {
        let RekeyIke { spi, nonce, exchange, lines, rival } = self;
        spi.save(encoder);
        nonce.save(encoder);
        exchange.save(encoder);
        lines.save(encoder);
        rival.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<RekeyIke, Corrupt> {
        let (spi, nonce, exchange) = (
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
        );
        Ok(RekeyIke {
            spi,
            nonce,
            exchange,
            lines: SnapshotField::load(decoder)?,
            rival: SnapshotField::load(decoder)?,
        })
    }
}

/// Writes a handshake.
pub(crate) fn save_handshake(handshake: &Handshake, encoder: &mut Encoder) {
    match handshake {
        Handshake::InitSent(sent) => {
            1u8.save(encoder);
            save_init_sent(sent, encoder);
        }
        Handshake::AuthSent(phase) => {
            2u8.save(encoder);
            phase.save(encoder);
        }
        Handshake::InitAnswered(phase) => {
            3u8.save(encoder);
            phase.save(encoder);
        }
        Handshake::AuthRefused(phase) => {
            4u8.save(encoder);
            phase.save(encoder);
        }
        Handshake::AuthRejected(phase) => {
            5u8.save(encoder);
            phase.save(encoder);
        }
    }
}

/// Reads a handshake; none when the private key exchange value that it needs was not exported: then
/// the peer is dialled again.
pub(crate) fn load_handshake(decoder: &mut Decoder<'_>) -> Result<Option<Handshake>, Corrupt> {
    Ok(match u8::load(decoder)? {
        1 => load_init_sent(decoder)?.map(|sent| Handshake::InitSent(Box::new(sent))),
        2 => Some(Handshake::AuthSent(SnapshotField::load(decoder)?)),
        3 => Some(Handshake::InitAnswered(SnapshotField::load(decoder)?)),
        4 => Some(Handshake::AuthRefused(SnapshotField::load(decoder)?)),
        5 => Some(Handshake::AuthRejected(SnapshotField::load(decoder)?)),
        _ => return Err(Corrupt::Field("a handshake")),
    })
}

fn save_init_sent(sent: &InitSent, encoder: &mut Encoder) {
    let InitSent {
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
    } = sent;
    (exchange.group(), exchange.export()).save(encoder);
    spi.save(encoder);
    path.save(encoder);
    nonce.save(encoder);
    tried.save(encoder);
    cookie.save(encoder);
    cookies.save(encoder);
    request.save(encoder);
    timer.save(encoder);
    began_at.save(encoder);
    hearsay.save(encoder);
}

fn load_init_sent(decoder: &mut Decoder<'_>) -> Result<Option<InitSent>, Corrupt> {
    let (group, private) = <(Group, Option<Secret>)>::load(decoder)?;
    let (spi, path, nonce) = (
        SnapshotField::load(decoder)?,
        SnapshotField::load(decoder)?,
        SnapshotField::load(decoder)?,
    );
    let (tried, cookie, cookies) = (
        SnapshotField::load(decoder)?,
        SnapshotField::load(decoder)?,
        SnapshotField::load(decoder)?,
    );
    let (request, timer) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
    let (began_at, hearsay) = (Instant::load(decoder)?, SnapshotField::load(decoder)?);
    let exchange = private.and_then(|private| decoder.provider.resume_exchange(group, &private));
    Ok(exchange.map(|exchange| InitSent {
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
    }))
}
