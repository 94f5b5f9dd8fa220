//! Every message of a long story, opened on its way and held against the standard: what an end
//! sends has the form that RFC 7296 demands of a sender, whatever the message is about.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::*;
use crate::crypto::SaKind;
use crate::ike::admission::budget::{HalfOpen, HalfOpenLimits};
use crate::ike::exchange::acceptance;
use crate::ike::exchange::step::{MessageHalf, Step};
use crate::ike::peer::handshake::Handshake;
use crate::ike::sa::channel::OpenedMessage;
use crate::ike::sa::window::Fingerprint;
use crate::wire::codes::{
    AttributeType, ExchangeType, IdType, IntegId, KeId, NotifyType, PayloadType, ProtocolId,
    TransformType,
};
use crate::wire::header::{Flags, Header};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::chain::{Chain, GenericFlags};
use crate::wire::payload::notify::Notify;
use crate::wire::payload::sa::{AttributeValue, Proposal, SecurityAssociation, TransformId};
use crate::wire::payload::ts::{TrafficSelector, TrafficSelectors};
use crate::wire::selector::ports::Ports;
use crate::wire::spi::{EspSpi, IkeSpi, Spi};

/// One direction of requests on one IKE SA.
type Asker = (IkeSpi, IkeSpi, usize);

/// What was read so far, and everything that is wrong with it.
#[derive(Default)]
struct Log {
    seen: HashSet<Vec<u8>>,
    nonces: HashSet<Vec<u8>>,
    /// The message ID of the last request.
    requests: HashMap<Asker, u32>,
    deleted: HashSet<Asker>,
    rekeyed: HashSet<(IkeSpi, IkeSpi)>,
    kinds: BTreeSet<(Step, MessageHalf)>,
    findings: Vec<String>,
    /// How many messages were read, in all stories.
    read: usize,
}

impl Log {
    /// Begins another story: its ends draw the same SPIs and nonces again.
    fn begin(&mut self) {
        let Log { kinds, findings, read, .. } = std::mem::take(self);
        *self = Log { kinds, findings, read, ..Log::default() };
    }

    /// Reads a datagram that `from` has put on the wire.
    fn read(&mut self, pair: &mut Pair, from: usize, bytes: &[u8]) {
        let Some((message, chain)) = open(pair, 1 - from, bytes) else { return };
        let header = message.header;
        let repeated = !self.seen.insert(bytes.to_vec());
        let half = if header.is_response() { MessageHalf::Response } else { MessageHalf::Request };
        let mut found = header_findings(&message, bytes);
        let step = match header.exchange {
            ExchangeType::IkeSaInit => Step::Init,
            ExchangeType::IkeAuth => Step::Auth,
            ExchangeType::Informational => Step::Inform,
            _ => match chain.sa().map(|sa| sa.proposals[0].protocol) {
                Some(ProtocolId::Ike) => Step::RekeyIke,
                _ if chain.notify(NotifyType::RekeySa).is_some() => Step::RekeyChild,
                _ => Step::NewChild,
            },
        };
        found.extend(chain_findings(step, half, &chain));
        if !repeated {
            found.extend(self.history(from, &header, step, half, &chain));
        }
        self.read += 1;
        self.kinds.insert((step, half));
        self.findings.extend(found.into_iter().map(|f| format!("{step} {half:?}: {f}")));
    }

    /// What is wrong with the message after those before it.
    fn history(
        &mut self,
        from: usize,
        header: &Header,
        step: Step,
        half: MessageHalf,
        chain: &Chain,
    ) -> Vec<String> {
        let mut found = Vec::new();
        // An IKE_SA_INIT request that is sent again with a cookie or in another group keeps its
        // nonce (RFC 7296 §2.6).
        if let Some(nonce) = chain.nonce()
            && !self.nonces.insert(nonce.bytes().to_vec())
            && step != Step::Init
        {
            found.push("a nonce again (§3.9)".to_owned());
        }
        let sa = (header.initiator_spi, header.responder_spi);
        if step == Step::RekeyIke && half == MessageHalf::Response && chain.sa().is_some() {
            self.rekeyed.insert(sa);
        }
        if half == MessageHalf::Response || step == Step::Init {
            return found;
        }
        let asker = (sa.0, sa.1, from);
        let first = u32::from(step == Step::Auth);
        let expected = self.requests.get(&asker).map_or(first, |last| last + 1);
        if header.message_id.0 != expected {
            found.push(format!("ID {} instead of {expected} (§2.2, §2.18)", header.message_id));
        }
        self.requests.insert(asker, header.message_id.0);
        if self.deleted.contains(&asker) {
            found.push("a request after the Delete of the IKE SA (§2.8)".to_owned());
        }
        if header.exchange == ExchangeType::CreateChildSa && self.rekeyed.contains(&sa) {
            found.push("a CREATE_CHILD_SA on an IKE SA that is rekeyed (§1.3.2)".to_owned());
        }
        if chain.deletes().any(|delete| delete.protocol == ProtocolId::Ike) {
            self.deleted.insert(asker);
        }
        found
    }
}

/// The message, and its payloads as the receiver reads them.
fn open(pair: &mut Pair, to: usize, bytes: &[u8]) -> Option<(Message, Chain)> {
    let message = Message::decode(bytes).expect("a message of ours");
    if message.sealed.is_none() {
        let chain = message.chain.clone();
        return Some((message, chain));
    }
    let header = message.header;
    let own = if header.is_from_initiator() { header.responder_spi } else { header.initiator_spi };
    let now = pair.now.mono;
    let peer = pair.ends[to].peers.get_mut(&PEER).expect("known");
    let of_sas = peer.sas.iter_mut().map(|sa| &mut sa.channel);
    let of_handshakes = peer.handshakes.iter_mut().filter_map(|phase| match phase {
        Handshake::InitSent(_) => None,
        Handshake::AuthSent(phase) => Some(&mut phase.keyed.channel),
        Handshake::InitAnswered(phase) => Some(&mut phase.keyed.channel),
        Handshake::AuthRejected(phase) => Some(&mut phase.channel),
        Handshake::AuthRefused(phase) => Some(&mut phase.channel),
    });
    let channel = of_sas.chain(of_handshakes).find(|channel| channel.own == own)?;
    match channel.open(now, bytes, Fingerprint([0; 32])) {
        Some(OpenedMessage::Whole(chain, _)) => Some((message, chain.expect("it reads"))),
        other => panic!("{other:?}"),
    }
}

/// RFC 7296 §3.1, §3.2, §3.14.
fn header_findings(message: &Message, bytes: &[u8]) -> Vec<String> {
    let header = message.header;
    let first = header.exchange == ExchangeType::IkeSaInit;
    let sealed = message.sealed.as_ref();
    let rules = [
        (bytes[17] == 0x20, "version 2.0"),
        (bytes[19] & !(Flags::INITIATOR.0 | Flags::RESPONSE.0) == 0, "no flag beside I and R"),
        (header.initiator_spi != IkeSpi::ZERO, "an initiator's SPI"),
        (
            !first || header.is_response() || header.responder_spi == IkeSpi::ZERO,
            "no responder's SPI in the first request",
        ),
        (!first || header.message_id.0 == 0, "ID 0 in IKE_SA_INIT"),
        (first == sealed.is_none(), "only IKE_SA_INIT is in clear"),
        (sealed.is_none_or(|_| message.chain.is_empty()), "nothing in clear before SK"),
        (sealed.is_none_or(|sealed| sealed.flags == GenericFlags(0)), "SK with no bit set"),
    ];
    missing(&rules)
}

fn missing(rules: &[(bool, &str)]) -> Vec<String> {
    rules.iter().filter(|(holds, _)| !holds).map(|(_, rule)| format!("not: {rule}")).collect()
}

/// What is wrong with the payloads of one message by themselves.
fn chain_findings(step: Step, half: MessageHalf, chain: &Chain) -> Vec<String> {
    let plain: Chain = chain.iter().cloned().collect();
    let kinds: Vec<PayloadType> = chain.kinds().collect();
    let allowed: Vec<PayloadType> = acceptance::forms(step, half)
        .iter()
        .flat_map(|form| form.required.iter().chain(form.optional))
        .copied()
        .chain([PayloadType::Notify])
        .filter(|kind| !matches!(kind, PayloadType::Configuration | PayloadType::Eap))
        .collect();
    let first = kinds.first().copied();
    let early = |kind| chain.notify(kind).is_none() || first == Some(PayloadType::Notify);
    let mut found = missing(&[
        (plain == *chain, "no critical and no reserved bit of a payload header (§3.2)"),
        (in_order(step, half, &kinds), "payloads in the order of the figures (§2.5)"),
        (kinds.iter().all(|kind| allowed.contains(kind)), "payloads of the figures alone"),
        (step != Step::Init || early(NotifyType::Cookie), "the cookie comes first (§2.6)"),
        (chain.iter().all(has_zeros), "reserved fields are zero (§2.5)"),
        (
            chain.nonce().is_none_or(|nonce| (32..=256).contains(&nonce.bytes().len())),
            "a nonce of half the largest PRF key (§2.10)",
        ),
    ]);
    found.extend(chain.notifies().flat_map(|notify| notify_findings(step, half, notify)));
    found.extend(chain.deletes().flat_map(|delete| {
        missing(&[(
            match delete.protocol {
                ProtocolId::Ike => delete.spi_size == 0 && delete.spis.is_empty(),
                ProtocolId::Esp => delete.spi_size == 4 && delete.esp_spis().count() > 0,
                _ => false,
            },
            "a Delete of this IKE SA, or of ESP SAs (§3.11)",
        )])
    }));
    if let Some(sa) = chain.sa() {
        found.extend(sa_findings(step, half, sa));
    }
    found.extend(ke_findings(half, chain));
    for ts in chain.ts_initiator().into_iter().chain(chain.ts_responder()) {
        found.extend(ts_findings(ts));
    }
    found
}

/// The figures of RFC 7296 §1.2, §1.3 and §1.4.
fn in_order(step: Step, half: MessageHalf, kinds: &[PayloadType]) -> bool {
    use PayloadType::*;
    let figure: &[PayloadType] = match (step, half) {
        (Step::Init, _) => &[Sa, KeyExchange, Nonce, CertificateRequest],
        (Step::Auth, MessageHalf::Request) => &[
            IdInitiator,
            Certificate,
            CertificateRequest,
            IdResponder,
            Authentication,
            Sa,
            TsInitiator,
            TsResponder,
        ],
        (Step::Auth, MessageHalf::Response) => {
            &[IdResponder, Certificate, Authentication, Sa, TsInitiator, TsResponder]
        }
        _ => &[Sa, Nonce, KeyExchange, TsInitiator, TsResponder, Delete],
    };
    let places = kinds.iter().filter_map(|kind| figure.iter().position(|other| other == kind));
    places.is_sorted()
}

/// The reserved fields of a payload's body.
fn has_zeros(payload: &Payload) -> bool {
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    match payload {
        Payload::Sa(sa) => sa.proposals.iter().all(|proposal| {
            zero(proposal.reserved.bytes())
                && proposal.transforms.iter().flat_map(|t| &t.reserved).all(|r| zero(r.bytes()))
        }),
        Payload::KeyExchange(ke) => zero(ke.reserved.bytes()),
        Payload::IdInitiator(id) | Payload::IdResponder(id) => {
            zero(id.reserved.bytes())
                && (id.kind != IdType::Fqdn || id.data.iter().all(u8::is_ascii_graphic))
        }
        Payload::Authentication(auth) => zero(auth.reserved.bytes()),
        Payload::TsInitiator(ts) | Payload::TsResponder(ts) => zero(ts.reserved.bytes()),
        _ => true,
    }
}

/// RFC 7296 §3.10, and the notifies that this end never sends.
fn notify_findings(step: Step, half: MessageHalf, notify: &Notify) -> Vec<String> {
    use NotifyType::*;
    let names_sa = matches!(notify.kind, RekeySa | ChildSaNotFound);
    let never = [
        UseTransportMode,
        IpcompSupported,
        SetWindowSize,
        HttpCertLookupSupported,
        NonFirstFragmentsAlso,
        InvalidMessageId,
    ];
    missing(&[
        (names_sa == (notify.spi.esp().is_some()), "an SPI where the notify is about a child"),
        (
            notify.protocol == if names_sa { ProtocolId::Esp } else { ProtocolId::None },
            "a protocol just where there is an SPI (§3.10)",
        ),
        (notify.kind != RekeySa || notify.data.is_empty(), "no data in REKEY_SA (§1.3.3)"),
        (
            notify.kind != InvalidKePayload || notify.data.len() == 2,
            "two octets in INVALID_KE_PAYLOAD (§1.3)",
        ),
        (
            notify.kind != InitialContact || (step, half) == (Step::Auth, MessageHalf::Request),
            "INITIAL_CONTACT in the first IKE_AUTH alone (§2.4)",
        ),
        (!never.contains(&notify.kind), "no notify of what s2sd does not do"),
    ])
}

/// RFC 7296 §1.2, §2.7, §3.3.
fn sa_findings(step: Step, half: MessageHalf, sa: &SecurityAssociation) -> Vec<String> {
    let (protocol, spi) = match step {
        Step::Init => (ProtocolId::Ike, 0),
        Step::RekeyIke => (ProtocolId::Ike, 8),
        _ => (ProtocolId::Esp, 4),
    };
    let is_answer = half == MessageHalf::Response;
    let numbers: Vec<u8> = sa.proposals.iter().map(|proposal| proposal.number).collect();
    let mut found = missing(&[
        (
            is_answer || numbers.iter().copied().eq((1..=u8::MAX).take(numbers.len())),
            "proposals numbered from 1 (§3.3.1)",
        ),
        (!is_answer || numbers.len() == 1, "one proposal in an answer (§2.7)"),
    ]);
    for proposal in &sa.proposals {
        let of = |kind| proposal.of_type(kind).count();
        let groups = of(TransformType::KeyExchange);
        found.extend(missing(&[
            (proposal.protocol == protocol, "the protocol of the exchange"),
            (proposal.spi.len() == spi, "an SPI of the protocol's length (§3.3.1)"),
            (of(TransformType::Encryption) > 0, "encryption"),
            ((of(TransformType::Prf) > 0) == (protocol == ProtocolId::Ike), "a PRF for IKE alone"),
            (has_integrity_where_needed(proposal), "integrity where the cipher has none (§3.3)"),
            (step != Step::Auth || groups == 0, "no group in IKE_AUTH (§1.2)"),
            (protocol == ProtocolId::Esp || groups > 0, "a group for each IKE SA (§2.18)"),
            (!is_answer || has_one_each(proposal), "one transform a type in an answer (§2.7)"),
            (has_sound_transforms(proposal), "key lengths in their form, and no NONE (§3.3.5)"),
        ]));
    }
    found
}

/// A combined-mode cipher is proposed without an integrity algorithm, another with one.
fn has_integrity_where_needed(proposal: &Proposal) -> bool {
    let combined = proposal.of_type(TransformType::Encryption).all(|transform| {
        !matches!(transform.id, TransformId::Encryption(EncrId::AesCbc | EncrId::Null))
    });
    combined == (proposal.of_type(TransformType::Integrity).count() == 0)
}

fn has_one_each(proposal: &Proposal) -> bool {
    TransformType::KNOWN.iter().all(|kind| proposal.of_type(*kind).count() <= 1)
}

fn has_sound_transforms(proposal: &Proposal) -> bool {
    proposal.transforms.iter().all(|transform| {
        let is_none = matches!(
            transform.id,
            TransformId::KeyExchange(KeId::None) | TransformId::Integrity(IntegId::None)
        );
        let is_cipher = transform.id.kind() == TransformType::Encryption;
        let lengths = transform.attributes.iter().all(|attribute| {
            attribute.kind == AttributeType::KeyLength
                && matches!(attribute.value, AttributeValue::Short(_))
        });
        !is_none && lengths && transform.attributes.len() == usize::from(is_cipher)
    })
}

/// RFC 7296 §1.3, §3.4.
fn ke_findings(half: MessageHalf, chain: &Chain) -> Vec<String> {
    let Some(sa) = chain.sa() else { return Vec::new() };
    let groups = |proposal: &Proposal| -> Vec<TransformId> {
        proposal.of_type(TransformType::KeyExchange).map(|transform| transform.id).collect()
    };
    let offered: Vec<TransformId> = sa.proposals.iter().flat_map(groups).collect();
    let Some(ke) = chain.key_exchange() else {
        return missing(&[(offered.is_empty(), "a KE payload with a group")]);
    };
    let length = Group::from_id(SaKind::Ike, ke.group).map(Group::public_len);
    let id = TransformId::KeyExchange(ke.group);
    missing(&[
        (offered.contains(&id), "a KE payload of a group that is proposed"),
        (half == MessageHalf::Request || offered == [id], "an answer in the chosen group"),
        (length == Ok(ke.public.len()), "a public value of the group's length"),
    ])
}

/// RFC 7296 §3.13.
fn ts_findings(ts: &TrafficSelectors) -> Vec<String> {
    let sound = ts.entries.iter().all(|entry| match entry {
        TrafficSelector::Ip(selector) => selector.protocol != 0 || selector.ports == Ports::ANY,
        TrafficSelector::Unknown { .. } => false,
    });
    missing(&[(sound && !ts.entries.is_empty(), "selectors with all ports of any protocol")])
}

/// Lets time pass as [`Pair::pass`] does, and reads everything.
fn tell(pair: &mut Pair, log: &mut Log, time: Duration) {
    let end_at = pair.now.mono + time;
    loop {
        while let Some((from, _, bytes)) = pair.wire.front().cloned() {
            log.read(pair, from, &bytes);
            pair.deliver_one();
        }
        let due = (0..2).filter_map(|end| Some((pair.ends[end].poll_timeout()?.0, end))).min();
        let Some((at, end)) = due.filter(|(at, _)| *at <= end_at) else { break };
        pair.turn_clocks(at);
        pair.ends[end].handle_timeout(pair.now);
        pair.collect(end);
    }
    pair.turn_clocks(end_at);
}

/// The policies of two ends: two ciphers, two groups, and the first guess of end 0 is refused.
fn two_policies() -> [(ProposalPolicy, ProposalPolicy); 2] {
    let ike = |group: Group, cbc: bool| {
        let (encr, integ) = match cbc {
            true => (EncrId::AesCbc, Some(IntegId::HmacSha2_256_128)),
            false => (EncrId::AesGcm16, None),
        };
        IkeSuite::from_transforms(encr, Some(256), PrfId::HmacSha2_512, integ, group.id())
            .unwrap()
            .into()
    };
    let esp = |group: Group, cbc: bool| {
        let (encr, integ) = match cbc {
            true => (EncrId::AesCbc, Some(IntegId::HmacSha2_256_128)),
            false => (EncrId::AesGcm16, None),
        };
        let esn = EsnId::Sequence32;
        EspSuite::from_transforms(encr, Some(128), integ, Some(group.id()), esn).unwrap().into()
    };
    let lines = [(Group::Ecp384, false), (Group::Ecp256, true)];
    let ikes = lines.map(|(group, cbc)| ike(group, cbc));
    let esps = lines.map(|(group, cbc)| esp(group, cbc));
    [
        (ProposalPolicy::new(&ikes).0, ProposalPolicy::new(&esps).0),
        (ProposalPolicy::new(&ikes[1..]).0, ProposalPolicy::new(&esps[1..]).0),
    ]
}

/// Two ends that send no fragments, so that each message is one datagram.
fn unfragmented(one: PeerConfig, two: PeerConfig) -> Pair {
    let mut pair = Pair::with(one, two);
    for end in &mut pair.ends {
        end.settings.max_datagram = 60_000;
    }
    pair
}

/// A connection with all that befalls one in its life.
fn life(log: &mut Log, two_lines: bool) {
    log.begin();
    let (mut one, mut two) = (config(1, 2, DialRole::Dial), config(2, 1, DialRole::Answer));
    if two_lines {
        let [of_one, of_two] = two_policies();
        (one.ike, one.children[0].esp) = of_one;
        (two.ike, two.children[0].esp) = of_two;
    }
    one.ask_for = two_lines.then(|| Identity::fqdn("two"));
    let mut pair = unfragmented(one, two);
    let limits = HalfOpenLimits { cookies_from: 0, ..HalfOpenLimits::default() };
    pair.ends[1].admissions.half_open = HalfOpen::new(limits);
    pair.command(0, Command::Up(PEER));
    tell(&mut pair, log, Duration::from_secs(60));
    assert_eq!(pair.holds(0), (1, 1, 1), "{:#?}", pair.events[0]);
    for ends in [&[0][..], &[1], &[0, 1]] {
        for end in ends {
            let child = pair.child(*end);
            pair.command(*end, Command::RekeyChild(PEER, child));
        }
        tell(&mut pair, log, Duration::from_secs(20));
        for end in ends {
            pair.command(*end, Command::RekeyIke(PEER));
        }
        tell(&mut pair, log, Duration::from_secs(20));
        let child = pair.child(ends[0]);
        let gone = DataEvent::HardLimit(PEER, child);
        pair.ends[ends[0]].handle_data_event(pair.now, gone);
        pair.collect(ends[0]);
        tell(&mut pair, log, Duration::from_secs(100));
        pair.command(ends[0], Command::Reauthenticate(PEER));
        tell(&mut pair, log, Duration::from_secs(100));
    }
    tell(&mut pair, log, Duration::from_secs(86_400));
    assert_eq!(pair.holds(0), (1, 1, 1), "{:#?}", pair.events[0]);
    pair.command(1, Command::Down(PEER));
    tell(&mut pair, log, Duration::from_secs(10));
}

/// A connection that never comes up: one end does not believe the other.
fn refusal(log: &mut Log, doubter: usize) {
    log.begin();
    let mut configs = [config(1, 2, DialRole::Dial), config(2, 1, DialRole::Answer)];
    configs[doubter].credentials = Rc::new(Toy { believes: false, ..Toy::new("doubter") });
    let [one, two] = configs;
    let mut pair = unfragmented(one, two);
    pair.command(0, Command::Up(PEER));
    tell(&mut pair, log, Duration::from_secs(20));
    assert_eq!(pair.holds(0), (0, 0, 0));
}

#[test]
fn what_is_sent_has_the_form_that_the_standard_demands() {
    let mut log = Log::default();
    life(&mut log, false);
    life(&mut log, true);
    refusal(&mut log, 0);
    refusal(&mut log, 1);
    log.findings.dedup();
    assert!(log.findings.is_empty(), "{:#?}", log.findings);
    // The response to the rekey of a child looks like that to the request for a new one.
    let mut all: BTreeSet<_> = Step::ALL.iter().map(|step| (*step, MessageHalf::Request)).collect();
    all.extend(Step::ALL.iter().map(|step| (*step, MessageHalf::Response)));
    all.remove(&(Step::RekeyChild, MessageHalf::Response));
    assert_eq!(log.kinds, all);
    assert!(log.read > 200, "{} messages", log.read);
}

/// The rules of this file, each shown to notice.
#[test]
fn what_breaks_the_form_is_noticed() {
    use MessageHalf::{Request, Response};
    let group = Group::Ecp256.id();
    let offer = |number, transforms: Vec<crate::wire::payload::sa::Transform>| {
        let spi = Spi::Esp(EspSpi(4_096));
        SecurityAssociation::from(Proposal::new(number, ProtocolId::Esp, spi, transforms))
    };
    let aead = || crate::wire::payload::sa::Transform::with_key_length(EncrId::AesGcm16, 256);
    let ke = || crate::wire::payload::sa::Transform::new(group);
    let value = |length: usize| {
        Payload::KeyExchange(crate::wire::payload::ke::KeyExchange::new(group, vec![2; length]))
    };
    let mut critical = Chain::new();
    critical.push_with(Notify::new(NotifyType::InitialContact), GenericFlags(0x80));
    let about = Notify { protocol: ProtocolId::Ike, ..Notify::new(NotifyType::InvalidSyntax) };
    let of_ike = Notify { spi: Spi::Esp(EspSpi(9)), ..about.clone() };
    let cases: Vec<(Step, MessageHalf, Chain)> = vec![
        (Step::Auth, Request, critical),
        (Step::Inform, Response, Chain::from_iter([about.into()])),
        (Step::Inform, Response, Chain::from_iter([of_ike.into()])),
        (Step::Inform, Request, Chain::from_iter([Notify::new(NotifyType::SetWindowSize).into()])),
        (Step::Inform, Request, Chain::from_iter([Notify::new(NotifyType::InitialContact).into()])),
        (Step::Auth, Request, Chain::from_iter([offer(2, vec![aead()]).into()])),
        (Step::Auth, Request, Chain::from_iter([offer(1, vec![aead(), ke()]).into()])),
        (Step::NewChild, Request, Chain::from_iter([offer(1, vec![aead(), ke()]).into()])),
        (Step::NewChild, Request, Chain::from_iter([offer(1, vec![aead()]).into(), value(64)])),
        (
            Step::NewChild,
            Request,
            Chain::from_iter([offer(1, vec![aead(), ke()]).into(), value(63)]),
        ),
        (Step::RekeyIke, Request, Chain::from_iter([offer(1, vec![aead()]).into()])),
        (
            Step::NewChild,
            Request,
            Chain::from_iter([value(64), offer(1, vec![aead(), ke()]).into()]),
        ),
    ];
    for (step, half, chain) in cases {
        assert!(!chain_findings(step, half, &chain).is_empty(), "{step} {half:?} {chain:?}");
    }
    let sound = Chain::from_iter([offer(1, vec![aead(), ke()]).into(), value(64)]);
    assert_eq!(chain_findings(Step::NewChild, Request, &sound), Vec::<String>::new());
}
