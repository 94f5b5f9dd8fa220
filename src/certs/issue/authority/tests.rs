//! What an authority signs, and what it refuses to sign. The keys are the committed ones: making
//! some takes a while.

use super::*;
use crate::certs::issue::alt_name;
use crate::crypto::signature::Scheme;
use crate::pki::certificate::{BasicConstraints, KeyPurpose, KeyUsage};
use crate::pki::common_name::CommonName;
use crate::pki::load::Bundle;
use crate::rng::SeededRng;

/// 2030-01-01.
const NOW: UnixTime = UnixTime(1_893_456_000);
const YEAR: u64 = 366 * 86_400;

macro_rules! key {
    ($name:literal) => {
        PrivateKey::from_der(include_bytes!(concat!("../../../../tests/vectors/pki/keys/", $name)))
            .unwrap()
    };
}

fn order(name: &str, kind: CertificateKind) -> CertificateOrder {
    CertificateOrder { name: name.parse::<CommonName>().unwrap(), months: 120, kind }
}

fn leaf(name: &str) -> CertificateOrder {
    order(name, CertificateKind::Leaf { alt_names: Vec::new() })
}

fn authority(name: &str, path_len: u8) -> CertificateOrder {
    order(name, CertificateKind::Authority { path_len })
}

fn root(path_len: u8) -> Authority {
    let key = key!("rsa2048-1.p8.der");
    let order = authority("VPNRootCA01", path_len);
    let certificate = order.self_signed(&key, NOW, &mut SeededRng(1)).unwrap();
    Authority::new(certificate, key, NOW).unwrap()
}

fn issue(
    by: &Authority,
    order: &CertificateOrder,
    now: UnixTime,
) -> Result<Certificate, IssueError> {
    let key = key!("rsa2048-2.p8.der");
    by.issue(order, key.public_key(), now, &mut SeededRng(1))
}

#[test]
fn a_root_is_that_of_azures_article() {
    let root = root(4);
    let made = root.certificate();
    assert_eq!(made.subject().to_string(), "CN=VPNRootCA01");
    assert!(made.is_self_issued());
    assert_eq!(made.basic_constraints(), Some(BasicConstraints { ca: true, path_len: Some(4) }));
    let usage = KeyUsage { sign: false, certify: true, revoke: true };
    assert_eq!(made.key_usage(), Some(usage));
    assert_eq!(made.signature_scheme().unwrap(), Scheme::RsaPkcs1Sha256);
    assert_eq!(made.not_before(), UnixTime(NOW.0 - 3600));
    assert_eq!(made.not_after().to_string(), "2040-01-01T00:00:00Z");
    assert_eq!(made.purposes(), None);
}

#[test]
fn a_leaf_is_that_of_azures_article() {
    let root = root(4);
    let made = issue(&root, &leaf("Inbound-certificate"), NOW).unwrap();
    assert_eq!(made.subject().to_string(), "CN=Inbound-certificate");
    assert_eq!(made.purposes(), Some(&[KeyPurpose::ServerAuth, KeyPurpose::ClientAuth][..]));
    assert_eq!((made.basic_constraints(), made.key_usage()), (None, None));
    assert!(!made.has_alt_names() && made.is_signed_by(root.certificate()));
    assert_eq!(made.serial().len(), 10);
    let key = key!("rsa2048-2.p8.der");
    let same = leaf("Inbound-certificate");
    let again = root.issue(&same, key.public_key(), NOW, &mut SeededRng(2)).unwrap();
    assert_ne!(again.serial(), made.serial());
    let names = ["gw.example.net", "203.0.113.1", "ops@example.net"];
    let alt_names: Vec<_> = names.iter().map(|name| alt_name(name).unwrap()).collect();
    let kind = CertificateKind::Leaf { alt_names: alt_names.clone() };
    assert_eq!(issue(&root, &order("gw", kind), NOW).unwrap().alt_names(), alt_names);
}

#[test]
fn nothing_outlives_what_issued_it() {
    let root = root(4);
    let later = UnixTime(NOW.0 + YEAR);
    let made = issue(&root, &leaf("late"), later).unwrap();
    assert_eq!(made.not_after(), root.certificate().not_after());
    let short = CertificateOrder { months: 12, ..leaf("short") };
    assert_eq!(issue(&root, &short, NOW).unwrap().not_after().to_string(), "2031-01-01T00:00:00Z");
}

#[test]
fn path_lengths_go_down() {
    let root = root(1);
    assert!(issue(&root, &authority("VPNIssuingCA01", 0), NOW).is_ok());
    let long = issue(&root, &authority("VPNIssuingCA01", 1), NOW).unwrap_err();
    assert!(matches!(long, IssueError::PathLength { allowed: 1, asked: 1, .. }), "{long}");
    assert!(long.to_string().contains("at most 0, not 1"), "{long}");
    let root = self::root(0);
    let refused = issue(&root, &authority("VPNIssuingCA01", 0), NOW).unwrap_err();
    assert!(matches!(refused, IssueError::LeavesOnly(_)), "{refused}");
    assert!(issue(&root, &leaf("site"), NOW).is_ok());
}

#[test]
fn who_may_not_issue_is_told_why() {
    let root = root(4);
    let key = || key!("rsa2048-1.p8.der");
    let certificate = || root.certificate().clone();
    let refused = |result: Result<Authority, IssueError>| result.map(|_| ()).unwrap_err();

    let other = refused(Authority::new(certificate(), key!("rsa2048-3.p8.der"), NOW));
    assert!(matches!(other, IssueError::KeyMismatch { .. }), "{other}");
    let over = refused(Authority::new(certificate(), key(), UnixTime(NOW.0 + 11 * YEAR)));
    assert!(matches!(over, IssueError::Expired { .. }), "{over}");
    let early = refused(Authority::new(certificate(), key(), UnixTime(NOW.0 - 3601)));
    assert!(matches!(early, IssueError::NotYetValid { .. }), "{early}");
    let site = issue(&root, &leaf("site"), NOW).unwrap();
    let no = refused(Authority::new(site, key!("rsa2048-2.p8.der"), NOW));
    assert!(matches!(no, IssueError::NotAnAuthority(_)), "{no}");
}

/// Authorities made by OpenSSL and by PowerShell issue too: their names are taken over byte for
/// byte.
#[test]
fn an_authority_of_another_maker_issues() {
    let files: [&[u8]; 2] = [
        include_bytes!("../../../../tests/vectors/pki/root.pem"),
        include_bytes!("../../../../tests/vectors/pki/root-powershell.pem"),
    ];
    for file in files {
        let certificate = Bundle::read(file, None, "root").unwrap().certificates.remove(0);
        let authority = Authority::new(certificate, key!("rsa2048-1.p8.der"), NOW).unwrap();
        let made = issue(&authority, &leaf("site"), NOW).unwrap();
        assert!(made.is_signed_by(authority.certificate()));
        assert_eq!(made.issuer().as_der(), authority.certificate().subject().as_der());
    }
}

#[test]
fn every_kind_of_key_can_issue() {
    for key in [key!("ec256.p8.der"), key!("ec384.p8.der"), key!("ed25519.p8.der")] {
        let certificate = authority("root", 0).self_signed(&key, NOW, &mut SeededRng(1)).unwrap();
        let authority = Authority::new(certificate, key, NOW).unwrap();
        assert!(issue(&authority, &leaf("site"), NOW).is_ok());
    }
}
