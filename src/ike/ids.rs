//! Identifiers: numbers with a type each, so that they cannot be mixed up. The engine, the data
//! plane and the simulator share them.

use std::fmt;

/// One configured remote gateway instance. The caller chooses the number and keeps it across
/// reloads and restarts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(pub u32);

/// One child SA pair. A number is never used twice in the life of an endpoint and its snapshots.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChildId(pub u64);

/// One of a peer's configured children. The number stays with the child's selector policy when the
/// configuration changes, wherever the policy stands there. A slot can have several child SAs, as
/// during a rekey, on several IKE SAs, and with a peer that makes one for each pair of its
/// networks. Those carry the slot's outbound traffic that no newer one covers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slot(pub u16);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.0)
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child {}", self.0)
    }
}
