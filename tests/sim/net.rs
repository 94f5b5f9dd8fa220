//! The network, without I/O: datagrams go in, and come out later, twice, damaged or never.
//!
//! ```text
//!   host A -- NAT? --- link A>B: latency, loss, reordering, MTU, .. --- NAT? -- host B
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use s2sd::time::Instant;

use crate::packet::{Datagram, HostId};
use crate::rng::SimRng;
use crate::rules::{Action, Rules};

/// What a link does to what crosses it, in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    pub latency: Duration,
    /// Up to this much more, drawn for each datagram: what comes later may overtake.
    pub jitter: Duration,
    pub loss_permille: u64,
    pub duplicate_permille: u64,
    /// How many of a thousand are kept back for `reorder_by`.
    pub reorder_permille: u64,
    pub reorder_by: Duration,
    /// Larger UDP payloads vanish, as where a firewall eats IP fragments.
    pub mtu: usize,
    /// A partition is a link that is down.
    pub up: bool,
}

impl Default for Link {
    /// A perfect line: 10 ms, in order, nothing lost.
    fn default() -> Link {
        Link {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss_permille: 0,
            duplicate_permille: 0,
            reorder_permille: 0,
            reorder_by: Duration::ZERO,
            mtu: usize::MAX,
            up: true,
        }
    }
}

/// A NAT with endpoint-independent mapping and filtering (RFC 4787): inside address and port to
/// outside port.
#[derive(Clone, Debug)]
struct Nat {
    outside: IpAddr,
    ports: BTreeMap<SocketAddr, u16>,
    next_port: u16,
}

/// Why a datagram did not go its way; the trace says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Sent,
    Lost,
    Ruled,
    Held,
    TooBig,
    Partitioned,
    NoRoute,
}

/// A datagram at its destination.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub from: HostId,
    pub to: HostId,
    pub datagram: Datagram,
}

#[derive(Debug)]
pub struct Net {
    rng: SimRng,
    links: BTreeMap<(HostId, HostId), Link>,
    nats: BTreeMap<HostId, Nat>,
    homes: BTreeMap<IpAddr, HostId>,
    flight: BTreeMap<(Instant, u64), Arrival>,
    held: Vec<(&'static str, Arrival)>,
    serial: u64,
    pub rules: Rules,
    /// Datagrams that some impairment took, ever.
    pub taken: u64,
}

impl Net {
    pub fn new(seed: u64) -> Net {
        Net {
            rng: SimRng::stream(seed, "net"),
            links: BTreeMap::new(),
            nats: BTreeMap::new(),
            homes: BTreeMap::new(),
            flight: BTreeMap::new(),
            held: Vec::new(),
            serial: 0,
            rules: Rules::default(),
            taken: 0,
        }
    }

    /// Gives `host` this address; behind a NAT it is an inside address that nobody else can reach.
    pub fn add_address(&mut self, host: HostId, address: IpAddr) {
        self.homes.insert(address, host);
    }

    /// Takes an address away: what is under way to it is lost on arrival.
    pub fn remove_address(&mut self, address: IpAddr) {
        self.homes.remove(&address);
    }

    /// Puts `host` behind a NAT with this outside address.
    pub fn add_nat(&mut self, host: HostId, outside: IpAddr) {
        self.nats.insert(host, Nat { outside, ports: BTreeMap::new(), next_port: 20_001 });
        self.homes.insert(outside, host);
    }

    /// The NAT forgets its mappings and will give others; without one nothing happens.
    pub fn rebind(&mut self, host: HostId) {
        if let Some(nat) = self.nats.get_mut(&host) {
            nat.ports.clear();
        }
    }

    pub fn link(&mut self, from: HostId, to: HostId) -> &mut Link {
        self.links.entry((from, to)).or_default()
    }

    /// Both directions at once.
    pub fn set_links(&mut self, a: HostId, b: HostId, link: Link) {
        *self.link(a, b) = link;
        *self.link(b, a) = link;
    }

    /// Ends partitions, impairments and rules; what is held or under way stays so.
    pub fn heal(&mut self) {
        for link in self.links.values_mut() {
            *link = Link { latency: link.latency, ..Link::default() };
        }
        self.rules.clear();
    }

    /// Takes a datagram from `from`. `Fate` tells whether it will arrive.
    pub fn send(&mut self, now: Instant, from: HostId, datagram: Datagram) -> Fate {
        if self.homes.get(&datagram.src.ip()) != Some(&from) {
            return Fate::NoRoute;
        }
        let datagram = self.translate_out(from, datagram);
        let Some(&to) = self.homes.get(&datagram.dst.ip()) else { return Fate::NoRoute };
        let mut arrival = Arrival { from, to, datagram };
        let mut extra = Duration::ZERO;
        match self.rules.act(from, &arrival.datagram) {
            None => {}
            Some(Action::Drop) => return self.take(Fate::Ruled),
            Some(Action::Duplicate) => self.carry(now, extra, arrival.clone()),
            Some(Action::Delay(by)) => extra = by,
            Some(Action::Corrupt(place)) => corrupt(&mut arrival.datagram.bytes, place),
            Some(Action::Truncate(len)) => arrival.datagram.bytes.truncate(len),
            Some(Action::Hold(name)) => {
                self.held.push((name, arrival));
                return Fate::Held;
            }
        }
        let link = *self.link(from, to);
        if !link.up {
            return self.take(Fate::Partitioned);
        }
        if arrival.datagram.bytes.len() > link.mtu {
            return self.take(Fate::TooBig);
        }
        if self.rng.chance(link.loss_permille) {
            return self.take(Fate::Lost);
        }
        if self.rng.chance(link.duplicate_permille) {
            let later = extra + self.jitter(&link);
            self.carry(now, later, arrival.clone());
        }
        if self.rng.chance(link.reorder_permille) {
            extra += link.reorder_by;
        }
        extra += self.jitter(&link);
        self.carry(now, extra, arrival);
        Fate::Sent
    }

    /// Lets go all that is held under this name, in the order it came, and ends the rules that
    /// hold.
    pub fn release(&mut self, now: Instant, name: &'static str) -> usize {
        self.rules.release(name);
        let (free, held) =
            std::mem::take(&mut self.held).into_iter().partition(|(n, _)| *n == name);
        self.held = held;
        let free: Vec<(&'static str, Arrival)> = free;
        let count = free.len();
        for (_, arrival) in free {
            self.carry(now, Duration::ZERO, arrival);
        }
        count
    }

    /// How many distinct datagrams are held under this name.
    pub fn held(&self, name: &str) -> usize {
        self.held.iter().filter(|(n, _)| *n == name).count()
    }

    /// When the next datagram arrives.
    pub fn next(&self) -> Option<Instant> {
        self.flight.keys().next().map(|(at, _)| *at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Arrival> {
        while let Some(entry) = self.flight.first_entry() {
            if entry.key().0 > now {
                return None;
            }
            let arrival = entry.remove();
            if let Some(arrival) = self.translate_in(arrival) {
                return Some(arrival);
            }
            self.taken += 1;
        }
        None
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.flight.is_empty()
    }

    /// Puts a datagram before `to` as if it had crossed the net: a spoofed one, or one recorded
    /// long ago.
    pub fn inject(&mut self, now: Instant, from: HostId, to: HostId, datagram: Datagram) {
        self.carry(now, Duration::ZERO, Arrival { from, to, datagram });
    }

    fn take(&mut self, fate: Fate) -> Fate {
        self.taken += 1;
        fate
    }

    fn jitter(&mut self, link: &Link) -> Duration {
        match u64::try_from(link.jitter.as_nanos()) {
            Ok(0) | Err(_) => Duration::ZERO,
            Ok(nanos) => Duration::from_nanos(self.rng.below(nanos)),
        }
    }

    fn carry(&mut self, now: Instant, extra: Duration, arrival: Arrival) {
        let latency = self.link(arrival.from, arrival.to).latency;
        self.serial += 1;
        self.flight.insert((now + latency + extra, self.serial), arrival);
    }

    fn translate_out(&mut self, from: HostId, mut datagram: Datagram) -> Datagram {
        if let Some(nat) = self.nats.get_mut(&from) {
            let port = *nat.ports.entry(datagram.src).or_insert_with(|| {
                nat.next_port += 1;
                nat.next_port
            });
            datagram.src = SocketAddr::new(nat.outside, port);
        }
        datagram
    }

    fn translate_in(&self, mut arrival: Arrival) -> Option<Arrival> {
        let dst = arrival.datagram.dst;
        if self.homes.get(&dst.ip()) != Some(&arrival.to) {
            return None;
        }
        if let Some(nat) = self.nats.get(&arrival.to)
            && nat.outside == dst.ip()
        {
            let (inside, _) = nat.ports.iter().find(|(_, port)| **port == dst.port())?;
            arrival.datagram.dst = *inside;
        }
        Some(arrival)
    }
}

fn corrupt(bytes: &mut [u8], from_end: usize) {
    let len = bytes.len();
    if let Some(byte) = len.checked_sub(1 + from_end).and_then(|at| bytes.get_mut(at)) {
        *byte ^= 0x10;
    }
}

mod tests {
    use super::*;
    use crate::rules::Pattern;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    fn at(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn world() -> Net {
        let mut net = Net::new(1);
        net.add_address(A, at(1, 0).ip());
        net.add_address(B, at(2, 0).ip());
        net
    }

    fn datagram(src: SocketAddr, dst: SocketAddr, byte: u8) -> Datagram {
        Datagram { src, dst, bytes: vec![byte; 40] }
    }

    #[test]
    fn a_perfect_link_keeps_order_and_latency() {
        let mut net = world();
        for byte in [1, 2] {
            assert_eq!(net.send(Instant(5), A, datagram(at(1, 500), at(2, 500), byte)), Fate::Sent);
        }
        let due = Instant(5) + Duration::from_millis(10);
        assert_eq!(net.next(), Some(due));
        assert!(net.poll(Instant(6)).is_none());
        let got: Vec<u8> =
            std::iter::from_fn(|| net.poll(due)).map(|a| a.datagram.bytes[0]).collect();
        assert_eq!(got, [1, 2]);
    }

    #[test]
    fn a_nat_maps_out_and_back_and_forgets_when_rebound() {
        let mut net = Net::new(1);
        net.add_address(A, "10.0.0.1".parse().unwrap());
        net.add_nat(A, at(9, 0).ip());
        net.add_address(B, at(2, 0).ip());
        let inside: SocketAddr = "10.0.0.1:4500".parse().unwrap();
        let late = Instant(1_000_000_000);

        net.send(Instant(0), A, datagram(inside, at(2, 4500), 1));
        let first = net.poll(late).expect("arrives").datagram.src;
        assert_eq!(first.ip(), at(9, 0).ip());
        net.send(Instant(0), B, datagram(at(2, 4500), first, 2));
        assert_eq!(net.poll(late).expect("comes back").datagram.dst, inside);

        net.rebind(A);
        net.send(Instant(0), A, datagram(inside, at(2, 4500), 3));
        assert_ne!(net.poll(late).expect("arrives").datagram.src, first);
        net.send(Instant(0), B, datagram(at(2, 4500), first, 4));
        assert!(net.poll(late).is_none(), "the old mapping is gone");
    }

    #[test]
    fn held_datagrams_wait_for_release_and_partitions_drop() {
        let mut net = world();
        net.rules.add(Pattern::from(A), Action::Hold("first"), usize::MAX);
        let ike = datagram(at(1, 500), at(2, 500), 0);
        assert_eq!(net.send(Instant(0), A, ike.clone()), Fate::Held);
        assert!(net.is_idle());
        assert_eq!(net.release(Instant(7), "first"), 1);
        assert_eq!(net.next(), Some(Instant(7) + Duration::from_millis(10)));
        net.link(A, B).up = false;
        assert_eq!(net.send(Instant(0), A, ike), Fate::Partitioned);
        assert_eq!(net.taken, 1);
    }

    #[test]
    fn loss_duplication_and_size_follow_the_link() {
        let mut net = world();
        net.set_links(
            A,
            B,
            Link { loss_permille: 300, duplicate_permille: 300, mtu: 50, ..Link::default() },
        );
        for _ in 0..1000 {
            net.send(Instant(0), A, datagram(at(1, 500), at(2, 500), 1));
        }
        let arrived = std::iter::from_fn(|| net.poll(Instant(u64::MAX))).count();
        assert!((800..1020).contains(&arrived), "{arrived} of 700 * 1.3 expected");
        let big = Datagram { bytes: vec![0; 51], ..datagram(at(1, 500), at(2, 500), 1) };
        assert_eq!(net.send(Instant(0), A, big), Fate::TooBig);
    }
}
