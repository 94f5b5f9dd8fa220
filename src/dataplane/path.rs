//! What a lane believes of its path: the largest outer packets that the link and the path take.
//!
//! | who says it | believed |
//! |---|---|
//! | this host, about its own link ([`QueuedError::LinkMtu`]) | yes |
//! | an ICMP error that quotes an SPI and a recent sequence number of this lane | yes |
//! | any other ICMP error | no: whoever sent it has seen no packet, and may be anybody |
//!
//! Nobody says that a path grew, so a belief ends after ten minutes (RFC 1191 §6.3). Its end is
//! seen by whoever reads it, whether packets leave or not.
//!
//! [`QueuedError::LinkMtu`]: crate::sys::esp_socket::QueuedError::LinkMtu

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::mtu::{MIN_V4, MIN_V6};
use crate::time::Instant;

/// How long a belief lasts.
const AGE: Duration = Duration::from_secs(600);

/// The beliefs of one lane, which both threads and control read.
#[derive(Debug, Default)]
pub(super) struct PathMtu {
    link: Belief,
    path: Belief,
}

/// The largest packet, until when; no bound at all before the first word.
#[derive(Debug, Default)]
struct Belief {
    mtu: AtomicUsize,
    /// 0 without a bound.
    until: AtomicU64,
}

impl PathMtu {
    /// The largest outer packet that is believed to arrive; `usize::MAX` while nothing is known.
    pub(super) fn at(&self, now: Instant) -> usize {
        self.link.at(now).min(self.path.at(now))
    }

    /// Notes what this host says of its link.
    pub(super) fn set_link(&self, mtu: usize, now: Instant) {
        self.link.set(mtu.max(MIN_V4), now);
    }

    /// Notes that the link takes packets of this size, if it was believed to take smaller ones
    /// only.
    pub(super) fn raise_link(&self, mtu: usize, now: Instant) {
        let held = self.link.at(now);
        if held != usize::MAX && held < mtu {
            self.link.set(mtu, now);
        }
    }

    /// Whether anything is believed of the link.
    pub(super) fn is_link_known(&self, now: Instant) -> bool {
        self.link.at(now) != usize::MAX
    }

    /// Believes a router. No path is believed to be narrower than IPv6 allows: over such a path
    /// packets go in fragments anyway.
    pub(super) fn lower(&self, mtu: usize, now: Instant) {
        let mtu = mtu.max(MIN_V6);
        if mtu < self.at(now) {
            self.path.set(mtu, now);
        }
    }

    /// Forgets the path: it leads elsewhere from now on.
    pub(super) fn forget(&self) {
        for belief in [&self.link, &self.path] {
            belief.until.store(0, Ordering::Relaxed);
        }
    }
}

impl Belief {
    fn at(&self, now: Instant) -> usize {
        let is_over = now.0 >= self.until.load(Ordering::Relaxed);
        if is_over { usize::MAX } else { self.mtu.load(Ordering::Relaxed) }
    }

    fn set(&self, mtu: usize, now: Instant) {
        self.mtu.store(mtu, Ordering::Relaxed);
        self.until.store((now + AGE).0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(5_000_000_000);

    #[test]
    fn a_belief_ends_by_itself_after_ten_minutes() {
        let path = PathMtu::default();
        assert_eq!(path.at(NOW), usize::MAX);
        path.lower(1400, NOW);
        path.lower(1450, NOW);
        let last = NOW + AGE - Duration::from_nanos(1);
        assert_eq!((path.at(NOW), path.at(last), path.at(NOW + AGE)), (1400, 1400, usize::MAX));
        path.lower(1450, NOW + AGE);
        assert_eq!(path.at(NOW + AGE), 1450);
        path.forget();
        assert_eq!(path.at(NOW + AGE), usize::MAX);
    }

    #[test]
    fn no_router_is_believed_below_1280() {
        for mtu in [0, 68, 552, 1279] {
            let path = PathMtu::default();
            path.lower(mtu, NOW);
            assert_eq!(path.at(NOW), 1280, "{mtu}");
        }
    }

    #[test]
    fn the_link_grows_by_its_own_word_and_the_path_does_not() {
        let path = PathMtu::default();
        path.raise_link(1500, NOW);
        assert!(!path.is_link_known(NOW), "nothing was believed, nothing is raised");
        path.set_link(1400, NOW);
        assert_eq!(path.at(NOW), 1400);
        path.lower(1350, NOW);
        path.raise_link(1500, NOW);
        assert_eq!(path.at(NOW), 1350);
        path.set_link(1000, NOW);
        assert_eq!(path.at(NOW), 1000, "a link's own word counts below 1280 too");
    }
}
