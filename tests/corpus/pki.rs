//! Seeds for the certificate targets, made of the committed certificates and keys.

use s2sd::crypto::signature::{KeyKind, Scheme};
use s2sd::pki::auth::{self, SignatureChoice};
use s2sd::wire::codes::AuthMethod;

use crate::fuzz::pki::{OCTETS, keys};

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../vectors/pki/", $name)).as_slice()
    };
}

/// The target's name, the file's name, and its bytes.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let (root, ca, leaf) =
        (vector!("small-root.der"), vector!("small-ca.der"), vector!("small-gw.der"));
    let certificates = [
        ("leaf-and-authority", [leaf, ca].concat()),
        ("shuffled-with-root", [root, ca, leaf].concat()),
        ("leaf-alone", leaf.to_vec()),
    ];
    let unbroken = pem(vector!("root-p2s.pem"));
    let files = [
        ("certificate.der", leaf.to_vec()),
        ("certificate.base64", unbroken),
        ("crl.der", vector!("small.crl.der").to_vec()),
        ("ed25519.p8", vector!("keys/ed25519.p8.der").to_vec()),
        ("ec256.sec1", vector!("keys/ec256.sec1.der").to_vec()),
        ("encrypted.p8", vector!("keys/encrypted.p8.der").to_vec()),
        ("modern.pfx", vector!("small.pfx").to_vec()),
        ("legacy.pfx", vector!("small-legacy.pfx").to_vec()),
        ("crl.pem", vector!("root.crl.pem").to_vec()),
    ];
    let subject: &[u8] = &[0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, b'g', b'w'];
    let identities: [(&str, Vec<u8>); 6] = [
        ("subject", [&[9], subject].concat()),
        ("host", [&[2], &b"gw.example"[..]].concat()),
        ("mailbox", [&[3], &b"a@gw.example"[..]].concat()),
        ("address", vec![1, 192, 0, 2, 1]),
        ("address6", [&[5], &[0x20; 16][..]].concat()),
        ("key-id", vec![11, 0, 255]),
    ];
    let mut seeds = Vec::new();
    let mut take = |target, name: &str, bytes| seeds.push((target, name.to_owned(), bytes));
    certificates.into_iter().for_each(|(name, bytes)| take("pki_certificates", name, bytes));
    files.into_iter().for_each(|(name, bytes)| take("pki_file", name, bytes));
    identities.into_iter().for_each(|(name, bytes)| take("pki_identity", name, bytes));
    payloads().into_iter().for_each(|(name, bytes)| take("pki_auth", name, bytes));
    seeds
}

/// AUTH payloads of the schemes whose signatures are the same every time.
fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let [method1, method14] = [AuthMethod::RsaSignature, AuthMethod::DigitalSignature];
    let rsa = |kind| matches!(kind, KeyKind::Rsa { .. });
    let made = [
        ("method1-sha1", method1, Scheme::RsaPkcs1Sha1),
        ("method1-sha512", method1, Scheme::RsaPkcs1Sha512),
        ("method14-sha256", method14, Scheme::RsaPkcs1Sha256),
        ("method14-ed25519", method14, Scheme::Ed25519),
    ];
    let made = made.map(|(name, method, scheme)| {
        let fits = |kind| rsa(kind) != (scheme == Scheme::Ed25519);
        let key = keys()
            .iter()
            .find(|key| fits(key.kind()) && (rsa(key.kind()) || key.kind() == KeyKind::Ed25519));
        let data = auth::sign(key.unwrap(), SignatureChoice { method, scheme }, OCTETS).unwrap();
        (name, [&[u8::from(method)], &data[..]].concat())
    });
    let spki = [&[14], vector!("rsa2048-1.spki.der")].concat();
    // RSA PSS and ECDSA draw salts and nonces, so these have the identifier of RFC 7427 and no true
    // signature.
    let pss = [&[14, 67][..], &PSS_SHA256, &[7; 256]].concat();
    let ecdsa: [u8; 22] =
        [14, 12, 0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2, 0x30, 6, 2, 1, 1, 2, 1, 1];
    let mut all = made.to_vec();
    all.extend([("spki", spki), ("method14-pss", pss), ("method14-ecdsa", ecdsa.to_vec())]);
    all
}

/// RSASSA-PSS with SHA-256 as an AlgorithmIdentifier.
const PSS_SHA256: [u8; 67] = [
    0x30, 0x41, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10, 0x30, 0x34, 0xa0, 0x0f, 0x30,
    0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 0xa1, 0x1c, 0x30, 0x1a, 6, 9, 0x2a,
    0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1,
    5, 0, 0xa2, 3, 2, 1, 0x20,
];

/// The Base64 of a PEM file without its headers.
fn pem(file: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(file).unwrap();
    text.lines().filter(|line| !line.starts_with("-----")).collect::<String>().into_bytes()
}
