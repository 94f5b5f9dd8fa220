//! The model data plane of one host: installs, switches and removes SAs as the engine says, and
//! nothing else.
//!
//! It also holds the engine to the order it promised (`ike::endpoint::output`): an SA is installed
//! before it is used, used before it is retired, its inbound half outlives its outbound half.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use s2sd::ike::endpoint::command::DataEvent;
use s2sd::ike::endpoint::output::{EspSa, Output};
use s2sd::ike::ids::{ChildId, PeerId};
use s2sd::ike::path::{Path, Port};
use s2sd::wire::spi::EspSpi;

use crate::esp::{Inner, Ledger, Receiver, Refused, Sender};
use crate::invariants::{Rule, Violation};
use crate::packet::Datagram;
use crate::rules::hash;

/// ESP that is not in UDP has no ports; the simulator gives it this one, IP's protocol number.
pub const BARE: u16 = 50;
/// What each inner packet counts for in volume limits.
pub const PACKET_OCTETS: u64 = 1_000;

#[derive(Debug, Default)]
pub struct Plane {
    pub inbound: BTreeMap<EspSpi, Inbound>,
    pub outbound: BTreeMap<(PeerId, ChildId), Outbound>,
    /// The outbound SAs in use.
    pub active: BTreeSet<(PeerId, ChildId)>,
    reported: BTreeSet<(EspSpi, SocketAddr)>,
    /// Packets that arrived for no SA, that did not open, or that did not fit the selectors.
    pub dropped: Dropped,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dropped {
    pub no_sa: u64,
    pub refused: u64,
    pub selectors: u64,
}

#[derive(Debug)]
pub struct Inbound {
    pub sa: EspSa,
    receiver: Receiver,
    used: bool,
    packets: u64,
    told: Told,
}

#[derive(Debug)]
pub struct Outbound {
    pub sa: EspSa,
    sender: Sender,
    path: Path,
    encapsulated: bool,
    packets: u64,
    told: Told,
}

/// Which limits were reported already.
#[derive(Debug, Default)]
struct Told {
    soft: bool,
    hard: bool,
}

/// A sealed packet, with what invariant 1 looks at.
#[derive(Debug)]
pub struct Sealed {
    pub key: u64,
    pub seq: u64,
    pub datagram: Datagram,
}

/// What came of a packet from the net.
#[derive(Debug, Default)]
pub struct Opened {
    /// The inbound SA that authenticated it.
    pub on: Option<EspSpi>,
    /// What goes on to the network behind; nothing when the selectors forbid it.
    pub inner: Option<Inner>,
    /// What the engine has to know.
    pub events: Vec<DataEvent>,
}

impl Plane {
    /// Carries one output out; the ones that are not the data plane's are left alone.
    pub fn apply(&mut self, ledger: &mut Ledger, output: Output) -> Result<(), Violation> {
        let broken = |text: String| Err(Violation::new(Rule::Order, text));
        match output {
            Output::InstallInbound(sa) => self.install_inbound(ledger, *sa),
            Output::InstallOutbound(sa) => self.install_outbound(ledger, *sa),
            Output::ActivateOutbound { peer, slot, child, spi } => {
                match self.outbound.get(&(peer, child)) {
                    Some(held) if held.sa.spi == spi && held.sa.slot == slot => {
                        self.active.insert((peer, child));
                        Ok(())
                    }
                    _ => broken(format!("{child} {spi} activated without being installed")),
                }
            }
            Output::DisplaceOutbound { peer, child, spi } => {
                let held = self.outbound.get(&(peer, child)).is_some_and(|held| held.sa.spi == spi);
                match held && self.active.remove(&(peer, child)) {
                    true => Ok(()),
                    false => broken(format!("{child} {spi} displaced without being active")),
                }
            }
            Output::RetireOutbound { peer, child, spi } => {
                match self.outbound.remove(&(peer, child)) {
                    Some(held) if held.sa.spi == spi => {
                        self.active.remove(&(peer, child));
                        ledger.forget(held.sender.key, false);
                        Ok(())
                    }
                    _ => broken(format!("{child} {spi} retired without being installed")),
                }
            }
            Output::RemoveInbound { peer, child, spi } => {
                if self.outbound.contains_key(&(peer, child)) {
                    return broken(format!("{child} {spi} removed before its outbound half"));
                }
                match self.inbound.remove(&spi) {
                    Some(held) if held.sa.child == child => {
                        ledger.forget(held.receiver.key, true);
                        Ok(())
                    }
                    _ => broken(format!("{child} {spi} removed without being installed")),
                }
            }
            Output::PeerMoved { peer, path, encapsulated } => {
                for held in self.outbound.values_mut().filter(|held| held.sa.peer == peer) {
                    (held.path, held.encapsulated) = (path, encapsulated);
                }
                Ok(())
            }
            Output::Transmit(_) | Output::Keepalive(_) | Output::Event(_) => Ok(()),
        }
    }

    /// The child whose outbound SA carries packets between these addresses: the newest that is
    /// active and whose selectors cover them.
    pub fn carrier(&self, near: impl Into<IpAddr>, far: impl Into<IpAddr>) -> Option<ChildId> {
        let (near, far) = (near.into(), far.into());
        let active = self.active.iter().rev().filter_map(|key| self.outbound.get(key));
        active.map(|held| &held.sa).find(|sa| fits(sa, near, far)).map(|sa| sa.child)
    }

    /// Seals an inner packet on the active SA that carries it; `None` when there is none.
    pub fn seal(&mut self, ledger: &mut Ledger, inner: Inner) -> Option<Sealed> {
        let child = self.carrier(inner.src, inner.dst)?;
        let held = self.outbound.values_mut().find(|held| held.sa.child == child)?;
        let (seq, bytes) = held.sender.seal(ledger, inner);
        held.packets += 1;
        let port = |mut end: SocketAddr| {
            if !held.encapsulated {
                end.set_port(BARE);
            }
            end
        };
        let datagram = Datagram { src: port(held.path.local), dst: port(held.path.remote), bytes };
        Some(Sealed { key: held.sender.key, seq, datagram })
    }

    /// Opens a packet from the net.
    pub fn open(&mut self, ledger: &mut Ledger, datagram: &Datagram) -> Opened {
        let spi = datagram.bytes.get(..4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        let spi = EspSpi(u32::from_be_bytes(spi.unwrap_or_default()));
        let Some(held) = self.inbound.get_mut(&spi) else {
            self.dropped.no_sa += 1;
            if datagram.src.port() == BARE {
                return Opened::default();
            }
            let path = Path { local: datagram.dst, remote: datagram.src, port: Port::NatT };
            let stray = DataEvent::UnknownSpi { path, spi, len: datagram.bytes.len() };
            return Opened { events: vec![stray], ..Opened::default() };
        };
        let inner = match held.receiver.open(ledger, &datagram.bytes) {
            Ok(inner) => inner,
            Err(Refused::Malformed | Refused::Forged | Refused::Replayed) => {
                self.dropped.refused += 1;
                return Opened::default();
            }
        };
        let (mut events, on) = (Vec::new(), Some(spi));
        held.packets += 1;
        if !std::mem::replace(&mut held.used, true) {
            events.push(DataEvent::FirstPacket(spi));
        }
        let from = Path { local: datagram.dst, remote: datagram.src, port: held.sa.path.port };
        let known = self.outbound.values().find(|o| o.sa.child == held.sa.child).map(|o| o.path);
        if datagram.src.port() != BARE
            && known.is_some_and(|path| path.remote != from.remote || path.local != from.local)
            && self.reported.insert((spi, datagram.src))
        {
            events.push(DataEvent::PeerMoved(spi, from));
        }
        if !fits(&held.sa, inner.dst, inner.src) {
            self.dropped.selectors += 1;
            return Opened { on, inner: None, events };
        }
        Opened { on, inner: Some(inner), events }
    }

    /// The limits reached since this was last asked.
    pub fn limits_reached(&mut self) -> Vec<DataEvent> {
        let inbound = self.inbound.values_mut().map(|h| (&h.sa, h.packets, &mut h.told));
        let outbound = self.outbound.values_mut().map(|h| (&h.sa, h.packets, &mut h.told));
        let mut events = Vec::new();
        for (sa, packets, told) in inbound.chain(outbound) {
            let octets = packets * PACKET_OCTETS;
            let soft = packets >= sa.limits.packets.soft || octets >= sa.limits.bytes.soft;
            let hard = packets >= sa.limits.packets.hard || octets >= sa.limits.bytes.hard;
            if soft && !std::mem::replace(&mut told.soft, true) {
                events.push(DataEvent::SoftLimit(sa.peer, sa.child));
            }
            if hard && !std::mem::replace(&mut told.hard, true) {
                events.push(DataEvent::HardLimit(sa.peer, sa.child));
            }
        }
        events
    }

    /// Every SPI in use, for the comparison of both ends: (inbound, outbound).
    pub fn spis(&self) -> (BTreeSet<EspSpi>, BTreeSet<EspSpi>) {
        (self.inbound.keys().copied().collect(), self.outbound.values().map(|o| o.sa.spi).collect())
    }

    fn install_inbound(&mut self, ledger: &Ledger, sa: EspSa) -> Result<(), Violation> {
        let spi = sa.spi;
        let receiver = Receiver::new(ledger, fingerprint(&sa));
        let held = Inbound { sa, receiver, used: false, packets: 0, told: Told::default() };
        match self.inbound.insert(spi, held) {
            None => Ok(()),
            Some(_) => Err(Violation::new(Rule::Order, format!("inbound {spi} installed twice"))),
        }
    }

    fn install_outbound(&mut self, ledger: &Ledger, sa: EspSa) -> Result<(), Violation> {
        let (peer, child, spi) = (sa.peer, sa.child, sa.spi);
        let sender = Sender::new(ledger, spi.0, fingerprint(&sa));
        let (path, encapsulated) = (sa.path, sa.encapsulated);
        let held = Outbound { sa, sender, path, encapsulated, packets: 0, told: Told::default() };
        match self.outbound.insert((peer, child), held) {
            None => Ok(()),
            Some(_) => Err(Violation::new(Rule::Order, format!("outbound {spi} installed twice"))),
        }
    }
}

/// What stands for an SA's key material: equal at both ends, different for every SA.
fn fingerprint(sa: &EspSa) -> u64 {
    hash(&[sa.keys.encryption.expose(), sa.keys.integrity.expose()].concat())
}

fn fits(sa: &EspSa, near: impl Into<IpAddr>, far: impl Into<IpAddr>) -> bool {
    let (near, far) = (near.into(), far.into());
    sa.selectors.local.matches(near, 0, None) && sa.selectors.remote.matches(far, 0, None)
}
