//! Published vectors, Wycheproof's attacks, and what a single changed bit does. Sources are named
//! in `tests/vectors/*.txt`.

mod ciphers;
mod exchange;
mod hmac;
mod keymat;
mod messages;
mod packets;
mod suite;

use std::collections::BTreeMap;

use super::suite::{EspSuite, IkeSuite};
use crate::rng::SeededRng;
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};

/// A record of a vector file: `[name]`, then `key = hex`, continued on indented lines.
#[derive(Clone, Debug)]
struct Record {
    name: String,
    values: BTreeMap<String, String>,
}

impl Record {
    fn text(&self, key: &str) -> &str {
        self.values.get(key).unwrap_or_else(|| panic!("[{}] has no {key}", self.name))
    }

    fn hex(&self, key: &str) -> Vec<u8> {
        hex(self.text(key))
    }

    fn chunk<const N: usize>(&self, key: &str) -> [u8; N] {
        self.hex(key).try_into().unwrap()
    }

    fn sequence(&self) -> u64 {
        u64::from_be_bytes(self.chunk("sequence"))
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key) == "1"
    }

    /// The record holds, and no more once any one octet of these values is another.
    #[track_caller]
    fn every_octet_counts(&self, keys: &[&str], holds: impl Fn(&Record) -> bool) {
        assert!(holds(self), "[{}]", self.name);
        for key in keys {
            for at in 0..self.hex(key).len() {
                let mut changed = self.clone();
                changed.flip(key, at);
                assert!(!holds(&changed), "[{}] holds with octet {at} of {key} changed", self.name);
            }
        }
    }

    /// Changes one bit of an octet: the fifth, since X25519 ignores the outer ones of its private
    /// values.
    fn flip(&mut self, key: &str, at: usize) {
        let mut octets = self.hex(key);
        octets[at] ^= 0x10;
        let text = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        self.values.insert(key.to_owned(), text);
    }
}

fn records(file: &str) -> Vec<Record> {
    let mut records = Vec::<Record>::new();
    let mut last = String::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_owned();
            records.push(Record { name, values: BTreeMap::new() });
            continue;
        }
        let record = records.last_mut().expect("a record begins with its name");
        let (key, value) = line.split_once('=').unwrap_or((&last, line));
        let (key, value) = (key.trim().to_owned(), value.trim());
        record.values.entry(key.clone()).or_default().push_str(value);
        last = key;
    }
    assert!(!records.is_empty());
    records
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Every way of protecting ESP packets, with and without ESN.
fn esp_suites() -> Vec<EspSuite> {
    let null = INTEGS.map(|integ| (EncrId::Null, None, Some(integ)));
    let all = encrypted().into_iter().chain(null);
    all.flat_map(|(encr, bits, integ)| {
        [EsnId::Sequence32, EsnId::Extended64]
            .map(|esn| EspSuite::from_transforms(encr, bits, integ, None, esn).unwrap())
    })
    .collect()
}

/// Every way of protecting IKE messages.
fn ike_suites() -> Vec<IkeSuite> {
    let suite = |(encr, bits, integ)| {
        IkeSuite::from_transforms(encr, bits, PrfId::HmacSha2_256, integ, KeId::Curve25519).unwrap()
    };
    encrypted().into_iter().map(suite).collect()
}

fn encrypted() -> Vec<(EncrId, Option<u16>, Option<IntegId>)> {
    let mut all = vec![(EncrId::ChaCha20Poly1305, None, None)];
    for bits in [128, 192, 256] {
        all.push((EncrId::AesGcm16, Some(bits), None));
        all.extend(INTEGS.map(|integ| (EncrId::AesCbc, Some(bits), Some(integ))));
    }
    all
}

const INTEGS: [IntegId; 4] = [
    IntegId::HmacSha1_96,
    IntegId::HmacSha2_256_128,
    IntegId::HmacSha2_384_192,
    IntegId::HmacSha2_512_256,
];
