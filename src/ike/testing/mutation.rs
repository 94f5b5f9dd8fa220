//! Mutations: deliberate faults that the simulator must notice, each of which makes an engine wrong
//! in one known way (`tests/sim/mutations.rs`).
//!
//! Mutations exist only with the feature `fake`, which no release build has; without it [`is`] and
//! [`loses_task`] are a constant `false`.
//!
//! | seam | applied by | mutations |
//! |---|---|---|
//! | the settings given to the engine | [`Mutation::settings`] | `UnboundedHalfOpen` |
//! | the policy given to the engine | [`Mutation::policy`] | `NeverProbe`, `WidenSelectors` |
//! | the octets sent | [`Mutation::outputs`] | `AlterRetransmission`, `AnswerWrongId` |
//! | other outputs | [`Mutation::outputs`] | `ForgetOutbound`, `SendBeforeInstall` |
//! | the tasks: Deletes | [`loses_task`] | `ForgetLoser`, `ForgetOldChild` |
//! | the tasks: postponed | [`loses_task`] | `IgnoreTemporaryFailure` |
//! | the reply window | `ReplyWindow::classify` | `RepeatRequest` |
//!
//! The simulator's host calls the first four around the engine.
//!
//! Three mutations stay in protocol code, because no seam sees what they change:
//! `AcceptClearMessages` (`Channel::open` alone knows whether a message was protected),
//! `CompareNoncesWrongly` (the nonces are inside encrypted messages) and `ForgetChildrenAtIkeRekey`
//! (children move from one IKE SA to another by no output and no task).

/// Declares the mutations once: as variants and as a list of all.
macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One way in which an engine is wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        impl Mutation {
            /// Every mutation.
            pub const ALL: &'static [Mutation] = &[$(Mutation::$name,)*];
        }
    };
}

mutations! {
    /// A message outside the SA's protection is obeyed.
    AcceptClearMessages,
    /// A retransmission has other octets than the first sending.
    AlterRetransmission,
    /// A response names the next message ID.
    AnswerWrongId,
    /// In a simultaneous rekey the wrong nonces win.
    CompareNoncesWrongly,
    /// A rekeyed IKE SA keeps its children.
    ForgetChildrenAtIkeRekey,
    /// The successor that lost a simultaneous rekey is not deleted.
    ForgetLoser,
    /// A rekeyed child is not deleted.
    ForgetOldChild,
    /// No outbound SA is ever activated.
    ForgetOutbound,
    /// A task that the peer was too busy for (TEMPORARY_FAILURE) is not tried again.
    IgnoreTemporaryFailure,
    /// A silent peer is not probed for many minutes.
    NeverProbe,
    /// A request that was answered is handled again when it is repeated.
    RepeatRequest,
    /// A message leaves before the SAs that it promises are installed.
    SendBeforeInstall,
    /// Half-open IKE SAs have no bound, and no cookie is asked for.
    UnboundedHalfOpen,
    /// The policy allows all traffic selectors, so the responder grants whatever is asked for.
    WidenSelectors,
}

#[cfg(feature = "fake")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;
    use crate::ike::ids::ChildId;
    use crate::ike::sa::child::ChildSa;
    use crate::ike::sa::task::TaskKind;

    thread_local! {
        static MUTATION: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Mutates the engines of this thread from now on; `None` ends that.
    pub fn set(mutation: Option<Mutation>) {
        MUTATION.set(mutation);
    }

    pub(in crate::ike) fn is(mutation: Mutation) -> bool {
        MUTATION.get() == Some(mutation)
    }

    /// Whether a task of an IKE SA that has these children is lost. `postponed` says that the task
    /// waits for a later time, as after TEMPORARY_FAILURE.
    pub(in crate::ike) fn loses_task(
        kind: TaskKind,
        postponed: bool,
        children: &[ChildSa],
    ) -> bool {
        match (MUTATION.get(), kind) {
            (Some(Mutation::ForgetLoser), TaskKind::CloseChild(id)) => is_newest(id, children),
            (Some(Mutation::ForgetOldChild), TaskKind::CloseChild(id)) => !is_newest(id, children),
            (Some(Mutation::IgnoreTemporaryFailure), _) => postponed,
            _ => false,
        }
    }

    /// Whether no other child of the slot was made later.
    fn is_newest(id: ChildId, children: &[ChildSa]) -> bool {
        let slot = children.iter().find(|child| child.id == id).map(|child| child.slot);
        children.iter().all(|child| Some(child.slot) != slot || child.id <= id)
    }
}

#[cfg(not(feature = "fake"))]
mod switch {
    use super::Mutation;
    use crate::ike::sa::child::ChildSa;
    use crate::ike::sa::task::TaskKind;

    pub(in crate::ike) const fn is(_: Mutation) -> bool {
        false
    }

    pub(in crate::ike) const fn loses_task(_: TaskKind, _: bool, _: &[ChildSa]) -> bool {
        false
    }
}

/// The seams around an engine.
#[cfg(feature = "fake")]
mod around {
    use super::Mutation;
    use crate::ike::admission::budget::HalfOpenLimits;
    use crate::ike::endpoint::config::{EndpointConfig, PeerConfig};
    use crate::ike::endpoint::output::Output;
    use crate::ike::path::Sending;
    use crate::ike::sa::dpd::DpdTimeout;
    use crate::ike::testing::emulation::PeerBehaviour;
    use crate::wire::header::Header;

    /// Where the message ID stands in an IKE header (RFC 7296 §3.1).
    const MESSAGE_ID: std::ops::Range<usize> = 20..24;

    impl Mutation {
        /// Mutates the settings that an engine is given.
        pub fn settings(self, settings: EndpointConfig) -> EndpointConfig {
            let most = usize::MAX / 2;
            let boundless = HalfOpenLimits { cookies_from: most, per_source: most, total: most };
            match self {
                Mutation::UnboundedHalfOpen => EndpointConfig { half_open: boundless, ..settings },
                _ => settings,
            }
        }

        /// Mutates the policy of one peer that an engine is given.
        pub fn policy(self, mut policy: PeerConfig) -> PeerConfig {
            match self {
                Mutation::NeverProbe => {
                    policy.dpd_timeout = DpdTimeout::from_seconds(3600).expect("in range");
                }
                Mutation::WidenSelectors => {
                    for child in &mut policy.children {
                        child.selectors = PeerBehaviour::Standard.selectors();
                    }
                }
                _ => {}
            }
            policy
        }

        /// Mutates the outputs of one input.
        pub fn outputs(self, outputs: Vec<Output>) -> Vec<Output> {
            match self {
                Mutation::SendBeforeInstall => {
                    let (mut sent, rest): (Vec<_>, Vec<_>) =
                        outputs.into_iter().partition(|o| matches!(o, Output::Transmit(_)));
                    sent.extend(rest);
                    sent
                }
                Mutation::ForgetOutbound => outputs
                    .into_iter()
                    .filter(|output| !matches!(output, Output::ActivateOutbound { .. }))
                    .collect(),
                Mutation::AlterRetransmission | Mutation::AnswerWrongId => {
                    outputs.into_iter().map(|output| self.output(output)).collect()
                }
                _ => outputs,
            }
        }

        fn output(self, mut output: Output) -> Output {
            let Output::Transmit(transmit) = &mut output else { return output };
            if self == Mutation::AlterRetransmission && transmit.sending == Sending::Retransmission
            {
                transmit.bytes.last_mut().into_iter().for_each(|octet| *octet ^= 1);
            }
            let header = Header::decode(&transmit.bytes);
            let is_answer = header.is_ok_and(|header| header.is_response());
            if self == Mutation::AnswerWrongId
                && is_answer
                && let Some(id) = transmit.bytes.get_mut(MESSAGE_ID)
                && let Some(low) = id.last_mut()
            {
                *low = low.wrapping_add(1);
            }
            output
        }
    }
}

#[cfg(feature = "fake")]
pub use switch::set;
pub(in crate::ike) use switch::{is, loses_task};
