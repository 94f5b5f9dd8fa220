//! The behaviour of an end: s2sd's own, or that of Azure's gateway, which a test peer emulates.
//!
//! The sources are Azure's public documentation and what others logged of Azure's gateways; what is
//! only inferred is marked so. An end with [`PeerBehaviour::Standard`] has to work with everything
//! that an end with [`PeerBehaviour::Azure`] does.

use std::time::Duration;

use crate::ike::diagnosis::azure_names;
use crate::ike::error::{Busy, Error, Incompatible};
use crate::ike::negotiation::narrow::{Grant, Payloads};
use crate::ike::negotiation::proposal::ProposalPolicy;
use crate::ike::sa::lifetime::Lifetime;
use crate::ike::sa::retransmit;
use crate::rng::Rng;
use crate::wire::codes::{KeId, TransformType};
use crate::wire::payload::sa::{SecurityAssociation, TransformId};
use crate::wire::payload::ts::TrafficSelectors;
use crate::wire::selector::Selector;
use crate::wire::selector::narrow::ChildSelectors;

/// The behaviour of an end.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PeerBehaviour {
    /// s2sd's own behaviour.
    #[default]
    Standard,
    /// The behaviour of a route-based Azure gateway whose connection is left on Default.
    Azure,
    /// s2sd's own behaviour without NAT traversal: no NAT detection, no port 4500, bare ESP.
    WithoutNatTraversal,
    /// s2sd's own, but it never says INITIAL_CONTACT: after a restart without a memory its peers
    /// find out by themselves.
    Quiet,
    /// s2sd's own, but every request for a further child or for a rekey is refused, as a minimal
    /// implementation may (RFC 7296 §4).
    Minimal(MinimalAnswer),
    /// s2sd's own, but a child SA has one pair of address ranges (RFC 7296 §2.9).
    OnePair(OnePairAnswer),
}

/// What a peer answers to several pairs that takes one in each child SA.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OnePairAnswer {
    /// SINGLE_PAIR_REQUIRED.
    Refuse,
    /// The first pair, and ADDITIONAL_TS_POSSIBLE.
    Narrow,
}

/// What a peer answers that never rekeys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MinimalAnswer {
    /// TEMPORARY_FAILURE, for ever.
    Temporary,
    /// NO_PROPOSAL_CHOSEN.
    NoProposal,
    /// NO_ADDITIONAL_SAS.
    NoAdditionalSas,
}

impl PeerBehaviour {
    /// Whether INITIAL_CONTACT is said when there is no other IKE SA with the peer.
    pub fn says_initial_contact(self) -> bool {
        self != PeerBehaviour::Quiet
    }

    /// Whether the end has NAT traversal (RFC 7296 §2.23): without it, nothing of NAT detection is
    /// sent or believed, and ESP travels without UDP.
    pub fn has_nat_traversal(self) -> bool {
        self != PeerBehaviour::WithoutNatTraversal
    }

    /// Whether SIGNATURE_HASH_ALGORITHMS is announced (RFC 7427). Without the notify the
    /// peer signs with method 1 and SHA-1.
    pub fn announces_hashes(self) -> bool {
        self != PeerBehaviour::Azure
    }

    /// The policy of the IKE SA. Azure offers and accepts 3DES too, so an emulated gateway may
    /// offer what it cannot run.
    pub fn ike_policy(self) -> ProposalPolicy {
        match self {
            PeerBehaviour::Azure => {
                ProposalPolicy::verbatim(&azure_names::DEFAULT_IKE, &azure_names::DEFAULT_IKE)
            }
            _ => ProposalPolicy::azure_ike(),
        }
    }

    /// The policy of the child SAs: Azure has two lists, as initiator and as responder.
    pub fn esp_policy(self) -> ProposalPolicy {
        match self {
            PeerBehaviour::Azure => ProposalPolicy::verbatim(
                &azure_names::DEFAULT_ESP_INITIATOR,
                &azure_names::DEFAULT_ESP_RESPONDER,
            ),
            _ => ProposalPolicy::azure_esp(),
        }
    }

    /// The traffic selectors of a connection without policy-based traffic selectors: any to any.
    pub fn selectors(self) -> ChildSelectors {
        let any = || [Selector::ANY_V4].into_iter().collect();
        ChildSelectors { local: any(), remote: any() }
    }

    /// The lifetime of an IKE SA; `configured` is the setting, which Azure does not have.
    pub fn ike_lifetime(self, configured: Duration) -> Lifetime {
        match self {
            PeerBehaviour::Azure => Lifetime::azure_ike(),
            _ => Lifetime::ike(configured),
        }
    }

    /// The lifetime of a child SA.
    pub fn child_lifetime(self, time: Duration, bytes: u64, esn: bool) -> Lifetime {
        match self {
            PeerBehaviour::Azure => Lifetime::azure_child(time, bytes),
            _ => Lifetime::child(time, bytes, esn),
        }
    }

    /// The pause before dialling again. Azure "retries every few seconds", without end, and its
    /// pauses do not grow.
    pub fn redial_pause(self, failures: u32, rng: &mut dyn Rng) -> Duration {
        match self {
            PeerBehaviour::Azure => retransmit::redial_pause(2, rng),
            _ => retransmit::redial_pause(failures, rng),
        }
    }

    /// The pause before asking again for what the peer refused.
    pub fn refused_pause(self, refusals: u32, rng: &mut dyn Rng) -> Duration {
        match self {
            PeerBehaviour::Azure => retransmit::redial_pause(2, rng),
            _ => retransmit::refused_pause(refusals, rng),
        }
    }

    /// Whether CREATE_CHILD_SA requests are looked at at all.
    pub fn takes_further_exchanges(self) -> Result<(), Error> {
        let PeerBehaviour::Minimal(answer) = self else { return Ok(()) };
        Err(match answer {
            MinimalAnswer::Temporary => Busy::Crossing.into(),
            MinimalAnswer::NoProposal => Incompatible::Proposal.into(),
            MinimalAnswer::NoAdditionalSas => Incompatible::NoAdditionalSas.into(),
        })
    }

    /// Narrows what is granted to the first pair, or refuses several, for an end that takes one
    /// pair in each child SA; `near` and `far` are asked for. Returns whether others were left out.
    pub fn grants_one_pair(
        self,
        near: &TrafficSelectors,
        far: &TrafficSelectors,
        grant: &mut Grant,
    ) -> Result<bool, Error> {
        let PeerBehaviour::OnePair(answer) = self else { return Ok(false) };
        if near.selectors().count() < 2 && far.selectors().count() < 2 {
            return Ok(false);
        }
        if answer == OnePairAnswer::Refuse {
            return Err(Incompatible::SinglePair.into());
        }
        let first = |of: &TrafficSelectors| of.selectors().copied().take(1).collect::<Vec<_>>();
        let (near, far) = (first(&grant.answer.near), first(&grant.answer.far));
        grant.selectors = ChildSelectors {
            local: far.iter().copied().collect(),
            remote: near.iter().copied().collect(),
        };
        grant.answer =
            Payloads { near: near.into_iter().collect(), far: far.into_iter().collect() };
        Ok(true)
    }

    /// Whether a CREATE_CHILD_SA request for a child is accepted at all, before its proposals are
    /// compared.
    ///
    /// Microsoft's stack gives up on a KE payload beside proposals without a group, and on the
    /// transform `NONE` (strongSwan#2831, libreswan#765). That it answers NO_PROPOSAL_CHOSEN is
    /// inferred.
    pub fn takes_child_request(self, sa: &SecurityAssociation, has_ke: bool) -> Result<(), Error> {
        let says = |wanted: fn(&TransformId) -> bool| {
            sa.proposals.iter().flat_map(|p| &p.transforms).any(|t| wanted(&t.id))
        };
        let refuses = match self {
            PeerBehaviour::Azure => {
                let has_group = says(|id| id.kind() == TransformType::KeyExchange);
                (has_ke && !has_group) || says(|id| *id == TransformId::KeyExchange(KeId::None))
            }
            _ => false,
        };
        if refuses { Err(Incompatible::Proposal.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::negotiation::proposal::{Groups, choose, offer};
    use crate::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
    use crate::rng::SeededRng;
    use crate::time::Instant;
    use crate::wire::codes::{EncrId, ExchangeType, ProtocolId};
    use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
    use crate::wire::message::Message;
    use crate::wire::payload::chain::Chain;
    use crate::wire::payload::notify::Notify;
    use crate::wire::payload::sa::{Proposal, Transform};
    use crate::wire::spi::{EspSpi, IkeSpi, Spi};

    const START: Instant = Instant(0);

    #[test]
    fn azure_and_we_meet_on_default_in_both_directions() {
        let (azure, ours) = (PeerBehaviour::Azure, PeerBehaviour::Standard);
        for (asks, answers) in [(azure, ours), (ours, azure)] {
            let offered = offer(asks.ike_policy().offered(), Spi::None, Groups::Negotiated);
            let choice = choose(answers.ike_policy().accepted(), &offered, Groups::Negotiated);
            let suite = choice.expect("a line").ike_suite().expect("runs");
            assert_eq!(suite.to_string(), "AES_CBC-256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024");
            let offered = offer(asks.esp_policy().offered(), EspSpi(4096), Groups::Negotiated);
            let choice = choose(answers.esp_policy().accepted(), &offered, Groups::Negotiated);
            let suite = choice.expect("a line").esp_suite().expect("runs");
            assert_eq!(suite.to_string(), "AES_GCM_16-256");
        }
    }

    #[test]
    fn azure_rekeys_late_and_we_before_it() {
        for seed in 0..100 {
            let azure =
                PeerBehaviour::Azure.ike_lifetime(IKE_HARD).draw(START, &mut SeededRng(seed));
            // Seen at 27,361 s.
            assert_eq!(azure.time.soft.since(START).as_secs(), 27_360);
            let ours =
                PeerBehaviour::Standard.ike_lifetime(IKE_HARD).draw(START, &mut SeededRng(seed));
            assert!(ours.time.soft < azure.time.soft);
            let draw = |behaviour: PeerBehaviour| {
                behaviour
                    .child_lifetime(CHILD_TIME, CHILD_BYTES, false)
                    .draw(START, &mut SeededRng(seed))
            };
            let (azure, ours) = (draw(PeerBehaviour::Azure), draw(PeerBehaviour::Standard));
            assert!(ours.time.soft < azure.time.soft && ours.bytes.soft < azure.bytes.soft);
        }
    }

    #[test]
    fn azure_gives_up_on_a_stray_key_exchange_and_on_none() {
        let gcm = || Transform::with_key_length(EncrId::AesGcm16, 256);
        let request = |extra: Option<KeId>| {
            let transforms = [gcm()].into_iter().chain(extra.map(Transform::new));
            SecurityAssociation::from(Proposal::new(1, ProtocolId::Esp, EspSpi(4096), transforms))
        };
        let refused = Err(Incompatible::Proposal.into());
        for (extra, has_ke, verdict) in [
            (None, false, Ok(())),
            (None, true, refused),
            (Some(KeId::Modp1024), true, Ok(())),
            (Some(KeId::None), false, refused),
            (Some(KeId::None), true, refused),
        ] {
            let request = request(extra);
            assert_eq!(
                PeerBehaviour::Azure.takes_child_request(&request, has_ke),
                verdict,
                "{extra:?}"
            );
            assert_eq!(PeerBehaviour::Standard.takes_child_request(&request, has_ke), Ok(()));
        }
    }

    #[test]
    fn azure_redials_every_few_seconds_for_ever() {
        for failures in [0, 3, 1000] {
            let pause =
                PeerBehaviour::Azure.redial_pause(failures, &mut SeededRng(u64::from(failures)));
            assert!((3..=5).contains(&pause.as_secs()), "{pause:?}");
        }
    }

    /// The stateless answer that Azure's gateways were seen to give has 38 octets; so has any with
    /// one such notify alone.
    #[test]
    fn a_bare_invalid_ke_payload_has_38_octets() {
        let header = Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi::ZERO,
            version: IkeVersion::V2,
            exchange: ExchangeType::IkeSaInit,
            flags: Flags::RESPONSE,
            message_id: MessageId(0),
        };
        let mut chain = Chain::new();
        chain.push(Notify::invalid_ke(KeId::Modp1024));
        assert_eq!(Message::clear(header, chain).encode().expect("fits").len(), 38);
    }
}
