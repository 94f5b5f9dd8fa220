//! What an end offers in its messages, and how it answers messages that are malformed, unexpected
//! or repeated.

use super::*;
use crate::ike::ids::Slot;
use crate::ike::sa::channel::{Envelope, OpenedMessage};
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::window::Fingerprint;
use crate::wire::codes::{ExchangeType, KeId, NotifyType, PayloadType};
use crate::wire::header::{Flags, Header, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::chain::{Chain, GenericFlags};
use crate::wire::payload::notify::Notify;
use crate::wire::selector::Selector;

/// The response of end 1 to a request that end 0 seals.
pub(super) fn ask(pair: &mut Pair, exchange: ExchangeType, request: &Chain) -> Chain {
    let sa = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0];
    let envelope = Envelope { exchange, id: sa.requests.next(), response: false };
    let path = Path { local: sa.path.remote, remote: sa.path.local, ..sa.path };
    let sealed = sa.channel.seal(envelope, request, 1280, &mut SeededRng(9)).expect("seals");
    pair.ends[1].handle_datagram(pair.now, Datagram { path, bytes: &sealed.datagrams()[0] });
    pair.collect(1);
    let (from, _, bytes) = pair.wire.pop_back().expect("an answer");
    assert_eq!(from, 1);
    let channel = &mut pair.ends[0].peers.get_mut(&PEER).expect("known").sas[0].channel;
    match channel.open(pair.now.mono, &bytes, Fingerprint([0; 32])) {
        Some(OpenedMessage::Whole(answer, _)) => answer.expect("it reads"),
        other => panic!("{other:?}"),
    }
}

fn unknown() -> Payload {
    Payload::Unknown { kind: PayloadType::Unknown(200), body: vec![1, 2, 3] }
}

/// RFC 7296 §2.5: an unknown payload is skipped; an unknown critical payload has the request
/// refused with its type.
#[test]
fn an_unknown_payload_is_skipped_and_a_critical_one_refused() {
    in_both_ways(|| {
        for (flags, said) in [(0, None), (0x80, Some(vec![200]))] {
            let mut pair = established();
            let mut request = Chain::new();
            request.push_with(unknown(), GenericFlags(flags));
            let answer = ask(&mut pair, ExchangeType::Informational, &request);
            let notify = answer.notify(NotifyType::UnsupportedCriticalPayload);
            assert_eq!(notify.map(|notify| notify.data.clone()), said);
            assert_eq!(answer.len(), said.iter().len());
            assert_eq!(pair.holds(1), (1, 1, 1), "the IKE SA stands");
        }
    });
}

/// RFC 7296 §2.21.3: an authentic malformed request is answered with INVALID_SYNTAX, and ends the
/// IKE SA on both sides.
#[test]
fn an_authentic_malformed_request_is_invalid_syntax_and_ends_the_ike_sa() {
    in_both_ways(|| {
        let mut pair = established();
        let answer = ask(&mut pair, ExchangeType::CreateChildSa, &Chain::new());
        assert!(answer.notify(NotifyType::InvalidSyntax).is_some(), "{answer:?}");
        assert_eq!(pair.holds(1), (0, 0, 0));
    });
}

/// RFC 7296 §2.5: another major version is answered with ours, in clear and within a budget.
#[test]
fn another_major_version_is_answered_with_ours() {
    let mut pair = Pair::new([DialRole::Dial, DialRole::Answer]);
    let (_, path, mut bytes) = pair.wire.pop_front().expect("IKE_SA_INIT");
    let path = Path { local: path.remote, remote: path.local, ..path };
    bytes[17] = 0x30;
    for _ in 0..100 {
        pair.ends[1].handle_datagram(pair.now, Datagram { path, bytes: &bytes });
        pair.collect(1);
    }
    assert!((1..=8).contains(&pair.wire.len()), "{} answers", pair.wire.len());
    let answer = Message::decode(&pair.wire[0].2).expect("an answer in our version");
    assert!(answer.header.is_response());
    assert!(answer.chain.notify(NotifyType::InvalidMajorVersion).is_some());
    // Nor is an answer answered.
    bytes[19] |= Flags::RESPONSE.0;
    pair.wire.clear();
    pair.ends[1].handle_datagram(pair.now, Datagram { path, bytes: &bytes });
    pair.collect(1);
    assert!(pair.wire.is_empty());
}

#[test]
fn an_end_that_only_dials_does_not_answer() {
    let mut pair = Pair::idle([DialRole::Both, DialRole::Dial]);
    pair.command(0, Command::Up(PEER));
    pair.deliver();
    assert_eq!((pair.holds(0), pair.holds(1)), ((0, 0, 0), (0, 0, 0)));
    assert!(pair.log[1].is_empty(), "{:?}", pair.log[1]);
}

#[test]
fn dialling_starts_on_port_4500_when_configured() {
    let mut one = config(1, 2, DialRole::Dial);
    one.start_on_4500 = true;
    let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
    pair.command(0, Command::Up(PEER));
    assert_eq!(pair.wire[0].1.port, Port::NatT);
    pair.deliver();
    assert_eq!(pair.holds(1), (1, 1, 1));
}

/// The extensions that the first message announces; RFC 6023's only when it is configured.
#[test]
fn the_first_message_announces_the_extensions() {
    for childless in [false, true] {
        let mut one = config(1, 2, DialRole::Dial);
        one.childless = childless;
        let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        let said = Message::decode(&pair.wire[0].2).expect("IKE_SA_INIT").chain;
        let says = |kind| said.notifies().filter(|notify| notify.kind == kind).count();
        assert_eq!(says(NotifyType::NatDetectionSourceIp), 1);
        assert_eq!(says(NotifyType::NatDetectionDestinationIp), 1);
        assert_eq!(says(NotifyType::FragmentationSupported), 1);
        assert_eq!(says(NotifyType::SignatureHashAlgorithms), 1);
        assert_eq!(says(NotifyType::ChildlessIkev2Supported), usize::from(childless));
    }
}

/// Delivers an unauthenticated response to the first message of end 0.
fn forge(pair: &mut Pair, request: &Header, path: Path, notify: Notify) {
    let header = Header { flags: Flags::RESPONSE, message_id: MessageId(0), ..*request };
    let bytes = Message::clear(header, Chain::from_iter([notify.into()])).encode().expect("fits");
    let path = Path { local: path.local, remote: path.remote, ..path };
    pair.ends[0].handle_datagram(pair.now, Datagram { path, bytes: &bytes });
    pair.collect(0);
}

/// RFC 7296 §1.3 and §2.6: a source that keeps demanding other groups and other cookies gets one
/// message for each group that was offered, and a few for cookies.
#[test]
fn demands_for_groups_and_cookies_are_bounded() {
    let lines = [KeId::Ecp384, KeId::Ecp256, KeId::Modp2048].map(|group| {
        let prf = PrfId::HmacSha2_384;
        IkeSuite::from_transforms(EncrId::AesGcm16, Some(256), prf, None, group).unwrap().into()
    });
    let begin = || {
        let mut one = config(1, 2, DialRole::Dial);
        one.ike = ProposalPolicy::new(&lines).0;
        let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        let (_, path, bytes) = pair.wire[0].clone();
        (pair, path, Header::decode(&bytes).expect("IKE_SA_INIT"))
    };
    let (mut pair, path, request) = begin();
    for _ in 0..5 {
        for group in [KeId::Modp2048, KeId::Modp1024, KeId::Ecp384, KeId::Ecp256, KeId::None] {
            forge(&mut pair, &request, path, Notify::invalid_ke(group));
        }
    }
    assert_eq!(pair.wire.len(), 3, "one message a group");
    let (mut pair, path, request) = begin();
    for number in 0..20 {
        forge(&mut pair, &request, path, Notify::cookie(&[number; 16]));
    }
    assert_eq!(pair.wire.len(), 4, "the first, and three with cookies");
}

/// The IKE SA is re-authenticated before the certificate of the peer expires.
#[test]
fn an_ike_sa_is_reauthenticated_before_the_certificate_expires() {
    in_both_ways(|| {
        let mut one = config(1, 2, DialRole::Dial);
        one.credentials = Rc::new(Toy { until: UnixTime(1_800_001_000), ..Toy::new("one") });
        let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        pair.pass(Duration::from_secs(800));
        assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::IkeUp { .. })), 1);
        pair.pass(Duration::from_secs(150));
        assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::IkeUp { .. })), 2, "{:#?}", pair.events);
        let lost = |e: &IkeEvent| {
            matches!(
                e,
                IkeEvent::IkeDown { cause: Cause::Expired | Cause::Silence | Cause::Failed, .. }
            )
        };
        assert_eq!(pair.count(0, lost) + pair.count(1, lost), 0);
        assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
    });
}

/// A rekey proves nothing: the successor ends with the proof of the first IKE SA.
#[test]
fn an_ike_sa_ends_with_the_peers_proof_however_often_it_was_rekeyed() {
    in_both_ways(|| {
        let mut one = config(1, 2, DialRole::Dial);
        one.credentials = Rc::new(Toy { until: UnixTime(1_800_001_000), ..Toy::new("one") });
        let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        pair.pass(Duration::from_secs(980));
        pair.command(0, Command::RekeyIke(PEER));
        pair.pass(Duration::from_secs(10));
        assert!(pair.holds(0).0 > 0);
        assert!(pair.count(0, |e| matches!(e, IkeEvent::IkeRekeyed { .. })) > 0);
        pair.pass(Duration::from_secs(15));
        assert_eq!((pair.holds(0).0, pair.holds(1).0), (0, 0), "{:#?}", pair.events);
        let ended = |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::ProofEnded, .. });
        assert!(pair.count(0, ended) > 0);
        let told =
            |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::DeletedByPeer, .. });
        assert!(pair.count(1, told) > 0);
    });
}

/// Other credentials that no longer believe the peer end what lives; those that do, do not.
#[test]
fn other_credentials_judge_the_peers_proof_anew() {
    in_both_ways(|| {
        let mut pair = Pair::with(config(1, 2, DialRole::Dial), config(2, 1, DialRole::Answer));
        pair.command(0, Command::Up(PEER));
        pair.pass(Duration::from_secs(10));
        let with = |toy| {
            let mut config = config(1, 2, DialRole::Dial);
            config.credentials = Rc::new(toy);
            Command::Reconfigure(PEER, Box::new(config))
        };
        pair.command(0, with(Toy::new("one")));
        pair.pass(Duration::from_secs(10));
        assert_eq!((pair.holds(0).0, pair.holds(1).0), (1, 1));
        pair.command(0, with(Toy { believes: false, ..Toy::new("one") }));
        pair.pass(Duration::from_secs(1));
        let ended = |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::NotTrusted, .. });
        let why = |e: &IkeEvent| matches!(e, IkeEvent::Refused(_, why) if why.detail.as_deref() == Some("no longer believed"));
        assert_eq!((pair.count(0, ended), pair.count(0, why)), (1, 1), "{:#?}", pair.events);
        let told =
            |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::DeletedByPeer, .. });
        assert!(pair.count(1, told) > 0);
    });
}

/// The networks behind end 0, and those behind end 1.
const NETWORKS: [[&str; 2]; 2] = [["10.1.0.0/16", "10.9.0.0/24"], ["10.2.0.0/16", "10.3.0.0/16"]];

fn set(texts: &[&str]) -> SelectorSet {
    texts.iter().map(|text| text.parse::<Selector>().expect("a selector")).collect()
}

#[test]
fn several_ranges_are_one_child() {
    in_both_ways(|| {
        let [here, there] = NETWORKS;
        let mut one = config(1, 2, DialRole::Dial);
        let mut two = config(2, 1, DialRole::Answer);
        one.children[0].selectors = ChildSelectors { local: set(&here), remote: set(&there) };
        // The other end knows one of the two networks here.
        two.children[0].selectors = ChildSelectors { local: set(&there), remote: set(&here[..1]) };
        let mut pair = Pair::with(one, two);
        pair.command(0, Command::Up(PEER));
        pair.deliver();
        let agreed = pair.events[0].iter().find_map(|event| match event {
            IkeEvent::ChildUp { selectors, .. } => Some(selectors.clone()),
            _ => None,
        });
        let agreed = agreed.expect("a child");
        assert_eq!((agreed.local, agreed.remote), (set(&here[..1]), set(&there)));
    });
}

fn is_up(event: &IkeEvent) -> bool {
    matches!(event, IkeEvent::IkeUp { .. })
}

/// A peer with room for fewer children than we want keeps those that it has: a new IKE SA would
/// have no more room.
#[test]
fn a_child_too_many_costs_the_others_nothing() {
    in_both_ways(|| {
        let (mut one, mut two) = (config(1, 2, DialRole::Dial), config(2, 1, DialRole::Answer));
        for (config, [local, remote]) in
            [(&mut one, NETWORKS), (&mut two, [NETWORKS[1], NETWORKS[0]])]
        {
            config.children = std::iter::zip(local, remote)
                .map(|(local, remote)| ChildConfig {
                    selectors: ChildSelectors { local: set(&[local]), remote: set(&[remote]) },
                    ..config.children[0].clone()
                })
                .collect();
        }
        two.children[1].keep_up = false;
        let mut pair = Pair::with(one, two);
        pair.ends[1].settings.max_children = 1;
        pair.command(0, Command::Up(PEER));
        pair.pass(Duration::from_secs(3_600));
        let refused = pair.count(1, |event| matches!(event, IkeEvent::Refused(..)));
        // Asked again all the time, and not more often than every half minute in the long run.
        assert!((90..200).contains(&refused), "{refused}");
        assert_eq!((pair.count(0, is_up), pair.holds(0)), (1, (1, 1, 1)));
    });
}

/// RFC 7296 §1.3: a peer without room for a child's successor gets a new IKE SA with new children.
/// When that has only just been done it waits, so that nobody is dialled in circles.
#[test]
fn a_successor_without_room_comes_on_a_new_ike_sa_and_not_in_circles() {
    in_both_ways(|| {
        let mut pair = established();
        pair.ends[1].settings.max_children = 0;
        pair.pass(Duration::from_secs(600));
        for (seconds, ups) in [(10, 2), (10, 2), (100, 3)] {
            let child = pair.child(0);
            pair.command(0, Command::RekeyChild(PEER, child));
            pair.pass(Duration::from_secs(seconds));
            assert_eq!(pair.count(0, is_up), ups, "{:#?}", pair.events[0]);
            assert_eq!(pair.holds(0), (1, 1, 1));
        }
    });
}

/// The child that a rekey replaces does not count: a peer at its limit can go on rekeying.
#[test]
fn a_peer_at_its_limit_rekeys_its_children() {
    in_both_ways(|| {
        let mut pair = established();
        pair.ends[1].settings.max_children = 1;
        for _ in 0..3 {
            let child = pair.child(0);
            pair.command(0, Command::RekeyChild(PEER, child));
            pair.pass(Duration::from_secs(10));
        }
        assert_eq!((pair.count(0, is_up), pair.holds(0)), (1, (1, 1, 1)), "{:#?}", pair.events[0]);
        let rekeyed = |e: &IkeEvent| matches!(e, IkeEvent::ChildUp { replaces: Some(_), .. });
        assert_eq!(pair.count(1, rekeyed), 3);
    });
}

/// The limit is the peer's, however many IKE SAs it opens: all children twice, while it replaces
/// one IKE SA by another, and what collides.
#[test]
fn children_are_limited_by_peer_and_not_by_ike_sa() {
    in_both_ways(|| {
        let mut pair = established();
        pair.ends[1].settings.max_children = 2;
        for _ in 0..3 {
            pair.command(0, Command::Reauthenticate(PEER));
            pair.deliver();
        }
        let (ike_sas, _, _) = pair.holds(0);
        assert!(ike_sas >= 4);
        for at in 0..ike_sas {
            for _ in 0..4 {
                let now = pair.now;
                pair.ends[0].with(now, PEER, |peer, ctx| {
                    let kind = TaskKind::NewChild(Slot(0), None);
                    peer.sas[at].want(ctx, kind, now.mono);
                    peer.run_followups(ctx);
                });
                pair.collect(0);
                pair.deliver();
            }
        }
        let (_, children, _) = pair.holds(1);
        assert!((4..=2 * 2 + 2).contains(&children), "{children}");
    });
}
