//! Two engines with real cryptography and certificates as Azure's pages make them: every algorithm
//! that Azure names and s2sd runs sets up, rekeys both kinds of SA and says goodbye.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use s2sd::crypto::Standard;
use s2sd::crypto::signature::PrivateKey;
use s2sd::ike::authenticator::certificates::CertificateAuthenticator;
use s2sd::ike::diagnosis::azure_names::{self, PolicyNames};
use s2sd::ike::diagnosis::setting::Setting;
use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use s2sd::ike::endpoint::event::{Cause, IkeEvent};
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::negotiation::combination::Combination;
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::ike::path::{Datagram, Path};
use s2sd::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::ike::{Endpoint, PeerId};
use s2sd::pki::identity::{Expectation, IdentityRule};
use s2sd::pki::load::Bundle;
use s2sd::pki::own_identity::OwnIdentity;
use s2sd::pki::path::{Roots, Trust};
use s2sd::sys::random::SystemRng;
use s2sd::time::{Instant, Now, UnixTime};

const PEER: PeerId = PeerId(1);

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("vectors/pki/", $name)).as_slice()
    };
}

fn bundle(bytes: &[u8]) -> Bundle {
    Bundle::read(bytes, None, "a test file").expect("a readable file")
}

/// `inbound` is what we present to Azure, `outbound` what Azure presents.
fn credentials(ours: bool) -> CertificateAuthenticator {
    let (leaf, other) = match ours {
        true => (file!("Inbound-certificate.pem"), "Outbound-certificate"),
        false => (file!("Outbound-certificate.pem"), "Inbound-certificate"),
    };
    let leaf = bundle(leaf).certificates;
    let keys = [
        file!("keys/rsa2048-1.p8.der"),
        file!("keys/rsa2048-2.p8.der"),
        file!("keys/rsa2048-3.p8.der"),
        file!("keys/rsa2048-4.p8.der"),
    ];
    let own = keys
        .into_iter()
        .find_map(|key| OwnIdentity::new(&leaf, PrivateKey::from_der(key).expect("a key")).ok())
        .expect("one of the keys is the certificate's");
    let roots = Roots::new(bundle(file!("root.pem")).certificates).expect("a root");
    let expected = Expectation::new(IdentityRule::common_name(other));
    CertificateAuthenticator::new(own, Trust::new(roots), expected)
}

fn config(
    ours: bool,
    ike: ProposalPolicy,
    esp: ProposalPolicy,
    behaviour: PeerBehaviour,
) -> PeerConfig {
    let address = |host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
    let (local, remote) = if ours { (1, 2) } else { (2, 1) };
    PeerConfig {
        name: "azure".into(),
        role: if ours { DialRole::Dial } else { DialRole::Answer },
        local: address(local),
        remotes: vec![address(remote)],
        fixed_remotes: true,
        encapsulation: EspEncapsulation::Udp,
        start_on_4500: false,
        ike,
        children: vec![ChildConfig {
            name: "all".into(),
            esp,
            selectors: PeerBehaviour::Azure.selectors(),
            lifetime_time: CHILD_TIME,
            lifetime_bytes: CHILD_BYTES,
            keep_up: true,
        }],
        credentials: Rc::new(credentials(ours)),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: Default::default(),
        childless: false,
        behaviour,
    }
}

struct Pair {
    ends: [Endpoint; 2],
    wire: VecDeque<(usize, Path, Vec<u8>)>,
    events: [Vec<IkeEvent>; 2],
    now: Now,
}

impl Pair {
    fn new(configs: [PeerConfig; 2]) -> Pair {
        let end = || {
            let rng = Box::new(SystemRng::default());
            Endpoint::new(EndpointConfig::default(), Box::new(Standard::default()), rng)
        };
        let now = Now { mono: Instant(1_000_000_000), unix: UnixTime(1_900_000_000) };
        let mut pair =
            Pair { ends: [end(), end()], wire: VecDeque::new(), events: Default::default(), now };
        for (end, config) in configs.into_iter().enumerate() {
            pair.command(end, Command::Add(PEER, Box::new(config)));
        }
        pair
    }

    fn command(&mut self, end: usize, command: Command) {
        self.ends[end].command(self.now, command);
        self.collect(end);
        for _ in 0..100 {
            let Some((from, path, bytes)) = self.wire.pop_front() else { return };
            let path = Path { local: path.remote, remote: path.local, port: path.port };
            self.ends[1 - from].handle_datagram(self.now, Datagram { path, bytes: &bytes });
            self.collect(1 - from);
        }
        panic!("the two do not come to rest");
    }

    fn collect(&mut self, end: usize) {
        while let Some(output) = self.ends[end].poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.wire.push_back((end, transmit.path, transmit.bytes));
                }
                Output::Event(event) => self.events[end].push(event),
                _ => {}
            }
        }
    }

    fn count(&self, end: usize, which: impl Fn(&IkeEvent) -> bool) -> usize {
        self.events[end].iter().filter(|event| which(event)).count()
    }

    /// Sets up, rekeys from both ends, takes down; nothing may be refused.
    fn live(mut self, story: &str) {
        self.command(0, Command::Up(PEER));
        for rekeyed_by in [0, 1] {
            let child = self.events[rekeyed_by].iter().rev().find_map(|event| match event {
                IkeEvent::ChildUp { child, .. } => Some(*child),
                _ => None,
            });
            let child = child.unwrap_or_else(|| panic!("{story}: {:#?}", self.events));
            self.command(rekeyed_by, Command::RekeyChild(PEER, child));
            self.command(rekeyed_by, Command::RekeyIke(PEER));
        }
        self.command(0, Command::Down(PEER));
        for end in [0, 1] {
            let refused = self.count(end, |event| matches!(event, IkeEvent::Refused(..)));
            assert_eq!(refused, 0, "{story}: {:#?}", self.events[end]);
            assert_eq!(self.count(end, |e| matches!(e, IkeEvent::ChildUp { .. })), 3, "{story}");
            assert_eq!(self.count(end, |e| matches!(e, IkeEvent::IkeRekeyed { .. })), 2, "{story}");
        }
        let told =
            |e: &IkeEvent| matches!(e, IkeEvent::IkeDown { cause: Cause::DeletedByPeer, .. });
        assert_eq!(self.count(1, told), 1, "{story}");
    }
}

#[test]
fn every_custom_policy_of_azure_that_can_run_does() {
    let ike_names = || {
        let encryptions = azure_names::names(Setting::IkeEncryption).iter();
        encryptions.flat_map(|encryption| {
            let integrities = azure_names::names(Setting::IkeIntegrity).iter();
            integrities.flat_map(move |integrity| {
                azure_names::names(Setting::DhGroup)
                    .iter()
                    .map(move |group| (*encryption, *integrity, *group))
            })
        })
    };
    let esp_names: Vec<(&str, &str, &str)> = azure_names::names(Setting::IpsecEncryption)
        .iter()
        .flat_map(|encryption| {
            let integrities = azure_names::names(Setting::IpsecIntegrity).iter();
            integrities.flat_map(move |integrity| {
                azure_names::names(Setting::PfsGroup)
                    .iter()
                    .map(move |group| (*encryption, *integrity, *group))
            })
        })
        .collect();
    let name = |(ike_encryption, ike_integrity, dh_group), esp| {
        let (ipsec_encryption, ipsec_integrity, pfs_group) = esp;
        PolicyNames {
            ike_encryption,
            ike_integrity,
            dh_group,
            ipsec_encryption,
            ipsec_integrity,
            pfs_group,
        }
    };
    let some_ike = ("GCMAES256", "SHA384", "ECP384");
    let some_esp = ("GCMAES256", "GCMAES256", "None");
    let ike_policies: Vec<(String, ProposalPolicy)> = ike_names()
        .filter_map(|ike| {
            let (policy, refused) =
                ProposalPolicy::new(&azure_names::ike_lines(&name(ike, some_esp)).ok()?);
            (refused.is_empty()).then(|| (format!("{ike:?}"), policy))
        })
        .collect();
    let esp_policies: Vec<(String, ProposalPolicy)> = esp_names
        .into_iter()
        .filter_map(|esp| {
            let (policy, refused) =
                ProposalPolicy::new(&[azure_names::esp_line(&name(some_ike, esp)).ok()?]);
            (refused.is_empty()).then(|| (format!("{esp:?}"), policy))
        })
        .collect();
    // Five ciphers with their hashes and six groups; three AEADs, three times CBC and NULL with
    // their hashes, and eight names for what comes of PFS. Not among them: DES, 3DES, MD5, group 1.
    assert_eq!((ike_policies.len(), esp_policies.len()), (19 * 6, 11 * 8));
    // Each IKE policy with one ESP policy and each ESP policy with one IKE policy: what they are
    // made of is independent.
    let rounds = ike_policies.len().max(esp_policies.len());
    let pairs = ike_policies.iter().cycle().zip(esp_policies.iter().cycle()).take(rounds);
    for ((ike_name, ike), (esp_name, esp)) in pairs {
        let one = config(true, ike.clone(), esp.clone(), PeerBehaviour::Standard);
        let two = config(false, ike.clone(), esp.clone(), PeerBehaviour::Standard);
        Pair::new([one, two]).live(&format!("{ike_name} {esp_name}"));
    }
}

/// The lines of Azure's default lists, one by one: four for the IKE SA, and those of the answering
/// side for its children.
#[test]
fn every_line_of_azures_defaults_that_can_run_does() {
    let alone = |lines: &[Combination]| -> Vec<(String, ProposalPolicy)> {
        let policies = lines.iter().map(|line| (line.to_string(), ProposalPolicy::new(&[*line])));
        let runs = policies.filter(|(_, (_, refused))| refused.is_empty());
        runs.map(|(name, (policy, _))| (name, policy)).collect()
    };
    let (ike, esp) = (alone(&azure_names::DEFAULT_IKE), alone(&azure_names::DEFAULT_ESP_RESPONDER));
    assert_eq!((ike.len(), esp.len()), (4, 15));
    for ((ike_name, ike), (esp_name, esp)) in ike.iter().cycle().zip(&esp) {
        let one = config(true, ike.clone(), esp.clone(), PeerBehaviour::Standard);
        let two = config(false, ike.clone(), esp.clone(), PeerBehaviour::Standard);
        Pair::new([one, two]).live(&format!("{ike_name} {esp_name}"));
    }
}

#[test]
fn a_connection_left_on_default_works_both_ways() {
    let ours = config(
        true,
        ProposalPolicy::azure_ike(),
        ProposalPolicy::azure_esp(),
        PeerBehaviour::Standard,
    );
    let azure = PeerBehaviour::Azure;
    let theirs = config(false, azure.ike_policy(), azure.esp_policy(), azure);
    Pair::new([ours, theirs]).live("Default");
}

#[test]
fn a_wrong_name_is_refused_with_the_rule_and_the_remedy() {
    let ours = config(
        true,
        ProposalPolicy::azure_ike(),
        ProposalPolicy::azure_esp(),
        PeerBehaviour::Standard,
    );
    let mut theirs = config(
        false,
        ProposalPolicy::azure_ike(),
        ProposalPolicy::azure_esp(),
        PeerBehaviour::Standard,
    );
    let mut wrong = credentials(false);
    wrong.expected = Expectation::new(IdentityRule::common_name("somebody else"));
    theirs.credentials = Rc::new(wrong);
    let mut pair = Pair::new([ours, theirs]);
    pair.command(0, Command::Up(PEER));
    let refusal = |end: usize| {
        pair.events[end].iter().find_map(|event| match event {
            IkeEvent::Refused(_, refusal) => Some(refusal.to_string()),
            _ => None,
        })
    };
    let (told, refused) = (refusal(0).unwrap(), refusal(1).unwrap());
    assert!(refused.contains("somebody else"), "{refused}");
    assert!(told.contains("inbound_certificate"), "{told}");
}
