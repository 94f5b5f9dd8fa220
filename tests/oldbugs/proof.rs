//! Attacks on authentication: proofs of identity that must be refused. The peer has completed
//! IKE_SA_INIT, so everything here is sealed with good keys.

use std::rc::Rc;
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use s2sd::crypto::Group;
use s2sd::crypto::signature::Scheme;
use s2sd::pki::auth::SignatureChoice;
use s2sd::sys::clock;
use s2sd::wire::codes::{AuthMethod, NotifyType, PayloadType};
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::CertPayload;

use crate::hand::{Hand, IKE_AUTH, errors, established, half_open, raw};
use crate::people::{Authority, HugeKey, PEER, Person};
use crate::target::Target;

/// Authorities that certify each other in a circle, many of them: the search for a path ends, and
/// soon.
#[test]
fn certificate_chain_loops() {
    let mut target = Target::answering();
    let people: Vec<Authority> = (0..15).map(|n| Authority::root(&format!("Ring {n}"))).collect();
    let leaf = people[0].person(PEER);
    let mut circle = vec![leaf.certificate.clone()];
    for (at, authority) in people.iter().enumerate() {
        for step in [1, 2] {
            let by = &people[(at + step) % people.len()];
            circle.push(authority.certified_by(by, &format!("Ring {at}")));
        }
    }
    let begun = clock::now().mono;
    expect_refused(&mut target, &leaf, &circle, "certificate");
    // The same with one way out of the circle that leads to the root: it may be found or not, but
    // not sought for long.
    let mut target = Target::answering();
    let root = Rc::clone(&target.root);
    circle.push(people[7].certified_by(&root, "Ring 7"));
    let mut hand = half_open(&mut target);
    let payloads = with_certificates(hand.proof(&leaf), &circle);
    let request = hand.seal_auth(&payloads);
    let answer = target.ask(&request);
    let is_found = target.ikes() == 1;
    assert_eq!(errors(&hand.open(&answer)).is_empty(), is_found, "one clear answer");
    let mut target = Target::under(&root);
    // One certificate that says it signed itself, under the name of the root.
    let impostor = Authority::root("Root");
    let loop_of_one = impostor.person(PEER);
    let chain = [loop_of_one.certificate.clone(), impostor.certificate.clone()];
    expect_refused(&mut target, &loop_of_one, &chain, "certificate");
    let took = clock::now().mono.since(begun);
    assert!(took < Duration::from_secs(20), "the search took {:?}", took);
    target.expect_unharmed();
}

/// More certificates than anybody has, the same one again and again, and large ones.
#[test]
fn too_many_certificates() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let mut hand = half_open(&mut target);
    let many = vec![person.certificate.clone(); 60];
    let payloads = with_certificates(hand.proof(&person), &many);
    let request = hand.seal_auth(&payloads);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
    let mut hand = half_open(&mut target);
    let mut payloads = hand.proof(&person);
    payloads.insert(2, Payload::Certificate(CertPayload::x509(vec![0x30; 50_000])));
    let request = hand.seal_auth(&payloads);
    let answer = target.ask(&request);
    // It is passed by: the others lead from the genuine key to the root.
    assert_eq!((errors(&hand.open(&answer)), target.ikes()), (Vec::new(), 1));
    let mut hand = half_open(&mut target);
    let mut payloads = hand.proof(&person);
    replace(&mut payloads, Payload::Certificate(CertPayload::x509(vec![0x30; 50_000])));
    let request = hand.seal_auth(&payloads);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
    assert_eq!(target.ikes(), 1);
    target.expect_unharmed();
}

/// RSA keys of sizes that cost seconds to verify with, and exponents that do.
#[test]
fn huge_keys() {
    let mut target = Target::answering();
    let root = Rc::clone(&target.root);
    let keys = [
        HugeKey::new(16_384, &[1, 0, 1]),
        HugeKey::new(131_072, &[1, 0, 1]),
        HugeKey::new(4_096, &[0x7f; 512]),
        HugeKey::new(1_024, &[1, 0, 1]),
        HugeKey::new(2_048, &[1]),
        HugeKey::new(2_048, &[2]),
    ];
    let begun = clock::now().mono;
    for key in keys {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(&root.person(PEER));
        let der = root.certificate_for(PEER, &key);
        replace(&mut payloads, Payload::Certificate(CertPayload::x509(der)));
        let signature = vec![0x5c; 2_048];
        replace(&mut payloads, AuthPayload::new(AuthMethod::RsaSignature, signature).into());
        let request = hand.seal_auth(&payloads);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
    }
    let took = clock::now().mono.since(begun);
    assert!(took < Duration::from_secs(10), "judging took {:?}", took);
    assert_eq!(target.ikes(), 0);
    target.expect_unharmed();
}

/// A method that does not go with the certificate's key, or that proves nothing at all.
#[test]
fn certificate_with_wrong_key_type_for_the_auth_method() {
    let mut target = Target::answering();
    let root = Rc::clone(&target.root);
    let rsa = rsa_person(&root);
    let p256 = root.person(PEER);
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = root.person_with(PEER, &p384);
    let ed25519 = root.person_with(PEER, &KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let (one, nine, ten, any) = (
        AuthMethod::RsaSignature,
        AuthMethod::EcdsaSha256P256,
        AuthMethod::EcdsaSha384P384,
        AuthMethod::DigitalSignature,
    );
    // Each signs with its own key and says another method, or shows another's certificate.
    let table: [(&Person, Scheme, AuthMethod, &Person); 12] = [
        (&p256, Scheme::EcdsaP256Sha256Fixed, one, &p256),
        (&p256, Scheme::EcdsaP256Sha256Fixed, ten, &p256),
        (&p384, Scheme::EcdsaP384Sha384Fixed, nine, &p384),
        (&rsa, Scheme::RsaPkcs1Sha256, nine, &rsa),
        (&rsa, Scheme::RsaPkcs1Sha256, ten, &rsa),
        (&ed25519, Scheme::Ed25519, one, &ed25519),
        (&ed25519, Scheme::Ed25519, nine, &ed25519),
        (&p256, Scheme::EcdsaSha256, any, &rsa),
        (&rsa, Scheme::RsaPkcs1Sha256, any, &p256),
        (&rsa, Scheme::RsaPkcs1Sha256, any, &ed25519),
        (&p256, Scheme::EcdsaP256Sha256Fixed, AuthMethod::SharedKeyMic, &p256),
        (&p256, Scheme::EcdsaP256Sha256Fixed, AuthMethod::from(13), &p256),
    ];
    for (signer, scheme, method, shown) in table {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(shown);
        let choice = SignatureChoice { method: if method == any { any } else { one }, scheme };
        let auth = hand.signature(signer, &shown.identity().signed_body(), choice);
        let auth = AuthPayload { method, ..auth };
        replace(&mut payloads, auth.into());
        let request = hand.seal_auth(&payloads);
        let answer = target.ask(&request);
        let story = format!("{method:?} with {scheme:?}");
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed], "{story}");
        assert_eq!(target.ikes(), 0, "{story}");
        target.pass(Duration::from_secs(31));
    }
    // All four are accepted when they name what they do.
    for person in [&rsa, &p256, &p384, &ed25519] {
        let mut target = Target::under(&root);
        established(&mut target, person);
    }
    target.expect_unharmed();
}

/// Somebody else whom the same root certified: as himself, under the peer's name, with the peer's
/// certificate, with both.
#[test]
fn authentication_with_anothers_valid_certificate_from_the_same_root() {
    let mut target = Target::answering();
    let root = Rc::clone(&target.root);
    let (peer, other) = (root.person(PEER), root.person("other.example"));
    // As himself.
    expect_refused(&mut target, &other, std::slice::from_ref(&other.certificate), "other.example");
    // Under the peer's name, with his own certificate.
    let stories: [(&Person, Vec<&Person>); 4] = [
        (&peer, vec![&other]),
        (&peer, vec![&other, &peer]),
        (&peer, vec![&peer, &other]),
        (&other, vec![&peer]),
    ];
    for (named, shown) in stories {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(&other);
        let choice =
            SignatureChoice { method: AuthMethod::DigitalSignature, scheme: Scheme::EcdsaSha256 };
        let auth = hand.signature(&other, &named.identity().signed_body(), choice);
        payloads[0] = Payload::IdInitiator(named.identity());
        replace(&mut payloads, auth.into());
        let shown: Vec<_> = shown.iter().map(|person| person.certificate.clone()).collect();
        let payloads = with_certificates(payloads, &shown);
        let request = hand.seal_auth(&payloads);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
        assert_eq!(target.ikes(), 0, "{:#?}", target.events);
    }
    // The peer's own proof from another IKE SA.
    let mut listened = half_open(&mut target);
    let stolen = listened.proof(&peer);
    let mut hand = half_open(&mut target);
    let request = hand.seal_auth(&stolen);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
    assert!(target.refusal().contains("signature"), "{}", target.refusal());
    target.expect_unharmed();
}

/// The same towards a dialler: the answer of somebody else whom the root certified.
#[test]
fn an_answer_with_anothers_valid_certificate_from_the_same_root() {
    let (mut target, request) = Target::dialling(Group::Ecp256);
    let other = target.root.person("other.example");
    let mut hand = Hand::answering(Group::Ecp256, &request);
    let answer = hand.honest_init();
    hand.hear(&request);
    assert!(!target.give(&answer).is_empty());
    let payloads = hand.proof(&other);
    let bytes = hand.seal(IKE_AUTH, 1, true, &payloads);
    target.give(&bytes);
    assert_eq!((target.ikes(), target.children()), (0, 0), "{:#?}", target.events);
    assert!(target.refusal().contains("other.example"), "{}", target.refusal());
}

/// EAP is not spoken here: not asked for, not offered, not slipped in, not taken for a proof.
#[test]
fn eap_where_none_is_allowed() {
    let mut target = Target::answering();
    let person = target.root.person(PEER);
    let success = raw(PayloadType::Eap, &[3, 1, 0, 4]);
    let identity = raw(PayloadType::Eap, &[2, 1, 0, 9, 1, b'p', b'e', b'e', b'r']);
    // An initiator that leaves AUTH out wants EAP (RFC 7296 §2.16).
    for with in [None, Some(&success), Some(&identity)] {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(&person);
        payloads.retain(|payload| payload.kind() != PayloadType::Authentication);
        payloads.extend(with.cloned());
        let request = hand.seal_auth(&payloads);
        let answer = hand.open(&target.ask(&request));
        assert!(answer.eap().is_none());
        assert!(!errors(&answer).is_empty(), "{answer:?}");
    }
    // Beside a good AUTH it has no business either.
    let mut hand = half_open(&mut target);
    let mut payloads = hand.proof(&person);
    payloads.push(success.clone());
    let request = hand.seal_auth(&payloads);
    target.shrug(&request);
    assert_eq!(target.ikes(), 0, "{:#?}", target.events);
    target.expect_unharmed();

    // A responder that answers with EAP, with or without its own AUTH; and one that says "success".
    for offered in [raw(PayloadType::Eap, &[1, 1, 0, 5, 1]), success] {
        for keeps_auth in [false, true] {
            let (mut target, request) = Target::dialling(Group::Ecp256);
            let person = target.root.person(PEER);
            let mut hand = Hand::answering(Group::Ecp256, &request);
            let answer = hand.honest_init();
            hand.hear(&request);
            target.give(&answer);
            let mut payloads = hand.proof(&person);
            payloads.retain(|payload| match payload.kind() {
                PayloadType::Authentication => keeps_auth,
                kind => matches!(kind, PayloadType::IdResponder | PayloadType::Certificate),
            });
            payloads.push(offered.clone());
            let bytes = hand.seal(IKE_AUTH, 1, true, &payloads);
            target.give(&bytes);
            assert_eq!(target.ikes(), 0, "{:#?}", target.events);
        }
    }
}

/// Two AUTH payloads, one of them good; and a second IKE_AUTH on an IKE SA that is proven.
#[test]
fn duplicate_auth() {
    let mut target = Target::answering();
    let root = Rc::clone(&target.root);
    let (person, other) = (root.person(PEER), root.person("other.example"));
    for good_first in [true, false] {
        let mut hand = half_open(&mut target);
        let mut payloads = hand.proof(&person);
        let bad = AuthPayload::new(AuthMethod::DigitalSignature, vec![0; 64]);
        payloads.insert(if good_first { 3 } else { 2 }, bad.into());
        let request = hand.seal_auth(&payloads);
        let answer = target.ask(&request);
        assert_eq!(errors(&hand.open(&answer)), [NotifyType::InvalidSyntax]);
    }
    // The same good one twice is no better.
    let mut hand = half_open(&mut target);
    let mut payloads = hand.proof(&person);
    payloads.push(payloads[2].clone());
    let request = hand.seal_auth(&payloads);
    target.shrug(&request);
    assert_eq!(target.ikes(), 0, "{:#?}", target.events);
    // Refused once, a second try on the same keys is not looked at, however good.
    let payloads = hand.proof(&person);
    let request = hand.seal_auth(&payloads);
    target.ignore(&request);
    target.expect_unharmed();

    let mut target = Target::under(&root);
    let mut hand = established(&mut target, &person);
    for who in [&person, &other] {
        let payloads = hand.proof(who);
        let again = hand.seal(IKE_AUTH, 1, false, &payloads);
        target.shrug(&again);
    }
    let payloads = hand.proof(&other);
    let next = hand.seal(IKE_AUTH, 2, false, &payloads);
    let answer = target.ask(&next);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::InvalidSyntax]);
    assert_eq!(target.ikes(), 0, "whoever authenticates twice has lost the IKE SA");
    target.expect_unharmed();
}

/// This person's proof with these certificates is refused for this reason.
#[track_caller]
fn expect_refused(
    target: &mut Target,
    person: &Person,
    certificates: &[s2sd::pki::certificate::Certificate],
    why: &str,
) {
    let mut hand = half_open(target);
    let payloads = with_certificates(hand.proof(person), certificates);
    let request = hand.seal_auth(&payloads);
    let answer = target.ask(&request);
    assert_eq!(errors(&hand.open(&answer)), [NotifyType::AuthenticationFailed]);
    assert!(target.refusal().contains(why), "{}", target.refusal());
    assert_eq!(target.ikes(), 0);
}

/// The same payloads with these certificates.
fn with_certificates(
    payloads: Vec<Payload>,
    certificates: &[s2sd::pki::certificate::Certificate],
) -> Vec<Payload> {
    let shown = certificates.iter().map(|c| Payload::Certificate(CertPayload::x509(c.as_der())));
    let mut rest = payloads.into_iter().filter(|p| p.kind() != PayloadType::Certificate);
    rest.next().into_iter().chain(shown).chain(rest).collect()
}

/// Puts a payload in the place of the one of its type.
fn replace(payloads: &mut [Payload], new: Payload) {
    for payload in payloads.iter_mut().filter(|payload| payload.kind() == new.kind()) {
        *payload = new.clone();
    }
}

fn rsa_person(root: &Authority) -> Person {
    let der = include_bytes!("../vectors/pki/keys/rsa2048-1.p8.der").as_slice();
    let der = PrivatePkcs8KeyDer::from(der);
    root.person_with(PEER, &KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap())
}
