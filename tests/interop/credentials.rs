//! Certificates as the Azure article makes them, for both ends of a case, and certificates that
//! must be refused.

use base64ct::{Base64, Encoding};
use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

use super::maker::{Authority, key_of, plain, root_with, rsa_key, vector};

/// The common names of the article: ours, then the gateway's.
pub const NAMES: [&str; 2] = ["Inbound-certificate", "Outbound-certificate"];

/// The certificate that one end presents, and the root that it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// DER.
    pub leaf: Vec<u8>,
    /// Between leaf and root, DER.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Vec<u8>,
    /// The roots that it trusts, DER.
    pub roots: Vec<Vec<u8>>,
    /// The common name that it has.
    pub name: String,
    /// The common name that it expects of the other.
    pub expects: String,
}

/// A key for a leaf.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
}

impl Key {
    fn pair(self, side: usize) -> KeyPair {
        match self {
            Key::Rsa2048 if side == 0 => rsa_key(vector!("keys/rsa2048-2.p8.der")),
            Key::Rsa2048 => rsa_key(vector!("keys/rsa2048-3.p8.der")),
            Key::Rsa3072 => rsa_key(vector!("keys/rsa3072.p8.der")),
            Key::Rsa4096 => rsa_key(vector!("keys/rsa4096.p8.der")),
            Key::P256 => key_of(&rcgen::PKCS_ECDSA_P256_SHA256),
            Key::P384 => key_of(&rcgen::PKCS_ECDSA_P384_SHA384),
        }
    }
}

/// Both ends under one root, with 2048-bit RSA keys.
pub fn azure() -> [Credentials; 2] {
    with_keys([Key::Rsa2048, Key::Rsa2048])
}

/// Both ends under one root.
pub fn with_keys(keys: [Key; 2]) -> [Credentials; 2] {
    let root = authority();
    [0, 1].map(|side| issue(&root, side, &keys[side].pair(side), plain))
}

/// Both ends under two authorities each, so that an IKE_AUTH message needs fragments.
pub fn with_long_chains() -> [Credentials; 2] {
    let root = authority();
    let upper =
        root.authority_with("Upper-Issuing-CA", rsa_key(vector!("keys/rsa4096.p8.der")), plain);
    let lower =
        upper.authority_with("Lower-Issuing-CA", rsa_key(vector!("keys/rsa3072.p8.der")), plain);
    [0, 1].map(|side| {
        let mut issued = issue(&lower, side, &Key::Rsa2048.pair(side), plain);
        issued.chain = vec![lower.der.clone(), upper.der.clone()];
        issued.roots = vec![root.der.clone()];
        issued
    })
}

/// As [`azure`], but `side` presents a certificate that ran out years ago.
pub fn with_expired(side: usize) -> [Credentials; 2] {
    let root = authority();
    let mut both = [0, 1].map(|end| issue(&root, end, &Key::Rsa2048.pair(end), plain));
    let expire = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    both[side] = issue(&root, side, &Key::Rsa2048.pair(side), expire);
    both
}

/// As [`azure`], but our certificate is changed so.
pub fn with_issued(change: fn(&mut CertificateParams)) -> [Credentials; 2] {
    let root = authority();
    [change, plain]
        .into_iter()
        .zip([0, 1])
        .map(|(change, side)| issue(&root, side, &Key::Rsa2048.pair(side), change))
        .collect::<Vec<_>>()
        .try_into()
        .expect("two of two")
}

/// As [`azure`], but the gateway's certificate has alternative names of each kind.
pub fn with_alternative_names() -> [Credentials; 2] {
    let root = authority();
    let names: fn(&mut CertificateParams) = |params| {
        params.subject_alt_names = vec![
            SanType::DnsName("gw.example.com".try_into().unwrap()),
            SanType::Rfc822Name("ops@gw.example.com".try_into().unwrap()),
            SanType::IpAddress("203.0.113.2".parse().unwrap()),
        ];
    };
    let issue = |side, change| issue(&root, side, &Key::Rsa2048.pair(side), change);
    [issue(0, plain), issue(1, names)]
}

/// Since yesterday.
pub fn young_for_ninety_days(params: &mut CertificateParams) {
    let at = |days: i64| {
        let now = i64::try_from(s2sd::sys::clock::now().unix.0).expect("before the year 292e9");
        time::OffsetDateTime::from_unix_timestamp(now + days * 86_400)
            .expect("a year of four digits")
    };
    (params.not_before, params.not_after) = (at(-1), at(90));
}

/// The root of [`with_stranger`], DER.
pub fn another_root() -> Vec<u8> {
    stranger().der
}

/// As [`azure`], but `side` presents a certificate of an authority that the other does not trust.
pub fn with_stranger(side: usize) -> [Credentials; 2] {
    let mut both = azure();
    let other = stranger();
    let trusted = both[side].roots.clone();
    both[side] = issue(&other, side, &Key::Rsa2048.pair(side), plain);
    both[side].roots = trusted;
    both
}

/// As [`azure`], but `side` has another common name than the other end expects.
pub fn with_other_name(side: usize) -> [Credentials; 2] {
    let mut both = azure();
    both[1 - side].expects = "Somebody-else".into();
    both
}

fn stranger() -> Authority {
    root_with("Another-Root", rsa_key(vector!("keys/rsa2048-4.p8.der")), plain)
}

fn authority() -> Authority {
    root_with("VPNRootCA01", rsa_key(vector!("keys/rsa2048-1.p8.der")), plain)
}

fn issue(
    authority: &Authority,
    side: usize,
    key: &KeyPair,
    change: fn(&mut CertificateParams),
) -> Credentials {
    Credentials {
        leaf: authority.leaf_for(key, NAMES[side], change),
        chain: Vec::new(),
        key: key.serialize_der(),
        roots: vec![authority.der.clone()],
        name: NAMES[side].into(),
        expects: NAMES[1 - side].into(),
    }
}

/// As files have it.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
