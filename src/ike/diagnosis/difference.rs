//! Why two offers do not match: the first transform that differs between the two lines that come
//! closest to each other.

use std::fmt;

use super::azure_names;
use super::setting::Setting;
use crate::crypto::SaKind;
use crate::ike::negotiation::combination::{Combination, is_none};
use crate::wire::codes::TransformType;
use crate::wire::payload::sa::{Proposal, SecurityAssociation, Transform, TransformId};

/// The first transform type in which two offers differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The kind of SA that the offers are for.
    pub role: SaKind,
    /// The type of transform that differs.
    pub kind: TransformType,
    /// The transforms of that type that we allow; empty for "none".
    pub ours: Vec<Transform>,
    /// The transforms of that type that the peer offers; empty for "none".
    pub theirs: Vec<Transform>,
    /// The two closest lines, when the two ends have a transform of that type in common but only in
    /// lines that differ elsewhere.
    pub lines: Option<Box<(Combination, Proposal)>>,
}

impl Difference {
    /// Compares the lines that we accept with the proposals that the peer offers. `None` when the
    /// two match, or when one of them is empty.
    pub fn between(ours: &[Combination], theirs: &SecurityAssociation) -> Option<Difference> {
        let pairs = ours.iter().flat_map(|line| theirs.proposals.iter().map(move |p| (line, p)));
        let (line, proposal) =
            pairs.min_by_key(|(line, proposal)| differing(line, proposal).count())?;
        let kind = differing(line, proposal).next()?;
        let all_ours = of_kind(ours.iter().flat_map(Combination::transforms), kind);
        let all_theirs = of_kind(theirs.proposals.iter().flat_map(|p| p.transforms.clone()), kind);
        let is_shared = |t: &Transform| all_theirs.iter().any(|other| same(t, other));
        let role = line.role();
        if all_ours.iter().any(is_shared) {
            let (ours, theirs) = (
                of_kind(line.transforms(), kind),
                of_kind(proposal.transforms.iter().cloned(), kind),
            );
            let lines = Some(Box::new((*line, proposal.clone())));
            return Some(Difference { role, kind, ours, theirs, lines });
        }
        Some(Difference { role, kind, ours: all_ours, theirs: all_theirs, lines: None })
    }

    /// The setting that decides what differs.
    pub fn setting(&self) -> Setting {
        Setting::of_transform(self.role, self.kind)
    }

    /// Azure's name for what the peer offers, when that is one transform that Azure has a name for.
    pub fn their_name(&self) -> Option<&'static str> {
        match self.theirs.as_slice() {
            [] if self.setting() == Setting::PfsGroup => Some("None"),
            [one] => azure_names::name(self.role, one),
            _ => None,
        }
    }
}

/// The types of transform of which a proposal lacks what a line wants, in the order of the types.
fn differing(line: &Combination, proposal: &Proposal) -> impl Iterator<Item = TransformType> {
    TransformType::UNDERSTOOD.into_iter().filter(|kind| {
        let mut offered = proposal.of_type(*kind).peekable();
        match offered.peek() {
            None => !line.lacks(*kind),
            Some(_) => !offered.any(|t| line.has(t) || (line.lacks(*kind) && is_none(t))),
        }
    })
}

/// The transforms of one type, each once, `NONE` left out.
fn of_kind(transforms: impl IntoIterator<Item = Transform>, kind: TransformType) -> Vec<Transform> {
    let mut distinct: Vec<Transform> = Vec::new();
    for transform in transforms {
        let is_new = !distinct.iter().any(|known| same(known, &transform));
        if transform.id.kind() == kind && !is_none(&transform) && is_new {
            distinct.push(transform);
        }
    }
    distinct
}

fn same(a: &Transform, b: &Transform) -> bool {
    a.id == b.id && a.key_length() == b.key_length()
}

/// `the peer offers MODP_1024 only, we allow ECP_384 or MODP_2048`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.role, self.kind) {
            (SaKind::Esp, TransformType::KeyExchange) => "for PFS ",
            _ => "",
        };
        let only = if self.lines.is_none() && self.theirs.len() == 1 { " only" } else { "" };
        let (theirs, ours) = (listed(self.kind, &self.theirs), listed(self.kind, &self.ours));
        match &self.lines {
            None => write!(f, "{what}the peer offers {theirs}{only}, we allow {ours}"),
            Some(lines) => {
                let (line, proposal) = lines.as_ref();
                write!(
                    f,
                    "the closest lines are our {line} and the peer's {proposal}: {what}the peer offers {theirs}, we allow {ours}"
                )
            }
        }
    }
}

fn listed(kind: TransformType, transforms: &[Transform]) -> String {
    match transforms.split_last() {
        None if kind == TransformType::KeyExchange => "no group".to_owned(),
        None => format!("no {kind} transform"),
        Some((last, [])) => name(last),
        Some((last, rest)) => {
            let rest: Vec<String> = rest.iter().map(name).collect();
            format!("{} or {}", rest.join(", "), name(last))
        }
    }
}

/// A transform as proposals print it, with a remark when it has attributes that s2sd does not know.
fn name(transform: &Transform) -> String {
    let odd = if transform.has_unknown_attributes() { " with unknown attributes" } else { "" };
    match transform.id {
        TransformId::SequenceNumbers(id) => format!("{id} sequence numbers{odd}"),
        _ => format!("{transform}{odd}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::diagnosis::azure_names::{
        DEFAULT_ESP_INITIATOR, DEFAULT_IKE, PolicyNames, esp_line, ike_lines,
    };
    use crate::ike::negotiation::proposal::{Groups, choose, offer};
    use crate::wire::spi::{EspSpi, Spi};

    const STRONG: PolicyNames<'static> = PolicyNames {
        ike_encryption: "GCMAES256",
        ike_integrity: "SHA384",
        dh_group: "ECP384",
        ipsec_encryption: "GCMAES256",
        ipsec_integrity: "GCMAES256",
        pfs_group: "ECP384",
    };

    fn ike(names: &PolicyNames<'_>) -> Vec<Combination> {
        ike_lines(names).expect("names")
    }

    fn between(ours: &[Combination], theirs: &[Combination]) -> Option<Difference> {
        Difference::between(ours, &offer(theirs, Spi::None, Groups::Negotiated))
    }

    #[test]
    fn the_group_alone() {
        let mut ours = ike(&STRONG);
        ours.extend(ike(&PolicyNames { dh_group: "DHGroup14", ..STRONG }));
        let theirs = ike(&PolicyNames { dh_group: "DHGroup2", ..STRONG });
        let difference = between(&ours, &theirs).expect("they differ");
        assert_eq!(
            difference.to_string(),
            "the peer offers MODP_1024 only, we allow ECP_384 or MODP_2048"
        );
        assert_eq!(
            (difference.setting(), difference.their_name()),
            (Setting::DhGroup, Some("DHGroup2"))
        );
    }

    #[test]
    fn the_first_of_several() {
        let difference = between(&ike(&STRONG), &DEFAULT_IKE).expect("they differ");
        assert_eq!(difference.setting(), Setting::IkeEncryption);
        assert_eq!(
            difference.to_string(),
            "the peer offers AES_CBC_256, AES_CBC_128 or 3DES, we allow AES_GCM_16_256"
        );
        assert_eq!(difference.their_name(), None);
    }

    #[test]
    fn pfs_on_one_side() {
        let with = [esp_line(&STRONG).expect("names")];
        let without = [esp_line(&PolicyNames { pfs_group: "None", ..STRONG }).expect("names")];
        let theirs = between(&with, &without).expect("they differ");
        assert_eq!(theirs.to_string(), "for PFS the peer offers no group, we allow ECP_384");
        assert_eq!((theirs.setting(), theirs.their_name()), (Setting::PfsGroup, Some("None")));
        let ours = between(&without, &with).expect("they differ");
        assert_eq!(ours.to_string(), "for PFS the peer offers ECP_384 only, we allow no group");
        assert_eq!(ours.their_name(), Some("ECP384"));
    }

    #[test]
    fn the_right_parts_in_the_wrong_lines() {
        let ours = [DEFAULT_IKE[0], DEFAULT_IKE[3]];
        let theirs = [DEFAULT_IKE[1], DEFAULT_IKE[2]];
        let difference = between(&ours, &theirs).expect("they differ");
        assert_eq!(
            difference.to_string(),
            "the closest lines are our AES_CBC_256/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024 and the peer's \
             IKE:AES_CBC_128/PRF_HMAC_SHA1/HMAC_SHA1_96/MODP_1024: the peer offers AES_CBC_128, we allow AES_CBC_256"
        );
    }

    /// There is a difference exactly when there is no choice.
    #[test]
    fn offers_that_meet_do_not_differ() {
        for ours in DEFAULT_ESP_INITIATOR {
            for theirs in DEFAULT_ESP_INITIATOR {
                let offered = offer(&[theirs], EspSpi(4096), Groups::Negotiated);
                let meets = choose(&[ours], &offered, Groups::Negotiated).is_ok();
                assert!(!meets || ours == theirs);
                assert_eq!(Difference::between(&[ours], &offered).is_none(), ours == theirs);
            }
        }
        assert_eq!(between(&[], &DEFAULT_IKE), None);
        assert_eq!(between(&DEFAULT_IKE, &[]), None);
    }
}
