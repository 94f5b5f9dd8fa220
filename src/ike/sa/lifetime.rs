//! Lifetimes: how long an SA may live, in time, octets and packets, and when it is rekeyed.
//!
//! Lifetimes are not negotiated in IKEv2 (RFC 7296 §2.8): each end keeps its own. The soft
//! lifetime, at which an SA is rekeyed, ends a little before Azure's, so that we usually rekey
//! first, and at a random point, so that both ends rarely rekey at once. At the end of its hard
//! lifetime an SA ends, rekeyed or not.

use std::time::Duration;

use super::jitter::number_between;
use crate::rng::Rng;
use crate::time::Instant;

/// Azure's IKE SA lifetime, not settable there: no IKE SA is kept beyond it (Azure docs, "About VPN
/// devices").
pub const IKE_HARD: Duration = Duration::from_secs(28_800);
/// Azure rekeys IKE SAs at 95 % of theirs, as seen in libreswan issue 765; ours are rekeyed by
/// then.
const IKE_SOFT_MAX: Duration = Duration::from_secs(24_000);

/// Azure's default child lifetime (`sa_life_time_seconds`).
pub const CHILD_TIME: Duration = Duration::from_secs(27_000);
/// Azure's default child volume (`sa_data_size_kilobytes`), in octets.
pub const CHILD_BYTES: u64 = 102_400_000 * 1024;
/// The latest rekey by time, whatever the policy says.
const CHILD_SOFT_MAX: Duration = Duration::from_secs(21_600);
/// The latest rekey by volume, whatever the policy says: 80 GiB.
const CHILD_SOFT_MAX_BYTES: u64 = 80 << 30;

/// 32-bit sequence numbers run from 1 to 2^32 - 1 and must not wrap (RFC 4303 §3.3.3).
const PACKETS_32: u64 = u32::MAX as u64;
/// With extended ones the cipher sets the bound: 2^40 packets of 1,500 octets are 2^47 blocks of
/// AES, which leaves the birthday bound of a 128-bit block below 2^-30.
const PACKETS_64: u64 = 1 << 40;

/// The part of a hard limit in which the soft limit is drawn, in thousandths.
const SOFT_IKE: (u64, u64) = (800, 850);
const SOFT_CHILD: (u64, u64) = (750, 820);
const SOFT_AZURE: (u64, u64) = (950, 950);

/// The hard limits of one kind of SA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    time: Duration,
    soft_time_max: Duration,
    bytes: u64,
    soft_bytes_max: u64,
    packets: u64,
    soft: (u64, u64),
}

/// The soft and hard limits of one SA, drawn when the SA is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadlines {
    /// The limits in time.
    pub time: LimitPair<Instant>,
    /// The limits in octets of inner packets, in one direction.
    pub bytes: LimitPair<u64>,
    /// The limits in packets, in one direction.
    pub packets: LimitPair<u64>,
}

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitPair<T> {
    /// The limit at which the SA is rekeyed.
    pub soft: T,
    /// The limit at which the SA ends.
    pub hard: T,
}

impl Lifetime {
    /// The lifetime of an IKE SA. A time beyond Azure's is cut to Azure's.
    pub fn ike(time: Duration) -> Lifetime {
        Lifetime {
            time: time.min(IKE_HARD),
            soft_time_max: IKE_SOFT_MAX,
            bytes: u64::MAX,
            soft_bytes_max: u64::MAX,
            packets: u64::MAX,
            soft: SOFT_IKE,
        }
    }

    /// The lifetime of a child SA.
    pub fn child(time: Duration, bytes: u64, esn: bool) -> Lifetime {
        Lifetime {
            time,
            soft_time_max: CHILD_SOFT_MAX,
            bytes,
            soft_bytes_max: CHILD_SOFT_MAX_BYTES,
            packets: if esn { PACKETS_64 } else { PACKETS_32 },
            soft: SOFT_CHILD,
        }
    }

    /// The lifetime of an IKE SA at Azure: rekeyed at 95 %, seen at 27,361 s (libreswan issue 765).
    /// For a peer in a test.
    pub fn azure_ike() -> Lifetime {
        Lifetime { soft_time_max: IKE_HARD, soft: SOFT_AZURE, ..Lifetime::ike(IKE_HARD) }
    }

    /// The lifetime of a child SA at Azure, as far as known: the 95 % are inferred from Azure's IKE
    /// SAs.
    pub fn azure_child(time: Duration, bytes: u64) -> Lifetime {
        let child = Lifetime::child(time, bytes, false);
        Lifetime { soft_time_max: time, soft_bytes_max: bytes, soft: SOFT_AZURE, ..child }
    }

    /// Draws the limits of an SA made now.
    pub fn draw(&self, now: Instant, rng: &mut dyn Rng) -> Deadlines {
        let time = u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX);
        let soft_max = u64::try_from(self.soft_time_max.as_nanos()).unwrap_or(u64::MAX);
        let soft = self.draw_soft(time, soft_max, rng);
        Deadlines {
            time: LimitPair { soft: now + Duration::from_nanos(soft), hard: now + self.time },
            bytes: LimitPair {
                soft: self.draw_soft(self.bytes, self.soft_bytes_max, rng),
                hard: self.bytes,
            },
            packets: LimitPair {
                soft: self.draw_soft(self.packets, u64::MAX, rng),
                hard: self.packets,
            },
        }
    }

    /// Draws a point in the soft part of a hard limit. A cap moves the part down and keeps its
    /// width, so that the jitter stays.
    fn draw_soft(&self, hard: u64, cap: u64, rng: &mut dyn Rng) -> u64 {
        if hard == u64::MAX {
            return u64::MAX;
        }
        let part = |thousandths| hard / 1000 * thousandths + hard % 1000 * thousandths / 1000;
        let (low, high) = (part(self.soft.0), part(self.soft.1));
        let over = high.saturating_sub(cap);
        number_between(low.saturating_sub(over), high.saturating_sub(over), rng)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ike::sa::jitter::fixed::Fixed;
    use crate::rng::SeededRng;

    const START: Instant = Instant(77_000_000_000);

    fn seconds(limit: LimitPair<Instant>) -> (u64, u64) {
        (limit.soft.since(START).as_secs(), limit.hard.since(START).as_secs())
    }

    #[test]
    fn an_ike_sa_is_rekeyed_well_before_azure_does_and_never_outlives_azures() {
        for seed in 0..200 {
            let drawn =
                Lifetime::ike(Duration::from_secs(86_400)).draw(START, &mut SeededRng(seed));
            let (soft, hard) = seconds(drawn.time);
            assert!((22_560..=24_000).contains(&soft), "{soft}");
            assert_eq!(hard, 28_800);
            assert_eq!(drawn.bytes, LimitPair { soft: u64::MAX, hard: u64::MAX });
        }
    }

    #[test]
    fn a_default_child_keeps_to_its_caps() {
        for seed in 0..200 {
            let drawn =
                Lifetime::child(CHILD_TIME, CHILD_BYTES, false).draw(START, &mut SeededRng(seed));
            let (soft, hard) = seconds(drawn.time);
            assert!((19_710..=21_600).contains(&soft), "{soft}");
            assert_eq!(hard, 27_000);
            assert_eq!(drawn.bytes.hard, 104_857_600_000);
            assert!(drawn.bytes.soft <= 80 << 30, "{}", drawn.bytes.soft);
            assert!(drawn.bytes.soft >= 70 << 30, "{}", drawn.bytes.soft);
            assert!(drawn.packets.soft > 3_000_000_000 && drawn.packets.soft < 3_600_000_000);
            assert_eq!(drawn.packets.hard, 4_294_967_295);
        }
    }

    #[test]
    fn chance_survives_the_caps() {
        let softs: std::collections::BTreeSet<u64> = (0..50)
            .map(|seed| {
                Lifetime::child(CHILD_TIME, CHILD_BYTES, true).draw(START, &mut SeededRng(seed))
            })
            .map(|drawn| drawn.bytes.soft)
            .collect();
        assert_eq!(softs.len(), 50);
    }

    #[test]
    fn azures_smallest_lifetimes_leave_room_to_rekey() {
        let drawn = Lifetime::child(Duration::from_secs(300), 1024 * 1024, false)
            .draw(START, &mut Fixed(0));
        assert_eq!(seconds(drawn.time), (225, 300));
        assert_eq!(drawn.bytes, LimitPair { soft: 786_432, hard: 1_048_576 });
    }

    proptest! {
        #[test]
        fn soft_comes_before_hard(
            time in 10u64..100_000,
            bytes in 1_000u64..,
            esn: bool,
            seed: u64,
        ) {
            let lifetime = Lifetime::child(Duration::from_secs(time), bytes, esn);
            let drawn = lifetime.draw(START, &mut SeededRng(seed));
            prop_assert!(drawn.time.soft < drawn.time.hard);
            prop_assert!(drawn.bytes.soft < drawn.bytes.hard || drawn.bytes.hard == u64::MAX);
            prop_assert!(drawn.packets.soft < drawn.packets.hard);
            let drawn = Lifetime::ike(Duration::from_secs(time)).draw(START, &mut SeededRng(seed));
            prop_assert!(drawn.time.soft < drawn.time.hard);
            prop_assert!(drawn.time.hard <= START + IKE_HARD);
        }
    }
}
