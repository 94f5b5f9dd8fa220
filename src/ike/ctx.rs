//! What every part of the engine has at hand while it handles one input.

use std::rc::Rc;

use super::config::{EndpointConfig, PeerConfig};
use super::ids::{ChildId, PeerId};
use super::output::Outputs;
use super::spis::Spis;
use crate::crypto::Provider;
use crate::rng::Rng;
use crate::time::{Instant, Now};

/// The moment, the tools and the way out, for one input of one peer.
pub(super) struct Ctx<'a> {
    pub(super) now: Now,
    pub(super) peer: PeerId,
    pub(super) config: Rc<PeerConfig>,
    pub(super) settings: &'a EndpointConfig,
    pub(super) provider: &'a dyn Provider,
    pub(super) rng: &'a mut dyn Rng,
    pub(super) out: &'a mut Outputs,
    pub(super) spis: &'a mut Spis,
    pub(super) next_child: &'a mut u64,
}

impl Ctx<'_> {
    pub(super) fn mono(&self) -> Instant {
        self.now.mono
    }

    /// A name that no child had before.
    pub(super) fn name_child(&mut self) -> ChildId {
        let id = ChildId(*self.next_child);
        *self.next_child += 1;
        id
    }
}
