//! s2sd's engine on plain sockets: no daemon, no data plane, so that what a peer sees is the engine
//! and nothing else.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use s2sd::crypto::Standard;
use s2sd::crypto::signature::PrivateKey;
use s2sd::ike::admission::budget::HalfOpenLimits;
use s2sd::ike::authenticator::certificates::CertificateAuthenticator;
use s2sd::ike::diagnosis::azure_names::{self, PolicyNames};
use s2sd::ike::endpoint::command::Command;
use s2sd::ike::endpoint::config::{
    ChildConfig, DialRole, EndpointConfig, EspEncapsulation, PeerConfig,
};
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::ike::endpoint::output::Output;
use s2sd::ike::negotiation::proposal::ProposalPolicy;
use s2sd::ike::path::{Datagram, Path, Port};
use s2sd::ike::sa::dpd::DpdTimeout;
use s2sd::ike::sa::lifetime::{CHILD_BYTES, CHILD_TIME, IKE_HARD};
use s2sd::ike::testing::emulation::PeerBehaviour;
use s2sd::ike::{ChildId, Endpoint, PeerId};
use s2sd::pki::auth::{DigitalSignatures, RsaPadding};
use s2sd::pki::certificate::Certificate;
use s2sd::pki::identity::{Expectation, Id, IdentityRule};
use s2sd::pki::own_identity::OwnIdentity;
use s2sd::pki::path::{Roots, Trust};
use s2sd::sys::clock::now;
use s2sd::sys::namespace::Namespace;
use s2sd::sys::random::SystemRng;
use s2sd::wire::payload::id::Identity;
use s2sd::wire::selector::Selector;
use s2sd::wire::selector::narrow::ChildSelectors;
use s2sd::wire::selector::set::SelectorSet;

use super::credentials::Credentials;
use super::patience::{Failure, clock, until};

/// The one peer.
const PEER: PeerId = PeerId(1);
const PATIENCE: Duration = Duration::from_secs(25);

/// How the engine is set up; a value that a thread can take along.
#[derive(Clone, Debug)]
pub struct Settings {
    pub credentials: Credentials,
    pub digital_signatures: DigitalSignatures,
    pub padding: RsaPadding,
    /// The peer's ID: demanded, asked for, and the rule for its certificate where it is one.
    pub identity: Option<&'static str>,
    pub role: DialRole,
    pub names: Vec<PolicyNames<'static>>,
    /// Pairs of what lies behind us and behind the peer; each a child.
    pub selectors: Vec<[&'static str; 2]>,
    pub dpd_seconds: u64,
    pub childless: bool,
    pub ike_lifetime: Duration,
    pub child_lifetime: Duration,
    pub half_open: HalfOpenLimits,
}

/// GCMAES256, SHA384, ECP384, without PFS.
pub const NAMES: PolicyNames<'static> = PolicyNames {
    ike_encryption: "GCMAES256",
    ike_integrity: "SHA384",
    dh_group: "ECP384",
    ipsec_encryption: "GCMAES256",
    ipsec_integrity: "GCMAES256",
    pfs_group: "None",
};

impl Settings {
    /// The site of the Azure article.
    pub fn new(credentials: &Credentials) -> Settings {
        Settings {
            credentials: credentials.clone(),
            digital_signatures: DigitalSignatures::default(),
            padding: RsaPadding::default(),
            identity: None,
            role: DialRole::Both,
            names: vec![NAMES],
            selectors: vec![["10.1.0.0/24", "10.2.0.0/24"]],
            dpd_seconds: 45,
            childless: false,
            ike_lifetime: IKE_HARD,
            child_lifetime: CHILD_TIME,
            half_open: HalfOpenLimits::default(),
        }
    }

    fn peer(&self) -> PeerConfig {
        let ike: Vec<_> = self
            .names
            .iter()
            .flat_map(|names| azure_names::ike_lines(names).expect("names"))
            .collect();
        let esp: Vec<_> =
            self.names.iter().map(|names| azure_names::esp_line(names).expect("names")).collect();
        let set = |text: &str| -> SelectorSet {
            text.split(',').map(|one| one.parse::<Selector>().expect("a selector")).collect()
        };
        let child = |pair: &[&str; 2]| ChildConfig {
            name: pair.join("=").into(),
            esp: ProposalPolicy::new(&esp).0,
            selectors: ChildSelectors { local: set(pair[0]), remote: set(pair[1]) },
            lifetime_time: self.child_lifetime,
            lifetime_bytes: CHILD_BYTES,
            keep_up: true,
        };
        PeerConfig {
            name: "azure".into(),
            role: self.role,
            local: HERE,
            remotes: vec![THERE],
            fixed_remotes: true,
            encapsulation: EspEncapsulation::Udp,
            start_on_4500: false,
            ike: ProposalPolicy::new(&ike).0,
            children: self.selectors.iter().map(child).collect(),
            credentials: Rc::new(self.certificates()),
            ask_for: self.id().map(|id| Identity::new(id.kind(), id.data())),
            ike_lifetime: self.ike_lifetime,
            reauthenticate: None,
            dpd_timeout: DpdTimeout::from_seconds(self.dpd_seconds).expect("a DPD timeout"),
            childless: self.childless,
            behaviour: PeerBehaviour::Standard,
        }
    }

    fn id(&self) -> Option<Id> {
        self.identity.map(|text| Id::from_text(text).expect("an ID"))
    }

    fn certificates(&self) -> CertificateAuthenticator {
        let Credentials { leaf, chain, key, roots, expects, .. } = &self.credentials;
        let read = |der: &Vec<u8>| Certificate::from_der(der).expect("a certificate");
        let own: Vec<Certificate> = [leaf].into_iter().chain(chain).map(read).collect();
        let key = PrivateKey::from_der(key).expect("a key");
        let own = OwnIdentity::new(&own, key).expect("an identity");
        let roots = Roots::new(roots.iter().map(read)).expect("roots");
        let by_id = self.id().as_ref().and_then(IdentityRule::of_id);
        let rule = by_id.unwrap_or_else(|| IdentityRule::common_name(expects));
        let expected = Expectation { id: self.id(), ..Expectation::new(rule) };
        let mut made = CertificateAuthenticator::new(own, Trust::new(roots), expected);
        made.policy.digital_signatures = self.digital_signatures;
        made.policy.padding = self.padding;
        made
    }
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

/// What the running engine is told: a [`Command`] that can cross threads, or something of this
/// loop's own.
#[derive(Debug)]
pub enum Order {
    Up,
    Down,
    RekeyIke,
    RekeyChild(ChildId),
    Reauthenticate,
    /// Take other settings.
    Configure(Box<Settings>),
    /// Send nothing from port 4500 any more.
    Mute,
    Stop,
}

/// A running engine; it ends with this, without a word to the peer.
pub struct Engine {
    orders: Sender<(Order, Sender<()>)>,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Seen {
    events: Mutex<Vec<IkeEvent>>,
    more: Condvar,
}

impl Engine {
    /// Starts it in a namespace; it knows its peer and answers, but does not dial yet.
    pub fn start(namespace: &Namespace, settings: &Settings) -> Result<Engine, Failure> {
        let sockets = bind_both(namespace)?;
        let (orders, inbox) = channel();
        let seen = Arc::new(Seen::default());
        let (settings, told) = (settings.clone(), Arc::clone(&seen));
        let work = move || EngineLoop::new(sockets, &settings, told).serve(&inbox);
        let thread = Some(std::thread::spawn(work));
        Ok(Engine { orders, seen, thread })
    }

    /// Tells the engine something, and waits until it has taken it: what the peer does next meets
    /// an engine that knows.
    pub fn order(&self, order: Order) {
        let (done, taken) = channel();
        self.orders.send((order, done)).expect("the engine runs");
        taken.recv_timeout(PATIENCE).expect("the engine takes its orders");
    }

    /// How many events there were: a place to look from.
    pub fn mark(&self) -> usize {
        self.seen.events.lock().expect("no panic").len()
    }

    /// Waits for an event after `mark`.
    pub fn wait<T>(
        &self,
        mark: usize,
        what: &str,
        find: impl Fn(&IkeEvent) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = clock() + PATIENCE;
        let mut events = self.seen.events.lock().expect("no panic");
        loop {
            if let Some(found) = events.iter().skip(mark).find_map(&find) {
                return Ok(found);
            }
            let Some(left) = deadline.checked_duration_since(clock()) else {
                let sentence = format!("waited {PATIENCE:?} in vain for the engine: {what}");
                return Err(Failure::new(&sentence, story(&events, mark)));
            };
            events = self.seen.more.wait_timeout(events, left).expect("no panic").0;
        }
    }

    /// The newest of the events that serve.
    pub fn last<T>(&self, find: impl Fn(&IkeEvent) -> Option<T>) -> Option<T> {
        self.seen.events.lock().expect("no panic").iter().rev().find_map(find)
    }

    /// The events after `mark`, for evidence.
    pub fn story(&self, mark: usize) -> String {
        story(&self.seen.events.lock().expect("no panic"), mark)
    }

    /// Waits until the IKE SA is up.
    pub fn wait_ike_up(&self, mark: usize) -> Result<String, Failure> {
        self.wait(mark, "IKE SA up", |event| match event {
            IkeEvent::IkeUp { suite, .. } => Some(suite.to_string()),
            _ => None,
        })
    }

    /// Waits until a child is up: which one, its suite, and the child it replaces.
    pub fn wait_child_up(
        &self,
        mark: usize,
    ) -> Result<(ChildId, String, Option<ChildId>), Failure> {
        self.wait(mark, "child SA up", |event| match event {
            IkeEvent::ChildUp { child, suite, replaces, .. } => {
                Some((*child, suite.to_string(), *replaces))
            }
            _ => None,
        })
    }

    /// Waits for a refusal: the sentence that an operator reads.
    pub fn wait_refused(&self, mark: usize) -> Result<String, Failure> {
        self.wait(mark, "a refusal", |event| match event {
            IkeEvent::Refused(_, refusal) => Some(refusal.to_string()),
            _ => None,
        })
    }
}

/// Sockets on 500 and 4500. An earlier engine's may be held for a moment yet: a process that
/// another case is just starting has a copy of every descriptor between its fork and its exec.
fn bind_both(namespace: &Namespace) -> Result<[UdpSocket; 2], Failure> {
    let bind = |port| {
        let socket = UdpSocket::bind(SocketAddr::new(HERE, port))?;
        socket.set_nonblocking(true)?;
        Ok::<_, io::Error>(socket)
    };
    let bound =
        until("free ports", PATIENCE, || match namespace.run(|| Ok([bind(500)?, bind(4500)?])) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            done => Some(done),
        })?;
    bound.map_err(|error| Failure::new("the engine's sockets", error))
}

fn story(events: &[IkeEvent], mark: usize) -> String {
    let told = |event: &IkeEvent| match event {
        IkeEvent::Refused(_, refusal) => format!("Refused: {refusal}"),
        other => format!("{other:?}"),
    };
    let lines: Vec<String> = events.iter().skip(mark).map(told).collect();
    format!("--- the engine's events\n{}", lines.join("\n"))
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.orders.send((Order::Stop, channel().0)).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The engine with its sockets, in a thread of its own.
struct EngineLoop {
    engine: Endpoint,
    sockets: [UdpSocket; 2],
    seen: Arc<Seen>,
    muted: bool,
}

impl EngineLoop {
    fn new(sockets: [UdpSocket; 2], settings: &Settings, seen: Arc<Seen>) -> EngineLoop {
        let limits = EndpointConfig { half_open: settings.half_open, ..EndpointConfig::default() };
        let (provider, rng) = (Box::new(Standard::default()), Box::new(SystemRng::default()));
        let mut engine = Endpoint::new(limits, provider, rng);
        engine.command(now(), Command::Add(PEER, Box::new(settings.peer())));
        EngineLoop { engine, sockets, seen, muted: false }
    }

    fn serve(mut self, orders: &Receiver<(Order, Sender<()>)>) -> io::Result<()> {
        loop {
            self.carry_out()?;
            self.sleep()?;
            for port in [Port::Ike, Port::NatT] {
                self.receive(port)?;
            }
            let time = now();
            if self.engine.poll_timeout().is_some_and(|(at, _)| at <= time.mono) {
                self.engine.handle_timeout(time);
            }
            for (order, done) in orders.try_iter().collect::<VecDeque<_>>() {
                self.carry_out()?;
                let command = match order {
                    Order::Up => Command::Up(PEER),
                    Order::Down => Command::Down(PEER),
                    Order::RekeyIke => Command::RekeyIke(PEER),
                    Order::RekeyChild(child) => Command::RekeyChild(PEER, child),
                    Order::Reauthenticate => Command::Reauthenticate(PEER),
                    Order::Configure(settings) => {
                        Command::Reconfigure(PEER, Box::new(settings.peer()))
                    }
                    Order::Mute => {
                        self.muted = true;
                        done.send(()).ok();
                        continue;
                    }
                    Order::Stop => return Ok(()),
                };
                self.engine.command(now(), command);
                done.send(()).ok();
            }
        }
    }

    /// Until a datagram, a deadline, or a short time in which orders may wait.
    fn sleep(&self) -> io::Result<()> {
        let due = self.engine.poll_timeout().map_or(5, |(at, _)| {
            u16::try_from(at.since(now().mono).as_millis() + 1).unwrap_or(u16::MAX)
        });
        let mut watched =
            self.sockets.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        poll(&mut watched, PollTimeout::from(due.min(5)))?;
        Ok(())
    }

    fn receive(&mut self, port: Port) -> io::Result<()> {
        let mut buffer = vec![0; 65_535];
        loop {
            let received = self.socket(port).recv_from(&mut buffer);
            let (length, remote) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // An ICMP error of an earlier datagram; the engine's own timers deal with silence.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let bytes = match (port, &buffer[..length]) {
                (Port::Ike, bytes) => bytes,
                (Port::NatT, [0, 0, 0, 0, bytes @ ..]) => bytes,
                (Port::NatT, _) => continue,
            };
            let path = Path { local: SocketAddr::new(HERE, port.number()), remote, port };
            self.engine.handle_datagram(now(), Datagram { path, bytes });
            self.carry_out()?;
        }
    }

    fn carry_out(&mut self) -> io::Result<()> {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let Path { remote, port, .. } = transmit.path;
                    let marker: &[u8] = if port == Port::NatT { &[0; 4] } else { &[] };
                    if !(self.muted && port == Port::NatT) {
                        let bytes = [marker, &transmit.bytes].concat();
                        self.socket(port).send_to(&bytes, remote).ok();
                    }
                }
                Output::Keepalive(path) => {
                    self.socket(path.port).send_to(&[0xff], path.remote).ok();
                }
                Output::Event(event) => {
                    self.seen.events.lock().expect("no panic").push(event);
                    self.seen.more.notify_all();
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn socket(&self, port: Port) -> &UdpSocket {
        match port {
            Port::Ike => &self.sockets[0],
            Port::NatT => &self.sockets[1],
        }
    }
}
