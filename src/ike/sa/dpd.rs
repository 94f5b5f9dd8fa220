//! Is the peer still there? Azure's `dpd_timeout_seconds`, on our side of the tunnel.
//!
//! Whatever the peer authenticates is a proof of life: ESP packets as well as IKE messages (RFC
//! 7296 §2.4). So nothing is asked while traffic arrives. After a third of the timeout in silence
//! an empty INFORMATIONAL asks, and is repeated ([`crate::ike::sa::retransmit`]) until the timeout
//! is over; then the peer is dead.
//!
//! ```text
//!   last heard        probe, retransmissions ...                     dead
//!   |-----------------|----------------------------------------------|
//!   0                 timeout / 3                                    timeout
//! ```

use std::time::Duration;

use thiserror::Error;

use crate::time::Instant;

/// How long a peer may be silent: 9 to 3,600 seconds, as Azure's connection has it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DpdTimeout(Duration);

/// A timeout that Azure would not take.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("dpd_timeout_seconds is {0}, Azure takes 9 to 3600")]
pub struct DpdTimeoutError(pub u64);

impl DpdTimeout {
    /// From the setting. Azure's own tools show 0 for "not set", which is the default.
    pub fn from_seconds(seconds: u64) -> Result<DpdTimeout, DpdTimeoutError> {
        match seconds {
            0 => Ok(DpdTimeout::default()),
            9..=3600 => Ok(DpdTimeout(Duration::from_secs(seconds))),
            _ => Err(DpdTimeoutError(seconds)),
        }
    }

    /// The silence after which the peer is dead; also the budget of every request on an established
    /// IKE SA.
    pub fn silence(self) -> Duration {
        self.0
    }

    /// When to ask, having last heard from the peer then.
    pub fn probe_at(self, heard: Instant) -> Instant {
        heard + self.0 / 3
    }

    /// How long a probe has from its first sending: what is left of the timeout.
    pub fn probe_budget(self) -> Duration {
        self.0 - self.0 / 3
    }

    /// When the peer is dead, having last heard from it then, if an unanswered question is out by
    /// then.
    pub fn dead_at(self, heard: Instant) -> Instant {
        heard + self.0
    }
}

impl Default for DpdTimeout {
    /// Azure's default: 45 seconds.
    fn default() -> DpdTimeout {
        DpdTimeout(Duration::from_secs(45))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azures_range_is_ours() {
        for seconds in [9, 45, 3600] {
            let timeout = DpdTimeout::from_seconds(seconds).expect("in range");
            assert_eq!(timeout.silence(), Duration::from_secs(seconds));
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
            assert_eq!(asked + timeout.probe_budget(), timeout.dead_at(heard));
            assert_eq!(timeout.dead_at(heard).since(heard), Duration::from_secs(seconds));
        }
        assert_eq!(DpdTimeout::default().probe_at(heard).since(heard), Duration::from_secs(15));
    }
}
