//! Retransmission: when a request is sent again, when to give up, and how long to pause before a
//! new try (RFC 7296 §2.1, §2.4). Only requests are retransmitted; a cached reply is sent again
//! when the peer repeats its request ([`super::window`]).
//!
//! Waits double from a half second and are jittered, so that a gateway that comes back does not
//! hear from all its peers at once. The failover of a cloud gateway takes tens of seconds; giving
//! up sooner would turn the failover into an outage. On an established IKE SA, giving up means that
//! the peer is dead ([`super::dpd`]).

use std::time::Duration;

use super::jitter::duration_between;
use crate::rng::Rng;
use crate::time::Instant;

/// How often and for how long a request is retransmitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetransmitSchedule {
    /// The first wait, before jitter.
    pub first: Duration,
    /// The longest wait, before jitter.
    pub longest: Duration,
    /// The time from the request, or from the last sign of life, to giving up.
    pub budget: Duration,
}

impl RetransmitSchedule {
    /// The schedule of IKE_SA_INIT: a redial follows. The message keeps no state at the peer and
    /// costs next to nothing, so a peer that comes back hears the next one within 4 s.
    pub const INIT: RetransmitSchedule = RetransmitSchedule {
        first: Duration::from_millis(500),
        longest: Duration::from_millis(3_200),
        budget: Duration::from_secs(60),
    };

    /// The schedule of IKE_AUTH: a redial follows.
    pub const DIAL: RetransmitSchedule = RetransmitSchedule {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(16),
        budget: Duration::from_secs(60),
    };

    /// The schedule of the Delete that a peer whose proof failed is sent: the peer may be anybody,
    /// and is not waited for.
    pub const FAREWELL: RetransmitSchedule = RetransmitSchedule {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(2),
        budget: Duration::from_secs(5),
    };

    /// The schedule of requests on an established IKE SA. `silence` is what is left of the DPD
    /// timeout.
    pub fn established(silence: Duration) -> RetransmitSchedule {
        RetransmitSchedule {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(8),
            budget: silence,
        }
    }
}

/// After so many sendings without an answer, about four seconds, a request goes in smaller
/// fragments, and after so many repetitions of a request its reply: chance alone rarely loses as
/// many, a path that is too narrow loses all.
pub(super) const SHRUNK_AFTER: u32 = 3;

/// What to do when the deadline of a request has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetransmitVerdict {
    /// Retransmit the request.
    Resend,
    /// Give up: the budget is used up.
    GiveUp,
}

/// The retransmission timer of one request in flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retransmit {
    pub(crate) schedule: RetransmitSchedule,
    /// When the budget began: at the request, or at the last sign of life after it.
    pub(crate) since: Instant,
    /// When the request is retransmitted or given up.
    pub(crate) due: Instant,
    /// How often the request was sent.
    pub(crate) sent: u32,
}

impl Retransmit {
    /// Starts the timer of a request that was just sent.
    pub fn start(schedule: RetransmitSchedule, now: Instant, rng: &mut dyn Rng) -> Retransmit {
        let mut timer = Retransmit { schedule, since: now, due: now, sent: 1 };
        timer.plan(now, rng);
        timer
    }

    /// When to call [`Retransmit::fire`].
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether the sending that is due goes in smaller fragments (RFC 7383 §2.5.1).
    pub fn wants_smaller(&self) -> bool {
        self.sent > SHRUNK_AFTER
    }

    /// Begins the budget anew: something authentic of the peer arrived, though not the response.
    pub fn heard(&mut self, now: Instant) {
        self.since = self.since.max(now);
    }

    /// Decides whether the request is retransmitted, when its deadline has come.
    pub fn fire(&mut self, now: Instant, rng: &mut dyn Rng) -> RetransmitVerdict {
        if now >= self.end() {
            return RetransmitVerdict::GiveUp;
        }
        self.sent = self.sent.saturating_add(1);
        self.plan(now, rng);
        RetransmitVerdict::Resend
    }

    fn plan(&mut self, now: Instant, rng: &mut dyn Rng) {
        let wait = doubled(self.schedule.first, self.sent.saturating_sub(1), self.schedule.longest);
        self.due = (now + jittered(wait, rng)).min(self.end());
    }

    fn end(&self) -> Instant {
        self.since + self.schedule.budget
    }
}

/// How long to wait before dialling a silent peer again, after this many failures in a row (0: an
/// established IKE SA was lost). A peer that comes back is dialled within 5 s for the first quarter
/// of an hour, and within 15 s later.
pub fn redial_pause(failures: u32, rng: &mut dyn Rng) -> Duration {
    let longest = if failures < QUARTER_HOUR { 4 } else { 12 };
    jittered(doubled(Duration::from_secs(1), failures, Duration::from_secs(longest)), rng)
}

/// So many attempts on a silent peer take a quarter of an hour: the budget of each is a minute.
const QUARTER_HOUR: u32 = 14;

/// How long to wait before the peer is asked again for what it refused, after this many refusals in
/// a row: a proof that fails on either side, a child SA that the peer keeps deleting. Asking again
/// costs the peer signatures and keys, so the pause grows to a minute, and a person who watches
/// still sees the next try.
pub fn refused_pause(refusals: u32, rng: &mut dyn Rng) -> Duration {
    jittered(doubled(Duration::from_secs(1), refusals, Duration::from_secs(60)), rng)
}

/// How long to wait before a task that the peer refused for now (TEMPORARY_FAILURE, a refused
/// child) is tried again, after this many refusals in a row, the first being 0. The first pauses
/// are short: most crossing exchanges are over in a round trip.
pub fn retry_pause(refusals: u32, rng: &mut dyn Rng) -> Duration {
    jittered(doubled(Duration::from_secs(1), refusals, Duration::from_secs(30)), rng)
}

/// `first`, doubled `times` times, up to `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// A random duration between three quarters and five quarters of `wait`.
fn jittered(wait: Duration, rng: &mut dyn Rng) -> Duration {
    duration_between(wait - wait / 4, wait + wait / 4, rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const START: Instant = Instant(1_000_000_000_000);

    /// Runs a timer to its end without an answer; when each sending happened, and when it gave up.
    fn run(schedule: RetransmitSchedule, seed: u64) -> (Vec<Instant>, Instant) {
        let mut rng = SeededRng(seed);
        let mut timer = Retransmit::start(schedule, START, &mut rng);
        let mut sent = vec![START];
        loop {
            let now = timer.due();
            assert!(now > *sent.last().expect("one"), "no progress");
            match timer.fire(now, &mut rng) {
                RetransmitVerdict::Resend => sent.push(now),
                RetransmitVerdict::GiveUp => return (sent, now),
            }
        }
    }

    #[test]
    fn waits_double_within_their_jitter_and_end_on_the_budget() {
        for seed in 0..50 {
            for schedule in [
                RetransmitSchedule::INIT,
                RetransmitSchedule::DIAL,
                RetransmitSchedule::established(Duration::from_secs(45)),
            ] {
                let (sent, end) = run(schedule, seed);
                assert_eq!(end, START + schedule.budget);
                assert!((7..=28).contains(&sent.len()), "{} sendings", sent.len());
                for (n, pair) in sent.windows(2).enumerate() {
                    let wait = pair[1].since(pair[0]);
                    let plain =
                        doubled(schedule.first, u32::try_from(n).expect("few"), schedule.longest);
                    assert!(wait >= plain * 3 / 4 && wait <= plain * 5 / 4, "{n}: {wait:?}");
                }
            }
        }
    }

    #[test]
    fn two_ends_do_not_stay_in_step() {
        assert_ne!(
            run(RetransmitSchedule::DIAL, 1).0[1..4],
            run(RetransmitSchedule::DIAL, 2).0[1..4]
        );
    }

    #[test]
    fn the_dial_outlasts_a_planned_failover() {
        for schedule in [RetransmitSchedule::INIT, RetransmitSchedule::DIAL] {
            assert!(schedule.budget >= Duration::from_secs(45));
        }
    }

    #[test]
    fn a_silent_peer_is_never_left_alone_for_longer_than_it_is_promised() {
        let span = Duration::from_secs;
        let schedule = RetransmitSchedule::INIT;
        assert_eq!(schedule.longest * 5 / 4, span(4));
        assert!(
            schedule.budget * QUARTER_HOUR <= span(900) && span(900) <= span(65) * QUARTER_HOUR
        );
        let mut rng = SeededRng(5);
        for failures in 0..100 {
            let longest = if failures < QUARTER_HOUR { span(5) } else { span(15) };
            assert!((0..50).all(|_| redial_pause(failures, &mut rng) <= longest), "{failures}");
        }
    }

    #[test]
    fn signs_of_life_extend_the_budget() {
        let mut rng = SeededRng(3);
        let schedule = RetransmitSchedule::established(Duration::from_secs(9));
        let mut timer = Retransmit::start(schedule, START, &mut rng);
        let mut now = START;
        while now < START + Duration::from_secs(60) {
            now = timer.due();
            assert_eq!(timer.fire(now, &mut rng), RetransmitVerdict::Resend);
            timer.heard(now);
        }
        let last = now;
        while timer.fire(timer.due(), &mut rng) == RetransmitVerdict::Resend {}
        assert_eq!(timer.due(), last + Duration::from_secs(9));
        // An older sign of life does not shorten it.
        timer.heard(START);
        assert_eq!(timer.end(), last + Duration::from_secs(9));
    }

    #[test]
    fn pauses_grow_to_their_cap_and_stay_there() {
        let mut rng = SeededRng(4);
        for failures in [0, 1, 5, 6, 31, 32, 1_000_000, u32::MAX] {
            let pause = refused_pause(failures, &mut rng);
            assert!(pause >= Duration::from_millis(750) && pause <= Duration::from_secs(75));
            if failures >= 6 {
                assert!(pause >= Duration::from_secs(45));
            }
            if failures >= 31 {
                assert!(redial_pause(failures, &mut rng) >= Duration::from_secs(9));
            }
            assert!(retry_pause(failures, &mut rng) <= Duration::from_millis(37_500));
        }
        assert!(redial_pause(0, &mut rng) <= Duration::from_millis(1_250));
    }
}
