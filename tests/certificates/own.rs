//! Our own identity, and the two ends of an AUTH payload together.

use s2sd::config::file::{FileContent, Files};
use s2sd::config::value::FileRef;
use s2sd::crypto::signature::{KeyKind, PrivateKey, Scheme};
use s2sd::pki::TrustReason;
use s2sd::pki::auth::{self, AuthPolicy, AuthReason, SignatureChoice, SignatureClaim};
use s2sd::pki::certificate::Certificate;
use s2sd::pki::identity::{Binding, Expectation, Id, IdentityRule};
use s2sd::pki::load::Bundle;
use s2sd::pki::own_identity::{Expiry, OwnError, OwnIdentity, Warning};
use s2sd::pki::path::{Roots, Trust};
use s2sd::time::{Instant, Now, UnixTime};
use s2sd::wire::codes::{AuthMethod, HashId};

use super::maker::*;

const RSA_2: &[u8] = vector!("keys/rsa2048-2.p8.der");
const RSA_3: &[u8] = vector!("keys/rsa2048-3.p8.der");

fn private(pkcs8: &[u8]) -> PrivateKey {
    PrivateKey::from_der(pkcs8).unwrap()
}

fn names(certificates: &[Certificate]) -> Vec<&str> {
    certificates.iter().filter_map(|c| c.subject().common_name()).collect()
}

/// Root, two intermediates, and a leaf for one of the committed keys.
fn deep() -> (Authority, Vec<Certificate>) {
    let root = root("root");
    let upper = root.authority("upper");
    let lower = upper.authority("lower");
    let leaf = lower.leaf_for(&rsa_key(RSA_2), "own", plain);
    let stranger = root.leaf("stranger");
    let ders = [&root.der, &stranger, &upper.der, &leaf, &lower.der];
    let certificates = ders.iter().map(|der| certificate(der)).collect();
    (root, certificates)
}

#[test]
fn the_path_is_sent_leaf_first_upwards_and_without_its_root() {
    let (root, certificates) = deep();
    let own = OwnIdentity::new(&certificates, private(RSA_2)).unwrap();
    assert_eq!(names(own.certificates()), ["own", "lower", "upper"]);
    assert_eq!(own.id(), Id::Dn(own.leaf().subject().clone()));
    assert_eq!(own.host_id(), Some(Id::Fqdn("own".into())));
    let strange = [0; 20];
    assert!(!own.is_requested(&strange));
    assert!(own.is_requested(&[strange, root.certificate().authority_hash()].concat()));
    assert!(own.is_requested(&own.certificates()[1].authority_hash()));
    assert!(!own.is_requested(&own.leaf().authority_hash()));
}

#[test]
fn a_pkcs12_file_is_a_whole_identity() {
    let file = vector!("windows-3des.pfx");
    let own = OwnIdentity::from_bundle(Bundle::read(file, Some(b"secret"), "gw.pfx").unwrap());
    let own = own.unwrap();
    assert_eq!(names(own.certificates()), ["Inbound-certificate"]);
    assert_eq!(own.key().kind(), KeyKind::Rsa { bits: 2048 });
    let now = UnixTime(own.leaf().not_before().0 + 60);
    assert_eq!(own.warnings(now), []);
}

#[test]
fn files_that_do_not_belong_together_say_so() {
    let (_, certificates) = deep();
    let mismatch = OwnIdentity::new(&certificates, private(RSA_3)).unwrap_err();
    let OwnError::KeyMismatch { certificates, .. } = &mismatch else { panic!("{mismatch}") };
    assert!(certificates.contains("CN=own (serial "));
    let nothing = OwnIdentity::new(&[], private(RSA_3)).unwrap_err();
    assert_eq!(nothing, OwnError::NoCertificate);
    let bundle = |files: &[&[u8]]| {
        let mut all = Bundle::default();
        for file in files {
            let bundle = Bundle::read(file, None, "file").unwrap();
            all.certificates.extend(bundle.certificates);
            all.keys.extend(bundle.keys);
        }
        OwnIdentity::from_bundle(all)
    };
    let inbound = vector!("Inbound-certificate.pem");
    assert_eq!(bundle(&[inbound]).unwrap_err(), OwnError::NoKey);
    assert_eq!(bundle(&[inbound, RSA_2, RSA_3]).unwrap_err(), OwnError::SeveralKeys(2));
    assert!(bundle(&[inbound, RSA_2]).is_ok());
}

#[test]
fn of_two_certificates_for_one_key_the_longer_lived_is_taken() {
    let root = root("root");
    let old = root.leaf_for(&rsa_key(RSA_2), "old", expired);
    let new = root.leaf_for(&rsa_key(RSA_2), "new", plain);
    let certificates = [certificate(&old), certificate(&new)];
    let own = OwnIdentity::new(&certificates, private(RSA_2)).unwrap();
    assert_eq!(names(own.certificates()), ["new"]);
}

#[test]
fn what_azure_would_not_like_is_said_before_it_complains() {
    let root = root("root");
    let ec = s2sd::pki::load::Bundle::read(vector!("keys/ec256.p8.der"), None, "key").unwrap();
    let ec = ec.keys.into_iter().next().unwrap();
    let rcgen_key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &rustls_pki_types::PrivatePkcs8KeyDer::from(vector!("keys/ec256.p8.der").to_vec()),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )
    .unwrap();
    let leaf = certificate(&root.leaf_for(&rcgen_key, "own", |p| {
        p.extended_key_usages.truncate(1);
        p.distinguished_name = rcgen::DistinguishedName::new();
    }));
    let own = OwnIdentity::new(std::slice::from_ref(&leaf), ec).unwrap();
    let soon = UnixTime(leaf.not_after().0 - 3 * 86_400);
    let expiry = Expiry::Within(7, leaf.not_after());
    assert_eq!(
        own.warnings(soon),
        [
            Warning::Dates { certificate: leaf, expiry },
            Warning::Purposes,
            Warning::NoCommonName,
            Warning::NotRsa
        ]
    );
}

/// Both ends of a handshake with every kind of key, and with each thing that a peer may announce.
#[test]
fn each_end_accepts_what_the_other_makes() {
    let root = root("root");
    let trust = Trust::new(Roots::new([root.certificate()]).unwrap());
    let modern: &[HashId] = &auth::ANNOUNCED;
    let octets: [&[u8]; 3] = [b"message", b"nonce", b"prf(SK_p, ID)"];
    let other: [&[u8]; 3] = [b"message", b"Nonce", b"prf(SK_p, ID)"];
    for (file, algorithm, old) in [
        (RSA_2, &rcgen::PKCS_RSA_SHA256, Some(AuthMethod::RsaSignature)),
        (
            vector!("keys/ec256.p8.der"),
            &rcgen::PKCS_ECDSA_P256_SHA256,
            Some(AuthMethod::EcdsaSha256P256),
        ),
        (
            vector!("keys/ec384.p8.der"),
            &rcgen::PKCS_ECDSA_P384_SHA384,
            Some(AuthMethod::EcdsaSha384P384),
        ),
    ] {
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(file.to_vec());
        let public = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, algorithm).unwrap();
        let leaf = root.leaf_for(&public, "peer", plain);
        let own = OwnIdentity::new(&[certificate(&leaf)], private(file)).unwrap();
        let sent: Vec<&[u8]> = own.certificates().iter().map(Certificate::as_der).collect();
        let path = trust.validate(&sent, NOW).unwrap();
        let expected = Expectation::new(IdentityRule::common_name("peer"));
        assert_eq!(expected.identify(&path, &own.id()), Ok(Binding::Subject));
        for announced in [None, Some(modern)] {
            let policy = AuthPolicy::default();
            let choice = auth::choose(own.key().kind(), announced, &policy).unwrap();
            let method = if announced.is_some() { Some(AuthMethod::DigitalSignature) } else { old };
            assert_eq!(Some(choice.method), method);
            let data = auth::sign(own.key(), choice, &octets).unwrap();
            let method = choice.method;
            let announced = announced.is_some();
            let claim = SignatureClaim { method, data: &data, octets: &octets, announced };
            assert_eq!(auth::verify(&path, &claim, &policy), Ok(choice.scheme));
            let other = SignatureClaim { octets: &other, ..claim };
            let refused = auth::verify(&path, &other, &policy).unwrap_err();
            let reason = AuthReason::NotVerified { method };
            assert_eq!(refused.reason, TrustReason::Auth(reason));
            assert_eq!(refused.certificate.as_ref(), Some(path.leaf()));
            assert!(refused.to_string().contains("13826"), "{refused}");
        }
    }
    let none = SignatureChoice { method: AuthMethod::RsaSignature, scheme: Scheme::RsaPkcs1Sha1 };
    let choice = auth::choose(private(RSA_2).kind(), None, &AuthPolicy::default());
    assert_eq!(choice, Ok(none));
}

/// The root of the test below, its revocation list, and our own files.
struct RootFiles {
    root: Vec<u8>,
    list: Vec<u8>,
}

impl Files for RootFiles {
    fn read(&self, file: &FileRef) -> std::io::Result<FileContent> {
        let bytes = match file.to_string().as_str() {
            "/etc/s2sd/certs/inbound.pem" => vector!("Inbound-certificate.pem").to_vec(),
            "credential:inbound.key" => vector!("keys/rsa2048-2.p8.der").to_vec(),
            "/root.crl" => self.list.clone(),
            _ => self.root.clone(),
        };
        Ok(FileContent { bytes: bytes.into(), exposed: false })
    }
}

/// A root with keyCertSign alone, as PowerShell makes them, signs no revocation list.
#[test]
fn a_root_without_crl_sign_is_warned_of_when_its_list_is_configured() {
    let text = include_str!("../../conf/azure-active-active.toml");
    let key = "outbound_certificate_subject_name";
    let text = text.replacen(key, &format!("crls = [\"/root.crl\"]\n{key}"), 1);
    let signer = private(vector!("keys/ec256.p8.der"));
    let report = |change: Change| {
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(vector!("keys/ec256.p8.der").to_vec());
        let pair =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256);
        let root = root_with("root", pair.unwrap(), change);
        let list = plain_crl(&root.certificate(), &signer, &[], None);
        let now = Now { mono: Instant(0), unix: NOW };
        s2sd::config::check("s2sd.toml", &text, &RootFiles { root: root.der, list }, now)
            .to_string()
    };
    let dumb = report(|p| p.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign]);
    assert!(dumb.contains("lacks cRLSign"), "{dumb}");
    let both = report(|p| {
        p.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    });
    assert!(!both.contains("cRLSign"), "{both}");
}
