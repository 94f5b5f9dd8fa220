use proptest::prelude::*;

use super::*;
use crate::ike::diagnosis::azure_names::{
    DEFAULT_ESP_INITIATOR, DEFAULT_ESP_RESPONDER, DEFAULT_IKE, PolicyNames,
};
use crate::ike::negotiation::combination::CombinationCipher;
use crate::wire::codes::{EncrId, EsnId, IntegId, KeId, PrfId};
use crate::wire::payload::sa::{AttributeValue, TransformAttribute};

const SPI: EspSpi = EspSpi(0x1234_5678);
const NEGOTIATED: Groups = Groups::Negotiated;

const RECOMMENDED: PolicyNames<'static> = PolicyNames {
    ike_encryption: "GCMAES256",
    ike_integrity: "SHA384",
    dh_group: "ECP384",
    ipsec_encryption: "GCMAES256",
    ipsec_integrity: "GCMAES256",
    pfs_group: "ECP384",
};

fn gcm(ke: Option<KeId>) -> Combination {
    let cipher = CombinationCipher { encr: EncrId::AesGcm16, key_bits: Some(256), integ: None };
    Combination::Esp { cipher, ke, esn: EsnId::Sequence32 }
}

fn proposal(protocol: ProtocolId, transforms: Vec<Transform>) -> SecurityAssociation {
    Proposal::new(1, protocol, SPI, transforms).into()
}

fn gcm_transform() -> Transform {
    Transform::with_key_length(EncrId::AesGcm16, 256)
}

fn no_esn() -> Transform {
    Transform::new(EsnId::Sequence32)
}

fn texts(offer: &SecurityAssociation) -> Vec<String> {
    offer.proposals.iter().map(ToString::to_string).collect()
}

#[test]
fn our_default_offer_is_azures_less_what_we_cannot_run() {
    assert_eq!(
        texts(&offer(ProposalPolicy::azure_ike().offered(), Spi::None, NEGOTIATED)),
        [
            "IKE:AES_CBC_256/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024",
            "IKE:AES_CBC_256/PRF_HMAC_SHA2_256/HMAC_SHA2_256_128/MODP_1024",
            "IKE:AES_CBC_128/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024",
            "IKE:AES_CBC_128/PRF_HMAC_SHA2_256/HMAC_SHA2_256_128/MODP_1024",
        ]
    );
    let esp = offer(ProposalPolicy::azure_esp().offered(), SPI, NEGOTIATED);
    assert_eq!(
        texts(&esp),
        [
            "ESP:AES_GCM_16_256/NO_ESN",
            "ESP:AES_CBC_256/HMAC_SHA1_96/NO_ESN",
            "ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_ESN",
            "ESP:AES_CBC_128/HMAC_SHA1_96/NO_ESN",
        ]
    );
    assert!(esp.proposals.iter().zip(1..).all(|(p, n)| p.number == n && p.spi == SPI.into()));
}

#[test]
fn a_played_azure_says_all_its_lines() {
    let azure = ProposalPolicy::verbatim(&DEFAULT_ESP_INITIATOR, &DEFAULT_ESP_RESPONDER);
    let said = offer(azure.offered(), SPI, NEGOTIATED);
    assert_eq!(said.proposals.len(), 6);
    assert_eq!(said.proposals[2].to_string(), "ESP:3DES/HMAC_SHA1_96/NO_ESN");
    // We take the first line of it that is also ours.
    let choice = choose(ProposalPolicy::azure_esp().accepted(), &said, NEGOTIATED).expect("a line");
    assert_eq!(choice.line, gcm(None));
    // And it never takes 3DES from itself, which it could not run.
    let only: SecurityAssociation = said.proposals[2].clone().into();
    assert_eq!(choose(azure.accepted(), &only, NEGOTIATED), Err(Incompatible::Proposal.into()));
}

#[test]
fn what_a_policy_cannot_run_is_told() {
    let names = PolicyNames { ike_encryption: "DES3", dh_group: "DHGroup1", ..RECOMMENDED };
    let (policy, refused) = ProposalPolicy::new(&azure_names::ike_lines(&names).expect("names"));
    assert!(policy.offered().is_empty());
    assert!(matches!(
        refused.as_slice(),
        [Unsupported::Encryption(SaKind::Ike, EncrId::TripleDes)]
    ));
}

#[test]
fn every_custom_policy_of_azure_that_we_can_run_meets_itself() {
    let mut met = 0;
    for encryption in azure_names::names(crate::ike::diagnosis::setting::Setting::IpsecEncryption) {
        for integrity in azure_names::names(crate::ike::diagnosis::setting::Setting::IpsecIntegrity)
        {
            for pfs in azure_names::names(crate::ike::diagnosis::setting::Setting::PfsGroup) {
                let names = PolicyNames {
                    ipsec_encryption: encryption,
                    ipsec_integrity: integrity,
                    pfs_group: pfs,
                    ..RECOMMENDED
                };
                let Ok(line) = azure_names::esp_line(&names) else { continue };
                let (policy, _) = ProposalPolicy::new(&[line]);
                if policy.offered().is_empty() {
                    continue;
                }
                let said = offer(policy.offered(), SPI, NEGOTIATED);
                let choice = choose(policy.accepted(), &said, NEGOTIATED).expect("meets itself");
                let answer = choice.answer(EspSpi(0x9999));
                let read = read_answer(policy.offered(), &answer, NEGOTIATED).expect("ours");
                assert_eq!(read.esp_suite(), choice.esp_suite());
                assert_eq!((choice.esp_spi(), read.esp_spi()), (Ok(SPI), Ok(EspSpi(0x9999))));
                met += 1;
            }
        }
    }
    // 3 GCM, and (3 AES + NULL) with 2 HMACs; each with all the PFS names but PFS1.
    assert_eq!(met, (3 + 4 * 2) * 8);
}

#[test]
fn our_order_decides() {
    let ours = [gcm(Some(KeId::Ecp384)), gcm(Some(KeId::Modp2048)), gcm(None)];
    let reversed: Vec<_> = ours.iter().rev().copied().collect();
    let choice = choose(&ours, &offer(&reversed, SPI, NEGOTIATED), NEGOTIATED).expect("a line");
    assert_eq!(choice.line.group(), Some(KeId::Ecp384));
    let answer = choice.answer(SPI);
    assert_eq!(answer.proposals[0].number, 3);
    assert_eq!(read_answer(&reversed, &answer, NEGOTIATED).expect("ours").line, choice.line);
}

#[test]
fn a_merged_proposal_is_narrowed_to_one_transform_a_type() {
    let merged = proposal(
        ProtocolId::Esp,
        vec![
            Transform::with_key_length(EncrId::AesCbc, 128),
            Transform::with_key_length(EncrId::AesCbc, 256),
            Transform::new(IntegId::HmacSha1_96),
            Transform::new(IntegId::HmacSha2_256_128),
            Transform::new(KeId::Modp2048),
            Transform::new(KeId::None),
            Transform::new(EsnId::Extended64),
            no_esn(),
        ],
    );
    let choice =
        choose(ProposalPolicy::azure_esp().accepted(), &merged, NEGOTIATED).expect("a line");
    assert_eq!(
        choice.answer(SPI).proposals[0].to_string(),
        "ESP:AES_CBC_256/HMAC_SHA1_96/KE_NONE/NO_ESN"
    );
}

#[test]
fn silence_and_none_mean_the_same() {
    let ours = [gcm(None)];
    let none = Transform::new(IntegId::None);
    for transforms in [
        vec![gcm_transform()],
        vec![gcm_transform(), no_esn()],
        vec![gcm_transform(), none.clone(), no_esn()],
        vec![gcm_transform(), none, Transform::new(KeId::None), no_esn()],
    ] {
        let theirs = proposal(ProtocolId::Esp, transforms);
        let choice = choose(&ours, &theirs, NEGOTIATED).expect("fits");
        // The answer says just what they said: no type they did not name (RFC 7296 §3.3.6).
        assert_eq!(choice.answer(SPI), theirs);
        assert!(read_answer(&ours, &theirs, NEGOTIATED).is_ok());
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let ours = [gcm(None)];
    let odd = TransformAttribute { kind: 15.into(), value: AttributeValue::Short(1) };
    let odd_gcm = Transform { attributes: vec![odd], ..gcm_transform() };
    let unknown = Transform::new(TransformId::new(6.into(), 35));
    for (name, protocol, transforms) in [
        ("protocol", ProtocolId::Ah, vec![gcm_transform(), no_esn()]),
        ("key length", ProtocolId::Esp, vec![Transform::with_key_length(EncrId::AesGcm16, 128)]),
        ("no key length", ProtocolId::Esp, vec![Transform::new(EncrId::AesGcm16)]),
        ("attribute", ProtocolId::Esp, vec![odd_gcm]),
        ("integrity", ProtocolId::Esp, vec![gcm_transform(), Transform::new(IntegId::HmacSha1_96)]),
        ("group", ProtocolId::Esp, vec![gcm_transform(), Transform::new(KeId::Ecp384)]),
        ("ESN", ProtocolId::Esp, vec![gcm_transform(), Transform::new(EsnId::Extended64)]),
        ("PRF", ProtocolId::Esp, vec![gcm_transform(), Transform::new(PrfId::HmacSha1)]),
        ("type", ProtocolId::Esp, vec![gcm_transform(), unknown]),
        ("nothing", ProtocolId::Esp, vec![]),
    ] {
        let theirs = proposal(protocol, transforms);
        assert_eq!(
            choose(&ours, &theirs, NEGOTIATED),
            Err(Incompatible::Proposal.into()),
            "{name}"
        );
        let answer = read_answer(&ours, &theirs, NEGOTIATED);
        assert_eq!(answer, Err(PeerMisbehaved::AnswerNotOffered.into()), "{name}");
    }
}

#[test]
fn the_first_child_has_no_group() {
    let ours = [gcm(Some(KeId::Ecp384)), gcm(Some(KeId::Modp2048))];
    // Two lines that differ in the group alone are one.
    assert_eq!(texts(&offer(&ours, SPI, Groups::Omitted)), ["ESP:AES_GCM_16_256/NO_ESN"]);
    // A peer that names groups there is answered without.
    let theirs = offer(&ours, SPI, NEGOTIATED);
    let choice = choose(&ours, &theirs, Groups::Omitted).expect("fits");
    assert_eq!(choice.answer(SPI).proposals[0].to_string(), "ESP:AES_GCM_16_256/NO_ESN");
    assert_eq!(choice.esp_suite().expect("runs").group, None);
    // But an answer must not bring one in.
    let theirs: SecurityAssociation = theirs.proposals[0].clone().into();
    let answer = read_answer(&ours, &theirs, Groups::Omitted);
    assert_eq!(answer, Err(PeerMisbehaved::AnswerNotOffered.into()));
}

#[test]
fn pfs_is_neither_added_nor_dropped() {
    let (with, without) = ([gcm(Some(KeId::Ecp384))], [gcm(None)]);
    for (ours, theirs) in [(with, without), (without, with)] {
        let theirs = offer(&theirs, SPI, NEGOTIATED);
        assert_eq!(choose(&ours, &theirs, NEGOTIATED), Err(Incompatible::Proposal.into()));
    }
}

#[test]
fn an_answer_is_one_proposal_of_ours_by_its_number() {
    let ours = [gcm(Some(KeId::Ecp384)), gcm(None)];
    let said = offer(&ours, SPI, NEGOTIATED);
    let refused = |answer: SecurityAssociation| {
        let read = read_answer(&ours, &answer, NEGOTIATED);
        assert_eq!(read, Err(PeerMisbehaved::AnswerNotOffered.into()), "{answer:?}");
    };
    for (at, proposal) in said.proposals.iter().enumerate() {
        let read = read_answer(&ours, &proposal.clone().into(), NEGOTIATED).expect("one of ours");
        assert_eq!(read.line, ours[at]);
    }
    let second = said.proposals[1].clone();
    refused(said);
    refused(SecurityAssociation::default());
    for number in [0, 1, 3, 255] {
        refused(Proposal { number, ..second.clone() }.into());
    }
    let mut twice = second.clone();
    twice.transforms.push(no_esn());
    refused(twice.into());
}

#[test]
fn spis_are_checked_where_they_are_taken() {
    let with = |spi: Spi| {
        let theirs: SecurityAssociation =
            Proposal { spi, ..offer(&[gcm(None)], SPI, NEGOTIATED).proposals[0].clone() }.into();
        choose(&[gcm(None)], &theirs, NEGOTIATED).expect("fits")
    };
    let wrong = Err(Error::from(PeerMisbehaved::Spi));
    assert_eq!(with(SPI.into()).esp_spi(), Ok(SPI));
    for spi in [Spi::None, EspSpi(0).into(), EspSpi(255).into(), IkeSpi(7).into()] {
        assert_eq!(with(spi).esp_spi(), wrong);
    }
    assert_eq!(with(IkeSpi(7).into()).ike_spi(), Ok(IkeSpi(7)));
    for spi in [Spi::None, IkeSpi::ZERO.into(), SPI.into()] {
        assert_eq!(with(spi).ike_spi(), Err(PeerMisbehaved::Spi.into()));
    }
}

#[test]
fn groups_are_told_once_in_order() {
    let mut names = RECOMMENDED;
    let mut lines = Vec::new();
    for group in ["ECP384", "DHGroup14", "ECP384"] {
        names.dh_group = group;
        lines.extend(azure_names::ike_lines(&names).expect("names"));
    }
    assert_eq!(ProposalPolicy::new(&lines).0.groups(), [Group::Ecp384, Group::Modp2048]);
    assert_eq!(ProposalPolicy::azure_ike().groups(), [Group::Modp1024]);
    assert_eq!(ProposalPolicy::azure_esp().groups(), []);
}

#[test]
fn suites_and_lines_convert_both_ways() {
    for line in DEFAULT_IKE.into_iter().filter(|line| line.check().is_ok()) {
        let suite = IkeSuite::try_from(line).expect("runs");
        assert_eq!(Combination::from(suite), line);
    }
    for line in DEFAULT_ESP_RESPONDER.into_iter().filter(|line| line.check().is_ok()) {
        let suite = EspSuite::try_from(line).expect("runs");
        assert_eq!(Combination::from(suite), line);
    }
    assert!(IkeSuite::try_from(gcm(None)).is_err());
    assert!(EspSuite::try_from(DEFAULT_IKE[0]).is_err());
}

fn lines() -> impl Strategy<Value = Vec<Combination>> {
    proptest::sample::subsequence(DEFAULT_ESP_RESPONDER.to_vec(), 0..=12).prop_shuffle()
}

proptest! {
    /// Whatever both ends' lists are: a choice is a line of both, its answer reads back as itself,
    /// and there is none only when no runnable line is common.
    #[test]
    fn choosing_and_reading_agree(ours in lines(), theirs in lines(), omitted: bool) {
        let groups = if omitted { Groups::Omitted } else { Groups::Negotiated };
        let strip = |line: &Combination| if omitted { line.without_pfs() } else { *line };
        let common: Vec<_> = ours.iter().filter(|l| l.check().is_ok()).map(strip)
            .filter(|line| theirs.iter().any(|t| strip(t) == *line)).collect();
        match choose(&ours, &offer(&theirs, SPI, groups), groups) {
            Ok(choice) => {
                prop_assert_eq!(Some(&choice.line), common.first());
                let read = read_answer(&theirs, &choice.answer(EspSpi(4096)), groups);
                prop_assert_eq!(read.map(|read| read.line), Ok(choice.line));
            }
            Err(error) => {
                prop_assert_eq!(error, Incompatible::Proposal.into());
                prop_assert!(common.is_empty());
            }
        }
    }
}
