//! Seeds for the IKE and selector targets, made of real values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use s2sd::wire::codes::{
    AuthMethod, CfgAttributeType, CfgType, EapCode, IdType, NotifyType, PayloadType,
};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::CertPayload;
use s2sd::wire::payload::chain::Chain;
use s2sd::wire::payload::cp::{CfgAttribute, Configuration};
use s2sd::wire::payload::delete::Delete;
use s2sd::wire::payload::eap::Eap;
use s2sd::wire::payload::id::Identity;
use s2sd::wire::payload::notify::Notify;
use s2sd::wire::payload::ts::TrafficSelectors;
use s2sd::wire::payload::vendor::{KnownVendor, VendorId};
use s2sd::wire::selector::Selector;
use s2sd::wire::spi::EspSpi;

/// The target's name, the file's name, and its bytes.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, text) in MESSAGES {
        seeds.push(("ike_message", name.to_owned(), hex(text)));
    }
    let rekey = hex(REKEY_CHAIN);
    seeds.push(("ike_payload", "rekey-chain".to_owned(), [&[41], &*rekey].concat()));
    for (nth, payload) in payloads(&rekey).into_iter().enumerate() {
        let (kind, bytes) = Chain::from(vec![payload]).encode().unwrap();
        let name = format!("{nth:02}-{kind}").to_lowercase().replace(' ', "-");
        seeds.push(("ike_payload", name, [&[kind.into()], &bytes[4..]].concat()));
    }
    for (name, head, length) in [
        ("gcm-one-fragment", [0, 200, 0], 60),
        ("gcm-nine-fragments", [0, 12, 7], 80),
        ("cbc-sha1", [1, 25, 9], 300),
        ("cbc-sha512-empty", [2, 20, 3], 0),
        ("chacha20-too-small", [3, 5, 1], 9),
    ] {
        let body = (0..length).map(|n| (n * 7 % 251) as u8);
        let bytes = head.into_iter().chain(body).collect();
        seeds.push(("ike_sealing", name.to_owned(), bytes));
    }
    for (name, bytes) in ALGEBRA {
        seeds.push(("selector_algebra", name.to_owned(), bytes.to_vec()));
    }
    for (nth, text) in TEXTS.iter().enumerate() {
        seeds.push(("selector_text", format!("{nth:02}"), text.as_bytes().to_vec()));
    }
    seeds
}

/// Whole messages, as they were seen or published.
pub fn messages() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    MESSAGES.into_iter().map(|(name, text)| (name, hex(text)))
}

const MESSAGES: [(&str, &str); 5] = [
    ("azure-init-request", include_str!("../vectors/ike/azure-init-request.hex")),
    ("azure-invalid-ke", include_str!("../vectors/ike/azure-invalid-ke.hex")),
    ("sk-message", include_str!("../vectors/ike/sk-message.hex")),
    ("skf-message", include_str!("../vectors/ike/skf-message.hex")),
    ("strongswan-init-response", include_str!("../vectors/ike/strongswan-init-response.hex")),
];

const REKEY_CHAIN: &str = include_str!("../vectors/ike/azure-rekey-chain.hex");

/// One of every kind: those of the vectors, then those that no vector has.
fn payloads(rekey: &[u8]) -> Vec<Payload> {
    let chain = Chain::decode(PayloadType::Notify, rekey).unwrap();
    let response = Message::decode(&hex(MESSAGES[4].1)).unwrap().chain;
    let mut payloads: Vec<Payload> = chain.iter().chain(response.iter()).cloned().collect();
    let v6 = Selector::ANY_V6;
    let mut selectors: TrafficSelectors = ["10.0.0.0/8[icmp/8]", "10.1.0.5-10.1.0.9[udp/OPAQUE]"]
        .map(|t| t.parse().unwrap())
        .into_iter()
        .collect();
    selectors.entries.extend(TrafficSelectors::from_iter([v6]).entries);
    let address = CfgAttribute::new(CfgAttributeType::InternalIp4Address, [10, 0, 0, 9]);
    let dns = CfgAttribute::new(CfgAttributeType::InternalIp4Dns, []);
    payloads.extend([
        Payload::IdInitiator(IpAddr::from(Ipv4Addr::new(203, 0, 113, 7)).into()),
        Payload::IdResponder(IpAddr::from(Ipv6Addr::LOCALHOST).into()),
        Payload::IdInitiator(Identity::fqdn("gw.example.net")),
        Payload::IdResponder(Identity::new(IdType::KeyId, [0xff, 0])),
        CertPayload::x509([0x30, 0x03, 0x02, 0x01, 0x05]).into(),
        AuthPayload::new(AuthMethod::RsaSignature, [7; 32]).into(),
        AuthPayload::digital(&[0x30, 2, 5, 0], &[8; 32]).unwrap().into(),
        Delete::ike_sa().into(),
        Delete::esp([EspSpi(0x0102_0304), EspSpi(0xfffe_fdfc)]).into(),
        Notify::cookie(&[9; 16]).into(),
        Notify::unsupported_critical(PayloadType::Unknown(99)).into(),
        Notify::new(NotifyType::Unknown(40_960)).into(),
        Payload::TsInitiator(selectors),
        Configuration::new(CfgType::Request, [address, dns]).into(),
        Eap { code: EapCode::Request, identifier: 3, data: vec![1, b'w', b'h', b'o'] }.into(),
        VendorId::from(KnownVendor::IkeCga).into(),
        VendorId::from(KnownVendor::MsNt5 { version: 9 }).into(),
        Payload::Unknown { kind: PayloadType::Unknown(200), body: vec![1, 2, 3] },
    ]);
    payloads
}

/// How many selectors the first list has, then four bytes a selector: see `fuzz/src/selector.rs`.
const ALGEBRA: [(&str, &[u8]); 4] = [
    ("any-against-any", &[1, 0xf0, 0, 0, 0x40, 0xf0, 0, 0, 0x40]),
    ("neighbours-join", &[2, 0x30, 0, 2, 0x40, 0x74, 0, 2, 0x40, 0x70, 0, 2, 0x40]),
    (
        "ports-and-opaque",
        &[2, 0xf0, 0, 2, 0x9a, 0xf0, 0, 2, 0x00, 0xf0, 0, 2, 0xb8, 0xf0, 0, 2, 0xa3],
    ),
    (
        "both-families",
        &[
            3, 0xf0, 0, 0, 0x40, 0xf0, 1, 0, 0x40, 0x51, 1, 1, 0x80, 0x62, 1, 0, 0x40, 0xa3, 0, 3,
            0x88,
        ],
    ),
];

const TEXTS: [&str; 8] = [
    "10.1.0.0/16",
    "10.1.0.5-10.1.3.9[tcp/443]",
    "192.0.2.1[udp/1000-2000]",
    "0.0.0.0/0[icmp/8(0)]",
    "fd00::/8[icmpv6/128]",
    "::1-ffff::[any/OPAQUE]",
    "0.0.0.1-255.255.255.254",
    "10.1.0.1/16",
];

/// Hexadecimal with comments: `#` to the end of the line.
fn hex(text: &str) -> Vec<u8> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: Vec<u8> = code.flat_map(|c| c.bytes().filter(u8::is_ascii_hexdigit)).collect();
    let pairs = digits.as_chunks::<2>().0.iter().map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
