//! Stateless cookies (RFC 7296 §2.6): an initiator shows that it receives the answers sent to its
//! source address, before this end keeps any state for it.
//!
//! ```text
//!   cookie = version | prf(secret, Ni | source address | SPIi)
//! ```
//!
//! The secret changes about once a minute, and the secret before it is still accepted, so a cookie
//! is valid for at least one minute. [`budget`](super::budget) decides when a cookie is demanded.

use std::net::IpAddr;
use std::time::Duration;

use crate::crypto::secret::equal;
use crate::crypto::{Prf, Provider, Secret};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::spi::IkeSpi;

/// How long a secret is used for new cookies.
pub const ROTATION: Duration = Duration::from_secs(60);

/// The current and the previous cookie secret.
#[derive(Debug)]
pub struct Cookies {
    pub(crate) current: Secret,
    pub(crate) previous: Secret,
    /// The number of the current secret; the previous secret has the number before.
    pub(crate) version: u8,
    pub(crate) since: Instant,
}

/// What a cookie is bound to: the fields of the IKE_SA_INIT request that carries it.
#[derive(Clone, Copy, Debug)]
pub struct CookieBinding<'a> {
    /// The source address of the request, without the port, which a NAT may change.
    pub source: IpAddr,
    /// The initiator SPI.
    pub spi: IkeSpi,
    /// The initiator's nonce.
    pub nonce: &'a [u8],
}

impl Cookies {
    /// New random secrets.
    pub fn new(now: Instant, rng: &mut dyn Rng) -> Cookies {
        Cookies { current: secret(rng), previous: secret(rng), version: 0, since: now }
    }

    /// Draws a new secret when the current one is older than [`ROTATION`]. To be called before
    /// [`Cookies::issue`] and [`Cookies::verify`].
    pub fn rotate(&mut self, now: Instant, rng: &mut dyn Rng) {
        let age = now.since(self.since);
        if age < ROTATION {
            return;
        }
        self.previous = std::mem::replace(&mut self.current, secret(rng));
        if age >= ROTATION * 2 {
            // No request came for long, so the secret that was current is too old to be accepted.
            self.previous = secret(rng);
        }
        self.version = self.version.wrapping_add(1);
        self.since = now;
    }

    /// The cookie to demand for a request.
    pub fn issue(&self, provider: &dyn Provider, claim: CookieBinding<'_>) -> Vec<u8> {
        compute(provider, self.version, &self.current, claim)
    }

    /// Whether a cookie was issued for this request with the current or the previous secret.
    pub fn verify(&self, provider: &dyn Provider, cookie: &[u8], claim: CookieBinding<'_>) -> bool {
        let secret = match cookie.first() {
            Some(version) if *version == self.version => &self.current,
            Some(version) if *version == self.version.wrapping_sub(1) => &self.previous,
            _ => return false,
        };
        let version = cookie.first().copied().unwrap_or_default();
        equal(cookie, &compute(provider, version, secret, claim))
    }
}

fn secret(rng: &mut dyn Rng) -> Secret {
    let mut bytes = vec![0; 32];
    rng.fill(&mut bytes);
    Secret::new(bytes)
}

fn compute(
    provider: &dyn Provider,
    version: u8,
    secret: &Secret,
    claim: CookieBinding<'_>,
) -> Vec<u8> {
    let (v4, v6);
    let source: &[u8] = match claim.source {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6
        }
    };
    // The length of the nonce (16 to 256 octets) keeps it apart from the address (4 or 16 octets).
    let spi = claim.spi.0.to_be_bytes();
    let nonce_len = u64::try_from(claim.nonce.len()).unwrap_or(u64::MAX).to_be_bytes();
    let parts: [&[u8]; 4] = [&nonce_len, claim.nonce, source, &spi];
    let mac = provider.prf(Prf::HmacSha2_256, secret.expose(), &parts);
    std::iter::once(version).chain(mac.expose().iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Standard;
    use crate::rng::SeededRng;
    use crate::wire::payload::notify::MAX_COOKIE;

    const START: Instant = Instant(50_000_000_000);

    fn claim(source: &str, spi: u64, nonce: &'static [u8]) -> CookieBinding<'static> {
        CookieBinding { source: source.parse().expect("an address"), spi: IkeSpi(spi), nonce }
    }

    fn genuine() -> CookieBinding<'static> {
        claim("192.0.2.1", 7, &[1; 32])
    }

    #[test]
    fn a_cookie_is_good_for_its_claim_alone() {
        let provider = Standard::default();
        let cookies = Cookies::new(START, &mut SeededRng(1));
        let cookie = cookies.issue(&provider, genuine());
        assert!((1..=MAX_COOKIE).contains(&cookie.len()));
        assert!(cookies.verify(&provider, &cookie, genuine()));
        for other in [
            claim("192.0.2.2", 7, &[1; 32]),
            claim("2001:db8::1", 7, &[1; 32]),
            claim("192.0.2.1", 8, &[1; 32]),
            claim("192.0.2.1", 7, &[2; 32]),
            claim("192.0.2.1", 7, &[1; 31]),
        ] {
            assert!(!cookies.verify(&provider, &cookie, other), "{other:?}");
        }
    }

    #[test]
    fn no_octet_of_a_cookie_may_change() {
        let provider = Standard::default();
        let cookies = Cookies::new(START, &mut SeededRng(2));
        let cookie = cookies.issue(&provider, genuine());
        for at in 0..cookie.len() {
            let mut forged = cookie.clone();
            forged[at] ^= 1;
            assert!(!cookies.verify(&provider, &forged, genuine()), "octet {at}");
        }
        assert!(!cookies.verify(&provider, &[], genuine()));
        assert!(!cookies.verify(&provider, &cookie[..32], genuine()));
        // Another device's, or this one's before a restart.
        let others = Cookies::new(START, &mut SeededRng(3)).issue(&provider, genuine());
        assert!(!cookies.verify(&provider, &others, genuine()));
    }

    #[test]
    fn a_cookie_outlives_one_rotation_and_not_two() {
        let provider = Standard::default();
        let rng = &mut SeededRng(4);
        let mut cookies = Cookies::new(START, rng);
        let cookie = cookies.issue(&provider, genuine());
        for (seconds, good) in [(59, true), (60, true), (119, true), (120, false)] {
            cookies.rotate(START + Duration::from_secs(seconds), rng);
            assert_eq!(cookies.verify(&provider, &cookie, genuine()), good, "after {seconds} s");
        }
    }

    #[test]
    fn a_cookie_does_not_outlive_a_quiet_time() {
        let provider = Standard::default();
        let rng = &mut SeededRng(5);
        let mut cookies = Cookies::new(START, rng);
        let cookie = cookies.issue(&provider, genuine());
        cookies.rotate(START + ROTATION * 2, rng);
        assert!(!cookies.verify(&provider, &cookie, genuine()));
        let fresh = cookies.issue(&provider, genuine());
        assert!(cookies.verify(&provider, &fresh, genuine()));
    }

    #[test]
    fn secrets_do_not_print() {
        let text = format!("{:?}", Cookies::new(START, &mut SeededRng(6)));
        assert!(text.contains("<secret>") && !text.contains('['), "{text}");
    }
}
