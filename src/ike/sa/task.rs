//! What is wanted of an IKE SA and has no message id yet.

use std::collections::VecDeque;

use crate::crypto::Group;
use crate::ike::endpoint::event::Cause;
use crate::ike::ids::{ChildId, Slot};
use crate::time::Instant;
use crate::wire::codes::NotifyType;
use crate::wire::spi::EspSpi;

/// Tasks that one IKE SA holds at most: every child may want rekeying and closing, and there is one of each other kind.
const MAX_TASKS: usize = 256;

/// One thing wanted; each becomes one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// Delete this IKE SA, for this reason, and say so with a notify when there is one.
    CloseIke(Cause, Option<NotifyType>),
    /// Delete this child, and all others that wait for the same.
    CloseChild(ChildId),
    /// Delete the child with this inbound SPI at the peer; here it is gone, or never was.
    Disown(EspSpi),
    /// Make this IKE SA's successor; in this group if the peer asked for it.
    RekeyIke(Option<Group>),
    /// Make this child's successor; in this group if the peer asked for it.
    RekeyChild(ChildId, Option<Group>),
    /// Make a child for this slot; in this group if the peer asked for it.
    NewChild(Slot, Option<Group>),
    /// Ask for a sign of life.
    Probe,
}

/// A wish and when it may be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Task {
    pub(crate) wish: Wish,
    pub(crate) not_before: Instant,
}

/// The wishes of one IKE SA.
#[derive(Debug, Default)]
pub(crate) struct Tasks(pub(crate) VecDeque<Task>);

impl Wish {
    /// What goes first: ends before successors, so that nothing new is made of what is to go.
    fn rank(self) -> u8 {
        match self {
            Wish::CloseIke(..) => 0,
            Wish::CloseChild(_) | Wish::Disown(_) => 1,
            Wish::RekeyChild(..) => 2,
            Wish::NewChild(..) => 3,
            Wish::RekeyIke(_) => 4,
            Wish::Probe => 5,
        }
    }

    /// Whether both are for the same end, whatever the details.
    fn same(self, other: Wish) -> bool {
        match (self, other) {
            (Wish::CloseIke(..), Wish::CloseIke(..))
            | (Wish::RekeyIke(_), Wish::RekeyIke(_))
            | (Wish::Probe, Wish::Probe) => true,
            (Wish::CloseChild(a), Wish::CloseChild(b))
            | (Wish::RekeyChild(a, _), Wish::RekeyChild(b, _)) => a == b,
            (Wish::NewChild(a, _), Wish::NewChild(b, _)) => a == b,
            (Wish::Disown(a), Wish::Disown(b)) => a == b,
            _ => false,
        }
    }
}

impl Tasks {
    /// Wants something, once. False when there is no room for it.
    pub(crate) fn push(&mut self, wish: Wish, not_before: Instant) -> bool {
        if let Some(held) = self.0.iter_mut().find(|task| task.wish.same(wish)) {
            held.not_before = held.not_before.min(not_before);
            return true;
        }
        if self.0.len() >= MAX_TASKS {
            return false;
        }
        self.0.push_back(Task { wish, not_before });
        true
    }

    /// Takes what is to be asked next, if anything is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Wish> {
        let due = self.0.iter().enumerate().filter(|(_, task)| task.not_before <= now);
        let (at, _) = due.min_by_key(|(at, task)| (task.wish.rank(), *at))?;
        self.0.remove(at).map(|task| task.wish)
    }

    /// Takes all deletes of children that are due: one request has room for them.
    pub(crate) fn take_closings(&mut self, now: Instant) -> (Vec<ChildId>, Vec<EspSpi>) {
        let (mut children, mut spis) = (Vec::new(), Vec::new());
        self.0.retain(|task| {
            match task.wish {
                _ if task.not_before > now => return true,
                Wish::CloseChild(child) => children.push(child),
                Wish::Disown(spi) => spis.push(spi),
                _ => return true,
            }
            false
        });
        (children, spis)
    }

    /// Forgets what fits.
    pub(crate) fn forget(&mut self, which: impl Fn(Wish) -> bool) {
        self.0.retain(|task| !which(task.wish));
    }

    pub(crate) fn wants(&self, which: impl Fn(Wish) -> bool) -> bool {
        self.0.iter().any(|task| which(task.wish))
    }

    /// When the next one may be asked.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.0.iter().map(|task| task.not_before).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_go_before_beginnings_and_each_in_its_turn() {
        let mut tasks = Tasks::default();
        let at = Instant(5);
        for wish in [
            Wish::Probe,
            Wish::RekeyChild(ChildId(1), None),
            Wish::RekeyChild(ChildId(2), None),
            Wish::CloseChild(ChildId(3)),
        ] {
            assert!(tasks.push(wish, at));
        }
        assert!(tasks.push(Wish::Probe, Instant(3)));
        assert_eq!(tasks.0.len(), 4);
        assert_eq!(tasks.take_due(Instant(2)), None);
        assert_eq!(tasks.take_due(Instant(4)), Some(Wish::Probe));
        assert_eq!(tasks.take_due(at), Some(Wish::CloseChild(ChildId(3))));
        assert_eq!(tasks.take_due(at), Some(Wish::RekeyChild(ChildId(1), None)));
        assert_eq!(tasks.due_at(), Some(at));
    }

    #[test]
    fn the_queue_has_an_end() {
        let mut tasks = Tasks::default();
        let taken = (0..1000).filter(|&n| tasks.push(Wish::CloseChild(ChildId(n)), Instant(0)));
        assert_eq!(taken.count(), MAX_TASKS);
    }
}
