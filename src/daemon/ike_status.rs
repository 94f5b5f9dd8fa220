//! What is known of one tunnel's IKE side from the engine's events: for the status, and as lines of
//! the log.

use std::collections::BTreeMap;
use std::io;

use tracing::{info, warn};

use crate::crypto::IkeSuite;
use crate::ike::diagnosis::refusal::Refusal;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::path::Path;
use crate::sys::send_error::SendError;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::spi::IkeSpi;

/// In a word, how a tunnel is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TunnelState {
    /// Packets can pass.
    Up,
    /// The ends know each other; no packet can pass yet.
    Negotiating,
    /// We dial.
    Connecting,
    /// We wait before dialling again.
    Retrying,
    /// We wait for the gateway to dial.
    Waiting,
    /// The operator wants it so.
    Down,
    /// It cannot be put to work: the reason stands beside it.
    Broken,
}

impl TunnelState {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            TunnelState::Up => "up",
            TunnelState::Negotiating => "negotiating",
            TunnelState::Connecting => "connecting",
            TunnelState::Retrying => "retrying",
            TunnelState::Waiting => "waiting",
            TunnelState::Down => "down",
            TunnelState::Broken => "broken",
        }
    }
}

/// One IKE SA.
#[derive(Clone, Debug)]
pub struct IkeRecord {
    /// Its algorithms.
    pub suite: IkeSuite,
    /// Who the peer proved to be.
    pub identity: String,
    /// When the peer's certificate runs out.
    pub proven_until: UnixTime,
    /// When it was made.
    pub since: Now,
    /// The ends.
    pub path: Path,
}

/// A refusal, and when.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Now,
    /// What.
    pub refusal: Box<Refusal>,
}

/// One tunnel.
#[derive(Debug)]
pub struct TunnelRecord {
    /// The connection and the tunnel, as the log names them.
    pub name: String,
    /// In a word.
    pub state: TunnelState,
    /// Since when.
    pub since: Now,
    /// Since when a former process had it up: that holds as long as nothing was negotiated from
    /// scratch.
    pub up_before: Option<Now>,
    /// The IKE SAs.
    pub ikes: BTreeMap<IkeSpi, IkeRecord>,
    /// The number of the present try.
    pub attempt: u32,
    /// When the next try comes.
    pub next_try: Option<Instant>,
    /// The last refusal.
    pub failure: Option<Failure>,
    /// Why it is broken.
    pub obstacle: Option<String>,
    /// Why the last IKE message to the peer did not leave.
    pub unsent: Option<String>,
    /// Requests sent again.
    pub retransmits: u64,
    /// IKE SAs and children replaced.
    pub rekeys: u64,
    /// When the peer was last heard.
    pub heard: Option<Instant>,
}

impl TunnelRecord {
    /// Nothing is known yet.
    pub fn new(name: String, state: TunnelState, now: Now) -> TunnelRecord {
        TunnelRecord {
            name,
            state,
            since: now,
            up_before: None,
            ikes: BTreeMap::new(),
            attempt: 0,
            next_try: None,
            failure: None,
            obstacle: None,
            unsent: None,
            retransmits: 0,
            rekeys: 0,
            heard: None,
        }
    }

    /// The state is this from now on, unless it was so before.
    pub fn enter(&mut self, state: TunnelState, now: Now) {
        if self.state != state {
            let before = self.up_before.take_if(|_| state == TunnelState::Up);
            (self.state, self.since) = (state, before.unwrap_or(now));
        }
    }

    /// Since when packets can pass, as a successor is to know it.
    pub fn up_since(&self) -> Option<Instant> {
        let up = (self.state == TunnelState::Up).then_some(self.since);
        up.or(self.up_before).map(|then| then.mono)
    }

    /// The IKE SA that the status shows: the newest.
    pub fn ike(&self) -> Option<&IkeRecord> {
        self.ikes.values().max_by_key(|ike| ike.since.mono)
    }

    /// Notes what became of a message to the peer. Timers send it again; the log hears of changes.
    pub fn sent(&mut self, outcome: io::Result<()>) {
        let connection = self.name.as_str();
        let unsent = outcome.err().map(|error| format!("{}: {error}", SendError::of(&error)));
        match &unsent {
            Some(why) if self.unsent != unsent => warn!(connection, "no message leaves: {why}"),
            None if self.unsent.is_some() => info!(connection, "messages leave again"),
            _ => {}
        }
        self.unsent = unsent;
    }

    /// Notes an event, and logs it.
    pub fn note(&mut self, event: IkeEvent, now: Now) {
        let connection = self.name.as_str();
        match event {
            IkeEvent::Dialling { attempt, path, .. } => {
                info!(connection, attempt, to = %path.remote, "dialling");
                (self.attempt, self.next_try) = (attempt, None);
            }
            IkeEvent::DialPaused { pause, .. } => {
                info!(connection, "next try in {:.1} s", pause.as_secs_f32());
                self.next_try = Some(now.mono + pause);
            }
            IkeEvent::IkeUp { ike, suite, identity, proven_until, path, .. } => {
                info!(connection, peer = identity, %suite, from = %path.local, to = %path.remote, "IKE SA up");
                (self.attempt, self.next_try) = (0, None);
                (self.heard, self.up_before) = (Some(now.mono), None);
                let record = IkeRecord { suite, identity, proven_until, since: now, path };
                self.ikes.insert(ike, record);
            }
            IkeEvent::IkeRekeyed { old, new, .. } => {
                info!(connection, "IKE SA rekeyed");
                self.rekeys += 1;
                if let Some(record) = self.ikes.get(&old).cloned() {
                    self.ikes.insert(new, IkeRecord { since: now, ..record });
                }
            }
            IkeEvent::IkeDown { ike, cause, .. } => {
                info!(connection, cause = story(cause), "IKE SA down");
                self.ikes.remove(&ike);
            }
            IkeEvent::ChildUp { child, replaces, suite, inbound, outbound, .. } => {
                let rekeyed = replaces.is_some();
                info!(connection, %child, %suite, ?inbound, ?outbound, rekeyed, "child SA up");
                self.rekeys += u64::from(rekeyed);
            }
            IkeEvent::ChildDown { child, cause, .. } => {
                info!(connection, %child, cause = story(cause), "child SA down");
            }
            IkeEvent::Refused(_, refusal) => {
                warn!(connection, reason = refusal.reason.code(), "{refusal}");
                self.failure = Some(Failure { at: now, refusal });
            }
            IkeEvent::Moved(_, path) => {
                info!(connection, to = %path.remote, from = %path.local, "the peer moved");
                self.ikes.values_mut().for_each(|ike| ike.path = path);
            }
            // These name no peer: the shell logs them.
            IkeEvent::Limited(_) | IkeEvent::Ignored(..) => {}
        }
    }
}

/// Why an SA is gone, for a person.
pub fn story(cause: Cause) -> &'static str {
    match cause {
        Cause::Command => "an operator wished it",
        Cause::DeletedByPeer => "the peer deleted it",
        Cause::Duplicate => "another does the same work",
        Cause::InitialContact => "the peer started anew",
        Cause::Expired => "its life is over",
        Cause::Failed => "the exchange that was to keep it failed",
        Cause::Rekeyed => "it was replaced",
        Cause::Silence => "the peer does not answer",
        Cause::WithIke => "its IKE SA is gone",
    }
}
