use super::*;
use crate::ike::diagnosis::azure_names::{PolicyNames, esp_line, ike_lines};
use crate::ike::error::{MalformedMessage, PeerMisbehaved};
use crate::ike::negotiation::proposal::{Groups, offer};
use crate::wire::selector::Selector;
use crate::wire::spi::Spi;

const STRONG: PolicyNames<'static> = PolicyNames {
    ike_encryption: "GCMAES256",
    ike_integrity: "SHA384",
    dh_group: "ECP384",
    ipsec_encryption: "GCMAES256",
    ipsec_integrity: "GCMAES256",
    pfs_group: "ECP384",
};

fn ts(text: &str) -> TrafficSelectors {
    std::iter::once(text.parse::<Selector>().expect("a selector")).collect()
}

#[test]
fn a_wrong_group_names_the_setting_and_the_value() {
    let ours = ike_lines(&STRONG).expect("names");
    let theirs = ike_lines(&PolicyNames { dh_group: "DHGroup2", ..STRONG }).expect("names");
    let refusal = Refusal::new(Incompatible::Proposal.into(), Step::Init)
        .with_proposals(&ours, &offer(&theirs, Spi::None, Groups::Negotiated));
    assert_eq!(refusal.setting(), Some(Setting::DhGroup));
    assert_eq!(
        refusal.to_string(),
        "IKE_SA_INIT refused by us: no proposal of the peer is acceptable: the peer offers MODP_1024 only, we allow ECP_384. To mend \
         it: set dh_group = \"DHGroup2\" here, or dhGroup to ECP384 or DHGroup14 on the Azure connection. Azure's IKE \
         diagnostic log reports it as 13868 (0x362C, policy match error) or 13825 (0x3601, no policy configured)"
    );
}

#[test]
fn a_pfs_mismatch_is_one() {
    let ours = [esp_line(&STRONG).expect("names")];
    let theirs = [esp_line(&PolicyNames { pfs_group: "None", ..STRONG }).expect("names")];
    let refusal = Refusal::new(Incompatible::Proposal.into(), Step::RekeyChild)
        .with_proposals(&ours, &offer(&theirs, Spi::None, Groups::Negotiated));
    assert_eq!(
        (refusal.reason, refusal.setting()),
        (RefusalReason::PfsMismatch, Some(Setting::PfsGroup))
    );
    assert_eq!(
        refusal.remedy().expect("a remedy"),
        "set pfs_group = \"None\" here, or pfsGroup to the same value as here on the Azure connection"
    );
}

#[test]
fn a_peer_that_refuses_proposals_does_not_say_what_it_wants() {
    let refusal = Refusal::new(Error::told(NotifyType::NoProposalChosen), Step::RekeyChild)
        .with_our_lines(&[esp_line(&STRONG).expect("names")]);
    assert_eq!((refusal.by, refusal.reason), (Party::Peer, RefusalReason::NoCommonEspProposal));
    assert_eq!(
        refusal.to_string(),
        "CREATE_CHILD_SA (child rekey): the peer refused: NO_PROPOSAL_CHOSEN; we offered \
         AES_GCM_16_256/ECP_384/NO_ESN. To mend it: compare ipsec_encryption, ipsec_integrity and pfs_group with the \
         connection's IPsec policy at Azure. Azure's IKE diagnostic log reports it as 13868 (0x362C, policy match error)"
    );
}

#[test]
fn authentication_failed_says_both_possibilities() {
    let refusal = Refusal::new(Error::told(NotifyType::AuthenticationFailed), Step::Auth);
    let text = refusal.to_string();
    for part in [
        "either the peer does not trust our certificate",
        "or the peer cannot verify our signature",
        "13801 (0x35E9, IKE credentials are unacceptable)",
        "13826 (0x3602, failed to verify signature)",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(refusal.setting(), Some(Setting::InboundCertificate));
}

#[test]
fn selectors_of_both_ends_stand_beside_each_other() {
    let (near, far, any) = (ts("10.1.0.0/24"), ts("10.2.0.0/16"), ts("192.168.0.0/16"));
    let refusal = Refusal::new(Incompatible::Selectors.into(), Step::NewChild)
        .with_selectors((&near, &far), Some((&any, &far)));
    assert_eq!(
        refusal.to_string(),
        "CREATE_CHILD_SA (new child) refused by us: no traffic selector of the peer is acceptable: the peer offers 192.168.0.0/16 <-> \
         10.2.0.0/16, we allow 10.1.0.0/24 <-> 10.2.0.0/16. To mend it: make use_policy_based_traffic_selectors and the \
         address_prefixes of both sides agree with Azure's. Azure's IKE diagnostic log reports it as 13999 (0x36AF, traffic selectors are \
         unacceptable) or 13805 (0x35ED, negotiation timed out)"
    );
}

#[test]
fn silence_and_details_read_well() {
    let silence = Refusal::new(Busy::NoAnswer.into(), Step::Init).to_string();
    assert!(
        silence.starts_with("IKE_SA_INIT: the peer does not answer. To mend it: check"),
        "{silence}"
    );
    assert!(
        silence.contains("1225 (0x04C9, connection refused: connectionMode is InitiatorOnly)"),
        "{silence}"
    );
    let mut certificate = Refusal::new(AuthFailed::Certificate.into(), Step::Auth)
        .with_detail("CN=gateway expired on 2026-01-01");
    assert!(certificate.to_string().starts_with(
        "IKE_AUTH refused by us: the peer's certificate is not acceptable: CN=gateway expired on 2026-01-01. To mend it: set"
    ));
    // What is known of this one goes before what the reason tells of all its kind.
    certificate.remedy = Some(RefusalRemedy { what: "renew it".into(), setting: None });
    assert!(
        certificate.to_string().contains("2026-01-01. To mend it: renew it. "),
        "{certificate}"
    );
    assert_eq!(certificate.setting(), None);
}

#[test]
fn codes_are_stable_kebab_case_and_unique() {
    let mut codes: Vec<_> = RefusalReason::ALL.iter().map(|reason| reason.code()).collect();
    assert!(codes.is_sorted(), "the order of the enum is the alphabet's");
    codes.dedup();
    assert_eq!(codes.len(), RefusalReason::ALL.len());
    for (reason, code) in RefusalReason::ALL.iter().zip(codes) {
        assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
        let kebab = format!("{reason:?}")
            .chars()
            .flat_map(|c| match c {
                c if c.is_uppercase() => vec!['-', c.to_ascii_lowercase()],
                c => vec![c],
            })
            .collect::<String>();
        assert_eq!(kebab.trim_start_matches('-'), code);
    }
}

#[test]
fn who_refused_is_who_said_so() {
    let by_peer = |error: Error| Refusal::new(error, Step::Auth).by == Party::Peer;
    for kind in NotifyType::KNOWN.iter().copied().filter(|kind| kind.is_error()) {
        assert!(by_peer(Error::told(kind)), "{kind}");
    }
    assert!(!by_peer(MalformedMessage::Inside.into()));
    assert!(!by_peer(PeerMisbehaved::Spi.into()));
    assert!(!by_peer(Busy::Crossing.into()));
    assert!(!by_peer(AuthFailed::Signature.into()));
}

#[test]
fn azure_spells_settings_in_camel_case() {
    assert_eq!(camel_case("dh_group"), "dhGroup");
    assert_eq!(camel_case("use_policy_based_traffic_selectors"), "usePolicyBasedTrafficSelectors");
}
