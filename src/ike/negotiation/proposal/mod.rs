//! The negotiation of algorithms: offering proposals, choosing one, and checking what the other end
//! chose (RFC 7296 §2.7, §3.3).
//!
//! **One proposal a line.** A policy's lines go out as proposals with one transform of each type,
//! as Azure sends its own. A merged proposal would be shorter but offers every cross product: lines
//! that nobody wrote, AEAD beside integrity algorithms (which RFC 7296 §3.3 forbids), `NONE` beside
//! groups (which Microsoft's stack aborts on, strongSwan discussion 2831). And an answer's number
//! then says which line it is.
//!
//! **Our order decides.** As responder we take the first of *our* lines that the peer offers, not
//! the first of the peer's: the operator wrote our order, and Azure's has SHA-1 before SHA-256. The
//! group that the peer guessed does not count either; one more round trip (INVALID_KE_PAYLOAD) is
//! cheaper than a weaker group for hours.
//!
//! **The first child has no group.** The child that IKE_AUTH makes takes its keys from the IKE SA,
//! so key exchange transforms are left out of our offer there and passed over in theirs
//! ([`Groups::Omitted`]).

use super::combination::{Combination, is_none};
use crate::crypto::{EspSuite, Group, IkeSuite, SaKind, Unsupported};
use crate::ike::diagnosis::azure_names;
use crate::ike::error::{Error, Incompatible, PeerMisbehaved};
use crate::wire::codes::{ProtocolId, TransformType};
use crate::wire::payload::sa::{Proposal, SecurityAssociation, Transform, TransformId};
use crate::wire::spi::{EspSpi, IkeSpi, Spi};

/// The lines that we offer and accept for one kind of SA, in order of preference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProposalPolicy {
    offered: Vec<Combination>,
    accepted: Vec<Combination>,
}

impl ProposalPolicy {
    /// A policy that offers and accepts the same lines, without those that s2sd cannot run, whose
    /// reasons come with it. The caller refuses a policy that keeps no line.
    pub fn new(lines: &[Combination]) -> (ProposalPolicy, Vec<Unsupported>) {
        let (lines, refused) = runnable(lines);
        (ProposalPolicy { offered: lines.clone(), accepted: lines }, refused)
    }

    /// The IKE policy of a connection on Default: group 2 alone, which the caller warns of.
    pub fn azure_ike() -> ProposalPolicy {
        ProposalPolicy::new(&azure_names::DEFAULT_IKE).0
    }

    /// The ESP policy of a connection on Default: we offer Azure's initiator list and accept its
    /// responder list, as Azure does.
    pub fn azure_esp() -> ProposalPolicy {
        ProposalPolicy {
            offered: runnable(&azure_names::DEFAULT_ESP_INITIATOR).0,
            accepted: runnable(&azure_names::DEFAULT_ESP_RESPONDER).0,
        }
    }

    /// A policy with all lines, whether s2sd can run them or not: for a peer emulated in a test.
    pub fn verbatim(offered: &[Combination], accepted: &[Combination]) -> ProposalPolicy {
        ProposalPolicy { offered: offered.to_vec(), accepted: accepted.to_vec() }
    }

    /// The lines that we offer.
    pub fn offered(&self) -> &[Combination] {
        &self.offered
    }

    /// The lines that we accept.
    pub fn accepted(&self) -> &[Combination] {
        &self.accepted
    }

    /// The groups that we offer, each once, the preferred first: the first is the one to guess, and
    /// INVALID_KE_PAYLOAD may name any of them.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for line in &self.offered {
            let group = line.group().and_then(|id| Group::from_id(line.role(), id).ok());
            groups.extend(group.filter(|group| !groups.contains(group)));
        }
        groups
    }
}

/// The lines that s2sd can run, and the reasons why it cannot run the others.
fn runnable(lines: &[Combination]) -> (Vec<Combination>, Vec<Unsupported>) {
    let refused = lines.iter().filter_map(|line| line.check().err()).collect();
    (lines.iter().copied().filter(|line| line.check().is_ok()).collect(), refused)
}

/// Whether key exchange transforms are negotiated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Groups {
    /// The groups are negotiated.
    Negotiated,
    /// The groups are left out, as for the child SA of IKE_AUTH.
    Omitted,
}

/// An SA payload that offers these lines, numbered from 1, all with the same SPI.
pub fn offer(lines: &[Combination], spi: impl Into<Spi>, groups: Groups) -> SecurityAssociation {
    let spi = spi.into();
    let lines = distinct(lines, groups);
    // A payload numbers its proposals in one octet; the lines of a longer policy are left out.
    let numbered = (1..=u8::MAX).zip(&lines);
    numbered
        .map(|(number, line)| {
            Proposal::new(number, protocol(line.role()), spi.clone(), line.transforms())
        })
        .collect()
}

/// The proposal that a negotiation selected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SelectedProposal {
    /// The line of our policy that was selected.
    pub line: Combination,
    /// The accepted proposal as the peer wrote it, with the one chosen transform of each type.
    proposal: Proposal,
}

impl SelectedProposal {
    /// The SA payload that accepts the proposal, with our own SPI.
    pub fn answer(&self, spi: impl Into<Spi>) -> SecurityAssociation {
        SecurityAssociation::from(Proposal { spi: spi.into(), ..self.proposal.clone() })
    }

    /// The peer's SPI of the child SA.
    pub fn esp_spi(&self) -> Result<EspSpi, Error> {
        let spi = self.proposal.spi.esp().filter(|spi| *spi >= EspSpi::MIN);
        spi.ok_or_else(|| PeerMisbehaved::Spi.into())
    }

    /// The peer's SPI of the successor of an IKE SA; an initial IKE SA has its SPI in the header.
    pub fn ike_spi(&self) -> Result<IkeSpi, Error> {
        let spi = self.proposal.spi.ike().filter(|spi| *spi != IkeSpi::ZERO);
        spi.ok_or_else(|| PeerMisbehaved::Spi.into())
    }

    /// The IKE SA's algorithms.
    pub fn ike_suite(&self) -> Result<IkeSuite, Error> {
        IkeSuite::try_from(self.line).map_err(|_| Incompatible::Proposal.into())
    }

    /// The child SA's algorithms.
    pub fn esp_suite(&self) -> Result<EspSuite, Error> {
        EspSuite::try_from(self.line).map_err(|_| Incompatible::Proposal.into())
    }
}

/// Chooses as responder: the first of our lines that s2sd can run and the peer offers.
pub fn choose(
    ours: &[Combination],
    theirs: &SecurityAssociation,
    groups: Groups,
) -> Result<SelectedProposal, Error> {
    // A line with a group that we cannot run is left out even where groups are omitted: its child
    // could not be rekeyed.
    distinct(&runnable(ours).0, groups)
        .into_iter()
        .find_map(|line| theirs.proposals.iter().find_map(|proposal| take(line, proposal, groups)))
        .ok_or_else(|| Incompatible::Proposal.into())
}

/// Reads the answer to our offer as initiator: one proposal, one of ours, one transform of each
/// type (RFC 7296 §3.3.6).
///
/// More than the RFC allows is accepted: an answer may leave out a type where that means what we
/// offered (32-bit sequence numbers), and may say `NONE` where we left out a type (integrity beside
/// an AEAD).
pub fn read_answer(
    ours: &[Combination],
    answer: &SecurityAssociation,
    groups: Groups,
) -> Result<SelectedProposal, Error> {
    let not_offered = || Error::from(PeerMisbehaved::AnswerNotOffered);
    let [proposal] = answer.proposals.as_slice() else { return Err(not_offered()) };
    let place = usize::from(proposal.number).checked_sub(1).ok_or_else(not_offered)?;
    let line = distinct(ours, groups).get(place).copied().ok_or_else(not_offered)?;
    let one_each =
        TransformType::UNDERSTOOD.iter().all(|kind| proposal.of_type(*kind).count() <= 1);
    match take(line, proposal, Groups::Negotiated) {
        Some(choice) if one_each => Ok(choice),
        _ => Err(not_offered()),
    }
}

/// The proposal narrowed to a line, if the proposal contains the line.
fn take(line: Combination, proposal: &Proposal, groups: Groups) -> Option<SelectedProposal> {
    if proposal.protocol != protocol(line.role()) {
        return None;
    }
    let mut chosen: Vec<Transform> = Vec::new();
    for kind in TransformType::UNDERSTOOD.into_iter() {
        if groups == Groups::Omitted && kind == TransformType::KeyExchange {
            continue;
        }
        let mut offered = proposal.of_type(kind).peekable();
        if offered.peek().is_none() {
            if line.lacks(kind) {
                continue;
            }
            return None;
        }
        let fits = |t: &&Transform| line.has(t) || (line.lacks(kind) && is_none(t));
        chosen.push(offered.find(fits)?.clone());
    }
    // "MUST consider this proposal unacceptable" with a transform type that we do not know (RFC
    // 7296 §3.3.6).
    let has_unknown =
        proposal.transforms.iter().any(|t| matches!(t.id, TransformId::Unknown { .. }));
    (!has_unknown).then(|| SelectedProposal {
        line,
        proposal: Proposal { transforms: chosen, ..proposal.clone() },
    })
}

/// The lines as they are negotiated, each once.
fn distinct(lines: &[Combination], groups: Groups) -> Vec<Combination> {
    let mut distinct = Vec::new();
    for line in lines {
        let line = match groups {
            Groups::Negotiated => *line,
            Groups::Omitted => line.without_pfs(),
        };
        if !distinct.contains(&line) {
            distinct.push(line);
        }
    }
    distinct
}

fn protocol(role: SaKind) -> ProtocolId {
    match role {
        SaKind::Ike => ProtocolId::Ike,
        SaKind::Esp => ProtocolId::Esp,
    }
}

#[cfg(test)]
mod tests;
