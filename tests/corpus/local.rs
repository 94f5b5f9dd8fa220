//! Seeds for the targets of what this host says to itself: configuration files, lines at the
//! control socket, snapshots; and for the engine, which hears messages of a peer.

/// The target's name, the file's name, and its bytes.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let lines = [
        ("status", r#"{"version":1,"do":"status","connection":null}"#),
        ("down", r#"{"version":1,"do":"down","connection":"site"}"#),
        ("rekey", r#"{"version":1,"do":"rekey","connection":"site","which":"both"}"#),
        ("error", r#"{"version":1,"error":"no connection is called site"}"#),
        ("done", r#"{"version":1,"result":{"done":["site is down"]}}"#),
    ];
    let snapshots: [(&str, &[u8]); 4] = [
        ("as-it-was", &[2, 0, 0]),
        ("cut", &[2, 1, 9]),
        ("another-version", &[0, 0, 0, 0, 1, 1]),
        ("many-peers", &[1, 1, 0, 0, 90, 1, 0, 100, 0x80]),
    ];
    let nested = [b"a = ".as_slice(), &[b'['; 300], &[b']'; 300]].concat();
    let mut seeds = Vec::new();
    let mut take = |target, name: &str, bytes: &[u8]| {
        seeds.push((target, name.to_owned(), bytes.to_vec()));
    };
    take("config_file", "one-gateway", FILE.as_bytes());
    take("config_file", "broken", BROKEN.as_bytes());
    take("config_file", "nested", &nested);
    lines.iter().for_each(|(name, line)| take("control_line", name, line.as_bytes()));
    snapshots.iter().for_each(|(name, bytes)| take("ike_snapshot", name, bytes));
    states().into_iter().for_each(|(target, name, bytes)| take(target, name, &bytes));
    for (name, message) in crate::ike::messages() {
        // The same message for an IKE SA that it is not of, and for the one that there is.
        let mut addressed = message.clone();
        addressed[..16].fill(0xff);
        let framed = |message: &[u8]| {
            [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
        };
        take("ike_endpoint", name, &[framed(&message), framed(&addressed)].concat());
    }
    seeds
}

/// What is kept for the next process.
fn states() -> [(&'static str, &'static str, Vec<u8>); 7] {
    let estate = |inventory: &str| {
        let length = (inventory.len() as u64).to_be_bytes();
        [&length[..], inventory.as_bytes(), b"snapshot"].concat()
    };
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let slots = |first: u64, second: u64| {
        let slot = |number: u64| [&number.to_be_bytes()[..], b"content"].concat();
        [&[1][..], &slot(first), &slot(second)].concat()
    };
    [
        ("state_estate", "one-tunnel", estate(INVENTORY)),
        ("state_estate", "another-version", estate(&INVENTORY.replace(":1,", ":2,"))),
        ("state_ledger", "two-halves", words(&[7, 0, 3, 2, 5000, 3, 6000])),
        ("state_ledger", "at-the-end", words(&[7, u64::MAX, 1, 2, u64::MAX, 3, u64::MAX - 9])),
        ("state_store", "two-slots", slots(2, 3)),
        ("state_store", "the-last-number", slots(4, u64::MAX)),
        ("state_store", "torn", [&[0][..], b"s2sd-st1", &[0; 30]].concat()),
    ]
}

const INVENTORY: &str = r#"{"version":1,"ledger":7,"next_peer":2,"guarded":false,"connections":[{"name":"a","settings":{"b":[1.5]},"devices":["t"],"tunnels":[{"peer":1,"interface":"t","remote":"192.0.2.1","local":null,"wanted":true,"traffic":[1,2,3,4]}]}],"positions":[{"child":1,"outbound":{"next":2,"packets":3,"bytes":4},"inbound":{"top":9,"blocks":[1],"packets":5,"bytes":6}}]}"#;

const FILE: &str = r#"[device]
name = "site1"
[local_network_gateway]
name = "Site1"
gateway_ip_address = "198.51.100.1"
address_prefixes = ["10.1.0.0/24"]
[[connection]]
name = "VNet1"
dpd_timeout_seconds = 45
[connection.ipsec_policy]
ike_encryption = "GCMAES256"
ike_integrity = "SHA384"
dh_group = "ECP384"
ipsec_encryption = "AES256"
ipsec_integrity = "SHA256"
pfs_group = "None"
[connection.virtual_network_gateway]
name = "VNet1GW"
public_ip_addresses = ["203.0.113.2"]
address_prefixes = ["10.2.0.0/24"]
[connection.certificate_authentication]
inbound_certificate = "/a.pem"
inbound_private_key = "credential:key"
outbound_certificate_roots = ["/b.pem"]
outbound_certificate_subject_name = "azure"
"#;

const BROKEN: &str =
    "[[connection]\nname = \u{201c}site\u{201d}\nlist = [1,\n'x\nkey yes\n[connection]\n";
