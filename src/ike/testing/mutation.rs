//! Faults on purpose, so that the simulator's teeth can be shown to bite: each makes the engine
//! wrong in one known way.
//!
//! Exists only with the feature `fake`, which no release build has; without it `is` is a constant
//! `false`.

/// Declares the faults once: as variants and as a list of all.
macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One way of being wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &'static [Mutation] = &[$(Mutation::$name,)*];
        }
    };
}

mutations! {
    /// A message outside the SA's protection is obeyed.
    AcceptClearMessages,
    /// A retransmission has other bytes than what it repeats.
    AlterRetransmission,
    /// The answer carries the next message id.
    AnswerWrongId,
    /// In a collision the winner of the nonces is taken for the loser.
    CompareNoncesWrongly,
    /// The IKE SA that was replaced keeps its children.
    ForgetChildrenAtIkeRekey,
    /// The redundant successor of a collision stays.
    ForgetLoser,
    /// The child that was replaced is not deleted.
    ForgetOldChild,
    /// No outbound half is ever put to use.
    ForgetOutbound,
    /// A task that the peer was too busy for is not tried again.
    IgnoreTemporaryFailure,
    /// Silence is never questioned.
    NeverProbe,
    /// A request that was answered is handled again.
    RepeatRequest,
    /// The answer leaves before what it promises is installed.
    SendBeforeInstall,
    /// Half-open IKE SAs have no bound and nobody is asked for a cookie.
    UnboundedHalfOpen,
    /// The responder grants all selectors that are offered.
    WidenSelectors,
}

#[cfg(feature = "fake")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static FAULT: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// From now on, on this thread, engines have this fault.
    pub fn set(fault: Option<Mutation>) {
        FAULT.set(fault);
    }

    pub(in crate::ike) fn is(fault: Mutation) -> bool {
        FAULT.get() == Some(fault)
    }
}

#[cfg(not(feature = "fake"))]
mod switch {
    use super::Mutation;

    pub(in crate::ike) const fn is(_: Mutation) -> bool {
        false
    }
}

pub(in crate::ike) use switch::is;
#[cfg(feature = "fake")]
pub use switch::set;
