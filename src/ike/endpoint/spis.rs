//! Which SPI belongs to which peer. Datagrams and data plane events find their peer here, in
//! constant time.

use std::collections::HashMap;

use crate::ike::ids::PeerId;
use crate::rng::Rng;
use crate::wire::spi::{EspSpi, IkeSpi};

/// This end's SPIs of IKE SAs and of inbound ESP SAs. The maps are never iterated, because their
/// order is not defined and the engine is deterministic.
#[derive(Debug, Default)]
pub(crate) struct Spis {
    ike: HashMap<IkeSpi, PeerId>,
    esp: HashMap<EspSpi, PeerId>,
}

impl Spis {
    /// A new SPI for an IKE SA, random so that it cannot be guessed (RFC 7296 §2.6).
    pub(crate) fn reserve_ike(&mut self, peer: PeerId, rng: &mut dyn Rng) -> IkeSpi {
        loop {
            let spi = IkeSpi(rng.next_u64());
            if spi != IkeSpi::ZERO && !self.ike.contains_key(&spi) {
                self.ike.insert(spi, peer);
                return spi;
            }
        }
    }

    /// A new SPI for an inbound ESP SA.
    pub(crate) fn reserve_esp(&mut self, peer: PeerId, rng: &mut dyn Rng) -> EspSpi {
        loop {
            let spi = EspSpi(rng.next_u32());
            if spi >= EspSpi::MIN && !self.esp.contains_key(&spi) {
                self.esp.insert(spi, peer);
                return spi;
            }
        }
    }

    /// Registers an SPI of a snapshot.
    pub(crate) fn adopt_ike(&mut self, peer: PeerId, spi: IkeSpi) {
        self.ike.insert(spi, peer);
    }

    /// Registers an SPI of a snapshot.
    pub(crate) fn adopt_esp(&mut self, peer: PeerId, spi: EspSpi) {
        self.esp.insert(spi, peer);
    }

    pub(crate) fn release_ike(&mut self, spi: IkeSpi) {
        self.ike.remove(&spi);
    }

    pub(crate) fn release_esp(&mut self, spi: EspSpi) {
        self.esp.remove(&spi);
    }

    pub(crate) fn peer_of_ike(&self, spi: IkeSpi) -> Option<PeerId> {
        self.ike.get(&spi).copied()
    }

    pub(crate) fn peer_of_esp(&self, spi: EspSpi) -> Option<PeerId> {
        self.esp.get(&spi).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws from the end of a list.
    struct Scripted(Vec<u64>);

    impl Rng for Scripted {
        fn fill(&mut self, bytes: &mut [u8]) {
            let octets = self.0.pop().expect("a number is left").to_be_bytes();
            bytes.copy_from_slice(&octets[8 - bytes.len()..]);
        }
    }

    /// RFC 7296 §2.6 wants unique SPIs that are not zero, RFC 4303 §2.1 none of the first 256.
    #[test]
    fn spis_are_random_unique_and_never_reserved_ones() {
        let peer = PeerId(1);
        let mut spis = Spis::default();
        let mut rng = Scripted(vec![9, 7, 7, 0]);
        assert_eq!(spis.reserve_ike(peer, &mut rng), IkeSpi(7));
        assert_eq!(spis.reserve_ike(peer, &mut rng), IkeSpi(9));
        let mut rng = Scripted(vec![300, 256, 256, 255, 1, 0]);
        assert_eq!(spis.reserve_esp(peer, &mut rng), EspSpi(256));
        assert_eq!(spis.reserve_esp(peer, &mut rng), EspSpi(300));
        assert_eq!(spis.peer_of_esp(EspSpi(300)), Some(peer));
        spis.release_esp(EspSpi(300));
        assert_eq!(spis.peer_of_esp(EspSpi(300)), None);
    }
}
