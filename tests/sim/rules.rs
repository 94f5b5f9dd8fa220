//! One-shot rules on chosen messages: drop, duplicate, delay, corrupt, truncate or hold the n-th
//! that matches.
//!
//! Messages are numbered by identity: a retransmission has the same bytes and keeps its number, and
//! the fragments of one message share one. So "drop the second request" means the same whatever the
//! timers do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::packet::{Datagram, Header, HostId};

/// Which messages a rule is about.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    pub from: Option<HostId>,
    pub exchange: Option<u8>,
    pub response: Option<bool>,
    pub message_id: Option<u32>,
    pub fragment: Option<u16>,
    /// The n-th distinct message of those that match, counted from one; all of them when absent.
    pub nth: Option<usize>,
}

/// What happens to a message that a rule catches.
#[derive(Clone, Debug)]
pub enum Action {
    Drop,
    Duplicate,
    Delay(Duration),
    /// Flips a bit of the byte at this place, counted from the end.
    Corrupt(usize),
    /// Keeps this many bytes.
    Truncate(usize),
    /// Keeps it aside until `Rules::release`, retransmissions too.
    Hold(&'static str),
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    action: Action,
    /// How many more datagrams it acts on; retransmissions count.
    left: usize,
    seen: Vec<u64>,
}

/// All rules of a world.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Rules that have acted at least once, by the order they were made in: a script checks that
    /// none idled.
    acted: BTreeSet<usize>,
}

impl Pattern {
    pub fn from(host: HostId) -> Pattern {
        Pattern { from: Some(host), ..Pattern::default() }
    }

    pub fn exchange(self, exchange: u8) -> Pattern {
        Pattern { exchange: Some(exchange), ..self }
    }

    pub fn request(self) -> Pattern {
        Pattern { response: Some(false), ..self }
    }

    pub fn response(self) -> Pattern {
        Pattern { response: Some(true), ..self }
    }

    pub fn nth(self, nth: usize) -> Pattern {
        Pattern { nth: Some(nth), ..self }
    }

    pub fn fragment(self, fragment: u16) -> Pattern {
        Pattern { fragment: Some(fragment), ..self }
    }

    fn matches(&self, from: HostId, datagram: &Datagram) -> bool {
        self.from.is_none_or(|f| f == from)
            && datagram.header().is_some_and(|header| self.matches_header(&header))
    }

    fn matches_header(&self, header: &Header) -> bool {
        self.exchange.is_none_or(|e| e == header.exchange)
            && self.response.is_none_or(|r| r == header.response)
            && self.message_id.is_none_or(|id| id == header.message_id)
            && self.fragment.is_none_or(|f| f == header.fragment)
    }
}

impl Rules {
    /// Adds a rule that acts on `times` datagrams and gives its number.
    pub fn add(&mut self, pattern: Pattern, action: Action, times: usize) -> usize {
        self.rules.push(Rule { pattern, action, left: times, seen: Vec::new() });
        self.rules.len() - 1
    }

    /// The action on this datagram, of the first rule that catches it.
    pub fn act(&mut self, from: HostId, datagram: &Datagram) -> Option<Action> {
        let mut caught = None;
        for (number, rule) in self.rules.iter_mut().enumerate() {
            if !rule.pattern.matches(from, datagram) {
                continue;
            }
            // Every rule counts every message that matches it, also one that another rule catches.
            let ordinal = rule.ordinal(datagram);
            if caught.is_none()
                && rule.left > 0
                && rule.pattern.nth.is_none_or(|nth| nth == ordinal)
            {
                rule.left -= 1;
                self.acted.insert(number);
                caught = Some(rule.action.clone());
            }
        }
        caught
    }

    /// Ends the rules that hold under this name.
    pub fn release(&mut self, name: &str) {
        for rule in &mut self.rules {
            if matches!(rule.action, Action::Hold(held) if held == name) {
                rule.left = 0;
            }
        }
    }

    pub fn has_acted(&self, number: usize) -> bool {
        self.acted.contains(&number)
    }

    /// Forgets all rules.
    pub fn clear(&mut self) {
        for rule in &mut self.rules {
            rule.left = 0;
        }
    }
}

impl Rule {
    fn ordinal(&mut self, datagram: &Datagram) -> usize {
        let identity = identity(datagram);
        match self.seen.iter().position(|&seen| seen == identity) {
            Some(at) => at + 1,
            None => {
                self.seen.push(identity);
                self.seen.len()
            }
        }
    }
}

/// The same for a retransmission, and for all fragments of one message.
fn identity(datagram: &Datagram) -> u64 {
    match datagram.header() {
        Some(header) if header.fragment != 0 => {
            let id = u64::from(header.message_id) << 16
                | u64::from(header.exchange) << 8
                | u64::from(header.response);
            hash(
                &[header.spi_i.to_be_bytes(), header.spi_r.to_be_bytes(), id.to_be_bytes()]
                    .concat(),
            )
        }
        _ => hash(&datagram.bytes),
    }
}

/// FNV-1a: not for adversaries, but the same everywhere and for ever, which `DefaultHasher` does
/// not promise.
pub fn hash(bytes: &[u8]) -> u64 {
    extend_hash(0xcbf2_9ce4_8422_2325, bytes)
}

/// Goes on hashing from `state`.
pub fn extend_hash(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |h, &byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::packet::CREATE_CHILD_SA;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    fn request(message_id: u8) -> Datagram {
        let mut bytes = vec![0; 32];
        bytes[18] = CREATE_CHILD_SA;
        bytes[23] = message_id;
        let at = SocketAddr::from(([192, 0, 2, 1], 500));
        Datagram { src: at, dst: at, bytes }
    }

    #[test]
    fn a_retransmission_keeps_its_number() {
        let mut rules = Rules::default();
        let pattern = Pattern::from(A).exchange(CREATE_CHILD_SA).request().nth(2);
        let rule = rules.add(pattern, Action::Drop, 2);
        let mut dropped = |from, id| rules.act(from, &request(id)).is_some();
        assert!(!dropped(A, 1));
        assert!(!dropped(A, 1), "a retransmission of the first is the first");
        assert!(!dropped(B, 2), "another direction");
        assert!(dropped(A, 2));
        assert!(dropped(A, 2));
        assert!(!dropped(A, 2), "twice and no more");
        assert!(rules.has_acted(rule));
    }
}
