//! Seeds for the targets of what this host says to itself: configuration files, lines at the control socket, snapshots; and for
//! the engine, which hears messages of a peer.

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
