//! What an end does with messages that RFC 7296 has a rule for, each rule with its section: what is
//! ignored, what is answered and where to, what changes nothing.

use super::conformance::ask;
use super::*;
use crate::ike::exchange::create_child::push_selectors;
use crate::ike::exchange::key_exchange::draw_nonce;
use crate::ike::negotiation::narrow;
use crate::ike::negotiation::proposal::{Groups, offer};
use crate::ike::sa::channel::Envelope;
use crate::ike::sa::window::RequestWindow;
use crate::wire::codes::{CfgType, ExchangeType, NotifyType, PayloadType, ProtocolId};
use crate::wire::header::{Flags, Header, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::chain::{Chain, GenericFlags};
use crate::wire::payload::cp::Configuration;
use crate::wire::payload::notify::Notify;
use crate::wire::selector::Selector;
use crate::wire::spi::{EspSpi, IkeSpi};

/// The way back of a path.
fn back(path: Path) -> Path {
    Path { local: path.remote, remote: path.local, ..path }
}

/// What an end sends when a datagram comes.
fn hear(pair: &mut Pair, end: usize, path: Path, bytes: &[u8]) -> Vec<(Path, Vec<u8>)> {
    pair.wire.clear();
    pair.ends[end].handle_datagram(pair.now, Datagram { path, bytes });
    pair.collect(end);
    pair.wire.drain(..).map(|(_, path, bytes)| (path, bytes)).collect()
}

/// Two ends, and the first message of end 0 as it arrives at end 1.
fn dialled() -> (Pair, Path, Vec<u8>) {
    let mut pair = Pair::new([DialRole::Dial, DialRole::Answer]);
    let (_, path, bytes) = pair.wire.pop_front().expect("IKE_SA_INIT");
    (pair, back(path), bytes)
}

/// RFC 7296 §2.5: "the message MUST be rejected and the response [...] MUST include a Notify
/// payload UNSUPPORTED_CRITICAL_PAYLOAD", which names the payload; in the first exchange too.
#[test]
fn a_first_message_with_an_unknown_critical_payload_is_told_so() {
    for (flags, refused) in [(0x80, true), (0, false)] {
        let (mut pair, path, bytes) = dialled();
        let mut message = Message::decode(&bytes).expect("it reads");
        let unknown = Payload::Unknown { kind: PayloadType::Unknown(200), body: vec![1] };
        message.chain.push_with(unknown, GenericFlags(flags));
        let answers = hear(&mut pair, 1, path, &message.encode().expect("fits"));
        let chain = Message::decode(&answers[0].1).expect("it reads").chain;
        let notify = chain.notify(NotifyType::UnsupportedCriticalPayload);
        let named = notify.and_then(Notify::unsupported_critical_type);
        assert_eq!(named, refused.then_some(PayloadType::Unknown(200)));
        assert_eq!(chain.sa().is_some(), !refused);
    }
}

/// RFC 7296 §3.1: the initiator's SPI "MUST NOT be zero".
#[test]
fn a_first_message_without_an_spi_begins_nothing() {
    let (mut pair, path, mut bytes) = dialled();
    bytes[..8].fill(0);
    assert_eq!(hear(&mut pair, 1, path, &bytes), []);
    assert!(pair.ends[1].peers[&PEER].handshakes.is_empty());
}

/// RFC 7296 §3.1: reserved flags and the version flag "MUST be ignored on receipt", and are not
/// repeated.
#[test]
fn reserved_flags_are_ignored_and_not_repeated() {
    let (mut pair, path, mut bytes) = dialled();
    bytes[19] |= 0xd7;
    let answers = hear(&mut pair, 1, path, &bytes);
    let answer = Message::decode(&answers[0].1).expect("it reads");
    assert!(answer.chain.sa().is_some());
    assert_eq!(answer.header.flags, Flags::RESPONSE);
}

/// RFC 7296 §2.11, §2.23: requests are accepted from any port, and answered to the address and port
/// that they came from, from those that they came to.
#[test]
fn a_request_is_answered_where_it_came_from() {
    let (mut pair, path, bytes) = dialled();
    let strange = Path { remote: SocketAddr::new(path.remote.ip(), 61_000), ..path };
    assert_eq!(hear(&mut pair, 1, strange, &bytes)[0].0, strange);

    let mut pair = established();
    let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
    let envelope =
        Envelope { exchange: ExchangeType::Informational, id: sa.requests.next(), response: false };
    let path = back(sa.path);
    let sealed = sa
        .channel
        .seal(envelope, &Chain::new(), 1280, &mut SeededRng(9))
        .expect("seals")
        .datagrams()
        .clone();
    let strange = Path { remote: SocketAddr::new(path.remote.ip(), 61_000), ..path };
    assert_eq!(hear(&mut pair, 1, strange, &sealed[0])[0].0, strange);
}

/// RFC 7296 §2.21.4: a request for an unknown IKE SA is answered in clear with INVALID_IKE_SPI,
/// with its SPIs and message ID, to where it came from; a response is not answered.
#[test]
fn a_request_for_an_unknown_ike_sa_gets_a_hint_in_clear() {
    let mut pair = established();
    let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
    let envelope =
        Envelope { exchange: ExchangeType::Informational, id: MessageId(7), response: false };
    let path = back(sa.path);
    let sealed = sa
        .channel
        .seal(envelope, &Chain::new(), 1280, &mut SeededRng(9))
        .expect("seals")
        .datagrams()
        .clone();
    let asked = Header::decode(&sealed[0]).expect("a header");
    let envelope = Envelope { response: true, ..envelope };
    let answer = sa
        .channel
        .seal(envelope, &Chain::new(), 1280, &mut SeededRng(9))
        .expect("seals")
        .datagrams()
        .clone();
    pair.forget(1);
    let said = hear(&mut pair, 1, path, &sealed[0]);
    let told = Message::decode(&said[0].1).expect("in clear");
    assert_eq!((said.len(), said[0].0), (1, path));
    assert!(told.sealed.is_none() && told.chain.notify(NotifyType::InvalidIkeSpi).is_some());
    let ids = |header: Header| (header.initiator_spi, header.responder_spi, header.message_id);
    assert_eq!(ids(told.header), ids(asked));
    assert!(told.header.is_response() && !told.header.is_from_initiator());
    assert_eq!(hear(&mut pair, 1, path, &answer[0]), []);
}

/// RFC 7296 §1.5: a notify about a wayward ESP packet, in clear, is no request: "the receiving node
/// MUST NOT respond to it".
#[test]
fn a_complaint_in_clear_is_not_answered() {
    let mut pair = established();
    let path = pair.ends[1].peers[&PEER].sas[0].path;
    for spi in [IkeSpi::ZERO, IkeSpi(0x0123_4567_89ab_cdef)] {
        let header = Header {
            initiator_spi: spi,
            responder_spi: spi,
            version: crate::wire::header::IkeVersion::V2,
            exchange: ExchangeType::Informational,
            flags: Flags::INITIATOR,
            message_id: MessageId(0),
        };
        let about = Notify::with_data(NotifyType::InvalidSpi, 0x1234_5678_u32.to_be_bytes());
        let bytes = Message::clear(header, Chain::from_iter([about.into()])).encode();
        assert_eq!(hear(&mut pair, 1, path, &bytes.expect("fits")), []);
    }
    assert_eq!(pair.holds(1), (1, 1, 1));
}

/// RFC 7296 §2.5 has an answer for a higher major version. A lower one is IKEv1, which has no
/// responses: its speaker would answer ours, and so on for ever.
#[test]
fn a_lower_major_version_is_not_answered() {
    let (mut pair, path, mut bytes) = dialled();
    for version in [0x10, 0x00] {
        bytes[17] = version;
        assert_eq!(hear(&mut pair, 1, path, &bytes), []);
    }
}

/// RFC 7296 §1.2, §2.6, §2.6.1: the first message is sent again with the cookie in front and with
/// nothing else changed; in another group with all proposals, and with the cookie still.
#[test]
fn the_first_message_is_repeated_with_cookie_and_all_proposals() {
    let lines = [Group::Ecp384, Group::Ecp256].map(|group| {
        let prf = PrfId::HmacSha2_384;
        IkeSuite::from_transforms(EncrId::AesGcm16, Some(256), prf, None, group.id())
            .unwrap()
            .into()
    });
    let mut one = config(1, 2, DialRole::Dial);
    one.ike = ProposalPolicy::new(&lines).0;
    let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
    pair.command(0, Command::Up(PEER));
    let (_, path, bytes) = pair.wire.pop_front().expect("IKE_SA_INIT");
    let first = Message::decode(&bytes).expect("it reads");
    let demand = |notify: Notify| {
        let header = Header { flags: Flags::RESPONSE, ..first.header };
        Message::clear(header, Chain::from_iter([notify.into()])).encode().expect("fits")
    };
    let payloads = |bytes: &[u8]| -> Vec<Payload> {
        Message::decode(bytes).expect("it reads").chain.iter().cloned().collect()
    };
    let cookie = Notify::cookie(&[5; 64]);
    let second = hear(&mut pair, 0, back(path), &demand(cookie.clone()));
    let mut expected: Vec<Payload> = vec![cookie.clone().into()];
    expected.extend(first.chain.iter().cloned());
    assert_eq!(payloads(&second[0].1), expected);
    assert_eq!(Header::decode(&second[0].1).expect("a header"), first.header);
    let third = hear(&mut pair, 0, back(path), &demand(Notify::invalid_ke(Group::Ecp256.id())));
    let third = Message::decode(&third[0].1).expect("it reads").chain;
    assert_eq!(third.iter().next(), Some(&cookie.into()));
    assert_eq!(third.sa(), first.chain.sa());
    assert_eq!(third.nonce(), first.chain.nonce());
    assert_eq!(third.key_exchange().map(|ke| ke.group), Some(Group::Ecp256.id()));
}

/// RFC 7296 §2.6: the responder's cookie has 1 to 64 octets; with a wrong one the request is
/// processed as one without.
#[test]
fn a_wrong_cookie_is_as_none() {
    let (mut pair, path, bytes) = dialled();
    let limits =
        crate::ike::admission::budget::HalfOpenLimits { cookies_from: 0, ..Default::default() };
    pair.ends[1].admissions.half_open = crate::ike::admission::budget::HalfOpen::new(limits);
    let demanded = |pair: &mut Pair, bytes: &[u8]| {
        let answers = hear(pair, 1, path, bytes);
        let chain = Message::decode(&answers[0].1).expect("it reads").chain;
        chain.notify(NotifyType::Cookie).and_then(Notify::cookie_data).map(<[u8]>::to_vec)
    };
    let cookie = demanded(&mut pair, &bytes).expect("a cookie of an allowed length");
    let first = Message::decode(&bytes).expect("it reads");
    let with = |cookie: &[u8]| {
        let mut chain = Chain::from_iter([Notify::cookie(cookie).into()]);
        chain.extend(first.chain.iter().cloned());
        Message::clear(first.header, chain).encode().expect("fits")
    };
    assert_eq!(demanded(&mut pair, &with(&[9; 33])), Some(cookie.clone()));
    assert_eq!(demanded(&mut pair, &with(&cookie)), None);
    assert_eq!(pair.ends[1].peers[&PEER].handshakes.len(), 1);
}

/// RFC 7296 §2.4, §2.21.4: what comes in clear, and names the request in flight, is no answer to it
/// and no sign of anything.
#[test]
fn an_answer_in_clear_changes_nothing() {
    for kind in [
        NotifyType::InvalidIkeSpi,
        NotifyType::InvalidMajorVersion,
        NotifyType::InvalidSyntax,
        NotifyType::AuthenticationFailed,
    ] {
        let mut pair = established();
        pair.command(0, Command::Probe(PEER));
        let (_, path, bytes) = pair.wire.pop_front().expect("a probe");
        let asked = Header::decode(&bytes).expect("a header");
        let flags = Flags::RESPONSE.with(Flags::INITIATOR, !asked.is_from_initiator());
        let header = Header { flags, ..asked };
        let bytes = Message::clear(header, Chain::from_iter([Notify::new(kind).into()])).encode();
        let heard_at = pair.ends[0].peers[&PEER].sas[0].heard_at;
        pair.now.mono = pair.now.mono + Duration::from_secs(1);
        assert_eq!(hear(&mut pair, 0, back(path), &bytes.expect("fits")), []);
        let sa = &pair.ends[0].peers[&PEER].sas[0];
        assert!(sa.is_live() && sa.requests.awaits(asked.message_id) && sa.heard_at == heard_at);
    }
}

/// RFC 7296 §3.10.1: notifies that are not known are ignored in a request, errors too;
/// INITIAL_CONTACT counts in IKE_AUTH alone (§2.4).
#[test]
fn unknown_notifies_in_a_request_are_ignored() {
    let mut pair = established();
    let kinds = [
        NotifyType::Unknown(9_000),
        NotifyType::Unknown(39_000),
        NotifyType::Unknown(50_000),
        NotifyType::InitialContact,
        NotifyType::SetWindowSize,
        NotifyType::InvalidMessageId,
    ];
    let request = Chain::from_iter(kinds.map(|kind| Notify::new(kind).into()));
    let answer = ask(&mut pair, ExchangeType::Informational, &request);
    assert!(answer.is_empty(), "{answer:?}");
    assert_eq!(pair.holds(1), (1, 1, 1));
}

/// RFC 7296 §3.10: the protocol ID of a notify without an SPI "MUST be ignored on receipt".
#[test]
fn a_notifys_protocol_without_an_spi_is_ignored() {
    for protocol in [ProtocolId::None, ProtocolId::Ike, ProtocolId::Esp, ProtocolId::Unknown(9)] {
        let mut pair = established();
        let notify = Notify { protocol, ..Notify::new(NotifyType::AuthenticationFailed) };
        ask(&mut pair, ExchangeType::Informational, &Chain::from_iter([notify.into()]));
        assert_eq!(pair.holds(1), (0, 0, 0), "{protocol}");
    }
}

/// Answers the request that is on the wire, from end 0, with these payloads; what end 0 sends then.
fn answer_with(pair: &mut Pair, payloads: Chain) -> Vec<(Path, Vec<u8>)> {
    let (_, path, bytes) = pair.wire.pop_front().expect("a request");
    let asked = Header::decode(&bytes).expect("a header");
    let peer = pair.ends[1].peers.get_mut(&PEER).expect("known");
    let channel = &mut peer.sas[0].channel;
    let envelope = Envelope { exchange: asked.exchange, id: asked.message_id, response: true };
    let sealed = channel
        .seal(envelope, &payloads, 60_000, &mut SeededRng(9))
        .expect("seals")
        .datagrams()
        .clone();
    hear(pair, 0, back(path), &sealed[0])
}

/// RFC 7296 §3.10.1: an error that is not known in a response means that the request "has failed
/// entirely"; §1.3.1: the IKE SA and the old child stay.
#[test]
fn an_unknown_error_in_a_response_is_a_refusal() {
    in_both_ways(|| {
        let mut pair = established();
        let child = pair.child(0);
        pair.command(0, Command::RekeyChild(PEER, child));
        let error = Chain::from_iter([Notify::new(NotifyType::Unknown(9_000)).into()]);
        answer_with(&mut pair, error);
        assert_eq!((pair.holds(0), pair.child(0)), ((1, 1, 1), child));
        assert_eq!(pair.count(0, |event| matches!(event, IkeEvent::Refused(..))), 1);
    });
}

/// RFC 7296 §2.25: after TEMPORARY_FAILURE nothing is tried again at once.
#[test]
fn a_temporary_failure_is_waited_out() {
    in_both_ways(|| {
        let mut pair = established();
        let child = pair.child(0);
        pair.command(0, Command::RekeyChild(PEER, child));
        let busy = Chain::from_iter([Notify::new(NotifyType::TemporaryFailure).into()]);
        assert_eq!(answer_with(&mut pair, busy), []);
        pair.now.mono = pair.now.mono + Duration::from_millis(700);
        let now = pair.now;
        pair.ends[0].handle_timeout(now);
        pair.collect(0);
        assert!(pair.wire.is_empty());
        assert_eq!(pair.child(0), child);
    });
}

/// RFC 7296 §1.3, §3.4: the group of the KE payload is one that this child's proposals have, even
/// if the peer asks for a group that only another child has.
#[test]
fn a_group_of_another_child_is_not_taken() {
    let [here, there] = ["10.1.0.0/16", "10.2.0.0/16"];
    let set = |text: &str| -> SelectorSet {
        std::iter::once(text.parse::<Selector>().expect("a selector")).collect()
    };
    let mut one = config(1, 2, DialRole::Dial);
    let mut second = one.children[0].clone();
    second.selectors = ChildSelectors { local: set(here), remote: set(there) };
    second.keep_up = false;
    let esp = EspSuite::from_transforms(
        EncrId::AesGcm16,
        Some(256),
        None,
        Some(Group::Ecp384.id()),
        EsnId::Sequence32,
    );
    second.esp = ProposalPolicy::new(&[esp.unwrap().into()]).0;
    one.children.push(second);
    let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
    pair.command(0, Command::Up(PEER));
    pair.deliver();
    let child = pair.child(0);
    pair.command(0, Command::RekeyChild(PEER, child));
    let other = Chain::from_iter([Notify::invalid_ke(Group::Ecp384.id()).into()]);
    let again = answer_with(&mut pair, other);
    for (_, bytes) in again {
        let channel = &mut pair.ends[1].peers.get_mut(&PEER).expect("known").sas[0].channel;
        let fingerprint = crate::ike::sa::window::Fingerprint([0; 32]);
        let Some(crate::ike::sa::channel::OpenedMessage::Whole(Ok(chain), _)) =
            channel.open(pair.now.mono, &bytes, fingerprint)
        else {
            panic!("it reads")
        };
        let group = chain.key_exchange().expect("a KE payload").group;
        assert_eq!(group, Group::Ecp256.id(), "{chain:?}");
    }
}

/// A request for a child, of end 0, and these payloads before it and after it.
fn child_request(pair: &mut Pair, before: Vec<Payload>, after: Vec<Payload>) -> Chain {
    let now = pair.now;
    let mut chain = Chain::from_iter(before);
    pair.ends[0].with(now, PEER, |_, ctx| {
        let child = ctx.config.children[0].clone();
        let lines: Vec<_> = child.esp.offered().iter().map(|line| line.without_pfs()).collect();
        chain.push(offer(&lines, EspSpi(0x1234_5678), Groups::Negotiated));
        chain.push(draw_nonce(ctx));
        push_selectors(&mut chain, narrow::request(&child.selectors, None));
    });
    chain.extend(after);
    chain
}

/// Two ends with a child SA, whose policies have no perfect forward secrecy.
fn without_pfs() -> Pair {
    let (mut one, mut two) = (config(1, 2, DialRole::Dial), config(2, 1, DialRole::Answer));
    let (_, plain) = policies(false);
    one.children[0].esp = plain.clone();
    two.children[0].esp = plain;
    let mut pair = Pair::with(one, two);
    pair.command(0, Command::Up(PEER));
    pair.deliver();
    pair
}

/// RFC 7296 §1.3.1: who declines transport mode says nothing of it and makes a tunnel; §2.22: no
/// compression is accepted; §2.19: no CFG_REPLY without need.
#[test]
fn what_is_not_supported_is_declined_by_silence() {
    let mut pair = without_pfs();
    let cp = Configuration::new(CfgType::Request, []);
    let request = child_request(
        &mut pair,
        vec![
            Notify::new(NotifyType::UseTransportMode).into(),
            Notify::with_data(NotifyType::IpcompSupported, [0, 1, 2]).into(),
            Notify::new(NotifyType::NonFirstFragmentsAlso).into(),
        ],
        vec![Payload::Configuration(cp)],
    );
    let answer = ask(&mut pair, ExchangeType::CreateChildSa, &request);
    assert!(answer.sa().is_some(), "{answer:?}");
    assert_eq!(answer.notifies().count(), 0);
    assert!(answer.configuration().is_none());
}

/// RFC 7296 §2.18: an IKE SA is not rekeyed without a key exchange of its own; §1.3.2 wants the KE
/// payload, and §3.3.6 refuses what is not acceptable.
#[test]
fn an_ike_sa_is_not_rekeyed_without_a_key_exchange() {
    let ike = policies(true).0;
    for none in [true, false] {
        let mut pair = established();
        let mut sa = offer(ike.offered(), IkeSpi(77), Groups::Negotiated);
        for transform in &mut sa.proposals[0].transforms {
            if none && transform.id.kind() == crate::wire::codes::TransformType::KeyExchange {
                transform.id = crate::wire::codes::KeId::None.into();
            }
        }
        let mut request = Chain::from_iter([sa.into()]);
        let now = pair.now;
        pair.ends[0].with(now, PEER, |_, ctx| request.push(draw_nonce(ctx)));
        if none {
            let ke = crate::wire::payload::ke::KeyExchange::new(Group::Ecp384.id(), vec![2; 96]);
            request.push(ke);
        }
        let answer = ask(&mut pair, ExchangeType::CreateChildSa, &request);
        assert!(answer.sa().is_none());
        let kind = match none {
            true => NotifyType::NoProposalChosen,
            false => NotifyType::InvalidSyntax,
        };
        assert!(answer.notify(kind).is_some(), "{answer:?}");
    }
}

/// RFC 7296 §2.9.2: the successor of a child has no narrower selectors, whoever asks for it and
/// however wide the policy is.
#[test]
fn a_rekeyed_child_keeps_its_selectors() {
    in_both_ways(|| {
        let narrow: SelectorSet =
            std::iter::once("10.2.0.0/16".parse::<Selector>().expect("a selector")).collect();
        let mut two = config(2, 1, DialRole::Answer);
        two.children[0].selectors.local = narrow;
        let mut pair = Pair::with(config(1, 2, DialRole::Dial), two);
        pair.command(0, Command::Up(PEER));
        pair.deliver();
        let selectors = |pair: &Pair, end: usize| {
            let ups = pair.events[end].iter().rev().find_map(|event| match event {
                IkeEvent::ChildUp { selectors, .. } => Some(selectors.clone()),
                _ => None,
            });
            ups.expect("a child")
        };
        let before = [0, 1].map(|end| selectors(&pair, end));
        for end in [0, 1] {
            let child = pair.child(end);
            pair.command(end, Command::RekeyChild(PEER, child));
            pair.pass(Duration::from_secs(10));
            assert_ne!(pair.child(end), child);
            assert_eq!([0, 1].map(|end| selectors(&pair, end)), before);
        }
    });
}

/// RFC 7296 §2.4: an IKE SA whose lifetime is over says its Delete, so that the peer does not wait
/// for an answer from it.
#[test]
fn an_expired_ike_sa_says_its_delete() {
    in_both_ways(|| {
        let mut pair = established();
        let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
        (sa.rekey_at, sa.expire_at) = (None, pair.now.mono + Duration::from_secs(5));
        pair.command(0, Command::Probe(PEER));
        pair.pass(Duration::from_secs(6));
        let told =
            |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::DeletedByPeer, .. });
        let expired = |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::Expired, .. });
        assert_eq!((pair.count(1, told), pair.count(0, expired)), (1, 1), "{:#?}", pair.events);
        pair.pass(Duration::from_secs(10));
        assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
    });
}

/// RFC 7296 §2.2: "In the unlikely event that Message IDs grow too large [...], the IKE SA MUST be
/// closed or rekeyed."
#[test]
fn an_ike_sa_without_message_ids_ends() {
    in_both_ways(|| {
        let mut pair = established();
        let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
        sa.requests = RequestWindow::starting_at(MessageId(u32::MAX));
        pair.command(0, Command::Probe(PEER));
        pair.pass(Duration::from_secs(30));
        assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::IkeUp { .. })), 2);
        assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
    });
}

/// RFC 7296 §3.3.6: where the responder's policy has no group, "it MUST ignore the initiator's KE
/// payload and omit the KE payload from the response".
#[test]
fn a_key_exchange_that_is_not_chosen_is_ignored() {
    let mut pair = without_pfs();
    let chain = child_request(&mut pair, Vec::new(), Vec::new());
    let mut request = Chain::new();
    for mut payload in chain.iter().cloned() {
        if let Payload::Sa(sa) = &mut payload {
            let groups = [Group::Ecp256.id(), crate::wire::codes::KeId::None];
            let groups = groups.map(crate::wire::payload::sa::Transform::new);
            sa.proposals[0].transforms.extend(groups);
        }
        request.push(payload);
    }
    let ke = crate::wire::payload::ke::KeyExchange::new(Group::Ecp256.id(), vec![2; 64]);
    request.push(ke);
    let answer = ask(&mut pair, ExchangeType::CreateChildSa, &request);
    assert!(answer.sa().is_some() && answer.key_exchange().is_none(), "{answer:?}");
}

/// A request of end 0 that needs fragments, sealed; its path as end 1 sees it.
fn long_request(pair: &mut Pair) -> (Path, Vec<Vec<u8>>) {
    let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
    let envelope =
        Envelope { exchange: ExchangeType::Informational, id: sa.requests.next(), response: false };
    let filling = Payload::Unknown { kind: PayloadType::Unknown(200), body: vec![1; 3_000] };
    let chain = Chain::from_iter([filling]);
    let sealed = sa
        .channel
        .seal(envelope, &chain, 1_280, &mut SeededRng(9))
        .expect("seals")
        .datagrams()
        .clone();
    (back(sa.path), sealed)
}

/// RFC 7383 §2.4: "IKE fragmentation MUST NOT be used unless both peers have indicated their
/// support".
#[test]
fn fragments_are_for_those_who_announced_them() {
    let mut pair = established();
    let (path, fragments) = long_request(&mut pair);
    assert!(fragments.len() > 1);
    for end in [0, 1] {
        pair.ends[end].peers.get_mut(&PEER).expect("known").sas[0].channel.fragments = false;
    }
    let (_, whole) = long_request(&mut pair);
    assert_eq!(whole.len(), 1, "it is sent as it is");
    for fragment in &fragments {
        assert_eq!(hear(&mut pair, 1, path, fragment), []);
    }
    assert!(pair.ends[1].peers[&PEER].sas[0].channel.arriving.iter().all(Option::is_none));
    assert_eq!(hear(&mut pair, 1, path, &whole[0]).len(), 1);
}

/// RFC 7383 §2.6.1: of a request that was answered, fragment 1 has the answer sent again, and no
/// other fragment has.
#[test]
fn fragment_1_of_an_answered_request_has_the_answer_again() {
    let mut pair = established();
    let (path, fragments) = long_request(&mut pair);
    let mut answers = Vec::new();
    for fragment in &fragments {
        answers = hear(&mut pair, 1, path, fragment);
    }
    assert_eq!(answers.len(), 1);
    // Whose answer is short, and no fragment (RFC 7383 §2.4).
    let sealed = Message::decode(&answers[0].1).expect("it reads").sealed.expect("protected");
    assert_eq!(sealed.fragment, None);
    for (at, fragment) in fragments.iter().enumerate() {
        let again = hear(&mut pair, 1, path, fragment);
        assert_eq!(again, if at == 0 { answers.clone() } else { Vec::new() }, "fragment {at}");
    }
}
