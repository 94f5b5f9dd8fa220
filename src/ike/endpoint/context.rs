//! What every part of the engine has at hand while it handles one input.

use std::rc::Rc;
use std::time::Duration;

use super::config::{ChildConfig, EndpointConfig, PeerConfig};
use super::event::IkeEvent;
use super::output::Outputs;
use super::spis::Spis;
use crate::crypto::Provider;
use crate::ike::admission::budget::HalfOpen;
use crate::ike::diagnosis::refusal::{Refusal, RefusalRemedy};
use crate::ike::diagnosis::setting::Setting;
use crate::ike::error::{AuthFailed, Error, Incompatible, PeerMisbehaved};
use crate::ike::exchange::step::{MessageHalf, Step};
use crate::ike::ids::{ChildId, PeerId, Slot};
use crate::ike::negotiation::combination::Combination;
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::wire::codes::NotifyType;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::ts::TrafficSelectors;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::selector::set::SelectorSet;

/// Time, tools, shared tables and outputs, for one input of one peer.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) peer: PeerId,
    pub(crate) config: Rc<PeerConfig>,
    /// The slot of each child of the configuration, in its order.
    pub(crate) slots: Vec<Slot>,
    pub(crate) settings: &'a EndpointConfig,
    pub(crate) provider: &'a dyn Provider,
    pub(crate) rng: &'a mut dyn Rng,
    pub(crate) out: &'a mut Outputs,
    pub(crate) spis: &'a mut Spis,
    pub(crate) half_open: &'a mut HalfOpen,
    pub(crate) next_child: &'a mut u64,
    /// The child SAs that the peer has on other IKE SAs than the one that is handled.
    pub(crate) beside: ChildCount,
    /// The slots that the peer wants divided, as answers have said so far.
    pub(crate) apart: Vec<Apart>,
    /// What a lower layer reported about the failure that is being handled.
    pub(crate) reason: Option<(String, Option<RefusalRemedy>)>,
}

/// A slot whose policy the peer takes in several child SAs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Apart {
    pub(crate) slot: Slot,
    /// What the peer granted of the policy, if anything.
    pub(crate) granted: Option<ChildSelectors>,
}

/// How many child SAs a peer has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ChildCount {
    /// Those that are neither replaced nor leaving, on IKE SAs that stay.
    pub(crate) live: usize,
    /// All that stand.
    pub(crate) all: usize,
}

/// The children that a simultaneous rekey makes beside the old one, one for each end.
const COLLIDING: usize = 2;

impl Context<'_> {
    /// Whether the peer, which has `here` children on the IKE SA that is handled, may have one more
    /// at all. A peer at its limit has all its children twice while it replaces them, or its IKE SA
    /// by another: that is the bound.
    pub(crate) fn has_bounds_for_child(&self, here: usize) -> bool {
        here + self.beside.all
            < self.settings.max_children.saturating_mul(2).saturating_add(COLLIDING)
    }

    /// The place of a slot's child in the configuration; none when the slot is gone from there.
    pub(crate) fn place(&self, slot: Slot) -> Option<usize> {
        self.slots.iter().position(|of| *of == slot)
    }

    /// The configured child of a slot.
    pub(crate) fn child_config(&self, slot: Slot) -> Option<&ChildConfig> {
        self.config.children.get(self.place(slot)?)
    }

    /// How long to wait before dialling a silent peer again after this many failures in a row.
    pub(crate) fn redial_pause(&mut self, failures: u32) -> Duration {
        self.config.behaviour.redial_pause(failures, self.rng)
    }

    /// How long to wait before asking again for what the peer refused so often in a row.
    pub(crate) fn refused_pause(&mut self, refusals: u32) -> Duration {
        self.config.behaviour.refused_pause(refusals, self.rng)
    }

    /// Keeps the reason for the refusal that follows, and the remedy where one is known.
    pub(crate) fn explain(&mut self, reason: String, remedy: Option<RefusalRemedy>) {
        self.reason = Some((reason, remedy));
    }

    /// Reports a failed exchange, with the offers of both ends as far as `theirs`, the peer's
    /// message, shows them.
    pub(crate) fn refuse(
        &mut self,
        step: Step,
        half: MessageHalf,
        error: Error,
        theirs: Option<&Chain>,
    ) {
        let mut refusal = Refusal::new(error, step);
        let lines = match (step, half) {
            (Step::Init | Step::RekeyIke, MessageHalf::Request) => {
                self.config.ike.accepted().to_vec()
            }
            (Step::Init | Step::RekeyIke, MessageHalf::Response) => {
                self.config.ike.offered().to_vec()
            }
            (_, MessageHalf::Request) => self.esp_lines(step, |child| child.esp.accepted()),
            (_, MessageHalf::Response) => self.esp_lines(step, |child| child.esp.offered()),
        };
        let sa = theirs.and_then(Chain::sa);
        refusal = match (error, sa) {
            (Error::Incompatible(Incompatible::Proposal), Some(sa))
            | (Error::PeerMisbehaved(PeerMisbehaved::AnswerNotOffered), Some(sa)) => {
                refusal.with_proposals(&lines, sa)
            }
            (Error::Incompatible(Incompatible::Selectors), _)
            | (Error::Incompatible(Incompatible::Refused(NotifyType::TsUnacceptable)), _) => {
                self.with_selectors(refusal, theirs)
            }
            (Error::Incompatible(Incompatible::Refused(_)), _) => refusal.with_our_lines(&lines),
            _ => refusal,
        };
        if error == AuthFailed::Refused.into() {
            if let Some(signed) = self.config.credentials.last_signature() {
                self.explain(signed, None);
            }
            self.check_own_certificate();
        }
        if let Some((reason, remedy)) = self.reason.take() {
            refusal = refusal.with_detail(reason);
            refusal.remedy = remedy;
        }
        self.out.event(IkeEvent::Refused(self.peer, Box::new(refusal)));
    }

    /// Explains a refused authentication by this end's expired certificate, if it has expired: the
    /// peer need not say why it refuses.
    fn check_own_certificate(&mut self) {
        let until = self.config.credentials.not_after();
        if until < self.now.unix {
            let what =
                "renew inbound_certificate, or the issuing certificate that has expired".into();
            let remedy = RefusalRemedy { what, setting: Some(Setting::InboundCertificate) };
            self.explain(format!("the certificate of this end expired on {until}"), Some(remedy));
        }
    }

    /// The proposals of all children, each once. IKE_AUTH negotiates its child without a key
    /// exchange group.
    fn esp_lines<'c>(
        &'c self,
        step: Step,
        of: impl Fn(&'c ChildConfig) -> &'c [Combination],
    ) -> Vec<Combination> {
        let mut lines = Vec::new();
        for line in self.config.children.iter().flat_map(of).copied() {
            let line = if step == Step::Auth { line.without_pfs() } else { line };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    fn with_selectors(&self, refusal: Refusal, theirs: Option<&Chain>) -> Refusal {
        let union = |side: fn(&ChildSelectors) -> &SelectorSet| {
            let sets = self.config.children.iter().map(|child| side(&child.selectors));
            TrafficSelectors::from(&sets.fold(SelectorSet::EMPTY, |all, set| all.union(set)))
        };
        let ours = (union(|pair| &pair.local), union(|pair| &pair.remote));
        let said = theirs.and_then(|chain| Some((chain.ts_responder()?, chain.ts_initiator()?)));
        refusal.with_selectors((&ours.0, &ours.1), said)
    }

    pub(crate) fn mono(&self) -> Instant {
        self.now.mono
    }

    /// An identifier that no child had before.
    pub(crate) fn name_child(&mut self) -> ChildId {
        let id = ChildId(*self.next_child);
        *self.next_child += 1;
        id
    }
}
