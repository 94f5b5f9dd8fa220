//! Certificates, files, identities and AUTH payloads.

use std::sync::OnceLock;

use s2sd::crypto::signature::{KeyKind, PrivateKey, PublicKey, Scheme};
use s2sd::der::DerReader;
use s2sd::pki::auth::{AuthPolicy, SignatureClaim, verify_with};
use s2sd::pki::certificate::Certificate;
use s2sd::pki::crl::Crl;
use s2sd::pki::identity::{Binding, Expectation, Id, IdentityRule};
use s2sd::pki::load::Bundle;
use s2sd::pki::path::{Purposes, Roots, StaleCrls, Trust, ValidPath};
use s2sd::time::UnixTime;
use s2sd::wire::codes::{AuthMethod, IdType};

/// 2030-01-01: the committed certificates live from 2026 on for a hundred years.
const NOW: UnixTime = UnixTime(1_893_456_000);

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../vectors/pki/", $name)).as_slice()
    };
}

/// CERT payloads one after another: a path found ends at the root and starts at something that was
/// sent; a refusal is one printable line.
pub fn pki_certificates(data: &[u8]) {
    let sent = elements(data);
    for trust in trusts() {
        match trust.validate(&sent, NOW) {
            Ok(path) => {
                assert_eq!(path.root().as_der(), vector!("small-root.der"));
                assert!(sent.contains(&path.leaf().as_der()));
                assert!(path.intermediates().iter().all(|c| sent.contains(&c.as_der())));
                path.iter().for_each(|c| printable(&c.to_string()));
            }
            Err(refusal) => {
                assert!(!refusal.remedy().is_empty());
                printable(&refusal.to_string());
            }
        }
    }
    for der in sent {
        if let Ok(certificate) = Certificate::from_der(der) {
            printable(&certificate.to_string());
            assert!(certificate.subject().matches(certificate.subject()));
            if let Err(refusal) = Roots::new([certificate]) {
                printable(&refusal.to_string());
            }
        }
    }
}

/// A file of any kind: what loads is what it was; a loaded key signs so that it verifies, or not at
/// all.
pub fn pki_file(data: &[u8]) {
    for password in [None, Some(&b""[..])] {
        match Bundle::read(data, password, "file") {
            Ok(bundle) => {
                for certificate in &bundle.certificates {
                    assert_eq!(
                        Certificate::from_der(certificate.as_der()).as_ref(),
                        Ok(certificate)
                    );
                }
                bundle.keys.iter().for_each(signs_well);
            }
            Err(error) => {
                assert!(!error.remedy().is_empty());
                printable(&error.to_string());
            }
        }
    }
}

/// An ID type and its data: what is read is sent again byte for byte; an ID is bound only to the
/// names of the peer.
pub fn pki_identity(data: &[u8]) {
    static PATH: OnceLock<ValidPath> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let sent = [vector!("small-gw.der"), vector!("small-ca.der")];
        trusts()[0].validate(&sent, NOW).unwrap()
    });
    let Some((&kind, data)) = data.split_first() else { return };
    match Id::parse(IdType::from(kind), data) {
        Ok(id) => {
            printable(&id.to_string());
            assert_eq!((u8::from(id.kind()), &id.data()[..]), (kind, data));
            let expected = Expectation::new(IdentityRule::common_name("gw"));
            match expected.identify(path, &id) {
                Ok(Binding::Subject) => assert_eq!(data, path.leaf().subject().as_der()),
                Ok(Binding::SubjectFolded) => assert_eq!(kind, u8::from(IdType::DerAsn1Dn)),
                Ok(binding) => {
                    assert_eq!(binding, Binding::AltName);
                    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
                    let host = text == "gw.example" || text == "gw.example.";
                    let mailbox = text == "a@gw.example" || text == "a@gw.example.";
                    assert!(host || mailbox || data == [192, 0, 2, 1], "{id}");
                }
                Err(refusal) => printable(&refusal.to_string()),
            }
        }
        Err(refusal) => printable(&refusal.to_string()),
    }
}

/// A method and authentication data, with keys of every kind: accepted is only what the key signed.
pub fn pki_auth(data: &[u8]) {
    let Some((&method, data)) = data.split_first() else { return };
    let method = AuthMethod::from(method);
    let claim = SignatureClaim { method, data, octets: OCTETS, announced: false };
    for key in keys() {
        let verdict = verify_with(key.public_key(), &claim, &AuthPolicy::default());
        let better = SignatureClaim { announced: true, ..claim };
        let strict = verify_with(key.public_key(), &better, &AuthPolicy::default());
        assert!(strict == verdict || verdict == Ok(Scheme::RsaPkcs1Sha1));
        match verdict {
            Ok(scheme) if deterministic(scheme) => {
                let signature = key.sign(scheme, &OCTETS.concat()).unwrap();
                assert!(data.ends_with(&signature));
            }
            Ok(_) => {}
            Err(reason) => {
                assert!(!reason.remedy().is_empty());
                printable(&reason.to_string());
            }
        }
    }
    if let Ok(key) = PublicKey::from_spki(data) {
        assert!(key.verify(Scheme::EcdsaSha256, b"", data).is_err());
    }
}

/// What the corpus's AUTH payloads sign.
pub const OCTETS: &[&[u8]] = &[b"message", b"nonce", b"prf"];

fn deterministic(scheme: Scheme) -> bool {
    use Scheme::{Ed25519, RsaPkcs1Sha1, RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    matches!(scheme, RsaPkcs1Sha1 | RsaPkcs1Sha256 | RsaPkcs1Sha384 | RsaPkcs1Sha512 | Ed25519)
}

/// A key of each kind.
pub fn keys() -> &'static [PrivateKey] {
    static KEYS: OnceLock<Vec<PrivateKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let files = [
            vector!("keys/rsa2048-1.p8.der"),
            vector!("keys/ec256.p8.der"),
            vector!("keys/ec384.p8.der"),
            vector!("keys/ed25519.p8.der"),
        ];
        files.iter().map(|der| PrivateKey::from_der(der).unwrap()).collect()
    })
}

fn trusts() -> &'static [Trust; 2] {
    static TRUSTS: OnceLock<[Trust; 2]> = OnceLock::new();
    TRUSTS.get_or_init(|| {
        let root = Certificate::from_der(vector!("small-root.der")).unwrap();
        let plain = Trust::new(Roots::new([root]).unwrap());
        let strict = Trust {
            crls: vec![Crl::from_der(vector!("small.crl.der")).unwrap()],
            stale_crls: StaleCrls::Accept,
            purposes: Purposes::ServerAndClient,
            ..plain.clone()
        };
        [plain, strict]
    })
}

/// DER elements one after another; what is none goes last, whole.
fn elements(data: &[u8]) -> Vec<&[u8]> {
    let mut reader = DerReader::new(data);
    let mut elements = Vec::new();
    while let Ok(element) = reader.any() {
        elements.push(element.whole);
    }
    if !reader.is_empty() {
        elements.push(reader.rest());
    }
    elements
}

fn signs_well(key: &PrivateKey) {
    let scheme = match key.kind() {
        KeyKind::Rsa { .. } => Scheme::RsaPkcs1Sha1,
        KeyKind::EcdsaP256 => Scheme::EcdsaSha256,
        KeyKind::EcdsaP384 => Scheme::EcdsaSha384,
        KeyKind::Ed25519 => Scheme::Ed25519,
    };
    if let Ok(signature) = key.sign(scheme, b"message") {
        assert_eq!(key.public_key().verify(scheme, b"message", &signature), Ok(()));
    }
}

/// Nothing that a peer or a file chose may move a cursor.
fn printable(line: &str) {
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
