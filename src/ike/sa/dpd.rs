//! Dead peer detection (DPD, liveness): whether the peer is still there (RFC 7296 §2.4). The
//! timeout is Azure's `dpd_timeout_seconds`, applied on our side of the tunnel.
//!
//! ```text
//!   last sign of life      probe, retransmissions ...                     dead
//!   |----------------------|----------------------------------------------|
//!   0                      timeout / 3                                    timeout
//! ```
//!
//! - **A sign of life** is whatever the peer authenticates: an IKE message, a fragment, an ESP
//!   packet. [`IkeSa::alive`] notes it: for IKE when `Peer::receive` has opened a message, for ESP
//!   on `DataEvent::Alive`.
//! - **The peer is asked** after a third of the timeout in silence, when no request is in flight or
//!   waiting: [`IkeSa::probe_if_silent`]. The probe is an empty INFORMATIONAL request
//!   ([`crate::ike::exchange::informational::probe`]).
//! - **The peer is dead** when a request of any kind has been unanswered for what the timeout has
//!   left after its first third, without a sign of life: [`IkeSa::retransmit_or_declare_dead`]. A
//!   probe reaches that at the end of the timeout.
//! - **Then** the IKE SA and its children end with [`Cause::Silence`] (`Peer::remove_sa`), and the
//!   peer is dialled again.
//!
//! While traffic arrives nobody asks: the data plane reports ESP packets before each probe. The
//! repetitions of the probe are timed by [`super::retransmit`].

use std::time::Duration;

use thiserror::Error;

use super::retransmit::RetransmitVerdict;
use super::task::TaskKind;
use super::{IkeLifecycle, IkeSa, SaEffect};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::exchange::Exchange;
use crate::ike::path::Sending;
use crate::time::Instant;

/// How long a peer may be silent before it is dead: 9 to 3,600 seconds, as Azure's connection has
/// it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DpdTimeout(Duration);

/// A number of seconds that Azure would refuse as a timeout.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("dpd_timeout_seconds is {0}, Azure takes 9 to 3600")]
pub struct DpdTimeoutError(pub u64);

impl DpdTimeout {
    /// Reads the setting. Azure's own tools show 0 for "not set", which is the default.
    pub fn from_seconds(seconds: u64) -> Result<DpdTimeout, DpdTimeoutError> {
        match seconds {
            0 => Ok(DpdTimeout::default()),
            9..=3600 => Ok(DpdTimeout(Duration::from_secs(seconds))),
            _ => Err(DpdTimeoutError(seconds)),
        }
    }

    /// When the peer is asked for a sign of life, if `heard` was the last one.
    pub fn probe_at(self, heard: Instant) -> Instant {
        heard + self.0 / 3
    }

    /// How long a request may stay unanswered: the part of the timeout that is left when a probe
    /// goes out.
    pub fn probe_budget(self) -> Duration {
        self.0 - self.0 / 3
    }
}

impl Default for DpdTimeout {
    /// Azure's default: 45 seconds.
    fn default() -> DpdTimeout {
        DpdTimeout(Duration::from_secs(45))
    }
}

impl IkeSa {
    /// Notes a sign of life: an authentic IKE message, fragment or ESP packet. A request in flight
    /// gets its whole time anew. Only our Delete does not: a peer that sends on and never answers
    /// must not keep the IKE SA.
    pub(crate) fn alive(&mut self, at: Instant) {
        self.heard_at = self.heard_at.max(at);
        if let Some(flight) = &mut self.flight
            && !matches!(flight.exchange, Exchange::CloseIke)
        {
            flight.timer.heard(at);
        }
    }

    /// When the silence is long enough for a probe; `None` while a request is in flight or a task
    /// waits, since either asks the peer anyway.
    pub(super) fn probe_due(&self, timeout: DpdTimeout) -> Option<Instant> {
        let is_idle = self.flight.is_none() && self.tasks.due_at().is_none();
        is_idle.then(|| timeout.probe_at(self.heard_at))
    }

    /// Asks a peer for a sign of life that has been silent for a third of the timeout.
    pub(super) fn probe_if_silent(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.mono();
        if self.probe_due(ctx.config.dpd_timeout).is_some_and(|due| due <= now) {
            self.want(ctx, TaskKind::Probe, now);
        }
    }

    /// Retransmits the request in flight when that is due, or declares the peer dead: then the IKE
    /// SA ends without another message.
    pub(super) fn retransmit_or_declare_dead(&mut self, ctx: &mut Context<'_>) -> Option<SaEffect> {
        let flight = self.flight.as_mut().filter(|flight| flight.timer.due() <= ctx.now.mono)?;
        match flight.timer.fire(ctx.now.mono, ctx.rng) {
            RetransmitVerdict::Resend => {
                if flight.timer.wants_smaller() {
                    self.requests.shrink();
                }
                let datagrams = self.requests.outstanding()?.message.datagrams().clone();
                self.transmit(ctx, Sending::Retransmission, self.path, &datagrams);
                None
            }
            RetransmitVerdict::GiveUp => Some(SaEffect::End(match self.lifecycle {
                IkeLifecycle::Leaving(cause) => cause,
                _ => Cause::Silence,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azures_range_is_ours() {
        for seconds in [9, 45, 3600] {
            let timeout = DpdTimeout::from_seconds(seconds);
            assert_eq!(timeout, Ok(DpdTimeout(Duration::from_secs(seconds))));
        }
        for seconds in [1, 8, 3601, u64::MAX] {
            assert_eq!(DpdTimeout::from_seconds(seconds), Err(DpdTimeoutError(seconds)));
        }
        assert_eq!(DpdTimeout::from_seconds(0), Ok(DpdTimeout::default()));
    }

    #[test]
    fn a_probe_that_goes_unanswered_ends_exactly_at_the_timeout() {
        let heard = Instant(5_000_000_000);
        for seconds in [9, 10, 45, 3600] {
            let timeout = DpdTimeout::from_seconds(seconds).expect("in range");
            let asked = timeout.probe_at(heard);
            assert!(asked > heard);
            let dead = asked + timeout.probe_budget();
            assert_eq!(dead.since(heard), Duration::from_secs(seconds));
        }
        assert_eq!(DpdTimeout::default().probe_at(heard).since(heard), Duration::from_secs(15));
    }
}
