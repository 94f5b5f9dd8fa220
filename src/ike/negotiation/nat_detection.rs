//! NAT detection, the beginning of NAT traversal (NAT-T): whether a NAT is between the ends (RFC
//! 7296 §2.23).
//!
//! Each end sends hashes of the two addresses that it sees, NAT_DETECTION_SOURCE_IP and
//! NAT_DETECTION_DESTINATION_IP; the other end compares them with what it sees itself.
//!
//! | part of NAT traversal | where |
//! |---|---|
//! | sending and comparing the hashes, in IKE_SA_INIT | here |
//! | moving IKE to port 4500, where ESP travels in UDP | `next_path` in `exchange/init.rs` |
//! | whether ESP travels in UDP | `EspEncapsulation`, `establish` in `exchange/auth.rs` |
//! | keepalives, following a peer that moved | `sa/nat_traversal.rs` |
//! | receiving ESP in UDP and bare ESP, whatever was agreed | `LaneParts::other` in `dataplane` |

use std::net::{IpAddr, SocketAddr};

use crate::crypto::{Hash, Provider};
use crate::ike::path::Path;
use crate::wire::codes::NotifyType;
use crate::wire::header::Header;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::{NAT_HASH_LEN, Notify};
use crate::wire::spi::IkeSpi;

/// What the comparison of the hashes showed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Nat {
    /// Our address is translated: we send keepalives, since the NAT may forget our mapping.
    pub here: bool,
    /// The peer's address is translated: its address and port may change.
    pub there: bool,
    /// The peer sent hashes, so it supports ESP in UDP.
    pub understood: bool,
}

impl Nat {
    /// Whether either address is translated, so that ESP has to travel in UDP.
    pub fn is_any(self) -> bool {
        self.here || self.there
    }
}

/// The two NAT detection notifies of our IKE_SA_INIT message. With `feign` the source hash is wrong
/// on purpose, so that the peer finds us behind a NAT and carries ESP in UDP.
pub fn notifies(
    provider: &dyn Provider,
    spis: (IkeSpi, IkeSpi),
    path: Path,
    feign: bool,
) -> [Notify; 2] {
    // Port 0 is never our port. Unlike a random hash it gives a request that is built again the
    // same octets.
    let source = if feign { SocketAddr::new(path.local.ip(), 0) } else { path.local };
    [
        Notify::with_data(NotifyType::NatDetectionSourceIp, hash(provider, spis, source)),
        Notify::with_data(NotifyType::NatDetectionDestinationIp, hash(provider, spis, path.remote)),
    ]
}

/// Compares the hashes in the peer's IKE_SA_INIT message with the path on which the message came.
pub fn detect(provider: &dyn Provider, chain: &Chain, header: Header, path: Path) -> Nat {
    let spis = (header.initiator_spi, header.responder_spi);
    // A peer with several addresses sends several source hashes; one that matches is enough.
    let fits = |kind, address| {
        let wanted = hash(provider, spis, address);
        let mut said = chain.notifies().filter(|notify| notify.kind == kind).peekable();
        said.peek()?;
        Some(said.any(|notify| notify.nat_hash().is_some_and(|hash| hash.as_slice() == wanted)))
    };
    let source = fits(NotifyType::NatDetectionSourceIp, path.remote);
    let destination = fits(NotifyType::NatDetectionDestinationIp, path.local);
    Nat {
        here: destination == Some(false),
        there: source == Some(false),
        understood: source.is_some() && destination.is_some(),
    }
}

/// SHA-1 over SPIs, address and port in network order. The hash protects no secret and need not
/// resist collisions.
fn hash(provider: &dyn Provider, spis: (IkeSpi, IkeSpi), address: SocketAddr) -> Vec<u8> {
    let (initiator, responder) = (spis.0.0.to_be_bytes(), spis.1.0.to_be_bytes());
    let port = address.port().to_be_bytes();
    let digest = match address.ip() {
        IpAddr::V4(ip) => provider.hash(Hash::Sha1, &[&initiator, &responder, &ip.octets(), &port]),
        IpAddr::V6(ip) => provider.hash(Hash::Sha1, &[&initiator, &responder, &ip.octets(), &port]),
    };
    digest.as_ref().iter().copied().take(NAT_HASH_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Standard;
    use crate::ike::path::Port;
    use crate::wire::codes::ExchangeType;
    use crate::wire::header::{Flags, IkeVersion, MessageId};

    const SPIS: (IkeSpi, IkeSpi) = (IkeSpi(0x0102_0304_0506_0708), IkeSpi(0));

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn path(local: &str, remote: &str) -> Path {
        Path { local: address(local), remote: address(remote), port: Port::Ike }
    }

    fn header() -> Header {
        Header {
            initiator_spi: SPIS.0,
            responder_spi: SPIS.1,
            version: IkeVersion::V2,
            exchange: ExchangeType::IkeSaInit,
            flags: Flags::INITIATOR,
            message_id: MessageId(0),
        }
    }

    /// What B finds when A sees the path one way and B the other.
    fn verdict(at_a: Path, at_b: Path, feign: bool) -> Nat {
        let provider = Standard::default();
        let chain: Chain =
            notifies(&provider, SPIS, at_a, feign).into_iter().map(Into::into).collect();
        detect(&provider, &chain, header(), at_b)
    }

    #[test]
    fn each_translation_is_seen() {
        let (a, b) = ("192.0.2.1:500", "198.51.100.2:500");
        let understood = true;
        for (at_a, at_b, here, there) in [
            (path(a, b), path(b, a), false, false),
            (path("10.0.0.1:500", b), path(b, a), false, true),
            (path(a, b), path(b, "192.0.2.1:61000"), false, true),
            (path(a, b), path("10.9.9.9:500", a), true, false),
            (path("10.0.0.1:500", b), path("10.9.9.9:500", a), true, true),
            (
                path("[2001:db8::1]:500", "[2001:db8::2]:500"),
                path("[2001:db8::2]:500", "[2001:db8::1]:500"),
                false,
                false,
            ),
        ] {
            let nat = verdict(at_a, at_b, false);
            assert_eq!(nat, Nat { here, there, understood }, "{at_a:?} {at_b:?}");
            assert_eq!(nat.is_any(), here || there);
        }
        let feigned = verdict(path(a, b), path(b, a), true);
        assert_eq!(feigned, Nat { here: false, there: true, understood });
    }

    #[test]
    fn the_hash_is_the_standards() {
        // SHA-1 of 01..08, eight zeros, c0000201, 01f4; computed with sha1sum.
        let hash = hash(&Standard::default(), SPIS, address("192.0.2.1:500"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, SHA1SUM);
    }

    const SHA1SUM: &str = "644b4575455bd6fcc1efe2be8162a9218e448e5f";

    #[test]
    fn a_peer_with_several_addresses_fits_with_one() {
        let provider = Standard::default();
        let at_a = path("192.0.2.1:500", "198.51.100.2:500");
        let other = path("192.0.2.7:500", "198.51.100.2:500");
        let mut chain = Chain::new();
        notifies(&provider, SPIS, other, false).into_iter().for_each(|notify| chain.push(notify));
        notifies(&provider, SPIS, at_a, false).into_iter().for_each(|notify| chain.push(notify));
        let nat = detect(&provider, &chain, header(), path("198.51.100.2:500", "192.0.2.1:500"));
        assert_eq!(nat, Nat { here: false, there: false, understood: true });
    }

    #[test]
    fn a_peer_without_hashes_shows_nothing() {
        let nat = detect(
            &Standard::default(),
            &Chain::new(),
            header(),
            path("192.0.2.1:500", "192.0.2.2:500"),
        );
        assert_eq!(nat, Nat::default());
    }
}
