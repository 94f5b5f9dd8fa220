//! The proposals that a probe offers: our own policy, or more than that, to find out what a gateway
//! would accept instead.

use crate::crypto::{Group, Provider, SaKind, Standard};
use crate::ike::negotiation::combination::Combination;
use crate::ike::negotiation::proposal::{Groups, offer};
use crate::wire::codes::{EncrId, IntegId, KeId, PrfId, ProtocolId, TransformType};
use crate::wire::payload::sa::{Proposal, SecurityAssociation, Transform};
use crate::wire::spi::Spi;

/// The key exchange groups that an Azure connection can be set to, the likeliest first.
pub const GROUPS: [Group; 5] =
    [Group::Ecp384, Group::Ecp256, Group::Modp2048, Group::Modp1024, Group::Modp2048S256];

/// Our policy, as the service offers it in IKE_SA_INIT.
pub fn own(lines: &[Combination]) -> SecurityAssociation {
    offer(lines, Spi::None, Groups::Negotiated)
}

/// Our policy with every group that Azure has: a peer that accepts this offer and refuses
/// [`own`] differs from us in the group only.
pub fn any_group(lines: &[Combination]) -> SecurityAssociation {
    let mut wide = own(lines);
    for proposal in &mut wide.proposals {
        proposal.transforms.retain(|t| t.id.kind() != TransformType::KeyExchange);
        proposal.transforms.extend(GROUPS.map(|group| Transform::new(group.id())));
    }
    wide.proposals.dedup_by(|a, b| a.transforms == b.transforms);
    for (number, proposal) in (1..).zip(&mut wide.proposals) {
        proposal.number = number;
    }
    wide
}

/// Every combination that an Azure connection can be set to and that s2sd supports.
pub fn everything() -> SecurityAssociation {
    let sized = |encr: EncrId, bits: &[u16]| -> Vec<Transform> {
        bits.iter().map(|bits| Transform::with_key_length(encr, *bits)).collect()
    };
    let prfs = [PrfId::HmacSha2_384, PrfId::HmacSha2_256, PrfId::HmacSha1].map(Transform::new);
    let integrity = [IntegId::HmacSha2_384_192, IntegId::HmacSha2_256_128, IntegId::HmacSha1_96];
    let groups = GROUPS.map(|group| Transform::new(group.id()));
    let gcm = [&sized(EncrId::AesGcm16, &[256, 128])[..], &prfs, &groups].concat();
    let cbc = [
        &sized(EncrId::AesCbc, &[256, 192, 128])[..],
        &prfs,
        &integrity.map(Transform::new),
        &groups,
    ]
    .concat();
    (1..)
        .zip([gcm, cbc])
        .map(|(number, transforms)| Proposal::new(number, ProtocolId::Ike, Spi::None, transforms))
        .collect()
}

/// The group with this number, if s2sd supports the group.
pub fn group(id: KeId) -> Option<Group> {
    Group::from_id(SaKind::Ike, id).ok()
}

/// The cryptographic provider of the probes: the real one, because peers check public values.
pub fn provider() -> impl Provider {
    Standard::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::diagnosis::azure_names::{PolicyNames, ike_lines};
    use crate::ike::negotiation::proposal::choose;

    const STRONG: PolicyNames<'static> = PolicyNames {
        ike_encryption: "GCMAES256",
        ike_integrity: "SHA384",
        dh_group: "ECP384",
        ipsec_encryption: "GCMAES256",
        ipsec_integrity: "GCMAES256",
        pfs_group: "ECP384",
    };

    fn takes(names: &PolicyNames<'_>, offered: &SecurityAssociation) -> bool {
        choose(&ike_lines(names).unwrap(), offered, Groups::Negotiated).is_ok()
    }

    #[test]
    fn any_group_meets_a_peer_with_another_group_and_no_other_difference() {
        let ours = ike_lines(&STRONG).unwrap();
        for group in ["DHGroup2", "DHGroup14", "ECP256", "ECP384", "DHGroup24"] {
            let theirs = PolicyNames { dh_group: group, ..STRONG };
            assert_eq!(takes(&theirs, &own(&ours)), group == "ECP384");
            assert!(takes(&theirs, &any_group(&ours)), "{group}");
        }
        let theirs = PolicyNames { ike_encryption: "AES256", ..STRONG };
        assert!(!takes(&theirs, &any_group(&ours)));
    }

    #[test]
    fn everything_meets_every_policy() {
        for ike_encryption in ["GCMAES256", "GCMAES128", "AES256", "AES192", "AES128"] {
            for ike_integrity in ["SHA384", "SHA256", "SHA1"] {
                for dh_group in ["DHGroup2", "DHGroup14", "ECP256", "ECP384", "DHGroup24"] {
                    let theirs = PolicyNames { ike_encryption, ike_integrity, dh_group, ..STRONG };
                    assert!(takes(&theirs, &everything()), "{theirs:?}");
                }
            }
        }
        assert_eq!(group(KeId::Ecp384), Some(Group::Ecp384));
        assert_eq!(group(KeId::Modp768), None);
    }
}
