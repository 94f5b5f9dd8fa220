//! The budgets of unauthenticated sources: half-open IKE SAs, failed requests, stateless errors and
//! log lines.
//!
//! Every store here is bounded whatever arrives, and every decision is deterministic. An IPv6 host
//! has a /64 to itself, so a source is an IPv4 address or an IPv6 /64.
//!
//! ```text
//!   half-open SAs   0 ........ cookies_from ........ total
//!                   admit    │ demand a cookie     │ refuse
//! ```
//!
//! An attacker that forges source addresses is stopped by the cookie, one that uses its own address
//! by `per_source`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::rate::{Bucket, Rate};
use crate::time::Instant;

/// The source of datagrams, as budgets count it: no finer than what one host can have to itself.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AccountedSource {
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 /64.
    V6([u8; 8]),
}

impl From<IpAddr> for AccountedSource {
    fn from(address: IpAddr) -> AccountedSource {
        match address.to_canonical() {
            IpAddr::V4(address) => AccountedSource::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                AccountedSource::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Bounds on half-open IKE SAs: those whose initiator has sent IKE_SA_INIT and not yet proved
/// itself in IKE_AUTH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HalfOpenLimits {
    /// From this many on, a cookie is demanded (RFC 7296 §2.6).
    pub cookies_from: usize,
    /// The most of one source without a cookie, and as many again with one. A site behind one
    /// address may have several gateways.
    pub per_source: usize,
    /// The most in all.
    pub total: usize,
}

impl Default for HalfOpenLimits {
    fn default() -> HalfOpenLimits {
        HalfOpenLimits { cookies_from: 32, per_source: 8, total: 1024 }
    }
}

/// The half-open IKE SAs, counted in all and by source.
#[derive(Clone, Debug, Default)]
pub struct HalfOpen {
    limits: HalfOpenLimits,
    /// No entry is zero, so there are at most `limits.total`.
    by_source: BTreeMap<AccountedSource, usize>,
    total: usize,
}

/// What to do with an IKE_SA_INIT request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Process it and start a half-open IKE SA.
    Admit,
    /// Demand a cookie and keep no state.
    Cookie,
    /// Drop it without an answer.
    Refuse,
}

impl HalfOpen {
    /// No half-open IKE SAs, within these bounds.
    pub fn new(limits: HalfOpenLimits) -> HalfOpen {
        HalfOpen { limits, ..HalfOpen::default() }
    }

    /// How many half-open IKE SAs there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether `address` may start one more half-open IKE SA. `proven` says that the request
    /// carried a valid cookie.
    pub fn admit(&self, address: IpAddr, proven: bool) -> Admission {
        let from_there = self.by_source.get(&address.into()).copied().unwrap_or(0);
        if self.total >= self.limits.total {
            return Admission::Refuse;
        }
        if !proven
            && (self.total >= self.limits.cookies_from || from_there >= self.limits.per_source)
        {
            return Admission::Cookie;
        }
        // Without a cookie the source may be forged to use up a genuine peer's share. A source that
        // has shown a cookie has a second share of the same size, which no forger can use.
        match from_there >= 2 * self.limits.per_source {
            true => Admission::Refuse,
            false => Admission::Admit,
        }
    }

    /// Counts a half-open IKE SA that was started.
    pub fn enter(&mut self, address: IpAddr) {
        *self.by_source.entry(address.into()).or_default() += 1;
        self.total += 1;
    }

    /// Counts a half-open IKE SA that was completed or forgotten.
    pub fn leave(&mut self, address: IpAddr) {
        let source = AccountedSource::from(address);
        let Some(count) = self.by_source.get_mut(&source) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.by_source.remove(&source);
        }
        self.total = self.total.saturating_sub(1);
    }
}

/// The rates of the engine.
///
/// COOKIE answers have none: one costs an HMAC and is smaller than the request, and a flood of
/// forged sources would use a limit on them to keep a genuine peer out.
impl Rate {
    /// Stateless errors to one source: a peer that retries needs few.
    pub(crate) const ERRORS_TO_SOURCE: Rate =
        Rate { burst: 8, interval: Duration::from_millis(250) };
    /// Stateless errors in all.
    pub(crate) const ERRORS: Rate = Rate { burst: 1000, interval: Duration::from_millis(1) };
    /// IKE_SA_INIT requests of one source that fail: a peer that guesses a group, or is configured
    /// wrong, sends few.
    pub(crate) const FAILURES_OF_SOURCE: Rate =
        Rate { burst: 8, interval: Duration::from_millis(250) };
    /// Cached answers sent again to one request: a peer on a lossy path retransmits a few times a
    /// second.
    pub(crate) const REPEATS: Rate = Rate { burst: 8, interval: Duration::from_millis(250) };
    /// Answers to ESP packets of no SA, for one source: one says it all, and may be lost.
    pub(crate) const UNKNOWN_SPIS: Rate = Rate { burst: 1, interval: Duration::from_secs(5) };
    /// Unprotected hints that a source's SA is dead: each makes us ask for a sign of life.
    pub(crate) const HINTS: Rate = Rate { burst: 1, interval: Duration::from_secs(10) };
    /// Log lines of one kind.
    pub(crate) const LINES: Rate = Rate { burst: 5, interval: Duration::from_secs(1) };
}

/// A bucket for each source, for a bounded number of sources.
///
/// Under a flood of sources the new ones share one bucket, and those that keep sending keep their
/// own. So a new source can go unanswered: right for errors and log lines, wrong for cookies.
#[derive(Clone, Debug)]
pub struct Buckets {
    rate: Rate,
    most: usize,
    by_source: BTreeMap<AccountedSource, Bucket>,
    newcomers: Bucket,
    /// When full buckets were last removed: a flood must not cause a search at every datagram.
    swept: Instant,
}

/// The time between two removals of full buckets.
const SWEEP: Duration = Duration::from_secs(1);

impl Buckets {
    /// Buckets of this rate, for at most `most` sources.
    pub fn new(rate: Rate, most: usize) -> Buckets {
        let (by_source, newcomers) = (BTreeMap::new(), Bucket::default());
        Buckets { rate, most, by_source, newcomers, swept: Instant::default() }
    }

    /// Takes one token from the source's bucket, if there is one.
    pub fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let source = AccountedSource::from(address);
        if let Some(bucket) = self.by_source.get_mut(&source) {
            return bucket.take(self.rate, now);
        }
        if self.by_source.len() >= self.most && now.since(self.swept) >= SWEEP {
            self.by_source.retain(|_, bucket| !bucket.is_full(now));
            self.swept = now;
        }
        if self.by_source.len() >= self.most {
            return self.newcomers.take(self.rate, now);
        }
        self.by_source.entry(source).or_default().take(self.rate, now)
    }

    /// Whether there is a token in the source's bucket.
    pub fn has_one(&self, address: IpAddr, now: Instant) -> bool {
        match self.by_source.get(&AccountedSource::from(address)) {
            Some(bucket) => bucket.has_one(self.rate, now),
            None => self.by_source.len() < self.most || self.newcomers.has_one(self.rate, now),
        }
    }

    /// How many sources have a bucket of their own.
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    /// Whether no source has a bucket of its own.
    pub fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LIMITS: HalfOpenLimits = HalfOpenLimits { cookies_from: 4, per_source: 2, total: 6 };
    const START: Instant = Instant(1_000_000_000);

    fn host(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    #[test]
    fn a_source_is_an_address_or_a_slash_64() {
        let same = |a: &str, b: &str| {
            let source =
                |text: &str| AccountedSource::from(text.parse::<IpAddr>().expect("an address"));
            source(a) == source(b)
        };
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    }

    #[test]
    fn half_open_goes_from_admitting_to_cookies_to_silence() {
        let mut half_open = HalfOpen::new(LIMITS);
        for n in 0..4 {
            assert_eq!(half_open.admit(host(n), false), Admission::Admit);
            half_open.enter(host(n));
        }
        for n in 4..6 {
            assert_eq!(half_open.admit(host(n), false), Admission::Cookie);
            assert_eq!(half_open.admit(host(n), true), Admission::Admit);
            half_open.enter(host(n));
        }
        assert_eq!(half_open.admit(host(9), true), Admission::Refuse);
        half_open.leave(host(0));
        assert_eq!(half_open.admit(host(9), true), Admission::Admit);
    }

    #[test]
    fn a_source_has_its_share_and_forgers_cannot_use_it_up() {
        let mut half_open = HalfOpen::new(LIMITS);
        half_open.enter(host(1));
        half_open.enter(host(1));
        // Those two may be forged: a request without a cookie gets one demanded, a request with a
        // cookie has a share of its own.
        assert_eq!(half_open.admit(host(1), false), Admission::Cookie);
        assert_eq!(half_open.admit(host(2), false), Admission::Admit);
        for _ in 0..2 {
            assert_eq!(half_open.admit(host(1), true), Admission::Admit);
            half_open.enter(host(1));
        }
        assert_eq!(half_open.admit(host(1), true), Admission::Refuse);
        half_open.leave(host(1));
        assert_eq!(half_open.admit(host(1), true), Admission::Admit);
    }

    #[test]
    fn what_leaves_leaves_nothing_behind() {
        let mut half_open = HalfOpen::new(LIMITS);
        half_open.enter(host(1));
        half_open.leave(host(2));
        assert_eq!(half_open.total(), 1);
        half_open.leave(host(1));
        half_open.leave(host(1));
        assert_eq!((half_open.total(), half_open.by_source.len()), (0, 0));
    }

    #[test]
    fn a_flood_of_sources_neither_grows_the_store_nor_starves_who_keeps_asking() {
        let rate = Rate { burst: 2, interval: Duration::from_secs(1) };
        let mut buckets = Buckets::new(rate, 100);
        let friend: IpAddr = Ipv6Addr::from_bits(0x2001_0db8 << 96).into();
        assert!(buckets.take(friend, START));
        let mut answered = 0;
        for n in 0..100_000 {
            // 10,000 forged datagrams a second.
            let now = START + Duration::from_micros(100) * n;
            answered += u32::from(buckets.take(host(n), now));
            assert!(buckets.len() <= 100);
            if n % 9_500 == 9_499 {
                assert!(buckets.take(friend, now), "after {n}");
            }
        }
        // Ten seconds: a hundred places, each free again after two sweeps at the latest, and the
        // shared bucket.
        assert!((500..=1000 + 12).contains(&answered), "{answered}");
    }
}
