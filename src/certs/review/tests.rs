//! Each rule, kept and broken: the verdict, and the error of Azure that goes with it.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::*;
use crate::crypto::signature::PrivateKey;
use crate::pki::load::Bundle;

/// 2030-01-01: what is made here lives from 2020 to 2040 unless a case says otherwise.
const NOW: UnixTime = UnixTime(1_893_456_000);

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/pki/", $name)).as_slice()
    };
}

/// What a case changes about a certificate.
type Change = fn(&mut CertificateParams);

const NOTHING: Change = |_| {};

struct Family {
    root: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn rsa(pkcs8: &[u8]) -> KeyPair {
    let der = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

fn authority(name: &str, change: Change) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(4));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    params
}

fn leaf(change: Change) -> CertificateParams {
    let mut params = params("site");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    params
}

fn read(made: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(made.der()).unwrap()
}

impl Family {
    fn new(name: &str, change: Change) -> Family {
        let (params, key) = (authority(name, change), rsa(vector!("keys/rsa2048-1.p8.der")));
        let root = read(&params.self_signed(&key).unwrap());
        Family { root, issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, change: Change) -> Certificate {
        let key = rsa(vector!("keys/rsa2048-2.p8.der"));
        read(&leaf(change).signed_by(&key, &self.issuer).unwrap())
    }

    /// An authority below; its key is another one.
    fn below(&self, name: &str, change: Change) -> Family {
        let (params, key) = (authority(name, change), rsa(vector!("keys/rsa2048-3.p8.der")));
        let root = read(&params.signed_by(&key, &self.issuer).unwrap());
        Family { root, issuer: Issuer::new(params, key) }
    }
}

/// What is not in order: rule, verdict, Azure's error.
type Fault = (&'static str, ReviewVerdict, Option<&'static str>);

fn faults(given: &[Certificate], direction: CertificateDirection) -> Vec<Fault> {
    let review = Review::of(given, &[], direction, NOW);
    let wrong = review.findings().filter(|finding| finding.verdict != ReviewVerdict::Ok);
    wrong
        .map(|finding| {
            assert!(finding.remedy.is_some(), "{finding}");
            (finding.rule, finding.verdict, finding.azure_error)
        })
        .collect()
}

#[test]
fn what_keeps_every_rule_has_no_fault() {
    let family = Family::new("root", NOTHING);
    let middle = family.below("middle", NOTHING);
    let chain = [middle.leaf(NOTHING), family.root.clone(), middle.root.clone()];
    for direction in [
        CertificateDirection::Inbound,
        CertificateDirection::Outbound,
        CertificateDirection::Either,
    ] {
        assert_eq!(faults(&chain, direction), []);
    }
    let review = Review::of(&chain, &[], CertificateDirection::Either, NOW);
    assert_eq!(review.subject_name.as_deref(), Some("site"));
    let roles: Vec<ChainRole> = review.certificates.iter().map(|found| found.role).collect();
    assert_eq!(roles, [ChainRole::Leaf, ChainRole::Intermediate, ChainRole::Root]);
    assert!(review.to_string().ends_with("3 certificates: 0 failures, 0 warnings"), "{review}");
}

/// What a broken leaf is told as ours and as Azure's.
#[test]
fn each_rule_of_a_leaf() {
    use ReviewVerdict::{Fail, Warn};
    let cases: &[(Change, &[Fault], &[Fault])] = &[
        (
            |p| p.not_after = date_time_ymd(2029, 12, 31),
            &[("dates", Fail, None)],
            &[("dates", Fail, Some(azure::OUTBOUND_EXPIRED))],
        ),
        (
            |p| p.not_after = date_time_ymd(2030, 1, 20),
            &[("dates", Warn, None)],
            &[("dates", Warn, None)],
        ),
        (
            |p| p.not_before = date_time_ymd(2030, 2, 1),
            &[("dates", Fail, None)],
            &[("dates", Fail, None)],
        ),
        (
            |p| p.distinguished_name.push(DnType::OrganizationName, "Example"),
            &[("subject", Warn, None)],
            &[("subject", Warn, None)],
        ),
        (
            |p| p.distinguished_name = DistinguishedName::new(),
            &[("subject", Fail, Some(azure::NO_SUBJECT_NAME))],
            &[("subject", Fail, None)],
        ),
        (
            |p| p.extended_key_usages.truncate(1),
            &[("extended key usage", Warn, None)],
            &[("extended key usage", Fail, Some(azure::OUTBOUND_PURPOSES))],
        ),
        (
            |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            &[("key usage", Fail, None)],
            &[("key usage", Fail, None)],
        ),
    ];
    let family = Family::new("root", NOTHING);
    for (change, inbound, outbound) in cases {
        let chain = [family.leaf(*change), family.root.clone()];
        assert_eq!(faults(&chain, CertificateDirection::Inbound), *inbound);
        assert_eq!(faults(&chain, CertificateDirection::Outbound), *outbound);
    }
}

#[test]
fn each_rule_of_an_authority() {
    use ReviewVerdict::Fail;
    let expired = Family::new("root", |p| p.not_after = date_time_ymd(2029, 12, 31));
    let chain = [expired.leaf(NOTHING), expired.root.clone()];
    let over = ("dates", Fail, Some(azure::ROOT_EXPIRED));
    assert_eq!(faults(&chain, CertificateDirection::Inbound), [over]);

    let short = Family::new("root", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let middle = short.below("middle", NOTHING);
    let chain = [middle.leaf(NOTHING), middle.root.clone(), short.root.clone()];
    let deep = ("path length", Fail, Some(azure::CHAIN_CREATION));
    assert_eq!(faults(&chain, CertificateDirection::Inbound), [deep]);
    // Nobody below the intermediate yet, and the root's path length is used up all the same.
    assert_eq!(faults(&chain[1..], CertificateDirection::Inbound), [deep]);

    let mute = Family::new("root", |p| p.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let chain = [mute.leaf(NOTHING), mute.root.clone()];
    assert_eq!(
        faults(&chain, CertificateDirection::Inbound),
        [("key usage", Fail, Some(azure::ROOT_INVALID))]
    );
}

#[test]
fn each_rule_of_a_chain() {
    use ReviewVerdict::{Fail, Warn};
    let family = Family::new("root", NOTHING);
    let middle = family.below("middle", NOTHING);
    let site = middle.leaf(NOTHING);
    let (root, middle) = (family.root.clone(), middle.root);
    let lone = [site.clone()];
    assert_eq!(
        faults(&lone, CertificateDirection::Inbound),
        [("root", Fail, Some(azure::INBOUND_CHAIN_FAULT))]
    );
    assert_eq!(
        faults(&lone, CertificateDirection::Outbound),
        [("root", Fail, Some(azure::OUTBOUND_CHAIN_FAULT))]
    );
    let rootless = [site.clone(), middle.clone()];
    assert_eq!(
        faults(&rootless, CertificateDirection::Inbound),
        [("root", Fail, Some(azure::INBOUND_NO_ROOT))]
    );
    assert_eq!(
        faults(&rootless, CertificateDirection::Outbound),
        [("root", Fail, Some(azure::OUTBOUND_NO_ROOT))]
    );
    let twice = [site.clone(), middle.clone(), root.clone(), root.clone()];
    assert_eq!(faults(&twice, CertificateDirection::Inbound), [("duplicates", Warn, None)]);
    let stranger = Family::new("stranger", NOTHING).root;
    let strays = [root.clone(), middle.clone(), stranger];
    assert_eq!(
        faults(&strays, CertificateDirection::Inbound),
        [("one chain", Fail, Some(azure::INBOUND_NOT_ALL))]
    );
    let told = |given: &[Certificate]| {
        let review = Review::of(given, &[], CertificateDirection::Inbound, NOW);
        review.chain.into_iter().find(|finding| finding.rule == "root").unwrap().found
    };
    // The root was made anew with the same name: its key is another one.
    let other = rsa(vector!("keys/rsa2048-4.p8.der"));
    let impostor = read(&authority("root", NOTHING).self_signed(&other).unwrap());
    let renewed = told(&[middle, impostor]);
    assert!(renewed.contains("was signed by another key than that of the CN=root"), "{renewed}");
    // There is none of that name.
    for given in [&lone[..], &rootless] {
        let missing = told(given);
        assert!(missing.contains("is not among them"), "{missing}");
        assert!(!missing.contains("another key"), "{missing}");
    }
}

#[test]
fn a_chain_of_six_is_too_long() {
    let mut family = Family::new("a0", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let mut chain = vec![family.root.clone()];
    for name in ["a1", "a2", "a3", "a4"] {
        family = family.below(name, |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        chain.push(family.root.clone());
    }
    assert_eq!(faults(&chain, CertificateDirection::Inbound), []);
    chain.push(family.below("a5", NOTHING).root);
    let long = ("length", ReviewVerdict::Fail, Some(azure::TOO_MANY));
    assert_eq!(faults(&chain, CertificateDirection::Inbound), [long]);
}

#[test]
fn keys_are_told_whose_they_are() {
    let family = Family::new("root", NOTHING);
    let chain = [family.leaf(NOTHING), family.root.clone()];
    let public = |der| PrivateKey::from_der(der).unwrap().public_key().clone();
    for (der, verdict) in [
        (vector!("keys/rsa2048-2.p8.der"), ReviewVerdict::Ok),
        (vector!("keys/rsa2048-1.p8.der"), ReviewVerdict::Warn),
        (vector!("keys/rsa2048-4.p8.der"), ReviewVerdict::Fail),
    ] {
        let review = Review::of(&chain, &[public(der)], CertificateDirection::Either, NOW);
        let about: Vec<_> = review.chain.iter().filter(|f| f.rule == "private key").collect();
        assert_eq!((about.len(), about[0].verdict), (1, verdict));
    }
}

#[test]
fn other_keys_than_good_rsa_ones() {
    let family = Family::new("root", NOTHING);
    let ec = KeyPair::generate().unwrap();
    let chain = [read(&leaf(NOTHING).signed_by(&ec, &family.issuer).unwrap()), family.root.clone()];
    assert_eq!(faults(&chain, CertificateDirection::Inbound), [("key", ReviewVerdict::Warn, None)]);
    let fail = [("key", ReviewVerdict::Fail, Some(azure::OUTBOUND_NOT_RSA))];
    assert_eq!(faults(&chain, CertificateDirection::Outbound), fail);

    let file = |bytes| Bundle::read(bytes, None, "file").unwrap().certificates.remove(0);
    let chain = [file(vector!("rsa1024-leaf.pem")), file(vector!("root.pem"))];
    let fail = [("key", ReviewVerdict::Fail, Some(azure::OUTBOUND_KEY_LENGTH))];
    assert_eq!(faults(&chain, CertificateDirection::Outbound), fail);
}
