//! What the engine costs: beside the cryptography it calls, in memory for each peer, and as peers
//! grow in number.
//!
//! `cargo bench --bench ike`. All figures are of one run on one core; compare ratios, not runs.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use s2sd::crypto::fake::Fake;
use s2sd::crypto::keymat::{ChildKeys, IkeKeys, IkeSpis, Nonces, SkeySeed};
use s2sd::crypto::signature::PrivateKey;
use s2sd::crypto::{EspSuite, Group, Hash, IkeSuite, Provider, Standard};
use s2sd::ike::authenticator::certificates::CertificateAuthenticator;
use s2sd::ike::authenticator::{
    Authenticator, Disbelief, PeerProof, Presented, Proven, SignFailed,
};
use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::ike::path::{Datagram, Path};
use s2sd::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::ike::{ChildId, Endpoint, PeerId};
use s2sd::pki::identity::{Expectation, IdentityRule};
use s2sd::pki::load::Bundle;
use s2sd::pki::own_identity::OwnIdentity;
use s2sd::pki::path::{Roots, Trust};
use s2sd::rng::Rng;
use s2sd::sys::random::SystemRng;
use s2sd::time::{Instant, Now, UnixTime};
use s2sd::wire::codes::{AuthMethod, EncrId, EsnId, HashId, PrfId};
use s2sd::wire::payload::auth::AuthPayload;
use s2sd::wire::payload::cert::{AUTHORITY_LEN, CertPayload};
use s2sd::wire::payload::id::Identity;

/// Counts the octets that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "a counting allocator can be written in no other way")]
// SAFETY: every call goes to the system's allocator unchanged; the counter does not touch the
// memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    println!(
        "== the engine beside its cryptography (GCMAES256/SHA384/ECP384, RSA 2048, PFS ECP256)"
    );
    let keys = some_keys(&Standard::default(), &suites().0);
    let full = best(15, || handshake(certificates));
    let bare = best(15, bare_handshake);
    ratio("full handshake, both ends", full, bare);
    let mut pair =
        Pair::up(Box::new(Standard::default()), Box::new(Standard::default()), 1, certificates);
    let rekey = best(30, || pair.rekey_child());
    ratio("child rekey with PFS, both ends", rekey, best(30, || bare_child(&keys)));
    let rekey = best(30, || pair.command(0, Command::RekeyIke(PeerId(0))));
    ratio("IKE rekey, both ends", rekey, best(30, || bare_ike(&keys)));
    let alone = best(50, || {
        Pair::up(Box::new(Fake), Box::new(Fake), 1, toy);
    });
    println!("{:<44}{:>10.1} us", "handshake with fake crypto, both ends", micros(alone));

    println!("== as peers grow in number (real ciphers, fake signatures)");
    for peers in [10, 1_000, 10_000] {
        crowd(peers);
    }
}

/// One endpoint that holds so many established peers.
fn crowd(peers: u32) {
    let provider = || Box::new(Standard::default());
    let mut pair = Pair::up(provider(), provider(), peers, toy);
    let timeout = best(1000, || {
        black_box(pair.ends[1].poll_timeout());
    });
    let probe = best(200, || pair.command(0, Command::Probe(PeerId(peers / 2))));
    // An INFORMATIONAL request on an IKE SA that there is not, so that it is looked for.
    let mut stranger = vec![0x55; 64];
    stranger[17..20].copy_from_slice(&[0x20, 37, 0x08]);
    stranger[24..28].copy_from_slice(&64_u32.to_be_bytes());
    let path = pair.path;
    let unknown = best(1000, || {
        let datagram = Datagram { path, bytes: &stranger };
        pair.ends[1].handle_datagram(pair.now, datagram);
        while pair.ends[1].poll_output().is_some() {}
    });
    let snapshot = best(5, || {
        black_box(pair.ends[1].snapshot(pair.now));
    });
    let size = pair.ends[1].snapshot(pair.now).expose().len();
    let before = IN_USE.load(Ordering::Relaxed);
    let [_, answerer] = pair.ends;
    drop(answerer);
    let held = before - IN_USE.load(Ordering::Relaxed);
    let each = |n: usize| n / peers as usize;
    println!(
        "{peers:>6} peers: {:>6} octets each; poll_timeout {:>4} ns, unknown datagram {:>5} ns, liveness both ends {:>6.1} us; \
         snapshot {:>8.2} ms, {:>5} octets each",
        each(held),
        timeout.as_nanos(),
        unknown.as_nanos(),
        micros(probe),
        micros(snapshot) / 1000.0,
        each(size),
    );
}

fn handshake(credentials: fn(bool) -> Rc<dyn Authenticator>) {
    Pair::up(Box::new(Standard::default()), Box::new(Standard::default()), 1, credentials);
}

/// The cryptography of a handshake and nothing else, both ends.
fn bare_handshake() {
    let provider = Standard::default();
    let mut rng = SystemRng::default();
    let (ike, esp) = suites();
    let shared = agree(&provider, &mut rng, ike.group);
    let (ni, nr) = ([1; 32], [2; 32]);
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let spis = IkeSpis { initiator: [1; 8], responder: [2; 8] };
    for end in [true, false] {
        let seed = SkeySeed::of_new(&provider, ike.prf, nonces, &shared[usize::from(end)]);
        let keys = IkeKeys::derive(&provider, &ike, &seed, nonces, spis);
        // Certificates travel in messages of some 1,300 octets each way.
        let mut sealer =
            provider.message_sealer(&ike, keys.of_initiator(), &mut rng).expect("keys");
        let opener = provider.message_opener(&ike, keys.of_initiator()).expect("keys");
        let layout = ike.protection.ike_layout();
        let mut message = vec![0; 32 + layout.sealed_len(1300)];
        sealer.seal(&mut message, 32, 1300, &mut rng).expect("seals");
        opener.open(&mut message, 32).expect("opens");
        ChildKeys::derive(
            &provider,
            ike.prf,
            &keys.d,
            &EspSuite { group: None, ..esp },
            nonces,
            None,
        );
        for _ in 0..4 {
            black_box(provider.hash(Hash::Sha1, &[&[0; 22]]));
        }
        let (ours, theirs) = (certificates(end), certificates(!end));
        let octets = [7; 400];
        let auth = ours.sign(&octets, &ours.hashes(), &mut rng).expect("signs");
        let (identity, certificates) = (ours.identity(), ours.certificates());
        let claim = PeerProof {
            identity: &identity,
            certificates: &certificates,
            auth: &auth,
            octets: &octets,
            announced: &[],
            remotes: &[],
        };
        theirs.verify(&claim, Now { mono: Instant(0), unix: NOW }).expect("believes");
    }
}

/// The cryptography of a child's rekey with a key exchange of its own, and of the delete that
/// follows; both ends.
fn bare_child(keys: &IkeKeys) {
    let provider = Standard::default();
    let mut rng = SystemRng::default();
    let (ike, esp) = suites();
    let shared = agree(&provider, &mut rng, Group::Ecp256);
    let (ni, nr) = ([1; 32], [2; 32]);
    let nonces = Nonces { initiator: &ni, responder: &nr };
    for shared in &shared {
        ChildKeys::derive(&provider, ike.prf, &keys.d, &esp, nonces, Some(shared));
    }
    bare_messages(&provider, &mut rng, &ike, keys);
}

/// The cryptography of an IKE SA's rekey and of the delete that follows; both ends.
fn bare_ike(keys: &IkeKeys) {
    let provider = Standard::default();
    let mut rng = SystemRng::default();
    let (ike, _) = suites();
    let (ni, nr) = ([1; 32], [2; 32]);
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let spis = IkeSpis { initiator: [1; 8], responder: [2; 8] };
    for shared in &agree(&provider, &mut rng, ike.group) {
        let seed = SkeySeed::of_rekeyed(&provider, ike.prf, &keys.d, nonces, shared);
        let new = IkeKeys::derive(&provider, &ike, &seed, nonces, spis);
        black_box(provider.message_sealer(&ike, new.of_initiator(), &mut rng).expect("keys"));
        black_box(provider.message_opener(&ike, new.of_initiator()).expect("keys"));
    }
    bare_messages(&provider, &mut rng, &ike, keys);
}

/// Two exchanges: four messages sealed and opened.
fn bare_messages(provider: &Standard, rng: &mut SystemRng, ike: &IkeSuite, keys: &IkeKeys) {
    let mut sealer = provider.message_sealer(ike, keys.of_initiator(), rng).expect("keys");
    let opener = provider.message_opener(ike, keys.of_initiator()).expect("keys");
    let layout = ike.protection.ike_layout();
    for _ in 0..4 {
        let mut message = vec![0; 32 + layout.sealed_len(250)];
        sealer.seal(&mut message, 32, 250, rng).expect("seals");
        opener.open(&mut message, 32).expect("opens");
    }
}

fn some_keys(provider: &Standard, ike: &IkeSuite) -> IkeKeys {
    let (ni, nr) = ([1; 32], [2; 32]);
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let shared = agree(provider, &mut SystemRng::default(), Group::Curve25519);
    let seed = SkeySeed::of_new(provider, ike.prf, nonces, &shared[0]);
    let spis = IkeSpis { initiator: [1; 8], responder: [2; 8] };
    IkeKeys::derive(provider, ike, &seed, nonces, spis)
}

fn agree(
    provider: &Standard,
    rng: &mut SystemRng,
    group: Group,
) -> [s2sd::crypto::SharedSecret; 2] {
    let (a, b) = (provider.start_exchange(group, rng), provider.start_exchange(group, rng));
    let (pa, pb) = (a.public_value().to_vec(), b.public_value().to_vec());
    [a.agree(&pb).expect("a value"), b.agree(&pa).expect("a value")]
}

const NOW: UnixTime = UnixTime(1_900_000_000);

fn suites() -> (IkeSuite, EspSuite) {
    let prf = PrfId::HmacSha2_384;
    let ike = IkeSuite::from_transforms(EncrId::AesGcm16, Some(256), prf, None, Group::Ecp384.id());
    let pfs = Some(Group::Ecp256.id());
    let esp = EspSuite::from_transforms(EncrId::AesGcm16, Some(256), None, pfs, EsnId::Sequence32);
    (ike.expect("a suite"), esp.expect("a suite"))
}

/// Two endpoints with the same number of peers, all of them connected.
struct Pair {
    ends: [Endpoint; 2],
    wire: VecDeque<(usize, Path, Vec<u8>)>,
    last_child: Option<(PeerId, ChildId)>,
    path: Path,
    now: Now,
}

impl Pair {
    fn up(
        one: Box<dyn Provider>,
        two: Box<dyn Provider>,
        peers: u32,
        credentials: fn(bool) -> Rc<dyn Authenticator>,
    ) -> Pair {
        let end = |provider| {
            let rng = Box::new(SystemRng::default());
            Endpoint::new(EndpointConfig::default(), provider, rng)
        };
        let now = Now { mono: Instant(1_000_000_000), unix: NOW };
        let far = |peer: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + peer));
        let near = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let path = Path::new(near, far(0), s2sd::ike::path::Port::NatT);
        let wire = VecDeque::new();
        let mut pair = Pair { ends: [end(one), end(two)], wire, last_child: None, path, now };
        let held = [credentials(true), credentials(false)];
        for peer in 0..peers {
            let dials = config(far(peer), near, DialRole::Dial, &held[0]);
            let answers = config(near, far(peer), DialRole::Answer, &held[1]);
            pair.command(0, Command::Add(PeerId(peer), Box::new(dials)));
            pair.command(1, Command::Add(PeerId(peer), Box::new(answers)));
            pair.command(0, Command::Up(PeerId(peer)));
        }
        assert!(pair.last_child.is_some_and(|(peer, _)| peer == PeerId(peers - 1)));
        pair
    }

    fn rekey_child(&mut self) {
        let (peer, child) = self.last_child.expect("a child is up");
        self.command(0, Command::RekeyChild(peer, child));
    }

    fn command(&mut self, end: usize, command: Command) {
        self.ends[end].command(self.now, command);
        self.collect(end);
        while let Some((from, path, bytes)) = self.wire.pop_front() {
            let path = Path { local: path.remote, remote: path.local, port: path.port };
            self.ends[1 - from].handle_datagram(self.now, Datagram { path, bytes: &bytes });
            self.collect(1 - from);
        }
    }

    fn collect(&mut self, end: usize) {
        while let Some(output) = self.ends[end].poll_output() {
            match output {
                Output::Transmit(sent) => self.wire.push_back((end, sent.path, sent.bytes)),
                Output::Event(IkeEvent::ChildUp { peer, child, .. }) if end == 0 => {
                    self.last_child = Some((peer, child));
                }
                _ => {}
            }
        }
    }
}

fn config(
    local: IpAddr,
    remote: IpAddr,
    role: DialRole,
    held: &Rc<dyn Authenticator>,
) -> PeerConfig {
    let (ike, esp) = suites();
    PeerConfig {
        name: "bench".into(),
        role,
        local,
        remotes: vec![remote],
        fixed_remotes: true,
        encapsulation: EspEncapsulation::Udp,
        start_on_4500: false,
        ike: ProposalPolicy::new(&[ike.into()]).0,
        children: vec![ChildConfig {
            name: "all".into(),
            esp: ProposalPolicy::new(&[esp.into()]).0,
            selectors: PeerBehaviour::Azure.selectors(),
            lifetime_time: CHILD_TIME,
            lifetime_bytes: CHILD_BYTES,
            keep_up: true,
        }],
        credentials: Rc::clone(held),
        ask_for: None,
        ike_lifetime: IKE_HARD,
        reauthenticate: None,
        dpd_timeout: Default::default(),
        childless: false,
        behaviour: PeerBehaviour::Standard,
    }
}

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../tests/vectors/pki/", $name)).as_slice()
    };
}

/// Certificates of the kind that Azure asks for, made once a thread: a daemon loads them once, too.
fn certificates(dials: bool) -> Rc<dyn Authenticator> {
    thread_local! {
        static BOTH: [Rc<dyn Authenticator>; 2] = [load(false), load(true)];
    }
    BOTH.with(|both| Rc::clone(&both[usize::from(dials)]))
}

fn load(dials: bool) -> Rc<dyn Authenticator> {
    let (leaf, other) = match dials {
        true => (file!("Inbound-certificate.pem"), "Outbound-certificate"),
        false => (file!("Outbound-certificate.pem"), "Inbound-certificate"),
    };
    let read = |bytes| Bundle::read(bytes, None, "a bench file").expect("readable").certificates;
    let leaf = read(leaf);
    let keys = [
        file!("keys/rsa2048-1.p8.der"),
        file!("keys/rsa2048-2.p8.der"),
        file!("keys/rsa2048-3.p8.der"),
        file!("keys/rsa2048-4.p8.der"),
    ];
    let own = keys
        .into_iter()
        .find_map(|key| OwnIdentity::new(&leaf, PrivateKey::from_der(key).expect("a key")).ok());
    let roots = Roots::new(read(file!("root.pem"))).expect("a root");
    let expected = Expectation::new(IdentityRule::common_name(other));
    Rc::new(CertificateAuthenticator::new(
        own.expect("the certificate's key"),
        Trust::new(roots),
        expected,
    ))
}

fn toy(_: bool) -> Rc<dyn Authenticator> {
    Rc::new(Toy)
}

/// Believes whoever repeats the octets.
#[derive(Debug)]
struct Toy;

impl Authenticator for Toy {
    fn identity(&self) -> Identity {
        Identity::fqdn("bench")
    }

    fn certificates(&self) -> Vec<CertPayload> {
        // As many octets as a leaf and one intermediate have.
        vec![CertPayload::x509(vec![7; 1800])]
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
        assert_eq!(claim.auth.data, claim.octets, "a bench has no liars");
        Ok(Proven { name: "bench".into(), until: UnixTime(4_000_000_000) })
    }

    fn still_proves(&self, _: &Presented, _: Now) -> Result<UnixTime, Disbelief> {
        Ok(UnixTime(4_000_000_000))
    }

    fn not_after(&self) -> UnixTime {
        UnixTime(4_000_000_000)
    }
}

/// The shortest time of so many runs: what it costs when nobody interrupts.
fn best(runs: usize, mut work: impl FnMut()) -> Duration {
    let times = (0..runs)
        .map(|_| {
            let start = s2sd::sys::clock::now().mono;
            work();
            s2sd::sys::clock::now().mono.since(start)
        })
        .min();
    times.unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(what: &str, whole: Duration, bare: Duration) {
    let (whole, bare) = (micros(whole), micros(bare));
    let (rate, over) = (1e6 / whole, (whole / bare - 1.0) * 100.0);
    println!("{what:<44}{whole:>10.1} us, {rate:>7.0}/s, bare crypto {bare:>8.1} us: {over:+.1} %");
}
