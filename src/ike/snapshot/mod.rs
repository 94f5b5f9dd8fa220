//! The engine put down and picked up: everything it needs to go on, as octets with a version.
//!
//! ```text
//! version | taken at | next child | cookies | peers: dial, slot_retries, attempts, IKE SAs with children, drains
//! ```
//!
//! Order of work for whoever persists: take the outputs, take the snapshot, store it, and only then
//! transmit. A crash is then the same as a lost packet. Deadlines are stored as they are: the
//! monotonic clock is one for all processes of a boot, and a snapshot of another boot is refused.
//!
//! Not in it: configuration and credentials (handed in again), the source of randomness, limits on
//! answers to strangers, and private key-exchange values that the provider does not give out. A
//! request that needed such a value is asked again.

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
use super::sa::child::OutState;
use super::sa::{IkeSa, ReservedSpi};
use crate::crypto::Provider;
use crate::rng::Rng;
use crate::time::{Instant, Now};

/// The version that this code writes and reads.
const VERSION: u16 = 1;

/// An endpoint's state. It holds keys: it prints nothing and is wiped when dropped.
pub struct Snapshot(Zeroizing<Vec<u8>>);

impl Snapshot {
    /// A snapshot from where it was stored. Whether it reads is seen when it is restored.
    pub fn from_bytes(bytes: &[u8]) -> Snapshot {
        Snapshot(Zeroizing::new(bytes.to_vec()))
    }

    /// Its octets, keys and all. Whoever calls this answers for where they go.
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
    /// All that is needed to go on from here.
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

    /// The endpoint of a snapshot. A peer of the snapshot that is not among `peers` is dropped; one
    /// that is new among them starts cold. The data plane is not told anything: see
    /// [`Endpoint::reinstall`].
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
        for (id, config) in configs {
            endpoint.add(id, config);
        }
        Ok(endpoint)
    }

    /// Tells a data plane that starts from nothing about every child: all that is to be received
    /// on, then what is to be sent on.
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
        // Nobody sends on them any more.
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
    for child in peer.sas.iter_mut().flat_map(|sa| &mut sa.children) {
        if child.out == OutState::Active {
            child.activate(ctx);
        }
    }
}

/// A peer without its configuration.
#[derive(Debug)]
struct PeerState {
    /// Our address towards it, as it was configured then.
    local: IpAddr,
    dial: Dial,
    slot_retries: Vec<SlotRetry>,
    handshakes: Vec<Handshake>,
    sas: Vec<IkeSa>,
    draining: Vec<Draining>,
}

fn save_peer(peer: &Peer, encoder: &mut Encoder) {
    // The configuration comes from the file, though our address in it may be another one then; the
    // deadline from the rest.
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

    /// Puts it in the place of a fresh peer's, and its SPIs back on the map.
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
                Handshake::InitSent(_) => {}
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
    }
}
