//! The tasks of an IKE SA: what is wanted and is no request yet. One request may be in flight, so
//! tasks wait in a queue, ordered by their kind.

use std::collections::VecDeque;

use crate::crypto::Group;
use crate::ike::endpoint::event::Cause;
use crate::ike::ids::{ChildId, Slot};
use crate::time::Instant;
use crate::wire::codes::NotifyType;
use crate::wire::spi::EspSpi;

/// The most tasks of one IKE SA: each child may have to be rekeyed and deleted, and there is one
/// task of each other kind.
const MAX_TASKS: usize = 256;

/// What a task asks for. Each task becomes one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TaskKind {
    /// Delete this IKE SA, for this reason, with a notify if there is one.
    CloseIke(Cause, Option<NotifyType>),
    /// Delete this child SA; one request deletes all that wait for it.
    CloseChild(ChildId),
    /// Delete the child SA with this inbound SPI at the peer: here the child is gone, or never was.
    Disown(EspSpi),
    /// Rekey this IKE SA, in this group if the peer asked for one.
    RekeyIke(Option<Group>),
    /// Rekey this child SA, in this group if the peer asked for one.
    RekeyChild(ChildId, Option<Group>),
    /// Make a child SA for this slot, in this group if the peer asked for one.
    NewChild(Slot, Option<Group>),
    /// Ask for a sign of life ([`super::dpd`]).
    Probe,
}

/// A task and the time before which it is not asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Task {
    pub(crate) kind: TaskKind,
    pub(crate) not_before: Instant,
}

/// The tasks of one IKE SA.
#[derive(Debug, Default)]
pub(crate) struct Tasks(pub(crate) VecDeque<Task>);

impl TaskKind {
    /// The order of tasks: deletes before rekeys, so that nothing is rekeyed that is to be deleted.
    fn rank(self) -> u8 {
        match self {
            TaskKind::CloseIke(..) => 0,
            TaskKind::CloseChild(_) | TaskKind::Disown(_) => 1,
            TaskKind::RekeyChild(..) => 2,
            TaskKind::NewChild(..) => 3,
            TaskKind::RekeyIke(_) => 4,
            TaskKind::Probe => 5,
        }
    }

    /// Whether both tasks have the same aim, whatever their details.
    fn same(self, other: TaskKind) -> bool {
        match (self, other) {
            (TaskKind::CloseIke(..), TaskKind::CloseIke(..))
            | (TaskKind::RekeyIke(_), TaskKind::RekeyIke(_))
            | (TaskKind::Probe, TaskKind::Probe) => true,
            (TaskKind::CloseChild(a), TaskKind::CloseChild(b))
            | (TaskKind::RekeyChild(a, _), TaskKind::RekeyChild(b, _)) => a == b,
            (TaskKind::NewChild(a, _), TaskKind::NewChild(b, _)) => a == b,
            (TaskKind::Disown(a), TaskKind::Disown(b)) => a == b,
            _ => false,
        }
    }
}

impl Tasks {
    /// Adds a task, unless the queue has the same already. False when the queue is full.
    pub(crate) fn push(&mut self, kind: TaskKind, not_before: Instant) -> bool {
        if let Some(held) = self.0.iter_mut().find(|task| task.kind.same(kind)) {
            held.not_before = held.not_before.min(not_before);
            return true;
        }
        if self.0.len() >= MAX_TASKS {
            return false;
        }
        self.0.push_back(Task { kind, not_before });
        true
    }

    /// Takes the first task that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TaskKind> {
        let due = self.0.iter().enumerate().filter(|(_, task)| task.not_before <= now);
        let (at, _) = due.min_by_key(|(at, task)| (task.kind.rank(), *at))?;
        self.0.remove(at).map(|task| task.kind)
    }

    /// Takes all deletes of children that are due: one request has room for all of them.
    pub(crate) fn take_closings(&mut self, now: Instant) -> (Vec<ChildId>, Vec<EspSpi>) {
        let (mut children, mut spis) = (Vec::new(), Vec::new());
        self.0.retain(|task| {
            match task.kind {
                _ if task.not_before > now => return true,
                TaskKind::CloseChild(child) => children.push(child),
                TaskKind::Disown(spi) => spis.push(spi),
                _ => return true,
            }
            false
        });
        (children, spis)
    }

    /// Removes the tasks that `which` names.
    pub(crate) fn forget(&mut self, which: impl Fn(TaskKind) -> bool) {
        self.0.retain(|task| !which(task.kind));
    }

    pub(crate) fn wants(&self, which: impl Fn(TaskKind) -> bool) -> bool {
        self.0.iter().any(|task| which(task.kind))
    }

    /// When the next task may be asked.
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
        for kind in [
            TaskKind::Probe,
            TaskKind::RekeyChild(ChildId(1), None),
            TaskKind::RekeyChild(ChildId(2), None),
            TaskKind::CloseChild(ChildId(3)),
        ] {
            assert!(tasks.push(kind, at));
        }
        assert!(tasks.push(TaskKind::Probe, Instant(3)));
        assert_eq!(tasks.0.len(), 4);
        assert_eq!(tasks.take_due(Instant(2)), None);
        assert_eq!(tasks.take_due(Instant(4)), Some(TaskKind::Probe));
        assert_eq!(tasks.take_due(at), Some(TaskKind::CloseChild(ChildId(3))));
        assert_eq!(tasks.take_due(at), Some(TaskKind::RekeyChild(ChildId(1), None)));
        assert_eq!(tasks.due_at(), Some(at));
    }

    #[test]
    fn the_queue_has_an_end() {
        let mut tasks = Tasks::default();
        let taken = (0..1000).filter(|&n| tasks.push(TaskKind::CloseChild(ChildId(n)), Instant(0)));
        assert_eq!(taken.count(), MAX_TASKS);
    }
}
