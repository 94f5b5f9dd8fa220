//! Names of things: small numbers that cannot be mixed up. The simulator and the data plane speak
//! in them.

use std::fmt;

/// One configured remote gateway instance. The caller chooses the number and keeps it over reloads
/// and restarts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(pub u32);

/// One child SA pair, never used twice in the life of an endpoint and its snapshots.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChildId(pub u64);

/// Which of a peer's configured children a child SA serves: its place in the peer's list. Of all
/// the child SAs in one slot, over all IKE SAs of the peer, exactly one carries outbound traffic.
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
