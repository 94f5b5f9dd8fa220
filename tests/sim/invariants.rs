//! What must hold after every step, whatever the net and the hosts do: the invariants that
//! `docs/architecture.md` lists. The observer has a memory, sees only what enters and leaves hosts,
//! and never asks an engine.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use s2sd::time::Instant;

use crate::esp::Inner;
use crate::packet::{CREATE_CHILD_SA, Datagram, Header, HostId, IKE_SA_INIT, INFORMATIONAL, Kind};
use crate::rules::hash;

/// The invariants, numbered as in `docs/architecture.md`. The eighth, that a seed repeats itself,
/// is a test of its own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// 1: no (key, sequence number) pair, and no (key, IV) pair, is used for two things.
    NumberReuse,
    /// 2: one outstanding request each way, ids in order, a retransmission is the same bytes.
    Window,
    /// 3: no cleartext leaves, nothing outside the selectors is delivered, nothing twice.
    Leak,
    /// 4: install before send.
    Order,
    /// 5: memory is bounded.
    Bounds,
    /// 6: on a lossless net a rekey loses nothing.
    Loss,
    /// 7: after the net heals both ends hold the same, once.
    Convergence,
    /// 9: no deadline fires again and again without progress.
    Spin,
    /// What a script expects beyond the invariants.
    Script,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

impl Violation {
    pub fn new(rule: Rule, text: impl Into<String>) -> Violation {
        Violation { rule, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// One side of one IKE SA, as an asker.
type Asker = (u64, u64, bool);

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    esp_numbers: HashSet<(u64, u64)>,
    /// Bytes of each protected message by everything that names it.
    messages: HashMap<Header, u64>,
    /// How many fragments each message was last cut into.
    cuts: HashMap<Header, u16>,
    ivs: HashMap<(u64, u64, bool, [u8; 8]), Header>,
    /// The last request each asker sent, and whether an answer came.
    windows: HashMap<Asker, (u32, bool)>,
    inner: BTreeMap<u64, Journey>,
    /// Words that must never be seen on the wire.
    secrets: Vec<Vec<u8>>,
    /// Distinct requests by asker and exchange type.
    requests: HashMap<(HostId, u8), HashSet<u64>>,
    /// The last message of each kind: asker, exchange type, response.
    last: HashMap<(HostId, u8, bool), Datagram>,
    keepalives: HashMap<HostId, u32>,
    /// SPIs that were given out in answers to IKE_SA_INIT.
    half_open: HashMap<HostId, HashSet<u64>>,
    record: Option<Vec<(HostId, Datagram)>>,
}

/// An inner packet's way.
#[derive(Clone, Copy, Debug)]
pub struct Journey {
    pub from: HostId,
    pub to: HostId,
    pub sent: Instant,
    /// It found an SA and left.
    pub sealed: bool,
    pub delivered: bool,
}

impl Watch {
    pub fn keep_secret(&mut self, word: &[u8]) {
        self.secrets.push(word.to_vec());
    }

    /// An ESP packet was sealed with this key and number.
    pub fn sealed(&mut self, key: u64, seq: u64) -> Result<(), Violation> {
        if self.esp_numbers.insert((key, seq)) {
            Ok(())
        } else {
            Err(Violation::new(Rule::NumberReuse, format!("number {seq} of key {key:016x} twice")))
        }
    }

    /// A datagram leaves `from`.
    pub fn leaves(&mut self, from: HostId, datagram: &Datagram) -> Result<(), Violation> {
        if let Some(record) = &mut self.record {
            record.push((from, datagram.clone()));
        }
        let header = match datagram.kind() {
            Kind::Ike(header) => header,
            Kind::Esp { .. } => return Ok(()),
            Kind::Keepalive => {
                *self.keepalives.entry(from).or_default() += 1;
                return Ok(());
            }
            Kind::Runt => return Err(Violation::new(Rule::Leak, format!("{from} sent a runt"))),
        };
        self.last.insert((from, header.exchange, header.response), datagram.clone());
        if !header.response {
            let identity = hash(&datagram.bytes);
            self.requests.entry((from, header.exchange)).or_default().insert(identity);
        }
        if header.exchange == IKE_SA_INIT && header.response && header.spi_r != 0 {
            self.half_open.entry(from).or_default().insert(header.spi_r);
        }
        if !header.encrypted {
            return check_clear(from, &header, datagram);
        }
        if self.secrets.iter().any(|s| datagram.bytes.windows(s.len()).any(|w| w == s)) {
            return Err(Violation::new(Rule::Leak, format!("{from} sent cleartext in {header}")));
        }
        self.check_identity(from, &header, datagram)?;
        if header.response { Ok(()) } else { self.check_window(from, &header) }
    }

    /// A datagram reached a host that runs.
    pub fn arrives(&mut self, datagram: &Datagram) {
        if let Some(header) = datagram.header().filter(|h| h.response && h.encrypted) {
            // The asker is the other side than the one that answered.
            let asker = (header.spi_i, header.spi_r, !header.initiator);
            if let Some((id, answered)) = self.windows.get_mut(&asker) {
                *answered |= *id == header.message_id;
            }
        }
    }

    /// How many different requests of this exchange type `from` has sent.
    pub fn requests(&self, from: HostId, exchange: u8) -> usize {
        self.requests.get(&(from, exchange)).map_or(0, HashSet::len)
    }

    /// The last message of this kind that `from` sent.
    pub fn last_sent(&self, from: HostId, exchange: u8, response: bool) -> Option<Datagram> {
        self.last.get(&(from, exchange, response)).cloned()
    }

    /// How many IKE SAs `from` ever began because it was asked to.
    pub fn half_open(&self, from: HostId) -> usize {
        self.half_open.get(&from).map_or(0, HashSet::len)
    }

    pub fn keepalives(&self, from: HostId) -> u32 {
        self.keepalives.get(&from).copied().unwrap_or(0)
    }

    /// Keeps a copy of everything from now on.
    pub fn start_record(&mut self) {
        self.record = Some(Vec::new());
    }

    /// Ends the record and gives it.
    pub fn take_record(&mut self) -> Vec<(HostId, Datagram)> {
        self.record.take().unwrap_or_default()
    }

    /// The network behind `from` sent an inner packet; `sealed` tells whether there was an SA for
    /// it.
    pub fn inner_sent(&mut self, number: u64, journey: Journey) {
        self.inner.insert(number, journey);
    }

    /// An inner packet came out behind `to`.
    pub fn inner_delivered(&mut self, to: HostId, inner: Inner) -> Result<(), Violation> {
        let Some(journey) = self.inner.get_mut(&inner.number) else {
            return Err(Violation::new(
                Rule::Leak,
                format!("packet {} from nowhere", inner.number),
            ));
        };
        if journey.to != to {
            let text = format!("packet {} for {} delivered to {to}", inner.number, journey.to);
            return Err(Violation::new(Rule::Leak, text));
        }
        if std::mem::replace(&mut journey.delivered, true) {
            return Err(Violation::new(Rule::Leak, format!("packet {} twice", inner.number)));
        }
        Ok(())
    }

    /// The packets sent in this span that did not arrive.
    pub fn lost(&self, from: Instant, until: Instant) -> Vec<(u64, Journey)> {
        let within = |j: &Journey| !j.delivered && j.sent >= from && j.sent < until;
        self.inner.iter().filter(|(_, j)| within(j)).map(|(n, j)| (*n, *j)).collect()
    }

    pub fn delivered(&self) -> usize {
        self.inner.values().filter(|j| j.delivered).count()
    }

    /// What names a message names its bytes: a retransmission is identical but for being cut
    /// smaller once (RFC 7383 §2.5.1), and no IV serves two messages.
    fn check_identity(
        &mut self,
        from: HostId,
        header: &Header,
        d: &Datagram,
    ) -> Result<(), Violation> {
        let bytes = ike_bytes(d);
        let identity = hash(bytes);
        let whole = Header { fragment: 0, total: 0, ..*header };
        let cut = self.cuts.entry(whole).or_insert(header.total);
        if header.total < *cut {
            let text = format!("{from} sent {header} in larger fragments than before");
            return Err(Violation::new(Rule::Window, text));
        }
        *cut = header.total;
        if let Some(&before) = self.messages.get(header) {
            return if before == identity {
                Ok(())
            } else {
                Err(Violation::new(Rule::Window, format!("{from} sent other bytes as {header}")))
            };
        }
        self.messages.insert(*header, identity);
        // Header 28, generic payload header 4, in a fragment 4 more; then the IV.
        let at = if header.fragment == 0 { 32 } else { 36 };
        let iv = bytes.get(at..at + 8).and_then(|iv| <[u8; 8]>::try_from(iv).ok());
        let Some(iv) = iv else {
            return Err(Violation::new(Rule::Leak, format!("{from} sent an empty {header}")));
        };
        match self.ivs.insert((header.spi_i, header.spi_r, header.initiator, iv), *header) {
            None => Ok(()),
            Some(other) => Err(Violation::new(
                Rule::NumberReuse,
                format!("{from} used an IV for {other} and {header}"),
            )),
        }
    }

    fn check_window(&mut self, from: HostId, header: &Header) -> Result<(), Violation> {
        let asker = (header.spi_i, header.spi_r, header.initiator);
        let first = u32::from(header.initiator);
        let id = header.message_id;
        let broken = |text: String| Err(Violation::new(Rule::Window, format!("{from}: {text}")));
        match self.windows.get(&asker).copied() {
            Some((last, _)) if id == last => Ok(()),
            Some((last, answered)) if id == last.wrapping_add(1) => {
                if !answered {
                    return broken(format!("{header} leaves while #{last} has no answer"));
                }
                self.windows.insert(asker, (id, false));
                Ok(())
            }
            Some((last, _)) => broken(format!("{header} after #{last}")),
            // A rekeyed IKE SA starts at zero (RFC 7296 §2.18), a first one has spent zero on
            // IKE_SA_INIT.
            None if id == 0 || (id == first && header.exchange != CREATE_CHILD_SA) => {
                self.windows.insert(asker, (id, false));
                Ok(())
            }
            None => broken(format!("{header} is the first request")),
        }
    }
}

/// Only IKE_SA_INIT, and the one-line answers to what cannot be decrypted (RFC 7296 §1.5), are in
/// clear.
fn check_clear(from: HostId, header: &Header, datagram: &Datagram) -> Result<(), Violation> {
    let answer = header.exchange == INFORMATIONAL || header.response;
    if header.exchange == IKE_SA_INIT || (answer && ike_bytes(datagram).len() <= 64) {
        return Ok(());
    }
    Err(Violation::new(Rule::Leak, format!("{from} sent {header} in clear")))
}

fn ike_bytes(datagram: &Datagram) -> &[u8] {
    datagram.bytes.strip_prefix(&[0; 4]).unwrap_or(&datagram.bytes)
}

mod tests {
    use std::net::SocketAddr;

    use super::*;

    const A: HostId = HostId(0);

    fn message(exchange: u8, flags: u8, id: u8, iv: u8, first: u8) -> Datagram {
        let mut bytes = vec![7; 60];
        bytes[16] = first;
        bytes[18..20].copy_from_slice(&[exchange, flags]);
        bytes[20..24].copy_from_slice(&[0, 0, 0, id]);
        bytes[32] = iv;
        let at = SocketAddr::from(([192, 0, 2, 1], 500));
        Datagram { src: at, dst: at, bytes }
    }

    fn request(id: u8, iv: u8) -> Datagram {
        message(INFORMATIONAL, 0x08, id, iv, 46)
    }

    fn rule(result: Result<(), Violation>) -> Option<Rule> {
        result.err().map(|v| v.rule)
    }

    #[test]
    fn a_request_waits_for_the_answer_to_the_one_before() {
        let mut watch = Watch::default();
        assert_eq!(rule(watch.leaves(A, &request(1, 1))), None);
        assert_eq!(rule(watch.leaves(A, &request(1, 1))), None, "a retransmission");
        assert_eq!(rule(watch.leaves(A, &request(2, 2))), Some(Rule::Window));
        watch.arrives(&message(INFORMATIONAL, 0x20, 1, 1, 46));
        let mut watch = Watch::default();
        assert_eq!(rule(watch.leaves(A, &request(1, 1))), None);
        watch.arrives(&message(INFORMATIONAL, 0x20, 1, 1, 46));
        assert_eq!(rule(watch.leaves(A, &request(2, 2))), None);
        assert_eq!(rule(watch.leaves(A, &request(1, 3))), Some(Rule::Window), "other bytes");
    }

    #[test]
    fn an_iv_serves_one_message() {
        let mut watch = Watch::default();
        assert_eq!(rule(watch.leaves(A, &request(0, 9))), None);
        watch.arrives(&message(INFORMATIONAL, 0x20, 0, 1, 46));
        assert_eq!(rule(watch.leaves(A, &request(1, 9))), Some(Rule::NumberReuse));
    }

    #[test]
    fn only_the_first_exchange_is_in_clear() {
        let mut watch = Watch::default();
        assert_eq!(rule(watch.leaves(A, &message(IKE_SA_INIT, 8, 0, 0, 33))), None);
        assert_eq!(rule(watch.leaves(A, &message(CREATE_CHILD_SA, 8, 2, 0, 33))), Some(Rule::Leak));
    }

    #[test]
    fn a_packet_is_delivered_once_and_where_it_belongs() {
        let mut watch = Watch::default();
        let inner = Inner { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into(), number: 5 };
        let journey =
            Journey { from: A, to: HostId(1), sent: Instant(3), sealed: true, delivered: false };
        assert_eq!(rule(watch.inner_delivered(HostId(1), inner)), Some(Rule::Leak), "unknown");
        watch.inner_sent(5, journey);
        assert_eq!(watch.lost(Instant(0), Instant(9)).len(), 1);
        assert_eq!(rule(watch.inner_delivered(HostId(1), inner)), None);
        assert_eq!(rule(watch.inner_delivered(HostId(1), inner)), Some(Rule::Leak), "twice");
        assert_eq!((watch.delivered(), watch.lost(Instant(0), Instant(9)).len()), (1, 0));
        assert_eq!(rule(watch.sealed(1, 1)), None);
        assert_eq!(rule(watch.sealed(1, 1)), Some(Rule::NumberReuse));
    }
}
