//! The status of one tunnel: its state, its problem, and its IKE SAs as the engine's events report
//! them. Each event also becomes a line of the log.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use tracing::{info, warn};

use super::problem::Problem;
use crate::crypto::IkeSuite;
use crate::ike::diagnosis::refusal::Refusal;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::path::Path;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::spi::IkeSpi;

/// The state of a tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TunnelState {
    /// A child SA carries packets.
    Up,
    /// An IKE SA is established, and no child SA yet.
    Negotiating,
    /// This end dials.
    Connecting,
    /// This end dialled without success and waits before the next try.
    Retrying,
    /// The gateway has to dial.
    Waiting,
    /// The operator took the tunnel down.
    Down,
    /// A [`Problem`] on this device keeps packets from passing.
    Broken,
}

impl TunnelState {
    /// The word in `s2sd status`.
    pub(crate) fn word(self) -> &'static str {
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
pub(crate) struct IkeRecord {
    pub(crate) suite: IkeSuite,
    /// The identity that the peer proved.
    pub(crate) identity: String,
    /// When the peer's certificate expires.
    pub(crate) proven_until: UnixTime,
    /// When the SA was negotiated.
    pub(crate) since: Now,
    pub(crate) path: Path,
}

/// A refusal of either end, and the time of it.
#[derive(Clone, Debug)]
pub(crate) struct DatedRefusal {
    pub(crate) at: Now,
    pub(crate) refusal: Box<Refusal>,
}

/// The status of one tunnel.
#[derive(Debug)]
pub(crate) struct TunnelRecord {
    /// The connection and the tunnel, as the log names them.
    pub(crate) name: String,
    pub(crate) state: TunnelState,
    /// When the state began.
    pub(crate) since: Now,
    /// When the tunnel came up under a former process: kept until an IKE SA is negotiated from
    /// scratch.
    pub(crate) up_before: Option<Now>,
    pub(crate) ike_sas: BTreeMap<IkeSpi, IkeRecord>,
    /// The number of the present try to dial; 0 when there is none.
    pub(crate) attempt: u32,
    /// When the next try to dial comes.
    pub(crate) next_try: Option<Instant>,
    pub(crate) last_refusal: Option<DatedRefusal>,
    /// What is wrong on this device.
    pub(crate) problem: Option<Problem>,
    /// Why the last IKE message to the peer did not leave.
    pub(crate) send_problem: Option<Problem>,
    /// The number of requests that were sent again.
    pub(crate) retransmits: u64,
    /// The number of IKE SAs and child SAs that were rekeyed.
    pub(crate) rekeys: u64,
    /// When the peer was last heard.
    pub(crate) heard: Option<Instant>,
    /// Where the peer last spoke from without being followed.
    pub(crate) elsewhere: Option<IpAddr>,
}

impl TunnelRecord {
    /// The status of a tunnel of which nothing is known yet.
    pub(crate) fn new(name: String, state: TunnelState, now: Now) -> TunnelRecord {
        TunnelRecord {
            name,
            state,
            since: now,
            up_before: None,
            ike_sas: BTreeMap::new(),
            attempt: 0,
            next_try: None,
            last_refusal: None,
            problem: None,
            send_problem: None,
            retransmits: 0,
            rekeys: 0,
            heard: None,
            elsewhere: None,
        }
    }

    /// Enters a state, unless the tunnel is in it already.
    pub(crate) fn enter(&mut self, state: TunnelState, now: Now) {
        if self.state != state {
            let before = self.up_before.take_if(|_| state == TunnelState::Up);
            (self.state, self.since) = (state, before.unwrap_or(now));
        }
    }

    /// When the tunnel came up, for the next process.
    pub(crate) fn up_since(&self) -> Option<Instant> {
        let up = (self.state == TunnelState::Up).then_some(self.since);
        up.or(self.up_before).map(|then| then.mono)
    }

    /// The newest IKE SA, which `s2sd status` shows.
    pub(crate) fn ike(&self) -> Option<&IkeRecord> {
        self.ike_sas.values().max_by_key(|ike| ike.since.mono)
    }

    /// Notes whether an IKE message to the peer left. The engine's timers send it again; the log
    /// gets changes only.
    pub(crate) fn note_sent(&mut self, outcome: io::Result<()>) {
        let connection = self.name.as_str();
        let problem = outcome.err().map(|error| Problem::send(&error));
        match &problem {
            Some(why) if self.send_problem != problem => {
                warn!(connection, "IKE messages to the peer cannot be sent: {why}");
            }
            None if self.send_problem.is_some() => {
                info!(connection, "IKE messages to the peer can be sent again");
            }
            _ => {}
        }
        self.send_problem = problem;
    }

    /// Notes an event of the engine, and logs it.
    pub(crate) fn note(&mut self, event: IkeEvent, now: Now) {
        let connection = self.name.as_str();
        match event {
            IkeEvent::Dialling { attempt, path, .. } => {
                info!(connection, attempt, to = %path.remote, "dialling the gateway");
                (self.attempt, self.next_try) = (attempt, None);
            }
            IkeEvent::DialPaused { pause, .. } => {
                info!(connection, "the gateway is dialled again in {:.1} s", pause.as_secs_f32());
                self.next_try = Some(now.mono + pause);
            }
            IkeEvent::IkeUp { ike, suite, identity, proven_until, path, .. } => {
                info!(connection, peer = identity, %suite, from = %path.local, to = %path.remote, "IKE SA up");
                (self.attempt, self.next_try) = (0, None);
                (self.heard, self.up_before) = (Some(now.mono), None);
                let record = IkeRecord { suite, identity, proven_until, since: now, path };
                self.ike_sas.insert(ike, record);
            }
            IkeEvent::IkeRekeyed { old, new, .. } => {
                info!(connection, "IKE SA rekeyed");
                self.rekeys += 1;
                if let Some(record) = self.ike_sas.get(&old).cloned() {
                    self.ike_sas.insert(new, IkeRecord { since: now, ..record });
                }
            }
            IkeEvent::IkeDown { ike, cause, .. } => {
                info!(connection, cause = describe(cause), "IKE SA down");
                self.ike_sas.remove(&ike);
            }
            IkeEvent::ChildUp { child, replaces, suite, inbound, outbound, .. } => {
                let rekeyed = replaces.is_some();
                info!(connection, %child, %suite, %inbound, %outbound, rekeyed, "child SA up");
                self.rekeys += u64::from(rekeyed);
            }
            IkeEvent::ChildDown { child, cause, .. } => {
                info!(connection, %child, cause = describe(cause), "child SA down");
            }
            IkeEvent::Refused(_, refusal) => {
                warn!(connection, reason = refusal.reason.code(), "{refusal}");
                self.last_refusal = Some(DatedRefusal { at: now, refusal });
            }
            IkeEvent::Elsewhere(_, path) => {
                let from = path.remote.ip();
                if self.elsewhere.replace(from) != Some(from) {
                    warn!(connection, %from, "an authentic packet of the peer came from an address that is not configured: the tunnel stays at the configured one");
                }
            }
            IkeEvent::Moved(_, path) => {
                info!(connection, to = %path.remote, from = %path.local, "the peer's address changed");
                self.ike_sas.values_mut().for_each(|ike| ike.path = path);
            }
            // These name no peer: the service logs them.
            IkeEvent::Limited(_) | IkeEvent::Ignored(..) => {}
        }
    }
}

/// The reason for the end of an SA, for the log.
fn describe(cause: Cause) -> &'static str {
    match cause {
        Cause::Command => "an operator ended the SA",
        Cause::DeletedByPeer => "the peer deleted the SA",
        Cause::Duplicate => "another SA does the same work",
        Cause::InitialContact => "the peer started anew",
        Cause::Expired => "the SA's lifetime is over",
        Cause::Failed => "the exchange that was to keep the SA failed",
        Cause::Rekeyed => "a rekey replaced the SA",
        Cause::Silence => "the peer does not answer",
        Cause::ProofEnded => "a certificate of the peer expired",
        Cause::NotInPolicy => "its traffic selectors are no longer in the configuration",
        Cause::NotTrusted => "the peer's certificate is no longer acceptable",
        Cause::WithIke => "the IKE SA is gone",
    }
}
