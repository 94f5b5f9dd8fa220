//! The attacker: a peer that keeps to the protocol as far as the test wants, and seals whatever the
//! test made up.

use s2sd::crypto::keymat::{IkeKeys, IkeSpis, Nonces, SkP, SkeySeed, signed_octets};
use s2sd::crypto::{
    Group, IkeSuite, KeyAgreement, MessageOpener, MessageSealer, Provider, Standard,
};
use s2sd::ike::negotiation::proposal::{self, Groups};
use s2sd::pki::auth::{self, ANNOUNCED, AuthPolicy, SignatureChoice};
use s2sd::rng::Rng;
use s2sd::sys::random::SystemRng;
use s2sd::wire::codes::{EncrId, ExchangeType, NotifyType, PayloadType, PrfId};
use s2sd::wire::header::{Flags, Header, IkeVersion, MessageId};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::CertPayload;
use s2sd::wire::payload::chain::Chain;
use s2sd::wire::payload::ke;
use s2sd::wire::payload::nonce::Nonce;
use s2sd::wire::payload::notify::Notify;
use s2sd::wire::payload::ts::TrafficSelectors;
use s2sd::wire::selector::Selector;
use s2sd::wire::spi::{EspSpi, IkeSpi, Spi};

use crate::people::Person;
use crate::target::{Target, esp_line, ike_line};

pub use ExchangeType::{
    CreateChildSa as CREATE_CHILD_SA, IkeAuth as IKE_AUTH, Informational as INFORMATIONAL,
};

/// What AES-GCM puts around a text: the IV, the length of the padding, the tag.
const IV: usize = 8;
const PAD_LENGTH: usize = 1;
const ICV: usize = 16;

/// One end of an IKE SA, or of an attempt at one.
pub struct Hand {
    pub spi: IkeSpi,
    pub peer_spi: IkeSpi,
    pub nonce: Vec<u8>,
    pub group: Group,
    dials: bool,
    exchange: Option<Box<dyn KeyAgreement>>,
    peer_nonce: Vec<u8>,
    own_init: Vec<u8>,
    peer_init: Vec<u8>,
    lock: Option<Lock>,
    provider: Standard,
    rng: SystemRng,
}

struct Lock {
    keys: IkeKeys,
    sealer: Box<dyn MessageSealer>,
    opener: Box<dyn MessageOpener>,
}

impl Hand {
    /// One that sends the first message, or sends others without it.
    pub fn dialling(group: Group) -> Hand {
        Hand::new(group, true)
    }

    /// One that is going to answer this first message; its keys come with [`Hand::hear`].
    pub fn answering(group: Group, request: &[u8]) -> Hand {
        let peer_spi = Message::decode(request).unwrap().header.initiator_spi;
        Hand { peer_spi, ..Hand::new(group, false) }
    }

    fn new(group: Group, dials: bool) -> Hand {
        let mut rng = SystemRng::default();
        let provider = Standard::default();
        let spi = IkeSpi(rng.next_u64() | 1);
        let mut nonce = vec![0; 32];
        rng.fill(&mut nonce);
        let exchange = Some(provider.start_exchange(group, &mut rng));
        Hand {
            spi,
            peer_spi: IkeSpi::ZERO,
            nonce,
            group,
            dials,
            exchange,
            peer_nonce: Vec::new(),
            own_init: Vec::new(),
            peer_init: Vec::new(),
            lock: None,
            provider,
            rng,
        }
    }

    /// The public value of its key exchange.
    pub fn public(&self) -> Vec<u8> {
        self.exchange.as_ref().unwrap().public_value().to_vec()
    }

    /// SA, KE, Nonce and the offer of fragmentation, with this public value and this nonce.
    pub fn init_chain(&self, public: &[u8], nonce: &[u8]) -> Vec<Payload> {
        let line = [ike_line(self.group)];
        vec![
            Payload::Sa(proposal::offer(&line, Spi::None, Groups::Negotiated)),
            Payload::KeyExchange(ke::KeyExchange::new(self.group.id(), public)),
            raw(PayloadType::Nonce, nonce),
            Notify::new(NotifyType::FragmentationSupported).into(),
            Notify::signature_hashes(&ANNOUNCED).into(),
        ]
    }

    /// IKE_SA_INIT of these payloads.
    pub fn init(&mut self, payloads: Vec<Payload>) -> Vec<u8> {
        let header = self.header(ExchangeType::IkeSaInit, 0, !self.dials);
        let bytes = Message::clear(header, payloads).encode().unwrap();
        self.own_init.clone_from(&bytes);
        bytes
    }

    /// The honest one.
    pub fn honest_init(&mut self) -> Vec<u8> {
        self.init(self.init_chain(&self.public(), &self.nonce.clone()))
    }

    /// A whole IKE_SA_INIT exchange, with a cookie if one is asked for.
    #[track_caller]
    pub fn knock(&mut self, target: &mut Target) {
        let request = self.honest_init();
        let mut answer = target.ask(&request);
        let cookie = Message::decode(&answer).unwrap().chain;
        if let Some(cookie) = cookie.notify(NotifyType::Cookie) {
            let mut payloads = self.init_chain(&self.public(), &self.nonce.clone());
            payloads.insert(0, cookie.clone().into());
            let request = self.init(payloads);
            answer = target.ask(&request);
        }
        self.hear(&answer);
    }

    /// Reads the other end's IKE_SA_INIT, and has keys from then on.
    #[track_caller]
    pub fn hear(&mut self, init: &[u8]) {
        let message = Message::decode(init).unwrap();
        let (header, chain) = (message.header, message.chain);
        self.peer_spi = if self.dials { header.responder_spi } else { header.initiator_spi };
        self.peer_init = init.to_vec();
        self.peer_nonce = chain.nonce().expect("a nonce").bytes().to_vec();
        let public = chain.key_exchange().expect("a public value").public.clone();
        self.agree(&public);
    }

    /// The honest payloads of IKE_AUTH, all signed by this person.
    pub fn proof(&mut self, person: &Person) -> Vec<Payload> {
        let announced = Some(&ANNOUNCED[..]);
        let choice = auth::choose(person.key.kind(), announced, &AuthPolicy::default()).unwrap();
        let auth = self.signature(person, &person.identity().signed_body(), choice);
        let id = match self.dials {
            true => Payload::IdInitiator(person.identity()),
            false => Payload::IdResponder(person.identity()),
        };
        let certificate = CertPayload::x509(person.certificate.as_der());
        let mut payloads = vec![id, Payload::Certificate(certificate), auth.into()];
        payloads.extend(self.child(None));
        payloads
    }

    /// An AUTH payload over this ID, by this person's key.
    pub fn signature(&self, person: &Person, id: &[u8], choice: SignatureChoice) -> AuthPayload {
        let keys = &self.lock.as_ref().unwrap().keys;
        let sk_p = match self.dials {
            true => SkP::Initiator(&keys.pi),
            false => SkP::Responder(&keys.pr),
        };
        let prf = self.suite().prf;
        let octets = signed_octets(&self.provider, prf, sk_p, &self.own_init, &self.peer_nonce, id);
        let data = auth::sign(&person.key, choice, &[&octets]).unwrap();
        AuthPayload::new(choice.method, data)
    }

    /// SA, TSi and TSr for a child of everything.
    pub fn child(&mut self, group: Option<Group>) -> Vec<Payload> {
        let spi = EspSpi(self.rng.next_u64() as u32 | 0x1000);
        let groups = if group.is_some() { Groups::Negotiated } else { Groups::Omitted };
        vec![
            Payload::Sa(proposal::offer(&[esp_line(group)], spi, groups)),
            Payload::TsInitiator(everything()),
            Payload::TsResponder(everything()),
        ]
    }

    /// IKE_AUTH of these payloads.
    pub fn seal_auth(&mut self, payloads: &[Payload]) -> Vec<u8> {
        self.seal(IKE_AUTH, 1, !self.dials, payloads)
    }

    /// A message of these payloads.
    pub fn seal(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        response: bool,
        payloads: &[Payload],
    ) -> Vec<u8> {
        let (first, text) = encode(payloads);
        let header = self.header(exchange, id, response);
        self.seal_text(header, None, first, &text)
    }

    /// A message of these octets; `part` makes it a fragment, with numbers that need not make
    /// sense.
    pub fn seal_text(
        &mut self,
        header: Header,
        part: Option<(u16, u16)>,
        first: PayloadType,
        text: &[u8],
    ) -> Vec<u8> {
        let kind = match part {
            None => PayloadType::Encrypted,
            Some(_) => PayloadType::EncryptedFragment,
        };
        let mut bytes = Message::clear(header, Chain::new()).encode().unwrap();
        bytes[16] = kind.into();
        let numbers = part.map(|(number, total)| [number.to_be_bytes(), total.to_be_bytes()]);
        let numbers = numbers.as_ref().map_or(&[][..], |numbers| numbers.as_flattened());
        let payload = 4 + numbers.len() + IV + text.len() + PAD_LENGTH + ICV;
        bytes.extend([u8::from(first), 0]);
        bytes.extend(u16::try_from(payload).expect("a payload is below 64 KiB").to_be_bytes());
        bytes.extend(numbers);
        let body = bytes.len();
        bytes.extend([0; IV]);
        bytes.extend(text);
        bytes.extend([0; PAD_LENGTH + ICV]);
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        bytes[24..28].copy_from_slice(&length);
        let lock = self.lock.as_mut().expect("keys");
        lock.sealer.seal(&mut bytes, body, text.len(), &mut self.rng).unwrap();
        bytes
    }

    /// The payloads of a message of the target.
    #[track_caller]
    pub fn open(&self, bytes: &[u8]) -> Chain {
        let (first, text) = self.unseal(bytes);
        Chain::decode(first, &text).unwrap()
    }

    /// The payloads of a message of the target that came in as many pieces as it took.
    #[track_caller]
    pub fn join(&self, pieces: &[Vec<u8>]) -> Chain {
        let [piece] = pieces else {
            let opened: Vec<(PayloadType, Vec<u8>)> =
                pieces.iter().map(|piece| self.unseal(piece)).collect();
            let first = opened.first().expect("an answer").0;
            let text: Vec<u8> = opened.into_iter().flat_map(|(_, text)| text).collect();
            return Chain::decode(first, &text).unwrap();
        };
        self.open(piece)
    }

    /// The header of a message of this end.
    pub fn header(&self, exchange: ExchangeType, id: u32, response: bool) -> Header {
        let (initiator_spi, responder_spi) =
            if self.dials { (self.spi, self.peer_spi) } else { (self.peer_spi, self.spi) };
        Header {
            initiator_spi,
            responder_spi,
            version: IkeVersion::V2,
            exchange,
            flags: Flags::default()
                .with(Flags::INITIATOR, self.dials)
                .with(Flags::RESPONSE, response),
            message_id: MessageId(id),
        }
    }

    #[track_caller]
    fn unseal(&self, bytes: &[u8]) -> (PayloadType, Vec<u8>) {
        let sealed = Message::decode(bytes).unwrap().sealed.expect("a sealed message");
        let mut open = bytes.to_vec();
        let lock = self.lock.as_ref().expect("keys");
        let range = lock.opener.open(&mut open, bytes.len() - sealed.content.len()).unwrap();
        (sealed.first, open[range].to_vec())
    }

    fn agree(&mut self, public: &[u8]) {
        let shared = self.exchange.take().unwrap().agree(public).expect("an honest value");
        let suite = self.suite();
        let (initiator, responder) = match self.dials {
            true => ((&self.nonce, self.spi), (&self.peer_nonce, self.peer_spi)),
            false => ((&self.peer_nonce, self.peer_spi), (&self.nonce, self.spi)),
        };
        let nonces = Nonces { initiator: initiator.0, responder: responder.0 };
        let spis = IkeSpis {
            initiator: initiator.1.0.to_be_bytes(),
            responder: responder.1.0.to_be_bytes(),
        };
        let seed = SkeySeed::of_new(&self.provider, suite.prf, nonces, &shared);
        let keys = IkeKeys::derive(&self.provider, &suite, &seed, nonces, spis);
        let (ours, theirs) = match self.dials {
            true => (keys.of_initiator(), keys.of_responder()),
            false => (keys.of_responder(), keys.of_initiator()),
        };
        let sealer = self.provider.message_sealer(&suite, ours, &mut self.rng).unwrap();
        let opener = self.provider.message_opener(&suite, theirs).unwrap();
        self.lock = Some(Lock { keys, sealer, opener });
    }

    fn suite(&self) -> IkeSuite {
        let (encr, prf) = (EncrId::AesGcm16, PrfId::HmacSha2_384);
        IkeSuite::from_transforms(encr, Some(256), prf, None, self.group.id()).unwrap()
    }
}

/// A dialling hand that is through IKE_SA_INIT.
pub fn half_open(target: &mut Target) -> Hand {
    let mut hand = Hand::dialling(Group::Ecp256);
    hand.knock(target);
    hand
}

/// A dialling hand that is authenticated, with a child.
#[track_caller]
pub fn established(target: &mut Target, person: &Person) -> Hand {
    let mut hand = half_open(target);
    let chain = hand.proof(person);
    let request = hand.seal_auth(&chain);
    target.give(&request);
    assert_eq!((target.ikes(), target.children()), (1, 1), "{:#?}", target.events);
    hand
}

/// A payload of any type with any body.
pub fn raw(kind: PayloadType, body: &[u8]) -> Payload {
    Payload::Unknown { kind, body: body.to_vec() }
}

/// Payloads as octets, and the type of the first.
pub fn encode(payloads: &[Payload]) -> (PayloadType, Vec<u8>) {
    payloads.iter().cloned().collect::<Chain>().encode().unwrap()
}

/// 0.0.0.0/0 and nothing else.
pub fn everything() -> TrafficSelectors {
    TrafficSelectors::from_iter([Selector::ANY_V4])
}

/// A nonce payload.
pub fn nonce(bytes: &[u8]) -> Payload {
    Nonce::new(bytes).unwrap().into()
}

/// The kinds of error that a chain tells.
pub fn errors(chain: &Chain) -> Vec<NotifyType> {
    chain.notifies().map(|notify| notify.kind).filter(|kind| kind.is_error()).collect()
}
