//! The engine: datagrams that nobody vouches for, and snapshots that were damaged where they lay.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use s2sd::crypto::fake::Fake;
use s2sd::ike::authenticator::{
    Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed,
};
use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::error::AuthFailed;
use s2sd::ike::path::{Datagram, Path, Port};
use s2sd::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::ike::{Endpoint, PeerId, Snapshot};
use s2sd::rng::Rng;
use s2sd::time::{Instant, Now, UnixTime};
use s2sd::wire::codes::{AuthMethod, HashId};
use s2sd::wire::header::Header;
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use s2sd::wire::payload::id::Identity;
use s2sd::wire::spi::IkeSpi;

const PEER: PeerId = PeerId(1);
const NOW: Now = Now { mono: Instant(1_000_000_000_000), unix: UnixTime(1_900_000_000) };

/// Datagrams, each behind two bytes of length, for either end of an attempt and of a tunnel: none
/// panics, and nobody who has no keys makes an end do more than send a message to the peer or say
/// something. An SPI of which all bits are set becomes the one that stands there, so that datagrams
/// find their way.
pub fn ike_endpoint(data: &[u8]) {
    for stage in Stage::ALL {
        for end in [0, 1] {
            let Reached { snapshots, spis } = reached(stage);
            let mut engine = restore(end, &snapshots[end]).expect("as it was put down");
            let mut rest = data;
            while let Some(([high, low], tail)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let (datagram, after) = tail.split_at(tail.len().min(length));
                rest = after;
                hear(&mut engine, path(end), &addressed(datagram, spis));
            }
            engine.handle_timeout(Now { mono: NOW.mono + Duration::from_secs(60), ..NOW });
            outputs(&mut engine);
        }
    }
}

fn hear(engine: &mut Endpoint, path: Path, datagram: &[u8]) {
    engine.handle_datagram(NOW, Datagram { path, bytes: datagram });
    for output in outputs(engine) {
        match output {
            Output::Transmit(sent) => assert_eq!(sent.path.remote.ip(), path.remote.ip()),
            Output::Event(IkeEvent::Refused(..) | IkeEvent::Limited(_) | IkeEvent::Ignored(..)) => {
            }
            output => panic!("a stranger made it {output:?}"),
        }
    }
}

/// What befalls a snapshot: the stage and the end it is of, how many bytes are cut off, then the
/// place of a byte and what it is changed by, three bytes each. It restores, or not; what restores
/// can be put down and picked up again.
pub fn ike_snapshot(data: &[u8]) {
    let [stage, end, cut, edits @ ..] = data else { return };
    let stage = Stage::ALL[usize::from(*stage) % Stage::ALL.len()];
    let end = usize::from(end & 1);
    let whole = reached(stage).snapshots[end].clone();
    let mut bytes = whole[..whole.len() - usize::from(*cut).min(whole.len())].to_vec();
    for [high, low, change] in edits.as_chunks::<3>().0 {
        let place = usize::from(u16::from_be_bytes([*high, *low]));
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= change;
        }
    }
    let restored = restore(end, &bytes);
    assert!(restored.is_some() || bytes != whole);
    let Some(mut restored) = restored else { return };
    outputs(&mut restored);
    let again = restored.snapshot(NOW);
    assert!(bytes != whole || again.expose() == whole);
    assert!(restore(end, again.expose()).is_some());
}

/// How far the two ends have come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// One has sent its first message.
    Dialling,
    /// IKE_SA_INIT is done.
    Proving,
    /// A tunnel.
    Up,
}

impl Stage {
    const ALL: [Stage; 3] = [Stage::Dialling, Stage::Proving, Stage::Up];

    /// Messages that are delivered on the way to it.
    fn messages(self) -> usize {
        match self {
            Stage::Dialling => 0,
            Stage::Proving => 2,
            Stage::Up => usize::MAX,
        }
    }
}

/// Both ends at a stage, put down, and the IKE SA's SPIs as far as they are known.
#[derive(Clone)]
struct Reached {
    snapshots: [Vec<u8>; 2],
    spis: [IkeSpi; 2],
}

fn reached(stage: Stage) -> Reached {
    thread_local! {
        static STAGES: [Reached; 3] = Stage::ALL.map(reach);
    }
    STAGES.with(|stages| stages[stage as usize].clone())
}

fn reach(stage: Stage) -> Reached {
    let mut ends = [0, 1].map(|end| {
        let rng = Box::new(Counter(end as u64));
        let mut engine = Endpoint::new(EndpointConfig::default(), Box::new(Fake), rng);
        engine.command(NOW, Command::Add(PEER, Box::new(config(end))));
        engine
    });
    ends[0].command(NOW, Command::Up(PEER));
    let mut wire = VecDeque::from([(0, outputs(&mut ends[0]))]);
    let mut spis = [IkeSpi::ZERO; 2];
    let mut left = stage.messages();
    while let Some((from, sent)) = wire.pop_front() {
        for output in sent {
            let Output::Transmit(sent) = output else { continue };
            let header = Header::decode(&sent.bytes).expect("our own message");
            spis = [header.initiator_spi, header.responder_spi];
            if left > 0 {
                left -= 1;
                let to = 1 - from;
                let path = Path { local: sent.path.remote, remote: sent.path.local, ..sent.path };
                ends[to].handle_datagram(NOW, Datagram { path, bytes: &sent.bytes });
                wire.push_back((to, outputs(&mut ends[to])));
            }
        }
    }
    Reached { snapshots: ends.map(|end| end.snapshot(NOW).expose().to_vec()), spis }
}

fn restore(end: usize, snapshot: &[u8]) -> Option<Endpoint> {
    let (snapshot, rng) = (Snapshot::from_bytes(snapshot), Box::new(Counter(77)));
    let peers = vec![(PEER, config(end))];
    Endpoint::restore(&snapshot, NOW, EndpointConfig::default(), Box::new(Fake), rng, peers).ok()
}

/// The datagram with the SPIs that it stands for.
fn addressed(datagram: &[u8], spis: [IkeSpi; 2]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    for (place, spi) in datagram.chunks_exact_mut(8).zip(spis) {
        if place == [0xff; 8] {
            place.copy_from_slice(&spi.0.to_be_bytes());
        }
    }
    datagram
}

fn outputs(engine: &mut Endpoint) -> Vec<Output> {
    std::iter::from_fn(|| engine.poll_output()).collect()
}

fn path(end: usize) -> Path {
    Path::new(address(end), address(1 - end), Port::NatT)
}

fn address(end: usize) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, if end == 0 { 1 } else { 2 }).into()
}

fn config(end: usize) -> PeerConfig {
    PeerConfig {
        name: "fuzz".into(),
        role: if end == 0 { DialRole::Dial } else { DialRole::Answer },
        local: address(end),
        remotes: vec![address(1 - end)],
        fixed_remotes: true,
        encapsulation: EspEncapsulation::Udp,
        start_on_4500: false,
        ike: PeerBehaviour::Standard.ike_policy(),
        children: vec![ChildConfig {
            name: "all".into(),
            esp: PeerBehaviour::Standard.esp_policy(),
            selectors: PeerBehaviour::Standard.selectors(),
            lifetime_time: CHILD_TIME,
            lifetime_bytes: CHILD_BYTES,
            keep_up: true,
        }],
        credentials: Rc::new(Echo),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: Default::default(),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

/// Randomness that counts.
struct Counter(u64);

impl Rng for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 += 2;
            chunk.copy_from_slice(&self.0.to_be_bytes()[8 - chunk.len()..]);
        }
    }
}

/// Believes whoever repeats the octets.
#[derive(Debug)]
struct Echo;

impl Authenticator for Echo {
    fn identity(&self) -> Identity {
        Identity::fqdn("fuzz")
    }

    fn certificates(&self) -> Vec<CertPayload> {
        vec![CertPayload::x509(vec![7; 40])]
    }

    fn authorities(&self) -> Vec<[u8; AUTHORITY_LEN]> {
        vec![[1; AUTHORITY_LEN]]
    }

    fn hashes(&self) -> Vec<HashId> {
        vec![HashId::Sha2_256]
    }

    fn sign(
        &self,
        octets: &[u8],
        _: &[HashId],
        _: &mut dyn Rng,
    ) -> Result<AuthPayload, SignFailed> {
        Ok(AuthPayload::new(AuthMethod::RsaSignature, octets))
    }

    fn verify(&self, claim: &PeerProof<'_>, _: Now) -> Result<Proven, Disbelief> {
        let failed =
            || Disbelief { kind: AuthFailed::Signature, reason: "no echo".into(), remedy: None };
        (claim.auth.data == claim.octets)
            .then(|| Proven { name: "fuzz".into(), until: UnixTime(4_000_000_000) })
            .ok_or_else(failed)
    }

    fn still_proves(&self, _: &Presented, _: Now) -> Result<UnixTime, Disbelief> {
        Ok(UnixTime(4_000_000_000))
    }

    fn not_after(&self) -> UnixTime {
        UnixTime(4_000_000_000)
    }
}
