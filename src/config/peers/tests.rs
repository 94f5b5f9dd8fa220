//! What the engine is told, from the files of `conf/` and small changes to them.

use std::fs;
use std::io;
use std::path::Path;

use super::*;
use crate::config::algorithm::{
    DhGroup, IkeEncryption, IkeIntegrity, IpsecEncryption, IpsecIntegrity, PfsGroup,
};
use crate::config::file::{FileContent, Files};
use crate::config::settings::TrafficSelection;
use crate::config::value::FileRef;
use crate::config::{Loaded, load};
use crate::crypto::signature::KeyStore;
use crate::ike::authenticator::PeerProof;
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::ike::error::AuthFailed;
use crate::ike::sa::dpd::DpdTimeout;
use crate::pki::identity::Id;
use crate::rng::Rng;
use crate::time::{Now, UnixTime};
use crate::wire::codes::{AuthMethod, HashId, IdType};

const PAIR: &str = include_str!("../../../conf/azure-active-active.toml");

/// The certificates of `tests/vectors/pki`: ours is `inbound`, the gateway's `outbound`.
struct Vectors {
    own: &'static str,
    key: &'static str,
}

const OURS: Vectors = Vectors { own: "Inbound-certificate.pem", key: "keys/rsa2048-2.p8.der" };
const AZURES: Vectors = Vectors { own: "Outbound-certificate.pem", key: "keys/rsa2048-3.p8.der" };

impl Files for Vectors {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        let name = match file.to_string().as_str() {
            "/etc/s2sd/certs/inbound.pem" => self.own,
            "credential:inbound.key" => self.key,
            _ => "root.pem",
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pki");
        Ok(FileContent { bytes: fs::read(folder.join(name))?.into(), exposed: false })
    }
}

/// 2027.
const NOW: Now = Now { mono: crate::time::Instant(0), unix: UnixTime(1_798_761_600) };

fn loaded(text: &str, files: &Vectors) -> Loaded {
    let loaded = load("test", text, files, &KeyStore::in_process(), NOW);
    assert!(loaded.config.is_some(), "{}", loaded.report);
    loaded
}

fn authenticator(text: &str, files: &Vectors) -> Rc<CertificateAuthenticator> {
    let mut loaded = loaded(text, files);
    let credentials = loaded.credentials.remove(0).unwrap_or_else(|| panic!("{}", loaded.report));
    Rc::new(credentials.certificates("198.51.100.1".parse().ok()))
}

/// The peers of the only connection of a file.
fn peers(text: &str) -> Vec<PeerConfig> {
    let credentials = authenticator(text, &OURS);
    let config = loaded(text, &OURS).config.unwrap();
    let connection = &config.connections[0];
    let local = "198.51.100.1".parse().unwrap();
    connection
        .tunnels
        .iter()
        .map(|tunnel| {
            let remotes = vec![tunnel.remote.address().unwrap()];
            let site = &config.local_network_gateway;
            peer(site, connection, tunnel, local, remotes, credentials.clone())
        })
        .collect()
}

fn with(what: &str, by: &str) -> String {
    assert!(PAIR.contains(what), "{what}");
    PAIR.replacen(what, by, 1)
}

/// Deterministic, for signatures that need no randomness.
struct Zeros;

impl Rng for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[test]
fn each_instance_is_a_peer() {
    let peers = peers(PAIR);
    let names: Vec<&str> = peers.iter().map(|peer| &*peer.name).collect();
    assert_eq!(names, ["VNet1-to-Site1/1", "VNet1-to-Site1/2"]);
    assert_eq!(peers[1].remotes, ["203.0.113.3".parse::<IpAddr>().unwrap()]);
    assert_eq!(peers[0].role, DialRole::Both);
    assert_eq!(peers[0].dpd_timeout, DpdTimeout::from_seconds(45).unwrap());
    assert_eq!(peers[0].ike_lifetime, Duration::from_secs(28_800));
    let child = &peers[0].children[0];
    assert_eq!(peers[0].children.len(), 1);
    assert_eq!(child.lifetime_time, Duration::from_secs(27_000));
    assert_eq!(child.lifetime_bytes, 104_857_600_000);
    assert_eq!(child.selectors.local, SelectorSet::from(Selector::ANY_V4));
    assert_eq!(child.esp.offered()[0].to_string(), "AES_GCM_16_256/ECP_384/NO_ESN");
}

#[test]
fn azures_mode_is_mirrored() {
    let mode = |mode: &str| {
        let name = "name = \"VNet1-to-Site1\"";
        peers(&with(name, &format!("{name}\nconnection_mode = \"{mode}\"")))[0].role
    };
    assert_eq!(mode("Default"), DialRole::Both);
    assert_eq!(mode("InitiatorOnly"), DialRole::Answer);
    assert_eq!(mode("ResponderOnly"), DialRole::Dial);
}

#[test]
fn each_pair_of_prefixes_is_a_child() {
    let name = "name = \"VNet1-to-Site1\"";
    let text = with(name, &format!("{name}\nuse_policy_based_traffic_selectors = true"));
    let text =
        text.replace("[\"10.2.0.0/24\"]", "[\"10.2.0.0/24\", \"10.3.0.0/24\", \"fd00::/64\"]");
    let children = &peers(&text)[0].children;
    let pairs: Vec<(String, String)> = children
        .iter()
        .map(|child| (child.selectors.local.to_string(), child.selectors.remote.to_string()))
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    // 10.1.0.0/24 and fd00::/64 are of different families: nothing can pass between them.
    assert_eq!(pairs, [pair("10.1.0.0/24", "10.2.0.0/24"), pair("10.1.0.0/24", "10.3.0.0/24")]);
    assert_eq!(&*children[1].name, "VNet1-to-Site1[2]");
}

#[test]
fn ipv6_inside_gets_its_selectors() {
    let text = with("[\"10.2.0.0/24\"]", "[\"10.2.0.0/24\", \"fd00::/64\"]");
    let child = &peers(&text)[0].children[0];
    assert!(child.selectors.remote.covers_selector(&Selector::ANY_V6));
}

#[test]
fn rekey_ages_become_lifetimes() {
    let text = with("routes = \"ecmp\"", "ike_rekey_seconds = 60\nchild_rekey_seconds = 60");
    let peer = &peers(&text)[0];
    assert_eq!(peer.ike_lifetime, Duration::from_secs(75));
    assert_eq!(peer.children[0].lifetime_time, Duration::from_secs(80));
}

/// Every policy that the file can say is one that can be run: so [`policies`] may expect it.
#[test]
fn every_policy_of_the_file_runs() {
    let text = |ike: IkeEncryption, hash: IkeIntegrity, group: DhGroup| {
        let start = PAIR.find("ike_encryption").unwrap();
        let end = PAIR.find("ipsec_encryption").unwrap();
        let lines = format!(
            "ike_encryption = \"{ike}\"\nike_integrity = \"{hash}\"\ndh_group = \"{group}\"\n"
        );
        format!("{}{lines}{}", &PAIR[..start], &PAIR[end..])
    };
    let esp = |cipher: IpsecEncryption, hash: IpsecIntegrity, group: PfsGroup| {
        let start = PAIR.find("ipsec_encryption").unwrap();
        let end = PAIR.find("[connection.virtual_network_gateway]").unwrap();
        let lines = format!(
            "ipsec_encryption = \"{cipher}\"\nipsec_integrity = \"{hash}\"\npfs_group = \"{group}\"\n\n"
        );
        format!("{}{lines}{}", &PAIR[..start], &PAIR[end..])
    };
    let mut texts = Vec::new();
    for ike in IkeEncryption::ALL {
        for hash in IkeIntegrity::ALL {
            texts.extend(DhGroup::ALL.iter().map(|group| text(*ike, *hash, *group)));
        }
    }
    for cipher in IpsecEncryption::ALL {
        for hash in IpsecIntegrity::ALL {
            texts.extend(PfsGroup::ALL.iter().map(|group| esp(*cipher, *hash, *group)));
        }
    }
    let configs = texts.iter().filter_map(|text| crate::config::parse("test", text).config);
    let mut seen = 0;
    for config in configs {
        let (ike, esp) = policies(&config.connections[0].ipsec_policy);
        assert!(!ike.offered().is_empty(), "{}", config.connections[0].ipsec_policy);
        assert!(!esp.offered().is_empty(), "{}", config.connections[0].ipsec_policy);
        seen += 1;
    }
    // Of GCM ciphers each hash and their own name, of CBC ones each hash; ESP: GCM with itself, CBC
    // with two hashes.
    let (groups, pfs) = (DhGroup::ALL.len(), PfsGroup::ALL.len());
    assert_eq!(seen, (2 * 4 + 3 * 3) * groups + (3 + 3 * 2) * pfs);
}

#[test]
fn many_pairs_raise_the_bound_on_children() {
    let config = loaded(PAIR, &OURS).config.unwrap();
    assert_eq!(endpoint(&config).max_children, EndpointConfig::default().max_children);
    let pair = PrefixPair { local: vec![Prefix::any_v4()], remote: vec![Prefix::any_v4()] };
    let mut many = config;
    many.connections[0].selectors = TrafficSelection::Written(vec![pair; 150]);
    assert_eq!(endpoint(&many).max_children, 150);
}

/// Both ends by certificates: what one signs the other believes, by both kinds of signature.
#[test]
fn the_two_ends_believe_each_other() {
    let ours = authenticator(PAIR, &OURS);
    let swapped = with("\"Outbound-certificate\"", "\"Inbound-certificate\"");
    let azure = authenticator(&swapped, &AZURES);
    let octets = b"what both ends signed";
    for (announced, method) in
        [(Vec::new(), AuthMethod::RsaSignature), (azure.hashes(), AuthMethod::DigitalSignature)]
    {
        let auth = ours.sign(octets, &announced, &mut Zeros).unwrap();
        assert_eq!(auth.method, method);
        let (identity, certificates) = (ours.identity(), ours.certificates());
        let claim = PeerProof {
            identity: &identity,
            certificates: &certificates,
            auth: &auth,
            octets,
            announced: &announced,
            remotes: &[],
        };
        let proven = azure.verify(&claim, NOW).unwrap();
        assert_eq!(proven.name, "CN=Inbound-certificate");
        assert_eq!(proven.until, ours.not_after());
        let other = PeerProof { octets: b"something else", ..claim };
        assert_eq!(azure.verify(&other, NOW).unwrap_err().kind, AuthFailed::Signature);
        // Our own side expects Outbound-certificate.
        assert_eq!(ours.verify(&claim, NOW).unwrap_err().kind, AuthFailed::Identity);
        let none = PeerProof { certificates: &[], ..claim };
        assert_eq!(azure.verify(&none, NOW).unwrap_err().kind, AuthFailed::Certificate);
    }
    assert_eq!(ours.authorities(), azure.authorities());
}

#[test]
fn signatures_follow_the_file() {
    let name = "outbound_certificate_subject_name";
    let off = authenticator(&with(name, &format!("digital_signatures = false\n{name}")), &OURS);
    assert!(off.hashes().is_empty());
    let auth = off.sign(b"x", &[HashId::Sha2_256], &mut Zeros).unwrap();
    assert_eq!(auth.method, AuthMethod::RsaSignature);
    let choice = |lines: &str| {
        let made = authenticator(&with(name, &format!("{lines}{name}")), &OURS);
        made.sign(b"x", &[HashId::Sha2_384, HashId::Sha2_256], &mut Zeros).unwrap();
        made.last_signature().unwrap()
    };
    let pss = choice("");
    assert!(pss.starts_with("we signed with RSA PSS with SHA-384"), "{pss}");
    let pkcs1 = choice("signature_padding = \"PKCS1\"\n");
    assert!(pkcs1.starts_with("we signed with RSA PKCS#1 v1.5 with SHA-384"), "{pkcs1}");
    let named = |identity: &str| {
        let text = with(name, &format!("inbound_identity = \"{identity}\"\n{name}"));
        authenticator(&text, &OURS).identity()
    };
    assert_eq!(named("address").address(), "198.51.100.1".parse().ok());
    assert_eq!(named("fqdn").text(), Some("Inbound-certificate"));
    assert!(named("subject").text().is_none());
}

/// Gateways other than Azure's are known by what the file says, and one name is enough.
#[test]
fn the_gateways_identity_follows_the_file() {
    let name = "outbound_certificate_subject_name = \"Outbound-certificate\"";
    let made = |lines: &str| authenticator(&with(name, lines), &OURS);
    let rule = |lines: &str| made(lines).expected.rule.to_string();
    assert_eq!(rule(name), "CN=Outbound-certificate");
    assert_eq!(rule("outbound_certificate_subject = \"CN=gw, O=x\""), "subject CN=gw, O=x");
    let alternative = "outbound_certificate_alternative_name";
    assert_eq!(rule(&format!("{alternative} = \"DNS:gw.example.com\"")), "DNS:gw.example.com");
    assert_eq!(rule("remote_identity = \"gw@example.com\""), "email:gw@example.com");
    let both = made(&format!("{name}\nremote_identity = \"10.0.0.4\""));
    assert_eq!(both.expected.rule.to_string(), "CN=Outbound-certificate");
    assert_eq!(both.expected.id.as_ref().map(Id::to_text), Some("10.0.0.4".into()));
    let asked = format!("{name}\nremote_identity = \"keyid:0x01\"\nrequest_identity = true");
    let asked_for = peers(&with(name, &asked)).remove(0).ask_for.unwrap();
    assert_eq!((asked_for.kind, asked_for.data), (IdType::KeyId, vec![1]));
    assert!(peers(&with(name, name)).remove(0).ask_for.is_none());
    let pinned = format!("{name}\noutbound_certificate_pinned = [\"/etc/root.pem\"]");
    assert_eq!(made(&pinned).expected.pinned.len(), 1);
    let between = format!("{name}\noutbound_certificate_intermediates = [\"/etc/root.pem\"]");
    assert_eq!(made(&between).trust.intermediates.len(), 1);
    for wrong in [
        "",
        "remote_identity = \"keyid:azure\"",
        &format!("{name}\noutbound_certificate_subject = \"CN=gw\""),
        &format!("{name}\nrequest_identity = true"),
        &format!("{name}\nrequire_crls = true"),
        &format!("{name}\nremote_identity = \"XY=gw\""),
    ] {
        let loaded = load("test", &with(name, wrong), &OURS, &KeyStore::in_process(), NOW);
        assert!(loaded.config.is_none(), "{wrong}");
    }
}
