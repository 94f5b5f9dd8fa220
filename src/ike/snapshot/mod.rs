//! Snapshots: the state of an [`Endpoint`] as octets with a version, so that a restarted process
//! goes on with the same SAs.
//!
//! ```text
//! version | taken at | next child | cookies | peers: dial, slot retries, handshakes, IKE SAs with
//!                                            child SAs, draining inbound SAs
//! ```
//!
//! The caller takes the outputs, takes the snapshot, stores it, and only then transmits. A crash is
//! then the same as a lost packet. Deadlines are stored as they are: all processes of one boot
//! share the monotonic clock, and a snapshot of another boot is refused.
//!
//! A snapshot does not contain the configuration and the credentials (the caller passes them
//! again), the source of randomness, the budgets of unauthenticated sources, and private key
//! exchange values that the provider does not export. A request that needs such a value is made
//! again.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod` | [`Snapshot`], and how an endpoint writes and restores one |
//! | [`codec`] | the encoder, the decoder, and the encoding of plain types |
//! | [`fields`] | the fields of every type of the engine |

mod codec;
mod fields;

use std::collections::BTreeMap;
use std::net::IpAddr;

use zeroize::Zeroizing;

pub use codec::Corrupt;
use codec::{Decoder, Encoder, SnapshotField};
use fields::{load_handshake, save_handshake};

use super::admission::cookie::Cookies;
use super::endpoint::Endpoint;
use super::endpoint::config::{EndpointConfig, PeerConfig};
use super::endpoint::context::Context;
use super::ids::PeerId;
use super::peer::dial::Dial;
use super::peer::handshake::Handshake;
use super::peer::reconcile::SlotRetry;
use super::peer::{Draining, Peer};
use super::sa::child::{ChildSa, OutState};
use super::sa::{IkeSa, ReservedSpi};
use crate::crypto::Provider;
use crate::rng::Rng;
use crate::time::{Instant, Now};

/// The format version that this code writes and reads.
const VERSION: u16 = 4;

/// An endpoint's state as octets. They contain keys, so `Debug` shows only their number, and they
/// are wiped when dropped.
pub struct Snapshot(Zeroizing<Vec<u8>>);

impl Snapshot {
    /// A snapshot from stored octets. They are checked when the snapshot is restored.
    pub fn from_bytes(bytes: &[u8]) -> Snapshot {
        Snapshot(Zeroizing::new(bytes.to_vec()))
    }

    /// The octets, keys included. The caller must keep them secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} octets)", self.0.len())
    }
}

impl Endpoint {
    /// The state from which [`Endpoint::restore`] goes on.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let mut encoder = Encoder::default();
        VERSION.save(&mut encoder);
        now.mono.save(&mut encoder);
        self.next_child.save(&mut encoder);
        self.admissions.cookies.save(&mut encoder);
        self.peers.len().save(&mut encoder);
        for peer in self.peers.values() {
            save_peer(peer, &mut encoder);
        }
        Snapshot(encoder.finish())
    }

    /// The endpoint of a snapshot. A peer of the snapshot that is not in `peers` is dropped; a peer
    /// in `peers` that is not in the snapshot starts without SAs. No SA is installed in the data
    /// plane: see [`Endpoint::reinstall`].
    pub fn restore(
        snapshot: &Snapshot,
        now: Now,
        settings: EndpointConfig,
        provider: Box<dyn Provider>,
        mut rng: Box<dyn Rng>,
        peers: Vec<(PeerId, PeerConfig)>,
    ) -> Result<Endpoint, Corrupt> {
        let mut decoder = Decoder::new(&snapshot.0, &*provider, &mut *rng);
        let version = u16::load(&mut decoder)?;
        if version != VERSION {
            return Err(Corrupt::Version(version));
        }
        if Instant::load(&mut decoder)? > now.mono {
            return Err(Corrupt::Boot);
        }
        let next_child = u64::load(&mut decoder)?;
        let cookies = Cookies::load(&mut decoder)?;
        let mut configs: BTreeMap<PeerId, PeerConfig> = peers.into_iter().collect();
        let mut restored = Vec::new();
        for _ in 0..usize::load(&mut decoder)? {
            let id = PeerId::load(&mut decoder)?;
            let state = PeerState::load(&mut decoder)?;
            if let Some(config) = configs.remove(&id) {
                restored.push((id, config, state));
            }
        }
        if !decoder.is_done() {
            return Err(Corrupt::Field("octets after its end"));
        }
        let mut endpoint = Endpoint::new(settings, provider, rng);
        endpoint.next_child = next_child;
        endpoint.admissions.cookies = cookies;
        for (id, config, state) in restored {
            endpoint.add(id, config);
            endpoint.with(now, id, |peer, ctx| state.enter(peer, ctx));
        }
        // Children that the configuration has no longer have ended. None was in the data plane.
        endpoint.out.forget_removals();
        for (id, config) in configs {
            endpoint.add(id, config);
        }
        Ok(endpoint)
    }

    /// Installs every SA in a data plane that has none: first all inbound and outbound SAs, then
    /// the choice of the outbound SAs that carry each slot's traffic.
    pub fn reinstall(&mut self, now: Now) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.with(now, id, reinstall);
        }
    }
}

fn reinstall(peer: &mut Peer, ctx: &mut Context<'_>) {
    match peer.sas.first() {
        Some(sa) => peer
            .draining
            .iter()
            .for_each(|drained| drained.child.install_inbound(ctx, sa.path, sa.encapsulated)),
        // Without an IKE SA, the peer does not send on them any more.
        None => peer
            .draining
            .drain(..)
            .for_each(|drained| ctx.spis.release_esp(drained.child.inbound.spi)),
    }
    for sa in &peer.sas {
        for child in &sa.children {
            child.install_inbound(ctx, sa.path, sa.encapsulated);
            if child.out != OutState::Retired {
                child.install_outbound(ctx, sa.path, sa.encapsulated);
            }
        }
    }
    let all = peer.sas.iter_mut().flat_map(|sa| &mut sa.children);
    let mut active: Vec<&mut ChildSa> = all.filter(|c| c.out == OutState::Active).collect();
    active.sort_by_key(|child| child.id);
    active.into_iter().for_each(|child| child.activate(ctx));
}

/// The stored state of a peer: everything but the configuration.
#[derive(Debug)]
struct PeerState {
    /// This end's address towards the peer, as it was configured when the snapshot was taken.
    local: IpAddr,
    dial: Dial,
    slot_retries: Vec<SlotRetry>,
    handshakes: Vec<Handshake>,
    sas: Vec<IkeSa>,
    draining: Vec<Draining>,
}

fn save_peer(peer: &Peer, encoder: &mut Encoder) {
    // The configuration comes from the file, where this end's address may be another one by then.
    // The deadline is computed from the state.
    let Peer { id, config, dial, slot_retries, handshakes, sas, draining, registered: _ } = peer;
    id.save(encoder);
    config.local.save(encoder);
    dial.save(encoder);
    slot_retries.save(encoder);
    handshakes.len().save(encoder);
    handshakes.iter().for_each(|handshake| save_handshake(handshake, encoder));
    sas.save(encoder);
    draining.save(encoder);
}

impl PeerState {
    fn load(decoder: &mut Decoder<'_>) -> Result<PeerState, Corrupt> {
        let (local, dial, slot_retries) = (
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
            SnapshotField::load(decoder)?,
        );
        let mut handshakes = Vec::new();
        for _ in 0..usize::load(decoder)? {
            handshakes.extend(load_handshake(decoder)?);
        }
        let (sas, draining) = (SnapshotField::load(decoder)?, SnapshotField::load(decoder)?);
        Ok(PeerState { local, dial, slot_retries, handshakes, sas, draining })
    }

    /// Replaces the state of a new peer, and registers the SPIs.
    fn enter(self, peer: &mut Peer, ctx: &mut Context<'_>) {
        let PeerState { local, dial, slot_retries, handshakes, sas, draining } = self;
        for handshake in &handshakes {
            ctx.spis.adopt_ike(ctx.peer, handshake.spi());
            match handshake {
                Handshake::InitAnswered(phase) => ctx.half_open.enter(phase.source),
                Handshake::AuthRefused(phase) => ctx.half_open.enter(phase.source),
                Handshake::AuthSent(phase) => {
                    if let Some(wanted) = &phase.wanted {
                        ctx.spis.adopt_esp(ctx.peer, wanted.spi);
                    }
                }
                Handshake::InitSent(_) | Handshake::AuthRejected(_) => {}
            }
        }
        for sa in &sas {
            ctx.spis.adopt_ike(ctx.peer, sa.spi());
            match sa.reserved() {
                Some(ReservedSpi::Ike(spi)) => ctx.spis.adopt_ike(ctx.peer, spi),
                Some(ReservedSpi::Esp(spi)) => ctx.spis.adopt_esp(ctx.peer, spi),
                None => {}
            }
        }
        let children = sas.iter().flat_map(|sa| &sa.children);
        for child in children.chain(draining.iter().map(|drained| &drained.child)) {
            ctx.spis.adopt_esp(ctx.peer, child.inbound.spi);
        }
        (peer.dial, peer.slot_retries, peer.handshakes) = (dial, slot_retries, handshakes);
        (peer.sas, peer.draining) = (sas, draining);
        peer.adapt(ctx, local);
        // What this end trusts may have changed while no process ran.
        peer.judge_again(ctx);
        peer.retire_departed(ctx);
    }
}
