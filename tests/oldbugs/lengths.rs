//! Integer edges in every length: each pair of octets of each kind of message becomes 0, 1, the
//! sign bit, the largest number and its neighbours. That covers every length field wherever it
//! stands, and every count and number besides. What is sealed is sealed again, so that the edge
//! reaches the decoder.

use std::rc::Rc;

use rcgen::{KeyPair, PKCS_ED25519};
use s2sd::crypto::Group;
use s2sd::wire::codes::{AuthMethod, PayloadType};
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::chain::Chain;
use s2sd::wire::payload::delete::Delete;
use s2sd::wire::payload::notify::Notify;
use s2sd::wire::spi::EspSpi;

use crate::hand::{
    CREATE_CHILD_SA, Hand, IKE_AUTH, INFORMATIONAL, encode, established, half_open, nonce,
};
use crate::people::{Authority, PEER, Person};
use crate::target::Target;

/// What a 16-bit field becomes.
const EDGES: [u16; 10] = [0, 1, 3, 4, 0x7fff, 0x8000, 0xff00, 0xfffc, 0xfffe, 0xffff];

#[test]
fn integer_edges_in_every_length_of_init() {
    let root = Rc::new(Authority::root("Root"));
    let mut target = Target::under(&root);
    let mut hand = Hand::dialling(Group::Ecp256);
    let honest = hand.honest_init();
    for at in 16..honest.len() - 1 {
        for edge in EDGES {
            let mut bytes = honest.clone();
            bytes[at..at + 2].copy_from_slice(&edge.to_be_bytes());
            target.shrug_first(&bytes);
        }
    }
    for length in [0_u32, 1, 27, 28, 29, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let mut bytes = honest.clone();
        bytes[24..28].copy_from_slice(&length.to_be_bytes());
        target.ignore(&bytes);
    }
    for end in 0..honest.len() {
        target.ignore(&honest[..end]);
    }
    target.expect_unharmed();
}

#[test]
fn integer_edges_in_every_length_of_auth() {
    let root = Rc::new(Authority::root("Root"));
    // Its signatures are always of the same size.
    let person = root.person_with(PEER, &KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let places = {
        let mut target = Target::under(&root);
        let payloads = half_open(&mut target).proof(&person);
        outside_certificates(&payloads)
    };
    for at in places {
        for edge in EDGES {
            let mut target = Target::under(&root);
            let mut hand = half_open(&mut target);
            let payloads = hand.proof(&person);
            let (first, text) = altered(&payloads, at, edge);
            let header = hand.header(IKE_AUTH, 1, false);
            let request = hand.seal_text(header, None, first, &text);
            target.give(&request);
            assert!(target.ikes() <= 1 && target.children() <= 1);
            // Whatever became of the rest: an ID, a certificate or a signature that was changed
            // proves nothing.
            let same = proof_of(first, &text).is_some_and(|proof| Some(proof) == honest(&payloads));
            assert!(same || target.ikes() == 0, "octet {at} became {edge:#x}");
        }
    }
}

#[test]
fn integer_edges_in_every_length_of_create_child_sa_and_informational() {
    let root = Rc::new(Authority::root("Root"));
    let person = root.person(PEER);
    for exchange in [CREATE_CHILD_SA, INFORMATIONAL] {
        let (mut target, mut hand) = pair(&root, &person);
        let mut id = 2;
        let payloads = match exchange {
            CREATE_CHILD_SA => [hand.child(None), vec![nonce(&[5; 32])]].concat(),
            _ => vec![
                Payload::Notify(Notify::rekey(EspSpi(0x1234))),
                Payload::Delete(Delete::esp([EspSpi(0x4321), EspSpi(0x5432)])),
            ],
        };
        for at in 0..encode(&payloads).1.len() - 1 {
            for edge in EDGES {
                let (first, text) = altered(&payloads, at, edge);
                let header = hand.header(exchange, id, false);
                let request = hand.seal_text(header, None, first, &text);
                let answers = target.give(&request);
                assert_eq!(answers.len(), 1, "a request has its answer: {:#?}", target.events);
                id += 1;
                if target.ikes() == 0 || target.children() > 90 {
                    (target, hand) = pair(&root, &person);
                    id = 2;
                }
            }
        }
        target.expect_unharmed();
    }
}

fn pair(root: &Rc<Authority>, person: &Person) -> (Target, Hand) {
    let mut target = Target::under(root);
    let hand = established(&mut target, person);
    (target, hand)
}

/// The payloads with one 16-bit number changed.
fn altered(payloads: &[Payload], at: usize, edge: u16) -> (PayloadType, Vec<u8>) {
    let (first, mut text) = encode(payloads);
    text[at..at + 2].copy_from_slice(&edge.to_be_bytes());
    (first, text)
}

/// What a message proves itself with: ID, certificates, method and signature.
type Proof = (Vec<u8>, Vec<Vec<u8>>, AuthMethod, Vec<u8>);

fn proof_of(first: PayloadType, text: &[u8]) -> Option<Proof> {
    let chain = Chain::decode(first, text).ok()?;
    let auth = chain.authentication()?;
    let certificates = chain.certificates().map(|certificate| certificate.data.clone());
    let id = chain.id_initiator()?.signed_body();
    Some((id, certificates.collect(), auth.method, auth.data.clone()))
}

fn honest(payloads: &[Payload]) -> Option<Proof> {
    let (first, text) = encode(payloads);
    proof_of(first, &text)
}

/// Every place but those inside of certificates, whose DER has tests of its own: many, and each
/// costs a handshake.
fn outside_certificates(payloads: &[Payload]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut start = 0;
    for payload in payloads {
        let length = encode(std::slice::from_ref(payload)).1.len();
        let shown = match payload.kind() {
            PayloadType::Certificate | PayloadType::Authentication => length.min(16),
            _ => length,
        };
        places.extend(start..start + shown);
        start += length;
    }
    places.retain(|at| at + 1 < start);
    places
}
